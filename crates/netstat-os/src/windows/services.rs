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

/// The command line of a service (`QUERY_SERVICE_CONFIGW`, whose fourth member points to it).
pub fn command_line(answer: &Buffer) -> Result<Vec<u16>, Malformed> {
    const BINARY_PATH_NAME: usize = 16;
    let place = answer.pointer(BINARY_PATH_NAME).ok_or(Malformed)?;
    answer.terminated(place).ok_or(Malformed)
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

    #[test]
    fn command_line_is_where_the_pointer_leads() {
        let mut bytes = vec![0; 64];
        let line = "\"C:\\a.exe\" record";
        bytes[16..24].copy_from_slice(&0x1040u64.to_le_bytes());
        bytes.extend(line.encode_utf16().chain([0, 7]).flat_map(u16::to_le_bytes));
        let answer = Buffer { bytes, base: 0x1000 };
        assert_eq!(String::from_utf16(&command_line(&answer).unwrap()).unwrap(), line);
        let elsewhere = Buffer { base: 0x9000, ..answer };
        assert_eq!(command_line(&elsewhere), Err(Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), base in any::<u64>(), count in any::<u32>()) {
            let _ = command_line(&Buffer { bytes: bytes.clone(), base });
            let _ = by_process(&Buffer { bytes, base }, count);
        }
    }
}
