//! Converts names, which on Windows are UTF-16 with possibly unpaired surrogates, whereas the model uses bytes.

/// Converts UTF-16 to bytes: UTF-8, with an unpaired surrogate encoded as three bytes (WTF-8), so that different names
/// stay different. Such bytes are not valid UTF-8; [`netstat_model::text::escape`] shows them as `\xNN`.
pub fn to_bytes(units: &[u16]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(units.len());
    for unit in char::decode_utf16(units.iter().copied()) {
        match unit {
            Ok(letter) => bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(lone) => {
                let number = lone.unpaired_surrogate();
                bytes.extend([
                    0xe0 | (number >> 12) as u8,
                    0x80 | (number >> 6 & 0x3f) as u8,
                    0x80 | (number & 0x3f) as u8,
                ]);
            }
        }
    }
    bytes
}

/// Converts `bytes` from [`to_bytes`] back to UTF-16; bytes that it never returns become U+FFFD.
pub fn to_units(bytes: &[u8]) -> Vec<u16> {
    let mut units = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        match std::str::from_utf8(rest) {
            Ok(text) => {
                units.extend(text.encode_utf16());
                break;
            }
            Err(error) => {
                let (valid, after) = rest.split_at(error.valid_up_to());
                units.extend(String::from_utf8_lossy(valid).encode_utf16());
                if let [0xed, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, others @ ..] = after {
                    units.push(0xd000 | (u16::from(*second) & 0x3f) << 6 | u16::from(*third) & 0x3f);
                    rest = others;
                } else {
                    units.push(0xfffd);
                    rest = &after[error.error_len().unwrap_or(after.len())..];
                }
            }
        }
    }
    units
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lone_surrogates_stay_apart_from_each_other() {
        assert_eq!(to_bytes(&[0x41, 0xd800]), b"A\xed\xa0\x80");
        assert_eq!(to_bytes(&[0xd83d, 0xde00]), "\u{1f600}".as_bytes());
        assert_ne!(to_bytes(&[0xd800]), to_bytes(&[0xdc00]));
        assert_eq!(netstat_model::text::escape(&to_bytes(&[0xd800])), "\\xed\\xa0\\x80");
        assert_eq!(to_units(b"\xff"), [0xfffd]);
    }

    proptest! {
        #[test]
        fn units_come_back(units in prop::collection::vec(any::<u16>(), 0..40)) {
            prop_assert_eq!(to_units(&to_bytes(&units)), units);
        }

        #[test]
        fn any_bytes_are_some_text(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = to_units(&bytes);
        }
    }
}
