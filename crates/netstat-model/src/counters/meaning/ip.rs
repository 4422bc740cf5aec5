//! IP counters: the groups `Ip` and `IpExt` for IPv4, and `Ip6` for IPv6.

use super::Descriptions;

pub(super) const DESCRIPTIONS: Descriptions = &[
    (
        "Forwarding",
        "1 when this computer forwards packets for others, 2 when it does not",
    ),
    (
        "DefaultTTL",
        "hops a packet from here may take when nothing else was asked for",
    ),
    (
        "InReceives",
        "packets received, faulty ones included; several joined by the network card count as one",
    ),
    (
        "InHdrErrors",
        "packets dropped for a faulty header: bad checksum, wrong version, no hops left",
    ),
    (
        "InTooBigErrors",
        "packets that could not be forwarded because they were larger than the next link carries",
    ),
    ("InNoRoutes", "packets received that no route leads on for"),
    (
        "InAddrErrors",
        "packets dropped because their destination address is invalid or not ours",
    ),
    (
        "InUnknownProtos",
        "packets dropped because nothing here handles their protocol",
    ),
    ("InTruncatedPkts", "packets shorter than their header says"),
    (
        "InDiscards",
        "faultless packets dropped on the way in, such as for lack of memory",
    ),
    (
        "InDelivers",
        "packets handed to TCP, UDP, ICMP or another protocol here",
    ),
    ("ForwDatagrams", "packets passed on for others"),
    ("OutForwDatagrams", "packets passed on for others"),
    ("OutRequests", "packets that programs and protocols here wanted sent"),
    (
        "OutDiscards",
        "faultless packets dropped on the way out, such as for lack of memory",
    ),
    (
        "OutNoRoutes",
        "packets dropped because no route leads to their destination",
    ),
    (
        "OutTransmits",
        "packets given to a link to send, own and forwarded ones",
    ),
    ("ReasmTimeout", "packets whose fragments did not all arrive in time"),
    ("ReasmReqds", "fragments received that had to be put together"),
    ("ReasmOKs", "packets put together from fragments"),
    ("ReasmFails", "failures to put fragments together, for any reason"),
    (
        "ReasmOverlaps",
        "fragments that overlapped another one of the same packet",
    ),
    ("FragOKs", "packets split into fragments"),
    ("FragFails", "packets that had to be split and could not be"),
    ("FragCreates", "fragments made by splitting"),
    ("InMcastPkts", "multicast packets received"),
    ("OutMcastPkts", "multicast packets sent"),
    ("InBcastPkts", "broadcast packets received"),
    ("OutBcastPkts", "broadcast packets sent"),
    (
        "InOctets",
        "bytes received in packets, IP headers included, link headers not",
    ),
    (
        "OutOctets",
        "bytes sent in packets, IP headers included, link headers not",
    ),
    ("InMcastOctets", "bytes received in multicast packets"),
    ("OutMcastOctets", "bytes sent in multicast packets"),
    ("InBcastOctets", "bytes received in broadcast packets"),
    ("OutBcastOctets", "bytes sent in broadcast packets"),
    (
        "InCsumErrors",
        "packets dropped because their header checksum was wrong",
    ),
    (
        "InNoECTPkts",
        "packets received whose sender does not use congestion marks (ECN: not-ECT)",
    ),
    (
        "InECT1Pkts",
        "packets received whose sender uses congestion marks (ECN: ECT(1))",
    ),
    (
        "InECT0Pkts",
        "packets received whose sender uses congestion marks (ECN: ECT(0))",
    ),
    (
        "InCEPkts",
        "packets received with the mark of a congested router (ECN: CE)",
    ),
];
