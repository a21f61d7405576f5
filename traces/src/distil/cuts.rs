//! Which functions the cuts of a call go by. A new call needs a line here and nothing else.

use sim_core::block::Cut;

/// The file or socket layer: everything below the system-call function except argument handling.
const FILE_LAYER: &[(&str, &[&str])] = &[
    ("read", &["ksys_read", "vfs_read"]),
    ("pread64", &["ksys_pread64", "vfs_read"]),
    ("readv", &["do_readv", "vfs_readv"]),
    ("write", &["ksys_write", "vfs_write"]),
    ("pwrite64", &["ksys_pwrite64", "vfs_write"]),
    ("writev", &["do_writev", "vfs_writev"]),
    ("sendmsg", &["__sys_sendmsg", "___sys_sendmsg", "____sys_sendmsg"]),
    ("sendmmsg", &["__sys_sendmmsg"]),
    ("sendto", &["__sys_sendto"]),
    ("recvmsg", &["__sys_recvmsg", "___sys_recvmsg"]),
    ("recvmmsg", &["__sys_recvmmsg", "do_recvmmsg"]),
    ("recvfrom", &["__sys_recvfrom"]),
    ("sendfile", &["do_sendfile"]),
    ("open", &["do_sys_openat2"]),
    ("openat", &["do_sys_openat2"]),
    ("accept", &["__sys_accept4", "do_accept"]),
    ("accept4", &["__sys_accept4", "do_accept"]),
    ("socket", &["__sys_socket"]),
    ("connect", &["__sys_connect"]),
    ("shutdown", &["__sys_shutdown"]),
    ("setsockopt", &["__sys_setsockopt"]),
    ("getsockname", &["__sys_getsockname"]),
    ("epoll_wait", &["do_epoll_wait"]),
    ("epoll_pwait", &["do_epoll_pwait.part.0", "do_epoll_wait"]),
    ("epoll_ctl", &["do_epoll_ctl"]),
    ("poll", &["do_sys_poll"]),
    ("select", &["core_sys_select", "do_select"]),
    ("close", &["close_fd", "__close_fd", "filp_close"]),
    ("newfstatat", &["vfs_fstatat", "vfs_statx"]),
    ("stat", &["vfs_statx"]),
    ("lstat", &["vfs_statx"]),
    ("fstat", &["vfs_fstat", "vfs_getattr_nosec"]),
    ("mmap", &["ksys_mmap_pgoff", "vm_mmap_pgoff"]),
    ("munmap", &["__vm_munmap"]),
    ("lseek", &["ksys_lseek"]),
    ("getdents64", &["iterate_dir"]),
    ("fcntl", &["do_fcntl"]),
    ("futex", &["do_futex"]),
];

/// The protocol or file-system function that does the work on an object that has been looked up.
const PROTOCOL: &[(&str, &[&str])] = &[
    ("read", RECEIVE),
    ("readv", RECEIVE),
    ("pread64", RECEIVE),
    ("recvfrom", RECEIVE),
    ("recvmsg", RECEIVE),
    ("recvmmsg", RECEIVE),
    ("write", SEND),
    ("writev", SEND),
    ("pwrite64", SEND),
    ("sendto", SEND),
    ("sendmsg", SEND),
    ("sendmmsg", SEND),
    ("sendfile", &["tcp_sendpage", "generic_file_splice_read", "filemap_splice_read", "splice_direct_to_actor"]),
    ("accept", &["inet_csk_accept"]),
    ("accept4", &["inet_csk_accept"]),
    ("connect", &["tcp_v4_connect", "inet_stream_connect"]),
    ("shutdown", &["inet_shutdown", "tcp_shutdown"]),
    ("setsockopt", &["tcp_setsockopt", "do_tcp_setsockopt", "udp_setsockopt", "sock_setsockopt"]),
    ("close", &["tcp_close", "inet_release"]),
    ("epoll_wait", &["ep_poll"]),
    ("epoll_ctl", &["ep_insert", "ep_modify", "ep_remove"]),
];

const RECEIVE: &[&str] = &[
    "tcp_recvmsg",
    "udp_recvmsg",
    "generic_file_read_iter",
    "ext4_file_read_iter",
    "shmem_file_read_iter",
    "filemap_read",
    "pipe_read",
    "eventfd_read",
    "unix_stream_recvmsg",
];

const SEND: &[&str] = &[
    "tcp_sendmsg",
    "udp_sendmsg",
    "generic_file_write_iter",
    "ext4_file_write_iter",
    "shmem_file_write_iter",
    "generic_perform_write",
    "pipe_write",
    "eventfd_write",
    "unix_stream_sendmsg",
    "tty_write",
];

/// Functions that may be the cut of a call, best first.
pub(crate) fn candidates(call: &str, cut: Cut) -> &'static [&'static str] {
    let table = match cut {
        Cut::FileLayer => FILE_LAYER,
        Cut::Protocol => PROTOCOL,
        Cut::Transmit => return &["__dev_queue_xmit"],
        Cut::ExitWork => return &["task_work_run"],
        Cut::Handler => return &[],
    };
    table.iter().find(|row| row.0 == call).map_or(&[], |row| row.1)
}

/// Functions of the scheduler: the outermost of these around a switch is what is cut out of a call.
pub(crate) const SCHEDULE: &[&str] = &[
    "schedule",
    "__schedule",
    "schedule_idle",
    "schedule_preempt_disabled",
    "preempt_schedule",
    "preempt_schedule_common",
    "preempt_schedule_irq",
    "preempt_schedule_notrace",
];

/// Callers of the scheduler that give the processor up because somebody else wants it.
pub(crate) const PREEMPTION: &[&str] = &[
    "exit_to_user_mode_loop",
    "exit_to_user_mode_prepare",
    "preempt_schedule",
    "preempt_schedule_common",
    "preempt_schedule_irq",
    "preempt_schedule_notrace",
    "__cond_resched",
];
