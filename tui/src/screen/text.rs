//! Lines of text and bars that fit a width: leaves that views draw with.

use super::action::ViewAction;
use super::theme::{Role, Theme};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// A text cut to a width, with a sign where something is left out.
pub fn cut(text: &str, width: usize, theme: &Theme) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let more = theme.glyphs.more;
    let kept = text.chars().take(width.saturating_sub(more.chars().count()));
    kept.chain(more.chars()).take(width).collect()
}

/// A text of exactly a width, flush left.
pub fn left(text: &str, width: usize, theme: &Theme) -> String {
    format!("{:width$}", cut(text, width, theme))
}

/// A text of exactly a width, flush right.
pub fn right(text: &str, width: usize, theme: &Theme) -> String {
    format!("{:>width$}", cut(text, width, theme))
}

/// Words on lines of a width; lines after the first are indented.
pub fn wrapped(text: &str, width: usize, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let used = lines.last().map_or(0, |line| line.chars().count());
        let first = lines.last().is_none_or(|line| line.trim().is_empty());
        if !first && used + 1 + word.chars().count() > width {
            lines.push(format!("{}{word}", " ".repeat(indent)));
        } else if let Some(line) = lines.last_mut() {
            if !first {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// A bar of a share (0 to 1) of a width, as exact as the signs allow.
pub fn bar(share: f64, width: usize, theme: &Theme) -> String {
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut text: String = std::iter::repeat_n(theme.glyphs.bar[0], eighths / 8).collect();
    let rest = eighths % 8;
    if rest > 0 {
        text.push(theme.glyphs.bar[rest]);
    }
    format!("{text:width$}")
}

/// A bar with the interval around its end drawn over it; shares of the width.
pub fn bar_with_interval(
    share: f64,
    interval: Option<(f64, f64)>,
    width: usize,
    style: Style,
    theme: &Theme,
) -> Vec<Span<'static>> {
    let text = bar(share, width, theme);
    let Some((low, high)) = interval.filter(|(low, high)| low.is_finite() && high.is_finite() && high > low) else {
        return vec![Span::styled(text, style)];
    };
    let place = |share: f64| ((share.clamp(0.0, 1.0) * width as f64) as usize).min(width.saturating_sub(1));
    let (from, to) = (place(low), place(high));
    let [start, line, end] = theme.glyphs.interval;
    let marks: String = (from..=to)
        .map(|at| {
            if from == to {
                theme.glyphs.lines[1]
            } else if at == from {
                start
            } else if at == to {
                end
            } else {
                line
            }
        })
        .collect();
    let before: String = text.chars().take(from).collect();
    let after: String = text.chars().skip(to + 1).collect();
    vec![Span::styled(before, style), Span::styled(marks, theme.style(Role::Text)), Span::styled(after, style)]
}

/// A relative change with its sign: `+12.3 %`.
pub fn change(now: f64, before: f64) -> String {
    let change = now / before - 1.0;
    if change.is_finite() { format!("{:+.1} %", change * 100.0) } else { "-".into() }
}

/// Whether a change is for the better: more of what one wants more of, less of the rest.
pub fn judged(now: f64, before: f64, more_is_better: bool) -> Role {
    match now.partial_cmp(&before) {
        Some(std::cmp::Ordering::Greater) if more_is_better => Role::Better,
        Some(std::cmp::Ordering::Less) if !more_is_better => Role::Better,
        Some(std::cmp::Ordering::Equal) | None => Role::Dim,
        _ => Role::Worse,
    }
}

/// The first line that is shown after a key, of so many lines in so many rows. [`scrolled`] draws them.
pub fn scroll(from: usize, action: ViewAction, lines: usize, rows: u16) -> usize {
    let rows = usize::from(rows);
    let room = if lines > rows { rows.saturating_sub(1) } else { rows };
    let last = lines.saturating_sub(room);
    let from = match action {
        ViewAction::Down => from + 1,
        ViewAction::Up => from.min(last).saturating_sub(1),
        ViewAction::PageDown => from + room.max(1),
        ViewAction::PageUp => from.min(last).saturating_sub(room.max(1)),
        ViewAction::Home => 0,
        ViewAction::End => last,
        _ => from,
    };
    from.min(last)
}

/// Draws lines from one on. When some are hidden, the last row says how many.
pub fn scrolled(frame: &mut Frame, area: Rect, lines: Vec<Line<'static>>, from: usize, theme: &Theme) {
    let (height, count) = (usize::from(area.height), lines.len());
    if count <= height {
        return frame.render_widget(Paragraph::new(lines), area);
    }
    let room = height.saturating_sub(1);
    let from = from.min(count.saturating_sub(room));
    let mut shown: Vec<Line> = lines.into_iter().skip(from).take(room).collect();
    let below = count.saturating_sub(from + room);
    let note = format!("{} {from} lines above, {below} below", theme.glyphs.more);
    shown.push(Line::styled(note, theme.style(Role::Dim)));
    frame.render_widget(Paragraph::new(shown), area);
}

#[cfg(test)]
mod tests {
    use super::super::theme::ThemeName;
    use super::*;

    fn theme(ascii: bool) -> Theme {
        Theme::new(ThemeName::Monochrome, ascii)
    }

    #[test]
    fn texts_fit_their_width() {
        assert_eq!(cut("exception-less:io-uring", 10, &theme(false)), "exception…");
        assert_eq!(left("sync", 6, &theme(true)), "sync  ");
        assert_eq!(right("a long word", 6, &theme(true)), "a lo..");
        assert_eq!(wrapped("one two three four", 9, 2), ["one two", "  three", "  four"]);
    }

    #[test]
    fn bars_are_exact_to_an_eighth_and_keep_their_width() {
        assert_eq!(bar(0.5, 4, &theme(false)), "██  ");
        assert_eq!(bar(0.53, 4, &theme(false)), "██▏ ");
        assert_eq!(bar(2.0, 3, &theme(true)), "###");
        let spans = bar_with_interval(0.5, Some((0.4, 0.6)), 10, Style::default(), &theme(true));
        let text: String = spans.iter().map(|span| span.content.as_ref()).collect();
        assert_eq!(text, "####[-]   ");
    }

    #[test]
    fn changes_have_signs_and_a_judgement() {
        assert_eq!((change(110.0, 100.0).as_str(), change(1.0, 0.0).as_str()), ("+10.0 %", "-"));
        assert_eq!(
            (judged(2.0, 1.0, true), judged(2.0, 1.0, false), judged(1.0, 1.0, true)),
            (Role::Better, Role::Worse, Role::Dim)
        );
    }
}
