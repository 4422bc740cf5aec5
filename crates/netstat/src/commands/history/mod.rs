//! `netstat history`: queries about the past.

mod args;
mod export;
mod follow_new;
mod headings;
mod line;
mod novelty;
mod parquet;
mod people;
mod plot;
mod rare;
mod rows;
pub(crate) mod schema;
mod summary;
mod svg;

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use netstat_model::columns::{self, Column};
use netstat_model::{Filter, Globs, Pids};
use netstat_os::{Confinement, System};
use netstat_record::{DEFAULT_TEXT, Flow, FlowStore, FlowTotals, Flows, Gap, Question};

use crate::args::shape::{self, ColumnList, Format};
use crate::context::Diagnostics;
use crate::context::Progress;
use crate::context::names;
use crate::context::{Context, Failure, Outcome, Screen};
use crate::output::report::{Block, Report};
use crate::recall::refused;

use args::HistoryArgs;

/// The number of columns that most host names take.
const HOST_WIDTH: u16 = 18;
/// The number of rows that are formatted at a time if not all rows must be read first.
const CHUNK: usize = 20_000;
/// The maximum number of rows that are kept in memory if all rows must be read first: about 3 GB.
const MOST: usize = 10_000_000;

pub(crate) fn definition() -> clap::Command {
    HistoryArgs::command()
}

/// Processes a flow; it may query the system and write output.
type Visit<'v> = dyn FnMut(&mut dyn System, &mut dyn Write, Flow) -> io::Result<ControlFlow<()>> + 'v;

/// The context of every query.
struct Answer<'w, 's, 'a> {
    args: &'w HistoryArgs,
    context: &'s mut Context<'a>,
    reader: Box<dyn FlowStore>,
    question: Question,
    now: SystemTime,
    gaps: Vec<Gap>,
}

pub(crate) fn run(matches: &ArgMatches, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let args = HistoryArgs::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))?;
    if args.columns == Some(ColumnList::Help) {
        context.out.write_all(shape::column_help::<Flows>().as_bytes())?;
        return Ok(Outcome::Printed);
    }
    let Some(file) = &args.report else {
        return answered(&args, matches, context);
    };
    let mut text = Vec::new();
    let mut inner = Context {
        system: &mut *context.system,
        out: &mut text,
        err: &mut *context.err,
        terminal: context.terminal,
        screen: Screen {
            terminal: false,
            width: Some(REPORT_WIDTH),
            no_color: true,
        },
        now: &mut *context.now,
        wait_until: &mut *context.wait_until,
    };
    let outcome = answered(&args, matches, &mut inner)?;
    let report = Report {
        title: "Connections of the past".to_owned(),
        host: context.system.computer_name(),
        time: (context.now)(),
        blocks: vec![Block::Text(String::from_utf8_lossy(&text).into_owned())],
    };
    let line = file.write(&report)?;
    let mut diagnostics = Diagnostics::default();
    diagnostics.line(line);
    diagnostics.say(context.err);
    Ok(outcome)
}

/// The width of text in a report, in columns: what fits on a printed page.
const REPORT_WIDTH: u16 = 120;

fn answered(args: &HistoryArgs, matches: &ArgMatches, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let question = question(args, context)?;
    if let Some(path) = &args.parquet {
        return parquet::parquet(args, path, &question, context);
    }
    confine(args, context);
    let now = (context.now)();
    let mut reader = args.store.open(context.system)?;
    let gaps = reader.gaps(&question).map_err(|error| refused(&error))?;
    let mut answer = Answer {
        args,
        context,
        reader,
        question,
        now,
        gaps,
    };
    let mut diagnostics = Diagnostics::default();
    let asked = matches.value_source("since") == Some(clap::parser::ValueSource::CommandLine);
    answer.tell_limits(asked, &mut diagnostics)?;
    let printed = answer.print(matches, &mut diagnostics);
    answer.context.out.flush()?;
    if answer.reader.skipped() > 0 {
        let rows = crate::context::human::plural(answer.reader.skipped(), "damaged row");
        diagnostics.line(format!("{rows} of the record left out"));
    }
    diagnostics.say(answer.context.err);
    printed.map(|()| Outcome::Printed)
}

/// Returns the query to the record.
fn question(args: &HistoryArgs, context: &mut Context<'_>) -> Result<Question, Failure> {
    let mut filter = names::resolved(&args.filter.filter(), context, Duration::from_secs(2))?;
    if let Some(target) = &args.follow {
        follow(&mut filter, target)?;
    }
    let mut scripts = Globs::default();
    for list in &args.script {
        scripts.add(list.clone());
    }
    let mut names = Globs::default();
    for list in &args.name {
        names.add(list.clone());
    }
    let mut hosts = Globs::default();
    for list in &args.host {
        hosts.add(list.clone());
    }
    let now = (context.now)();
    let question = Question {
        since: args.since.millis(now),
        until: args.until.and_then(|when| when.millis(now)),
        filter,
        scripts,
        names,
        community_ids: args.community_id.clone(),
        hosts,
        // A timeline is in chronological order.
        newest_first: args.follow.is_none(),
        most: args.listed(),
    };
    match (question.since, question.until) {
        (Some(since), Some(until)) if since > until => Err(Failure::Usage("--since is later than --until".to_owned())),
        _ => Ok(question),
    }
}

/// Drops all access rights that the query does not need.
fn confine(args: &HistoryArgs, context: &mut Context<'_>) {
    let mut writable: Vec<PathBuf> = args.svg.iter().filter_map(|svg| svg.parent().map(beside)).collect();
    writable.extend(
        args.report
            .as_ref()
            .and_then(|report| report.path().parent())
            .map(beside),
    );
    // SQLite keeps the index of its write-ahead log beside the record.
    let record = args.store.path(context.system.is_superuser()).ok();
    writable.extend(record.as_deref().and_then(Path::parent).map(beside));
    context.system.confine(&Confinement {
        network: args.store.needs_network(),
        // Landlock would prevent connections to a fleet's store.
        writable: (!args.store.needs_network()).then_some(writable),
        ..Confinement::default()
    });
}

/// Returns `parent`, the directory of a file, or `.` if the path was a bare name.
fn beside(parent: &Path) -> PathBuf {
    match parent.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => parent.to_owned(),
    }
}

/// Whether the command line selects at most a record, computers or a report; a summary is then more useful than a list.
fn is_bare(matches: &ArgMatches) -> bool {
    let typed = |id: &str| matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine);
    definition()
        .get_arguments()
        .map(|argument| argument.get_id().as_str())
        .all(|id| matches!(id, "store" | "fleet_config" | "host" | "report") || !typed(id))
}

/// Applies the target of `--follow`: a number is a process id, anything else a program.
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
    /// Prints the result in the requested format.
    fn print(&mut self, matches: &ArgMatches, diagnostics: &mut Diagnostics) -> Result<(), Failure> {
        let args = self.args;
        if args.follow_new {
            follow_new::follow_new(self)
        } else if let Some(format) = args.export {
            export::export(self, format, diagnostics)
        } else if args.gaps {
            novelty::gaps(self, diagnostics)
        } else if args.new {
            novelty::novelties(self, diagnostics)
        } else if args.rare {
            rare::rare(self, diagnostics)
        } else if args.beacons {
            novelty::beacons(self, diagnostics)
        } else if let Some(by) = args.plot {
            plot::plot(self, by, diagnostics)
        } else if args.follow.is_some() {
            line::line(self, diagnostics)
        } else if args.summary || is_bare(matches) {
            summary::summary(self)
        } else {
            rows::rows(self, diagnostics)
        }
    }

    /// Reports what the record cannot know about the requested period.
    fn tell_limits(&mut self, since: bool, diagnostics: &mut Diagnostics) -> Result<(), Failure> {
        let oldest = self.reader.oldest().map_err(|error| refused(&error))?;
        match (oldest, self.question.since) {
            (None, _) => diagnostics.line("the record is empty"),
            (Some(oldest), Some(asked)) if since && oldest > asked => {
                let zone = people::Zone::local(netstat_record::millis(self.now));
                diagnostics.line(format!("the record begins {} ({})", zone.moment(oldest), zone.name()));
            }
            _ => {}
        }
        if !self.gaps.is_empty() && !self.args.gaps {
            diagnostics.line(format!(
                "{} in this time, in which connections may be missing: --gaps lists them",
                crate::context::human::plural(self.gaps.len() as u64, "gap")
            ));
        }
        Ok(())
    }

    /// Passes every selected flow to `visit`, with the system and the output.
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

    /// Like [`Answer::each`], with flows combined that have the same values in `columns`.
    fn totals(
        &mut self,
        columns: &[&'static Column<Flows>],
        visit: &mut dyn FnMut(&mut dyn System, Flow, FlowTotals),
    ) -> Result<(), Failure> {
        let Answer {
            context,
            reader,
            question,
            ..
        } = self;
        let progress = Progress::start(context.terminal, "reading the record");
        let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
        let read = reader.totals(question, &names, &mut |flow, totals| {
            visit(context.system, flow, totals);
            ControlFlow::Continue(())
        });
        drop(progress);
        read.map_err(|error| refused(&error))
    }

    /// Whether the result may include several computers, so that each row must name its own.
    fn names_hosts(&self) -> bool {
        self.reader.is_fleet() && !self.args.is_one_host()
    }

    /// Returns the columns of a listing.
    fn columns(&self) -> Vec<&'static Column<Flows>> {
        match &self.args.columns {
            Some(ColumnList::These(columns)) => columns.clone(),
            _ if self.args.format() == Format::Text => {
                let width = self.context.screen.width;
                match self.names_hosts() {
                    true => {
                        let rest = width.map(|width| width.saturating_sub(HOST_WIDTH));
                        let mut all = columns::named(&["host"]);
                        all.extend(people::columns_that_fit(columns::named(DEFAULT_TEXT), rest));
                        all
                    }
                    false => people::columns_that_fit(columns::named(DEFAULT_TEXT), width),
                }
            }
            _ => {
                let mut all = columns::named(&ALL_OF_MACHINES);
                if self.names_hosts() {
                    all.extend(columns::named::<Flows>(&["host"]));
                }
                all
            }
        }
    }
}

/// The columns of CSV and JSON if none are named.
const ALL_OF_MACHINES: [&str; 26] = [
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
    "script",
    "asked_name",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_column_lists_name_existing_columns() {
        assert_eq!(columns::named::<Flows>(&ALL_OF_MACHINES).len(), ALL_OF_MACHINES.len());
        assert_eq!(columns::named::<Flows>(DEFAULT_TEXT).len(), DEFAULT_TEXT.len());
    }
}
