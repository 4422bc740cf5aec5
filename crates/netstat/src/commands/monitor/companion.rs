//! Cards for the monitor: what `netstat inspect` says about the selected row.

use std::collections::{HashMap, HashSet};
use std::time::{Instant, SystemTime};

use netstat_model::State;
use netstat_model::metrics::ProcessKey;
use netstat_model::text::plain_error;
use netstat_monitor::companion::{Companion, Finding, Severity, Target};
use netstat_monitor::sample::SocketRow;
use netstat_os::{OwnersAsk, ProcessAsk, SocketAsk, SocketList, System};
use netstat_packages::digest::Cache;

use crate::context::{Context, Failure, Outcome, Screen, SystemClock};
use netstat_audit::{Auditor, Options};

/// Answers queries from the system that the monitor shows.
pub(super) struct Cards {
    system: Box<dyn System + Send>,
    /// The findings about each process that has been examined.
    examined: HashMap<ProcessKey, Vec<Finding>>,
}

/// The number of processes that are examined together.
const AT_ONCE: usize = 100;

/// The width of a card within the frame of the monitor.
const WIDTH: u16 = 112;

impl Cards {
    /// Creates an instance that queries `system`.
    pub(super) fn new(system: Box<dyn System + Send>) -> Self {
        Cards {
            system,
            examined: HashMap::new(),
        }
    }
}

impl Companion for Cards {
    fn inspect(&mut self, target: &Target) -> Result<(String, Vec<String>), String> {
        // A separate handle, so that its buffers are freed with the answer.
        let mut system = self.system.another();
        let word = match target {
            Target::Process(key) => {
                // The PID may have been reused by another process.
                let facts = system.process(key.pid, &ProcessAsk::default());
                if facts.map_err(|gone| gone.to_string())?.start_ticks != key.start_ticks {
                    return Err(format!("process {} has ended", key.pid));
                }
                format!("pid:{}", key.pid)
            }
            Target::Socket(row) => word(row),
        };
        let (mut out, mut diagnostics) = (Vec::new(), Vec::new());
        let outcome = run(&word, &mut *system, &mut out, &mut diagnostics);
        let lines = |text: &[u8]| {
            String::from_utf8_lossy(text)
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        match outcome {
            Ok(Outcome::Status(_)) => Err("it has ended".to_owned()),
            Ok(_) => {
                let mut card = lines(&out);
                card.extend(lines(&diagnostics));
                Ok((word, card))
            }
            Err(Failure::Usage(words) | Failure::Refused(words)) => Err(words),
            Err(Failure::Output(error)) => Err(plain_error(&error)),
        }
    }

    fn audit(&mut self, sockets: Vec<SocketRow>, anew: bool) -> Result<Vec<Finding>, String> {
        let mut system = self.system.another();
        let mut files = netstat_audit::files_of(&*system);
        let mut list = SocketList::default();
        system.sockets(&others(), &mut list);
        list.sockets.extend(sockets.iter().map(SocketRow::socket));
        drop(sockets);
        let ask = OwnersAsk {
            start: true,
            ..OwnersAsk::default()
        };
        let found = system
            .owners(&list.sockets, &ask)
            .map_err(|refused| refused.to_string())?;
        let holders: HashMap<u32, Option<u64>> = found
            .owners
            .processes()
            .iter()
            .map(|process| (process.pid, process.start_ticks.known()))
            .collect();
        // Findings about processes that have ended are discarded.
        self.examined
            .retain(|key, _| !anew && holders.get(&key.pid) == Some(&Some(key.start_ticks)));
        let known: HashSet<u32> = self.examined.keys().map(|key| key.pid).collect();
        let mut pids: Vec<u32> = holders.into_keys().filter(|pid| !known.contains(pid)).collect();
        pids.sort_unstable();
        // File contents are not compared here, because that reads every program; `netstat audit` does it.
        let options = Options {
            compare: false,
            program: crate::context::program_path_for(&*system),
            ..Options::default()
        };
        // Not all at once, to limit the memory usage of the monitor.
        for some in pids.chunks(AT_ONCE) {
            let mut auditor = Auditor {
                system: &mut *system,
                clock: &mut SystemClock,
                files: &mut *files,
                cache: &mut Cache::in_memory(),
                past: None,
                progress: &|_| {},
            };
            let survey = auditor.judge(&list, &found.owners, some, &options);
            for judged in survey.judged {
                let key = ProcessKey {
                    pid: judged.facts.pid,
                    start_ticks: judged.facts.start_ticks,
                };
                let findings = judged.findings.iter().filter_map(|found| finding(found, key));
                self.examined.insert(key, findings.collect());
            }
        }
        Ok(self.examined.values().flatten().cloned().collect())
    }
}

/// The sockets that the audit examines in addition to TCP and UDP.
fn others() -> SocketAsk {
    SocketAsk {
        raw4: true,
        raw6: true,
        mptcp4: true,
        mptcp6: true,
        packet: true,
        tcp_states: State::ALL.to_vec(),
        ..SocketAsk::default()
    }
}

/// Converts a finding for the monitor; `None` for informational ones, which mark no row.
fn finding(found: &netstat_audit::Finding, process: ProcessKey) -> Option<Finding> {
    let severity = match found.severity {
        netstat_audit::Severity::Info => return None,
        netstat_audit::Severity::Low => Severity::Low,
        netstat_audit::Severity::Medium => Severity::Medium,
        netstat_audit::Severity::High => Severity::High,
        netstat_audit::Severity::Critical => Severity::Critical,
    };
    let mut text = found.evidence.clone();
    text.push(format!("harmless if: {}", found.harmless));
    text.push(format!("verify: {}", found.verify));
    Some(Finding {
        process: Some(process),
        socket: None,
        severity,
        title: format!("{} ({})", found.headline, found.rule.name),
        text,
    })
}

/// Returns the target by which `inspect` finds a socket.
fn word(row: &SocketRow) -> String {
    let address = |end: netstat_model::Endpoint| std::net::SocketAddr::new(end.address, end.port);
    if row.listens() {
        return format!("{}:{}", row.protocol.name().to_ascii_lowercase(), row.local.port);
    }
    format!("{}->{}", address(row.local), address(row.foreign))
}

fn run(word: &str, system: &mut dyn System, out: &mut Vec<u8>, err: &mut Vec<u8>) -> Result<Outcome, Failure> {
    let words = ["--sample", "0.5", "--", word];
    let definition = crate::commands::inspect::definition().no_binary_name(true);
    let matches = definition
        .try_get_matches_from(words)
        .map_err(|error| Failure::Usage(plain_error(&error)))?;
    let mut context = Context {
        system,
        out,
        err,
        terminal: false,
        screen: Screen {
            terminal: false,
            width: Some(WIDTH),
            no_color: true,
        },
        now: &mut SystemTime::now,
        wait_until: &mut |moment| std::thread::sleep(moment.saturating_duration_since(Instant::now())),
    };
    crate::commands::inspect::run(&matches, &mut context)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_monitor::collect::Collector;
    use netstat_monitor::companion::subjects;

    #[test]
    fn cards_examine_only_new_processes_unless_all_are_wanted() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        // Wine knows the owner of a socket only after the first option has been set.
        listener.set_ttl(64).unwrap();
        let mut collector = Collector::new(Box::new(netstat_os::Native::default()));
        let sample = collector.look();
        let own = |cards: &Cards| cards.examined.keys().copied().find(|key| key.pid == std::process::id());
        let mut cards = Cards::new(Box::new(netstat_os::Native::default()));
        cards.audit(subjects(&sample.sockets), true).unwrap();
        let key = own(&cards).unwrap();
        // Known findings are kept until everything is examined again.
        let made_up = Finding {
            process: Some(key),
            socket: None,
            severity: Severity::Low,
            title: "made up".to_owned(),
            text: Vec::new(),
        };
        cards.examined.insert(key, vec![made_up.clone()]);
        let ended = ProcessKey {
            pid: key.pid,
            start_ticks: key.start_ticks + 1,
        };
        cards.examined.insert(ended, vec![made_up.clone()]);
        let found = cards.audit(subjects(&sample.sockets), false).unwrap();
        assert_eq!(found.iter().filter(|one| **one == made_up).count(), 1);
        assert!(!cards.examined.contains_key(&ended));
        let found = cards.audit(subjects(&sample.sockets), true).unwrap();
        assert!(!found.contains(&made_up) && own(&cards) == Some(key));
    }
}
