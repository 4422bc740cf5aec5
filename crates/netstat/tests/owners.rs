//! Who holds a socket: process ids, programs, several holders, and the reasons where nobody can be named.
//!
//! Most tests see their own processes only, so that a busy machine does not slow them down.

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

/// What stands under a row whose owner cannot be told.
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

/// The program lines under a row, without those of components.
fn programs(line: &Line) -> Vec<&str> {
    line.below
        .iter()
        .map(String::as_str)
        .filter(|text| !text.starts_with("  "))
        .collect()
}

#[test]
fn the_pid_is_that_of_the_holder() {
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
fn components_stand_above_the_program_with_two_blanks() {
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
fn of_several_holders_the_oldest_stands_in_the_row_and_all_below() {
    own_namespace!(Needs::PROCESSES);
    let (socket, at) = listener();
    // The older process gets the greater id, so that an order by id is noticed.
    if !trouble::set_last_pid(700) {
        return;
    }
    let older = Actor::named("older").hold(socket.try_clone().unwrap());
    // Start times are told in ticks of 10 ms.
    std::thread::sleep(Duration::from_millis(40));
    assert!(trouble::set_last_pid(300));
    let younger = Actor::named("younger").hold(socket);
    assert!(older.pid() > younger.pid());
    let line = row_at(&netstat().run(["-anob"]), at);
    assert_eq!(line.extra, [older.pid().to_string()]);
    assert_eq!(programs(&line), [" [older]", " [younger]"]);
}

#[test]
fn a_pre_forking_server_is_its_parent() {
    own_namespace!(Needs::PROCESSES);
    let (socket, at) = listener();
    let parent = Actor::named("prefork").copies(3).hold(socket);
    let line = row_at(&netstat().run(["-anob"]), at);
    assert_eq!(line.extra, [parent.pid().to_string()]);
    assert_eq!(programs(&line), [" [prefork]"; 4]);
}

#[test]
fn a_program_without_file_says_so() {
    own_namespace!(Needs::PROCESSES);
    let (socket, at) = listener();
    let holder = Actor::named("gone").hold(socket);
    holder.delete_program();
    let line = row_at(&netstat().run(["-anob"]), at);
    assert_eq!(line.extra, [holder.pid().to_string()]);
    assert_eq!(programs(&line), [" [gone] (deleted)"]);
}

#[test]
fn a_file_name_that_ends_in_deleted_is_not_deleted() {
    own_namespace!(Needs::PROCESSES);
    let (socket, at) = listener();
    let _holder = Actor::named("server (deleted)").hold(socket);
    let line = row_at(&netstat().run(["-anb"]), at);
    assert_eq!(programs(&line), [" [server (deleted)]"]);
}

#[test]
fn a_hostile_name_cannot_forge_a_row_or_drive_the_terminal() {
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
fn sockets_that_no_process_holds() {
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
fn a_socket_on_its_way_between_processes_belongs_to_none() {
    own_namespace!(Needs::PROCESSES);
    let (socket, at) = listener();
    let ends = actors::in_flight(socket).unwrap();
    let outcome = netstat().run(["-anob"]);
    let line = row_at(&outcome, at);
    assert_eq!((line.extra.concat().as_str(), programs(&line)), ("-", vec![UNKNOWN]));
    assert!(
        outcome.stderr.contains("1 of 1 owner unknown: 1 on the way"),
        "{}",
        outcome.stderr
    );
    // Everything may be read here, so more rights would not help.
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
    // What is asked for by name is used or refused, never replaced in silence.
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
fn without_privilege_the_own_rows_are_filled() {
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
    // As root of a user namespace without capabilities, the other kind of unprivileged here, sudo would be no help.
    if real_root() {
        once("1 not permitted (try sudo)");
        once("setcap ");
    }
    // A list that asks for no owner has nothing to complain about.
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
fn ports_by_process_begin_with_the_one_that_holds_most() {
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
            .position(|line| line.split_whitespace().any(|word| word == pid));
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
