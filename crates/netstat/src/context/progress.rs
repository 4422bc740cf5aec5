//! A sign of life on a terminal's stderr while something takes longer than half a second.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Nothing is shown before this time.
const PATIENCE: Duration = Duration::from_millis(500);

/// Tells what is going on, after a while and only to a terminal; clears its line when dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    teller: Option<(Sender<String>, JoinHandle<()>)>,
}

impl Progress {
    /// Starts to wait; shows nothing unless `terminal`.
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
                // A terminal that cannot be written to needs no progress.
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

    /// Says what is being done now.
    pub(crate) fn stage(&self, stage: impl FnOnce() -> String) {
        if let Some((sender, _)) = &self.teller {
            // The other side lives until this one is dropped.
            let _ = sender.send(stage());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.teller.take() {
            drop(sender);
            // A teller that panicked has nothing more to clear.
            let _ = thread.join();
        }
    }
}
