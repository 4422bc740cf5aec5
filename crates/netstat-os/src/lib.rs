//! Asks the operating system: the only crate with `unsafe` and with code for one system.
//!
//! [`System`] is the question list; `Linux` answers from netlink and `/proc`. A view never opens a file itself.

#[cfg(target_os = "linux")]
pub mod linux;
