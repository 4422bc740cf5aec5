//! Parses the tables of TCP and UDP sockets (`GetExtendedTcpTable`, `GetExtendedUdpTable` and what newer systems offer
//! in addition).
//!
//! Offsets and sizes are those in iprtrmib.h, tcpmib.h and udpmib.h for 64-bit programs; `calls` compares them with its
//! own declarations.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netstat_model::{Family, Protocol, Socket, SocketFacts, State};

use super::bytes::{Malformed, array, rows, u32_at, u64_at};

/// The size of `MIB_TCPROW_OWNER_MODULE` in bytes.
pub(super) const TCP4_ROW: usize = 160;
/// The size of `MIB_TCP6ROW_OWNER_MODULE` in bytes.
pub(super) const TCP6_ROW: usize = 192;
/// The size of `MIB_UDPROW_OWNER_MODULE` in bytes.
pub(super) const UDP4_ROW: usize = 160;
/// The size of `MIB_UDP6ROW_OWNER_MODULE` in bytes.
pub(super) const UDP6_ROW: usize = 176;
/// The offset of the first row, which is aligned for 64-bit members.
const FIRST: usize = 8;
/// The size of `MIB_TCPROW2` in bytes, in a table whose rows directly follow the count.
const BOUND4_ROW: usize = 28;
/// The size of `MIB_TCP6ROW2` in bytes.
const BOUND6_ROW: usize = 60;
/// The size of `MIB_UDPROW2` in bytes: `MIB_UDPROW_OWNER_MODULE`, followed by the remote address and port. Not
/// documented by Microsoft; see [`udp_peers`].
const PEER4_ROW: usize = 168;
/// The same for IPv6: `MIB_UDP6ROW_OWNER_MODULE`, followed by address, scope and port.
const PEER6_ROW: usize = 200;

/// A row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// IPv4 or IPv6.
    pub family: Family,
    /// The state; for UDP, [`State::Closed`] or, with a peer, [`State::Established`].
    pub state: State,
    /// The local address.
    pub local: IpAddr,
    /// The local port.
    pub local_port: u16,
    /// The foreign address; unspecified without a peer.
    pub foreign: IpAddr,
    /// The foreign port; 0 without a peer.
    pub foreign_port: u16,
    /// The interface index that is the scope of a link-local address; 0 if there is none.
    pub scope: u32,
    /// The process id; 0 if there is no process.
    pub pid: u32,
    /// When the socket was bound or connected, as a FILETIME (100 ns since 1601); 0 if the system does not report it
    /// (Wine).
    pub created: u64,
    /// The tag of the service within its process (`OwningModuleInfo[0]`); 0 if there is none. Not documented by
    /// Microsoft.
    pub tag: u32,
}

impl Row {
    /// Returns a number that identifies this socket while it exists, because Windows provides none. A connection is
    /// identified by its ends and its creation time, so that it keeps the number after its process has ended; any other
    /// socket also by its process. `repeat` distinguishes rows that are equal in all of this.
    pub fn identity(&self, repeat: u32) -> u64 {
        let mut hash = Hash::default();
        hash.add(u64::from(self.protocol as u8) << 8 | u64::from(self.family as u8));
        for address in [self.local, self.foreign] {
            let number = match address {
                IpAddr::V4(v4) => u128::from(v4.to_bits()),
                IpAddr::V6(v6) => v6.to_bits(),
            };
            hash.add(number as u64);
            hash.add((number >> 64) as u64);
        }
        hash.add(u64::from(self.local_port) << 16 | u64::from(self.foreign_port));
        hash.add(u64::from(self.scope) << 32 | u64::from(repeat));
        hash.add(self.created);
        if self.protocol == Protocol::Udp || self.foreign_port == 0 {
            hash.add(u64::from(self.pid) | 1 << 63);
        }
        hash.finish()
    }

    /// Converts the row to a socket of the model, identified by `identity`.
    pub fn socket(&self, identity: u64) -> Socket {
        Socket::new(&SocketFacts {
            protocol: self.protocol,
            family: self.family,
            state: self.state,
            local: self.local,
            local_port: self.local_port,
            foreign: self.foreign,
            foreign_port: self.foreign_port,
            interface: self.scope,
            inode: 0,
            user: None,
            cookie: std::num::NonZeroU64::new(identity),
            receive_queue: 0,
            send_queue: None,
        })
        .held_by_process(self.pid)
    }
}

/// Hashes integers, with the same result in every run (FNV-1a over words, then the finalizer of SplitMix64).
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Hash(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn add(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    }

    /// Returns the hash, which is never 0.
    fn finish(self) -> u64 {
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).max(1)
    }
}

/// Returns the state with this number (`MIB_TCP_STATE`); `None` for an undocumented number.
pub(super) fn state(number: u32) -> Option<State> {
    Some(match number {
        1 => State::Closed,
        2 => State::Listening,
        3 => State::SynSent,
        4 => State::SynReceived,
        5 => State::Established,
        6 => State::FinWait1,
        7 => State::FinWait2,
        8 => State::CloseWait,
        9 => State::Closing,
        10 => State::LastAck,
        11 => State::TimeWait,
        // DELETE_TCB: the connection is being deleted.
        12 => State::Closed,
        _ => return None,
    })
}

/// Reads a port: the low 16 bits in network byte order; the others are undefined.
fn port(row: &[u8], at: usize) -> Option<u16> {
    array(row, at).map(u16::from_be_bytes)
}

fn v4(row: &[u8], at: usize) -> Option<IpAddr> {
    array::<4>(row, at).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)))
}

fn v6(row: &[u8], at: usize) -> Option<IpAddr> {
    array::<16>(row, at).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)))
}

/// Returns the scope of a link-local address; that of others is meaningless.
fn scope(address: IpAddr, scope: u32) -> u32 {
    match address {
        // fe80::/10 (RFC 4291, 2.5.6).
        IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80 => scope,
        _ => 0,
    }
}

const fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    }
}

/// Passes each row of a TCP table (`TCP_TABLE_OWNER_MODULE_ALL`) to `visit`. Rows with an unknown state are left out.
///
/// # Errors
/// Returns [`Malformed`] if the table is truncated.
pub fn tcp(table: &[u8], family: Family, visit: &mut impl FnMut(Row)) -> Result<(), Malformed> {
    let v6 = family == Family::V6;
    for row in rows(table, FIRST, if v6 { TCP6_ROW } else { TCP4_ROW })? {
        let row = if v6 { tcp6_row(row) } else { tcp4_row(row) };
        if let Some(mut row) = row {
            if matches!(row.state, State::Listening | State::Bound) {
                // These fields are undefined.
                row.foreign = unspecified(family);
                row.foreign_port = 0;
            }
            visit(row);
        }
    }
    Ok(())
}

fn tcp4_row(row: &[u8]) -> Option<Row> {
    Some(Row {
        protocol: Protocol::Tcp,
        family: Family::V4,
        state: state(u32_at(row, 0)?)?,
        local: v4(row, 4)?,
        local_port: port(row, 8)?,
        foreign: v4(row, 12)?,
        foreign_port: port(row, 16)?,
        scope: 0,
        pid: u32_at(row, 20)?,
        created: u64_at(row, 24)?,
        tag: u32_at(row, 32)?,
    })
}

fn tcp6_row(row: &[u8]) -> Option<Row> {
    let (local, foreign) = (v6(row, 0)?, v6(row, 24)?);
    let zone = match scope(local, u32_at(row, 16)?) {
        0 => scope(foreign, u32_at(row, 40)?),
        zone => zone,
    };
    Some(Row {
        protocol: Protocol::Tcp,
        family: Family::V6,
        state: state(u32_at(row, 48)?)?,
        local,
        local_port: port(row, 20)?,
        foreign,
        foreign_port: port(row, 44)?,
        scope: zone,
        pid: u32_at(row, 52)?,
        created: u64_at(row, 56)?,
        tag: u32_at(row, 64)?,
    })
}

/// Passes each row of a UDP table (`UDP_TABLE_OWNER_MODULE`) to `visit`. The documented tables do not contain peers.
///
/// # Errors
/// Returns [`Malformed`] if the table is truncated.
pub fn udp(table: &[u8], family: Family, visit: &mut impl FnMut(Row)) -> Result<(), Malformed> {
    let size = if family == Family::V6 { UDP6_ROW } else { UDP4_ROW };
    for row in rows(table, FIRST, size)? {
        visit(udp_row(row, family).ok_or(Malformed)?);
    }
    Ok(())
}

fn udp_row(row: &[u8], family: Family) -> Option<Row> {
    // Local address, (scope,) port, process id; the time is aligned to 8 bytes.
    let (local, after, created) = match family {
        Family::V6 => (v6(row, 0)?, 20, 32),
        _ => (v4(row, 0)?, 4, 16),
    };
    Some(Row {
        protocol: Protocol::Udp,
        family,
        state: State::Closed,
        local,
        local_port: port(row, after)?,
        foreign: unspecified(family),
        foreign_port: 0,
        scope: match family {
            Family::V6 => scope(local, u32_at(row, 16)?),
            _ => 0,
        },
        pid: u32_at(row, after + 4)?,
        created: u64_at(row, created)?,
        tag: u32_at(row, created + 16)?,
    })
}

/// Returns the UDP sockets with their peers, from the table that newer systems provide (`InternalGetUdpTable2`).
///
/// As Microsoft does not document its rows, they are used only if, apart from the peers, they are the same sockets as
/// those in the documented table `known`, except for the few that were opened or closed between the two calls.
pub fn udp_peers(table: &[u8], family: Family, known: &[Row]) -> Option<Vec<Row>> {
    let (size, foreign, far_scope, far_port) = match family {
        Family::V6 => (PEER6_ROW, 176, 192, 196),
        _ => (PEER4_ROW, 160, 0, 164),
    };
    let mut found = Vec::new();
    for bytes in rows(table, FIRST, size).ok()? {
        let mut row = udp_row(bytes, family)?;
        let (address, far) = match family {
            Family::V6 => (v6(bytes, foreign)?, port(bytes, far_port)?),
            _ => (v4(bytes, foreign)?, port(bytes, far_port)?),
        };
        if far != 0 && address != unspecified(family) {
            (row.foreign, row.foreign_port, row.state) = (address, far, State::Established);
            if family == Family::V6 && row.scope == 0 {
                row.scope = scope(address, u32_at(bytes, far_scope)?);
            }
        }
        found.push(row);
    }
    let ends = |row: &Row| (row.local, row.local_port, row.pid, row.created);
    let listed: std::collections::HashSet<_> = known.iter().map(ends).collect();
    let same = found.iter().filter(|row| listed.contains(&ends(row))).count();
    let few = known.len() / 10 + 2;
    (same + few >= found.len() && same + few >= known.len() && (same > 0 || known.is_empty())).then_some(found)
}

/// Passes the ports that are bound but neither listen nor connect (`InternalGetBoundTcpEndpointTable`, rows of
/// `MIB_TCPTABLE2`) to `visit`.
///
/// # Errors
/// Returns [`Malformed`] if the table is truncated.
pub fn bound(table: &[u8], family: Family, visit: &mut impl FnMut(Row)) -> Result<(), Malformed> {
    let size = if family == Family::V6 { BOUND6_ROW } else { BOUND4_ROW };
    for row in rows(table, 4, size)? {
        visit(bound_row(row, family).ok_or(Malformed)?);
    }
    Ok(())
}

fn bound_row(row: &[u8], family: Family) -> Option<Row> {
    let (local, local_port, zone, pid) = match family {
        Family::V6 => (v6(row, 0)?, port(row, 20)?, u32_at(row, 16)?, u32_at(row, 52)?),
        _ => (v4(row, 4)?, port(row, 8)?, 0, u32_at(row, 20)?),
    };
    Some(Row {
        protocol: Protocol::Tcp,
        family,
        state: State::Bound,
        local,
        local_port,
        foreign: unspecified(family),
        foreign_port: 0,
        scope: scope(local, zone),
        pid,
        created: 0,
        tag: 0,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows in the format of Windows, with garbage in undefined fields.
    pub(in super::super) fn written(rows: &[Row]) -> Vec<u8> {
        let mut table = (rows.len() as u32).to_le_bytes().to_vec();
        table.extend([0xaa; 4]);
        for row in rows {
            let start = table.len();
            let garbage_port = |port: u16| {
                let [high, low] = port.to_be_bytes();
                [high, low, 0xde, 0xad]
            };
            let number = match row.state {
                State::Listening => 2u32,
                State::SynSent => 3,
                State::SynReceived => 4,
                State::Established => 5,
                State::FinWait1 => 6,
                State::FinWait2 => 7,
                State::CloseWait => 8,
                State::Closing => 9,
                State::LastAck => 10,
                State::TimeWait => 11,
                _ => 1,
            };
            let address = |table: &mut Vec<u8>, address: IpAddr| match address {
                IpAddr::V4(v4) => table.extend(v4.octets()),
                IpAddr::V6(v6) => table.extend(v6.octets()),
            };
            let tcp = row.protocol == Protocol::Tcp;
            let v6 = row.family == Family::V6;
            if tcp && !v6 {
                table.extend(number.to_le_bytes());
            }
            address(&mut table, row.local);
            if v6 {
                table.extend(row.scope.to_le_bytes());
            }
            table.extend(garbage_port(row.local_port));
            if tcp {
                address(&mut table, row.foreign);
                if v6 {
                    table.extend([0xff; 4]);
                }
                table.extend(garbage_port(row.foreign_port));
            }
            if tcp && v6 {
                table.extend(number.to_le_bytes());
            }
            table.extend(row.pid.to_le_bytes());
            while !(table.len() - start).is_multiple_of(8) {
                table.push(0xbb);
            }
            table.extend(row.created.to_le_bytes());
            if !tcp {
                table.extend([0xcc; 8]);
            }
            table.extend(row.tag.to_le_bytes());
            table.extend([0; 124]);
        }
        table
    }

    pub(in super::super) fn row(protocol: Protocol, local: &str, foreign: &str, state: State, pid: u32) -> Row {
        let local: std::net::SocketAddr = local.parse().unwrap();
        let foreign: std::net::SocketAddr = foreign.parse().unwrap();
        Row {
            protocol,
            family: if local.is_ipv4() { Family::V4 } else { Family::V6 },
            state,
            local: local.ip(),
            local_port: local.port(),
            foreign: foreign.ip(),
            foreign_port: foreign.port(),
            scope: 0,
            pid,
            created: 133_000_000_000_000_000 + u64::from(pid),
            tag: pid / 2,
        }
    }

    fn read(table: &[u8], protocol: Protocol, family: Family) -> Result<Vec<Row>, Malformed> {
        let mut found = Vec::new();
        match protocol {
            Protocol::Tcp => tcp(table, family, &mut |row| found.push(row))?,
            _ => udp(table, family, &mut |row| found.push(row))?,
        }
        Ok(found)
    }

    #[test]
    fn row_sizes_are_those_of_windows() {
        for (protocol, address, size) in [
            (Protocol::Tcp, "1.2.3.4:5", TCP4_ROW),
            (Protocol::Tcp, "[::1]:5", TCP6_ROW),
            (Protocol::Udp, "1.2.3.4:5", UDP4_ROW),
            (Protocol::Udp, "[::1]:5", UDP6_ROW),
        ] {
            let row = row(protocol, address, address, State::Established, 4);
            assert_eq!(written(&[row]).len(), 8 + size, "{protocol:?} {address}");
        }
    }

    #[test]
    fn listening_row_foreign_garbage_is_zeroed() {
        let garbage = row(Protocol::Tcp, "0.0.0.0:445", "9.8.7.6:54321", State::Listening, 4);
        let found = read(&written(&[garbage]), Protocol::Tcp, Family::V4).unwrap();
        assert_eq!(found[0].foreign, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        assert_eq!((found[0].foreign_port, found[0].local_port, found[0].pid), (0, 445, 4));
    }

    #[test]
    fn scope_counts_for_link_local_addresses_only() {
        let mut near = row(Protocol::Tcp, "[fe80::1]:80", "[fe80::2]:9", State::Established, 8);
        near.scope = 7;
        let mut far = row(
            Protocol::Tcp,
            "[2001:db8::1]:80",
            "[2001:db8::2]:9",
            State::Established,
            8,
        );
        // Wine reports 4096 for ::1.
        far.scope = 4096;
        let found = read(&written(&[near, far]), Protocol::Tcp, Family::V6).unwrap();
        assert_eq!((found[0].scope, found[1].scope), (7, 0));
        assert_eq!(found[0].socket(1).local().scope, 7);
    }

    #[test]
    fn unknown_state_leaves_the_row_out() {
        let mut table = written(&[
            row(Protocol::Tcp, "1.1.1.1:1", "2.2.2.2:2", State::Established, 8),
            row(Protocol::Tcp, "1.1.1.1:3", "2.2.2.2:2", State::TimeWait, 0),
        ]);
        table[8] = 99;
        let found = read(&table, Protocol::Tcp, Family::V4).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].local_port, found[0].state), (3, State::TimeWait));
    }

    #[test]
    fn identity_of_a_connection_outlives_its_process_and_twins_differ() {
        let open = row(Protocol::Tcp, "1.1.1.1:1", "2.2.2.2:2", State::Established, 8);
        let over = Row {
            state: State::TimeWait,
            pid: 0,
            ..open
        };
        assert_eq!(open.identity(0), over.identity(0));
        let later = Row {
            created: open.created + 1,
            ..open
        };
        assert_ne!(open.identity(0), later.identity(0));
        let udp = row(Protocol::Udp, "0.0.0.0:53", "0.0.0.0:0", State::Closed, 8);
        let other = Row { pid: 9, ..udp };
        assert_ne!(udp.identity(0), other.identity(0));
        assert_ne!(udp.identity(0), udp.identity(1));
    }

    fn peers(rows: &[Row]) -> Vec<u8> {
        let plain: Vec<Row> = rows.to_vec();
        let written = written(&plain);
        let size = if rows.first().is_some_and(|row| row.family == Family::V6) {
            UDP6_ROW
        } else {
            UDP4_ROW
        };
        let mut table = written[..8].to_vec();
        for (bytes, row) in written[8..].chunks(size).zip(rows) {
            table.extend(bytes);
            match row.foreign {
                IpAddr::V4(v4) => table.extend(v4.octets()),
                IpAddr::V6(v6) => {
                    table.extend(v6.octets());
                    table.extend([0; 4]);
                }
            }
            table.extend(row.foreign_port.to_be_bytes());
            table.extend([0; 2]);
        }
        table
    }

    #[test]
    fn udp_peers_are_believed_only_where_the_documented_table_agrees() {
        for (bound, connected, peer) in [
            ("0.0.0.0:53", "10.0.0.1:5000", "10.0.0.2:443"),
            ("[::]:53", "[2001:db8::1]:5000", "[2001:db8::2]:443"),
        ] {
            let nobody = if bound.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
            let known = [
                row(Protocol::Udp, bound, nobody, State::Closed, 8),
                row(Protocol::Udp, connected, nobody, State::Closed, 12),
            ];
            let mut with_peers = known;
            with_peers[1] = Row {
                state: State::Established,
                ..row(Protocol::Udp, connected, peer, State::Established, 12)
            };
            let table = peers(&with_peers);
            let found = udp_peers(&table, known[0].family, &known).unwrap();
            assert_eq!(found, with_peers);
            // Rows of another size than expected result in other sockets.
            let mut shifted = table.clone();
            shifted.splice(8..8, [0; 24]);
            let many: Vec<Row> = (0..40)
                .map(|port| Row {
                    local_port: 60_000 + port,
                    ..known[0]
                })
                .collect();
            assert_eq!(udp_peers(&shifted, known[0].family, &many), None);
            assert_eq!(udp_peers(&table[..20], known[0].family, &known), None);
        }
    }

    #[test]
    fn bound_ports_have_no_peer() {
        let mut table = 1u32.to_le_bytes().to_vec();
        for word in [
            0u32,
            u32::from_le_bytes([127, 0, 0, 1]),
            u32::from_le_bytes([0x1f, 0x90, 9, 9]),
            7,
            7,
            42,
            0,
        ] {
            table.extend(word.to_le_bytes());
        }
        let mut found = Vec::new();
        bound(&table, Family::V4, &mut |row| found.push(row)).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].state, found[0].local_port, found[0].pid),
            (State::Bound, 8080, 42)
        );
        assert_eq!((found[0].foreign, found[0].foreign_port), (unspecified(Family::V4), 0));
    }

    fn any_row(protocol: Protocol, v6: bool) -> impl Strategy<Value = Row> {
        let states = [
            State::Established,
            State::Listening,
            State::TimeWait,
            State::SynSent,
            State::Closing,
        ];
        (
            any::<u128>(),
            any::<u128>(),
            any::<u16>(),
            any::<u16>(),
            any::<u32>(),
            any::<u64>(),
            0..states.len(),
        )
            .prop_map(move |(near, far, local_port, foreign_port, pid, created, state)| {
                let address = |number: u128| match v6 {
                    true => IpAddr::V6(Ipv6Addr::from_bits(number)),
                    false => IpAddr::V4(Ipv4Addr::from_bits(number as u32)),
                };
                let family = if v6 { Family::V6 } else { Family::V4 };
                let state = if protocol == Protocol::Udp {
                    State::Closed
                } else {
                    states[state]
                };
                let alone = protocol == Protocol::Udp || state == State::Listening;
                Row {
                    protocol,
                    family,
                    state,
                    local: address(near),
                    local_port,
                    foreign: if alone { unspecified(family) } else { address(far) },
                    foreign_port: if alone { 0 } else { foreign_port },
                    scope: 0,
                    pid,
                    created,
                    tag: pid ^ 5,
                }
            })
    }

    proptest! {
        #[test]
        fn rows_come_back(
            kind in 0..4usize,
            (tcp4, tcp6, udp4, udp6) in (
                prop::collection::vec(any_row(Protocol::Tcp, false), 0..6),
                prop::collection::vec(any_row(Protocol::Tcp, true), 0..6),
                prop::collection::vec(any_row(Protocol::Udp, false), 0..6),
                prop::collection::vec(any_row(Protocol::Udp, true), 0..6),
            ),
        ) {
            let (mut rows, protocol, family): (Vec<Row>, Protocol, Family) = vec![
                (tcp4, Protocol::Tcp, Family::V4),
                (tcp6, Protocol::Tcp, Family::V6),
                (udp4, Protocol::Udp, Family::V4),
                (udp6, Protocol::Udp, Family::V6),
            ].swap_remove(kind);
            let found = read(&written(&rows), protocol, family).unwrap();
            // `written` puts garbage into the foreign scope, which is relevant if only the foreign address is
            // link-local.
            for (row, found) in rows.iter_mut().zip(&found) {
                row.scope = found.scope;
            }
            prop_assert_eq!(found, rows);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..800)) {
            for family in [Family::V4, Family::V6] {
                let _ = tcp(&bytes, family, &mut |_| {});
                let _ = udp(&bytes, family, &mut |_| {});
                let _ = bound(&bytes, family, &mut |_| {});
                let _ = udp_peers(&bytes, family, &[]);
            }
        }
    }
}
