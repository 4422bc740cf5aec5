//! Learns the names that programs look up from DNS answers, for the connections that follow.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use netstat_names::AskedNames;
use netstat_os::{DnsAnswers, System};
use netstat_record::Recorder;

use super::args::RecordArgs;

/// The names learned so far, and the source of DNS answers.
pub(super) struct LearnedNames {
    names: AskedNames,
    answers: Option<Box<dyn DnsAnswers>>,
    refused: Option<String>,
}

impl std::fmt::Debug for LearnedNames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LearnedNames")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl LearnedNames {
    /// Starts observing answers, unless this is disabled or not permitted.
    pub(super) fn start(args: &RecordArgs, system: &mut dyn System) -> LearnedNames {
        let (answers, refused) = match args.no_dns_names {
            true => (None, None),
            false => match system.dns_answers() {
                Ok(answers) => (Some(answers), None),
                Err(refused) => (None, Some(refused.to_string())),
            },
        };
        LearnedNames {
            names: AskedNames::default(),
            answers,
            refused,
        }
    }

    /// Why answers cannot be observed although this is enabled.
    pub(super) fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// Learns from the answers that have arrived, and adds names to the connections that wait to be written.
    pub(super) fn give(&mut self, recorder: &mut Recorder, system: &dyn System) {
        let Some(answers) = &mut self.answers else { return };
        let now = system.now().wall;
        let names = &mut self.names;
        let drained = answers.drain(&mut |message| {
            names.learn(message, now);
        });
        if drained.is_err() {
            self.answers = None;
        }
        if names.is_empty() {
            return;
        }
        recorder.name_flows(&mut |address, first| {
            let began = UNIX_EPOCH + Duration::from_millis(u64::try_from(first).ok()?);
            Some(Arc::from(names.at(address, began)?.name.full().as_bytes()))
        });
    }
}
