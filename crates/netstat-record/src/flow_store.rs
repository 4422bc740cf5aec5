//! Queries on flows, independent of where they are stored.

use std::collections::HashMap;
use std::ops::ControlFlow;

use netstat_model::Filter;

use crate::beacon::Beacon;
use crate::flow::{Flow, Millis};
use crate::past::{Coverage, OpenFlow, ProgramHistory};
use crate::reader::{FirstSeen, Gap, Question, Reader};
use crate::store::StoreError;

/// Totals of flows that have the same values in some columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowTotals {
    /// The number of flows.
    pub count: u64,
    /// Payload bytes sent, as far as known.
    pub sent: u64,
    /// Payload bytes received, as far as known.
    pub received: u64,
    /// When the first flow began.
    pub first: Millis,
    /// When the last flow was last seen.
    pub last: Millis,
}

impl FlowTotals {
    /// Returns the totals of one flow.
    pub fn of(flow: &Flow) -> FlowTotals {
        FlowTotals {
            count: 1,
            sent: flow.sent.known().unwrap_or(0),
            received: flow.received.known().unwrap_or(0),
            first: flow.first,
            last: flow.last,
        }
    }

    /// Adds `other` to the totals.
    pub fn add(&mut self, other: &FlowTotals) {
        if self.count == 0 {
            *self = *other;
            return;
        }
        self.count += other.count;
        self.sent = self.sent.saturating_add(other.sent);
        self.received = self.received.saturating_add(other.received);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// A store of flows: the record of one computer or of a fleet. Both give the same answers for the same flows.
pub trait FlowStore: std::fmt::Debug {
    /// Calls `visit` with every flow that `question` accepts, until it breaks, ordered by the time of their beginning.
    ///
    /// # Errors
    /// Returns an error if the store does.
    fn flows(&mut self, question: &Question, visit: &mut dyn FnMut(Flow) -> ControlFlow<()>) -> Result<(), StoreError>;

    /// Like [`FlowStore::flows`], but adds up flows that have the same values in `columns`. One flow stands for each
    /// group, and only its values in those columns are meaningful. A store that cannot add up flows passes each one by
    /// itself.
    ///
    /// # Errors
    /// Returns an error if the store does.
    fn totals(
        &mut self,
        question: &Question,
        columns: &[&str],
        visit: &mut dyn FnMut(Flow, FlowTotals) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let _ = columns;
        self.flows(question, &mut |flow| {
            let totals = FlowTotals::of(&flow);
            visit(flow, totals)
        })
    }

    /// Returns the gaps in the time that `question` asks about.
    ///
    /// # Errors
    /// Returns an error if the store does.
    fn gaps(&mut self, question: &Question) -> Result<Vec<Gap>, StoreError>;

    /// Returns when the oldest flow began; `None` if there is none.
    ///
    /// # Errors
    /// Returns an error if the store does.
    fn oldest(&mut self) -> Result<Option<Millis>, StoreError>;

    /// Returns everything that programs did for the first time since the beginning of `question`, oldest first. Only
    /// the time and the computers of `question` are considered.
    ///
    /// # Errors
    /// Returns an error if the store does.
    fn novelties(&mut self, question: &Question) -> Result<Vec<FirstSeen>, StoreError>;

    /// Returns what the program at `path`, whose processes have the short name `name`, did for the first time.
    ///
    /// # Errors
    /// Returns an error if the store does.
    fn first_seen_of(&mut self, path: &[u8], name: &[u8]) -> Result<ProgramHistory, StoreError>;

    /// Returns how far the store reaches back from `now`.
    ///
    /// # Errors
    /// Returns an error if the store does.
    fn reach(&mut self, now: Millis) -> Result<Coverage, StoreError>;

    /// Returns the flows of sockets of the boot `boot_id` that are still open according to the record, by cookie. Only
    /// cookies that `wanted` accepts are included.
    ///
    /// # Errors
    /// Returns an error if the store does.
    fn open_flows(&mut self, boot_id: &str, wanted: &dyn Fn(u64) -> bool)
    -> Result<HashMap<u64, OpenFlow>, StoreError>;

    /// Returns the programs that have connected to a foreign side at regular intervals since `since`. With
    /// `candidates`, those are included that have not yet done so often or long enough.
    ///
    /// # Errors
    /// Returns an error if the store does.
    fn rhythms(&mut self, since: Millis, filter: &Filter, candidates: bool) -> Result<Vec<Beacon>, StoreError>;

    /// Returns the number of rows omitted from results so far because they are damaged.
    fn skipped(&self) -> u64 {
        0
    }

    /// Whether the store has the flows of several computers.
    fn is_fleet(&self) -> bool {
        false
    }
}

impl FlowStore for Reader {
    fn flows(&mut self, question: &Question, visit: &mut dyn FnMut(Flow) -> ControlFlow<()>) -> Result<(), StoreError> {
        Reader::flows(self, question, visit)
    }

    fn gaps(&mut self, question: &Question) -> Result<Vec<Gap>, StoreError> {
        Reader::gaps(self, question.since, question.until)
    }

    fn oldest(&mut self) -> Result<Option<Millis>, StoreError> {
        Reader::oldest(self)
    }

    fn novelties(&mut self, question: &Question) -> Result<Vec<FirstSeen>, StoreError> {
        Reader::novelties(self, question.since.unwrap_or(Millis::MIN))
    }

    fn first_seen_of(&mut self, path: &[u8], name: &[u8]) -> Result<ProgramHistory, StoreError> {
        Reader::first_seen_of(self, path, name)
    }

    fn reach(&mut self, now: Millis) -> Result<Coverage, StoreError> {
        Reader::reach(self, now)
    }

    fn open_flows(
        &mut self,
        boot_id: &str,
        wanted: &dyn Fn(u64) -> bool,
    ) -> Result<HashMap<u64, OpenFlow>, StoreError> {
        Reader::open_flows(self, boot_id, wanted)
    }

    fn rhythms(&mut self, since: Millis, filter: &Filter, candidates: bool) -> Result<Vec<Beacon>, StoreError> {
        match candidates {
            true => self.beacon_candidates(since, filter),
            false => self.beacons(since, filter),
        }
    }

    fn skipped(&self) -> u64 {
        Reader::skipped(self)
    }
}
