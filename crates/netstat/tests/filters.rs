//! `--state` and `--port`, tested with sockets in every state, against `ss`, and against the whole list.
#![cfg(target_os = "linux")]

use std::net::TcpListener;

use netstat_testkit::listing;
use netstat_testkit::oracle::{self, Row, TcpState};
use netstat_testkit::peer::Family;
use netstat_testkit::states::{AllStates, FAR_PORT};
use netstat_testkit::{Netstat, actors, have, kernel_has, own_namespace, trouble};

const STATES: [TcpState; 11] = [
    TcpState::Established,
    TcpState::SynSent,
    TcpState::SynReceived,
    TcpState::FinWait1,
    TcpState::FinWait2,
    TcpState::TimeWait,
    TcpState::CloseWait,
    TcpState::LastAck,
    TcpState::Listening,
    TcpState::Closing,
    TcpState::Bound,
];

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

/// Returns the rows for these arguments, which are separated by spaces; stderr must be empty.
#[track_caller]
fn rows(words: &str) -> Vec<Row> {
    let outcome = netstat().run(words.split_whitespace());
    let rows = listing::rows(&listing::list(outcome.success()));
    let said_none = rows.is_empty() && outcome.stderr.starts_with("netstat: no socket matches --");
    assert!(outcome.stderr.is_empty() || said_none, "{words}: {}", outcome.stderr);
    rows
}

fn only(rows: &[Row], keep: impl Fn(&Row) -> bool) -> Vec<Row> {
    rows.iter().copied().filter(keep).collect()
}

fn has_port(row: &Row, ports: std::ops::RangeInclusive<u16>) -> bool {
    [row.local.port, row.foreign.port]
        .iter()
        .any(|port| *port != 0 && ports.contains(port))
}

/// Returns pairs of different states, covering all except BOUND, for which `ss` before 6.9 has no name.
fn pairs() -> impl Iterator<Item = [TcpState; 2]> {
    STATES[..10]
        .iter()
        .zip(STATES[1..10].iter().chain(&STATES[..1]))
        .map(|(a, b)| [*a, *b])
}

/// Returns the `ss` filter for two states. With a single state, `ss` would omit the column with its name.
fn ss_states([one, other]: [TcpState; 2]) -> [String; 4] {
    [
        "state".to_owned(),
        oracle::ss_state(one),
        "state".to_owned(),
        oracle::ss_state(other),
    ]
}

#[test]
fn state_filter_finds_each_state_of_both_families() {
    own_namespace!();
    let v4 = AllStates::make(Family::V4).unwrap();
    let v6 = AllStates::make(Family::V6).unwrap();
    let _udp = actors::udp_sockets().unwrap();
    let made = [v4.rows(), v6.rows()].concat();
    let bound_state_is_reported = kernel_has("a look at ports that are only bound", 6, 8);
    for state in STATES
        .into_iter()
        .filter(|state| *state != TcpState::Bound || bound_state_is_reported)
    {
        let word = state.word();
        let expected = only(&made, |row| row.state == Some(state));
        assert!(
            expected.iter().any(|row| row.v6) && expected.iter().any(|row| !row.v6),
            "{word}"
        );
        // If a state is named, the switches that select by state have no effect.
        for words in ["-n", "-an", "-qn", "-tun"] {
            assert_eq!(rows(&format!("{words} --state {word}")), expected, "{words} {word}");
        }
        let hyphens = word.to_lowercase().replace('_', "-");
        assert_eq!(
            rows(&format!("-n --state={hyphens} -p tcp")),
            only(&expected, |row| !row.v6)
        );
        assert_eq!(
            rows(&format!("-p TCPv6 -n --state={hyphens}")),
            only(&expected, |row| row.v6)
        );
    }
    for pair in pairs().filter(|_| have("ss")) {
        let filter = ss_states(pair);
        let told = oracle::rows(&oracle::ss_filtered(&filter.each_ref().map(String::as_str)));
        let words = format!("-n --state {},{}", pair[0].word(), pair[1].word());
        assert_eq!(rows(&words), only(&told, |row| !row.udp), "{words}");
    }
    assert_eq!(rows("-an --state closed"), []);
    let two = |row: &Row| matches!(row.state, Some(TcpState::Listening | TcpState::SynReceived));
    for words in [
        "-n --state LISTEN,SYN-RECEIVED",
        "-n --state syn_recv --state listening",
    ] {
        assert_eq!(rows(words), only(&made, two), "{words}");
    }
    assert_eq!(
        rows("-ln --state LISTENING,SYN_SENT"),
        only(&made, |row| row.state == Some(TcpState::Listening))
    );
    assert_eq!(rows("-ln --state SYN_SENT"), []);
}

#[test]
fn port_filter_finds_either_side_in_every_state() {
    own_namespace!();
    let _v4 = AllStates::make(Family::V4).unwrap();
    let _v6 = AllStates::make(Family::V6).unwrap();
    let _load = actors::connections(50).unwrap();
    let _mapped = actors::mapped().unwrap();
    let _udp = actors::udp_sockets().unwrap();
    let all = rows("-qn");
    assert!(all.len() > 130, "{}", all.len());
    let mut ports: Vec<u16> = all.iter().flat_map(|row| [row.local.port, row.foreign.port]).collect();
    ports.retain(|port| *port != 0);
    ports.sort_unstable();
    ports.dedup();
    let step = ports.len() / 8;
    for (&first, &last) in ports.iter().zip(&ports[step..]).step_by(step / 2) {
        let expected = only(&all, |row| has_port(row, first..=last));
        assert_eq!(rows(&format!("-qn --port {first}-{last}")), expected);
        let expected = only(&all, |row| has_port(row, first..=first) || has_port(row, last..=last));
        assert_eq!(rows(&format!("-qn --port {first},{last}")), expected);
        assert_eq!(rows(&format!("-qn --port {last} --port {first}")), expected);
        if have("ss") {
            let filter = format!("( sport = :{first} or dport = :{first} or sport = :{last} or dport = :{last} )");
            let told = oracle::rows(&oracle::ss_filtered(&[&filter]));
            let unbound = |row: &Row| row.state != Some(TcpState::Bound);
            assert_eq!(only(&expected, unbound), only(&told, unbound), "{filter}");
        }
    }
    // For every state there is a socket with this port on one side.
    let expected = only(&all, |row| has_port(row, FAR_PORT..=FAR_PORT));
    let states = |state| expected.iter().any(|row| row.state == Some(state));
    assert!(
        states(TcpState::TimeWait) && states(TcpState::SynSent) && states(TcpState::FinWait2),
        "{expected:?}"
    );
    assert_eq!(rows(&format!("-qn --port {FAR_PORT}")), expected);
    // The port of a side without one is not 0.
    assert_eq!(
        rows("-qn --port 1-65535"),
        only(&all, |row| has_port(row, 1..=u16::MAX))
    );
    // As always, there are no listeners without -a.
    let connections =
        |row: &Row| !row.udp && row.state != Some(TcpState::Listening) && row.state != Some(TcpState::Bound);
    assert_eq!(rows("-n --port 1-65535"), only(&all, connections));
    // More ranges than the kernel is asked to filter.
    let odd: Vec<String> = (0..100)
        .map(|n| (u16::MAX - 2 * n).to_string())
        .chain([FAR_PORT.to_string()])
        .collect();
    let expected = only(&all, |row| {
        [row.local.port, row.foreign.port]
            .iter()
            .any(|port| *port == FAR_PORT || (port % 2 == 1 && *port > u16::MAX - 200))
    });
    assert_eq!(rows(&format!("-qn --port {}", odd.join(","))), expected);
}

#[test]
fn state_and_port_filters_must_both_match() {
    own_namespace!();
    let v4 = AllStates::make(Family::V4).unwrap();
    let v6 = AllStates::make(Family::V6).unwrap();
    let made = [v4.rows(), v6.rows()].concat();
    for state in STATES {
        let expected = only(&made, |row| {
            row.state == Some(state) && has_port(row, FAR_PORT..=FAR_PORT)
        });
        let shown = rows(&format!("-n --port {FAR_PORT} --state {}", state.word()));
        assert_eq!(shown, expected, "{state:?}");
    }
    for pair in pairs().filter(|_| have("ss")) {
        let [first, state, second, other] = ss_states(pair);
        let ports = format!("( sport = :{FAR_PORT} or dport = :{FAR_PORT} )");
        let told = oracle::rows(&oracle::ss_filtered(&[&first, &state, &second, &other, &ports]));
        let words = format!("-n --port {FAR_PORT} --state {},{}", pair[0].word(), pair[1].word());
        assert_eq!(rows(&words), told, "{words}");
    }
}

#[test]
fn filters_without_netlink_give_the_same_rows() {
    own_namespace!();
    let _v4 = AllStates::make(Family::V4).unwrap();
    let _v6 = AllStates::make(Family::V6).unwrap();
    let _udp = actors::udp_sockets().unwrap();
    for words in [
        format!("-an --port {FAR_PORT}"),
        format!("-n -p tcpv6 --port {FAR_PORT}-65535"),
        "-n --state TIME_WAIT,SYN_RECEIVED,LISTENING".to_owned(),
        "-un --port 1-65535".to_owned(),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let Some(outcome) = trouble::without_netlink(|| netstat().run(&words)) else {
            return;
        };
        let expected = rows(&words.join(" "));
        assert!(!expected.is_empty(), "{words:?}");
        assert_eq!(listing::rows(&listing::list(outcome.success())), expected, "{words:?}");
    }
}

#[test]
fn udp_with_state_filter_says_that_udp_has_no_states() {
    own_namespace!();
    let _udp = actors::udp_sockets().unwrap();
    assert_eq!(rows("-an --state ESTABLISHED"), []);
    let outcome = netstat().run(["-un", "--state", "ESTABLISHED"]);
    assert_eq!(listing::list(outcome.success()), []);
    assert!(
        outcome.stderr.contains("UDP has no states") && outcome.stderr.lines().count() == 1,
        "{}",
        outcome.stderr
    );
}

#[test]
fn filters_apply_to_the_other_parts_too() {
    own_namespace!();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _other = TcpListener::bind("127.0.0.1:0").unwrap();
    let _load = actors::connections(20).unwrap();
    let port = listener.local_addr().unwrap().port();
    let pid = std::process::id();
    // -c counts the matching ports: one TCP port of this process, and no UDP port.
    let outcome = netstat().run(["-c", "--port", &port.to_string()]);
    let own = outcome
        .success()
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == pid.to_string()));
    let figures: Vec<&str> = own
        .unwrap_or_else(|| panic!("{}", outcome.stdout))
        .split_whitespace()
        .collect();
    assert!(figures.contains(&"1") && !figures.contains(&"2"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("Foreign Address"), "{}", outcome.stdout);
    // The counters of -s remain complete, and the list follows.
    let current = |stdout: &str| {
        let line = stdout
            .lines()
            .find(|line| line.trim_start().starts_with("Current Connections"));
        line.unwrap_or_else(|| panic!("{stdout}")).to_owned()
    };
    let whole = netstat().run(["-s", "-n", "-p", "tcp"]);
    let filtered = netstat().run([
        "-s",
        "-an",
        "-p",
        "tcp",
        "--port",
        &port.to_string(),
        "--state",
        "LISTENING",
    ]);
    assert_eq!(current(filtered.success()), current(whole.success()));
    assert!(current(whole.success()).ends_with("= 40"), "{}", whole.stdout);
    let (_, list) = filtered.stdout.split_once("\nActive Connections").unwrap();
    assert_eq!(
        listing::rows(&listing::list(&format!("\nActive Connections{list}"))).len(),
        1,
        "{list}"
    );
    let routes = netstat().run(["-rn", "--state", "LISTENING"]);
    assert!(routes.success().contains("Active Connections"), "{}", routes.stdout);
}

#[test]
fn filter_wrong_value_is_named_with_an_example() {
    for (words, names) in [
        (
            &["--state", "LISTN"][..],
            &["\"LISTN\"", "LISTENING", "--state LISTENING,TIME_WAIT"][..],
        ),
        (&["-an", "--state=listening,"], &["\"\"", "--state LISTENING,TIME_WAIT"]),
        (&["--port", "443,x\x1b[2J"], &["\"x\\e[2J\"", "--port 443,8000-8010"]),
        (&["--port", "0"], &["\"0\"", "1 to 65535"]),
        (&["--port", "9-8"], &["\"9-8\"", "--port 443,8000-8010"]),
        (&["--port"], &["--port LIST"]),
    ] {
        let outcome = netstat().run(words);
        let line = outcome.refusal();
        for name in names {
            assert!(line.contains(name), "{words:?} should name {name}: {line}");
        }
        assert!(!line.chars().any(char::is_control), "{words:?}: {line:?}");
    }
}
