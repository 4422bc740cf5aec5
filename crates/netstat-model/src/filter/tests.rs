//! Tests of the filter as a whole.

use super::*;
use crate::{Family, SocketFacts};
use proptest::prelude::*;
use std::net::Ipv4Addr;

fn socket(protocol: Protocol, state: State, local_port: u16, foreign_port: u16) -> Socket {
    Socket::new(&SocketFacts {
        protocol,
        family: Family::V4,
        state,
        local: Ipv4Addr::LOCALHOST.into(),
        local_port,
        foreign: Ipv4Addr::UNSPECIFIED.into(),
        foreign_port,
        interface: 0,
        inode: 0,
        user: None,
        cookie: None,
        receive_queue: 0,
        send_queue: None,
    })
}

fn states(list: &str) -> Vec<State> {
    list.parse::<States>().unwrap().iter().collect()
}

#[test]
fn state_in_every_spelling_is_read() {
    for state in State::ALL {
        let name = state.name();
        for word in [
            name.to_owned(),
            name.to_lowercase(),
            name.replace('_', "-"),
            name.to_lowercase().replace('_', "-"),
        ] {
            assert_eq!(states(&word), [state], "{word}");
        }
    }
    // RFC 9293, 3.3.2.
    for word in [
        "LISTEN",
        "SYN-SENT",
        "SYN-RECEIVED",
        "ESTABLISHED",
        "FIN-WAIT-1",
        "FIN-WAIT-2",
        "CLOSE-WAIT",
        "CLOSING",
        "LAST-ACK",
        "TIME-WAIT",
        "CLOSED",
    ] {
        assert_eq!(states(word).len(), 1, "{word}");
    }
    assert_eq!(states("listen"), [State::Listening]);
    assert_eq!(states("syn-recv,Estab"), [State::Established, State::SynReceived]);
    assert_eq!(states("BOUND,LISTENING,bound"), [State::Listening, State::Bound]);
}

#[test]
fn port_list_becomes_fewest_ranges() {
    for (list, shown) in [
        ("443", "443"),
        ("0443", "443"),
        ("1-65535", "1-65535"),
        ("80,443,22", "22,80,443"),
        ("80-80", "80"),
        ("80,81,82", "80-82"),
        ("100-200,150-160,190-300", "100-300"),
        ("65535,65534", "65534-65535"),
    ] {
        assert_eq!(list.parse::<Ports>().unwrap().to_string(), shown, "{list}");
    }
}

#[test]
fn filter_error_names_wrong_word_and_gives_example() {
    const STATES: &str = "; for example: --state LISTENING,TIME_WAIT";
    const PORTS: &str = "; for example: --port 443,8000-8010";
    for (words, message) in [
        ("--state", format!("\"\" is no state{STATES}")),
        ("--state x", format!("\"x\" is no state{STATES}")),
        ("--state LISTENING,", format!("\"\" is no state{STATES}")),
        ("--state=SYN.SENT", format!("\"SYN.SENT\" is no state{STATES}")),
        ("--state LISTENING-", format!("\"LISTENING-\" is no state{STATES}")),
        ("--port 80,x", format!("\"x\" is no port and no range of ports{PORTS}")),
        ("--port +80", format!("\"+80\" is no port and no range of ports{PORTS}")),
        ("--port 80-", format!("\"80-\" is no port and no range of ports{PORTS}")),
        ("--port 0", format!("\"0\" is no port from 1 to 65535{PORTS}")),
        (
            "--port 1-65536",
            format!("\"1-65536\" is no port from 1 to 65535{PORTS}"),
        ),
        ("--port 9-8", format!("\"9-8\" ends before it begins{PORTS}")),
        ("--bogus 9", format!("\"--bogus\" is no filter{PORTS}")),
        (
            "--port \x1b",
            format!("\"\\e\" is no port and no range of ports{PORTS}"),
        ),
    ] {
        assert_eq!(words.parse::<Filter>().unwrap_err().to_string(), message, "{words}");
    }
}

#[test]
fn filter_joins_kinds_with_and_and_values_with_or() {
    let filter: Filter = "--state LISTENING --port 443,8000-8010 --STATE=time-wait"
        .parse()
        .unwrap();
    for (state, local, foreign, wanted) in [
        (State::Listening, 443, 0, true),
        (State::TimeWait, 50_000, 8005, true),
        (State::TimeWait, 8010, 50_000, true),
        (State::TimeWait, 8011, 7999, false),
        (State::Established, 443, 50_000, false),
        (State::Listening, 80, 0, false),
    ] {
        let socket = socket(Protocol::Tcp, state, local, foreign);
        assert_eq!(filter.wants(&socket), wanted, "{socket:?}");
    }
}

#[test]
fn filter_on_udp_matches_ports_but_no_states() {
    let udp = socket(Protocol::Udp, State::Closed, 53, 0);
    assert!("--port 53".parse::<Filter>().unwrap().wants(&udp));
    assert!(!"--port 54".parse::<Filter>().unwrap().wants(&udp));
    let every = Filter {
        states: State::ALL.into_iter().collect(),
        ..Filter::default()
    };
    assert!(!every.wants(&udp));
}

#[test]
fn filter_by_port_ignores_side_without_port() {
    let every: Filter = "--port 1-65535".parse().unwrap();
    assert!(!every.wants(&socket(Protocol::Tcp, State::Bound, 0, 0)));
    let low: Filter = "--port 1-1023".parse().unwrap();
    assert!(!low.wants(&socket(Protocol::Tcp, State::Listening, 8080, 0)));
}

fn ports() -> impl Strategy<Value = Vec<(u16, u16)>> {
    let small = (1..40u16, 0..4u16).prop_map(|(first, more)| (first, first + more));
    let any = (1..=u16::MAX, 1..=u16::MAX).prop_map(|(a, b)| (a.min(b), a.max(b)));
    proptest::collection::vec(prop_oneof![small, any], 0..8)
}

fn filter(states: u16, ranges: &[(u16, u16)]) -> Filter {
    Filter {
        states: States(states),
        ports: Ports::join(ranges.iter().map(|&(first, last)| first..=last).collect()),
        ..Filter::default()
    }
}

proptest! {
    #[test]
    fn printed_and_read_it_is_the_same(bits in 0..1u16 << 12, ranges in ports()) {
        let filter = filter(bits, &ranges);
        let text = filter.to_string();
        prop_assert_eq!(text.parse::<Filter>(), Ok(filter.clone()), "{}", text);
        prop_assert_eq!(text.is_empty(), filter.is_empty());
    }

    #[test]
    fn filter_wants_what_its_states_and_ports_want(
        bits in 0..1u16 << 12,
        ranges in ports(),
        tcp: bool,
        state in proptest::sample::select(State::ALL.to_vec()),
        local in prop_oneof![0..50u16, any::<u16>()],
        foreign in prop_oneof![0..50u16, any::<u16>()],
    ) {
        let protocol = if tcp { Protocol::Tcp } else { Protocol::Udp };
        let port = |port: u16| ranges.iter().any(|&(first, last)| first <= port && port <= last);
        let state_wanted = bits == 0 || tcp && States(bits).iter().any(|wanted| wanted == state);
        let wanted = state_wanted && (ranges.is_empty() || port(local) || port(foreign));
        let filter = filter(bits, &ranges);
        prop_assert_eq!(filter.wants(&socket(protocol, state, local, foreign)), wanted, "{}", filter);
        for pair in filter.ports.ranges().windows(2) {
            prop_assert!(u32::from(*pair[0].end()) + 1 < u32::from(*pair[1].start()));
        }
    }

    #[test]
    fn filter_parts_added_match_either(a in ports(), b in ports(), states in 0..1u16 << 12, more in 0..1u16 << 12) {
        let mut sum = filter(states, &a);
        let other = filter(more, &b);
        sum.ports.add(&other.ports);
        sum.states.add(other.states);
        prop_assert_eq!(sum, filter(states | more, &[a, b].concat()));
    }

    #[test]
    fn any_text_is_read_or_refused(text: String, list in "[-,0-9A-Za-z_=]{0,30}") {
        let _ = text.parse::<Filter>();
        let _ = list.parse::<States>();
        let _ = list.parse::<Ports>();
        let _ = format!("--state {text} --port {list}").parse::<Filter>();
    }
}

/// Command-line arguments of arbitrary filters.
fn words() -> impl Strategy<Value = Vec<String>> {
    let list = |one: &'static str| proptest::collection::vec(one, 1..4).prop_map(|words| words.join(","));
    let address = prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| std::net::IpAddr::from(octets).to_string()),
        any::<[u16; 8]>().prop_map(|groups| std::net::IpAddr::from(groups).to_string()),
        (any::<[u8; 4]>(), 0..=32u8).prop_map(|(octets, length)| format!("{}/{length}", Ipv4Addr::from(octets))),
        (any::<[u16; 8]>(), 0..=128u8, 1..9u16)
            .prop_map(|(groups, length, port)| format!("[{}]/{length}:{port}", std::net::Ipv6Addr::from(groups))),
        (any::<[u8; 4]>(), 1..=u16::MAX).prop_map(|(octets, port)| format!("{}:{port}", Ipv4Addr::from(octets))),
        (1..=u16::MAX, 0..9u16).prop_map(|(first, more)| format!(":{first}-{}", first.saturating_add(more))),
        "[a-z][a-z0-9-]{0,8}(\\.[a-z]{2,4}){0,2}(:[1-9][0-9]{0,3})?",
    ];
    let kind = prop_oneof![
        address.clone().prop_map(|side| vec!["--local".to_owned(), side]),
        address.prop_map(|side| vec!["--foreign".to_owned(), side]),
        list("[1-9][0-9]{0,8}").prop_map(|pids| vec!["--pid".to_owned(), pids]),
        list("[a-z*?/ '\"é.]{1,9}").prop_map(|globs| vec!["--program".to_owned(), globs]),
        list("[a-z*?@.][a-z*?@.-]{0,8}").prop_map(|globs| vec!["--unit".to_owned(), globs]),
        list("[a-z][a-z0-9_-]{0,9}|[0-9]{1,6}").prop_map(|users| vec!["--user".to_owned(), users]),
        list("listening|TIME-WAIT|bound|syn_sent").prop_map(|states| vec!["--state".to_owned(), states]),
        list("[1-9][0-9]{0,3}").prop_map(|ports| vec!["--port".to_owned(), ports]),
        proptest::sample::select(vec!["--listening", "--established", "--public", "--exposed"])
            .prop_map(|flag| vec![flag.to_owned()]),
    ];
    proptest::collection::vec(kind, 0..6).prop_map(|kinds| kinds.concat())
}

fn read(words: &[String]) -> Filter {
    let mut filter = Filter::default();
    let mut words = words.iter().peekable();
    while let Some(option) = words.next() {
        let value = words.next_if(|next| !next.starts_with("--"));
        filter.add(option, value.map(String::as_str)).unwrap();
    }
    filter
}

proptest! {
    #[test]
    fn filter_of_any_words_printed_and_read_is_unchanged(words in words()) {
        let filter = read(&words);
        let text = filter.to_string();
        prop_assert_eq!(text.parse::<Filter>(), Ok(filter.clone()), "{}", text);
        prop_assert_eq!(filter.is_empty(), words.is_empty());
    }

    #[test]
    fn filter_joined_equals_filter_with_both_word_lists(first in words(), second in words()) {
        let mut joined = read(&first);
        joined.join(read(&second));
        prop_assert_eq!(joined, read(&[first, second].concat()));
    }

    #[test]
    fn filter_of_any_options_is_read_or_refused(text: String, options in "(--[a-z]{3,9}[ =][-a-z0-9,.:/'\"]{0,9} ?){0,4}") {
        for text in [text, options] {
            if let Ok(filter) = text.parse::<Filter>() {
                prop_assert_eq!(filter.to_string().parse(), Ok(filter));
            }
        }
    }
}

fn connection(protocol: Protocol, state: State, local: &str, foreign: &str, user: u32) -> Socket {
    let (local, foreign): (std::net::SocketAddr, std::net::SocketAddr) =
        (local.parse().unwrap(), foreign.parse().unwrap());
    Socket::new(&SocketFacts {
        protocol,
        family: if local.is_ipv4() { Family::V4 } else { Family::V6 },
        state,
        local: local.ip(),
        local_port: local.port(),
        foreign: foreign.ip(),
        foreign_port: foreign.port(),
        interface: 0,
        inode: 9,
        user: Some(user),
        cookie: None,
        receive_queue: 0,
        send_queue: None,
    })
}

#[test]
fn filter_kinds_match_expected_sockets() {
    use Protocol::{Tcp, Udp};
    let sockets = [
        connection(Tcp, State::Listening, "0.0.0.0:22", "0.0.0.0:0", 0),
        connection(Tcp, State::Listening, "127.0.0.1:5432", "0.0.0.0:0", 113),
        connection(Tcp, State::Established, "192.168.1.5:50000", "203.0.113.7:443", 1000),
        connection(
            Tcp,
            State::Established,
            "[::ffff:192.168.1.5]:22",
            "[::ffff:192.168.1.9]:50001",
            0,
        ),
        connection(Tcp, State::TimeWait, "192.168.1.5:50002", "10.0.0.7:443", 0),
        connection(Udp, State::Closed, "0.0.0.0:68", "0.0.0.0:0", 0),
        connection(Udp, State::Closed, "[::1]:323", "[::]:0", 0),
        connection(Udp, State::Established, "[2001:db8::5]:50003", "[2001:db8::1]:53", 1000),
    ];
    for (words, wanted) in [
        ("", "01234567"),
        ("--listening", "0156"),
        ("--exposed", "05"),
        ("--established", "23"),
        ("--public", "27"),
        ("--public --established", "2"),
        ("--listening --established", ""),
        ("--user 1000", "27"),
        ("--user 1000,113", "127"),
        ("--local 192.168.0.0/16", "234"),
        ("--foreign 10.0.0.0/8,192.168.0.0/16", "34"),
        ("--foreign :443,2001:db8::/32", "247"),
        ("--local :22 --foreign :50000-50009", "3"),
        ("--port 443 --state ESTABLISHED", "2"),
        ("--state LISTENING --exposed", "0"),
        ("--user nobody", ""),
    ] {
        let filter: Filter = words.parse().unwrap();
        let found: String = (0..sockets.len())
            .filter(|&at| filter.wants(&sockets[at]))
            .map(|at| at.to_string())
            .collect();
        assert_eq!(found, wanted, "{words}");
    }
}

#[test]
fn filter_by_holder_matches_pid_program_and_unit() {
    use crate::{ContainerRuntime, Fact, ImageName, NoOwner, OwnersBuilder, Process, UnitManager, Why};
    let mut owners = OwnersBuilder::default();
    let process = |pid, path: Option<&str>, components| Process {
        pid,
        start_ticks: Fact::Known(u64::from(pid)),
        comm: Fact::Known(b"worker".to_vec()),
        image: path.map_or(Fact::Unknown(Why::NotPermitted), |path| {
            Fact::Known(ImageName {
                path: path.as_bytes().to_vec(),
                deleted: false,
            })
        }),
        invocation: Fact::Unknown(Why::NotAsked),
        components: Fact::Known(components),
    };
    let unit = Component::Unit {
        name: b"ssh.service".to_vec(),
        manager: UnitManager::System,
    };
    let container = Component::Container {
        runtime: ContainerRuntime::Docker,
        id: b"0123456789ab".to_vec(),
    };
    owners.add(process(7, Some("/usr/sbin/sshd"), vec![unit]), [9]);
    owners.add(process(8, None, vec![container]), [9]);
    let owners = owners.finish(NoOwner::Unheld);
    let held = connection(Protocol::Tcp, State::Listening, "0.0.0.0:22", "0.0.0.0:0", 0);
    let unheld = connection(Protocol::Tcp, State::TimeWait, "0.0.0.0:22", "0.0.0.0:0", 0);
    for (words, wanted) in [
        ("", true),
        ("--pid 7", true),
        ("--pid 8,9", true),
        ("--pid 9", false),
        ("--program sshd", true),
        ("--program /usr/sbin/*", true),
        // If the file is unknown, the kernel's short name counts.
        ("--program WORKER", true),
        ("--program nginx", false),
        ("--unit ssh.*", true),
        ("--unit 0123*", true),
        ("--unit 'docker 0123*'", true),
        ("--unit cron.service", false),
        ("--pid 7 --unit cron.service", false),
    ] {
        let filter: Filter = words.parse().unwrap();
        assert_eq!(filter.needs_owners(), !words.is_empty());
        assert_eq!(filter.wants_holders(&owners.of(&held)), wanted, "{words}");
    }
    let filter: Filter = "--pid 7".parse().unwrap();
    let nobody = Owner::None(NoOwner::Unheld);
    assert!(!filter.wants_holders(&nobody) && Filter::default().wants_holders(&nobody));
    assert!(filter.wants(&unheld), "the socket alone is not judged by its holders");
}
