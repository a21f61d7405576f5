//! A loop with one branch whose directions come from memory: with random directions half of them are predicted wrong.

use std::arch::asm;

/// Goes once over the directions, taking a branch for each zero; gives back how many were not zero.
///
/// Written in machine instructions because a compiler would choose without branching.
#[inline(never)]
pub fn follow(directions: &[u8]) -> u64 {
    let mut ones = 0u64;
    let range = directions.as_ptr_range();
    if directions.is_empty() {
        return ones;
    }
    // SAFETY: reads each byte of the slice once, from its first to before its end, and writes registers only.
    unsafe {
        asm!(
            "2:",
            "movzx {byte:e}, byte ptr [{at}]",
            "inc {at}",
            "test {byte:e}, {byte:e}",
            "jz 3f",
            "inc {ones}",
            "3:",
            "cmp {at}, {end}",
            "jne 2b",
            at = inout(reg) range.start => _,
            end = in(reg) range.end,
            ones = inout(reg) ones,
            byte = out(reg) _,
            options(readonly, nostack),
        );
    }
    ones
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_are_counted() {
        assert_eq!(follow(&[]), 0);
        assert_eq!(follow(&[0, 1, 0, 1, 1]), 3);
        assert_eq!(follow(&[0; 100]), 0);
    }
}
