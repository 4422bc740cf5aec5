//! Bytes of each TCP connection (`SetPerTcpConnectionEStats`, `GetPerTcpConnectionEStats` with `TcpConnectionEstatsData`).
//!
//! Windows counts them only where somebody elevated has switched counting on for that very connection, and from that moment on. It stays on:
//! others may use it. Where switching on failed, reading succeeds all the same and gives meaningless numbers, so nothing is read then.

use std::collections::HashSet;
use std::net::IpAddr;

use netstat_model::{Fact, Family, Protocol, State, TcpInfo, TcpMetric, Why};

use super::bytes::{Malformed, u64_at};
use super::connections::Row;
use super::source::Source;

/// `MIB_TCPROW`.
pub(super) const ROW4: usize = 20;
/// `MIB_TCP6ROW`.
pub(super) const ROW6: usize = 52;
/// `TCP_ESTATS_DATA_ROD_v0`.
pub(super) const DATA: usize = 96;

/// The row that names a connection to the functions: `MIB_TCPROW` or `MIB_TCP6ROW`.
pub fn tcp_row(row: &Row) -> Vec<u8> {
    let port = |port: u16| {
        let [high, low] = port.to_be_bytes();
        [high, low, 0, 0]
    };
    // Only a link-local address (fe80::/10) has a scope.
    let scope = |address: IpAddr| match address {
        IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80 => row.scope.to_le_bytes(),
        _ => [0; 4],
    };
    let mut bytes = Vec::with_capacity(if row.family == Family::V6 { ROW6 } else { ROW4 });
    bytes.extend(state_number(row.state).to_le_bytes());
    for (address, number) in [(row.local, row.local_port), (row.foreign, row.foreign_port)] {
        match address {
            IpAddr::V4(v4) => bytes.extend(v4.octets()),
            IpAddr::V6(v6) => {
                bytes.extend(v6.octets());
                bytes.extend(scope(address));
            }
        }
        bytes.extend(port(number));
    }
    bytes
}

/// `MIB_TCP_STATE`.
fn state_number(state: State) -> u32 {
    (1..=11)
        .find(|&number| super::connections::state(number) == Some(state))
        .unwrap_or(0)
}

/// Bytes that a connection has sent and received since counting was switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionBytes {
    /// Sent and acknowledged (`ThruBytesAcked`).
    pub acknowledged: u64,
    /// Received in order (`ThruBytesReceived`).
    pub received: u64,
    /// Sent, what was sent again included (`DataBytesOut`).
    pub sent: u64,
}

/// Reads `TCP_ESTATS_DATA_ROD_v0`.
///
/// # Errors
/// [`Malformed`] when it is cut off.
pub fn connection_bytes(data: &[u8]) -> Result<ConnectionBytes, Malformed> {
    let data = data.get(..DATA).ok_or(Malformed)?;
    let number = |at| u64_at(data, at).ok_or(Malformed);
    Ok(ConnectionBytes {
        sent: number(0)?,
        acknowledged: number(72)?,
        received: number(88)?,
    })
}

/// The connections whose bytes are counted because this program switched it on.
#[derive(Clone, Debug, Default)]
pub(super) struct ByteCounters {
    counted: HashSet<u64>,
    /// Those of the present listing, which alone are kept for the next.
    seen: HashSet<u64>,
    elevated: bool,
}

impl ByteCounters {
    /// Begins a listing.
    pub(super) fn begin(&mut self, source: &impl Source) {
        self.elevated = source.is_elevated();
        self.counted = std::mem::take(&mut self.seen);
    }

    /// What is known of the TCP internals of `row`, which has the number `identity`.
    pub(super) fn facts(&mut self, source: &mut impl Source, row: &Row, identity: u64) -> TcpInfo {
        let mut facts = TcpInfo::unknown(Why::NotKept);
        match self.read(source, row, identity) {
            Ok(bytes) => {
                facts.set(TcpMetric::BytesAcked, Fact::Known(bytes.acknowledged));
                facts.set(TcpMetric::BytesReceived, Fact::Known(bytes.received));
                facts.set(TcpMetric::BytesSent, Fact::Known(bytes.sent));
            }
            Err(why) => {
                for metric in [TcpMetric::BytesAcked, TcpMetric::BytesReceived, TcpMetric::BytesSent] {
                    facts.set(metric, Fact::Unknown(why));
                }
            }
        }
        facts
    }

    fn read(&mut self, source: &mut impl Source, row: &Row, identity: u64) -> Result<ConnectionBytes, Why> {
        let carries = matches!(
            row.state,
            State::Established | State::FinWait1 | State::FinWait2 | State::CloseWait | State::Closing | State::LastAck
        );
        if row.protocol != Protocol::Tcp || !carries {
            return Err(Why::NotApplicable);
        }
        if !self.elevated {
            return Err(Why::NotPermitted);
        }
        let v6 = row.family == Family::V6;
        let name = tcp_row(row);
        if !self.counted.contains(&identity) {
            source.count_connection_bytes(v6, &name)?;
        }
        let (counted, data) = source.connection_bytes(v6, &name)?;
        if !counted {
            // Somebody has switched it off: the next listing switches it on again.
            return Err(Why::NotYet);
        }
        let bytes = connection_bytes(&data).map_err(|Malformed| Why::Failed)?;
        self.seen.insert(identity);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::connections::tests::row;
    use super::*;

    #[test]
    fn connection_is_named_by_its_state_addresses_and_ports() {
        let v4 = tcp_row(&row(
            Protocol::Tcp,
            "10.0.0.5:50000",
            "192.0.2.1:443",
            State::Established,
            1,
        ));
        assert_eq!(
            v4,
            [5, 0, 0, 0, 10, 0, 0, 5, 0xc3, 0x50, 0, 0, 192, 0, 2, 1, 1, 0xbb, 0, 0]
        );
        assert_eq!(v4.len(), ROW4);
        let mut link_local = row(Protocol::Tcp, "[fe80::1]:1", "[2001:db8::1]:2", State::CloseWait, 1);
        link_local.scope = 7;
        let v6 = tcp_row(&link_local);
        assert_eq!(v6.len(), ROW6);
        assert_eq!((v6[0], v6[20], v6[25]), (8, 7, 1));
        // The other end is not link-local.
        assert_eq!((v6[44], v6[49]), (0, 2));
    }

    #[test]
    fn bytes_of_a_connection_are_read_by_offset() {
        let mut data = vec![0xee; DATA];
        for (at, number) in [(0, 3u64), (72, 2), (88, 1 << 40)] {
            data[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        let bytes = connection_bytes(&data).unwrap();
        assert_eq!((bytes.sent, bytes.acknowledged, bytes.received), (3, 2, 1 << 40));
        assert_eq!(connection_bytes(&data[..DATA - 1]), Err(Malformed));
    }
}
