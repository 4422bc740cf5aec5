//! Iterates over netlink messages and their attributes without copying; all lengths are checked.
//!
//! For layouts, see linux/netlink.h (`nlmsghdr`, `nlattr`). Numbers are in host byte order unless stated otherwise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The error for data that does not have the structure the kernel's headers define.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed netlink data: {0}")]
pub struct Malformed(pub &'static str);

/// `AF_INET` and `AF_INET6` (linux/socket.h), as netlink messages carry them.
pub(in crate::linux) const AF_INET: u8 = 2;
/// See [`AF_INET`].
pub(in crate::linux) const AF_INET6: u8 = 10;

/// Size of `nlmsghdr` in bytes.
const MESSAGE_HEADER: usize = 16;
/// Size of `nlattr` in bytes.
const ATTRIBUTE_HEADER: usize = 4;
/// `NLA_TYPE_MASK`: the type without the "nested" and "network byte order" bits.
const TYPE_MASK: u16 = 0x3fff;

/// One netlink message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`.
    pub sequence: u32,
    /// The data after the header.
    pub payload: &'a [u8],
}

/// An iterator over the messages in a datagram. It ends after the first malformed message.
#[derive(Clone, Debug)]
pub struct Messages<'a>(pub &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let whole = self.0;
        self.0 = &[];
        let (Some(length), Some(kind), Some(flags), Some(sequence)) =
            (u32_at(whole, 0), u16_at(whole, 4), u16_at(whole, 6), u32_at(whole, 8))
        else {
            return Some(Err(Malformed("message header cut off")));
        };
        let Ok(length) = usize::try_from(length) else {
            return Some(Err(Malformed("message length")));
        };
        let Some(payload) = whole.get(MESSAGE_HEADER..length) else {
            return Some(Err(Malformed("message length")));
        };
        self.0 = whole.get(aligned(length)..).unwrap_or(&[]);
        Some(Ok(Message {
            kind,
            flags,
            sequence,
            payload,
        }))
    }
}

/// A netlink attribute.
#[derive(Clone, Copy, Debug)]
pub(in crate::linux) struct Attribute<'a> {
    /// `nla_type` without its flag bits.
    pub(in crate::linux) kind: u16,
    /// The value, without padding.
    pub(in crate::linux) value: &'a [u8],
}

/// An iterator over the attributes in a message or a nested attribute. It ends after the first malformed one. Trailing
/// bytes that are too short for a header are padding, as in the kernel's own iteration (`nla_ok`).
#[derive(Clone, Debug)]
pub(in crate::linux) struct Attributes<'a>(pub(in crate::linux) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let whole = self.0;
        self.0 = &[];
        let (length, kind) = (u16_at(whole, 0)?, u16_at(whole, 2)?);
        let length = usize::from(length);
        let Some(value) = whole.get(ATTRIBUTE_HEADER..length) else {
            return Some(Err(Malformed("attribute length")));
        };
        self.0 = whole.get(aligned(length)..).unwrap_or(&[]);
        Some(Ok(Attribute {
            kind: kind & TYPE_MASK,
            value,
        }))
    }
}

/// Returns `length` rounded up to a multiple of 4 (`NLMSG_ALIGN`, `NLA_ALIGN`).
pub(in crate::linux) const fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// Reads a `u16` in host byte order at `offset`; `None` if it is out of bounds.
pub(in crate::linux) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let end = offset.checked_add(2)?;
    Some(u16::from_ne_bytes(bytes.get(offset..end)?.try_into().ok()?))
}

/// Reads a `u32` in host byte order at `offset`; `None` if it is out of bounds.
pub(in crate::linux) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let end = offset.checked_add(4)?;
    Some(u32::from_ne_bytes(bytes.get(offset..end)?.try_into().ok()?))
}

/// Returns the value of an attribute as a 32-bit number.
pub(in crate::linux) fn number(value: &[u8]) -> Result<u32, Malformed> {
    u32_at(value, 0).ok_or(Malformed("number cut off"))
}

/// Returns the address of `family` in `value`, whose length must match.
pub(in crate::linux) fn address(family: u8, value: &[u8]) -> Result<IpAddr, Malformed> {
    let wrong = Malformed("address of the wrong length");
    match family {
        AF_INET => <[u8; 4]>::try_from(value)
            .map(|octets| Ipv4Addr::from(octets).into())
            .map_err(|_| wrong),
        AF_INET6 => <[u8; 16]>::try_from(value)
            .map(|octets| Ipv6Addr::from(octets).into())
            .map_err(|_| wrong),
        _ => Err(Malformed("address of an unknown family")),
    }
}

/// Returns a text value without its terminating NUL. The content is not validated: interface names may contain any byte.
pub(in crate::linux) fn text(value: &[u8]) -> &[u8] {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    &value[..end]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{attribute, message};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_and_attributes_of_batch_are_read() {
        let mut batch = message(24, 2, 7, &[1, 2, 3]);
        batch.extend(message(3, 0, 7, &[]));
        let got: Vec<_> = Messages(&batch).map(Result::unwrap).collect();
        assert_eq!(
            (got[0].kind, got[0].flags, got[0].sequence, got[0].payload),
            (24, 2, 7, &[1, 2, 3][..])
        );
        assert_eq!((got[1].kind, got[1].payload), (3, &[][..]));
        assert_eq!(got.len(), 2);

        let mut nested = attribute(0x8000 | 9, b"abcde");
        nested.extend(attribute(1, b""));
        let got: Vec<_> = Attributes(&nested)
            .map(Result::unwrap)
            .map(|a| (a.kind, a.value))
            .collect();
        assert_eq!(got, [(9, &b"abcde"[..]), (1, &b""[..])]);
    }

    #[test]
    fn messages_and_attributes_of_wrong_length_end_with_error() {
        for length in [0u32, 15, 21, u32::MAX] {
            let mut batch = message(24, 0, 0, &[9; 4]);
            batch[..4].copy_from_slice(&length.to_ne_bytes());
            let got: Vec<_> = Messages(&batch).collect();
            assert!(got.len() == 1 && got[0].is_err(), "{length}");
        }
        assert!(Messages(&[1, 2, 3]).next().unwrap().is_err());
        for length in [0u16, 3, 9, u16::MAX] {
            let mut bytes = attribute(1, &[9; 4]);
            bytes[..2].copy_from_slice(&length.to_ne_bytes());
            let got: Vec<_> = Attributes(&bytes).collect();
            assert!(got.len() == 1 && got[0].is_err(), "{length}");
        }
        assert!(Attributes(&[1, 0, 0]).next().is_none());
    }

    #[test]
    fn address_of_wrong_length_is_error() {
        assert_eq!(address(AF_INET, &[192, 0, 2, 1]).unwrap().to_string(), "192.0.2.1");
        assert!(address(AF_INET, &[192, 0, 2]).is_err());
        assert!(address(AF_INET6, &[0; 4]).is_err());
        assert!(address(7, &[0; 4]).is_err());
    }

    proptest! {
        #[test]
        fn messages_and_attributes_of_any_bytes_end(bytes: Vec<u8>) {
            prop_assert!(Messages(&bytes).count() <= bytes.len() / MESSAGE_HEADER + 1);
            prop_assert!(Attributes(&bytes).count() <= bytes.len() / ATTRIBUTE_HEADER + 1);
        }
    }
}
