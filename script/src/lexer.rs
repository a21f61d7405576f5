//! Just enough of Lua's words to find what a script names, with comments and strings left out.

use std::ops::Range;

/// A word or a sign of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// Its text; a string is one token with its quotes.
    pub text: &'a str,
    /// Its bytes in the source.
    pub span: Range<usize>,
}

/// All tokens of a script.
pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(letter) = source[at..].chars().next() {
        let rest = &source[at..];
        let length = match letter {
            _ if letter.is_whitespace() => {
                at += letter.len_utf8();
                continue;
            }
            '-' if rest.starts_with("--") => {
                at += comment(rest);
                continue;
            }
            '[' if long_bracket(rest).is_some() => long_bracket(rest).unwrap_or(1),
            '"' | '\'' => quoted(rest, letter),
            _ if is_word(letter) => rest.find(|letter| !is_word(letter)).unwrap_or(rest.len()),
            _ => letter.len_utf8(),
        };
        found.push(Token { text: &rest[..length], span: at..at + length });
        at += length;
    }
    found
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Bytes of a comment that begins here.
fn comment(rest: &str) -> usize {
    match long_bracket(&rest[2..]) {
        Some(length) => 2 + length,
        None => rest.find('\n').unwrap_or(rest.len()),
    }
}

/// Bytes of `[[ … ]]` or `[=[ … ]=]`, if one begins here.
fn long_bracket(rest: &str) -> Option<usize> {
    let level = rest.strip_prefix('[')?.bytes().take_while(|byte| *byte == b'=').count();
    rest[1 + level..].strip_prefix('[')?;
    let end = format!("]{}]", "=".repeat(level));
    Some(rest.find(&end).map_or(rest.len(), |start| start + end.len()))
}

/// Bytes of a string in quotes that begins here.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' => return at,
            _ if letter == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The bytes of a line, from 1, without its indentation.
pub(crate) fn line_span(source: &str, line: u32) -> Range<usize> {
    let mut start = 0;
    for (index, text) in source.split_inclusive('\n').enumerate() {
        if index + 1 == line as usize {
            let indent = text.len() - text.trim_start().len();
            return start + indent..start + text.trim_end().len().max(indent);
        }
        start += text.len();
    }
    source.len()..source.len()
}

/// The line, from 1, of a byte.
pub(crate) fn line_at(source: &str, byte: usize) -> u32 {
    source.as_bytes()[..byte.min(source.len())].iter().filter(|byte| **byte == b'\n').count() as u32 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_hold_no_words() {
        let source = "sys.read(1) -- sys.a\n--[[ sys.b\n]] x = 'sys.\\'c' .. [==[ sys.d ]] ]==]";
        let words: Vec<&str> = tokens(source).iter().map(|token| token.text).collect();
        assert_eq!(words, ["sys", ".", "read", "(", "1", ")", "x", "=", "'sys.\\'c'", ".", ".", "[==[ sys.d ]] ]==]"]);
    }

    #[test]
    fn lines_are_found() {
        assert_eq!(line_span("a\n  bc \nd", 2), 4..6);
        assert_eq!(line_at("a\nb\nc", 4), 3);
        assert_eq!(line_span("a", 9), 1..1);
    }
}
