//! The rules, one per module.

mod beacon;
mod blocked;
mod capabilities;
mod code;
mod deleted;
mod differs;
mod dns_channel;
mod environment;
mod hidden_owner;
mod injected;
mod kernel_thread;
mod lineage;
mod listener_exec;
pub(crate) mod loader;
mod memory;
mod mounted_over;
mod nameless;
mod no_unit;
mod novelty;
mod odd_name;
mod open_port;
mod outdated;
mod own_root;
mod place;
mod place_kind;
mod port;
mod poses;
mod preload;
mod privilege;
mod promiscuous;
mod published_port;
mod several;
mod shell_relay;
mod shell_socket;
mod sniffer;
mod system_place;
mod taken_port;
mod traced;
mod tunnel;
mod unpackaged;
mod views;
mod windows;
mod writable;

use netstat_model::SystemKind;

use super::finding::Rule;

/// All rules, in the order in which they are listed.
pub static RULES: &[&Rule] = &[
    &deleted::RULE,
    &memory::RULE,
    &place::RULE,
    &unpackaged::RULE,
    &differs::RULE,
    &writable::RULE,
    &shell_socket::RULE,
    &shell_relay::RULE,
    &kernel_thread::RULE,
    &poses::RULE,
    &preload::RULE,
    &preload::EVERYWHERE,
    &injected::RULE,
    &traced::RULE,
    &sniffer::RULE,
    &promiscuous::RULE,
    &port::RULE,
    &open_port::RULE,
    &published_port::RULE,
    &no_unit::RULE,
    &hidden_owner::RULE,
    &nameless::RULE,
    &views::RULE,
    &taken_port::RULE,
    &blocked::RULE,
    &blocked::OWNERLESS,
    &beacon::RULE,
    &novelty::RULE,
    &code::RULE,
    &listener_exec::RULE,
    &lineage::RULE,
    &environment::RULE,
    &system_place::RULE,
    &odd_name::RULE,
    &capabilities::RULE,
    &tunnel::RULE,
    &mounted_over::RULE,
    &privilege::RULE,
    &dns_channel::RULE,
    &loader::RULE,
    &own_root::RULE,
    &outdated::RULE,
    &windows::unsigned::RULE,
    &windows::names::RULE,
    &windows::names::EXTENSION,
    &windows::parent::RULE,
    &windows::helper::RULE,
    &windows::memory::HOLLOWED,
    &windows::memory::PRIVATE,
    &windows::let_in::RULE,
    &windows::service::RULE,
    &windows::port_proxy::RULE,
    &several::RULE,
];

/// The rules that apply to every operating system. They name files and commands in the terms of the system.
static EVERYWHERE: &[&Rule] = &[
    &place::RULE,
    &open_port::RULE,
    &blocked::RULE,
    &blocked::OWNERLESS,
    &beacon::RULE,
    &novelty::RULE,
    &taken_port::RULE,
    &several::RULE,
];

/// Returns the rules that apply to a system.
pub(crate) fn of(kind: SystemKind) -> impl Iterator<Item = &'static Rule> {
    let is_of = move |rule: &&'static Rule| match kind {
        SystemKind::Windows => EVERYWHERE.contains(rule) || windows::RULES.contains(rule),
        SystemKind::Linux | SystemKind::Other => !windows::RULES.contains(rule),
    };
    RULES.iter().copied().filter(is_of)
}

/// Returns the names of the systems that a rule applies to: `linux`, `windows`.
pub fn systems(rule: &Rule) -> Vec<&'static str> {
    let of_system = |kind| of(kind).any(|known| known == rule);
    let all = [(SystemKind::Linux, "linux"), (SystemKind::Windows, "windows")];
    all.into_iter()
        .filter(|(kind, _)| of_system(*kind))
        .map(|(_, name)| name)
        .collect()
}

/// Whether the path is in a place for short-lived files, or hidden.
pub(crate) fn is_odd_place(path: &[u8]) -> bool {
    place::is_odd(path)
}

/// The rule that combines weak signs; [`crate::Auditor`] applies it after all others.
pub(crate) static SEVERAL: &Rule = &several::RULE;

/// Returns the rule called `name`, ignoring case.
pub fn find(name: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_selected_by_system() {
        let windows: Vec<&str> = of(SystemKind::Windows).map(|rule| rule.name).collect();
        let linux: Vec<&str> = of(SystemKind::Linux).map(|rule| rule.name).collect();
        assert_eq!(windows.len(), windows::RULES.len() + EVERYWHERE.len());
        assert_eq!(linux.len() + windows::RULES.len(), RULES.len());
        assert!(windows.contains(&"unsigned") && !linux.contains(&"unsigned"));
        assert!(linux.contains(&"deleted-program") && !windows.contains(&"deleted-program"));
    }

    #[test]
    fn rules_have_unique_names_valid_techniques_and_plain_texts() {
        for (at, rule) in RULES.iter().enumerate() {
            assert!(
                RULES[..at].iter().all(|other| other.name != rule.name),
                "{rule:?} twice"
            );
            assert!(
                rule.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{rule:?}"
            );
            // The format is T1234 or T1234.001 (attack.mitre.org).
            if rule.technique.is_empty() {
                continue;
            }
            let number = rule.technique.strip_prefix('T').unwrap();
            let (technique, sub) = number.split_once('.').unwrap_or((number, "001"));
            assert!(
                technique.len() == 4
                    && sub.len() == 3
                    && (technique.to_owned() + sub).bytes().all(|b| b.is_ascii_digit()),
                "{rule:?}"
            );
            for text in [rule.title, rule.explanation, rule.harmless] {
                assert!(
                    !text.is_empty() && !text.contains('\n') && !text.contains("  "),
                    "{rule:?}: {text:?}"
                );
            }
            assert!(
                rule.explanation.ends_with('.') && !rule.title.ends_with('.'),
                "{rule:?}"
            );
            assert_eq!(find(&rule.name.to_uppercase()), Some(*rule));
        }
        assert_eq!(find("nothing"), None);
    }
}
