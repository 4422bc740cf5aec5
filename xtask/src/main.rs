//! Chores of this workspace.

mod services;

use std::ffi::OsStr;

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args_os().skip(1);
    let chore = words.next();
    match chore.as_deref().and_then(OsStr::to_str) {
        Some("services") => services::run(words),
        _ => anyhow::bail!("usage: cargo xtask {}", services::USAGE),
use std::process::ExitCode;

mod bpf;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["bpf", rest @ ..] => bpf::run(rest),
        _ => {
            eprintln!("usage: cargo xtask bpf [--check]");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
