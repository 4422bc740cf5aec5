//! Packs the small facts of a flow into one number, `flow.kind`. This is part of the file format: bits and numbers are
//! added but never changed.

use std::net::IpAddr;

use netstat_model::{Direction, EventOrigin, Fact, Family, Protocol, State};

use super::NewFlow;

/// The number of bits in use.
const BITS: u32 = 14;

pub(super) fn long(fact: Fact<u64>) -> Option<i64> {
    fact.known().map(|value| i64::try_from(value).unwrap_or(i64::MAX))
}

/// Returns the value of `flow.kind`; see [`schema`].
pub(super) fn pack(flow: &NewFlow) -> i64 {
    let mapped = |address: IpAddr| i64::from(flow.family == Family::V6 && address.to_canonical().is_ipv4());
    i64::from(flow.protocol == Protocol::Udp)
        | i64::from(flow.family == Family::V6) << 1
        | i64::from(flow.direction.number()) << 2
        | state_number(flow.state) << 4
        | i64::from(flow.origin.number()) << 8
        | i64::from(flow.closed) << 10
        | i64::from(flow.begun) << 11
        | mapped(flow.local.0) << 12
        | mapped(flow.foreign.0) << 13
}

/// The contents of `flow.kind`.
pub(crate) struct PackedKind {
    pub(crate) protocol: Protocol,
    pub(crate) family: Family,
    pub(crate) direction: Direction,
    pub(crate) state: State,
    pub(crate) origin: EventOrigin,
    pub(crate) closed: bool,
    pub(crate) begun: bool,
    pub(crate) mapped: (bool, bool),
}

/// Unpacks a number created by [`pack`]; `None` if `pack` cannot have created it.
pub(crate) fn unpack(kind: i64) -> Option<PackedKind> {
    if kind >> BITS != 0 {
        return None;
    }
    let bit = |at: u32| kind >> at & 1 == 1;
    Some(PackedKind {
        protocol: if bit(0) { Protocol::Udp } else { Protocol::Tcp },
        family: if bit(1) { Family::V6 } else { Family::V4 },
        direction: Direction::from_number((kind >> 2 & 3) as u8)?,
        state: *STATES.get((kind >> 4 & 15) as usize)?,
        origin: EventOrigin::from_number((kind >> 8 & 3) as u8)?,
        closed: bit(10),
        begun: bit(11),
        mapped: (bit(12), bit(13)),
    })
}

/// The states by the numbers used in the store. Numbers are never changed, only added.
const STATES: [State; 12] = [
    State::Closed,
    State::Established,
    State::SynSent,
    State::SynReceived,
    State::FinWait1,
    State::FinWait2,
    State::TimeWait,
    State::CloseWait,
    State::LastAck,
    State::Listening,
    State::Closing,
    State::Bound,
];

fn state_number(state: State) -> i64 {
    STATES.iter().position(|one| *one == state).unwrap_or(0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packed_kind_with_nonexistent_state_is_refused() {
        // States 12 to 15, and origin 3, do not exist.
        for damaged in [12 << 4, 15 << 4, 3 << 8, 1 << BITS, -1] {
            assert!(unpack(damaged).is_none(), "{damaged:#x}");
        }
        assert_eq!(unpack(1 << 4).unwrap().state, State::Established);
    }

    proptest! {
        #[test]
        fn packed_kind_of_any_number_is_refused_or_unpacked_exactly(kind: i64) {
            if let Some(read) = unpack(kind) {
                prop_assert_eq!(state_number(read.state), kind >> 4 & 15);
                prop_assert_eq!(i64::from(read.direction.number()), kind >> 2 & 3);
                prop_assert_eq!(i64::from(read.origin.number()), kind >> 8 & 3);
            }
        }
    }
}
