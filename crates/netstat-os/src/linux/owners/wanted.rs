//! The set of socket inodes that a search looks for.

/// A set of non-zero `u32` values with fast lookup: open addressing with linear probing, at most half full.
///
/// There is a lookup for every descriptor of the system that is a socket, so it must take only nanoseconds. The inodes
/// come from a counter of the kernel (`get_next_ino`), so multiplying by an odd constant distributes them well.
#[derive(Clone, Debug, Default)]
pub struct WantedInodes {
    /// The slots, whose number is a power of two; 0 is a free slot.
    slots: Vec<u32>,
    /// `64 - log2(slots.len())`.
    shift: u32,
    len: usize,
}

impl WantedInodes {
    /// Creates the set of `inodes`. Zeros are left out, as no descriptor has that inode.
    pub fn new(inodes: impl IntoIterator<Item = u32>) -> Self {
        let mut set = WantedInodes::default();
        set.refill(inodes);
        set
    }

    /// Clears the set and fills it again, keeping its allocation.
    pub fn refill(&mut self, inodes: impl IntoIterator<Item = u32>) {
        self.slots.fill(0);
        self.len = 0;
        let inodes = inodes.into_iter();
        // Reserving for the upper bound costs less than growing step by step.
        let (least, most) = inodes.size_hint();
        self.reserve(most.unwrap_or(least));
        for inode in inodes {
            if inode != 0 {
                self.insert(inode);
            }
        }
    }

    /// Returns the number of inodes in the set.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `inode` is in the set.
    #[inline]
    pub fn contains(&self, inode: u32) -> bool {
        if self.len == 0 || inode == 0 {
            return false;
        }
        self.slots[self.slot_of(inode)] == inode
    }

    /// Returns marks for the inodes of this set, all unset.
    pub(crate) fn marks(&self) -> Marks {
        Marks(vec![0; self.slots.len().div_ceil(64)])
    }

    /// Sets the mark of `inode`, and returns whether it was unset. Returns `false` for an inode that is not in the set.
    pub(crate) fn mark(&self, marks: &mut Marks, inode: u32) -> bool {
        if !self.contains(inode) {
            return false;
        }
        let slot = self.slot_of(inode);
        let word = &mut marks.0[slot / 64];
        let unset = *word & (1 << (slot % 64)) == 0;
        *word |= 1 << (slot % 64);
        unset
    }

    /// Returns the inodes without a mark.
    pub(crate) fn unmarked(&self, marks: &Marks) -> impl Iterator<Item = u32> {
        let slots = self.slots.iter().copied().enumerate();
        slots
            .filter(|&(slot, inode)| inode != 0 && marks.0[slot / 64] & (1 << (slot % 64)) == 0)
            .map(|(_, inode)| inode)
    }

    /// Returns all inodes of the set, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.slots.iter().copied().filter(|&slot| slot != 0)
    }

    /// Returns the slot of `inode`, or the free one where it belongs.
    fn slot_of(&self, inode: u32) -> usize {
        let mask = self.slots.len() - 1;
        // Knuth's multiplicative hashing: 2^64 divided by the golden ratio, made odd.
        let mut at = (u64::from(inode).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize;
        // At most half of the slots are occupied, so a free one is found.
        while self.slots[at] != 0 && self.slots[at] != inode {
            at = (at + 1) & mask;
        }
        at
    }

    fn insert(&mut self, inode: u32) {
        self.reserve(1);
        let at = self.slot_of(inode);
        if self.slots[at] == 0 {
            self.slots[at] = inode;
            self.len += 1;
        }
    }

    /// Reserves space for `more` further inodes.
    fn reserve(&mut self, more: usize) {
        let needed = (self.len + more).saturating_mul(2).next_power_of_two().max(16);
        if needed <= self.slots.len() {
            return;
        }
        let old = std::mem::replace(&mut self.slots, vec![0; needed]);
        self.shift = 64 - needed.trailing_zeros();
        for inode in old.into_iter().filter(|&slot| slot != 0) {
            let at = self.slot_of(inode);
            self.slots[at] = inode;
        }
    }
}

/// One bit for each inode of a [`WantedInodes`]; valid only for the set it was created for, while that is unchanged.
#[derive(Clone, Debug)]
pub(crate) struct Marks(Vec<u64>);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wanted_inodes_of_zeros_are_empty() {
        let set = WantedInodes::new([0, 0]);
        assert!(set.is_empty());
        assert!(!set.contains(0));
        assert!(!set.contains(7));
    }

    #[test]
    fn wanted_inodes_refilled_forget_old_ones() {
        let mut set = WantedInodes::new(1..1000);
        set.refill([5, 7]);
        assert_eq!(set.len(), 2);
        assert!(set.contains(5) && set.contains(7) && !set.contains(6));
    }

    #[test]
    fn wanted_inodes_unmarked_are_those_left() {
        let set = WantedInodes::new(1..=100);
        let mut marks = set.marks();
        assert!((1..100).all(|inode| set.mark(&mut marks, inode)));
        assert!(!set.mark(&mut marks, 5));
        assert!(!set.mark(&mut marks, 101));
        assert_eq!(set.unmarked(&marks).collect::<Vec<_>>(), [100]);
        let none = WantedInodes::default();
        assert_eq!(none.unmarked(&none.marks()).count(), 0);
    }

    proptest! {
        #[test]
        fn wanted_inodes_agree_with_set_of_std(inodes: Vec<u32>, others: Vec<u32>) {
            let set = WantedInodes::new(inodes.iter().copied());
            let expected: std::collections::BTreeSet<u32> = inodes.iter().copied().filter(|&i| i != 0).collect();
            prop_assert_eq!(set.len(), expected.len());
            prop_assert_eq!(set.iter().collect::<std::collections::BTreeSet<_>>(), expected.clone());
            for other in inodes.iter().chain(&others) {
                prop_assert_eq!(set.contains(*other), expected.contains(other));
            }
        }

        #[test]
        fn wanted_inodes_of_dense_run_are_found(start: u32) {
            let set = WantedInodes::new((0..5000).map(|i| start.wrapping_add(i)));
            prop_assert!(set.contains(start.wrapping_add(4999)) || start.wrapping_add(4999) == 0);
            prop_assert!(!set.contains(start.wrapping_add(5000)));
        }
    }
}
