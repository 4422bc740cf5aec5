//! A program that calls home by the clock.

use std::time::Duration;

use netstat_model::reach::{is_loopback, is_public};
use netstat_model::text::escape;

use crate::case::Host;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use netstat_model::human::span;

/// See the module.
pub(crate) static RULE: Rule = Rule {
    name: "beacon",
    title: "a program calls the same address again and again at regular times",
    explanation: "Malware asks its master for orders by the clock. Where netstat record has kept a history, the calls of each program to each foreign side in the last week are \
        looked at: a dozen or more over two hours or more, with gaps that are all about the same. Medium when no package owns the program and the address is public; low when a \
        package owns it, or the address is private. Time servers are left out. Without a history there is nothing to look at, and that is said.",
    harmless: "update checks, monitoring, mail polling, synchronisation, keeping a name up to date",
    technique: "T1071",
    family: Family::Network,
    check: Check::Host(check),
};

fn check(host: &Host, notes: &mut Notes) {
    let calls = match &host.calls {
        Ok(calls) => calls,
        Err(why) => {
            notes.unexamined(format!("what is new, and calls at regular times: {why}"));
            return;
        }
    };
    for (beacon, look) in calls {
        let (address, port) = beacon.foreign;
        if is_loopback(address) {
            continue;
        }
        let owned = look.as_ref().is_some_and(|look| look.package().is_some());
        let severity = if !owned && is_public(address) {
            Severity::Medium
        } else {
            Severity::Low
        };
        let name = escape(beacon.program.shown());
        let rhythm = &beacon.rhythm;
        let millis = |millis: i64| span(Duration::from_millis(millis.unsigned_abs()));
        notes.found(Note {
            severity,
            headline: format!(
                "{name} calls {address} port {port} about every {}",
                millis(rhythm.period)
            ),
            evidence: vec![
                format!(
                    "{} calls within {}, the gaps {:.0} % apart at the middle",
                    rhythm.calls,
                    millis(rhythm.last - rhythm.first),
                    rhythm.jitter * 100.0
                ),
                match look {
                    Some(look) if owned => format!("a package owns {}", look.shown()),
                    Some(look) => format!("no package is known to own {}", look.shown()),
                    None => "the path of its program is not known".to_owned(),
                },
            ],
            verify: format!(
                "{}; {}",
                host.own(&format!("history{} --beacons --since 7d", host.store)),
                host.own(&format!("history{} --since 7d --foreign {address}", host.store))
            ),
            would_change: "you know what it asks for there".to_owned(),
            pid: None,
            program: look.as_ref().map(|look| look.shown()),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use netstat_model::Protocol;
    use netstat_record::{Beacon, Program, Rhythm};

    fn seen(address: &str, look: crate::case::FileLook) -> Vec<Severity> {
        let mut host = testing::host();
        let program = Program {
            id: 1,
            path: Some(look.path.clone()),
            name: b"x".to_vec(),
        };
        let beacon = Beacon {
            script: None,
            program: program.into(),
            foreign: (address.parse().unwrap(), 443),
            protocol: Protocol::Tcp,
            rhythm: Rhythm {
                calls: 100,
                period: 60_000,
                jitter: 0.05,
                first: 0,
                last: 6_000_000,
            },
        };
        host.calls = Ok(vec![(beacon, Some(look))]);
        testing::check_host(&host, &RULE)
    }

    #[test]
    fn the_program_and_the_address_weigh() {
        assert_eq!(seen("203.0.113.7", testing::unowned("/srv/x/y")), [Severity::Medium]);
        assert_eq!(
            seen("203.0.113.7", testing::packaged("/usr/bin/x", "x")),
            [Severity::Low]
        );
        assert_eq!(seen("192.168.0.7", testing::unowned("/srv/x/y")), [Severity::Low]);
        assert_eq!(seen("127.0.0.1", testing::unowned("/srv/x/y")), []);
    }

    #[test]
    fn without_a_history_nothing_is_found() {
        let mut host = testing::host();
        host.calls = Err("no history".into());
        let mut notes = Notes::default();
        check(&host, &mut notes);
        assert!(notes.found.is_empty());
        assert_eq!(
            notes.unexamined,
            ["what is new, and calls at regular times: no history"]
        );
    }
}
