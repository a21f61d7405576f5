//! Colours and signs. What a colour says is always said by a sign, a letter or hatching too.

use crate::palette::{self, Rgb};
use clap::ValueEnum;
use ratatui::style::{Color, Modifier, Style};

/// Sets of colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ThemeName {
    /// For a dark ground
    Dark,
    /// For a light ground
    Light,
    /// Colours that people with any colour vision can tell apart
    ColourBlind,
    /// No colours
    Monochrome,
}

impl ThemeName {
    /// The next one.
    #[must_use]
    pub fn next(self) -> ThemeName {
        match self {
            ThemeName::Dark => ThemeName::Light,
            ThemeName::Light => ThemeName::ColourBlind,
            ThemeName::ColourBlind => ThemeName::Monochrome,
            ThemeName::Monochrome => ThemeName::Dark,
        }
    }

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            ThemeName::Dark => "dark",
            ThemeName::Light => "light",
            ThemeName::ColourBlind => "colour-blind",
            ThemeName::Monochrome => "monochrome",
        }
    }
}

/// What a piece of the screen is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Ordinary text.
    Text,
    /// Less important.
    Dim,
    /// Headings.
    Heading,
    /// The row, tab or knob under the cursor.
    Selected,
    /// Keys in hints.
    Key,
    /// Better than what it is compared with; has a plus sign.
    Better,
    /// Worse; has a minus sign.
    Worse,
    /// Something to look at: errors, warnings.
    Warning,
    /// A curve, a mechanism: by its position.
    Series(usize),
    /// A part of a stack: by its position.
    Part(usize),
    /// Heat: from 0 (nothing) to [`SHADES`].
    Shade(usize),
}

/// Steps of heat.
pub const SHADES: usize = 4;

/// Signs, in two sets: drawn ones and ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    /// A bar: full, then by eighths from 1 to 7; in ASCII only the full one differs from a space.
    pub bar: [char; 8],
    /// Interval: left end, line, right end.
    pub interval: [char; 3],
    /// Hatching of the parts of a stack.
    pub hatches: [char; 8],
    /// Heat from nothing to [`SHADES`].
    pub shades: [char; SHADES + 1],
    /// Markers of curves.
    pub markers: [char; 9],
    /// Horizontal and vertical line, and where a box's corners are: top left, top right, bottom left, bottom right.
    pub lines: [char; 6],
    /// Cursor in a list.
    pub cursor: char,
    /// Less and more of a knob.
    pub arrows: [char; 2],
    /// Plus and minus.
    pub plus_minus: &'static str,
    /// What stands for what is left out.
    pub more: &'static str,
    /// Difference.
    pub delta: &'static str,
}

const DRAWN: Glyphs = Glyphs {
    bar: ['█', '▏', '▎', '▍', '▌', '▋', '▊', '▉'],
    interval: ['├', '─', '┤'],
    hatches: ['█', '▒', '▓', '░', '▚', '▞', '▤', '·'],
    shades: [' ', '░', '▒', '▓', '█'],
    markers: ['●', '■', '▲', '◆', '✚', '○', '□', '△', '◇'],
    lines: ['─', '│', '┌', '┐', '└', '┘'],
    cursor: '▸',
    arrows: ['◂', '▸'],
    plus_minus: "±",
    more: "…",
    delta: "Δ",
};

const ASCII: Glyphs = Glyphs {
    bar: ['#', ' ', ' ', ' ', '#', '#', '#', '#'],
    interval: ['[', '-', ']'],
    hatches: ['U', 'u', 'K', 'k', 'X', 'M', 'C', '.'],
    shades: [' ', '.', ':', '%', '#'],
    markers: ['o', '#', '^', '*', '+', 'x', '@', '%', '$'],
    lines: ['-', '|', '+', '+', '+', '+'],
    cursor: '>',
    arrows: ['<', '>'],
    plus_minus: "+-",
    more: "..",
    delta: "d",
};

/// Colours of one theme.
struct Palette {
    text: Color,
    dim: Color,
    heading: Color,
    selected: (Color, Color),
    better: Color,
    worse: Color,
    warning: Color,
    series: [Color; 5],
    parts: [Color; 8],
    shades: [Color; SHADES],
}

const fn rgb(red: u8, green: u8, blue: u8) -> Color {
    Color::Rgb(red, green, blue)
}

const DARK: Palette = Palette {
    text: Color::Reset,
    dim: Color::DarkGray,
    heading: Color::Cyan,
    selected: (Color::Black, Color::Cyan),
    better: Color::Green,
    worse: Color::Red,
    warning: Color::Yellow,
    series: [Color::White, Color::Cyan, Color::Yellow, Color::Green, Color::Magenta],
    parts: [
        Color::Blue,
        Color::LightBlue,
        Color::Red,
        Color::LightRed,
        Color::Magenta,
        Color::Green,
        Color::Yellow,
        Color::DarkGray,
    ],
    shades: [Color::Blue, Color::Cyan, Color::Yellow, Color::Red],
};

const LIGHT: Palette = Palette {
    text: Color::Reset,
    dim: Color::DarkGray,
    heading: Color::Blue,
    selected: (Color::White, Color::Blue),
    better: rgb(0, 110, 40),
    worse: rgb(180, 0, 0),
    warning: rgb(150, 90, 0),
    series: [Color::Black, rgb(0, 90, 160), rgb(170, 90, 0), rgb(0, 110, 60), rgb(140, 40, 120)],
    parts: [
        rgb(0, 90, 180),
        rgb(80, 150, 220),
        rgb(190, 60, 20),
        rgb(220, 130, 90),
        rgb(150, 60, 130),
        rgb(0, 120, 80),
        rgb(150, 120, 0),
        Color::Gray,
    ],
    shades: [rgb(120, 160, 200), rgb(60, 110, 180), rgb(200, 110, 40), rgb(180, 20, 20)],
};

const fn of((red, green, blue): Rgb) -> Color {
    Color::Rgb(red, green, blue)
}

/// The palette for any colour vision, white or black in the place of its black.
const COLOUR_BLIND: Palette = Palette {
    text: Color::Reset,
    dim: Color::DarkGray,
    heading: of(palette::SKY_BLUE),
    selected: (Color::Black, of(palette::SKY_BLUE)),
    better: of(palette::SKY_BLUE),
    worse: of(palette::ORANGE),
    warning: of(palette::YELLOW),
    series: [Color::Reset, of(palette::SKY_BLUE), of(palette::ORANGE), of(palette::GREEN), of(palette::PURPLE)],
    parts: [
        of(palette::BLUE),
        of(palette::SKY_BLUE),
        of(palette::VERMILION),
        of(palette::ORANGE),
        of(palette::PURPLE),
        of(palette::GREEN),
        of(palette::YELLOW),
        Color::DarkGray,
    ],
    shades: [of(palette::BLUE), of(palette::SKY_BLUE), of(palette::ORANGE), of(palette::VERMILION)],
};

/// Colours and signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Which colours.
    pub name: ThemeName,
    /// Which signs.
    pub glyphs: Glyphs,
    /// Colours are not wanted (NO_COLOR): every theme is monochrome.
    pub no_color: bool,
}

impl Theme {
    /// A theme with drawn signs, or with ASCII.
    pub fn new(name: ThemeName, ascii: bool) -> Theme {
        Theme { name, glyphs: if ascii { ASCII } else { DRAWN }, no_color: false }
    }

    /// Only ASCII characters are drawn.
    pub fn is_ascii(&self) -> bool {
        self.glyphs.cursor.is_ascii()
    }

    /// The next one with the same signs.
    #[must_use]
    pub fn next(self) -> Theme {
        Theme { name: self.name.next(), ..self }
    }

    fn palette(&self) -> Option<&'static Palette> {
        match self.name {
            _ if self.no_color => None,
            ThemeName::Dark => Some(&DARK),
            ThemeName::Light => Some(&LIGHT),
            ThemeName::ColourBlind => Some(&COLOUR_BLIND),
            ThemeName::Monochrome => None,
        }
    }

    /// How something looks.
    pub fn style(&self, role: Role) -> Style {
        let plain = Style::default();
        let weight = match role {
            Role::Heading | Role::Key | Role::Warning => plain.add_modifier(Modifier::BOLD),
            Role::Dim => plain.add_modifier(Modifier::DIM),
            Role::Selected => plain.add_modifier(Modifier::REVERSED),
            _ => plain,
        };
        let Some(palette) = self.palette() else { return weight };
        match role {
            Role::Text => plain.fg(palette.text),
            Role::Dim => plain.fg(palette.dim),
            Role::Heading => weight.fg(palette.heading),
            Role::Selected => plain.fg(palette.selected.0).bg(palette.selected.1),
            Role::Key => weight.fg(palette.heading),
            Role::Better => plain.fg(palette.better),
            Role::Worse => plain.fg(palette.worse),
            Role::Warning => weight.fg(palette.warning),
            Role::Series(index) => plain.fg(palette.series[index % palette.series.len()]),
            Role::Part(index) => plain.fg(palette.parts[index % palette.parts.len()]),
            Role::Shade(0) => plain,
            Role::Shade(step) => plain.fg(palette.shades[(step - 1).min(SHADES - 1)]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_nothing_has_one() {
        let roles = [Role::Text, Role::Dim, Role::Heading, Role::Selected, Role::Key, Role::Better, Role::Worse, Role::Warning];
        let more = [Role::Series(3), Role::Part(7), Role::Shade(2)];
        let themes = [ThemeName::Dark, ThemeName::Light, ThemeName::ColourBlind, ThemeName::Monochrome];
        for name in themes {
            let theme = Theme { no_color: true, ..Theme::new(name, false) };
            for role in roles.into_iter().chain(more) {
                let style = theme.style(role);
                assert_eq!((style.fg, style.bg), (None, None), "{name:?} {role:?}");
            }
        }
    }

    #[test]
    fn ascii_is_ascii() {
        let glyphs = Theme::new(ThemeName::Dark, true).glyphs;
        let signs =
            [&glyphs.bar[..], &glyphs.interval, &glyphs.hatches, &glyphs.shades, &glyphs.markers, &glyphs.lines, &glyphs.arrows];
        assert!(signs.iter().all(|set| set.iter().all(char::is_ascii)) && glyphs.delta.is_ascii());
        assert!(glyphs.cursor.is_ascii() && glyphs.plus_minus.is_ascii() && glyphs.more.is_ascii());
    }

    #[test]
    fn parts_differ_without_colour() {
        for ascii in [false, true] {
            let hatches = Theme::new(ThemeName::Monochrome, ascii).glyphs.hatches;
            assert!((1..hatches.len()).all(|at| !hatches[..at].contains(&hatches[at])), "{hatches:?}");
        }
    }
}
