//! Fixed digits: every real number in a report is rounded to [`SIGNIFICANT`] digits, so that reports are the same bytes everywhere.
//!
//! Used as `#[serde(with = "crate::digits")]` on `f64` fields. What is not a number becomes `null` and is read back as NaN.

use serde::{Deserialize, Deserializer, Serializer};

/// Significant decimal digits of a real number in a report: a run's interval is rarely below 0.1 %, so six digits keep three to spare,
/// and hide differences in the last bits that another compiler or another order of additions could make.
pub const SIGNIFICANT: usize = 6;

/// `value` rounded to `digits` significant decimal digits; ties as the exact binary value falls. Negative zero becomes zero.
///
/// Goes through the decimal text, which the standard library prints and reads exactly, so no platform rounds differently.
pub fn round_to(value: f64, digits: usize) -> f64 {
    if !value.is_finite() || value == 0.0 {
        return if value == 0.0 { 0.0 } else { value };
    }
    format!("{value:.*e}", digits.saturating_sub(1)).parse().unwrap_or(value)
}

/// `value` rounded to [`SIGNIFICANT`] digits.
pub fn rounded(value: f64) -> f64 {
    round_to(value, SIGNIFICANT)
}

/// Writes a rounded number, or `null` for what is not a number.
///
/// # Errors
/// Those of the serialiser.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.is_finite() { serializer.serialize_f64(rounded(*value)) } else { serializer.serialize_none() }
}

/// Reads a number, or `null` as NaN.
///
/// # Errors
/// Those of the deserialiser.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_remain() {
        let cases = [
            (1.0 / 3.0, 0.333333),
            (2.0 / 3.0, 0.666667),
            (123_456_789.0, 123_457_000.0),
            (-0.000_012_345_678_9, -0.000_012_345_7),
            (999_999.6, 1_000_000.0),
            (0.1 + 0.2, 0.3),
            (64.0, 64.0),
        ];
        for (value, expected) in cases {
            assert_eq!(rounded(value), expected, "{value}");
        }
    }

    #[test]
    fn rounding_twice_changes_nothing() {
        let mut value = 1.234_567_890_123e-300;
        while value < 1e300 {
            assert_eq!(rounded(rounded(value)), rounded(value));
            value *= 7.77;
        }
    }

    #[test]
    fn the_last_bits_do_not_show() {
        let forward: f64 = [0.1, 0.2, 0.3, 0.4, 0.5].iter().sum();
        let backward: f64 = [0.5, 0.4, 0.3, 0.2, 0.1].iter().sum();
        assert_eq!(rounded(forward), rounded(backward));
        assert_eq!(rounded(-0.0).to_bits(), 0.0_f64.to_bits());
        assert!(rounded(f64::NAN).is_nan());
    }
}
