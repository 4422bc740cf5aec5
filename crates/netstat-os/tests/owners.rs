//! Owners of sockets, found by the walk through processes that the tests start themselves.
#![cfg(target_os = "linux")]

mod owners_kit;

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use netstat_model::{Fact, NoOwner, Owner, Why};
use netstat_os::linux::owners::{Hooks, KernelMade, OwnerReader};
use netstat_testkit::skip;
use owners_kit::*;

/// A process that holds `socket` as its standard input until it is dropped.
struct Holder(Child);

impl Holder {
    fn start(program: &std::path::Path, socket: impl AsFd) -> Self {
        let copy: OwnedFd = socket.as_fd().try_clone_to_owned().unwrap();
        let child = Command::new(program)
            .arg("1000")
            .stdin(Stdio::from(copy))
            .spawn()
            .unwrap();
        Holder(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `sleep` of the system.
fn sleep() -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join("sleep"))
        .find(|file| file.is_file())
        .expect("sleep(1)")
}

/// Waits until `done`, 10 s at most.
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(10), "waiting for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn own_sockets_are_found_with_their_facts() {
    let _alone = alone();
    let (one, two) = (listener(), listener());
    let rows = [row(&one), row(&two)];
    let owners = look(&rows, &ALL);
    for row in &rows {
        let found = holders(&owners, row);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pid, std::process::id());
        let exe = std::fs::read_link("/proc/self/exe").unwrap();
        assert_eq!(name(found[0]), exe.file_name().unwrap().to_string_lossy());
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let start = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap();
        assert_eq!(found[0].start_ticks, Fact::Known(start.parse().unwrap()));
        assert!(found[0].components.why().is_none());
    }
}

#[test]
fn what_is_not_asked_for_is_not_read() {
    let _alone = alone();
    let one = listener();
    let owners = look(&[row(&one)], &IDS);
    let process = holders(&owners, &row(&one))[0];
    assert_eq!(process.image, Fact::Unknown(Why::NotAsked));
    assert_eq!(process.components, Fact::Unknown(Why::NotAsked));
    assert_eq!(process.start_ticks, Fact::Unknown(Why::NotAsked));
}

#[test]
fn shared_socket_belongs_to_all_oldest_first() {
    let _alone = alone();
    let socket = listener();
    let children: Vec<Holder> = (0..4)
        .map(|_| {
            // Starts are counted in ticks of 10 ms.
            std::thread::sleep(Duration::from_millis(25));
            Holder::start(&sleep(), &socket)
        })
        .collect();
    let mut expected = vec![std::process::id()];
    expected.extend(children.iter().map(Holder::pid));
    for ask in [IDS, ALL] {
        assert_eq!(pids(&look(&[row(&socket)], &ask), &row(&socket)), expected);
    }
    // Two descriptors of one socket in a process are one holding.
    let copy = socket.try_clone().unwrap();
    assert_eq!(pids(&look(&[row(&copy)], &IDS), &row(&socket)), expected);
    // Without the parent the oldest child leads.
    let row = row(&socket);
    drop((socket, copy));
    assert_eq!(pids(&look(std::slice::from_ref(&row), &IDS), &row), expected[1..]);
}

#[test]
fn owner_whose_program_was_removed_is_marked_deleted() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let socket = listener();
    let row = row(&socket);
    for (file, remove, expected, deleted) in [
        ("gone", true, "gone", true),
        ("odd (deleted)", false, "odd (deleted)", false),
        ("odd\nname\x1b[2J", true, "odd\nname\x1b[2J", true),
    ] {
        let program = dir.path().join(file);
        std::fs::copy(sleep(), &program).unwrap();
        let child = Holder::start(&program, &socket);
        if remove {
            std::fs::remove_file(&program).unwrap();
        }
        let owners = look(std::slice::from_ref(&row), &ALL);
        let process = *holders(&owners, &row)
            .iter()
            .find(|process| process.pid == child.pid())
            .unwrap();
        assert_eq!(name(process), expected);
        assert_eq!(process.image.as_ref().known().unwrap().deleted, deleted, "{file}");
    }
}

#[test]
fn very_large_tables_are_read_in_pieces() {
    let _alone = alone();
    if is_inner() {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let raised = rustix::process::Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
        let room = limit.maximum.unwrap_or(u64::MAX);
        if room < 9500 {
            return skip("large table", &format!("at most {room} descriptors are allowed here"));
        }
        let null = std::fs::File::open("/dev/null").unwrap();
        // Every tenth one is a socket; a gap of some thousand numbers is in the middle.
        let mut sockets = Vec::new();
        let mut others = Vec::new();
        for i in 0..9300 {
            if i % 10 == 0 {
                sockets.push(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
            } else {
                others.push(null.try_clone().unwrap());
            }
        }
        let rows: Vec<_> = sockets.iter().map(row).collect();
        let all = look(&rows, &ALL);
        assert!(rows.iter().all(|row| pids(&all, row) == [std::process::id()]));
        let high = i32::try_from(room.min(18_000)).unwrap() - 1;
        let far = rustix::io::fcntl_dupfd_cloexec(&sockets[0], high).unwrap();
        assert_eq!(far.as_raw_fd(), high);
        let row = row(&far);
        sockets.remove(0);
        let owners = look(std::slice::from_ref(&row), &IDS);
        assert_eq!(pids(&owners, &row), [std::process::id()]);
        return;
    }
    let output = again(
        &["env"],
        &std::env::current_exe().unwrap(),
        "very_large_tables_are_read_in_pieces",
    );
    assert_passed(&{ output }.output().unwrap());
}

#[test]
fn socket_in_descriptor_table_of_one_thread_has_its_owner() {
    let _alone = alone();
    let (tell, told) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        // SAFETY: the standard library keeps no descriptor that this thread and others both close.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FILES) }.unwrap();
        let socket = listener();
        tell.send(row(&socket)).unwrap();
        let _ = ended.recv();
    });
    let row = told.recv().unwrap();
    let owners = look(std::slice::from_ref(&row), &ALL);
    assert_eq!(pids(&owners, &row), [std::process::id()]);
    assert!(holders(&owners, &row)[0].image.why().is_none());
    drop(end);
    thread.join().unwrap();
}

#[test]
fn process_whose_first_thread_ended_is_still_owner() {
    let _alone = alone();
    let socket = listener();
    let row = row(&socket);
    // SAFETY: the child uses only the allocator and threads, which the C library makes usable again after fork(2).
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        std::thread::spawn(|| std::thread::sleep(Duration::from_secs(60)));
        // SAFETY: exit(2), not exit_group: ends this thread alone.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
    drop(socket);
    let child = child as u32;
    wait_until("the first thread to end", || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap();
        stat.rsplit_once(')').unwrap().1.trim_start().starts_with('Z')
    });
    let owners = look(std::slice::from_ref(&row), &ALL);
    let found = pids(&owners, &row);
    let image = holders(&owners, &row).first().map(|process| process.image.clone());
    // SAFETY: ends the child that was made here and waits for it.
    unsafe {
        libc::kill(child as i32, libc::SIGKILL);
        libc::waitpid(child as i32, std::ptr::null_mut(), 0);
    }
    assert_eq!(found, [child]);
    assert!(image.unwrap().why().is_none());
}

/// An io_uring instance with `socket` registered; `None` where io_uring is not available.
fn ring_with(socket: impl AsFd) -> Option<OwnedFd> {
    use std::os::fd::FromRawFd;
    // `struct io_uring_params` is 120 bytes; all zero asks for the defaults.
    let mut params = [0u8; 120];
    // SAFETY: io_uring_setup(2) writes into the given structure only.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, params.as_mut_ptr()) };
    if ring < 0 {
        return None;
    }
    // SAFETY: the system call has just made this descriptor.
    let ring = unsafe { OwnedFd::from_raw_fd(ring as i32) };
    let files = [socket.as_fd().as_raw_fd()];
    const IORING_REGISTER_FILES: i32 = 2;
    // SAFETY: io_uring_register(2) reads one descriptor number from the array.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            IORING_REGISTER_FILES,
            files.as_ptr(),
            1,
        )
    };
    (result == 0).then_some(ring)
}

#[test]
fn a_socket_that_only_io_uring_holds() {
    let _alone = alone();
    let socket = listener();
    let row = row(&socket);
    let Some(ring) = ring_with(&socket) else {
        return skip("a_socket_that_only_io_uring_holds", "no io_uring here");
    };
    drop(socket);
    let mut reader = OwnerReader::default().remember();
    for _ in 0..3 {
        let (owners, _) = reader.read(std::slice::from_ref(&row), &ALL, Hooks::default());
        assert_eq!(pids(&owners, &row), [std::process::id()]);
    }
    drop(ring);
}

#[test]
fn in_flight_is_said_only_of_a_socket_that_was_seen() {
    let _alone = alone();
    if !is_inner() {
        return in_own_namespace("in_flight_is_said_only_of_a_socket_that_was_seen");
    }
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let socket = listener();
    let row = row(&socket);
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [socket.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    sendmsg(&one, &[std::io::IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
    drop(socket);
    let inode = u32::from(row.inode().unwrap());
    let reason = |in_flight: &[u32]| {
        let mut answer = |_: &[u32]| Some(in_flight.to_vec());
        let hooks = Hooks {
            in_flight: Some(&mut answer),
            ..Hooks::default()
        };
        let (owners, _) = OwnerReader::default().read(std::slice::from_ref(&row), &IDS, hooks);
        owners.of(&row) == Owner::None(NoOwner::InFlight)
    };
    // That some descriptor is on its way proves nothing about this one: it must have been seen.
    assert!(!reason(&[]) && !reason(&[inode + 1]) && reason(&[inode]));
    assert_eq!(
        look(std::slice::from_ref(&row), &IDS).of(&row),
        Owner::None(NoOwner::UnheldHere)
    );
    drop((one, other));
}

#[test]
fn socket_that_ended_meanwhile_has_ended_as_reason() {
    let _alone = alone();
    let socket = listener();
    let row = row(&socket);
    drop(socket);
    let mut asked = Vec::new();
    let mut none = |inodes: &[u32]| {
        asked.extend_from_slice(inodes);
        Some(Vec::new())
    };
    let hooks = Hooks {
        still_there: Some(&mut none),
        ..Hooks::default()
    };
    let (owners, _) = OwnerReader::default().read(std::slice::from_ref(&row), &IDS, hooks);
    assert_eq!(owners.of(&row), Owner::None(NoOwner::Ended));
    assert_eq!(asked, [u32::from(row.inode().unwrap())]);
}

#[test]
fn socket_made_by_kernel_has_kernel_as_reason() {
    let _alone = alone();
    let held = listener();
    let rows = [row(&held), socket(u32::MAX, Some(0))];
    let mut all = |inodes: &[u32]| KernelMade {
        made: inodes.iter().map(|&inode| (inode, None)).collect(),
        others_are_given: true,
    };
    let hooks = Hooks {
        kernel_made: Some(&mut all),
        ..Hooks::default()
    };
    let (owners, _) = OwnerReader::default().read(&rows, &IDS, hooks);
    assert_eq!(pids(&owners, &rows[0]), [std::process::id()]);
    assert_eq!(owners.of(&rows[1]), Owner::None(NoOwner::Kernel));
}

#[test]
fn owners_without_process_list_are_unknown_with_one_limit() {
    let _alone = alone();
    let socket = listener();
    let rows = [row(&socket)];
    let empty = tempfile::tempdir().unwrap();
    for root in [empty.path().to_owned(), empty.path().join("missing")] {
        let mut reader = OwnerReader::new(&root);
        let (owners, limits) = reader.read(&rows, &ALL, Hooks::default());
        assert_eq!(owners.of(&rows[0]), Owner::None(NoOwner::NoProcessList));
        assert_eq!(limits.len(), 1);
        assert_eq!(reader.descriptor_count(), None);
    }
}

#[test]
fn owners_of_no_inode_read_nothing() {
    let _alone = alone();
    let (owners, limits) = OwnerReader::new("/missing").read(&[socket(0, None)], &ALL, Hooks::default());
    assert!(owners.processes().is_empty() && limits.is_empty());
}

#[test]
fn descriptors_are_counted() {
    let _alone = alone();
    let mut reader = OwnerReader::default();
    let Some(before) = reader.descriptor_count() else {
        return skip(
            "descriptors_are_counted",
            "this kernel does not report it (before Linux 6.2)",
        );
    };
    let own = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    assert!(before >= own / 2, "{before} of at least {own}");
}

#[test]
fn owner_pairs_from_another_source_are_verified() {
    let _alone = alone();
    let socket = listener();
    let row = row(&socket);
    let inode = u32::from(row.inode().unwrap());
    let child = Holder::start(&sleep(), &socket);
    let own = std::process::id();
    // One process that never held it, one that does not exist, an inode nobody asked for, and one pair twice.
    let stranger = Holder::start(&sleep(), std::fs::File::open("/dev/null").unwrap());
    let pairs = [
        (inode, child.pid()),
        (inode, own),
        (inode, own),
        (inode, stranger.pid()),
        (inode, u32::MAX),
        (inode + 1, own),
    ];
    let mut reader = OwnerReader::default();
    let result: Result<_, ()> =
        reader.read_with(std::slice::from_ref(&row), &ALL, Hooks::default(), |wanted, found| {
            assert!(wanted.contains(inode) && wanted.len() == 1);
            found.extend_from_slice(&pairs);
            Ok(())
        });
    let (owners, _) = result.unwrap();
    assert_eq!(pids(&owners, &row), [own, child.pid()]);
    let refused = reader.read_with(std::slice::from_ref(&row), &ALL, Hooks::default(), |_, _| Err("no BPF"));
    assert_eq!(refused.unwrap_err(), "no BPF");
}

#[test]
fn repeated_listings_follow_a_socket_between_processes() {
    let _alone = alone();
    let mut reader = OwnerReader::default().remember();
    let first = listener();
    let first_row = row(&first);
    let other = listener();
    let other_row = row(&other);
    let rows = [first_row.clone(), other_row.clone()];
    let own = std::process::id();
    let mut look = |rows: &[netstat_model::Socket]| reader.read(rows, &ALL, Hooks::default()).0;
    assert_eq!(pids(&look(&rows), &first_row), [own]);
    // Handed to a child: the remembered holding is no longer true, and the next look must say so.
    let child = Holder::start(&sleep(), &first);
    drop(first);
    let owners = look(&rows);
    assert_eq!(pids(&owners, &first_row), [child.pid()]);
    assert_eq!(pids(&owners, &other_row), [own]);
    // A socket not seen before.
    let new = listener();
    let new_row = row(&new);
    let rows = [first_row.clone(), other_row.clone(), new_row.clone()];
    for _ in 0..40 {
        let owners = look(&rows);
        assert_eq!(pids(&owners, &first_row), [child.pid()]);
        assert_eq!(pids(&owners, &other_row), [own]);
        assert_eq!(pids(&owners, &new_row), [own]);
    }
    // The number of the descriptor comes to stand for another socket of the same process.
    drop(new);
    let newer = listener();
    let newer_row = row(&newer);
    let owners = look(&[newer_row.clone(), new_row.clone()]);
    assert_eq!(pids(&owners, &newer_row), [own]);
    assert!(pids(&owners, &new_row).is_empty());
    drop(child);
    assert!(pids(&look(std::slice::from_ref(&first_row)), &first_row).is_empty());
}
