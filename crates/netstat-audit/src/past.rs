//! Queries about the past, answered by a record.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use netstat_model::Socket;
use netstat_record::{Beacon, Coverage, Millis, ProgramHistory};

/// A record of what was on the network, and when.
pub trait Past {
    /// Returns the time that the record covers.
    fn coverage(&self) -> &Coverage;
    /// Returns what the program at `path` with the short name `name` did for the first time; empty if that cannot be
    /// read.
    fn first_seen(&mut self, path: &[u8], name: &[u8]) -> ProgramHistory;
    /// Returns the programs that have connected to the same address at regular intervals since `since`, including those
    /// that have not done so often or long enough to be certain.
    ///
    /// # Errors
    /// Returns the reason if the record cannot be read, in one line that is safe to print.
    fn beacons(&mut self, since: SystemTime) -> Result<Vec<Beacon>, String>;
    /// Returns the host names that programs looked up before they opened those of `sockets` that are open at `now`, by
    /// socket cookie; safe to print.
    ///
    /// The names are displayed only and never influence a verdict: anyone who can send packets can forge one.
    fn asked_names(&mut self, sockets: &[&Socket], now: SystemTime) -> HashMap<u64, String>;
    /// Returns the option that names the record for `netstat history`, quoted and with a leading space; empty for the
    /// record that it finds by itself, which depends on whether the caller is root.
    fn store_option(&self, root: bool) -> String;
}

/// Whatever was first seen within this many milliseconds after the record began is assumed to have existed before.
const BEGINNING: Millis = 60_000;

/// Converts a timestamp of the record to a time.
pub fn time(millis: Millis) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Whether something first seen at `first` may have existed before the record, which began at `begins`.
pub fn is_older(first: Millis, begins: Option<Millis>) -> bool {
    begins.is_some_and(|begins| first - begins < BEGINNING)
}

/// Describes when something was first seen: `3 minutes ago`. For what was there from the beginning, the description
/// says so.
pub fn when(first: Millis, begins: Option<Millis>, now: SystemTime) -> String {
    let ago = netstat_model::human::ago(time(first), now);
    match is_older(first, begins) {
        true => format!("when the record began, {ago}, or earlier"),
        false => ago,
    }
}
