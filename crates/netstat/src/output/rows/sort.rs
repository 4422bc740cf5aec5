//! Sorts rows by columns, ascending or descending.

use std::cmp::Ordering;

use netstat_model::columns::Value;
use rayon::slice::ParallelSliceMut;

/// The direction of one column to sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction {
    /// Whether the order is descending.
    pub down: bool,
}

/// Returns the indexes of `count` rows, sorted by their keys. `key` appends the values of a row, one for each of
/// `directions`. Unknown values come last in either direction; rows with equal keys keep their order.
pub fn order<'a>(count: usize, directions: &[Direction], key: impl Fn(usize, &mut Vec<Value<'a>>)) -> Vec<u32> {
    let mut keys: Vec<Value<'a>> = Vec::with_capacity(count * directions.len());
    for at in 0..count {
        key(at, &mut keys);
    }
    let width = directions.len();
    let mut order: Vec<u32> = (0..count as u32).collect();
    let key_of = |at: u32| &keys[at as usize * width..(at as usize + 1) * width];
    order.par_sort_by(|&a, &b| compare(key_of(a), key_of(b), directions));
    order
}

/// Compares two keys by `directions`.
pub fn compare(a: &[Value<'_>], b: &[Value<'_>], directions: &[Direction]) -> Ordering {
    for ((a, b), direction) in a.iter().zip(b).zip(directions) {
        let by = match (a.missing().is_some(), b.missing().is_some()) {
            (false, false) if direction.down => b.cmp(a),
            (false, false) => a.cmp(b),
            (a, b) => a.cmp(&b),
        };
        if by != Ordering::Equal {
            return by;
        }
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::Why;

    fn sorted(down: bool, values: &[Option<u64>]) -> Vec<u32> {
        order(values.len(), &[Direction { down }], |at, key| {
            key.push(values[at].map_or(Value::unknown(Why::NotKept), Value::Number));
        })
    }

    #[test]
    fn sort_unknown_values_come_last_in_both_directions() {
        let values = [None, Some(10), Some(9), None, Some(10)];
        assert_eq!(sorted(false, &values), [2, 1, 4, 0, 3]);
        assert_eq!(sorted(true, &values), [1, 4, 2, 0, 3]);
    }
}
