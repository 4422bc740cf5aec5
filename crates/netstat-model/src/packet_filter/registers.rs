//! Registers, on which the steps of a rule operate, and what is known about their contents.

use std::net::{IpAddr, Ipv6Addr};

use super::condition::{Condition, Translated};
use super::rules::{Element, Operand, Operator, Set};
use crate::Network;

/// The content of a register.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// These bytes.
    Known(Vec<u8>),
    /// An address that the query leaves open, and the mask of its bits that are compared.
    Open(Side, Vec<u8>),
    Interface,
    InterfaceName,
    /// Something that the query does not specify, by name.
    Unknown(Vec<u8>),
}

/// The side that an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Sender,
    Here,
}

/// Whether a step matches.
pub(super) enum Match {
    Yes,
    No,
    /// The step matches under this condition.
    If(Condition),
}

pub(super) fn sure(is: bool) -> Match {
    if is { Match::Yes } else { Match::No }
}

pub(super) fn head(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(..length).unwrap_or(bytes)
}

/// Whether the set contains `content` or, with `inverted`, does not.
pub(super) fn is_in(set: Option<&Set>, content: &Content, inverted: bool) -> Match {
    match (set, content) {
        (Some(set), Content::Known(bytes)) if !set.concatenated => sure(set.find(bytes).is_some() != inverted),
        (Some(set), Content::Open(side, _)) if !set.concatenated => Match::If(match set.only_network() {
            Some(network) => side.condition(network, !inverted),
            None => content.name(),
        }),
        (_, content) => Match::If(content.name()),
    }
}

/// Loads register `to` with the value that a map has for the content of register `from`.
pub(super) fn map(map: Option<&Set>, registers: &mut Vec<(u32, Content)>, from: u32, to: u32) -> Match {
    let data = match (map, get(registers, from)) {
        (Some(map), Content::Known(bytes)) if !map.concatenated => {
            Some(map.find(bytes).map(|element| element.data.clone()))
        }
        _ => None,
    };
    match data {
        Some(Some(data)) => put_pieces(registers, to, &data),
        Some(None) => return Match::No,
        None => put(registers, to, Content::Unknown(b"a map".to_vec())),
    }
    Match::Yes
}

/// Returns the new destination that these operands specify.
pub(super) fn translated(
    registers: &[(u32, Content)],
    here: bool,
    address: Option<&Operand>,
    port: Option<&Operand>,
) -> Translated {
    let bytes = |operand: &Operand| match operand {
        Operand::Constant(bytes) => Some(bytes.clone()),
        Operand::Register(register) => match get(registers, *register) {
            Content::Known(bytes) if !bytes.is_empty() => Some(bytes.clone()),
            _ => None,
        },
    };
    let read_address = |bytes: Vec<u8>| match bytes.len() {
        0..4 => None,
        // In a map's value, the port follows the IPv4 address.
        4..16 => Some(IpAddr::from(<[u8; 4]>::try_from(&bytes[..4]).ok()?)),
        _ => Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[..16]).ok()?))),
    };
    let read_port = |bytes: Vec<u8>| Some(u16::from_be_bytes(*bytes.first_chunk()?));
    let new_address = address.and_then(bytes).and_then(read_address);
    let new_port = port.and_then(bytes).and_then(read_port);
    Translated {
        here,
        address: new_address,
        port: new_port,
        known: new_address.is_some() == address.is_some() && new_port.is_some() == port.is_some(),
    }
}

/// Stores a value; more than four bytes also fill the following registers.
fn put_pieces(registers: &mut Vec<(u32, Content)>, register: u32, value: &[u8]) {
    for (place, at) in (0..value.len()).step_by(4).enumerate() {
        // Values have at most 64 bytes (four times `NFT_REG_SIZE`).
        put(
            registers,
            register + 4 * place as u32,
            Content::Known(value[at..].to_vec()),
        );
    }
}

pub(super) fn put(registers: &mut Vec<(u32, Content)>, register: u32, content: Content) {
    registers.retain(|(one, _)| *one != register);
    registers.push((register, content));
}

pub(super) fn get(registers: &[(u32, Content)], register: u32) -> &Content {
    const NOTHING: &Content = &Content::Known(Vec::new());
    registers
        .iter()
        .find(|(one, _)| *one == register)
        .map_or(NOTHING, |(_, content)| content)
}

impl Content {
    /// Returns the condition to report if a test of this content cannot be evaluated.
    pub(super) fn name(&self) -> Condition {
        Condition::Other(match self {
            Content::Known(_) => b"the packet".to_vec(),
            Content::Open(Side::Sender, _) => b"the sender's address".to_vec(),
            Content::Open(Side::Here, _) => b"the address here".to_vec(),
            Content::Interface | Content::InterfaceName => b"the interface".to_vec(),
            Content::Unknown(name) => name.clone(),
        })
    }
}

impl Side {
    fn condition(self, network: Network, is: bool) -> Condition {
        match self {
            Side::Sender => Condition::Sender(network, is),
            Side::Here => Condition::Address(network, is),
        }
    }
}

pub(super) fn bits(content: &Content, mask: &[u8], xor: &[u8]) -> Content {
    match content {
        Content::Known(bytes) => Content::Known(
            bytes
                .iter()
                .zip(mask)
                .enumerate()
                .map(|(at, (byte, mask))| byte & mask ^ xor.get(at).copied().unwrap_or(0))
                .collect(),
        ),
        Content::Open(side, asked) if xor.iter().all(|&byte| byte == 0) => Content::Open(
            *side,
            asked.iter().zip(mask).map(|(asked, mask)| asked & mask).collect(),
        ),
        other => Content::Unknown(match other.name() {
            Condition::Other(name) => name,
            _ => Vec::new(),
        }),
    }
}

pub(super) fn compare(content: &Content, operator: Operator, value: &[u8]) -> Match {
    let is = match operator {
        Operator::Equal => true,
        Operator::NotEqual => false,
        _ => match content {
            Content::Known(_) => true,
            open => return Match::If(open.name()),
        },
    };
    match content {
        Content::Known(bytes) => {
            let key = head(bytes, value.len());
            sure(match operator {
                Operator::Equal => key == value,
                Operator::NotEqual => key != value,
                Operator::Less => key < value,
                Operator::LessOrEqual => key <= value,
                Operator::Greater => key > value,
                Operator::GreaterOrEqual => key >= value,
            })
        }
        Content::Open(side, asked) => match network(asked, value) {
            Some(network) => Match::If(side.condition(network, is)),
            None => Match::If(content.name()),
        },
        // The loopback is interface 1 in every network namespace (`LOOPBACK_IFINDEX`), and queries are not about it.
        Content::Interface if value == 1u32.to_ne_bytes() => sure(!is),
        Content::InterfaceName if cut(value) == b"lo" => sure(!is),
        Content::InterfaceName => Match::If(Condition::Interface(cut(value).to_vec(), is)),
        Content::Interface | Content::Unknown(_) => Match::If(content.name()),
    }
}

/// Returns a name up to its first zero byte.
fn cut(name: &[u8]) -> &[u8] {
    name.split(|&byte| byte == 0).next().unwrap_or(name)
}

/// Returns the network of the addresses that equal `value` in the bits of `asked`, a mask as wide as an address; `None`
/// if that is not a network.
fn network(asked: &[u8], value: &[u8]) -> Option<Network> {
    let (mut mask, mut address) = ([0u8; 16], [0u8; 16]);
    for (at, (asked, value)) in asked.iter().zip(value).enumerate() {
        mask[at] = *asked;
        address[at] = *value;
    }
    let bits = u128::from_be_bytes(mask);
    let prefix = bits.leading_ones();
    if bits.count_ones() != prefix {
        return None;
    }
    let address = match asked.len() {
        4 => IpAddr::from([address[0], address[1], address[2], address[3]]),
        16 => IpAddr::V6(Ipv6Addr::from(address)),
        _ => return None,
    };
    Network::new(address, u8::try_from(prefix).ok()?)
}

impl Set {
    /// Returns the element that matches `key`.
    pub(super) fn find(&self, key: &[u8]) -> Option<&Element> {
        let real = || self.elements.iter().filter(|element| !element.all_others);
        let found = if self.intervals {
            // The last beginning or end that is not greater than the key.
            let below = real().filter(|element| element.key.as_slice() <= head(key, element.key.len()));
            below
                .max_by(|one, two| one.key.cmp(&two.key).then(two.ends.cmp(&one.ends)))
                .filter(|element| !element.ends)
        } else {
            real().find(|element| element.key == head(key, element.key.len()))
        };
        found.or_else(|| self.elements.iter().find(|element| element.all_others))
    }

    /// Returns the network that the set consists of; `None` if it is not a single network.
    fn only_network(&self) -> Option<Network> {
        let mut begins = self.elements.iter().filter(|element| !element.ends);
        let (one, more) = (begins.next()?, begins.next());
        if more.is_some() || one.all_others {
            return None;
        }
        if !self.intervals {
            return network(&vec![0xff; one.key.len()], &one.key);
        }
        let end = self
            .elements
            .iter()
            .find(|element| element.ends && element.key > one.key)?;
        if one.key.len() > 16 || end.key.len() > 16 {
            return None;
        }
        let number = |key: &[u8]| key.iter().fold(0u128, |number, &byte| number << 8 | u128::from(byte));
        let (low, behind) = (number(&one.key), number(&end.key));
        let size = behind.checked_sub(low)?;
        if !size.is_power_of_two() || low % size != 0 {
            return None;
        }
        let width = one.key.len() * 8;
        let prefix = width.checked_sub(size.trailing_zeros() as usize)?;
        let address = match one.key.len() {
            4 => IpAddr::from(<[u8; 4]>::try_from(one.key.as_slice()).ok()?),
            16 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(one.key.as_slice()).ok()?)),
            _ => return None,
        };
        Network::new(address, u8::try_from(prefix).ok()?)
    }
}
