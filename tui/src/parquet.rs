//! Tables as Parquet, where the program was built with the feature `parquet`.

use crate::results::columns::Row;
use anyhow::Result;

/// What a program without the feature says.
#[cfg(not(feature = "parquet"))]
const MISSING: &str =
    "this program was built without Parquet: build it with `cargo build --release --features parquet`, or write .csv";

/// Says whether Parquet can be written.
///
/// # Errors
/// The program was built without it.
pub fn available() -> Result<()> {
    #[cfg(not(feature = "parquet"))]
    anyhow::bail!(MISSING);
    #[cfg(feature = "parquet")]
    Ok(())
}

/// The rows as a Parquet file.
///
/// # Errors
/// The program was built without it.
#[cfg(not(feature = "parquet"))]
pub fn bytes(_rows: &[Row]) -> Result<Vec<u8>> {
    anyhow::bail!(MISSING)
}
