//! Figures of processes, disks and connections.

use netstat_model::{Extras, Fact, TcpMetric, Why};

use super::super::disks::{self, DiskAnswer};
use super::super::system::Windows;
use super::{Fake, ask, computer, list, with_port};
use crate::{Inspect, MetricsAsk, SocketAsk, SocketList, System};

#[test]
fn figures_have_one_row_for_each_process() {
    let mut system = Windows::new(computer());
    let metrics = system.metrics(&MetricsAsk { processes: true });
    let processes = metrics.processes.known().unwrap();
    let pids: Vec<u32> = processes.iter().map(|process| process.key.pid).collect();
    assert_eq!(pids, [4, 900, 3000, 3400]);
    assert_eq!(processes[2].identity.name(), b"chrome.exe");
    let cpu = metrics.system.cpu.known().unwrap();
    assert_eq!((cpu.total.idle, cpu.total.system, cpu.total.user), (70, 30, 20));
    assert!(metrics.system.memory.total.known().is_none());
    assert!(metrics.limits.iter().any(|limit| limit.what.contains("memory")));
}

/// TCP with its internals, counted.
fn counted_ask() -> SocketAsk {
    SocketAsk {
        extra: Extras::TCP,
        count_bytes: true,
        ..ask()
    }
}

#[test]
fn bytes_of_connections_are_counted_when_elevated_and_asked_for() {
    let fake = computer();
    fake.0.lock().unwrap().elevated = true;
    let mut system = Windows::new(fake.clone());
    let without = SocketAsk {
        count_bytes: false,
        ..counted_ask()
    };
    let found = list(&mut system, &without);
    let acked = |list: &SocketList, port| with_port(list, port).tcp(TcpMetric::BytesAcked);
    assert_eq!(acked(&found, 50000), Fact::Unknown(Why::NotKept));
    assert_eq!(fake.0.lock().unwrap().counted, []);

    let first = list(&mut system, &counted_ask());
    assert_eq!(acked(&first, 50000), Fact::Known(1000));
    // A listener and a connection that is over carry nothing.
    assert_eq!(acked(&first, 135), Fact::Unknown(Why::NotApplicable));
    assert_eq!(acked(&first, 50001), Fact::Unknown(Why::NotApplicable));
    let second = list(&mut system, &counted_ask());
    assert_eq!(acked(&second, 50000), Fact::Known(2000));
    assert_eq!(with_port(&second, 50000).tcp(TcpMetric::BytesReceived), Fact::Known(20));
    assert_eq!(
        with_port(&second, 50000).tcp(TcpMetric::Rtt),
        Fact::Unknown(Why::NotKept)
    );
    // Switched on once, for this connection alone.
    assert_eq!(fake.0.lock().unwrap().counted.len(), 1);
    // Somebody switches it off: no number is believed, then it is switched on again.
    fake.0.lock().unwrap().counted.clear();
    assert_eq!(
        acked(&list(&mut system, &counted_ask()), 50000),
        Fact::Unknown(Why::NotYet)
    );
    assert_eq!(acked(&list(&mut system, &counted_ask()), 50000), Fact::Known(1000));
}

#[test]
fn bytes_of_connections_are_not_read_without_elevation() {
    let fake = computer();
    let mut system = Windows::new(fake.clone());
    let found = list(&mut system, &counted_ask());
    let socket = with_port(&found, 50000);
    assert_eq!(socket.tcp(TcpMetric::BytesAcked), Fact::Unknown(Why::NotPermitted));
    assert_eq!(fake.0.lock().unwrap().counted, []);
}

#[test]
fn disks_are_listed_or_unknown_with_the_reason() {
    let fake = computer();
    let mut system = Windows::new(fake.clone());
    let disks = |system: &mut Windows<Fake>| system.metrics(&MetricsAsk::default()).system.disks;
    assert_eq!(disks(&mut system), Fact::Unknown(Why::NotSupported));
    let answer = |number, letters: &[char]| DiskAnswer {
        number,
        letters: letters.to_vec(),
        performance: disks::tests::written([1 << 40, 5, 0, 0, 0], [7, 1, 0, 0], 0),
    };
    fake.0.lock().unwrap().disks = vec![answer(0, &['C']), answer(2, &[])];
    let found = disks(&mut system).known().unwrap();
    let names: Vec<&[u8]> = found.iter().map(|disk| &*disk.name).collect();
    assert_eq!(names, [&b"0 C:"[..], b"2"]);
    assert_eq!(found[0].read_bytes, 1 << 40);
    // Room is that of the volumes on the disk.
    let spaces = system.file_systems().unwrap();
    assert!(spaces.iter().all(|space| space.device == found[0].number));
    assert_eq!(spaces.iter().map(|space| space.total).sum::<u64>(), 120);
}
