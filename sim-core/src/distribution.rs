//! Distributions as integer tables: logarithms and powers are taken once, when a table is built (from the libm crate, rounded to
//! integers), and drawing uses integers only. So the same seed draws the same numbers on every platform.

use crate::ids::Cycles;
use rand::Rng;

/// A distribution that can't be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DistributionError {
    /// No weights, or all of them zero.
    #[error("weighted choice among {entries} entries with a total weight of 0: give at least one entry a weight above 0")]
    NoWeight {
        /// Entries given.
        entries: usize,
    },
    /// The weights' sum does not fit.
    #[error("weighted choice: the weights of {entries} entries sum to 2^64 or more: divide all of them by a common factor")]
    WeightTooLarge {
        /// Entries given.
        entries: usize,
    },
    /// More entries than a table holds.
    #[error("{entries} entries in one distribution: at most {ENTRIES_MAX}; use fewer keys")]
    TooManyEntries {
        /// Entries asked for.
        entries: u64,
    },
    /// A Zipf exponent out of range.
    #[error(
        "zipf exponent {exponent_milli} thousandths: at most {EXPONENT_MILLI_MAX}; published key popularities lie between 600 and 1200"
    )]
    Exponent {
        /// Exponent asked for, in thousandths.
        exponent_milli: u32,
    },
}

/// Most entries of a table: 16 million keys take 256 MB.
pub const ENTRIES_MAX: u64 = 1 << 24;

/// Largest Zipf exponent, in thousandths.
pub const EXPONENT_MILLI_MAX: u32 = 4000;

/// A uniform number below `bound`, without bias: Lemire's multiplication with rejection ("Fast random integer generation in an
/// interval", ACM TOMACS 29(1), 2019). 0 when `bound` is 0. Written out here so that no update of a crate changes what a seed draws.
#[inline]
pub fn below<R: Rng + ?Sized>(rng: &mut R, bound: u64) -> u64 {
    let mut product = u128::from(rng.next_u64()) * u128::from(bound);
    if (product as u64) < bound {
        let threshold = bound.wrapping_neg() % bound;
        while (product as u64) < threshold {
            product = u128::from(rng.next_u64()) * u128::from(bound);
        }
    }
    (product >> 64) as u64
}

/// Exponentially distributed gaps, in cycles.
///
/// With U uniform in (0, 1], written as m x 2^-k with m in [1/2, 1): -ln U = k ln 2 - ln m. The first part counts leading zeros, the
/// second is read from a table with linear interpolation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exponential {
    mean: Cycles,
    /// -ln of m at 2^TABLE_BITS + 1 equally spaced places from 1/2 to 1, in units of 2^-FRACTION_BITS.
    table: Box<[u64]>,
}

/// Linear interpolation between 1,025 places errs by at most 1.2e-7: an eighth of the squared step (2^-11) times the curvature, which
/// is at most 4.
const TABLE_BITS: u32 = 10;

/// Fraction bits of a table entry.
const FRACTION_BITS: u32 = 40;

/// ln 2 in units of 2^-FRACTION_BITS: 0.693147180559945 x 2^40, rounded.
const LN_2: u64 = 762_123_384_786;

impl Exponential {
    /// Gaps with a mean of `mean` cycles.
    pub fn new(mean: Cycles) -> Self {
        let steps = 1_u64 << TABLE_BITS;
        let scale = (1_u64 << FRACTION_BITS) as f64;
        let entry = |step: u64| {
            let mantissa = 0.5 + step as f64 / (2 * steps) as f64;
            libm::round(-libm::log(mantissa) * scale) as u64
        };
        Exponential { mean, table: (0..=steps).map(entry).collect() }
    }

    /// The mean asked for.
    pub fn mean(&self) -> Cycles {
        self.mean
    }

    /// Draws a gap, rounded to the nearest cycle.
    #[inline]
    pub fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> Cycles {
        let product = u128::from(self.mean) * u128::from(self.minus_logarithm(rng.next_u64()));
        let rounded = (product + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS;
        u64::try_from(rounded).unwrap_or(u64::MAX)
    }

    /// -ln((bits + 1) / 2^64) in units of 2^-FRACTION_BITS; `bits` of all ones count as the number below, which the table can't tell
    /// from it.
    #[inline]
    fn minus_logarithm(&self, bits: u64) -> u64 {
        const INTERPOLATED_BITS: u32 = 63 - TABLE_BITS;
        let uniform = bits.saturating_add(1);
        let zeros = uniform.leading_zeros();
        let mantissa = (uniform << zeros) & (u64::MAX >> 1);
        let place = (mantissa >> INTERPOLATED_BITS) as usize;
        let within = mantissa & ((1 << INTERPOLATED_BITS) - 1);
        let (left, right) = (self.table[place], self.table[place + 1]);
        let fall = (u128::from(left - right) * u128::from(within)) >> INTERPOLATED_BITS;
        u64::from(zeros) * LN_2 + left - fall as u64
    }
}

/// A choice among entries with integer weights, in constant time and exactly as likely as the weights say: Walker's alias method as
/// built by Vose ("A linear algorithm for generating random numbers with a given distribution", IEEE TSE 17(9), 1991), in integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasTable {
    /// The sum of the weights: each column holds that much.
    total: u64,
    columns: Box<[Column]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Column {
    /// Share of the column's own entry, in units in which a column holds the total weight.
    own: u64,
    /// Entry that has the rest of the column.
    alias: u32,
}

impl AliasTable {
    /// A table for weights; entries of weight 0 are never drawn.
    ///
    /// # Errors
    /// [`DistributionError`] when nothing can be drawn, or the weights or their number are too large.
    pub fn new(weights: &[u64]) -> Result<Self, DistributionError> {
        let entries = weights.len();
        if entries as u64 > ENTRIES_MAX {
            return Err(DistributionError::TooManyEntries { entries: entries as u64 });
        }
        let sum = weights.iter().try_fold(0_u64, |sum, weight| sum.checked_add(*weight));
        let total = sum.ok_or(DistributionError::WeightTooLarge { entries })?;
        if total == 0 {
            return Err(DistributionError::NoWeight { entries });
        }
        Ok(AliasTable { total, columns: columns(weights, total) })
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Never true: a table without entries can't be built.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Draws an entry's index.
    #[inline]
    pub fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> usize {
        let index = below(rng, self.columns.len() as u64) as usize;
        let column = self.columns[index];
        if below(rng, self.total) < column.own { index } else { column.alias as usize }
    }
}

/// Fills each column with one entry that has less than a column's worth and a rest from one that has more. Both lists are worked in
/// index order from their ends, so equal weights give equal tables.
fn columns(weights: &[u64], total: u64) -> Box<[Column]> {
    let full = u128::from(total);
    let mut left: Vec<u128> = weights.iter().map(|weight| u128::from(*weight) * weights.len() as u128).collect();
    let mut columns: Box<[Column]> = (0..weights.len()).map(|index| Column { own: total, alias: index as u32 }).collect();
    let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..weights.len()).partition(|index| left[*index] < full);
    while let (Some(poor), Some(rich)) = (small.pop(), large.last().copied()) {
        columns[poor] = Column { own: left[poor] as u64, alias: rich as u32 };
        left[rich] -= full - left[poor];
        if left[rich] < full {
            large.pop();
            small.push(rich);
        }
    }
    columns
}

/// Zipf's law over keys 0 (most popular) to n - 1: key k has weight (k + 1)^-exponent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zipf {
    table: AliasTable,
}

/// Weight of the most popular key: rarer keys keep a relative precision of their weight's inverse, and 2^24 keys still sum below 2^64.
const ZIPF_WEIGHT_FIRST: f64 = (1_u64 << 39) as f64;

impl Zipf {
    /// The law for `keys` keys and an exponent in thousandths (0: all keys alike).
    ///
    /// # Errors
    /// [`DistributionError`] when there are no keys or too many, or the exponent is too large.
    pub fn new(keys: u32, exponent_milli: u32) -> Result<Self, DistributionError> {
        if exponent_milli > EXPONENT_MILLI_MAX {
            return Err(DistributionError::Exponent { exponent_milli });
        }
        if u64::from(keys) > ENTRIES_MAX {
            return Err(DistributionError::TooManyEntries { entries: u64::from(keys) });
        }
        let exponent = f64::from(exponent_milli) / 1000.0;
        let weight = |key: u32| libm::round(ZIPF_WEIGHT_FIRST / libm::pow(f64::from(key) + 1.0, exponent)) as u64;
        let weights: Vec<u64> = (0..keys).map(weight).collect();
        Ok(Zipf { table: AliasTable::new(&weights)? })
    }

    /// Draws a key.
    #[inline]
    pub fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> u32 {
        self.table.sample(rng) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::SeedTree;
    use proptest::prelude::*;

    const DRAWS: usize = 200_000;

    #[test]
    fn below_is_uniform_and_bounded() {
        let mut rng = SeedTree::new(1).child("below").rng();
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[below(&mut rng, 7) as usize] += 1;
        }
        // Five standard deviations of a binomial count: 5 x sqrt(70,000 x 6 / 49) = 463.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 463), "{counts:?}");
        assert_eq!((below(&mut rng, 0), below(&mut rng, 1)), (0, 0));
    }

    #[test]
    fn logarithms_agree_with_libm() {
        let gaps = Exponential::new(1);
        assert_eq!(LN_2, libm::round(std::f64::consts::LN_2 * (1_u64 << FRACTION_BITS) as f64) as u64);
        let mut bits = 1_u64;
        for _ in 0..10_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            for shift in [0, 7, 30, 60] {
                let uniform = bits >> shift;
                let exact = -libm::log((uniform as f64 + 1.0) / 2_f64.powi(64));
                let found = gaps.minus_logarithm(uniform) as f64 / (1_u64 << FRACTION_BITS) as f64;
                assert!((found - exact).abs() < 1.3e-7, "{uniform}: {found} for {exact}");
            }
        }
        assert_eq!(gaps.minus_logarithm(0), 64 * LN_2 - LN_2 + gaps.table[0]);
        assert!(gaps.minus_logarithm(u64::MAX) <= 1);
    }

    /// Mean and standard deviation of an exponential are equal; five standard errors of 200,000 draws are 1.1 % and, for the variance
    /// (fourth moment 9), 3.2 %.
    #[test]
    fn exponential_moments() {
        for mean in [50_u64, 12_345, 10_000_000_000] {
            let gaps = Exponential::new(mean);
            let mut rng = SeedTree::new(9).child_index(mean).rng();
            let draws: Vec<f64> = (0..DRAWS).map(|_| gaps.sample(&mut rng) as f64 / mean as f64).collect();
            let average = draws.iter().sum::<f64>() / DRAWS as f64;
            let square = draws.iter().map(|draw| draw * draw).sum::<f64>() / DRAWS as f64;
            let beyond_three = draws.iter().filter(|draw| **draw > 3.0).count() as f64 / DRAWS as f64;
            assert!((average - 1.0).abs() < 0.0112, "mean {average}");
            assert!((square - average * average - 1.0).abs() < 0.032, "variance {}", square - average * average);
            assert!((beyond_three - 0.049_787).abs() < 0.0025, "tail {beyond_three}");
        }
    }

    /// The first draws under seed 42, as a second implementation draws them; part of what a seed means.
    #[test]
    fn draws_are_the_same_everywhere() {
        let mut rng = SeedTree::new(42).child("draws").rng();
        let gaps = Exponential::new(1_000_000);
        let choice = AliasTable::new(&[1, 2, 3, 4]).expect("weights above 0");
        let keys = Zipf::new(1000, 990).expect("1,000 keys");
        let drawn: Vec<_> = (0..4).map(|_| (gaps.sample(&mut rng), choice.sample(&mut rng), keys.sample(&mut rng))).collect();
        assert_eq!(drawn, [(2_514_069, 3, 2), (1_223_569, 3, 2), (663_512, 2, 684), (646_255, 3, 0)]);
    }

    #[test]
    fn weights_are_met() {
        let weights = [5_u64, 0, 1, 10, 4];
        let table = AliasTable::new(&weights).expect("weights above 0");
        let mut rng = SeedTree::new(3).child("weights").rng();
        let mut counts = [0_usize; 5];
        (0..DRAWS).for_each(|_| counts[table.sample(&mut rng)] += 1);
        assert_eq!(counts[1], 0);
        for (count, weight) in counts.iter().zip(weights) {
            let expected = DRAWS as u64 * weight / 20;
            // Five standard deviations of the most likely entry: 5 x sqrt(200,000 / 4) = 1,118.
            assert!((*count as u64).abs_diff(expected) < 1_118, "{counts:?}");
        }
    }

    #[test]
    fn zipf_frequencies() {
        let keys = Zipf::new(100, 1000).expect("100 keys");
        let mut rng = SeedTree::new(4).child("zipf").rng();
        let mut counts = [0_usize; 100];
        (0..DRAWS).for_each(|_| counts[keys.sample(&mut rng) as usize] += 1);
        // The 100th harmonic number is 5.187378.
        for key in [0_usize, 1, 9, 99] {
            let expected = DRAWS as f64 / 5.187_378 / (key + 1) as f64;
            assert!((counts[key] as f64 - expected).abs() < 5.0 * expected.sqrt(), "key {key}: {} for {expected}", counts[key]);
        }
        let alike = Zipf::new(3, 0).expect("3 keys").table;
        assert_eq!(alike, AliasTable::new(&[1 << 39; 3]).expect("weights above 0"));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        assert_eq!(AliasTable::new(&[]), Err(DistributionError::NoWeight { entries: 0 }));
        assert_eq!(AliasTable::new(&[0, 0]), Err(DistributionError::NoWeight { entries: 2 }));
        assert_eq!(AliasTable::new(&[u64::MAX, 1]), Err(DistributionError::WeightTooLarge { entries: 2 }));
        assert_eq!(Zipf::new(0, 1000), Err(DistributionError::NoWeight { entries: 0 }));
        assert_eq!(Zipf::new(u32::MAX, 1000), Err(DistributionError::TooManyEntries { entries: u64::from(u32::MAX) }));
        assert_eq!(Zipf::new(10, 5000), Err(DistributionError::Exponent { exponent_milli: 5000 }));
    }

    proptest! {
        /// The columns hold exactly `weight x entries` of each entry: no probability is lost to rounding.
        #[test]
        fn columns_hold_the_weights_exactly(weights in prop::collection::vec(0_u64..1_000_000_000_000, 1..60)) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let table = AliasTable::new(&weights).expect("weights above 0");
            let mut held = vec![0_u128; weights.len()];
            for (index, column) in table.columns.iter().enumerate() {
                held[index] += u128::from(column.own);
                held[column.alias as usize] += u128::from(table.total - column.own);
            }
            let expected: Vec<u128> = weights.iter().map(|weight| u128::from(*weight) * weights.len() as u128).collect();
            prop_assert_eq!(held, expected);
        }
    }
}
