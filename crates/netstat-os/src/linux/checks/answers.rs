//! Checks of what the queries to the system actually return: each query is made once, and the limits of its answer are
//! reported.

use netstat_model::counters::BlockSet;
use netstat_model::route::TableSelection;
use netstat_model::{Limit, OwnerSummary};

use crate::CheckArea::Answers;
use crate::{Check, CheckStatus, EventWay, EventsAsk, OwnersAsk, SocketAsk, SocketList, System};

/// Returns the checks of this area.
pub(super) fn checks(system: &mut dyn System) -> Vec<Check> {
    let mut list = SocketList::default();
    system.sockets(&SocketAsk::everything(), &mut list);
    let mut checks = Vec::new();
    let found = format!("{} sockets listed", list.sockets.len());
    checks.extend(answered("sockets", found, list.failed, &list.limits));
    checks.extend(owners(system, &list));
    checks.push(events(system));
    checks.push(packet_filter(system));
    let (_, limits) = system.protocol_statistics(BlockSet::ALL, true);
    checks.extend(answered(
        "statistics",
        "counters of the protocols read".to_owned(),
        false,
        &limits,
    ));
    let (interfaces, limits) = system.interface_statistics();
    let failed = interfaces.interfaces.why().is_some();
    checks.extend(answered(
        "interfaces",
        "counters of the interfaces read".to_owned(),
        failed,
        &limits,
    ));
    let routes = system.routes(TableSelection::All);
    let failed = routes.ipv4.why().is_some() && routes.ipv6.why().is_some();
    checks.extend(answered(
        "routes",
        "routing tables read".to_owned(),
        failed,
        &routes.limits,
    ));
    checks
}

/// A question that was answered, with a check for each thing that its answer lacks.
fn answered(id: &'static str, found: String, failed: bool, limits: &[Limit]) -> Vec<Check> {
    if limits.is_empty() {
        let status = if failed { CheckStatus::Failed } else { CheckStatus::Good };
        return vec![Check::new(Answers, id, status, found)];
    }
    let status = if failed {
        CheckStatus::Failed
    } else {
        CheckStatus::Limited
    };
    let check = |limit: &Limit| Check {
        remedy: limit.remedy.clone(),
        ..Check::new(Answers, id, status, limit.what.clone()).because(limit.why.clone())
    };
    limits.iter().map(check).collect()
}

fn owners(system: &mut dyn System, list: &SocketList) -> Vec<Check> {
    let found = match system.owners(&list.sockets, &OwnersAsk::default()) {
        Ok(found) => found,
        Err(refused) => {
            return vec![
                Check::new(Answers, "owners", CheckStatus::Failed, "owners cannot be found")
                    .because(refused.to_string()),
            ];
        }
    };
    let summary = OwnerSummary::count(&found.owners, &list.sockets);
    let superuser = system.is_superuser();
    let refused = summary.of(netstat_model::NoOwner::NotPermitted { user: None });
    let line = summary
        .line(netstat_model::SystemKind::Linux, superuser)
        .unwrap_or_else(|| "every owner is known".to_owned());
    let mut checks = vec![match refused {
        0 => Check::new(Answers, "owners", CheckStatus::Good, line).because(found.how),
        _ => Check {
            remedy: (!superuser).then(|| "sudo netstat doctor".to_owned()),
            ..Check::new(Answers, "owners", CheckStatus::Limited, line)
                .because("the descriptors of other users' processes may not be read")
        },
    }];
    if !found.limits.is_empty() {
        checks.extend(answered("owners", String::new(), false, &found.limits));
    }
    checks
}

/// Checks by which mechanism sockets would be watched.
fn events(system: &mut dyn System) -> Check {
    let ask = EventsAsk {
        way: EventWay::Auto,
        ..EventsAsk::default()
    };
    match system.events(&ask) {
        Err(refused) => Check::new(Answers, "events", CheckStatus::Failed, "sockets cannot be watched")
            .because(refused.to_string())
            .effect("no record, no --follow"),
        Ok(source) => match source.limits().first() {
            None => Check::new(Answers, "events", CheckStatus::Good, source.how()),
            Some(limit) => Check {
                remedy: limit.remedy.as_ref().map(|_| "sudo netstat doctor".to_owned()),
                ..Check::new(Answers, "events", CheckStatus::Limited, source.how())
                    .because(limit.why.clone())
                    .effect(limit.what.clone())
            },
        },
    }
}

fn packet_filter(system: &mut dyn System) -> Check {
    let filter = system.packet_filter();
    match filter.nftables.why() {
        None => Check::new(Answers, "packet-filter", CheckStatus::Good, "nftables can be read"),
        Some(why) => Check {
            remedy: (!system.is_superuser()).then(|| "sudo netstat doctor".to_owned()),
            ..Check::new(
                Answers,
                "packet-filter",
                CheckStatus::Limited,
                "nftables cannot be read",
            )
            .because(why.words())
            .effect("whether a firewall lets connections in is unknown")
        },
    }
}
