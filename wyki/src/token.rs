//! From text to words.

use crate::diagnostic::{Code, Diagnostic};
use logos::Logos;
use std::ops::Range;

/// A word of the language. Keywords are names; the parser knows them by their text, so that fields may be called `key` or `value`.
#[derive(Logos, Clone, Copy, Debug, PartialEq, Eq)]
#[logos(skip r"[ \t\r\n]+")]
#[logos(skip(r"//[^\n]*", allow_greedy = true))]
pub enum Token {
    /// A name or a keyword.
    #[regex("[A-Za-z_][A-Za-z0-9_]*")]
    Name,
    /// A whole number, decimal or hexadecimal.
    #[regex("[0-9][0-9A-Za-z_]*")]
    Integer,
    /// Bytes between quotes.
    #[regex(r#""([^"\\\n]|\\[^\n])*""#)]
    Bytes,
    #[token("{")]
    BraceOpen,
    #[token("}")]
    BraceClose,
    #[token("(")]
    ParenthesisOpen,
    #[token(")")]
    ParenthesisClose,
    #[token("[")]
    BracketOpen,
    #[token("]")]
    BracketClose,
    #[token(",")]
    Comma,
    #[token(";")]
    Semicolon,
    #[token(":")]
    Colon,
    #[token(".")]
    Dot,
    #[token("..")]
    Range,
    #[token("=>")]
    Arrow,
    #[token("=")]
    Assign,
    #[token("==")]
    Equal,
    #[token("!=")]
    NotEqual,
    #[token("<")]
    Less,
    #[token("<=")]
    LessEqual,
    #[token(">")]
    Greater,
    #[token(">=")]
    GreaterEqual,
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("*")]
    Times,
    #[token("/")]
    Divide,
    #[token("%")]
    Remainder,
    #[token("!")]
    Not,
    #[token("&&")]
    And,
    #[token("||")]
    Or,
    #[token("|")]
    Bar,
    /// After the last word.
    End,
}

/// All words with their places, `End` last.
pub fn tokens(source: &str) -> Result<Vec<(Token, Range<usize>)>, Diagnostic> {
    let mut found = Vec::new();
    for (token, span) in Token::lexer(source).spanned() {
        match token {
            Ok(token) => found.push((token, span)),
            Err(()) => return Err(unknown(source, span)),
        }
    }
    found.push((Token::End, source.len()..source.len()));
    Ok(found)
}

fn unknown(source: &str, span: Range<usize>) -> Diagnostic {
    if source[span.start..].starts_with('"') {
        return Diagnostic::new(Code::Syntax, &span, "bytes begin here and do not end on this line", "no closing quote")
            .help("write a line end inside as \\r\\n");
    }
    Diagnostic::new(Code::Syntax, &span, "this character has no meaning here", "unknown character")
}

/// The number that a text means.
pub fn integer(text: &str, span: &Range<usize>) -> Result<u64, Diagnostic> {
    let digits = text.replace('_', "");
    let parsed = match digits.strip_prefix("0x") {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16),
        None => digits.parse(),
    };
    parsed.map_err(|_| {
        Diagnostic::new(Code::Syntax, span, format!("`{text}` is not a number below 2^64"), "not a number")
            .help("numbers look like 512, 65_536 or 0xff")
    })
}

/// The bytes that a text with its quotes means.
pub fn bytes(text: &str, span: &Range<usize>) -> Result<Vec<u8>, Diagnostic> {
    let inner = &text[1..text.len() - 1];
    let mut found = Vec::with_capacity(inner.len());
    let mut rest = inner.as_bytes().iter().copied();
    while let Some(byte) = rest.next() {
        found.push(if byte == b'\\' { escape(&mut rest).ok_or_else(|| unknown_escape(span))? } else { byte });
    }
    Ok(found)
}

fn escape(rest: &mut impl Iterator<Item = u8>) -> Option<u8> {
    Some(match rest.next()? {
        b'r' => b'\r',
        b'n' => b'\n',
        b't' => b'\t',
        b'0' => 0,
        b'\\' => b'\\',
        b'"' => b'"',
        b'x' => {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            (digit()? * 16 + digit()?) as u8
        }
        _ => return None,
    })
}

fn unknown_escape(span: &Range<usize>) -> Diagnostic {
    Diagnostic::new(Code::Syntax, span, "these bytes contain an unknown escape", "unknown escape")
        .help("known: \\r \\n \\t \\0 \\\\ \\\" and \\xNN")
}
