//! Decodes address messages (`RTM_NEWADDR`): `ifaddrmsg` and its attributes, linux/if_addr.h.

use netstat_model::route::{InterfaceAddress, Scope};

use crate::linux::netlink::attributes::{AF_INET, AF_INET6, Attributes, Malformed, address, number, u32_at};

/// Size of `ifaddrmsg` in bytes.
const HEADER: usize = 8;

/// Decodes the payload of an address message. `None` for families other than IP.
///
/// # Errors
/// Returns an error if the address is missing or a length is invalid.
pub fn parse_address(payload: &[u8]) -> Result<Option<InterfaceAddress>, Malformed> {
    /// `IFA_*`.
    mod kind {
        pub(super) const ADDRESS: u16 = 1;
        pub(super) const LOCAL: u16 = 2;
        pub(super) const FLAGS: u16 = 8;
    }
    let (Some(&[family, prefix_length, flags, scope]), Some(interface)) = (payload.first_chunk(), u32_at(payload, 4))
    else {
        return Err(Malformed("address header cut off"));
    };
    let longest = match family {
        AF_INET => 32,
        AF_INET6 => 128,
        _ => return Ok(None),
    };
    if prefix_length > longest {
        return Err(Malformed("prefix longer than its address"));
    }
    let (mut named, mut local, mut flags) = (None, None, u32::from(flags));
    for attribute in Attributes(payload.get(HEADER..).unwrap_or(&[])) {
        let attribute = attribute?;
        match attribute.kind {
            kind::ADDRESS => named = Some(address(family, attribute.value)?),
            kind::LOCAL => local = Some(address(family, attribute.value)?),
            // All 32 flags; the header has only 8 of them.
            kind::FLAGS => flags = number(attribute.value)?,
            _ => {}
        }
    }
    // If IFA_LOCAL differs from IFA_ADDRESS, the latter is the address of the peer.
    let own = local.or(named).ok_or(Malformed("address message without an address"))?;
    let peer = named.filter(|&named| named != own);
    Ok(Some(InterfaceAddress {
        interface,
        address: own,
        peer,
        prefix_length,
        scope: Scope(scope),
        flags,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::testing::body;
    use proptest::prelude::*;

    #[test]
    fn address_message_gives_own_address_and_peer() {
        let head = [2, 24, 0x81, 253, 3, 0, 0, 0];
        let plain = parse_address(&body(&head, &[(1, &[192, 0, 2, 1]), (2, &[192, 0, 2, 1])]))
            .unwrap()
            .unwrap();
        assert_eq!((plain.address.to_string().as_str(), plain.peer), ("192.0.2.1", None));
        assert_eq!(
            (plain.interface, plain.prefix_length, plain.scope),
            (u32::from_ne_bytes([3, 0, 0, 0]), 24, Scope::LINK)
        );
        assert!(plain.is_secondary());
        let point = parse_address(&body(&head, &[(1, &[10, 0, 0, 2]), (2, &[10, 0, 0, 1]), (8, &[0; 4])]))
            .unwrap()
            .unwrap();
        assert_eq!(point.address.to_string(), "10.0.0.1");
        assert_eq!(point.peer.unwrap().to_string(), "10.0.0.2");
        assert!(!point.is_secondary());
        let v6 = parse_address(&body(&[10, 64, 0, 0, 1, 0, 0, 0], &[(1, &[0xfd; 16])]))
            .unwrap()
            .unwrap();
        assert!(v6.address.is_ipv6());
    }

    #[test]
    fn address_message_incomplete_or_wrong_is_refused() {
        assert!(parse_address(&[2, 24, 0, 0, 1, 0, 0, 0]).is_err());
        assert!(parse_address(&body(&[2, 33, 0, 0, 1, 0, 0, 0], &[(1, &[1, 2, 3, 4])])).is_err());
        assert!(parse_address(&[2, 24, 0]).is_err());
        assert_eq!(parse_address(&[7, 0, 0, 0, 1, 0, 0, 0]), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes: Vec<u8>) {
            let _ = parse_address(&bytes);
        }
    }
}
