//! Is there anything to worry about? Rules look at every program with sockets and say what is odd, how to see it, and what harmless
//! reasons there are.
//!
//! [`judge`] gathers the facts once and gives them to the rules, which change nothing: `netstat audit` asks for all processes with
//! sockets, `netstat inspect` for one. What could not be read is told as not examined and is never a finding.

pub mod case;
mod files;
pub mod finding;
mod gather;
pub(crate) mod host;
pub mod known;
mod relay;
pub mod rules;
#[cfg(test)]
mod testing;
mod verdict;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use netstat_model::process::{FileStatus, ProcessFacts};
use netstat_model::text::{escape, escape_str};
use netstat_model::{Owner, Owners, Socket};
use netstat_os::{SocketList, System};
use netstat_packages::blocklist::BlockList;
use netstat_packages::digest::Cache;
use netstat_packages::packages::{FileOwner, Match};
use netstat_record::{Millis, Novelty, ProgramHistory};

pub use finding::{Finding, Rule, Severity};
pub use verdict::{Judgement, Verdict};

use case::{Case, Exposure, FileLook};
use finding::{Check, Notes};
use gather::Gathered;
use verdict::Standing;

use crate::recall::{self, Recall};

/// How a judgement is to be made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Addresses with a bad name.
    pub block: Arc<BlockList>,
    /// Whether the content of programs, scripts and libraries is compared with what their packages recorded.
    pub compare: bool,
    /// Whether the computer as a whole is looked at, too.
    pub host: bool,
    /// Whether every port is tried; only with `host`.
    pub probe_ports: bool,
    /// Where a record of the past may be, that is asked what is new and, with `host`, for calls at regular times; empty: none is asked.
    pub records: Vec<PathBuf>,
}

impl Default for Options {
    /// Compares contents, and looks at processes only.
    fn default() -> Self {
        Options {
            block: Arc::default(),
            compare: true,
            host: false,
            probe_ports: false,
            records: Vec::new(),
        }
    }
}

/// What was found about processes and the computer.
#[derive(Debug)]
pub struct Survey {
    /// Each process, in the order of the ids asked for. One that ended meanwhile is left out.
    pub judged: Vec<Judged>,
    /// What was found about the computer, the gravest first.
    pub host: Vec<Finding>,
    /// What could not be looked at of the computer; each one line.
    pub unexamined: Vec<String>,
    /// How many processes ended before they could be read.
    pub ended: usize,
}

/// A process and what was found about it.
#[derive(Debug)]
pub struct Judged {
    /// What is known of it.
    pub facts: ProcessFacts,
    /// Its program; `None` where it may not be read.
    pub program: Option<FileLook>,
    /// Its script, where the program is an interpreter that runs one.
    pub script: Option<FileLook>,
    /// The farthest that one of its sockets reaches.
    pub exposure: Exposure,
    /// The judgement.
    pub verdict: Verdict,
    /// What was found, the gravest first.
    pub findings: Vec<Finding>,
    /// What could not be looked at; each one line.
    pub unexamined: Vec<String>,
    /// When its program was first seen on the network, by the record.
    pub first_seen: Option<FirstSight>,
}

/// When a program was first seen on the network, by a record of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstSight {
    /// The moment.
    pub at: SystemTime,
    /// Whether it may be older: it was there when the record began.
    pub or_earlier: bool,
}

impl FirstSight {
    fn of(millis: Millis, begins: Option<Millis>) -> FirstSight {
        FirstSight {
            at: recall::time(millis),
            or_earlier: recall::is_older(millis, begins),
        }
    }

    /// In words: `3 minutes ago`.
    pub(crate) fn words(self, now: SystemTime) -> String {
        let ago = crate::context::human::ago(self.at, now);
        match self.or_earlier {
            true => format!("when the record began, {ago}, or earlier"),
            false => ago,
        }
    }
}

impl Judged {
    /// The path of its program, or its short name in round brackets; safe to print.
    pub fn shown(&self) -> String {
        shown(&self.facts, self.program.as_ref())
    }
}

fn shown(facts: &ProcessFacts, program: Option<&FileLook>) -> String {
    match program {
        Some(program) => program.shown(),
        None => format!("({})", escape(&facts.comm)),
    }
}

/// Looks at the processes `pids`, which hold some of the sockets in `list`, and with [`Options::host`] at the computer.
///
/// `list` should hold all sockets of the kinds TCP, UDP, RAW, MPTCP and PACKET, with `owners` found for it. `cache` has the digests
/// of files that were read before, and takes new ones. `progress` is told what is being done.
pub fn judge(
    system: &mut dyn System,
    list: &SocketList,
    owners: &Owners,
    pids: &[u32],
    options: &Options,
    cache: &mut Cache,
    progress: &dyn Fn(&str),
) -> Survey {
    progress("looking at processes");
    let gathered = gather::gather(system, pids, options, cache, progress);
    let facts: Vec<&ProcessFacts> = gathered.processes.iter().map(|one| &one.facts).collect();
    let shells = relay::find(system, &facts);
    let mut host = host::look(system, list, owners, options, progress);
    let mut record = match options.records.is_empty() {
        true => None,
        false => Some(Recall::open(&options.records, host.now)),
    };
    host.remember(record.as_mut(), options.host);
    let held = held(&list.sockets, owners);
    let Gathered { processes, ended } = gathered;
    let mut judged = Vec::with_capacity(processes.len());
    let mut seen: HashMap<Vec<u8>, ProgramHistory> = HashMap::new();
    for process in processes {
        let past = match (&mut record, &process.program) {
            (Some(Ok(record)), Some(program)) => Some(
                &*seen
                    .entry(program.path.clone())
                    .or_insert_with(|| record.first_seen(&program.path, &process.facts.comm)),
            ),
            _ => None,
        };
        let sockets: &[&Socket] = held.get(&process.facts.pid).map_or(&[], Vec::as_slice);
        let case = Case {
            facts: &process.facts,
            sockets,
            exposure: sockets
                .iter()
                .map(|socket| Exposure::of(socket))
                .max()
                .unwrap_or(Exposure::None),
            program: process.program.as_ref(),
            script: process.script.as_ref(),
            libraries: &process.libraries,
            preloads: &process.preloads,
            tracer: process.tracer.as_ref(),
            shells: shells.get(&process.facts.pid).map_or(&[], Vec::as_slice),
            past,
            host: &host,
        };
        let (mut findings, unexamined) = check(&case);
        let first_seen = past
            .and_then(|past| past.of(Novelty::Program))
            .map(|first| FirstSight::of(first, host.reach.as_ref().ok().and_then(|reach| reach.begins)));
        findings.iter_mut().for_each(|finding| finding.first_seen = first_seen);
        let verdict = verdict::verdict(&findings, &standing(&case), &unexamined);
        let exposure = case.exposure;
        judged.push(Judged {
            exposure,
            verdict,
            findings,
            unexamined,
            facts: process.facts,
            program: process.program,
            script: process.script.map(|script| script.look),
            first_seen,
        });
    }
    let (found, unexamined) = if options.host {
        check_host(&host, &judged)
    } else {
        (Vec::new(), Vec::new())
    };
    Survey {
        judged,
        host: found,
        unexamined,
        ended,
    }
}

/// The sockets that each process holds.
fn held<'a>(sockets: &'a [Socket], owners: &Owners) -> HashMap<u32, Vec<&'a Socket>> {
    let mut held: HashMap<u32, Vec<&Socket>> = HashMap::new();
    for socket in sockets {
        if let Owner::Held(holders) = owners.of(socket) {
            for process in holders.iter() {
                held.entry(process.pid).or_default().push(socket);
            }
        }
    }
    held
}

/// Runs every rule about processes.
fn check(case: &Case<'_>) -> (Vec<Finding>, Vec<String>) {
    let program = shown(case.facts, case.program);
    let mut findings = Vec::new();
    let mut unexamined: Vec<String> = case
        .facts
        .unread()
        .into_iter()
        .map(|(what, why)| format!("{what}: {}", why.words()))
        .collect();
    if let Some(FileOwner::Unknown(why)) = case
        .program
        .and_then(|program| program.ownership.as_ref())
        .map(|found| &found.owner)
    {
        unexamined.push(format!("the package of its program: {}", escape_str(&why.words())));
    }
    for rule in rules::RULES {
        let Check::Process(check) = rule.check else { continue };
        let mut notes = Notes::default();
        check(case, &mut notes);
        unexamined.append(&mut notes.unexamined);
        let of = |note| Finding::of(rule, note, Some(case.facts.pid), Some(program.clone()));
        findings.extend(notes.found.into_iter().map(of));
    }
    unexamined.dedup();
    sort(&mut findings);
    (findings, unexamined)
}

fn check_host(host: &case::Host, judged: &[Judged]) -> (Vec<Finding>, Vec<String>) {
    let (mut findings, mut unexamined) = (Vec::new(), Vec::new());
    for rule in rules::RULES {
        let Check::Host(check) = rule.check else { continue };
        let mut notes = Notes::default();
        check(host, &mut notes);
        unexamined.append(&mut notes.unexamined);
        for note in notes.found {
            let program = note
                .pid
                .and_then(|pid| judged.iter().find(|one| one.facts.pid == pid))
                .map(Judged::shown);
            findings.push(Finding::of(rule, note, None, program));
        }
    }
    sort(&mut findings);
    (findings, unexamined)
}

fn sort(findings: &mut [Finding]) {
    // Stable: rules of one severity stay in their order.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
}

fn standing(case: &Case<'_>) -> Standing {
    let Some(look) = case.program else {
        let why = case.facts.program.why().map_or("not known", netstat_model::Why::words);
        return Standing::Unread(why.to_owned());
    };
    if case
        .facts
        .program
        .as_ref()
        .known()
        .is_some_and(|program| program.place == FileStatus::Memory)
    {
        return Standing::Unknown;
    }
    match look.ownership.as_ref().map(|found| (&found.owner, &found.origin)) {
        Some((FileOwner::Package(package), _)) => Standing::Packaged {
            name: escape_str(&package.name).into_owned(),
            compared: matches!(look.verified, Some(Match::Matches { .. })),
        },
        Some((_, Some(origin))) => Standing::Placed(origin.manager.words().to_owned()),
        Some((FileOwner::Nobody, None)) => Standing::Unknown,
        Some((FileOwner::Unknown(why), None)) => Standing::Unread(escape_str(&why.words()).into_owned()),
        None => Standing::Unread("it was not looked up".to_owned()),
    }
}
