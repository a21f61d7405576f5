//! The manifest of a report: what it takes to make the same bytes again.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Version, command and the hashes of everything that went into a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the program.
    pub version: String,
    /// Canonical command: without threads, output and verbosity, which change no result.
    pub command: String,
    /// SHA-256 of the resolved configuration, hexadecimal (see [`PartsHash`]).
    pub config_hash: String,
    /// SHA-256 of the trace or workload that was replayed, hexadecimal.
    pub trace_hash: String,
}

/// SHA-256 of `bytes`, 64 hexadecimal digits.
pub fn content_hash(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Hash of named parts in the order they are given. Names and lengths go into the hash, so moving a byte from one part to the next
/// changes it.
#[derive(Clone, Debug, Default)]
pub struct PartsHash {
    digest: Sha256,
}

impl PartsHash {
    /// A hash of no parts.
    pub fn new() -> Self {
        PartsHash::default()
    }

    /// Adds a part.
    #[must_use]
    pub fn part(mut self, name: &str, bytes: &[u8]) -> Self {
        for field in [name.as_bytes(), bytes] {
            self.digest.update((field.len() as u64).to_le_bytes());
            self.digest.update(field);
        }
        self
    }

    /// Adds a configuration as its JSON. Fields come in the order of their declaration; hash maps inside would not, so there must be
    /// none.
    ///
    /// # Errors
    /// When `value` has no JSON form (a map whose keys are not text).
    pub fn serialized<T: Serialize + ?Sized>(self, name: &str, value: &T) -> Result<Self, serde_json::Error> {
        Ok(self.part(name, &serde_json::to_vec(value)?))
    }

    /// 64 hexadecimal digits.
    pub fn finish(self) -> String {
        hexadecimal(&self.digest.finalize())
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    digits.map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4 example: the hash of "abc".
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn content_hash_is_sha256() {
        assert_eq!(content_hash(b"abc"), ABC);
    }

    #[test]
    fn parts_are_told_apart() {
        let hash = |parts: &[(&str, &str)]| {
            parts.iter().fold(PartsHash::new(), |hash, (name, text)| hash.part(name, text.as_bytes())).finish()
        };
        let reference = hash(&[("machine", "nehalem"), ("kernel", "linux")]);
        assert_eq!(reference, hash(&[("machine", "nehalem"), ("kernel", "linux")]));
        assert_ne!(reference, hash(&[("kernel", "linux"), ("machine", "nehalem")]));
        assert_ne!(reference, hash(&[("machine", "nehaleml"), ("kernel", "inux")]));
        assert_ne!(hash(&[("ab", "c")]), hash(&[("a", "bc")]));
    }

    #[test]
    fn a_configuration_hashes_like_its_json() {
        let manifest = Manifest { version: "1".into(), ..Manifest::default() };
        let json = br#"{"version":"1","command":"","config_hash":"","trace_hash":""}"#;
        let hash = PartsHash::new().serialized("manifest", &manifest).expect("text keys only").finish();
        assert_eq!(hash, PartsHash::new().part("manifest", json).finish());
    }
}
