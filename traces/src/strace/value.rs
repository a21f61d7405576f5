//! Values as strace prints them: numbers, flags, strings, structures, arrays and decorated descriptors.

use winnow::ascii::space0;
use winnow::combinator::{alt, opt, preceded, repeat};
use winnow::error::ContextError;
use winnow::prelude::*;
use winnow::token::{any, literal, take_till, take_while};

/// Nesting that is followed. strace itself prints at most a handful of levels; deeper text is not its output.
const MAX_DEPTH: u32 = 32;

/// One printed value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Decimal, octal or hexadecimal number.
    Number(i64),
    /// A string: how many bytes it stands for, and whether strace cut it.
    Text {
        /// What stands between the quotes.
        shown: &'a str,
        /// Bytes shown, after undoing escapes.
        bytes: u32,
        /// True when `...` follows: the real string is longer.
        cut: bool,
    },
    /// A descriptor with the decoration of `-y` or `-yy`.
    Descriptor {
        /// Descriptor number; -100 for `AT_FDCWD`.
        number: i32,
        /// What stands between `<` and `>`.
        decoration: &'a str,
    },
    /// `{…}`: fields with their names, where they have some.
    Struct(Vec<(Option<&'a str>, Value<'a>)>),
    /// `[…]`.
    List(Vec<Value<'a>>),
    /// Anything else: flags, constants, calls like `htons(80)`.
    Symbol(&'a str),
    /// `before => after`.
    Changed(Box<Value<'a>>, Box<Value<'a>>),
}

impl Value<'_> {
    /// The number after the call, if this is one.
    pub fn number(&self) -> Option<i64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Descriptor { number, .. } => Some(i64::from(*number)),
            Value::Changed(_, after) => after.number(),
            _ => None,
        }
    }

    /// A field of a structure.
    pub fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Value::Struct(fields) => fields.iter().find(|(field, _)| *field == Some(name)).map(|(_, value)| value),
            Value::Changed(_, after) => after.field(name),
            _ => None,
        }
    }
}

/// A value, at most 32 levels deep.
pub fn value<'a>(input: &mut &'a str) -> winnow::Result<Value<'a>> {
    value_at(input, MAX_DEPTH)
}

/// The values between the parentheses of a call, up to and with the closing one.
pub fn arguments<'a>(input: &mut &'a str) -> winnow::Result<Vec<Value<'a>>> {
    sequence(input, ')', MAX_DEPTH)
}

fn value_at<'a>(input: &mut &'a str, depth: u32) -> winnow::Result<Value<'a>> {
    let Some(depth) = depth.checked_sub(1) else { return Err(ContextError::new()) };
    let before = primary(input, depth)?;
    let after = opt(preceded((space0, literal("=>"), space0), |input: &mut &'a str| primary(input, depth))).parse_next(input)?;
    Ok(match after {
        Some(after) => Value::Changed(Box::new(before), Box::new(after)),
        None => before,
    })
}

fn primary<'a>(input: &mut &'a str, depth: u32) -> winnow::Result<Value<'a>> {
    alt((
        text,
        descriptor,
        preceded('{', |input: &mut &'a str| fields(input, depth)).map(Value::Struct),
        preceded((opt('~'), '['), |input: &mut &'a str| sequence(input, ']', depth)).map(Value::List),
        atom,
    ))
    .parse_next(input)
}

/// `"…"`, with `...` after it when strace cut the string, `@` before it for abstract socket names.
fn text<'a>(input: &mut &'a str) -> winnow::Result<Value<'a>> {
    preceded(opt('@'), '"').void().parse_next(input)?;
    let start = *input;
    let bytes = quoted(input)?;
    let shown = &start[..start.len() - input.len() - 1];
    let cut = opt(literal("...")).parse_next(input)?.is_some();
    Ok(Value::Text { shown, bytes, cut })
}

/// The rest of a string after its opening quote: how many bytes it stands for.
fn quoted(input: &mut &str) -> winnow::Result<u32> {
    let mut bytes = 0u32;
    loop {
        bytes += take_till(0.., ['"', '\\']).parse_next(input)?.len() as u32;
        if any.parse_next(input)? == '"' {
            return Ok(bytes);
        }
        alt((
            ('x', take_while(2..=2, |digit: char| digit.is_ascii_hexdigit())).void(),
            take_while(1..=3, '0'..='7').void(),
            any.void(),
        ))
        .parse_next(input)?;
        bytes += 1;
    }
}

/// A descriptor with a decoration.
fn descriptor<'a>(input: &mut &'a str) -> winnow::Result<Value<'a>> {
    let number =
        alt((literal("AT_FDCWD").value(-100), take_while(1..=9, '0'..='9').verify_map(|digits: &str| digits.parse::<i32>().ok())))
            .parse_next(input)?;
    let decoration = decoration(input)?;
    Ok(Value::Descriptor { number, decoration })
}

/// `<…>`. Sockets and anonymous inodes end at `]>` because addresses hold an arrow; paths balance their angle brackets
/// (strace escapes those that belong to the path, and adds `<char 1:3>` to devices).
pub fn decoration<'a>(input: &mut &'a str) -> winnow::Result<&'a str> {
    '<'.parse_next(input)?;
    let kind_ends = input.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-' || letter == '_'));
    let socket = kind_ends.is_some_and(|end| input[end..].starts_with(":["));
    let length = if socket { input.find("]>").map(|end| end + 1) } else { balanced(input) };
    let Some(length) = length else { return Err(ContextError::new()) };
    let (decoration, rest) = input.split_at(length);
    *input = &rest[1..];
    Ok(decoration)
}

fn balanced(input: &str) -> Option<usize> {
    let mut depth = 0u32;
    for (place, letter) in input.char_indices() {
        match letter {
            '<' => depth += 1,
            '>' if depth == 0 => return Some(place),
            '>' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn fields<'a>(input: &mut &'a str, depth: u32) -> winnow::Result<Vec<(Option<&'a str>, Value<'a>)>> {
    let field = |input: &mut &'a str| {
        let name = opt((field_name, '=').map(|(name, _)| name)).parse_next(input)?;
        Ok((name, value_at(input, depth)?))
    };
    items(input, '}', field)
}

fn field_name<'a>(input: &mut &'a str) -> winnow::Result<&'a str> {
    take_while(1.., |letter: char| letter.is_ascii_alphanumeric() || letter == '_').parse_next(input)
}

fn sequence<'a>(input: &mut &'a str, close: char, depth: u32) -> winnow::Result<Vec<Value<'a>>> {
    items(input, close, |input: &mut &'a str| value_at(input, depth))
}

/// Items up to and with `close`, separated by commas (or spaces, as in signal sets); `...` and comments stand for nothing.
fn items<'a, T>(
    input: &mut &'a str,
    mut close: char,
    mut item: impl FnMut(&mut &'a str) -> winnow::Result<T>,
) -> winnow::Result<Vec<T>> {
    let mut found = Vec::new();
    loop {
        skip(input)?;
        if opt(close).parse_next(input)?.is_some() {
            return Ok(found);
        }
        found.push(item(input)?);
        skip(input)?;
        if opt(',').parse_next(input)?.is_none() && close == ')' {
            close.parse_next(input)?;
            return Ok(found);
        }
    }
}

/// Spaces, `...` (strace's mark that it left something out) and comments.
fn skip(input: &mut &str) -> winnow::Result<()> {
    let comment = (literal("/*"), take_comment).void();
    repeat(0.., alt((' '.void(), '\t'.void(), literal("...").void(), comment))).parse_next(input)
}

fn take_comment(input: &mut &str) -> winnow::Result<()> {
    let Some(end) = input.find("*/") else { return Err(ContextError::new()) };
    *input = &input[end + 2..];
    Ok(())
}

/// Flags, constants and whatever strace prints freely: up to the separator at the same level of parentheses.
fn atom<'a>(input: &mut &'a str) -> winnow::Result<Value<'a>> {
    let length = atom_length(input);
    if length == 0 || input.starts_with(['"', '[', '{']) {
        return Err(ContextError::new());
    }
    let (atom, rest) = input.split_at(length);
    *input = rest;
    let atom = atom.trim_end();
    Ok(number(atom).map_or(Value::Symbol(atom), Value::Number))
}

fn atom_length(input: &str) -> usize {
    let mut depth = 0u32;
    let mut in_text = false;
    let mut escaped = false;
    for (place, letter) in input.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            _ if in_text => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth > 0 => depth -= 1,
            ')' | ']' | '}' | ',' if depth == 0 => return place,
            ' ' if depth == 0 && !continues(&input[place..]) => return place,
            _ => {}
        }
    }
    input.len()
}

/// True when an expression goes on after a space (`s == 0`, `a && b`, `a | b`).
fn continues(rest: &str) -> bool {
    let rest = rest.trim_start();
    ["==", "&&", "||", "|", "<<"].iter().any(|operator| rest.starts_with(operator))
        || rest.starts_with(|letter: char| letter.is_ascii_digit())
}

/// A decimal, octal (leading 0) or hexadecimal (0x) number.
pub fn number(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let magnitude = if let Some(digits) = digits.strip_prefix("0x") {
        u64::from_str_radix(digits, 16).ok()?
    } else if digits.len() > 1 && digits.starts_with('0') {
        u64::from_str_radix(digits, 8).ok()?
    } else {
        digits.parse::<u64>().ok().filter(|_| !digits.starts_with('+'))?
    };
    // Addresses above 2^63 wrap: they are only compared.
    let magnitude = magnitude as i64;
    Some(if negative { magnitude.wrapping_neg() } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Value<'_> {
        value.parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    #[test]
    fn numbers_in_three_bases() {
        assert_eq!(parsed("17"), Value::Number(17));
        assert_eq!(parsed("-1"), Value::Number(-1));
        assert_eq!(parsed("0x1f"), Value::Number(31));
        assert_eq!(parsed("0644"), Value::Number(0o644));
        assert_eq!(parsed("0xffffffffffffffff"), Value::Number(-1));
    }

    #[test]
    fn strings_count_what_they_stand_for() {
        for (text, shown, bytes, cut) in [
            (r#""\1\0\0\0\0\0\0\0""#, r"\1\0\0\0\0\0\0\0", 8, false),
            (r#""a\"b\\\n\x00"..."#, r#"a\"b\\\n\x00"#, 6, true),
            (r#""\377\1779""#, r"\377\1779", 3, false),
        ] {
            assert_eq!(parsed(text), Value::Text { shown, bytes, cut });
        }
        assert!(value.parse("\"open").is_err());
    }

    #[test]
    fn decorations_hold_arrows_devices_and_paths() {
        let socket = "13<TCP:[127.0.0.1:21211->127.0.0.1:35828]>";
        assert_eq!(parsed(socket), Value::Descriptor { number: 13, decoration: "TCP:[127.0.0.1:21211->127.0.0.1:35828]" });
        assert_eq!(parsed("1</dev/null<char 1:3>>"), Value::Descriptor { number: 1, decoration: "/dev/null<char 1:3>" });
        assert_eq!(parsed("AT_FDCWD</srv/a b>"), Value::Descriptor { number: -100, decoration: "/srv/a b" });
        assert_eq!(
            parsed("9<TCPv6:[[::1]:80->[::1]:5]>"),
            Value::Descriptor { number: 9, decoration: "TCPv6:[[::1]:80->[::1]:5]" }
        );
    }

    #[test]
    fn structures_arrays_and_changes() {
        let event = parsed("[{events=EPOLLIN|EPOLLET, data={u32=11, u64=11}}, {events=EPOLLIN}]");
        let Value::List(events) = &event else { panic!("{event:?}") };
        assert_eq!(events.len(), 2);
        assert_eq!(events[0].field("data").and_then(|data| data.field("u64")), Some(&Value::Number(11)));
        assert_eq!(parsed("[128 => 16]"), Value::List(vec![Value::Changed(Value::Number(128).into(), Value::Number(16).into())]));
        let stat = parsed("{st_mode=S_IFREG|0644, st_size=1024, ...}");
        assert_eq!(stat.field("st_size"), Some(&Value::Number(1024)));
        assert_eq!(parsed("[INT TERM]"), Value::List(vec![Value::Symbol("INT"), Value::Symbol("TERM")]));
        assert_eq!(parsed("~[]"), Value::List(vec![]));
        let address = parsed(r#"{sa_family=AF_INET, sin_port=htons(35828), sin_addr=inet_addr("127.0.0.1")}"#);
        assert_eq!(address.field("sin_addr"), Some(&Value::Symbol(r#"inet_addr("127.0.0.1")"#)));
        let commented = arguments.parse("0x7ffe /* 28 vars */, 1 /* one */)").unwrap();
        assert_eq!(commented, [Value::Number(0x7ffe), Value::Number(1)]);
        assert_eq!(parsed("parent_tid=[123]"), Value::Symbol("parent_tid=[123]"));
        parsed("[{WIFEXITED(s) && WEXITSTATUS(s) == 0}]");
    }

    #[test]
    fn nesting_is_bounded() {
        assert!(value.parse(&"[".repeat(100_000)).is_err());
        assert!(value.parse(&"{a=".repeat(100_000)).is_err());
    }
}
