//! The answer as text for a person who worries.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::SystemTime;

use netstat_model::text::escape_str;

use super::Shown;
use crate::context::human::plural;
use crate::output::rows::paint::Look;
use crate::output::wrap::wrapped;
use netstat_audit::finding::{Finding, Severity};
use netstat_audit::{Judged, case};

/// Writes everything.
pub(super) fn write(out: &mut Vec<u8>, shown: &Shown<'_>, width: Option<usize>, colored: bool, now: SystemTime) {
    let page = Page {
        width: width.unwrap_or(WIDTH).clamp(40, WIDTH),
        colored,
        now,
    };
    summary(out, shown, &page);
    for finding in shown.host() {
        out.push(b'\n');
        page.heading(out, finding.severity, &finding.headline);
        if let Some(first) = finding.first_seen {
            page.line(out, "first seen:", &format!("on the network {}", first.words(page.now)));
        }
        page.finding(out, finding);
    }
    for alike in alike(shown.grouped()) {
        out.push(b'\n');
        process(out, &alike, &page);
    }
    ending(out, shown, &page);
}

/// A process with its findings, and further processes of which the same is to be said.
struct Alike<'a> {
    judged: &'a Judged,
    findings: Vec<&'a Finding>,
    others: Vec<u32>,
}

/// Puts processes of one program with the same findings together: a server often has many. The order stays.
fn alike<'a>(grouped: Vec<(&'a Judged, Vec<&'a Finding>)>) -> Vec<Alike<'a>> {
    let kind = |judged: &Judged, findings: &[&Finding]| {
        let script = judged.script.as_ref().map(case::FileLook::shown);
        let rules: Vec<(&str, Severity, String)> = findings
            .iter()
            .map(|finding| (finding.rule.name, finding.severity, finding.headline.clone()))
            .collect();
        (judged.shown(), script, rules)
    };
    let mut all: Vec<Alike<'a>> = Vec::new();
    let mut places = HashMap::new();
    for (judged, findings) in grouped {
        match places.entry(kind(judged, &findings)) {
            Entry::Occupied(place) => {
                let place: &usize = place.get();
                all[*place].others.push(judged.facts.pid);
            }
            Entry::Vacant(place) => {
                place.insert(all.len());
                all.push(Alike {
                    judged,
                    findings,
                    others: Vec::new(),
                });
            }
        }
    }
    all
}

/// Lines longer than this are hard to read, however wide the terminal is.
const WIDTH: usize = 110;

struct Page {
    width: usize,
    colored: bool,
    /// Ages are counted from here.
    now: SystemTime,
}

/// How a severity looks.
fn look(severity: Severity) -> Look {
    match severity {
        Severity::Critical | Severity::High => Look::Privileged,
        Severity::Medium => Look::Changed,
        Severity::Low | Severity::Info => Look::Plain,
    }
}

impl Page {
    fn paint(&self, out: &mut Vec<u8>, look: Look, text: &str) {
        let look = if self.colored { look } else { Look::Plain };
        look.paint(out, |out| out.extend_from_slice(text.as_bytes()));
    }

    fn heading(&self, out: &mut Vec<u8>, severity: Severity, rest: &str) {
        self.paint(out, look(severity), &severity.name().to_uppercase());
        out.extend_from_slice(b"  ");
        self.paint(out, Look::Heading, rest);
        out.push(b'\n');
    }

    /// A line behind a label of fixed width; what does not fit goes on below.
    fn line(&self, out: &mut Vec<u8>, label: &str, text: &str) {
        const INDENT: usize = 2;
        const LABEL: usize = 14;
        let room = self.width.saturating_sub(INDENT + LABEL).max(20);
        let mut label = label;
        for part in wrapped(text, room) {
            out.extend_from_slice(format!("{:INDENT$}{label:LABEL$}{part}\n", "").as_bytes());
            label = "";
        }
    }

    /// Commands are not broken: they are there to be copied.
    fn whole(&self, out: &mut Vec<u8>, label: &str, text: &str) {
        out.extend_from_slice(format!("  {label:14}{text}\n").as_bytes());
    }

    fn finding(&self, out: &mut Vec<u8>, finding: &Finding) {
        let mut label = "seen:";
        for line in &finding.evidence {
            self.line(out, label, line);
            label = "";
        }
        self.whole(out, "verify:", &finding.verify);
        self.line(out, "harmless if:", finding.harmless);
        self.line(
            out,
            "rule:",
            &format!(
                "{} (ATT&CK {}; netstat audit --explain {0})",
                finding.rule.name, finding.technique
            ),
        );
    }
}

fn summary(out: &mut Vec<u8>, shown: &Shown<'_>, page: &Page) {
    let programs = shown.survey.judged.len() as u64;
    let counts: Vec<String> = Severity::ALL
        .into_iter()
        .rev()
        .filter_map(|severity| {
            let count = shown.findings().filter(|finding| finding.severity == severity).count();
            (count > 0).then(|| format!("{count} {severity}"))
        })
        .collect();
    let found = match counts.as_slice() {
        [] if shown.min > Severity::Info => format!("nothing at or above {}", shown.min),
        [] => "nothing unusual".to_owned(),
        _ => counts.join(", "),
    };
    let text = format!("{} with sockets looked at: {found}", processes(programs));
    page.paint(out, Look::Heading, &text);
    out.push(b'\n');
}

fn processes(count: u64) -> String {
    if count == 1 {
        "1 process".to_owned()
    } else {
        format!("{count} processes")
    }
}

fn process(out: &mut Vec<u8>, alike: &Alike<'_>, page: &Page) {
    let Alike {
        judged,
        findings,
        others,
    } = alike;
    let severity = judged.verdict.severity.unwrap_or(Severity::Info);
    let name = match &judged.script {
        Some(script) => format!("{} running {}", judged.shown(), script.shown()),
        None => judged.shown(),
    };
    let first = findings.first().map_or("", |finding| finding.headline.as_str());
    page.heading(out, severity, &format!("{name} (PID {}) {first}", judged.facts.pid));
    let verdict = judged.verdict.judgement.word();
    let kinds = match findings.iter().all(|finding| finding.severity < severity) && !findings.is_empty() {
        true => ": signs of several kinds support each other",
        false => "",
    };
    page.line(
        out,
        "verdict:",
        &format!("{verdict}{kinds}; reaches {}", judged.exposure.words()),
    );
    if !others.is_empty() {
        const MOST: usize = 20;
        let mut pids: Vec<String> = others.iter().take(MOST).map(u32::to_string).collect();
        if others.len() > MOST {
            pids.push(format!("and {} more (--json lists all)", others.len() - MOST));
        }
        page.line(out, "the same for:", &format!("PID {}", pids.join(", ")));
    }
    let line = case::command_line(&judged.facts.arguments);
    if !line.is_empty() {
        page.line(out, "command line:", &line);
    }
    if let Some(first) = judged.first_seen {
        page.line(out, "first seen:", &format!("on the network {}", first.words(page.now)));
    }
    for (at, finding) in findings.iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(b"  ");
            page.paint(out, look(finding.severity), finding.severity.name());
            out.extend_from_slice(format!(": it {}\n", finding.headline).as_bytes());
        }
        page.finding(out, finding);
    }
}

fn ending(out: &mut Vec<u8>, shown: &Shown<'_>, page: &Page) {
    out.push(b'\n');
    let mut missing: Vec<String> = shown
        .survey
        .unexamined
        .iter()
        .map(|line| escape_str(line).into_owned())
        .collect();
    let mut kinds: Vec<(&str, u64)> = Vec::new();
    for line in shown.survey.judged.iter().flat_map(|judged| &judged.unexamined) {
        match kinds.iter_mut().find(|(known, _)| known == line) {
            Some((_, count)) => *count += 1,
            None => kinds.push((line, 1)),
        }
    }
    missing.extend(
        kinds
            .into_iter()
            .map(|(line, count)| format!("{line} ({})", processes(count))),
    );
    if shown.survey.ended > 0 {
        missing.push(format!("{} ended meanwhile", processes(shown.survey.ended as u64)));
    }
    if !shown.all_namespaces {
        missing.push("other network namespaces, such as those of containers (--all-namespaces)".to_owned());
    }
    page.paint(out, Look::Heading, "Not examined");
    out.push(b'\n');
    const MOST: usize = 12;
    for line in missing.iter().take(MOST) {
        for (at, part) in wrapped(line, page.width - 4).into_iter().enumerate() {
            let mark = if at == 0 { "- " } else { "  " };
            out.extend_from_slice(format!("  {mark}{part}\n").as_bytes());
        }
    }
    if missing.len() > MOST {
        out.extend_from_slice(
            format!(
                "  - and {} of further kinds (--json lists all)\n",
                plural((missing.len() - MOST) as u64, "thing")
            )
            .as_bytes(),
        );
    }
    out.push(b'\n');
    for part in wrapped(super::LIMITS, page.width) {
        out.extend_from_slice(part.as_bytes());
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_blanks_and_lose_nothing() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("a-very-long-word b", 4), ["a-very-long-word", "b"]);
        assert_eq!(wrapped("", 4), [""]);
        assert_eq!(wrapped("recorded MD5 x", 80).join(" "), "recorded MD5 x");
    }
}
