//! Calls that io_uring of Linux 6.1 has an operation for (include/uapi/linux/io_uring.h), or a close relative of one. Not there:
//! `sendfile` (a splice through a pipe, always by workers), socket options, `fcntl`, `ioctl`, memory and process calls.

/// Operations that the kernel never executes where they are submitted: it hands them to a worker thread.
pub(crate) const PUNTED: &[&str] = &[
    "stat",
    "fstat",
    "lstat",
    "newfstatat",
    "statx",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "fallocate",
    "fadvise64",
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "splice",
    "tee",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "symlink",
    "symlinkat",
    "link",
    "linkat",
    "getxattr",
    "fgetxattr",
    "setxattr",
    "fsetxattr",
];

/// Operations that are tried where they are submitted. Calls that return a number are IORING_OP_NOP.
const INLINE: &[&str] = &[
    "read", "pread64", "readv", "preadv", "preadv2", "recvfrom", "recvmsg", "recvmmsg", "sendto", "sendmsg", "sendmmsg", "accept",
    "accept4", "connect", "socket", "shutdown", "open", "openat", "openat2", "close", "madvise", "poll", "getpid", "getppid",
    "getuid", "geteuid", "getgid", "getegid", "gettid",
];

/// Whether a call can be submitted at all.
pub(super) fn exists(call: &str) -> bool {
    INLINE.contains(&call) || PUNTED.contains(&call)
}
