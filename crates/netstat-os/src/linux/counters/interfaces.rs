//! Reads the counters of the interfaces: through rtnetlink or, if that is refused, from `/proc/net/dev`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use netstat_model::counters::{InterfaceCounters, InterfaceStatistics};
use netstat_model::{Fact, Limit, Why, text::plain_error};
use rustix::io::retry_on_intr;
use rustix::ioctl::{Opcode, Updater, ioctl};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

use super::links::{ARPHRD_ETHER, ARPHRD_LOOPBACK, BadAnswer, Progress, decode, request};
use super::{now, procdev, read_net, why};

/// How many times an interrupted dump is repeated.
const TRIES: u32 = 4;
/// The time limit for an answer. The kernel answers immediately; a longer wait means that something intercepts the
/// request.
const PATIENCE: Duration = Duration::from_secs(5);
/// The initial buffer size in bytes. The kernel sends at most 32 KiB at once by default; the buffer grows for larger
/// messages.
const BUFFER: usize = 64 * 1024;

/// Returns the interface counters in the network namespace of the calling thread. `proc` (usually `/proc`) is read only
/// if netlink is refused.
///
/// Never fails as a whole: what cannot be read is unknown, and a [`Limit`] says why.
pub fn interface_statistics(proc: &Path) -> (InterfaceStatistics, Vec<Limit>) {
    let mut limits = Vec::new();
    let interfaces = match dump() {
        Ok((interfaces, false)) => Fact::Known(interfaces),
        Ok((interfaces, true)) => {
            limits.push(Limit {
                what: "interface statistics may miss an interface".to_owned(),
                why: format!("interfaces came and went during each of {TRIES} readings"),
                remedy: None,
            });
            Fact::Known(interfaces)
        }
        Err(refusal) => from_proc(proc, &refusal, &mut limits),
    };
    let interfaces = interfaces.map(|mut interfaces| {
        interfaces.sort_by(|a, b| (a.index.known(), &a.name).cmp(&(b.index.known(), &b.name)));
        interfaces
    });
    (InterfaceStatistics { at: now(), interfaces }, limits)
}

/// Dumps all links through rtnetlink, and returns whether even the last attempt was interrupted.
fn dump() -> io::Result<(Vec<InterfaceCounters>, bool)> {
    // Protocol 0 is NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    let mut buffer = vec![0; BUFFER];
    let mut sequence = 0;
    loop {
        sequence += 1;
        let (interfaces, interrupted) = dump_once(&socket, sequence, &mut buffer)?;
        if !interrupted || sequence == TRIES {
            return Ok((interfaces, interrupted));
        }
    }
}

fn dump_once(socket: &OwnedFd, sequence: u32, buffer: &mut Vec<u8>) -> io::Result<(Vec<InterfaceCounters>, bool)> {
    send(socket, &request(sequence), SendFlags::empty())?;
    let mut found = Vec::new();
    let mut interrupted = false;
    loop {
        // Peek for the full length and grow the buffer if necessary before the datagram is received.
        let (_, length) = retry_on_intr(|| recv(socket, &mut buffer[..], RecvFlags::PEEK | RecvFlags::TRUNC))?;
        if length > buffer.len() {
            buffer.resize(length, 0);
        }
        let (received, _) = retry_on_intr(|| recv(socket, &mut buffer[..], RecvFlags::empty()))?;
        match decode(&buffer[..received], sequence, &mut interrupted, &mut found) {
            Ok(Progress::More) if received > 0 => {}
            Ok(Progress::More) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(Progress::Done { interrupted }) => return Ok((found, interrupted)),
            Err(BadAnswer::Refused(error)) => return Err(io::Error::from_raw_os_error(error)),
            Err(error @ BadAnswer::Cut) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

/// Returns the same from `/proc/net/dev`, completed with ioctls.
fn from_proc(proc: &Path, refusal: &io::Error, limits: &mut Vec<Limit>) -> Fact<Vec<InterfaceCounters>> {
    let missing = |reason: String| Limit {
        what: "interface statistics are missing".to_owned(),
        why: format!(
            "netlink refused ({refusal}), and {}: {reason}",
            proc.join("net/dev").display(),
            refusal = plain_error(&refusal)
        ),
        remedy: None,
    };
    let text = match read_net(proc, "dev") {
        Ok(text) => text,
        Err(error) => {
            limits.push(missing(plain_error(&error)));
            return Fact::Unknown(why(&error));
        }
    };
    let interfaces = match procdev::parse(&text) {
        Ok(interfaces) => interfaces,
        Err(error) => {
            limits.push(missing(plain_error(&error)));
            return Fact::Unknown(Why::Failed);
        }
    };
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    let mut failure = None;
    let interfaces = interfaces
        .into_iter()
        .map(|(name, traffic)| {
            let device = socket
                .as_ref()
                .map_err(|&error| error)
                .and_then(|socket| describe(socket, name));
            let Device { index, mac, loopback } = device.unwrap_or_else(|error| {
                let error = io::Error::from(error);
                let why = why(&error);
                failure = Some(error);
                Device::unknown(why)
            });
            InterfaceCounters {
                index,
                name: name.into(),
                mac,
                loopback,
                traffic,
                kinds: Vec::new(),
            }
        })
        .collect();
    if let Some(error) = failure {
        limits.push(Limit {
            what: "the sum over the interfaces is unknown".to_owned(),
            why: format!(
                "netlink refused ({}), and which of them is the loopback is hidden ({})",
                plain_error(&refusal),
                plain_error(&error)
            ),
            remedy: Some("netstat -e --per-interface".to_owned()),
        });
    }
    Fact::Known(interfaces)
}

/// What `/proc/net/dev` does not contain about an interface.
struct Device {
    index: Fact<u32>,
    mac: Fact<[u8; 6]>,
    loopback: Fact<bool>,
}

impl Device {
    const fn unknown(why: Why) -> Self {
        Device {
            index: Fact::Unknown(why),
            mac: Fact::Unknown(why),
            loopback: Fact::Unknown(why),
        }
    }
}

/// linux/sockios.h.
const SIOCGIFHWADDR: Opcode = 0x8927;
const SIOCGIFINDEX: Opcode = 0x8933;

/// struct ifreq (linux/if.h): a name of 16 bytes and a union of 24 bytes on 64-bit systems, 16 bytes on 32-bit ones.
/// The larger size works for both, as the kernel copies only its own size.
#[repr(C, align(8))]
struct InterfaceRequest {
    name: [u8; 16],
    value: [u8; 24],
}

/// Queries the interface `name` (netdevice(7)). An ioctl refers to the network namespace of the socket, whereas
/// `/sys/class/net` shows the namespace in which it was mounted.
fn describe(socket: impl AsFd, name: &[u8]) -> rustix::io::Result<Device> {
    let mut request = InterfaceRequest {
        name: [0; 16],
        value: [0; 24],
    };
    // IFNAMSIZ is 16, including the terminating NUL.
    let Some(place) = request.name[..15].get_mut(..name.len()) else {
        return Err(rustix::io::Errno::INVAL);
    };
    place.copy_from_slice(name);
    // SAFETY: SIOCGIFINDEX reads and writes one struct ifreq, for which `InterfaceRequest` is large enough and
    // sufficiently aligned; every bit pattern is valid in its byte arrays.
    unsafe { ioctl(&socket, Updater::<SIOCGIFINDEX, _>::new(&mut request)) }?;
    let index = u32::from_ne_bytes([request.value[0], request.value[1], request.value[2], request.value[3]]);
    // SAFETY: as above, for SIOCGIFHWADDR.
    unsafe { ioctl(&socket, Updater::<SIOCGIFHWADDR, _>::new(&mut request)) }?;
    // struct sockaddr: the type of device (ARPHRD_*), then its address.
    let [low, high, a, b, c, d, e, f, ..] = request.value;
    let kind = u16::from_ne_bytes([low, high]);
    Ok(Device {
        index: Fact::Known(index),
        mac: if kind == ARPHRD_ETHER {
            Fact::Known([a, b, c, d, e, f])
        } else {
            Fact::Unknown(Why::NotApplicable)
        },
        loopback: Fact::Known(kind == ARPHRD_LOOPBACK),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::counters::InterfaceMetric;

    fn known(interfaces: Fact<Vec<InterfaceCounters>>) -> Vec<InterfaceCounters> {
        interfaces.known().expect("interfaces are readable")
    }

    /// Both sources report the same interfaces with the same indices, types and addresses, and no counter decreases.
    #[test]
    fn interfaces_from_netlink_and_proc_agree() {
        let (before, limits) = interface_statistics(Path::new("/proc"));
        assert_eq!(limits, []);
        let mut limits = Vec::new();
        let refusal = io::Error::from_raw_os_error(1);
        let proc = known(from_proc(Path::new("/proc"), &refusal, &mut limits));
        assert_eq!(limits, []);
        let (after, _) = interface_statistics(Path::new("/proc"));
        let (before, after) = (known(before.interfaces), known(after.interfaces));
        assert!(!before.is_empty());
        assert_eq!(before.len(), proc.len());
        let count = |interface: &InterfaceCounters, figure| {
            let pair = interface.traffic.get(figure);
            pair.received.known().zip(pair.sent.known())
        };
        for old in &before {
            let same = |other: &&InterfaceCounters| other.index == old.index;
            let between = proc.iter().find(same).expect("it is in /proc/net/dev");
            let new = after.iter().find(same).expect("it is still there");
            assert_eq!(
                (&between.name, between.mac, between.loopback),
                (&old.name, old.mac, old.loopback)
            );
            for figure in [
                InterfaceMetric::Bytes,
                InterfaceMetric::AllPackets,
                InterfaceMetric::Discards,
                InterfaceMetric::Errors,
            ] {
                let all = [count(old, figure), count(between, figure), count(new, figure)].map(Option::unwrap);
                assert!(all.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1), "{figure:?}: {all:?}");
            }
        }
    }

    #[test]
    fn interfaces_without_netlink_and_proc_are_unknown() {
        let nowhere = tempfile::tempdir().unwrap();
        let mut limits = Vec::new();
        let interfaces = from_proc(nowhere.path(), &io::Error::from_raw_os_error(1), &mut limits);
        assert_eq!(interfaces, Fact::Unknown(Why::Failed));
        assert_eq!(limits.len(), 1);
        assert!(limits[0].why.contains("Operation not permitted"), "{limits:?}");
    }

    #[test]
    fn interface_unknown_to_kernel_makes_sum_unknown() {
        let proc = tempfile::tempdir().unwrap();
        std::fs::create_dir(proc.path().join("net")).unwrap();
        let text = "heading\nheading\nno-such-if: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
        std::fs::write(proc.path().join("net/dev"), text).unwrap();
        let mut limits = Vec::new();
        let interfaces = from_proc(proc.path(), &io::Error::from_raw_os_error(1), &mut limits);
        assert_eq!(limits.len(), 1);
        let statistics = InterfaceStatistics {
            at: Duration::ZERO,
            interfaces,
        };
        assert!(statistics.sum().get(InterfaceMetric::Bytes).received.why().is_some());
        let interface = &known(statistics.interfaces)[0];
        assert_eq!(interface.traffic.get(InterfaceMetric::Bytes).received, Fact::Known(1));
    }
}
