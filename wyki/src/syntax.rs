//! The program as it is written: what the parser makes and the checker reads.

use std::ops::Range;

/// Bytes of the source.
pub type Span = Range<usize>;

/// A name where it stands.
#[derive(Clone, Debug)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

/// A number known when the program is compiled, or the name of a constant.
#[derive(Clone, Debug)]
pub enum Constant {
    Number(u64, Span),
    Named(Name),
}

impl Constant {
    pub fn span(&self) -> &Span {
        match self {
            Constant::Number(_, span) => span,
            Constant::Named(name) => &name.span,
        }
    }
}

/// Width of a stored number, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width(pub u32);

impl Width {
    /// The width that a type's name means.
    pub fn from_name(name: &str) -> Option<Width> {
        Some(Width(match name {
            "u8" => 1,
            "u16" => 2,
            "u32" => 4,
            "u64" => 8,
            _ => return None,
        }))
    }

    /// The greatest number.
    pub fn greatest(self) -> u64 {
        u64::MAX >> (64 - self.0 * 8)
    }
}

/// A whole program.
#[derive(Debug)]
pub struct Program {
    pub name: Name,
    pub udp: bool,
    pub port: Constant,
    pub limits: Vec<Limit>,
    pub constants: Vec<(Name, u64)>,
    pub tables: Vec<Table>,
    pub layouts: Vec<Layout>,
    pub messages: Vec<Message>,
    pub fields: Vec<ConnectionField>,
    pub states: Vec<State>,
}

/// `limit message 1400;`
#[derive(Debug)]
pub struct Limit {
    pub name: Name,
    pub value: Constant,
}

/// `table items[1024] { key: 64, value: 512 }`
#[derive(Debug)]
pub struct Table {
    pub name: Name,
    pub entries: Constant,
    pub key: Constant,
    pub value: Constant,
}

/// `layout frame { request: u16, … }`
#[derive(Debug)]
pub struct Layout {
    pub name: Name,
    pub fields: Vec<(Name, Width)>,
}

/// `message get { "get ", key: until "\r\n" max 250, end }`
#[derive(Debug)]
pub struct Message {
    pub name: Name,
    pub parts: Vec<Part>,
}

/// One part of a message.
#[derive(Debug)]
pub enum Part {
    Literal(Vec<u8>, Span),
    Field(Name, FieldKind),
    End(Span),
}

/// How a field is found in the message.
#[derive(Debug)]
pub enum FieldKind {
    Integer(Width),
    Layout(Name),
    Until { delimiter: Vec<u8>, without: Vec<u8>, max: Constant, span: Span },
    Decimal { max: Constant },
    Bytes { length: Constant, max: Constant },
    Rest { max: Constant },
}

/// `count: u32 = 0` of `connection { … }`
#[derive(Debug)]
pub struct ConnectionField {
    pub name: Name,
    pub width: Width,
    pub initial: Constant,
}

/// `state ready { … }`
#[derive(Debug)]
pub struct State {
    pub name: Name,
    pub body: Block,
}

/// Statements between braces.
#[derive(Debug)]
pub struct Block {
    pub statements: Vec<Statement>,
    pub span: Span,
}

/// A statement with its place.
#[derive(Debug)]
pub struct Statement {
    pub kind: StatementKind,
    pub span: Span,
}

/// Statements.
#[derive(Debug)]
pub enum StatementKind {
    Let(Name, Expression),
    Var(Name, Width, Expression),
    Assign(Name, Expression),
    AssignConnection(Name, Expression),
    If(Expression, Block, Option<Block>),
    While { condition: Expression, max: Option<Constant>, body: Block },
    For { variable: Name, start: Expression, end: Expression, max: Option<Constant>, body: Block },
    Break,
    Match { value: Expression, arms: Vec<(Vec<Expression>, Block)>, otherwise: Block },
    Receive { cases: Vec<ReceiveCase>, incomplete: Option<Block>, otherwise: Block },
    Find { table: Name, key: Expression, entry: Name, found: Block, missing: Block },
    Insert { table: Name, key: Expression, value: Expression, full: Block },
    Release(Name),
    Put(Vec<Piece>),
    Reply(Vec<Piece>),
    Up,
    Drop,
    More,
    Become(Name),
}

/// `get as request => { … }`
#[derive(Debug)]
pub struct ReceiveCase {
    pub message: Name,
    pub binding: Option<Name>,
    pub body: Block,
}

/// What is appended to the reply.
#[derive(Debug)]
pub enum Piece {
    Bytes(Expression),
    Integer(Width, Expression),
    Decimal(Expression),
}

/// An expression with its place.
#[derive(Debug)]
pub struct Expression {
    pub kind: ExpressionKind,
    pub span: Span,
}

/// Expressions.
#[derive(Debug)]
pub enum ExpressionKind {
    Number(u64),
    Bytes(Vec<u8>),
    Boolean(bool),
    Name(String),
    Field(Box<Expression>, Name),
    Call(Name, Vec<Expression>),
    Index(Box<Expression>, Box<Expression>),
    Slice(Box<Expression>, Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Binary(Binary, Box<Expression>, Box<Expression>),
}

/// Operators with two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    And,
    Or,
}
