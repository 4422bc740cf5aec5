//! Decides which programs have series of their own. Users choose the names of programs, so their number is limited: the
//! rest share the label `other`, and a name that has not been seen for a while is dropped to make room.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The label of all programs for which there is no room.
pub(super) const OTHER: &str = "other";
/// The label of sockets whose process is not known.
pub(super) const UNKNOWN: &str = "unknown";
/// The maximum length of a label in bytes; longer names are truncated, since collectors store labels permanently.
const LONGEST: usize = 64;
/// How long a program without sockets keeps its series, so that a collector reads the final values.
const KEPT: Duration = Duration::from_secs(600);

/// Figures by program.
#[derive(Debug)]
pub(super) struct Programs<T> {
    most: usize,
    each: HashMap<Arc<str>, Entry<T>>,
    /// How many times there was no room for a program.
    overflow: u64,
}

#[derive(Debug)]
struct Entry<T> {
    figures: T,
    seen: Duration,
}

impl<T: Default> Programs<T> {
    /// Creates an instance with room for `most` names besides `other` and `unknown`.
    pub(super) fn new(most: usize) -> Self {
        Programs {
            most,
            each: HashMap::new(),
            overflow: 0,
        }
    }

    /// Returns the label under which `program` is counted.
    pub(super) fn label(&mut self, program: Option<&[u8]>, now: Duration) -> Arc<str> {
        let Some(program) = program else {
            return self.keep(UNKNOWN, now);
        };
        let name = label(program);
        if let Some((known, _)) = self.each.get_key_value(&*name) {
            let known = Arc::clone(known);
            return self.keep_known(known, now);
        }
        let reserved = [OTHER, UNKNOWN]
            .iter()
            .filter(|name| self.each.contains_key(**name))
            .count();
        if self.each.len() - reserved >= self.most {
            self.overflow += 1;
            return self.keep(OTHER, now);
        }
        self.keep(&name, now)
    }

    fn keep_known(&mut self, name: Arc<str>, now: Duration) -> Arc<str> {
        if let Some(entry) = self.each.get_mut(&name) {
            entry.seen = now;
        }
        name
    }

    fn keep(&mut self, name: &str, now: Duration) -> Arc<str> {
        let name: Arc<str> = Arc::from(name);
        let figures = T::default;
        self.each
            .entry(Arc::clone(&name))
            .or_insert_with(|| Entry {
                figures: figures(),
                seen: now,
            })
            .seen = now;
        name
    }

    /// Returns the figures of a label that [`Programs::label`] returned.
    pub(super) fn figures(&mut self, label: &str) -> Option<&mut T> {
        self.each.get_mut(label).map(|entry| &mut entry.figures)
    }

    /// Removes the labels that have not been seen for a while.
    pub(super) fn expire(&mut self, now: Duration) {
        self.each.retain(|_, entry| now.saturating_sub(entry.seen) <= KEPT);
    }

    /// Returns how many times there was no room for a program.
    pub(super) fn overflow(&self) -> u64 {
        self.overflow
    }

    /// Returns all labels and figures, sorted by label.
    pub(super) fn sorted(&self) -> Vec<(&Arc<str>, &T)> {
        let mut all: Vec<_> = self.each.iter().map(|(name, entry)| (name, &entry.figures)).collect();
        all.sort_unstable_by_key(|(name, _)| Arc::clone(name));
        all
    }

    /// Returns mutable references to all figures.
    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut T> {
        self.each.values_mut().map(|entry| &mut entry.figures)
    }
}

/// Returns the file name of a program as a label: safe to print, and of limited length.
fn label(program: &[u8]) -> String {
    let name = program.rsplit(|byte| *byte == b'/').next().unwrap_or(program);
    let mut name = netstat_model::text::escape(name).into_owned();
    if name.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
        name.truncate(end);
    }
    match name.is_empty() {
        true => UNKNOWN.to_owned(),
        false => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_labels_beyond_limit_share_other_until_some_expire() {
        let mut programs: Programs<u64> = Programs::new(2);
        let start = Duration::ZERO;
        let labels = ["a", "b", "c", "a", "d"].map(|name| programs.label(Some(name.as_bytes()), start).to_string());
        assert_eq!(labels, ["a", "b", "other", "a", "other"]);
        assert_eq!(&*programs.label(None, start), "unknown");
        assert_eq!(programs.overflow(), 2);
        // Later, only "b" is left.
        let later = KEPT + Duration::from_secs(1);
        programs.label(Some(b"b"), later);
        programs.expire(later);
        assert_eq!(&*programs.label(Some(b"c"), later), "c");
        assert_eq!(
            programs
                .sorted()
                .iter()
                .map(|(name, _)| name.as_ref())
                .collect::<Vec<_>>(),
            ["b", "c"]
        );
    }

    #[test]
    fn program_label_of_strange_name_is_short_and_printable() {
        let long = "\u{e4}".repeat(100);
        let mut programs: Programs<u64> = Programs::new(10);
        for (name, expected) in [
            (&b"/opt/x/server"[..], "server".to_owned()),
            (b"evil\n\"name", "evil\\n\"name".to_owned()),
            (b"", "unknown".to_owned()),
            (long.as_bytes(), "\u{e4}".repeat(32)),
        ] {
            assert_eq!(&*programs.label(Some(name), Duration::ZERO), expected);
        }
    }
}
