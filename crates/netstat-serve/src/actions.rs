//! Actions that change the computer: ending a process, closing a connection, acknowledging a finding. They are
//! available only with `--allow-actions`, and each must be confirmed after the client was shown what it would do.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use netstat_model::metrics::ProcessKey;
use netstat_monitor::sample::SocketRow;
use netstat_os::Signal;
use serde_json::{Value, json};

use crate::access::random_secret;
use crate::collector::{Frame, Handle};
use crate::documents::Documents;
use crate::problem::Problem;
use crate::provider::Acknowledgement;

/// How long a confirmation is valid.
const LIFE: Duration = Duration::from_secs(60);
/// The maximum number of actions that wait for a confirmation.
const MOST: usize = 64;
/// The maximum length of a reason in bytes.
const MOST_REASON: usize = 1000;

/// An action.
#[derive(Clone, Debug)]
enum Action {
    End(ProcessKey, Signal),
    Close(Box<SocketRow>),
    Acknowledge(Acknowledgement),
}

/// The actions that wait for their confirmation.
#[derive(Debug, Default)]
pub(crate) struct Actions {
    open: Mutex<HashMap<String, (Action, Instant)>>,
}

impl Actions {
    /// Parses a request for an action. Returns a summary of what it would do, and the secret that confirms it.
    ///
    /// # Errors
    /// Fails if the request is invalid, or if what it names does not exist.
    pub(crate) fn prepare(&self, asked: &Value, frame: &Frame) -> Result<Value, Problem> {
        let (action, summary) = match asked.get("action").and_then(Value::as_str) {
            Some("end") => end(asked, frame)?,
            Some("close") => close(asked, frame)?,
            Some("acknowledge") => acknowledge(asked)?,
            _ => {
                return Err(Problem::bad(
                    "action: \"end\", \"close\" or \"acknowledge\" is expected",
                ));
            }
        };
        let secret = random_secret().ok_or_else(|| Problem::busy("the system gives no random numbers"))?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, (_, begun)| begun.elapsed() < LIFE);
        if open.len() >= MOST {
            return Err(Problem::busy("too many actions wait for their confirmation"));
        }
        open.insert(secret.clone(), (action, Instant::now()));
        Ok(json!({"summary": summary, "confirmation": secret, "expires_in": LIFE.as_secs()}))
    }

    /// Performs the action that `confirmation` stands for, once.
    ///
    /// # Errors
    /// Fails if there is no such action any more, or if the system refuses it.
    pub(crate) async fn confirm(
        &self,
        confirmation: &str,
        collector: &Handle,
        documents: &Documents,
    ) -> Result<Value, Problem> {
        let found = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.remove(confirmation)
        };
        let action = found
            .filter(|(_, begun)| begun.elapsed() < LIFE)
            .map(|(action, _)| action);
        let action = action.ok_or_else(|| {
            Problem::new(
                hyper::StatusCode::NOT_FOUND,
                "this confirmation is not known or has expired",
            )
        })?;
        let done = match action {
            Action::End(key, signal) => collector.end(key, signal).await,
            Action::Close(row) => collector.close(*row).await,
            Action::Acknowledge(finding) => documents.acknowledge(finding).await,
        };
        done.map_err(|why| Problem::new(hyper::StatusCode::CONFLICT, why))?;
        Ok(json!({"done": true}))
    }
}

fn gone() -> Problem {
    Problem::new(hyper::StatusCode::NOT_FOUND, "it is not there any more")
}

fn end(asked: &Value, frame: &Frame) -> Result<(Action, String), Problem> {
    let number = |name: &str| {
        let value = asked.get(name).and_then(Value::as_u64);
        value.ok_or_else(|| Problem::bad(format!("{name}: a number is expected")))
    };
    let pid = u32::try_from(number("pid")?).map_err(|_| gone())?;
    let start = number("process_start")?;
    let signal = match asked.get("signal").map(|signal| signal.as_str()) {
        None | Some(Some("SIGTERM")) => Signal::Terminate,
        Some(Some("SIGKILL")) => Signal::Kill,
        Some(_) => return Err(Problem::bad("signal: SIGTERM or SIGKILL is expected")),
    };
    let key = ProcessKey {
        pid,
        start_ticks: start,
    };
    let processes = frame.sample.figures.processes.as_ref().known();
    let mut processes = processes.into_iter().flatten();
    let process = processes.find(|process| process.key == key).ok_or_else(gone)?;
    let name = netstat_model::text::escape(process.identity.name());
    let summary = format!("send {} to process {pid} ({name})", signal.name());
    Ok((Action::End(key, signal), summary))
}

fn close(asked: &Value, frame: &Frame) -> Result<(Action, String), Problem> {
    let id = asked
        .get("id")
        .and_then(Value::as_str)
        .and_then(|id| u64::from_str_radix(id, 16).ok());
    let id = id.ok_or_else(|| Problem::bad("id: the id of a socket is expected"))?;
    let rows = &frame.sample.sockets;
    let place = rows.binary_search_by_key(&id, |row| row.id).map_err(|_| gone())?;
    let row = rows.get(place).ok_or_else(gone)?;
    let address = |end: netstat_model::Endpoint| std::net::SocketAddr::new(end.address, end.port);
    let summary = format!(
        "close the {} socket {} to {}",
        row.protocol.name(),
        address(row.local),
        address(row.foreign)
    );
    Ok((Action::Close(Box::new(row.clone())), summary))
}

fn acknowledge(asked: &Value) -> Result<(Action, String), Problem> {
    let text = |name: &str| asked.get(name).and_then(Value::as_str).map(str::trim);
    let id = text("id").filter(|id| id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let id = id.ok_or_else(|| Problem::bad("id: the id of a finding is expected, eight hexadecimal digits"))?;
    let why = text("why").filter(|why| !why.is_empty() && why.len() <= MOST_REASON && !why.contains(char::is_control));
    let why = why.ok_or_else(|| {
        Problem::bad(format!(
            "why: a reason is expected, one line of at most {MOST_REASON} bytes"
        ))
    })?;
    let until = match asked.get("until") {
        None | Some(Value::Null) => None,
        Some(Value::String(day)) if is_day(day) => Some(day.clone()),
        Some(_) => return Err(Problem::bad("until: a day is expected, such as 2027-01-31")),
    };
    let end = until.as_ref().map_or(String::new(), |day| format!(" until {day}"));
    let why = netstat_model::text::escape_str(why).into_owned();
    let summary = format!("acknowledge finding {id} as harmless{end}: {why}");
    let id = id.to_owned();
    Ok((Action::Acknowledge(Acknowledgement { id, why, until }), summary))
}

/// Whether `text` has the form of a date. The audit checks the ranges of month and day.
fn is_day(text: &str) -> bool {
    let digits = |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next(), parts.next(), parts.next());
    year.is_some_and(|year| digits(year, 4))
        && month.is_some_and(|month| digits(month, 2))
        && day.is_some_and(|day| digits(day, 2))
        && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgement_with_invalid_id_reason_or_day_is_refused() {
        let good = json!({"id": "00c0ffee", "why": " known tool ", "until": "2027-01-31"});
        let Ok((Action::Acknowledge(found), summary)) = acknowledge(&good) else {
            panic!("{good}")
        };
        assert_eq!(
            (&*found.id, &*found.why, found.until.as_deref()),
            ("00c0ffee", "known tool", Some("2027-01-31"))
        );
        assert!(
            summary.contains("00c0ffee") && summary.contains("2027-01-31") && summary.contains("known tool"),
            "{summary}"
        );
        let long = "x".repeat(MOST_REASON + 1);
        for (bad, word) in [
            (json!({"why": "w"}), "id"),
            (json!({"id": "--all", "why": "w"}), "id"),
            (json!({"id": 12_345_678, "why": "w"}), "id"),
            (json!({"id": "00c0ffee"}), "why"),
            (json!({"id": "00c0ffee", "why": "  "}), "why"),
            (json!({"id": "00c0ffee", "why": "a\nb"}), "why"),
            (json!({"id": "00c0ffee", "why": long}), "why"),
            (json!({"id": "00c0ffee", "why": "w", "until": "tomorrow"}), "until"),
            (json!({"id": "00c0ffee", "why": "w", "until": 1}), "until"),
            (json!({"id": "00c0ffee", "why": "w", "until": "2027-01-31-1"}), "until"),
        ] {
            let problem = acknowledge(&bad).map(drop).unwrap_err();
            assert!(
                format!("{problem:?}").contains(&format!("{word}: ")),
                "{bad}: {problem:?}"
            );
        }
    }
}
