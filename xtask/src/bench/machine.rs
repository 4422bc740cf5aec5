//! The machine on which the measurements were made, and the resources it has.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// The kernel memory of a TCP socket with its file, inode and directory entry: 3.4 KiB, measured with 1,000,000 of
/// them, rounded up.
const BYTES_PER_SOCKET: u64 = 4096;
/// The kernel memory of an open `/dev/null`: only a `struct file`.
const BYTES_PER_DESCRIPTOR: u64 = 512;
/// The memory of a worker process.
const BYTES_PER_PROCESS: u64 = 1 << 20;
/// The memory that must stay free, for the commands and the rest of the machine.
const SPARE_BYTES: u64 = 1 << 30;
/// The number of descriptors that must stay free in the whole system.
const SPARE_FILES: u64 = 20_000;

/// Describes the machine in lines of text: hardware, system, toolchain, and the commit that was built.
pub(crate) fn describe(versions: &[String]) -> Vec<String> {
    let unknown = || "unknown".to_owned();
    let name = rustix::system::uname();
    let cores = std::thread::available_parallelism().map_or_else(|_| unknown(), |n| n.to_string());
    let memory =
        memory("MemTotal:").map_or_else(|_| unknown(), |b| format!("{:.0} GiB", b as f64 / (1u64 << 30) as f64));
    let (processes, descriptors) = others();
    vec![
        format!(
            "{}, {cores} cores, {memory} memory",
            field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
        ),
        format!(
            "{}, {} {}",
            field("/etc/os-release", "PRETTY_NAME").unwrap_or_else(unknown),
            name.sysname().to_string_lossy(),
            name.release().to_string_lossy()
        ),
        format!(
            "as {}; {processes} other processes with {descriptors} descriptors that can be seen",
            if rustix::process::geteuid().is_root() {
                "root"
            } else {
                "an ordinary user"
            },
        ),
        format!("measured: {}", versions.join("; ")),
        format!(
            "{}; commit {}; {}",
            answer("rustc", &["--version"]).unwrap_or_else(unknown),
            commit().unwrap_or_else(unknown),
            answer("date", &["-u", "+%Y-%m-%d"]).unwrap_or_else(unknown)
        ),
    ]
}

/// Returns why the machine does not have the resources for a load; `None` if it does.
pub(crate) fn no_room(sockets: u64, descriptors: u64, processes: u64) -> Option<String> {
    let needed =
        sockets * BYTES_PER_SOCKET + descriptors * BYTES_PER_DESCRIPTOR + processes * BYTES_PER_PROCESS + SPARE_BYTES;
    if let Ok(available) = memory("MemAvailable:")
        && available < needed
    {
        return Some(format!(
            "needs {} MiB of memory, {} are available",
            needed >> 20,
            available >> 20
        ));
    }
    // fs.file-nr: allocated, free, maximum. CAP_SYS_ADMIN may exceed the maximum, but should not.
    let text = fs::read_to_string("/proc/sys/fs/file-nr").ok()?;
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let (used, most) = (*numbers.first()?, *numbers.get(2)?);
    let files = sockets + descriptors + SPARE_FILES;
    (most.saturating_sub(used) < files).then(|| format!("needs {files} open files, fs.file-max leaves {}", most - used))
}

/// Returns a value in `/proc/meminfo` in bytes.
fn memory(name: &str) -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .context("no such line")?;
    let kib: u64 = line.split_whitespace().next().context("an empty line")?.parse()?;
    Ok(kib * 1024)
}

/// Returns the value in the first line `key = value` or `key: value` of a file, without quotes.
fn field(path: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(
        rest.trim_start_matches([' ', '\t', ':', '='])
            .trim_matches('"')
            .to_owned(),
    )
}

/// Returns the number of other processes and of their descriptors, which every command that searches for owners must
/// process.
fn others() -> (u64, u64) {
    let own = std::process::id();
    let (mut processes, mut descriptors) = (0, 0);
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid != own {
            processes += 1;
            descriptors += fs::read_dir(entry.path().join("fd")).map_or(0, |list| list.count() as u64);
        }
    }
    (processes, descriptors)
}

fn answer(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Returns the commit that was built, with a mark if the working tree differs from it.
fn commit() -> Option<String> {
    let commit = answer("git", &["rev-parse", "--short=10", "HEAD"])?;
    let changed = !answer("git", &["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if changed {
        format!("{commit} with changes")
    } else {
        commit
    })
}
