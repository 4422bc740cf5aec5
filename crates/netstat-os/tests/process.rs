//! Facts of single processes, read from real ones and compared with what made them.
#![cfg(target_os = "linux")]

use std::ffi::CString;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use netstat_model::process::{Descriptor, FileStatus, Mapped, ProcessFacts};
use netstat_model::{Fact, Why};
use netstat_os::linux::process::ProcessReader;
use netstat_os::{DescriptorsAsk, NoProcess, ProcessAsk, ProcessText};
use netstat_testkit::skip;

const ALL: ProcessAsk = ProcessAsk {
    environment: true,
    ..ProcessAsk::CARD
};

/// A process that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts `command` and waits until it runs `program` and has come to rest.
    fn start(command: &mut Command, program: &Path) -> Running {
        let running = Running(command.spawn().unwrap());
        let pid = running.0.id();
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let exe = fs::read_link(format!("/proc/{pid}/exe"));
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if exe.is_ok_and(|exe| exe == program) && stat.contains(") S ") {
                return running;
            }
            assert!(Instant::now() < deadline, "{program:?} did not come up: {stat}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn facts(&self, ask: &ProcessAsk) -> ProcessFacts {
        ProcessReader::default().read(self.0.id(), ask).unwrap()
    }
}

/// The program called `name` on this machine.
fn program(name: &str) -> std::path::PathBuf {
    ["/usr/bin", "/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find_map(|path| fs::canonicalize(path).ok())
        .unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn process_facts_agree_with_how_it_was_started() {
    let sleep = program("sleep");
    let directory = tempfile::tempdir().unwrap();
    let directory = fs::canonicalize(directory.path()).unwrap();
    let before = SystemTime::now();
    let running = Running::start(
        Command::new(&sleep)
            .arg("600")
            .env_clear()
            .env("MARK", "a b")
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null()),
        &sleep,
    );
    let facts = running.facts(&ALL);
    let pid = running.0.id();
    assert_eq!(facts.pid, pid);
    assert_eq!(facts.comm, sleep.file_name().unwrap().as_encoded_bytes());
    assert_eq!((facts.state, facts.threads, facts.kernel_thread), (b'S', 1, false));
    assert_eq!(facts.parent, std::process::id());
    let started = facts.started.known().unwrap();
    // Clock ticks are hundredths of a second.
    assert!(started + Duration::from_millis(20) >= before && started <= SystemTime::now());

    let words = facts.arguments.known().unwrap();
    assert_eq!(words, [sleep.as_os_str().as_encoded_bytes(), b"600"]);
    assert_eq!(facts.environment, Fact::Known(vec![b"MARK=a b".to_vec()]));
    assert_eq!(
        facts.directory,
        Fact::Known(directory.as_os_str().as_encoded_bytes().to_vec())
    );

    let found = facts.program.known().unwrap();
    let file = fs::metadata(&sleep).unwrap();
    assert_eq!(
        (found.path.as_slice(), found.place),
        (sleep.as_os_str().as_encoded_bytes(), FileStatus::There)
    );
    let running_file = found.running.known().unwrap();
    assert_eq!(
        (
            running_file.device,
            running_file.inode,
            running_file.links,
            running_file.size
        ),
        (file.dev(), file.ino(), file.nlink(), file.size())
    );
    assert_eq!(
        (running_file.mode, running_file.user, running_file.group),
        (file.mode(), file.uid(), file.gid())
    );
    assert_eq!(
        (
            running_file.changed.seconds,
            i64::from(running_file.changed.nanoseconds)
        ),
        (file.ctime(), file.ctime_nsec())
    );
    assert_eq!(found.current, found.running);
    let above: Vec<Vec<u8>> = found
        .directories
        .known()
        .unwrap()
        .into_iter()
        .map(|dir| dir.path)
        .collect();
    let expected: Vec<Vec<u8>> = sleep
        .ancestors()
        .skip(1)
        .map(|path| path.as_os_str().as_encoded_bytes().to_vec())
        .collect();
    assert_eq!(above, expected);

    let users = facts.users.known().unwrap();
    let owner = fs::metadata(format!("/proc/{pid}")).unwrap().uid();
    assert_eq!(users.effective, owner);
    assert_eq!(facts.tracer, Fact::Known(None));
    for namespace in [
        facts.namespaces.mount,
        facts.namespaces.network,
        facts.namespaces.pid,
        facts.namespaces.user,
    ] {
        assert!(namespace.known().unwrap().ours);
    }
    let open = facts.descriptors.known().unwrap();
    let [input, output, _] = open.standard;
    let null = Descriptor::Path {
        path: b"/dev/null".to_vec(),
        deleted: false,
    };
    assert_eq!(input, Fact::Known(Some(null)));
    assert!(matches!(output, Fact::Known(Some(Descriptor::Pipe(_)))), "{output:?}");
    assert_eq!(
        open.count.known().unwrap(),
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64
    );
    let memory = facts.memory.known().unwrap();
    assert!(memory.resident > 0 && memory.proportional <= memory.resident);
    assert_eq!(memory.private + memory.shared, memory.resident);
    let code = facts.executable.known().unwrap();
    let own = Mapped::File {
        path: sleep.as_os_str().as_encoded_bytes().to_vec(),
        deleted: false,
    };
    let own = code.iter().find(|part| part.what == own).unwrap();
    assert_eq!((own.inode, own.writable), (file.ino(), false));

    let ancestors = facts.ancestors.known().unwrap();
    assert_eq!(ancestors[0].pid, std::process::id());
    let me = std::env::current_exe().unwrap();
    assert_eq!(
        ancestors[0].path,
        Fact::Known(me.as_os_str().as_encoded_bytes().to_vec())
    );
    for pair in ancestors.windows(2) {
        assert_eq!(pair[0].parent, pair[1].pid);
    }
    assert_eq!(ancestors.last().unwrap().parent, 0);
}

#[test]
fn what_is_not_asked_for_is_not_read() {
    let facts = ProcessReader::default()
        .read(std::process::id(), &ProcessAsk::default())
        .unwrap();
    let bare = ProcessFacts::bare(1, 1, Why::NotAsked);
    assert_eq!(facts.arguments, bare.arguments);
    assert_eq!(facts.program, bare.program);
    assert_eq!(facts.users, bare.users);
    assert_eq!(facts.descriptors, bare.descriptors);
    assert_eq!(facts.ancestors, bare.ancestors);
    assert_eq!(facts.namespaces, bare.namespaces);
    assert!(!facts.comm.is_empty() && facts.threads > 0);
}

#[test]
fn removed_or_replaced_program_is_reported_and_readable() {
    let directory = tempfile::tempdir().unwrap();
    let directory = fs::canonicalize(directory.path()).unwrap();
    let copy = directory.join("worker");
    fs::copy(program("sleep"), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    let content = fs::read(&copy).unwrap();
    let running = Running::start(Command::new(&copy).arg("600"), &copy);
    let ask = ProcessAsk {
        program: true,
        ..ProcessAsk::default()
    };
    fs::remove_file(&copy).unwrap();
    let facts = running.facts(&ask);
    let found = facts.program.known().unwrap();
    assert_eq!(
        (found.path.as_slice(), found.place),
        (copy.as_os_str().as_encoded_bytes(), FileStatus::Removed)
    );
    assert_eq!(found.running.known().unwrap().links, 0);
    assert_eq!(found.current, Fact::Unknown(Why::Gone));

    fs::write(&copy, "another").unwrap();
    let facts = running.facts(&ask);
    let found = facts.program.known().unwrap();
    assert_eq!(found.place, FileStatus::Replaced);
    assert_eq!(found.current.known().unwrap().size, 7);

    let mut read = Vec::new();
    let mut reader = ProcessReader::default();
    let mut file = reader.program_file(facts.pid, facts.start_ticks).unwrap();
    file.read_to_end(&mut read).unwrap();
    assert!(read == content, "the running file, not the one at its path");
    let other = reader.program_file(facts.pid, facts.start_ticks + 1);
    assert_eq!(other.err(), Some(Why::Gone));
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn program_named_like_deleted_mark_is_reported_as_present() {
    let directory = tempfile::tempdir().unwrap();
    let copy = fs::canonicalize(directory.path()).unwrap().join("x (deleted)");
    fs::copy(program("sleep"), &copy).unwrap();
    let running = Running::start(Command::new(&copy).arg("600"), &copy);
    let facts = running.facts(&ProcessAsk::CARD);
    let found = facts.program.known().unwrap();
    assert_eq!(
        (found.file_name(), found.place),
        (&b"x (deleted)"[..], FileStatus::There)
    );
}

#[test]
fn program_in_memory_only_is_reported() {
    let name = CString::new("ghost").unwrap();
    // Inherited by the child, which starts it through its own descriptor.
    let memory = rustix::fs::memfd_create(&name, rustix::fs::MemfdFlags::empty()).unwrap();
    let mut file = fs::File::from(memory);
    file.write_all(&fs::read(program("sleep")).unwrap()).unwrap();
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let told = Path::new("/memfd:ghost (deleted)");
    let running = Running::start(Command::new(&path).arg0("sleep").arg("600"), told);
    let facts = running.facts(&ProcessAsk::CARD);
    let found = facts.program.known().unwrap();
    assert_eq!(
        (found.path.as_slice(), found.place),
        (&b"ghost"[..], FileStatus::Memory)
    );
    assert_eq!(found.current, Fact::Unknown(Why::NotApplicable));
    let code = facts.executable.known().unwrap();
    assert!(code.iter().any(|part| part.what == Mapped::Memory(b"ghost".to_vec())));
}

#[test]
fn sockets_are_listed_and_standard_streams_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let facts = ProcessReader::default()
        .read(std::process::id(), &ProcessAsk::CARD)
        .unwrap();
    let link = fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
    let inode: u64 = link.to_str().unwrap()["socket:[".len()..]
        .trim_end_matches(']')
        .parse()
        .unwrap();
    let open = facts.descriptors.known().unwrap();
    assert!(open.sockets.known().unwrap().contains(&inode));
    assert!(open.kinds.known().unwrap().sockets >= 1);

    let short = ProcessAsk {
        descriptors: DescriptorsAsk::Standard,
        ..ProcessAsk::default()
    };
    let facts = ProcessReader::default().read(std::process::id(), &short).unwrap();
    let open = facts.descriptors.known().unwrap();
    assert_eq!(open.sockets, Fact::Unknown(Why::NotAsked));
    assert!(open.count.known().is_none_or(|count| count >= 4));
    assert!(open.standard.iter().all(|stream| stream.why().is_none()));
}

#[test]
fn a_process_whose_first_thread_has_ended_is_still_seen() {
    // The first thread ends by the bare system call; the other one goes on.
    let python = ["/usr/bin/python3", "/usr/local/bin/python3"]
        .into_iter()
        .find_map(|path| fs::canonicalize(path).ok());
    let Some(python) = python else {
        return skip(
            "a_process_whose_first_thread_has_ended_is_still_seen",
            "python3 is not installed",
        );
    };
    let script = "import ctypes,threading,time\n\
        threading.Thread(target=lambda: time.sleep(600)).start()\n\
        ctypes.CDLL(None).pthread_exit(None)";
    let running = Running(Command::new(&python).args(["-c", script]).spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(10);
    let facts = loop {
        let facts = running.facts(&ALL);
        if facts.state == b'Z' {
            break facts;
        }
        assert!(Instant::now() < deadline, "the first thread did not end: {facts:?}");
        std::thread::sleep(Duration::from_millis(10));
    };
    let found = facts.program.known().unwrap();
    assert_eq!(found.path, python.as_os_str().as_encoded_bytes());
    assert_eq!(facts.arguments.known().unwrap()[1], b"-c");
    assert!(facts.descriptors.known().unwrap().kinds.known().unwrap().files > 0);
}

#[test]
fn read_of_thread_and_of_missing_process_give_different_errors() {
    let mut reader = ProcessReader::default();
    // The largest id that Linux ever gives is 2^22.
    assert_eq!(reader.read((1 << 22) + 1, &ALL), Err(NoProcess::None));
    let (tell, told) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        tell.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
        let _ = ended.recv();
    });
    let id = u32::try_from(told.recv().unwrap()).unwrap();
    assert_eq!(reader.read(id, &ALL), Err(NoProcess::ThreadOf(std::process::id())));
    drop(end);
    thread.join().unwrap();
}

#[test]
fn kernel_threads_have_no_program() {
    let mut reader = ProcessReader::default();
    let facts = match reader.read(2, &ProcessAsk::CARD) {
        Ok(facts) if facts.kernel_thread => facts,
        _ => {
            return skip(
                "kernel_threads_have_no_program",
                "process 2 is not a visible kernel thread",
            );
        }
    };
    assert_eq!(facts.comm, b"kthreadd");
    assert_eq!(facts.program, Fact::Unknown(Why::NotApplicable));
    assert_eq!(facts.arguments, Fact::Known(vec![]));
}

#[test]
fn ended_process_is_reported_as_ended() {
    let mut child = Command::new(program("true")).spawn().unwrap();
    let pid = child.id();
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut reader = ProcessReader::default();
    let facts = loop {
        // Ended and not yet waited for.
        let facts = reader.read(pid, &ALL).unwrap();
        if facts.state == b'Z' {
            break facts;
        }
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(2));
    };
    assert_eq!(facts.program.why(), Some(Why::Gone));
    child.wait().unwrap();
    assert_eq!(reader.read(pid, &ALL), Err(NoProcess::None));
    assert_eq!(reader.program_file(pid, facts.start_ticks).err(), Some(Why::Gone));
    assert_eq!(reader.text(pid, facts.start_ticks, ProcessText::Maps), Err(Why::Gone));
}

#[test]
fn file_in_view_of_process_is_opened_by_any_of_its_paths() {
    let directory = tempfile::tempdir().unwrap();
    let directory = fs::canonicalize(directory.path()).unwrap();
    fs::write(directory.join("script"), "content").unwrap();
    std::os::unix::fs::symlink("script", directory.join("link")).unwrap();
    let sleep = program("sleep");
    let running = Running::start(Command::new(&sleep).arg("600").current_dir(&directory), &sleep);
    let facts = running.facts(&ProcessAsk::default());
    let mut reader = ProcessReader::default();
    let mut open = |path: &[u8]| reader.file_in_view(facts.pid, facts.start_ticks, path);
    for name in ["script", "link", "./script", directory.join("script").to_str().unwrap()] {
        let mut text = String::new();
        open(name.as_bytes()).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "content", "{name}");
    }
    assert_eq!(open(b"none").err(), Some(Why::Gone));
    assert_eq!(open(b".").err(), Some(Why::NotApplicable));
    assert_eq!(open(b"/dev/null").err(), Some(Why::NotApplicable));
}

#[test]
fn ordinary_user_sees_only_public_facts() {
    if !rustix::process::geteuid().is_root() {
        return skip(
            "ordinary_user_sees_only_public_facts",
            "needs root to become another user",
        );
    }
    // A thread of its own gives up its rights: they belong to threads.
    let facts = std::thread::spawn(|| {
        let uid = rustix::thread::Uid::from_raw(65_534);
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        // Opened anew, as no right is kept with a descriptor.
        ProcessReader::default().read(1, &ALL).unwrap()
    })
    .join()
    .unwrap();
    assert!(!facts.comm.is_empty());
    assert!(facts.users.why().is_none() && facts.arguments.why().is_none());
    for why in [
        facts.program.why(),
        facts.environment.why(),
        facts.directory.why(),
        facts.descriptors.why(),
        facts.executable.why(),
        facts.namespaces.mount.why(),
    ] {
        assert_eq!(why, Some(Why::NotPermitted));
    }
    assert_eq!(facts.unread().len(), 6);
}

#[test]
fn pipes_and_terminal_peers_are_found() {
    use netstat_model::process::Pipe;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    let name = CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &name,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let fifo = fs::File::options().read(true).write(true).open(&path).unwrap();
    let master = rustix::fs::open("/dev/ptmx", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty()).unwrap();
    let link = fs::read_to_string(format!("/proc/self/fdinfo/{}", master.as_raw_fd())).unwrap();
    let index: u32 = link
        .split_once("tty-index:")
        .unwrap()
        .1
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let facts = ProcessReader::default().read(std::process::id(), &ALL).unwrap();
    let open = facts.descriptors.known().unwrap();
    let (pipes, masters) = (open.pipes.known().unwrap(), open.masters.known().unwrap());
    let inode = fs::metadata(format!("/proc/self/fd/{}", reader.as_raw_fd()))
        .unwrap()
        .ino();
    let ways: Vec<(bool, bool)> = pipes
        .iter()
        .filter(|open| open.pipe == Pipe::Unnamed(inode))
        .map(|open| (open.reads, open.writes))
        .collect();
    assert_eq!(ways, [(false, true), (true, false)]);
    let named = Pipe::Named {
        device: fifo.metadata().unwrap().dev(),
        inode: fifo.metadata().unwrap().ino(),
        path: path.as_os_str().as_encoded_bytes().to_vec(),
    };
    assert!(
        pipes
            .iter()
            .any(|open| open.pipe.is_same(&named) && open.reads && open.writes),
        "{pipes:?}"
    );
    assert!(masters.contains(&index), "{masters:?}");
    drop(writer);
}
