//! Ids of repeated values, cached in memory.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// A cache of ids, so that a name is looked up in the database once while it is written. Ids that were not used for a
/// long time are forgotten first.
#[derive(Debug)]
pub(super) struct Numbers<K> {
    /// Ids used since the last change of generation.
    young: HashMap<K, i64>,
    /// Ids used in the previous generation.
    old: HashMap<K, i64>,
    /// The maximum number of ids in both generations.
    most: usize,
}

/// The maximum number of cached addresses, and of first sightings: they are small, and each one missing costs a random
/// page access. A hash table doubles when it is filled beyond 7/8 of a power of two.
pub(super) const MANY_NAMES: usize = 2 * (32_768 / 8 * 7);
/// The maximum number of cached programs, and of texts: running programs have few.
pub(super) const NAMES: usize = 8_000;

impl<K: Hash + Eq> Numbers<K> {
    pub(super) fn new(most: usize) -> Self {
        Numbers {
            most,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    pub(super) fn get<Q>(&mut self, key: &Q) -> Option<i64>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if let Some(number) = self.young.get(key) {
            return Some(*number);
        }
        let number = self.old.remove(key)?;
        Some(self.put(key.to_owned(), number))
    }

    pub(super) fn put(&mut self, key: K, number: i64) -> i64 {
        if self.young.len() >= self.most / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_cache_when_full_forgets_least_recently_used() {
        let mut numbers: Numbers<u64> = Numbers::new(NAMES);
        for key in 0..10 * NAMES as u64 {
            numbers.put(key, key as i64);
            assert_eq!(numbers.get(&0), Some(0), "met again and again");
            assert!(numbers.young.len() + numbers.old.len() <= NAMES + 1);
        }
        assert_eq!(numbers.get(&1), None);
    }
}
