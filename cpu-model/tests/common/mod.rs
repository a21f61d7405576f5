//! Helpers of the integration tests.
#![allow(dead_code, reason = "each test program uses some of them")]

pub mod stream;
