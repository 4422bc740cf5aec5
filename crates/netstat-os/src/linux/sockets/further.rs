//! Reads the types of sockets that are rarely used: UDP-Lite, SCTP, DCCP, VSOCK, NETLINK and XDP.
//!
//! A request about a type makes the kernel load its module, so requests are made only about those that are already
//! present: the text table `protocols` lists each of them, with the number of its sockets in the network namespace.

use std::io;

use netstat_model::{Family, Limit, Protocol, text::plain_error};

use super::StateSet;
use super::inet::Table;
use super::space::Space;
use super::{netlink, proc_net, vsock, xdp};
use crate::{SocketAsk, SocketList};

/// What the table `protocols` contains about a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// The kernel does not support it, or its module is not loaded.
    Absent,
    /// There are no such sockets.
    NoSocket,
    /// There are sockets, or the kernel does not count them.
    Sockets,
}

impl Space {
    /// Adds the sockets of the types in [`SocketAsk::further`] to `list`.
    pub(super) fn read_further(&mut self, ask: &SocketAsk, list: &mut SocketList) {
        let table = std::fs::read_to_string(self.proc.join("thread-self/net/protocols"));
        for &protocol in &ask.further {
            let has_no_address = !protocol.is_ip() && (!ask.local.is_empty() || !ask.foreign.is_empty());
            let has_no_port = !protocol.has_ports() && protocol != Protocol::Vsock && !ask.ports.is_empty();
            if has_no_address || has_no_port {
                continue;
            }
            let presence = match &table {
                Ok(table) => presence(table, protocol),
                // Somebody who names a type wants it, even if this loads modules.
                Err(_) if ask.further_where_present => Presence::NoSocket,
                Err(_) => Presence::Sockets,
            };
            match presence {
                Presence::Sockets => self.read_kind(protocol, ask, list),
                Presence::NoSocket => {}
                Presence::Absent if ask.further_where_present => {}
                Presence::Absent => list.limits.push(Limit {
                    what: format!("there are no {} sockets", protocol.name()),
                    why: "the running kernel does not have that protocol, or its module is not loaded".into(),
                    remedy: None,
                }),
            }
        }
    }

    fn read_kind(&mut self, protocol: Protocol, ask: &SocketAsk, list: &mut SocketList) {
        let read = match protocol {
            Protocol::Vsock => self.dump_whole(ask, list, &mut |diag, found| vsock::dump(diag, ask.extra, found)),
            Protocol::Netlink => self.dump_whole(ask, list, &mut |diag, found| netlink::dump(diag, ask.extra, found)),
            Protocol::Xdp => self.dump_whole(ask, list, &mut |diag, found| xdp::dump(diag, ask.extra, found)),
            _ => [Table::Further4(protocol), Table::Further6(protocol)]
                .into_iter()
                .try_for_each(|table| self.dump(table, StateSet::ALL, ask, list)),
        };
        let Err(refusal) = read else { return };
        if protocol == Protocol::UdpLite {
            for (name, family) in [("udplite", Family::V4), ("udplite6", Family::V6)] {
                self.text(name, ask, list, &refusal, &mut |text, found| {
                    proc_net::parse(text, protocol, family, ask.extra, found)
                });
            }
            return;
        }
        if ask.further_where_present && refusal.raw_os_error() == Some(libc::ENOENT) {
            // It is unknown whether there are any, but the user did not name this type.
            return;
        }
        list.failed |= !ask.further_where_present;
        list.limits.push(Limit {
            what: format!("{} sockets are missing", protocol.name()),
            why: why(protocol, &refusal),
            remedy: None,
        });
    }
}

/// Returns why the kernel did not list a type that it supports.
fn why(protocol: Protocol, refusal: &io::Error) -> String {
    let module = match protocol {
        Protocol::Sctp => "sctp_diag",
        Protocol::Dccp => "dccp_diag",
        Protocol::Vsock => "vsock_diag",
        Protocol::Netlink => "netlink_diag",
        Protocol::Xdp => "xdp_diag",
        _ => "udp_diag",
    };
    match refusal.raw_os_error() {
        Some(libc::ENOENT) => format!("the running kernel has no {module}"),
        _ => format!("netlink refused: {}", plain_error(&refusal)),
    }
}

/// Looks up a type in the table `protocols`: after a header, it has a line with name, size and number of sockets for
/// each type (`proto_seq_printf` in the kernel's net/core/sock.c).
fn presence(table: &str, protocol: Protocol) -> Presence {
    let is_kind = |name: &str| match protocol {
        Protocol::UdpLite => matches!(name, "UDP-Lite" | "UDPLITEv6"),
        Protocol::Sctp => matches!(name, "SCTP" | "SCTPv6"),
        Protocol::Dccp => matches!(name, "DCCP" | "DCCPv6"),
        Protocol::Vsock => name == "AF_VSOCK",
        Protocol::Netlink => name == "NETLINK",
        Protocol::Xdp => name == "XDP",
        _ => false,
    };
    let mut presence = Presence::Absent;
    for line in table.lines().skip(1) {
        let mut fields = line.split_ascii_whitespace();
        if !fields.next().is_some_and(is_kind) {
            continue;
        }
        // AF_VSOCK sockets are not counted, nor are SCTP and DCCP sockets on every kernel.
        let counted = !matches!(protocol, Protocol::Vsock | Protocol::Sctp | Protocol::Dccp);
        match fields.nth(1) {
            Some("0") if counted && presence == Presence::Absent => presence = Presence::NoSocket,
            Some("0") if counted => {}
            _ => presence = Presence::Sockets,
        }
    }
    presence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_of_protocol_is_read_from_its_table() {
        let table = "protocol  size sockets  memory press maxhdr  slab module     cl co\n\
            AF_VSOCK  1240      0      -1   NI       0   yes  kernel      n  n\n\
            UDPLITEv6 1472      0       0   NI       0   yes  kernel      y  y\n\
            XDP       1088      0      -1   NI       0   no   kernel      n  n\n\
            UDP-Lite  1344      2       0   NI       0   yes  kernel      y  y\n\
            SCTPv6    1344      0       0   NI       0   yes  sctp        y  y\n\
            NETLINK   1096      3      -1   NI       0   no   kernel      n  n\n";
        for (protocol, expected) in [
            (Protocol::UdpLite, Presence::Sockets),
            (Protocol::Vsock, Presence::Sockets),
            (Protocol::Sctp, Presence::Sockets),
            (Protocol::Netlink, Presence::Sockets),
            (Protocol::Xdp, Presence::NoSocket),
            (Protocol::Dccp, Presence::Absent),
        ] {
            assert_eq!(presence(table, protocol), expected, "{protocol:?}");
        }
        assert_eq!(presence("", Protocol::Sctp), Presence::Absent);
    }

    #[test]
    fn protocol_without_module_is_refused_with_its_name() {
        let refusal = io::Error::from_raw_os_error(libc::ENOENT);
        assert_eq!(why(Protocol::Sctp, &refusal), "the running kernel has no sctp_diag");
    }
}
