//! Delivers new findings to a program, the systemd journal, or the system log.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use netstat_audit::Severity;
use netstat_model::text::{escape_str, plain_error};
use netstat_os::Confinement;
use serde_json::Value;

use crate::args::units;
use crate::context::Failure;

/// The options that say where new findings go.
#[derive(Args, Clone, Debug)]
pub(crate) struct AlertArgs {
    /// run this program for each new finding, with the finding as JSON on its standard input; no shell is involved
    #[arg(long, value_name = "PROGRAM", value_hint = clap::ValueHint::ExecutablePath, help_heading = ALERTS)]
    exec: Option<PathBuf>,
    /// end that program after this time
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::positive_duration, help_heading = ALERTS)]
    exec_timeout: Duration,
    /// write each new finding to the systemd journal, with its parts as fields (NETSTAT_RULE, NETSTAT_SEVERITY, ...)
    #[arg(long, help_heading = ALERTS)]
    journald: bool,
    /// write each new finding to the system log (/dev/log)
    #[arg(long, help_heading = ALERTS)]
    syslog: bool,
}

/// The heading of these options in the help.
const ALERTS: &str = "Alerts";

impl AlertArgs {
    /// Whether any of these options was given.
    pub(crate) fn is_any(&self) -> bool {
        self.exec.is_some() || self.journald || self.syslog
    }
}

impl AlertArgs {
    /// Adds to `confinement` what a process needs to deliver findings.
    pub(crate) fn confinement(&self, confinement: Confinement) -> Confinement {
        Confinement {
            // The logs of the system are reached through local sockets.
            network: confinement.network || self.journald || self.syslog,
            programs: confinement.programs || self.exec.is_some(),
            // Needed to end a program that takes too long.
            signals: confinement.signals || self.exec.is_some(),
            ..confinement
        }
    }
}

/// A new finding.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    pub(crate) severity: Severity,
    /// One line for people: `high: /tmp/x (PID 7) runs from ...`.
    pub(crate) line: String,
    /// The complete finding.
    pub(crate) document: Value,
    pub(crate) time: SystemTime,
}

/// The socket of the journal's native protocol (systemd.io, Native Journal Protocol).
const JOURNAL: &str = "/run/systemd/journal/socket";

/// The socket of the system log (syslog(3)).
const LOG: &str = "/dev/log";

/// The maximum number of findings that wait for the program; further ones are dropped and counted.
const WAITING: usize = 64;

/// How often to check whether the program has ended.
const POLL: Duration = Duration::from_millis(20);

/// The destinations of findings.
#[derive(Debug)]
pub(crate) struct Sinks {
    exec: Option<SyncSender<Alert>>,
    /// Errors, one line each.
    troubles: Receiver<String>,
    report: SyncSender<String>,
    journald: bool,
    syslog: bool,
    dropped: u64,
}

impl Sinks {
    /// Starts the destinations that the options ask for.
    ///
    /// # Errors
    /// Returns an error if the program is not trustworthy or cannot be run.
    pub(crate) fn start(args: &AlertArgs) -> Result<Sinks, Failure> {
        let (report, troubles) = sync_channel(WAITING);
        let mut exec = None;
        if let Some(program) = &args.exec {
            check(program)?;
            let (sender, receiver) = sync_channel(WAITING);
            let (program, limit, report) = (program.clone(), args.exec_timeout, report.clone());
            let work = move || serve(&program, limit, &receiver, &report);
            let thread = thread::Builder::new().name("alerts".to_owned()).spawn(work);
            thread.map_err(|error| Failure::Refused(format!("no thread for --exec: {}", plain_error(&error))))?;
            exec = Some(sender);
        }
        Ok(Sinks {
            exec,
            troubles,
            report,
            journald: args.journald,
            syslog: args.syslog,
            dropped: 0,
        })
    }

    /// Delivers a finding without blocking.
    pub(crate) fn send(&mut self, alert: &Alert) {
        if let Some(exec) = &self.exec
            && let Err(TrySendError::Full(_)) = exec.try_send(alert.clone())
        {
            self.dropped += 1;
        }
        if self.journald {
            self.datagram(JOURNAL, &journal_entry(alert), "--journald");
        }
        if self.syslog {
            self.datagram(LOG, &syslog_line(alert), "--syslog");
        }
    }

    fn datagram(&self, path: &str, bytes: &[u8], option: &str) {
        if let Err(error) = netstat_os::send_datagram(Path::new(path), bytes) {
            // If there is no room for this error, others like it are already waiting.
            let _ = self
                .report
                .try_send(format!("{option}: {path}: {}", plain_error(&error)));
        }
    }

    /// Returns the errors since the last call, one line each.
    pub(crate) fn troubles(&mut self) -> Vec<String> {
        let mut lines: Vec<String> = self.troubles.try_iter().collect();
        lines.dedup();
        if self.dropped > 0 {
            lines.push(format!(
                "--exec: {} findings were dropped: the program does not keep up",
                std::mem::take(&mut self.dropped)
            ));
        }
        lines
    }
}

/// Checks that only the caller and the superuser can determine which program is run.
fn check(program: &Path) -> Result<(), Failure> {
    let failed = |why: String| Failure::Usage(format!("--exec {}: {why}", escape_str(&program.display().to_string())));
    if !program.is_absolute() {
        return Err(failed("give the whole path of the program".to_owned()));
    }
    // Links are resolved, so that only trusted directories lead to the program.
    let program = std::fs::canonicalize(program).map_err(|error| failed(plain_error(&error)))?;
    let caller = netstat_os::files::effective_user();
    /// Write permission for group and others, and the sticky bit, which keeps others from replacing files (inode(7)).
    const OTHERS_WRITE: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    for (place, path) in program.ancestors().enumerate() {
        let facts = netstat_os::files::path_facts(path).map_err(|error| failed(plain_error(&error)))?;
        if place == 0 && !facts.is_file() {
            return Err(failed("is no file".to_owned()));
        }
        let shown = escape_str(&path.display().to_string()).into_owned();
        if facts.user != 0 && facts.user != caller {
            return Err(failed(format!(
                "{shown} belongs to user {}, who could change what is run",
                facts.user
            )));
        }
        let kept = place > 0 && facts.mode & STICKY != 0;
        if facts.mode & OTHERS_WRITE != 0 && !kept {
            return Err(failed(format!("others may write to {shown} (chmod go-w)")));
        }
        let others = netstat_os::files::other_users(path, place > 0).map_err(|error| failed(error.to_string()))?;
        if let Some(why) = others.change {
            return Err(failed(format!("{shown}: {why}")));
        }
    }
    Ok(())
}

fn serve(program: &Path, limit: Duration, alerts: &Receiver<Alert>, report: &SyncSender<String>) {
    while let Ok(alert) = alerts.recv() {
        if let Err(why) = run(program, limit, &alert.document) {
            let _ = report.try_send(format!("--exec {}: {why}", escape_str(&program.display().to_string())));
        }
    }
}

/// Runs the program and waits until it ends. Its standard input is the document followed by a line break.
fn run(program: &Path, limit: Duration, document: &Value) -> Result<(), String> {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = netstat_os::in_own_group(&mut command)
        .spawn()
        .map_err(|error| plain_error(&error))?;
    let until = Instant::now() + limit;
    // A program that does not read its input must not block this thread; a large finding exceeds the capacity of a
    // pipe.
    let mut input = format!("{document}\n").into_bytes();
    let writer = child.stdin.take().map(|mut stdin| {
        thread::spawn(move || {
            // A program need not read all of its input.
            let _ = stdin.write_all(&input);
            input.clear();
        })
    });
    let end = loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break Ok(()),
            Ok(Some(status)) => break Err(format!("failed ({status})")),
            Ok(None) if Instant::now() >= until => break Err("ran too long and was ended".to_owned()),
            Ok(None) => thread::sleep(POLL),
            Err(error) => break Err(plain_error(&error)),
        }
    };
    if end.is_err() {
        netstat_os::end_group(&mut child);
        let _ = child.wait();
    }
    if let Some(writer) = writer {
        let _ = writer.join();
    }
    end
}

/// Returns the level of a severity in the system log (syslog(3)): critical, error, warning, notice, informational.
const fn level(severity: Severity) -> u8 {
    match severity {
        Severity::Critical => 2,
        Severity::High => 3,
        Severity::Medium => 4,
        Severity::Low => 5,
        Severity::Info => 6,
    }
}

/// Formats an entry in the journal's native protocol: `FIELD=value`, or for a value of several lines, the field with
/// the length of the value.
fn journal_entry(alert: &Alert) -> Vec<u8> {
    let mut entry = Vec::new();
    let mut field = |name: &str, value: &str| {
        entry.extend_from_slice(name.as_bytes());
        if value.contains('\n') {
            entry.push(b'\n');
            entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            entry.push(b'=');
        }
        entry.extend_from_slice(value.as_bytes());
        entry.push(b'\n');
    };
    field("MESSAGE", &alert.line);
    field("PRIORITY", &level(alert.severity).to_string());
    field("SYSLOG_IDENTIFIER", "netstat");
    for key in [
        "id",
        "rule",
        "severity",
        "program",
        "pid",
        "technique",
        "headline",
        "unit",
        "verify",
    ] {
        let value = match &alert.document[key] {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        field(&format!("NETSTAT_{}", key.to_ascii_uppercase()), &value);
    }
    let lines: Vec<&str> = alert.document["evidence"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !lines.is_empty() {
        field("NETSTAT_EVIDENCE", &lines.join("\n"));
    }
    entry
}

/// Formats a line as syslog(3) does: facility daemon, local time, program name and process id.
fn syslog_line(alert: &Alert) -> Vec<u8> {
    const DAEMON: u8 = 3 << 3;
    let time = jiff::Timestamp::try_from(alert.time).map(|time| {
        time.to_zoned(jiff::tz::TimeZone::system())
            .strftime("%b %e %H:%M:%S ")
            .to_string()
    });
    format!(
        "<{}>{}netstat[{}]: {}",
        DAEMON | level(alert.severity),
        time.unwrap_or_default(),
        std::process::id(),
        alert.line
    )
    .into_bytes()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use serde_json::json;

    fn alert() -> Alert {
        Alert {
            severity: Severity::High,
            line: "high: /tmp/x (PID 7) runs from a place".into(),
            document: json!({"rule": "odd-place", "severity": "high", "pid": 7, "unit": null, "evidence": ["a", "b"]}),
            time: SystemTime::UNIX_EPOCH,
        }
    }

    fn script(directory: &Path, body: &str) -> PathBuf {
        use std::os::unix::fs::OpenOptionsExt;
        let path = directory.join("alert");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o700).open(&path).unwrap();
        write!(file, "#!/bin/sh\n{body}\n").unwrap();
        path
    }

    #[test]
    fn alert_program_gets_finding_on_its_input() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        let program = script(directory.path(), &format!("cat > {}", out.display()));
        run(&program, Duration::from_secs(60), &alert().document).unwrap();
        let read: Value = serde_json::from_str(&std::fs::read_to_string(out).unwrap()).unwrap();
        assert_eq!(read, alert().document);
    }

    #[test]
    fn alert_program_that_reads_nothing_and_hangs_is_ended() {
        let directory = tempfile::tempdir().unwrap();
        let program = script(directory.path(), "sleep 1000");
        let large = json!({"evidence": "x".repeat(1 << 20)});
        let error = run(&program, Duration::from_millis(200), &large).unwrap_err();
        assert!(error.contains("ran too long"), "{error}");
    }

    #[test]
    fn alert_program_that_others_could_change_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let program = script(directory.path(), "true");
        assert!(check(&program).is_ok());
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(check(&program).is_err());
        assert!(check(Path::new("alert")).is_err());
        assert!(check(directory.path()).is_err());
    }

    #[test]
    fn journal_and_syslog_entries_carry_fields_of_finding() {
        let text = journal_entry(&alert());
        let text = String::from_utf8_lossy(&text);
        for part in [
            "MESSAGE=high: /tmp/x (PID 7) runs from a place\n",
            "PRIORITY=3\n",
            "NETSTAT_RULE=odd-place\n",
            "NETSTAT_PID=7\n",
            "NETSTAT_EVIDENCE\n\u{3}\0\0\0\0\0\0\0a\nb\n",
        ] {
            assert!(text.contains(part), "{part:?}: {text:?}");
        }
        assert!(!text.contains("UNIT"), "{text}");
        let line = String::from_utf8(syslog_line(&alert())).unwrap();
        assert!(
            line.starts_with("<27>Jan ") && line.ends_with("]: high: /tmp/x (PID 7) runs from a place"),
            "{line}"
        );
    }
}
