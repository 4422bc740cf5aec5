//! A record of past connections: flows in an SQLite file, and queries on them.
//!
//! [`Recorder`] consumes events and writes one row for each flow through [`Writer`]; [`Reader`] answers a [`Question`].
//! Nothing in this crate observes the system: events come from outside.
#![forbid(unsafe_code)]

mod beacon;
mod clock;
mod columns;
mod community_id;
mod error;
mod flow;
mod flow_store;
mod names;
mod outbox;
mod past;
mod reader;
mod recorder;
mod retention;
mod schema;
mod status;
mod store;

pub use beacon::{BEACON_CALLS, BEACON_SPREAD, Beacon, CANDIDATE_CALLS, Rhythm, collect_rhythms, rhythm};
pub use columns::{DEFAULT_TEXT, FlowRow, Flows};
pub use community_id::community_id;
pub use error::StoreError;
pub use flow::{Boot, Flow, Millis, NewProcess, Process, Program, command_hash};
pub use flow_store::{FlowStore, FlowTotals};
pub use outbox::{Encode, Segment, SegmentKind, SegmentRows, SpoolState};
pub use past::{Coverage, OpenFlow, ProgramHistory, StateAge};
pub use reader::{FirstSeen, Gap, Novelty, Question, Reader};
pub use recorder::{Flushed, Recorder, ResolveProcess, millis};
pub use retention::Retention;
pub use status::{GapSums, RecordStatus};
pub use store::{Batch, NewFlow, ProcessNumber, Writer, default_path};
