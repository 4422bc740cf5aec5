//! What the computer and its processes have used so far.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netstat_model::counters::InterfaceStatistics;
use netstat_model::metrics::{
    CpuMetrics, CpuTimes, Disk, Memory, Metrics, Pressures, ProcessIdentity, ProcessKey, ProcessMetrics, ProcessState,
    SystemMetrics,
};
use netstat_model::{Component, Fact, Limit, Why, text::plain_error};

use super::processes::{self, ProcessEntry, SYSTEM};
use super::source::Source;
use super::{disks, interfaces, owners, services, time};
use crate::MetricsAsk;

/// Remembers what changes seldom about each process.
#[derive(Debug, Default)]
pub(super) struct Figures {
    known: HashMap<ProcessKey, Arc<ProcessIdentity>>,
}

impl Figures {
    /// Reads everything; `started` is the zero of the readings' clock.
    pub(super) fn read(&mut self, source: &mut impl Source, ask: &MetricsAsk, started: Instant) -> Metrics {
        let mut limits = Vec::new();
        let system = system(source, started, &mut limits);
        let processes = match ask.processes {
            false => Fact::Unknown(Why::NotAsked),
            true => self.processes(source, started, &mut limits),
        };
        Metrics {
            system,
            processes,
            ticks_per_second: time::TICKS_PER_SECOND,
            at: started.elapsed(),
            limits,
        }
    }

    fn processes(
        &mut self,
        source: &mut impl Source,
        started: Instant,
        limits: &mut Vec<Limit>,
    ) -> Fact<Vec<ProcessMetrics>> {
        let read = source.processes().map_err(|error| plain_error(&error));
        let list = match read.and_then(|buffer| processes::processes(&buffer).map_err(|error| plain_error(&error))) {
            Ok(list) => list,
            Err(why) => {
                limits.push(limit("processes are missing", why));
                return Fact::Unknown(Why::Failed);
            }
        };
        let at = started.elapsed();
        let services = source
            .services()
            .ok()
            .and_then(|(buffer, count)| services::by_process(&buffer, count).ok());
        let drives = source.drives();
        let mut known = HashMap::with_capacity(list.len());
        let mut found = Vec::with_capacity(list.len());
        // Id 0 is the time in which processors had nothing to do, and no process.
        for entry in list.iter().filter(|entry| entry.pid != 0) {
            let key = ProcessKey {
                pid: entry.pid,
                start_ticks: entry.created,
            };
            let identity = self.known.remove(&key).unwrap_or_else(|| {
                let services = services.as_ref().and_then(|services| services.get(&entry.pid));
                Arc::new(identity(source, entry, services, &drives))
            });
            known.insert(key, Arc::clone(&identity));
            found.push(metrics(entry, key, at, identity));
        }
        self.known = known;
        Fact::Known(found)
    }
}

fn limit(what: &str, why: String) -> Limit {
    Limit {
        what: what.to_owned(),
        why,
        remedy: None,
    }
}

fn identity(
    source: &mut impl Source,
    entry: &ProcessEntry,
    services: Option<&Vec<Vec<u8>>>,
    drives: &[(Vec<u16>, Vec<u16>)],
) -> ProcessIdentity {
    let components = match services {
        Some(names) => names
            .iter()
            .map(|name| Component::Service { name: name.clone() })
            .collect(),
        None => Vec::new(),
    };
    let command = match source.command_line(entry.pid) {
        // Each argument ends in a zero byte, as elsewhere; at most 512 bytes.
        Ok(line) => {
            let mut text = super::arguments::split(&line).join(&0);
            text.truncate(511);
            text.push(0);
            Fact::Known(text.into_boxed_slice())
        }
        Err(why) => Fact::Unknown(why),
    };
    ProcessIdentity {
        comm: entry.name.clone().into(),
        image: owners::image(source, entry.pid, Some(entry), drives),
        command,
        components: Fact::Known(components),
        user: Fact::Unknown(Why::NotApplicable),
    }
}

fn metrics(entry: &ProcessEntry, key: ProcessKey, at: Duration, identity: Arc<ProcessIdentity>) -> ProcessMetrics {
    ProcessMetrics {
        key,
        at,
        parent: entry.parent,
        // Whether its threads run is not asked: a process of Windows has no state of its own.
        state: ProcessState::Other(b'-'),
        threads: entry.threads,
        kernel: entry.pid == SYSTEM,
        cpu_ticks: entry.user_time.saturating_add(entry.kernel_time),
        minor_faults: u64::from(entry.faults.saturating_sub(entry.hard_faults)),
        major_faults: entry.hard_faults.into(),
        resident: Fact::Known(entry.working_set),
        shareable: match entry.private_working_set {
            0 => Fact::Unknown(Why::NotKept),
            private => Fact::Known(entry.working_set.saturating_sub(private)),
        },
        private: match (entry.private_working_set, entry.private) {
            (0, 0) => Fact::Unknown(Why::NotKept),
            (0, private) | (private, _) => Fact::Known(private),
        },
        swapped: Fact::Unknown(Why::NotKept),
        read_bytes: Fact::Known(entry.read_bytes),
        written_bytes: Fact::Known(entry.written_bytes),
        identity,
    }
}

fn system(source: &mut impl Source, started: Instant, limits: &mut Vec<Limit>) -> SystemMetrics {
    let cpu = match source.processors() {
        Ok(groups) => cpu(&groups),
        Err(error) => {
            limits.push(limit("the processors' times are missing", plain_error(&error)));
            Fact::Unknown(Why::Failed)
        }
    };
    let memory = match source.memory() {
        Ok(status) => Memory {
            total: Fact::Known(status.total),
            // Windows tells what is available as a whole: free, zeroed and standby pages.
            free: Fact::Known(status.available.saturating_sub(status.cache.unwrap_or(0))),
            available: Fact::Known(status.available),
            cached: match status.cache {
                Some(cache) => Fact::Known(cache.min(status.available)),
                None => Fact::Known(0),
            },
            shared: Fact::Unknown(Why::NotKept),
            dirty: Fact::Unknown(Why::NotKept),
            swap_total: Fact::Known(status.commit_limit.saturating_sub(status.total)),
            swap_free: Fact::Unknown(Why::NotKept),
        },
        Err(error) => {
            limits.push(limit("the figures of the memory are missing", plain_error(&error)));
            Memory::unknown(Why::Failed)
        }
    };
    SystemMetrics {
        at: started.elapsed(),
        cpu,
        memory,
        pressure: Pressures {
            cpu: Fact::Unknown(Why::NotKept),
            memory: Fact::Unknown(Why::NotKept),
            io: Fact::Unknown(Why::NotKept),
        },
        disks: disks(source, limits),
        interfaces: interface_statistics(source, started, limits),
        tcp_connections: tcp_connections(source),
        uptime: Fact::Known(source.since_boot()),
    }
}

fn cpu(groups: &[Vec<u8>]) -> Fact<CpuMetrics> {
    let mut cores = Vec::new();
    let mut total = CpuTimes::default();
    for group in groups {
        let Ok(times) = processes::processors(group) else {
            return Fact::Unknown(Why::Failed);
        };
        for times in times {
            let times = CpuTimes {
                user: times.user,
                system: times.kernel,
                idle: times.idle,
                waiting: 0,
                stolen: 0,
            };
            total.user += times.user;
            total.system += times.system;
            total.idle += times.idle;
            cores.push((cores.len() as u32, times));
        }
    }
    match cores.is_empty() {
        true => Fact::Unknown(Why::Failed),
        false => Fact::Known(CpuMetrics { total, cores }),
    }
}

fn disks(source: &mut impl Source, limits: &mut Vec<Limit>) -> Fact<Vec<Disk>> {
    match source.disks() {
        // One that came out in between, or answers with less, has no row.
        Ok(answers) => Fact::Known(answers.iter().filter_map(|answer| disks::disk(answer).ok()).collect()),
        Err(error) if super::source::is_not_supported(&error) => Fact::Unknown(Why::NotSupported),
        Err(error) => {
            limits.push(limit("the figures of the disks are missing", plain_error(&error)));
            Fact::Unknown(crate::files::why(&error))
        }
    }
}

/// The connections of both families in ESTABLISHED or CLOSE_WAIT.
fn tcp_connections(source: &mut impl Source) -> Fact<u64> {
    use netstat_model::{Family, State};
    let mut count = 0;
    for family in [Family::V4, Family::V6] {
        let Ok(table) = source.tcp_table(family) else {
            return Fact::Unknown(Why::Failed);
        };
        let read = super::connections::tcp(&table, family, &mut |row| {
            count += u64::from(matches!(row.state, State::Established | State::CloseWait));
        });
        if read.is_err() {
            return Fact::Unknown(Why::Failed);
        }
    }
    Fact::Known(count)
}

/// The counters of the interfaces.
pub(super) fn interface_statistics(
    source: &mut impl Source,
    started: Instant,
    limits: &mut Vec<Limit>,
) -> InterfaceStatistics {
    let read = source.interfaces().map_err(|error| plain_error(&error));
    let interfaces = match read.and_then(|table| interfaces::interfaces(&table).map_err(|error| plain_error(&error))) {
        Ok(mut rows) => {
            rows.sort_by_key(|row| row.interface.index);
            Fact::Known(rows.into_iter().map(|row| row.counters).collect())
        }
        Err(why) => {
            limits.push(limit("the counters of the interfaces are missing", why));
            Fact::Unknown(Why::Failed)
        }
    };
    InterfaceStatistics {
        at: started.elapsed(),
        interfaces,
    }
}
