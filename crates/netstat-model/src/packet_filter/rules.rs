//! The rules of nftables as the kernel keeps them: small programs over registers (nft(8), linux/netfilter/nf_tables.h).
//! Names come from outside: escape before printing.

use super::ChainFamily;

/// Every chain with its rules, and the sets that rules look into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ruleset {
    /// Chains that have rules, those without a hook too.
    pub chains: Vec<RuleChain>,
    /// Sets and maps.
    pub sets: Vec<Set>,
}

/// A chain's rules, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RuleChain {
    /// Which packets its table is about.
    pub family: ChainFamily,
    /// Its table.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub table: Vec<u8>,
    /// Its name.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub name: Vec<u8>,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// One rule: steps that are taken until one does not match.
pub type Rule = Vec<Step>;

/// A set, or a map of verdicts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Set {
    /// Which packets its table is about.
    pub family: ChainFamily,
    /// Its table.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub table: Vec<u8>,
    /// Its name; `__set0` and the like for one written within a rule.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub name: Vec<u8>,
    /// Whether its elements are the ends of intervals (`NFT_SET_INTERVAL`): one begins a stretch, the next one with
    /// [`Element::ends`] is the first key behind it.
    pub intervals: bool,
    /// Whether keys are made of several values (`NFT_SET_CONCAT`): such a set is not looked into.
    pub concatenated: bool,
    /// Its elements.
    pub elements: Vec<Element>,
}

/// An element of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Element {
    /// Its key; empty for the one that matches all others (`NFT_SET_ELEM_CATCHALL`).
    pub key: Vec<u8>,
    /// Whether it ends an interval.
    pub ends: bool,
    /// Whether it matches all keys that are not in the set.
    pub all_others: bool,
    /// Of a map of verdicts: what becomes of the packet.
    pub verdict: Option<RuleVerdict>,
    /// Of a map of values: the value; empty where there is none.
    #[cfg_attr(feature = "serde", serde(default))]
    pub data: Vec<u8>,
}

/// What a rule, or the end of a chain, makes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RuleVerdict {
    /// This chain lets it pass.
    Accept,
    /// It is thrown away, with an answer or without.
    Drop,
    /// The next rule decides.
    Continue,
    /// The chain that called this one goes on.
    Return,
    /// Another chain is asked, then the next rule.
    Jump(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
    /// Another chain is asked instead of the rest of this one.
    Goto(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
    /// Something else, by the expression's name: a program decides (`queue`), ...
    Other(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
}

/// One expression of a rule. Registers are byte offsets into the rule's scratch space, the verdict's left out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Step {
    /// A fact about the packet goes into a register.
    Load {
        /// Where to.
        register: u32,
        /// What.
        source: Source,
    },
    /// A constant goes into a register.
    Constant {
        /// Where to.
        register: u32,
        /// What.
        value: Vec<u8>,
    },
    /// `to = from & mask ^ xor`.
    Bits {
        /// Where from.
        from: u32,
        /// Where to.
        to: u32,
        /// The bits that stay.
        mask: Vec<u8>,
        /// The bits that change.
        xor: Vec<u8>,
    },
    /// Goes on only if the comparison holds, byte by byte from the first.
    Compare {
        /// What is compared.
        register: u32,
        /// How.
        operator: Operator,
        /// With what.
        value: Vec<u8>,
    },
    /// Goes on only if the value lies within two others, ends included; outside of them if `outside`.
    Range {
        /// What is compared.
        register: u32,
        /// The first value.
        low: Vec<u8>,
        /// The last one.
        high: Vec<u8>,
        /// Whether it is to lie outside.
        outside: bool,
    },
    /// Goes on only if the set has the value; if it has not, with `inverted`.
    Lookup {
        /// What is looked for.
        register: u32,
        /// The set, of the rule's own table.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        set: Vec<u8>,
        /// Whether it is not to be there.
        inverted: bool,
        /// Whether the set is a map whose verdict is taken.
        verdict: bool,
    },
    /// Goes on only for connections in one of these states (`NF_CT_STATE_BIT`); in none of them, with `inverted`.
    States {
        /// A bit for each state.
        mask: u32,
        /// Whether it is to be none of them.
        inverted: bool,
    },
    /// Goes on only for a destination port from `low` to `high`; for another one, with `inverted`.
    Port {
        /// The lowest port.
        low: u16,
        /// The highest one.
        high: u16,
        /// Whether it is to be another one.
        inverted: bool,
    },
    /// What a map has for a register's value goes into another register, in as many pieces of four bytes as it is long; goes on only if
    /// it has something.
    Map {
        /// What is looked for.
        register: u32,
        /// The map, of the rule's own table.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        set: Vec<u8>,
        /// Where to.
        to: u32,
    },
    /// The packet gets another destination, and no further rule of the chain is asked.
    Translate {
        /// Whether it stays on this computer (`redirect`); else it goes to `address`.
        here: bool,
        /// The new address, 4 or 16 bytes; `None`: that of the interface, or the old one.
        address: Option<Operand>,
        /// The new port, 2 bytes in network order; `None`: the old one.
        port: Option<Operand>,
    },
    /// The rule's verdict.
    Verdict(RuleVerdict),
    /// Decides nothing: it counts, logs, marks.
    Nothing,
    /// Matches no packet that comes from outside to this computer.
    Never,
    /// An expression that this program does not work out, by its name: it may match or not.
    Other(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
}

/// A value of a [`Step`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Operand {
    /// A register's content.
    Register(u32),
    /// This one.
    Constant(Vec<u8>),
}

/// How two values are compared (`enum nft_cmp_ops`), as numbers in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Operator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A fact about a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Source {
    /// Bytes of the network header.
    Network {
        /// From which byte on.
        offset: u32,
        /// How many.
        length: u32,
    },
    /// Bytes of the transport header.
    Transport {
        /// From which byte on.
        offset: u32,
        /// How many.
        length: u32,
    },
    /// The network protocol as a number of address families (`NFPROTO_*`), one byte.
    NetworkProtocol,
    /// The network protocol as an Ethernet type, two bytes.
    EtherType,
    /// The transport protocol's number, one byte.
    TransportProtocol,
    /// The number of the interface on which the packet came, in the host's byte order.
    Interface,
    /// That interface's name, 16 bytes.
    InterfaceName,
    /// The state of the connection, a bit each (`NF_CT_STATE_BIT`), in the host's byte order.
    ConnectionState,
    /// What the destination is to the routing tables (`RTN_*`, linux/rtnetlink.h), four bytes in the host's byte order.
    DestinationType,
    /// What has happened to the connection (`IPS_*`, linux/netfilter/nf_conntrack_common.h), four bytes in the host's byte order.
    ConnectionStatus,
    /// What is 0 for the first packet of a connection to this computer: so many bytes.
    Nothing(u8),
    /// Something else, by name.
    Other(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
}
