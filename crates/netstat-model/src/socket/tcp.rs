//! The internals of a TCP connection: what the sender and the receiver have measured and decided.

use crate::{Fact, Why};

/// One figure of a TCP connection. The meanings follow RFC 9293, RFC 5681, RFC 6298 and Linux's `struct tcp_info`
/// (`include/uapi/linux/tcp.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum TcpMetric {
    // Of 64 bits.
    /// Bytes per second at which data goes out at most (`SO_MAX_PACING_RATE` or the congestion control).
    PacingRate,
    /// The limit of the pacing rate that the program has set.
    MaxPacingRate,
    /// Bytes that the peer has acknowledged (RFC 4898, `tcpEStatsAppHCThruOctetsAcked`).
    BytesAcked,
    /// Bytes received in order (RFC 4898, `tcpEStatsAppHCThruOctetsReceived`).
    BytesReceived,
    /// Bytes per second that were last seen to arrive at the peer.
    DeliveryRate,
    /// Microseconds in which there was something to send.
    BusyTime,
    /// Of these, microseconds in which the peer's window was in the way.
    ReceiveWindowLimited,
    /// Of these, microseconds in which the own send buffer was in the way.
    SendBufferLimited,
    /// Bytes sent, repetitions included.
    BytesSent,
    /// Bytes sent again.
    BytesRetransmitted,
    // Of 32 bits.
    /// The smoothed round-trip time (RFC 6298, SRTT), in microseconds.
    Rtt,
    /// The variation of the round-trip time (RFC 6298, RTTVAR), in microseconds.
    RttVariance,
    /// The smallest round-trip time of late, in microseconds.
    MinRtt,
    /// The round-trip time as the receiving side estimates it, in microseconds.
    ReceiveRtt,
    /// The congestion window (RFC 5681, cwnd), in segments.
    Cwnd,
    /// The slow start threshold (RFC 5681, ssthresh), in segments.
    Ssthresh,
    /// Time until a repetition (RFC 6298, RTO), in microseconds.
    Rto,
    /// Time until an acknowledgement without data, in microseconds.
    Ato,
    /// Repetitions in a row that a timer caused and nothing has answered yet.
    Retransmits,
    /// Repeated segments on the way.
    RetransmitsInFlight,
    /// Segments sent again since the connection began.
    RetransmitsTotal,
    /// Segments on the way that count as lost.
    Lost,
    /// Segments sent and not yet acknowledged.
    Unacked,
    /// Segments that the peer has got out of order (RFC 2018).
    Sacked,
    /// Segments sent.
    SegmentsOut,
    /// Segments received.
    SegmentsIn,
    /// Segments with data sent.
    DataSegmentsOut,
    /// Segments with data received.
    DataSegmentsIn,
    /// Bytes that the program has written and that were not sent yet.
    NotSent,
    /// The largest segment that is sent, in bytes (RFC 9293, 3.7.1).
    SendMss,
    /// The size of the segments that come in, as estimated, in bytes.
    ReceiveMss,
    /// The largest segment announced to the peer, in bytes.
    AdvertisedMss,
    /// The largest packet that the path takes (RFC 1191, RFC 8201), in bytes.
    PathMtu,
    /// How far segments may overtake each other before one counts as lost, in segments.
    Reordering,
    /// How often segments were seen to overtake each other.
    ReorderingSeen,
    /// Milliseconds since data was last sent.
    LastDataSent,
    /// Milliseconds since data was last received.
    LastDataReceived,
    /// Milliseconds since an acknowledgement was last received.
    LastAckReceived,
    /// Segments delivered to the peer, repetitions included.
    Delivered,
    /// Of these, those that the peer said to have met congestion (RFC 3168).
    DeliveredCe,
    /// Segments that the peer said to have got twice (RFC 2883).
    DuplicateSacks,
    /// Segments received out of order.
    OutOfOrder,
    /// The window that the peer has offered last, in bytes.
    SendWindow,
    /// The window offered to the peer, in bytes.
    ReceiveWindow,
    /// What the receiver's buffer is sized for: bytes that come in within one round-trip time.
    ReceiveSpace,
    /// How often the path was changed on purpose after a timer ran out or congestion was seen (a new flow label, RFC 6437).
    Rehashes,
    /// How often the retransmission timer ran out (RFC 6298) since the connection began.
    Timeouts,
    /// How many times in a row of such timeouts the connection recovered from.
    TimeoutRecoveries,
    /// Milliseconds spent in such recoveries, without one that is going on.
    TimeoutTime,
}

/// The number of 64-bit figures at the beginning.
const WIDE: usize = TcpMetric::BytesRetransmitted as usize + 1;
const FIGURES: usize = TcpMetric::TimeoutTime as usize + 1;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TcpUnit {
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSecond,
    /// Segments.
    Segments,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// How often.
    Times,
}

impl TcpUnit {
    /// The unit as shown beside a figure or in a table of columns: `bytes/s`, `µs`.
    pub const fn name(self) -> &'static str {
        match self {
            TcpUnit::Bytes => "bytes",
            TcpUnit::BytesPerSecond => "bytes/s",
            TcpUnit::Segments => "segments",
            TcpUnit::Microseconds => "µs",
            TcpUnit::Milliseconds => "ms",
            TcpUnit::Times => "times",
        }
    }
}

/// Name, unit and meaning of a figure.
struct About(TcpMetric, &'static str, TcpUnit, &'static str);

#[rustfmt::skip]
const ABOUT: [About; FIGURES] = {
    use TcpMetric::*;
    use TcpUnit::*;
    [
        About(PacingRate, "pacing_rate", BytesPerSecond, "the most that is sent"),
        About(MaxPacingRate, "max_pacing_rate", BytesPerSecond, "the limit of the pacing rate set by the program"),
        About(BytesAcked, "bytes_acked", Bytes, "acknowledged by the peer"),
        About(BytesReceived, "bytes_received", Bytes, "received in order"),
        About(DeliveryRate, "delivery_rate", BytesPerSecond, "last seen to arrive at the peer"),
        About(BusyTime, "busy", Microseconds, "time with something to send"),
        About(ReceiveWindowLimited, "rwnd_limited", Microseconds, "of busy: the peer's window was full"),
        About(SendBufferLimited, "sndbuf_limited", Microseconds, "of busy: the own send buffer was full"),
        About(BytesSent, "bytes_sent", Bytes, "sent, repetitions included"),
        About(BytesRetransmitted, "bytes_retrans", Bytes, "sent again"),
        About(Rtt, "rtt", Microseconds, "round-trip time, smoothed"),
        About(RttVariance, "rttvar", Microseconds, "variation of the round-trip time"),
        About(MinRtt, "min_rtt", Microseconds, "smallest round-trip time of late"),
        About(ReceiveRtt, "rcv_rtt", Microseconds, "round-trip time as the receiver estimates it"),
        About(Cwnd, "cwnd", Segments, "congestion window"),
        About(Ssthresh, "ssthresh", Segments, "slow start threshold"),
        About(Rto, "rto", Microseconds, "time until a repetition"),
        About(Ato, "ato", Microseconds, "time until an acknowledgement without data"),
        About(Retransmits, "retransmits", Times, "repetitions in a row without an answer"),
        About(RetransmitsInFlight, "retrans_out", Segments, "repeated and on the way"),
        About(RetransmitsTotal, "retrans_total", Segments, "sent again since the beginning"),
        About(Lost, "lost", Segments, "on the way and taken for lost"),
        About(Unacked, "unacked", Segments, "sent and not acknowledged"),
        About(Sacked, "sacked", Segments, "received by the peer out of order"),
        About(SegmentsOut, "segs_out", Segments, "sent"),
        About(SegmentsIn, "segs_in", Segments, "received"),
        About(DataSegmentsOut, "data_segs_out", Segments, "sent with data"),
        About(DataSegmentsIn, "data_segs_in", Segments, "received with data"),
        About(NotSent, "notsent", Bytes, "written by the program and not sent"),
        About(SendMss, "mss", Bytes, "largest segment that is sent"),
        About(ReceiveMss, "rcv_mss", Bytes, "segments that come in, as estimated"),
        About(AdvertisedMss, "advmss", Bytes, "largest segment announced to the peer"),
        About(PathMtu, "pmtu", Bytes, "largest packet that the path takes"),
        About(Reordering, "reordering", Segments, "may overtake each other before one counts as lost"),
        About(ReorderingSeen, "reord_seen", Times, "segments were seen to overtake each other"),
        About(LastDataSent, "last_snd", Milliseconds, "since data was sent"),
        About(LastDataReceived, "last_rcv", Milliseconds, "since data was received"),
        About(LastAckReceived, "last_ack", Milliseconds, "since an acknowledgement was received"),
        About(Delivered, "delivered", Segments, "arrived at the peer, repetitions included"),
        About(DeliveredCe, "delivered_ce", Segments, "of delivered: met congestion (ECN)"),
        About(DuplicateSacks, "dsack_dups", Segments, "received twice by the peer"),
        About(OutOfOrder, "rcv_ooo", Segments, "received out of order"),
        About(SendWindow, "snd_wnd", Bytes, "window offered by the peer"),
        About(ReceiveWindow, "rcv_wnd", Bytes, "window offered to the peer"),
        About(ReceiveSpace, "rcv_space", Bytes, "what the receive buffer is sized for"),
        About(Rehashes, "rehash", Times, "the path was changed after a timeout or congestion"),
        About(Timeouts, "total_rto", Times, "the retransmission timer ran out"),
        About(TimeoutRecoveries, "total_rto_recoveries", Times, "recoveries from such timeouts"),
        About(TimeoutTime, "total_rto_time", Milliseconds, "spent in such recoveries that are over"),
    ]
};

impl TcpMetric {
    /// Every figure.
    pub const ALL: [TcpMetric; FIGURES] = {
        let mut all = [TcpMetric::PacingRate; FIGURES];
        let mut at = 0;
        while at < FIGURES {
            all[at] = ABOUT[at].0;
            assert!(all[at] as usize == at, "ABOUT has the order of the enumeration");
            at += 1;
        }
        all
    };

    /// A short name, as a column is called: lower case, with underscores. Mostly that of `ss -i`.
    pub const fn name(self) -> &'static str {
        ABOUT[self as usize].1
    }

    /// What it counts.
    pub const fn unit(self) -> TcpUnit {
        ABOUT[self as usize].2
    }

    /// What it means, in short.
    pub const fn meaning(self) -> &'static str {
        ABOUT[self as usize].3
    }

    /// Whether a figure may need more than 32 bits.
    const fn is_wide(self) -> bool {
        (self as usize) < WIDE
    }
}

/// The figures and properties of one TCP connection, each known or not; some 290 bytes.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "WrittenInfo", from = "WrittenInfo"))]
pub struct TcpInfo {
    wide: [u64; WIDE],
    narrow: [u32; FIGURES - WIDE],
    /// Why a figure is not known.
    unknown: [Option<Why>; FIGURES],
    /// How the sender is reacting to loss.
    pub phase: Fact<CongestionPhase>,
    /// What both sides agreed on in the handshake, and what was seen of it.
    pub options: Fact<TcpOptions>,
    /// Whether the delivery rate was measured while the program had too little to send, so that more may be possible.
    pub app_limited: Fact<bool>,
    /// The shifts of the windows that the peer offers, and of those offered to it (RFC 7323, 2.2), 0 to 14.
    pub window_scales: Fact<(u8, u8)>,
}

/// [`TcpInfo`] as it is written: metrics by name, so that one that comes or goes harms no old file.
#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize)]
struct WrittenInfo {
    metrics: std::collections::BTreeMap<String, Fact<u64>>,
    phase: Fact<CongestionPhase>,
    options: Fact<TcpOptions>,
    app_limited: Fact<bool>,
    window_scales: Fact<(u8, u8)>,
}

#[cfg(feature = "serde")]
impl From<TcpInfo> for WrittenInfo {
    fn from(info: TcpInfo) -> Self {
        let named = |metric: TcpMetric| (metric.name().to_owned(), info.get(metric));
        WrittenInfo {
            metrics: TcpMetric::ALL.into_iter().map(named).collect(),
            phase: info.phase,
            options: info.options,
            app_limited: info.app_limited,
            window_scales: info.window_scales,
        }
    }
}

#[cfg(feature = "serde")]
impl From<WrittenInfo> for TcpInfo {
    fn from(written: WrittenInfo) -> Self {
        let mut info = TcpInfo::unknown(Why::NotKept);
        for metric in TcpMetric::ALL {
            if let Some(fact) = written.metrics.get(metric.name()) {
                info.set(metric, *fact);
            }
        }
        TcpInfo {
            phase: written.phase,
            options: written.options,
            app_limited: written.app_limited,
            window_scales: written.window_scales,
            ..info
        }
    }
}

impl TcpInfo {
    /// Nothing known, all for the same reason.
    pub fn unknown(why: Why) -> Self {
        TcpInfo {
            wide: [0; WIDE],
            narrow: [0; FIGURES - WIDE],
            unknown: [Some(why); FIGURES],
            phase: Fact::Unknown(why),
            options: Fact::Unknown(why),
            app_limited: Fact::Unknown(why),
            window_scales: Fact::Unknown(why),
        }
    }

    /// Sets `figure`. A value that a figure of 32 bits cannot hold makes it unknown as [`Why::Failed`].
    pub fn set(&mut self, figure: TcpMetric, fact: Fact<u64>) {
        let place = figure as usize;
        self.unknown[place] = match fact {
            Fact::Known(value) if figure.is_wide() => {
                self.wide[place] = value;
                None
            }
            Fact::Known(value) => match u32::try_from(value) {
                Ok(value) => {
                    self.narrow[place - WIDE] = value;
                    None
                }
                Err(_) => Some(Why::Failed),
            },
            Fact::Unknown(why) => Some(why),
        };
    }

    /// The value of `figure`, in its [`TcpMetric::unit`].
    pub fn get(&self, figure: TcpMetric) -> Fact<u64> {
        let place = figure as usize;
        match self.unknown[place] {
            Some(why) => Fact::Unknown(why),
            None if figure.is_wide() => Fact::Known(self.wide[place]),
            None => Fact::Known(self.narrow[place - WIDE].into()),
        }
    }
}

/// How a sender is reacting to loss (Linux `enum tcp_ca_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum CongestionPhase {
    /// Nothing is wrong.
    Open,
    /// Duplicate acknowledgements or SACKs have come.
    Disorder,
    /// The window is being reduced after a notification of congestion.
    Reduced,
    /// Lost segments are being repeated (fast recovery).
    Recovery,
    /// A timer ran out; the window was reduced to the least.
    Loss,
}

impl CongestionPhase {
    /// `open`, `disorder`, `cwr`, `recovery` or `loss`, as Linux calls them.
    pub const fn name(self) -> &'static str {
        match self {
            CongestionPhase::Open => "open",
            CongestionPhase::Disorder => "disorder",
            CongestionPhase::Reduced => "cwr",
            CongestionPhase::Recovery => "recovery",
            CongestionPhase::Loss => "loss",
        }
    }
}

/// What both sides agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TcpOptions {
    /// Timestamps (RFC 7323, 3).
    pub timestamps: bool,
    /// Selective acknowledgements (RFC 2018).
    pub sack: bool,
    /// Explicit congestion notification (RFC 3168).
    pub ecn: bool,
    /// A packet with a code point of it has come.
    pub ecn_seen: bool,
    /// TCP Fast Open (RFC 7413): data in the SYN was accepted.
    pub fast_open: bool,
}
