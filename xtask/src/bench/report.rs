//! The measurements and their tables.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::contenders::{DUMP_FLOOR, ITERATOR_FLOOR, Question, SS_LIST, SS_OWNERS, Whose};
use super::loads::thousands;
use super::measure::{End, Run};

/// A summary of the runs of one command under one load.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Summary {
    pub runs: usize,
    /// The median wall-clock time.
    pub median: Duration,
    /// The shortest wall-clock time.
    pub least: Duration,
    /// The mean CPU time in user mode. This is a mean because the kernel splits the CPU time only in units of clock
    /// ticks, so that a single short run often has all of it on one side.
    pub user: Duration,
    /// The mean CPU time in kernel mode.
    pub system: Duration,
    /// The highest peak of resident memory in KiB.
    pub peak_kib: u64,
    /// The smallest number of lines printed.
    pub lines: u64,
    /// The exit status of runs that failed although they printed something.
    pub failed: Option<i32>,
}

impl Summary {
    /// Summarizes `runs`, which should not be empty (all values are zero otherwise).
    pub(crate) fn of(runs: &[Run]) -> Summary {
        Summary {
            runs: runs.len(),
            median: median(runs.iter().map(|run| run.wall)),
            least: runs.iter().map(|run| run.wall).min().unwrap_or_default(),
            user: mean(runs.iter().map(|run| run.user)),
            system: mean(runs.iter().map(|run| run.system)),
            peak_kib: runs.iter().map(|run| run.peak_kib).max().unwrap_or_default(),
            lines: runs.iter().map(|run| run.lines).min().unwrap_or_default(),
            failed: runs.iter().find_map(|run| match run.end {
                End::Status(status) if status != 0 => Some(status),
                _ => None,
            }),
        }
    }
}

/// Returns the median; for an even number, the mean of the two middle values.
fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    match times.len() {
        0 => Duration::ZERO,
        n if n % 2 == 1 => times[n / 2],
        n => (times[n / 2 - 1] + times[n / 2]) / 2,
    }
}

fn mean(times: impl ExactSizeIterator<Item = Duration>) -> Duration {
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
    times.sum::<Duration>().checked_div(count).unwrap_or_default()
}

/// The result of one command under one load.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Figures {
    Measured(Summary),
    /// A run was killed at the limit.
    OverLimit,
    /// Not run, because it exceeded the limit with fewer sockets.
    NotTried,
    /// It cannot be run here, for this reason.
    NotAvailable(String),
}

/// A row of a table.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub label: &'static str,
    pub whose: Whose,
    pub question: Question,
    pub figures: Figures,
}

/// The rows for one load.
#[derive(Debug)]
pub(crate) struct Group {
    pub title: String,
    /// The position of the group on the plot.
    pub at: Option<u64>,
    /// The number of sockets in the load: a list with fewer lines is incomplete.
    pub sockets: u64,
    pub entries: Vec<Entry>,
}

/// All measurements.
#[derive(Debug)]
pub(crate) struct Report {
    pub machine: Vec<String>,
    pub limit: Duration,
    pub groups: Vec<Group>,
    left_out: Vec<String>,
}

const HEADINGS: [&str; 11] = [
    "command",
    "runs",
    "median",
    "least",
    "user",
    "system",
    "peak MiB",
    "lines",
    "÷ dump",
    "÷ floors",
    "÷ ss",
];

/// The explanation of the last columns, which is printed below a table.
const LEGEND: &str = "Times in milliseconds of wall clock unless marked s; user and system time are means. \
÷ dump: the median over that of the dump floor. ÷ floors: over dump floor + iterator floor, for lists with owners. \
÷ ss: over `ss -tuan` for lists, over `ss -tuanp` for lists with owners; below 1 is quicker. \
The output goes to a pipe that is read at once. A peak below some 3 MiB is that of the measuring process.";

impl Report {
    pub(crate) fn new(machine: Vec<String>, limit: Duration) -> Report {
        Report {
            machine,
            limit,
            groups: Vec::new(),
            left_out: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, title: String, at: Option<u64>, sockets: u64, entries: Vec<Entry>) {
        self.groups.push(Group {
            title,
            at,
            sockets,
            entries,
        });
    }

    /// Adds a load that was not created, with the reason.
    pub(crate) fn leave_out(&mut self, why: String) {
        self.left_out.push(why);
    }

    /// Returns the report as aligned text.
    pub(crate) fn text(&self) -> String {
        let mut text = self.machine.join("\n");
        text.push('\n');
        let tables: Vec<(String, Vec<Vec<String>>, Vec<String>)> = self.tables();
        let rows = || tables.iter().flat_map(|(_, rows, _)| rows);
        let widths: Vec<usize> = HEADINGS
            .iter()
            .enumerate()
            .map(|(column, heading)| {
                rows()
                    .map(|row| row[column].chars().count())
                    .max()
                    .unwrap_or(0)
                    .max(heading.chars().count())
            })
            .collect();
        let headings: Vec<String> = HEADINGS.map(str::to_owned).to_vec();
        for (title, rows, notes) in &tables {
            let _ = write!(text, "\n{title}\n");
            for row in std::iter::once(&headings).chain(rows) {
                let mut line = format!("  {:<1$}", row[0], widths[0]);
                for (cell, width) in row.iter().zip(&widths).skip(1) {
                    let _ = write!(line, "  {cell:>width$}");
                }
                text.push_str(line.trim_end());
                text.push('\n');
            }
            for note in notes {
                let _ = writeln!(text, "  {note}");
            }
        }
        for why in &self.left_out {
            let _ = write!(text, "\nleft out: {why}\n");
        }
        let _ = write!(text, "\n{}", LEGEND.replace(". ", ".\n"));
        text
    }

    /// Returns the report as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        for line in &self.machine {
            let _ = writeln!(text, "- {line}");
        }
        for (title, rows, notes) in self.tables() {
            let _ = write!(
                text,
                "\n### {title}\n\n| {} |\n|---|{}\n",
                HEADINGS.join(" | "),
                "--:|".repeat(HEADINGS.len() - 1)
            );
            for row in rows {
                let _ = writeln!(text, "| `{}` | {} |", row[0], row[1..].join(" | "));
            }
            for note in notes {
                let _ = write!(text, "\n{note}\n");
            }
        }
        for why in &self.left_out {
            let _ = write!(text, "\nLeft out: {why}.\n");
        }
        let _ = write!(text, "\n{LEGEND}\n");
        text
    }

    /// Returns the title, the rows of cells, and the notes of each group.
    fn tables(&self) -> Vec<(String, Vec<Vec<String>>, Vec<String>)> {
        let table = |group: &Group| {
            let rows = group.entries.iter().map(|entry| self.cells(group, entry)).collect();
            (group.title.clone(), rows, group.notes())
        };
        self.groups.iter().map(table).collect()
    }

    fn cells(&self, group: &Group, entry: &Entry) -> Vec<String> {
        let mut cells = vec![entry.label.to_owned()];
        match &entry.figures {
            Figures::Measured(summary) => cells.extend([
                summary.runs.to_string(),
                time(summary.median),
                time(summary.least),
                time(summary.user),
                time(summary.system),
                format!("{:.1}", summary.peak_kib as f64 / 1024.0),
                thousands(summary.lines),
                ratio(summary.median, group.median(DUMP_FLOOR)),
                ratio(
                    summary.median,
                    group.owners_floor().filter(|_| entry.question == Question::Owners),
                ),
                match entry.question {
                    Question::List => ratio(summary.median, group.median(SS_LIST)),
                    Question::Owners => ratio(summary.median, group.median(SS_OWNERS)),
                    Question::Part => "-".to_owned(),
                },
            ]),
            Figures::OverLimit => cells.extend(["1".to_owned(), format!("> {} s", self.limit.as_secs())]),
            Figures::NotTried => cells.extend(["0".to_owned(), "not tried".to_owned()]),
            Figures::NotAvailable(_) => cells.extend(["0".to_owned(), "not available".to_owned()]),
        }
        cells.resize(HEADINGS.len(), "-".to_owned());
        cells
    }
}

impl Group {
    /// Returns the median of the command with this label.
    pub(crate) fn median(&self, label: &str) -> Option<Duration> {
        self.entries
            .iter()
            .find(|entry| entry.label == label)
            .and_then(|entry| match &entry.figures {
                Figures::Measured(summary) => Some(summary.median),
                _ => None,
            })
    }

    fn owners_floor(&self) -> Option<Duration> {
        Some(self.median(DUMP_FLOOR)? + self.median(ITERATOR_FLOOR)?)
    }

    /// Returns the notes about single rows.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for Entry {
            label,
            whose,
            question,
            figures,
        } in &self.entries
        {
            match figures {
                Figures::Measured(summary) => {
                    let whole = *question != Question::Part && *whose != Whose::Floor;
                    if whole && summary.lines < self.sockets {
                        notes.push(format!("{label}: printed fewer lines than there are sockets"));
                    }
                    if let Some(status) = summary.failed {
                        notes.push(format!("{label}: exit status {status}"));
                    }
                }
                Figures::OverLimit => {}
                Figures::NotTried => {
                    notes.push(format!("{label}: not tried, it was over the limit with fewer sockets"))
                }
                Figures::NotAvailable(why) => notes.push(format!("{label}: not available: {why}")),
            }
        }
        notes
    }
}

/// Formats milliseconds with three or four significant digits; from 10 s on, seconds with their unit.
fn time(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1e3;
    match milliseconds {
        m if m >= 9_999.5 => format!("{:.1} s", m / 1e3),
        m if m >= 99.95 => format!("{m:.0}"),
        m if m >= 9.995 => format!("{m:.1}"),
        m => format!("{m:.2}"),
    }
}

fn ratio(time: Duration, base: Option<Duration>) -> String {
    match base {
        Some(base) if !base.is_zero() => {
            let ratio = time.as_secs_f64() / base.as_secs_f64();
            if ratio < 0.0995 {
                format!("{ratio:.3}")
            } else {
                format!("{ratio:.2}")
            }
        }
        _ => "-".to_owned(),
    }
}

const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

/// Replaces everything between the two marks in `page`.
///
/// # Errors
/// Returns an error if a mark is missing or they are in the wrong order.
pub(crate) fn replace_section(page: &str, section: &str) -> Result<String> {
    let begin = page.find(BEGIN).with_context(|| format!("no `{BEGIN}`"))? + BEGIN.len();
    let end = page.find(END).with_context(|| format!("no `{END}`"))?;
    ensure!(begin <= end, "`{END}` stands before `{BEGIN}`");
    Ok(format!("{}\n\n{}\n\n{}", &page[..begin], section.trim(), &page[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(milliseconds: u64, lines: u64) -> Run {
        Run {
            wall: Duration::from_millis(milliseconds),
            user: Duration::from_millis(milliseconds / 2),
            system: Duration::from_millis(1),
            peak_kib: milliseconds * 10,
            bytes: 1,
            lines,
            end: End::Status(0),
            complaint: String::new(),
        }
    }

    fn entry(label: &'static str, question: Question, figures: Figures) -> Entry {
        Entry {
            label,
            whose: Whose::Peer,
            question,
            figures,
        }
    }

    fn report() -> Report {
        let measured = |milliseconds| Figures::Measured(Summary::of(&[run(milliseconds, 100)]));
        let mut report = Report::new(vec!["a machine".into()], Duration::from_secs(120));
        let entries = vec![
            entry(DUMP_FLOOR, Question::Part, measured(10)),
            entry(ITERATOR_FLOOR, Question::Part, measured(15)),
            entry("netstat -an", Question::List, measured(20)),
            entry("netstat -ano", Question::Owners, measured(50)),
            entry(SS_LIST, Question::List, measured(40)),
            entry(SS_OWNERS, Question::Owners, measured(1000)),
            entry("slow", Question::List, Figures::OverLimit),
            entry("absent", Question::List, Figures::NotAvailable("no such thing".into())),
        ];
        report.add("101 sockets".into(), Some(101), 101, entries);
        report
    }

    #[test]
    fn summary_of_runs_has_median_least_and_means() {
        let summary = Summary::of(&[run(60, 7), run(10, 9), run(20, 8)]);
        assert_eq!(summary.median, Duration::from_millis(20));
        assert_eq!(summary.least, Duration::from_millis(10));
        assert_eq!(summary.user, Duration::from_millis(15));
        assert_eq!((summary.peak_kib, summary.lines, summary.runs), (600, 7, 3));
        assert_eq!(Summary::of(&[run(10, 1), run(20, 1)]).median, Duration::from_millis(15));
    }

    #[test]
    fn ratios_compare_only_answers_to_same_question() {
        let report = report();
        let cells = |label: &str| {
            let group = &report.groups[0];
            report.cells(group, group.entries.iter().find(|entry| entry.label == label).unwrap())
        };
        assert_eq!(cells("netstat -an")[8..], ["2.00", "-", "0.50"]);
        assert_eq!(cells("netstat -ano")[8..], ["5.00", "2.00", "0.050"]);
        assert_eq!(cells(DUMP_FLOOR)[8..], ["1.00", "-", "-"]);
        assert_eq!(cells("slow")[1..4], ["1", "> 120 s", "-"]);
        assert_eq!(cells("absent")[1..4], ["0", "not available", "-"]);
    }

    #[test]
    fn notes_name_incomplete_lists_and_absent_commands() {
        let notes = report().groups[0].notes();
        assert!(
            notes.contains(&"netstat -an: printed fewer lines than there are sockets".to_owned()),
            "{notes:?}"
        );
        assert!(
            notes.contains(&"absent: not available: no such thing".to_owned()),
            "{notes:?}"
        );
        assert!(!notes.iter().any(|note| note.starts_with(DUMP_FLOOR)), "{notes:?}");
    }

    #[test]
    fn text_report_lines_have_equal_width() {
        let text = report().text();
        let lines: Vec<&str> = text
            .lines()
            .skip_while(|line| !line.contains("command"))
            .take(9)
            .collect();
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width), "{text}");
    }

    #[test]
    fn time_keeps_leading_digits() {
        let shown = [0.1234, 1.234, 12.34, 123.4, 9_999.4, 12_345.0]
            .map(|milliseconds| time(Duration::from_secs_f64(milliseconds / 1e3)));
        assert_eq!(shown, ["0.12", "1.23", "12.3", "123", "9999", "12.3 s"]);
    }

    #[test]
    fn replace_section_changes_only_marked_part() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let once = replace_section(&page, "new\n").unwrap();
        assert_eq!(once, format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"));
        assert_eq!(replace_section(&once, "new").unwrap(), once);
        assert!(replace_section("nothing", "new").is_err());
        assert!(replace_section(&format!("{END}{BEGIN}"), "new").is_err());
    }
}
