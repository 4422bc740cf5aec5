//! Detects programs that use the network from a network namespace without a name.

use netstat_model::{Component, UnitManager};

use crate::case::{Case, Exposure};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "nameless-network",
    title: "a program is on the network from a network namespace that has no name",
    explanation: "What ip(8), a container or a unit makes for a purpose has a name. A namespace that only its processes keep does not show in `ip netns`, in `ss` or in most monitors. \
        Medium when the program is not from a package, or runs code that was given to it; low otherwise. A process in a container or service of the system is left out, and so is one that reaches this computer only.",
    harmless: "a sandbox (bubblewrap, unshare), a VPN client or a test that keeps a network of its own",
    technique: "T1564",
    family: Family::Hiding,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    let (Some(network), Some(named)) = (case.facts.namespaces.network.known(), &case.host.named_networks) else {
        return;
    };
    let excused = network.ours || named.contains(&network.inode) || is_of_the_system(case);
    if excused || case.exposure <= Exposure::Loopback {
        return;
    }
    let mut evidence = vec![format!(
        "its network namespace is net:[{}], which has no name in /run/netns and belongs to no container or unit",
        network.inode
    )];
    evidence.extend(case.reach_evidence());
    let untrusted = case.is_unowned() && !case.is_trusted() || case.runs_foreign_code();
    notes.found(Note {
        severity: if untrusted { Severity::Medium } else { Severity::Low },
        headline: "uses a network namespace that has no name".to_owned(),
        evidence,
        verify: format!(
            "lsns -t net; nsenter -t {} -n {}",
            case.facts.pid,
            case.host.own("-ano")
        ),
        would_change: "you know who made the namespace, and for what".to_owned(),
        pid: None,
        program: None,
    });
}

/// Whether the process belongs to a container or a service of the system's service manager. Anything below a user's
/// service manager can be created by that user.
fn is_of_the_system(case: &Case<'_>) -> bool {
    let components = case.facts.components.as_ref().known().map_or(&[][..], Vec::as_slice);
    let of_user = components.iter().any(|component| match component {
        Component::Unit { name, manager } => {
            matches!(manager, UnitManager::User(_)) || name.starts_with(b"user@") || name.starts_with(b"session-")
        }
        _ => false,
    });
    !of_user && (case.in_container() || case.service().is_some())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::testing::Made;

    fn severities(made: Made, named: &[u64]) -> Vec<Severity> {
        let mut host = crate::testing::host();
        host.named_networks = Some(HashSet::from_iter(named.iter().copied()));
        made.host(host).check(&RULE)
    }

    #[test]
    fn network_namespace_without_name_is_found_and_named_one_is_not() {
        let made = || {
            Made::program("/opt/x")
                .unowned()
                .connected("203.0.113.7:443")
                .other_network()
        };
        assert_eq!(severities(made(), &[1]), [Severity::Medium]);
        assert_eq!(severities(made(), &[1, 2]), []);
        assert_eq!(severities(made().packaged("x"), &[1]), [Severity::Low]);
        assert_eq!(severities(made().unit("x.service"), &[1]), []);
        assert_eq!(
            severities(Made::program("/opt/x").connected("203.0.113.7:443"), &[1]),
            []
        );
        let near = Made::program("/opt/x").connected("127.0.0.1:443").other_network();
        assert_eq!(severities(near, &[1]), []);
        // If only one namespace was examined, the rule does not apply.
        assert_eq!(made().check(&RULE), []);
    }
}
