//! Detects ports that are in use although no list shows them.

use crate::case::Host;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "taken-port",
    title: "a port is taken although no list shows it (with --probe-ports)",
    explanation: "A hidden listener still takes its port. With --probe-ports each port that no list shows is taken for a moment (bind(2), never listen(2)) and given back. A \
        port that is refused as taken, again and again while no list shows it, is high. Kernels before 6.8 do not list TCP ports that are only bound, so that there it is \
        medium. The probe sends nothing, but a service that starts at that very moment may fail: so it is never done unasked.",
    harmless: "a port that is bound and neither listens nor connects, on a kernel before 6.8; a port that a program takes over and over",
    technique: "T1014",
    family: Family::Hiding,
    check: Check::Host(check),
};

fn check(host: &Host, notes: &mut Notes) {
    let Some(probe) = &host.probe else { return };
    if probe.forbidden > 0 {
        notes.unexamined(format!("{} ports could not be tried: not permitted", probe.forbidden));
    }
    for taken in &probe.taken {
        let family = if taken.v6 { "IPv6" } else { "IPv4" };
        let (name, port) = (taken.protocol.name(), taken.port);
        let sure = probe.bound_are_listed || taken.protocol != netstat_model::Protocol::Tcp;
        let mut evidence = vec![format!(
            "refused as taken {} times, and listed in none of the looks between",
            taken.tries
        )];
        if !sure {
            evidence.push("this kernel does not list TCP ports that are bound only".to_owned());
        }
        notes.found(Note {
            severity: if sure { Severity::High } else { Severity::Medium },
            headline: format!("{name} port {port} over {family} is taken, and no list shows by whom"),
            evidence,
            verify: format!(
                "{}; {}",
                host.own(&format!("-anq --port {port}")),
                host.own("audit --probe-ports")
            ),
            would_change: "the port can be taken when tried again".to_owned(),
            pid: None,
            program: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Probe, TakenPort};
    use crate::testing;
    use netstat_model::Protocol;

    #[test]
    fn taken_tcp_port_on_older_kernel_is_medium() {
        let seen = |protocol, bound_are_listed| {
            let mut host = testing::host();
            let taken = vec![TakenPort {
                protocol,
                v6: false,
                port: 31337,
                tries: 3,
            }];
            host.probe = Some(Probe {
                taken,
                forbidden: 0,
                bound_are_listed,
            });
            testing::check_host(&host, &RULE)
        };
        assert_eq!(seen(Protocol::Tcp, true), [Severity::High]);
        assert_eq!(seen(Protocol::Tcp, false), [Severity::Medium]);
        assert_eq!(seen(Protocol::Udp, false), [Severity::High]);
        assert_eq!(testing::check_host(&testing::host(), &RULE), []);
    }
}
