//! Decodes lightweight tunnels of next hops: `RTA_ENCAP_TYPE`, `RTA_ENCAP` (linux/lwtunnel.h and the headers named
//! below).

use std::net::Ipv6Addr;

use netstat_model::route::Encapsulation;

use crate::linux::netlink::attributes::{AF_INET, AF_INET6, Attributes, Malformed, address, u32_at};

/// Decodes the value of `RTA_ENCAP` of the given type; `None` for `LWTUNNEL_ENCAP_NONE`. A type whose content is not
/// decoded is represented by its number.
///
/// # Errors
/// Returns an error if a length is inconsistent with the header.
/// When a length contradicts the header.
pub(super) fn parse(kind: u16, value: &[u8]) -> Result<Option<Box<Encapsulation>>, Malformed> {
    let first = |wanted: u16| -> Result<Option<&[u8]>, Malformed> {
        for attribute in Attributes(value) {
            let attribute = attribute?;
            if attribute.kind == wanted {
                return Ok(Some(attribute.value));
            }
        }
        Ok(None)
    };
    let known = match kind {
        0 => return Ok(None),
        // MPLS_IPTUNNEL_DST (linux/mpls_iptunnel.h): a stack of labels, 20 bits each, in network byte order (RFC 3032).
        1 => first(1)?.map(|stack| {
            let labels = stack.chunks_exact(4).map(|entry| {
                let entry = u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]]);
                entry >> 12
            });
            Encapsulation::Mpls(labels.collect())
        }),
        // LWTUNNEL_IP_ID 1 (network byte order), LWTUNNEL_IP_DST 2; LWTUNNEL_IP6_* likewise.
        2 | 4 => {
            let family = if kind == 2 { AF_INET } else { AF_INET6 };
            let to = first(2)?.map(|value| address(family, value)).transpose()?;
            let key = first(1)?.and_then(|value| value.first_chunk::<8>());
            Some(Encapsulation::Ip {
                ipv6: kind == 4,
                key: key.map_or(0, |key| u64::from_be_bytes(*key)),
                to: to.filter(|to| !to.is_unspecified()),
            })
        }
        // SEG6_IPTUNNEL_SRH: the mode, then the header of RFC 8754, whose segments are in reverse order.
        5 => first(1)?.and_then(|value| {
            let mode = u32_at(value, 0)?;
            let list = value.get(4 + 8..)?;
            let mut segments: Vec<Ipv6Addr> = list
                .chunks_exact(16)
                .take(usize::from(*value.get(4 + 4)?) + 1)
                .filter_map(|segment| segment.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets)))
                .collect();
            segments.reverse();
            Some(Encapsulation::Seg6 { mode, segments })
        }),
        // SEG6_LOCAL_ACTION.
        7 => first(1)?
            .and_then(|value| u32_at(value, 0))
            .map(Encapsulation::Seg6Local),
        _ => None,
    };
    Ok(Some(Box::new(known.unwrap_or(Encapsulation::Other(kind)))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::netlink::testing::attribute;

    #[test]
    fn mpls_labels_are_read_outermost_first() {
        let stack = [0x00, 0x06, 0x40, 0x00, 0x00, 0x0c, 0x81, 0x00];
        let found = parse(1, &attribute(1, &stack)).unwrap().unwrap();
        assert_eq!(found.to_string(), "mpls 100/200");
    }

    #[test]
    fn seg6_segments_are_listed_in_order_of_path() {
        let mut value = 1u32.to_ne_bytes().to_vec();
        value.extend([0, 4, 4, 1, 1, 0, 0, 0]);
        value.extend("2001:db8::2".parse::<Ipv6Addr>().unwrap().octets());
        value.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        let found = parse(5, &attribute(1, &value)).unwrap().unwrap();
        assert_eq!(found.to_string(), "seg6 mode encap segs 2001:db8::1,2001:db8::2");
    }

    #[test]
    fn encapsulation_of_unknown_kind_keeps_its_number() {
        assert_eq!(parse(77, &[]).unwrap().unwrap().to_string(), "encapsulation 77");
        assert_eq!(parse(1, &[]).unwrap().unwrap().to_string(), "encapsulation 1");
        assert_eq!(parse(0, &[]).unwrap(), None);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(kind in 0u16..12, value: Vec<u8>) {
            let _ = parse(kind, &value);
        }
    }
}
