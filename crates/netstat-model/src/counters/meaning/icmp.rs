//! ICMP counters of both families, by name and by message type.

use std::borrow::Cow;

use super::Descriptions;

/// The descriptions of group `Icmp`, most of which also apply to `Icmp6`.
pub(super) const DESCRIPTIONS: Descriptions = &[
    ("InMsgs", "messages received, faulty ones included"),
    ("InErrors", "messages received that were faulty"),
    ("InCsumErrors", "messages received with a wrong checksum"),
    (
        "InDestUnreachs",
        "\"destination unreachable\" received: something sent from here did not arrive",
    ),
    (
        "InTimeExcds",
        "\"time exceeded\" received: a packet ran out of hops, or its fragments out of time",
    ),
    (
        "InParmProbs",
        "\"parameter problem\" received: a header sent from here was not understood",
    ),
    (
        "InSrcQuenchs",
        "\"source quench\" received: an old request to send slower",
    ),
    ("InRedirects", "\"redirect\" received: a router knows a better way"),
    ("InEchos", "echo requests (pings) received"),
    ("InEchoReps", "echo replies received"),
    ("InTimestamps", "timestamp requests received"),
    ("InTimestampReps", "timestamp replies received"),
    ("InAddrMasks", "address mask requests received"),
    ("InAddrMaskReps", "address mask replies received"),
    ("OutMsgs", "messages sent"),
    ("OutErrors", "messages that could not be sent"),
    (
        "OutRateLimitGlobal",
        "messages not sent because of the limit for all of them together",
    ),
    (
        "OutRateLimitHost",
        "messages not sent because of the limit for one destination",
    ),
    ("OutDestUnreachs", "\"destination unreachable\" sent"),
    ("OutTimeExcds", "\"time exceeded\" sent"),
    ("OutParmProbs", "\"parameter problem\" sent"),
    ("OutSrcQuenchs", "\"source quench\" sent"),
    ("OutRedirects", "\"redirect\" sent"),
    ("OutEchos", "echo requests (pings) sent"),
    ("OutEchoReps", "echo replies sent"),
    ("OutTimestamps", "timestamp requests sent"),
    ("OutTimestampReps", "timestamp replies sent"),
    ("OutAddrMasks", "address mask requests sent"),
    ("OutAddrMaskReps", "address mask replies sent"),
];

/// The descriptions of counters that only group `Icmp6` has.
pub(super) const DESCRIPTIONS_6: Descriptions = &[
    (
        "InPktTooBigs",
        "\"packet too big\" received: a link on the way carries smaller packets",
    ),
    (
        "InParmProblems",
        "\"parameter problem\" received: a header sent from here was not understood",
    ),
    ("InEchoReplies", "echo replies received"),
    (
        "InGroupMembQueries",
        "multicast listener queries received: a router asks who wants which groups",
    ),
    ("InGroupMembResponses", "multicast listener reports received, version 1"),
    (
        "InGroupMembReductions",
        "multicast listener \"done\" received: the last listener left a group",
    ),
    ("InMLDv2Reports", "multicast listener reports received, version 2"),
    (
        "InRouterSolicits",
        "router solicitations received: someone looks for routers",
    ),
    ("InRouterAdvertisements", "router advertisements received"),
    (
        "InNeighborSolicits",
        "neighbour solicitations received: someone looks for a link address",
    ),
    (
        "InNeighborAdvertisements",
        "neighbour advertisements received: answers with a link address",
    ),
    ("OutPktTooBigs", "\"packet too big\" sent"),
    ("OutParmProblems", "\"parameter problem\" sent"),
    ("OutEchoReplies", "echo replies sent"),
    ("OutGroupMembQueries", "multicast listener queries sent"),
    ("OutGroupMembResponses", "multicast listener reports sent, version 1"),
    (
        "OutGroupMembReductions",
        "multicast listener \"done\" sent: the last listener here left a group",
    ),
    ("OutMLDv2Reports", "multicast listener reports sent, version 2"),
    ("OutRouterSolicits", "router solicitations sent"),
    ("OutRouterAdvertisements", "router advertisements sent"),
    (
        "OutNeighborSolicits",
        "neighbour solicitations sent: this computer looked for a link address",
    ),
    (
        "OutNeighborAdvertisements",
        "neighbour advertisements sent: answers with this computer's link address",
    ),
];

/// The message types of one family.
pub(super) struct Types {
    family: &'static str,
    names: &'static [(u8, &'static str)],
}

/// The message types of ICMP (IANA, "ICMP Parameters"), without the deprecated ones.
pub(super) const TYPES_4: &Types = &Types {
    family: "ICMP",
    names: &[
        (0, "echo reply"),
        (3, "destination unreachable"),
        (4, "source quench"),
        (5, "redirect"),
        (8, "echo request"),
        (9, "router advertisement"),
        (10, "router solicitation"),
        (11, "time exceeded"),
        (12, "parameter problem"),
        (13, "timestamp request"),
        (14, "timestamp reply"),
        (15, "information request"),
        (16, "information reply"),
        (17, "address mask request"),
        (18, "address mask reply"),
        (40, "security failure (Photuris)"),
        (42, "extended echo request"),
        (43, "extended echo reply"),
    ],
};

/// The message types of ICMPv6 (IANA, "ICMPv6 Parameters").
pub(super) const TYPES_6: &Types = &Types {
    family: "ICMPv6",
    names: &[
        (1, "destination unreachable"),
        (2, "packet too big"),
        (3, "time exceeded"),
        (4, "parameter problem"),
        (128, "echo request"),
        (129, "echo reply"),
        (130, "multicast listener query"),
        (131, "multicast listener report"),
        (132, "multicast listener done"),
        (133, "router solicitation"),
        (134, "router advertisement"),
        (135, "neighbour solicitation"),
        (136, "neighbour advertisement"),
        (137, "redirect"),
        (138, "router renumbering"),
        (139, "node information query"),
        (140, "node information response"),
        (141, "inverse neighbour discovery solicitation"),
        (142, "inverse neighbour discovery advertisement"),
        (143, "multicast listener report, version 2"),
        (144, "home agent address discovery request"),
        (145, "home agent address discovery reply"),
        (146, "mobile prefix solicitation"),
        (147, "mobile prefix advertisement"),
        (148, "certification path solicitation"),
        (149, "certification path advertisement"),
        (151, "multicast router advertisement"),
        (152, "multicast router solicitation"),
        (153, "multicast router termination"),
        (155, "RPL control"),
        (157, "duplicate address request"),
        (158, "duplicate address confirmation"),
        (160, "extended echo request"),
        (161, "extended echo reply"),
    ],
};

/// Returns the description of `InTypeN` or `OutTypeN`; `None` for any other name.
pub(super) fn by_type(name: &str, types: &Types) -> Option<Cow<'static, str>> {
    let (number, way) = match (name.strip_prefix("InType"), name.strip_prefix("OutType")) {
        (Some(number), _) => (number, "received"),
        (_, Some(number)) => (number, "sent"),
        _ => return None,
    };
    let number: u8 = number.parse().ok()?;
    let Types { family, names } = types;
    let mut words = format!("{family} messages of type {number} {way}");
    if let Some((_, message)) = names.iter().find(|(known, _)| *known == number) {
        words.push_str(": ");
        words.push_str(message);
    }
    Some(Cow::Owned(words))
}
