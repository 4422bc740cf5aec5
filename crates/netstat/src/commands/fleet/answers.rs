//! `fleet status`, `hosts` and `findings`: the queries.

use std::io::Write;

use netstat_fleet::findings::{self, FindingKind};
use netstat_fleet::status::{self, HostStatus, Status};
use netstat_fleet::{Client, EngineError};
use netstat_model::Why;
use netstat_model::columns::{Value, ValueKind};
use netstat_model::text::escape_str;
use serde_json::json;

use super::args::FleetCommand;
use super::refused;
use crate::args::shape::Format;
use crate::context::{Context, Failure, Outcome, human};
use crate::output::json;
use crate::output::rows::table::{self, Layout, Widths};
use crate::output::rows::{self, Head, ReadyRows};

const fn head(name: &'static str, heading: &'static str, kind: ValueKind) -> Head {
    Head { name, heading, kind }
}

/// The columns of `fleet hosts`.
pub(super) const HOSTS: [Head; 8] = [
    head("host_id", "Number", ValueKind::Text),
    head("host", "Host", ValueKind::Text),
    head("heard", "Heard", ValueKind::Time),
    head("silent_seconds", "Silent (s)", ValueKind::Number),
    head("version", "Version", ValueKind::Text),
    head("spool_rows", "Waiting", ValueKind::Number),
    head("lost", "Lost", ValueKind::Number),
    head("clock_ahead_ms", "Clock ahead (ms)", ValueKind::Text),
];

/// The columns of `fleet findings`.
pub(super) const FINDINGS: [Head; 8] = [
    head("kind", "Kind", ValueKind::Text),
    head("subject", "Subject", ValueKind::Text),
    head("detail", "Detail", ValueKind::Text),
    head("hosts", "Hosts", ValueKind::Number),
    head("of", "Of", ValueKind::Number),
    head("first", "First", ValueKind::Time),
    head("last", "Last", ValueKind::Time),
    head("host", "Host", ValueKind::Text),
];

fn text(bytes: &[u8]) -> Value<'static> {
    Value::text(bytes.to_vec())
}

/// Prints rows in the requested format.
fn print(
    args: &FleetCommand,
    client: &Client,
    context: &mut Context<'_>,
    name: &str,
    grid: &mut ReadyRows,
) -> Result<Outcome, Failure> {
    grid.rows.truncate(args.top.unwrap_or(usize::MAX));
    match args.format() {
        Format::Csv(style) => rows::csv::write(context.out, grid, true, style)?,
        Format::NdJson => rows::json::write_lines(context.out, grid)?,
        Format::Json => {
            let host = context.system.computer_name();
            let head = json::head(name, &host, (context.now)());
            let store = json!(client.address().to_string());
            write!(context.out, "{{{head},\"store\":{store},\"rows\":[")?;
            rows::json::write_elements(context.out, grid)?;
            writeln!(context.out, "],\"limits\":[]}}")?;
        }
        _ => {
            let layout = Layout {
                color: false,
                width: context.screen.width,
                bare: false,
                for_people: true,
                omits_empty: false,
            };
            table::write(context.out, grid, &layout, &mut Widths::default())?;
        }
    }
    Ok(Outcome::Printed)
}

fn host_row(host: &HostStatus) -> Vec<Value<'static>> {
    vec![
        text(format!("{:016x}", host.id).as_bytes()),
        text(&host.name),
        Value::Time(host.heard),
        Value::Number(host.silent),
        text(host.version.as_bytes()),
        Value::Number(host.spool_rows),
        Value::Number(host.lost),
        text(host.clock_ahead.to_string().as_bytes()),
    ]
}

/// Runs `fleet hosts`.
pub(super) fn hosts(args: &FleetCommand, client: &Client, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let hosts = checked(client, status::hosts)?;
    let late = args.late_after.as_secs();
    let rows = hosts
        .iter()
        .filter(|host| !args.late || host.silent > late)
        .map(host_row)
        .collect();
    let mut grid = ReadyRows {
        heads: HOSTS.to_vec(),
        rows,
    };
    print(args, client, context, "netstat.fleet-hosts", &mut grid)
}

/// Runs a query after checking that the tables exist.
fn checked<T>(client: &Client, ask: impl FnOnce(&Client) -> Result<T, EngineError>) -> Result<T, Failure> {
    client
        .version()
        .and_then(|_| client.check_schema())
        .and_then(|()| ask(client))
        .map_err(|error| refused(client, &error))
}

/// Runs `fleet findings`.
pub(super) fn findings(args: &FleetCommand, client: &Client, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let now = (context.now)();
    let since = args.since.millis(now).unwrap_or(0);
    let kinds = match &args.kind[..] {
        [] => &FindingKind::ALL[..],
        kinds => kinds,
    };
    let found = checked(client, |client| findings::findings(client, since, kinds))?;
    let of = checked(client, findings::host_count)?;
    if of < findings::SMALLEST_FLEET {
        writeln!(
            context.err,
            "netstat: what one computer alone has says little in a fleet of {of}; it is told from {} on",
            findings::SMALLEST_FLEET
        )?;
    }
    if found.is_empty() && args.format() == Format::Text {
        writeln!(context.err, "netstat: nothing found in this time")?;
        return Ok(Outcome::Printed);
    }
    let for_people = args.format() == Format::Text;
    let rows = found
        .iter()
        .map(|finding| {
            vec![
                Value::Word(if for_people {
                    finding.kind.meaning()
                } else {
                    finding.kind.name()
                }),
                text(&finding.subject),
                text(&finding.detail),
                Value::Number(finding.hosts),
                Value::Number(finding.of),
                Value::Time(finding.first),
                finding.last.map_or(Value::unknown(Why::NotApplicable), Value::Time),
                text(&finding.host),
            ]
        })
        .collect();
    let mut grid = ReadyRows {
        heads: FINDINGS.to_vec(),
        rows,
    };
    print(args, client, context, "netstat.fleet-findings", &mut grid)
}

/// Runs `fleet status`.
pub(super) fn status(args: &FleetCommand, client: &Client, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let status = checked(client, |client| status::status(client, args.late_after.as_secs()))?;
    match args.format() {
        Format::Text => status_text(&status, args, client, context.out)?,
        Format::Csv(_) | Format::NdJson => {
            return Err(Failure::Usage("fleet status is text or --json".to_owned()));
        }
        _ => {
            let host = context.system.computer_name();
            let head = json::head("netstat.fleet-status", &host, (context.now)());
            let versions: serde_json::Map<String, serde_json::Value> = status
                .versions
                .iter()
                .map(|(version, count)| (version.clone(), json!(count)))
                .collect();
            let fields = json!({
                "store": client.address().to_string(),
                "engine": status.engine,
                "schema_version": status.schema,
                "hosts": status.hosts,
                "late": status.late,
                "waiting_rows": status.spool_rows,
                "lost_rows": status.lost,
                "flow_rows": status.flows,
                "bytes": status.bytes,
                "parts": status.parts,
                "free_bytes": status.free,
                "versions": versions,
                "limits": [],
            });
            let fields = json::to_text(&fields, false);
            writeln!(context.out, "{{{head},{}", fields.trim_end().trim_start_matches('{'))?;
        }
    }
    Ok(Outcome::Printed)
}

fn status_text(status: &Status, args: &FleetCommand, client: &Client, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "{}", client.address())?;
    writeln!(
        out,
        "  engine     ClickHouse {}, tables of version {}",
        escape_str(&status.engine),
        status.schema
    )?;
    writeln!(
        out,
        "  hosts      {}, {} of them silent for more than {}",
        status.hosts,
        status.late,
        human::span(args.late_after)
    )?;
    let versions: Vec<String> = status
        .versions
        .iter()
        .map(|(version, count)| format!("{} on {count}", escape_str(version)))
        .collect();
    if !versions.is_empty() {
        writeln!(out, "  versions   {}", versions.join(", "))?;
    }
    writeln!(out, "  waiting    {} rows on the hosts", status.spool_rows)?;
    writeln!(
        out,
        "  lost       {} rows; netstat history --gaps tells when",
        status.lost
    )?;
    writeln!(
        out,
        "  flows      {} rows; all tables {} in {} parts",
        status.flows,
        human::bytes(status.bytes),
        status.parts
    )?;
    match status.free {
        Some(free) => writeln!(out, "  disk       {} free", human::bytes(free)),
        None => writeln!(out, "  disk       not told to this user"),
    }
}
