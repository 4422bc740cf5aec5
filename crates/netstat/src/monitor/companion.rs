//! Cards for the monitor: what `netstat inspect` tells about the selected row.

use std::time::{Instant, SystemTime};

use netstat_model::State;
use netstat_model::figures::ProcessKey;
use netstat_monitor::companion::{Companion, Finding, Severity, Target};
use netstat_monitor::sample::SocketRow;
use netstat_names::digest::Cache;
use netstat_os::{FiguresAsk, OwnersAsk, ProcessAsk, SocketAsk, SocketList, System};

use crate::audit::{self, Judged, Options, judge};
use crate::run::{Failure, Outcome, Screen, Surroundings};

/// Answers from the running system.
#[derive(Debug)]
pub(super) struct Cards;

/// With more TCP connections than these the audit is left to `netstat audit`.
const MOST_CONNECTIONS: u64 = 20_000;

/// The width of a card within the monitor's frame.
const WIDTH: u16 = 112;

impl Companion for Cards {
    fn inspect(&mut self, target: &Target) -> Result<(String, Vec<String>), String> {
        let mut system = netstat_os::Native::default();
        let word = match target {
            Target::Process(key) => {
                // The id may be another process's by now.
                let facts = system.process(key.pid, &ProcessAsk::default());
                if facts.map_err(|gone| gone.to_string())?.start_ticks != key.start_ticks {
                    return Err(format!("process {} has ended", key.pid));
                }
                format!("pid:{}", key.pid)
            }
            Target::Socket(row) => word(row),
        };
        let (mut out, mut talk) = (Vec::new(), Vec::new());
        let outcome = run(&word, &mut system, &mut out, &mut talk);
        let lines = |text: &[u8]| {
            String::from_utf8_lossy(text)
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        match outcome {
            Ok(Outcome::Status(_)) => Err("it is gone".to_owned()),
            Ok(_) => {
                let mut card = lines(&out);
                card.extend(lines(&talk));
                Ok((word, card))
            }
            Err(Failure::Usage(words) | Failure::Refused(words)) => Err(words),
            Err(Failure::Output(error)) => Err(error.to_string()),
        }
    }

    fn audit(&mut self) -> Result<Vec<Finding>, String> {
        let mut system = netstat_os::Native::default();
        // A monitor must stay small.
        match system.figures(&FiguresAsk::default()).system.tcp_connections.known() {
            Some(count) if count > MOST_CONNECTIONS => {
                return Err(format!(
                    "{count} connections are too many to examine beside the screen; use: netstat audit"
                ));
            }
            _ => {}
        }
        let mut list = SocketList::default();
        system.sockets(&sockets(), &mut list);
        let ask = OwnersAsk::default();
        let found = system
            .owners(&list.sockets, &ask)
            .map_err(|refused| refused.to_string())?;
        let mut pids: Vec<u32> = found.owners.processes().iter().map(|process| process.pid).collect();
        pids.sort_unstable();
        // Contents are not compared: that reads every program, and `netstat audit` does it.
        let options = Options {
            compare: false,
            ..Options::default()
        };
        let survey = judge(
            &mut system,
            &list,
            &found.owners,
            &pids,
            &options,
            &mut Cache::in_memory(),
            &|_| {},
        );
        let of_process = |judged: Judged| {
            let process = ProcessKey {
                pid: judged.facts.pid,
                start_ticks: judged.facts.start_ticks,
            };
            judged
                .findings
                .into_iter()
                .filter_map(move |found| finding(&found, process))
        };
        Ok(survey.judged.into_iter().flat_map(of_process).collect())
    }
}

/// The sockets that the audit looks at.
fn sockets() -> SocketAsk {
    SocketAsk {
        tcp4: true,
        tcp6: true,
        udp4: true,
        udp6: true,
        raw4: true,
        raw6: true,
        mptcp4: true,
        mptcp6: true,
        packet: true,
        tcp_states: State::ALL.to_vec(),
        ..SocketAsk::default()
    }
}

/// What the monitor shows of a finding. What is only good to know marks no row.
fn finding(found: &audit::Finding, process: ProcessKey) -> Option<Finding> {
    let severity = match found.severity {
        audit::Severity::Info => return None,
        audit::Severity::Low => Severity::Note,
        audit::Severity::Medium => Severity::Warning,
        audit::Severity::High | audit::Severity::Critical => Severity::Alarm,
    };
    let mut text = found.evidence.clone();
    text.push(format!("harmless when: {}", found.harmless));
    text.push(format!("look yourself: {}", found.verify));
    Some(Finding {
        process: Some(process),
        socket: None,
        severity,
        title: format!("{} ({})", found.headline, found.rule.name),
        text,
    })
}

/// The word by which `inspect` finds a socket.
fn word(row: &SocketRow) -> String {
    let address = |end: netstat_model::Endpoint| std::net::SocketAddr::new(end.address, end.port);
    if row.listens() {
        return format!("{}:{}", row.protocol.name().to_ascii_lowercase(), row.local.port);
    }
    format!("{}->{}", address(row.local), address(row.foreign))
}

fn run(word: &str, system: &mut dyn System, out: &mut Vec<u8>, err: &mut Vec<u8>) -> Result<Outcome, Failure> {
    let words = ["--sample", "0.5", "--", word];
    let definition = crate::inspect::definition().no_binary_name(true);
    let matches = definition
        .try_get_matches_from(words)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let mut surroundings = Surroundings {
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
    crate::inspect::run(&matches, &mut surroundings)
}
