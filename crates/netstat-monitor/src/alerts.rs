//! Alerts about new listeners and findings: runs a program of the user's choice, without a shell.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use netstat_model::text::plain_error;

use crate::attention::LogEntry;

/// The maximum number of alerts that wait for the program; further ones are dropped.
const WAITING: usize = 16;
/// The time limit of one run of the program.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// How often to check whether the program has ended.
const POLL: Duration = Duration::from_millis(20);

/// Passes alerts to a program, one run at a time.
#[derive(Debug)]
pub(crate) struct Alerts {
    sender: SyncSender<LogEntry>,
}

impl Alerts {
    /// Starts the thread that runs `program`; `report` is called if a run fails.
    ///
    /// # Errors
    /// Returns an error if the thread cannot be started.
    pub(crate) fn start(program: PathBuf, report: impl Fn(String) + Send + 'static) -> std::io::Result<Alerts> {
        let (sender, receiver) = sync_channel(WAITING);
        let work = move || serve(&program, &receiver, &report);
        thread::Builder::new().name("alerts".to_owned()).spawn(work)?;
        Ok(Alerts { sender })
    }

    /// Queues an alert; returns `false` if too many are already waiting.
    pub(crate) fn send(&self, entry: LogEntry) -> bool {
        !matches!(self.sender.try_send(entry), Err(TrySendError::Full(_)))
    }
}

fn serve(program: &Path, alerts: &Receiver<LogEntry>, report: &dyn Fn(String)) {
    while let Ok(entry) = alerts.recv() {
        if let Err(why) = run(program, &entry, TIME_LIMIT) {
            report(format!("{}: {why}", program.display()));
        }
    }
}

/// Runs `program KIND TEXT` and waits until it ends. Both arguments are safe to print; no shell interprets them.
fn run(program: &Path, entry: &LogEntry, limit: Duration) -> Result<(), String> {
    let mut child = Command::new(program)
        .arg(entry.kind.name())
        .arg(&entry.text)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| plain_error(&error))?;
    let end = wait(&mut child, Instant::now() + limit);
    if end.is_err() {
        // The program may have ended in the meantime; in either case it is reaped.
        let _ = child.kill();
        let _ = child.wait();
    }
    end
}

fn wait(child: &mut Child, until: Instant) -> Result<(), String> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("failed ({status})")),
            Ok(None) if Instant::now() >= until => return Err("ran too long and was killed".to_owned()),
            Ok(None) => thread::sleep(POLL),
            Err(error) => return Err(plain_error(&error)),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::attention::LogKind;

    fn entry(text: &str) -> LogEntry {
        LogEntry {
            wall: 0,
            kind: LogKind::Listener,
            text: text.to_owned(),
        }
    }

    fn script(dir: &Path, body: &str) -> PathBuf {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let path = dir.join("alert");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o700).open(&path).unwrap();
        write!(file, "#!/bin/sh\n{body}\n").unwrap();
        path
    }

    #[test]
    fn alert_with_shell_characters_reaches_program_as_typed() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let program = script(dir.path(), &format!("printf '%s|%s' \"$1\" \"$2\" > {}", out.display()));
        let text = "nc (7) listens on $(id); `id`";
        run(&program, &entry(text), TIME_LIMIT).unwrap();
        assert_eq!(std::fs::read_to_string(out).unwrap(), format!("listener|{text}"));
    }

    #[test]
    fn alert_program_that_hangs_or_fails_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let program = script(dir.path(), "test \"$2\" = fail && exit 3; sleep 1000");
        let failed = run(&program, &entry("fail"), TIME_LIMIT).unwrap_err();
        assert!(failed.contains('3'), "{failed}");
        let killed = run(&program, &entry("hang"), Duration::from_millis(300)).unwrap_err();
        assert!(killed.contains("too long"), "{killed}");
        assert!(run(Path::new("/nonexistent/alert"), &entry(""), TIME_LIMIT).is_err());
    }
}
