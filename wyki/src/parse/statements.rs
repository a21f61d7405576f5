//! Statements and blocks.

use super::{Parsed, Parser};
use crate::syntax::{Block, Expression, ExpressionKind, Piece, ReceiveCase, Statement, StatementKind, Width};
use crate::token::Token;

impl Parser<'_> {
    pub(super) fn block(&mut self) -> Parsed<Block> {
        self.nested(|parser| {
            let start = parser.expect(Token::BraceOpen, "{")?.start;
            let mut statements = Vec::new();
            while !parser.eat(Token::BraceClose) {
                statements.push(parser.statement()?);
            }
            Ok(Block { statements, span: parser.since(start) })
        })
    }

    fn statement(&mut self) -> Parsed<Statement> {
        let start = self.span().start;
        let word = if self.token() == Token::Name { self.text() } else { "" };
        let kind = match word {
            "if" => self.condition()?,
            "while" => self.while_loop()?,
            "for" => self.for_loop()?,
            "match" => self.match_value()?,
            "receive" => self.receive()?,
            "find" => self.find()?,
            "insert" => self.insert()?,
            _ => {
                let kind = self.simple(word)?;
                self.expect(Token::Semicolon, ";")?;
                kind
            }
        };
        Ok(Statement { kind, span: self.since(start) })
    }

    /// Statements that end with a semicolon.
    fn simple(&mut self, word: &str) -> Parsed<StatementKind> {
        let keyword = ["let", "var", "break", "release", "put", "reply", "up", "drop", "more", "become"].contains(&word);
        if keyword {
            self.advance();
        }
        Ok(match word {
            "let" => {
                let name = self.name("the name of the value")?;
                self.expect(Token::Assign, "=")?;
                StatementKind::Let(name, self.expression()?)
            }
            "var" => self.variable()?,
            "break" => StatementKind::Break,
            "release" => StatementKind::Release(self.any_name("the name of an entry, or `message`")?),
            "put" => StatementKind::Put(self.pieces()?),
            "reply" if self.token() == Token::Semicolon => StatementKind::Reply(Vec::new()),
            "reply" => StatementKind::Reply(self.pieces()?),
            "up" => StatementKind::Up,
            "drop" => StatementKind::Drop,
            "more" => StatementKind::More,
            "become" => StatementKind::Become(self.name("the name of a state")?),
            _ => self.assignment()?,
        })
    }

    fn variable(&mut self) -> Parsed<StatementKind> {
        let name = self.name("the name of the variable")?;
        self.expect(Token::Colon, ":")?;
        let width = self.width()?;
        self.expect(Token::Assign, "=")?;
        Ok(StatementKind::Var(name, width, self.expression()?))
    }

    fn assignment(&mut self) -> Parsed<StatementKind> {
        if self.token() != Token::Name {
            return Err(self.error("a statement or `}`"));
        }
        if self.eat_word("connection") {
            self.expect(Token::Dot, ".")?;
            let field = self.any_name("a field of the connection")?;
            self.expect(Token::Assign, "=")?;
            return Ok(StatementKind::AssignConnection(field, self.expression()?));
        }
        let name = self.name("a statement")?;
        self.expect(Token::Assign, "=")?;
        Ok(StatementKind::Assign(name, self.expression()?))
    }

    fn condition(&mut self) -> Parsed<StatementKind> {
        self.advance();
        let condition = self.expression()?;
        let then = self.block()?;
        let otherwise = if !self.eat_word("else") {
            None
        } else if self.is_word("if") {
            let start = self.span().start;
            let inner = self.nested(Self::statement)?;
            Some(Block { statements: vec![inner], span: self.since(start) })
        } else {
            Some(self.block()?)
        };
        Ok(StatementKind::If(condition, then, otherwise))
    }

    fn while_loop(&mut self) -> Parsed<StatementKind> {
        self.advance();
        let condition = self.expression()?;
        let max = if self.eat_word("max") { Some(self.constant()?) } else { None };
        Ok(StatementKind::While { condition, max, body: self.block()? })
    }

    fn for_loop(&mut self) -> Parsed<StatementKind> {
        self.advance();
        let variable = self.name("the name of the counter")?;
        self.expect_word("in")?;
        let start = self.expression()?;
        self.expect(Token::Range, "..")?;
        let end = self.expression()?;
        let max = if self.eat_word("max") { Some(self.constant()?) } else { None };
        Ok(StatementKind::For { variable, start, end, max, body: self.block()? })
    }

    fn match_value(&mut self) -> Parsed<StatementKind> {
        self.advance();
        let value = self.expression()?;
        self.expect(Token::BraceOpen, "{")?;
        let mut arms = Vec::new();
        while !self.eat_word("else") {
            let mut patterns = vec![self.pattern()?];
            while self.eat(Token::Bar) {
                patterns.push(self.pattern()?);
            }
            self.expect(Token::Arrow, "=>")?;
            arms.push((patterns, self.block()?));
        }
        let otherwise = self.block()?;
        self.expect(Token::BraceClose, "}")?;
        Ok(StatementKind::Match { value, arms, otherwise })
    }

    fn pattern(&mut self) -> Parsed<Expression> {
        match self.token() {
            Token::Bytes => {
                let (bytes, span) = self.bytes()?;
                Ok(Expression { kind: ExpressionKind::Bytes(bytes), span })
            }
            Token::Integer => {
                let (value, span) = self.integer()?;
                Ok(Expression { kind: ExpressionKind::Number(value), span })
            }
            Token::Name => {
                let name = self.name("a pattern or `else`")?;
                Ok(Expression { kind: ExpressionKind::Name(name.text), span: name.span })
            }
            _ => Err(self.error("a number, bytes, a constant or `else`")),
        }
    }

    fn receive(&mut self) -> Parsed<StatementKind> {
        self.advance();
        self.expect(Token::BraceOpen, "{")?;
        let (mut cases, mut incomplete) = (Vec::new(), None);
        while !self.eat_word("else") {
            if incomplete.is_none() && self.eat_word("incomplete") {
                incomplete = Some(self.block()?);
                continue;
            }
            let message = self.name("the name of a message, `incomplete` or `else`")?;
            let binding = if self.eat_word("as") { Some(self.name("a name for the message")?) } else { None };
            self.expect(Token::Arrow, "=>")?;
            cases.push(ReceiveCase { message, binding, body: self.block()? });
        }
        let otherwise = self.block()?;
        self.expect(Token::BraceClose, "}")?;
        Ok(StatementKind::Receive { cases, incomplete, otherwise })
    }

    fn find(&mut self) -> Parsed<StatementKind> {
        self.advance();
        let table = self.name("the name of a table")?;
        self.expect(Token::BracketOpen, "[")?;
        let key = self.expression()?;
        self.expect(Token::BracketClose, "]")?;
        self.expect_word("as")?;
        let entry = self.name("a name for the entry")?;
        let found = self.block()?;
        self.expect_word("else")?;
        Ok(StatementKind::Find { table, key, entry, found, missing: self.block()? })
    }

    fn insert(&mut self) -> Parsed<StatementKind> {
        self.advance();
        let table = self.name("the name of a table")?;
        self.expect(Token::BracketOpen, "[")?;
        let key = self.expression()?;
        self.expect(Token::BracketClose, "]")?;
        self.expect(Token::Assign, "=")?;
        let value = self.expression()?;
        self.expect_word("else")?;
        Ok(StatementKind::Insert { table, key, value, full: self.block()? })
    }

    fn pieces(&mut self) -> Parsed<Vec<Piece>> {
        let mut pieces = vec![self.piece()?];
        while self.eat(Token::Comma) {
            pieces.push(self.piece()?);
        }
        Ok(pieces)
    }

    fn piece(&mut self) -> Parsed<Piece> {
        let called = self.token() == Token::Name && self.after() == Token::ParenthesisOpen;
        let width = if called { Width::from_name(self.text()) } else { None };
        if width.is_none() && !(called && self.is_word("decimal")) {
            return Ok(Piece::Bytes(self.expression()?));
        }
        self.advance();
        self.advance();
        let value = self.expression()?;
        self.expect(Token::ParenthesisClose, ")")?;
        Ok(match width {
            Some(width) => Piece::Integer(width, value),
            None => Piece::Decimal(value),
        })
    }
}
