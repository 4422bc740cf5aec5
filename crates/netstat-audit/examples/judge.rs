//! Prints what the rules say about one process: `cargo run -p netstat-audit --example judge -- PID`. Run it as root to
//! examine processes of other users.

use std::time::{Duration, SystemTime};

use netstat_audit::{Auditor, Clock, Options, files_of, host};
use netstat_os::{Native, OwnersAsk, SocketList, System};
use netstat_packages::digest::Cache;

struct SystemClock;

impl Clock for SystemClock {
    fn now(&mut self) -> SystemTime {
        SystemTime::now()
    }

    fn wait(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(pid) = std::env::args().nth(1).and_then(|word| word.parse().ok()) else {
        eprintln!("usage: judge PID");
        std::process::exit(2);
    };
    let mut system = Native::default();
    let mut list = SocketList::default();
    system.sockets(&host::ask(false), &mut list);
    let ask = OwnersAsk {
        image: true,
        ..OwnersAsk::default()
    };
    let owners = match system.owners(&list.sockets, &ask) {
        Ok(found) => found.owners,
        Err(refused) => return Err(refused.message.into()),
    };
    let mut files = files_of(&system);
    let mut auditor = Auditor {
        system: &mut system,
        clock: &mut SystemClock,
        files: &mut *files,
        cache: &mut Cache::in_memory(),
        past: None,
        progress: &|_| {},
    };
    let survey = auditor.judge(&list, &owners, &[pid], &Options::default());
    for judged in &survey.judged {
        println!("{}: {:?}", judged.facts.pid, judged.verdict.judgement);
        for finding in &judged.findings {
            println!(
                "{} {}: {}",
                finding.severity,
                finding.rule.name,
                finding.evidence.join(" ")
            );
        }
    }
    Ok(())
}
