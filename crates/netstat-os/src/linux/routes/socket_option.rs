//! A socket option that `rustix` does not provide.

use std::os::fd::{AsFd, AsRawFd};

/// Makes the kernel check dump requests strictly, and therefore honor the requested table (Linux 4.20). Errors are
/// ignored, because the reader checks the table of each row anyway.
pub(super) fn set_strict_checking(socket: impl AsFd) {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open during the call, the value is an int that lives as long, its size is given, and
    // the kernel only reads it.
    let _ = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_GET_STRICT_CHK,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
}
