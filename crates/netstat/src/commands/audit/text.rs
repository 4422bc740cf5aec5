//! The result as text: a summary that fits on a screen, followed by the details of severe findings.

use std::time::SystemTime;

use netstat_audit::{Severity, case, next};
use netstat_model::text::escape_str;
use unicode_width::UnicodeWidthStr;

use super::Shown;
use super::acknowledge::Item;
use super::overview::{self, Group, HEADINGS, Row};
use crate::context::human::plural;
use crate::output::rows::paint::Look;

/// Writes the whole result.
pub(super) fn write(out: &mut Vec<u8>, shown: &Shown<'_>, width: Option<usize>, colored: bool, now: SystemTime) {
    let page = Page {
        width: width.unwrap_or(WIDTH).clamp(NARROWEST, WIDTH),
        colored,
        now,
    };
    let groups = overview::groups(shown.items, &shown.choice);
    page.headline(out, shown, &groups);
    page.table(out, &overview::rows(&groups));
    page.hints(out, shown, &groups);
    for group in groups.iter().filter(|group| group.severity() >= shown.choice.details) {
        out.push(b'\n');
        page.details(out, group, shown);
    }
    page.ending(out, shown);
}

/// Longer lines are hard to read, however wide the terminal is.
const WIDTH: usize = 120;

/// The minimum width to which lines are wrapped.
const NARROWEST: usize = 40;

struct Page {
    width: usize,
    colored: bool,
    /// The time relative to which ages are shown.
    now: SystemTime,
}

/// Returns how a severity is highlighted.
fn look(severity: Severity) -> Look {
    match severity {
        Severity::Critical => Look::Alarm,
        Severity::High => Look::Alarming,
        Severity::Medium => Look::Changed,
        Severity::Low | Severity::Info => Look::Plain,
    }
}

/// The maximum widths of the columns of the summary; the last column takes the rest.
const WIDEST: [usize; 5] = [8, 30, 12, 22, 28];

/// The minimum width of the last column of the summary; below it, the column gets separate lines.
const SENTENCE: usize = 30;

/// The number of rows that fill a screen; further rows are only counted.
const SCREENFUL: usize = 20;

impl Page {
    fn paint(&self, out: &mut Vec<u8>, look: Look, text: &str) {
        let look = if self.colored { look } else { Look::Plain };
        look.paint(out, |out| out.extend_from_slice(text.as_bytes()));
    }

    /// Writes a text wrapped to the width of the page. All lines but the first are indented by `indent` spaces.
    fn paragraph(&self, out: &mut Vec<u8>, indent: usize, text: &str, look: Look) {
        for (place, line) in wrapped(text, self.width.saturating_sub(indent)).into_iter().enumerate() {
            if place > 0 {
                out.extend_from_slice(" ".repeat(indent).as_bytes());
            }
            self.paint(out, look, &line);
            out.push(b'\n');
        }
    }

    /// Writes how many processes were examined, and how many processes and findings there are of each severity.
    fn headline(&self, out: &mut Vec<u8>, shown: &Shown<'_>, groups: &[Group<'_>]) {
        let examined = plural_of(shown.survey.judged.len(), "process", "processes");
        let nothing = match shown.choice.min {
            Severity::Info => "nothing unusual".to_owned(),
            min => format!("nothing at or above {min}"),
        };
        let of_processes = groups
            .iter()
            .flat_map(|group| std::iter::repeat_n(group.severity(), group.processes()));
        let findings = groups.iter().flat_map(|group| {
            let of_each = group.items.iter().map(|item| item.finding.severity);
            of_each.flat_map(|severity| std::iter::repeat_n(severity, group.processes().max(1)))
        });
        let (processes, findings) = (overview::counts(of_processes), overview::counts(findings));
        let what = match (processes.as_str(), findings.as_str()) {
            ("", "") => nothing,
            ("", _) => "none of them has a finding".to_owned(),
            _ => processes,
        };
        self.paragraph(
            out,
            0,
            &format!("{examined} with sockets examined: {what}"),
            Look::Heading,
        );
        if !findings.is_empty() {
            self.paragraph(out, 0, &format!("Findings: {findings}"), Look::Plain);
        }
    }

    fn table(&self, out: &mut Vec<u8>, rows: &[Row]) {
        if rows.is_empty() {
            return;
        }
        out.push(b'\n');
        // Empty columns are omitted.
        let used = |column: usize| column < 3 || rows.iter().any(|row| row.cells()[column] != "-");
        let columns: Vec<usize> = (0..5).filter(|&column| used(column)).collect();
        let widths: Vec<usize> = columns
            .iter()
            .map(|&column| {
                let cells = rows.iter().map(|row| row.cells()[column].width());
                let widest = cells.chain([HEADINGS[column].width()]).max().unwrap_or(0);
                widest.min(WIDEST[column])
            })
            .collect();
        let left: usize = widths.iter().map(|width| width + 2).sum();
        let room = self.width.saturating_sub(left);
        let beside = room >= SENTENCE;
        let heading: Vec<&str> = columns.iter().map(|&column| HEADINGS[column]).collect();
        let mut line = padded(&heading, &widths);
        line.push_str(if beside { HEADINGS[5] } else { "" });
        self.paint(out, Look::Heading, line.trim_end());
        out.push(b'\n');
        for row in rows.iter().take(SCREENFUL) {
            let cells: Vec<String> = columns
                .iter()
                .zip(&widths)
                .map(|(&column, &width)| shortened(row.cells()[column], width))
                .collect();
            let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
            let line = padded(&cells, &widths);
            let (severity, rest) = line.split_at(row.severity.name().len());
            self.paint(out, look(row.severity), severity);
            let (indent, room) = if beside {
                (left, room)
            } else {
                (4, self.width.saturating_sub(4))
            };
            let lines = wrapped(&row.sentence, room);
            out.extend_from_slice(if beside { rest } else { rest.trim_end() }.as_bytes());
            for (place, part) in lines.iter().enumerate() {
                if place > 0 || !beside {
                    out.push(b'\n');
                    out.extend_from_slice(" ".repeat(indent).as_bytes());
                }
                out.extend_from_slice(part.as_bytes());
            }
            out.push(b'\n');
        }
        if rows.len() > SCREENFUL {
            let more = rows.len() - SCREENFUL;
            let of = overview::counts(rows[SCREENFUL..].iter().map(|row| row.severity));
            let line = format!("and {} more: {of} (--details or --json shows all)", rows_word(more));
            self.paragraph(out, 0, &line, Look::Plain);
        }
    }

    /// Writes what is not shown, and how to show it.
    fn hints(&self, out: &mut Vec<u8>, shown: &Shown<'_>, groups: &[Group<'_>]) {
        let mut hints = Vec::new();
        let acknowledged = shown.acknowledged();
        if acknowledged > 0 {
            let shows = if shown.choice.all { "" } else { " (--all shows them)" };
            hints.push(format!(
                "{} acknowledged{shows}",
                plural(acknowledged as u64, "finding")
            ));
        }
        let changed = shown.items.iter().filter(|item| item.standing.changed).count();
        if changed > 0 {
            hints.push(format!(
                "{} had been acknowledged, and the program has changed since",
                plural(changed as u64, "finding")
            ));
        }
        if let Some(since) = &shown.new_since {
            hints.push(since.clone());
        }
        let without = groups
            .iter()
            .filter(|group| group.severity() < shown.choice.details)
            .count();
        if without > 0 {
            hints.push(format!(
                "details of {} further {}: --details, or --min SEVERITY",
                without,
                if without == 1 { "row" } else { "rows" }
            ));
        }
        if hints.is_empty() {
            return;
        }
        out.push(b'\n');
        hints.iter().for_each(|hint| self.paragraph(out, 0, hint, Look::Plain));
    }

    /// Writes a line after a label of fixed width, continued below if it does not fit.
    fn line(&self, out: &mut Vec<u8>, label: &str, text: &str) {
        self.looking(out, label, text, Look::Plain);
    }

    fn looking(&self, out: &mut Vec<u8>, label: &str, text: &str, look: Look) {
        const INDENT: usize = 2;
        const LABEL: usize = 14;
        let room = self.width.saturating_sub(INDENT + LABEL).max(20);
        let mut label = label;
        for part in wrapped(text, room) {
            out.extend_from_slice(format!("{:INDENT$}{label:LABEL$}", "").as_bytes());
            self.paint(out, look, &part);
            out.push(b'\n');
            label = "";
        }
    }

    /// Writes a line that is never wrapped, such as a command, which must remain easy to copy.
    fn whole(&self, out: &mut Vec<u8>, label: &str, text: &str) {
        out.extend_from_slice(format!("  {label:14}{text}\n").as_bytes());
    }

    fn details(&self, out: &mut Vec<u8>, group: &Group<'_>, shown: &Shown<'_>) {
        let severity = group.severity();
        let word = severity.name().to_uppercase();
        self.paint(out, look(severity), &word);
        out.extend_from_slice(b"  ");
        let headline = group.first().map_or("", |finding| finding.headline.as_str());
        let title = match group.judged {
            Some(judged) => {
                let name = match &judged.script {
                    Some(script) => format!("{} running {}", judged.shown(), script.shown()),
                    None => judged.shown(),
                };
                format!("{name} (PID {}) {headline}", judged.facts.pid)
            }
            None => headline.to_owned(),
        };
        self.paragraph(out, word.len() + 2, &title, Look::Heading);
        if let Some(judged) = group.judged {
            self.process(out, group, judged);
        }
        for (at, item) in group.items.iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(b"  ");
                self.paint(out, look(item.finding.severity), item.finding.severity.name());
                out.extend_from_slice(b": ");
                let indent = item.finding.severity.name().len() + 4;
                self.paragraph(out, indent, &format!("it {}", item.finding.headline), Look::Plain);
            }
            self.finding(out, item, group.judged.is_some());
            if let Some(entry) = &item.standing.acknowledged {
                let until = entry
                    .until
                    .as_ref()
                    .map_or_else(String::new, |day| format!(" (until {day})"));
                self.line(out, "acknowledged:", &format!("{}{until}", escape_str(&entry.why)));
            }
            if item.standing.changed {
                self.line(out, "acknowledged:", "not any more: the program has changed since");
            }
        }
        if let Some(judged) = group.judged {
            let steps = next::steps(judged, &shown.netstat, shown.superuser);
            let widest = steps.iter().map(|step| step.what.len()).max().unwrap_or(0);
            for (at, step) in steps.iter().enumerate() {
                let label = if at == 0 { "next:" } else { "" };
                self.whole(out, label, &format!("{:widest$}  {}", step.what, step.command));
            }
        }
    }

    fn process(&self, out: &mut Vec<u8>, group: &Group<'_>, judged: &netstat_audit::Judged) {
        let kinds = match judged
            .findings
            .iter()
            .any(|finding| finding.rule.name == "several-signs")
        {
            true => ": signs of several kinds support each other",
            false => "",
        };
        let verdict = format!("{}{kinds}", judged.verdict.judgement.word());
        let grave = judged.verdict.severity.map_or(Look::Plain, look);
        self.looking(out, "verdict:", &verdict, grave);
        for (at, line) in judged.contacts.lines().iter().enumerate() {
            self.line(out, if at == 0 { "network:" } else { "" }, line);
        }
        if let Some(unit) = netstat_audit::contacts::component(&judged.facts) {
            self.line(out, "unit:", &unit);
        }
        if !group.others.is_empty() {
            const MOST: usize = 20;
            let mut pids: Vec<String> = group.others.iter().take(MOST).map(u32::to_string).collect();
            if group.others.len() > MOST {
                pids.push(format!("and {} more (--json lists all)", group.others.len() - MOST));
            }
            self.line(out, "the same for:", &format!("PID {}", pids.join(", ")));
        }
        let line = case::command_line(&judged.facts.arguments);
        if !line.is_empty() {
            self.line(out, "command line:", &line);
        }
        for (at, line) in judged.starters.lines().iter().enumerate() {
            self.line(out, if at == 0 { "started by:" } else { "" }, line);
        }
        if let Some(first) = judged.first_seen {
            self.line(out, "first seen:", &format!("on the network {}", first.words(self.now)));
        }
    }

    fn finding(&self, out: &mut Vec<u8>, item: &Item<'_>, of_process: bool) {
        let (finding, id) = (item.finding, item.mark.id());
        let mut label = "seen:";
        // The network and the command line are shown above, once for all findings.
        let above =
            |line: &&String| of_process && (line.starts_with("on the network: ") || line.starts_with("command line: "));
        for line in finding.evidence.iter().filter(|line| !above(line)) {
            self.line(out, label, line);
            label = "";
        }
        self.whole(out, "verify:", &finding.verify);
        self.line(out, "harmless if:", finding.harmless);
        let technique = match finding.technique {
            "" => String::new(),
            technique => format!("ATT&CK {technique}, "),
        };
        self.line(
            out,
            "rule:",
            &format!(
                "{} ({technique}id {id}; netstat audit --explain {0})",
                finding.rule.name
            ),
        );
    }

    fn ending(&self, out: &mut Vec<u8>, shown: &Shown<'_>) {
        out.push(b'\n');
        let missing = shown.missing();
        self.paint(out, Look::Heading, "Not examined");
        out.push(b'\n');
        const MOST: usize = 12;
        for line in missing.iter().take(MOST) {
            out.extend_from_slice(b"  - ");
            self.paragraph(out, 4, line, Look::Plain);
        }
        if missing.len() > MOST {
            let more = plural((missing.len() - MOST) as u64, "thing");
            let line = format!("  - and {more} of further kinds (--json lists all)\n");
            out.extend_from_slice(line.as_bytes());
        }
        out.push(b'\n');
        self.paragraph(out, 0, super::LIMITS, Look::Plain);
    }
}

fn rows_word(count: usize) -> String {
    plural(count as u64, "row")
}

pub(super) fn plural_of(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {many}"),
    }
}

/// Joins the cells, each padded to its width, with two spaces between them.
fn padded(cells: &[&str], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        line.push_str(cell);
        line.push_str(&" ".repeat(width.saturating_sub(cell.width()) + 2));
    }
    line
}

/// Cuts a text in the middle to `width` columns, because both ends of a path or name matter most.
fn shortened(text: &str, width: usize) -> String {
    const DOTS: &str = "...";
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(DOTS.len());
    let tail = room / 2;
    let head = room - tail;
    let first = taken(text.chars(), head);
    let last: String = taken(text.chars().rev(), tail).chars().rev().collect();
    format!("{first}{DOTS}{last}")
}

fn taken(characters: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    characters
        .take_while(|character| {
            used += unicode_width::UnicodeWidthChar::width(*character).unwrap_or(0);
            used <= columns
        })
        .collect()
}

/// Splits `text` into lines of at most `room` columns, at spaces, or within a word that is longer than a line.
pub(super) fn wrapped(text: &str, room: usize) -> Vec<String> {
    let room = room.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let mut word = word;
        if used > 0 && used + 1 + word.width() > room {
            lines.push(String::new());
            used = 0;
        }
        if used > 0 {
            push(&mut lines, " ");
            used += 1;
        }
        while used + word.width() > room {
            let head = taken(word.chars(), (room - used).max(1));
            let head = if head.is_empty() {
                word.chars().take(1).collect()
            } else {
                head
            };
            push(&mut lines, &head);
            lines.push(String::new());
            word = &word[head.len()..];
            used = 0;
        }
        push(&mut lines, word);
        used += word.width();
    }
    lines
}

fn push(lines: &mut [String], text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wrapped_text_breaks_at_blanks_and_loses_nothing() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("a-very-long-word b", 8), ["a-very-l", "ong-word", "b"]);
        assert_eq!(wrapped("", 4), [""]);
        assert_eq!(wrapped("recorded MD5 x", 80).join(" "), "recorded MD5 x");
    }

    #[test]
    fn shortened_long_cell_keeps_both_ends() {
        assert_eq!(shortened("/home/dev/.cache/x/agent", 13), "/home...agent");
        assert_eq!(shortened("short", 13), "short");
    }

    proptest! {
        #[test]
        fn wrapped_arbitrary_text_fits_and_loses_no_letter(text in "[a-z\u{e4}\u{4e2d} ]{0,120}", room in 2usize..40) {
            let lines = wrapped(&text, room);
            prop_assert!(lines.iter().all(|line| line.width() <= room), "{lines:?}");
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
