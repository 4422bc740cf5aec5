//! Measures one run of a command.
//!
//! A separate small process (`bench-run`) enters the network namespace of the load, starts the command, drains its
//! output and reads the kernel's resource usage counters. It measures only one command, so that the usage of its
//! children is that of the command.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The maximum number of bytes of the command's stderr that are kept for a message.
const COMPLAINT: usize = 400;

/// The measurements of one run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    /// The time from the start to the end of the process.
    pub wall: Duration,
    /// The CPU time in user mode, of all threads and children.
    pub user: Duration,
    /// The CPU time in kernel mode.
    pub system: Duration,
    /// The peak resident memory in KiB (`ru_maxrss`). At least that of the measuring process, which is 2 to 3 MiB.
    pub peak_kib: u64,
    /// The number of bytes on its stdout.
    pub bytes: u64,
    /// The number of lines on its stdout.
    pub lines: u64,
    /// How it ended.
    pub end: End,
    /// The first line of its stderr.
    pub complaint: String,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With this exit status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// Killed, because it exceeded the time limit.
    OverLimit,
}

/// Measures the command line `words` in the namespaces of process `join`, or in the current ones if that is `None`.
///
/// # Errors
/// Returns an error if the measuring process fails; a failure of the command is reported in [`Run::end`].
pub(crate) fn measure(words: &[OsString], join: Option<u32>, limit: Duration) -> Result<Run> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("bench-run").arg("--limit").arg(limit.as_secs().to_string());
    if let Some(process) = join {
        command.arg("--join").arg(process.to_string());
    }
    let output = command
        .arg("--")
        .args(words)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the measuring process failed");
    Run::parse(&String::from_utf8_lossy(&output.stdout)).context("the measuring process's answer")
}

impl Run {
    /// Formats the line in which the measuring process reports its result.
    fn line(&self) -> String {
        let (kind, code) = match self.end {
            End::Status(code) => ("status", code),
            End::Signal(code) => ("signal", code),
            End::OverLimit => ("limit", 0),
        };
        format!(
            "{} {} {} {} {} {} {kind} {code} {}",
            self.wall.as_nanos(),
            self.user.as_micros(),
            self.system.as_micros(),
            self.peak_kib,
            self.bytes,
            self.lines,
            self.complaint.escape_debug()
        )
    }

    fn parse(line: &str) -> Result<Run> {
        let mut words = line.trim_end().splitn(9, ' ');
        let mut number = || -> Result<u64> {
            let word = words.next().context("too short")?;
            word.parse().with_context(|| format!("`{word}` is no number"))
        };
        let wall = Duration::from_nanos(number()?);
        let user = Duration::from_micros(number()?);
        let system = Duration::from_micros(number()?);
        let (peak_kib, bytes, lines) = (number()?, number()?, number()?);
        let kind = words.next().context("too short")?;
        let code = words.next().context("too short")?.parse()?;
        let end = match kind {
            "status" => End::Status(code),
            "signal" => End::Signal(code),
            "limit" => End::OverLimit,
            other => bail!("`{other}` is no end"),
        };
        let complaint = words.next().unwrap_or_default().to_owned();
        Ok(Run {
            wall,
            user,
            system,
            peak_kib,
            bytes,
            lines,
            end,
            complaint,
        })
    }
}

#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench-run")]
struct Options {
    #[arg(long)]
    join: Option<u32>,
    /// Seconds
    #[arg(long)]
    limit: u64,
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Runs the measuring process.
///
/// # Errors
/// Returns an error if the namespace cannot be entered or the command cannot be started.
pub(crate) fn run() -> Result<()> {
    let options = Options::parse_from(crate::task_arguments());
    if let Some(process) = options.join {
        join(process).with_context(|| format!("joining the namespaces of process {process}"))?;
    }
    println!(
        "{}",
        observe(&options.command, Duration::from_secs(options.limit))?.line()
    );
    Ok(())
}

/// Moves this process into the network namespace of another one, through the other's user namespace if that is
/// different.
fn join(process: u32) -> Result<()> {
    let directory = format!("/proc/{process}/ns");
    if std::fs::read_link(format!("{directory}/user"))? != std::fs::read_link("/proc/self/ns/user")? {
        let user = File::open(format!("{directory}/user"))?;
        move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User))?;
    }
    let network = File::open(format!("{directory}/net"))?;
    Ok(move_into_link_name_space(
        network.as_fd(),
        Some(LinkNameSpaceType::Network),
    )?)
}

/// Starts the command, drains its output and measures it.
fn observe(words: &[OsString], limit: Duration) -> Result<Run> {
    let (name, arguments) = words.split_first().context("no command")?;
    let mut command = Command::new(name);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut drain = Drain::new();

    let begun = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("starting {}", OsStr::display(name)))?;
    let stdout = child.stdout.take().context("its stdout")?;
    let stderr = child.stderr.take().context("its stderr")?;
    let (mut stdout, mut stderr) = (Some(stdout), Some(stderr));
    let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
    let mut over = false;
    loop {
        let mut watched = vec![PollFd::new(&process, PollFlags::IN)];
        watched.extend(stdout.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        watched.extend(stderr.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        let left = limit.saturating_sub(begun.elapsed());
        poll(&mut watched, Some(&Timespec::try_from(left)?))?;
        let mut ready = watched.iter().map(|fd| !fd.revents().is_empty());
        let ended = ready.next() == Some(true);
        let out = stdout.is_some() && ready.next() == Some(true);
        let err = stderr.is_some() && ready.next() == Some(true);
        drop(ready);
        drop(watched);
        if out {
            drain.output(&mut stdout)?;
        }
        if err {
            drain.complaint(&mut stderr)?;
        }
        if ended && !out && !err {
            break;
        }
        if left.is_zero() {
            over = true;
            child.kill()?;
            break;
        }
    }
    let status = child.wait()?;
    let wall = begun.elapsed();

    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let end = match (over, status.code(), status.signal()) {
        (true, _, _) => End::OverLimit,
        (_, Some(code), _) => End::Status(code),
        (_, None, signal) => End::Signal(signal.unwrap_or_default()),
    };
    Ok(Run {
        wall,
        user: duration(usage.user_time()),
        system: duration(usage.system_time()),
        peak_kib: u64::try_from(usage.max_rss()).unwrap_or_default(),
        bytes: drain.bytes,
        lines: drain.lines,
        end,
        complaint: String::from_utf8_lossy(&drain.complaint)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
    })
}

/// The output of the command so far.
struct Drain {
    buffer: Box<[u8]>,
    bytes: u64,
    lines: u64,
    complaint: Vec<u8>,
}

impl Drain {
    fn new() -> Drain {
        // The capacity of a pipe.
        Drain {
            buffer: vec![0; 64 * 1024].into(),
            bytes: 0,
            lines: 0,
            complaint: Vec::new(),
        }
    }

    fn output(&mut self, pipe: &mut Option<impl Read>) -> Result<()> {
        let Some(open) = pipe else { return Ok(()) };
        let got = open.read(&mut self.buffer)?;
        self.bytes += got as u64;
        self.lines += self.buffer[..got].iter().filter(|&&byte| byte == b'\n').count() as u64;
        if got == 0 {
            *pipe = None;
        }
        Ok(())
    }

    fn complaint(&mut self, pipe: &mut Option<impl Read>) -> Result<()> {
        let Some(open) = pipe else { return Ok(()) };
        let got = open.read(&mut self.buffer)?;
        let room = COMPLAINT.saturating_sub(self.complaint.len());
        self.complaint.extend(&self.buffer[..got.min(room)]);
        if got == 0 {
            *pipe = None;
        }
        Ok(())
    }
}

fn duration(time: TimeVal) -> Duration {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
    let micros = u64::try_from(time.tv_usec()).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> Run {
        observe(&["sh".into(), "-c".into(), script.into()], limit).unwrap()
    }

    #[test]
    fn run_reports_bytes_lines_and_exit_status() {
        let run = shell(
            "echo one; echo two >&2; echo three; sleep 0.2; exit 3",
            Duration::from_secs(20),
        );
        assert_eq!((run.bytes, run.lines, run.end), (10, 2, End::Status(3)));
        assert_eq!(run.complaint, "two");
        assert!(run.wall >= Duration::from_millis(200), "{:?}", run.wall);
        assert!(run.peak_kib > 100);
    }

    #[test]
    fn run_with_much_output_counts_all_of_it() {
        let run = shell("head -c 3000000 /dev/zero | tr '\\0' '\\n'", Duration::from_secs(20));
        assert_eq!((run.bytes, run.lines, run.end), (3_000_000, 3_000_000, End::Status(0)));
    }

    #[test]
    fn run_of_slow_command_is_ended_at_limit() {
        let run = shell("exec sleep 60", Duration::from_secs(1));
        assert_eq!(run.end, End::OverLimit);
        assert!(run.wall < Duration::from_secs(30), "{:?}", run.wall);
    }

    #[test]
    fn run_written_and_parsed_is_the_same() {
        let run = Run {
            wall: Duration::from_nanos(1_234_567_891),
            user: Duration::from_micros(5),
            system: Duration::from_micros(6),
            peak_kib: 7,
            bytes: 8,
            lines: 9,
            end: End::Signal(11),
            complaint: "of several words".into(),
        };
        assert_eq!(Run::parse(&run.line()).unwrap(), run);
        assert_eq!(
            Run::parse(
                &Run {
                    complaint: String::new(),
                    ..run.clone()
                }
                .line()
            )
            .unwrap()
            .complaint,
            ""
        );
        assert!(Run::parse("1 2 3").is_err());
        assert!(Run::parse("1 2 3 4 5 6 status x").is_err());
    }
}
