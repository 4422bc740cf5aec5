//! Writes text as JSON strings (RFC 8259).

use netstat_model::text::{is_plain, lossless};

/// Appends `bytes` as a JSON string, with bytes that are not UTF-8 as in [`lossless`]. Characters that are not plain,
/// according to [`is_plain`], are written as `\uNNNN`, so that a document cannot control the terminal it is viewed in.
pub(super) fn push_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let simple = |byte: &u8| (0x20..0x7f).contains(byte) && !matches!(byte, b'"' | b'\\');
    out.push(b'"');
    if bytes.iter().all(simple) {
        out.extend_from_slice(bytes);
    } else {
        push_escaped(out, &lossless(bytes));
    }
    out.push(b'"');
}

fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let mut buffer = [0; 4];
    for letter in text.chars() {
        match letter {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            letter if is_plain(letter) => out.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes()),
            letter => push_code(out, letter),
        }
    }
}

/// Appends `\uNNNN`, twice for a character outside the Basic Multilingual Plane (RFC 8259, 7).
pub(super) fn push_code(out: &mut Vec<u8>, letter: char) {
    for unit in letter.encode_utf16(&mut [0; 2]) {
        out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
    }
}
