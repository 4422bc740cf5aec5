//! UDP and UDP-Lite counters, which are the same for both families.

use super::Descriptions;

pub(super) const DESCRIPTIONS: Descriptions = &[
    ("InDatagrams", "datagrams handed to programs"),
    ("NoPorts", "datagrams for a port that no program listened on"),
    (
        "InErrors",
        "datagrams that could not be delivered for another reason than a missing listener",
    ),
    ("OutDatagrams", "datagrams sent"),
    (
        "RcvbufErrors",
        "datagrams dropped because the program's receive buffer was full",
    ),
    ("SndbufErrors", "datagrams not sent because the send buffer was full"),
    ("InCsumErrors", "datagrams dropped because their checksum was wrong"),
    (
        "IgnoredMulti",
        "multicast and broadcast datagrams that no socket here wanted",
    ),
    (
        "MemErrors",
        "datagrams dropped because the memory for all UDP sockets was used up",
    ),
];
