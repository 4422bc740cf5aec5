//! What the steps of a rule work on: registers, and what is known of their contents.

use std::net::{IpAddr, Ipv6Addr};

use super::condition::{Condition, Translated};
use super::rules::{Element, Operand, Operator, Set};
use crate::Network;

/// A register's content.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// These bytes.
    Known(Vec<u8>),
    /// An address that the question leaves open, and the bits of it that are asked for.
    Open(Side, Vec<u8>),
    Interface,
    InterfaceName,
    /// Something that the question does not say, by name.
    Unknown(Vec<u8>),
}

/// Whose address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Sender,
    Here,
}

/// Whether a step matches.
pub(super) enum Match {
    Yes,
    No,
    /// Under this condition.
    If(Condition),
}

pub(super) fn sure(is: bool) -> Match {
    if is { Match::Yes } else { Match::No }
}

pub(super) fn head(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(..length).unwrap_or(bytes)
}

/// Whether `content` is in a set, or with `inverted` is not.
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

/// Loads the register `to` with what a map has for the content of another.
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

/// The new destination in these operands.
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
        // A map's value goes on with the port behind an address of IPv4.
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

/// A value of more than four bytes fills the registers that follow, too.
fn put_pieces(registers: &mut Vec<(u32, Content)>, register: u32, value: &[u8]) {
    for (place, at) in (0..value.len()).step_by(4).enumerate() {
        // Values have at most 64 bytes (`NFT_REG_SIZE` times four).
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
    /// The condition for a question about it that is not evaluated.
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
        // The loopback is interface 1 of every network namespace (`LOOPBACK_IFINDEX`), and the question is not about it.
        Content::Interface if value == 1u32.to_ne_bytes() => sure(!is),
        Content::InterfaceName if cut(value) == b"lo" => sure(!is),
        Content::InterfaceName => Match::If(Condition::Interface(cut(value).to_vec(), is)),
        Content::Interface | Content::Unknown(_) => Match::If(content.name()),
    }
}

/// A name up to its first zero.
fn cut(name: &[u8]) -> &[u8] {
    name.split(|&byte| byte == 0).next().unwrap_or(name)
}

/// The network of the addresses whose bits under `asked`, as wide as an address, are those of `value`; `None` when that is not a network.
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
    /// The element that `key` belongs to.
    pub(super) fn find(&self, key: &[u8]) -> Option<&Element> {
        let real = || self.elements.iter().filter(|element| !element.all_others);
        let found = if self.intervals {
            // The last beginning or end that is not above the key.
            let below = real().filter(|element| element.key.as_slice() <= head(key, element.key.len()));
            below
                .max_by(|one, two| one.key.cmp(&two.key).then(two.ends.cmp(&one.ends)))
                .filter(|element| !element.ends)
        } else {
            real().find(|element| element.key == head(key, element.key.len()))
        };
        found.or_else(|| self.elements.iter().find(|element| element.all_others))
    }

    /// The network that the set is, if it is one.
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
