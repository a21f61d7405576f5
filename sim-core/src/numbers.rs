//! Numbers for people: thousands separated.

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
}
