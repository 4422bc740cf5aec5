//! Describes the effect of packet filters on a port.

use netstat_model::packet_filter::{Chain, PacketFilter};
use netstat_model::{Fact, Why, text};

/// Whether any filter may drop packets, as far as is known.
pub(super) fn active(filter: &PacketFilter) -> bool {
    let none = matches!(&filter.nftables, Fact::Known(chains) if !chains.iter().any(Chain::may_drop_input))
        || matches!(&filter.nftables, Fact::Unknown(Why::NotSupported));
    !none || !matches!(&filter.iptables, Fact::Known(tables) if !tables.iter().any(|table| table == b"filter"))
}

/// Describes whether a filter may stand between a port and those who could reach its address; safe to print.
pub(super) fn words(filter: &PacketFilter) -> String {
    /// The maximum number of chains to name.
    const MOST: usize = 3;
    let mut parts = Vec::new();
    match &filter.nftables {
        Fact::Known(chains) => {
            let active: Vec<&Chain> = chains.iter().filter(|chain| chain.may_drop_input()).collect();
            parts.extend(active.iter().take(MOST).map(|chain| self::chain(chain)));
            if active.len() > MOST {
                parts.push(format!("{} more chains", active.len() - MOST));
            }
        }
        Fact::Unknown(Why::NotSupported) => {}
        Fact::Unknown(why) => return format!("packet filters: {}", why.words()),
    }
    match &filter.iptables {
        Fact::Known(tables) if tables.iter().any(|table| table == b"filter") => {
            parts.push("the older iptables' table filter".to_owned());
        }
        Fact::Known(_) => {}
        Fact::Unknown(why) if parts.is_empty() => return format!("packet filters: {}", why.words()),
        Fact::Unknown(_) => {}
    }
    match parts.is_empty() {
        true => "no packet filter is in the way (nftables and iptables)".to_owned(),
        false => format!("packet filters: {}", parts.join(", ")),
    }
}

/// Describes a chain: `nftables inet filter input (drops what its 3 rules do not let in)`.
fn chain(chain: &Chain) -> String {
    let rules = match chain.rules {
        1 => "1 rule".to_owned(),
        rules => format!("{rules} rules"),
    };
    let what = match chain.drops {
        true => format!("drops what its {rules} do not let in"),
        false => rules,
    };
    format!(
        "nftables {} {} {} ({what})",
        chain.family.name(),
        text::escape(&chain.table),
        text::escape(&chain.name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::packet_filter::rules::Ruleset;
    use netstat_model::packet_filter::{ChainFamily, Hook};

    fn chain(kind: &str, drops: bool, rules: u32) -> Chain {
        Chain {
            family: ChainFamily::Inet,
            table: b"filter".to_vec(),
            name: b"in\x1bput".to_vec(),
            kind: kind.into(),
            hook: Hook::Input,
            priority: 0,
            drops,
            rules,
        }
    }

    fn filter(nftables: Fact<Vec<Chain>>, iptables: Fact<Vec<Vec<u8>>>) -> String {
        let rules = Fact::Known(Ruleset::default());
        words(&PacketFilter {
            nftables,
            rules,
            iptables,
        })
    }

    #[test]
    fn packet_filters_are_named_or_said_to_be_absent() {
        let none = || Fact::Known(Vec::new());
        let unseen = Fact::Unknown(Why::NotPermitted);
        let old = || Fact::Known(vec![b"filter".to_vec(), b"nat".to_vec()]);
        let clear = "no packet filter is in the way (nftables and iptables)";
        for (nftables, iptables, expected) in [
            (Fact::Known(vec![]), none(), clear),
            (
                Fact::Known(vec![chain("filter", false, 0), chain("nat", false, 4)]),
                none(),
                clear,
            ),
            (Fact::Unknown(Why::NotSupported), none(), clear),
            (
                Fact::Known(vec![chain("filter", true, 3)]),
                none(),
                "packet filters: nftables inet filter in\\eput (drops what its 3 rules do not let in)",
            ),
            (
                Fact::Known(vec![chain("filter", false, 1)]),
                old(),
                "packet filters: nftables inet filter in\\eput (1 rule), the older iptables' table filter",
            ),
            (Fact::Unknown(Why::NotPermitted), old(), "packet filters: not permitted"),
            (Fact::Known(vec![]), unseen, "packet filters: not permitted"),
        ] {
            assert_eq!(filter(nftables, iptables), expected);
        }
    }
}
