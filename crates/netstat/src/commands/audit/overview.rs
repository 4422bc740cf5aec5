//! The summary: one row per finding, with equal findings combined.

use std::cmp::Reverse;
use std::collections::HashMap;

use netstat_audit::{Finding, Judged, Severity, contacts};
use netstat_model::text::escape;

use super::acknowledge::Item;

/// Which findings are shown, and in how much detail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    /// The minimum severity for the summary.
    pub(crate) min: Severity,
    /// The minimum severity for showing details.
    pub(crate) details: Severity,
    /// Whether acknowledged findings are shown, too.
    pub(crate) all: bool,
    /// Whether only findings that are new since the last run are shown.
    pub(crate) only_new: bool,
}

impl Choice {
    /// Whether a finding is shown at all.
    pub(crate) fn shows(&self, item: &Item<'_>) -> bool {
        self.counts(item) && item.finding.severity >= self.min
    }

    /// Whether a finding counts: it is not acknowledged (unless `all`), and it is new (if `only_new`).
    pub(crate) fn counts(&self, item: &Item<'_>) -> bool {
        let open = self.all || item.standing.acknowledged.is_none();
        open && (!self.only_new || item.standing.new == Some(true))
    }
}

/// A process, or the computer, with those of its findings that are shown, in descending order of severity.
#[derive(Clone, Debug)]
pub(crate) struct Group<'a> {
    /// The process; `None` for findings about the computer.
    pub(crate) judged: Option<&'a Judged>,
    pub(crate) items: Vec<&'a Item<'a>>,
    /// Further processes with equal findings.
    pub(crate) others: Vec<u32>,
}

impl Group<'_> {
    /// Returns the most severe finding.
    pub(crate) fn first(&self) -> Option<&Finding> {
        self.items.first().map(|item| item.finding)
    }

    pub(crate) fn severity(&self) -> Severity {
        self.first().map_or(Severity::Info, |finding| finding.severity)
    }

    /// Returns the number of processes in the group; 0 for the computer.
    pub(crate) fn processes(&self) -> usize {
        match self.judged {
            Some(_) => 1 + self.others.len(),
            None => 0,
        }
    }
}

/// Returns the groups to show, the most suspicious first. Processes of the same program with equal findings form one
/// group, since a server often has many.
pub(crate) fn groups<'a>(items: &'a [Item<'a>], choice: &Choice) -> Vec<Group<'a>> {
    folded(every(items, choice))
}

/// Returns the same groups, except that each process has its own. Findings about the computer precede those about
/// processes of equal severity.
pub(crate) fn every<'a>(items: &'a [Item<'a>], choice: &Choice) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for item in items.iter().filter(|item| choice.shows(item)) {
        let same = |group: &&mut Group<'_>| match (group.judged, item.judged) {
            (Some(one), Some(other)) => std::ptr::eq(one, other),
            _ => false,
        };
        // The findings of one process are adjacent.
        match groups.last_mut().filter(|group| same(group)) {
            Some(group) => group.items.push(item),
            None => groups.push(Group {
                judged: item.judged,
                items: vec![item],
                others: Vec::new(),
            }),
        }
    }
    groups.sort_by_key(|group| {
        let judged = group.judged;
        (
            Reverse(group.severity()),
            Reverse(judged.map_or(u32::MAX, Judged::weight)),
            Reverse(judged.map(|judged| judged.exposure)),
            judged.map(|judged| judged.facts.pid),
        )
    });
    groups
}

fn folded(groups: Vec<Group<'_>>) -> Vec<Group<'_>> {
    let mut all: Vec<Group<'_>> = Vec::new();
    let mut places: HashMap<_, usize> = HashMap::new();
    for group in groups {
        let Some(judged) = group.judged else {
            all.push(group);
            continue;
        };
        let script = judged.script.as_ref().map(netstat_audit::case::FileLook::shown);
        let findings: Vec<(&str, Severity, &str)> = group
            .items
            .iter()
            .map(|item| {
                (
                    item.finding.rule.name,
                    item.finding.severity,
                    item.finding.headline.as_str(),
                )
            })
            .collect();
        let key = (judged.shown(), script, findings);
        match places.get(&key) {
            Some(&place) => all[place].others.push(judged.facts.pid),
            None => {
                places.insert(key, all.len());
                all.push(group);
            }
        }
    }
    all
}

/// A row of the summary. All texts are escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) severity: Severity,
    /// The program with its script, or the computer.
    pub(crate) program: String,
    /// The process id, and the number of further processes.
    pub(crate) pid: String,
    /// The unit or container.
    pub(crate) unit: String,
    /// The remote addresses of the program, or where it can be reached.
    pub(crate) network: String,
    /// The finding, as one plain sentence.
    pub(crate) sentence: String,
}

/// The headings of the columns.
pub(crate) const HEADINGS: [&str; 6] = ["Severity", "Program", "PID", "Unit", "Network", "Finding"];

impl Row {
    /// Returns the cells in the order of [`HEADINGS`].
    pub(crate) fn cells(&self) -> [&str; 6] {
        [
            self.severity.name(),
            &self.program,
            &self.pid,
            &self.unit,
            &self.network,
            &self.sentence,
        ]
    }
}

/// The number of programs in one directory from which the same finding is combined into one row.
const MANY: usize = 3;

/// Returns the rows, the most suspicious first.
pub(crate) fn rows(groups: &[Group<'_>]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut done = vec![false; groups.len()];
    for (place, group) in groups.iter().enumerate() {
        if done[place] {
            continue;
        }
        let key = directory_key(group);
        let alike: Vec<usize> = (place..groups.len())
            .filter(|&other| key.is_some() && directory_key(&groups[other]) == key)
            .collect();
        if alike.len() >= MANY {
            alike.iter().for_each(|&other| done[other] = true);
            let all: Vec<&Group<'_>> = alike.iter().map(|&other| &groups[other]).collect();
            rows.push(together(&all));
        } else {
            rows.push(row(group));
        }
    }
    rows
}

/// Returns the key by which programs of one directory are combined: the directory of the code, the severity, and the
/// rules of the findings. `None` for a group that is not a program with a path.
fn directory_key<'g>(group: &'g Group<'_>) -> Option<(Vec<u8>, Severity, Vec<&'g str>)> {
    let judged = group.judged?;
    let code = judged.script.as_ref().or(judged.program.as_ref())?;
    let slash = code.path.iter().rposition(|byte| *byte == b'/')?;
    let rules = group.items.iter().map(|item| item.finding.rule.name).collect();
    Some((code.path[..slash].to_vec(), group.severity(), rules))
}

fn row(group: &Group<'_>) -> Row {
    let finding = group.first();
    let headline = finding.map_or("", |finding| finding.headline.as_str());
    let more = group.items.len().saturating_sub(1);
    let sentence = match more {
        0 => headline.to_owned(),
        1 => format!("{headline}; and 1 more finding"),
        more => format!("{headline}; and {more} more findings"),
    };
    let Some(judged) = group.judged else {
        let program = finding.and_then(|finding| finding.program.clone());
        let pid = finding.and_then(|finding| finding.pid);
        return Row {
            severity: group.severity(),
            program: program.unwrap_or_else(|| "this computer".to_owned()),
            pid: pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            unit: "-".to_owned(),
            network: "-".to_owned(),
            sentence,
        };
    };
    Row {
        severity: group.severity(),
        program: judged.name(),
        pid: pids(judged.facts.pid, group.others.len()),
        unit: contacts::component(&judged.facts).unwrap_or_else(|| "-".to_owned()),
        network: known(judged.contacts.brief()),
        sentence,
    }
}

/// Combines several programs of one directory into one row.
fn together(groups: &[&Group<'_>]) -> Row {
    let mut row = row(groups[0]);
    let judged = groups[0].judged;
    let script = judged.is_some_and(|judged| judged.script.is_some());
    let code = judged.and_then(|judged| judged.script.as_ref().or(judged.program.as_ref()));
    let directory = code.map_or(&b""[..], |code| {
        let slash = code.path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        &code.path[..slash.max(1)]
    });
    let kind = if script { "scripts" } else { "programs" };
    row.program = format!("{} {kind} in {}", groups.len(), escape(directory));
    let processes: usize = groups.iter().map(|group| group.processes()).sum();
    row.pid = pids(judged.map_or(0, |judged| judged.facts.pid), processes.saturating_sub(1));
    row
}

fn pids(first: u32, more: usize) -> String {
    match more {
        0 => first.to_string(),
        more => format!("{first} +{more}"),
    }
}

fn known(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

/// Formats the number of items of each severity, in descending order of severity: `1 critical, 2 high`.
pub(crate) fn counts(of: impl Iterator<Item = Severity>) -> String {
    let mut numbers = [0_usize; Severity::ALL.len()];
    for severity in of {
        numbers[severity as usize] += 1;
    }
    let parts: Vec<String> = Severity::ALL
        .into_iter()
        .rev()
        .filter(|severity| numbers[*severity as usize] > 0)
        .map(|severity| format!("{} {severity}", numbers[severity as usize]))
        .collect();
    parts.join(", ")
}
