//! Events from the kernel's tracepoints: loads `bpf/events.bpf.c` and reads its records.

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

/// The compiled `bpf/events.bpf.c`; `cargo xtask bpf --check` verifies it.
const OBJECT: &[u8] = include_bytes!("../../../bpf/events.bpf.o");

/// The number of maps in the object: settings, notes about TCP sockets, notes about UDP sockets, processes seen, the
/// ring buffer, running CPUs.
const MAPS: usize = 6;
/// The index of the ring buffer among them.
const RING: usize = 4;

/// `struct settings`: its size in bytes, and the offsets of its fields.
const SETTINGS_BYTES: usize = 40;
const NETNS_AT: usize = 16;
const CHANGES_AT: usize = 20;
const WAKE_AT: usize = 24;
const NESTED_AT: usize = 32;

/// A program of the object.
struct Part {
    section: &'static str,
    place: Place,
    attach_to: &'static str,
    /// The number of parameters that it was written for; `None` for a tracepoint.
    arguments: Option<usize>,
    /// The name that `bpftool prog` shows: at most 15 bytes.
    name: &'static str,
}

/// The state changes, without which nothing is seen.
const STATES: Part = Part {
    section: "tp_btf/inet_sock_set_state",
    place: Place::Tracepoint,
    attach_to: "btf_trace_inet_sock_set_state",
    arguments: None,
    name: "netstat_state",
};

/// Handles the state changes that happen while [`STATES`] is running on the same CPU.
const NESTED: Part = Part {
    section: "tp_btf/inet_sock_set_state.nested",
    place: Place::Tracepoint,
    attach_to: "btf_trace_inet_sock_set_state",
    arguments: None,
    name: "netstat_nested",
};

/// Reports the ends that neither of them has reported.
const ENDS: Part = Part {
    section: "tp_btf/tcp_destroy_sock",
    place: Place::Tracepoint,
    attach_to: "btf_trace_tcp_destroy_sock",
    arguments: None,
    name: "netstat_destroy",
};

/// These two show which process uses an accepted connection, and are the only source for UDP. Since Linux 6.3.
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

/// One of these shows which process accepts a connection, if the kernel can trace functions; its arguments changed in
/// Linux 6.10.
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

/// Which programs were loaded in addition to the state changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sight {
    /// Sends and receives: owners of accepted connections at their first use, and UDP.
    pub(super) uses: bool,
    /// Accepts: owners of accepted connections immediately.
    pub(super) accepts: bool,
}

/// What has been lost since loading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) events: u64,
    pub(super) owners: u64,
}

/// An attached program, which is detached on drop.
struct Attached {
    program: OwnedFd,
    _link: OwnedFd,
}

/// The loaded programs, which are unloaded on drop.
pub(super) struct Tracer {
    ring: Ring,
    settings: ElementMap,
    udp_notes: ElementMap,
    clock: Clock,
    sight: Sight,
    /// The program for state changes.
    states: Attached,
    /// Whether the program for state changes that the former misses was loaded as well.
    nested: bool,
    /// The programs for sends and receives; skipped runs of these lose owners and bytes of UDP.
    uses: Vec<Attached>,
    /// Other programs that run until this is dropped.
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
    /// Loads and attaches the programs. `namespace` is the inode of the only network namespace to watch, or `None` for
    /// all of them. `changes` is whether every state change is reported.
    ///
    /// # Errors
    /// Returns the reason why tracepoints cannot be used.
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
        // Once loaded, the programs keep the maps alive that are not read here.
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

    /// Returns which programs were loaded.
    pub(super) fn sight(&self) -> Sight {
        self.sight
    }

    /// Waits for at most `limit` until the kernel has something urgent, or much to report.
    ///
    /// # Errors
    /// Returns the error of poll(2).
    pub(super) fn wait(&self, limit: Duration) -> io::Result<()> {
        self.ring.wait(limit)
    }

    /// Passes everything written so far to `visit`.
    pub(super) fn drain(&mut self, visit: &mut dyn FnMut(Event)) {
        self.clock = clock();
        let clock = self.clock;
        self.ring.drain(|bytes| {
            if let Some(event) = record::event(bytes, &clock) {
                visit(event);
            }
        });
    }

    /// Returns what was lost because a buffer was full, or was missed.
    ///
    /// # Errors
    /// Returns the error of bpf(2).
    pub(super) fn dropped(&mut self) -> io::Result<Dropped> {
        // In this order: what is missed in between is counted the next time.
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

    /// Takes the byte counts of a UDP socket that has ended; `None` if it was never used while it was watched.
    pub(super) fn take_udp(&self, cookie: u64) -> Option<UdpBytes> {
        let key = cookie.to_ne_bytes();
        let note = self.udp_notes.get(&key).ok()??;
        let _ = self.udp_notes.remove(&key);
        Some(udp_bytes(&note))
    }

    /// Returns the byte counts of a UDP socket so far.
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

/// Reads the byte counts in a `struct note`: time of opening, owner (40 bytes), sent, received.
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

/// Returns the current relation between the kernel's clock and the wall clock.
pub(super) fn clock() -> Clock {
    Clock {
        boot: std::time::SystemTime::now()
            .checked_sub(Duration::from_nanos(since_boot()))
            .unwrap_or(std::time::SystemTime::UNIX_EPOCH),
        tick: 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1),
    }
}

/// Returns the nanoseconds since boot, including suspended time.
pub(super) fn since_boot() -> u64 {
    nanoseconds(rustix::time::ClockId::Boottime)
}

/// Returns the nanoseconds since boot, including and excluding suspended time.
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

    /// An independent loader must produce the same instructions for the running kernel.
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

    /// Even if a kernel cannot trace functions, its verifier may be able to check the program for that version of the
    /// accept function.
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
                    // Some kernels refuse all programs for functions.
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
