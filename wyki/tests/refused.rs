//! Programs that are refused: each kind of fault with its code, place, message and help.

use wyki::{Code, Diagnostic, Options, compile};

fn faults(source: &str) -> Vec<Diagnostic> {
    compile(source, "test.wyki", &Options::default()).err().unwrap_or_default()
}

/// A fault with its source line and a caret under its place.
fn shown(source: &str, fault: &Diagnostic) -> String {
    let (line, column) = fault.place(source);
    let text = source.lines().nth(line - 1).unwrap_or("");
    let length = fault.span.len().clamp(1, (text.len() + 1).saturating_sub(column - 1).max(1));
    let caret = format!("{}{} {}", " ".repeat(column - 1), "^".repeat(length), fault.label);
    let also = fault.also.as_ref().map(|also| format!("also `{}`: {}\n", &source[also.0.clone()], also.1)).unwrap_or_default();
    let help = fault.help.as_ref().map(|help| format!("help: {help}\n")).unwrap_or_default();
    format!("{} {line}:{column} {}\n{text}\n{caret}\n{also}{help}", fault.code, fault.message)
}

fn refused(name: &str, source: &str, code: Code) {
    let faults = faults(source);
    assert!(!faults.is_empty(), "{name} is not refused");
    assert_eq!(faults[0].code, code, "{name}");
    let text: Vec<String> = faults.iter().map(|fault| shown(source, fault)).collect();
    insta::assert_snapshot!(name, text.join("\n"));
}

macro_rules! example {
    ($name:literal) => {
        include_str!(concat!("../../examples/wyki/refused/", $name, ".wyki"))
    };
}

#[test]
fn refused_examples() {
    refused("unbounded-loop", example!("unbounded-loop"), Code::UnboundedLoop);
    refused("out-of-bounds", example!("out-of-bounds"), Code::OutOfBounds);
    refused("type-error", example!("type-error"), Code::Type);
    refused("use-after-release", example!("use-after-release"), Code::UseAfterRelease);
    refused("table-bound", example!("table-bound"), Code::TableBound);
    refused("no-answer", example!("no-answer"), Code::Path);
    refused("syntax", example!("syntax"), Code::Syntax);
}

/// A service around statements.
fn around(statements: &str) -> String {
    format!(
        "service test on tcp port 1 {{
    limit reply 256;
    const LIMIT = 16;
    table items[8] {{ key: 16, value: 64 }}
    table others[8] {{ key: 16, value: 64 }}
    connection {{ count: u8 = 0 }}
    message line {{ key: until \" \" max 16, value: until \"\\n\" max 64 }}
    state ready {{ receive {{ line as m => {{ {statements} }} else {{ drop; }} }} }}
    state other {{ drop; }}
}}"
    )
}

#[test]
fn statements_that_are_refused() {
    let cases = [
        ("while true { } drop;", "W04", "this loop has no bound, so the service might never end"),
        ("while true max 100000 { } drop;", "W04", "a loop of 100000 rounds; at most 65536"),
        (
            "var n: u32 = 9; for i in 0 .. n { } drop;",
            "W04",
            "this loop may take 4294967295 rounds; at most 65536 can be proven to end in time",
        ),
        (
            "for a in 0 .. 60000 { for b in 0 .. 60000 { } } drop;",
            "W04",
            "one message may take 39601260125 instructions; at most 20000000",
        ),
        ("for i in 0 .. 100 { put m.value; } reply;", "W05", "the reply may grow to 6400 bytes; at most 256 are allowed"),
        ("reply u8(\"abc\"[3]);", "W05", "byte 3 of at most 3 bytes: the access is never inside"),
        ("reply m.key[4 .. 17];", "W05", "bytes 4 to 17 of at most 16 bytes: the slice is never inside"),
        ("reply m.key[5 .. 4];", "W05", "bytes 5 to 4 of at most 16 bytes: the slice is never inside"),
        ("reply decimal(4 / 0);", "W05", "a division by zero"),
        ("release message; reply m.value;", "W06", "the message is used after its release"),
        ("release message; reply decimal(remaining());", "W06", "the message is used after its release"),
        (
            "find items[m.key] as a { find items[m.value[0 .. 4]] as b { release b; reply a.value; } else { drop; } } else { drop; }",
            "W06",
            "an entry of a table is used after its release",
        ),
        (
            "find items[m.key] as a { insert items[m.key] = m.value else { } reply a.value; } else { drop; }",
            "W06",
            "an entry of a table is used after its release",
        ),
        (
            "find items[m.key] as a { for i in 0 .. 2 { release a; } drop; } else { drop; }",
            "W06",
            "an entry of a table is used after its release",
        ),
        (
            "find items[m.value] as a { drop; } else { drop; }",
            "W07",
            "a key of up to 64 bytes for the table `items`, whose keys have at most 16",
        ),
        (
            "insert items[m.key] = \"0123456789012345678901234567890123456789012345678901234567890123456789\" else { } drop;",
            "W07",
            "a value of up to 70 bytes for the table `items`, whose values have at most 64",
        ),
        ("if len(m.key) > 3 { drop; }", "W08", "the state `ready` can end without an answer"),
        ("drop; reply;", "W08", "no path leads to this statement"),
        ("break; drop;", "W08", "there is no loop to leave here"),
        ("reply nothing;", "W02", "nothing is called `nothing` here"),
        ("reply m.other;", "W02", "the message has no field `other`"),
        ("reply m;", "W03", "`m` is a message, not a value"),
        ("let m = 1; drop;", "W02", "`m` is the name of something else here"),
        ("connection.size = 1; drop;", "W02", "the connection has no field `size`"),
        ("become nowhere; drop;", "W02", "no state is called `nowhere`"),
        ("let a = 1; a = 2; drop;", "W03", "`a` does not change"),
        ("if len(m.key) { drop; } drop;", "W03", "expected true or false, found a number"),
        ("if m.key == 3 { drop; } drop;", "W03", "bytes cannot be compared with a number"),
        ("reply 12;", "W03", "a number needs a form in the reply"),
        ("find nowhere[m.key] as a { drop; } else { drop; }", "W02", "no table is called `nowhere`"),
        ("reply upper(m.key);", "W02", "no function is called `upper`"),
        ("reply decimal(len());", "W03", "`len` takes 1 values, not 0"),
        ("if contains(m.key, m.value) { drop; } drop;", "W03", "what is looked for must stand in quotes"),
        ("reply \"\\q\";", "W01", "these bytes contain an unknown escape"),
        ("reply \"abc;", "W01", "bytes begin here and do not end on this line"),
        ("let if = 3; drop;", "W01", "`if` is a word of the language and cannot be the name of the value"),
        ("reply 99999999999999999999;", "W01", "`99999999999999999999` is not a number below 2^64"),
    ];
    for (statements, code, message) in cases {
        let faults = faults(&around(statements));
        let found = faults.first().map(|fault| (fault.code.as_str(), fault.message.as_str()));
        assert_eq!(found, Some((code, message)), "{statements}");
    }
}

#[test]
fn statements_that_are_accepted() {
    let cases = [
        "for i in 0 .. LIMIT { if i == 3 { break; } } drop;",
        "for i in 0 .. len(m.key) { if m.key[i] == 0x20 { drop; } } drop;",
        "var n: u32 = 9; for i in 0 .. n max 5 { } drop;",
        "find items[m.key] as a { find others[m.key] as b { release b; reply a.value; } else { drop; } } else { drop; }",
        "find items[m.key] as a { release a; find items[m.key] as b { reply b.value; } else { drop; } } else { drop; }",
        "for i in 0 .. 3 { find items[m.key] as a { release a; } else { } } drop;",
        "insert items[m.key] = m.value else { drop; } release message; reply \"ok\";",
        "let wide = len(m.key) > 3 && (m.value == \"a\" || !contains(m.value, \"b\")); if wide { up; } more;",
        "match m.key { \"a\" | \"b\" => { up; } else { } } match len(m.key) { 1 | LIMIT => { drop; } else { more; } }",
        "connection.count = connection.count + min(len(m.key), 3) * 2 % 5; become other; reply m.key[0 .. min(len(m.key), 4)];",
    ];
    for statements in cases {
        assert_eq!(faults(&around(statements)), [], "{statements}");
    }
}

#[test]
fn declarations_that_are_refused() {
    let cases = [
        ("service s on tcp port 0 { state a { drop; } }", "W07", "a port must lie between 1 and 65535, not at 0"),
        ("service s on tcp port 1 { }", "W08", "a service needs a state"),
        (
            "service s on tcp port 1 { table t[0] { key: 1, value: 1 } state a { drop; } }",
            "W07",
            "the number of entries must lie between 1 and 16777216, not at 0",
        ),
        (
            "service s on tcp port 1 { table t[1000000] { key: 8, value: 4096 } state a { drop; } }",
            "W07",
            "the tables up to `t` take 4168388608 bytes; at most 1073741824 can be pinned",
        ),
        ("service s on tcp port 1 { state a { drop; } state a { drop; } }", "W02", "the state `a` is declared twice"),
        ("service s on tcp port 1 { limit size 3; state a { drop; } }", "W02", "`size` has no limit"),
        (
            "service s on tcp port 1 { message m { a: u8, a: u8 } state a { receive { m => { drop; } else { drop; } } } }",
            "W02",
            "the message has two fields called `a`",
        ),
        (
            "service s on tcp port 1 { message m { a: until \"\" max 3 } state a { receive { m => { drop; } else { drop; } } } }",
            "W03",
            "a field cannot end before nothing",
        ),
        (
            "service s on tcp port 1 { message m { a: rest max 2000 } state a { receive { m => { drop; } else { drop; } } } }",
            "W05",
            "a field of 2000 bytes does not fit into a message of 1448",
        ),
        (
            "service s on tcp port 1 { message m { a: bytes n max 3 } state a { receive { m => { drop; } else { drop; } } } }",
            "W02",
            "`n` is neither a constant nor a number that stands before in `m`",
        ),
        ("service s on udp port 1 { state a { more; } }", "W03", "there is no more of a datagram than what came"),
        (
            "service s on tcp port 1 { connection { n: u8 = 256 } state a { drop; } }",
            "W07",
            "the first value must lie between 0 and 255, not at 256",
        ),
        ("service s on tcp port 1 { state a { drop; } } x", "W01", "expected nothing after the service, found `x`"),
        ("", "W01", "expected `service`, found the end of the text"),
        (
            "service s on tcp port 1 { state a { drop; }",
            "W01",
            "expected limit, const, table, layout, message, connection, state or `}`, found the end of the text",
        ),
    ];
    for (source, code, message) in cases {
        let faults = faults(source);
        let found = faults.first().map(|fault| (fault.code.as_str(), fault.message.as_str()));
        assert_eq!(found, Some((code, message)), "{source}");
    }
}

/// However deep or long a text is, it is refused or compiled, and nothing overflows.
#[test]
fn deep_texts() {
    for text in ["(", "!", "{", "[", "if true {", "a[", "len("] {
        let source = around(&text.repeat(5000));
        assert!(!faults(&source).is_empty(), "{text}");
    }
    let long = around(&format!("reply decimal({}1);", "1 + ".repeat(5000)));
    assert_eq!(faults(&long)[0].code, Code::Syntax);
    let chain = around(&format!("if true {{ }} {} drop;", "else if true { }".repeat(5000)));
    assert_eq!(faults(&chain)[0].code, Code::Syntax);
}
