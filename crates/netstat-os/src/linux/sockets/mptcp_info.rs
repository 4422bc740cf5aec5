//! Decodes `struct mptcp_info`, which describes an MPTCP connection (`include/uapi/linux/mptcp.h`). Newer kernels
//! append fields.

use netstat_model::{Fact, Mptcp, State, TcpInfo, TcpMetric, Why};

/// `mptcpi_flags`, `MPTCP_INFO_FLAG_FALLBACK`.
const FALLBACK: u32 = 1;

/// The offsets and sizes in bytes of the metrics that MPTCP keeps for all of its subflows together.
const FIELDS: [(TcpMetric, usize, usize); 8] = [
    (TcpMetric::RetransmitsTotal, 44, 4),
    (TcpMetric::BytesRetransmitted, 48, 8),
    (TcpMetric::BytesSent, 56, 8),
    (TcpMetric::BytesReceived, 64, 8),
    (TcpMetric::BytesAcked, 72, 8),
    (TcpMetric::LastDataSent, 84, 4),
    (TcpMetric::LastDataReceived, 88, 4),
    (TcpMetric::LastAckReceived, 92, 4),
];

/// Decodes what is specific to MPTCP.
pub(super) fn parse(info: &[u8], state: State) -> Fact<Mptcp> {
    if state == State::Listening {
        return Fact::Unknown(Why::NotApplicable);
    }
    let read = || {
        Some(Mptcp {
            token: u32_at(info, 12)?,
            subflows: *info.first()?,
            subflows_total: Fact::from_option(info.get(80).copied(), Why::NotSupported),
            fallback: u32_at(info, 8)? & FALLBACK != 0,
        })
    };
    Fact::from_option(read(), Why::NotSupported)
}

/// Decodes the metrics that TCP connections have as well.
pub(super) fn metrics(info: &[u8], state: State) -> TcpInfo {
    let mut figures = TcpInfo::unknown(Why::NotApplicable);
    if state == State::Listening {
        return figures;
    }
    for (figure, at, width) in FIELDS {
        let mut bytes = [0; 8];
        let value = info.get(at..at + width).map(|field| {
            let place = if cfg!(target_endian = "little") { 0 } else { 8 - width };
            bytes[place..place + width].copy_from_slice(field);
            u64::from_ne_bytes(bytes)
        });
        figures.set(figure, Fact::from_option(value, Why::NotSupported));
    }
    figures
}

fn u32_at(info: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(info.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mptcp_info_fields_are_read() {
        let mut info = vec![0; 96];
        info[0] = 2;
        info[8..12].copy_from_slice(&3u32.to_ne_bytes());
        info[12..16].copy_from_slice(&0xabcd_ef01u32.to_ne_bytes());
        info[44..48].copy_from_slice(&5u32.to_ne_bytes());
        info[56..64].copy_from_slice(&(1u64 << 40).to_ne_bytes());
        info[80] = 3;
        let expected = Mptcp {
            token: 0xabcd_ef01,
            subflows: 2,
            subflows_total: Fact::Known(3),
            fallback: true,
        };
        assert_eq!(parse(&info, State::Established), Fact::Known(expected));
        let read = metrics(&info, State::Established);
        assert_eq!(read.get(TcpMetric::RetransmitsTotal), Fact::Known(5));
        assert_eq!(read.get(TcpMetric::BytesSent), Fact::Known(1 << 40));
        assert_eq!(read.get(TcpMetric::Cwnd), Fact::Unknown(Why::NotApplicable));
        // Linux 5.6 to 6.4.
        let old = &info[..44];
        assert_eq!(
            metrics(old, State::Established).get(TcpMetric::BytesSent),
            Fact::Unknown(Why::NotSupported)
        );
        assert_eq!(
            parse(old, State::Established).known().unwrap().subflows_total,
            Fact::Unknown(Why::NotSupported)
        );
        assert_eq!(parse(&info, State::Listening), Fact::Unknown(Why::NotApplicable));
    }

    proptest! {
        #[test]
        fn mptcp_info_of_any_length_never_panics(info: Vec<u8>) {
            let _ = (parse(&info, State::Established), metrics(&info, State::Established));
        }
    }
}
