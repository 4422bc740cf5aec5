//! Checks of what this program uses besides the kernel: time zone, names, package databases, the record, the terminal.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use netstat_model::SystemKind;
use netstat_model::text::plain_error;
use netstat_names::ReverseDns;
use netstat_os::CheckArea::Installation;
use netstat_os::{Check, CheckStatus};
use netstat_packages::packages::{FileOwner, Packages, Unsaid};

use crate::args::store::StoreArgs;
use crate::context::{Context, human};
use crate::recall::{NoRecord, Recall};

/// Returns the checks of this area. `names` is the time limit for querying a name server; `None` to query none.
pub(super) fn checks(context: &mut Context<'_>, store: &StoreArgs, names: Option<Duration>) -> Vec<Check> {
    let mut checks = vec![program(), terminal(context)];
    if !context.system.has_files() {
        return checks;
    }
    checks.push(time_zone(std::env::var("TZ").ok().as_deref()));
    // Windows has neither resolv.conf(5) nor package databases.
    if !is_windows() {
        checks.push(name_service(
            std::fs::read_to_string("/etc/resolv.conf").ok().as_deref(),
            names,
        ));
        checks.push(packages());
    }
    checks.push(services());
    checks.push(record(context, store));
    checks
}

fn is_windows() -> bool {
    netstat_os::NATIVE_KIND == SystemKind::Windows
}

fn program() -> Check {
    let path = crate::context::program_path();
    let found = format!("netstat {} at {path}", env!("CARGO_PKG_VERSION"));
    Check::new(Installation, "program", CheckStatus::Good, found)
}

fn terminal(context: &Context<'_>) -> Check {
    let screen = context.screen;
    let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .map(|locale| locale.to_ascii_lowercase().replace('-', "").ends_with("utf8"));
    let width = screen
        .width
        .map_or_else(String::new, |width| format!(", {width} columns"));
    let colours = match (screen.terminal, screen.no_color) {
        (false, _) => "no terminal, or one without colours",
        (true, true) => "colours forbidden by NO_COLOR",
        (true, false) => "colours",
    };
    let check = |status, rest: &str| Check::new(Installation, "terminal", status, format!("{colours}{width}{rest}"));
    match utf8 {
        // While this program runs, the console is set to UTF-8.
        _ if is_windows() => check(CheckStatus::Good, ""),
        Some(true) => check(CheckStatus::Good, ", UTF-8"),
        _ => check(CheckStatus::Note, ", no UTF-8 locale")
            .because("neither LC_ALL, LC_CTYPE nor LANG names one")
            .effect("some terminals show the monitor's graphs as question marks")
            .remedy("export LANG=C.UTF-8"),
    }
}

/// Checks the time zone; `zone` is the value of `TZ`.
fn time_zone(zone: Option<&str>) -> Check {
    let check = |status, found: String| Check::new(Installation, "time-zone", status, found);
    let name = |zone: &jiff::tz::TimeZone| zone.iana_name().unwrap_or("without a name").to_owned();
    match jiff::tz::TimeZone::try_system() {
        Ok(system) if !system.is_unknown() => check(CheckStatus::Good, name(&system)),
        Ok(_) => check(CheckStatus::Note, "none is set; times are shown in UTC".to_owned())
            .because("neither TZ nor /etc/localtime names one"),
        Err(error) if is_windows() && zone.is_none() => {
            check(CheckStatus::Limited, "the system's time zone is not known".to_owned())
                .because(plain_error(&error))
                .effect("times are shown in UTC")
        }
        Err(error) => {
            let zone = zone.map_or_else(|| "/etc/localtime".to_owned(), |zone| format!("TZ={zone}"));
            check(CheckStatus::Limited, format!("{zone} stands for no time zone"))
                .because(plain_error(&error))
                .effect("times are shown in UTC")
                .remedy("unset TZ; ls /usr/share/zoneinfo")
        }
    }
}

/// Returns the name servers in the text of resolv.conf(5).
fn name_servers(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let address = (words.next()? == "nameserver").then(|| words.next())??;
        // A scope is part of the notation here: fe80::1%eth0.
        address.split('%').next()?.parse().ok()
    };
    text.lines().filter_map(server).collect()
}

fn name_service(resolv: Option<&str>, limit: Option<Duration>) -> Check {
    let check = |status, found: String| Check::new(Installation, "name-service", status, found);
    let servers = name_servers(resolv.unwrap_or_default());
    let Some(&first) = servers.first() else {
        return check(CheckStatus::Limited, "no name server is configured".to_owned())
            .because("/etc/resolv.conf names none")
            .effect("foreign addresses have no names, unless /etc/hosts knows them; -n lists at once");
    };
    let listed: Vec<String> = servers.iter().map(IpAddr::to_string).collect();
    let listed = listed.join(", ");
    let Some(limit) = limit else {
        return check(CheckStatus::Unknown, format!("{listed}: not asked")).because("--numeric");
    };
    let start = Instant::now();
    let mut dns = ReverseDns::system();
    let summary = dns.resolve([first], limit, &mut |_, _| ()).summary();
    let took = human::span(start.elapsed());
    if summary.timed_out > 0 || summary.failed > 0 {
        return check(CheckStatus::Limited, format!("{listed}: no answer"))
            .because(match summary.failed {
                0 => format!("nothing came within {}", human::span(limit)),
                _ => "the lookup failed".to_owned(),
            })
            .effect("listings with names wait for it: 2 s, or --dns-timeout; -n lists at once");
    }
    check(CheckStatus::Good, format!("{listed}: answered within {took}"))
}

fn services() -> Check {
    let path = netstat_names::Services::system_file();
    match path.metadata() {
        Ok(_) => Check::new(Installation, "services", CheckStatus::Good, path.to_string_lossy()),
        Err(error) => Check::new(Installation, "services", CheckStatus::Note, "no services file")
            .because(format!("{}: {}", path.display(), plain_error(&error)))
            .effect("ports up to 1023 are named by the built-in table, those above it are not"),
    }
}

fn packages() -> Check {
    let check = |status, found: String| Check::new(Installation, "packages", status, found);
    // The shell is a file that comes from a package on every system that has packages.
    let shell = std::fs::canonicalize("/bin/sh").unwrap_or_else(|_| "/bin/sh".into());
    let answer = Packages::open("/").owners(&[&shell]).into_iter().next();
    let effect = "audit and inspect cannot say whether a program is as its package installed it";
    match answer.map(|answer| answer.owner) {
        Some(FileOwner::Package(package)) => check(CheckStatus::Good, format!("{} database", package.database.name())),
        Some(FileOwner::Nobody) => check(CheckStatus::Note, "read, but no package lists /bin/sh".to_owned()),
        Some(FileOwner::Unknown(why @ Unsaid::NoDatabase)) => check(CheckStatus::Note, why.words()).effect(effect),
        Some(FileOwner::Unknown(why)) => check(CheckStatus::Limited, "the package database cannot be read".to_owned())
            .because(why.words())
            .effect(effect),
        None => check(CheckStatus::Unknown, "not asked".to_owned()),
    }
}

fn record(context: &mut Context<'_>, store: &StoreArgs) -> Check {
    let check = |status, found: String| Check::new(Installation, "record", status, found);
    let now = (context.now)();
    let with_remedy = |check: Check| match is_windows() {
        true => check.remedy("netstat record"),
        false => check.remedy("sudo netstat record --install-service"),
    };
    match Recall::open(&store.places(context.system), context.system, now) {
        Ok(recall) if recall.is_watched() => check(
            CheckStatus::Good,
            format!("a recorder writes to {}", recall.path.display()),
        ),
        Ok(recall) => with_remedy(
            check(
                CheckStatus::Note,
                format!("no recorder is seen running; {} is old", recall.path.display()),
            )
            .effect("history has a gap until a recorder runs again"),
        ),
        Err(NoRecord::Absent) => with_remedy(
            check(CheckStatus::Note, "no record is kept".to_owned())
                .effect("history is empty, and audit cannot say what is new"),
        ),
        Err(why) => {
            let check = check(CheckStatus::Limited, "the record cannot be read".to_owned()).because(why.words());
            match why {
                NoRecord::NotPermitted if is_windows() => check.remedy("run netstat from an elevated prompt"),
                NoRecord::NotPermitted => check.remedy("sudo netstat doctor"),
                _ => check,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_from_resolv_conf() {
        let text =
            "# nameserver 9.9.9.9\nsearch example.org\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nnameserver x\n";
        let servers: Vec<String> = name_servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["127.0.0.53", "fe80::1"]);
    }

    #[test]
    fn name_service_without_server_or_question_says_so() {
        assert_eq!(name_service(Some("search x\n"), None).status, CheckStatus::Limited);
        assert_eq!(
            name_service(Some("nameserver 192.0.2.1\n"), None).status,
            CheckStatus::Unknown
        );
    }
}
