//! `load`: holds many sockets in the network namespace in which it was started, until its stdin is closed.
//!
//! It changes the namespace (brings `lo` up, widens the range of local ports), so it should be run in a new one: with
//! `unshare -n cargo xtask load ...` as root, or `unshare -Urn` as an ordinary user. The sockets are held by worker
//! processes, which run this same program and end when the pipe on their stdin is closed, so that none outlives this
//! process.

pub(crate) mod namespace;
mod share;
pub(crate) mod worker;

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub(crate) use share::Amounts;

/// The number of descriptors that a worker has open in addition to its load.
const SPARE_DESCRIPTORS: u64 = 32;

/// Hold a load of sockets in this network namespace until stdin closes.
///
/// Prints one line that begins with READY when everything is up.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask load")]
struct Options {
    #[command(flatten)]
    amounts: Amounts,
    /// Hold the load even in the namespace of the machine (where lo is up already and other sockets live)
    #[arg(long)]
    here: bool,
}

/// Runs the task: creates the load, prints READY, and waits for the end of stdin.
///
/// # Errors
/// Returns an error if limits are too low, the namespace may not be set up, or a worker fails.
pub(crate) fn run() -> Result<()> {
    let options = Options::parse_from(crate::task_arguments());
    if !options.here && namespace::is_the_first()? {
        bail!(
            "this is the machine's own network namespace; start it under `unshare -n` (user: `unshare -Urn`), or say --here"
        );
    }
    let mut amounts = options.amounts;
    amounts.check()?;
    namespace::prepare().context("setting up the namespace")?;
    if amounts.v6_percent > 0 && !namespace::has_ipv6() {
        eprintln!("load: no IPv6 here, all sockets are IPv4");
        amounts.v6_percent = 0;
    }
    amounts.processes = amounts.processes.max(fewest_processes(&amounts)?);

    let begun = Instant::now();
    let mut workers = Workers::start(&amounts)?;
    workers.wait_until_ready()?;
    println!(
        "READY in {:.1} s: {} TCP, {} UDP in {} processes; {} descriptors in {} processes",
        begun.elapsed().as_secs_f64(),
        amounts.tcp,
        amounts.udp,
        amounts.processes,
        amounts.descriptors,
        amounts.descriptor_processes,
    );
    std::io::stdout().flush()?;
    std::io::stdin().lock().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Returns the minimum number of processes that the limit on open files requires, after raising that limit if permitted
/// (with `CAP_SYS_RESOURCE`, or up to the hard limit).
fn fewest_processes(amounts: &Amounts) -> Result<u64> {
    let wanted = amounts.tcp.max(amounts.descriptors) + amounts.udp + SPARE_DESCRIPTORS;
    let limit = raise_open_files(wanted);
    let room = limit.saturating_sub(SPARE_DESCRIPTORS);
    ensure!(room > 0, "the limit of {limit} open files leaves no room");
    let fewest = amounts.sockets().div_ceil(room).max(1);
    let plain = amounts.descriptors.div_ceil(room);
    ensure!(
        plain <= amounts.descriptor_processes,
        "{} descriptors need {plain} processes under the limit of {limit} open files",
        amounts.descriptors
    );
    Ok(fewest)
}

/// Raises the limit on open files to `wanted` or as far as permitted; returns the resulting limit.
fn raise_open_files(wanted: u64) -> u64 {
    let now = getrlimit(Resource::Nofile);
    if now.current.is_some_and(|soft| soft < wanted) {
        let hard = now.maximum.unwrap_or(u64::MAX);
        let ceiling = std::fs::read_to_string("/proc/sys/fs/nr_open")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(hard);
        let privileged = wanted.min(ceiling);
        let tries = [(privileged, hard.max(privileged)), (wanted.min(hard), hard)];
        for (soft, hard) in tries {
            if setrlimit(
                Resource::Nofile,
                Rlimit {
                    current: Some(soft),
                    maximum: Some(hard),
                },
            )
            .is_ok()
            {
                break;
            }
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// The worker processes, which end on drop.
struct Workers {
    children: Vec<Child>,
    /// Held open so that the stdin of the workers stays open.
    hold: Option<std::fs::File>,
    ready: std::fs::File,
}

impl Workers {
    /// Starts one worker for each share of the load.
    fn start(amounts: &Amounts) -> Result<Workers> {
        // Both pipes are shared by all workers: stdin signals the end; on stdout, each writes one byte when it is
        // ready.
        let (stdin, hold) = pipe_with(PipeFlags::CLOEXEC)?;
        let (ready, stdout) = pipe_with(PipeFlags::CLOEXEC)?;
        let program = std::env::current_exe()?;
        let mut workers = Workers {
            children: Vec::new(),
            hold: Some(hold.into()),
            ready: ready.into(),
        };
        for share in amounts.shares() {
            let child = Command::new(&program)
                .arg("load-worker")
                .args(share.to_arguments())
                .stdin(Stdio::from(stdin.try_clone()?))
                .stdout(Stdio::from(stdout.try_clone()?))
                .spawn()
                .with_context(|| {
                    format!(
                        "starting worker {} of {}",
                        workers.children.len() + 1,
                        amounts.processes
                    )
                })?;
            workers.children.push(child);
        }
        Ok(workers)
    }

    /// Waits until every worker has reported that its share is complete.
    fn wait_until_ready(&mut self) -> Result<()> {
        let mut missing = self.children.len();
        let mut words = [0u8; 256];
        while missing > 0 {
            let got = self.ready.read(&mut words)?;
            // A worker that fails prints the reason on stderr, which it shares with this process.
            ensure!(
                got > 0 && words[..got].iter().all(|&word| word == worker::READY),
                "a worker failed"
            );
            missing = missing.saturating_sub(got);
        }
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.hold = None;
        for child in &mut self.children {
            // Nothing can be done about a worker that cannot be waited for.
            let _ = child.wait();
        }
    }
}
