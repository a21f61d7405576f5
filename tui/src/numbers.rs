//! Numbers for people: thousands separated, few digits, `-` for what is unknown.

use sim_core::report::Estimate;

/// A whole number with thousands separated: `48,210`.
pub fn whole(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with so many decimals and thousands separated; `-` when it is unknown.
pub fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "-".into();
    }
    let text = format!("{value:.decimals$}");
    let (sign, text) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (before, after) = text.split_once('.').map_or((text, None), |(before, after)| (before, Some(after)));
    let grouped = before.parse().map_or_else(|_| before.to_owned(), whole);
    let zero = before.bytes().chain(after.unwrap_or_default().bytes()).all(|digit| digit == b'0');
    let sign = if zero { "" } else { sign };
    after.map_or_else(|| format!("{sign}{grouped}"), |after| format!("{sign}{grouped}.{after}"))
}

/// A number with three significant digits or all digits before the point: `0.0123`, `1.23`, `12.3`, `1,234`.
pub fn short(value: f64) -> String {
    let magnitude = value.abs();
    let decimals = match magnitude {
        _ if !value.is_finite() => 0,
        m if m >= 99.95 || m == 0.0 => 0,
        m if m >= 9.995 => 1,
        m if m >= 0.9995 => 2,
        m if m >= 0.09995 => 3,
        _ => 4,
    };
    fixed(value, decimals)
}

/// A fraction as percent: `12.3 %`.
pub fn percent(fraction: f64) -> String {
    if fraction.is_finite() { format!("{} %", fixed(fraction * 100.0, 1)) } else { "-".into() }
}

/// An estimate with its interval: `1.34x ± 0.02`. One sample has no interval.
pub fn with_interval(estimate: &Estimate, decimals: usize, unit: &str) -> String {
    let mean = fixed(estimate.mean, decimals);
    let half = estimate.half_width();
    if !estimate.mean.is_finite() || !half.is_finite() || estimate.n < 2 {
        return if estimate.mean.is_finite() { format!("{mean}{unit}") } else { mean };
    }
    format!("{mean}{unit} ± {}", fixed(half, decimals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_and_decimals() {
        let cases = [(0.0, 1, "0.0"), (1234.5, 0, "1,234"), (-1_234_567.891, 2, "-1,234,567.89"), (-0.001, 1, "0.0")];
        for (value, decimals, expected) in cases {
            assert_eq!(fixed(value, decimals), expected);
        }
        assert_eq!(
            (whole(0), whole(999), whole(1_000), whole(12_345_678)),
            ("0".into(), "999".into(), "1,000".into(), "12,345,678".into())
        );
        assert_eq!(fixed(f64::NAN, 2), "-");
    }

    #[test]
    fn three_digits() {
        let shown = [0.012_34, 0.1234, 1.234, 12.34, 123.4, 1_234.5, 0.0].map(short);
        assert_eq!(shown, ["0.0123", "0.123", "1.23", "12.3", "123", "1,234", "0"].map(String::from));
    }

    #[test]
    fn intervals() {
        let estimate = Estimate { mean: 1.34, low: 1.32, high: 1.36, n: 10 };
        assert_eq!(with_interval(&estimate, 2, "x"), "1.34x ± 0.02");
        assert_eq!(with_interval(&Estimate::exact(1.0, 1), 2, "x"), "1.00x");
        assert_eq!(with_interval(&Estimate::UNKNOWN, 2, "x"), "-");
    }
}
