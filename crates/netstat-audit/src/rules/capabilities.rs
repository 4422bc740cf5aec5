//! Detects processes of ordinary users that hold superuser capabilities through an unpackaged program.

use netstat_model::process::Capabilities;

use crate::case::Case;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "capable-program",
    title: "an ordinary user's process has rights of the superuser, and no package owns its program",
    explanation: "File capabilities (setcap) let a program of an ordinary user read the network or other processes: a quiet way to keep what was gained. Medium when no package owns \
        the program; high when it lies in a home or a place for short-lived files. Rights that a service manager hands on (ambient capabilities) and those in a \
        user namespace of its own are none of this.",
    harmless: "a tool of your own that was given the right to capture packets",
    technique: "T1548.001",
    family: Family::Identity,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    let (Some(users), Some(sets)) = (case.facts.users.known(), case.facts.capabilities.known()) else {
        return;
    };
    let own = case.facts.namespaces.user.known().is_none_or(|space| space.ours);
    let has = |number: u32| sets.effective.0 & (1 << number) != 0 && sets.ambient.0 & (1 << number) == 0;
    // cap_dac_override, cap_setuid, cap_net_admin, cap_net_raw, cap_sys_module, cap_sys_ptrace, cap_sys_admin, cap_bpf
    // (linux/capability.h).
    let held: Vec<&str> = [1, 7, 12, 13, 16, 19, 21, 39]
        .into_iter()
        .filter(|number| has(*number))
        .filter_map(Capabilities::name)
        .collect();
    if users.real == 0 || users.effective == 0 || !own || held.is_empty() || !case.is_unowned() {
        return;
    }
    let Some(program) = case.program else { return };
    let exposed = [&b"/home/"[..], b"/tmp/", b"/var/tmp/", b"/dev/", b"/run/"]
        .iter()
        .any(|place| program.path.starts_with(place));
    let mut evidence = vec![format!(
        "user {} has the capabilities {}",
        users.effective,
        held.join(", ")
    )];
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity: if exposed { Severity::High } else { Severity::Medium },
        headline: "gives an ordinary user rights of the superuser".to_owned(),
        evidence,
        verify: format!(
            "getcap \"$(readlink /proc/{0}/exe)\"; grep Cap /proc/{0}/status",
            case.facts.pid
        ),
        would_change: "you gave the file these capabilities".to_owned(),
        pid: None,
        program: None,
    });
}
