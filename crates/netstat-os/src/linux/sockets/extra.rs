//! Decodes what sock_diag reports about a TCP, UDP, RAW or MPTCP socket in addition to its addresses: the attributes of
//! an answer.
//!
//! For constants, see `include/uapi/linux/inet_diag.h`, `sock_diag.h`, `mptcp.h`.

use netstat_model::{
    CongestionControl, Extra, Extras, Fact, Family, Memory, Protocol, ShortName, State, Timer, TimerKind, UpperLayer,
    Why,
};

use super::{mptcp_info, tcp_info};
use crate::linux::netlink::attributes::{Attributes, Malformed, number, u32_at};

/// `idiag_timer` of a TIME_WAIT socket.
pub(super) const TIMER_TIME_WAIT: u8 = 3;

/// The attributes of an answer. For the first eight, bit `n - 1` of `idiag_ext` in the request selects attribute `n`.
mod attribute {
    pub(super) const INFO: u16 = 2;
    pub(super) const CONG: u16 = 4;
    pub(super) const TOS: u16 = 5;
    pub(super) const TCLASS: u16 = 6;
    pub(super) const SKMEMINFO: u16 = 7;
    pub(super) const SKV6ONLY: u16 = 11;
    pub(super) const MARK: u16 = 15;
    pub(super) const ULP_INFO: u16 = 19;
    pub(super) const CGROUP_ID: u16 = 21;
    /// Within `ULP_INFO`.
    pub(super) const ULP_NAME: u16 = 1;
    pub(super) const ULP_MPTCP: u16 = 3;
    /// Within `ULP_MPTCP`: `MPTCP_SUBFLOW_ATTR_TOKEN_LOC`.
    pub(super) const TOKEN_LOCAL: u16 = 2;
}

/// `TCP_TIMEWAIT_LEN` (`include/net/tcp.h`): the duration of TIME_WAIT in milliseconds.
const TIME_WAIT_MS: u32 = 60_000;

/// Returns `idiag_ext`: which optional attributes the kernel is asked to report.
pub(super) fn extensions(extras: Extras) -> u8 {
    use attribute::{CONG, INFO, SKMEMINFO, TCLASS, TOS};
    [
        (Extras::BASIC, TOS),
        (Extras::BASIC, TCLASS),
        (Extras::TCP, INFO),
        (Extras::CONGESTION, CONG),
        (Extras::MEMORY, SKMEMINFO),
    ]
    .into_iter()
    .filter(|&(group, _)| extras.contains(group))
    .fold(0, |bits, (_, attribute)| bits | 1 << (attribute - 1))
}

/// The values in the fixed part of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    pub(super) protocol: Protocol,
    pub(super) family: Family,
    pub(super) state: State,
    /// Whether the kernel represents it by a minimal object without further attributes (TIME_WAIT and SYN_RECEIVED).
    pub(super) small: bool,
    /// `idiag_timer`, `idiag_retrans` and `idiag_expires`.
    pub(super) timer: u8,
    pub(super) repetitions: u8,
    pub(super) expires: u32,
}

/// Decodes the requested groups of facts.
///
/// # Errors
/// Returns an error if the length of an attribute is invalid.
pub(super) fn parse(about: &About, attributes: &[u8], extras: Extras) -> Result<Extra, Malformed> {
    let mut told = Told::default();
    for attribute in Attributes(attributes) {
        let attribute = attribute?;
        let value = attribute.value;
        match attribute.kind {
            attribute::INFO => told.info = Some(value),
            attribute::CONG => told.congestion = Some(ShortName::new(value)),
            attribute::TOS => told.tos = value.first().copied(),
            attribute::TCLASS => told.traffic_class = value.first().copied(),
            attribute::SKMEMINFO => told.memory = memory(value),
            attribute::SKV6ONLY => told.v6_only = value.first().map(|&byte| byte != 0),
            attribute::MARK => told.mark = Some(number(value)?),
            attribute::CGROUP_ID => told.cgroup = value.try_into().ok().map(u64::from_ne_bytes),
            attribute::ULP_INFO => told.upper_layer = upper_layer(value)?,
            _ => {}
        }
    }
    let mut extra = Extra::default();
    if extras.contains(Extras::BASIC) {
        told.basic(about, &mut extra);
    }
    if extras.contains(Extras::TCP) {
        told.tcp(about, &mut extra);
    }
    if extras.contains(Extras::CONGESTION) {
        extra.congestion = match about.protocol {
            Protocol::Tcp if !about.small => Fact::from_option(told.congestion, Why::NotKept),
            Protocol::Mptcp => {
                Fact::from_option(told.congestion.filter(|name| !name.as_bytes().is_empty()), Why::NotKept)
            }
            _ => Fact::Unknown(Why::NotApplicable),
        };
    }
    if extras.contains(Extras::MEMORY) {
        extra.memory = about.fact(told.memory, Why::NotSupported);
    }
    Ok(extra)
}

/// The attributes of one answer.
#[derive(Default)]
struct Told<'a> {
    info: Option<&'a [u8]>,
    congestion: Option<CongestionControl>,
    tos: Option<u8>,
    traffic_class: Option<u8>,
    memory: Option<Memory>,
    v6_only: Option<bool>,
    mark: Option<u32>,
    cgroup: Option<u64>,
    upper_layer: Option<UpperLayer>,
}

impl About {
    /// Converts a value that minimal objects do not have; `why` is the reason if it is missing for another socket.
    fn fact<T>(&self, value: Option<T>, why: Why) -> Fact<T> {
        Fact::from_option(value, if self.small { Why::NotApplicable } else { why })
    }

    fn timer(&self) -> Fact<Timer> {
        if !matches!(self.protocol, Protocol::Tcp | Protocol::Mptcp) {
            return Fact::Unknown(Why::NotApplicable);
        }
        let kind = match self.timer {
            0 => TimerKind::Off,
            1 => TimerKind::Retransmit,
            2 => TimerKind::KeepAlive,
            TIMER_TIME_WAIT => TimerKind::TimeWait,
            4 => TimerKind::Persist,
            _ => return Fact::Unknown(Why::Failed),
        };
        // A timer that is about to expire may be reported as already expired, as a negative number.
        let expires_ms = if self.expires > i32::MAX as u32 {
            0
        } else {
            self.expires
        };
        Fact::Known(Timer {
            kind,
            expires_ms: if kind == TimerKind::Off { 0 } else { expires_ms },
            count: self.repetitions,
        })
    }

    fn time_in_state(&self) -> Fact<u64> {
        match (self.protocol, self.state) {
            // The timer, and with it this time, restarts when the peer retransmits its FIN (RFC 9293, 3.10.7.4).
            (Protocol::Tcp, State::TimeWait) if self.timer == TIMER_TIME_WAIT && self.expires <= TIME_WAIT_MS => {
                Fact::Known((TIME_WAIT_MS - self.expires).into())
            }
            (Protocol::Tcp | Protocol::Mptcp, _) => Fact::Unknown(Why::NotKept),
            _ => Fact::Unknown(Why::NotApplicable),
        }
    }
}

impl Told<'_> {
    fn basic(&self, about: &About, extra: &mut Extra) {
        extra.time_in_state = about.time_in_state();
        extra.timer = about.timer();
        let tos = match about.family {
            Family::V6 => self.traffic_class,
            _ => self.tos,
        };
        extra.tos = about.fact(tos, Why::NotKept);
        extra.v6_only = match about.family {
            // Reported only for sockets that may receive packets from anybody (inet_diag_msg_attrs_fill).
            Family::V6 => Fact::from_option(self.v6_only, Why::NotApplicable),
            _ => Fact::Unknown(Why::NotApplicable),
        };
        // Reported only with CAP_NET_ADMIN.
        extra.mark = about.fact(self.mark, Why::NotPermitted);
        // Since Linux 5.8, if control groups are compiled in.
        extra.cgroup = about.fact(self.cgroup, Why::NotSupported);
    }

    fn tcp(&self, about: &About, extra: &mut Extra) {
        let none = if about.small || !matches!(about.protocol, Protocol::Tcp | Protocol::Mptcp) {
            Why::NotApplicable
        } else {
            Why::NotSupported
        };
        extra.tcp = match (about.protocol, self.info) {
            (Protocol::Tcp, Some(info)) => Fact::Known(Box::new(tcp_info::parse(info, about.state))),
            (Protocol::Mptcp, Some(info)) => Fact::Known(Box::new(mptcp_info::metrics(info, about.state))),
            _ => Fact::Unknown(none),
        };
        extra.mptcp = match (about.protocol, self.info) {
            (Protocol::Mptcp, Some(info)) => mptcp_info::parse(info, about.state),
            (Protocol::Mptcp, None) => Fact::Unknown(none),
            _ => Fact::Unknown(Why::NotApplicable),
        };
        extra.upper_layer = match (about.protocol, self.upper_layer) {
            (Protocol::Tcp, Some(layer)) => Fact::Known(layer),
            (Protocol::Tcp, None) if about.small => Fact::Unknown(Why::NotApplicable),
            // Like the mark, it is reported only with CAP_NET_ADMIN, so only then does its absence mean anything.
            (Protocol::Tcp, None) if self.mark.is_some() => Fact::Known(UpperLayer::None),
            (Protocol::Tcp, None) => Fact::Unknown(Why::NotPermitted),
            _ => Fact::Unknown(Why::NotApplicable),
        };
    }
}

/// Decodes `SK_MEMINFO_*`: nine numbers, eight before Linux 4.6. `None` if there are fewer.
pub(super) fn memory(value: &[u8]) -> Option<Memory> {
    let at = |place: usize| u32_at(value, 4 * place);
    Some(Memory {
        receive: at(0)?,
        receive_limit: at(1)?,
        transmit: at(2)?,
        send_limit: at(3)?,
        forward: at(4)?,
        queued: at(5)?,
        options: at(6)?,
        backlog: at(7)?,
        drops: at(8),
    })
}

/// Decodes the name of the upper layer protocol, and what MPTCP reports about its subflow.
fn upper_layer(value: &[u8]) -> Result<Option<UpperLayer>, Malformed> {
    let (mut name, mut token) = (None, None);
    for attribute in Attributes(value) {
        let attribute = attribute?;
        match attribute.kind {
            attribute::ULP_NAME => name = Some(ShortName::new(attribute.value)),
            attribute::ULP_MPTCP => {
                for inner in Attributes(attribute.value) {
                    let inner = inner?;
                    if inner.kind == attribute::TOKEN_LOCAL {
                        token = Some(number(inner.value)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(match (name, token) {
        // A subflow that is still being established has no token.
        (Some(name), Some(token @ 1..)) if name.as_bytes() == b"mptcp" => Some(UpperLayer::Mptcp { token }),
        (Some(name), _) => Some(UpperLayer::Other(name)),
        (None, _) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::testing::body;
    use netstat_model::TcpMetric;

    fn about(state: State, timer: u8) -> About {
        About {
            protocol: Protocol::Tcp,
            family: Family::V4,
            state,
            small: matches!(state, State::TimeWait | State::SynReceived),
            timer,
            repetitions: 2,
            expires: 1500,
        }
    }

    #[test]
    fn extensions_ask_only_for_wanted_groups() {
        for (extras, bits) in [
            (Extras::NONE, 0),
            (Extras::BASIC, 0x30),
            (Extras::TCP, 2),
            (Extras::CONGESTION, 8),
            (Extras::MEMORY, 0x40),
            (Extras::ALL, 0x7a),
        ] {
            assert_eq!(extensions(extras), bits, "{extras:?}");
        }
    }

    #[test]
    fn extra_attributes_are_read_into_their_fields() {
        let memory: Vec<u8> = (1..=9u32).flat_map(u32::to_ne_bytes).collect();
        let token = body(&[], &[(1, &7u32.to_ne_bytes()), (2, &9u32.to_ne_bytes())]);
        let layer = body(&[], &[(1, b"mptcp\0"), (3, &token)]);
        let told = body(
            &[],
            &[
                (5, &[0xb8]),
                (6, &[0x20]),
                (8, &[0]),
                (4, b"cubic\0"),
                (7, &memory),
                (15, &77u32.to_ne_bytes()),
                (19, &layer),
                (21, &4242u64.to_ne_bytes()),
            ],
        );
        let extra = parse(&about(State::Established, 2), &told, Extras::ALL).unwrap();
        assert_eq!(extra.tos, Fact::Known(0xb8));
        assert_eq!(extra.mark, Fact::Known(77));
        assert_eq!(extra.cgroup, Fact::Known(4242));
        assert_eq!(extra.v6_only, Fact::Unknown(Why::NotApplicable));
        assert_eq!(extra.congestion, Fact::Known(ShortName::new(b"cubic")));
        assert_eq!(extra.upper_layer, Fact::Known(UpperLayer::Mptcp { token: 9 }));
        assert_eq!(extra.tcp, Fact::Unknown(Why::NotSupported));
        let timer = Timer {
            kind: TimerKind::KeepAlive,
            expires_ms: 1500,
            count: 2,
        };
        assert_eq!(extra.timer, Fact::Known(timer));
        let memory = extra.memory.known().unwrap();
        assert_eq!((memory.receive, memory.backlog, memory.drops), (1, 8, Some(9)));
        let v6 = About {
            family: Family::V6,
            ..about(State::Established, 0)
        };
        assert_eq!(parse(&v6, &told, Extras::BASIC).unwrap().tos, Fact::Known(0x20));
    }

    #[test]
    fn extra_facts_not_asked_for_are_unknown() {
        let extra = parse(&about(State::Established, 0), &[], Extras::CONGESTION).unwrap();
        assert_eq!(extra.congestion, Fact::Unknown(Why::NotKept));
        assert_eq!(extra.mark, Fact::Unknown(Why::NotAsked));
        assert_eq!(extra.memory, Fact::Unknown(Why::NotAsked));
    }

    #[test]
    fn extra_facts_missing_have_a_reason() {
        let extra = parse(&about(State::Established, 0), &[], Extras::ALL).unwrap();
        assert_eq!(extra.mark, Fact::Unknown(Why::NotPermitted));
        assert_eq!(extra.upper_layer, Fact::Unknown(Why::NotPermitted));
        assert_eq!(extra.cgroup, Fact::Unknown(Why::NotSupported));
        let privileged = body(&[], &[(15, &0u32.to_ne_bytes())]);
        let extra = parse(&about(State::Established, 0), &privileged, Extras::ALL).unwrap();
        assert_eq!(
            (extra.mark, extra.upper_layer),
            (Fact::Known(0), Fact::Known(UpperLayer::None))
        );
        let small = parse(&about(State::TimeWait, TIMER_TIME_WAIT), &[], Extras::ALL).unwrap();
        assert_eq!(small.time_in_state, Fact::Known(58_500));
        let not_applicable = Fact::Unknown(Why::NotApplicable);
        assert_eq!(
            (small.mark, small.memory),
            (not_applicable, Fact::Unknown(Why::NotApplicable))
        );
        assert_eq!(small.tcp, Fact::Unknown(Why::NotApplicable));
        let udp = About {
            protocol: Protocol::Udp,
            ..about(State::Closed, 0)
        };
        let udp = parse(&udp, &[], Extras::ALL).unwrap();
        assert_eq!(udp.timer, Fact::Unknown(Why::NotApplicable));
        assert_eq!(udp.tcp, Fact::Unknown(Why::NotApplicable));
    }

    #[test]
    fn timer_overdue_has_no_time_left() {
        let overdue = About {
            expires: (-3i32).cast_unsigned(),
            ..about(State::Established, 1)
        };
        let timer = parse(&overdue, &[], Extras::BASIC).unwrap().timer.known().unwrap();
        assert_eq!((timer.kind, timer.expires_ms), (TimerKind::Retransmit, 0));
    }

    #[test]
    fn extra_tcp_figures_are_read() {
        let mut info = vec![0; 248];
        info[68..72].copy_from_slice(&250u32.to_ne_bytes());
        let told = body(&[], &[(2, &info)]);
        let extra = parse(&about(State::Established, 0), &told, Extras::TCP).unwrap();
        let info = extra.tcp.known().unwrap();
        assert_eq!(info.get(TcpMetric::Rtt), Fact::Known(250));
    }
}
