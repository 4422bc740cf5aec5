//! What a Windows host is configured to start, to forward and to let in.

use std::fmt;

use crate::Fact;
use crate::process::ServiceProgram;
use crate::text::{escape, escape_str};

/// The configuration of a Windows host that determines who can reach it and what it starts.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WindowsHost {
    /// The services that are not disabled.
    pub services: Fact<Vec<ServiceProgram>>,
    /// The SIDs of accounts that are known to be members of the Administrators group.
    #[cfg_attr(feature = "serde", serde(default))]
    pub administrators: Vec<String>,
    /// The ports that `netsh interface portproxy` forwards.
    pub port_proxies: Fact<Vec<PortProxy>>,
    /// The configuration of Windows Firewall.
    pub firewall: Fact<WindowsFirewall>,
}

/// A port that the IP Helper service forwards (`netsh interface portproxy`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PortProxy {
    /// The address families it forwards between, such as `v4tov4`.
    pub kind: String,
    /// The address it listens on, as `ADDRESS/PORT`; `*` means every address. Escape before printing.
    pub listen: String,
    /// The address it forwards to. Escape before printing.
    pub to: String,
}

impl PortProxy {
    /// Returns the port it listens on; `None` if it cannot be parsed.
    pub fn port(&self) -> Option<u16> {
        self.listen.rsplit_once('/')?.1.parse().ok()
    }
}

impl fmt::Display for PortProxy {
    /// Writes the forwarding as text that is safe to print.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |text: &str| escape_str(&text.replacen('/', " port ", 1)).into_owned();
        write!(
            f,
            "{} leads to {} ({})",
            side(&self.listen),
            side(&self.to),
            escape_str(&self.kind)
        )
    }
}

/// A network profile, to which firewall rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// A domain network.
    Domain,
    /// A network that the user marked as private.
    Private,
    /// Every other network.
    Public,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Profile; 3] = [Profile::Domain, Profile::Private, Profile::Public];

    /// Returns the name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::Domain => "domain",
            Profile::Private => "private",
            Profile::Public => "public",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The firewall's policy in one profile, which applies if no rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ProfilePolicy {
    /// Whether the firewall is on.
    pub enabled: bool,
    /// Whether inbound traffic is allowed if no rule matches (`DefaultInboundAction`).
    pub allows_by_default: bool,
    /// Whether all inbound traffic is blocked regardless of rules (`DoNotAllowExceptions`).
    pub blocks_all: bool,
}

/// Windows Firewall: its policy in each profile and its inbound rules.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WindowsFirewall {
    /// The policies of the domain, private and public profiles, in this order.
    pub profiles: [ProfilePolicy; 3],
    /// The active inbound rules.
    pub rules: Vec<FirewallRule>,
    /// The number of rules that could not be read.
    pub unread: usize,
}

/// A rule of Windows Firewall ([MS-FASP] 2.2.19).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FirewallRule {
    /// The name of the rule, which may be a reference to a text in a library. Escape before printing.
    pub name: String,
    /// Whether the rule allows traffic; otherwise it blocks it.
    pub allows: bool,
    /// Whether the rule is active.
    pub active: bool,
    /// Whether the rule applies to inbound traffic.
    pub inbound: bool,
    /// The profiles that the rule applies to, one bit for each; 0 means every profile.
    profiles: u8,
    /// The IP protocol number; `None` means any.
    pub protocol: Option<u8>,
    /// The local ports, as inclusive ranges; `None` means any.
    pub ports: Option<Vec<(u16, u16)>>,
    /// The remote addresses that the rule applies to, as written; empty means any. Escape before printing.
    pub senders: Vec<String>,
    /// The program; `None` means any. `System` is the kernel.
    pub program: Option<String>,
    /// The service; `None` means any process, `*` every service.
    pub service: Option<String>,
    /// Whether the rule has further conditions that are not evaluated: ports given by a keyword, users, interfaces,
    /// packages, local addresses.
    pub further: bool,
}

impl FirewallRule {
    /// Parses a rule in the format of the registry: `v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=80|...`.
    /// `None` for another format.
    pub fn parse(text: &str) -> Option<FirewallRule> {
        let mut parts = text.split('|');
        parts.next()?.strip_prefix("v2.")?.parse::<u32>().ok()?;
        let mut rule = FirewallRule::default();
        let mut acts = false;
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key {
                "Action" => {
                    // `ByPass` lets authenticated connections in; without their conditions nothing can be decided.
                    rule.allows = !value.eq_ignore_ascii_case("Block");
                    rule.further |= !matches!(value, "Allow" | "Block");
                    acts = true;
                }
                "Active" => rule.active = value.eq_ignore_ascii_case("TRUE"),
                "Dir" => rule.inbound = value.eq_ignore_ascii_case("In"),
                "Protocol" => rule.protocol = Some(value.parse().ok()?),
                "Profile" => {
                    rule.profiles |= Profile::ALL
                        .into_iter()
                        .find(|profile| profile.name().eq_ignore_ascii_case(value))?
                        .bit();
                }
                "LPort" | "LPort2_10" | "LPort2_20" | "LPort2_24" => {
                    let ports = rule.ports.get_or_insert_default();
                    match range(value) {
                        Some(range) => ports.push(range),
                        None => rule.further = true,
                    }
                }
                "RA4" | "RA6" | "RA42" | "RA62" | "RA4_10" | "RA6_10" => rule.senders.push(value.to_owned()),
                "App" => rule.program = Some(value.to_owned()),
                "Svc" => rule.service = Some(value.to_owned()),
                "Name" => rule.name = value.to_owned(),
                // Keys that only describe the rule or allow more (edge traversal).
                "Desc" | "EmbedCtxt" | "Edge" | "Defer" | "Platform" | "Platform2" | "TTK" | "TTK2_22" | "TTK2_27"
                | "TTK2_28" | "PFN" => {}
                _ => rule.further = true,
            }
        }
        acts.then_some(rule)
    }

    fn is_of(&self, profile: Profile) -> bool {
        self.profiles == 0 || self.profiles & profile.bit() != 0
    }

    /// Whether the rule applies to this listening port; `None` if that cannot be decided.
    fn is_about(&self, door: &Door<'_>) -> Option<bool> {
        let other_protocol = self.protocol.is_some_and(|protocol| protocol != door.protocol);
        let port_in = |ports: &Vec<(u16, u16)>| ports.iter().any(|&(from, to)| (from..=to).contains(&door.port));
        let other_port = self
            .ports
            .as_ref()
            .is_some_and(|ports| !port_in(ports) && !self.further);
        if other_protocol || other_port {
            return Some(false);
        }
        let mut sure = !self.further;
        if let Some(program) = &self.program {
            match door.program {
                Some(own) if !own.eq_ignore_ascii_case(program.as_bytes()) => return Some(false),
                Some(_) => {}
                None => sure = false,
            }
        }
        if let Some(service) = &self.service {
            match door.services {
                Some([]) => return Some(false),
                Some(own)
                    if service != "*" && !own.iter().any(|name| name.eq_ignore_ascii_case(service.as_bytes())) =>
                {
                    return Some(false);
                }
                Some(_) => {}
                None => sure = false,
            }
        }
        sure.then_some(true)
    }
}

/// Parses `80` or `5000-5010` into an inclusive range.
fn range(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let range = (from.parse().ok()?, to.parse().ok()?);
    (range.0 <= range.1).then_some(range)
}

/// A listening port, as the firewall sees it.
#[derive(Clone, Copy, Debug)]
pub struct Door<'a> {
    /// The IP protocol number: 6 for TCP, 17 for UDP.
    pub protocol: u8,
    /// The port.
    pub port: u16,
    /// The path of the program, `System` for the kernel; `None` if it is not known.
    pub program: Option<&'a [u8]>,
    /// The services that the process runs; `None` if they are not known.
    pub services: Option<&'a [Vec<u8>]>,
}

/// The firewall's verdict on inbound traffic to a [`Door`] in one profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileVerdict {
    /// The firewall is off.
    Off,
    /// Everybody is let in, by this rule or, if `None`, by default.
    Everybody(Option<String>),
    /// Only these remote addresses are let in, by this rule.
    Only(Vec<String>, String),
    /// Nobody is let in, because of this rule or, if `None`, because no rule allows it or the policy blocks
    /// everything.
    Nobody(Option<String>),
    /// The verdict cannot be determined because of this rule.
    Unknown(String),
}

impl WindowsFirewall {
    /// Returns the verdict of the rules on `door` in `profile`. Rules that block take precedence over rules that allow.
    pub fn verdict(&self, profile: Profile, door: &Door<'_>) -> ProfileVerdict {
        let policy = self.profiles[profile as usize];
        if !policy.enabled {
            return ProfileVerdict::Off;
        }
        if policy.blocks_all {
            return ProfileVerdict::Nobody(None);
        }
        let mut doubtful: Option<&FirewallRule> = None;
        let mut senders: (Vec<String>, Option<&FirewallRule>) = (Vec::new(), None);
        let mut everybody: Option<&FirewallRule> = None;
        for rule in self
            .rules
            .iter()
            .filter(|rule| rule.active && rule.inbound && rule.is_of(profile))
        {
            match (rule.is_about(door), rule.allows) {
                (Some(false), _) => {}
                (Some(true), false) if rule.senders.is_empty() => {
                    return ProfileVerdict::Nobody(Some(rule.name.clone()));
                }
                // Either some remote addresses are blocked, or it is unknown whether the rule applies.
                (Some(true), false) | (None, _) => doubtful = Some(rule),
                (Some(true), true) if rule.senders.is_empty() => everybody = Some(rule),
                (Some(true), true) => {
                    senders.0.extend(rule.senders.iter().cloned());
                    senders.1.get_or_insert(rule);
                }
            }
        }
        match (doubtful, everybody, senders) {
            // An undecided rule that allows traffic changes nothing if everybody is let in already.
            (Some(rule), Some(by), _) if rule.allows => ProfileVerdict::Everybody(Some(by.name.clone())),
            (Some(rule), ..) => ProfileVerdict::Unknown(rule.name.clone()),
            (None, Some(by), _) => ProfileVerdict::Everybody(Some(by.name.clone())),
            _ if policy.allows_by_default => ProfileVerdict::Everybody(None),
            (None, None, (mut from, Some(by))) => {
                from.sort();
                from.dedup();
                ProfileVerdict::Only(from, by.name.clone())
            }
            (None, None, (_, None)) => ProfileVerdict::Nobody(None),
        }
    }

    /// Returns the verdict of each profile.
    pub fn verdicts(&self, door: &Door<'_>) -> Vec<(Profile, ProfileVerdict)> {
        let of = |profile| (profile, self.verdict(profile, door));
        Profile::ALL.into_iter().map(of).collect()
    }

    /// Returns the verdicts of all profiles as text, safe to print; profiles with the same verdict share a line.
    pub fn lines(&self, door: &Door<'_>) -> Vec<String> {
        ProfileVerdict::lines(&self.verdicts(door))
    }
}

impl ProfileVerdict {
    /// Returns a name for machines: `off`, `everybody`, `only`, `nobody` or `unknown`.
    pub const fn name(&self) -> &'static str {
        match self {
            ProfileVerdict::Off => "off",
            ProfileVerdict::Everybody(_) => "everybody",
            ProfileVerdict::Only(..) => "only",
            ProfileVerdict::Nobody(_) => "nobody",
            ProfileVerdict::Unknown(_) => "unknown",
        }
    }

    /// Returns the name of the rule that decides, if one does. Escape before printing.
    pub fn rule(&self) -> Option<&str> {
        match self {
            ProfileVerdict::Off => None,
            ProfileVerdict::Everybody(rule) | ProfileVerdict::Nobody(rule) => rule.as_deref(),
            ProfileVerdict::Only(_, rule) | ProfileVerdict::Unknown(rule) => Some(rule),
        }
    }

    /// Returns the verdicts as text, safe to print; profiles with the same verdict share a line.
    pub fn lines(verdicts: &[(Profile, ProfileVerdict)]) -> Vec<String> {
        let mut told: Vec<(Vec<&str>, String)> = Vec::new();
        for (profile, verdict) in verdicts {
            let words = verdict.to_string();
            match told.iter_mut().find(|(_, known)| *known == words) {
                Some((names, _)) => names.push(profile.name()),
                None => told.push((vec![profile.name()], words)),
            }
        }
        let line = |(names, words): (Vec<&str>, String)| match names.len() {
            3 => format!("Windows Firewall {words}"),
            1 => format!("Windows Firewall in a {} network {words}", names[0]),
            _ => format!("Windows Firewall in {} networks {words}", names.join(" and ")),
        };
        told.into_iter().map(line).collect()
    }
}

impl fmt::Display for ProfileVerdict {
    /// Writes text that continues a sentence beginning with "Windows Firewall" and is safe to print.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = |name: &str| format!("rule \"{}\"", escape(name.as_bytes()));
        match self {
            ProfileVerdict::Off => f.write_str("is off: everybody gets in"),
            ProfileVerdict::Everybody(Some(name)) => write!(f, "lets everybody in ({})", rule(name)),
            ProfileVerdict::Everybody(None) => f.write_str("lets everybody in by default"),
            ProfileVerdict::Only(from, name) => {
                write!(f, "lets in only {} ({})", escape_str(&from.join(", ")), rule(name))
            }
            ProfileVerdict::Nobody(Some(name)) => write!(f, "lets nobody in ({})", rule(name)),
            ProfileVerdict::Nobody(None) => f.write_str("lets nobody in: no rule does"),
            ProfileVerdict::Unknown(name) => {
                write!(f, "decides by conditions that are not worked out here ({})", rule(name))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ON: ProfilePolicy = ProfilePolicy {
        enabled: true,
        allows_by_default: false,
        blocks_all: false,
    };

    fn firewall(rules: &[&str]) -> WindowsFirewall {
        WindowsFirewall {
            profiles: [ON; 3],
            rules: rules.iter().map(|rule| FirewallRule::parse(rule).unwrap()).collect(),
            unread: 0,
        }
    }

    const SERVER: &[u8] = br"C:\srv\web.exe";

    fn door(port: u16) -> Door<'static> {
        Door {
            protocol: 6,
            port,
            program: Some(SERVER),
            services: Some(&[]),
        }
    }

    #[test]
    fn firewall_rule_is_read_from_registry_text() {
        let rule = FirewallRule::parse(
            r"v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Private|Profile=Domain|LPort=80|LPort2_10=5000-5010|RA42=LocalSubnet|App=C:\srv\web.exe|Svc=*|Name=Web|Desc=x|EmbedCtxt=y|Edge=TRUE|",
        )
        .unwrap();
        assert!(rule.allows && rule.active && rule.inbound && !rule.further);
        assert_eq!(rule.protocol, Some(6));
        assert_eq!(rule.ports, Some(vec![(80, 80), (5000, 5010)]));
        assert_eq!(rule.senders, ["LocalSubnet"]);
        assert!(rule.is_of(Profile::Private) && rule.is_of(Profile::Domain) && !rule.is_of(Profile::Public));
        assert_eq!(FirewallRule::parse("v1.0|x"), None);
        assert_eq!(FirewallRule::parse("v2.31|Active=TRUE|"), None);
        assert_eq!(FirewallRule::parse("v2.31|Action=Allow|Protocol=x|"), None);
        assert!(FirewallRule::parse("v2.31|Action=Allow|LPort=RPC|").unwrap().further);
    }

    #[test]
    fn firewall_without_rule_lets_nobody_in_unless_off() {
        assert_eq!(
            firewall(&[]).verdict(Profile::Public, &door(80)),
            ProfileVerdict::Nobody(None)
        );
        let mut off = firewall(&[]);
        off.profiles[2].enabled = false;
        assert_eq!(off.verdict(Profile::Public, &door(80)), ProfileVerdict::Off);
        assert_eq!(
            off.lines(&door(80)),
            [
                "Windows Firewall in domain and private networks lets nobody in: no rule does",
                "Windows Firewall in a public network is off: everybody gets in"
            ]
        );
    }

    #[test]
    fn firewall_rules_match_by_port_program_service_and_profile() {
        let port = r"v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=80|Name=Web|";
        let everybody = ProfileVerdict::Everybody(Some("Web".to_owned()));
        let nobody = ProfileVerdict::Nobody(None);
        let asked = |rules: &[&str], port| firewall(rules).verdict(Profile::Private, &door(port));
        assert_eq!(asked(&[port], 80), everybody);
        assert_eq!(asked(&[port], 81), nobody);
        let program = r"v2.31|Action=Allow|Active=TRUE|Dir=In|App=c:\SRV\web.exe|Name=Web|";
        assert_eq!(asked(&[program], 81), everybody);
        assert_eq!(
            asked(
                &[r"v2.31|Action=Allow|Active=TRUE|Dir=In|App=C:\other.exe|Name=Web|"],
                81
            ),
            nobody
        );
        assert_eq!(
            asked(&[r"v2.31|Action=Allow|Active=TRUE|Dir=In|Svc=Dnscache|Name=Web|"], 81),
            nobody
        );
        assert_eq!(
            asked(&[r"v2.31|Action=Allow|Active=TRUE|Dir=In|Profile=Public|Name=Web|"], 81),
            nobody
        );
        assert_eq!(
            asked(&[r"v2.31|Action=Allow|Active=FALSE|Dir=In|Name=Web|"], 81),
            nobody
        );
        assert_eq!(
            asked(&[r"v2.31|Action=Allow|Active=TRUE|Dir=Out|Name=Web|"], 81),
            nobody
        );
        // Rules that block take precedence in whichever order they are listed.
        let block = r"v2.31|Action=Block|Active=TRUE|Dir=In|Protocol=6|LPort=80|Name=No|";
        assert_eq!(asked(&[port, block], 80), ProfileVerdict::Nobody(Some("No".to_owned())));
        assert_eq!(asked(&[block, port], 80), ProfileVerdict::Nobody(Some("No".to_owned())));
    }

    #[test]
    fn firewall_rule_that_cannot_be_decided_is_unknown() {
        let asked = |rules: &[&str]| firewall(rules).verdict(Profile::Private, &door(80));
        let user = r"v2.31|Action=Allow|Active=TRUE|Dir=In|LUOwn=S-1-5-21-1|Name=Mine|";
        assert_eq!(asked(&[user]), ProfileVerdict::Unknown("Mine".to_owned()));
        let open = r"v2.31|Action=Allow|Active=TRUE|Dir=In|Name=Open|";
        assert_eq!(asked(&[open, user]), ProfileVerdict::Everybody(Some("Open".to_owned())));
        let net = r"v2.31|Action=Allow|Active=TRUE|Dir=In|RA4=10.0.0.0/255.0.0.0|Name=Net|";
        assert_eq!(
            asked(&[net]),
            ProfileVerdict::Only(vec!["10.0.0.0/255.0.0.0".to_owned()], "Net".to_owned())
        );
        let some = r"v2.31|Action=Block|Active=TRUE|Dir=In|RA4=10.0.0.1|Name=Not me|";
        assert_eq!(asked(&[open, some]), ProfileVerdict::Unknown("Not me".to_owned()));
    }

    #[test]
    fn port_proxy_is_shown_with_both_ports() {
        let proxy = PortProxy {
            kind: "v4tov4".to_owned(),
            listen: "*/8080".to_owned(),
            to: "192.0.2.9/22".to_owned(),
        };
        assert_eq!(proxy.port(), Some(8080));
        assert_eq!(proxy.to_string(), "* port 8080 leads to 192.0.2.9 port 22 (v4tov4)");
    }

    proptest! {
        #[test]
        fn firewall_rule_of_any_text_never_panics(text: String, port: u16) {
            for text in [text.clone(), format!("v2.31|Action=Allow|Active=TRUE|Dir=In|{text}")] {
                if let Some(rule) = FirewallRule::parse(&text) {
                    let firewall = WindowsFirewall { profiles: [ON; 3], rules: vec![rule], unread: 0 };
                    for line in firewall.lines(&door(port)) {
                        prop_assert!(!line.contains(|letter: char| letter.is_control()));
                    }
                }
            }
        }
    }
}
