//! Checks of who the caller is, and which capabilities it has: capabilities(7).

use std::path::Path;

use netstat_model::text::plain_error;
use rustix::thread::CapabilitySet;

use crate::CheckArea::Privileges;
use crate::{Check, CheckStatus};

/// The id of a check, the capabilities it needs, and what is not possible without them.
type Wanted = (
    &'static str,
    &'static [&'static [(CapabilitySet, &'static str)]],
    &'static str,
);

/// The capabilities that are useful, and what is not possible without them. One capability from each inner list is
/// sufficient.
const WANTED: &[Wanted] = &[
    (
        "owners-of-others",
        &[
            &[(CapabilitySet::SYS_PTRACE, "cap_sys_ptrace")],
            &[
                (CapabilitySet::DAC_READ_SEARCH, "cap_dac_read_search"),
                (CapabilitySet::DAC_OVERRIDE, "cap_dac_override"),
            ],
        ],
        "sockets of other users' processes show no owner, and their programs and files are unknown",
    ),
    (
        "tracing",
        &[
            &[
                (CapabilitySet::BPF, "cap_bpf"),
                (CapabilitySet::SYS_ADMIN, "cap_sys_admin"),
            ],
            &[
                (CapabilitySet::PERFMON, "cap_perfmon"),
                (CapabilitySet::SYS_ADMIN, "cap_sys_admin"),
            ],
        ],
        "no eBPF: short connections can slip by, UDP sockets have no rates, and owners take longer to find",
    ),
    (
        "network-administration",
        &[&[(CapabilitySet::NET_ADMIN, "cap_net_admin")]],
        "packet filters cannot be read and connections cannot be closed",
    ),
    (
        "packet-sockets",
        &[&[(CapabilitySet::NET_RAW, "cap_net_raw")]],
        "DNS answers cannot be watched, so the names that programs asked for are unknown",
    ),
    (
        "other-namespaces",
        &[&[(CapabilitySet::SYS_ADMIN, "cap_sys_admin")]],
        "other network namespaces cannot be entered (--all-namespaces)",
    ),
];

/// Returns the checks of this area.
pub(super) fn checks(proc: &Path) -> Vec<Check> {
    let effective = rustix::thread::capabilities(None).map(|sets| sets.effective);
    let bounding = status_number(proc, "CapBnd:", 16);
    let uid = rustix::process::geteuid();
    let user = match uid.is_root() {
        true => Check::new(Privileges, "user", CheckStatus::Good, "root"),
        false => Check::new(
            Privileges,
            "user",
            CheckStatus::Note,
            format!("an ordinary user ({})", uid.as_raw()),
        )
        .effect("what belongs to other users may be hidden; the capabilities below say what")
        .remedy("sudo netstat doctor"),
    };
    let mut checks = vec![user];
    match effective {
        Ok(effective) => checks.extend(
            WANTED
                .iter()
                .map(|(id, groups, effect)| capability(id, groups, effect, effective, bounding)),
        ),
        Err(error) => checks.push(
            Check::new(Privileges, "capabilities", CheckStatus::Unknown, "capabilities unknown")
                .because(plain_error(&error)),
        ),
    }
    if status_number(proc, "NoNewPrivs:", 10) == Some(1) {
        checks.push(
            Check::new(
                Privileges,
                "no-new-privileges",
                CheckStatus::Note,
                "no_new_privs is set",
            )
            .because("this session was started so that no program in it can gain privileges")
            .effect("sudo and file capabilities have no effect here"),
        );
    }
    if status_number(proc, "Seccomp:", 10) == Some(2) {
        checks.push(
            Check::new(Privileges, "seccomp", CheckStatus::Note, "a seccomp filter is in force")
                .because("a container runtime or a sandbox has set it")
                .effect("system calls such as bpf(2) may be refused although the capabilities are there"),
        );
    }
    checks
}

fn capability(
    id: &'static str,
    groups: &[&[(CapabilitySet, &str)]],
    effect: &str,
    effective: CapabilitySet,
    bounding: Option<u64>,
) -> Check {
    let has = |group: &&[(CapabilitySet, &str)]| group.iter().any(|(one, _)| effective.contains(*one));
    let names = |groups: &mut dyn Iterator<Item = &&[(CapabilitySet, &str)]>| -> Vec<String> {
        groups
            .filter_map(|group| group.first())
            .map(|(_, name)| (*name).to_owned())
            .collect()
    };
    let missing = names(&mut groups.iter().filter(|group| !has(group)));
    if missing.is_empty() {
        return Check::new(Privileges, id, CheckStatus::Good, names(&mut groups.iter()).join(", "));
    }
    let verb = if missing.len() == 1 { "is" } else { "are" };
    let found = format!("{} {verb} missing", missing.join(" and "));
    let check = Check::new(Privileges, id, CheckStatus::Limited, found).effect(effect);
    // A capability that is missing from the bounding set cannot be regained in this session.
    let gone = bounding.is_some_and(|bounding| {
        groups
            .iter()
            .filter(|group| !has(group))
            .any(|group| group.iter().all(|(one, _)| one.bits() & bounding == 0))
    });
    if gone {
        return check
            .because("this session can never gain it: it is not in the bounding set (a container or a sandbox)");
    }
    let wanted = missing.join(",");
    let it = if missing.len() == 1 { "it" } else { "them" };
    match rustix::process::geteuid().is_root() {
        true => check.because(format!("root was started without {it}")),
        false => check
            .because(format!("an ordinary user does not have {it}"))
            .remedy(format!("sudo setcap {wanted}+ep \"$(command -v netstat)\"")),
    }
}

/// Returns the number after `key` in `/proc/self/status`.
fn status_number(proc: &Path, key: &str, radix: u32) -> Option<u64> {
    let text = std::fs::read_to_string(proc.join("self/status")).ok()?;
    field(&text, key, radix)
}

fn field(text: &str, key: &str, radix: u32) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    u64::from_str_radix(value.trim(), radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capability_present_is_good() {
        let check = capability("tracing", WANTED[1].1, WANTED[1].2, CapabilitySet::SYS_ADMIN, None);
        assert_eq!(check.status, CheckStatus::Good);
        let check = capability("tracing", WANTED[1].1, WANTED[1].2, CapabilitySet::BPF, None);
        assert_eq!(
            (check.status, check.found.as_str()),
            (CheckStatus::Limited, "cap_perfmon is missing")
        );
        assert!(check.effect.is_some());
    }

    #[test]
    fn capability_outside_the_bounding_set_has_no_remedy() {
        let check = capability(
            "packet-sockets",
            WANTED[3].1,
            WANTED[3].2,
            CapabilitySet::empty(),
            Some(0),
        );
        assert_eq!(check.remedy, None);
        assert!(check.reason.unwrap().contains("bounding set"));
    }

    #[test]
    fn status_field_is_read_in_its_base() {
        let text = "Name:\tx\nCapBnd:\t000001ffffffffff\nNoNewPrivs:\t1\n";
        assert_eq!(field(text, "CapBnd:", 16), Some(0x1ff_ffff_ffff));
        assert_eq!(field(text, "NoNewPrivs:", 10), Some(1));
        assert_eq!(field(text, "Seccomp:", 10), None);
    }
}
