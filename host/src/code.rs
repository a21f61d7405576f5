//! Generated code: chains of jumps and nested calls, for what no compiler leaves as it is written. x86-64 only.

use crate::error::HostError;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use std::ptr::null_mut;

const JUMP: u8 = 0xe9;
const CALL: u8 = 0xe8;
const RETURN: u8 = 0xc3;
/// Bytes of a jump or call with a 32-bit distance.
const JUMP_BYTES: usize = 5;
/// Functions of nested calls begin a line apart, as compilers place hot functions at least 16 bytes apart.
const FUNCTION_BYTES: usize = 64;

/// What stands at the bottom of nested calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bottom {
    /// Nothing: only calls and returns.
    Nothing,
    /// A system call without arguments that changes nothing, by its number.
    SystemCall(u32),
}

/// Code that can be run: a loop of what was asked for.
#[derive(Debug)]
pub struct Code {
    start: *mut u8,
    bytes: usize,
    entry: usize,
}

impl Code {
    /// A chain of jumps through `offsets`, in their order and then from the beginning; one jump stands at each.
    ///
    /// # Errors
    /// There is no memory for it, or the system allows no generated code.
    ///
    /// # Panics
    /// Two offsets are nearer than a jump is long.
    pub fn jump_chain(offsets: &[usize]) -> Result<Code, HostError> {
        let mut sorted = offsets.to_vec();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= JUMP_BYTES), "jumps overlap");
        let last = sorted.last().map_or(0, |last| last + FUNCTION_BYTES);
        let mut writer = Writer { bytes: vec![RETURN; last] };
        let tail = last;
        let first = offsets.first().copied().unwrap_or(tail);
        for (index, offset) in offsets.iter().enumerate() {
            writer.branch(*offset, JUMP, offsets.get(index + 1).copied().unwrap_or(tail));
        }
        // dec rdi; jnz first; ret
        writer.bytes.extend([0x48, 0xff, 0xcf, 0x0f, 0x85]);
        writer.distance(first);
        writer.bytes.push(RETURN);
        let entry = writer.bytes.len();
        writer.bytes.extend([JUMP, 0, 0, 0, 0]);
        writer.branch(entry, JUMP, first);
        Code::new(&writer.bytes, entry)
    }

    /// Functions that call each other to this depth, with something at the bottom; depth 0 has it in the loop itself.
    ///
    /// # Errors
    /// As [`Code::jump_chain`].
    pub fn nested_calls(depth: u32, bottom: Bottom) -> Result<Code, HostError> {
        let mut writer = Writer { bytes: Vec::new() };
        let mut callee = None;
        for _ in 0..depth {
            let start = writer.bytes.len().next_multiple_of(FUNCTION_BYTES);
            writer.bytes.resize(start, RETURN);
            writer.call_or(callee, bottom);
            writer.bytes.push(RETURN);
            callee = Some(start);
        }
        let entry = writer.bytes.len().next_multiple_of(FUNCTION_BYTES);
        writer.bytes.resize(entry, RETURN);
        // push rbx; mov rbx, rdi
        writer.bytes.extend([0x53, 0x48, 0x89, 0xfb]);
        let again = writer.bytes.len();
        writer.call_or(callee, bottom);
        // dec rbx; jnz again; pop rbx; ret
        writer.bytes.extend([0x48, 0xff, 0xcb, 0x0f, 0x85]);
        writer.distance(again);
        writer.bytes.extend([0x5b, RETURN]);
        Code::new(&writer.bytes, entry)
    }

    fn new(bytes: &[u8], entry: usize) -> Result<Code, HostError> {
        let refused = || HostError::system(format!("making {} bytes of code", bytes.len()), "measure where generated code may run");
        // SAFETY: a new private mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe { mmap_anonymous(null_mut(), bytes.len(), ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) };
        let start = start.map_err(refused())?.cast::<u8>();
        let code = Code { start, bytes: bytes.len(), entry };
        // SAFETY: the mapping is new, writable and as long as the bytes.
        unsafe { start.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        // SAFETY: the whole mapping of this value, to which nothing refers yet.
        unsafe { mprotect(start.cast(), bytes.len(), MprotectFlags::READ | MprotectFlags::EXEC) }.map_err(refused())?;
        Ok(code)
    }

    /// Runs the loop so many times, at least once.
    pub fn run(&self, laps: u64) {
        // SAFETY: the bytes were written by the functions above and cannot be written since. They follow the calling convention: rdi is
        // the argument, rbx is kept, the stack is balanced, and the only registers they change besides are rax, rcx and r11, which a
        // function may. They touch no memory but the stack.
        let function: extern "sysv64" fn(u64) = unsafe { std::mem::transmute(self.start.add(self.entry)) };
        function(laps.max(1));
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new`, and `run` has returned. A failure leaves it mapped.
        unsafe { munmap(self.start.cast(), self.bytes) }.ok();
    }
}

/// Bytes of code under way.
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A jump or call at a place, to another place.
    fn branch(&mut self, at: usize, opcode: u8, target: usize) {
        let distance = target as i64 - (at + JUMP_BYTES) as i64;
        self.bytes[at] = opcode;
        self.bytes[at + 1..at + JUMP_BYTES].copy_from_slice(&(distance as i32).to_le_bytes());
    }

    /// The distance of a conditional jump whose opcode stands last.
    fn distance(&mut self, target: usize) {
        let distance = target as i64 - (self.bytes.len() + 4) as i64;
        self.bytes.extend((distance as i32).to_le_bytes());
    }

    /// A call of a function or, when there is none, what stands at the bottom.
    fn call_or(&mut self, callee: Option<usize>, bottom: Bottom) {
        match (callee, bottom) {
            (Some(callee), _) => {
                let at = self.bytes.len();
                self.bytes.extend([CALL, 0, 0, 0, 0]);
                self.branch(at, CALL, callee);
            }
            (None, Bottom::Nothing) => {}
            (None, Bottom::SystemCall(number)) => {
                // mov eax, number; syscall
                self.bytes.push(0xb8);
                self.bytes.extend(number.to_le_bytes());
                self.bytes.extend([0x0f, 0x05]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscall;

    #[test]
    fn chains_run_to_their_end() {
        for offsets in [vec![], vec![0], vec![128, 0, 64], (0..1000).rev().map(|slot| slot * 16).collect()] {
            Code::jump_chain(&offsets).unwrap().run(100);
        }
    }

    #[test]
    #[should_panic(expected = "jumps overlap")]
    fn overlapping_jumps_are_refused() {
        Code::jump_chain(&[0, 4]).ok();
    }

    #[test]
    fn a_chain_jumps_in_the_order_asked_for() {
        let mut writer = Writer { bytes: vec![0; 32] };
        writer.branch(16, JUMP, 0);
        assert_eq!(writer.bytes[16..21], [JUMP, 0xeb, 0xff, 0xff, 0xff], "21 bytes back");
        writer.distance(0);
        assert_eq!(writer.bytes[32..], (-36i32).to_le_bytes());
    }

    #[test]
    fn nested_calls_return() {
        for depth in [0, 1, 2, 32, 64] {
            for bottom in [Bottom::Nothing, Bottom::SystemCall(syscall::INVALID), Bottom::SystemCall(syscall::GETUID)] {
                Code::nested_calls(depth, bottom).unwrap().run(3);
            }
        }
    }
}
