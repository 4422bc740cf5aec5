//! Rates between two readings. As in [`crate::counters::diff`], a counter that went backwards has no rate, nor do two
//! readings at the same time.

use std::time::Duration;

use super::{CpuTimes, Disk, Pressure, ProcessMetrics, SystemMetrics};
use crate::counters::InterfaceRates;
use crate::counters::diff::per_second;
use crate::{Fact, Why};

/// The rates of the computer as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct SystemRates {
    /// The shares of all processors together.
    pub cpu: Fact<CpuShares>,
    /// The shares of each processor in the current reading, with its number.
    pub cores: Vec<(u32, Fact<CpuShares>)>,
    /// The share of the time, from 0 to 1, during which some task waited for a processor.
    pub cpu_pressure: Fact<f64>,
    /// The share of the time, from 0 to 1, during which some task waited for memory.
    pub memory_pressure: Fact<f64>,
    /// The share of the time, from 0 to 1, during which some task waited for I/O.
    pub io_pressure: Fact<f64>,
    /// The rates of each disk in the current reading, in its order.
    pub disks: Vec<DiskRates>,
    /// The rates of the network interfaces.
    pub interfaces: InterfaceRates,
}

/// How a processor spent its time, as shares from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuShares {
    /// Not available to others: the sum of the next three shares.
    pub busy: f64,
    /// In user space.
    pub user: f64,
    /// In the kernel.
    pub system: f64,
    /// Stolen by the host of a virtual machine.
    pub stolen: f64,
    /// Idle while a task waited for a disk.
    pub waiting: f64,
}

/// The rates of one disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiskRates {
    /// Bytes read per second.
    pub read: Fact<f64>,
    /// Bytes written per second.
    pub written: Fact<f64>,
    /// The share of the time, from 0 to 1, during which a request was in progress.
    pub active: Fact<f64>,
    /// The average number of requests in progress.
    pub queue: Fact<f64>,
    /// The average time from the start of a request to its completion, in milliseconds. Unknown if none was completed.
    pub response: Fact<f64>,
}

impl DiskRates {
    const fn unknown(why: Why) -> Self {
        DiskRates {
            read: Fact::Unknown(why),
            written: Fact::Unknown(why),
            active: Fact::Unknown(why),
            queue: Fact::Unknown(why),
            response: Fact::Unknown(why),
        }
    }
}

impl SystemRates {
    /// Computes the rates from `previous` to `current`. Without a previous reading all are unknown.
    pub fn between(previous: Option<&SystemMetrics>, current: &SystemMetrics) -> Self {
        let elapsed = previous.map_or(Duration::ZERO, |old| current.at.checked_sub(old.at).unwrap_or_default());
        let old_cpu = previous.and_then(|old| old.cpu.as_ref().known());
        let (cpu, cores) = match &current.cpu {
            Fact::Known(now) => {
                let core = |(number, times): &(u32, CpuTimes)| {
                    let old = old_cpu.and_then(|old| old.cores.iter().find(|(known, _)| known == number));
                    (*number, shares(old.map(|(_, times)| times), times))
                };
                (
                    shares(old_cpu.map(|old| &old.total), &now.total),
                    now.cores.iter().map(core).collect(),
                )
            }
            Fact::Unknown(why) => (Fact::Unknown(*why), Vec::new()),
        };
        let stalled = |pressure: fn(&SystemMetrics) -> Fact<Pressure>| {
            let total = |figures| pressure(figures).map(|pressure| pressure.some.total);
            let before = previous.map_or(Fact::Unknown(Why::NotApplicable), total);
            // Microseconds per second.
            per_second(before, total(current), elapsed).map(|rate| (rate / 1e6).min(1.0))
        };
        let old_disks = previous.and_then(|old| old.disks.as_ref().known());
        let disks = current.disks.as_ref().known().map_or(&[][..], Vec::as_slice);
        SystemRates {
            cpu,
            cores,
            cpu_pressure: stalled(|figures| figures.pressure.cpu),
            memory_pressure: stalled(|figures| figures.pressure.memory),
            io_pressure: stalled(|figures| figures.pressure.io),
            disks: disks
                .iter()
                .map(|disk| disk_rates(old_disks.and_then(|old| same_disk(old, disk)), disk, elapsed))
                .collect(),
            interfaces: InterfaceRates::between(previous.map(|old| &old.interfaces), &current.interfaces),
        }
    }
}

/// Returns the shares of the time that passed for this processor, which is the sum of all its ticks.
fn shares(old: Option<&CpuTimes>, now: &CpuTimes) -> Fact<CpuShares> {
    let Some(old) = old else {
        return Fact::Unknown(Why::NotApplicable);
    };
    // Idle and waiting times may decrease slightly (proc_stat(5)); they then count as unchanged.
    let change = |part: fn(&CpuTimes) -> u64| part(now).saturating_sub(part(old)) as f64;
    let (user, system, stolen) = (change(|t| t.user), change(|t| t.system), change(|t| t.stolen));
    let waiting = change(|t| t.waiting);
    let total = user + system + stolen + waiting + change(|t| t.idle);
    if total == 0.0 {
        return Fact::Unknown(Why::Failed);
    }
    Fact::Known(CpuShares {
        busy: (user + system + stolen) / total,
        user: user / total,
        system: system / total,
        stolen: stolen / total,
        waiting: waiting / total,
    })
}

/// Returns the earlier reading of the same disk. Numbers and names are reused after a device is gone, so both must
/// match.
fn same_disk<'a>(old: &'a [Disk], disk: &Disk) -> Option<&'a Disk> {
    old.iter()
        .find(|old| old.number == disk.number && old.name == disk.name)
}

fn disk_rates(old: Option<&Disk>, now: &Disk, elapsed: Duration) -> DiskRates {
    let Some(old) = old else {
        return DiskRates::unknown(Why::NotApplicable);
    };
    let rate = |part: fn(&Disk) -> u64| per_second(Fact::Known(part(old)), Fact::Known(part(now)), elapsed);
    DiskRates {
        read: rate(|disk| disk.read_bytes),
        written: rate(|disk| disk.written_bytes),
        // Milliseconds per second. The kernel adds in clock ticks, so the sum may slightly exceed the elapsed time.
        active: rate(|disk| disk.active).map(|rate| (rate / 1e3).min(1.0)),
        queue: rate(|disk| disk.weighted).map(|rate| rate / 1e3),
        // The time summed over all requests, divided by the number of completed ones (like `await` of iostat(1)).
        response: match (rate(|disk| disk.weighted), rate(|disk| disk.reads + disk.writes)) {
            (Fact::Known(time), Fact::Known(ended)) if ended > 0.0 => Fact::Known(time / ended),
            (Fact::Known(_), Fact::Known(_)) => Fact::Unknown(Why::NotYet),
            (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
        },
    }
}

/// The rates of one process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProcessRates {
    /// Processor time per time: 1 is one processor fully used.
    pub cpu: Fact<f64>,
    /// Page faults that required reading from a disk, per second.
    pub major_faults: Fact<f64>,
    /// Page faults that did not, per second.
    pub minor_faults: Fact<f64>,
    /// Bytes read from storage per second.
    pub read: Fact<f64>,
    /// Bytes written to storage per second.
    pub written: Fact<f64>,
}

impl ProcessRates {
    /// Creates a value in which everything is unknown for the same reason.
    pub const fn unknown(why: Why) -> Self {
        ProcessRates {
            cpu: Fact::Unknown(why),
            major_faults: Fact::Unknown(why),
            minor_faults: Fact::Unknown(why),
            read: Fact::Unknown(why),
            written: Fact::Unknown(why),
        }
    }

    /// Computes the rates from `previous` to `current`. They are unknown unless both are readings of the same process.
    pub fn between(previous: Option<&ProcessMetrics>, current: &ProcessMetrics, ticks_per_second: u64) -> Self {
        let Some(old) = previous.filter(|old| old.key == current.key) else {
            return ProcessRates::unknown(Why::NotApplicable);
        };
        let elapsed = current.at.checked_sub(old.at).unwrap_or_default();
        let counted =
            |part: fn(&ProcessMetrics) -> u64| per_second(Fact::Known(part(old)), Fact::Known(part(current)), elapsed);
        ProcessRates {
            cpu: if ticks_per_second == 0 {
                Fact::Unknown(Why::Failed)
            } else {
                counted(|figures| figures.cpu_ticks).map(|ticks| ticks / ticks_per_second as f64)
            },
            major_faults: counted(|figures| figures.major_faults),
            minor_faults: counted(|figures| figures.minor_faults),
            read: per_second(old.read_bytes, current.read_bytes, elapsed),
            written: per_second(old.written_bytes, current.written_bytes, elapsed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{CpuMetrics, DiskKind, Memory, Pressures, ProcessIdentity, ProcessKey, ProcessState, Stalled};
    use super::*;
    use crate::counters::InterfaceStatistics;
    use proptest::prelude::*;

    fn system(at: u64, scale: u64) -> SystemMetrics {
        let times = CpuTimes {
            user: 10 * scale,
            system: 5 * scale,
            idle: 80 * scale,
            waiting: 4 * scale,
            stolen: scale,
        };
        let pressure = Fact::Known(Pressure {
            some: Stalled {
                ten_seconds: 0,
                total: 250_000 * scale,
            },
            full: Fact::Unknown(Why::NotKept),
        });
        SystemMetrics {
            at: Duration::from_secs(at),
            cpu: Fact::Known(CpuMetrics {
                total: times,
                cores: vec![(0, times), (3, times)],
            }),
            memory: Memory::unknown(Why::NotAsked),
            pressure: Pressures {
                cpu: pressure,
                memory: pressure,
                io: Fact::Unknown(Why::NotSupported),
            },
            disks: Fact::Known(vec![Disk {
                number: (8, 0),
                name: (*b"sda").into(),
                kind: Fact::Known(DiskKind::Whole),
                reads: scale,
                read_bytes: 4096 * scale,
                writes: 0,
                written_bytes: 512 * scale,
                in_flight: 3,
                active: 500 * scale,
                weighted: 2500 * scale,
            }]),
            interfaces: InterfaceStatistics {
                at: Duration::from_secs(at),
                interfaces: Fact::Unknown(Why::NotAsked),
            },
            tcp_connections: Fact::Known(1),
            uptime: Fact::Known(Duration::from_secs(at)),
        }
    }

    #[test]
    fn system_rates_of_first_reading_are_unknown() {
        let rates = SystemRates::between(None, &system(1, 1));
        assert_eq!(rates.cpu, Fact::Unknown(Why::NotApplicable));
        assert_eq!(rates.disks, [DiskRates::unknown(Why::NotApplicable)]);
        assert_eq!(rates.memory_pressure, Fact::Unknown(Why::NotApplicable));
    }

    #[test]
    fn system_rates_between_two_readings_are_computed() {
        let rates = SystemRates::between(Some(&system(10, 1)), &system(12, 3));
        let cpu = rates.cpu.known().unwrap();
        assert_eq!((cpu.busy, cpu.user, cpu.waiting), (0.16, 0.10, 0.04));
        assert_eq!(
            rates.cores.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
            [0, 3]
        );
        assert_eq!(rates.cpu_pressure, Fact::Known(0.25));
        assert_eq!(rates.io_pressure, Fact::Unknown(Why::NotSupported));
        let disk = rates.disks[0];
        assert_eq!((disk.read, disk.written), (Fact::Known(4096.0), Fact::Known(512.0)));
        assert_eq!((disk.active, disk.queue), (Fact::Known(0.5), Fact::Known(2.5)));
    }

    #[test]
    fn disk_rates_of_disk_with_other_name_are_unknown() {
        let mut now = system(12, 3);
        if let Fact::Known(disks) = &mut now.disks {
            disks[0].name = (*b"sdb").into();
        }
        let rates = SystemRates::between(Some(&system(10, 1)), &now);
        assert_eq!(rates.disks[0].read, Fact::Unknown(Why::NotApplicable));
    }

    fn process(pid: u32, start_ticks: u64, at: u64, count: u64) -> ProcessMetrics {
        ProcessMetrics {
            key: ProcessKey { pid, start_ticks },
            at: Duration::from_millis(at),
            parent: 1,
            state: ProcessState::Running,
            threads: 1,
            kernel: false,
            cpu_ticks: count,
            minor_faults: count,
            major_faults: 0,
            resident: Fact::Known(1),
            shareable: Fact::Known(1),
            private: Fact::Known(0),
            swapped: Fact::Known(0),
            read_bytes: Fact::Known(count * 10),
            written_bytes: Fact::Unknown(Why::NotPermitted),
            identity: Arc::new(ProcessIdentity {
                comm: (*b"x").into(),
                image: Fact::Unknown(Why::NotPermitted),
                command: Fact::Unknown(Why::NotPermitted),
                components: Fact::Unknown(Why::NotPermitted),
                user: Fact::Known(0),
            }),
        }
    }

    #[test]
    fn process_rates_of_reused_pid_are_unknown() {
        let old = process(7, 100, 0, 0);
        let rates = ProcessRates::between(Some(&old), &process(7, 100, 2000, 100), 100);
        assert_eq!((rates.cpu, rates.minor_faults), (Fact::Known(0.5), Fact::Known(50.0)));
        assert_eq!(
            (rates.read, rates.written),
            (Fact::Known(500.0), Fact::Unknown(Why::NotPermitted))
        );
        let other = ProcessRates::between(Some(&old), &process(7, 101, 2000, 100), 100);
        assert_eq!(other, ProcessRates::unknown(Why::NotApplicable));
    }

    proptest! {
        #[test]
        fn cpu_shares_of_any_times_lie_between_0_and_1(old: [u32; 5], now: [u32; 5]) {
            let times = |ticks: [u32; 5]| CpuTimes {
                user: ticks[0].into(),
                system: ticks[1].into(),
                idle: ticks[2].into(),
                waiting: ticks[3].into(),
                stolen: ticks[4].into(),
            };
            if let Fact::Known(shares) = shares(Some(&times(old)), &times(now)) {
                for share in [shares.busy, shares.user, shares.system, shares.stolen, shares.waiting] {
                    prop_assert!((0.0..=1.0000001).contains(&share), "{share}");
                }
            }
        }
    }
}
