//! What changes the computer: ending a process, closing a connection. Only with `--allow-actions`, and only after whoever asked has seen
//! what it is and confirmed it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use netstat_model::metrics::ProcessKey;
use netstat_monitor::sample::SocketRow;
use netstat_os::Signal;
use serde_json::{Value, json};

use crate::access::random_secret;
use crate::collector::{Frame, Handle};
use crate::problem::Problem;

/// A confirmation is good for this long.
const LIFE: Duration = Duration::from_secs(60);
/// So many may be open.
const MOST: usize = 64;

/// Something to be done.
#[derive(Clone, Debug)]
enum Action {
    End(ProcessKey, Signal),
    Close(Box<SocketRow>),
}

/// Actions that wait for their confirmation.
#[derive(Debug, Default)]
pub(crate) struct Actions {
    open: Mutex<HashMap<String, (Action, Instant)>>,
}

impl Actions {
    /// Reads what is asked for; tells what it would do, with the word that confirms it.
    ///
    /// # Errors
    /// When it cannot be read, or what it names is not there.
    pub(crate) fn prepare(&self, asked: &Value, frame: &Frame) -> Result<Value, Problem> {
        let gone = || Problem::new(hyper::StatusCode::NOT_FOUND, "it is not there any more");
        let (action, summary) = match asked.get("action").and_then(Value::as_str) {
            Some("end") => {
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
                (Action::End(key, signal), summary)
            }
            Some("close") => {
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
                (Action::Close(Box::new(row.clone())), summary)
            }
            _ => return Err(Problem::bad("action: \"end\" or \"close\" is expected")),
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

    /// Does what `confirmation` stands for, once.
    ///
    /// # Errors
    /// When it stands for nothing any more, or the system refuses.
    pub(crate) async fn confirm(&self, confirmation: &str, collector: &Handle) -> Result<Value, Problem> {
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
        };
        done.map_err(|why| Problem::new(hyper::StatusCode::CONFLICT, why))?;
        Ok(json!({"done": true}))
    }
}
