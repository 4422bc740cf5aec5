//! Refuses switches that exclude each other, or that have no effect without another one, instead of ignoring them.

use super::error::UsageError;
use super::plan::Plan;
use super::raw::{Grouping, RawArgs, Sorting};
use super::shape::Format;

/// Refuses parts that a format cannot combine: CSV has rows of one kind only, and a line of NDJSON is either a row of
/// the list or all other parts together.
pub(super) fn refuse_mixtures(plan: &Plan) -> Result<(), UsageError> {
    let parts = [
        (plan.ethernet.is_some(), "-e"),
        (plan.statistics.is_some(), "-s"),
        (plan.routes.is_some(), "-r"),
        (plan.groups, "-g"),
        (plan.processes, "-c"),
    ];
    let parts: Vec<&str> = parts.into_iter().filter_map(|(is, name)| is.then_some(name)).collect();
    let Some(first) = parts.first() else {
        return Ok(());
    };
    match plan.format {
        Format::Csv(_) if plan.statistics.is_some() || plan.groups || plan.processes => {
            let part = match (plan.statistics.is_some(), plan.groups) {
                (true, _) => "-s",
                (false, true) => "-g",
                (false, false) => "-c",
            };
            refuse(format!(
                "--csv is for the connection list, -e and -r; {part} has --json"
            ))
        }
        Format::Csv(_) if parts.len() > 1 => refuse(format!(
            "--csv has one kind of rows, not those of {} together",
            parts.join(" and ")
        )),
        Format::Csv(_) | Format::NdJson if plan.list.is_some() => {
            let format = if matches!(plan.format, Format::Csv(_)) {
                "--csv"
            } else {
                "--ndjson"
            };
            refuse(format!(
                "{format} has one kind of rows: either the connection list or {first}; --json has all in one document"
            ))
        }
        _ => Ok(()),
    }
}

fn refuse<T>(message: impl Into<String>) -> Result<T, UsageError> {
    Err(UsageError::new(message.into()))
}

/// Returns the name of the first of `switches` that was given.
fn first_given<'a>(switches: &[(bool, &'a str)]) -> Option<&'a str> {
    switches.iter().find(|(given, _)| *given).map(|(_, name)| *name)
}

/// Whether the command line asks for events instead of a list.
fn follows(raw: &RawArgs) -> bool {
    raw.follow || raw.until.is_some()
}

/// Refuses switches that exclude each other. If several are wrong, the order of the checks decides which one is
/// reported.
///
/// # Errors
/// Returns the first contradiction.
pub(super) fn refuse_contradictions(raw: &RawArgs) -> Result<(), UsageError> {
    refuse_protocols(raw)?;
    refuse_with_events(raw)?;
    refuse_layouts(raw)?;
    refuse_sorting(raw)?;
    refuse_without_part(raw)?;
    if raw.replay.is_some() && (follows(raw) || raw.interval.is_some()) {
        return refuse("--replay shows one moment: it does not go together with --follow, --until or an interval");
    }
    refuse_way(raw)?;
    refuse_tree(raw)?;
    let located = [(raw.systems.is_some(), "--as"), (raw.country.is_some(), "--country")];
    if let Some(word) = first_given(&located)
        && (raw.changes || follows(raw))
    {
        return refuse(format!(
            "{word} chooses rows of the list: leave out --changes, --follow and --until"
        ));
    }
    refuse_without_interval(raw)
}

/// Refuses protocols that have no rows, or no counters.
fn refuse_protocols(raw: &RawArgs) -> Result<(), UsageError> {
    let no_rows = raw.protocols.iter().find(|protocol| !protocol.has_rows());
    if let Some(protocol) = no_rows.filter(|_| !raw.statistics) {
        let name = protocol.name().to_ascii_lowercase();
        return refuse(format!("-p {name} needs -s: netstat -s -p {name}"));
    }
    let no_block = raw.protocols.iter().find(|protocol| !protocol.has_block());
    match no_block.filter(|_| raw.statistics && !raw.all) {
        Some(protocol) => {
            let name = protocol.name();
            refuse(format!(
                "-s has no counters of {name}; its sockets: netstat -a -p {name}"
            ))
        }
        None => Ok(()),
    }
}

/// Refuses what `--follow` and `--until` exclude, and what needs one of them.
fn refuse_with_events(raw: &RawArgs) -> Result<(), UsageError> {
    if !follows(raw) {
        return match raw.timeout {
            Some(_) => {
                refuse("--timeout needs --until or --follow: netstat --until \"--listening --port 8080\" --timeout 30")
            }
            None => Ok(()),
        };
    }
    let word = if raw.follow { "--follow" } else { "--until" };
    let parts = [
        (raw.ethernet, "-e"),
        (raw.statistics, "-s"),
        (raw.routes, "-r"),
        (raw.groups, "-g"),
        (raw.processes, "-c"),
    ];
    if let Some(part) = first_given(&parts) {
        return refuse(format!("{word} shows what happens to sockets: leave out {part}"));
    }
    let shapes_of_lists = [
        (raw.json, "--json (use --ndjson)"),
        (raw.csv.is_some(), "--csv (use --ndjson)"),
        (raw.interval.is_some(), "the interval"),
        (raw.count.is_some(), "--count"),
        (raw.changes, "--changes"),
        (raw.columns.is_some(), "--columns"),
        (raw.wide, "--wide"),
        (raw.group.is_some(), "--group"),
        (raw.sort.is_some(), "--sort"),
        (raw.top.is_some(), "--top"),
        (raw.tree, "--tree"),
    ];
    match first_given(&shapes_of_lists) {
        Some(other) => refuse(format!("{word} shows events as they happen: leave out {other}")),
        None => Ok(()),
    }
}

/// Refuses what `--changes` excludes, and two switches that both choose the columns.
fn refuse_layouts(raw: &RawArgs) -> Result<(), UsageError> {
    if raw.changes && raw.interval.is_none() {
        return refuse("--changes needs an interval: netstat -a --changes 5");
    }
    let shapes = [
        ("--columns", raw.columns.is_some()),
        ("--wide", raw.wide),
        ("--group", raw.group.is_some()),
    ];
    let shapes: Vec<&str> = shapes.into_iter().filter_map(|(name, is)| is.then_some(name)).collect();
    if let [first, second, ..] = shapes[..] {
        return refuse(format!(
            "{first} and {second} do not go together: both choose the columns"
        ));
    }
    if raw.changes && (raw.group.is_some() || raw.sort.is_some() || raw.top.is_some()) {
        return refuse("--changes shows changes in the order of the list: leave out --group, --sort and --top");
    }
    Ok(())
}

/// Refuses sort columns that a grouped or an ungrouped list does not have.
fn refuse_sorting(raw: &RawArgs) -> Result<(), UsageError> {
    let Some(Sorting(keys)) = &raw.sort else {
        return Ok(());
    };
    let Some(Grouping(columns)) = &raw.group else {
        return match keys.iter().any(|key| key.column.is_none()) {
            true => refuse("--sort count needs --group: netstat --group foreign_address --sort -count"),
            false => Ok(()),
        };
    };
    let mut sorted_by = keys.iter().filter_map(|key| key.column);
    match sorted_by.find(|column| !columns.contains(column)) {
        Some(column) => {
            let columns: Vec<&str> = columns.iter().map(|column| column.name).collect();
            refuse(format!(
                "--sort {} is none of the columns of --group: count,{}",
                column.name,
                columns.join(",")
            ))
        }
        None => Ok(()),
    }
}

/// Refuses switches that modify a part which is not printed.
fn refuse_without_part(raw: &RawArgs) -> Result<(), UsageError> {
    if raw.per_interface && !raw.ethernet {
        return refuse("--per-interface needs -e: netstat -e --per-interface");
    }
    if raw.zeros && !(raw.statistics && raw.verbose) {
        return refuse("--zeros needs -s and --verbose: netstat -s --verbose --zeros");
    }
    if raw.table.is_some() && !raw.routes {
        return refuse("--table needs -r: netstat -r --table all");
    }
    Ok(())
}

/// Refuses switches that need an interval.
fn refuse_without_interval(raw: &RawArgs) -> Result<(), UsageError> {
    if raw.rates && !(raw.statistics || raw.ethernet || raw.wide) {
        return refuse("--rates needs -s, -e or --wide: netstat -s --rates 5");
    }
    if raw.rates && raw.interval.is_none() {
        return refuse("--rates needs an interval: netstat -s --rates 5");
    }
    if let Some(count) = raw.count.filter(|count| count.get() > 1 && raw.interval.is_none()) {
        return refuse(format!("--count {count} needs an interval: netstat 5 --count {count}"));
    }
    Ok(())
}

/// Refuses what `--tree` excludes.
fn refuse_tree(raw: &RawArgs) -> Result<(), UsageError> {
    let others = [
        (raw.json, "--json"),
        (raw.ndjson, "--ndjson"),
        (raw.csv.is_some(), "--csv"),
        (raw.columns.is_some(), "--columns"),
        (raw.wide, "--wide"),
        (raw.group.is_some(), "--group"),
        (raw.sort.is_some(), "--sort"),
        (raw.top.is_some(), "--top"),
        (raw.changes, "--changes"),
    ];
    match first_given(&others).filter(|_| raw.tree) {
        Some(other) => refuse(format!("--tree has a text layout of its own: leave out {other}")),
        None => Ok(()),
    }
}

/// Refuses what `--to` excludes, and what needs it.
fn refuse_way(raw: &RawArgs) -> Result<(), UsageError> {
    let parts = [
        ("--from", raw.from.is_some()),
        ("--mark", raw.mark.is_some()),
        ("--uid", raw.uid.is_some()),
    ];
    let Some(to) = raw.to else {
        return match parts.iter().find(|(_, given)| *given) {
            Some((name, _)) => refuse(format!("{name} needs --to: netstat -r --to 203.0.113.5")),
            None => Ok(()),
        };
    };
    if !raw.routes {
        return refuse(format!("--to needs -r: netstat -r --to {to}"));
    }
    if raw.table.is_some() {
        return refuse("--to and --table do not go together: the system chooses the table");
    }
    if raw.csv.is_some() {
        return refuse("--to has no CSV form; use --json");
    }
    match raw.from {
        Some(from) if from.is_ipv4() != to.is_ipv4() => {
            refuse(format!("--from {from} and --to {to} are of different families"))
        }
        _ => Ok(()),
    }
}
