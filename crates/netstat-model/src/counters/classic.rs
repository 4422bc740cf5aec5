//! The classic counters of `netstat -s`: the definitive list of blocks, rows, labels and sources.
//!
//! The counters are those of the SNMP tables for IP (RFC 4293), ICMP (RFC 4293, RFC 2466), TCP (RFC 4022) and UDP (RFC
//! 4113), with the labels that `netstat` users know.

use LinuxSource::{Named, NotKept, Rare, Sockets, Sum};

/// A block of statistics: a protocol over one address family. The variants are in the order of display.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Block {
    /// The Internet Protocol, version 4.
    Ipv4,
    /// The Internet Protocol, version 6.
    Ipv6,
    /// ICMP for IPv4.
    Icmpv4,
    /// ICMP for IPv6.
    Icmpv6,
    /// TCP over IPv4, or over both families if the system does not separate them ([`super::TcpFamilies`]).
    Tcpv4,
    /// TCP over IPv6.
    Tcpv6,
    /// UDP over IPv4.
    Udpv4,
    /// UDP over IPv6.
    Udpv6,
}

impl Block {
    /// Every block, in the order of display.
    pub const ALL: [Block; 8] = [
        Block::Ipv4,
        Block::Ipv6,
        Block::Icmpv4,
        Block::Icmpv6,
        Block::Tcpv4,
        Block::Tcpv6,
        Block::Udpv4,
        Block::Udpv6,
    ];

    /// Returns the protocol name that `-p` accepts for this block.
    pub const fn name(self) -> &'static str {
        match self {
            Block::Ipv4 => "IP",
            Block::Ipv6 => "IPv6",
            Block::Icmpv4 => "ICMP",
            Block::Icmpv6 => "ICMPv6",
            Block::Tcpv4 => "TCP",
            Block::Tcpv6 => "TCPv6",
            Block::Udpv4 => "UDP",
            Block::Udpv6 => "UDPv6",
        }
    }

    /// Returns the block that `-p name` selects, ignoring letter case; `None` if there is none.
    pub fn from_name(name: &str) -> Option<Block> {
        Block::ALL
            .into_iter()
            .find(|block| block.name().eq_ignore_ascii_case(name))
    }

    /// Returns a stable id for machine-readable formats: `ipv4`, `icmpv6` and so on.
    pub const fn id(self) -> &'static str {
        match self {
            Block::Ipv4 => "ipv4",
            Block::Ipv6 => "ipv6",
            Block::Icmpv4 => "icmpv4",
            Block::Icmpv6 => "icmpv6",
            Block::Tcpv4 => "tcpv4",
            Block::Tcpv6 => "tcpv6",
            Block::Udpv4 => "udpv4",
            Block::Udpv6 => "udpv6",
        }
    }

    /// Returns the classic rows of the block, in order.
    pub const fn rows(self) -> &'static [ClassicRow] {
        match self {
            Block::Ipv4 => &IPV4,
            Block::Ipv6 => &IPV6,
            Block::Icmpv4 => &ICMPV4,
            Block::Icmpv6 => &ICMPV6,
            Block::Tcpv4 => &TCPV4,
            Block::Tcpv6 => &TCPV6,
            Block::Udpv4 => &UDPV4,
            Block::Udpv6 => &UDPV6,
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// A set of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockSet(u8);

impl BlockSet {
    /// Every block.
    pub const ALL: BlockSet = BlockSet(u8::MAX);
    /// No block.
    pub const NONE: BlockSet = BlockSet(0);

    /// Returns the set with `block` added.
    #[must_use]
    pub const fn with(self, block: Block) -> Self {
        BlockSet(self.0 | 1 << block.index())
    }

    /// Whether the set contains `block`.
    pub const fn has(self, block: Block) -> bool {
        self.0 & (1 << block.index()) != 0
    }

    /// Returns an iterator over the blocks in the set, in the order of display.
    pub fn iter(self) -> impl Iterator<Item = Block> {
        Block::ALL.into_iter().filter(move |&block| self.has(block))
    }
}

impl Default for BlockSet {
    fn default() -> Self {
        BlockSet::ALL
    }
}

impl From<Block> for BlockSet {
    fn from(block: Block) -> Self {
        BlockSet::NONE.with(block)
    }
}

impl FromIterator<Block> for BlockSet {
    fn from_iter<I: IntoIterator<Item = Block>>(blocks: I) -> Self {
        blocks.into_iter().fold(BlockSet::NONE, BlockSet::with)
    }
}

/// Whether a value only grows or can rise and fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Grows until the system restarts, so that a rate per second makes sense.
    Counter,
    /// A current state or a setting, which has no rate.
    Gauge,
}

/// A row of a block.
#[derive(Clone, Copy, Debug)]
pub struct ClassicRow {
    /// A stable id within the block for machine-readable formats, such as `packets_received`.
    pub id: &'static str,
    /// The label in the classic text.
    pub label: &'static str,
    /// Whether it is a counter or a gauge.
    pub kind: Kind,
    /// The values of the row and where Linux keeps them.
    pub cells: Cells,
}

/// The values of a row.
#[derive(Clone, Copy, Debug)]
pub enum Cells {
    /// A single value.
    One(LinuxSource),
    /// One value for each direction.
    Two {
        /// The inbound value.
        received: LinuxSource,
        /// The outbound value.
        sent: LinuxSource,
    },
}

/// Where Linux keeps a value, by the names of `/proc/net/snmp` (`Ip`, `Icmp`, `IcmpMsg`, `Tcp`, `Udp`) and
/// `/proc/net/snmp6` (`Ip6`, `Icmp6`, `Udp6`); see net/ipv4/proc.c and net/ipv6/proc.c in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinuxSource {
    /// The value with this group and name.
    Named(&'static str, &'static str),
    /// The sum of these values of one group.
    Sum(&'static str, &'static [&'static str]),
    /// A count by message type, which the kernel omits as long as it is 0. It is taken to be 0 if `beside` was read.
    Rare {
        /// The group that contains it.
        group: &'static str,
        /// The name within the group.
        name: &'static str,
        /// A group of the same file that is always present.
        beside: &'static str,
    },
    /// A number of sockets, which the caller counts.
    Sockets,
    /// Linux does not keep the value.
    NotKept,
}

impl LinuxSource {
    /// Returns the group that must be read for this value; `None` if it does not come from a group.
    pub const fn group(self) -> Option<&'static str> {
        match self {
            Named(group, _) | Sum(group, _) | Rare { group, .. } => Some(group),
            Sockets | NotKept => None,
        }
    }
}

const fn one(id: &'static str, label: &'static str, source: LinuxSource) -> ClassicRow {
    ClassicRow {
        id,
        label,
        kind: Kind::Counter,
        cells: Cells::One(source),
    }
}

const fn two(id: &'static str, label: &'static str, received: LinuxSource, sent: LinuxSource) -> ClassicRow {
    ClassicRow {
        id,
        label,
        kind: Kind::Counter,
        cells: Cells::Two { received, sent },
    }
}

/// Returns the rows of RFC 4293 ipSystemStats. Linux does not count routing discards (RFC 1213 ipRoutingDiscards: valid
/// routes that were discarded).
const fn ip_rows(group: &'static str, forwarded: &'static str) -> [ClassicRow; 17] {
    [
        one("packets_received", "Packets Received", Named(group, "InReceives")),
        one(
            "received_header_errors",
            "Received Header Errors",
            Named(group, "InHdrErrors"),
        ),
        one(
            "received_address_errors",
            "Received Address Errors",
            Named(group, "InAddrErrors"),
        ),
        one("datagrams_forwarded", "Datagrams Forwarded", Named(group, forwarded)),
        one(
            "unknown_protocols_received",
            "Unknown Protocols Received",
            Named(group, "InUnknownProtos"),
        ),
        one(
            "received_packets_discarded",
            "Received Packets Discarded",
            Named(group, "InDiscards"),
        ),
        one(
            "received_packets_delivered",
            "Received Packets Delivered",
            Named(group, "InDelivers"),
        ),
        one("output_requests", "Output Requests", Named(group, "OutRequests")),
        one("routing_discards", "Routing Discards", NotKept),
        one(
            "discarded_output_packets",
            "Discarded Output Packets",
            Named(group, "OutDiscards"),
        ),
        one(
            "output_packet_no_route",
            "Output Packet No Route",
            Named(group, "OutNoRoutes"),
        ),
        one("reassembly_required", "Reassembly Required", Named(group, "ReasmReqds")),
        one(
            "reassembly_successful",
            "Reassembly Successful",
            Named(group, "ReasmOKs"),
        ),
        one("reassembly_failures", "Reassembly Failures", Named(group, "ReasmFails")),
        one(
            "datagrams_fragmented",
            "Datagrams Successfully Fragmented",
            Named(group, "FragOKs"),
        ),
        one(
            "datagrams_failing_fragmentation",
            "Datagrams Failing Fragmentation",
            Named(group, "FragFails"),
        ),
        one("fragments_created", "Fragments Created", Named(group, "FragCreates")),
    ]
}

static IPV4: [ClassicRow; 17] = ip_rows("Ip", "ForwDatagrams");
static IPV6: [ClassicRow; 17] = ip_rows("Ip6", "OutForwDatagrams");

const fn icmp(
    id: &'static str,
    label: &'static str,
    received: &'static str,
    sent: &'static str,
    group: &'static str,
) -> ClassicRow {
    two(id, label, Named(group, received), Named(group, sent))
}

/// Returns a row for an ICMP type that the kernel lists only by number, and only once it has occurred.
const fn icmp_type(
    id: &'static str,
    label: &'static str,
    group: &'static str,
    beside: &'static str,
    received: &'static str,
    sent: &'static str,
) -> ClassicRow {
    two(
        id,
        label,
        Rare {
            group,
            name: received,
            beside,
        },
        Rare {
            group,
            name: sent,
            beside,
        },
    )
}

/// The rows of RFC 4293 icmpStats. Linux has no names for router discovery (RFC 1256) but counts its types 9 and 10.
static ICMPV4: [ClassicRow; 15] = {
    const G: &str = "Icmp";
    [
        icmp("messages", "Messages", "InMsgs", "OutMsgs", G),
        icmp("errors", "Errors", "InErrors", "OutErrors", G),
        icmp(
            "destination_unreachable",
            "Destination Unreachable",
            "InDestUnreachs",
            "OutDestUnreachs",
            G,
        ),
        icmp("time_exceeded", "Time Exceeded", "InTimeExcds", "OutTimeExcds", G),
        icmp(
            "parameter_problems",
            "Parameter Problems",
            "InParmProbs",
            "OutParmProbs",
            G,
        ),
        icmp("source_quenches", "Source Quenches", "InSrcQuenchs", "OutSrcQuenchs", G),
        icmp("redirects", "Redirects", "InRedirects", "OutRedirects", G),
        icmp("echo_replies", "Echo Replies", "InEchoReps", "OutEchoReps", G),
        icmp("echos", "Echos", "InEchos", "OutEchos", G),
        icmp("timestamps", "Timestamps", "InTimestamps", "OutTimestamps", G),
        icmp(
            "timestamp_replies",
            "Timestamp Replies",
            "InTimestampReps",
            "OutTimestampReps",
            G,
        ),
        icmp("address_masks", "Address Masks", "InAddrMasks", "OutAddrMasks", G),
        icmp(
            "address_mask_replies",
            "Address Mask Replies",
            "InAddrMaskReps",
            "OutAddrMaskReps",
            G,
        ),
        icmp_type(
            "router_solicitations",
            "Router Solicitations",
            "IcmpMsg",
            G,
            "InType10",
            "OutType10",
        ),
        icmp_type(
            "router_advertisements",
            "Router Advertisements",
            "IcmpMsg",
            G,
            "InType9",
            "OutType9",
        ),
    ]
};

/// The rows of RFC 2466 ipv6IfIcmp. MLD reports are those of version 1 (type 131) and version 2 (type 143, RFC 3810)
/// together. Router renumbering (RFC 2894) is type 138.
static ICMPV6: [ClassicRow; 17] = {
    const G: &str = "Icmp6";
    [
        icmp("messages", "Messages", "InMsgs", "OutMsgs", G),
        icmp("errors", "Errors", "InErrors", "OutErrors", G),
        icmp(
            "destination_unreachable",
            "Destination Unreachable",
            "InDestUnreachs",
            "OutDestUnreachs",
            G,
        ),
        icmp("packet_too_big", "Packet Too Big", "InPktTooBigs", "OutPktTooBigs", G),
        icmp("time_exceeded", "Time Exceeded", "InTimeExcds", "OutTimeExcds", G),
        icmp(
            "parameter_problems",
            "Parameter Problems",
            "InParmProblems",
            "OutParmProblems",
            G,
        ),
        icmp("echos", "Echos", "InEchos", "OutEchos", G),
        icmp("echo_replies", "Echo Replies", "InEchoReplies", "OutEchoReplies", G),
        icmp(
            "mld_queries",
            "MLD Queries",
            "InGroupMembQueries",
            "OutGroupMembQueries",
            G,
        ),
        two(
            "mld_reports",
            "MLD Reports",
            Sum(G, &["InGroupMembResponses", "InMLDv2Reports"]),
            Sum(G, &["OutGroupMembResponses", "OutMLDv2Reports"]),
        ),
        icmp(
            "mld_dones",
            "MLD Dones",
            "InGroupMembReductions",
            "OutGroupMembReductions",
            G,
        ),
        icmp(
            "router_solicitations",
            "Router Solicitations",
            "InRouterSolicits",
            "OutRouterSolicits",
            G,
        ),
        icmp(
            "router_advertisements",
            "Router Advertisements",
            "InRouterAdvertisements",
            "OutRouterAdvertisements",
            G,
        ),
        icmp(
            "neighbor_solicitations",
            "Neighbor Solicitations",
            "InNeighborSolicits",
            "OutNeighborSolicits",
            G,
        ),
        icmp(
            "neighbor_advertisements",
            "Neighbor Advertisements",
            "InNeighborAdvertisements",
            "OutNeighborAdvertisements",
            G,
        ),
        icmp("redirects", "Redirects", "InRedirects", "OutRedirects", G),
        icmp_type(
            "router_renumberings",
            "Router Renumberings",
            G,
            G,
            "InType138",
            "OutType138",
        ),
    ]
};

const CURRENT_CONNECTIONS: ClassicRow = ClassicRow {
    id: "current_connections",
    label: "Current Connections",
    kind: Kind::Gauge,
    cells: Cells::One(Sockets),
};

/// The rows of RFC 4022 tcp. Linux keeps one set for both families, which is shown in the IPv4 block.
static TCPV4: [ClassicRow; 8] = [
    one("active_opens", "Active Opens", Named("Tcp", "ActiveOpens")),
    one("passive_opens", "Passive Opens", Named("Tcp", "PassiveOpens")),
    one(
        "failed_connection_attempts",
        "Failed Connection Attempts",
        Named("Tcp", "AttemptFails"),
    ),
    one("reset_connections", "Reset Connections", Named("Tcp", "EstabResets")),
    CURRENT_CONNECTIONS,
    one("segments_received", "Segments Received", Named("Tcp", "InSegs")),
    one("segments_sent", "Segments Sent", Named("Tcp", "OutSegs")),
    one(
        "segments_retransmitted",
        "Segments Retransmitted",
        Named("Tcp", "RetransSegs"),
    ),
];

static TCPV6: [ClassicRow; 8] = [
    one("active_opens", "Active Opens", NotKept),
    one("passive_opens", "Passive Opens", NotKept),
    one("failed_connection_attempts", "Failed Connection Attempts", NotKept),
    one("reset_connections", "Reset Connections", NotKept),
    CURRENT_CONNECTIONS,
    one("segments_received", "Segments Received", NotKept),
    one("segments_sent", "Segments Sent", NotKept),
    one("segments_retransmitted", "Segments Retransmitted", NotKept),
];

/// Returns the rows of RFC 4113 udp.
const fn udp_rows(group: &'static str) -> [ClassicRow; 4] {
    [
        one("datagrams_received", "Datagrams Received", Named(group, "InDatagrams")),
        one("no_ports", "No Ports", Named(group, "NoPorts")),
        one("receive_errors", "Receive Errors", Named(group, "InErrors")),
        one("datagrams_sent", "Datagrams Sent", Named(group, "OutDatagrams")),
    ]
}

static UDPV4: [ClassicRow; 4] = udp_rows("Udp");
static UDPV6: [ClassicRow; 4] = udp_rows("Udp6");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_name_in_any_case_finds_its_block() {
        for block in Block::ALL {
            assert_eq!(Block::from_name(&block.name().to_lowercase()), Some(block));
            assert_eq!(Block::from_name(&block.name().to_uppercase()), Some(block));
        }
        assert_eq!(Block::from_name("IPv4"), None);
    }

    #[test]
    fn block_rows_have_unique_ids_and_labels() {
        for block in Block::ALL {
            let rows = block.rows();
            for (i, row) in rows.iter().enumerate() {
                assert!(
                    rows[..i]
                        .iter()
                        .all(|other| other.id != row.id && other.label != row.label),
                    "{}",
                    row.id
                );
            }
        }
    }

    #[test]
    fn block_set_keeps_order_of_printing() {
        let set: BlockSet = [Block::Udpv6, Block::Ipv4].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Block::Ipv4, Block::Udpv6]);
        assert!(!set.has(Block::Udpv4));
        assert_eq!(BlockSet::default().iter().count(), 8);
    }
}
