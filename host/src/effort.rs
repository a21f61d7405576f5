//! How long to measure.

/// How long to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Repetitions of each point.
    pub repetitions: u32,
    /// Short runs of each sample, the quietest of which counts.
    pub batches: u32,
    /// Largest memory of the data ladders.
    pub data_bytes_most: usize,
    /// Most pages of the translation ladders.
    pub pages_most: u64,
    /// Most jumps of the instruction ladders.
    pub jumps_most: u64,
}

impl Effort {
    /// What a description rests on.
    pub const FULL: Effort =
        Effort { repetitions: 9, batches: 7, data_bytes_most: 256 << 20, pages_most: 8192, jumps_most: 64 << 10 };
    /// A first look: fewer repetitions, and memory only as far as it is needed to leave the second level.
    pub const QUICK: Effort =
        Effort { repetitions: 5, batches: 4, data_bytes_most: 64 << 20, pages_most: 8192, jumps_most: 16 << 10 };
    /// Enough to see that everything runs.
    pub const LEAST: Effort = Effort { repetitions: 2, batches: 1, data_bytes_most: 64 << 10, pages_most: 32, jumps_most: 128 };
}
