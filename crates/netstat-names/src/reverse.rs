//! Reverse DNS for a whole listing: each address is looked up once, many in parallel, with a single deadline.
//!
//! Look-ups run on a bounded pool of threads that end when the queue is empty. A thread that hangs in the resolver does
//! no harm: nothing waits for it after the deadline, and the program can exit. While it hangs it keeps its place in the
//! pool, so that repeated listings do not accumulate threads.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Answer, HostName, Resolver, SystemResolver};

/// The interval at which progress is reported.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// The stack size of a look-up thread in bytes. The C library's resolver keeps buffers of up to 64 KiB on the stack,
/// and modules listed in nsswitch.conf(5) need space of their own. Only pages that are touched use memory.
const STACK: usize = 256 << 10;

/// The state of the look-up of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Not asked yet, or asked and still within the first deadline.
    Pending,
    /// The address has this name.
    Resolved(HostName),
    /// The address has no name.
    NotFound,
    /// The address has a "name" that is not a valid host name, so that it is not shown.
    Refused,
    /// The resolver could not answer.
    Failed,
    /// No answer arrived before a deadline. It may still arrive and is then used by the next listing.
    TimedOut,
    /// Never asked, because no name server knows such addresses; see [`askable`].
    NotAsked,
}

/// The limits of a [`ReverseDns`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The maximum number of parallel look-ups, at least 1.
    pub threads: usize,
    /// How long a name is used before it is looked up again.
    pub positive: Duration,
    /// How long "no name" and "failed" are used before the address is looked up again.
    pub negative: Duration,
}

impl Default for Limits {
    /// Returns 64 parallel look-ups, 5 minutes for names, and 1 minute for other answers.
    fn default() -> Self {
        Limits {
            threads: 64,
            positive: Duration::from_secs(300),
            negative: Duration::from_secs(60),
        }
    }
}

/// The outcome of a listing, in numbers of distinct addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// All addresses that can have a name.
    pub total: usize,
    /// Addresses with a name.
    pub resolved: usize,
    /// Addresses without a name.
    pub not_found: usize,
    /// Addresses whose name is not a valid host name.
    pub refused: usize,
    /// Addresses for which the resolver failed.
    pub failed: usize,
    /// Addresses without an answer so far.
    pub timed_out: usize,
}

/// The answers for a listing.
#[derive(Clone, Debug, Default)]
pub struct Answers(HashMap<IpAddr, Lookup>);

impl Answers {
    /// Returns the answer for `address`; [`Lookup::NotAsked`] if it was not part of the listing.
    pub fn get(&self, address: IpAddr) -> &Lookup {
        self.0.get(&address.to_canonical()).unwrap_or(&Lookup::NotAsked)
    }

    /// Returns every address of the listing with its answer, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, &Lookup)> {
        self.0.iter().map(|(&address, lookup)| (address, lookup))
    }

    /// Counts the answers.
    pub fn summary(&self) -> Summary {
        let mut sum = Summary {
            total: self.0.len(),
            ..Summary::default()
        };
        for lookup in self.0.values() {
            let count = match lookup {
                Lookup::Resolved(_) => &mut sum.resolved,
                Lookup::NotFound => &mut sum.not_found,
                Lookup::Refused => &mut sum.refused,
                Lookup::Failed => &mut sum.failed,
                Lookup::Pending | Lookup::TimedOut | Lookup::NotAsked => &mut sum.timed_out,
            };
            *count += 1;
        }
        sum
    }
}

/// Whether a name server could know `address`. Excluded are the unspecified addresses, IPv4 broadcast, and IPv6
/// addresses with a meaning on one link only (RFC 4291, 2.5.6 and 2.7): getnameinfo(3) would ask for those without
/// their scope, and the answer would be that for another link. IPv4 link-local addresses are included, since hosts(5)
/// often names such an address of a cloud provider.
pub fn askable(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_broadcast(),
        IpAddr::V6(v6) => {
            // The lower half of the second byte is the scope of a multicast address: 1 interface, 2 link.
            let [first, second, ..] = v6.octets();
            let link_multicast = first == 0xff && matches!(second & 0x0f, 1 | 2);
            !v6.is_unspecified() && !v6.is_unicast_link_local() && !link_multicast
        }
    }
}

type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// Looks up the names of addresses and caches the answers.
pub struct ReverseDns {
    shared: Arc<Shared>,
    limits: Limits,
    clock: Clock,
    stack: usize,
}

struct Shared {
    state: Mutex<State>,
    /// Notified when the last awaited answer has arrived.
    all_answered: Condvar,
    resolver: Arc<dyn Resolver>,
    clock: Clock,
}

#[derive(Default)]
struct State {
    entries: HashMap<IpAddr, Entry>,
    queue: VecDeque<IpAddr>,
    /// The number of threads that run or are about to start.
    workers: usize,
    /// The number of addresses that the current listing waits for.
    awaited: usize,
}

#[derive(Default)]
struct Entry {
    /// The newest answer, and when it arrived.
    answer: Option<(Lookup, Instant)>,
    progress: Progress,
    /// Whether the current listing waits for the address.
    awaited: bool,
    /// Whether a deadline passed without an answer. No listing waits for the address again.
    late: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    Idle,
    Queued,
    InFlight,
}

impl Entry {
    fn lookup(&self) -> Lookup {
        match &self.answer {
            Some((lookup, _)) => lookup.clone(),
            None if self.late => Lookup::TimedOut,
            None => Lookup::Pending,
        }
    }
}

impl Limits {
    fn lifetime(&self, lookup: &Lookup) -> Duration {
        match lookup {
            Lookup::Resolved(_) => self.positive,
            _ => self.negative,
        }
    }
}

impl fmt::Debug for ReverseDns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReverseDns")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl ReverseDns {
    /// Creates an instance that uses the system's own resolver with the default limits. Starts no threads yet.
    pub fn system() -> Self {
        Self::new(Arc::new(SystemResolver), Limits::default())
    }

    /// Creates an instance that uses `resolver`.
    pub fn new(resolver: Arc<dyn Resolver>, limits: Limits) -> Self {
        Self::with_clock(resolver, limits, Arc::new(Instant::now))
    }

    /// Like [`ReverseDns::new`], with another clock for the lifetimes of answers. Deadlines always use the real clock.
    pub fn with_clock(
        resolver: Arc<dyn Resolver>,
        limits: Limits,
        clock: Arc<dyn Fn() -> Instant + Send + Sync>,
    ) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            all_answered: Condvar::new(),
            resolver,
            clock: Arc::clone(&clock),
        };
        ReverseDns {
            shared: Arc::new(shared),
            limits,
            clock,
            stack: STACK,
        }
    }

    /// Looks up `addresses` (duplicates cost nothing). Returns when all have an answer or `deadline` has passed since
    /// the call, whichever comes first.
    ///
    /// Answers of earlier calls are reused. An answer past its lifetime is used once more while it is refreshed in the
    /// background; past twice its lifetime it is discarded. An address that missed an earlier deadline is not waited
    /// for again, so that an unresponsive name server does not delay a repeated listing further unless new addresses
    /// appear.
    ///
    /// While waiting, `progress` is called about 10 times a second with the number of addresses answered and the total
    /// number; it is not called if the answers are available at once.
    pub fn resolve(
        &mut self,
        addresses: impl IntoIterator<Item = IpAddr>,
        deadline: Duration,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Answers {
        let begin = Instant::now();
        // Wait without a limit if the deadline cannot be represented.
        let end = begin.checked_add(deadline);
        let mut wanted: HashSet<IpAddr> = HashSet::new();
        wanted.extend(
            addresses
                .into_iter()
                .map(|address| address.to_canonical())
                .filter(|&address| askable(address)),
        );

        let to_start = self.enqueue(&wanted);
        self.start_workers(to_start);
        self.wait(begin, end, wanted.len(), progress);
        self.collect(&wanted)
    }

    /// Discards old answers, queues the addresses that must be looked up, and returns the number of threads to start.
    fn enqueue(&self, wanted: &HashSet<IpAddr>) -> usize {
        let now = (self.clock)();
        let limits = self.limits;
        let mut guard = self.shared.lock();
        let state = &mut *guard;

        // Addresses that are no longer wanted leave the queue; answers already in flight will still arrive.
        let entries = &mut state.entries;
        state.queue.retain(|address| {
            let keep = wanted.contains(address);
            if let (false, Some(entry)) = (keep, entries.get_mut(address)) {
                entry.progress = Progress::Idle;
            }
            keep
        });
        entries.retain(|address, entry| {
            let age = |at: Instant| now.saturating_duration_since(at);
            if let Some((lookup, at)) = &entry.answer {
                let lifetime = limits.lifetime(lookup);
                let keep = if wanted.contains(address) {
                    lifetime.saturating_mul(2)
                } else {
                    lifetime
                };
                if age(*at) >= keep {
                    entry.answer = None;
                    entry.late = false;
                }
            }
            entry.answer.is_some() || entry.progress != Progress::Idle || wanted.contains(address)
        });

        let mut fresh = VecDeque::new();
        for &address in wanted {
            let entry = state.entries.entry(address).or_default();
            let due = match &entry.answer {
                Some((lookup, at)) => now.saturating_duration_since(*at) >= limits.lifetime(lookup),
                None => true,
            };
            if due && entry.progress == Progress::Idle {
                entry.progress = Progress::Queued;
                fresh.push_back(address);
            }
            if entry.answer.is_none() && !entry.late {
                entry.awaited = true;
                state.awaited += 1;
            }
        }
        // Addresses that are waited for come first.
        fresh.append(&mut state.queue);
        state.queue = fresh;

        let to_start = limits
            .threads
            .max(1)
            .saturating_sub(state.workers)
            .min(state.queue.len());
        state.workers += to_start;
        to_start
    }

    /// Starts the threads that `enqueue` has already counted. If none can be started, nothing will be answered.
    fn start_workers(&self, count: usize) {
        for started in 0..count {
            let shared = Arc::clone(&self.shared);
            let builder = thread::Builder::new().name("names".to_owned()).stack_size(self.stack);
            if builder.spawn(move || shared.work()).is_ok() {
                continue;
            }
            let mut state = self.shared.lock();
            state.workers -= count - started;
            if state.workers == 0 {
                let now = (self.clock)();
                while let Some(address) = state.queue.pop_front() {
                    state.answer(address, Lookup::Failed, now);
                }
            }
            return;
        }
    }

    fn wait(&self, begin: Instant, end: Option<Instant>, total: usize, progress: &mut dyn FnMut(usize, usize)) {
        let mut next = begin + PROGRESS_EVERY;
        let mut state = self.shared.lock();
        while state.awaited > 0 {
            let now = Instant::now();
            if end.is_some_and(|end| now >= end) {
                return;
            }
            if now >= next {
                let answered = total.saturating_sub(state.awaited);
                drop(state);
                progress(answered, total);
                next = Instant::now() + PROGRESS_EVERY;
                state = self.shared.lock();
                continue;
            }
            let until = end.map_or(next, |end| end.min(next));
            let waited = self
                .shared
                .all_answered
                .wait_timeout(state, until.saturating_duration_since(now));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Returns the available answers and marks the others as late.
    fn collect(&self, wanted: &HashSet<IpAddr>) -> Answers {
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        state.awaited = 0;
        let answers = wanted.iter().map(|&address| {
            let lookup = state.entries.get_mut(&address).map(|entry| {
                entry.late |= std::mem::take(&mut entry.awaited);
                entry.lookup()
            });
            (address, lookup.unwrap_or(Lookup::Pending))
        });
        Answers(answers.collect())
    }
}

impl Shared {
    /// Ignores poisoning: nothing that may panic runs under the lock, so that the state is always consistent.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of a thread: looks up addresses until the queue is empty.
    fn work(&self) {
        let mut state = self.lock();
        while let Some(address) = state.queue.pop_front() {
            if let Some(entry) = state.entries.get_mut(&address) {
                entry.progress = Progress::InFlight;
            }
            drop(state);
            let answer = catch_unwind(AssertUnwindSafe(|| self.resolver.name_of(address)));
            let lookup = match answer {
                Ok(Answer::Name(name)) => HostName::parse(&name).map_or(Lookup::Refused, Lookup::Resolved),
                Ok(Answer::NotFound) => Lookup::NotFound,
                Ok(Answer::Failed) | Err(_) => Lookup::Failed,
            };
            let now = (self.clock)();
            state = self.lock();
            if state.answer(address, lookup, now) {
                self.all_answered.notify_all();
            }
        }
        state.workers -= 1;
    }
}

impl State {
    /// Stores an answer. Returns whether it was the last one awaited.
    fn answer(&mut self, address: IpAddr, lookup: Lookup, now: Instant) -> bool {
        let entry = self.entries.entry(address).or_default();
        entry.answer = Some((lookup, now));
        entry.progress = Progress::Idle;
        entry.late = false;
        if !std::mem::take(&mut entry.awaited) {
            return false;
        }
        self.awaited -= 1;
        self.awaited == 0
    }
}

#[cfg(test)]
mod tests;
