//! `cargo xtask attacks`: runs every test that attacks the program, unattended.

use std::process::{Command, ExitCode};

use anyhow::Context;

/// Each attack, with the arguments of `cargo test` that run it.
const ATTACKS: &[(&str, &[&str])] = &[
    (
        "file systems that never answer",
        &["-p", "netstat", "--test", "unresponsive"],
    ),
    (
        "files that other processes choose",
        &["-p", "netstat-os", "--lib", "bounded"],
    ),
    (
        "FIFOs, devices and directories in the place of files",
        &["-p", "netstat", "--test", "named_files"],
    ),
    (
        "names with separators, quotes and formulas",
        &["-p", "netstat", "--test", "hostile_names"],
    ),
    (
        "package databases in foreign roots",
        &["-p", "netstat", "--test", "foreign_root"],
    ),
    ("long and damaged package databases", &["-p", "netstat-packages"]),
    (
        "file capabilities with an ordinary caller",
        &["-p", "netstat", "--test", "capabilities"],
    ),
    (
        "what a confined process may still do",
        &["-p", "netstat-os", "--lib", "confine"],
    ),
    ("confinement of commands", &["-p", "netstat-os", "--test", "confine"]),
    (
        "records of other users, links, damaged and replaced records",
        &["-p", "netstat-record", "--test", "trust"],
    ),
    ("forged snapshots", &["-p", "netstat", "--test", "snapshot"]),
    (
        "disguises, hidden processes and forged files",
        &["-p", "netstat", "--test", "audit"],
    ),
    (
        "a system that refuses and fails",
        &["-p", "netstat", "--test", "trouble"],
    ),
    (
        "terminals of any size",
        &["-p", "netstat", "--test", "monitor", "65535"],
    ),
    ("the server: tokens, hosts, limits", &["-p", "netstat-serve"]),
];

/// Runs all attacks, or those whose description contains one of `words`. `--fuzz` also runs each fuzz target (see `.ci/fuzz`).
pub(crate) fn run(words: impl Iterator<Item = std::ffi::OsString>) -> anyhow::Result<ExitCode> {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let (options, chosen): (Vec<_>, Vec<_>) = words.iter().partition(|word| word.starts_with("--"));
    if let Some(unknown) = options.iter().find(|word| **word != "--fuzz") {
        eprintln!("xtask attacks: unknown option {unknown}; allowed: --fuzz");
        return Ok(ExitCode::from(2));
    }
    let wanted = |what: &str| chosen.is_empty() || chosen.iter().any(|word| what.contains(word.as_str()));
    if !ATTACKS.iter().any(|(what, _)| wanted(what)) {
        eprintln!("xtask attacks: no attack is called so; there are:");
        ATTACKS.iter().for_each(|(what, _)| eprintln!("  {what}"));
        return Ok(ExitCode::from(2));
    }
    let mut failed = Vec::new();
    for (what, arguments) in ATTACKS.iter().filter(|(what, _)| wanted(what)) {
        println!("== {what}");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["test", "--quiet", "--no-fail-fast"])
            .args(*arguments)
            .status()
            .context("cargo cannot be started")?;
        if !status.success() {
            failed.push(*what);
        }
    }
    if !options.is_empty() {
        println!("== fuzz targets");
        let status = Command::new(".ci/fuzz")
            .status()
            .context(".ci/fuzz cannot be started")?;
        if !status.success() {
            failed.push("fuzz targets");
        }
    }
    for what in &failed {
        println!("FAILED: {what}");
    }
    if failed.is_empty() {
        println!("all attacks failed");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}
