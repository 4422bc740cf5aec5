//! What can be asked about flows, wherever they are kept.

use std::collections::HashMap;
use std::ops::ControlFlow;

use netstat_model::Filter;

use crate::beacon::Beacon;
use crate::flow::{Flow, Millis};
use crate::past::{Coverage, OpenFlow, ProgramHistory};
use crate::reader::{FirstSeen, Gap, Question, Reader};
use crate::store::StoreError;

/// Flows that have the same values in some columns, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowTotals {
    /// How many flows.
    pub count: u64,
    /// Payload bytes sent, where known.
    pub sent: u64,
    /// Payload bytes received, where known.
    pub received: u64,
    /// When the first began.
    pub first: Millis,
    /// When the last was last seen.
    pub last: Millis,
}

impl FlowTotals {
    /// Those of one flow.
    pub fn of(flow: &Flow) -> FlowTotals {
        FlowTotals {
            count: 1,
            sent: flow.sent.known().unwrap_or(0),
            received: flow.received.known().unwrap_or(0),
            first: flow.first,
            last: flow.last,
        }
    }

    /// Adds `other`.
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

/// A store of flows: the record of one computer, or that of a fleet. Both give the same answers about the same flows.
pub trait FlowStore: std::fmt::Debug {
    /// Shows every flow that `question` wants to `visit`, until it breaks, by the time of their beginning.
    ///
    /// # Errors
    /// What the store says.
    fn flows(&mut self, question: &Question, visit: &mut dyn FnMut(Flow) -> ControlFlow<()>) -> Result<(), StoreError>;

    /// As [`FlowStore::flows`], with flows added up that have the same values in `columns`: one flow of each sum stands for all, and
    /// only what those columns show of it means anything. A store that cannot add up shows each flow.
    ///
    /// # Errors
    /// What the store says.
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

    /// What is missing in the time that `question` asks about.
    ///
    /// # Errors
    /// What the store says.
    fn gaps(&mut self, question: &Question) -> Result<Vec<Gap>, StoreError>;

    /// When the oldest flow began; `None` when there is none.
    ///
    /// # Errors
    /// What the store says.
    fn oldest(&mut self) -> Result<Option<Millis>, StoreError>;

    /// Everything that programs did for the first time in the time that `question` begins with, oldest first; only the time and the
    /// computers of it matter.
    ///
    /// # Errors
    /// What the store says.
    fn novelties(&mut self, question: &Question) -> Result<Vec<FirstSeen>, StoreError>;

    /// What the program at `path`, whose processes have the short name `name`, did for the first time.
    ///
    /// # Errors
    /// What the store says.
    fn first_seen_of(&mut self, path: &[u8], name: &[u8]) -> Result<ProgramHistory, StoreError>;

    /// How far it reaches back from `now`.
    ///
    /// # Errors
    /// What the store says.
    fn reach(&mut self, now: Millis) -> Result<Coverage, StoreError>;

    /// The sockets of the boot `boot_id` that are open as far as was recorded, by the kernel's number.
    ///
    /// # Errors
    /// What the store says.
    fn open_flows(&mut self, boot_id: &str, wanted: &dyn Fn(u64) -> bool)
    -> Result<HashMap<u64, OpenFlow>, StoreError>;

    /// The programs that have called a foreign side in a rhythm since `since`; with `candidates` also those that have not yet done so
    /// often or long enough.
    ///
    /// # Errors
    /// What the store says.
    fn rhythms(&mut self, since: Millis, filter: &Filter, candidates: bool) -> Result<Vec<Beacon>, StoreError>;

    /// How many rows have been left out of the answers so far because they are damaged.
    fn skipped(&self) -> u64 {
        0
    }

    /// Whether it has the flows of many computers.
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
