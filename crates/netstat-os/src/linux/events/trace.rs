//! Events from the kernel's tracepoints: loads `bpf/events.bpf.c` and reads what it writes.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use netstat_model::{Event, Fact, Why, text::plain_error};

use super::record::{self, Clock};
use crate::UdpBytes;
use crate::linux::bpf::btf::Btf;
use crate::linux::bpf::kernel_btf::KernelBtf;
use crate::linux::bpf::object::{Object, ObjectError};
use crate::linux::bpf::ring::Ring;
use crate::linux::bpf::sys::{self, ElementMap, Map, Place};
use crate::linux::owners_ebpf::{TaskFile, Unavailable, load_fitted};

/// `bpf/events.bpf.c`, compiled; `cargo xtask bpf --check` proves it.
const OBJECT: &[u8] = include_bytes!("../../../bpf/events.bpf.o");

/// The maps of the object: settings, notes about TCP and UDP sockets, processes seen, the ring, processors at work.
const MAPS: usize = 6;
/// The ring's place among them.
const RING: usize = 4;

/// `struct settings`: bytes, and where its fields stand.
const SETTINGS_BYTES: usize = 40;
const NETNS_AT: usize = 16;
const CHANGES_AT: usize = 20;
const WAKE_AT: usize = 24;
const NESTED_AT: usize = 32;

/// One program of the object.
struct Part {
    section: &'static str,
    place: Place,
    attach_to: &'static str,
    /// The number of arguments that it was written for; `None` for a tracepoint.
    arguments: Option<usize>,
    /// The name an administrator sees in `bpftool prog`: 15 bytes at most.
    name: &'static str,
}

/// Without this one nothing is seen.
const STATES: Part = Part {
    section: "tp_btf/inet_sock_set_state",
    place: Place::Tracepoint,
    attach_to: "btf_trace_inet_sock_set_state",
    arguments: None,
    name: "netstat_state",
};

/// Takes the changes of state that happen while [`STATES`] is at work on the same processor.
const NESTED: Part = Part {
    section: "tp_btf/inet_sock_set_state.nested",
    place: Place::Tracepoint,
    attach_to: "btf_trace_inet_sock_set_state",
    arguments: None,
    name: "netstat_nested",
};

/// Reports the ends that neither has reported.
const ENDS: Part = Part {
    section: "tp_btf/tcp_destroy_sock",
    place: Place::Tracepoint,
    attach_to: "btf_trace_tcp_destroy_sock",
    arguments: None,
    name: "netstat_destroy",
};

/// These two show who uses an accepted connection, and are the only source for UDP. Since Linux 6.3.
const USES: [Part; 2] = [
    Part {
        section: "tp_btf/sock_send_length",
        place: Place::Tracepoint,
        attach_to: "btf_trace_sock_send_length",
        arguments: None,
        name: "netstat_send",
    },
    Part {
        section: "tp_btf/sock_recv_length",
        place: Place::Tracepoint,
        attach_to: "btf_trace_sock_recv_length",
        arguments: None,
        name: "netstat_receive",
    },
];

/// One of these shows who accepts, where the kernel can trace functions; its arguments changed in Linux 6.10.
const ACCEPTS: [Part; 2] = [
    Part {
        section: "fexit/inet_csk_accept",
        place: Place::Return,
        attach_to: "inet_csk_accept",
        arguments: Some(2),
        name: "netstat_accept",
    },
    Part {
        section: "fexit/inet_csk_accept.4",
        place: Place::Return,
        attach_to: "inet_csk_accept",
        arguments: Some(4),
        name: "netstat_accept",
    },
];

/// What was loaded beside the changes of states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sight {
    /// Sends and receives: owners of accepted connections at their first use, and UDP.
    pub(super) uses: bool,
    /// Accepts: owners of accepted connections at once.
    pub(super) accepts: bool,
}

/// What could not be kept, since loading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) events: u64,
    pub(super) owners: u64,
}

/// A program in the kernel that runs until this is dropped.
struct Attached {
    program: OwnedFd,
    _link: OwnedFd,
}

/// The loaded programs; dropping it takes them out of the kernel.
pub(super) struct Tracer {
    ring: Ring,
    settings: ElementMap,
    udp_notes: ElementMap,
    clock: Clock,
    sight: Sight,
    /// The program that sees changes of state.
    states: Attached,
    /// The one for what it was left out for, where that could be loaded too.
    nested: bool,
    /// Those whose being left out loses owners and bytes of UDP.
    uses: Vec<Attached>,
    /// What else runs until this is dropped.
    _others: Vec<Attached>,
    /// The number of missed state changes at the last count.
    missed: u64,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer")
            .field("sight", &self.sight)
            .finish_non_exhaustive()
    }
}

impl Tracer {
    /// Loads and attaches the programs. `namespace`: the inode of the only network namespace to watch. `changes`: every change
    /// of state.
    ///
    /// # Errors
    /// The reason why tracepoints cannot be used.
    pub(super) fn load(namespace: Option<u32>, changes: bool) -> Result<Self, Unavailable> {
        TaskFile::check()?;
        let types = KernelBtf::open().map_err(Unavailable::NoBtf)?;
        let kernel = Btf::parse(&types).map_err(|error| Unavailable::NoBtf(io::Error::other(error)))?;
        let unfit = |error: ObjectError| Unavailable::Kernel(plain_error(&error));
        let object = Object::parse(OBJECT, STATES.section).map_err(unfit)?;
        let mut maps = Vec::with_capacity(MAPS);
        for shape in object.maps() {
            maps.push(Map::create(*shape).map_err(Unavailable::of_map)?);
        }
        let descriptors: Vec<i32> = maps.iter().map(|map| map.descriptor().as_raw_fd()).collect();
        let fitted = |part: &Part| {
            let program = Object::parse(OBJECT, part.section).and_then(|object| {
                let mut program = object.fit(&kernel, part.attach_to)?;
                program.use_maps(&descriptors)?;
                Ok(program)
            });
            let program = program.map_err(unfit)?;
            if part.arguments.is_some() && part.arguments != program.arguments {
                return Err(Unavailable::Kernel(format!("{} takes other arguments", part.attach_to)));
            }
            let program = load_fitted(part.place, &program, part.name)?;
            let link = sys::attach(program.as_fd()).map_err(Unavailable::Attach)?;
            Ok(Attached { program, _link: link })
        };

        let ring_bytes = maps.get(RING).map_or(0, |map| map.shape().entries);
        let mut chosen = [0; SETTINGS_BYTES];
        chosen[NETNS_AT..][..4].copy_from_slice(&namespace.unwrap_or(0).to_ne_bytes());
        chosen[CHANGES_AT..][..4].copy_from_slice(&u32::from(changes).to_ne_bytes());
        chosen[WAKE_AT..][..4].copy_from_slice(&(ring_bytes / 4).to_ne_bytes());
        // The programs keep the two that are not read here, once they are loaded.
        let Ok([settings, _tcp_notes, udp_notes, _seen, ring, _running]) = <[Map; MAPS]>::try_from(maps) else {
            return Err(Unavailable::Kernel("the object file has other maps".to_owned()));
        };
        let settings = settings.into_elements().map_err(Unavailable::of_map)?;
        let udp_notes = udp_notes.into_elements().map_err(Unavailable::of_map)?;
        settings
            .put(&0u32.to_ne_bytes(), &chosen)
            .map_err(Unavailable::of_map)?;
        let ring = Ring::new(ring).map_err(Unavailable::Read)?;

        // Owners first, so that no connection is seen before its owner.
        let mut others: Vec<Attached> = ACCEPTS.iter().filter_map(|accept| fitted(accept).ok()).collect();
        let uses: Result<Vec<Attached>, Unavailable> = USES.iter().map(fitted).collect();
        let uses = uses.unwrap_or_default();
        let sight = Sight {
            uses: !uses.is_empty(),
            accepts: !others.is_empty(),
        };
        let nested = fitted(&NESTED).ok();
        let states = fitted(&STATES)?;
        let has_nested = nested.is_some();
        others.extend(nested.into_iter().chain(fitted(&ENDS).ok()));
        Ok(Tracer {
            ring,
            settings,
            udp_notes,
            clock: clock(),
            sight,
            states,
            nested: has_nested,
            uses,
            _others: others,
            missed: 0,
        })
    }

    /// What can be seen.
    pub(super) fn sight(&self) -> Sight {
        self.sight
    }

    /// Waits until the kernel has something urgent or much, at most `limit`.
    ///
    /// # Errors
    /// What `poll(2)` says.
    pub(super) fn wait(&self, limit: Duration) -> io::Result<()> {
        self.ring.wait(limit)
    }

    /// Shows everything written so far.
    pub(super) fn drain(&mut self, visit: &mut dyn FnMut(Event)) {
        self.clock = clock();
        let clock = self.clock;
        self.ring.drain(|bytes| {
            if let Some(event) = record::event(bytes, &clock) {
                visit(event);
            }
        });
    }

    /// What there was no room for, or slipped by.
    ///
    /// # Errors
    /// What `bpf(2)` says.
    pub(super) fn dropped(&mut self) -> io::Result<Dropped> {
        // In this order: what is missed in between counts as taken at the next look.
        let mut missed = sys::misses(self.states.program.as_fd())?;
        let value = self.settings.get(&0u32.to_ne_bytes())?.unwrap_or_default();
        if self.nested {
            missed = missed.saturating_sub(long_at(&value, NESTED_AT));
        }
        for one in &self.uses {
            missed += sys::misses(one.program.as_fd())?;
        }
        self.missed = self.missed.max(missed);
        Ok(Dropped {
            events: long_at(&value, 0) + self.missed,
            owners: long_at(&value, 8),
        })
    }

    /// Takes the count of a UDP socket that has ended; `None` when it was never used while being watched.
    pub(super) fn take_udp(&self, cookie: u64) -> Option<UdpBytes> {
        let key = cookie.to_ne_bytes();
        let note = self.udp_notes.get(&key).ok()??;
        let _ = self.udp_notes.remove(&key);
        Some(udp_bytes(&note))
    }

    /// The count of a UDP socket so far.
    pub(super) fn udp(&self, cookie: u64) -> Fact<UdpBytes> {
        if !self.sight.uses {
            return Fact::Unknown(Why::NotKept);
        }
        match self.udp_notes.get(&cookie.to_ne_bytes()) {
            Ok(Some(note)) => Fact::Known(udp_bytes(&note)),
            Ok(None) => Fact::Known(UdpBytes::default()),
            Err(_) => Fact::Unknown(Why::Failed),
        }
    }
}

/// The count in a `struct note`: when opened, owner (40 bytes), sent, received.
fn udp_bytes(note: &[u8]) -> UdpBytes {
    UdpBytes {
        sent: long_at(note, 48),
        received: long_at(note, 56),
    }
}

fn long_at(bytes: &[u8], at: usize) -> u64 {
    let mut long = [0; 8];
    if let Some(part) = bytes.get(at..at + 8) {
        long.copy_from_slice(part);
    }
    u64::from_ne_bytes(long)
}

/// How the kernel's clock and the time of day stand to each other now.
pub(super) fn clock() -> Clock {
    Clock {
        boot: std::time::SystemTime::now()
            .checked_sub(Duration::from_nanos(since_boot()))
            .unwrap_or(std::time::SystemTime::UNIX_EPOCH),
        tick: 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1),
    }
}

/// Nanoseconds since boot, time asleep included.
pub(super) fn since_boot() -> u64 {
    nanoseconds(rustix::time::ClockId::Boottime)
}

/// Nanoseconds since boot, with the time asleep and without it.
pub(super) fn boot_and_awake() -> (u64, u64) {
    (since_boot(), nanoseconds(rustix::time::ClockId::Monotonic))
}

fn nanoseconds(clock: rustix::time::ClockId) -> u64 {
    let now = rustix::time::clock_gettime(clock);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_testkit::skip;

    fn parts() -> impl Iterator<Item = &'static Part> {
        [&STATES, &NESTED, &ENDS].into_iter().chain(&USES).chain(&ACCEPTS)
    }

    /// An independent loader must come to the same instructions on the kernel that runs.
    #[cfg(not(target_arch = "x86"))]
    #[test]
    fn aya_relocates_to_the_same_instructions() {
        let Ok(types) = KernelBtf::open() else {
            return skip(
                "aya_relocates_to_the_same_instructions",
                "this kernel does not tell its types",
            );
        };
        let described = Btf::parse(&types).unwrap();
        let mut theirs = aya_obj::Object::parse(OBJECT).unwrap();
        let kernel = aya_obj::btf::Btf::from_sys_fs().unwrap();
        if let Err(error) = theirs.relocate_btf(&kernel) {
            return skip("BPF program", &error.to_string());
        }
        for part in parts() {
            let object = Object::parse(OBJECT, part.section).unwrap();
            let Ok(ours) = object.fit(&described, part.attach_to) else {
                skip(
                    "aya_relocates_to_the_same_instructions",
                    &format!("this kernel has no {}", part.attach_to),
                );
                continue;
            };
            let same = theirs.functions.values().any(|function| {
                let bytes: Vec<u8> = function
                    .instructions
                    .iter()
                    .flat_map(|one| {
                        let mut bytes = vec![one.code, one.dst_reg() | one.src_reg() << 4];
                        bytes.extend(one.off.to_ne_bytes());
                        bytes.extend(one.imm.to_ne_bytes());
                        bytes
                    })
                    .collect();
                bytes == ours.instructions
            });
            assert!(same, "{}", part.section);
        }
    }

    /// Where a kernel cannot trace functions, its verifier may still judge the program for the accept of its age.
    #[test]
    fn the_verifier_takes_the_program_for_accepts() {
        if let Err(error) = TaskFile::check() {
            return skip("BPF program", &error.to_string());
        }
        let types = KernelBtf::open().unwrap();
        let kernel = Btf::parse(&types).unwrap();
        let mut loaded = 0;
        for part in &ACCEPTS {
            let object = Object::parse(OBJECT, part.section).unwrap();
            let maps: Vec<Map> = object.maps().iter().map(|shape| Map::create(*shape).unwrap()).collect();
            let descriptors: Vec<i32> = maps.iter().map(|map| map.descriptor().as_raw_fd()).collect();
            let mut program = object.fit(&kernel, part.attach_to).unwrap();
            program.use_maps(&descriptors).unwrap();
            assert!(program.use_maps(&descriptors[..2]).is_err(), "a map is missing");
            if program.arguments == part.arguments {
                loaded += 1;
                match load_fitted(part.place, &program, part.name) {
                    Ok(_) => {}
                    // Some kernels take no program for a function at all.
                    Err(error @ Unavailable::Forbidden { .. }) => {
                        skip("the_verifier_takes_the_program_for_accepts", &error.to_string())
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
        assert_eq!(loaded, 1, "one of the two is for this kernel");
    }

    #[test]
    fn a_cut_object_is_an_error_at_every_length() {
        for part in parts() {
            for end in (0..OBJECT.len()).step_by(997) {
                assert!(Object::parse(&OBJECT[..end], part.section).is_err(), "{end} bytes");
            }
        }
    }
}
