//! The implementation for systems that are not supported yet. Every query returns "not supported on this system yet",
//! never wrong data.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use netstat_model::counters::{BlockSet, InterfaceStatistics, Pair, ProtocolStatistics, TcpFamilies};
use netstat_model::metrics::Metrics;
use netstat_model::process::ProcessFacts;
use netstat_model::route::{RouteListing, TableNames, TableSelection};
use netstat_model::{Fact, Limit, Moment, Socket, Why};

use crate::{
    Check, CheckArea, CheckStatus, Checkup, Control, Events, Firewall, Inspect, Integrity, MetricsAsk, NOT_SUPPORTED,
    NoProcess, OwnersAsk, OwnersFound, ProcessAsk, Refused, SocketAsk, SocketList, System,
};

/// The running system, about which nothing can be read yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unsupported;

#[cfg_attr(
    any(target_os = "linux", windows),
    expect(dead_code, reason = "only its tests run here")
)]
impl Unsupported {
    /// Creates the system for a program that has its process to itself.
    pub fn of_whole_process() -> Self {
        Unsupported
    }
}

/// Returns the limit that says that `what` is missing entirely.
fn missing(what: &str) -> Limit {
    Limit {
        what: format!("{what} are missing"),
        why: NOT_SUPPORTED.to_owned(),
        remedy: None,
    }
}

/// When the program first asked for the time.
static BEGAN: OnceLock<Instant> = OnceLock::new();

impl System for Unsupported {
    fn another(&self) -> Box<dyn System + Send> {
        Box::new(Unsupported)
    }

    fn kind(&self) -> netstat_model::SystemKind {
        netstat_model::SystemKind::Other
    }

    /// `since_boot` counts from the first call, because the time since boot is not known here. Differences are still
    /// correct.
    fn now(&self) -> Moment {
        let began = BEGAN.get_or_init(Instant::now);
        Moment {
            wall: SystemTime::now(),
            since_boot: u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX),
        }
    }

    fn wait(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    fn boot_id(&self) -> Result<String, Refused> {
        Err(Refused::not_supported())
    }

    fn computer_name(&self) -> Vec<u8> {
        Vec::new()
    }

    fn is_superuser(&self) -> bool {
        false
    }

    fn user_name(&mut self, _: u32) -> Option<Arc<str>> {
        None
    }

    fn group_name(&mut self, _: u32) -> Option<Arc<str>> {
        None
    }

    fn user_id(&mut self, _: &str) -> Option<u32> {
        None
    }

    fn interface_name(&mut self, _: u32, _: u32) -> Option<Vec<u8>> {
        None
    }

    fn own_addresses(&mut self) -> Result<Vec<(IpAddr, u32)>, Refused> {
        Err(Refused::not_supported())
    }

    fn sockets(&mut self, _: &SocketAsk, list: &mut SocketList) {
        list.clear();
        list.failed = true;
        list.limits.push(missing("sockets"));
    }

    fn owners(&mut self, _: &[Socket], _: &OwnersAsk) -> Result<OwnersFound, Refused> {
        Err(Refused::not_supported())
    }

    fn processes(&mut self) -> Result<Vec<u32>, Refused> {
        Err(Refused::not_supported())
    }

    fn process(&mut self, _: u32, _: &ProcessAsk) -> Result<ProcessFacts, NoProcess> {
        Err(NoProcess::Failed(NOT_SUPPORTED.to_owned()))
    }

    fn protocol_statistics(&mut self, _: BlockSet, _: bool) -> (ProtocolStatistics, Vec<Limit>) {
        let nothing = |_, _| Pair {
            received: Fact::Unknown(Why::NotSupported),
            sent: Fact::Unknown(Why::NotSupported),
        };
        let statistics = ProtocolStatistics::new(Duration::ZERO, TcpFamilies::Together, Vec::new(), nothing);
        (statistics, vec![missing("counters of the protocols")])
    }

    fn interface_statistics(&mut self) -> (InterfaceStatistics, Vec<Limit>) {
        let statistics = InterfaceStatistics {
            at: Duration::ZERO,
            interfaces: Fact::Unknown(Why::NotSupported),
        };
        (statistics, vec![missing("counters of the interfaces")])
    }

    fn metrics(&mut self, _: &MetricsAsk) -> Metrics {
        let mut metrics = Metrics::unknown(Why::NotSupported);
        metrics.limits.push(missing("metrics"));
        metrics
    }

    fn table(&mut self, _: &str) -> Result<TableSelection, Refused> {
        Err(Refused::not_supported())
    }

    fn routes(&mut self, _: TableSelection) -> RouteListing {
        RouteListing {
            interfaces: Fact::Unknown(Why::NotSupported),
            addresses: Fact::Unknown(Why::NotSupported),
            ipv4: Fact::Unknown(Why::NotSupported),
            ipv6: Fact::Unknown(Why::NotSupported),
            rules: Fact::Unknown(Why::NotSupported),
            tables: TableNames::default(),
            limits: vec![missing("routes")],
        }
    }
}

impl Inspect for Unsupported {}
impl Events for Unsupported {}
impl Firewall for Unsupported {}
impl Integrity for Unsupported {}
impl Control for Unsupported {}

impl Checkup for Unsupported {
    fn checks(&mut self) -> Vec<Check> {
        let name = std::env::consts::OS;
        let check = Check::new(
            CheckArea::Answers,
            "system",
            CheckStatus::Failed,
            format!("{name} is not supported"),
        );
        vec![check.because(NOT_SUPPORTED).effect("nothing can be listed")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RefusedKind;

    /// Covers every query, as the program makes it.
    #[test]
    fn every_question_answer_is_not_supported() {
        let system: &mut dyn System = &mut Unsupported;
        let mut list = SocketList::default();
        system.sockets(&SocketAsk::everything(), &mut list);
        assert!(list.failed && list.sockets.is_empty());
        assert_eq!(list.limits[0].why, NOT_SUPPORTED);
        assert!(system.sockets_as_text(&SocketAsk::everything(), &mut list).is_err());
        let refusals = [
            system.boot_id().map(drop).unwrap_err(),
            system.own_addresses().map(drop).unwrap_err(),
            system.owners(&[], &OwnersAsk::default()).map(drop).unwrap_err(),
            system.processes().map(drop).unwrap_err(),
            system.table("main").map(drop).unwrap_err(),
            system.promiscuous().map(drop).unwrap_err(),
            system.events(&crate::EventsAsk::default()).map(drop).unwrap_err(),
        ];
        for refused in refusals {
            assert_eq!(
                (refused.kind, refused.message.as_str()),
                (RefusedKind::NotSupported, NOT_SUPPORTED)
            );
        }
        assert_eq!(system.checks()[0].status, CheckStatus::Failed);
        let routes = system.routes(TableSelection::All);
        assert_eq!(routes.ipv4.why(), Some(Why::NotSupported));
        assert!(!routes.limits.is_empty());
        assert_eq!(
            system.interface_statistics().0.interfaces.why(),
            Some(Why::NotSupported)
        );
        assert_eq!(system.packet_filter().rules.why(), Some(Why::NotSupported));
        assert_eq!(
            system.metrics(&MetricsAsk { processes: true }).processes.why(),
            Some(Why::NotSupported)
        );
        assert_eq!(system.try_ports(netstat_model::Protocol::Tcp, false, &[1, 2]).failed, 2);
    }

    #[test]
    fn now_never_goes_back() {
        let system = Unsupported;
        let first = system.now().since_boot;
        assert!(system.now().since_boot >= first);
    }
}
