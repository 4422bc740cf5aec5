//! A Windows computer in memory: what its rules find, and that no text mentions another system.

use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

use netstat::args::Parsed;
use netstat::context::{Context, Screen};
use netstat::registry;
use netstat_model::process::{
    Ancestor, FileAccess, FileFacts, FileStatus, FileTime, IntegrityLevel, Mapped, Mapping, ProcessFacts, Program,
    Protection, ServiceProgram, Signature, WindowsProcess,
};
use netstat_model::windows_host::{FirewallRule, PortProxy, ProfilePolicy, WindowsFirewall, WindowsHost};
use netstat_model::{
    Fact, Family, FoundBy, ImageName, NoOwner, OwnersBuilder, Process, Protocol, Socket, SocketFacts, State,
    SystemKind, Why,
};
use netstat_os::{Replay, SocketList};

const PID: u32 = 3000;
const PATH: &[u8] = br"C:\Users\anna\AppData\Local\Temp\invoice.pdf.exe";

fn socket(inode: u32, state: State, local: &str, foreign: &str) -> Socket {
    let side = |text: &str| text.parse::<std::net::SocketAddr>().unwrap();
    let (local, foreign) = (side(local), side(foreign));
    Socket::new(&SocketFacts {
        protocol: Protocol::Tcp,
        family: Family::V4,
        state,
        local: local.ip(),
        local_port: local.port(),
        foreign: foreign.ip(),
        foreign_port: foreign.port(),
        interface: 0,
        inode,
        user: None,
        cookie: NonZeroU64::new(inode.into()),
        receive_queue: 0,
        send_queue: None,
    })
}

fn facts() -> ProcessFacts {
    let mut facts = ProcessFacts::bare(PID, 5, Why::NotApplicable);
    facts.comm = b"invoice.pdf.exe".to_vec();
    facts.arguments = Fact::Known(vec![PATH.to_vec()]);
    let time = FileTime {
        seconds: 1,
        nanoseconds: 0,
    };
    let file = Fact::Known(FileFacts {
        device: 1,
        inode: 2,
        links: 1,
        size: 100,
        mode: 0o100_000,
        user: 0,
        group: 0,
        modified: time,
        changed: time,
    });
    facts.program = Fact::Known(Program {
        reported: PATH.to_vec(),
        path: PATH.to_vec(),
        place: FileStatus::There,
        running: file,
        current: file,
        file_system: Fact::Unknown(Why::NotApplicable),
        directories: Fact::Unknown(Why::NotSupported),
    });
    facts.ancestors = Fact::Known(vec![Ancestor {
        pid: 2000,
        start_ticks: 1,
        parent: 0,
        comm: b"OUTLOOK.EXE".to_vec(),
        path: Fact::Known(br"C:\Program Files\Office\OUTLOOK.EXE".to_vec()),
        arguments: Fact::Unknown(Why::NotPermitted),
    }]);
    facts.executable = Fact::Known(vec![Mapping {
        start: 0x1000,
        end: 0x3000,
        writable: true,
        shared: false,
        offset: 0,
        device: (0, 0),
        inode: 0,
        what: Mapped::Anonymous,
    }]);
    facts.components = Fact::Known(Vec::new());
    let users = FileAccess {
        owner: "S-1-5-21-1-2-3-1001".to_owned(),
        writers: vec!["S-1-5-21-1-2-3-1001".to_owned()],
        open: false,
    };
    facts.windows = Some(Box::new(WindowsProcess {
        sid: Fact::Known(b"S-1-5-21-1-2-3-1001".to_vec()),
        user: Fact::Known(b"DESK\\an\x1bna".to_vec()),
        elevated: Fact::Known(true),
        integrity: Fact::Known(IntegrityLevel::HIGH),
        app_container: Fact::Known(false),
        protection: Fact::Known(Protection(0)),
        signature: Fact::Known(Signature::None),
        file_access: Fact::Known(users.clone()),
        directory_access: Fact::Known(users),
    }));
    facts
}

/// Returns a computer on which a program in Temp listens and connects to the outside, with a suspicious service and a
/// port proxy, as seen without elevation.
fn computer() -> Replay {
    let sockets = vec![
        socket(1, State::Listening, "0.0.0.0:9000", "0.0.0.0:0"),
        socket(2, State::Established, "192.0.2.5:50000", "203.0.113.7:443"),
        socket(3, State::Listening, "0.0.0.0:135", "0.0.0.0:0"),
    ];
    let mut owners = OwnersBuilder::default();
    let process = Process {
        pid: PID,
        start_ticks: Fact::Known(5),
        comm: Fact::Known(b"invoice.pdf.exe".to_vec()),
        image: Fact::Known(ImageName {
            path: PATH.to_vec(),
            deleted: false,
        }),
        invocation: Fact::Unknown(Why::NotPermitted),
        components: Fact::Known(Vec::new()),
    };
    owners.found_by(FoundBy::Row);
    owners.add(process, [1, 2]);
    let policy = ProfilePolicy {
        enabled: true,
        allows_by_default: false,
        blocks_all: false,
    };
    let rule =
        r"v2.31|Action=Allow|Active=TRUE|Dir=In|App=C:\Users\anna\AppData\Local\Temp\invoice.pdf.exe|Name=Invoice|";
    Replay {
        kind: SystemKind::Windows,
        sockets: vec![SocketList {
            sockets,
            ..SocketList::default()
        }],
        owners: owners.finish(NoOwner::NotPermitted { user: None }),
        processes: vec![facts()],
        windows_host: Some(WindowsHost {
            services: Fact::Known(vec![ServiceProgram {
                name: b"Agent".to_vec(),
                command: br"C:\tools\agent.exe".to_vec(),
                account: b"LocalSystem".to_vec(),
                access: Fact::Known(FileAccess {
                    owner: "S-1-5-18".to_owned(),
                    writers: vec!["S-1-5-32-545".to_owned()],
                    open: false,
                }),
                plantable: Vec::new(),
            }]),
            administrators: Vec::new(),
            port_proxies: Fact::Known(vec![PortProxy {
                kind: "v4tov4".to_owned(),
                listen: "*/8080".to_owned(),
                to: "192.0.2.9/22".to_owned(),
            }]),
            firewall: Fact::Known(WindowsFirewall {
                profiles: [policy; 3],
                rules: FirewallRule::parse(rule).into_iter().collect(),
                unread: 0,
            }),
        }),
        ..Replay::default()
    }
}

/// Returns what a command writes to standard output and to standard error.
fn run(words: &[&str]) -> (String, String) {
    let Ok(parsed) = registry::parse(words.iter().map(std::ffi::OsString::from)) else {
        panic!("{words:?}");
    };
    let mut computer = computer();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut context = Context {
        system: &mut computer,
        out: &mut out,
        err: &mut err,
        terminal: false,
        screen: Screen::default(),
        now: &mut || SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000),
        wait_until: &mut |_| {},
    };
    match parsed {
        Parsed::Command(command, matches) => drop((command.run)(&matches, &mut context).unwrap()),
        Parsed::Run(plan) => drop(netstat::list::run(&plan, &mut context).unwrap()),
        Parsed::Print(_) => panic!("{words:?}"),
    }
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[test]
fn windows_program_from_temp_is_judged_by_the_rules_for_windows() {
    let (text, _) = run(&["audit", "--no-digests", "--details"]);
    for part in [
        "runs from a place for short-lived files",
        "is a program with the name of a document",
        "is not signed",
        "has code in memory without a file",
        "listens, and the firewall lets others in to it",
        "the program of service Agent can be replaced by others than administrators",
        "port 8080 is passed on to another address",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    let (json, _) = run(&["audit", "--no-digests", "--json"]);
    assert!(json.contains("T1036.007") && json.contains("\"high\""), "{json}");
}

#[test]
fn windows_process_is_inspected_in_terms_of_windows() {
    let (text, _) = run(&["inspect", "pid:3000", "--sample", "0s"]);
    for part in [
        r"user DESK\an\ena",
        "integrity high, elevated, not protected",
        "NONE, neither in the file nor in a catalogue",
        "the file can be changed by S-1-5-21-1-2-3-1001",
        "8.2 kB of code without a file in 1 part, 1 of them writable",
        "Windows Firewall lets everybody in (rule \"Invoice\")",
        "taskkill /PID 3000 /F",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    let (json, _) = run(&["inspect", "pid:3000", "--sample", "0s", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let reach = json["cards"][0]["reach"].as_array().unwrap();
    let port = reach.iter().find(|reach| reach["port"] == 9000).unwrap();
    assert_eq!(
        port["windows"]["firewall"][2],
        serde_json::json!({"profile": "public", "verdict": "everybody", "from": null, "rule": "Invoice"})
    );
    assert_eq!(port["windows"]["port_proxies"], serde_json::json!([]));
    for part in [
        "umask",
        "capabilit",
        "namespace",
        "cgroup",
        "rwx",
        "no unit",
        "terminal",
        "cron",
    ] {
        assert!(!text.contains(part), "{part:?} is in:\n{text}");
    }
}

#[test]
fn output_for_windows_names_no_terms_of_unix() {
    /// Commands, paths and terms of Unix.
    const FOREIGN: &[&str] = &[
        "sudo",
        "iptables",
        "nftables",
        "systemctl",
        "/proc",
        "setcap",
        "CAP_",
        "kill -",
        " root ",
        "Linux",
        "/etc/",
        "ls -l",
        "nsenter",
    ];
    for words in [
        &["-ano"][..],
        &["-anb"],
        &["-anoi"],
        &["-anq"],
        &["-c"],
        &["-an", "--exposed"],
        &["-r"],
        &["-e"],
        &["-g"],
        &["--follow", "--timeout", "1ms"],
        &["inspect", "pid:3000", "--sample", "0s"],
        &["inspect", ":135", "--sample", "0s"],
        &["audit", "--no-digests"],
        &["audit", "--no-digests", "--details"],
        &["doctor"],
    ] {
        let (out, err) = run(words);
        for foreign in FOREIGN {
            for text in [&out, &err] {
                let line = text.lines().find(|line| line.contains(foreign));
                assert!(line.is_none(), "{words:?} speaks of {foreign:?}: {line:?}");
            }
        }
    }
}
