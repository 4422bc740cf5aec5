//! Metrics of the computer and its processes, compared with what `/proc` says and with what the test itself does.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use netstat_model::metrics::rates::{ProcessRates, SystemRates};
use netstat_model::metrics::{Metrics, ProcessMetrics, ProcessState};
use netstat_model::{Fact, Why};
use netstat_os::{Control, MetricsAsk, Native, System};
use netstat_testkit::skip;

const EVERYTHING: MetricsAsk = MetricsAsk { processes: true };

/// A child that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn shell(script: &str) -> Ended {
    let child = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn();
    Ended(child.expect("a shell starts"))
}

fn process(figures: &Metrics, pid: u32) -> Option<&ProcessMetrics> {
    let all = figures.processes.as_ref().known().expect("there is a process list");
    all.iter().find(|process| process.key.pid == pid)
}

/// The number after `name` in a file of `/proc`.
fn value(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_ascii_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn metrics_of_computer_agree_with_proc() {
    let mut system = Native::default();
    let figures = system.metrics(&MetricsAsk::default()).system;
    assert_eq!(
        figures.memory.total,
        Fact::Known(value("/proc/meminfo", "MemTotal:") * 1024)
    );
    let cpu = figures.cpu.known().unwrap();
    let text = fs::read_to_string("/proc/stat").unwrap();
    let cores = text
        .lines()
        .filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
    assert_eq!(cpu.cores.len(), cores.count());
    let up: f64 = fs::read_to_string("/proc/uptime")
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!((figures.uptime.known().unwrap().as_secs_f64() - up).abs() < 10.0);
    let used = figures.memory.in_use().known().unwrap();
    assert!(used > 0 && used < figures.memory.total.known().unwrap());
    let disks = figures.disks.known().unwrap();
    assert_eq!(
        disks.len(),
        fs::read_to_string("/proc/diskstats").unwrap().lines().count()
    );
    assert!(figures.tcp_connections.why().is_none());
}

#[test]
fn metrics_of_own_process_agree_with_proc() {
    let mut system = Native::default();
    for look in 0..3 {
        let figures = system.metrics(&EVERYTHING);
        let own = process(&figures, std::process::id()).unwrap();
        let status = |name| value("/proc/self/status", name);
        let near = |known: u64, told: u64| known.abs_diff(told) < 32 << 20;
        assert!(
            near(own.resident.known().unwrap(), status("VmRSS:") * 1024),
            "look {look}"
        );
        let shareable = (status("RssFile:") + status("RssShmem:")) * 1024;
        assert!(near(own.shareable.known().unwrap(), shareable), "look {look}");
        assert_eq!(u64::from(own.parent), status("PPid:"));
        assert_eq!(own.identity.user, Fact::Known(rustix::process::geteuid().as_raw()));
        let image = own.identity.image.as_ref().known().unwrap();
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(image.path, std::env::current_exe().unwrap().as_os_str().as_bytes());
        assert!(own.identity.command.as_ref().known().unwrap().len() > 1);
        assert!(own.threads >= 1 && !own.kernel);
    }
}

#[test]
fn processes_not_asked_for_are_not_read() {
    let figures = Native::default().metrics(&MetricsAsk::default());
    assert_eq!(figures.processes, Fact::Unknown(Why::NotAsked));
}

#[test]
fn processor_time_of_busy_process_agrees_with_scheduler() {
    let busy = shell("while :; do :; done");
    let pid = busy.0.id();
    let mut system = Native::default();
    let first = system.metrics(&EVERYTHING);
    std::thread::sleep(Duration::from_secs(1));
    let second = system.metrics(&EVERYTHING);
    let (before, after) = (process(&first, pid).unwrap(), process(&second, pid).unwrap());
    let rates = ProcessRates::between(Some(before), after, second.ticks_per_second);
    // What the scheduler says it got, in nanoseconds (proc_pid_schedstat(5)), is at least as much as the readings saw.
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    let got: f64 = text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9;
    let cpu = rates.cpu.known().unwrap();
    assert!(cpu > 0.0 && cpu <= 1.1, "{cpu}");
    assert!(after.cpu_ticks as f64 / second.ticks_per_second as f64 <= got + 0.05);
    let whole = SystemRates::between(Some(&first.system), &second.system);
    assert!(whole.cpu.known().unwrap().busy > 0.0);
}

#[test]
fn bytes_written_to_storage() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let path = dir.path().join("data");
    let mut system = Native::default();
    let first = system.metrics(&EVERYTHING);
    let before = process(&first, std::process::id()).unwrap().written_bytes;
    let Fact::Known(before) = before else {
        return skip(
            "bytes_written_to_storage",
            "this kernel does not count the input and output of processes",
        );
    };
    let mut file = fs::File::create(path).unwrap();
    file.write_all(&vec![1; 8 << 20]).unwrap();
    file.sync_all().unwrap();
    let second = system.metrics(&EVERYTHING);
    let after = process(&second, std::process::id())
        .unwrap()
        .written_bytes
        .known()
        .unwrap();
    if after == before {
        return skip("bytes_written_to_storage", "/var/tmp is in memory");
    }
    assert!(after - before >= 8 << 20, "{}", after - before);
}

#[test]
fn process_that_starts_executes_and_ends_is_followed() {
    let mut system = Native::default();
    system.metrics(&EVERYTHING);
    let mut child = shell("read word; exec sleep 100");
    let pid = child.0.id();
    let begun = Instant::now();
    let named = |system: &mut Native, name: &[u8]| loop {
        let figures = system.metrics(&EVERYTHING);
        let found = process(&figures, pid).expect("it runs").clone();
        if *found.identity.comm == *name {
            break found;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{found:?}");
        std::thread::sleep(Duration::from_millis(5));
    };
    let shell = named(&mut system, b"sh");
    assert_eq!(shell.parent, std::process::id());
    child.0.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let sleep = named(&mut system, b"sleep");
    assert_eq!(sleep.key, shell.key);
    assert_ne!(sleep.identity.image, shell.identity.image);
    let command: &[u8] = sleep.identity.command.as_ref().known().unwrap();
    assert_eq!(command, b"sleep\x00100\x00");
    child.0.kill().unwrap();
    let begun = Instant::now();
    loop {
        let figures = system.metrics(&EVERYTHING);
        let zombie = process(&figures, pid).expect("it is not yet waited for");
        if zombie.state == ProcessState::Zombie {
            assert_eq!(zombie.resident, Fact::Unknown(Why::NotApplicable));
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
    child.0.wait().unwrap();
    assert!(process(&system.metrics(&EVERYTHING), pid).is_none());
}

#[test]
fn io_of_other_users_is_unknown() {
    if rustix::process::geteuid().is_root() {
        return skip("io_of_other_users_is_unknown", "root may see everything");
    }
    let figures = Native::default().metrics(&EVERYTHING);
    match process(&figures, 1) {
        Some(first) => {
            assert_eq!(first.read_bytes, Fact::Unknown(Why::NotPermitted));
            assert_eq!(first.identity.user, Fact::Known(0));
        }
        None => skip("io_of_other_users_is_unknown", "process 1 is hidden"),
    }
}

#[test]
fn signal_to_process_with_other_start_time_is_refused() {
    use netstat_model::metrics::ProcessKey;
    use netstat_os::Signal;
    let mut child = shell("exec sleep 100");
    let mut system = Native::default();
    let key = process(&system.metrics(&EVERYTHING), child.0.id()).unwrap().key;
    let other = ProcessKey {
        start_ticks: key.start_ticks + 1,
        ..key
    };
    let refused = system.signal(other, Signal::Kill).unwrap_err();
    assert_eq!(refused.to_string(), format!("process {} has ended already", key.pid));
    assert!(child.0.try_wait().unwrap().is_none());
    system.signal(key, Signal::Terminate).unwrap();
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(child.0.wait().unwrap().signal(), Some(15));
    assert!(system.signal(key, Signal::Kill).is_err());
    if !rustix::process::geteuid().is_root() {
        let init = ProcessKey {
            pid: 1,
            start_ticks: key.start_ticks,
        };
        assert!(system.signal(init, Signal::Kill).is_err());
    }
}
