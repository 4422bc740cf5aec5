//! The packet filters that incoming packets traverse: nftables over netlink, and the names of the tables of legacy
//! iptables.

mod chain;
mod rule;

use std::fs;
use std::io;
use std::path::Path;

use netstat_model::packet_filter::rules::{RuleChain, Ruleset};
use netstat_model::packet_filter::{Chain, PacketFilter};
use netstat_model::{Fact, Why};

use super::counters::why;
use super::netlink::{Connection, Dump, push_attribute};

pub use chain::parse_chain;
pub use rule::{Placed, parse_elements, parse_rule, parse_set};

/// `NFNL_SUBSYS_NFTABLES << 8` (linux/netfilter/nfnetlink.h); the requests are defined in linux/netfilter/nf_tables.h.
const NFTABLES: u16 = 10 << 8;
/// `NFT_MSG_GETCHAIN`.
const GET_CHAIN: u16 = NFTABLES | 4;
/// `NFT_MSG_GETRULE`.
const GET_RULE: u16 = NFTABLES | 7;
/// `NFT_MSG_GETSET`.
const GET_SET: u16 = NFTABLES | 10;
/// `NFT_MSG_GETSETELEM`.
const GET_ELEMENTS: u16 = NFTABLES | 13;

/// `struct nfgenmsg` for all families: `AF_UNSPEC`, `NFNETLINK_V0`, no resource.
const ALL_FAMILIES: [u8; 4] = [0; 4];

/// Returns the filters of the caller's network namespace. `proc` is where procfs is mounted.
pub(super) fn packet_filter(proc: &Path) -> PacketFilter {
    let nftables = nftables();
    let rules = match &nftables {
        // The rules are not needed if no chain drops or changes anything.
        Fact::Known(chains) if !chains.iter().any(|chain| chain.may_drop() || chain.may_translate()) => {
            Fact::Known(Ruleset::default())
        }
        Fact::Known(_) => match ruleset() {
            Ok(rules) => Fact::Known(rules),
            Err(error) => Fact::Unknown(reason(&error)),
        },
        Fact::Unknown(why) => Fact::Unknown(*why),
    };
    PacketFilter {
        nftables,
        rules,
        iptables: iptables(proc),
    }
}

/// Reads all rules, and the sets that they use.
fn ruleset() -> io::Result<Ruleset> {
    let mut connection = Connection::netfilter()?;
    let mut rules = Ruleset::default();
    let changed = |dump| match dump {
        Dump::Complete => Ok(()),
        // A mix of the rules before and after a change would be a wrong answer.
        Dump::Interrupted => Err(io::Error::from(io::ErrorKind::Interrupted)),
    };
    changed(connection.dump(GET_RULE, &ALL_FAMILIES, |answer| {
        let Some(placed) = parse_rule(answer)? else {
            return Ok(());
        };
        let same = |chain: &&mut RuleChain| {
            chain.family == placed.family && chain.table == placed.table && chain.name == placed.chain
        };
        // The rules of a chain are adjacent.
        match rules.chains.last_mut().filter(same) {
            Some(chain) => chain.rules.push(placed.rule),
            None => rules.chains.push(RuleChain {
                family: placed.family,
                table: placed.table,
                name: placed.chain,
                rules: vec![placed.rule],
            }),
        }
        Ok(())
    })?)?;
    changed(connection.dump(GET_SET, &ALL_FAMILIES, |answer| {
        rules.sets.extend(parse_set(answer)?);
        Ok(())
    })?)?;
    for set in rules.sets.iter_mut().filter(|set| !set.concatenated) {
        let mut body = vec![chain::family_number(set.family), 0, 0, 0];
        push_attribute(&mut body, rule::ELEMENTS_OF.0, &[&set.table[..], b"\0"].concat());
        push_attribute(&mut body, rule::ELEMENTS_OF.1, &[&set.name[..], b"\0"].concat());
        let elements = &mut set.elements;
        changed(connection.dump(GET_ELEMENTS, &body, |answer| Ok(parse_elements(answer, elements)?))?)?;
    }
    Ok(rules)
}

fn nftables() -> Fact<Vec<Chain>> {
    let mut chains = Vec::new();
    let dumped = Connection::netfilter().and_then(|mut connection| {
        connection.dump(GET_CHAIN, &ALL_FAMILIES, |answer| {
            chains.extend(parse_chain(answer)?);
            Ok(())
        })
    });
    match dumped {
        // An interrupted dump contains every chain that existed all the time.
        Ok(_) => {
            chains.sort_by_key(|chain| (chain.hook, chain.priority));
            Fact::Known(chains)
        }
        Err(error) => Fact::Unknown(reason(&error)),
    }
}

/// Returns the reason for a failed request. A kernel without packet filters reports this in several ways.
fn reason(error: &io::Error) -> Why {
    const NO_PROTOCOL: i32 = rustix::io::Errno::PROTONOSUPPORT.raw_os_error();
    const INVALID: i32 = rustix::io::Errno::INVAL.raw_os_error();
    match error.raw_os_error() {
        Some(NO_PROTOCOL | INVALID) => Why::NotSupported,
        _ => why(error),
    }
}

/// Returns the tables of legacy iptables in use, for IPv4 and IPv6. Their files exist once the kernel module is loaded.
fn iptables(proc: &Path) -> Fact<Vec<Vec<u8>>> {
    let mut tables = Vec::new();
    for name in ["net/ip_tables_names", "net/ip6_tables_names"] {
        match fs::read(proc.join(name)) {
            Ok(text) => {
                let names = text.split(|&byte| byte == b'\n').filter(|name| !name.is_empty());
                tables.extend(names.map(<[u8]>::to_vec));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Fact::Unknown(why(&error)),
        }
    }
    tables.sort_unstable();
    tables.dedup();
    Fact::Known(tables)
}
