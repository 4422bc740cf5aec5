//! The descriptor iterator on the running kernel: compared with a plain walk over `/proc`, and in trouble.
//!
//! Most of it needs CAP_BPF and CAP_PERFMON, so root; an ordinary user's run says what it skips. The tests whose name starts
//! with `helper_` are no tests: the others run this file again as a process of its own, with other rights or in other namespaces.
#![cfg(all(target_os = "linux", not(target_arch = "x86")))]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use netstat_os::linux::owners_ebpf::{Holding, TaskFile, Unavailable};
use netstat_testkit::skip;

/// The name the program has in the kernel.
const PROGRAM: &str = "netstat_sockets";
/// Set in the environment of helpers.
const CALLED: &str = "NETSTAT_TEST_HELPER";
/// The user and group `nobody` by number.
const NOBODY: u32 = 65534;

/// The loaded iterator, or `None` after saying why not.
fn iterator(test: &str) -> Option<TaskFile> {
    match TaskFile::load() {
        Ok(iterator) => Some(iterator),
        Err(error) => {
            skip(test, &error.to_string());
            None
        }
    }
}

fn pass(iterator: &TaskFile) -> Vec<Holding> {
    let mut found = Vec::new();
    let stats = iterator
        .holdings(&mut Vec::new(), |holding| {
            found.push(holding);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(stats.holdings, found.len() as u64);
    found
}

fn inode(socket: impl AsFd) -> u32 {
    rustix::fs::fstat(socket).unwrap().st_ino as u32
}

/// Which of `pids` hold which of `inodes`, by reading `/proc/PID/fd`.
fn walk(inodes: &BTreeSet<u32>, pids: &BTreeSet<u32>) -> BTreeMap<u32, BTreeSet<u32>> {
    let mut holders: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for &pid in pids {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
            let Ok(target) = fs::read_link(entry.unwrap().path()) else {
                continue;
            };
            let number = target
                .to_str()
                .and_then(|target| target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            if let Some(number) = number.filter(|number| inodes.contains(number)) {
                holders.entry(number).or_default().insert(pid);
            }
        }
    }
    holders
}

/// A process that ends with the test, however it ends.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that holds `socket` as its standard input and no other socket of ours: a process just started still has, for a moment,
/// what is to be closed when it begins. It gets its name after that (`begin_new_exec` in fs/exec.c).
fn holder(socket: OwnedFd) -> Ends {
    let child = Ends(Command::new("sleep").arg("600").stdin(socket).spawn().unwrap());
    let name = format!("/proc/{}/comm", child.0.id());
    let begun = Instant::now();
    while fs::read(&name).unwrap() != b"sleep\n" {
        assert!(begun.elapsed() < Duration::from_secs(20), "the process does not begin");
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

/// This file again, running one helper.
fn helper(name: &str) -> Command {
    helper_in(std::env::current_exe().unwrap().as_os_str(), name)
}

fn helper_in(program: impl AsRef<std::ffi::OsStr>, name: &str) -> Command {
    let mut command = Command::new(program);
    command
        .args([name, "--exact", "--ignored", "--nocapture"])
        .env(CALLED, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// Starts a helper and waits for its first line that starts with `@`, which it returns without.
fn start(mut command: Command) -> (Ends, String) {
    let mut child = Ends(command.spawn().unwrap());
    let mut reader = BufReader::new(child.0.stdout.take().unwrap());
    let mut line = String::new();
    let said = loop {
        line.clear();
        let length = reader.read_line(&mut line).unwrap();
        assert!(length > 0, "the helper ended without a word");
        if let Some(at) = line.find('@') {
            break line[at + 1..].trim_end().to_owned();
        }
    };
    // Kept open: the test harness in the helper has more to say when it ends.
    child.0.stdout = Some(reader.into_inner());
    (child, said)
}

/// Says one line to the test that started this helper and stays until that test ends.
fn say_and_stay(words: &str) {
    println!("@{words}");
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// Whether this process was started by a test to run one helper, rather than by somebody with `--ignored`.
fn called() -> bool {
    std::env::var_os(CALLED).is_some()
}

/// What loading came to: `ok N` with the sockets seen, or the reason.
fn outcome() -> String {
    match TaskFile::load() {
        Ok(iterator) => format!("ok {}", pass(&iterator).len()),
        Err(error) => error.to_string(),
    }
}

#[test]
#[ignore = "run by other tests"]
fn helper_outcome() {
    if !called() {
        return;
    }
    say_and_stay(&outcome());
}

#[test]
#[ignore = "run by other tests"]
fn helper_outcome_without_locked_memory() {
    if !called() {
        return;
    }
    let nothing = rustix::process::Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(rustix::process::Resource::Memlock, nothing).unwrap();
    say_and_stay(&outcome());
}

#[test]
#[ignore = "run by other tests"]
fn helper_keeps_program() {
    if !called() {
        return;
    }
    let iterator = TaskFile::load().unwrap();
    say_and_stay(&format!("{}", pass(&iterator).len()));
}

/// Answers every `bpf(2)` of this thread, and of what it starts, with `errno`.
fn forbid_bpf(errno: i32) {
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let mut steps = [
        // The first field of struct seccomp_data is the number of the system call.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_bpf as u32),
        step(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | errno as u32,
        ),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: `filter` describes `steps`; both outlive the calls, which copy them.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) == 0
    };
    assert!(done, "{}", std::io::Error::last_os_error());
}

#[test]
#[ignore = "run by other tests"]
fn helper_outcome_where_bpf_is_forbidden() {
    if called() {
        forbid_bpf(libc::EPERM);
        say_and_stay(&outcome());
    }
}

#[test]
#[ignore = "run by other tests"]
fn helper_outcome_where_bpf_does_not_exist() {
    if called() {
        forbid_bpf(libc::ENOSYS);
        say_and_stay(&outcome());
    }
}

/// Processes with more than a million descriptors together, none of them a socket.
#[test]
#[ignore = "run by other tests"]
fn helper_many_plain_descriptors() {
    if !called() {
        return;
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        ..limit
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let null = File::open("/dev/null").unwrap();
    let copies: Vec<OwnedFd> = (0..200_000)
        .map_while(|_| null.as_fd().try_clone_to_owned().ok())
        .collect();
    let mut total = 0;
    while total < 1_100_000 && !copies.is_empty() {
        // SAFETY: the child calls only prctl and pause.
        match unsafe { libc::fork() } {
            0 => unsafe {
                // SAFETY: no pointers; the child ends with the thread that started it.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                loop {
                    libc::pause();
                }
            },
            child if child > 0 => total += copies.len(),
            _ => break,
        }
    }
    say_and_stay(&total.to_string());
}

#[test]
fn holding_has_inode_process_descriptor_and_start() {
    let Some(iterator) = iterator("holding_has_inode_process_descriptor_and_start") else {
        return;
    };
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("[::]:0").unwrap();
    let (unix, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
    let found = pass(&iterator);

    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // Field 22; the name in parentheses may hold spaces.
    let start: u64 = stat
        .rsplit(") ")
        .next()
        .unwrap()
        .split(' ')
        .nth(22 - 3)
        .unwrap()
        .parse()
        .unwrap();
    for socket in [tcp.as_fd(), udp.as_fd(), unix.as_fd()] {
        // Another test's child holds all there is until it has become another program.
        let here = |one: &&Holding| one.inode == inode(socket) && one.pid == std::process::id();
        let own: Vec<&Holding> = found.iter().filter(here).collect();
        assert_eq!(own.len(), 1);
        assert_eq!(own[0].tid, std::process::id());
        assert_eq!(own[0].fd, std::os::fd::AsRawFd::as_raw_fd(&socket) as u32);
        assert_eq!(own[0].start_ticks(rustix::param::clock_ticks_per_second()), start);
    }
}

#[test]
fn passes_can_be_repeated_and_broken_off() {
    let Some(iterator) = iterator("passes_can_be_repeated_and_broken_off") else {
        return;
    };
    let sockets: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let mut buffer = Vec::new();
    for _ in 0..10 {
        let stats = iterator.holdings(&mut buffer, |_| ControlFlow::Break(())).unwrap();
        assert_eq!((stats.holdings, stats.reads), (1, 1));
        let found = pass(&iterator);
        for socket in &sockets {
            assert!(found.iter().any(|one| one.inode == inode(socket)));
        }
    }
}

/// While other threads open and close sockets and start processes as fast as they can, the sockets that live through it all have
/// the same holders by both ways. Processes that live through it count: a process between fork and exec holds everything for a moment.
#[test]
fn both_ways_agree_under_churn() {
    let Some(iterator) = iterator("both_ways_agree_under_churn") else {
        return;
    };
    let mut own: Vec<OwnedFd> = Vec::new();
    for index in 0..400 {
        own.push(match index % 2 {
            0 => TcpListener::bind("127.0.0.1:0").unwrap().into(),
            _ => UdpSocket::bind("[::1]:0")
                .or_else(|_| UdpSocket::bind("127.0.0.1:0"))
                .unwrap()
                .into(),
        });
    }
    let children: Vec<Ends> = (0..8)
        .map(|index| holder(own[index / 2].try_clone().unwrap()))
        .collect();
    let elsewhere = UdpSocket::bind("127.0.0.1:0").unwrap();
    let only_child = inode(&elsewhere);
    let child = holder(elsewhere.into());

    let inodes: BTreeSet<u32> = own.iter().map(inode).chain([only_child]).collect();
    let pids: BTreeSet<u32> = children
        .iter()
        .chain([&child])
        .map(|child| child.0.id())
        .chain([std::process::id()])
        .collect();
    let (stop, opened, started) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let mut passes = 0u32;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut kept = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    kept.push(UdpSocket::bind("127.0.0.1:0").unwrap());
                    opened.fetch_add(1, Ordering::Relaxed);
                    if kept.len() > 50 {
                        kept.clear();
                    }
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let mut child = Command::new("true").spawn().unwrap();
                started.fetch_add(1, Ordering::Relaxed);
                child.wait().unwrap();
            }
        });
        let begun = Instant::now();
        let result = std::panic::catch_unwind(|| {
            let mut passes = 0;
            while begun.elapsed() < Duration::from_secs(3) || passes < 5 {
                let mut seen: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
                for one in pass(&iterator) {
                    if inodes.contains(&one.inode) && pids.contains(&one.pid) {
                        seen.entry(one.inode).or_default().insert(one.pid);
                    }
                }
                let walked = walk(&inodes, &pids);
                let mut different = inodes.iter().filter(|inode| seen.get(inode) != walked.get(inode));
                if let Some(inode) = different.next() {
                    let others = different.count();
                    let (seen, walked) = (seen.get(inode), walked.get(inode));
                    panic!("pass {passes}: {inode}: iterator {seen:?}, walk {walked:?}; and {others} others");
                }
                assert_eq!(seen.len(), inodes.len());
                passes += 1;
            }
            passes
        });
        stop.store(true, Ordering::Relaxed);
        passes = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    eprintln!("{passes} passes, {opened:?} sockets opened, {started:?} processes started meanwhile");
    assert!(opened.into_inner() > 0 && started.into_inner() > 0);
}

#[test]
fn a_thread_with_its_own_descriptors_is_seen() {
    let Some(iterator) = iterator("a_thread_with_its_own_descriptors_is_seen") else {
        return;
    };
    let (say, hear) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        // SAFETY: this thread opens and closes only descriptors of its own afterwards; no other thread relies on them.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FILES) }.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        say.send((inode(&socket), rustix::thread::gettid().as_raw_pid() as u32))
            .unwrap();
        let _ = ended.recv();
    });
    let (inode, tid) = hear.recv().unwrap();
    let found: Vec<Holding> = pass(&iterator).into_iter().filter(|one| one.inode == inode).collect();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].pid, found[0].tid), (std::process::id(), tid));
    let plain = walk(&BTreeSet::from([inode]), &BTreeSet::from([std::process::id()]));
    assert!(plain.is_empty(), "the walk over /proc/PID/fd does not see it");
    drop(end);
    thread.join().unwrap();
}

/// The first thread of a process may end while others go on: `/proc/PID/fd` is empty then, the sockets are still held.
#[test]
fn a_process_whose_first_thread_ended_is_seen() {
    let Some(iterator) = iterator("a_process_whose_first_thread_ended_is_seen") else {
        return;
    };
    extern "C" fn wait_for_ever(_: *mut libc::c_void) -> *mut libc::c_void {
        loop {
            // SAFETY: no arguments, waits for a signal.
            unsafe { libc::pause() };
        }
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    // SAFETY: the child calls only pthread_create, prctl and exit, with memory of its own.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: as above; the thread gets no argument. SYS_exit ends this thread alone.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            let mut thread = std::mem::zeroed();
            libc::pthread_create(&raw mut thread, std::ptr::null(), wait_for_ever, std::ptr::null_mut());
            libc::syscall(libc::SYS_exit, 0);
            libc::_exit(1)
        }
    }
    let pid = child as u32;
    let state = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(") ").next().unwrap().as_bytes()[0]
    };
    let begun = Instant::now();
    while state() != b'Z' && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let ended = state();
    let found: Vec<Holding> = pass(&iterator)
        .into_iter()
        .filter(|one| one.inode == inode(&socket) && one.pid == pid)
        .collect();
    // SAFETY: our own child, not waited for yet.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    assert_eq!(ended, b'Z', "the first thread did not end");
    assert_eq!(found.len(), 1);
    assert_ne!(found[0].tid, pid);
}

#[test]
fn processes_of_inner_pid_namespaces_have_their_outer_number() {
    let Some(iterator) = iterator("processes_of_inner_pid_namespaces_have_their_outer_number") else {
        return;
    };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let number = inode(&socket);
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork", "--kill-child", "sleep", "600"])
        .stderr(Stdio::null());
    let mut outer = Ends(command.stdin(OwnedFd::from(socket)).spawn().unwrap());
    // Its numbers from the outermost namespace inwards. Until it has its name, nothing ends it together with its parent.
    let numbers = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let named = status.starts_with("Name:\tsleep\n");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("NSpid:"))
            .filter(|_| named)
            .unwrap_or_default();
        line.split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect::<Vec<u32>>()
    };
    let begun = Instant::now();
    loop {
        let holders = pass(&iterator)
            .into_iter()
            .filter(|one| one.inode == number)
            .map(|one| one.pid);
        let inner: Vec<Vec<u32>> = holders.map(numbers).filter(|numbers| numbers.len() > 1).collect();
        if let [inner] = inner.as_slice() {
            assert_eq!(inner[1], 1, "the first process of its namespace");
            assert_ne!(inner[0], 1);
            return;
        }
        if outer.0.try_wait().unwrap().is_some() {
            return skip("PID namespace", "none can be made here");
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{inner:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_descriptor_on_its_way_belongs_to_nobody() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

    let Some(iterator) = iterator("a_descriptor_on_its_way_belongs_to_nobody") else {
        return;
    };
    let (sender, _receiver) = std::os::unix::net::UnixStream::pair().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let number = inode(&socket);
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    let descriptors = [socket.as_fd()];
    assert!(message.push(SendAncillaryMessage::ScmRights(&descriptors)));
    rustix::net::sendmsg(
        &sender,
        &[std::io::IoSlice::new(b"x")],
        &mut message,
        SendFlags::empty(),
    )
    .unwrap();
    assert!(pass(&iterator).iter().any(|one| one.inode == number));
    drop(socket);
    // Other tests start processes; one between fork and exec may hold a copy for a moment.
    let begun = Instant::now();
    while pass(&iterator).iter().any(|one| one.inode == number) {
        assert!(begun.elapsed() < Duration::from_secs(10), "it is still found");
    }
}

#[test]
fn sockets_of_all_network_namespaces_are_listed() {
    let Some(iterator) = iterator("sockets_of_all_network_namespaces_are_listed") else {
        return;
    };
    let here = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (say, hear) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let iterator = &iterator;
    let inside = std::thread::scope(|scope| {
        scope.spawn(move || {
            // SAFETY: only this thread changes its network namespace; it has no sockets open and ends with the test.
            let moved = unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) };
            let Ok(()) = moved else {
                say.send(None).unwrap();
                return;
            };
            let socket = UdpSocket::bind("[::]:0")
                .or_else(|_| UdpSocket::bind("0.0.0.0:0"))
                .unwrap();
            say.send(Some((inode(&socket), pass(iterator)))).unwrap();
            let _ = ended.recv();
        });
        let answer = hear.recv().unwrap();
        let outside = pass(iterator);
        drop(end);
        answer.map(|(inode, inside)| (inode, inside, outside))
    });
    let Some((there, inside, outside)) = inside else {
        return skip("network namespace", "needs CAP_SYS_ADMIN");
    };
    for seen in [inside, outside] {
        for socket in [inode(&here), there] {
            // A process that another test starts may hold a copy between fork and exec.
            let own = |one: &&Holding| one.inode == socket && one.pid == std::process::id();
            assert_eq!(seen.iter().filter(own).count(), 1);
        }
    }
}

/// The kernel gives up a read after 1,000,000 descriptors without a word from the program.
#[test]
fn a_million_plain_descriptors_are_passed_over() {
    let Some(iterator) = iterator("a_million_plain_descriptors_are_passed_over") else {
        return;
    };
    let (_many, count) = start(helper("helper_many_plain_descriptors"));
    if count.parse::<u32>().unwrap() <= 1_000_000 {
        return skip(
            "a_million_plain_descriptors_are_passed_over",
            &format!("only {count} descriptors are allowed"),
        );
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let number = inode(&socket);
    // The iterator goes by process number: this process comes after the others, and alone has the socket.
    let last = holder(socket.into());
    let found = pass(&iterator);
    let holders = found.iter().filter(|one| one.inode == number).map(|one| one.pid);
    assert_eq!(holders.collect::<Vec<_>>(), [last.0.id()]);
}

/// Programs of ours that the kernel has, by their numbers.
fn loaded() -> Option<BTreeSet<u32>> {
    let mut numbers = BTreeSet::new();
    for program in aya::programs::loaded_programs() {
        match program {
            Ok(program) if program.name_as_str() == Some(PROGRAM) => {
                numbers.insert(program.id());
            }
            Ok(_) => {}
            // One that ended between being listed and being asked about.
            Err(aya::programs::ProgramError::SyscallError(error))
                if error.io_error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                skip("loaded programs", &format!("they cannot be listed: {error}"));
                return None;
            }
        }
    }
    Some(numbers)
}

/// The number of the program behind a link, as the kernel tells it in `/proc/PID/fdinfo`.
fn program_of(pid: u32) -> Option<u32> {
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
        if text.contains("target_name:\ttask_file") {
            return text
                .lines()
                .find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok());
        }
    }
    None
}

fn wait_until_gone(number: u32) {
    let begun = Instant::now();
    while loaded().is_some_and(|numbers| numbers.contains(&number)) {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "program {number} is still loaded"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn no_program_is_left_behind() {
    if iterator("no_program_is_left_behind").is_none() || loaded().is_none() {
        return;
    }
    for signal in [None, Some(rustix::process::Signal::KILL)] {
        let (mut child, _) = start(helper("helper_keeps_program"));
        let number = program_of(child.0.id()).expect("the child's link is not in its fdinfo");
        assert!(loaded().unwrap().contains(&number), "the child's program is not listed");
        match signal {
            Some(signal) => rustix::process::kill_process(rustix::process::Pid::from_child(&child.0), signal).unwrap(),
            None => drop(child.0.stdin.take()),
        }
        child.0.wait().unwrap();
        wait_until_gone(number);
    }
}

#[test]
fn an_ordinary_user_learns_what_is_missing() {
    if rustix::process::geteuid().is_root() {
        return skip(
            "an_ordinary_user_learns_what_is_missing",
            "this is root; see the test of capabilities",
        );
    }
    assert!(
        matches!(TaskFile::load(), Err(Unavailable::Capabilities { .. })),
        "{}",
        outcome()
    );
}

/// A copy of this file that `nobody` may run, with exactly these file capabilities.
fn capable_copy(folder: &std::path::Path, capabilities: &str) -> Option<std::path::PathBuf> {
    let copy = folder.join(format!("with-{}", capabilities.replace(',', "-")));
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    if capabilities.is_empty() {
        return Some(copy);
    }
    match Command::new("setcap")
        .arg(format!("{capabilities}+ep"))
        .arg(&copy)
        .status()
    {
        Ok(status) if status.success() => Some(copy),
        other => {
            skip("file capabilities", &format!("setcap {capabilities}: {other:?}"));
            None
        }
    }
}

/// `setcap cap_bpf,cap_perfmon+ep` is enough, and nothing less.
#[test]
fn two_capabilities_are_enough_and_both_are_needed() {
    if !rustix::process::geteuid().is_root() || iterator("two_capabilities_are_enough_and_both_are_needed").is_none() {
        return skip("two_capabilities_are_enough_and_both_are_needed", "needs root");
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // A socket of another user's process, which nobody may not look into.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let _other = holder(socket.as_fd().try_clone_to_owned().unwrap());
    for (capabilities, expected) in [
        ("cap_bpf,cap_perfmon", "ok"),
        ("cap_sys_admin", "ok"),
        ("cap_bpf", "CAP_PERFMON is missing"),
        ("cap_perfmon", "CAP_BPF is missing"),
        (
            "cap_sys_ptrace,cap_dac_read_search",
            "CAP_BPF and CAP_PERFMON are missing",
        ),
        ("", "CAP_BPF and CAP_PERFMON are missing"),
    ] {
        let Some(copy) = capable_copy(folder.path(), capabilities) else {
            return;
        };
        let mut command = helper_in(&copy, "helper_outcome");
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        let (_child, said) = start(command);
        match expected {
            "ok" => {
                let count: usize = said
                    .strip_prefix("ok ")
                    .unwrap_or_else(|| panic!("{capabilities}: {said}"))
                    .parse()
                    .unwrap();
                assert!(
                    count >= 2,
                    "{capabilities}: saw {count} sockets, not those of root's processes"
                );
            }
            reason => assert_eq!(said, reason, "with {capabilities:?}"),
        }
    }
}

#[test]
fn no_locked_memory_is_needed() {
    if iterator("no_locked_memory_is_needed").is_none() {
        return;
    }
    let (_child, said) = start(helper("helper_outcome_without_locked_memory"));
    assert!(said.starts_with("ok "), "{said}");
}

/// Where numbers or start times mean something else, the reason is said and nothing is loaded.
#[test]
fn namespaces_of_their_own_are_refused() {
    let root = rustix::process::geteuid().is_root();
    for (arguments, needs_root, expected) in [
        (
            &["--user", "--map-root-user"][..],
            false,
            "not in the initial user namespace",
        ),
        (
            &["--pid", "--fork", "--mount-proc", "--kill-child"],
            true,
            "not in the initial PID namespace",
        ),
        (
            &["--time", "--boottime", "1000", "--fork", "--kill-child"],
            true,
            "not in the initial time namespace",
        ),
    ] {
        if needs_root && !root {
            skip(
                "namespaces_of_their_own_are_refused",
                &format!("{expected}: needs root"),
            );
            continue;
        }
        if !Command::new("unshare")
            .args(arguments)
            .arg("true")
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
        {
            skip(
                "namespaces_of_their_own_are_refused",
                &format!("unshare {arguments:?} does not work here"),
            );
            continue;
        }
        let mut command = helper_in("unshare", "helper_outcome");
        let rest: Vec<std::ffi::OsString> = command.get_args().map(Into::into).collect();
        command = Command::new("unshare");
        command.args(arguments).arg(std::env::current_exe().unwrap()).args(rest);
        command.env(CALLED, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let (_child, said) = start(command);
        assert_eq!(said, expected);
    }
}

#[test]
fn a_filter_on_system_calls_is_recognised() {
    if iterator("a_filter_on_system_calls_is_recognised").is_none() {
        return;
    }
    for (name, expected) in [
        ("helper_outcome_where_bpf_is_forbidden", "bpf(2) is forbidden"),
        ("helper_outcome_where_bpf_does_not_exist", "the kernel has no bpf(2)"),
    ] {
        let (_child, said) = start(helper(name));
        assert!(said.starts_with(expected), "{said}");
    }
}

#[test]
fn a_kernel_without_types_is_recognised() {
    if iterator("a_kernel_without_types_is_recognised").is_none() {
        return;
    }
    let empty = tempfile::tempdir().unwrap();
    let script = "mount --bind \"$1\" /sys/kernel/btf && shift && exec \"$@\"";
    let wrapper = |program: &std::ffi::OsStr| {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(empty.path())
            .arg(program);
        command
    };
    if !wrapper("true".as_ref()).status().is_ok_and(|status| status.success()) {
        return skip("a_kernel_without_types_is_recognised", "nothing can be mounted here");
    }
    let plain = helper("helper_outcome");
    let mut command = wrapper(plain.get_program());
    command
        .args(plain.get_args())
        .env(CALLED, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let (_child, said) = start(command);
    assert!(
        said.starts_with("the kernel does not publish its types (BTF): there is no /sys/kernel/btf/vmlinux"),
        "{said}"
    );
}
