//! Browser sessions: a cookie holds the secret of a session instead of the token.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq;

use super::token::{digest, random_secret};

/// The lifetime of a session.
const LIFE: Duration = Duration::from_secs(12 * 3600);
/// The maximum number of sessions; above it, the oldest one ends.
const MOST: usize = 256;

/// The open sessions, oldest first.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: Mutex<VecDeque<([u8; 32], Instant)>>,
}

impl Sessions {
    /// Begins a session and returns its secret; `None` if the system provides no random numbers.
    pub(super) fn begin(&self) -> Option<String> {
        let secret = random_secret()?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MOST {
            open.pop_front();
        }
        open.push_back((digest(&secret), Instant::now()));
        Some(secret)
    }

    /// Whether `secret` belongs to an open session.
    pub(super) fn holds(&self, secret: &str) -> bool {
        let given = digest(secret);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(_, begun)| begun.elapsed() < LIFE);
        let mut found = subtle::Choice::from(0);
        for (known, _) in open.iter() {
            found |= known.ct_eq(&given);
        }
        found.into()
    }

    /// Ends the session that `secret` belongs to.
    pub(super) fn end(&self, secret: &str) {
        let given = digest(secret);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(known, _)| !bool::from(known.ct_eq(&given)));
    }
}
