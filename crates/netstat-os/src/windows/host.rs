//! What Windows is configured to start, to pass on and to let in, read from the registry.

use std::io;

use netstat_model::process::{FileAccess, ServiceProgram};
use netstat_model::windows_host::{FirewallRule, PortProxy, ProfilePolicy, WindowsFirewall, WindowsHost};
use netstat_model::{Fact, Why};

use super::security;
use super::source::{RegistryValue, Source};
use super::text::{to_bytes, to_units};

const SERVICES: &str = r"SYSTEM\CurrentControlSet\Services";

/// Where `netsh interface portproxy` keeps its rules, a key for each pair of families.
const PORT_PROXY: &str = r"SYSTEM\CurrentControlSet\Services\PortProxy";

/// Where the firewall keeps its policy: what is set on this computer, and what a domain sets.
const FIREWALL: &str = r"SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy";
const FIREWALL_OF_DOMAIN: &str = r"SOFTWARE\Policies\Microsoft\WindowsFirewall";

/// More services than any computer has.
const MOST_SERVICES: usize = 4096;

/// Everything.
pub(super) fn read(source: &mut impl Source) -> WindowsHost {
    let administrators = source.administrators();
    WindowsHost {
        services: fact(services(source, &administrators)),
        administrators,
        port_proxies: fact(port_proxies(source)),
        firewall: fact(firewall(source)),
    }
}

fn fact<T>(answer: io::Result<T>) -> Fact<T> {
    match answer {
        Ok(value) => Fact::Known(value),
        // A key that is not there: this Windows has no such part.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Fact::Unknown(Why::NotKept),
        Err(error) => Fact::Unknown(crate::files::why(&error)),
    }
}

/// The services that are not disabled and have a program of their own.
fn services(source: &mut impl Source, administrators: &[String]) -> io::Result<Vec<ServiceProgram>> {
    /// `SERVICE_WIN32_OWN_PROCESS` and `SERVICE_WIN32_SHARE_PROCESS` (winnt.h): others are drivers.
    const PROGRAMS: u32 = 0x30;
    /// `SERVICE_DISABLED`.
    const DISABLED: u32 = 4;
    let mut found = Vec::new();
    for name in source.registry_keys(SERVICES)?.into_iter().take(MOST_SERVICES) {
        let path = format!("{SERVICES}\\{}", String::from_utf16_lossy(&name));
        // A service may have gone, or be out of sight.
        let Ok(values) = source.registry_values(&path) else {
            continue;
        };
        let number = |name: &str| value(&values, name).and_then(RegistryValue::number);
        let Some(command) = value(&values, "ImagePath").and_then(RegistryValue::text) else {
            continue;
        };
        if number("Type").is_none_or(|kind| kind & PROGRAMS == 0) || number("Start") == Some(DISABLED) {
            continue;
        }
        let account = value(&values, "ObjectName").and_then(RegistryValue::text);
        let mut service = ServiceProgram {
            name: to_bytes(&name),
            command: to_bytes(&source.expand(&command)),
            account: account.map_or_else(Vec::new, |account| to_bytes(&account)),
            access: Fact::Unknown(Why::NotAsked),
            plantable: Vec::new(),
        };
        service.access = access(source, service.path(), false);
        for path in service.tried_before() {
            let directory = path.iter().rposition(|&byte| byte == b'\\');
            // The root of a drive keeps its backslash.
            let directory = directory.map_or(&path[..], |last| &path[..last.max(3).min(path.len())]);
            let access = access(source, directory, true);
            if access
                .known()
                .is_some_and(|access| !access.is_of_administrators(administrators))
            {
                service.plantable.push(path);
            }
        }
        found.push(service);
    }
    Ok(found)
}

/// Who may change the file at `path`, or add files to the directory.
pub(super) fn access(source: &mut impl Source, path: &[u8], directory: bool) -> Fact<FileAccess> {
    if !path.contains(&b'\\') {
        return Fact::Unknown(Why::NotKept);
    }
    match source.security(&to_units(path)) {
        Ok(descriptor) => Fact::from_option(security::access(&descriptor, directory).ok(), Why::Failed),
        Err(why) => Fact::Unknown(why),
    }
}

fn value<'v>(values: &'v [RegistryValue], name: &str) -> Option<&'v RegistryValue> {
    let named = |value: &&RegistryValue| String::from_utf16_lossy(&value.name).eq_ignore_ascii_case(name);
    values.iter().find(named)
}

fn port_proxies(source: &mut impl Source) -> io::Result<Vec<PortProxy>> {
    let mut found = Vec::new();
    for kind in ["v4tov4", "v4tov6", "v6tov4", "v6tov6"] {
        let values = match source.registry_values(&format!("{PORT_PROXY}\\{kind}\\tcp")) {
            Ok(values) => values,
            // Where nothing was ever passed on there is no key.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for value in values {
            if let Some(to) = value.text() {
                found.push(PortProxy {
                    kind: kind.to_owned(),
                    listen: String::from_utf16_lossy(&value.name),
                    to: String::from_utf16_lossy(&to),
                });
            }
        }
    }
    Ok(found)
}

fn firewall(source: &mut impl Source) -> io::Result<WindowsFirewall> {
    let mut values = source.registry_values(&format!("{FIREWALL}\\FirewallRules"))?;
    match source.registry_values(&format!("{FIREWALL_OF_DOMAIN}\\FirewallRules")) {
        Ok(more) => values.extend(more),
        // No domain sets rules.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut rules = Vec::new();
    let mut unread = 0;
    for value in values {
        let text = value.text().map(|text| String::from_utf16_lossy(&source.expand(&text)));
        match text.as_deref().and_then(FirewallRule::parse) {
            Some(rule) if rule.active && rule.inbound => rules.push(rule),
            Some(_) => {}
            None => unread += 1,
        }
    }
    // The key of the private profile bears the name that it had in Windows XP.
    let profiles = ["DomainProfile", "StandardProfile", "PublicProfile"].map(|name| profile(source, name));
    let [domain, private, public] = profiles;
    Ok(WindowsFirewall {
        profiles: [domain?, private?, public?],
        rules,
        unread,
    })
}

/// The policy of one profile: what the domain sets counts before what is set here.
fn profile(source: &mut impl Source, name: &str) -> io::Result<ProfilePolicy> {
    let own = source.registry_values(&format!("{FIREWALL}\\{name}"))?;
    let domain = source
        .registry_values(&format!("{FIREWALL_OF_DOMAIN}\\{name}"))
        .unwrap_or_default();
    let number = |name: &str| {
        let find = |values| value(values, name).and_then(RegistryValue::number);
        find(&domain).or_else(|| find(&own))
    };
    Ok(ProfilePolicy {
        enabled: number("EnableFirewall") != Some(0),
        // 1 blocks; absent as well.
        allows_by_default: number("DefaultInboundAction") == Some(0),
        blocks_all: number("DoNotAllowExceptions") == Some(1),
    })
}

/// The value `MachineGuid`, which the installation of Windows makes.
#[cfg_attr(not(any(test, windows)), expect(dead_code, reason = "other systems have a file"))]
pub(crate) fn machine_guid(source: &mut dyn Source) -> Option<String> {
    let values = source.registry_values(r"SOFTWARE\Microsoft\Cryptography").ok()?;
    let name: Vec<u16> = "MachineGuid".encode_utf16().collect();
    let value = values.iter().find(|value| value.name == name)?;
    String::from_utf16(&value.text()?).ok().filter(|text| !text.is_empty())
}
