//! The whole system on a made-up computer.

use std::time::Duration;

use netstat_model::{Component, EventKind, Extras, Fact, NoOwner, Owner, Protocol, Socket, State, Why, sort_classic};

use super::connections::tests::row;
use super::processes::tests::entry;
use super::system::Windows;
use crate::{EventWay, EventsAsk, OwnersAsk, ProcessAsk, SocketAsk, SocketList, System};

mod fake;
mod figures;

use fake::STARTED;
pub(super) use fake::{Fake, computer};

fn ask() -> SocketAsk {
    SocketAsk::everything()
}

fn list(system: &mut impl System, ask: &SocketAsk) -> SocketList {
    let mut list = SocketList::default();
    system.sockets(ask, &mut list);
    sort_classic(&mut list.sockets);
    list
}

fn with_port(list: &SocketList, port: u16) -> &Socket {
    list.sockets.iter().find(|socket| socket.local().port == port).unwrap()
}

const WHOLE: OwnersAsk = OwnersAsk {
    source: crate::OwnerSource::Auto,
    start: true,
    image: true,
    names: false,
    components: true,
    repeated: false,
};

#[test]
fn list_with_pids_alone_opens_no_process() {
    let fake = computer();
    let mut system = Windows::new(fake.clone());
    let list = list(&mut system, &ask());
    assert!(!list.failed);
    assert_eq!(list.sockets.len(), 7);
    let found = system.owners(&list.sockets, &OwnersAsk::default()).unwrap();
    let Owner::Held(holders) = found.owners.of(with_port(&list, 445)) else {
        panic!()
    };
    assert_eq!(holders.first().pid, 4);
    assert_eq!(fake.0.lock().unwrap().opened, 0);
    // Nobody holds a connection that is over.
    assert_eq!(found.owners.of(with_port(&list, 50001)), Owner::None(NoOwner::TimeWait));
}

#[test]
fn equal_rows_are_sockets_of_their_own() {
    let mut system = Windows::new(computer());
    let first = list(&mut system, &ask());
    let numbers = |list: &SocketList| {
        let twins = list.sockets.iter().filter(|socket| socket.local().port == 5353);
        twins.map(|socket| socket.cookie().unwrap()).collect::<Vec<_>>()
    };
    let twins = numbers(&first);
    assert_eq!(twins.len(), 2);
    assert_ne!(twins[0], twins[1]);
    let mut again = list(&mut system, &ask());
    assert_eq!(numbers(&again), twins);
    let before = again.sockets.len();
    netstat_model::remove_repeats(&mut again.sockets);
    assert_eq!(again.sockets.len(), before);
}

#[test]
fn programs_services_and_packages_are_named_without_elevation() {
    let mut system = Windows::new(computer());
    let list = list(&mut system, &ask());
    let found = system.owners(&list.sockets, &WHOLE).unwrap();
    assert_eq!(found.limits, []);
    let holder = |port| match found.owners.of(with_port(&list, port)) {
        Owner::Held(holders) => holders.first().clone(),
        Owner::None(why) => panic!("{port}: {why:?}"),
    };
    let path = |port| holder(port).image.map(|image| String::from_utf8(image.path).unwrap());
    assert_eq!(path(50000).known().unwrap(), r"C:\Program Files\Chrome\chrome.exe");
    // Of another user's: by the kernel's name of the file.
    assert_eq!(path(135).known().unwrap(), r"C:\Windows\System32\svchost.exe");
    // Neither: the name that everybody may see.
    assert_eq!(path(80).known().unwrap(), "game.exe");
    // The kernel itself has no program.
    assert_eq!(path(445), Fact::Unknown(Why::NotApplicable));
    let names: Vec<Component> = ["RpcSs", "RpcEptMapper"]
        .map(|name| Component::Service { name: name.into() })
        .into();
    assert_eq!(holder(135).components, Fact::Known(names));
    let package = Component::Package {
        name: b"Contoso.Game_1.0.0.0_x64__8wekyb3d8bbwe".to_vec(),
    };
    assert_eq!(holder(80).components, Fact::Known(vec![package]));
}

#[test]
fn service_tag_names_the_exact_service_when_elevated() {
    for elevated in [false, true] {
        let fake = computer();
        {
            let mut made = fake.0.lock().unwrap();
            made.elevated = elevated;
            made.tags = vec![(900, 450, "RpcEptMapper")];
        }
        let mut system = Windows::new(fake);
        let list = list(&mut system, &ask());
        let found = system.owners(&list.sockets, &WHOLE).unwrap();
        let Owner::Held(holders) = found.owners.of(with_port(&list, 135)) else {
            panic!()
        };
        let components = holders.first().components.clone().known().unwrap();
        assert_eq!(components.len(), if elevated { 1 } else { 2 }, "{components:?}");
        if elevated {
            let name = b"RpcEptMapper".to_vec();
            assert_eq!(components, [Component::Service { name }]);
        }
    }
}

#[test]
fn process_that_started_after_its_socket_is_not_the_owner() {
    let fake = computer();
    for process in &mut fake.0.lock().unwrap().processes {
        if process.pid == 3000 {
            process.created = 134_000_000_000_000_000;
        }
    }
    let mut system = Windows::new(fake);
    let list = list(&mut system, &ask());
    let found = system.owners(&list.sockets, &WHOLE).unwrap();
    assert_eq!(found.owners.of(with_port(&list, 50000)), Owner::None(NoOwner::Ended));
    assert!(matches!(found.owners.of(with_port(&list, 135)), Owner::Held(_)));
}

#[test]
fn process_that_ended_is_not_the_owner() {
    let fake = computer();
    fake.0.lock().unwrap().processes.retain(|process| process.pid != 3400);
    let mut system = Windows::new(fake);
    let list = list(&mut system, &ask());
    let found = system.owners(&list.sockets, &WHOLE).unwrap();
    assert_eq!(found.owners.of(with_port(&list, 80)), Owner::None(NoOwner::Ended));
}

#[test]
fn bound_ports_are_listed_or_said_to_be_missing() {
    let fake = computer();
    let mut system = Windows::new(fake.clone());
    let found = list(&mut system, &ask());
    assert_eq!(found.limits.len(), 2, "{:?}", found.limits);
    assert!(found.limits[0].what.starts_with("bound TCP ports over IPv4"));
    assert!(!crate::Integrity::lists_bound_ports(&system));
    fake.0.lock().unwrap().bound = Some(0u32.to_le_bytes().to_vec());
    assert_eq!(list(&mut system, &ask()).limits, []);
    assert!(crate::Integrity::lists_bound_ports(&system));
    let without = SocketAsk {
        tcp_states: vec![State::Listening],
        ..ask()
    };
    fake.0.lock().unwrap().bound = None;
    let listening = list(&mut system, &without);
    assert_eq!(listening.limits, []);
    assert_eq!(
        listening
            .sockets
            .iter()
            .filter(|socket| socket.protocol() == Protocol::Tcp)
            .count(),
        3
    );
}

#[test]
fn facts_that_windows_does_not_keep_are_unknown() {
    let mut system = Windows::new(computer());
    let asked = SocketAsk {
        extra: Extras::ALL,
        ..ask()
    };
    let list = list(&mut system, &asked);
    let socket = with_port(&list, 50000);
    assert_eq!(socket.time_in_state(), Fact::Unknown(Why::NotKept));
    assert_eq!(socket.user(), Fact::Unknown(Why::NotKept));
    assert_eq!(socket.send_queue(), Fact::Unknown(Why::NotKept));
    assert_eq!((socket.inode(), socket.row_process()), (None, Some(3000)));
}

#[test]
fn kinds_that_windows_does_not_list_are_said_to_be_missing() {
    let mut system = Windows::new(computer());
    let unix = SocketAsk {
        unix: true,
        ..SocketAsk::default()
    };
    let list = list(&mut system, &unix);
    assert!(list.failed);
    assert_eq!(list.limits[0].what, "Unix sockets are missing");
}

#[test]
fn watch_reports_open_change_and_end() {
    let fake = computer();
    let mut system = Windows::new(fake.clone());
    let ask = EventsAsk {
        interval: Duration::from_millis(10),
        ..EventsAsk::default()
    };
    let mut watch = crate::Events::events(&mut system, &ask).unwrap();
    let mut look = || {
        let mut events = Vec::new();
        while events.is_empty() {
            watch
                .next(Duration::from_millis(20), &mut |event| events.push(event))
                .unwrap();
        }
        events
    };
    let first = look();
    // Without the connection that is over.
    assert_eq!(first.len(), 6);
    assert!(first.iter().all(|event| event.kind == EventKind::Present));
    let web = first.iter().find(|event| event.foreign.port == 443).unwrap();
    assert_eq!(web.owner.known().unwrap().pid, 3000);
    assert_eq!(web.owner.known().unwrap().name.as_bytes(), b"chrome.exe");
    {
        let mut made = fake.0.lock().unwrap();
        made.rows[2].state = State::CloseWait;
        made.rows.remove(0);
        made.rows
            .push(row(Protocol::Tcp, "127.0.0.1:9", "0.0.0.0:0", State::Listening, 3400));
    }
    let mut kinds: Vec<(EventKind, u16, State)> = look()
        .iter()
        .map(|event| (event.kind, event.local.port, event.state))
        .collect();
    kinds.sort_by_key(|one| one.1);
    assert_eq!(
        kinds,
        [
            (EventKind::Listening, 9, State::Listening),
            (EventKind::Closed, 135, State::Closed),
            (EventKind::Changed, 50000, State::CloseWait),
        ]
    );
    let traced = EventsAsk {
        way: EventWay::Trace,
        ..ask
    };
    assert!(crate::Events::events(&mut system, &traced).is_err());
}

#[test]
fn parent_that_started_later_is_another_process() {
    let fake = computer();
    fake.0.lock().unwrap().processes.extend([
        entry(5000, 900, "child.exe", STARTED + 10),
        entry(5004, 5008, "orphan.exe", STARTED + 10),
        entry(5008, 4, "later.exe", STARTED + 20),
    ]);
    let mut system = Windows::new(fake);
    let ask = ProcessAsk {
        ancestors: true,
        program: true,
        ..ProcessAsk::default()
    };
    let child = system.process(5000, &ask).unwrap();
    assert_eq!(child.parent, 900);
    assert_eq!(child.ancestors.known().unwrap()[0].comm, b"svchost.exe");
    let orphan = system.process(5004, &ask).unwrap();
    assert_eq!((orphan.parent, orphan.ancestors), (0, Fact::Known(Vec::new())));
    assert_eq!(system.process(0, &ask), Err(crate::NoProcess::None));
}

#[test]
fn checks_say_what_this_version_lacks() {
    let mut system = Windows::new(computer());
    let checks = crate::Checkup::checks(&mut system);
    let status = |id: &str| checks.iter().find(|check| check.id == id).unwrap().status;
    assert_eq!(status("elevation"), crate::CheckStatus::Limited);
    assert_eq!(status("tcp4"), crate::CheckStatus::Good);
    assert_eq!(status("udp4"), crate::CheckStatus::Limited);
    assert_eq!(status("bound6"), crate::CheckStatus::Limited);
    assert_eq!(status("services"), crate::CheckStatus::Good);
    assert_eq!(status("routes"), crate::CheckStatus::Failed);
    assert_eq!(status("disks"), crate::CheckStatus::Limited);
    assert_eq!(status("connection-bytes"), crate::CheckStatus::Limited);
    let tcp = checks.iter().find(|check| check.id == "tcp4").unwrap();
    assert_eq!(
        tcp.found,
        "TCP over IPv4: 4 rows, 3 with a process, 4 with a time, 3 with a service tag"
    );
    let mut ids: Vec<&str> = checks.iter().map(|check| check.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), checks.len());
}

#[test]
fn process_has_user_rights_and_signature_in_terms_of_windows() {
    let mut system = Windows::new(computer());
    let facts = system.process(3000, &ProcessAsk::CARD).unwrap();
    let windows = facts.windows.clone().unwrap();
    assert_eq!(windows.user, Fact::Known(br"DESK\anna".to_vec()));
    assert_eq!(windows.integrity.known().unwrap().name(), "low");
    assert_eq!(
        windows.protection.known().unwrap().words(),
        "protected light (antimalware)"
    );
    assert_eq!(windows.signature, Fact::Known(netstat_model::process::Signature::None));
    assert!(windows.is_protected_place());
    // What was not permitted is said so, and what was not asked for as well.
    let other = system
        .process(
            900,
            &ProcessAsk {
                standing: true,
                ..ProcessAsk::default()
            },
        )
        .unwrap();
    let windows = other.windows.unwrap();
    assert_eq!(windows.sid, Fact::Unknown(Why::NotPermitted));
    assert_eq!(windows.signature, Fact::Unknown(Why::NotAsked));
}

#[test]
fn machine_guid_is_the_value_of_that_name() {
    let mut fake = computer();
    assert_eq!(super::host::machine_guid(&mut fake), None);
    fake.0.lock().unwrap().registry = vec![(
        r"SOFTWARE\Microsoft\Cryptography",
        vec![("Other", "x"), ("MachineGuid", "0b6c-11")],
    )];
    assert_eq!(super::host::machine_guid(&mut fake).as_deref(), Some("0b6c-11"));
}

#[test]
fn configuration_is_read_from_the_registry() {
    let fake = computer();
    fake.0.lock().unwrap().registry = vec![
        (
            r"SYSTEM\CurrentControlSet\Services\Spooler",
            vec![
                ("ImagePath", r"%SystemRoot%\System32\spoolsv.exe"),
                ("Type", "16"),
                ("Start", "2"),
                ("ObjectName", "LocalSystem"),
            ],
        ),
        (
            r"SYSTEM\CurrentControlSet\Services\Off",
            vec![("ImagePath", r"C:\x.exe"), ("Type", "16"), ("Start", "4")],
        ),
        (
            r"SYSTEM\CurrentControlSet\Services\Driver",
            vec![("ImagePath", r"C:\x.sys"), ("Type", "1"), ("Start", "2")],
        ),
        (
            r"SYSTEM\CurrentControlSet\Services\Mine",
            vec![
                ("imagepath", r"C:\Users\anna\my service.exe -x"),
                ("Type", "16"),
                ("Start", "3"),
            ],
        ),
        (
            r"SYSTEM\CurrentControlSet\Services\PortProxy\v4tov4\tcp",
            vec![("*/8080", "192.0.2.9/22")],
        ),
        (
            r"SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules",
            vec![
                (
                    "{1}",
                    r"v2.31|Action=Allow|Active=TRUE|Dir=In|App=%SystemRoot%\x.exe|Name=One|",
                ),
                ("{2}", "v2.31|Action=Allow|Active=FALSE|Dir=In|Name=Two|"),
                ("{3}", "nonsense"),
            ],
        ),
        (
            r"SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\DomainProfile",
            vec![("EnableFirewall", "1")],
        ),
        (
            r"SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\StandardProfile",
            vec![("EnableFirewall", "1")],
        ),
        (
            r"SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\PublicProfile",
            vec![("EnableFirewall", "1")],
        ),
        // A domain's word counts first.
        (
            r"SOFTWARE\Policies\Microsoft\WindowsFirewall\PublicProfile",
            vec![("EnableFirewall", "0")],
        ),
    ];
    let host = Windows::new(fake).windows_host().unwrap();
    let services = host.services.known().unwrap();
    let names: Vec<&[u8]> = services.iter().map(|service| service.name.as_slice()).collect();
    assert_eq!(names, [&b"Spooler"[..], b"Mine"]);
    assert_eq!(services[0].path(), br"C:\Windows\System32\spoolsv.exe");
    assert!(services[0].access.as_ref().known().unwrap().is_administrators_only());
    assert_eq!(
        services[1].access.as_ref().known().unwrap().writers,
        ["S-1-5-21-1-2-3-1001"]
    );
    assert_eq!(host.port_proxies.known().unwrap()[0].port(), Some(8080));
    let firewall = host.firewall.known().unwrap();
    assert_eq!((firewall.rules.len(), firewall.unread), (1, 1));
    assert_eq!(firewall.rules[0].program.as_deref(), Some(r"C:\Windows\x.exe"));
    assert_eq!(firewall.profiles.map(|profile| profile.enabled), [true, true, false]);
}
