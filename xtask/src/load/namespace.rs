//! Sets up the network namespace for the load.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};

use anyhow::{Context, Result, ensure};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// The range of local ports for connections; listeners use ports below it (see [`super::share`]).
const LOCAL_PORTS: &str = "15000 65000";

/// `RTM_NEWLINK` of `<linux/rtnetlink.h>`.
const RTM_NEWLINK: u16 = 16;
/// `NLM_F_REQUEST | NLM_F_ACK` of `<linux/netlink.h>`.
const REQUEST_ACK: u16 = 0x001 | 0x004;
/// `IFF_UP` of `<linux/if.h>`.
const IFF_UP: u32 = 1;

/// Whether this process is in the network namespace of process 1 (the initial one). `false` if that cannot be read.
pub(crate) fn is_the_first() -> Result<bool> {
    let own = fs::read_link("/proc/self/ns/net").context("reading the own network namespace")?;
    Ok(fs::read_link("/proc/1/ns/net").is_ok_and(|first| first == own))
}

/// Brings `lo` up and widens the range of local ports.
pub(crate) fn prepare() -> Result<()> {
    loopback_up().context("bringing lo up")?;
    fs::write("/proc/sys/net/ipv4/ip_local_port_range", LOCAL_PORTS).context("widening the range of local ports")
}

/// Whether a socket can listen on `::1`.
pub(super) fn has_ipv6() -> bool {
    TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, 0))).is_ok()
}

/// Sets `IFF_UP` on interface 1, which is `lo` in every network namespace.
fn loopback_up() -> Result<()> {
    // The default protocol is 0, which is NETLINK_ROUTE.
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    // struct nlmsghdr (16 bytes), struct ifinfomsg (16 bytes: family, pad, type, index, flags, change mask).
    let mut request = [0u8; 32];
    request[0..4].copy_from_slice(&32u32.to_ne_bytes());
    request[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_ACK.to_ne_bytes());
    request[20..24].copy_from_slice(&1i32.to_ne_bytes());
    request[24..28].copy_from_slice(&IFF_UP.to_ne_bytes());
    request[28..32].copy_from_slice(&IFF_UP.to_ne_bytes());
    rustix::net::sendto(&socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;

    // The answer is an NLMSG_ERROR whose code is 0 on success.
    let mut answer = [0u8; 256];
    let (got, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    ensure!(got >= 20, "the kernel's answer is {got} bytes long");
    let code = i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]);
    ensure!(
        code == 0,
        "{}",
        std::io::Error::from_raw_os_error(code.saturating_neg())
    );
    Ok(())
}
