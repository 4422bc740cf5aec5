//! Progress messages on a terminal, for operations that take longer than half a second.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The time before anything is shown.
const PATIENCE: Duration = Duration::from_millis(500);

/// Shows on a terminal's stderr what is being done, once it takes a while. Clears its line when dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    teller: Option<(Sender<String>, JoinHandle<()>)>,
}

impl Progress {
    /// Starts the delay for the first message, `stage`. Nothing is ever shown unless `terminal` is true.
    pub(crate) fn start(terminal: bool, stage: &str) -> Self {
        if !terminal {
            return Progress { teller: None };
        }
        let (sender, receiver) = channel::<String>();
        let mut stage = stage.to_owned();
        let teller = std::thread::Builder::new().name("progress".into()).spawn(move || {
            let start = std::time::Instant::now();
            let mut shown = false;
            let mut wait = PATIENCE;
            loop {
                match receiver.recv_timeout(wait) {
                    Ok(new) => {
                        stage = new;
                        wait = PATIENCE.saturating_sub(start.elapsed());
                        if !wait.is_zero() {
                            continue;
                        }
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                // Progress is optional: ignore a terminal that cannot be written to.
                let _ = write!(std::io::stderr(), "\r\x1b[Knetstat: {stage} ...");
                shown = true;
                wait = Duration::from_secs(3600);
            }
            if shown {
                let _ = write!(std::io::stderr(), "\r\x1b[K");
            }
        });
        Progress {
            teller: teller.ok().map(|thread| (sender, thread)),
        }
    }

    /// Reports what is being done now.
    pub(crate) fn stage(&self, stage: impl FnOnce() -> String) {
        if let Some((sender, _)) = &self.teller {
            // The receiver lives until the sender is dropped.
            let _ = sender.send(stage());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.teller.take() {
            drop(sender);
            // If the thread panicked, there is nothing left to clear.
            let _ = thread.join();
        }
    }
}
