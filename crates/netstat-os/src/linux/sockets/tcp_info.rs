//! Decodes `struct tcp_info`, which describes the internals of a TCP connection (`include/uapi/linux/tcp.h`).
//!
//! Newer kernels append fields; older ones return a shorter structure.

use netstat_model::{CongestionPhase, Fact, State, TcpInfo, TcpMetric, TcpOptions, Why};

/// The width of a field in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Byte,
    Two,
    Four,
    Eight,
}

/// Metric, offset, width.
#[rustfmt::skip]
const FIELDS: [(TcpMetric, usize, Width); 49] = {
    use TcpMetric::*;
    use Width::{Byte, Eight, Four, Two};
    [
        (Retransmits, 2, Byte),
        (Rto, 8, Four),
        (Ato, 12, Four),
        (SendMss, 16, Four),
        (ReceiveMss, 20, Four),
        (Unacked, 24, Four),
        (Sacked, 28, Four),
        (Lost, 32, Four),
        (RetransmitsInFlight, 36, Four),
        (LastDataSent, 44, Four),
        (LastDataReceived, 52, Four),
        (LastAckReceived, 56, Four),
        (PathMtu, 60, Four),
        (Rtt, 68, Four),
        (RttVariance, 72, Four),
        (Ssthresh, 76, Four),
        (Cwnd, 80, Four),
        (AdvertisedMss, 84, Four),
        (Reordering, 88, Four),
        (ReceiveRtt, 92, Four),
        (ReceiveSpace, 96, Four),
        (RetransmitsTotal, 100, Four),
        (PacingRate, 104, Eight),
        (MaxPacingRate, 112, Eight),
        (BytesAcked, 120, Eight),
        (BytesReceived, 128, Eight),
        (SegmentsOut, 136, Four),
        (SegmentsIn, 140, Four),
        (NotSent, 144, Four),
        (MinRtt, 148, Four),
        (DataSegmentsIn, 152, Four),
        (DataSegmentsOut, 156, Four),
        (DeliveryRate, 160, Eight),
        (BusyTime, 168, Eight),
        (ReceiveWindowLimited, 176, Eight),
        (SendBufferLimited, 184, Eight),
        (Delivered, 192, Four),
        (DeliveredCe, 196, Four),
        (BytesSent, 200, Eight),
        (BytesRetransmitted, 208, Eight),
        (DuplicateSacks, 216, Four),
        (ReorderingSeen, 220, Four),
        (OutOfOrder, 224, Four),
        (SendWindow, 228, Four),
        (ReceiveWindow, 232, Four),
        (Rehashes, 236, Four),
        (Timeouts, 240, Two),
        (TimeoutRecoveries, 242, Two),
        (TimeoutTime, 244, Four),
    ]
};

/// `TCP_INFINITE_SSTHRESH` (`include/net/tcp.h`).
const INFINITE_SSTHRESH: u64 = 0x7fff_ffff;
/// `tcpi_options` (`TCPI_OPT_*`).
const TIMESTAMPS: u8 = 1;
const SACK: u8 = 2;
const WINDOW_SCALE: u8 = 4;
const ECN: u8 = 8;
const ECN_SEEN: u8 = 16;
const SYN_DATA: u8 = 32;

/// Decodes the fields that are present for a connection in `state`.
pub(super) fn parse(info: &[u8], state: State) -> TcpInfo {
    // The kernel fills in few fields for these, and none about a connection (tcp_get_info).
    if matches!(state, State::Listening | State::Bound | State::Closed) {
        return TcpInfo::unknown(Why::NotApplicable);
    }
    let mut figures = TcpInfo::unknown(Why::NotSupported);
    for (figure, at, width) in FIELDS {
        if let Some(value) = value(info, at, width) {
            figures.set(figure, meaning(figure, value));
        }
    }
    without_samples(&mut figures, state);
    let byte = |at: usize| info.get(at).copied();
    figures.phase = match byte(1) {
        Some(0) => Fact::Known(CongestionPhase::Open),
        Some(1) => Fact::Known(CongestionPhase::Disorder),
        Some(2) => Fact::Known(CongestionPhase::Reduced),
        Some(3) => Fact::Known(CongestionPhase::Recovery),
        Some(4) => Fact::Known(CongestionPhase::Loss),
        Some(_) => Fact::Unknown(Why::Failed),
        None => Fact::Unknown(Why::NotSupported),
    };
    if let Some(options) = byte(5) {
        figures.options = Fact::Known(TcpOptions {
            timestamps: options & TIMESTAMPS != 0,
            sack: options & SACK != 0,
            ecn: options & ECN != 0,
            ecn_seen: options & ECN_SEEN != 0,
            fast_open: options & SYN_DATA != 0,
        });
        figures.window_scales = match byte(6) {
            _ if options & WINDOW_SCALE == 0 => Fact::Unknown(Why::NotApplicable),
            Some(scales) => Fact::Known(halves(scales)),
            None => Fact::Unknown(Why::NotSupported),
        };
    }
    // The flag was added with the delivery rate (Linux 4.9); before that, the byte was padding.
    if value(info, 160, Width::Eight).is_some() {
        figures.app_limited = byte(7).map_or(Fact::Unknown(Why::NotSupported), |byte| Fact::Known(first_bit(byte)));
    }
    figures
}

fn value(info: &[u8], at: usize, width: Width) -> Option<u64> {
    match width {
        Width::Byte => info.get(at).map(|&byte| byte.into()),
        Width::Two => Some(u16::from_ne_bytes(info.get(at..at + 2)?.try_into().ok()?).into()),
        Width::Four => Some(u32::from_ne_bytes(info.get(at..at + 4)?.try_into().ok()?).into()),
        Width::Eight => Some(u64::from_ne_bytes(info.get(at..at + 8)?.try_into().ok()?)),
    }
}

/// Interprets the value of a field: some values mean "no limit" or "no sample yet".
fn meaning(figure: TcpMetric, value: u64) -> Fact<u64> {
    match (figure, value) {
        (TcpMetric::PacingRate | TcpMetric::MaxPacingRate, u64::MAX) => Fact::Unknown(Why::Unlimited),
        (TcpMetric::Ssthresh, INFINITE_SSTHRESH..) => Fact::Unknown(Why::Unlimited),
        // tcp_min_rtt() has all bits set before the first sample.
        (TcpMetric::MinRtt, 0 | 0xffff_ffff) => Fact::Unknown(Why::NotYet),
        (TcpMetric::Rtt | TcpMetric::ReceiveRtt | TcpMetric::Ato | TcpMetric::DeliveryRate, 0) => {
            Fact::Unknown(Why::NotYet)
        }
        _ => Fact::Known(value),
    }
}

/// Marks metrics as unknown that have no meaning before there is a sample.
fn without_samples(figures: &mut TcpInfo, state: State) {
    let mut not_yet = |figure| {
        if figures.get(figure).known().is_some() {
            figures.set(figure, Fact::Unknown(Why::NotYet));
        }
    };
    // Before the handshake is complete, these times are relative to the boot.
    if state == State::SynSent {
        not_yet(TcpMetric::LastDataSent);
        not_yet(TcpMetric::LastDataReceived);
        not_yet(TcpMetric::LastAckReceived);
    }
    // The variance has a non-zero initial value; the other times are relative to the start of the connection.
    for (samples, figure) in [
        (TcpMetric::Rtt, TcpMetric::RttVariance),
        (TcpMetric::DataSegmentsOut, TcpMetric::LastDataSent),
        (TcpMetric::DataSegmentsIn, TcpMetric::LastDataReceived),
    ] {
        let none = matches!(figures.get(samples), Fact::Known(0) | Fact::Unknown(Why::NotYet));
        if none && figures.get(figure).known().is_some() {
            figures.set(figure, Fact::Unknown(Why::NotYet));
        }
    }
}

/// Splits two bit fields of four bits each, in the order of declaration. The compiler allocates them from the least
/// significant bit on little-endian machines, and from the most significant one on others.
fn halves(byte: u8) -> (u8, u8) {
    let (low, high) = (byte & 15, byte >> 4);
    if cfg!(target_endian = "little") {
        (low, high)
    } else {
        (high, low)
    }
}

/// Returns the bit field that is declared first.
fn first_bit(byte: u8) -> bool {
    byte & if cfg!(target_endian = "little") { 1 } else { 0x80 } != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The sizes of the structure in Linux 2.6, 3.15, 4.1, 4.2, 4.6, 4.9, 4.10, 4.18, 4.19, 5.4, 6.2, 6.7.
    const SIZES: [usize; 12] = [104, 120, 136, 144, 160, 168, 192, 200, 224, 232, 240, 248];

    #[test]
    fn figures_have_fields_that_do_not_overlap() {
        let mut figures: Vec<TcpMetric> = FIELDS.iter().map(|field| field.0).collect();
        figures.sort_unstable();
        assert_eq!(figures, TcpMetric::ALL);
        let mut end = 0;
        for (figure, at, width) in FIELDS {
            let size = match width {
                Width::Byte => 1,
                Width::Two => 2,
                Width::Four => 4,
                Width::Eight => 8,
            };
            assert!(at >= end && at % size == 0, "{figure:?}");
            end = at + size;
        }
    }

    #[test]
    fn shorter_structure_leaves_newer_fields_unknown() {
        for size in SIZES {
            let info = parse(&vec![1; size], State::Established);
            for (figure, at, width) in FIELDS {
                let told = value(&vec![1; size], at, width).is_some();
                let fact = info.get(figure);
                assert_eq!(fact.known().is_some(), told, "{figure:?} of {size}");
                assert!(told || fact == Fact::Unknown(Why::NotSupported), "{figure:?} of {size}");
            }
            assert_eq!(info.app_limited.known().is_some(), size >= 168, "{size}");
        }
    }

    #[test]
    fn special_values_become_unknown_with_their_reason() {
        let mut info = vec![0; 248];
        info[76..80].copy_from_slice(&0x7fff_ffffu32.to_ne_bytes());
        info[104..112].fill(0xff);
        info[148..152].fill(0xff);
        let read = parse(&info, State::Established);
        for (figure, why) in [
            (TcpMetric::Ssthresh, Why::Unlimited),
            (TcpMetric::PacingRate, Why::Unlimited),
            (TcpMetric::MinRtt, Why::NotYet),
            (TcpMetric::Rtt, Why::NotYet),
            (TcpMetric::RttVariance, Why::NotYet),
            (TcpMetric::LastDataSent, Why::NotYet),
            (TcpMetric::DeliveryRate, Why::NotYet),
        ] {
            assert_eq!(read.get(figure), Fact::Unknown(why), "{figure:?}");
        }
        assert_eq!(read.get(TcpMetric::Retransmits), Fact::Known(0));
        assert_eq!(read.window_scales, Fact::Unknown(Why::NotApplicable));
    }

    #[test]
    fn listener_figures_are_not_applicable() {
        let info = parse(&[1; 248], State::Listening);
        for figure in TcpMetric::ALL {
            assert_eq!(info.get(figure), Fact::Unknown(Why::NotApplicable), "{figure:?}");
        }
    }

    #[test]
    fn bit_fields_are_read_separately() {
        let mut info = vec![0; 248];
        info[1] = 4;
        info[5] = SACK | WINDOW_SCALE | SYN_DATA;
        info[6] = if cfg!(target_endian = "little") { 0x97 } else { 0x79 };
        info[7] = if cfg!(target_endian = "little") { 1 } else { 0x80 };
        let read = parse(&info, State::Established);
        assert_eq!(read.phase, Fact::Known(CongestionPhase::Loss));
        let options = read.options.known().unwrap();
        assert!(options.sack && options.fast_open && !options.timestamps && !options.ecn);
        assert_eq!(read.window_scales, Fact::Known((7, 9)));
        assert_eq!(read.app_limited, Fact::Known(true));
    }

    proptest! {
        #[test]
        fn structure_of_any_length_is_read_as_far_as_it_goes(info in proptest::collection::vec(any::<u8>(), 0..300), state in 0..12usize) {
            let state = State::ALL[state];
            let read = parse(&info, state);
            let connected = !matches!(state, State::Listening | State::Bound | State::Closed);
            for (figure, at, width) in FIELDS {
                let told = value(&info, at, width);
                prop_assert!(read.get(figure).known().is_none_or(|known| connected && Some(known) == told));
            }
        }
    }
}
