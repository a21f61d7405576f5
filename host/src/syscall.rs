//! System calls without a library in between: what is measured is the instruction and the kernel.

use std::arch::asm;

/// A number that no kernel has a call for: the way in, a comparison, the way out.
pub const INVALID: u32 = 1_000_000;
/// `getppid` (x86-64).
pub const GETPPID: u32 = 110;
/// `getuid` (x86-64).
pub const GETUID: u32 = 102;

/// Executes a system call.
///
/// # Safety
/// What the call does with its arguments must be sound: pointers must be valid for what it reads and writes, and it must not take away
/// memory, descriptors or threads that others use.
#[inline(always)]
pub unsafe fn system_call(number: u32, arguments: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel keeps all registers but rax, rcx and r11, which are declared; memory may change as the caller has vouched for.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            in("r9") arguments[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Process number of the parent.
#[inline(always)]
pub fn getppid() -> isize {
    // SAFETY: takes no arguments and changes nothing.
    unsafe { system_call(GETPPID, [0; 6]) }
}

/// A call that does not exist: the kernel answers ENOSYS.
#[inline(always)]
pub fn invalid() -> isize {
    // SAFETY: the kernel changes nothing.
    unsafe { system_call(INVALID, [0; 6]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_reach_the_kernel() {
        const ENOSYS: isize = 38;
        assert_eq!(invalid(), -ENOSYS);
        assert_eq!(getppid(), std::os::unix::process::parent_id() as isize);
        // SAFETY: takes no arguments and changes nothing.
        assert!(unsafe { system_call(GETUID, [0; 6]) } >= 0);
    }
}
