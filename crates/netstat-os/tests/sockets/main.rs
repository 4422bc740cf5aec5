//! Sockets made by these tests, through the collector, compared with what `ss` tells.
#![cfg(target_os = "linux")]

mod destroy;
mod ended;
mod internals;
mod kinds;
mod namespaces;
mod second_view;

use std::os::fd::AsFd;

use netstat_model::{Extras, Socket, State};
use netstat_os::linux::sockets::SocketReader;
use netstat_os::{SocketAsk, SocketList};
use netstat_testkit::namespace;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// Every kind of socket.
fn every_kind() -> SocketAsk {
    SocketAsk {
        tcp4: true,
        tcp6: true,
        udp4: true,
        udp6: true,
        raw4: true,
        raw6: true,
        mptcp4: true,
        mptcp6: true,
        packet: true,
        unix: true,
        tcp_states: State::ALL.to_vec(),
        extra: Extras::NONE,
        ..SocketAsk::default()
    }
}

fn read(reader: &mut SocketReader, ask: &SocketAsk) -> SocketList {
    let mut list = SocketList::default();
    reader.read(ask, &mut list);
    assert!(!list.failed, "{:?}", list.limits);
    list
}

fn everything(reader: &mut SocketReader) -> SocketList {
    read(reader, &every_kind())
}

/// The one socket that stands for this descriptor.
fn of<'a>(list: &'a SocketList, socket: &impl AsFd) -> &'a Socket {
    let inode = netstat_testkit::oracle::inode(socket);
    let is = |socket: &&Socket| socket.inode().is_some_and(|own| u64::from(own.get()) == inode);
    // The paths of an MPTCP connection carry its inode too.
    let mut found: Vec<&Socket> = list.sockets.iter().filter(is).collect();
    found.sort_by_key(|socket| std::cmp::Reverse(socket.protocol()));
    found.first().unwrap_or_else(|| panic!("no socket with inode {inode}"))
}

/// What `ss` prints for these words.
fn ss(words: &str) -> String {
    let output = namespace::tool("ss").args(words.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "ss {words}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `body` in a thread without CAP_NET_ADMIN.
fn without_net_admin<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let work = || {
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::NET_ADMIN);
            set_capabilities(None, sets).unwrap();
            body()
        };
        scope.spawn(work).join().unwrap()
    })
}
