//! `monitor-cost`: measures the cost of `netstat monitor` on a computer with many processes and sockets, and its
//! response time to keys.
//!
//! The load runs in a separate network namespace, and the monitor in a pseudoterminal of this program. Each tab is
//! shown for a while with one refresh per second. The response to a key is complete with the next complete frame.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The end of a frame: the end of a synchronized update.
const FRAME_END: &[u8] = b"\x1b[?2026l";
/// The keys to press: tabs with few and with many rows, a sort order, a page.
const KEYS: [&[u8]; 8] = [b"3", b"5", b"\x1b[C", b"\x1b[C", b">", b"\x1b[6~", b"r", b"1"];

/// Measure what `netstat monitor` costs.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask monitor-cost")]
struct Options {
    /// The program to measure: a release build
    #[arg(long, default_value = "target/release/netstat")]
    program: String,
    /// Numbers of TCP sockets, one row for each
    #[arg(long, value_delimiter = ',', default_value = "10000,100000")]
    sockets: Vec<u64>,
    /// Processes that hold them
    #[arg(long, default_value_t = 1000)]
    processes: u64,
    /// Seconds to measure, shared among the tabs
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Further connections that are opened and closed each second, with 1000 bytes each
    #[arg(long, default_value_t = 0)]
    short: u32,
    /// Size of the terminal
    #[arg(long, default_value = "120x40")]
    size: String,
}

/// Runs the task.
///
/// # Errors
/// Returns an error if a load or a monitor does not start.
pub(crate) fn run() -> Result<()> {
    let options = Options::parse_from(crate::task_arguments());
    let (width, height) = options.size.split_once('x').context("--size is WIDTHxHEIGHT")?;
    let size = (width.parse()?, height.parse()?);
    println!("| sockets | processes | CPU, % of one core | memory, MB | most, MB | key, median ms | key, slowest ms |");
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    for &sockets in &options.sockets {
        let measured = measure(&options, sockets, size)?;
        println!(
            "| {sockets} | {} | {:.1} | {:.0} | {:.0} | {:.0} | {:.0} |",
            options.processes, measured.cpu, measured.memory, measured.most, measured.median, measured.slowest
        );
    }
    Ok(())
}

struct Measured {
    cpu: f64,
    memory: f64,
    most: f64,
    median: f64,
    slowest: f64,
}

/// A child process that is terminated on drop.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // A load ends when its stdin is closed; a monitor must be terminated.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// Opens and closes connections at a steady rate, until it is dropped.
struct ShortConnections(Arc<AtomicBool>);

impl ShortConnections {
    /// Starts `rate` connections per second in a network namespace.
    fn start(namespace: &str, rate: u32) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (space, stopped) = (File::open(namespace)?, Arc::clone(&stop));
        if rate > 0 {
            std::thread::spawn(move || {
                if let Err(error) = short_connections(&space, rate, &stopped) {
                    eprintln!("monitor-cost: short connections: {error}");
                }
            });
        }
        Ok(ShortConnections(stop))
    }
}

impl Drop for ShortConnections {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn short_connections(namespace: &File, rate: u32, stop: &AtomicBool) -> std::io::Result<()> {
    // Only affects this thread.
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let begun = Instant::now();
    for number in 1u32.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let mut near = TcpStream::connect(address)?;
        let (mut far, _) = listener.accept()?;
        near.write_all(&[7; 1000])?;
        drop(near);
        far.read_to_end(&mut Vec::new())?;
        let next = begun + Duration::from_secs(1) * number / rate;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

fn measure(options: &Options, sockets: u64, size: (u16, u16)) -> Result<Measured> {
    let mut load = Command::new("unshare");
    load.arg("-n")
        .arg(std::env::current_exe()?)
        .args(["load", "--tcp", &sockets.to_string()]);
    load.args(["--processes", &options.processes.to_string()]);
    let mut load = Ended(
        load.stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("unshare")?,
    );
    let mut ready = [0; 5];
    let mut said = load.0.stdout.take().context("the load's output")?;
    said.read_exact(&mut ready).context("the load did not come up")?;
    ensure!(ready == *b"READY", "the load did not come up");
    let _short = ShortConnections::start(&format!("/proc/{}/ns/net", load.0.id()), options.short)?;
    // The load must not be blocked by a pipe that nobody reads.
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));

    let home = std::env::temp_dir().join(format!("monitor-cost-{}", std::process::id()));
    std::fs::create_dir_all(&home)?;
    let (mut master, slave) = terminal(size)?;
    let mut monitor = Command::new("nsenter");
    monitor
        .arg(format!("--net=/proc/{}/ns/net", load.0.id()))
        .arg(&options.program)
        .arg("monitor");
    monitor
        .env("HOME", &home)
        .env_remove("XDG_CONFIG_HOME")
        .env("TERM", "xterm-256color");
    monitor
        .stdin(slave.try_clone()?)
        .stdout(slave.try_clone()?)
        .stderr(Stdio::inherit());
    let monitor = Ended(monitor.spawn().context("nsenter")?);
    drop(slave);
    let frames = frames(master.try_clone()?);
    let pid = monitor.0.id();

    // The first refreshes find every owner; the measurement starts after them.
    std::thread::sleep(Duration::from_secs(6));
    let begun = Instant::now();
    let before = ticks(pid)?;
    for tab in [b"1", b"2", b"3", b"4", b"5"] {
        master.write_all(tab)?;
        std::thread::sleep(Duration::from_secs(options.seconds) / 5);
    }
    let used = (ticks(pid)? - before) as f64 / rustix::param::clock_ticks_per_second() as f64;
    let cpu = used / begun.elapsed().as_secs_f64() * 100.0;

    let times = key_times(&mut master, &frames)?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let megabytes = |name: &str| -> Result<f64> {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .context("no such line")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0 / 1e6)
    };
    let measured = Measured {
        cpu,
        memory: megabytes("VmRSS:")?,
        most: megabytes("VmHWM:")?,
        median: times[times.len() / 2],
        slowest: times[times.len() - 1],
    };
    master.write_all(b"\x1bq")?;
    drop(monitor);
    std::fs::remove_dir_all(home)?;
    Ok(measured)
}

/// Returns the response times to keys in milliseconds, in ascending order.
fn key_times(master: &mut File, frames: &Receiver<Instant>) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for round in 0..5 {
        for key in KEYS {
            // At a different time within the second each time.
            std::thread::sleep(Duration::from_millis(137 + round * 31));
            frames.try_iter().for_each(drop);
            let pressed = Instant::now();
            master.write_all(key)?;
            let answered = frames
                .recv_timeout(Duration::from_secs(10))
                .context("a key was not answered")?;
            times.push(answered.saturating_duration_since(pressed).as_secs_f64() * 1000.0);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// Opens a pseudoterminal: the master side for this program, and the slave side for the monitor.
fn terminal((width, height): (u16, u16)) -> Result<(File, OwnedFd)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let slave = File::options().read(true).write(true).open(name.to_str()?)?;
    let size = Winsize {
        ws_row: height,
        ws_col: width,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(slave.as_fd(), size)?;
    Ok((File::from(master), slave.into()))
}

/// Reports the time of each complete frame.
fn frames(mut master: File) -> Receiver<Instant> {
    let (tell, told) = channel();
    std::thread::spawn(move || {
        let mut piece = [0; 65536];
        let mut tail: Vec<u8> = Vec::new();
        // Reading fails after the monitor has ended.
        while let Ok(length @ 1..) = master.read(&mut piece) {
            tail.extend_from_slice(&piece[..length]);
            while let Some(at) = tail.windows(FRAME_END.len()).position(|window| window == FRAME_END) {
                tail.drain(..at + FRAME_END.len());
                if tell.send(Instant::now()).is_err() {
                    return;
                }
            }
            let keep = tail.len().saturating_sub(FRAME_END.len());
            tail.drain(..keep);
        }
    });
    told
}

/// Returns the CPU time of a process in clock ticks.
fn ticks(pid: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the monitor ended")?;
    let (_, fields) = stat.rsplit_once(')').context("no status line")?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    match (fields.next(), fields.next()) {
        (Some(user), Some(system)) => Ok(user.parse::<u64>()? + system.parse::<u64>()?),
        _ => bail!("no times in the status line"),
    }
}
