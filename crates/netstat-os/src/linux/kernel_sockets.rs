//! Ports that the kernel uses itself: the tunnels of the network namespace with their UDP ports, and kernel subsystems
//! that publish their ports in files. A socket at such a port belongs to the kernel if no process holds it, because
//! these sockets do not share their port (no SO_REUSEPORT) and no other socket can be bound to it.
//!
//! For constants, see `include/uapi/linux/if_link.h`, `wireguard.h`, `l2tp.h`, `genetlink.h`.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use netstat_model::{KernelUser, Protocol, Socket};

use super::netlink::attributes::{Attributes, text, u16_at};
use super::netlink::{Connection, push_attribute};

/// `RTM_GETLINK`; `sizeof(struct ifinfomsg)`.
const RTM_GETLINK: u16 = 18;
const LINK_HEADER: usize = 16;
/// `IFLA_IFNAME`, `IFLA_LINKINFO` and within it `IFLA_INFO_KIND`, `IFLA_INFO_DATA`; `IFLA_LINK_NETNSID`.
const IFNAME: u16 = 3;
const LINKINFO: u16 = 18;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const LINK_NETNSID: u16 = 37;
/// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY`, `CTRL_ATTR_FAMILY_ID`, `CTRL_ATTR_FAMILY_NAME`; `sizeof(struct genlmsghdr)`.
const GENL_CONTROL: u16 = 16;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
const GENERIC_HEADER: usize = 4;

/// The local ports of one network namespace that the kernel uses, and what for.
#[derive(Debug, Default)]
pub(super) struct KernelPorts(HashMap<(Protocol, u16), KernelUser>);

impl KernelPorts {
    /// Reads them in the namespace of the calling thread; `proc` is the mount point of procfs. What cannot be read is
    /// left out.
    pub(super) fn read(proc: &Path) -> Self {
        let mut ports = KernelPorts::default();
        // Errors are ignored: nothing can be done about them, and the owners of the affected sockets stay unknown.
        let _ = ports.read_links();
        let _ = ports.read_tunnels();
        ports.read_files(proc);
        ports
    }

    /// Returns what the kernel uses the local port of this socket for; `None` if it does not use it.
    pub(super) fn user(&self, socket: &Socket) -> Option<&KernelUser> {
        // Tunnels bind their port on every address; another program may have it on a specific address of the other
        // family.
        let fits = socket.protocol() == Protocol::Tcp || socket.local().address.is_unspecified();
        self.0.get(&(socket.protocol(), socket.local().port)).filter(|_| fits)
    }

    /// Whether the sockets of this subsystem were created by a program that handed them to the kernel and keeps no
    /// descriptor.
    pub(super) fn takes_over(user: &KernelUser) -> bool {
        matches!(user.part.as_ref(), "NFS server" | "L2TP")
    }

    fn add(&mut self, protocol: Protocol, port: u16, part: &'static str, interface: Option<&[u8]>) {
        if port != 0 {
            let interface = interface.map(<[u8]>::to_vec);
            self.0.insert(
                (protocol, port),
                KernelUser {
                    part: part.into(),
                    interface,
                },
            );
        }
    }

    /// Reads the tunnels over UDP from the list of links, and the ports of WireGuard interfaces one by one.
    fn read_links(&mut self) -> io::Result<()> {
        let mut wireguard = Vec::new();
        Connection::route()?.dump(RTM_GETLINK, &[0; LINK_HEADER], |answer| {
            let link = parse_link(answer)?;
            // It was created in another namespace, which its socket belongs to.
            if link.elsewhere {
                return Ok(());
            }
            match link.tunnel {
                Some(Tunnel::WireGuard) => wireguard.push(link.name),
                Some(Tunnel::Udp { part, port }) => self.add(Protocol::Udp, port, part, Some(&link.name)),
                None => {}
            }
            Ok(())
        })?;
        if wireguard.is_empty() {
            return Ok(());
        }
        // WG_CMD_GET_DEVICE with WGDEVICE_A_IFNAME; needs CAP_NET_ADMIN.
        let mut generic = Connection::generic()?;
        let family = family(&mut generic, b"wireguard\0")?;
        for name in wireguard {
            let mut body = vec![0, 1, 0, 0];
            push_attribute(&mut body, 2, &[&name[..], b"\0"].concat());
            let mut port = 0;
            generic.dump(family, &body, |answer| {
                port = wireguard_port(answer).unwrap_or(port);
                Ok(())
            })?;
            self.add(Protocol::Udp, port, "WireGuard", Some(&name));
        }
        Ok(())
    }

    /// Reads the L2TP tunnels, whose sockets the kernel creates unless a program provides one.
    fn read_tunnels(&mut self) -> io::Result<()> {
        let mut generic = Connection::generic()?;
        let family = family(&mut generic, b"l2tp\0")?;
        // L2TP_CMD_TUNNEL_GET; L2TP_ATTR_UDP_SPORT.
        generic.dump(family, &[4, 1, 0, 0], |answer| {
            if let Some(port) = generic_attribute(answer, 26).and_then(|value| u16_at(value, 0)) {
                self.add(Protocol::Udp, port, "L2TP", None);
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Reads the ports that kernel subsystems publish in files.
    fn read_files(&mut self, proc: &Path) {
        // `tcp 2049`, `ipv6 udp 2049`: write_ports in fs/nfsd/nfsctl.c.
        if let Ok(list) = std::fs::read_to_string(proc.join("fs/nfsd/portlist")) {
            for (protocol, port) in port_list(&list) {
                self.add(protocol, port, "NFS server", None);
            }
        }
        // The ports that lockd is configured to use; 0 means any port.
        for (name, protocol) in [("nlm_tcpport", Protocol::Tcp), ("nlm_udpport", Protocol::Udp)] {
            if let Some(port) = number_in(&proc.join("sys/fs/nfs").join(name)) {
                self.add(protocol, port, "lockd", None);
            }
        }
        self.read_rpc_clients(Path::new("/sys/kernel/sunrpc/xprt-switches"));
        // The fixed ports of these subsystems (net/rds/tcp.h, fs/dlm, fs/smb/server), where they are loaded.
        for (sign, protocol, port, part) in [
            ("/sys/module/rds_tcp", Protocol::Tcp, 16385, "RDS"),
            ("/sys/module/ksmbd", Protocol::Tcp, 445, "ksmbd"),
            ("/sys/kernel/dlm", Protocol::Tcp, 21064, "DLM"),
        ] {
            if Path::new(sign).is_dir() {
                self.add(protocol, port, part, None);
            }
        }
    }

    /// Reads the transports of RPC clients (NFS), since Linux 5.14: `src_port=` in `xprt_info`.
    fn read_rpc_clients(&mut self, switches: &Path) {
        for switch in std::fs::read_dir(switches).into_iter().flatten().flatten() {
            for transport in std::fs::read_dir(switch.path()).into_iter().flatten().flatten() {
                let name = transport.file_name();
                let protocol = match name.as_encoded_bytes() {
                    name if name.ends_with(b"-tcp") => Protocol::Tcp,
                    name if name.ends_with(b"-udp") => Protocol::Udp,
                    _ => continue,
                };
                let info = std::fs::read_to_string(transport.path().join("xprt_info")).unwrap_or_default();
                if let Some(port) = source_port(&info) {
                    self.add(protocol, port, "RPC client", None);
                }
            }
        }
    }
}

/// The relevant properties of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Link {
    name: Vec<u8>,
    tunnel: Option<Tunnel>,
    /// Whether it was created in another network namespace.
    elsewhere: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tunnel {
    WireGuard,
    Udp { part: &'static str, port: u16 },
}

/// Parses a link message.
fn parse_link(answer: &[u8]) -> io::Result<Link> {
    let mut link = Link {
        name: Vec::new(),
        tunnel: None,
        elsewhere: false,
    };
    for attribute in Attributes(answer.get(LINK_HEADER..).unwrap_or_default()) {
        let attribute = attribute?;
        match attribute.kind {
            IFNAME => link.name = text(attribute.value).to_vec(),
            LINK_NETNSID => link.elsewhere = true,
            LINKINFO => {
                let (mut kind, mut data) = (&b""[..], &b""[..]);
                for inner in Attributes(attribute.value) {
                    let inner = inner?;
                    match inner.kind {
                        INFO_KIND => kind = text(inner.value),
                        INFO_DATA => data = inner.value,
                        _ => {}
                    }
                }
                link.tunnel = tunnel(kind, data);
            }
            _ => {}
        }
    }
    Ok(link)
}

/// Returns the tunnel that a link of this type is. The attribute of its driver contains the local port in network byte
/// order.
fn tunnel(kind: &[u8], data: &[u8]) -> Option<Tunnel> {
    let (part, attribute) = match kind {
        b"wireguard" => return Some(Tunnel::WireGuard),
        // IFLA_VXLAN_PORT, IFLA_GENEVE_PORT, IFLA_BAREUDP_PORT, IFLA_AMT_RELAY_PORT.
        b"vxlan" => ("VXLAN", 15),
        b"geneve" => ("GENEVE", 5),
        b"bareudp" => ("bare UDP tunnel", 1),
        b"amt" => ("AMT", 2),
        _ => return None,
    };
    let value = attribute_of(data, attribute)?;
    let port = u16::from_be_bytes(value.first_chunk().copied()?);
    Some(Tunnel::Udp { part, port })
}

fn attribute_of(data: &[u8], kind: u16) -> Option<&[u8]> {
    Attributes(data)
        .map_while(Result::ok)
        .find(|own| own.kind == kind)
        .map(|own| own.value)
}

/// Returns an attribute of a generic netlink message.
fn generic_attribute(answer: &[u8], kind: u16) -> Option<&[u8]> {
    attribute_of(answer.get(GENERIC_HEADER..)?, kind)
}

/// Returns the port in WGDEVICE_A_LISTEN_PORT.
fn wireguard_port(answer: &[u8]) -> Option<u16> {
    u16_at(generic_attribute(answer, 6)?, 0)
}

/// Looks up the id of a generic netlink family; `name` includes the terminating zero.
fn family(generic: &mut Connection, name: &[u8]) -> io::Result<u16> {
    let mut body = vec![GET_FAMILY, 1, 0, 0];
    push_attribute(&mut body, FAMILY_NAME, name);
    let mut found = None;
    generic.ask(GENL_CONTROL, &body, |answer| {
        found = generic_attribute(answer, FAMILY_ID).and_then(|value| u16_at(value, 0));
        Ok(())
    })?;
    found.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Parses the lines of `/proc/fs/nfsd/portlist`.
fn port_list(list: &str) -> impl Iterator<Item = (Protocol, u16)> + '_ {
    list.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace().rev();
        let port = words.next()?.parse().ok()?;
        match words.next()?.trim_end_matches('6') {
            "tcp" => Some((Protocol::Tcp, port)),
            "udp" => Some((Protocol::Udp, port)),
            _ => None,
        }
    })
}

fn source_port(info: &str) -> Option<u16> {
    let words = info.split([',', ' ', '\n']);
    words
        .filter_map(|word| word.strip_prefix("src_port="))
        .find_map(|port| port.parse().ok())
}

fn number_in(path: &Path) -> Option<u16> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::testing::{attribute, body};
    use proptest::prelude::*;

    fn link(kind: &[u8], data: &[u8], more: &[(u16, &[u8])]) -> Link {
        let info = [attribute(INFO_KIND, kind), attribute(INFO_DATA, data)].concat();
        let mut attributes = vec![(IFNAME, &b"t0\0"[..]), (LINKINFO, &info)];
        attributes.extend(more);
        parse_link(&body(&[0; LINK_HEADER], &attributes)).unwrap()
    }

    #[test]
    fn tunnel_port_is_read_from_its_link() {
        let port = 4789u16.to_be_bytes();
        for (kind, number, part) in [
            (&b"vxlan\0"[..], 15, "VXLAN"),
            (b"geneve\0", 5, "GENEVE"),
            (b"bareudp\0", 1, "bare UDP tunnel"),
        ] {
            let found = link(kind, &attribute(number, &port), &[]);
            assert_eq!(found.tunnel, Some(Tunnel::Udp { part, port: 4789 }));
            assert_eq!((found.name, found.elsewhere), (b"t0".to_vec(), false));
        }
        assert_eq!(link(b"wireguard\0", &[], &[]).tunnel, Some(Tunnel::WireGuard));
        assert_eq!(link(b"veth\0", &[], &[]).tunnel, None);
        assert!(link(b"vxlan\0", &attribute(15, &port), &[(LINK_NETNSID, &[0; 4])]).elsewhere);
    }

    #[test]
    fn wireguard_port_is_read_from_its_device() {
        let answer = body(&[0, 1, 0, 0], &[(1, &[1, 0, 0, 0]), (6, &51899u16.to_ne_bytes())]);
        assert_eq!(wireguard_port(&answer), Some(51899));
        assert_eq!(wireguard_port(&[0, 1]), None);
    }

    #[test]
    fn port_list_and_source_port_are_read() {
        let list: Vec<_> = port_list("tcp 2049\nipv6 udp 2049\nipv4 tcp6 20049\nrdma 20049\n\n").collect();
        assert_eq!(
            list,
            [(Protocol::Tcp, 2049), (Protocol::Udp, 2049), (Protocol::Tcp, 20049)]
        );
        assert_eq!(
            source_port("state=CONNECTED src_addr=10.0.0.1 src_port=998\nmax=3"),
            Some(998)
        );
        assert_eq!(source_port("src_port=x"), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, text: String) {
            let _ = parse_link(&bytes);
            let _ = wireguard_port(&bytes);
            let _ = tunnel(b"vxlan", &bytes);
            let _ = (port_list(&text).count(), source_port(&text));
        }
    }
}
