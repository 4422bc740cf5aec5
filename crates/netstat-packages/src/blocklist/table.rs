//! The table of entries, with longest-prefix matching in a constant number of steps.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use super::network::{Network, mask_v4, mask_v6};

/// The index that ends a chain.
pub(super) const NONE: u32 = u32::MAX;

/// An entry of a list. Small, because there may be a million of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) line: u32,
    /// The index of the next entry for the same network or name.
    pub(super) next: u32,
    label_start: u32,
    label_length: u16,
    pub(super) source: u16,
    pub(super) port: Option<u16>,
}

impl Entry {
    pub(super) fn new(source: u16, line: u32, port: Option<u16>, label: std::ops::Range<u32>, next: u32) -> Entry {
        let label_length = u16::try_from(label.end - label.start).unwrap_or(0);
        Entry {
            line,
            next,
            label_start: label.start,
            label_length,
            source,
            port,
        }
    }

    pub(super) fn label(&self) -> std::ops::Range<usize> {
        let start = self.label_start as usize;
        start..start + usize::from(self.label_length)
    }
}

/// One hash table per prefix length in use, longest first: at most 33 look-ups for IPv4 and 129 for IPv6, however many
/// entries there are. Real lists use some 20 lengths.
#[derive(Debug, Default)]
pub(super) struct Tables {
    v4: Vec<(u8, HashMap<u32, u32>)>,
    v6: Vec<(u8, HashMap<u128, u32>)>,
}

impl Tables {
    /// Returns the first entry for `network`, which is `index` if there was none.
    pub(super) fn entry(&mut self, network: Network, index: u32) -> u32 {
        match network.address() {
            IpAddr::V4(address) => entry(&mut self.v4, network.length(), address.to_bits(), index),
            IpAddr::V6(address) => entry(&mut self.v6, network.length(), address.to_bits(), index),
        }
    }

    /// Returns the networks that contain `address`, each with its first entry, narrowest first.
    pub(super) fn containing(&self, address: IpAddr) -> impl Iterator<Item = (Network, u32)> {
        let address = address.to_canonical();
        let (v4, v6) = match address {
            IpAddr::V4(address) => (Some((&self.v4, address.to_bits())), None),
            IpAddr::V6(address) => (None, Some((&self.v6, address.to_bits()))),
        };
        let v4 = v4.into_iter().flat_map(|(tables, bits)| {
            tables
                .iter()
                .filter_map(move |(length, map)| Some((*length, *map.get(&(bits & mask_v4(*length)))?)))
        });
        let v6 = v6.into_iter().flat_map(|(tables, bits)| {
            tables
                .iter()
                .filter_map(move |(length, map)| Some((*length, *map.get(&(bits & mask_v6(*length)))?)))
        });
        v4.chain(v6)
            .filter_map(move |(length, first)| Some((Network::new(address, length)?, first)))
    }
}

fn entry<K: Hash + Eq>(tables: &mut Vec<(u8, HashMap<K, u32>)>, length: u8, key: K, index: u32) -> u32 {
    let at = match tables.binary_search_by(|(other, _)| length.cmp(other)) {
        Ok(at) => at,
        Err(at) => {
            tables.insert(at, (length, HashMap::new()));
            at
        }
    };
    *tables[at].1.entry(key).or_insert(index)
}
