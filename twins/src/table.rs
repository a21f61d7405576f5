//! The key-value server's own work: find the key of a request, copy its value into the reply.

use crate::case::{MESSAGE_BYTES, Store};

/// Instructions of one request: eight bytes put together, a multiplication, a division, a value copied (release build, x86-64).
pub const SERVE_INSTRUCTIONS: u16 = 60;

/// Values by key.
pub struct Table {
    values: Vec<[u8; MESSAGE_BYTES]>,
}

impl Table {
    /// A store with a value for each key.
    pub fn new(store: Store) -> Table {
        let value = |key: u32| {
            let mut value = [0; MESSAGE_BYTES];
            value.iter_mut().zip(key.to_le_bytes().into_iter().cycle()).for_each(|(byte, of_key)| *byte = of_key);
            value
        };
        Table { values: (0..store.entries.max(1)).map(value).collect() }
    }

    /// All values, by place.
    pub fn values(&self) -> &[[u8; MESSAGE_BYTES]] {
        &self.values
    }

    /// Turns a request into its reply.
    #[inline(never)]
    pub fn serve(&self, message: &mut [u8]) {
        let key = message.iter().take(8).fold(0u64, |key, byte| key << 8 | u64::from(*byte));
        // keys are spread as by a hash function, so that neighbours do not lie beside each other
        let place = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % self.values.len();
        message.copy_from_slice(&self.values[place][..message.len()]);
    }
}

/// The request for the `number`th key asked for.
pub fn request(number: u64) -> [u8; MESSAGE_BYTES] {
    let mut request = [0; MESSAGE_BYTES];
    request[..8].copy_from_slice(&number.to_be_bytes());
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_gets_the_value_of_its_key_and_keys_are_spread() {
        let table = Table::new(Store { entries: 64 });
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..64 {
            let mut message = request(number);
            table.serve(&mut message);
            assert_eq!(message[..4], message[4..8], "a value repeats its key");
            seen.insert(message);
        }
        assert!(seen.len() > 32, "{}", seen.len());
        let (mut one, mut again) = (request(7), request(7));
        table.serve(&mut one);
        table.serve(&mut again);
        assert_eq!(one, again);
    }
}
