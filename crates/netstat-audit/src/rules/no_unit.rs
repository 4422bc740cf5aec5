//! Detects root-owned listeners that belong to no unit.

use crate::case::{Case, Exposure};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "no-unit",
    title: "runs as root and listens outside without a unit",
    explanation: "On a system with a service manager, what runs as root and waits for calls from other computers belongs to a unit. Medium where none is known; low when it \
        was started from a terminal or a login. Containers, and systems without a service manager, are left out.",
    harmless: "started by hand for a while; a supervisor of its own",
    technique: "T1543.002",
    family: Family::Hiding,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    if !case.host.has_units || case.facts.pid == 1 || !case.is_root() || case.in_container() || case.is_elsewhere() {
        return;
    }
    if case.facts.components.as_ref().known().is_none() || case.service().is_some() {
        return;
    }
    let Some(socket) = case.waiting().find(|socket| Exposure::of(socket) >= Exposure::World) else {
        return;
    };
    let mut evidence = vec![format!("open to every network: {}", crate::case::describe(socket))];
    evidence.push(format!("parent: PID {}", case.facts.parent));
    let login = case.facts.login_user.known().flatten();
    let by_hand = case.has_session() || login.is_some();
    evidence.push(match (case.facts.terminal, login) {
        (Some(terminal), _) => format!("started from terminal {terminal}"),
        (None, Some(user)) => format!("started from a login of user {user}"),
        (None, None) => "neither a terminal nor a login".to_owned(),
    });
    notes.found(Note {
        severity: if by_hand { Severity::Low } else { Severity::Medium },
        headline: "runs as root, listens outside, and belongs to no unit".to_owned(),
        evidence,
        verify: format!(
            "cat /proc/{0}/cgroup; ps -o pid,ppid,tty,lstart,args -p {0}",
            case.facts.pid
        ),
        would_change: "you started it by hand, or a unit starts it".to_owned(),
        pid: None,
        program: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn root_listener_without_unit_is_found_if_reachable() {
        let made = || Made::program("/srv/x/y").user(0).units();
        assert_eq!(made().listening("0.0.0.0:9000").check(&RULE), [Severity::Medium]);
        assert_eq!(
            made().listening("0.0.0.0:9000").terminal().check(&RULE),
            [Severity::Low]
        );
        assert_eq!(made().listening("127.0.0.1:9000").check(&RULE), []);
        assert_eq!(made().listening("0.0.0.0:9000").unit("x.service").check(&RULE), []);
        assert_eq!(made().user(1000).listening("0.0.0.0:9000").check(&RULE), []);
        assert_eq!(
            Made::program("/srv/x/y").user(0).listening("0.0.0.0:9000").check(&RULE),
            []
        );
    }
}
