//! The one socket option that `rustix` does not offer.

use std::ffi::{c_int, c_void};
use std::os::fd::{AsFd, AsRawFd};

/// `SOL_NETLINK` (linux/socket.h).
const SOL_NETLINK: c_int = 270;
/// `NETLINK_GET_STRICT_CHK` (linux/netlink.h), since Linux 4.20.
const GET_STRICT_CHK: c_int = 12;

unsafe extern "C" {
    /// setsockopt(2), of the C library that `std` is linked with.
    fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, length: u32) -> c_int;
}

/// Makes the kernel check dump requests strictly, and so obey the table asked for. Whether it could is of no interest: the
/// reader checks the table of each row in any case.
pub(super) fn set_strict_checking(socket: impl AsFd) {
    let on: c_int = 1;
    // SAFETY: the descriptor is open for the whole call, the value is an int that lives as long, its size is given, and the
    // kernel only reads it.
    let _ = unsafe {
        setsockopt(
            socket.as_fd().as_raw_fd(),
            SOL_NETLINK,
            GET_STRICT_CHK,
            (&raw const on).cast(),
            size_of::<c_int>() as u32,
        )
    };
}
