//! Compares files with the content that their packages recorded.

use super::ownership::{NoRecord, Recorded};
use crate::digest::{Cache, Digest, FileId, Job, Progress, Source, Unhashed, digests};

/// A file to be compared with its record.
#[derive(Clone, Debug)]
pub struct Check {
    /// The file to read. It need not be the path that the package lists: `/proc/PID/exe` is the file that is really
    /// running.
    pub source: Source,
    /// The recorded digest.
    pub recorded: Recorded,
}

/// The result of comparing a file with its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The file has the recorded digest. That means only that the file and the database agree, not that either is as it
    /// was shipped.
    Matches {
        /// The digest, both recorded and found.
        digest: Digest,
        /// The file that was compared.
        id: FileId,
    },
    /// The file has a different digest.
    Differs {
        /// The recorded digest.
        recorded: Digest,
        /// The digest of the file.
        found: Digest,
        /// The file that was compared.
        id: FileId,
    },
    /// There is no record to compare with, for this reason. The file was not read.
    NoRecord(NoRecord),
    /// The digest of the file could not be computed, for this reason.
    NotRead(Unhashed),
}

impl Match {
    /// Returns a description of the result.
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

/// Compares each file with its record and returns the results in the order of `checks`. Only files with a record are
/// read; see [`digests`](crate::digest::digests) for `limit`, `cache` and `progress`.
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
        // There is one answer for each recorded digest, in the same order.
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
