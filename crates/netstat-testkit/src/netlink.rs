//! A minimal rtnetlink client that configures an empty network namespace without `ip`: links, addresses, routes and
//! veth pairs.
//!
//! The message layouts are those of rtnetlink(7), `linux/rtnetlink.h`, `linux/if_link.h` and `linux/veth.h`.

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::namespace::eventually;

/// The index of the loopback interface, which is the first device of every network namespace.
pub const LOOPBACK: u32 = 1;

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const NLMSG_ERROR: u16 = 2;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_CREATE: u16 = 0x400;

const IFF_UP: u32 = 1;
const IFF_NOARP: u32 = 0x80;

const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// No duplicate address detection: the address can be used immediately.
const IFA_F_NODAD: u8 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_BOOT: u8 = 3;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RTN_UNICAST: u8 = 1;

/// Sets an interface up. With `no_neighbours`, it does not resolve link-layer addresses (neither ARP nor ND).
pub fn link_up(index: u32, no_neighbours: bool) -> io::Result<()> {
    let flags = if no_neighbours { IFF_UP | IFF_NOARP } else { IFF_UP };
    request(RTM_NEWLINK, 0, &interface(index, flags))
}

/// Binds a socket to the device `name` (`SO_BINDTODEVICE`, socket(7)).
pub fn bind_to_device(socket: &impl std::os::fd::AsFd, name: &str) -> io::Result<()> {
    socket2::SockRef::from(socket).bind_device(Some(name.as_bytes()))
}

/// Creates a pair of virtual Ethernet interfaces, both down.
pub fn veth(name: &str, other: &str) -> io::Result<()> {
    let mut peer = interface(0, 0);
    attribute(&mut peer, IFLA_IFNAME, &zero_ended(other));
    let mut data = Vec::new();
    attribute(&mut data, VETH_INFO_PEER, &peer);
    let mut info = Vec::new();
    attribute(&mut info, IFLA_INFO_KIND, b"veth");
    attribute(&mut info, IFLA_INFO_DATA, &data);
    let mut body = interface(0, 0);
    attribute(&mut body, IFLA_IFNAME, &zero_ended(name));
    attribute(&mut body, IFLA_LINKINFO, &info);
    request(RTM_NEWLINK, NLM_F_CREATE, &body)
}

/// Adds an address to an interface, which must be up. The address can be used when this returns. It is not an error if
/// it exists already.
pub fn add_address(index: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
    let scope = match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => RT_SCOPE_LINK,
        _ => RT_SCOPE_UNIVERSE,
    };
    let mut body = vec![family(address), prefix, IFA_F_NODAD, scope];
    body.extend(index.to_ne_bytes());
    let bytes = bytes(address);
    attribute(&mut body, IFA_LOCAL, &bytes);
    attribute(&mut body, IFA_ADDRESS, &bytes);
    request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &body)?;
    // The kernel adds the local route of an IPv6 address later, in a work queue; until then packets to it are dropped.
    if let IpAddr::V6(v6) = address {
        eventually(
            || has_local_route(v6),
            || format!("a local route to the own address {v6}"),
        );
    }
    Ok(())
}

/// Whether packets to `address` are delivered locally.
fn has_local_route(address: Ipv6Addr) -> bool {
    /// The flag of local routes (`linux/ipv6_route.h`).
    const RTF_LOCAL: u32 = 0x8000_0000;
    let wanted = format!("{:032x} 80 ", address.to_bits());
    let table = std::fs::read_to_string("/proc/self/net/ipv6_route").unwrap_or_default();
    // Destination and its prefix length, source and its prefix length, next hop, metric, two counters, flags, device.
    let flags = |line: &str| {
        line.split_whitespace()
            .nth(8)
            .and_then(|flags| u32::from_str_radix(flags, 16).ok())
    };
    table
        .lines()
        .any(|line| line.starts_with(&wanted) && flags(line).is_some_and(|flags| flags & RTF_LOCAL != 0))
}

/// Adds a route to a network through an interface, without a gateway.
pub fn add_route(network: IpAddr, prefix: u8, index: u32) -> io::Result<()> {
    let scope = if network.is_ipv4() {
        RT_SCOPE_LINK
    } else {
        RT_SCOPE_UNIVERSE
    };
    let mut body = vec![
        family(network),
        prefix,
        0,
        0,
        RT_TABLE_MAIN,
        RTPROT_BOOT,
        scope,
        RTN_UNICAST,
        0,
        0,
        0,
        0,
    ];
    attribute(&mut body, RTA_DST, &bytes(network));
    attribute(&mut body, RTA_OIF, &index.to_ne_bytes());
    request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &body)
}

/// Returns the index of the interface with this name.
pub fn index_of(name: &str) -> io::Result<u32> {
    let any = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    Ok(rustix::net::netdevice::name_to_index(&any, name)?)
}

/// Encodes `struct ifinfomsg`: family, padding, type, index, flags, and the mask of flags to change.
fn interface(index: u32, flags: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body
}

fn family(address: IpAddr) -> u8 {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    family.as_raw() as u8
}

fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn zero_ended(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

/// Appends `struct rtattr`: length without padding, type, and the value padded to four bytes.
fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend((value.len() as u16 + 4).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Sends a request and reads the kernel's reply.
fn request(kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    // Protocol 0 is NETLINK_ROUTE; an unconnected netlink socket talks to the kernel.
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let mut message = Vec::with_capacity(16 + body.len());
    message.extend((16 + body.len() as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((NLM_F_REQUEST | NLM_F_ACK | flags).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    rustix::net::send(&socket, &message, SendFlags::empty())?;
    let mut answer = [0u8; 4096];
    let (length, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    // `struct nlmsgerr` follows the 16 bytes of `struct nlmsghdr`; its first field is the negative error number.
    match (length, u16::from_ne_bytes([answer[4], answer[5]])) {
        (20.., NLMSG_ERROR) => match i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(-error)),
        },
        _ => Err(io::Error::other("no verdict from rtnetlink")),
    }
}
