//! Decimal numbers in the texts and file names of `/proc`.

/// Parses an unsigned decimal number; `None` if it is malformed or too large.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &digit| {
        if digit.is_ascii_digit() {
            value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        } else {
            None
        }
    })
}

/// Parses a decimal number as used in file names of `/proc`: only digits.
pub(crate) fn small_number(digits: &[u8]) -> Option<u32> {
    number(digits).and_then(|value| u32::try_from(value).ok())
}
