//! A worker of `load`: creates its share of the sockets, reports that it is ready, and holds them until its stdin is
//! closed.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::share::Share;

/// The byte that a worker writes to its stdout when its share is complete.
pub(super) const READY: u8 = b'R';
/// The byte that it writes if it failed.
const FAILED: u8 = b'E';

/// The queue length of listeners. Connections are accepted immediately, one after the other, so the queue never
/// contains more than one.
const BACKLOG: i32 = 16;
/// The number of addresses in 127.0.0.0/8 that the connections are distributed over. Consecutive ones would be too easy
/// to sort.
const ADDRESSES: u32 = 1 << 20;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask load-worker")]
struct Options {
    #[command(flatten)]
    share: Share,
}

/// Runs the worker.
///
/// # Errors
/// Returns an error if a socket cannot be created; the parent is notified with a byte on stdout.
pub(crate) fn run() -> Result<()> {
    let share = Options::parse_from(crate::task_arguments()).share;
    // If memory runs out nevertheless, the load should be killed first. Errors are ignored.
    let _ = std::fs::write("/proc/self/oom_score_adj", "900");
    super::raise_open_files(share.total() + super::SPARE_DESCRIPTORS);
    match hold(&share) {
        Ok(held) => {
            say(READY)?;
            std::io::stdin().lock().read_to_end(&mut Vec::new())?;
            drop(held);
            Ok(())
        }
        Err(error) => {
            say(FAILED)?;
            Err(error)
        }
    }
}

fn say(word: u8) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&[word])?;
    Ok(stdout.flush()?)
}

/// Creates all sockets and descriptors of the share.
fn hold(share: &Share) -> Result<Vec<OwnedFd>> {
    let mut held = Vec::with_capacity(share.total() as usize);
    if share.pairs_v4 > 0 {
        let door = listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, share.port)))?;
        for index in 0..share.pairs_v4 {
            let there = SocketAddrV4::new(scattered(share.address, index), share.port);
            connect(&door, SocketAddr::V4(there), &mut held)
                .with_context(|| format!("connection {} of {} to {there}", index + 1, share.pairs_v4))?;
        }
        held.push(door);
    }
    for door in 0..share.doors_v6 {
        let there = SocketAddr::from((Ipv6Addr::LOCALHOST, share.port + door as u16));
        let listener = listen(there)?;
        let pairs = share.pairs_v6 / share.doors_v6 + u64::from(door < share.pairs_v6 % share.doors_v6);
        for index in 0..pairs {
            connect(&listener, there, &mut held)
                .with_context(|| format!("connection {} of {pairs} to {there}", index + 1))?;
        }
        held.push(listener);
    }
    for index in 0..share.listeners {
        let own = scattered(share.address, share.pairs_v4 + index);
        held.push(listen(SocketAddr::from((own, share.port + 1)))?);
    }
    for index in 0..share.udp {
        let socket = socket(AddressFamily::INET, SocketType::DGRAM)?;
        let own = SocketAddrV4::new(scattered(share.address, index), share.port);
        rustix::net::bind(&socket, &own).with_context(|| format!("UDP socket {} on {own}", index + 1))?;
        held.push(socket);
    }
    for index in 0..share.descriptors {
        let file = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .with_context(|| format!("descriptor {} of {}", index + 1, share.descriptors))?;
        held.push(file);
    }
    Ok(held)
}

/// Returns the `index`th address after `start`: each of the 2^20 addresses once, in scattered order, all in
/// 127.16.0.0/12.
fn scattered(start: u32, index: u64) -> Ipv4Addr {
    // An odd factor makes this a permutation of the 2^20 numbers.
    let position = start.wrapping_add(index as u32).wrapping_mul(0x9_e375) % ADDRESSES;
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 16, 0, 0)) | position)
}

fn socket(family: AddressFamily, kind: SocketType) -> Result<OwnedFd> {
    rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None).context("socket")
}

fn family_of(address: SocketAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    }
}

fn listen(address: SocketAddr) -> Result<OwnedFd> {
    let socket = socket(family_of(address), SocketType::STREAM)?;
    // Listening again right after a load ended must not fail because of its leftovers.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address).with_context(|| format!("bind to {address}"))?;
    rustix::net::listen(&socket, BACKLOG).with_context(|| format!("listen on {address}"))?;
    Ok(socket)
}

/// Creates a connection and keeps both ends.
fn connect(door: &OwnedFd, there: SocketAddr, held: &mut Vec<OwnedFd>) -> Result<()> {
    let near = socket(family_of(there), SocketType::STREAM)?;
    // Closed with a reset at the end: this leaves no TIME_WAIT, and a million sockets are gone at once.
    sockopt::set_socket_linger(&near, Some(Duration::ZERO))?;
    rustix::net::connect(&near, &there).context("connect")?;
    // On the loopback interface, the handshake is complete when connect returns.
    let far = rustix::net::accept_with(door, SocketFlags::CLOEXEC).context("accept")?;
    held.push(near);
    held.push(far);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn scattered_addresses_differ_and_stay_in_their_block() {
        let seen: HashSet<Ipv4Addr> = (0..u64::from(ADDRESSES)).map(|index| scattered(7, index)).collect();
        assert_eq!(seen.len(), ADDRESSES as usize);
        assert!(
            seen.iter()
                .all(|address| (16..32).contains(&address.octets()[1]) && address.is_loopback())
        );
    }
}
