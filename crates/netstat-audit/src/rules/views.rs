//! Detects differences between two views of the kernel that must agree.

use crate::case::{Host, describe};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "views-differ",
    title: "one view of the kernel shows a socket that the other hides",
    explanation: "The kernel lists sockets twice: through sock_diag (netlink) and in /proc/net/tcp, tcp6, udp and udp6. A rootkit that filters one of them often forgets the \
        other. Both are read, and what stands in one only is looked for again and again: sockets that come and go meanwhile drop out. What is left is critical.",
    harmless: "a socket that was opened or closed at that moment: look again",
    technique: "T1014",
    family: Family::Hiding,
    check: Check::Host(check),
};

fn check(host: &Host, notes: &mut Notes) {
    let differing = match &host.one_sided {
        Ok(differing) => differing,
        Err(why) => {
            notes.unexamined(format!("whether the kernel's views agree: {why}"));
            return;
        }
    };
    for one in differing {
        let (seen, hidden) = if one.in_text {
            ("/proc/net", "sock_diag")
        } else {
            ("sock_diag", "/proc/net")
        };
        let port = one.socket.local().port;
        notes.found(Note {
            severity: Severity::Critical,
            headline: format!("{seen} shows {}, {hidden} does not", describe(&one.socket)),
            evidence: vec![format!("in {} looks, one after the other, both ways", one.looks)],
            verify: format!("ss -an | grep ':{port} '; grep -i ':{port:04X} ' /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6"),
            would_change: "both agree when they are read again".to_owned(),
            pid: None,
        program: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::OneSided;
    use crate::testing;

    #[test]
    fn socket_seen_in_one_view_only_is_critical() {
        let mut host = testing::host();
        assert_eq!(testing::check_host(&host, &RULE), []);
        host.one_sided = Ok(vec![OneSided {
            socket: testing::socket("0.0.0.0:31337", None),
            in_text: false,
            looks: 3,
        }]);
        assert_eq!(testing::check_host(&host, &RULE), [Severity::Critical]);
        host.one_sided = Err("netlink is refused".into());
        assert_eq!(testing::check_host(&host, &RULE), []);
    }
}
