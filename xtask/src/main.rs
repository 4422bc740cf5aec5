//! Chores of this workspace.

mod services;

use std::ffi::OsStr;

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args_os().skip(1);
    let chore = words.next();
    match chore.as_deref().and_then(OsStr::to_str) {
        Some("services") => services::run(words),
        _ => anyhow::bail!("usage: cargo xtask {}", services::USAGE),
    }
}
