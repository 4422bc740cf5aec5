//! The services that run, by process (`EnumServicesStatusExW`).

use std::collections::BTreeMap;

use super::bytes::{Buffer, Malformed, u32_at};
use super::text::to_bytes;

/// `ENUM_SERVICE_STATUS_PROCESSW`.
const ROW: usize = 56;

/// The names of the services of each process, in the order of the list; `count` is the number of rows that the call returned.
///
/// # Errors
/// [`Malformed`] when the list is cut off.
pub fn by_process(list: &Buffer, count: u32) -> Result<BTreeMap<u32, Vec<Vec<u8>>>, Malformed> {
    let mut found: BTreeMap<u32, Vec<Vec<u8>>> = BTreeMap::new();
    for number in 0..count as usize {
        let at = number.checked_mul(ROW).ok_or(Malformed)?;
        if list.bytes.len() < at + ROW {
            return Err(Malformed);
        }
        let name = list
            .pointer(at)
            .and_then(|place| list.terminated(place))
            .ok_or(Malformed)?;
        let pid = u32_at(&list.bytes, at + 44).ok_or(Malformed)?;
        if pid != 0 {
            found.entry(pid).or_default().push(to_bytes(&name));
        }
    }
    Ok(found)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in super::super) fn written(services: &[(&str, u32)], base: u64) -> Buffer {
        let mut bytes = vec![0; services.len() * ROW];
        for (number, (name, pid)) in services.iter().enumerate() {
            let place = bytes.len();
            bytes.extend(name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
            let row = &mut bytes[number * ROW..][..ROW];
            row[..8].copy_from_slice(&(base + place as u64).to_le_bytes());
            row[44..48].copy_from_slice(&pid.to_le_bytes());
        }
        Buffer { bytes, base }
    }

    #[test]
    fn services_of_one_process_stay_together() {
        let list = written(
            &[
                ("RpcSs", 900),
                ("Dnscache", 1200),
                ("RpcEptMapper", 900),
                ("stopped", 0),
            ],
            0x1000,
        );
        let found = by_process(&list, 4).unwrap();
        assert_eq!(found[&900], [b"RpcSs".to_vec(), b"RpcEptMapper".to_vec()]);
        assert_eq!(found.len(), 2);
        assert_eq!(by_process(&list, 40), Err(Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), base in any::<u64>(), count in any::<u32>()) {
            let _ = by_process(&Buffer { bytes, base }, count);
        }
    }
}
