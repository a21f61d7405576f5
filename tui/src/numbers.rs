//! Numbers for people: thousands separated, few digits, `-` for what is unknown.

use sim_core::report::Estimate;

pub use sim_core::numbers::{fixed, whole};

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
