//! Expressions, by precedence: `||`, `&&`, comparisons, `+ -`, `* / %`, `!`, then fields, indices and calls.

use super::{Parsed, Parser};
use crate::syntax::{Binary, Expression, ExpressionKind, Name};
use crate::token::Token;

/// Operators with two sides, weakest first.
const LEVELS: &[&[(Token, Binary)]] = &[
    &[(Token::Or, Binary::Or)],
    &[(Token::And, Binary::And)],
    &[
        (Token::Equal, Binary::Equal),
        (Token::NotEqual, Binary::NotEqual),
        (Token::Less, Binary::Less),
        (Token::LessEqual, Binary::LessEqual),
        (Token::Greater, Binary::Greater),
        (Token::GreaterEqual, Binary::GreaterEqual),
    ],
    &[(Token::Plus, Binary::Add), (Token::Minus, Binary::Subtract)],
    &[(Token::Times, Binary::Multiply), (Token::Divide, Binary::Divide), (Token::Remainder, Binary::Remainder)],
];

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Parsed<Expression> {
        self.nested(|parser| parser.level(0))
    }

    fn level(&mut self, level: usize) -> Parsed<Expression> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.level(level + 1)?;
        let mut operands = 1;
        while let Some((_, operator)) = operators.iter().find(|entry| entry.0 == self.token()) {
            // A chain makes a tree as deep as it is long.
            operands += 1;
            if operands > super::DEPTH_MAX {
                return Err(self.error("fewer operands in one expression"));
            }
            self.advance();
            let right = self.level(level + 1)?;
            let span = left.span.start..right.span.end;
            left = Expression { kind: ExpressionKind::Binary(*operator, Box::new(left), Box::new(right)), span };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed<Expression> {
        let start = self.span().start;
        if self.eat(Token::Not) {
            let inner = self.nested(Self::unary)?;
            return Ok(Expression { kind: ExpressionKind::Not(Box::new(inner)), span: self.since(start) });
        }
        let mut expression = self.primary()?;
        let mut parts = 0;
        loop {
            parts += 1;
            if parts > super::DEPTH_MAX {
                return Err(self.error("fewer fields and indices in one expression"));
            }
            let kind = if self.eat(Token::Dot) {
                ExpressionKind::Field(Box::new(expression), self.any_name("the name of a field")?)
            } else if self.eat(Token::BracketOpen) {
                self.index(expression)?
            } else {
                return Ok(expression);
            };
            expression = Expression { kind, span: self.since(start) };
        }
    }

    fn index(&mut self, bytes: Expression) -> Parsed<ExpressionKind> {
        let first = Box::new(self.expression()?);
        let bytes = Box::new(bytes);
        let kind = if self.eat(Token::Range) {
            ExpressionKind::Slice(bytes, first, Box::new(self.expression()?))
        } else {
            ExpressionKind::Index(bytes, first)
        };
        self.expect(Token::BracketClose, "]")?;
        Ok(kind)
    }

    fn primary(&mut self) -> Parsed<Expression> {
        match self.token() {
            Token::Integer => {
                let (value, span) = self.integer()?;
                Ok(Expression { kind: ExpressionKind::Number(value), span })
            }
            Token::Bytes => {
                let (bytes, span) = self.bytes()?;
                Ok(Expression { kind: ExpressionKind::Bytes(bytes), span })
            }
            Token::ParenthesisOpen => {
                self.advance();
                let inner = self.expression()?;
                self.expect(Token::ParenthesisClose, ")")?;
                Ok(inner)
            }
            Token::Name => self.named(),
            _ => Err(self.error("a value")),
        }
    }

    fn named(&mut self) -> Parsed<Expression> {
        for (word, value) in [("true", true), ("false", false)] {
            if self.is_word(word) {
                return Ok(Expression { kind: ExpressionKind::Boolean(value), span: self.advance() });
            }
        }
        let name = if self.is_word("connection") { self.any_name("a value")? } else { self.name("a value")? };
        if self.token() != Token::ParenthesisOpen {
            return Ok(Expression { kind: ExpressionKind::Name(name.text), span: name.span });
        }
        self.call(name)
    }

    fn call(&mut self, name: Name) -> Parsed<Expression> {
        let start = name.span.start;
        self.advance();
        let mut arguments = Vec::new();
        while !self.eat(Token::ParenthesisClose) {
            arguments.push(self.expression()?);
            if !self.eat(Token::Comma) && self.token() != Token::ParenthesisClose {
                return Err(self.error("`,` or `)`"));
            }
        }
        Ok(Expression { kind: ExpressionKind::Call(name, arguments), span: self.since(start) })
    }
}
