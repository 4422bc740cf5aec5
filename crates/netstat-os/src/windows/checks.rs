//! What of Windows can be seen, and what not: each question asked once, so that a report says what the running version answers.

use std::time::Duration;

use netstat_model::{Family, State, Why, text::plain_error};

use super::connections::{self, Row};
use super::source::{Offer, Source};
use super::statistics::Wide;
use super::{disks, estats, processes, services};
use crate::{Check, CheckArea, CheckStatus};

const WITHOUT_BOUND: &str = "ports that are bound and neither listen nor connect are missing from -q";
const WITHOUT_PEERS: &str = "UDP sockets are shown without their peers";

/// All checks.
pub(super) fn all(source: &mut impl Source) -> Vec<Check> {
    let mut checks = vec![elevation(source)];
    for family in [Family::V4, Family::V6] {
        checks.push(tcp(source, family));
        checks.push(udp(source, family));
        checks.push(bound(source, family));
    }
    checks.push(list(source));
    checks.push(service_list(source));
    checks.push(own_process(source));
    checks.push(counters(source));
    checks.push(routes(source));
    checks.push(disk_list(source));
    checks.push(connection_bytes(source));
    checks.push(trace(source));
    let up = source.since_boot();
    let status = if up > Duration::ZERO {
        CheckStatus::Good
    } else {
        CheckStatus::Failed
    };
    checks.push(Check::new(
        CheckArea::Answers,
        "clock",
        status,
        format!("up for {} seconds", up.as_secs()),
    ));
    checks
}

fn elevation(source: &impl Source) -> Check {
    match source.is_elevated() {
        true => Check::new(CheckArea::Privileges, "elevation", CheckStatus::Good, "elevated"),
        false => Check::new(CheckArea::Privileges, "elevation", CheckStatus::Limited, "not elevated")
            .effect("of a process with several services all are named, not the one that holds the socket; command lines of other users' processes are missing")
            .remedy("run netstat from an elevated prompt"),
    }
}

/// Whether the network events of the kernel can be read.
fn trace(source: &mut impl Source) -> Check {
    let limited = |why: String| {
        Check::new(CheckArea::Answers, "etw", CheckStatus::Limited, "network events (ETW)")
            .because(why)
            .effect("record and --follow do not see connections that are shorter than a poll")
    };
    if !source.is_elevated() {
        return limited("only an elevated program may read them".to_owned())
            .remedy("run netstat from an elevated prompt");
    }
    match source.network_trace() {
        Ok(_) => Check::new(
            CheckArea::Answers,
            "etw",
            CheckStatus::Good,
            "network events (ETW): a session was started",
        ),
        Err(error) => limited(plain_error(&error)),
    }
}

fn failed(id: &'static str, what: String, why: impl ToString) -> Check {
    Check::new(CheckArea::Answers, id, CheckStatus::Failed, what).because(why.to_string())
}

fn tcp(source: &mut impl Source, family: Family) -> Check {
    let id = if family == Family::V6 { "tcp6" } else { "tcp4" };
    let what = format!("TCP over {}", family.name());
    let table = match source.tcp_table(family) {
        Ok(table) => table,
        Err(error) => return failed(id, what, error),
    };
    let (mut rows, mut owned, mut dated, mut tagged) = (0, 0, 0, 0);
    let read = connections::tcp(&table, family, &mut |row| {
        rows += 1;
        owned += usize::from(row.pid != 0);
        dated += usize::from(row.created != 0);
        tagged += usize::from(row.tag != 0);
    });
    match read {
        Err(error) => failed(id, what, error),
        Ok(()) => {
            let found = format!(
                "{what}: {rows} rows, {owned} with a process, {dated} with a time, {tagged} with a service tag"
            );
            Check::new(CheckArea::Answers, id, CheckStatus::Good, found)
        }
    }
}

fn udp(source: &mut impl Source, family: Family) -> Check {
    let id = if family == Family::V6 { "udp6" } else { "udp4" };
    let what = format!("UDP over {}", family.name());
    let mut rows: Vec<Row> = Vec::new();
    match source.udp_table(family) {
        Err(error) => return failed(id, what, error),
        Ok(table) => {
            if let Err(error) = connections::udp(&table, family, &mut |row| rows.push(row)) {
                return failed(id, what, error);
            }
        }
    }
    let found = format!("{what}: {} rows", rows.len());
    let limited = |reason: String| {
        Check::new(CheckArea::Answers, id, CheckStatus::Limited, found.clone())
            .because(reason)
            .effect(WITHOUT_PEERS)
    };
    match source.udp_peer_table(family) {
        Ok(Offer::Lacks) => limited("this version of Windows does not tell them".to_owned()),
        Err(error) => limited(plain_error(&error)),
        Ok(Offer::Has(table)) => match connections::udp_peers(&table, family, &rows) {
            Some(with) => {
                let connected = with.iter().filter(|row| row.foreign_port != 0).count();
                let found = format!("{found}, {connected} with a peer");
                Check::new(CheckArea::Answers, id, CheckStatus::Good, found)
            }
            None => limited(format!(
                "its table of peers ({} bytes) does not match the documented one",
                table.len()
            )),
        },
    }
}

fn bound(source: &mut impl Source, family: Family) -> Check {
    let id = if family == Family::V6 { "bound6" } else { "bound4" };
    let what = format!("bound TCP ports over {}", family.name());
    let limited = |reason: String| {
        Check::new(CheckArea::Answers, id, CheckStatus::Limited, what.clone())
            .because(reason)
            .effect(WITHOUT_BOUND)
    };
    match source.bound_table(family) {
        Ok(Offer::Lacks) => limited("this version of Windows does not list them".to_owned()),
        Err(error) => limited(plain_error(&error)),
        Ok(Offer::Has(table)) => {
            let mut rows = 0;
            match connections::bound(&table, family, &mut |_| rows += 1) {
                Ok(()) => Check::new(CheckArea::Answers, id, CheckStatus::Good, format!("{what}: {rows}")),
                Err(error) => limited(plain_error(&error)),
            }
        }
    }
}

fn list(source: &mut impl Source) -> Check {
    let read = source.processes().map_err(|error| plain_error(&error));
    match read.and_then(|buffer| processes::processes(&buffer).map_err(|error| plain_error(&error))) {
        Ok(list) => {
            let named = list.iter().filter(|entry| !entry.name.is_empty()).count();
            let found = format!("{} processes, {named} with a name", list.len());
            Check::new(CheckArea::Answers, "processes", CheckStatus::Good, found)
        }
        Err(why) => failed("processes", "the list of processes".to_owned(), why),
    }
}

fn service_list(source: &mut impl Source) -> Check {
    let read = source.services().map_err(|error| plain_error(&error));
    match read.and_then(|(buffer, count)| services::by_process(&buffer, count).map_err(|error| plain_error(&error))) {
        Ok(by_process) => {
            let count: usize = by_process.values().map(Vec::len).sum();
            let found = format!("{count} services in {} processes", by_process.len());
            Check::new(CheckArea::Answers, "services", CheckStatus::Good, found)
        }
        Err(why) => failed("services", "the services".to_owned(), why),
    }
}

/// What is asked of a process, asked of this one.
fn own_process(source: &mut impl Source) -> Check {
    let pid = std::process::id();
    let mut missing: Vec<(&str, Why)> = Vec::new();
    let mut note = |what, why: Option<Why>| missing.extend(why.map(|why| (what, why)));
    note("its path", source.image(pid).err());
    note("its path by the kernel's name", source.native_image(pid).err());
    note("its command line", source.command_line(pid).err());
    note("its rights", source.token(pid).err());
    note("its code", source.regions(pid).err());
    match missing.is_empty() {
        true => Check::new(
            CheckArea::Answers,
            "process",
            CheckStatus::Good,
            "all facts of this process",
        ),
        false => {
            let reasons: Vec<String> = missing
                .iter()
                .map(|(what, why)| format!("{what}: {}", why.words()))
                .collect();
            Check::new(
                CheckArea::Answers,
                "process",
                CheckStatus::Limited,
                "some facts of this process are missing",
            )
            .because(reasons.join("; "))
        }
    }
}

fn counters(source: &mut impl Source) -> Check {
    let ([v4, v6], apart) = source.statistics();
    let missing = [&v4, &v6]
        .into_iter()
        .any(|tables| tables.ip.is_none() || tables.icmp.is_none() || tables.tcp.is_none() || tables.udp.is_none());
    let wide = matches!(v4.tcp, Some(Wide::Wide(_)));
    let found = match (wide, apart) {
        (true, true) => "counters of 64 bits, each family apart",
        (false, true) => "counters of 32 bits, each family apart",
        (_, false) => "counters of TCP for both families together",
    };
    let status = match (missing, wide && apart) {
        (true, _) => CheckStatus::Failed,
        (false, true) => CheckStatus::Good,
        (false, false) => CheckStatus::Limited,
    };
    Check::new(CheckArea::Answers, "counters", status, found)
}

fn disk_list(source: &mut impl Source) -> Check {
    let limited = |found: String, reason: String| {
        Check::new(CheckArea::Answers, "disks", CheckStatus::Limited, found)
            .because(reason)
            .effect("the monitor has no figures of disks")
    };
    match source.disks() {
        Err(error) => limited("disks".to_owned(), plain_error(&error)),
        Ok(answers) => {
            let read = answers.iter().filter(|answer| disks::disk(answer).is_ok()).count();
            let found = format!("{} disks, {read} with figures", answers.len());
            match read == answers.len() {
                true => Check::new(CheckArea::Answers, "disks", CheckStatus::Good, found),
                false => limited(found, "an answer is cut off".to_owned()),
            }
        }
    }
}

/// Whether the bytes of an established connection can be counted; switches that on for the first one.
fn connection_bytes(source: &mut impl Source) -> Check {
    let limited = |reason: &str| {
        Check::new(
            CheckArea::Answers,
            "connection-bytes",
            CheckStatus::Limited,
            "bytes of connections",
        )
        .because(reason)
        .effect("the monitor, sent_rate and received_rate have no bytes of connections")
    };
    if !source.is_elevated() {
        return limited("not elevated").remedy("run netstat from an elevated prompt");
    }
    let mut first: Option<Row> = None;
    for family in [Family::V4, Family::V6] {
        if let Ok(table) = source.tcp_table(family) {
            // Every row was well formed when the table was checked.
            let _ = connections::tcp(&table, family, &mut |row| {
                if row.state == State::Established && first.is_none() {
                    first = Some(row);
                }
            });
        }
    }
    let Some(row) = first else {
        return limited("no connection is established to try it with");
    };
    let (v6, name) = (row.family == Family::V6, estats::tcp_row(&row));
    let counted = source.count_connection_bytes(v6, &name);
    match counted.and_then(|()| source.connection_bytes(v6, &name)) {
        Ok((true, data)) if estats::connection_bytes(&data).is_ok() => Check::new(
            CheckArea::Answers,
            "connection-bytes",
            CheckStatus::Good,
            "bytes of connections are counted",
        ),
        Ok(_) => limited("counting was switched on and is off"),
        Err(why) => limited(why.words()),
    }
}

fn routes(source: &mut impl Source) -> Check {
    let mut counts = Vec::new();
    for family in [Family::V4, Family::V6] {
        let read = source.routes(family).map_err(|error| plain_error(&error));
        let rows = read.and_then(|table| super::interfaces::routes(&table, |_| 0).map_err(|error| plain_error(&error)));
        match rows {
            Ok(rows) => counts.push(format!("{} over {}", rows.len(), family.name())),
            Err(why) => return failed("routes", format!("routes over {}", family.name()), why),
        }
    }
    Check::new(
        CheckArea::Answers,
        "routes",
        CheckStatus::Good,
        format!("routes: {}", counts.join(", ")),
    )
}
