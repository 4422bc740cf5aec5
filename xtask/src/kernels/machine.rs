//! One virtual machine, and what it reports.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Arch, fetch};

/// One boot.
pub(super) struct Guest {
    /// Kernel and case.
    pub(super) title: String,
    /// The kernel's folder.
    pub(super) kernel: PathBuf,
    pub(super) initrd: PathBuf,
    /// Words for the kernel's command line.
    pub(super) words: String,
    pub(super) arch: Arch,
    pub(super) accel: String,
    /// Seconds.
    pub(super) limit: u64,
    /// Where results are kept, a folder for each guest.
    pub(super) folder: PathBuf,
}

/// How one program in the guest ended.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    name: String,
    /// The exit status; `None` when the guest ended before the program did.
    status: Option<i32>,
    output: String,
}

/// Runs all guests, `jobs` at a time, and prints a report. The number of those that failed.
pub(super) fn run_all(guests: Vec<Guest>, jobs: usize) -> Result<usize> {
    let queue = Mutex::new(guests.into_iter());
    let failed = Mutex::new(0);
    let errors = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some(guest) = next else { return };
                    match boot(&guest) {
                        Ok(report) => {
                            let good = report.good();
                            print!("{}", report.text(&guest));
                            if let (false, Ok(mut failed)) = (good, failed.lock()) {
                                *failed += 1;
                            }
                        }
                        Err(error) => {
                            if let Ok(mut errors) = errors.lock() {
                                errors.push(error.context(guest.title.clone()));
                            }
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = errors.into_inner().ok().and_then(|errors| errors.into_iter().next()) {
        return Err(error);
    }
    Ok(failed.into_inner().unwrap_or(usize::MAX))
}

struct Report {
    ended: Vec<Ended>,
    /// Whether the guest came to its end by itself.
    complete: bool,
    seconds: u64,
    /// The end of the console, for a guest that did not.
    console: String,
}

impl Report {
    fn good(&self) -> bool {
        self.complete && !self.ended.is_empty() && self.ended.iter().all(|one| one.status == Some(0))
    }

    fn text(&self, guest: &Guest) -> String {
        let mut text = String::new();
        for one in &self.ended {
            let verdict = match one.status {
                Some(0) => "ok".to_owned(),
                Some(status) => format!("FAILED with status {status}"),
                None => "FAILED: did not end".to_owned(),
            };
            text.push_str(&format!("{}: {}: {verdict}\n", guest.title, one.name));
            for line in one.output.lines() {
                let told = one.status != Some(0) || line.starts_with("skipped ") || line.starts_with("test result:");
                if told {
                    text.push_str(&format!("    {line}\n"));
                }
            }
        }
        if !self.complete {
            text.push_str(&format!(
                "{}: FAILED: the guest did not come to its end; its console:\n",
                guest.title
            ));
            for line in self.console.lines() {
                text.push_str(&format!("    {line}\n"));
            }
        }
        text.push_str(&format!("{}: {} s\n", guest.title, self.seconds));
        text
    }
}

/// Ends qemu when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn boot(guest: &Guest) -> Result<Report> {
    let folder = guest.folder.join(&guest.title);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let console = folder.join("console");
    let output = folder.join("output");
    let mut qemu = match guest.arch {
        Arch::X86 => {
            let mut qemu = Command::new("qemu-system-x86_64");
            qemu.args(["-machine", "q35", "-cpu", "max"]);
            qemu.args(["-serial".into(), format!("file:{}", console.display())]);
            qemu.args(["-serial".into(), format!("file:{}", output.display())]);
            qemu
        }
        Arch::Arm => {
            let mut qemu = Command::new("qemu-system-aarch64");
            qemu.args(["-machine", "virt", "-cpu", "cortex-a72"]);
            qemu.args(["-serial".into(), format!("file:{}", console.display())]);
            qemu.args(["-device", "virtio-serial-pci"]);
            qemu.args(["-chardev".into(), format!("file,id=out,path={}", output.display())]);
            qemu.args(["-device", "virtserialport,chardev=out"]);
            qemu
        }
    };
    let tty = if guest.arch == Arch::X86 { "ttyS0" } else { "ttyAMA0" };
    let line = format!("console={tty} panic=-1 no_timer_check quiet loglevel=4 {}", guest.words);
    qemu.args(["-accel", &guest.accel, "-smp", "2", "-m", "1536M"])
        .args(["-display", "none", "-no-reboot", "-nodefaults", "-net", "none"])
        .arg("-kernel")
        .arg(fetch::kernel_image(&guest.kernel)?)
        .arg("-initrd")
        .arg(&guest.initrd)
        .args(["-append", &line])
        .stdin(Stdio::null());
    let begun = Instant::now();
    let mut running = Running(
        qemu.spawn()
            .context("qemu cannot be started; Debian has it in qemu-system-x86 and qemu-system-arm")?,
    );
    let in_time = loop {
        if let Some(status) = running.0.try_wait()? {
            if !status.success() {
                bail!("qemu: {status}");
            }
            break true;
        }
        if begun.elapsed() > Duration::from_secs(guest.limit) {
            break false;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    drop(running);
    let text = String::from_utf8_lossy(&fs::read(&output).unwrap_or_default()).into_owned();
    let (ended, finished) = parse(&text);
    let console = String::from_utf8_lossy(&fs::read(&console).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = console.lines().collect();
    Ok(Report {
        ended,
        complete: in_time && finished,
        seconds: begun.elapsed().as_secs(),
        console: lines[lines.len().saturating_sub(30)..].join("\n"),
    })
}

/// Reads what the guest wrote: `@@ begin NAME`, output, `@@ status NUMBER`, and `@@ end` last of all. The second value: whether
/// it came to that.
fn parse(text: &str) -> (Vec<Ended>, bool) {
    let mut ended: Vec<Ended> = Vec::new();
    let mut open = false;
    for line in text.lines().map(|line| line.trim_end_matches('\r')) {
        match (line.strip_prefix("@@ "), ended.last_mut()) {
            (Some("end"), _) => return (ended, true),
            (Some(word), last) => {
                if let Some(name) = word.strip_prefix("begin ") {
                    ended.push(Ended {
                        name: name.to_owned(),
                        status: None,
                        output: String::new(),
                    });
                    open = true;
                } else if let (Some(status), Some(last)) = (word.strip_prefix("status "), last) {
                    last.status = status.trim().parse().ok();
                    open = false;
                }
            }
            (None, Some(last)) if open => {
                last.output.push_str(line);
                last.output.push('\n');
            }
            (None, _) => {}
        }
    }
    (ended, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_gives_each_program_its_output_and_status() {
        let text = "noise\n@@ begin one\r\na\nb\n@@ status 0\n@@ begin two\nc\n@@ status 101\n@@ end\nlater\n";
        let (ended, finished) = parse(text);
        assert!(finished);
        assert_eq!(
            ended[0],
            Ended {
                name: "one".into(),
                status: Some(0),
                output: "a\nb\n".into()
            }
        );
        assert_eq!((ended[1].status, ended[1].output.as_str()), (Some(101), "c\n"));
    }

    #[test]
    fn report_of_a_guest_that_died_is_not_complete() {
        let (ended, finished) = parse("@@ begin one\na\n");
        assert!(!finished);
        assert_eq!(ended[0].status, None);
        assert_eq!(parse(""), (Vec::new(), false));
    }
}
