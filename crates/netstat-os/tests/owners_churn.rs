//! Processes that come and go while listings repeat: no socket may ever get another's name.
#![cfg(target_os = "linux")]

mod owners_kit;

use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use netstat_model::Socket;
use netstat_os::linux::owners::{Hooks, OwnerReader};
use owners_kit::*;

/// Process starts and ends, unless the variable `OWNERS_CHURN` says another number: some 20 seconds on a machine with two cores.
const STARTS: u64 = 20_000;

/// How many programs take turns, each with a socket of its own.
const PROGRAMS: usize = 6;

/// Where the holdings come from.
const WAYS: [&str; 3] = ["the walk", "the walk with memory", "pairs"];

/// The largest process id in the test's namespace (Linux 6.14 keeps it for each). After the first round ids begin at 300
/// (`RESERVED_PIDS` of the kernel's kernel/pid.c), so each is used again after some 60 starts.
const SMALL_PID_MAX: &str = "360";

/// `true` of the system: a program that ends at once.
fn short_program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join("true"))
        .find(|file| file.is_file())
        .expect("true(1)")
}

/// Each program is started with its own socket as standard input. A holder of socket N is this test, which made it, or program
/// N; a child that is not yet the program holds copies of all sockets, under this test's name. So the name of program M beside
/// socket N is a wrong owner, whether by an id in use again or by a program changed between two reads.
#[test]
fn no_wrong_name_while_processes_come_and_go() {
    if !is_inner() {
        return in_own_namespace("no_wrong_name_while_processes_come_and_go");
    }
    let starts = std::env::var("OWNERS_CHURN").map_or(STARTS, |number| number.parse().unwrap());
    let reused = std::fs::write("/proc/sys/kernel/pid_max", SMALL_PID_MAX).is_ok();
    let dir = tempfile::tempdir().unwrap();
    let programs: Vec<PathBuf> = (0..PROGRAMS).map(|i| dir.path().join(format!("program{i}"))).collect();
    for program in &programs {
        std::fs::copy(short_program(), program).unwrap();
        std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let sockets: Vec<_> = (0..PROGRAMS).map(|_| listener()).collect();
    let rows: Vec<Socket> = sockets.iter().map(row).collect();
    let own = std::env::current_exe().unwrap();
    let own = own.file_name().unwrap().to_string_lossy().into_owned();

    let done = AtomicBool::new(false);
    let started = AtomicU64::new(0);
    let begun = Instant::now();
    let seen = std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let number = started.fetch_add(1, Ordering::Relaxed);
                    if number >= starts {
                        break;
                    }
                    let slot = number as usize % PROGRAMS;
                    let socket: OwnedFd = sockets[slot].try_clone().unwrap().into();
                    let mut child = Command::new(&programs[slot])
                        .stdin(Stdio::from(socket))
                        .spawn()
                        .unwrap();
                    child.wait().unwrap();
                }
                done.store(true, Ordering::Relaxed);
            });
        }
        let mut readers = [
            OwnerReader::default(),
            OwnerReader::default().remember(),
            OwnerReader::default(),
        ];
        let mut seen = [(0u64, 0u64); 3];
        while !done.load(Ordering::Relaxed) {
            for (way, (reader, (looks, met))) in readers.iter_mut().zip(&mut seen).enumerate() {
                let owners = if WAYS[way] == "pairs" {
                    let told = told_pairs(&rows);
                    let tell = |_: &_, found: &mut Vec<(u32, u32)>| {
                        found.extend_from_slice(&told);
                        Ok::<(), ()>(())
                    };
                    reader.read_with(&rows, &ALL, Hooks::default(), tell).unwrap().0
                } else {
                    reader.read(&rows, &ALL, Hooks::default()).0
                };
                *looks += 1;
                for (slot, row) in rows.iter().enumerate() {
                    let held = holders(&owners, row);
                    assert!(
                        held.iter().any(|process| process.pid == std::process::id()),
                        "{}",
                        WAYS[way]
                    );
                    // A process that ended before its program could be read has no name, so no wrong one.
                    for process in held.iter().filter(|process| process.image.why().is_none()) {
                        let name = name(process);
                        assert!(
                            name == own || name == format!("program{slot}"),
                            "{name} ({}) beside the socket of program{slot}, found by {}, look {looks}",
                            process.pid,
                            WAYS[way],
                        );
                        *met += u64::from(name != own);
                    }
                }
            }
        }
        seen
    });
    let taken = begun.elapsed();
    let looks: u64 = seen.iter().map(|(looks, _)| looks).sum();
    eprintln!(
        "{starts} starts in {:.1} s, ids {}, {looks} looks, short-lived holders met by walk, memory, pairs: {} {} {}",
        taken.as_secs_f64(),
        if reused {
            "used again all the time"
        } else {
            "not used again (pid_max is not ours)"
        },
        seen[0].1,
        seen[1].1,
        seen[2].1,
    );
    assert!(looks > 30 && taken > Duration::ZERO);
    assert!(
        seen[0].1 > 0,
        "no look met a short-lived program: the test shows nothing"
    );
}

/// What a source of pairs would tell: who holds which of the sockets, read without any care.
fn told_pairs(rows: &[Socket]) -> Vec<(u32, u32)> {
    let mut pairs = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        for descriptor in std::fs::read_dir(entry.path().join("fd"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let Ok(target) = std::fs::read_link(descriptor.path()) else {
                continue;
            };
            for row in rows {
                let inode = u32::from(row.inode().unwrap());
                if target.as_os_str() == format!("socket:[{inode}]").as_str() {
                    pairs.push((inode, pid));
                }
            }
        }
    }
    pairs
}
