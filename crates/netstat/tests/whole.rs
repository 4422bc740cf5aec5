//! Whole commands on a computer in memory: their output, diagnostics and results.

use std::time::{Duration, SystemTime};

use netstat::args::Parsed;
use netstat::context::{Context, Outcome, Screen};
use netstat::list::run;
use netstat::registry;
use netstat_model::counters::{Block, InterfaceStatistics, Pair, ProtocolStatistics, TcpFamilies};
use netstat_model::route::{RouteListing, TableNames};
use netstat_model::{Fact, Family, NoOwner, OwnersBuilder, Process, Protocol, Socket, SocketFacts, State, Why};
use netstat_os::{Replay, SocketList};

fn socket(port: u16, foreign: u16, state: State, inode: u32, cookie: u64) -> Socket {
    Socket::new(&SocketFacts {
        protocol: Protocol::Tcp,
        family: Family::V4,
        state,
        local: [192, 0, 2, 1].into(),
        local_port: port,
        foreign: if foreign == 0 {
            [0, 0, 0, 0].into()
        } else {
            [198, 51, 100, 7].into()
        },
        foreign_port: foreign,
        interface: 0,
        inode,
        user: Some(1000),
        cookie: std::num::NonZeroU64::new(cookie),
        receive_queue: 0,
        send_queue: Some(0),
    })
}

/// Returns a computer with one listener, one connection and one socket in TIME_WAIT; the first two belong to process 7.
fn computer() -> Replay {
    let mut owners = OwnersBuilder::default();
    let process = Process {
        pid: 7,
        start_ticks: Fact::Known(1),
        comm: Fact::Unknown(Why::NotAsked),
        invocation: Fact::Unknown(netstat_model::Why::NotAsked),
        image: Fact::Unknown(Why::NotPermitted),
        components: Fact::Unknown(Why::NotPermitted),
    };
    owners.add(process, [11, 12]);
    let sockets = vec![
        socket(443, 50_000, State::TimeWait, 0, 3),
        socket(443, 0, State::Listening, 11, 1),
        socket(443, 40_000, State::Established, 12, 2),
        socket(443, 40_000, State::Established, 12, 2),
    ];
    Replay {
        computer_name: b"mill".to_vec(),
        superuser: false,
        own_addresses: Vec::new(),
        sockets: vec![SocketList {
            sockets,
            ..SocketList::default()
        }],
        owners: owners.finish(NoOwner::NotPermitted { user: None }),
        owner_limits: Vec::new(),
        protocols: ProtocolStatistics::new(Duration::ZERO, TcpFamilies::Together, Vec::new(), |_: Block, _| Pair {
            received: Fact::Known(0),
            sent: Fact::Known(0),
        }),
        interfaces: InterfaceStatistics {
            at: Duration::ZERO,
            interfaces: Fact::Known(Vec::new()),
        },
        routes: RouteListing {
            interfaces: Fact::Unknown(Why::NotPermitted),
            addresses: Fact::Unknown(Why::NotPermitted),
            ipv4: Fact::Unknown(Why::NotPermitted),
            ipv6: Fact::Unknown(Why::NotPermitted),
            rules: Fact::Known(Vec::new()),
            tables: TableNames::default(),
            limits: Vec::new(),
        },
        ..Replay::default()
    }
}

struct Run {
    out: String,
    err: String,
    outcome: Outcome,
    waits: usize,
}

fn command(computer: &mut Replay, words: &str) -> Run {
    let plan = match registry::parse(words.split_whitespace().map(Into::into)) {
        Ok(Parsed::Run(plan)) => plan,
        other => panic!("{words}: {other:?}"),
    };
    let (mut out, mut err, mut waits) = (Vec::new(), Vec::new(), 0);
    let outcome = run(
        &plan,
        &mut Context {
            system: computer,
            out: &mut out,
            err: &mut err,
            terminal: false,
            screen: Screen::default(),
            now: &mut || SystemTime::UNIX_EPOCH,
            wait_until: &mut |_| waits += 1,
        },
    );
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run {
        out: text(out),
        err: text(err),
        outcome: outcome.unwrap(),
        waits,
    }
}

#[test]
fn list_is_sorted_and_shows_a_repeated_socket_once() {
    let run = command(&mut computer(), "-ano");
    let rows: Vec<&str> = run.out.lines().skip(4).collect();
    assert_eq!(
        rows,
        [
            "  TCP    192.0.2.1:443          0.0.0.0:0              LISTENING       7",
            "  TCP    192.0.2.1:443          198.51.100.7:40000     ESTABLISHED     7",
            "  TCP    192.0.2.1:443          198.51.100.7:50000     TIME_WAIT       0",
        ]
    );
    assert_eq!(run.err, "netstat: 1 of 3 owners unknown: 1 in TIME_WAIT\n");
    assert_eq!(run.outcome, Outcome::Printed);
}

#[test]
fn forbidden_program_is_reported_although_pid_is_known() {
    let run = command(&mut computer(), "-bn --state established");
    assert!(
        run.out.ends_with(" Can not obtain ownership information\n"),
        "{}",
        run.out
    );
    assert_eq!(
        run.err,
        "netstat: 1 program not shown although the PID is known: not permitted (try sudo)\n"
    );
}

#[test]
fn notes_of_a_repeated_list_are_printed_once() {
    let mut computer = computer();
    let mut more = computer.sockets[0].clone();
    more.sockets.push(socket(443, 50_001, State::TimeWait, 0, 4));
    computer.sockets.push(more);
    let run = command(&mut computer, "-ano 1 --count 3");
    assert_eq!(run.out.matches("Active Connections").count(), 3);
    assert_eq!(run.out.matches("TIME_WAIT").count(), 5);
    assert_eq!(run.err.lines().count(), 1, "{}", run.err);
    assert_eq!((computer.looks, run.waits), (3, 2));
}

#[test]
fn table_that_cannot_be_read_has_no_heading_and_run_is_incomplete() {
    let mut computer = computer();
    computer.sockets[0] = SocketList {
        failed: true,
        ..SocketList::default()
    };
    let run = command(&mut computer, "-an");
    assert_eq!((run.out.as_str(), run.outcome), ("", Outcome::Incomplete));
    assert_eq!(command(&mut computer, "-r").outcome, Outcome::Incomplete);
    let unread = Pair {
        received: Fact::Unknown(Why::Failed),
        sent: Fact::Unknown(Why::Failed),
    };
    computer.protocols = ProtocolStatistics::new(Duration::ZERO, TcpFamilies::Together, Vec::new(), |_, _| unread);
    assert_eq!(command(&mut computer, "-s -p icmp").outcome, Outcome::Incomplete);
}

#[test]
fn parts_are_printed_in_the_classic_order() {
    let run = command(&mut computer(), "-a -n -r -s -e");
    let places: Vec<_> = [
        "Interface Statistics",
        "IPv4 Statistics",
        "Interface List",
        "Active Connections",
    ]
    .iter()
    .map(|heading| run.out.find(heading).unwrap_or_else(|| panic!("no {heading}")))
    .collect();
    assert!(places.is_sorted(), "{places:?}");
}
