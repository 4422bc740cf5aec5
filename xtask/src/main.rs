//! Chores of this workspace: `cargo xtask CHORE [options]`.

mod bench;
mod floor;
mod load;
mod services;

use std::process::ExitCode;

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
/// One line per chore that a person calls; the others are parts of `bench`.
const CHORES: &str = "\
chores:
  bench        measure netstat, the floors and its peers under made loads
  load         hold many sockets in this network namespace until stdin closes
  floor-dump   read the raw TCP dump of the kernel and count its rows
  services     make the table of service names anew";

fn main() -> ExitCode {
    let chore = std::env::args().nth(1).unwrap_or_default();
    let words = std::env::args_os().skip(2);
    let done = match chore.as_str() {
        "bench" => bench::run(),
        "bench-run" => bench::measure::run(),
        "load" => load::run(),
        "load-worker" => load::worker::run(),
        "floor-dump" => floor::dump(),
        "floor-iterator" => floor::iterator(),
        "services" => services::run(words),
        "" | "help" | "--help" | "-h" => {
            println!("{CHORES}");
            Ok(())
        }
        other => {
            eprintln!("xtask: no chore is called `{other}`\n{CHORES}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {chore}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The words after `xtask` with the chore's name first, as clap expects them.
fn chore_arguments() -> impl Iterator<Item = std::ffi::OsString> {
    std::env::args_os().skip(1)
}
