//! The internals of a TCP connection: what the sender and the receiver have measured and negotiated.

use crate::{Fact, Why};

/// A metric of a TCP connection. The meanings follow RFC 9293, RFC 5681, RFC 6298 and Linux's `struct tcp_info`
/// (`include/uapi/linux/tcp.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum TcpMetric {
    // Metrics of 64 bits.
    /// The pacing rate: the most bytes per second that are sent (`SO_MAX_PACING_RATE` or the congestion control).
    PacingRate,
    /// The limit of the pacing rate set by the program, in bytes per second.
    MaxPacingRate,
    /// Bytes that the peer has acknowledged (RFC 4898, `tcpEStatsAppHCThruOctetsAcked`).
    BytesAcked,
    /// Bytes received in order (RFC 4898, `tcpEStatsAppHCThruOctetsReceived`).
    BytesReceived,
    /// The most recently measured rate at which data reaches the peer, in bytes per second.
    DeliveryRate,
    /// Time during which there was data to send, in microseconds.
    BusyTime,
    /// Part of the busy time during which the peer's window limited sending, in microseconds.
    ReceiveWindowLimited,
    /// Part of the busy time during which the send buffer limited sending, in microseconds.
    SendBufferLimited,
    /// Bytes sent, retransmissions included.
    BytesSent,
    /// Bytes retransmitted.
    BytesRetransmitted,
    // Metrics of 32 bits.
    /// The smoothed round-trip time (RFC 6298, SRTT), in microseconds.
    Rtt,
    /// The variation of the round-trip time (RFC 6298, RTTVAR), in microseconds.
    RttVariance,
    /// The smallest recent round-trip time, in microseconds.
    MinRtt,
    /// The round-trip time as estimated by the receiving side, in microseconds.
    ReceiveRtt,
    /// The congestion window (RFC 5681, cwnd), in segments.
    Cwnd,
    /// The slow start threshold (RFC 5681, ssthresh), in segments.
    Ssthresh,
    /// The retransmission timeout (RFC 6298, RTO), in microseconds.
    Rto,
    /// The timeout for a delayed acknowledgement, in microseconds.
    Ato,
    /// Consecutive retransmissions caused by a timer and not yet answered.
    Retransmits,
    /// Retransmitted segments in flight.
    RetransmitsInFlight,
    /// Segments retransmitted since the connection began.
    RetransmitsTotal,
    /// Segments in flight that are considered lost.
    Lost,
    /// Segments sent and not yet acknowledged.
    Unacked,
    /// Segments that the peer has received out of order (RFC 2018).
    Sacked,
    /// Segments sent.
    SegmentsOut,
    /// Segments received.
    SegmentsIn,
    /// Segments sent that carried data.
    DataSegmentsOut,
    /// Segments received that carried data.
    DataSegmentsIn,
    /// Bytes written by the program and not yet sent.
    NotSent,
    /// The largest segment that is sent (RFC 9293, 3.7.1), in bytes.
    SendMss,
    /// The estimated size of the segments received, in bytes.
    ReceiveMss,
    /// The maximum segment size announced to the peer, in bytes.
    AdvertisedMss,
    /// The path MTU (RFC 1191, RFC 8201), in bytes.
    PathMtu,
    /// How far segments may be reordered before one is considered lost, in segments.
    Reordering,
    /// Times that reordering was detected.
    ReorderingSeen,
    /// Milliseconds since data was last sent.
    LastDataSent,
    /// Milliseconds since data was last received.
    LastDataReceived,
    /// Milliseconds since an acknowledgement was last received.
    LastAckReceived,
    /// Segments delivered to the peer, retransmissions included.
    Delivered,
    /// Part of the delivered segments that the peer reported as marked for congestion (RFC 3168).
    DeliveredCe,
    /// Segments that the peer reported as received twice (RFC 2883).
    DuplicateSacks,
    /// Segments received out of order.
    OutOfOrder,
    /// The window most recently offered by the peer, in bytes.
    SendWindow,
    /// The window offered to the peer, in bytes.
    ReceiveWindow,
    /// The receive buffer's target: bytes received within one round-trip time.
    ReceiveSpace,
    /// Times that the path was deliberately changed, by a new flow label (RFC 6437), after a timeout or congestion.
    Rehashes,
    /// Times that the retransmission timer expired (RFC 6298) since the connection began.
    Timeouts,
    /// Series of consecutive such timeouts that the connection recovered from.
    TimeoutRecoveries,
    /// Milliseconds spent in such recoveries, a current one excluded.
    TimeoutTime,
}

/// The number of 64-bit metrics; they come first.
const WIDE: usize = TcpMetric::BytesRetransmitted as usize + 1;
const FIGURES: usize = TcpMetric::TimeoutTime as usize + 1;

/// The unit of a [`TcpMetric`].
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
    /// A number of occurrences.
    Times,
}

impl TcpUnit {
    /// Returns the unit as shown beside a value or in a table of columns: `bytes/s`, `µs`.
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

/// The name, unit and meaning of a metric.
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
    /// Every metric, in order of declaration.
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

    /// Returns the short name, used for columns: lower case with underscores, mostly as in `ss -i`.
    pub const fn name(self) -> &'static str {
        ABOUT[self as usize].1
    }

    /// Returns the unit of the metric's values.
    pub const fn unit(self) -> TcpUnit {
        ABOUT[self as usize].2
    }

    /// Returns a short description.
    pub const fn meaning(self) -> &'static str {
        ABOUT[self as usize].3
    }

    /// Whether the metric may need more than 32 bits.
    const fn is_wide(self) -> bool {
        (self as usize) < WIDE
    }
}

/// The metrics and properties of one TCP connection, each known or unknown. About 290 bytes.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "WrittenInfo", from = "WrittenInfo"))]
pub struct TcpInfo {
    wide: [u64; WIDE],
    narrow: [u32; FIGURES - WIDE],
    /// The reason why a metric is unknown; `None` if it is known.
    unknown: [Option<Why>; FIGURES],
    /// How the sender is reacting to loss.
    pub phase: Fact<CongestionPhase>,
    /// The options both sides agreed on in the handshake, and what was seen of them.
    pub options: Fact<TcpOptions>,
    /// Whether the delivery rate was measured while the program had too little to send, so that the path may allow
    /// more.
    pub app_limited: Fact<bool>,
    /// The window scale shifts (RFC 7323, 2.2), 0 to 14: of the windows the peer offers, and of those offered to it.
    pub window_scales: Fact<(u8, u8)>,
}

/// The serialized form of [`TcpInfo`]: metrics are written by name, so that files stay readable when metrics are added
/// or removed.
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
    /// Creates a `TcpInfo` in which everything is unknown for the same reason.
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

    /// Sets `figure`. A 32-bit metric whose value does not fit becomes unknown with [`Why::Failed`].
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

    /// Returns the value of `figure`, in its [`TcpMetric::unit`].
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
    /// Normal operation.
    Open,
    /// Duplicate acknowledgements or SACKs have been received.
    Disorder,
    /// The congestion window is being reduced after a congestion notification.
    Reduced,
    /// Lost segments are being retransmitted (fast recovery).
    Recovery,
    /// The retransmission timer expired; the congestion window was reduced to its minimum.
    Loss,
}

impl CongestionPhase {
    /// Returns the name that Linux uses: `open`, `disorder`, `cwr`, `recovery` or `loss`.
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

/// The TCP options both sides agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TcpOptions {
    /// Timestamps (RFC 7323, 3).
    pub timestamps: bool,
    /// Selective acknowledgements (RFC 2018).
    pub sack: bool,
    /// Explicit congestion notification (RFC 3168).
    pub ecn: bool,
    /// Whether a packet with an ECN code point has been received.
    pub ecn_seen: bool,
    /// TCP Fast Open (RFC 7413): data in the SYN was accepted.
    pub fast_open: bool,
}
