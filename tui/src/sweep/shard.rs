//! `--shard 2/8`: which groups of points are this program's.

use anyhow::{Result, bail};
use std::fmt;

/// One part of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    part: u32,
    parts: u32,
}

impl Shard {
    /// Reads `2/8`.
    ///
    /// # Errors
    /// Anything else.
    pub fn read(text: &str) -> Result<Shard> {
        let numbers = text.split_once('/').map(|(part, parts)| (part.trim().parse(), parts.trim().parse()));
        match numbers {
            Some((Ok(part), Ok(parts))) if (1..=parts).contains(&part) => Ok(Shard { part, parts }),
            _ => bail!("`{text}` is no shard: write --shard 1/8 for the first of eight, up to --shard 8/8"),
        }
    }

    /// Which of the jobs with these costs are this shard's: the most expensive first, each to the shard that has least.
    pub fn own(self, costs: &[u64]) -> Vec<bool> {
        let mut order: Vec<usize> = (0..costs.len()).collect();
        order.sort_by_key(|index| (std::cmp::Reverse(costs[*index]), *index));
        let mut loads = vec![0_u128; self.parts as usize];
        let mut own = vec![false; costs.len()];
        for index in order {
            let least = (0..loads.len()).min_by_key(|shard| (loads[*shard], *shard)).unwrap_or(0);
            loads[least] += u128::from(costs[index].max(1));
            own[index] = least + 1 == self.part as usize;
        }
        own
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.part, self.parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shards_are_read_or_refused() {
        assert_eq!(Shard::read("2/8").unwrap().to_string(), "2/8");
        for text in ["0/8", "9/8", "2", "2/", "/8", "a/b", "1/0", "-1/2"] {
            assert!(Shard::read(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn each_job_is_in_exactly_one_shard_and_loads_differ_by_at_most_one_job(
            costs in proptest::collection::vec(1_u64..1000, 0..60), parts in 1_u32..9
        ) {
            let mut loads = Vec::new();
            let mut times = vec![0; costs.len()];
            for part in 1..=parts {
                let own = Shard { part, parts }.own(&costs);
                loads.push(costs.iter().zip(&own).filter(|(_, own)| **own).map(|(cost, _)| *cost).sum::<u64>());
                own.iter().zip(&mut times).for_each(|(own, times)| *times += u32::from(*own));
            }
            prop_assert!(times.iter().all(|times| *times == 1));
            let most = costs.iter().max().copied().unwrap_or(0);
            prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= most);
        }
    }
}
