//! `netstat history`: questions about the past.

mod headings;
mod line;
mod novelty;
mod plot;
mod rows;
pub(crate) mod schema;

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use netstat_model::columns::{self, Column};
use netstat_model::{Filter, Globs, Pids};
use netstat_os::System;
use netstat_record::{DEFAULT_TEXT, Flow, Flows, Gap, Question, Reader};

use crate::args::filter::FilterArgs;
use crate::args::shape::{self, ColumnList, Format, SortKey};
use crate::args::store::StoreArgs;
use crate::args::units::{self, When};
use crate::context::Diagnostics;
use crate::context::Progress;
use crate::context::names;
use crate::context::{Context, Failure, Outcome};
use crate::recall::refused;

/// Rows that are laid out at a time where all need not be known first.
const CHUNK: usize = 20_000;
/// Rows that are kept in memory at most where all must be known first: some 3 GB.
const MOST: usize = 10_000_000;

/// Connections of the past, from what `netstat record` has kept
#[derive(Parser, Debug)]
#[command(
    name = "history",
    after_help = "Examples:\n  netstat history --foreign 203.0.113.7 --since all   which programs talked to it\n  \
                  netstat history --listening --port 4444 --since 12h\n                                     what opened port 4444 last night\n  \
                  netstat history --new --since 1d                    what programs did for the first time\n  \
                  netstat history --group program --sort -bytes       which program moves the most\n  \
                  netstat history --follow curl                       what it did, one line after the other"
)]
struct HistoryArgs {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// only connections that were open after this time: 12h, "2 hours ago", yesterday, 03:50, 2026-11-22, 2026-11-22T03:00, all
    #[arg(long, value_name = "TIME", value_parser = units::when, default_value = "1d")]
    since: When,
    /// only connections that began before this time
    #[arg(long, value_name = "TIME", value_parser = units::when)]
    until: Option<When>,
    // With its whole path, so that `clap` takes the list as one value.
    /// group by these columns, count connections and add up their bytes
    #[arg(id = "flow_group", long = "group", value_name = "COLUMNS", value_parser = shape::group_of::<Flows>)]
    group: Option<std::vec::Vec<&'static Column<Flows>>>,
    /// sort by these columns; prefix with - for descending; with --group also count
    #[arg(id = "flow_sort", long = "sort", value_name = "COLUMNS", value_parser = shape::sort_of::<Flows>, allow_hyphen_values = true)]
    sort: Option<std::vec::Vec<SortKey<Flows>>>,
    /// only the first N rows
    #[arg(long, value_name = "N", value_parser = shape::top)]
    top: Option<usize>,
    /// show these columns; help lists them
    #[arg(id = "flow_columns", long = "columns", value_name = "COLUMNS", value_parser = shape::columns_of::<Flows>)]
    columns: Option<ColumnList<Flows>>,
    /// one JSON document
    #[arg(long, conflicts_with_all = ["csv", "ndjson"])]
    json: bool,
    /// one JSON object per line
    #[arg(long, conflicts_with = "csv")]
    ndjson: bool,
    /// comma-separated values
    #[arg(long)]
    csv: bool,
    /// what programs did for the first time ever: a program at all, with a foreign port or network, a port listened on
    #[arg(long, conflicts_with_all = ["flow_group", "follow", "plot", "beacons"])]
    new: bool,
    /// what this program or process did, as a timeline
    #[arg(long, value_name = "PROGRAM|PID", conflicts_with_all = ["flow_group", "plot", "beacons", "flow_columns", "flow_sort"])]
    follow: Option<String>,
    /// at which time of day connections began, as bars
    #[arg(long, conflicts_with_all = ["flow_group", "beacons", "flow_columns", "flow_sort", "json", "ndjson", "csv"])]
    plot: bool,
    /// programs that contact the same remote address at regular intervals
    #[arg(long, conflicts_with_all = ["flow_group", "flow_columns", "flow_sort"])]
    beacons: bool,
    /// when nothing was recorded or something was lost, and why
    #[arg(long, conflicts_with_all = ["flow_group", "flow_columns", "flow_sort", "new", "follow", "plot", "beacons"])]
    gaps: bool,
}

impl HistoryArgs {
    fn format(&self) -> Format {
        match (self.json, self.ndjson, self.csv) {
            (true, _, _) => Format::Json,
            (_, true, _) => Format::NdJson,
            (_, _, true) => Format::Csv,
            _ => Format::Text,
        }
    }
}

pub(crate) fn definition() -> clap::Command {
    HistoryArgs::command()
}

/// What is done with a flow; it may ask the system and write.
type Visit<'v> = dyn FnMut(&mut dyn System, &mut dyn Write, Flow) -> io::Result<ControlFlow<()>> + 'v;

/// What every answer needs.
struct Answer<'w, 's, 'a> {
    words: &'w HistoryArgs,
    context: &'s mut Context<'a>,
    reader: Reader,
    question: Question,
    now: SystemTime,
    gaps: Vec<Gap>,
}

pub(crate) fn run(matches: &ArgMatches, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let words = HistoryArgs::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))?;
    if words.columns == Some(ColumnList::Help) {
        context.out.write_all(shape::column_help::<Flows>().as_bytes())?;
        return Ok(Outcome::Printed);
    }
    let path = words.store.path(context.system.is_superuser())?;
    let mut filter = names::resolved(&words.filter.filter(), context, Duration::from_secs(2))?;
    if let Some(target) = &words.follow {
        follow(&mut filter, target)?;
    }
    let now = (context.now)();
    let question = Question {
        since: words.since.millis(now),
        until: words.until.and_then(|when| when.millis(now)),
        filter,
        ..Question::default()
    };
    if let (Some(since), Some(until)) = (question.since, question.until)
        && since > until
    {
        return Err(Failure::Usage("--since is later than --until".to_owned()));
    }
    let reader = Reader::open(&path).map_err(|error| refused(&error))?;
    let gaps = reader
        .gaps(question.since, question.until)
        .map_err(|error| refused(&error))?;
    let mut answer = Answer {
        words: &words,
        context,
        reader,
        question,
        now,
        gaps,
    };
    let mut diagnostics = Diagnostics::default();
    let asked = matches.value_source("since") == Some(clap::parser::ValueSource::CommandLine);
    answer.tell_limits(asked, &mut diagnostics)?;
    let printed = if words.gaps {
        novelty::gaps(&mut answer)
    } else if words.new {
        novelty::novelties(&mut answer)
    } else if words.beacons {
        novelty::beacons(&mut answer)
    } else if words.plot {
        plot::plot(&mut answer, &mut diagnostics)
    } else if words.follow.is_some() {
        line::line(&mut answer)
    } else {
        rows::rows(&mut answer, &mut diagnostics)
    };
    answer.context.out.flush()?;
    diagnostics.say(answer.context.err);
    printed.map(|()| Outcome::Printed)
}

/// `--follow`: a number is a process, anything else a program.
fn follow(filter: &mut Filter, target: &str) -> Result<(), Failure> {
    let wrong = |error: netstat_model::FilterError| Failure::Usage(format!("--follow: {error}"));
    if target.bytes().all(|byte| byte.is_ascii_digit()) {
        filter.pids.add(&target.parse::<Pids>().map_err(wrong)?);
    } else {
        filter.programs.add(target.parse::<Globs>().map_err(wrong)?);
    }
    Ok(())
}

impl Answer<'_, '_, '_> {
    /// Says what the record cannot know about the time asked for.
    fn tell_limits(&mut self, since: bool, diagnostics: &mut Diagnostics) -> Result<(), Failure> {
        let oldest = self.reader.oldest().map_err(|error| refused(&error))?;
        match (oldest, self.question.since) {
            (None, _) => diagnostics.line("the record is empty"),
            (Some(oldest), Some(asked)) if since && oldest > asked => {
                diagnostics.line(format!("the record begins {}", moment(oldest)))
            }
            _ => {}
        }
        if !self.gaps.is_empty() && !self.words.gaps {
            diagnostics.line(format!(
                "{} in this time, in which connections may be missing: --gaps lists them",
                crate::context::human::plural(self.gaps.len() as u64, "gap")
            ));
        }
        Ok(())
    }

    /// Shows every flow that is wanted to `visit`, with the system and the output.
    fn each(&mut self, visit: &mut Visit<'_>) -> Result<(), Failure> {
        let Answer {
            context,
            reader,
            question,
            ..
        } = self;
        let progress = Progress::start(context.terminal, "reading the record");
        let mut failed = Ok(());
        let read = reader.flows(question, &mut |flow| match visit(context.system, context.out, flow) {
            Ok(flow) => flow,
            Err(error) => {
                failed = Err(error);
                ControlFlow::Break(())
            }
        });
        drop(progress);
        failed?;
        read.map_err(|error| refused(&error))
    }

    /// The columns of a listing.
    fn columns(&self) -> Vec<&'static Column<Flows>> {
        match &self.words.columns {
            Some(ColumnList::These(columns)) => columns.clone(),
            _ if self.words.format() == Format::Text => columns::named(DEFAULT_TEXT),
            _ => columns::named(&ALL_OF_MACHINES),
        }
    }
}

/// The columns of CSV and JSON when none are named.
const ALL_OF_MACHINES: [&str; 24] = [
    "first",
    "last",
    "duration",
    "closed",
    "begun",
    "protocol",
    "direction",
    "local_address",
    "local_port",
    "foreign_address",
    "foreign_port",
    "state",
    "program",
    "path",
    "pid",
    "uid",
    "user",
    "unit",
    "container",
    "sent",
    "received",
    "retransmits",
    "rtt",
    "learned",
];

/// A moment in the local time zone, to the second: `2026-11-23 22:30:05`.
fn moment(millis: i64) -> String {
    crate::context::human::moment(SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}
