//! What stands in a service: limits, constants, tables, layouts, messages, connection fields and states.

use super::{Parsed, Parser};
use crate::syntax::{ConnectionField, Constant, FieldKind, Layout, Limit, Message, Name, Part, Program, State, Table, Width};
use crate::token::Token;

impl Parser<'_> {
    pub(super) fn program(&mut self) -> Parsed<Program> {
        self.expect_word("service")?;
        let name = self.name("the name of the service")?;
        self.expect_word("on")?;
        let udp = self.is_word("udp");
        if !udp && !self.is_word("tcp") {
            return Err(self.error("`tcp` or `udp`"));
        }
        self.advance();
        self.expect_word("port")?;
        let port = self.constant()?;
        self.expect(Token::BraceOpen, "{")?;
        let mut program = Program {
            name,
            udp,
            port,
            limits: Vec::new(),
            constants: Vec::new(),
            tables: Vec::new(),
            layouts: Vec::new(),
            messages: Vec::new(),
            fields: Vec::new(),
            states: Vec::new(),
        };
        while !self.eat(Token::BraceClose) {
            self.declaration(&mut program)?;
        }
        if self.token() == Token::End { Ok(program) } else { Err(self.error("nothing after the service")) }
    }

    fn declaration(&mut self, program: &mut Program) -> Parsed<()> {
        match if self.token() == Token::Name { self.text() } else { "" } {
            "limit" => program.limits.push(self.limit()?),
            "const" => program.constants.push(self.constant_declaration()?),
            "table" => program.tables.push(self.table()?),
            "layout" => program.layouts.push(self.layout()?),
            "message" => program.messages.push(self.message()?),
            "connection" => self.connection(&mut program.fields)?,
            "state" => program.states.push(self.state()?),
            _ => return Err(self.error("limit, const, table, layout, message, connection, state or `}`")),
        }
        Ok(())
    }

    fn limit(&mut self) -> Parsed<Limit> {
        self.advance();
        let name = self.any_name("`message` or `reply`")?;
        let value = self.constant()?;
        self.expect(Token::Semicolon, ";")?;
        Ok(Limit { name, value })
    }

    fn constant_declaration(&mut self) -> Parsed<(Name, u64)> {
        self.advance();
        let name = self.name("the name of the constant")?;
        self.expect(Token::Assign, "=")?;
        let (value, _) = self.integer()?;
        self.expect(Token::Semicolon, ";")?;
        Ok((name, value))
    }

    fn table(&mut self) -> Parsed<Table> {
        self.advance();
        let name = self.name("the name of the table")?;
        self.expect(Token::BracketOpen, "[")?;
        let entries = self.constant()?;
        self.expect(Token::BracketClose, "]")?;
        self.expect(Token::BraceOpen, "{")?;
        self.expect_word("key")?;
        self.expect(Token::Colon, ":")?;
        let key = self.constant()?;
        self.expect(Token::Comma, ",")?;
        self.expect_word("value")?;
        self.expect(Token::Colon, ":")?;
        let value = self.constant()?;
        self.eat(Token::Comma);
        self.expect(Token::BraceClose, "}")?;
        Ok(Table { name, entries, key, value })
    }

    /// `{ item, item, }`
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.expect(Token::BraceOpen, "{")?;
        let mut found = Vec::new();
        while !self.eat(Token::BraceClose) {
            found.push(item(self)?);
            if !self.eat(Token::Comma) && self.token() != Token::BraceClose {
                return Err(self.error("`,` or `}`"));
            }
        }
        Ok(found)
    }

    fn layout(&mut self) -> Parsed<Layout> {
        self.advance();
        let name = self.name("the name of the layout")?;
        let fields = self.list(|parser| {
            let name = parser.any_name("the name of a field")?;
            parser.expect(Token::Colon, ":")?;
            Ok((name, parser.width()?))
        })?;
        Ok(Layout { name, fields })
    }

    pub(super) fn width(&mut self) -> Parsed<Width> {
        let width = if self.token() == Token::Name { Width::from_name(self.text()) } else { None };
        let width = width.ok_or_else(|| self.error("u8, u16, u32 or u64"))?;
        self.advance();
        Ok(width)
    }

    fn message(&mut self) -> Parsed<Message> {
        self.advance();
        let name = self.name("the name of the message")?;
        let parts = self.list(Self::part)?;
        Ok(Message { name, parts })
    }

    fn part(&mut self) -> Parsed<Part> {
        if self.token() == Token::Bytes {
            let (bytes, span) = self.bytes()?;
            return Ok(Part::Literal(bytes, span));
        }
        if self.is_word("end") && self.after() != Token::Colon {
            return Ok(Part::End(self.advance()));
        }
        let name = self.any_name("bytes in quotes, a field or `end`")?;
        self.expect(Token::Colon, ":")?;
        Ok(Part::Field(name, self.field_kind()?))
    }

    fn field_kind(&mut self) -> Parsed<FieldKind> {
        let word = if self.token() == Token::Name { self.text() } else { "" };
        if Width::from_name(word).is_some() {
            return Ok(FieldKind::Integer(self.width()?));
        }
        match word {
            "until" => self.until(),
            "decimal" => {
                self.advance();
                Ok(FieldKind::Decimal { max: self.maximum()? })
            }
            "bytes" => {
                self.advance();
                let length = self.field_length()?;
                Ok(FieldKind::Bytes { length, max: self.maximum()? })
            }
            "rest" => {
                self.advance();
                Ok(FieldKind::Rest { max: self.maximum()? })
            }
            "" => Err(self.error("u8 to u64, until, decimal, bytes, rest or the name of a layout")),
            _ => Ok(FieldKind::Layout(self.name("a kind of field or the name of a layout")?)),
        }
    }

    fn until(&mut self) -> Parsed<FieldKind> {
        self.advance();
        let (delimiter, span) = self.bytes()?;
        let max = self.maximum()?;
        let without = if self.eat_word("without") { self.bytes()?.0 } else { Vec::new() };
        Ok(FieldKind::Until { delimiter, without, max, span })
    }

    /// A length: a number, a constant or a field before, which may be called anything.
    fn field_length(&mut self) -> Parsed<Constant> {
        if self.token() == Token::Name { Ok(Constant::Named(self.any_name("a length")?)) } else { self.constant() }
    }

    fn maximum(&mut self) -> Parsed<Constant> {
        self.expect_word("max")?;
        self.constant()
    }

    fn connection(&mut self, fields: &mut Vec<ConnectionField>) -> Parsed<()> {
        self.advance();
        fields.extend(self.list(|parser| {
            let name = parser.any_name("the name of a field")?;
            parser.expect(Token::Colon, ":")?;
            let width = parser.width()?;
            parser.expect(Token::Assign, "=")?;
            Ok(ConnectionField { name, width, initial: parser.constant()? })
        })?);
        Ok(())
    }

    fn state(&mut self) -> Parsed<State> {
        self.advance();
        let name = self.name("the name of the state")?;
        Ok(State { name, body: self.block()? })
    }
}
