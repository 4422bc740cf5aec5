//! Watches the DNS answers that reach this computer, with packet sockets (packet(7)) whose filter passes only answers
//! from port 53.
//!
//! The filter runs in the kernel, so no other packet is copied to this program. There are two sockets, bound to the
//! protocols IPv4 and IPv6. Such sockets receive only incoming packets, each once, including those on the loopback
//! interface (the stub resolver of systemd-resolved at 127.0.0.53). Not seen are DNS over TLS, HTTPS or QUIC, other
//! ports, fragments, IPv6 packets with extension headers, answers over TCP that do not fit into one segment, and
//! whatever is answered from a cache without network traffic.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::{DnsAnswers, Refused};

/// linux/if_ether.h.
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
/// asm-generic/socket.h.
const SO_ATTACH_FILTER: libc::c_int = 26;
/// RFC 1035, 4.2.
const DNS: u32 = 53;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// The maximum size of an IP packet in bytes.
const MOST: usize = 65_536;
/// The maximum number of packets read in one call, so that a flood cannot occupy the caller forever.
const MOST_AT_ONCE: usize = 2_000;

/// A classic BPF instruction (linux/filter.h, linux/bpf_common.h): code, jump offsets if true and if false, operand.
type Instruction = (u16, u8, u8, u32);

const LOAD_BYTE: u16 = 0x30;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE_AT_X: u16 = 0x50;
const LOAD_HALF_AT_X: u16 = 0x48;
/// Loads the length of the IPv4 header at the operand into X.
const LOAD_X_HEADER: u16 = 0xb1;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

/// IPv4: not a later fragment; UDP from port 53 with the QR bit set (RFC 1035, 4.1.1), or TCP from port 53.
const FILTER4: [Instruction; 17] = [
    (LOAD_HALF, 0, 0, 6),
    (JUMP_SET, 14, 0, 0x1fff),
    (LOAD_BYTE, 0, 0, 9),
    (JUMP_EQUAL, 0, 6, UDP as u32),
    (LOAD_X_HEADER, 0, 0, 0),
    (LOAD_HALF_AT_X, 0, 0, 0),
    (JUMP_EQUAL, 0, 9, DNS),
    (LOAD_BYTE_AT_X, 0, 0, 10),
    (JUMP_SET, 6, 7, 0x80),
    (RETURN, 0, 0, 0),
    (JUMP_EQUAL, 0, 5, TCP as u32),
    (LOAD_X_HEADER, 0, 0, 0),
    (LOAD_HALF_AT_X, 0, 0, 0),
    (JUMP_EQUAL, 1, 2, DNS),
    (RETURN, 0, 0, 0),
    (RETURN, 0, 0, MOST as u32),
    (RETURN, 0, 0, 0),
];

/// The same for IPv6, without extension headers.
const FILTER6: [Instruction; 11] = [
    (LOAD_BYTE, 0, 0, 6),
    (JUMP_EQUAL, 0, 4, UDP as u32),
    (LOAD_HALF, 0, 0, 40),
    (JUMP_EQUAL, 0, 6, DNS),
    (LOAD_BYTE, 0, 0, 50),
    (JUMP_SET, 3, 4, 0x80),
    (JUMP_EQUAL, 0, 3, TCP as u32),
    (LOAD_HALF, 0, 0, 40),
    (JUMP_EQUAL, 0, 1, DNS),
    (RETURN, 0, 0, MOST as u32),
    (RETURN, 0, 0, 0),
];

/// The packet sockets for IPv4 and IPv6.
#[derive(Debug)]
pub(super) struct DnsWatch {
    sockets: [OwnedFd; 2],
    buffer: Vec<u8>,
}

impl DnsWatch {
    /// Opens the sockets in the caller's network namespace.
    ///
    /// # Errors
    /// Returns an error without CAP_NET_RAW, or if the kernel has no packet sockets.
    pub(super) fn open() -> Result<DnsWatch, Refused> {
        let refused = |error: io::Error| Refused::from_io("a packet socket for DNS answers", &error);
        Ok(DnsWatch {
            sockets: [
                open(ETH_P_IP, &FILTER4).map_err(refused)?,
                open(ETH_P_IPV6, &FILTER6).map_err(refused)?,
            ],
            buffer: vec![0; MOST],
        })
    }
}

impl DnsAnswers for DnsWatch {
    fn drain(&mut self, visit: &mut dyn FnMut(&[u8])) -> Result<(), Refused> {
        for socket in &self.sockets {
            for _ in 0..MOST_AT_ONCE {
                match rustix::io::read(socket, &mut self.buffer[..]) {
                    Ok(length) => {
                        if let Some(message) = self.buffer.get(..length).and_then(message) {
                            visit(message);
                        }
                    }
                    Err(rustix::io::Errno::AGAIN) => break,
                    // An interface went down; the others keep working.
                    Err(rustix::io::Errno::INTR | rustix::io::Errno::NETDOWN) => {}
                    Err(error) => return Err(Refused::from_io("DNS answers", &error.into())),
                }
            }
        }
        Ok(())
    }
}

/// Opens a socket that receives the packets of the link-layer protocol `kind` that pass `filter`, starting at the IP
/// header.
fn open(kind: u16, filter: &[Instruction]) -> io::Result<OwnedFd> {
    // Protocol 0: nothing is received before the filter is attached.
    let flags = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: socket(2) takes only integers.
    let number = unsafe { libc::socket(libc::AF_PACKET, flags, 0) };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just created and has no other owner.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    let mut code: Vec<libc::sock_filter> = filter
        .iter()
        .map(|&(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k })
        .collect();
    let program = libc::sock_fprog {
        len: u16::try_from(code.len()).unwrap_or(0),
        filter: code.as_mut_ptr(),
    };
    // SAFETY: `program` points to `len` instructions that live until the call returns; the kernel copies them.
    let attached = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if attached != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all zeros is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = kind.to_be();
    // SAFETY: `address` is a complete sockaddr_ll of the given length.
    let bound = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    match bound {
        0 => Ok(socket),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns the DNS message in an IP packet that passed the filters. A message over TCP is returned only if the packet
/// contains it completely.
pub fn message(packet: &[u8]) -> Option<&[u8]> {
    let (protocol, rest) = match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet[0] & 0x0f) * 4;
            let length = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
            (*packet.get(9)?, packet.get(header.max(20)..length.min(packet.len()))?)
        }
        6 => {
            let length = usize::from(u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]));
            (*packet.get(6)?, packet.get(40..(40 + length).min(packet.len()))?)
        }
        _ => return None,
    };
    match protocol {
        UDP => rest.get(8..),
        TCP => {
            let header = usize::from(*rest.get(12)? >> 4) * 4;
            let data = rest.get(header.max(20)..)?;
            // RFC 1035, 4.2.2: the message is preceded by its length in two bytes.
            let length = usize::from(u16::from_be_bytes([*data.first()?, *data.get(1)?]));
            data.get(2..2 + length)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn udp4(payload: &[u8]) -> Vec<u8> {
        let length = (28 + payload.len()) as u16;
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, UDP, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1];
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet.extend([0, 53, 0x30, 0x39, 0, 0, 0, 0]);
        packet.extend(payload);
        packet
    }

    #[test]
    fn message_is_found_behind_ip_and_udp_headers() {
        let mut packet = udp4(b"answer");
        assert_eq!(message(&packet), Some(&b"answer"[..]));
        // Padding that the link layer adds to short frames is ignored.
        packet.extend([0; 6]);
        assert_eq!(message(&packet), Some(&b"answer"[..]));
        assert_eq!(message(&packet[..20]), None);
        let mut six = vec![0x60, 0, 0, 0, 0, 14, UDP, 64];
        six.extend([0; 32]);
        six.extend([0, 53, 0, 9, 0, 14, 0, 0]);
        six.extend(b"answer");
        assert_eq!(message(&six), Some(&b"answer"[..]));
    }

    #[test]
    fn message_over_tcp_must_be_whole() {
        let mut packet = udp4(&[]);
        packet[9] = TCP;
        packet.truncate(20);
        packet.extend([0, 53, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend([0, 3, 1, 2, 3]);
        let length = packet.len() as u16;
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(message(&packet), Some(&[1, 2, 3][..]));
        packet[41] = 4;
        assert_eq!(message(&packet), None);
    }

    #[test]
    fn every_jump_stays_within_the_filter() {
        for filter in [&FILTER4[..], &FILTER6[..]] {
            for (at, (code, jt, jf, _)) in filter.iter().enumerate() {
                if [JUMP_EQUAL, JUMP_SET].contains(code) {
                    assert!(at + 1 + usize::from(*jt).max(usize::from(*jf)) < filter.len(), "{at}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_packets_never_panic(packet: Vec<u8>, head in 0x40u8..0x6f) {
            let _ = message(&packet);
            let _ = message(&[&[head], &packet[..]].concat());
        }
    }
}
