//! Detects programs, and network activity of programs, that were never seen before.

use netstat_model::reach::is_public;
use netstat_model::{Protocol, Socket, State};
use netstat_record::{Coverage, Millis, Novelty, ProgramHistory};

use crate::case::{Case, Exposure, describe};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::known::FIRST_PASSING_PORT;
use crate::past;

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "new-on-network",
    title: "a program, or what it does on the network, was never seen before the last day",
    explanation: "Where netstat record has kept a history for a week or more, on five of the last seven days at least, what it saw for the first time within the last day is told: \
        a program that was never on the network before; a known one that listens on a port it never had, open to more than this computer; a known one that calls a public network \
        (/24 of IPv4, /48 of IPv6) where it never called. Low when no package owns the program, info when one does. A program that calls many networks, as browsers do, and ports \
        of the range for passing use (from 32768 on) are left out. Without such a history nothing is said.",
    harmless: "it was installed, updated, moved or configured lately, its service moved to other addresses, or it is seldom used",
    technique: "T1071",
    family: Family::Network,
    check: Check::Process(check),
};

/// One day, in milliseconds.
const DAY: Millis = 86_400_000;
/// The minimum time that the record must cover, in milliseconds.
const WEEK: Millis = 7 * DAY;
/// The number of days, among the seven before the last one, on which something must have been recorded: a computer may
/// be switched off at weekends.
const DAYS: u32 = 5;
/// The number of networks above which a program is considered to connect everywhere.
const EVERYWHERE: usize = 30;

fn check(case: &Case<'_>, notes: &mut Notes) {
    let (Ok(reach), Some(past), Some(program)) = (&case.host.reach, case.past, case.program) else {
        return;
    };
    let now = netstat_record::millis(case.host.now);
    let long = |begins: Option<Millis>| begins.is_some_and(|begins| begins <= now - WEEK);
    if reach.days < DAYS || !long(reach.begins) || !past.is_sure() {
        return;
    }
    let new = |first: Option<Millis>| first.filter(|first| *first > now - DAY && *first <= now);
    let seen = Seen { case, past, reach };
    let (headline, evidence, verify) = if let Some(first) = new(past.of(Novelty::Program)) {
        let mut evidence = vec![seen.line("it was first seen on the network", first)];
        evidence.extend(case.reach_evidence());
        (
            "is new: it was never on the network before the last day".to_owned(),
            evidence,
            String::new(),
        )
    } else if let Some((socket, first)) = seen.listening().find_map(|socket| {
        let first = new(past.of(Novelty::Listens(socket.local().port)))?;
        long(reach.listeners).then_some((socket, first))
    }) {
        let port = socket.local().port;
        (
            format!("listens on port {port}, as it never did before the last day"),
            vec![
                describe(socket),
                seen.line(&format!("it was first seen listening on port {port}"), first),
                seen.known(),
            ],
            format!(" --port {port}"),
        )
    } else if let Some((socket, first)) = seen.calls().find_map(|socket| {
        let first = new(past.network_of(socket.foreign().address))?;
        long(reach.networks).then_some((socket, first))
    }) {
        let address = socket.foreign().address.to_canonical();
        (
            format!("calls the network of {address}, as it never did before the last day"),
            vec![
                describe(socket),
                seen.line("it was first seen calling that network", first),
                seen.known(),
            ],
            format!(" --foreign {address}"),
        )
    } else {
        return;
    };
    notes.found(Note {
        severity: match program.package() {
            Some(_) => Severity::Info,
            None => Severity::Low,
        },
        headline,
        evidence,
        verify: case.host.own(&format!(
            "history{} --since all --program {}{verify}",
            case.host.store,
            case.host.quoted(&program.path)
        )),
        would_change: "you know what was installed or changed in the last day".to_owned(),
        pid: None,
        program: None,
    });
}

struct Seen<'a> {
    case: &'a Case<'a>,
    past: &'a ProgramHistory,
    reach: &'a Coverage,
}

impl<'a> Seen<'a> {
    fn line(&self, what: &str, first: Millis) -> String {
        let when = |millis| netstat_model::human::ago(past::time(millis), self.case.host.now);
        let begins = self
            .reach
            .begins
            .map_or_else(String::new, |begins| format!("; the record begins {}", when(begins)));
        format!("{what} {}{begins}", when(first))
    }

    /// Describes since when the program is known.
    fn known(&self) -> String {
        let now = self.case.host.now;
        match self.past.of(Novelty::Program) {
            Some(first) => format!(
                "the program itself was first seen {}",
                past::when(first, self.reach.begins, now)
            ),
            None => "when the program itself was first seen is not known".to_owned(),
        }
    }

    /// Returns the TCP listeners on non-ephemeral ports that other computers can reach.
    fn listening(&self) -> impl Iterator<Item = &'a Socket> + use<'a> {
        self.case.waiting().filter(|socket| {
            socket.protocol() == Protocol::Tcp
                && socket.local().port < FIRST_PASSING_PORT
                && Exposure::of(socket) > Exposure::Loopback
        })
    }

    /// Returns the connections that it opened to public addresses; empty if the program connects everywhere.
    fn calls(&self) -> impl Iterator<Item = &'a Socket> + use<'a> {
        let networks = self.past.sightings.iter();
        let networks = networks.filter(|sighting| matches!(sighting.what, Novelty::Network(_)));
        let everywhere = networks.count() > EVERYWHERE;
        let case = self.case;
        let sockets: &'a [&'a Socket] = case.sockets;
        sockets.iter().copied().filter(move |socket| {
            let protocol = socket.protocol();
            !everywhere
                && protocol == Protocol::Tcp
                && socket.is_connected()
                && socket.state() == State::Established
                && is_public(socket.foreign().address)
                // A connection at a listening port was opened by the other side.
                && !case.host.ports.contains(&(protocol, socket.local().port))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::case::Host;
    use crate::testing::{self, Made};
    use netstat_record::{FirstSeen, Program};

    const HOUR: Millis = DAY / 24;

    fn host(begins: Millis, days: u32) -> Host {
        let mut host = testing::host();
        let begins = netstat_record::millis(host.now) - begins;
        host.reach = Ok(Coverage {
            begins: Some(begins),
            networks: Some(begins),
            listeners: Some(begins),
            days,
        });
        host
    }

    /// Returns a history of sightings; each number is the age in hours.
    fn past(seen: &[(Novelty, Millis)]) -> ProgramHistory {
        let now = netstat_record::millis(testing::host().now);
        let program = Arc::new(Program {
            id: 1,
            path: Some(b"/srv/x/agent".to_vec()),
            name: b"agent".to_vec(),
        });
        let sighting = |&(what, hours): &(Novelty, Millis)| FirstSeen {
            program: Arc::clone(&program),
            what,
            first: now - hours * HOUR,
        };
        ProgramHistory {
            sightings: seen.iter().map(sighting).collect(),
            nameless: None,
        }
    }

    fn calling(seen: &[(Novelty, Millis)]) -> Made {
        Made::program("/srv/x/agent")
            .unowned()
            .connected("203.0.113.7:443")
            .past(past(seen))
            .host(host(30 * DAY, 7))
    }

    fn network() -> Novelty {
        Novelty::Network("203.0.113.0/24".parse().unwrap())
    }

    #[test]
    fn program_first_seen_within_a_day_is_new() {
        let seen = [(Novelty::Program, 3), (network(), 3)];
        assert_eq!(calling(&seen).check(&RULE), [Severity::Low]);
        let packaged = calling(&seen).packaged("agent");
        assert_eq!(packaged.check(&RULE), [Severity::Info]);
        assert_eq!(calling(&[(Novelty::Program, 25), (network(), 25)]).check(&RULE), []);
    }

    #[test]
    fn known_program_calling_new_network_is_found() {
        let seen = [(Novelty::Program, 300), (network(), 3)];
        assert_eq!(calling(&seen).check(&RULE), [Severity::Low]);
        // For incoming connections, a new network of the client is not reported.
        let mut called = host(30 * DAY, 7);
        called.ports.insert((Protocol::Tcp, 50_000));
        assert_eq!(calling(&seen).host(called).check(&RULE), []);
        // For a program that connects everywhere, new networks are not reported.
        let mut everywhere = seen.to_vec();
        for number in 0..EVERYWHERE {
            let text = format!("198.51.{number}.0/24");
            everywhere.push((Novelty::Network(text.parse().unwrap()), 200));
        }
        assert_eq!(calling(&everywhere).check(&RULE), []);
    }

    #[test]
    fn known_program_listening_at_new_port_is_found() {
        let listening = |local: &str, port| {
            Made::program("/srv/x/agent")
                .unowned()
                .listening(local)
                .past(past(&[(Novelty::Program, 300), (Novelty::Listens(port), 3)]))
                .host(host(30 * DAY, 7))
                .check(&RULE)
        };
        assert_eq!(listening("0.0.0.0:4444", 4444), [Severity::Low]);
        assert_eq!(listening("127.0.0.1:4444", 4444), []);
        assert_eq!(listening("0.0.0.0:40000", 40_000), []);
        // Absence from the record is not a sign: the sighting may not have been written yet.
        assert_eq!(listening("0.0.0.0:4444", 80), []);
    }

    #[test]
    fn novelty_with_young_or_incomplete_record_raises_no_alarm() {
        let seen = [(Novelty::Program, 3), (network(), 3)];
        assert_eq!(calling(&seen).host(host(6 * DAY, 6)).check(&RULE), []);
        assert_eq!(calling(&seen).host(host(30 * DAY, 4)).check(&RULE), []);
        let mut unsure = past(&seen);
        unsure.nameless = Some(netstat_record::millis(testing::host().now) - 20 * DAY);
        assert_eq!(calling(&seen).past(unsure).check(&RULE), []);
        // Until recently, it was recorded without networks.
        let mut late = host(30 * DAY, 7);
        if let Ok(reach) = &mut late.reach {
            reach.networks = Some(netstat_record::millis(late.now) - 5 * HOUR);
        }
        let known = [(Novelty::Program, 300), (network(), 3)];
        assert_eq!(calling(&known).host(late).check(&RULE), []);
    }
}
