//! Tests with made-up rules. `netstat-os` tests real ones against the kernel.

use super::rules::*;
use super::*;
use crate::Why;
use proptest::prelude::*;
use std::net::IpAddr;

const SSH: Arrival = Arrival {
    protocol: 6,
    port: 22,
    address: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
};

fn filter(drops: bool, chains: Vec<(&str, Vec<Rule>)>) -> PacketFilter {
    let chain = |(name, rules): (&str, Vec<Rule>)| RuleChain {
        family: ChainFamily::Inet,
        table: b"t".to_vec(),
        name: name.into(),
        rules,
    };
    let count = chains.first().map_or(0, |(_, rules)| rules.len());
    PacketFilter {
        nftables: Fact::Known(vec![Chain {
            family: ChainFamily::Inet,
            table: b"t".to_vec(),
            name: b"in".to_vec(),
            kind: b"filter".to_vec(),
            hook: Hook::Input,
            priority: 0,
            drops,
            rules: u32::try_from(count).unwrap(),
        }]),
        rules: Fact::Known(Ruleset {
            chains: chains.into_iter().map(chain).collect(),
            sets: Vec::new(),
        }),
        iptables: Fact::Known(Vec::new()),
    }
}

fn other(name: &str) -> Step {
    Step::Other(name.into())
}

fn port(port: u16) -> Step {
    Step::Port {
        low: port,
        high: port,
        inverted: false,
    }
}

const ACCEPT: Step = Step::Verdict(RuleVerdict::Accept);
const DROP: Step = Step::Verdict(RuleVerdict::Drop);

#[test]
fn chains_in_endless_loop_are_given_up() {
    let jump = |name: &str| Step::Verdict(RuleVerdict::Jump(name.into()));
    let round = filter(
        true,
        vec![("in", vec![vec![jump("a")]; 3]), ("a", vec![vec![jump("a")]; 3])],
    );
    assert!(matches!(
        round.evaluate(SSH),
        FilterVerdict::Depends(_) | FilterVerdict::Unknown(_)
    ));
}

#[test]
fn filter_with_many_ways_lists_eight_and_names_the_rest() {
    let rules: Vec<Rule> = (0..50).map(|number| vec![other(&number.to_string()), ACCEPT]).collect();
    let FilterVerdict::Only(ways) = filter(true, vec![("in", rules)]).evaluate(SSH) else {
        panic!("not only these ways");
    };
    assert_eq!(ways.len(), 9);
    assert_eq!(ways[8], [Condition::Other(b"further rules".to_vec())]);
}

#[test]
fn filter_with_conditional_return_depends() {
    let back = vec![other("x"), Step::Verdict(RuleVerdict::Return)];
    let passage = filter(true, vec![("in", vec![back, vec![port(22), ACCEPT]])]).evaluate(SSH);
    assert!(matches!(passage, FilterVerdict::Depends(_)), "{passage:?}");
}

#[test]
fn filter_verdict_is_that_of_first_matching_rule() {
    let rules = vec![vec![port(23), DROP], vec![port(22), ACCEPT], vec![port(22), DROP]];
    assert_eq!(
        filter(true, vec![("in", rules)]).evaluate(SSH),
        FilterVerdict::Everybody
    );
    let rules = vec![
        vec![Step::Never, ACCEPT],
        vec![other("x"), DROP],
        vec![other("x"), ACCEPT],
    ];
    let one = vec![vec![Condition::Other(b"x".to_vec())]];
    assert_eq!(
        filter(false, vec![("in", rules.clone())]).evaluate(SSH),
        FilterVerdict::AllBut(one)
    );
    assert_eq!(filter(true, vec![("in", rules)]).evaluate(SSH), FilterVerdict::Nobody);
}

#[test]
fn filter_unreadable_is_unknown_and_absent_lets_everybody_in() {
    let mut unread = filter(true, vec![("in", Vec::new())]);
    unread.rules = Fact::Unknown(Why::NotPermitted);
    assert!(matches!(unread.evaluate(SSH), FilterVerdict::Unknown(_)));
    unread.nftables = Fact::Unknown(Why::NotSupported);
    assert_eq!(unread.evaluate(SSH), FilterVerdict::Everybody);
    unread.iptables = Fact::Known(vec![b"nat".to_vec()]);
    assert_eq!(unread.evaluate(SSH), FilterVerdict::Everybody);
    unread.iptables = Fact::Known(vec![b"filter".to_vec()]);
    assert!(matches!(unread.evaluate(SSH), FilterVerdict::Unknown(_)));
}

#[test]
fn filter_condition_with_control_characters_is_escaped() {
    let name = Condition::Interface(b"a\x1b[2J".to_vec(), false).to_string();
    assert!(name.starts_with("not over a") && !name.contains('\x1b'), "{name}");
}

fn any_step() -> impl Strategy<Value = Step> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
    let register = 0u32..3;
    let verdict = prop_oneof![
        Just(RuleVerdict::Accept),
        Just(RuleVerdict::Drop),
        Just(RuleVerdict::Return),
        Just(RuleVerdict::Continue),
        Just(RuleVerdict::Jump(b"a".to_vec())),
        Just(RuleVerdict::Goto(b"in".to_vec())),
    ];
    prop_oneof![
        (register.clone(), 0u32..40, 0u32..20).prop_map(|(register, offset, length)| Step::Load {
            register,
            source: Source::Network { offset, length }
        }),
        register.clone().prop_map(|register| Step::Load {
            register,
            source: Source::InterfaceName
        }),
        (register.clone(), bytes()).prop_map(|(register, value)| Step::Constant { register, value }),
        (register.clone(), register.clone(), bytes(), bytes()).prop_map(|(from, to, mask, xor)| Step::Bits {
            from,
            to,
            mask,
            xor
        }),
        (register.clone(), bytes()).prop_map(|(register, value)| Step::Compare {
            register,
            operator: Operator::Equal,
            value
        }),
        (register.clone(), bytes()).prop_map(|(register, value)| Step::Compare {
            register,
            operator: Operator::Less,
            value
        }),
        (register.clone(), bytes(), bytes(), any::<bool>()).prop_map(|(register, low, high, outside)| Step::Range {
            register,
            low,
            high,
            outside
        }),
        (register, any::<bool>(), any::<bool>()).prop_map(|(register, inverted, verdict)| Step::Lookup {
            register,
            set: b"s".to_vec(),
            inverted,
            verdict
        }),
        verdict.prop_map(Step::Verdict),
    ]
}

fn any_set() -> impl Strategy<Value = Set> {
    let element = (
        proptest::collection::vec(any::<u8>(), 0..17),
        any::<bool>(),
        any::<bool>(),
    );
    (proptest::collection::vec(element, 0..6), any::<bool>()).prop_map(|(elements, intervals)| Set {
        family: ChainFamily::Inet,
        table: b"t".to_vec(),
        name: b"s".to_vec(),
        intervals,
        concatenated: false,
        elements: elements
            .into_iter()
            .map(|(key, ends, all_others)| Element {
                key,
                ends,
                all_others,
                verdict: (!ends).then_some(RuleVerdict::Drop),
                data: Vec::new(),
            })
            .collect(),
    })
}

proptest! {
    #[test]
    fn filter_with_arbitrary_rules_never_panics(
        rules in proptest::collection::vec(proptest::collection::vec(any_step(), 0..5), 0..5),
        more in proptest::collection::vec(proptest::collection::vec(any_step(), 0..5), 0..3),
        set in any_set(),
        drops: bool,
        v6: bool,
    ) {
        let mut filter = filter(drops, vec![("in", rules), ("a", more)]);
        if let Fact::Known(rules) = &mut filter.rules {
            rules.sets.push(set);
        }
        let address: IpAddr = if v6 { "::" } else { "192.0.2.1" }.parse().unwrap();
        let _ = format!("{:?}", filter.evaluate(Arrival { address, ..SSH }));
    }
}
