//! Detects interfaces in promiscuous mode.

use netstat_model::Fact;
use netstat_model::text::{escape, shell_quoted};

use crate::case::Host;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "promiscuous",
    title: "a network interface takes frames that are not for this computer",
    explanation: "Sniffers switch an interface so that it passes on every frame it sees. The kernel counts who wants that (IFLA_PROMISCUITY), also when the flag is not \
        shown. Ports of bridges and bonds, and the virtual interfaces of containers and machines, are so by nature and left out. Low: it proves nothing alone; \
        see the packet sockets.",
    harmless: "bridges, macvlan, virtual machines, tcpdump",
    technique: "T1040",
    family: Family::Network,
    check: Check::Host(check),
};

fn check(host: &Host, notes: &mut Notes) {
    let interfaces = match &host.promiscuous {
        Fact::Known(interfaces) => interfaces,
        Fact::Unknown(why) => {
            notes.unexamined(format!("interfaces in promiscuous mode: {}", why.words()));
            return;
        }
    };
    for interface in interfaces {
        let name = escape(&interface.name);
        notes.found(Note {
            severity: Severity::Low,
            headline: format!("interface {name} takes frames that are not for this computer"),
            evidence: vec![format!("promiscuity of {name}: {}", interface.count)],
            verify: format!(
                "ip -d link show {}; {}",
                shell_quoted(&interface.name),
                host.own("-an -p PACKET -o")
            ),
            would_change: "a bridge, a virtual machine or a sniffer of yours uses the interface".to_owned(),
            pid: None,
            program: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::Promiscuous;
    use crate::testing;

    #[test]
    fn promiscuous_interface_is_low() {
        let mut host = testing::host();
        assert_eq!(testing::check_host(&host, &RULE), []);
        host.promiscuous = Fact::Known(vec![Promiscuous {
            name: b"eth0".to_vec(),
            count: 1,
        }]);
        assert_eq!(testing::check_host(&host, &RULE), [Severity::Low]);
    }
}
