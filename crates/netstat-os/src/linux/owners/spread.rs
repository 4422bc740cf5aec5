//! Distributes work over as many threads as are worthwhile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long one thread works alone before others are started: starting a thread costs about 50 µs.
const ALONE: Duration = Duration::from_micros(300);

/// Calls `step` for each item, on as many threads as are worthwhile, and returns the worker of each thread.
///
/// The calling thread starts alone, and starts others if the work has taken longer than [`ALONE`]. Items are taken one
/// by one, so that uneven ones balance out.
pub(crate) fn spread<T: Sync, W: Send>(
    items: &[T],
    new: impl Fn() -> W + Sync,
    step: impl Fn(&mut W, &T) + Sync,
) -> Vec<W> {
    let next = AtomicUsize::new(0);
    let work = |worker: &mut W, until: Option<Instant>| {
        loop {
            let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            step(worker, item);
            if until.is_some_and(|until| Instant::now() >= until) {
                return;
            }
        }
    };
    let mut own = new();
    work(&mut own, Some(Instant::now() + ALONE));
    let left = items.len().saturating_sub(next.load(Ordering::Relaxed));
    let helpers = left.min(processors()).saturating_sub(1);
    if helpers == 0 {
        work(&mut own, None);
        return vec![own];
    }
    thread::scope(|scope| {
        let work = &work;
        let new = &new;
        let handles: Vec<_> = (0..helpers)
            .filter_map(|_| {
                let body = move || {
                    let mut worker = new();
                    work(&mut worker, None);
                    worker
                };
                // If no further thread can be started, the existing ones do the work.
                thread::Builder::new().spawn_scoped(scope, body).ok()
            })
            .collect();
        work(&mut own, None);
        let mut workers = vec![own];
        for handle in handles {
            match handle.join() {
                Ok(worker) => workers.push(worker),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        workers
    })
}

/// Returns how many CPUs the caller may use; 1 if the system does not report it. This is one system call: the standard
/// library also reads the limits of control groups, which takes longer than a whole walk on a small machine and does
/// not limit a short burst of work.
pub(super) fn processors() -> usize {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count().max(1) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn spread_takes_each_item_once() {
        let items: Vec<u32> = (0..5000).collect();
        let workers = spread(&items, Vec::new, |seen: &mut Vec<u32>, &item| {
            seen.push(item);
            thread::sleep(Duration::from_micros(5));
        });
        let all: Vec<u32> = workers.concat();
        assert_eq!(all.len(), items.len());
        assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), items.into_iter().collect());
    }

    #[test]
    fn spread_of_few_items_starts_no_thread() {
        assert_eq!(spread(&[1, 2, 3], || (), |(), _| {}).len(), 1);
        assert_eq!(spread(&[0u8; 0], || (), |(), _| {}).len(), 1);
    }
}
