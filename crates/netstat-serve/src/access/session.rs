//! Sessions of browsers: what a cookie holds instead of the token.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq;

use super::token::{digest, random_secret};

/// A session ends after this.
const LIFE: Duration = Duration::from_secs(12 * 3600);
/// So many are kept; the oldest end first.
const MOST: usize = 256;

/// Open sessions, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: Mutex<VecDeque<([u8; 32], Instant)>>,
}

impl Sessions {
    /// Begins one; gives its secret. `None` when the system gives no random numbers.
    pub(super) fn begin(&self) -> Option<String> {
        let secret = random_secret()?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MOST {
            open.pop_front();
        }
        open.push_back((digest(&secret), Instant::now()));
        Some(secret)
    }

    /// Whether `secret` is that of an open one.
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

    /// Ends it.
    pub(super) fn end(&self, secret: &str) {
        let given = digest(secret);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(known, _)| !bool::from(known.ct_eq(&given)));
    }
}
