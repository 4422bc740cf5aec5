//! Builds netlink messages for the tests of the parsers.

use super::attributes::aligned;

/// Builds a message with its padding.
pub(in crate::linux) fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = 16 + payload.len();
    let mut bytes = Vec::new();
    bytes.extend((length as u32).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend(payload);
    bytes.resize(aligned(length), 0);
    bytes
}

/// Builds an attribute with its padding.
pub(in crate::linux) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = 4 + value.len();
    let mut bytes = Vec::new();
    bytes.extend((length as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(aligned(length), 0);
    bytes
}

/// Builds a body: `head`, followed by the attributes.
pub(in crate::linux) fn body(head: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = head.to_vec();
    for (kind, value) in attributes {
        bytes.extend(attribute(*kind, value));
    }
    bytes
}
