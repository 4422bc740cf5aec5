//! Creates a model from each sample, and remembers what averages need.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use netstat_model::counters::diff::per_second;
use netstat_model::metrics::rates::{ProcessRates, SystemRates};
use netstat_model::metrics::{DiskKind, ProcessIdentity, ProcessKey, ProcessMetrics};
use netstat_model::text::escape;
use netstat_model::{Fact, Why};

use super::flows::{Flows, weight};
use super::rows::{MOMENT, SHORT_WHILE};
use super::units::{unit_name, units};
use super::{DiskRow, InterfaceRow, Model, Presence, ProcessRow, ProcessText, Recent, TRAFFIC, Throughput, Whole};
use crate::sample::{Holder, Sample, Space};

/// The span of the longer average of processor time.
const MINUTE: Duration = Duration::from_secs(60);

/// Returns what distinguishes the processes of one program: the script of an interpreter, or another name by which the
/// program was called. Not escaped.
pub type LabelOf = fn(&ProcessIdentity) -> Option<Vec<u8>>;

/// Creates models from consecutive samples.
#[derive(Debug, Default)]
pub struct Modeler {
    label: Option<LabelOf>,
    previous: Option<Arc<Sample>>,
    number: u64,
    past: HashMap<ProcessKey, Past>,
    ended: Vec<(ProcessRow, Duration)>,
    flows: Flows,
}

/// The history of a process.
#[derive(Debug)]
struct Past {
    first: Duration,
    /// Whether the process started after the first sample.
    new: bool,
    /// The processor time in clock ticks at moments of the last minute.
    ticks: VecDeque<(Duration, u64)>,
    recent: Recent,
    /// When the process last used storage and the network.
    last_disk: Option<Duration>,
    last_network: Option<Duration>,
    identity: Arc<ProcessIdentity>,
    text: Arc<ProcessText>,
    seen: u64,
}

impl Modeler {
    /// Creates a modeler that shows the result of `label` beside the name of a program.
    pub fn with_label(label: Option<LabelOf>) -> Modeler {
        Modeler {
            label,
            ..Modeler::default()
        }
    }

    /// Returns the model of `sample`, which must be newer than all previous ones.
    pub fn model(&mut self, sample: &Arc<Sample>) -> Model {
        self.number += 1;
        let previous = self.previous.take();
        let at = sample.figures.at;
        let past = &self.past;
        self.flows.update(previous.as_deref(), sample, &|holder| match holder {
            Holder::Process(key) => past.get(key).map(|past| Arc::clone(&past.text.name)),
            Holder::None(_) | Holder::Pending => None,
        });
        let processes = self.processes(previous.as_deref(), sample);
        let rates = SystemRates::between(previous.as_ref().map(|old| &old.figures.system), &sample.figures.system);
        let disks = disks(sample, &rates);
        let whole = whole(sample, &rates, &disks, &processes);
        let interfaces = interfaces(sample, &rates);
        let model = Model {
            number: self.number,
            at,
            wall: sample.wall,
            whole,
            units: units(&processes),
            processes,
            sockets: self.flows.sockets(&sample.sockets),
            disks,
            disks_unknown: sample.figures.system.disks.as_ref().why(),
            interfaces,
            limits: sample.limits.clone(),
            users: Arc::clone(&sample.users),
            sockets_age: at.saturating_sub(sample.sockets_at),
        };
        self.previous = Some(Arc::clone(sample));
        model
    }

    fn processes(&mut self, previous: Option<&Sample>, sample: &Sample) -> Vec<ProcessRow> {
        let at = sample.figures.at;
        let now = sample.figures.processes.as_ref().known().map_or(&[][..], Vec::as_slice);
        let old = previous.and_then(|old| old.figures.processes.as_ref().known());
        let old = old.map_or(&[][..], Vec::as_slice);
        let ticks = sample.figures.ticks_per_second;
        let traffic = self.traffic_of_processes(sample);
        let mut rows = Vec::with_capacity(now.len() + self.ended.len());
        let mut before = old.iter().peekable();
        for figures in now {
            let mut known = None;
            while let Some(past) = before.next_if(|past| past.key.pid <= figures.key.pid) {
                if past.key == figures.key {
                    known = Some(past);
                }
            }
            let rates = ProcessRates::between(known, figures, ticks);
            let elapsed = known.map_or(Duration::ZERO, |past| figures.at.saturating_sub(past.at));
            let past = self.past_of(figures, previous.is_some(), sample);
            let traffic = traffic.get(&figures.key);
            let network = traffic.map_or(
                Throughput {
                    outbound: Fact::Known(0.0),
                    inbound: Fact::Known(0.0),
                },
                |traffic| traffic.rate,
            );
            past.recent.add(&rates, &network, weight(elapsed));
            past.note_use(&rates, &network, at);
            let lately = |last: Option<Duration>| last.is_some_and(|last| at.saturating_sub(last) < SHORT_WHILE);
            rows.push(ProcessRow {
                key: figures.key,
                text: Arc::clone(&past.text),
                identity: Arc::clone(&figures.identity),
                parent: figures.parent,
                user: figures.identity.user,
                state: figures.state,
                threads: figures.threads,
                kernel: figures.kernel,
                rates,
                cpu_average: past.average(figures, ticks),
                resident: figures.resident,
                shareable: figures.shareable,
                private: figures.private,
                swapped: figures.swapped,
                network,
                sockets: traffic.map_or(0, |traffic| traffic.sockets),
                recent: past.recent,
                used_disk: lately(past.last_disk),
                used_network: lately(past.last_network),
                presence: match past.new && at.saturating_sub(past.first) < MOMENT {
                    true => Presence::New,
                    false => Presence::Here,
                },
            });
        }
        self.bury(old, sample);
        self.ended.retain(|(_, ended)| at.saturating_sub(*ended) < MOMENT);
        rows.extend(self.ended.iter().map(|(row, _)| row.clone()));
        rows.sort_by_key(|row| row.key);
        rows.dedup_by_key(|row| row.key);
        rows
    }

    /// Returns the history of a process. Its texts are updated if it has executed another program.
    fn past_of(&mut self, figures: &ProcessMetrics, new: bool, sample: &Sample) -> &mut Past {
        let past = self.past.entry(figures.key).or_insert_with(|| Past {
            first: sample.figures.at,
            new,
            ticks: VecDeque::new(),
            recent: Recent::default(),
            last_disk: None,
            last_network: None,
            identity: Arc::clone(&figures.identity),
            text: Arc::new(text(&figures.identity, figures.kernel, sample, self.label)),
            seen: 0,
        });
        past.seen = self.number;
        if !Arc::ptr_eq(&past.identity, &figures.identity) && *past.identity != *figures.identity {
            past.text = Arc::new(text(&figures.identity, figures.kernel, sample, self.label));
            past.identity = Arc::clone(&figures.identity);
        }
        past
    }

    /// Keeps the processes that ended, to show them for a moment longer.
    fn bury(&mut self, old: &[ProcessMetrics], sample: &Sample) {
        let number = self.number;
        let ended = self
            .past
            .iter()
            .filter(|(_, past)| past.seen != number)
            .map(|(&key, _)| key);
        let mut ended: Vec<ProcessKey> = ended.collect();
        ended.sort_unstable();
        for key in ended {
            let Some(past) = self.past.remove(&key) else { continue };
            let Ok(place) = old.binary_search_by_key(&key, |figures| figures.key) else {
                continue;
            };
            let figures = &old[place];
            let none = Why::Gone;
            let row = ProcessRow {
                key,
                text: past.text,
                identity: Arc::clone(&figures.identity),
                parent: figures.parent,
                user: figures.identity.user,
                state: figures.state,
                threads: figures.threads,
                kernel: figures.kernel,
                rates: ProcessRates::unknown(none),
                cpu_average: Fact::Unknown(none),
                resident: figures.resident,
                shareable: figures.shareable,
                private: figures.private,
                swapped: figures.swapped,
                network: Throughput::unknown(none),
                sockets: 0,
                recent: past.recent,
                used_disk: past.last_disk.is_some(),
                used_network: past.last_network.is_some(),
                presence: Presence::Gone,
            };
            self.ended.push((row, sample.figures.at));
        }
    }

    /// Returns the traffic of the TCP connections of each process.
    fn traffic_of_processes(&self, sample: &Sample) -> HashMap<ProcessKey, Traffic> {
        let mut sums: HashMap<ProcessKey, Traffic> = HashMap::new();
        for (row, flow) in sample.sockets.iter().zip(self.flows.open()) {
            let Some(key) = row.process() else { continue };
            let sum = sums.entry(key).or_insert(Traffic {
                sockets: 0,
                // Listeners carry no data.
                rate: Throughput {
                    outbound: Fact::Known(0.0),
                    inbound: Fact::Known(0.0),
                },
                counted: false,
            });
            sum.sockets += 1;
            match (flow.sent, flow.received) {
                (Fact::Known(sent), Fact::Known(received)) => {
                    let old = match sum.counted {
                        true => sum.rate,
                        false => Throughput {
                            outbound: Fact::Known(0.0),
                            inbound: Fact::Known(0.0),
                        },
                    };
                    sum.counted = true;
                    sum.rate = Throughput {
                        outbound: old.outbound.map(|old| old + f64::from(sent)),
                        inbound: old.inbound.map(|old| old + f64::from(received)),
                    };
                }
                (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => {
                    if !sum.counted && why != Why::NotApplicable {
                        sum.rate = Throughput::unknown(why);
                    }
                }
            }
        }
        for (key, rate) in self.flows.ended() {
            let sum = sums.entry(*key).or_insert(Traffic {
                sockets: 0,
                rate: Throughput::unknown(Why::NotYet),
                counted: false,
            });
            let old = |part: Fact<f64>| part.known().filter(|_| sum.counted).unwrap_or(0.0);
            sum.rate = Throughput {
                outbound: Fact::Known(old(sum.rate.outbound) + rate[0]),
                inbound: Fact::Known(old(sum.rate.inbound) + rate[1]),
            };
            sum.counted = true;
        }
        sums
    }
}

struct Traffic {
    sockets: u32,
    rate: Throughput,
    /// Whether the traffic of at least one connection is counted.
    counted: bool,
}

impl Past {
    /// Notes that the process used a disk or the network at `at`.
    fn note_use(&mut self, rates: &ProcessRates, network: &Throughput, at: Duration) {
        let some = |fact: Fact<f64>| fact.known().is_some_and(|rate| rate > 0.0);
        if some(rates.read) || some(rates.written) {
            self.last_disk = Some(at);
        }
        if some(network.outbound) || some(network.inbound) {
            self.last_network = Some(at);
        }
    }

    /// Returns the average of the last minute, or of the time since the process was first seen.
    fn average(&mut self, figures: &ProcessMetrics, ticks_per_second: u64) -> Fact<f64> {
        while self.ticks.len() > 1 && figures.at.saturating_sub(self.ticks[1].0) >= MINUTE {
            self.ticks.pop_front();
        }
        let average = match self.ticks.front() {
            Some(&(then, ticks)) => per_second(
                Fact::Known(ticks),
                Fact::Known(figures.cpu_ticks),
                figures.at.saturating_sub(then),
            )
            .map(|rate| rate / ticks_per_second.max(1) as f64),
            None => Fact::Unknown(Why::NotApplicable),
        };
        // One entry per second suffices, however short the refresh interval is.
        let due = self
            .ticks
            .back()
            .is_none_or(|(last, _)| figures.at.saturating_sub(*last) >= Duration::from_millis(900));
        if due {
            self.ticks.push_back((figures.at, figures.cpu_ticks));
        }
        average
    }
}

impl Recent {
    fn add(&mut self, rates: &ProcessRates, network: &Throughput, weight: f32) {
        let average = |old: &mut f32, new: Fact<f64>| {
            // While a rate is unknown, the average is unchanged.
            if let Fact::Known(new) = new {
                *old += (new as f32 - *old) * weight;
            }
        };
        average(&mut self.cpu, rates.cpu);
        average(&mut self.read, rates.read);
        average(&mut self.written, rates.written);
        average(&mut self.sent, network.outbound);
        average(&mut self.received, network.inbound);
        average(&mut self.faults, rates.major_faults);
    }
}

fn text(identity: &ProcessIdentity, kernel: bool, sample: &Sample, label: Option<LabelOf>) -> ProcessText {
    let command = match &identity.command {
        Fact::Known(words) => {
            let words: Vec<u8> = words.iter().map(|&byte| if byte == 0 { b' ' } else { byte }).collect();
            escape(words.trim_ascii_end()).into()
        }
        Fact::Unknown(_) if kernel => "kernel thread".into(),
        Fact::Unknown(why) => format!("({})", why.words()).into(),
    };
    ProcessText {
        name: match label.and_then(|label| label(identity)) {
            Some(label) => format!("{} ({})", escape(identity.name()), escape(&label)).into(),
            None => escape(identity.name()).into(),
        },
        unit: unit_name(&identity.components),
        command,
        user: match identity.user {
            Fact::Known(user) => match sample.users.get(&user) {
                Some(name) => netstat_model::text::escape_str(name).into(),
                None => user.to_string().into(),
            },
            Fact::Unknown(_) => "-".into(),
        },
        deleted: identity.image.as_ref().known().is_some_and(|image| image.deleted),
    }
}

fn disks(sample: &Sample, rates: &SystemRates) -> Vec<DiskRow> {
    let disks = sample
        .figures
        .system
        .disks
        .as_ref()
        .known()
        .map_or(&[][..], Vec::as_slice);
    let shown = |disk: &&_| {
        let disk: &netstat_model::metrics::Disk = disk;
        disk.was_used() && disk.kind != Fact::Known(DiskKind::Partition)
    };
    disks
        .iter()
        .zip(&rates.disks)
        .filter(|(disk, _)| shown(disk))
        .map(|(disk, rates)| DiskRow {
            name: escape(&disk.name).into(),
            kind: disk.kind,
            rates: *rates,
            in_flight: disk.in_flight,
            free: space(sample, &disk.name, |space| space.available),
            size: space(sample, &disk.name, |space| space.total),
        })
        .collect()
}

/// Returns the total over the file systems on a disk and its partitions; unknown if none is mounted.
fn space(sample: &Sample, disk: &[u8], part: fn(&Space) -> u64) -> Fact<u64> {
    let disks = sample.metrics_of_disks();
    let belongs = |name: &[u8]| {
        // `sda1` is a partition of `sda`, `nvme0n1p1` of `nvme0n1`.
        name.strip_prefix(disk).is_some_and(|rest| {
            let digits = rest.strip_prefix(b"p").unwrap_or(rest);
            rest.is_empty() || (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
        })
    };
    let of_disk = sample.spaces.iter().filter(|space| {
        let device = disks.iter().find(|disk| disk.number == space.device);
        device.is_some_and(|device| belongs(&device.name))
    });
    let sizes: Vec<u64> = of_disk.map(part).collect();
    Fact::from_option((!sizes.is_empty()).then(|| sizes.iter().sum()), Why::NotApplicable)
}

fn interfaces(sample: &Sample, rates: &SystemRates) -> Vec<InterfaceRow> {
    let list = &sample.figures.system.interfaces.interfaces;
    let list = list.as_ref().known().map_or(&[][..], Vec::as_slice);
    list.iter()
        .zip(&rates.interfaces.each)
        .map(|(interface, rates)| {
            let bytes = rates.get(TRAFFIC);
            InterfaceRow {
                name: escape(&interface.name).into(),
                loopback: interface.loopback,
                rate: Throughput {
                    outbound: bytes.sent,
                    inbound: bytes.received,
                },
            }
        })
        .collect()
}

fn whole(sample: &Sample, rates: &SystemRates, disks: &[DiskRow], processes: &[ProcessRow]) -> Whole {
    let system = &sample.figures.system;
    let mut disk = match &system.disks {
        Fact::Known(_) => Throughput {
            outbound: Fact::Known(0.0),
            inbound: Fact::Known(0.0),
        },
        Fact::Unknown(why) => Throughput::unknown(*why),
    };
    let add = |sum: Fact<f64>, part: Fact<f64>| match (sum, part) {
        (Fact::Known(sum), Fact::Known(part)) => Fact::Known(sum + part),
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
    };
    let mut busiest: Fact<(Arc<str>, f64)> = Fact::Unknown(Why::NotApplicable);
    for row in disks {
        match row.kind {
            Fact::Known(DiskKind::Whole) => {
                disk = Throughput {
                    outbound: add(disk.outbound, row.rates.written),
                    inbound: add(disk.inbound, row.rates.read),
                };
            }
            Fact::Known(_) => continue,
            // It is not known whether this one counts.
            Fact::Unknown(why) => disk = Throughput::unknown(why),
        }
        if let Fact::Known(active) = row.rates.active
            && busiest.as_ref().known().is_none_or(|(_, most)| active > *most)
        {
            busiest = Fact::Known((Arc::clone(&row.name), active));
        }
    }
    let traffic = rates.interfaces.sum.get(TRAFFIC);
    let faults = processes.iter().filter_map(|row| row.rates.major_faults.known());
    Whole {
        cpu: rates.cpu,
        cores: rates.cores.clone(),
        memory: system.memory,
        pressure: [rates.cpu_pressure, rates.memory_pressure, rates.io_pressure],
        disk,
        busiest,
        network: Throughput {
            outbound: traffic.sent,
            inbound: traffic.received,
        },
        connections: system.tcp_connections,
        major_faults: faults.sum(),
        uptime: system.uptime,
    }
}
