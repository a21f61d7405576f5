//! Running text in lines.

/// Wraps each paragraph (line) of a text at a width; lines that begin with two spaces stay as they are. Every line is ended.
pub fn wrapped(text: &str, width: usize) -> String {
    let mut lines = String::new();
    for paragraph in text.lines() {
        if paragraph.starts_with("  ") {
            lines.push_str(paragraph.trim_end());
            lines.push('\n');
        } else {
            lines.push_str(&hanging(paragraph, width, 0));
        }
    }
    lines
}

/// One paragraph in lines of a width; lines after the first begin with `indent` spaces.
pub fn hanging(text: &str, width: usize, indent: usize) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let blank = line.trim().is_empty();
        if !blank && line.chars().count() + 1 + word.chars().count() > width {
            lines.push_str(&line);
            lines.push('\n');
            line = " ".repeat(indent);
            line.push_str(word);
            continue;
        }
        if !blank {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push_str(&line);
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_no_longer_than_asked_and_lose_no_word() {
        let text = "one two three four five six";
        assert_eq!(wrapped(text, 9), "one two\nthree\nfour five\nsix\n");
        assert_eq!(hanging("a: one two three", 10, 3), "a: one two\n   three\n");
        assert_eq!(wrapped("a\n  code  stays\n\nb", 3), "a\n  code  stays\n\nb\n");
        assert_eq!(wrapped("a-word-longer-than-a-line x", 5), "a-word-longer-than-a-line\nx\n");
    }
}
