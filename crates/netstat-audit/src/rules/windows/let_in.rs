//! Windows Firewall lets strangers in to a program that nobody vouches for, or is off.

use netstat_model::text::escape;
use netstat_model::windows_host::{Door, Profile, ProfileVerdict};
use netstat_model::{Component, Fact};

use super::{is_signed, show_signature, told};
use crate::case::{Case, Exposure, describe};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::passage;

/// See the module.
pub(crate) static RULE: Rule = Rule {
    name: "let-in",
    title: "Windows Firewall lets strangers in to a program that neither a signature nor its place speaks for",
    explanation: "Who wants to be called from outside needs a rule in the firewall, and adding one leaves a trace. Looked at are programs that listen beyond this computer, are not signed, and lie where others than administrators may write: medium when the firewall \
        lets everybody in to them in a public network, by a rule or because it is off; low when it does in private networks or a domain only. Where rules have conditions that cannot be worked out, nothing is found.",
    harmless: "a game, a server for tests, or a tool to share files, which asked to be let in",
    technique: "T1562.004",
    family: Family::Network,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    let Some((windows, path)) = told(case) else { return };
    let Some(host) = &case.host.windows else { return };
    if is_signed(windows) || case.is_trusted() {
        return;
    }
    let Some(socket) = case.waiting().find(|socket| Exposure::of(socket) > Exposure::Loopback) else {
        return;
    };
    let firewall = match &host.firewall {
        Fact::Known(firewall) => firewall,
        Fact::Unknown(why) => {
            notes.unexamined(format!(
                "whether Windows Firewall lets others in to it: {}",
                why.words()
            ));
            return;
        }
    };
    let services: Option<Vec<Vec<u8>>> = case.facts.components.as_ref().known().map(|components| {
        let name = |component: &Component| match component {
            Component::Service { name } => Some(name.clone()),
            _ => None,
        };
        components.iter().filter_map(name).collect()
    });
    let door = Door {
        protocol: passage::number(socket.protocol()),
        port: socket.local().port,
        program: Some(path),
        services: services.as_deref(),
    };
    let open = |profile| {
        matches!(
            firewall.verdict(profile, &door),
            ProfileVerdict::Off | ProfileVerdict::Everybody(_)
        )
    };
    let severity = match (open(Profile::Public), open(Profile::Private) || open(Profile::Domain)) {
        (true, _) => Severity::Medium,
        (false, true) => Severity::Low,
        (false, false) => return,
    };
    let mut evidence = vec![describe(socket), format!("the program is {}", escape(path))];
    evidence.extend(firewall.lines(&door));
    notes.found(Note {
        severity,
        headline: "listens, and the firewall lets others in to it".to_owned(),
        evidence,
        verify: format!("{}; Get-NetFirewallRule -Direction Inbound -Enabled True -Action Allow | Format-Table DisplayName, Profile", show_signature(path)),
        would_change: "you allowed it, or removed the rule".to_owned(),
        pid: None,
        program: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Made, windows_host};
    use netstat_model::process::Signature;

    #[test]
    fn program_that_is_let_in_counts_by_profile_and_trust() {
        let made = |rule: &str| {
            let mut host = windows_host();
            if let Some(Fact::Known(firewall)) = host.windows.as_mut().map(|windows| &mut windows.firewall) {
                firewall
                    .rules
                    .extend(netstat_model::windows_host::FirewallRule::parse(rule));
            }
            Made::windows(r"C:\Users\a\share.exe")
                .host(host)
                .listening("0.0.0.0:9000")
        };
        let rule = r"v2.31|Action=Allow|Active=TRUE|Dir=In|App=C:\Users\a\share.exe|Name=Share|";
        assert_eq!(made(rule).check(&RULE), [Severity::Medium]);
        assert_eq!(made(&format!("{rule}Profile=Private|")).check(&RULE), [Severity::Low]);
        assert_eq!(made("").check(&RULE), []);
        assert_eq!(made(rule).rooted().check(&RULE), []);
        let valid = Fact::Known(Signature::Valid {
            signer: b"x".to_vec(),
            catalogue: false,
        });
        assert_eq!(made(rule).signature(valid).check(&RULE), []);
    }
}
