//! One axis: `cores=1,2,4`, `batch=1..64:x2`, `rate=1000..5000:+500`, `mechanism=all`, `kernel.mitigations=off,default`.

use crate::config::{COMMAND_LINE, ConfigError, Place, text};
use serde_json::Value;
use sim_core::digits::round_to;
use std::ops::Range;

/// Values of one axis at most: more is a slip in a range.
pub const VALUES_MAX: usize = 10_000;

/// Digits to which the values of a range with fractions are rounded, so that 0.1 + 0.2 is 0.3.
const RANGE_DIGITS: usize = 12;

/// One value of an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// As `--set` takes it.
    pub text: String,
    /// As results show it.
    pub value: Value,
    /// Where it, or the range that it is from, was written.
    pub place: Place,
}

/// What is varied.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Path of a setting, or name of an option.
    pub path: String,
    /// Where the path was written.
    pub path_place: Place,
    /// The values as they were written.
    pub source: String,
    /// The values.
    pub items: Vec<Item>,
    /// True when it goes together with the other zipped axes.
    pub zipped: bool,
}

impl Axis {
    /// Reads the value of `--vary` or `--zip`.
    ///
    /// # Errors
    /// What can't be read, with its place.
    pub fn from_option(option: &str, assignment: &str) -> Result<Axis, ConfigError> {
        let whole: std::sync::Arc<str> = format!("{option} {assignment}").into();
        let start = option.len() + 1;
        let place = Place { file: COMMAND_LINE.into(), span: start..whole.len(), text: whole };
        let Some((path, _)) = assignment.split_once('=') else {
            let error = ConfigError::at(place, format!("`{option}` needs a name and values"), "no `=` here");
            return Err(error.help(format!("write {option} cores=1,2,4 or {option} connections=1..1024:x2")));
        };
        let values = start + path.len() + 1;
        let path_place = place.at(start..start + path.len());
        if path.trim().is_empty() {
            return Err(ConfigError::at(path_place, "nothing is named that could be varied", "a name or path comes before `=`"));
        }
        Axis::new(path.trim(), path_place, place.at(values..place.text.len()), option == "--zip")
    }

    /// An axis whose values stand at a place.
    ///
    /// # Errors
    /// What can't be read, with its place.
    pub fn new(path: &str, path_place: Place, values: Place, zipped: bool) -> Result<Axis, ConfigError> {
        let source = values.text[values.span.clone()].to_owned();
        let mut items = Vec::new();
        for part in top_level_parts(&source) {
            let place = values.at(values.span.start + part.start..values.span.start + part.end);
            items.extend(items_of(path, &source[part], &place)?);
        }
        Axis::checked(Axis { path: path.to_owned(), path_place, source, items, zipped })
    }

    /// An axis whose values were read one by one.
    ///
    /// # Errors
    /// No values, too many, or the same twice.
    pub fn checked(axis: Axis) -> Result<Axis, ConfigError> {
        if axis.items.len() > VALUES_MAX {
            let problem = format!("`{}` has more than {VALUES_MAX} values", axis.path);
            return Err(ConfigError::at(axis.path_place, problem, "too many").help("take a larger step"));
        }
        for (position, item) in axis.items.iter().enumerate() {
            if axis.items[..position].iter().any(|other| other.value == item.value) {
                return Err(ConfigError::at(
                    item.place.clone(),
                    format!("`{}` has the value {} twice", axis.path, item.text),
                    "again",
                ));
            }
        }
        Ok(axis)
    }
}

/// Parts between commas that stand in no parentheses, brackets or quotes.
fn top_level_parts(source: &str) -> Vec<Range<usize>> {
    let (mut parts, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0_u32, false);
    for (at, character) in source.char_indices() {
        match character {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(start..at);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(start..source.len());
    parts
}

/// The values that one part stands for.
fn items_of(path: &str, part: &str, place: &Place) -> Result<Vec<Item>, ConfigError> {
    let item = |text: &str| Item { text: text.to_owned(), value: json_of(text), place: place.clone() };
    let part = part.trim();
    if part.is_empty() {
        return Err(ConfigError::at(place.clone(), format!("`{path}` has an empty value"), "expected a value"));
    }
    if part == "all"
        && let Some(names) = all_names(path)
    {
        return Ok(names.into_iter().map(item).collect());
    }
    match Progression::read(part) {
        None => Ok(vec![item(part)]),
        Some(progression) => {
            let values = progression.and_then(|progression| progression.values()).map_err(|problem| {
                ConfigError::at(place.clone(), format!("the range `{part}` of `{path}` {problem}"), "this range")
                    .help("write 1..64:x2 to multiply by 2, 1..10:+3 to add 3, or 1..4 for steps of 1")
            })?;
            Ok(values.iter().map(|text| item(text)).collect())
        }
    }
}

/// What `all` stands for, where it stands for anything.
fn all_names(path: &str) -> Option<Vec<&'static str>> {
    match path {
        "mechanism" => Some(mechanisms::registry::ALL.iter().map(|entry| entry.name).collect()),
        "machine" => Some(cpu_model::Machine::preset_names().to_vec()),
        "kernel" => Some(os_model::kernel::PRESETS.iter().map(|preset| preset.0).collect()),
        _ => None,
    }
}

/// A value as JSON: a number, a truth value, a choice with content, or else the text.
pub fn json_of(text: &str) -> Value {
    text::parse(text).map_or_else(|_| Value::String(text.to_owned()), |value| value.to_json())
}

/// `from..to:step`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Progression {
    Whole { from: i64, to: i64, step: Step<i64> },
    Real { from: f64, to: f64, step: Step<f64> },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Step<N> {
    Times(N),
    Plus(N),
}

impl Progression {
    /// Reads a range. `None` when the text is none: a value may contain `..` too.
    fn read(text: &str) -> Option<Result<Progression, String>> {
        let (from, rest) = text.split_once("..")?;
        let (to, step) = rest.split_once(':').map_or((rest, "+1"), |(to, step)| (to, step));
        let (from, to, step) = (from.trim(), to.trim().trim_start_matches('='), step.trim());
        if from.parse::<f64>().is_err() {
            return None;
        }
        let (operator, width) = step.split_at(step.chars().next().map_or(0, char::len_utf8));
        let whole = |text: &str| text.replace('_', "").parse::<i64>().ok();
        let real = |text: &str| text.replace('_', "").parse::<f64>().ok().filter(|value| value.is_finite());
        if let (Some(from), Some(to), Some(width)) = (whole(from), whole(to), whole(width)) {
            return Some(step_of(operator, width).map(|step| Progression::Whole { from, to, step }));
        }
        Some(match (real(from), real(to), real(width)) {
            (Some(from), Some(to), Some(width)) => step_of(operator, width).map(|step| Progression::Real { from, to, step }),
            _ => Err("has a part that is not a number".into()),
        })
    }

    fn values(self) -> Result<Vec<String>, String> {
        let texts = match self {
            Progression::Whole { from, to, step } => {
                let next = |value: i64, _: usize| match step {
                    Step::Times(factor) => value.checked_mul(factor),
                    Step::Plus(width) => value.checked_add(width),
                };
                let grows = match step {
                    Step::Times(factor) => factor > 1 && from > 0,
                    Step::Plus(width) => width > 0,
                };
                climb(from, to, grows, next)?.iter().map(i64::to_string).collect()
            }
            Progression::Real { from, to, step } => {
                let next = |value: f64, position: usize| match step {
                    Step::Times(factor) => Some(round_to(value * factor, RANGE_DIGITS)),
                    Step::Plus(width) => Some(round_to(from + width * position as f64, RANGE_DIGITS)),
                };
                let grows = match step {
                    Step::Times(factor) => factor > 1.0 && from > 0.0,
                    Step::Plus(width) => width > 0.0,
                };
                climb(from, to, grows, next)?.iter().map(f64::to_string).collect()
            }
        };
        Ok(texts)
    }
}

fn step_of<N>(operator: &str, width: N) -> Result<Step<N>, String> {
    match operator {
        "x" | "*" => Ok(Step::Times(width)),
        "+" => Ok(Step::Plus(width)),
        _ => Err("has a step that begins neither with `x` nor with `+`".into()),
    }
}

/// Values from `from` up to `to`, which is one of them when a step reaches it.
fn climb<N: PartialOrd + Copy>(from: N, to: N, grows: bool, next: impl Fn(N, usize) -> Option<N>) -> Result<Vec<N>, String> {
    if !grows {
        return Err("does not grow: multiply positive numbers by more than 1, or add more than 0".into());
    }
    if to < from {
        return Err("ends before it begins".into());
    }
    let (mut values, mut value) = (Vec::new(), from);
    while value <= to {
        if values.len() == VALUES_MAX {
            return Err(format!("has more than {VALUES_MAX} values"));
        }
        values.push(value);
        match next(value, values.len()).filter(|next| *next > value) {
            Some(next) => value = next,
            None => break,
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn values(assignment: &str) -> Vec<Value> {
        let axis = Axis::from_option("--vary", assignment).unwrap_or_else(|error| panic!("{assignment}: {}", error.problem));
        axis.items.into_iter().map(|item| item.value).collect()
    }

    #[test]
    fn lists_ranges_and_names() {
        assert_eq!(values("cores=1,2,4"), [json!(1), json!(2), json!(4)]);
        assert_eq!(values("connections=1..64:x2").len(), 7);
        assert_eq!(values("batch=1..10:+3"), [json!(1), json!(4), json!(7), json!(10)]);
        assert_eq!(values("batch=1..11:+3"), values("batch=1..10:+3"));
        assert_eq!(values("cores=2..4,8"), [json!(2), json!(3), json!(4), json!(8)]);
        assert_eq!(values("clients.think_us=0.1..0.3:+0.1"), [json!(0.1), json!(0.2), json!(0.3)]);
        assert_eq!(values("rate=1000..4500:x1.5"), [json!(1000), json!(1500), json!(2250), json!(3375)]);
        assert_eq!(values("mechanism=all").len(), 5);
        assert_eq!(values("kernel.mitigations=off,default"), [json!("off"), json!("default")]);
        assert_eq!(values("machine=my/zen4.ron"), [json!("my/zen4.ron")]);
        assert_eq!(
            values("clients.arrival=closed,open(rate_rps: 5, spacing: even)"),
            [json!("closed"), json!({"open": {"rate_rps": 5, "spacing": "even"}})]
        );
    }

    #[test]
    fn what_can_not_be_read_has_a_place() {
        let cases = [
            ("cores", "needs a name and values", "cores"),
            ("=1,2", "nothing is named", ""),
            ("cores=1,,2", "has an empty value", ""),
            ("cores=", "has an empty value", ""),
            ("cores=1,2,1", "has the value 1 twice", "1"),
            ("cores=4..1", "ends before it begins", "4..1"),
            ("cores=1..8:x1", "does not grow", "1..8:x1"),
            ("cores=0..8:x2", "does not grow", "0..8:x2"),
            ("cores=1..8:-2", "begins neither with", "1..8:-2"),
            ("cores=1..8:2", "has a part that is not a number", "1..8:2"),
            ("cores=1..many", "has a part that is not a number", "1..many"),
            ("cores=1..99999999", "has more than 10000 values", "1..99999999"),
        ];
        for (assignment, problem, shown) in cases {
            let error = Axis::from_option("--vary", assignment).expect_err(assignment);
            assert!(error.problem.contains(problem), "{assignment}: {}", error.problem);
            let place = error.place.expect("a place");
            assert_eq!(&place.text[place.span.clone()], shown, "{assignment}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_with_a_place_inside_it(text in "\\PC{0,40}") {
            match Axis::from_option("--zip", &text) {
                Ok(axis) => prop_assert!(!axis.items.is_empty() && axis.zipped),
                Err(error) => {
                    let place = error.place.expect("a place");
                    prop_assert!(place.span.end <= place.text.len());
                    prop_assert!(place.text.get(place.span.clone()).is_some());
                }
            }
        }

        #[test]
        fn a_range_holds_its_ends_and_nothing_outside(from in 1_i64..1000, steps in 0_i64..50, width in 1_i64..20) {
            let to = from + steps * width;
            let values = values(&format!("x={from}..{to}:+{width}"));
            prop_assert_eq!(values.len() as i64, steps + 1);
            prop_assert_eq!(values.first().and_then(Value::as_i64), Some(from));
            prop_assert_eq!(values.last().and_then(Value::as_i64), Some(to));
        }

        #[test]
        fn lists_come_back_as_they_were(numbers in proptest::collection::btree_set(0_u32..100_000, 1..30)) {
            let text = numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            let expected: Vec<Value> = numbers.iter().map(|number| json!(number)).collect();
            prop_assert_eq!(values(&format!("x={text}")), expected);
        }
    }
}
