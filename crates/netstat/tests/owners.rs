//! The owners of sockets: process ids, programs, several holders, and the reasons if an owner is unknown.
//!
//! Most tests see only their own processes, so that a busy machine does not slow them down.
#![cfg(target_os = "linux")]

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use netstat_testkit::actors::{self, Actor};
use netstat_testkit::listing::{self, Line};
use netstat_testkit::namespace::real_root;
use netstat_testkit::oracle::{End, TcpState};
use netstat_testkit::peer::Family;
use netstat_testkit::states::AllStates;
use netstat_testkit::{Needs, Netstat, Outcome, own_namespace, skip, trouble};

/// The line below a row whose owner is unknown.
const UNKNOWN: &str = " Can not obtain ownership information";

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

fn listener() -> (TcpListener, End) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().into();
    (listener, at)
}

#[track_caller]
fn row_at(outcome: &Outcome, at: End) -> Line {
    let lines = listing::list(outcome.success());
    let found: Vec<&Line> = lines.iter().filter(|line| line.row.local == at).collect();
    assert_eq!(found.len(), 1, "{at} in\n{}", outcome.stdout);
    found[0].clone()
}

/// Returns the program lines below a row, without those of components.
fn programs(line: &Line) -> Vec<&str> {
    line.below
        .iter()
        .map(String::as_str)
        .filter(|text| !text.starts_with("  "))
        .collect()
}

#[test]
fn pid_shown_is_that_of_the_holder() {
    own_namespace!();
    let (socket, at) = listener();
    let (mine, here) = listener();
    let holder = Actor::named("server").hold(socket);
    let outcome = netstat().run(["-ano"]);
    assert_eq!(row_at(&outcome, at).extra, [holder.pid().to_string()]);
    assert_eq!(row_at(&outcome, here).extra, [std::process::id().to_string()]);
    assert_eq!(outcome.stderr, "");
    let outcome = netstat().run(["-anb"]);
    let line = row_at(&outcome, at);
    assert_eq!(line.extra, [] as [&str; 0]);
    assert_eq!(line.below.last().unwrap(), " [server]");
    let outcome = netstat().run(["-anob"]);
    let line = row_at(&outcome, at);
    assert_eq!(
        (line.extra.concat(), programs(&line)),
        (holder.pid().to_string(), vec![" [server]"])
    );
    drop(mine);
}

#[test]
fn components_are_indented_above_the_program() {
    own_namespace!(Needs::PROCESSES);
    let (socket, at) = listener();
    let _holder = Actor::named("server").hold(socket);
    let line = row_at(&netstat().run(["-anb"]), at);
    let (program, components) = line.below.split_last().unwrap();
    assert_eq!(program, " [server]");
    assert!(
        components
            .iter()
            .all(|text| text.starts_with("  ") && text.as_bytes()[2] != b' '),
        "{line:?}"
    );
}

#[test]
fn socket_with_several_holders_shows_oldest_in_row_and_all_below() {
    own_namespace!(Needs::PROCESSES);
    let (socket, at) = listener();
    // The older process gets the larger PID, so that an order by PID would be noticed.
    if !trouble::set_last_pid(700) {
        return;
    }
    let older = Actor::named("older").hold(socket.try_clone().unwrap());
    // Start times are reported in clock ticks of 10 ms.
    std::thread::sleep(Duration::from_millis(40));
    assert!(trouble::set_last_pid(300));
    let younger = Actor::named("younger").hold(socket);
    assert!(older.pid() > younger.pid());
    let line = row_at(&netstat().run(["-anob"]), at);
    assert_eq!(line.extra, [older.pid().to_string()]);
    assert_eq!(programs(&line), [" [older]", " [younger]"]);
}

#[test]
fn pre_forking_server_is_shown_by_its_parent() {
    own_namespace!(Needs::PROCESSES);
    let (socket, at) = listener();
    let parent = Actor::named("prefork").copies(3).hold(socket);
    let line = row_at(&netstat().run(["-anob"]), at);
    assert_eq!(line.extra, [parent.pid().to_string()]);
    assert_eq!(programs(&line), [" [prefork]"; 4]);
}

#[test]
fn program_whose_file_was_removed_is_marked_deleted() {
    own_namespace!(Needs::PROCESSES);
    let (socket, at) = listener();
    let holder = Actor::named("gone").hold(socket);
    holder.delete_program();
    let line = row_at(&netstat().run(["-anob"]), at);
    assert_eq!(line.extra, [holder.pid().to_string()]);
    assert_eq!(programs(&line), [" [gone] (deleted)"]);
}

#[test]
fn program_named_like_a_deleted_one_is_not_marked_deleted() {
    own_namespace!(Needs::PROCESSES);
    let (socket, at) = listener();
    let _holder = Actor::named("server (deleted)").hold(socket);
    let line = row_at(&netstat().run(["-anb"]), at);
    assert_eq!(programs(&line), [" [server (deleted)]"]);
    // Without brackets around the name, its parenthesis is escaped.
    let row = netstat().run(["-tulpn"]);
    let row = row.success().lines().find(|row| row.contains(&at.to_string())).unwrap();
    assert!(row.ends_with("server \\x28deleted)"), "{row}");
}

#[test]
fn hostile_program_name_forges_no_row_and_is_escaped() {
    own_namespace!(Needs::PROCESSES);
    let (socket, at) = listener();
    let name = b"x]\n  TCP    10.0.0.1:1             0.0.0.0:0\n\x1b[2J\xff\xe2\x80\xaey".to_vec();
    let _holder = Actor::named(OsString::from_vec(name)).hold(socket);
    for words in ["-anb", "-anob"] {
        let outcome = netstat().run([words]);
        let line = row_at(&outcome, at);
        let shown = r" [x]\n  TCP    10.0.0.1:1             0.0.0.0:0\n\e[2J\xff\u{202e}y]";
        assert_eq!(programs(&line), [shown]);
        assert!(
            outcome.stdout.chars().all(|c| c == '\n' || !c.is_control()),
            "{:?}",
            outcome.stdout
        );
    }
    let outcome = netstat().run(["-tlpn"]);
    assert_eq!(listing::list(outcome.success()).len(), 1);
    assert!(
        outcome.stdout.chars().all(|c| c == '\n' || !c.is_control()),
        "{:?}",
        outcome.stdout
    );
}

#[test]
fn sockets_that_no_process_holds_have_pid_0_or_unknown() {
    own_namespace!(Needs::PROCESSES);
    let made = AllStates::make(Family::V4).unwrap();
    let outcome = netstat().run(["-ano"]);
    let own = std::process::id().to_string();
    let lines = listing::list(outcome.success());
    for held in made.sockets.iter().filter(|held| held.state() != TcpState::Bound) {
        let line = lines.iter().find(|line| line.row == held.row).unwrap();
        let expected = match (held.inode, held.state()) {
            (_, TcpState::TimeWait) => "0",
            (0, _) => "-",
            _ => own.as_str(),
        };
        assert_eq!(line.extra, [expected], "{}", held.story);
    }
    let unowned = made.sockets.iter().filter(|held| held.inode == 0).count();
    let all = lines.len();
    assert!(
        outcome.stderr.contains(&format!("{unowned} of {all} owners unknown")),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("1 in TIME_WAIT"), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);

    let lines = listing::list(netstat().run(["-anb"]).success());
    for held in made.sockets.iter().filter(|held| held.inode == 0) {
        let line = lines.iter().find(|line| line.row == held.row).unwrap();
        let expected: &[&str] = if held.state() == TcpState::TimeWait {
            &[]
        } else {
            &[UNKNOWN]
        };
        assert_eq!(line.below, expected, "{}", held.story);
    }
}

#[test]
fn socket_in_flight_between_processes_has_no_owner() {
    own_namespace!(Needs::PROCESSES);
    let (socket, at) = listener();
    let ends = actors::in_flight(socket).unwrap();
    let outcome = netstat().run(["-anob"]);
    let line = row_at(&outcome, at);
    assert_eq!((line.extra.concat().as_str(), programs(&line)), ("-", vec![UNKNOWN]));
    // Without the iterator, nothing shows that the socket is in flight, and nothing says so.
    let known = ["1 on the way", "1 held by no process of this PID namespace"];
    assert!(
        known
            .iter()
            .any(|reason| outcome.stderr.contains(&format!("1 of 1 owner unknown: {reason}"))),
        "{}",
        outcome.stderr
    );
    // Everything is readable here, so more privileges would not help.
    assert!(!outcome.stderr.contains("sudo"), "{}", outcome.stderr);
    drop(ends);
}

#[test]
fn both_ways_to_find_owners_agree() {
    own_namespace!();
    let _states = (
        AllStates::make(Family::V4).unwrap(),
        AllStates::make(Family::V6).unwrap(),
    );
    let _udp = actors::udp_sockets().unwrap();
    let (socket, _) = listener();
    let _prefork = Actor::named("prefork").copies(2).hold(socket);
    let (socket, _) = listener();
    let gone = Actor::named("gone").hold(socket);
    gone.delete_program();
    let (socket, _) = listener();
    let _hostile = Actor::named(OsString::from_vec(b"a\n\xff".to_vec())).hold(socket);
    let walk = netstat().run(["-anob", "--owners", "proc"]);
    assert!(
        listing::list(walk.success())
            .iter()
            .filter(|line| line.extra != ["-"])
            .count()
            > 20
    );
    let auto = netstat().run(["-anob", "--owners", "auto"]);
    assert_eq!((auto.success(), &auto.stderr), (walk.success(), &walk.stderr));
    // An explicitly requested method is used or refused, never replaced silently.
    let iterator = netstat().run(["-anob", "--owners", "ebpf"]);
    if iterator.status.code() == Some(1) {
        assert_eq!(
            (iterator.stdout.as_str(), iterator.stderr.lines().count()),
            ("", 1),
            "{iterator:?}"
        );
        skip("both_ways_to_find_owners_agree (the iterator)", iterator.stderr.trim());
    } else {
        assert_eq!(iterator.success(), walk.success());
    }
}

#[test]
fn unprivileged_list_names_owners_of_own_sockets_only() {
    own_namespace!(Needs::PROCESSES);
    let (mine, forbidden) = listener();
    let (socket, at) = listener();
    let holder = Actor::named("own").unprivileged().hold(socket);
    let netstat = netstat().unprivileged();
    let outcome = netstat.run(["-anob"]);
    let line = row_at(&outcome, at);
    assert_eq!(
        (line.extra.concat(), programs(&line)),
        (holder.pid().to_string(), vec![" [own]"])
    );
    let line = row_at(&outcome, forbidden);
    assert_eq!((line.extra.concat().as_str(), programs(&line)), ("-", vec![UNKNOWN]));
    let once = |words: &str| assert_eq!(outcome.stderr.matches(words).count(), 1, "{words}: {}", outcome.stderr);
    once("1 of 2 owners unknown: 1 not permitted");
    // As root of a user namespace without capabilities, the other kind of unprivileged user here, sudo would be no
    // help.
    if real_root() {
        once("1 not permitted (try sudo)");
        once("setcap ");
    }
    // A list that does not need owners reports nothing about them.
    assert_eq!(netstat.run(["-an"]).stderr, "");
    drop(mine);
}

#[test]
fn the_advice_about_capabilities_is_true() {
    own_namespace!();
    let (mine, at) = listener();
    let before = netstat().unprivileged().run(["-anob"]);
    assert_eq!(row_at(&before, at).extra, ["-"]);
    if !real_root() {
        return skip(
            "the_advice_about_capabilities_is_true",
            "file capabilities need the real root",
        );
    }
    let (_, advice) = before.stderr.split_once("setcap ").expect("advice on stderr");
    let capabilities = advice.split_whitespace().next().unwrap();
    let Some(netstat) = netstat().with_capabilities(capabilities) else {
        return;
    };
    let outcome = netstat.run(["-anob"]);
    let line = row_at(&outcome, at);
    assert_eq!(line.extra, [std::process::id().to_string()]);
    assert_ne!(programs(&line), [UNKNOWN]);
    assert_eq!(outcome.stderr, "");
    drop(mine);
}

#[test]
fn ports_by_process_begin_with_the_process_that_holds_most() {
    own_namespace!(Needs::PROCESSES);
    let mine: Vec<_> = (0..4).map(|_| listener()).collect();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (socket, _) = listener();
    let holder = Actor::named("single").hold(socket);
    let outcome = netstat().run(["-c"]);
    let text = outcome.success();
    let words_of = |pid: u32| {
        let pid = pid.to_string();
        let found = text
            .lines()
            .position(|line| line.split_whitespace().nth(2) == Some(&pid));
        let at = found.unwrap_or_else(|| panic!("process {pid} in\n{text}"));
        (at, text.lines().nth(at).unwrap().split_whitespace().collect::<Vec<_>>())
    };
    let (first, own) = words_of(std::process::id());
    let (second, single) = words_of(holder.pid());
    assert!(first < second, "{text}");
    assert!(own.contains(&"4") && own.contains(&"1"), "{text}");
    assert!(
        single.contains(&"single") && single.contains(&"1") && single.contains(&"0"),
        "{text}"
    );
    drop((mine, udp));
}

#[test]
fn kernel_socket_names_its_interface() {
    own_namespace!();
    let made = |words: &[&str]| {
        let output = netstat_testkit::namespace::tool("ip").args(words).output().unwrap();
        output.status.success()
    };
    let vxlan = ["link", "add", "vx0", "type", "vxlan", "id", "5", "dstport", "4789"];
    let geneve = ["link", "add", "gv0", "type", "geneve", "id", "6", "remote", "192.0.2.1"];
    if !(made(&vxlan) && made(&["link", "set", "vx0", "up"])) {
        return skip("kernel_socket_names_its_interface", "no VXLAN here");
    }
    let has_geneve = made(&geneve) && made(&["link", "set", "gv0", "up"]);
    for netstat in [netstat(), netstat().unprivileged()] {
        let outcome = netstat.run(["-ano", "-p", "udp", "--port", "4789"]);
        let lines = listing::list(outcome.success());
        assert!(
            !lines.is_empty() && lines.iter().all(|line| line.extra == ["-"]),
            "{}",
            outcome.stdout
        );
        let expected = format!("{} of the kernel itself (VXLAN interface vx0)", lines.len());
        assert!(outcome.stderr.contains(&expected), "{}", outcome.stderr);
    }
    if has_geneve {
        let outcome = netstat().run(["-ano", "-p", "udp", "--port", "6081"]);
        assert!(outcome.stderr.contains("(GENEVE interface gv0)"), "{}", outcome.stderr);
    }
    // A socket that a process holds, too, belongs to that process.
    let (socket, at) = listener();
    let outcome = netstat().run(["-ano"]);
    assert_eq!(row_at(&outcome, at).extra, [std::process::id().to_string()]);
    drop(socket);
    let outcome = netstat().run(["inspect", "udp:4789", "--sample", "0"]);
    let expected = "process    none: a socket of the kernel itself, for VXLAN interface vx0";
    assert!(outcome.stdout.contains(expected), "{}", outcome.stdout);
}

/// A process whose directory in /proc is covered by an empty one is still found, and the cover is reported.
fn process_under_a_mount(needs_iterator: bool) {
    let (socket, at) = listener();
    let mut holder = netstat_testkit::namespace::tool("sleep")
        .arg("1000")
        .stdin(std::process::Stdio::from(std::os::fd::OwnedFd::from(socket)))
        .spawn()
        .unwrap();
    let pid = holder.id();
    let empty = tempfile::tempdir().unwrap();
    let mount = |words: &[&std::ffi::OsStr]| {
        let output = netstat_testkit::namespace::tool(&words[0].to_string_lossy())
            .args(&words[1..])
            .output();
        assert!(output.unwrap().status.success(), "{words:?}");
    };
    let over = format!("/proc/{pid}");
    mount(&[
        "mount".as_ref(),
        "--bind".as_ref(),
        empty.path().as_os_str(),
        over.as_ref(),
    ]);
    let owners = if needs_iterator { "ebpf" } else { "proc" };
    let outcome = netstat().run(["-ano", "--owners", owners]);
    assert_eq!(row_at(&outcome, at).extra, [pid.to_string()]);
    let outcome = netstat().run(["-anb", "--owners", owners]);
    assert_eq!(programs(&row_at(&outcome, at)), [" [sleep]"]);
    let expected = format!("process {pid} is hidden from the process list: a mount covers /proc/{pid}");
    assert!(outcome.stderr.contains(&expected), "{}", outcome.stderr);
    let outcome = netstat().run(["inspect", &at.to_string(), "--sample", "0"]);
    assert!(outcome.stdout.contains(&format!("sleep [{pid}]")), "{}", outcome.stdout);
    let outcome = netstat().run(["audit", "--fail-on", "critical"]);
    let expected = format!("process {pid} is hidden from the process list and holds sockets");
    assert!(outcome.stdout.contains(&expected), "{}", outcome.stdout);
    assert_eq!(outcome.status.code(), Some(3), "{}", outcome.stdout);
    mount(&["umount".as_ref(), over.as_ref()]);
    let outcome = netstat().run(["-ano", "--owners", owners]);
    assert!(!outcome.stderr.contains("hidden"), "{}", outcome.stderr);
    holder.kill().unwrap();
    holder.wait().unwrap();
}

#[test]
fn process_under_a_mount_is_found_by_the_walk() {
    own_namespace!(Needs::PROCESSES);
    process_under_a_mount(false);
}

#[test]
fn process_under_a_mount_is_found_by_the_iterator() {
    own_namespace!();
    let refused = netstat().run(["-ano", "--owners", "ebpf"]);
    if refused.status.code() != Some(0) {
        return skip("process_under_a_mount_is_found_by_the_iterator", refused.stderr.trim());
    }
    process_under_a_mount(true);
}

#[test]
fn descriptor_in_flight_explains_no_other_socket() {
    own_namespace!();
    if !netstat_testkit::have("unshare") {
        return skip("descriptor_in_flight_explains_no_other_socket", "no unshare here");
    }
    // Held outside the PID namespace in which the program runs.
    let (_socket, at) = listener();
    let inner = netstat().behind(["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]);
    let reason = || {
        let outcome = inner.run(["-ano"]);
        assert_eq!(row_at(&outcome, at).extra, ["-"]);
        outcome.stderr
    };
    let before = reason();
    assert!(before.contains("PID namespace"), "{before}");
    let _file = actors::in_flight(std::fs::File::open("/dev/null").unwrap()).unwrap();
    assert_eq!(reason(), before);
}
