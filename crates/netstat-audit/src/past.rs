//! What a record of the past can be asked.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use netstat_model::Socket;
use netstat_record::{Beacon, Coverage, Millis, ProgramHistory};

/// A record of the past: what was on the network, and when.
pub trait Past {
    /// How far back it reaches.
    fn coverage(&self) -> &Coverage;
    /// What the program at `path` did for the first time; nothing where that cannot be read.
    fn first_seen(&mut self, path: &[u8], name: &[u8]) -> ProgramHistory;
    /// The programs that have called the same address at regular intervals since then, those included that have not done so often or long
    /// enough to be sure.
    ///
    /// # Errors
    /// Why that cannot be read, in one line that is safe to print.
    fn beacons(&mut self, since: SystemTime) -> Result<Vec<Beacon>, String>;
    /// The names that programs asked for before they made those of these connections that are open at `now`, by their cookies; each safe to
    /// print. Such a name is shown and never judged by: whoever can send packets can forge one.
    fn asked_names(&mut self, sockets: &[&Socket], now: SystemTime) -> HashMap<u64, String>;
    /// What names the record to `netstat history`, with a blank in front, quoted; empty for the one that
    /// it finds by itself, which depends on whether the caller is root.
    fn store_option(&self, root: bool) -> String;
}

/// What was seen within this time, in milliseconds, after the record began was there before.
const BEGINNING: Millis = 60_000;

/// A moment of the record.
pub fn time(millis: Millis) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Whether what was first seen at `first` may have been there before the record, which began at `begins`.
pub fn is_older(first: Millis, begins: Option<Millis>) -> bool {
    begins.is_some_and(|begins| first - begins < BEGINNING)
}

/// When something was first seen, in words: `3 minutes ago`; what was there from the beginning is described as such.
pub fn when(first: Millis, begins: Option<Millis>, now: SystemTime) -> String {
    let ago = netstat_model::human::ago(time(first), now);
    match is_older(first, begins) {
        true => format!("when the record began, {ago}, or earlier"),
        false => ago,
    }
}
