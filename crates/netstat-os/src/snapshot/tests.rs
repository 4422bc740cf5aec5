use std::net::Ipv4Addr;
use std::num::NonZeroU64;

use netstat_model::{
    Fact, Family, Invocation, NoOwner, OwnersBuilder, Process, Protocol, SocketFacts, State, TcpInfo, TcpMetric, Why,
};
use proptest::prelude::*;

use super::*;

fn socket(port: u16, inode: u32, user: Option<u32>, metric: Option<u32>) -> Socket {
    let socket = Socket::new(&SocketFacts {
        protocol: Protocol::Tcp,
        family: Family::V4,
        state: State::Established,
        local: Ipv4Addr::LOCALHOST.into(),
        local_port: port,
        foreign: Ipv4Addr::LOCALHOST.into(),
        foreign_port: 1,
        interface: 0,
        inode,
        user,
        cookie: NonZeroU64::new(u64::MAX),
        receive_queue: 0,
        send_queue: user,
    });
    let Some(metric) = metric else {
        return socket;
    };
    let mut info = TcpInfo::unknown(Why::Unlimited);
    info.set(TcpMetric::Rtt, Fact::Known(metric.into()));
    socket.with_extra(netstat_model::Extra {
        tcp: Fact::Known(Box::new(info)),
        // A congestion control algorithm with the same name as a reason.
        congestion: Fact::Known(netstat_model::ShortName::new(b"NotAsked")),
        ..Default::default()
    })
}

fn snapshot(sockets: Vec<Socket>, comm: Vec<u8>, arguments: Vec<Vec<u8>>) -> Snapshot {
    let mut owners = OwnersBuilder::default();
    let process = Process {
        pid: 7,
        start_ticks: Fact::Known(1),
        comm: Fact::Known(comm),
        image: Fact::Unknown(Why::NotPermitted),
        invocation: Fact::Known(Invocation {
            script: arguments.last().cloned(),
            arguments,
        }),
        components: Fact::Known(Vec::new()),
    };
    owners.add(process, sockets.iter().filter_map(|socket| Some(socket.inode()?.get())));
    let mut replay = Replay {
        computer_name: b"canaryhost".to_vec(),
        users: BTreeMap::from([(1000, "canaryuser".into())]),
        sockets: vec![SocketList {
            sockets,
            ..SocketList::default()
        }],
        owners: owners.finish(NoOwner::Unheld),
        ..Replay::default()
    };
    Snapshot::take(&mut replay, "1").unwrap()
}

proptest! {
    #[test]
    fn snapshot_written_and_read_is_the_same(
        ports in prop::collection::vec((any::<u16>(), any::<u32>(), prop::option::of(0..u32::MAX), prop::option::of(any::<u32>())), 0..8),
        comm in prop::collection::vec(any::<u8>(), 0..16),
        arguments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..4),
    ) {
        let sockets = ports.into_iter().map(|(port, inode, user, metric)| socket(port, inode, user, metric)).collect();
        let before = snapshot(sockets, comm, arguments);
        let mut bytes = Vec::new();
        before.write(&mut bytes).unwrap();
        prop_assert_eq!(Snapshot::read(&bytes[..]).unwrap(), before);
    }

    #[test]
    fn snapshot_of_any_bytes_is_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Snapshot::read(&bytes[..]).is_err());
    }
}

#[test]
fn snapshot_that_names_a_missing_process_is_refused() {
    let good = snapshot(vec![socket(1, 5, None, None)], b"x".to_vec(), Vec::new());
    let mut value = serde_json::to_value(&good).unwrap();
    value["owners"]["holders"] = serde_json::json!([[5, 3]]);
    let error = Snapshot::read(value.to_string().as_bytes()).unwrap_err();
    assert!(error.contains("not in the list of processes"), "{error}");
    value["version"] = 9.into();
    let error = Snapshot::read(value.to_string().as_bytes()).unwrap_err();
    assert_eq!(error, "it is a snapshot of version 9, and this program reads version 1");
    let error = Snapshot::read(&b"{}"[..]).unwrap_err();
    assert!(error.starts_with("it is not a snapshot of netstat"), "{error}");
}

#[test]
fn snapshot_redacted_holds_no_argument_and_no_name() {
    let arguments = vec![
        b"sh".to_vec(),
        b"/home/canaryhome/canaryscript".to_vec(),
        b"--canaryword".to_vec(),
    ];
    let mut full = snapshot(
        vec![socket(1, 5, Some(1000), Some(2))],
        b"canaryscript".to_vec(),
        arguments,
    );
    full.socket_limits.push(Limit {
        what: "sockets of canaryuser in /home/canarydir/x on canaryhost".into(),
        why: "x".into(),
        remedy: None,
    });
    let redacted = full.redact().unwrap();
    let mut bytes = Vec::new();
    redacted.write(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(!text.contains("canary"), "{text}");
    assert!(redacted.redacted && redacted.sockets.len() == 1);
}
