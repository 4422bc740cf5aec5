//! Changes of TCP states with the process that caused them, from the kernel's tracepoint `sock/inet_sock_set_state` and
//! `bpf/states.bpf.c`. Meant for kernels on which [`super::trace`] cannot run. It requires Linux 4.16 and tracefs, but
//! no BTF.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use netstat_model::{Endpoint, ShortName, State, text::plain_error};

use super::record;
use crate::linux::bpf::object::{Object, ObjectError};
use crate::linux::bpf::perf::{PerfBuffers, attach_tracepoint};
use crate::linux::bpf::sys::{Map, MapShape, Place};
use crate::linux::owners_ebpf::{TaskFile, Unavailable, load_fitted};

/// The compiled `bpf/states.bpf.c`; `cargo xtask bpf --check` verifies it.
const OBJECT: &[u8] = include_bytes!("../../../bpf/states.bpf.o");
/// The name that `bpftool prog` shows: at most 15 bytes.
const NAME: &str = "netstat_owners";
/// The mount points of tracefs (`Documentation/trace/ftrace.rst`); the second one before Linux 4.1, and still
/// customary.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
const EVENT: &str = "events/sock/inet_sock_set_state";
/// The size of the start of a tracepoint's fields, which programs may not read and which is therefore not in a record.
const HIDDEN: usize = 8;
/// `struct change` of the program: the offset of the fields, and the total size in bytes.
const FIELDS_AT: usize = 48;
const CHANGE_BYTES: usize = 112;
const IPPROTO_TCP: u64 = 6;

/// A state change of a TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// In nanoseconds since boot, excluding suspended time (`CLOCK_MONOTONIC`).
    pub(super) time: u64,
    /// The kernel address of the socket, which identifies it during its lifetime and is never shown.
    pub(super) socket: u64,
    pub(super) before: State,
    pub(super) state: State,
    /// Port 0 if none has been chosen yet.
    pub(super) local: Endpoint,
    pub(super) foreign: Endpoint,
    /// The process that was running; it is that of the socket only if a system call caused the change.
    pub(super) current: Current,
}

/// The process that was running when the state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Current {
    /// The id in the initial PID namespace; 0 if no process was running.
    pub(super) pid: u32,
    pub(super) uid: u32,
    pub(super) cgroup: u64,
    /// The name of the thread.
    pub(super) comm: ShortName,
}

/// The layout of the tracepoint's fields, from the text of its `format` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Format {
    /// The offsets in the record's fields, and the sizes, of: skaddr, oldstate, newstate, sport, dport, family,
    /// protocol, saddr, daddr, saddr_v6, daddr_v6.
    places: [(usize, usize); 11],
    /// The end of the last field, in offsets of the tracepoint.
    end: usize,
}

impl Format {
    const NAMES: [&str; 11] = [
        "skaddr", "oldstate", "newstate", "sport", "dport", "family", "protocol", "saddr", "daddr", "saddr_v6",
        "daddr_v6",
    ];

    /// Parses a `format` file; `None` if a field is missing or has an invalid offset.
    fn parse(text: &str) -> Option<Format> {
        let mut found = HashMap::new();
        for line in text.lines().filter_map(|line| line.trim().strip_prefix("field:")) {
            let mut parts = line.split(';').map(str::trim);
            let declaration = parts.next()?;
            let name = declaration.split('[').next()?.rsplit([' ', '*']).next()?;
            let number = |part: Option<&str>, word: &str| part?.strip_prefix(word)?.parse::<usize>().ok();
            let offset = number(parts.next(), "offset:")?;
            let size = number(parts.next(), "size:")?;
            found.insert(name.to_owned(), (offset, size));
        }
        let mut places = [(0, 0); 11];
        let mut end = 0;
        for (place, name) in places.iter_mut().zip(Format::NAMES) {
            let (offset, size) = *found.get(name)?;
            let last = offset.checked_add(size)?;
            if offset < HIDDEN || last > HIDDEN + CHANGE_BYTES - FIELDS_AT {
                return None;
            }
            end = end.max(last);
            *place = (offset - HIDDEN, size);
        }
        let widths = places.map(|(_, size)| size);
        let known = widths[0] == 8 && widths[7..] == [4, 4, 16, 16] && widths[1..7].iter().all(|width| *width <= 8);
        known.then_some(Format { places, end })
    }

    /// Decodes a record of the program; `None` if it is not about a TCP socket over IPv4 or IPv6, or is truncated.
    fn change(&self, record: &[u8]) -> Option<Change> {
        // A sample may be padded.
        let record: &[u8; CHANGE_BYTES] = record.get(..CHANGE_BYTES)?.try_into().ok()?;
        let long = |at: usize| u64::from_ne_bytes(record[at..at + 8].try_into().unwrap_or_default());
        let fields = &record[FIELDS_AT..];
        let bytes = |field: usize| {
            let (at, size) = self.places[field];
            &fields[at..at + size]
        };
        let number = |field: usize| super::destroyed::number(bytes(field));
        if number(6) != IPPROTO_TCP {
            return None;
        }
        let endpoint = |port: usize, v4: usize, v6: usize| {
            let address = match number(5) {
                2 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes(v4)).ok()?)),
                10 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes(v6)).ok()?)),
                _ => return None,
            };
            let port = u16::try_from(number(port)).ok()?;
            // The tracepoint does not report the interface.
            Some(Endpoint {
                address,
                port,
                scope: 0,
            })
        };
        Some(Change {
            time: long(0),
            socket: number(0),
            before: record::state(u8::try_from(number(1)).ok()?)?,
            state: record::state(u8::try_from(number(2)).ok()?)?,
            local: endpoint(3, 7, 9)?,
            foreign: endpoint(4, 8, 10)?,
            current: Current {
                pid: (long(8) >> 32) as u32,
                uid: long(16) as u32,
                cgroup: long(24),
                comm: ShortName::new(&record[32..48]),
            },
        })
    }
}

/// The loaded program, which is unloaded on drop.
pub(super) struct StateChanges {
    buffers: PerfBuffers,
    format: Format,
    _program: OwnedFd,
    _event: OwnedFd,
}

impl std::fmt::Debug for StateChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateChanges").finish_non_exhaustive()
    }
}

impl StateChanges {
    /// Loads and attaches the program.
    ///
    /// # Errors
    /// Returns the reason why it cannot be used.
    pub(super) fn load() -> Result<Self, Unavailable> {
        TaskFile::check()?;
        let (id, format) = tracepoint()?;
        let unfit = |error: ObjectError| Unavailable::Kernel(plain_error(&error));
        // The kernel refuses a program that reads beyond the last field.
        let object = Object::parse(OBJECT, &format!("tracepoint/{}", format.end)).map_err(unfit)?;
        let [shape] = object.maps() else {
            return Err(Unavailable::Kernel("the object file has other maps".to_owned()));
        };
        let map = Map::create(MapShape {
            entries: possible_processors(),
            ..*shape
        })
        .map_err(Unavailable::of_map)?;
        let mut program = object.as_written();
        program.use_maps(&[map.descriptor().as_raw_fd()]).map_err(unfit)?;
        let buffers = PerfBuffers::new(map).map_err(Unavailable::Read)?;
        let program = load_fitted(Place::Classic, &program, NAME)?;
        let event = attach_tracepoint(id, program.as_fd()).map_err(Unavailable::Attach)?;
        Ok(StateChanges {
            buffers,
            format,
            _program: program,
            _event: event,
        })
    }

    /// Appends everything written so far to `changes`, ordered by time. Returns how many changes were lost because a
    /// buffer was full.
    pub(super) fn drain(&mut self, changes: &mut Vec<Change>) -> u64 {
        let format = self.format;
        let lost = self.buffers.drain(|record| changes.extend(format.change(record)));
        // Each CPU has a buffer of its own.
        changes.sort_by_key(|change| change.time);
        lost
    }
}

/// Returns the id and format of the tracepoint.
fn tracepoint() -> Result<(u64, Format), Unavailable> {
    let mut refused = None;
    for place in PLACES {
        let event = Path::new(place).join(EVENT);
        let id = match fs::read_to_string(event.join("id")) {
            Ok(id) => id,
            Err(error) => {
                refused.get_or_insert(error);
                continue;
            }
        };
        let format = fs::read_to_string(event.join("format")).map_err(no_tracefs)?;
        let id = id.trim().parse().ok();
        return id.zip(Format::parse(&format)).ok_or_else(|| {
            Unavailable::Kernel("the tracepoint sock/inet_sock_set_state has an unknown format".to_owned())
        });
    }
    Err(no_tracefs(refused.unwrap_or_else(|| io::ErrorKind::NotFound.into())))
}

fn no_tracefs(error: io::Error) -> Unavailable {
    let places = PLACES.join(" or ");
    let why = match error.kind() {
        io::ErrorKind::NotFound => "tracefs is not mounted".to_owned(),
        io::ErrorKind::PermissionDenied => "it may not be read".to_owned(),
        _ => plain_error(&error),
    };
    Unavailable::Kernel(format!("no tracepoint sock/inet_sock_set_state below {places}: {why}"))
}

/// Returns the number of possible CPUs: `/sys/devices/system/cpu/possible` contains a list such as `0-3`.
fn possible_processors() -> u32 {
    let possible = fs::read_to_string("/sys/devices/system/cpu/possible").ok();
    let last = possible.and_then(|text| text.trim().rsplit(['-', ',']).next()?.parse::<u32>().ok());
    match last {
        Some(last) => last.saturating_add(1),
        None => std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The format in Linux 6.1.
    const WIDE: &str = "name: inet_sock_set_state\nID: 1417\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
        \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
        \tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;\n\
        \tfield:int oldstate;\toffset:16;\tsize:4;\tsigned:1;\n\
        \tfield:int newstate;\toffset:20;\tsize:4;\tsigned:1;\n\
        \tfield:__u16 sport;\toffset:24;\tsize:2;\tsigned:0;\n\
        \tfield:__u16 dport;\toffset:26;\tsize:2;\tsigned:0;\n\
        \tfield:__u16 family;\toffset:28;\tsize:2;\tsigned:0;\n\
        \tfield:__u16 protocol;\toffset:30;\tsize:2;\tsigned:0;\n\
        \tfield:__u8 saddr[4];\toffset:32;\tsize:4;\tsigned:0;\n\
        \tfield:__u8 daddr[4];\toffset:36;\tsize:4;\tsigned:0;\n\
        \tfield:__u8 saddr_v6[16];\toffset:40;\tsize:16;\tsigned:0;\n\
        \tfield:__u8 daddr_v6[16];\toffset:56;\tsize:16;\tsigned:0;\n\n\
        print fmt: \"family=%s\"\n";

    /// The format in Linux 4.18.
    fn narrow() -> String {
        let mut text = WIDE.replace(
            "__u16 protocol;\toffset:30;\tsize:2",
            "__u8 protocol;\toffset:30;\tsize:1",
        );
        for (before, after) in [(32, 31), (36, 35), (40, 39), (56, 55)] {
            text = text.replace(&format!("offset:{before};"), &format!("offset:{after};"));
        }
        text
    }

    fn record(format: &Format) -> Vec<u8> {
        let mut record = vec![0; CHANGE_BYTES + 4];
        record[..8].copy_from_slice(&5_000u64.to_ne_bytes());
        record[8..16].copy_from_slice(&(77u64 << 32 | 78).to_ne_bytes());
        record[16..24].copy_from_slice(&(1_000u64 << 32 | 1_001).to_ne_bytes());
        record[24..32].copy_from_slice(&9u64.to_ne_bytes());
        record[32..36].copy_from_slice(b"curl");
        let mut put = |field: usize, value: &[u8]| {
            let at = FIELDS_AT + format.places[field].0;
            record[at..at + value.len()].copy_from_slice(value);
        };
        put(0, &0xffff_8880_0000_1000u64.to_ne_bytes());
        put(1, &7u32.to_ne_bytes());
        put(2, &2u32.to_ne_bytes());
        put(3, &40_000u16.to_ne_bytes());
        put(4, &443u16.to_ne_bytes());
        put(5, &2u16.to_ne_bytes());
        put(6, &[6]);
        put(7, &[10, 0, 0, 1]);
        put(8, &[10, 0, 0, 2]);
        record
    }

    #[test]
    fn change_is_read_by_format_of_kernel() {
        for (text, end) in [(WIDE.to_owned(), 72), (narrow(), 71)] {
            let format = Format::parse(&text).unwrap();
            assert_eq!(format.end, end);
            let change = format.change(&record(&format)).unwrap();
            assert_eq!((change.time, change.socket), (5_000, 0xffff_8880_0000_1000));
            assert_eq!((change.before, change.state), (State::Closed, State::SynSent));
            assert_eq!((change.local.port, change.foreign.port), (40_000, 443));
            assert_eq!(change.foreign.address, IpAddr::from([10, 0, 0, 2]));
            let current = change.current;
            assert_eq!((current.pid, current.uid, current.cgroup), (77, 1_001, 9));
            assert_eq!(current.comm, ShortName::new(b"curl"));
        }
    }

    #[test]
    fn changes_of_a_real_connection_are_read() {
        let mut watch = match StateChanges::load() {
            Ok(watch) => watch,
            Err(error) => return netstat_testkit::skip("BPF program", &error.to_string()),
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, far) = (client.local_addr().unwrap(), listener.local_addr().unwrap());
        drop(client);
        let mut changes = Vec::new();
        assert_eq!(watch.drain(&mut changes), 0);
        let of = |local: u16, state: State| {
            let found = changes
                .iter()
                .find(|change| change.local.port == local && change.state == state);
            *found.unwrap_or_else(|| panic!("{local} {state:?}: {changes:#?}"))
        };
        let established = of(near.port(), State::Established);
        assert_eq!(
            (established.foreign.address, established.foreign.port),
            (far.ip(), far.port())
        );
        assert_eq!(of(far.port(), State::Established).foreign.port, near.port());
        let begun = changes
            .iter()
            .find(|change| change.socket == established.socket && change.state == State::SynSent);
        assert_eq!(begun.unwrap().current.pid, std::process::id());
        assert_eq!(of(near.port(), State::FinWait1).current.pid, std::process::id());
    }

    #[test]
    fn program_for_each_format_is_in_the_object() {
        for end in [71, 72] {
            let object = Object::parse(OBJECT, &format!("tracepoint/{end}")).unwrap();
            assert_eq!(object.maps().len(), 1);
        }
    }

    #[test]
    fn format_without_a_field_is_refused() {
        assert_eq!(Format::parse(&WIDE.replace("oldstate", "other")), None);
        assert_eq!(Format::parse(&WIDE.replace("offset:56", "offset:999")), None);
        assert_eq!(Format::parse(&WIDE.replace("offset:8;", "offset:0;")), None);
        assert_eq!(Format::parse(""), None);
    }

    proptest! {
        #[test]
        fn arbitrary_records_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..130), text in ".*") {
            let _ = Format::parse(&text);
            let _ = Format::parse(WIDE).unwrap().change(&bytes);
        }
    }
}
