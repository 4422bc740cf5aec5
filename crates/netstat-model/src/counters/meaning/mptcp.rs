//! Multipath TCP counters (RFC 8684): the group `MPTcpExt`. A subflow is one of the TCP connections that together carry
//! an MPTCP connection.

use super::Descriptions;

pub(super) const DESCRIPTIONS: Descriptions = &[
    ("MPCapableSYNRX", "requests for an MPTCP connection received"),
    ("MPCapableSYNTX", "requests for an MPTCP connection sent"),
    (
        "MPCapableSYNACKRX",
        "requests for an MPTCP connection that the peer accepted",
    ),
    ("MPCapableACKRX", "MPTCP connections that a peer opened and confirmed"),
    (
        "MPCapableFallbackACK",
        "incoming connections that became plain TCP during the handshake",
    ),
    (
        "MPCapableFallbackSYNACK",
        "outgoing connections that became plain TCP because the peer has no MPTCP",
    ),
    (
        "MPCapableSYNTXDrop",
        "outgoing connections that became plain TCP because MPTCP requests got lost",
    ),
    (
        "MPCapableSYNTXDisabled",
        "outgoing connections made as plain TCP because MPTCP failed on this path before",
    ),
    (
        "MPCapableEndpAttempt",
        "new connections refused at a port that only takes additional subflows",
    ),
    (
        "MPFallbackTokenInit",
        "connections without MPTCP because no token could be made for them",
    ),
    ("MPTCPRetrans", "segments sent again by MPTCP, over any subflow"),
    (
        "MPJoinNoTokenFound",
        "subflows refused because their connection is not known here",
    ),
    ("MPJoinSynRx", "requests for an additional subflow received"),
    (
        "MPJoinSynBackupRx",
        "requests for an additional subflow received that is to be a backup",
    ),
    (
        "MPJoinSynAckRx",
        "requests for an additional subflow that the peer accepted",
    ),
    (
        "MPJoinSynAckBackupRx",
        "requests for an additional subflow that the peer accepted as a backup",
    ),
    (
        "MPJoinSynAckHMacFailure",
        "subflows refused because the peer's proof of identity was wrong (SYN+ACK)",
    ),
    ("MPJoinAckRx", "additional subflows that a peer opened and confirmed"),
    (
        "MPJoinAckHMacFailure",
        "subflows refused because the peer's proof of identity was wrong (ACK)",
    ),
    (
        "MPJoinRejected",
        "subflows refused because the limit of subflows or the rules of this computer forbid them",
    ),
    ("MPJoinSynTx", "requests for an additional subflow sent"),
    (
        "MPJoinSynTxCreatSkErr",
        "additional subflows not opened because no socket could be made",
    ),
    (
        "MPJoinSynTxBindErr",
        "additional subflows not opened because the local address could not be taken",
    ),
    (
        "MPJoinSynTxConnectErr",
        "additional subflows not opened because connecting failed",
    ),
    (
        "DSSNotMatching",
        "data mappings received that contradict the one before",
    ),
    (
        "DSSCorruptionFallback",
        "connections that became plain TCP because data mappings were damaged",
    ),
    (
        "DSSCorruptionReset",
        "subflows reset because data mappings were damaged",
    ),
    (
        "InfiniteMapTx",
        "\"no more mappings\" sent: the connection goes on as plain TCP",
    ),
    (
        "InfiniteMapRx",
        "\"no more mappings\" received: the connection goes on as plain TCP",
    ),
    (
        "DSSNoMatchTCP",
        "data mappings that do not fit the TCP sequence numbers",
    ),
    ("DataCsumErr", "data checksums that were wrong"),
    ("OFOQueueTail", "segments put at the end of the out-of-order queue"),
    ("OFOQueue", "segments put into the out-of-order queue"),
    ("OFOMerge", "segments joined with others in the out-of-order queue"),
    ("NoDSSInWindow", "segments outside the connection's receive window"),
    (
        "DuplicateData",
        "segments dropped because their data had come over another subflow",
    ),
    ("AddAddr", "additional addresses that peers announced"),
    ("AddAddrTx", "additional addresses announced to peers"),
    (
        "AddAddrTxDrop",
        "announcements of an additional address not sent for lack of resources",
    ),
    ("EchoAdd", "announced addresses that peers confirmed"),
    ("EchoAddTx", "confirmations of an announced address sent"),
    (
        "EchoAddTxDrop",
        "confirmations of an announced address not sent for lack of resources",
    ),
    (
        "PortAdd",
        "additional addresses that peers announced together with a port",
    ),
    ("AddAddrDrop", "announced addresses that were dropped"),
    ("MPJoinPortSynRx", "requests for a subflow to another port received"),
    (
        "MPJoinPortSynAckRx",
        "requests for a subflow to another port that the peer accepted",
    ),
    ("MPJoinPortAckRx", "subflows to another port that a peer confirmed"),
    (
        "MismatchPortSynRx",
        "requests for a subflow to a port that was not announced",
    ),
    (
        "MismatchPortAckRx",
        "confirmations of a subflow to a port that was not announced",
    ),
    ("RmAddr", "addresses that peers took back"),
    ("RmAddrDrop", "messages taking an address back that were dropped"),
    ("RmAddrTx", "addresses taken back"),
    (
        "RmAddrTxDrop",
        "messages taking an address back not sent for lack of resources",
    ),
    ("RmSubflow", "subflows closed because their address was taken back"),
    ("MPPrioTx", "changes of a subflow's priority sent"),
    ("MPPrioRx", "changes of a subflow's priority received"),
    ("MPFailTx", "reports of damaged data sent"),
    ("MPFailRx", "reports of damaged data received"),
    ("MPFastcloseTx", "connections aborted from here as a whole"),
    ("MPFastcloseRx", "connections aborted by the peer as a whole"),
    ("MPRstTx", "subflows reset from here"),
    ("MPRstRx", "subflows reset by the peer"),
    ("RcvPruned", "packets dropped because the receive memory was used up"),
    ("SubflowStale", "subflows set aside because nothing got through them"),
    ("SubflowRecover", "subflows used again after having been set aside"),
    (
        "SndWndShared",
        "times a subflow's send window was replaced by the connection's",
    ),
    (
        "RcvWndShared",
        "times a subflow's receive window was replaced by the connection's",
    ),
    (
        "RcvWndConflictUpdate",
        "times a receive window was replaced after two subflows changed it at once",
    ),
    (
        "RcvWndConflict",
        "times two subflows changed the receive window at once",
    ),
    ("MPCurrEstab", "MPTCP connections open now"),
    ("Blackhole", "paths found to swallow MPTCP requests"),
    (
        "MPCapableDataFallback",
        "connections that became plain TCP because the first data had no mapping",
    ),
    (
        "MD5SigFallback",
        "connections that became plain TCP because a TCP option in use rules MPTCP out",
    ),
    (
        "DssFallback",
        "connections that became plain TCP because of bad or missing data mappings",
    ),
    (
        "SimultConnectFallback",
        "connections that became plain TCP because both ends opened at once",
    ),
    (
        "FallbackFailed",
        "connections that should have become plain TCP and could not",
    ),
    ("WinProbe", "probes sent because the peer's window was closed"),
];
