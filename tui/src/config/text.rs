//! Reads partial RON trees: RON as in <https://github.com/ron-rs/ron/blob/master/docs/grammar.md>, less bytes and characters, with the
//! place of every field and value, so that what is wrong later can be shown. Names may contain hyphens without `r#`.

use serde_json::{Map, Number, Value};
use std::ops::Range;

/// Groups inside groups at most: settings have four levels.
const DEPTH_MAX: usize = 32;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Spanned {
    /// The value.
    pub node: Node,
    /// Bytes of the text.
    pub span: Range<usize>,
}

/// A value of a tree.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A number, text, truth value or bare name (as text).
    Scalar(Value),
    /// `(a: 1, b: 2)`, with or without a type's name.
    Group(Vec<Field>),
    /// `sampled(8)` or `open(rate_rps: 5)`: a choice with content.
    Choice(String, Box<Spanned>),
    /// `[1, 2]`.
    List(Vec<Spanned>),
}

/// One field of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Name.
    pub name: String,
    /// Where the name stands.
    pub name_span: Range<usize>,
    /// Value.
    pub value: Spanned,
}

impl Spanned {
    /// The value as JSON, with choices as serde writes them.
    pub fn to_json(&self) -> Value {
        match &self.node {
            Node::Scalar(value) => value.clone(),
            Node::Group(fields) => fields.iter().map(|field| (field.name.clone(), field.value.to_json())).collect(),
            Node::Choice(name, content) => Value::Object(Map::from_iter([(name.clone(), content.to_json())])),
            Node::List(entries) => entries.iter().map(Spanned::to_json).collect(),
        }
    }
}

/// What can't be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Bytes of the text.
    pub span: Range<usize>,
    /// What was found.
    pub problem: String,
    /// What would be right.
    pub expected: String,
}

/// Reads a whole text as one value.
///
/// # Errors
/// The first place that is not RON.
pub fn parse(text: &str) -> Result<Spanned, SyntaxError> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    reader.skip_attributes()?;
    let value = reader.value()?;
    reader.skip()?;
    if reader.at < text.len() {
        return Err(reader.error(reader.at..text.len().min(reader.at + 1), "something after the end", "nothing more here"));
    }
    Ok(value)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn error(&self, span: Range<usize>, problem: impl Into<String>, expected: impl Into<String>) -> SyntaxError {
        SyntaxError { span, problem: problem.into(), expected: expected.into() }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// What stands here, for messages.
    fn found(&self) -> (Range<usize>, String) {
        match self.peek() {
            Some(character) => (self.at..self.at + character.len_utf8(), format!("found `{character}`")),
            None => (self.text.trim_end().len().saturating_sub(1)..self.text.trim_end().len(), "the text ends too early".into()),
        }
    }

    fn skip(&mut self) -> Result<(), SyntaxError> {
        loop {
            let text = self.text;
            let trimmed = text[self.at..].trim_start();
            self.at = text.len() - trimmed.len();
            if trimmed.starts_with("//") {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                self.block_comment()?;
            } else {
                return Ok(());
            }
        }
    }

    fn block_comment(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        let mut open = 0;
        loop {
            let rest = self.rest();
            if rest.starts_with("/*") {
                open += 1;
                self.at += 2;
            } else if rest.starts_with("*/") {
                open -= 1;
                self.at += 2;
                if open == 0 {
                    return Ok(());
                }
            } else {
                match rest.chars().next() {
                    Some(character) => self.at += character.len_utf8(),
                    None => return Err(self.error(start..start + 2, "a comment begins here and never ends", "`*/`")),
                }
            }
        }
    }

    /// `#![enable(...)]` at the start: read and ignored, because all extensions are understood or never needed here.
    fn skip_attributes(&mut self) -> Result<(), SyntaxError> {
        self.skip()?;
        while self.rest().starts_with("#![") {
            let Some(end) = self.rest().find(']') else {
                return Err(self.error(self.at..self.at + 3, "an attribute begins here and never ends", "`]`"));
            };
            self.at += end + 1;
            self.skip()?;
        }
        Ok(())
    }

    fn value(&mut self) -> Result<Spanned, SyntaxError> {
        self.skip()?;
        let start = self.at;
        let node = match self.peek() {
            Some('(') => self.nested(Reader::group)?,
            Some('{') => self.nested(Reader::map)?,
            Some('[') => self.nested(Reader::list)?,
            Some('"') => Node::Scalar(Value::String(self.string()?)),
            Some(character) if character.is_ascii_digit() || "+-.".contains(character) => Node::Scalar(self.number()?),
            Some(character) if character.is_alphabetic() || character == '_' => return self.named(),
            _ => {
                let (span, found) = self.found();
                return Err(self.error(span, found, "a value: a number, \"text\", a name, true, false or a group in ( )"));
            }
        };
        Ok(Spanned { node, span: start..self.at })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Node, SyntaxError>) -> Result<Node, SyntaxError> {
        if self.depth == DEPTH_MAX {
            return Err(self.error(self.at..self.at + 1, "too many groups inside each other", format!("at most {DEPTH_MAX}")));
        }
        self.depth += 1;
        let node = read(self);
        self.depth -= 1;
        node
    }

    /// `true`, a bare name, `Type(...)`, `choice(...)` or `Some(...)`.
    fn named(&mut self) -> Result<Spanned, SyntaxError> {
        let start = self.at;
        let name = self.name()?;
        let name_end = self.at;
        self.skip()?;
        let content = if self.peek() == Some('(') { Some(self.value()?) } else { None };
        let span = start..if content.is_some() { self.at } else { name_end };
        if content.is_none() {
            self.at = name_end;
        }
        let node = match (name.as_str(), content) {
            ("true", None) => Node::Scalar(Value::Bool(true)),
            ("false", None) => Node::Scalar(Value::Bool(false)),
            ("None", None) => Node::Scalar(Value::Null),
            ("inf" | "NaN", None) => return Err(self.error(span, format!("`{name}` is no value here"), "a finite number")),
            (_, None) => Node::Scalar(Value::String(name)),
            ("Some", Some(content)) => single(content).node,
            // Types begin with a capital and say nothing that the place does not; choices are small.
            (_, Some(content)) if name.starts_with(char::is_uppercase) => content.node,
            (_, Some(content)) => Node::Choice(name, Box::new(single(content))),
        };
        Ok(Spanned { node, span })
    }

    fn name(&mut self) -> Result<String, SyntaxError> {
        let raw = self.rest().starts_with("r#");
        if raw {
            self.at += 2;
        }
        let rest = self.rest();
        let length = rest.find(|character: char| !(character.is_alphanumeric() || "_-".contains(character))).unwrap_or(rest.len());
        if length == 0 {
            let (span, found) = self.found();
            return Err(self.error(span, found, "a name"));
        }
        let name = rest[..length].to_owned();
        self.at += length;
        Ok(name)
    }

    /// `(a: 1)`, `(1, 2)` or `()`.
    fn group(&mut self) -> Result<Node, SyntaxError> {
        self.at += 1;
        self.skip()?;
        let before = self.at;
        let is_name = self.peek().is_some_and(|character| character.is_alphabetic() || character == '_');
        let has_fields = is_name && {
            self.name()?;
            self.skip()?;
            self.peek() == Some(':')
        };
        self.at = before;
        if has_fields || self.peek() == Some(')') { self.fields(')', Reader::name) } else { self.entries(')') }
    }

    fn map(&mut self) -> Result<Node, SyntaxError> {
        self.at += 1;
        self.fields('}', |reader| if reader.peek() == Some('"') { reader.string() } else { reader.name() })
    }

    fn list(&mut self) -> Result<Node, SyntaxError> {
        self.at += 1;
        self.entries(']')
    }

    fn fields(&mut self, end: char, key: fn(&mut Self) -> Result<String, SyntaxError>) -> Result<Node, SyntaxError> {
        let mut fields: Vec<Field> = Vec::new();
        loop {
            self.skip()?;
            if self.take(end) {
                return Ok(Node::Group(fields));
            }
            let start = self.at;
            let name = key(self)?;
            let name_span = start..self.at;
            if fields.iter().any(|field| field.name == name) {
                return Err(self.error(name_span, format!("`{name}` is given twice"), "one value for each name"));
            }
            self.skip()?;
            if !self.take(':') {
                let (span, found) = self.found();
                return Err(self.error(span, found, format!("`:` and a value after `{name}`")));
            }
            let value = self.value()?;
            fields.push(Field { name, name_span, value });
            self.separator(end)?;
        }
    }

    fn entries(&mut self, end: char) -> Result<Node, SyntaxError> {
        let mut entries = Vec::new();
        loop {
            self.skip()?;
            if self.take(end) {
                return Ok(Node::List(entries));
            }
            entries.push(self.value()?);
            self.separator(end)?;
        }
    }

    fn separator(&mut self, end: char) -> Result<(), SyntaxError> {
        self.skip()?;
        if self.take(',') || self.peek() == Some(end) {
            return Ok(());
        }
        let (span, found) = self.found();
        Err(self.error(span, found, format!("`,` or `{end}`")))
    }

    fn take(&mut self, expected: char) -> bool {
        let here = self.peek() == Some(expected);
        if here {
            self.at += expected.len_utf8();
        }
        here
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        let mut escaped = false;
        let end = self.text[start + 1..].find(|character| {
            let closes = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            closes
        });
        let Some(length) = end else {
            return Err(self.error(start..start + 1, "a text begins here and never ends", "a closing `\"`"));
        };
        self.at = start + 1 + length + 1;
        // RON's escapes of text are JSON's, apart from \' and \x that no setting needs.
        let quoted = self.text[start..self.at].replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t");
        serde_json::from_str(&quoted)
            .map_err(|_| self.error(start..self.at, "an escape in this text is not known", "\\\\, \\\", \\n or \\u"))
    }

    fn number(&mut self) -> Result<Value, SyntaxError> {
        let start = self.at;
        let rest = self.rest();
        let mut before = ' ';
        let length = rest
            .find(|character: char| {
                let sign_of_exponent = "+-".contains(character) && "eE".contains(before);
                let inside = character.is_alphanumeric() || "._".contains(character) || sign_of_exponent || before == ' ';
                before = character;
                !inside
            })
            .unwrap_or(rest.len());
        self.at += length;
        let shown = &self.text[start..self.at];
        let digits = shown.replace('_', "");
        let digits = digits.strip_prefix('+').unwrap_or(&digits);
        let hexadecimal = digits.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let whole = hexadecimal.map(Number::from).or_else(|| digits.parse::<u64>().ok().map(Number::from));
        let number = whole
            .or_else(|| digits.parse::<i64>().ok().map(Number::from))
            .or_else(|| digits.parse::<f64>().ok().and_then(Number::from_f64));
        let wrong = || self.error(start..self.at, format!("`{shown}` is not a number"), "digits, such as 512, 1_000 or 0.5");
        number.map(Value::Number).ok_or_else(wrong)
    }
}

/// `(8)` around one value is that value.
fn single(content: Spanned) -> Spanned {
    match content.node {
        Node::List(mut entries) if entries.len() == 1 => entries.remove(0),
        node => Spanned { node, span: content.span },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_settings_need_is_read() {
        let text = "#![enable(implicit_some)]\n// a remark\nSettings(\n  machine: (l2: (size_kib: 512, replacement: tree_plru)), /* one /* two */ */\n\
                    clients: Clients(arrival: open(rate_rps: 1e3), think_us: -0.5),\n  run: (shadow: sampled(8), ledger: false, seed: 0x10, name: \"a\\\"b, c\"),\n  list: [1, 2_000,],\n)";
        let expected = json!({
            "machine": {"l2": {"size_kib": 512, "replacement": "tree_plru"}},
            "clients": {"arrival": {"open": {"rate_rps": 1000.0}}, "think_us": -0.5},
            "run": {"shadow": {"sampled": 8}, "ledger": false, "seed": 16, "name": "a\"b, c"},
            "list": [1, 2000]
        });
        assert_eq!(parse(text).unwrap().to_json(), expected);
        assert_eq!(parse("()").unwrap().to_json(), json!({}));
        assert_eq!(parse("Some(3)").unwrap().to_json(), json!(3));
        assert_eq!(parse("r#tree-plru").unwrap().to_json(), json!("tree-plru"));
    }

    #[test]
    fn names_and_values_know_their_place() {
        let text = "(run: (reps: 12))";
        let Node::Group(fields) = parse(text).unwrap().node else { panic!("a group") };
        let Node::Group(inner) = &fields[0].value.node else { panic!("a group") };
        assert_eq!((&text[inner[0].name_span.clone()], &text[inner[0].value.span.clone()]), ("reps", "12"));
    }

    #[test]
    fn faults_have_a_place() {
        let cases = [
            ("(run: (reps: 12)", "the text ends too early", 15),
            ("(a: 1, run (reps: 12))", "found `(`", 11),
            ("(run: (reps: 12) kernel: 1)", "found `k`", 17),
            ("(a: 1, a: 2)", "`a` is given twice", 7),
            ("(a: 1x)", "`1x` is not a number", 4),
            ("(a: \"b)", "a text begins here and never ends", 4),
            ("(a: 1) b", "something after the end", 7),
            ("(a: /* )", "a comment begins here and never ends", 4),
            ("(a: \"\\q\")", "an escape in this text is not known", 4),
        ];
        for (text, problem, start) in cases {
            let error = parse(text).unwrap_err();
            assert_eq!((error.problem.as_str(), error.span.start), (problem, start), "{text}");
        }
        assert!(parse(&"(a:".repeat(1000)).unwrap_err().problem.contains("too many groups"));
        for text in ["", "  ", "ä(", "((((", "(a:(", "[,]", "(-)", "\u{1F600}", "(é: 1"] {
            parse(text).map(|value| value.to_json()).ok();
        }
    }
}
