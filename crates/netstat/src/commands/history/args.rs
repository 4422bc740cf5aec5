//! The arguments of `netstat history`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use netstat_model::Globs;
use netstat_model::columns::Column;
use netstat_record::Flows;

use crate::args::filter::FilterArgs;
use crate::args::shape::{self, ColumnList, Format, SortKey};
use crate::args::store::StoreArgs;
use crate::args::units::{self, When};
use crate::output::report::ReportFile;
use crate::output::rows::csv::CsvStyle;

/// Connections of the past, from what `netstat record` has kept
#[derive(Parser, Debug)]
#[command(
    name = "history",
    after_help = "Without options: a summary of the last day. Tables have local time, units and the newest first; CSV and JSON have UTC and \
                  exact numbers.\n\n\
                  Examples:\n  netstat history --foreign 203.0.113.7 --since all   which programs talked to it\n  \
                  netstat history --listening --port 4444 --since 12h\n                                     what opened port 4444 last night\n  \
                  netstat history --new --since 1d                    what programs did for the first time\n  \
                  netstat history --group program --sort -bytes       which program moves the most\n  \
                  netstat history --follow curl                       what it did, one line after the other\n  \
                  netstat history --script srv.py                     what this script did\n  \
                  netstat history --name '*.example.org'              what connected to a host of this domain\n  \
                  netstat history --plot hour --of bytes --svg a.svg  a picture of the last day"
)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    pub(super) store: StoreArgs,
    /// write the answer into this file as a report, HTML or Markdown by its name
    #[arg(long, value_name = "FILE.html|FILE.md", value_hint = clap::ValueHint::FilePath, conflicts_with_all = ["json", "ndjson", "csv", "svg"])]
    pub(super) report: Option<ReportFile>,
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    /// only connections of processes that run these scripts: file names, or paths if they hold a slash, with * and ?
    #[arg(long, value_name = "LIST", value_parser = crate::args::values::globs, help_heading = crate::args::filter::FILTERS)]
    pub(super) script: Vec<Globs>,
    /// only connections to these names, as programs asked for them: *.example.org
    #[arg(long, value_name = "LIST", value_parser = crate::args::values::globs, help_heading = crate::args::filter::FILTERS)]
    pub(super) name: Vec<Globs>,
    /// only connections with these Community IDs: 1:LQU9qZlK+B5F3KDmev6m5PMibrg=
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = community_id, help_heading = crate::args::filter::FILTERS)]
    pub(super) community_id: Vec<String>,
    /// only connections of these computers, in the store of a fleet: names, with * and ?
    #[arg(long, value_name = "LIST", value_parser = crate::args::values::globs, help_heading = crate::args::filter::FILTERS)]
    pub(super) host: Vec<Globs>,
    /// only connections that were open after this time: 12h, "2 hours ago", yesterday, 03:50, 2026-11-22, 2026-11-22T03:00, all
    #[arg(long, value_name = "TIME", value_parser = units::when, default_value = "1d")]
    pub(super) since: When,
    /// only connections that began before this time
    #[arg(long, value_name = "TIME", value_parser = units::when)]
    pub(super) until: Option<When>,
    // Written with its full path, so that `clap` takes the list as one value.
    /// group by these columns, count connections and add up their bytes
    #[arg(id = "flow_group", long = "group", value_name = "COLUMNS", value_parser = shape::group_of::<Flows>)]
    pub(super) group: Option<std::vec::Vec<&'static Column<Flows>>>,
    /// sort by these columns; prefix with - for descending; with --group also count
    #[arg(id = "flow_sort", long = "sort", value_name = "COLUMNS", value_parser = shape::sort_of::<Flows>, allow_hyphen_values = true)]
    pub(super) sort: Option<std::vec::Vec<SortKey<Flows>>>,
    /// only the first N rows
    #[arg(long, value_name = "N", value_parser = shape::top)]
    pub(super) top: Option<usize>,
    /// show these columns; help lists them
    #[arg(id = "flow_columns", long = "columns", value_name = "COLUMNS", value_parser = shape::columns_of::<Flows>)]
    pub(super) columns: Option<ColumnList<Flows>>,
    /// one JSON document
    #[arg(long, conflicts_with_all = ["csv", "ndjson"])]
    pub(super) json: bool,
    /// one JSON object per line
    #[arg(long, conflicts_with = "csv")]
    pub(super) ndjson: bool,
    /// comma-separated values; safe: no text that a spreadsheet would calculate
    #[arg(long, value_name = "STYLE", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "plain")]
    pub(super) csv: Option<CsvStyle>,
    /// each connection as other tools read it: zeek (conn.log), ecs (Elastic Common Schema), ocsf (class 4001) or netflow-json (IPFIX
    /// names); a line each
    #[arg(
        long = "format",
        value_name = "FORMAT",
        value_enum,
        hide_possible_values = true,
        conflicts_with_all = ["flow_group", "flow_columns", "flow_sort", "summary", "new", "follow", "plot", "beacons", "gaps", "rare", "json", "ndjson", "csv"]
    )]
    pub(super) export: Option<Export>,
    /// print connections as they end, until Ctrl+C: a JSON object per line, or --format
    #[arg(long, conflicts_with_all = ["flow_group", "flow_sort", "summary", "new", "follow", "plot", "beacons", "gaps", "rare", "json", "csv", "until", "since", "top"])]
    pub(super) follow_new: bool,
    /// write the connections into this new file in the format Parquet; needs a fleet's store
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, conflicts_with_all = ["flow_group", "flow_columns", "flow_sort", "summary", "new", "follow", "plot", "beacons", "gaps", "rare", "json", "ndjson", "csv", "export", "follow_new"])]
    pub(super) parquet: Option<PathBuf>,
    /// a summary: the top programs and peers, what is new, gaps, a small graph
    #[arg(long, conflicts_with_all = ["flow_group", "flow_columns", "flow_sort", "new", "follow", "plot", "beacons", "gaps", "json", "ndjson", "csv"])]
    pub(super) summary: bool,
    /// what programs did for the first time ever: a program at all, with a foreign port or network, a port listened on
    #[arg(long, conflicts_with_all = ["flow_group", "follow", "plot", "beacons"])]
    pub(super) new: bool,
    /// what this program, script or process did, as a timeline
    #[arg(long, value_name = "PROGRAM|PID", conflicts_with_all = ["flow_group", "plot", "beacons", "flow_columns", "flow_sort"])]
    pub(super) follow: Option<String>,
    /// when connections began, as bars: by time of day (clock), or for each minute, hour or day
    #[arg(
        long,
        value_name = "BY",
        value_enum,
        num_args = 0..=1,
        default_missing_value = "clock",
        hide_possible_values = true,
        conflicts_with_all = ["flow_group", "beacons", "flow_columns", "flow_sort", "json", "ndjson", "csv"]
    )]
    pub(super) plot: Option<PlotBy>,
    /// what the bars of --plot count: flows (connections) or bytes, both counted where a connection begins
    #[arg(
        long,
        value_name = "WHAT",
        value_enum,
        hide_possible_values = true,
        requires = "plot",
        default_value = "flows"
    )]
    pub(super) of: PlotOf,
    /// write the bars of --plot into this file as an SVG picture
    #[arg(long, value_name = "FILE", requires = "plot")]
    pub(super) svg: Option<PathBuf>,
    /// programs that contact the same remote address at regular intervals, and candidates
    #[arg(long, conflicts_with_all = ["flow_group", "flow_columns", "flow_sort"])]
    pub(super) beacons: bool,
    /// programs, ports and networks that few computers of a fleet have, those of one computer first; needs a fleet's store
    #[arg(long, conflicts_with_all = ["flow_group", "flow_columns", "flow_sort", "new", "follow", "plot", "beacons", "gaps", "summary"])]
    pub(super) rare: bool,
    /// when nothing was recorded or something was lost, and why
    #[arg(long, conflicts_with_all = ["flow_group", "flow_columns", "flow_sort", "new", "follow", "plot", "beacons"])]
    pub(super) gaps: bool,
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Export {
    /// Zeek's conn.log.
    Zeek,
    /// Elastic Common Schema.
    Ecs,
    /// Open Cybersecurity Schema Framework, class 4001.
    Ocsf,
    /// JSON with the names of IPFIX.
    NetflowJson,
}

/// Parses a Community ID of version 1: base64 of 20 bytes.
fn community_id(text: &str) -> Result<String, String> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    match text.strip_prefix("1:") {
        Some(rest) if rest.len() == 28 && rest.bytes().all(letter) => Ok(text.to_owned()),
        _ => Err("is not a Community ID of version 1, which is 1: and 28 letters".to_owned()),
    }
}

/// What a bar of `--plot` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PlotBy {
    /// An hour of the day, whatever the day.
    Clock,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
}

/// What `--plot` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PlotOf {
    /// Connections.
    Flows,
    /// Bytes, both ways.
    Bytes,
}

impl HistoryArgs {
    /// Whether the query is about one computer, by its full name.
    pub(super) fn is_one_host(&self) -> bool {
        let patterns: Vec<&String> = self.host.iter().flat_map(Globs::patterns).collect();
        matches!(&patterns[..], [one] if !one.contains(['*', '?']))
    }

    /// Returns the maximum number of connections to read, if they are listed in the order of the record; `None` if all
    /// must be read.
    pub(super) fn listed(&self) -> Option<usize> {
        let all = self.group.is_some() || self.sort.is_some() || self.plot.is_some();
        self.top
            .filter(|_| !all && !self.beacons && !self.new && !self.gaps && !self.rare && !self.summary)
    }

    /// Returns the format of the output.
    pub(super) fn format(&self) -> Format {
        match (self.json, self.ndjson, self.csv) {
            (true, _, _) => Format::Json,
            (_, true, _) => Format::NdJson,
            (_, _, Some(style)) => Format::Csv(style),
            _ if self.follow_new => Format::NdJson,
            _ => Format::Text,
        }
    }
}
