//! How far a prediction may lie from a published value, in the table's own words.

/// A tolerance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// Not stated: a word, or a row that is only shown.
    None,
    /// Fraction of the published value.
    Relative(f64),
    /// In the row's unit.
    Absolute(f64),
    /// Within this factor either way.
    Factor(f64),
    /// At most this.
    AtMost(f64),
    /// Within the published range.
    Range,
}

impl std::fmt::Display for Tolerance {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Tolerance::None => Ok(()),
            Tolerance::Relative(fraction) => write!(formatter, "± {} %", sim_core::digits::rounded(fraction * 100.0)),
            Tolerance::Absolute(slack) => write!(formatter, "± {slack}"),
            Tolerance::Factor(factor) => write!(formatter, "factor {factor}"),
            Tolerance::AtMost(most) => write!(formatter, "at most {most}"),
            Tolerance::Range => write!(formatter, "in range"),
        }
    }
}

/// A tolerance that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "tolerance '{text}' is not understood: use `N %`, `N pp`, `N`, `N UNIT`, `factor N`, `one power of two`, `at most N` or `A to B`"
)]
pub struct ToleranceError {
    /// What the table says.
    pub text: String,
}

impl Tolerance {
    /// Reads a tolerance of a row in `unit`.
    ///
    /// # Errors
    /// A form that is not known.
    pub fn parse(text: &str, unit: &str) -> Result<Tolerance, ToleranceError> {
        let number = |text: &str| text.trim().parse::<f64>().ok();
        let parsed = if text.is_empty() {
            Some(Tolerance::None)
        } else if text == "one power of two" {
            Some(Tolerance::Factor(2.0))
        } else if let Some(rest) = text.strip_prefix("factor ") {
            number(rest).map(Tolerance::Factor)
        } else if let Some(rest) = text.strip_prefix("at most ") {
            number(rest).map(Tolerance::AtMost)
        } else if text.contains(" to ") {
            Some(Tolerance::Range)
        } else if let Some(rest) = text.strip_suffix("pp").filter(|_| unit == "%") {
            number(rest).map(Tolerance::Absolute)
        } else if let Some(rest) = text.strip_suffix('%') {
            number(rest).map(|percent| Tolerance::Relative(percent / 100.0))
        } else {
            number(text.strip_suffix(unit).unwrap_or(text)).map(Tolerance::Absolute)
        };
        parsed.ok_or_else(|| ToleranceError { text: text.into() })
    }

    /// How far `predicted` lies outside the published value or range, in units of the tolerance, with its sign: 1 is just within.
    /// `None` without a tolerance, and inside a published range it is 0.
    pub fn distance(self, published: f64, low: Option<f64>, high: Option<f64>, predicted: f64) -> Option<f64> {
        let (low, high) = (low.unwrap_or(published), high.unwrap_or(published));
        let outside = (predicted - high).max(0.0) + (predicted - low).min(0.0);
        let end = if outside > 0.0 { high } else { low };
        Some(match self {
            Tolerance::None => return None,
            Tolerance::Relative(fraction) => outside / (end.abs() * fraction),
            Tolerance::Absolute(slack) => outside / slack,
            Tolerance::Factor(factor) if outside == 0.0 || factor <= 1.0 => 0.0,
            Tolerance::Factor(factor) => (predicted / end).ln() / factor.ln(),
            Tolerance::AtMost(most) => (predicted - published).max(0.0) / (most - published),
            Tolerance::Range => outside / (high - low),
        })
    }

    /// Whether `predicted` is within. A row with a published range is met inside it too. `None` without a tolerance.
    pub fn holds(self, published: f64, low: Option<f64>, high: Option<f64>, predicted: f64) -> Option<bool> {
        let (low, high) = (low.unwrap_or(published), high.unwrap_or(published));
        let around = |slack_low: f64, slack_high: f64| predicted >= low - slack_low && predicted <= high + slack_high;
        match self {
            Tolerance::None => None,
            Tolerance::Relative(fraction) => Some(around(low.abs() * fraction, high.abs() * fraction)),
            Tolerance::Absolute(slack) => Some(around(slack, slack)),
            Tolerance::Factor(factor) => Some(predicted >= low / factor && predicted <= high * factor),
            Tolerance::AtMost(most) => Some(predicted <= most),
            Tolerance::Range => Some(around(0.0, 0.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_forms_are_understood() {
        let cases = [
            ("2 %", "IPC", Tolerance::Relative(0.02)),
            ("1 pp", "%", Tolerance::Absolute(1.0)),
            ("1 ns", "ns", Tolerance::Absolute(1.0)),
            ("0.05", "IPC", Tolerance::Absolute(0.05)),
            ("factor 2", "connections", Tolerance::Factor(2.0)),
            ("one power of two", "connections", Tolerance::Factor(2.0)),
            ("at most 0.6", "ratio", Tolerance::AtMost(0.6)),
            ("3 to 10", "ratio", Tolerance::Range),
            ("", "sign", Tolerance::None),
        ];
        for (text, unit, expected) in cases {
            assert_eq!(Tolerance::parse(text, unit), Ok(expected), "{text}");
        }
        assert!(Tolerance::parse("about right", "%").is_err());
    }

    #[test]
    fn a_distance_of_one_is_just_within() {
        for (tolerance, at) in [
            (Tolerance::Relative(0.1), 110.0),
            (Tolerance::Absolute(7.0), 93.0),
            (Tolerance::Factor(2.0), 200.0),
            (Tolerance::AtMost(120.0), 120.0),
        ] {
            let distance = tolerance.distance(100.0, None, None, at).unwrap();
            assert!((distance.abs() - 1.0).abs() < 1e-9, "{tolerance:?}: {distance}");
            assert_eq!(distance < 0.0, at < 100.0, "{tolerance:?}");
        }
        assert_eq!(Tolerance::Absolute(5.0).distance(30.0, Some(25.0), Some(35.0), 33.0), Some(0.0));
        assert_eq!(Tolerance::None.distance(1.0, None, None, 2.0), None);
    }

    #[test]
    fn a_published_range_widens_the_target() {
        let tolerance = Tolerance::Absolute(5.0);
        assert_eq!(tolerance.holds(30.0, Some(25.0), Some(35.0), 40.0), Some(true));
        assert_eq!(tolerance.holds(30.0, Some(25.0), Some(35.0), 40.1), Some(false));
        assert_eq!(tolerance.holds(30.0, None, None, 24.0), Some(false));
    }
}
