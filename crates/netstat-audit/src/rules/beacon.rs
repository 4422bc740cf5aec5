//! Detects programs that connect to the same address at regular intervals.

use std::time::Duration;

use netstat_model::reach::{is_loopback, is_public};
use netstat_model::text::escape;
use netstat_record::{BEACON_CALLS, BEACON_SPREAD, Rhythm};

use crate::case::{Caller, FileLook, Host};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use netstat_model::human::span;

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "beacon",
    title: "a program calls the same address again and again at regular times",
    explanation: "Malware asks its master for orders by the clock. Where netstat record has kept a history, the calls of each program, or of each script, to each remote address in the last week are \
        looked at: ten or more with gaps that are all about the same are a candidate, a dozen or more over two hours or more a beacon. Of an interpreter the script counts. Medium for a beacon to a public address when no package owns the code, \
        high when the code lies in a hidden place or one for short-lived files; low when a package owns it or only the superuser can have installed it, as administrators do in /usr/local, or when the address is private. A candidate is one step less. \
        Time servers are left out. Without a history there is nothing to look at, and that is said.",
    harmless: "update checks, monitoring, mail polling, synchronisation, keeping a name up to date",
    technique: "T1071",
    family: Family::Network,
    check: Check::Host(check),
};

fn check(host: &Host, notes: &mut Notes) {
    let calls = match &host.calls {
        Ok(calls) => calls,
        Err(why) => {
            notes.unexamined(format!("what is new, and calls at regular times: {why}"));
            return;
        }
    };
    calls.iter().for_each(|caller| one(caller, host, notes));
}

fn one(caller: &Caller, host: &Host, notes: &mut Notes) {
    let beacon = &caller.beacon;
    let (address, port) = beacon.foreign;
    if is_loopback(address) {
        return;
    }
    let code = if beacon.script.is_some() {
        caller.script.as_ref()
    } else {
        caller.program.as_ref()
    };
    let trusted = code.is_some_and(FileLook::is_trusted);
    let odd = code.is_some_and(|code| super::is_odd_place(&code.path));
    let sure = beacon.rhythm.is_beacon();
    let severity = match (trusted, is_public(address)) {
        (false, true) if odd => Severity::High,
        (false, true) => Severity::Medium,
        _ => Severity::Low,
    };
    let severity = if sure { severity } else { severity.lower() };
    let name = match &beacon.script {
        Some(script) => format!("{} running {}", escape(beacon.program.shown()), escape(script)),
        None => escape(beacon.program.shown()).into_owned(),
    };
    let running = {
        let path = beacon.program.path.clone().unwrap_or_default();
        let script = beacon.script.as_ref().map(|script| script.to_vec());
        host.running.get(&(path, script))
    };
    let rhythm = &beacon.rhythm;
    let mut verify = host.history_command(&["--beacons", "--since", "7d"]);
    verify.push_str("; ");
    verify.push_str(&host.history_command(&["--since", "7d", "--foreign", &address.to_string()]));
    notes.found(Note {
        severity,
        headline: format!(
            "{name} calls {address} port {port} about every {}",
            millis(rhythm.period)
        ),
        evidence: evidence(rhythm, code, running),
        verify,
        would_change: "you know what it asks for there".to_owned(),
        pid: running.map(|(pid, _)| *pid),
        program: caller.program.as_ref().map(FileLook::shown),
    });
}

fn millis(millis: i64) -> String {
    span(Duration::from_millis(millis.unsigned_abs()))
}

fn evidence(rhythm: &Rhythm, code: Option<&FileLook>, running: Option<&(u32, String)>) -> Vec<String> {
    let mut evidence = vec![
        format!(
            "{} calls within {}, the gaps {:.0} % apart at the middle",
            rhythm.calls,
            millis(rhythm.last.saturating_sub(rhythm.first)),
            rhythm.jitter * 100.0
        ),
        match rhythm.is_beacon() {
            true => format!("a beacon: at least {BEACON_CALLS} calls over {}", millis(BEACON_SPREAD)),
            false => format!(
                "a candidate: a beacon makes at least {BEACON_CALLS} calls over {}",
                millis(BEACON_SPREAD)
            ),
        },
        match code {
            Some(code) if code.package().is_some() => format!("a package owns {}", code.shown()),
            Some(code) if code.rooted => format!(
                "no package owns {}, and only the superuser can have put it there",
                code.shown()
            ),
            Some(code) => format!("no package is known to own {}", code.shown()),
            None => "the path of its code is not known".to_owned(),
        },
    ];
    if let Some((pid, line)) = running {
        evidence.push(format!("running now as PID {pid}, command line: {line}"));
    }
    evidence
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use netstat_model::Protocol;
    use netstat_record::{Beacon, Program};

    fn seen(address: &str, look: FileLook) -> Vec<Severity> {
        called(address, look, None, 100)
    }

    fn called(address: &str, look: FileLook, script: Option<FileLook>, calls: usize) -> Vec<Severity> {
        let mut host = testing::host();
        let program = Program {
            id: 1,
            path: Some(look.path.clone()),
            name: b"x".to_vec(),
        };
        let beacon = Beacon {
            script: script.as_ref().map(|script| script.path.as_slice().into()),
            program: program.into(),
            foreign: (address.parse().unwrap(), 443),
            protocol: Protocol::Tcp,
            rhythm: Rhythm {
                calls,
                period: 100_000,
                jitter: 0.05,
                first: 0,
                last: calls as i64 * 100_000,
            },
        };
        host.calls = Ok(vec![Caller {
            beacon,
            program: Some(look),
            script,
        }]);
        testing::check_host(&host, &RULE)
    }

    #[test]
    fn beacon_severity_follows_program_and_address() {
        assert_eq!(seen("203.0.113.7", testing::unowned("/srv/x/y")), [Severity::Medium]);
        assert_eq!(
            seen("203.0.113.7", testing::packaged("/usr/bin/x", "x")),
            [Severity::Low]
        );
        assert_eq!(seen("192.168.0.7", testing::unowned("/srv/x/y")), [Severity::Low]);
        assert_eq!(seen("127.0.0.1", testing::unowned("/srv/x/y")), []);
        assert_eq!(seen("203.0.113.7", testing::unowned("/dev/shm/y")), [Severity::High]);
        let mut agent = testing::unowned("/usr/local/bin/agent");
        agent.rooted = true;
        assert_eq!(seen("203.0.113.7", agent), [Severity::Low]);
        // For an interpreter the script counts, and a candidate weighs less than a beacon.
        let python = || testing::packaged("/usr/bin/python3.11", "python");
        let script = |path: &str| Some(testing::unowned(path));
        assert_eq!(
            called("203.0.113.7", python(), script("/home/u/x.py"), 100),
            [Severity::Medium]
        );
        assert_eq!(
            called("203.0.113.7", python(), script("/tmp/x.py"), 10),
            [Severity::Medium]
        );
        assert_eq!(
            called("203.0.113.7", python(), script("/home/u/x.py"), 10),
            [Severity::Low]
        );
    }

    #[test]
    fn beacon_rule_without_history_is_listed_as_unexamined() {
        let mut host = testing::host();
        host.calls = Err("no history".into());
        let mut notes = Notes::default();
        check(&host, &mut notes);
        assert!(notes.found.is_empty());
        assert_eq!(
            notes.unexamined,
            ["what is new, and calls at regular times: no history"]
        );
    }
}
