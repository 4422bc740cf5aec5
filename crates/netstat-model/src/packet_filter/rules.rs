//! The rules of nftables as the kernel keeps them: small programs that operate on registers (nft(8),
//! linux/netfilter/nf_tables.h). Names come from outside: escape before printing.

use super::ChainFamily;

/// All chains with their rules, and the sets that rules refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ruleset {
    /// The chains that have rules, including those without a hook.
    pub chains: Vec<RuleChain>,
    /// The sets and maps.
    pub sets: Vec<Set>,
}

/// A chain and its rules, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RuleChain {
    /// The address family of its table.
    pub family: ChainFamily,
    /// The name of its table.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub table: Vec<u8>,
    /// The name of the chain.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub name: Vec<u8>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// A rule: its steps are executed until one does not match.
pub type Rule = Vec<Step>;

/// A set or a map.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Set {
    /// The address family of its table.
    pub family: ChainFamily,
    /// The name of its table.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub table: Vec<u8>,
    /// The name of the set; `__set0` and the like for one written inside a rule.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub name: Vec<u8>,
    /// Whether the elements are the limits of intervals (`NFT_SET_INTERVAL`): one element begins an interval, and the
    /// next one with [`Element::ends`] is the first key after it.
    pub intervals: bool,
    /// Whether keys are concatenations of several values (`NFT_SET_CONCAT`). Such sets are not evaluated.
    pub concatenated: bool,
    /// The elements.
    pub elements: Vec<Element>,
}

/// An element of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Element {
    /// The key; empty for the element that matches all others (`NFT_SET_ELEM_CATCHALL`).
    pub key: Vec<u8>,
    /// Whether the element ends an interval.
    pub ends: bool,
    /// Whether the element matches all keys that are not in the set.
    pub all_others: bool,
    /// The verdict, if this is a map of verdicts; `None` otherwise.
    pub verdict: Option<RuleVerdict>,
    /// The value, if this is a map of values; empty otherwise.
    #[cfg_attr(feature = "serde", serde(default))]
    pub data: Vec<u8>,
}

/// The verdict of a rule, or of the end of a chain, on a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RuleVerdict {
    /// The chain accepts the packet.
    Accept,
    /// The packet is dropped, with or without a reply.
    Drop,
    /// Evaluation continues with the next rule.
    Continue,
    /// Evaluation continues in the chain that called this one.
    Return,
    /// Another chain is evaluated, then the next rule.
    Jump(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
    /// Another chain is evaluated in place of the rest of this one.
    Goto(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
    /// Another verdict, by the expression's name, for example `queue`, which leaves the decision to a program.
    Other(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
}

/// An expression of a rule. Registers are byte offsets into the rule's scratch space, not counting the verdict
/// register.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Step {
    /// Loads a fact about the packet into a register.
    Load {
        /// The destination register.
        register: u32,
        /// The fact.
        source: Source,
    },
    /// Loads a constant into a register.
    Constant {
        /// The destination register.
        register: u32,
        /// The constant.
        value: Vec<u8>,
    },
    /// Computes `to = from & mask ^ xor`.
    Bits {
        /// The source register.
        from: u32,
        /// The destination register.
        to: u32,
        /// The bits that are kept.
        mask: Vec<u8>,
        /// The bits that are inverted.
        xor: Vec<u8>,
    },
    /// Matches if the comparison holds, byte by byte from the first.
    Compare {
        /// The register that is compared.
        register: u32,
        /// The comparison operator.
        operator: Operator,
        /// The value to compare with.
        value: Vec<u8>,
    },
    /// Matches if the value is in an inclusive range or, with `outside`, if it is not.
    Range {
        /// The register that is compared.
        register: u32,
        /// The lowest value.
        low: Vec<u8>,
        /// The highest value.
        high: Vec<u8>,
        /// Whether the value must be outside the range.
        outside: bool,
    },
    /// Matches if the set contains the value or, with `inverted`, if it does not.
    Lookup {
        /// The register that contains the value.
        register: u32,
        /// The name of the set, which is in the rule's own table.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        set: Vec<u8>,
        /// Whether the set must not contain the value.
        inverted: bool,
        /// Whether the set is a map whose verdict applies.
        verdict: bool,
    },
    /// Matches connections in one of these states (`NF_CT_STATE_BIT`) or, with `inverted`, in none of them.
    States {
        /// One bit for each state.
        mask: u32,
        /// Whether the connection must be in none of the states.
        inverted: bool,
    },
    /// Matches a destination port from `low` to `high` or, with `inverted`, any other.
    Port {
        /// The lowest port.
        low: u16,
        /// The highest one.
        high: u16,
        /// Whether the port must be another one.
        inverted: bool,
    },
    /// Looks up a register's value in a map and loads the result into another register and, if it is longer than four
    /// bytes, those that follow. Matches if the map contains the value.
    Map {
        /// The register that contains the value.
        register: u32,
        /// The name of the map, which is in the rule's own table.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        set: Vec<u8>,
        /// The destination register.
        to: u32,
    },
    /// Changes the destination of the packet and ends the evaluation of the chain.
    Translate {
        /// Whether the packet stays on this computer (`redirect`); otherwise it goes to `address`.
        here: bool,
        /// The new address, 4 or 16 bytes; `None` for the interface's address or the old one.
        address: Option<Operand>,
        /// The new port, 2 bytes in network byte order; `None` for the old one.
        port: Option<Operand>,
    },
    /// Ends the rule with a verdict.
    Verdict(RuleVerdict),
    /// Has no influence on the verdict: a counter, log or mark.
    Nothing,
    /// Matches no packet that comes from outside to this computer.
    Never,
    /// An expression that this program does not evaluate, by its name: it may match or not.
    Other(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
}

/// A value of a [`Step`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Operand {
    /// The content of a register.
    Register(u32),
    /// A constant.
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
        /// The offset of the first byte.
        offset: u32,
        /// The number of bytes.
        length: u32,
    },
    /// Bytes of the transport header.
    Transport {
        /// The offset of the first byte.
        offset: u32,
        /// The number of bytes.
        length: u32,
    },
    /// The network protocol as the number of an address family (`NFPROTO_*`), one byte.
    NetworkProtocol,
    /// The network protocol as an EtherType, two bytes.
    EtherType,
    /// The IP protocol number, one byte.
    TransportProtocol,
    /// The index of the inbound interface, in host byte order.
    Interface,
    /// The name of the inbound interface, 16 bytes.
    InterfaceName,
    /// The state of the connection, one bit for each (`NF_CT_STATE_BIT`), in host byte order.
    ConnectionState,
    /// The type of the destination according to the routing tables (`RTN_*`, linux/rtnetlink.h), four bytes in host
    /// byte order.
    DestinationType,
    /// The status of the connection (`IPS_*`, linux/netfilter/nf_conntrack_common.h), four bytes in host byte order.
    ConnectionStatus,
    /// A fact that is 0 for the first packet of a connection to this computer, with its number of bytes.
    Nothing(u8),
    /// Another fact, by name.
    Other(#[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))] Vec<u8>),
}
