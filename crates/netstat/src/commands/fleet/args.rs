//! The arguments of `netstat fleet`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use netstat_fleet::Address;
use netstat_fleet::findings::FindingKind;

use crate::args::shape::{self, Format};
use crate::args::store::{FleetArgs, address};
use crate::args::units::{self, When};
use crate::output::rows::csv::CsvStyle;

/// Set up and watch the ClickHouse to which many computers send their connections
#[derive(Parser, Debug)]
#[command(
    name = "fleet",
    after_help = "Computers send with `netstat record --ship`; `netstat history --store clickhouse://HOST/DATABASE` asks about all of them.\n\n\
                  Examples:\n  netstat fleet init --at clickhouse://ch.example.net/netstat --print   what init would do\n  \
                  netstat fleet status --at clickhouse://ch.example.net/netstat         who sends, what waits, what was lost\n  \
                  netstat fleet findings --since 1d                                     what is new, rare or silent in the fleet\n\n\
                  Without --at, the store is that of the fleet's configuration. Exit status: 0 done, 1 the engine refused or cannot be \
                  reached, 2 usage error."
)]
pub(super) struct FleetCommand {
    /// init: make the tables, roles and users; upgrade: bring the tables up to date; status: the fleet as a whole; hosts: each computer;
    /// forget: delete everything of a computer; findings: what only a fleet can see
    #[arg(value_name = "ACTION", value_enum, hide_possible_values = true)]
    pub(super) action: Action,
    /// the computer to forget: its number, as hosts lists it
    #[arg(value_name = "HOST")]
    pub(super) host: Option<String>,
    /// the fleet's store: clickhouse://HOST[:PORT]/DATABASE, clickhouses:// with TLS
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(super) at: Option<Address>,
    #[command(flatten)]
    pub(super) fleet: FleetArgs,
    /// init, upgrade, forget: the cluster of the engine's configuration, whose shards and replicas share the tables
    #[arg(long, value_name = "NAME")]
    pub(super) cluster: Option<String>,
    /// init, upgrade: keep connections for this time after they arrived [default: 30d]
    #[arg(long, value_name = "TIME", value_parser = units::positive_duration)]
    pub(super) keep: Option<Duration>,
    /// init: make this user, who may only insert; its password is in --agent-password
    #[arg(long, value_name = "NAME", requires = "agent_password")]
    pub(super) agent: Option<String>,
    /// file with the password of --agent
    #[arg(long, value_name = "FILE", requires = "agent")]
    pub(super) agent_password: Option<PathBuf>,
    /// init: make this user, who may only ask; its password is in --reader-password
    #[arg(long, value_name = "NAME", requires = "reader_password")]
    pub(super) reader: Option<String>,
    /// file with the password of --reader
    #[arg(long, value_name = "FILE", requires = "reader")]
    pub(super) reader_password: Option<PathBuf>,
    /// init, upgrade: make no roles; where users are kept in the engine's configuration
    #[arg(long)]
    pub(super) no_roles: bool,
    /// init, upgrade, forget: show the statements and do nothing
    #[arg(long)]
    pub(super) print: bool,
    /// forget: do not ask
    #[arg(long)]
    pub(super) yes: bool,
    /// status, hosts: computers are late when nothing was heard from them for this time
    #[arg(long, value_name = "TIME", value_parser = units::positive_duration, default_value = "20m")]
    pub(super) late_after: Duration,
    /// hosts: only those that are late
    #[arg(long)]
    pub(super) late: bool,
    /// findings: since when: 12h, yesterday, 2026-11-22
    #[arg(long, value_name = "TIME", value_parser = units::when, default_value = "1d")]
    pub(super) since: When,
    /// findings: only these kinds
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = kind)]
    pub(super) kind: Vec<FindingKind>,
    /// only the first N rows
    #[arg(long, value_name = "N", value_parser = shape::top)]
    pub(super) top: Option<usize>,
    /// one JSON document
    #[arg(long, conflicts_with_all = ["csv", "ndjson"])]
    pub(super) json: bool,
    /// one JSON object per line
    #[arg(long, conflicts_with = "csv")]
    pub(super) ndjson: bool,
    /// comma-separated values; safe: no text that a spreadsheet would calculate
    #[arg(long, value_name = "STYLE", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "plain")]
    pub(super) csv: Option<CsvStyle>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Action {
    /// Make the tables.
    Init,
    /// Bring the tables up to date.
    Upgrade,
    /// The fleet as a whole.
    Status,
    /// Each computer.
    Hosts,
    /// Delete everything of a computer.
    Forget,
    /// What only a fleet can see.
    Findings,
}

fn kind(text: &str) -> Result<FindingKind, String> {
    let found = FindingKind::ALL.into_iter().find(|kind| kind.name() == text);
    found.ok_or_else(|| {
        let names: Vec<&str> = FindingKind::ALL.iter().map(|kind| kind.name()).collect();
        format!("is none of {}", names.join(", "))
    })
}

impl FleetCommand {
    /// Returns the format of the output.
    pub(super) fn format(&self) -> Format {
        match (self.json, self.ndjson, self.csv) {
            (true, _, _) => Format::Json,
            (_, true, _) => Format::NdJson,
            (_, _, Some(style)) => Format::Csv(style),
            _ => Format::Text,
        }
    }
}
