//! A service whose program others than administrators may replace.

use netstat_model::Fact;
use netstat_model::process::{FileAccess, ServiceProgram, sid_name};
use netstat_model::text::{escape, escape_str, powershell_quoted};

use crate::case::Host;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// See the module.
pub(crate) static RULE: Rule = Rule {
    name: "service-file",
    title: "others than administrators may replace the program of a service (Windows)",
    explanation: "Services mostly run with the rights of the system: who may change their file, or put another in its way, gets these rights. High when everyone, all users or authenticated users may change the file, medium when some other account may, low when that is the account of an administrator: no elevation is needed then. A path with blanks and without quotation \
        marks makes Windows try shorter paths first (C:\\Program.exe for C:\\Program Files\\x.exe): high when others than administrators may put a file at one of them.",
    harmless: "a service that an ordinary user installed for himself",
    technique: "T1574.010",
    family: Family::FileStatus,
    check: Check::Host(check),
};

fn check(host: &Host, notes: &mut Notes) {
    let Some(windows) = &host.windows else { return };
    let services = match &windows.services {
        Fact::Known(services) => services,
        Fact::Unknown(why) => {
            notes.unexamined(format!("the programs of services: {}", why.words()));
            return;
        }
    };
    let unknown = services
        .iter()
        .filter(|service| service.access.as_ref().known().is_none())
        .count();
    if unknown > 0 {
        notes.unexamined(format!(
            "who may change the programs of {unknown} of {} services",
            services.len()
        ));
    }
    for service in services {
        one(service, &windows.administrators, notes);
    }
}

fn one(service: &ServiceProgram, administrators: &[String], notes: &mut Notes) {
    /// Everyone, authenticated users, users, interactive users, guests.
    const ANYBODY: [&str; 5] = ["S-1-1-0", "S-1-5-11", "S-1-5-32-545", "S-1-5-4", "S-1-5-32-546"];
    let name = escape(&service.name);
    let account = match service.account.is_empty() {
        true => "the system".into(),
        false => escape(&service.account),
    };
    let mut evidence = vec![format!("service {name} runs {} as {account}", escape(&service.command))];
    let writable = service
        .access
        .as_ref()
        .known()
        .filter(|access| !access.is_administrators_only());
    let foreign = writable.filter(|access| !access.is_of_administrators(administrators));
    let (severity, headline) = match (foreign, service.plantable.as_slice(), writable) {
        (Some(access), ..) => {
            evidence.push(format!("its program can be changed by {}", writers(access)));
            let anybody = access.open || access.writers.iter().any(|sid| ANYBODY.contains(&sid.as_str()));
            let severity = if anybody { Severity::High } else { Severity::Medium };
            let headline = format!("the program of service {name} can be replaced by others than administrators");
            (severity, headline)
        }
        (None, [_, ..], _) => {
            let paths: Vec<String> = service.plantable.iter().map(|path| escape(path).into_owned()).collect();
            evidence.push(format!(
                "Windows tries {} first, where others than administrators may put a file",
                paths.join(", ")
            ));
            let headline = format!("another program can be put in the way of service {name}");
            (Severity::High, headline)
        }
        (None, [], Some(access)) => {
            evidence.push(format!(
                "its program can be changed by {}: an account of an administrator, whose programs need no elevation for it",
                writers(access)
            ));
            let headline = format!("the program of service {name} can be replaced without elevation");
            (Severity::Low, headline)
        }
        (None, [], None) => return,
    };
    notes.found(Note {
        severity,
        headline,
        evidence,
        verify: format!("Get-Acl {} | Format-List", powershell_quoted(service.path())),
        would_change: "only administrators may write there, and the path is quoted".to_owned(),
        pid: None,
        program: Some(escape(service.path()).into_owned()),
    });
}

/// The accounts that may change the file besides the built-in administrators; safe to print.
fn writers(access: &FileAccess) -> String {
    let mut writers: Vec<&str> = access.writers.iter().map(|sid| sid_name(sid)).collect();
    if access.open {
        writers.push("everyone");
    }
    if writers.is_empty() {
        writers.push(sid_name(&access.owner));
    }
    escape_str(&writers.join(", ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_host, windows_host};

    fn service(command: &str, writers: &[&str]) -> ServiceProgram {
        ServiceProgram {
            name: b"Agent".to_vec(),
            command: command.into(),
            account: b"LocalSystem".to_vec(),
            access: Fact::Known(FileAccess {
                owner: "S-1-5-18".to_owned(),
                writers: writers.iter().map(|&sid| sid.to_owned()).collect(),
                open: false,
            }),
            plantable: Vec::new(),
        }
    }

    fn seen(service: ServiceProgram) -> Vec<Severity> {
        let mut host = windows_host();
        if let Some(windows) = &mut host.windows {
            windows.services = Fact::Known(vec![service]);
            windows.administrators = vec!["S-1-5-21-1-2-3-1000".to_owned()];
        }
        check_host(&host, &RULE)
    }

    #[test]
    fn service_counts_by_who_may_change_it() {
        assert_eq!(seen(service(r"C:\x\agent.exe", &[])), []);
        assert_eq!(seen(service(r"C:\x\agent.exe", &["S-1-5-32-545"])), [Severity::High]);
        assert_eq!(
            seen(service(r"C:\x\agent.exe", &["S-1-5-21-1-2-3-1001"])),
            [Severity::Medium]
        );
        // The account of an administrator, without elevation.
        assert_eq!(
            seen(service(r"C:\x\agent.exe", &["S-1-5-21-1-2-3-1000"])),
            [Severity::Low]
        );
        assert_eq!(
            seen(service(r"C:\x\agent.exe", &["S-1-5-21-1-2-3-1000", "S-1-1-0"])),
            [Severity::High]
        );
        let planted = ServiceProgram {
            plantable: vec![br"C:\my.exe".to_vec()],
            ..service(r"C:\my tools\agent.exe", &[])
        };
        assert_eq!(seen(planted.clone()), [Severity::High]);
        // That its file belongs to an administrator's account excuses nothing.
        let access = service(r"C:\my tools\agent.exe", &["S-1-5-21-1-2-3-1000"]).access;
        assert_eq!(seen(ServiceProgram { access, ..planted }), [Severity::High]);
    }
}
