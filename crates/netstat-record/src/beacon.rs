//! Beacons: programs that connect to the same foreign side again and again at regular intervals.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use netstat_model::{Direction, Filter, Protocol};
use rusqlite::params;

use crate::flow::{Flow, Millis, Program};
use crate::names::from_octets;
use crate::reader::{Question, Reader};
use crate::store::StoreError;

/// Connections that begin within this time of each other count as one call, in milliseconds. Browsers open several at
/// once.
const ONE_CALL: i64 = 2_000;
/// The minimum number of calls of a beacon.
pub const BEACON_CALLS: usize = 12;
/// The minimum time over which the calls of a beacon must be spread, in milliseconds: two hours.
pub const BEACON_SPREAD: i64 = 2 * 3_600_000;
/// The minimum number of calls of a candidate, however short the time.
pub const CANDIDATE_CALLS: usize = 10;
/// The minimum period in milliseconds; shorter intervals indicate a busy program rather than a beacon.
const SHORTEST: i64 = 5_000;
/// The maximum median deviation of the intervals from their median, as a fraction of it. A beacon that waits 60 s give
/// or take 30 % at random has 0.15; exact timers have 0.
const MOST_JITTER: f64 = 0.2;
/// The minimum share of the intervals that must be within 50 % to 150 % of the median.
const REGULAR: f64 = 0.85;
/// The port of the Network Time Protocol (RFC 5905), which is regular by nature.
const NTP: u16 = 123;

/// The regularity of calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rhythm {
    /// The number of calls.
    pub calls: usize,
    /// The median interval between two calls, in milliseconds.
    pub period: i64,
    /// The median deviation of the intervals from the period, as a fraction of it: 0 is perfectly regular.
    pub jitter: f64,
    /// The time of the first call.
    pub first: Millis,
    /// The time of the last call.
    pub last: Millis,
}

impl Rhythm {
    /// Whether it has lasted long enough to be a beacon: [`BEACON_CALLS`] calls over [`BEACON_SPREAD`].
    pub fn is_beacon(&self) -> bool {
        self.calls >= BEACON_CALLS && self.last.saturating_sub(self.first) >= BEACON_SPREAD
    }
}

/// A program that connects to a foreign side at regular intervals.
#[derive(Clone, Debug, PartialEq)]
pub struct Beacon {
    /// The program.
    pub program: Arc<Program>,
    /// The script, if the program is an interpreter; each script counts as a program of its own.
    pub script: Option<Arc<[u8]>>,
    /// The foreign address and port.
    pub foreign: (IpAddr, u16),
    /// The protocol.
    pub protocol: Protocol,
    /// The regularity of the calls.
    pub rhythm: Rhythm,
}

/// Returns the rhythm of calls that begin at these times if they are a beacon: many calls over hours, at nearly equal
/// intervals. `None` otherwise.
pub fn rhythm(calls: &[Millis]) -> Option<Rhythm> {
    candidate(calls).filter(Rhythm::is_beacon)
}

/// Returns the rhythm of calls that begin at these times if their intervals are nearly equal so far. `None` otherwise.
fn candidate(calls: &[Millis]) -> Option<Rhythm> {
    let mut times = calls.to_vec();
    times.sort_unstable();
    let mut kept: Vec<Millis> = Vec::with_capacity(times.len());
    for time in times {
        if kept.last().is_none_or(|last| time - last > ONE_CALL) {
            kept.push(time);
        }
    }
    let (&first, &last) = (kept.first()?, kept.last()?);
    if kept.len() < CANDIDATE_CALLS {
        return None;
    }
    let gaps: Vec<i64> = kept.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let period = middle(&gaps)?;
    if period < SHORTEST {
        return None;
    }
    let off: Vec<i64> = gaps.iter().map(|gap| (gap - period).abs()).collect();
    let jitter = middle(&off)? as f64 / period as f64;
    let near = off.iter().filter(|off| **off * 2 <= period).count();
    let regular = near as f64 >= REGULAR * gaps.len() as f64;
    (jitter <= MOST_JITTER && regular).then_some(Rhythm {
        calls: kept.len(),
        period,
        jitter,
        first,
        last,
    })
}

/// Returns the median; the lower of the two middle values if there is an even number of them. `None` if there are none.
fn middle(values: &[i64]) -> Option<i64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// Sorts by the number of calls, the most first.
fn sort(found: &mut [Beacon]) {
    type Order<'a> = (Option<&'a [u8]>, &'a [u8], Option<&'a [u8]>, IpAddr, u16, u8);
    fn order(beacon: &Beacon) -> Order<'_> {
        let (address, port) = beacon.foreign;
        let program = &beacon.program;
        (
            program.path.as_deref(),
            &program.name,
            beacon.script.as_deref(),
            address,
            port,
            beacon.protocol as u8,
        )
    }
    found.sort_by(|a, b| {
        let calls = b.rhythm.calls.cmp(&a.rhythm.calls);
        calls.then_with(|| order(a).cmp(&order(b)))
    });
}

/// Returns the rhythms in the flows passed by `each` that began at `since` or later. With `candidates`, those that have
/// not yet lasted long enough are included. Time servers are left out.
///
/// # Errors
/// Returns the error of `each`, if any.
pub fn collect_rhythms(
    since: Millis,
    candidates: bool,
    each: impl FnOnce(&mut dyn FnMut(Flow) -> ControlFlow<()>) -> Result<(), StoreError>,
) -> Result<Vec<Beacon>, StoreError> {
    let judge = if candidates { CANDIDATE.judge } else { BEACON.judge };
    let mut found = of_flows(since, judge, each)?;
    sort(&mut found);
    Ok(found)
}

/// The minimum number and duration of calls, and the function that judges them.
#[derive(Clone, Copy, Debug)]
struct Least {
    calls: usize,
    spread: i64,
    judge: fn(&[Millis]) -> Option<Rhythm>,
}

const BEACON: Least = Least {
    calls: BEACON_CALLS,
    spread: BEACON_SPREAD,
    judge: rhythm,
};

const CANDIDATE: Least = Least {
    calls: CANDIDATE_CALLS,
    spread: 0,
    judge: candidate,
};

impl Reader {
    /// Returns the programs that have connected to a foreign side at regular intervals since `since`, ordered by the
    /// number of calls. Time servers are left out.
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn beacons(&mut self, since: Millis, filter: &Filter) -> Result<Vec<Beacon>, StoreError> {
        self.rhythms(since, filter, BEACON)
    }

    /// Like [`Reader::beacons`], but includes programs that have not yet connected often or long enough
    /// ([`Rhythm::is_beacon`]).
    ///
    /// # Errors
    /// Returns an error if SQLite does.
    pub fn beacon_candidates(&mut self, since: Millis, filter: &Filter) -> Result<Vec<Beacon>, StoreError> {
        self.rhythms(since, filter, CANDIDATE)
    }

    fn rhythms(&mut self, since: Millis, filter: &Filter, least: Least) -> Result<Vec<Beacon>, StoreError> {
        let mut found = match *filter == Filter::default() {
            true => self.all_rhythms(since, least)?,
            false => self.some_rhythms(since, filter, least)?,
        };
        sort(&mut found);
        Ok(found)
    }

    /// Returns the rhythms in all flows. The database counts the connections of each program to each foreign side, and
    /// only the times of those with enough calls are examined.
    fn all_rhythms(&mut self, since: Millis, least: Least) -> Result<Vec<Beacon>, StoreError> {
        // For `kind` see the schema. The conditions match those of `some_rhythms`.
        let calls = format!(
            "FROM flow f INDEXED BY flow_first JOIN process p ON p.id = f.process
             WHERE f.first >= ?1 AND f.kind >> 11 & 1 AND NOT (f.kind & 1 AND f.remote_port = {NTP})
               AND (f.kind >> 2 & 3 = 1 OR f.kind & 1 AND f.remote_port != 0 AND f.local_port > f.remote_port)"
        );
        type Key = (i64, Option<i64>, i64, u16, bool);
        let mut often: HashMap<Key, Vec<Millis>> = HashMap::new();
        {
            let text = format!(
                "SELECT p.program, p.script, f.remote, f.remote_port, f.kind & 1 {calls} GROUP BY 1, 2, 3, 4, 5
                 HAVING count(*) >= ?2 AND max(f.first) - min(f.first) >= ?3"
            );
            let mut statement = self.connection().prepare_cached(&text)?;
            let keys = statement.query_map(params![since, least.calls as i64, least.spread], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })?;
            for key in keys {
                often.insert(key?, Vec::new());
            }
        }
        if !often.is_empty() {
            let text = format!("SELECT p.program, p.script, f.remote, f.remote_port, f.kind & 1, f.first {calls}");
            let mut statement = self.connection().prepare_cached(&text)?;
            let mut rows = statement.query([since])?;
            while let Some(row) = rows.next()? {
                let key: Key = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
                if let Some(times) = often.get_mut(&key) {
                    times.push(row.get(5)?);
                }
            }
        }
        let mut found = Vec::new();
        for ((program, script, remote, port, udp), times) in often {
            let Some(rhythm) = (least.judge)(&times) else { continue };
            let bytes: Vec<u8> = self
                .connection()
                .prepare_cached("SELECT bytes FROM address WHERE id = ?1")?
                .query_row([remote], |row| row.get(0))?;
            let address = from_octets(&bytes).ok_or(StoreError::Damaged("an address of a wrong length"))?;
            self.watchdog.feed();
            found.push(Beacon {
                program: self.names.program(&self.connection, program)?,
                script: self.names.word(&self.connection, script)?,
                foreign: (address, port),
                protocol: if udp { Protocol::Udp } else { Protocol::Tcp },
                rhythm,
            });
        }
        Ok(found)
    }

    fn some_rhythms(&mut self, since: Millis, filter: &Filter, least: Least) -> Result<Vec<Beacon>, StoreError> {
        let question = Question {
            since: Some(since),
            filter: filter.clone(),
            ..Question::default()
        };
        of_flows(since, least.judge, |visit| self.flows(&question, visit))
    }
}

/// Returns the rhythms in the flows passed by `each`.
fn of_flows(
    since: Millis,
    judge: fn(&[Millis]) -> Option<Rhythm>,
    each: impl FnOnce(&mut dyn FnMut(Flow) -> ControlFlow<()>) -> Result<(), StoreError>,
) -> Result<Vec<Beacon>, StoreError> {
    type Calls = (Arc<Program>, Vec<Millis>);
    type Key = (i64, Option<Arc<[u8]>>, IpAddr, u16, Protocol, Vec<u8>);
    let mut calls: HashMap<Key, Calls> = HashMap::new();
    each(&mut |flow| {
        let called = flow.direction == Direction::Outgoing
            || (flow.protocol == Protocol::Udp && flow.foreign.1 != 0 && flow.local.1 > flow.foreign.1);
        let time = flow.protocol == Protocol::Udp && flow.foreign.1 == NTP;
        if called
            && !time
            && flow.begun
            && flow.first >= since
            && let Some(process) = &flow.process
        {
            let program = &process.program;
            let foreign = flow.foreign.0.to_canonical();
            let key = (
                program.id,
                process.script.clone(),
                foreign,
                flow.foreign.1,
                flow.protocol,
                // In a fleet each computer has a clock of its own.
                flow.boot.host.clone(),
            );
            let entry = calls.entry(key).or_insert_with(|| (Arc::clone(program), Vec::new()));
            entry.1.push(flow.first);
        }
        ControlFlow::Continue(())
    })?;
    let found = calls
        .into_iter()
        .filter_map(|((_, script, address, port, protocol, _), (program, times))| {
            Some(Beacon {
                program,
                script,
                foreign: (address, port),
                protocol,
                rhythm: judge(&times)?,
            })
        })
        .collect();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: i64 = 60_000;

    /// Returns a fixed sequence of pseudorandom numbers between 0 and 1.
    fn random(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        }
    }

    /// Returns calls with this interval, each shifted by up to `jitter` of it either way.
    fn calls(count: usize, gap: i64, jitter: f64) -> Vec<Millis> {
        let mut random = random(count as u64);
        let mut now = 0;
        let mut times = Vec::new();
        for _ in 0..count {
            times.push(now);
            now += gap + (gap as f64 * jitter * (2.0 * random() - 1.0)) as i64;
        }
        times
    }

    #[test]
    fn rhythm_of_regular_calls_is_a_beacon() {
        let found = rhythm(&calls(180, MINUTE, 0.0)).unwrap();
        assert_eq!((found.calls, found.period, found.jitter), (180, MINUTE, 0.0));
    }

    #[test]
    fn rhythm_of_jittered_calls_is_a_beacon() {
        for jitter in [0.05, 0.1, 0.3] {
            let found = rhythm(&calls(200, MINUTE, jitter)).unwrap_or_else(|| panic!("{jitter}"));
            assert!(found.jitter <= jitter && (found.period - MINUTE).abs() < MINUTE / 5);
        }
    }

    #[test]
    fn rhythm_with_a_few_missed_calls_is_still_a_beacon() {
        let mut times = calls(300, MINUTE, 0.05);
        times.retain(|time| time / MINUTE % 20 != 7);
        assert!(rhythm(&times).is_some());
    }

    #[test]
    fn rhythm_of_few_calls_or_short_time_is_no_beacon() {
        assert_eq!(rhythm(&calls(11, 30 * MINUTE, 0.0)), None);
        assert_eq!(rhythm(&calls(60, MINUTE, 0.0)), None, "one hour");
        assert_eq!(rhythm(&calls(5000, 3_000, 0.0)), None, "every three seconds");
        assert_eq!(rhythm(&[]), None);
        // Ten calls in 90 seconds make a candidate.
        assert!(candidate(&calls(10, 10_000, 0.0)).is_some_and(|found| !found.is_beacon()));
        assert_eq!(candidate(&calls(9, 10_000, 0.0)), None);
    }

    /// A web page that a person reads: bursts of connections, and nothing in between.
    #[test]
    fn rhythm_of_person_reading_web_pages_is_no_beacon() {
        let mut random = random(7);
        let mut now = 0;
        let mut times = Vec::new();
        for _ in 0..40 {
            for _ in 0..(1.0 + random() * 12.0) as i64 {
                times.push(now);
                now += (random() * random() * 90_000.0) as i64;
            }
            now += (random() * 40.0 * MINUTE as f64) as i64;
        }
        assert_eq!(rhythm(&times), None);
    }

    /// A page that polls every 30 seconds while its tab is visible, over connections that the server keeps open
    /// for a few requests.
    #[test]
    fn rhythm_of_page_polling_over_kept_connections_is_no_beacon() {
        let mut random = random(3);
        let mut now = 0;
        let mut times = Vec::new();
        for _ in 0..60 {
            times.push(now);
            // The number of requests until the connection is closed; sometimes the tab is in the background.
            let questions = 1 + (random() * 20.0) as i64;
            let pause = if random() < 0.3 {
                (random() * 30.0 * MINUTE as f64) as i64
            } else {
                0
            };
            now += questions * 30_000 + pause;
        }
        assert_eq!(rhythm(&times), None);
    }

    /// Both implementations must find the same calls: with a filter that accepts everything, and without one.
    #[test]
    fn beacons_counted_by_database_equal_those_found_with_filter() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record.db");
        let mut writer = crate::Writer::open(&path, b"mill", "boot").unwrap();
        let mut batch = writer.batch().unwrap();
        let facts = |name: &str| crate::NewProcess {
            path: Some(format!("/usr/bin/{name}").into_bytes()),
            name: name.as_bytes().to_vec(),
            unit: None,
            container: None,
            command: None,
            ..crate::NewProcess::default()
        };
        let first = batch.process(7, Some(1), &facts("a")).unwrap();
        // Another process of the same program.
        let second = batch.process(8, Some(2), &facts("a")).unwrap();
        let scripted = crate::NewProcess {
            script: Some(b"/srv/b.py".to_vec()),
            ..facts("b")
        };
        let other = batch.process(9, Some(3), &scripted).unwrap();
        let mut number = random(11);
        let unknown = netstat_model::Why::NotKept;
        for call in 0..2_000i64 {
            let begun = number() < 0.95;
            let udp = number() < 0.3;
            let port = [443, 80, NTP, 40_001][(number() * 4.0) as usize];
            let process = [first, second, other][(number() * 3.0) as usize];
            let incoming = number() < 0.2;
            let mapped = number() < 0.2;
            let foreign: IpAddr = [203, 0, 113, (number() * 3.0) as u8].into();
            let flow = crate::NewFlow {
                first: call * 30_000,
                span: 100,
                closed: true,
                begun,
                protocol: if udp { Protocol::Udp } else { Protocol::Tcp },
                family: if mapped {
                    netstat_model::Family::V6
                } else {
                    netstat_model::Family::V4
                },
                local: ([10, 0, 0, 1].into(), 40_000),
                foreign: match (mapped, foreign) {
                    (true, IpAddr::V4(v4)) => (v4.to_ipv6_mapped().into(), port),
                    _ => (foreign, port),
                },
                direction: match (incoming, udp) {
                    (true, _) => Direction::Incoming,
                    (_, true) => Direction::Unknown,
                    _ => Direction::Outgoing,
                },
                state: netstat_model::State::Established,
                origin: netstat_model::EventOrigin::Trace,
                process: Some(process),
                user: netstat_model::Fact::Unknown(unknown),
                namespace: netstat_model::Fact::Unknown(unknown),
                sent: netstat_model::Fact::Unknown(unknown),
                received: netstat_model::Fact::Unknown(unknown),
                retransmits: netstat_model::Fact::Unknown(unknown),
                rtt: netstat_model::Fact::Unknown(unknown),
                asked_name: None,
            };
            batch.insert(&flow, None).unwrap();
            // A clock in addition to all that.
            if call % 20 == 0 {
                let clock = crate::NewFlow {
                    foreign: ([203, 0, 113, 77].into(), 8443),
                    begun: true,
                    protocol: Protocol::Tcp,
                    direction: Direction::Outgoing,
                    process: Some(first),
                    ..flow
                };
                batch.insert(&clock, None).unwrap();
            }
        }
        batch.commit().unwrap();
        let mut reader = Reader::open(&path).unwrap();
        let mut everything = Filter::default();
        everything.programs.add("*".parse().unwrap());
        for since in [0, 30_000_000] {
            let counted = reader.beacons(since, &Filter::default()).unwrap();
            assert_eq!(counted, reader.beacons(since, &everything).unwrap());
            assert_eq!(
                reader.beacon_candidates(since, &Filter::default()).unwrap(),
                reader.beacon_candidates(since, &everything).unwrap()
            );
            let clocks = counted.iter().filter(|beacon| beacon.foreign.1 == 8443).count();
            assert!(clocks > 0, "{counted:#?}");
        }
    }

    proptest! {
        #[test]
        fn rhythm_of_any_times_is_judged_in_either_order(times in proptest::collection::vec(-1_000_000_000_000i64..1_000_000_000_000, 0..60)) {
            let found = rhythm(&times);
            let mut backwards = times.clone();
            backwards.reverse();
            prop_assert_eq!(found, rhythm(&backwards));
        }
    }
}
