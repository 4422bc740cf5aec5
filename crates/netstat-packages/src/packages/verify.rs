//! Does a file still have the content that its package recorded?

use super::ownership::{NoRecord, Recorded};
use crate::digest::{Cache, Digest, FileId, Job, Progress, Source, Unhashed, digests};

/// A file and its record.
#[derive(Clone, Debug)]
pub struct Check {
    /// The file to read, which need not be the path that the package lists: `/proc/PID/exe` is what really runs.
    pub source: Source,
    /// What the package records.
    pub recorded: Recorded,
}

/// How a file compares with its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// It has the recorded digest. That says that it is what the database says, not that either is as it was shipped.
    Matches {
        /// The digest, recorded and found.
        digest: Digest,
        /// The file that was compared.
        id: FileId,
    },
    /// It has another digest.
    Differs {
        /// The digest of the record.
        recorded: Digest,
        /// The digest of the file.
        found: Digest,
        /// The file that was compared.
        id: FileId,
    },
    /// There is no record to compare with, for this reason. The file was not read.
    NoRecord(NoRecord),
    /// The file could not be read, for this reason.
    NotRead(Unhashed),
}

impl Match {
    /// The result in plain words.
    pub fn words(&self) -> String {
        match self {
            Match::Matches { digest, .. } => format!("matches its package record ({})", digest.algorithm().name()),
            Match::Differs { recorded, .. } => {
                format!("differs from its package record ({})", recorded.algorithm().name())
            }
            Match::NoRecord(reason) => format!("not compared: {}", reason.words()),
            Match::NotRead(reason) => format!("not compared: {}", reason.words()),
        }
    }
}

/// Compares each file with its record, in the order of `checks`. Only files with a record are read; see
/// [`digests`](crate::digest::digests) for `limit`, `cache` and `progress`.
pub fn verify(checks: &[Check], limit: u64, cache: &mut Cache, progress: &(dyn Fn(Progress) + Sync)) -> Vec<Match> {
    let jobs: Vec<Job> = checks
        .iter()
        .filter_map(|check| match check.recorded {
            Recorded::Digest(digest) => Some(Job {
                source: check.source.clone(),
                algorithms: vec![digest.algorithm()],
            }),
            Recorded::None(_) => None,
        })
        .collect();
    let mut answers = digests(&jobs, limit, cache, progress).into_iter();
    let compare = |check: &Check| match check.recorded {
        Recorded::None(reason) => Match::NoRecord(reason),
        // One answer for each digest recorded, in the same order.
        Recorded::Digest(recorded) => match answers.next() {
            Some(Ok(hashed)) => match hashed.digests.first() {
                Some(found) if *found == recorded => Match::Matches {
                    digest: recorded,
                    id: hashed.id,
                },
                Some(found) => Match::Differs {
                    recorded,
                    found: *found,
                    id: hashed.id,
                },
                None => Match::NotRead(Unhashed::Changed),
            },
            Some(Err(reason)) => Match::NotRead(reason),
            None => Match::NotRead(Unhashed::Changed),
        },
    };
    checks.iter().map(compare).collect()
}
