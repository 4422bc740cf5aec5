//! Sockets through sock_diag, or `/proc/net` where netlink is refused.
