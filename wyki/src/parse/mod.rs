//! Recursive descent over the words: one file for declarations, one for statements, one for expressions. The grammar is in docs/wyki.md.

mod declarations;
mod expressions;
mod statements;

use crate::diagnostic::{Code, Diagnostic};
use crate::syntax::{Constant, Name, Program, Span};
use crate::token::{self, Token, tokens};

/// Groups inside groups; more is refused, so that no program can exhaust the stack.
const DEPTH_MAX: u32 = 64;

/// Names that the grammar uses at the beginning of a statement or declaration.
const RESERVED: &[&str] = &[
    "service",
    "state",
    "table",
    "message",
    "layout",
    "connection",
    "let",
    "var",
    "if",
    "else",
    "while",
    "for",
    "in",
    "max",
    "break",
    "match",
    "receive",
    "incomplete",
    "find",
    "insert",
    "release",
    "put",
    "reply",
    "up",
    "drop",
    "more",
    "become",
    "as",
    "true",
    "false",
];

type Parsed<T> = Result<T, Diagnostic>;

/// Reads a whole program.
pub fn parse(source: &str) -> Parsed<Program> {
    let mut parser = Parser { source, tokens: tokens(source)?, at: 0, depth: 0 };
    parser.program()
}

struct Parser<'a> {
    source: &'a str,
    tokens: Vec<(Token, Span)>,
    at: usize,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn token(&self) -> Token {
        self.tokens[self.at].0
    }

    fn after(&self) -> Token {
        self.tokens[(self.at + 1).min(self.tokens.len() - 1)].0
    }

    fn span(&self) -> Span {
        self.tokens[self.at].1.clone()
    }

    /// From the beginning of a construct to the last word read.
    fn since(&self, start: usize) -> Span {
        let end = self.tokens[self.at.saturating_sub(1)].1.end;
        start..end.max(start)
    }

    fn text(&self) -> &'a str {
        &self.source[self.span()]
    }

    fn advance(&mut self) -> Span {
        let span = self.span();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        span
    }

    fn error(&self, expected: &str) -> Diagnostic {
        let found = if self.token() == Token::End { "the end of the text".to_owned() } else { format!("`{}`", self.text()) };
        Diagnostic::new(Code::Syntax, &self.span(), format!("expected {expected}, found {found}"), format!("expected {expected}"))
    }

    fn eat(&mut self, token: Token) -> bool {
        let found = self.token() == token;
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, token: Token, shown: &str) -> Parsed<Span> {
        if self.token() == token { Ok(self.advance()) } else { Err(self.error(&format!("`{shown}`"))) }
    }

    fn is_word(&self, word: &str) -> bool {
        self.token() == Token::Name && self.text() == word
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn expect_word(&mut self, word: &str) -> Parsed<Span> {
        if self.is_word(word) { Ok(self.advance()) } else { Err(self.error(&format!("`{word}`"))) }
    }

    /// A name that the program uses or gives, of something that may not be called like a keyword.
    fn name(&mut self, what: &str) -> Parsed<Name> {
        if self.token() == Token::Name && RESERVED.contains(&self.text()) {
            let message = format!("`{}` is a word of the language and cannot be {what}", self.text());
            return Err(Diagnostic::new(Code::Syntax, &self.span(), message, format!("expected {what}")));
        }
        self.any_name(what)
    }

    /// A name that stands where no keyword can: a field.
    fn any_name(&mut self, what: &str) -> Parsed<Name> {
        if self.token() != Token::Name {
            return Err(self.error(what));
        }
        let text = self.text().to_owned();
        Ok(Name { text, span: self.advance() })
    }

    fn constant(&mut self) -> Parsed<Constant> {
        match self.token() {
            Token::Integer => {
                let (value, span) = self.integer()?;
                Ok(Constant::Number(value, span))
            }
            Token::Name => Ok(Constant::Named(self.name("a constant")?)),
            _ => Err(self.error("a number or the name of a constant")),
        }
    }

    fn integer(&mut self) -> Parsed<(u64, Span)> {
        if self.token() != Token::Integer {
            return Err(self.error("a number"));
        }
        let text = self.text();
        let span = self.advance();
        Ok((token::integer(text, &span)?, span))
    }

    fn bytes(&mut self) -> Parsed<(Vec<u8>, Span)> {
        if self.token() != Token::Bytes {
            return Err(self.error("bytes in quotes"));
        }
        let text = self.text();
        let span = self.advance();
        Ok((token::bytes(text, &span)?, span))
    }

    /// Runs one level deeper.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEPTH_MAX {
            return Err(Diagnostic::new(
                Code::Syntax,
                &self.span(),
                format!("more than {DEPTH_MAX} levels inside each other"),
                "too deep",
            ));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }
}
