//! TCP counters: the groups `Tcp` and `TcpExt`, one set for both families.

use super::Descriptions;

pub(super) const DESCRIPTIONS: Descriptions = &[
    (
        "RtoAlgorithm",
        "how the retransmission time is found, as numbered by RFC 4022 (1 is \"other\")",
    ),
    ("RtoMin", "shortest retransmission time, in milliseconds"),
    ("RtoMax", "longest retransmission time, in milliseconds"),
    ("MaxConn", "most connections allowed; -1: no fixed number"),
    ("ActiveOpens", "connections opened from here"),
    ("PassiveOpens", "connections opened by peers"),
    (
        "AttemptFails",
        "connections that failed while being opened, from either side",
    ),
    ("EstabResets", "open connections that ended in a reset"),
    (
        "CurrEstab",
        "connections open now (ESTABLISHED or CLOSE_WAIT), both families",
    ),
    ("InSegs", "segments received, faulty ones included"),
    ("OutSegs", "segments sent, repeated ones not counted"),
    ("RetransSegs", "segments sent again"),
    ("InErrs", "segments received with an error, such as a wrong checksum"),
    ("OutRsts", "resets sent"),
    ("InCsumErrors", "segments received with a wrong checksum"),
];

pub(super) const DESCRIPTIONS_EXT: Descriptions = &[
    (
        "SyncookiesSent",
        "connection requests answered with a SYN cookie instead of being remembered",
    ),
    ("SyncookiesRecv", "valid SYN cookies that came back"),
    ("SyncookiesFailed", "SYN cookies that came back and were not valid"),
    (
        "EmbryonicRsts",
        "resets received for connections whose handshake was not finished",
    ),
    (
        "PruneCalled",
        "times a socket's receive memory was full and had to be tidied up",
    ),
    (
        "RcvPruned",
        "times tidying up did not free enough, so that received data was dropped",
    ),
    (
        "OfoPruned",
        "times data received out of order was thrown away to free memory",
    ),
    (
        "OutOfWindowIcmps",
        "ICMP errors ignored because they speak of data that is not in flight",
    ),
    (
        "LockDroppedIcmps",
        "ICMP errors dropped because the socket was in use at that moment",
    ),
    (
        "ArpFilter",
        "ARP requests not answered because of the arp_filter setting",
    ),
    ("TW", "connections that ended after their full TIME_WAIT"),
    (
        "TWRecycled",
        "connections in TIME_WAIT whose ports a new outgoing connection took over",
    ),
    ("TWKilled", "connections that ended after a shortened TIME_WAIT"),
    (
        "PAWSActive",
        "answers to a connection request dropped because of an impossible timestamp",
    ),
    (
        "PAWSEstab",
        "segments of open connections dropped because their timestamp was too old",
    ),
    (
        "BeyondWindow",
        "segments dropped because they reach beyond the receive window",
    ),
    (
        "TSEcrRejected",
        "segments dropped during the handshake because they echo an impossible timestamp",
    ),
    (
        "PAWSOldAck",
        "late acknowledgements dropped because their timestamp was too old",
    ),
    (
        "PAWSTimewait",
        "segments for connections in TIME_WAIT dropped because their timestamp was too old",
    ),
    (
        "DelayedACKs",
        "delayed acknowledgements that were sent because their timer ran out",
    ),
    (
        "DelayedACKLocked",
        "delayed acknowledgements put off again because the socket was in use",
    ),
    (
        "DelayedACKLost",
        "times data came again that had been acknowledged: the acknowledgement may have been lost",
    ),
    (
        "ListenOverflows",
        "connection requests dropped because the program did not accept fast enough",
    ),
    (
        "ListenDrops",
        "connection requests dropped by listening sockets, overflows included",
    ),
    ("TCPHPHits", "segments with data that took the fast path"),
    ("TCPPureAcks", "acknowledgements without data that took the slow path"),
    ("TCPHPAcks", "acknowledgements without data that took the fast path"),
    (
        "TCPRenoRecovery",
        "times lost data began to be sent again, peer without selective acknowledgement (SACK)",
    ),
    (
        "TCPSackRecovery",
        "times lost data began to be sent again, peer with selective acknowledgement (SACK)",
    ),
    (
        "TCPSACKReneging",
        "times a peer dropped data after acknowledging it selectively",
    ),
    (
        "TCPSACKReorder",
        "times packets were found to arrive out of order, seen by selective acknowledgements",
    ),
    (
        "TCPRenoReorder",
        "times packets were found to arrive out of order, seen by repeated acknowledgements",
    ),
    (
        "TCPTSReorder",
        "times packets were found to arrive out of order, seen when a gap was filled",
    ),
    (
        "TCPFullUndo",
        "times the whole slow-down was taken back because nothing had been lost",
    ),
    (
        "TCPPartialUndo",
        "times part of a slow-down was taken back because data had only been late",
    ),
    (
        "TCPDSACKUndo",
        "times a slow-down was taken back because the peer had everything twice",
    ),
    (
        "TCPLossUndo",
        "times the slow-down after a timeout was taken back because data had only been late",
    ),
    ("TCPLostRetransmit", "retransmissions that were lost as well"),
    (
        "TCPRenoFailures",
        "timeouts after repeated acknowledgements, peer without SACK",
    ),
    (
        "TCPSackFailures",
        "timeouts after selective acknowledgements showed a gap",
    ),
    (
        "TCPLossFailures",
        "timeouts while still recovering from an earlier timeout",
    ),
    ("TCPFastRetrans", "segments sent again without waiting for a timeout"),
    ("TCPSlowStartRetrans", "segments sent again after a timeout"),
    ("TCPTimeouts", "times the retransmission timer ran out"),
    (
        "TCPLossProbes",
        "probes sent for a loss at the end of the data (tail loss probes)",
    ),
    ("TCPLossProbeRecovery", "losses that such a probe found and repaired"),
    (
        "TCPRenoRecoveryFail",
        "timeouts in the middle of sending lost data again, peer without SACK",
    ),
    (
        "TCPSackRecoveryFail",
        "timeouts in the middle of sending lost data again, peer with SACK",
    ),
    ("TCPRcvCollapsed", "packets joined in a receive queue to free memory"),
    (
        "TCPBacklogCoalesce",
        "packets joined while they waited for a socket in use",
    ),
    ("TCPDSACKOldSent", "peers told that acknowledged data came again"),
    (
        "TCPDSACKOfoSent",
        "peers told that data received out of order came again",
    ),
    ("TCPDSACKRecv", "reports from peers that acknowledged data came again"),
    (
        "TCPDSACKOfoRecv",
        "reports from peers that data received out of order came again",
    ),
    (
        "TCPAbortOnData",
        "connections reset because data was in flight or still arriving at the close",
    ),
    (
        "TCPAbortOnClose",
        "connections reset because the program closed them with data unread",
    ),
    (
        "TCPAbortOnMemory",
        "closed connections dropped for lack of memory, or because there were too many",
    ),
    (
        "TCPAbortOnTimeout",
        "connections given up because the peer did not answer in time",
    ),
    (
        "TCPAbortOnLinger",
        "closed connections reset instead of waiting for the peer's end (TCP_LINGER2)",
    ),
    ("TCPAbortFailed", "resets that could not be sent"),
    ("TCPMemoryPressures", "times TCP as a whole ran short of memory"),
    (
        "TCPMemoryPressuresChrono",
        "milliseconds during which TCP was short of memory",
    ),
    (
        "TCPSACKDiscard",
        "selective acknowledgements ignored because they made no sense",
    ),
    (
        "TCPDSACKIgnoredOld",
        "reports of data received twice ignored as too old",
    ),
    (
        "TCPDSACKIgnoredNoUndo",
        "reports of data received twice ignored because nothing had been sent twice",
    ),
    ("TCPSpuriousRTOs", "timeouts found needless by the F-RTO algorithm"),
    (
        "TCPMD5NotFound",
        "segments dropped because their MD5 signature was missing",
    ),
    (
        "TCPMD5Unexpected",
        "segments dropped because they had an MD5 signature that nobody asked for",
    ),
    (
        "TCPMD5Failure",
        "segments dropped because their MD5 signature was wrong",
    ),
    (
        "TCPSackShifted",
        "times part of a packet in the send queue was moved to the one before it",
    ),
    (
        "TCPSackMerged",
        "times a packet in the send queue was joined with the one before it",
    ),
    (
        "TCPSackShiftFallback",
        "times packets in the send queue could not be joined",
    ),
    (
        "TCPBacklogDrop",
        "segments dropped because too many waited for a socket in use",
    ),
    (
        "PFMemallocDrop",
        "packets dropped because they used memory reserved for swapping",
    ),
    (
        "TCPMinTTLDrop",
        "segments dropped because they had come farther than the program allows (IP_MINTTL)",
    ),
    (
        "TCPDeferAcceptDrop",
        "handshakes left open until data comes, as the program asked (TCP_DEFER_ACCEPT)",
    ),
    (
        "IPReversePathFilter",
        "packets dropped because their source should come another way (rp_filter)",
    ),
    (
        "TCPTimeWaitOverflow",
        "connections closed without TIME_WAIT because there were too many",
    ),
    (
        "TCPReqQFullDoCookies",
        "times SYN cookies were used because the queue of connection requests was full",
    ),
    (
        "TCPReqQFullDrop",
        "connection requests dropped because the queue of them was full",
    ),
    ("TCPRetransFail", "retransmissions that the layers below refused"),
    (
        "TCPRcvCoalesce",
        "packets joined with the one before in the receive queue",
    ),
    ("TCPOFOQueue", "segments received out of order and kept"),
    (
        "TCPOFODrop",
        "segments received out of order and dropped for lack of memory",
    ),
    (
        "TCPOFOMerge",
        "segments received out of order that overlapped one already kept",
    ),
    (
        "TCPChallengeACK",
        "acknowledgements sent to test whether a suspicious segment is genuine (RFC 5961)",
    ),
    (
        "TCPSYNChallenge",
        "connection requests for an open connection that were answered with such a test",
    ),
    (
        "TCPFastOpenActive",
        "connections whose first packet's data the peer took (Fast Open)",
    ),
    (
        "TCPFastOpenActiveFail",
        "connections whose first packet's data the peer did not take (Fast Open)",
    ),
    (
        "TCPFastOpenPassive",
        "connection requests with data taken at once (Fast Open)",
    ),
    (
        "TCPFastOpenPassiveFail",
        "connection requests with data refused (Fast Open)",
    ),
    (
        "TCPFastOpenListenOverflow",
        "connection requests with data refused because too many were pending (Fast Open)",
    ),
    ("TCPFastOpenCookieReqd", "requests for a Fast Open cookie"),
    (
        "TCPFastOpenBlackhole",
        "times Fast Open was paused because something on the way swallows it",
    ),
    (
        "TCPSpuriousRtxHostQueues",
        "retransmissions left out because the first copy had not yet left this computer",
    ),
    (
        "BusyPollRxPackets",
        "packets fetched by a program that polls the network card",
    ),
    ("TCPAutoCorking", "small pieces of data held back to be sent together"),
    ("TCPFromZeroWindowAdv", "times a closed receive window was opened again"),
    ("TCPToZeroWindowAdv", "times a receive window was closed"),
    (
        "TCPWantZeroWindowAdv",
        "times a receive window should have been closed but could not be taken back",
    ),
    ("TCPSynRetrans", "connection requests and answers to them sent again"),
    ("TCPOrigDataSent", "segments with data sent for the first time"),
    (
        "TCPHystartTrainDetect",
        "times slow start ended early because acknowledgements came in a long train",
    ),
    ("TCPHystartTrainCwnd", "sum of the congestion windows at those moments"),
    (
        "TCPHystartDelayDetect",
        "times slow start ended early because packets took longer",
    ),
    ("TCPHystartDelayCwnd", "sum of the congestion windows at those moments"),
    (
        "TCPACKSkippedSynRecv",
        "acknowledgements held back by the rate limit during the handshake",
    ),
    (
        "TCPACKSkippedPAWS",
        "acknowledgements held back by the rate limit after an old timestamp",
    ),
    (
        "TCPACKSkippedSeq",
        "acknowledgements held back by the rate limit after a segment outside the window",
    ),
    (
        "TCPACKSkippedFinWait2",
        "acknowledgements held back by the rate limit in FIN_WAIT_2",
    ),
    (
        "TCPACKSkippedTimeWait",
        "acknowledgements held back by the rate limit in TIME_WAIT",
    ),
    (
        "TCPACKSkippedChallenge",
        "tests of a suspicious segment held back by the rate limit",
    ),
    ("TCPWinProbe", "probes sent because the peer's window was closed"),
    ("TCPKeepAlive", "keep-alive probes sent"),
    ("TCPMTUPFail", "probes for a larger packet size that were lost"),
    ("TCPMTUPSuccess", "probes for a larger packet size that arrived"),
    ("TCPDelivered", "segments with data that peers acknowledged"),
    (
        "TCPDeliveredCE",
        "segments with data that peers acknowledged with a congestion mark (ECN)",
    ),
    ("TCPAckCompressed", "acknowledgements saved by joining several into one"),
    (
        "TCPZeroWindowDrop",
        "segments dropped because the receive window was closed",
    ),
    ("TCPRcvQDrop", "segments dropped because the receive queue was full"),
    (
        "TCPWqueueTooBig",
        "times a send queue had too much memory in use to split a packet",
    ),
    (
        "TCPFastOpenPassiveAltKey",
        "connection requests with data taken thanks to the second key (Fast Open)",
    ),
    ("TcpTimeoutRehash", "times another path was tried after a timeout"),
    (
        "TcpDuplicateDataRehash",
        "times another path was tried because data came twice",
    ),
    (
        "TCPDSACKRecvSegs",
        "segments that peers reported to have received twice",
    ),
    (
        "TCPDSACKIgnoredDubious",
        "reports of data received twice ignored because they claim more than was sent",
    ),
    (
        "TCPMigrateReqSuccess",
        "unfinished handshakes moved to another listening socket",
    ),
    (
        "TCPMigrateReqFailure",
        "unfinished handshakes that could not be moved to another listening socket",
    ),
    (
        "TCPPLBRehash",
        "times another path was tried because of congestion (PLB)",
    ),
    (
        "TCPAORequired",
        "segments dropped because their authentication (TCP-AO) was missing",
    ),
    (
        "TCPAOBad",
        "segments dropped because their authentication (TCP-AO) was wrong",
    ),
    (
        "TCPAOKeyNotFound",
        "segments dropped because their key (TCP-AO) is not known here",
    ),
    ("TCPAOGood", "segments whose authentication (TCP-AO) was right"),
    (
        "TCPAODroppedIcmps",
        "ICMP errors ignored because the connection is authenticated (TCP-AO)",
    ),
];
