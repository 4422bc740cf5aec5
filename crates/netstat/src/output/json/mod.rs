//! The frame of every JSON document that this program prints.

pub(crate) mod documents;
pub(crate) mod ethernet;
pub(crate) mod front;
pub(crate) mod groups;
pub(crate) mod processes;
mod published;
pub(crate) mod routes;
pub mod schema;
pub(crate) mod statistics;

use std::time::SystemTime;

use netstat_model::Limit;
use netstat_model::text::{is_plain, lossless};
use serde_json::{Map, Value, json};

use super::json_string::{push_code, push_string};

/// The version of the published schemas. It is incremented when a field is removed or changes its meaning, not when one
/// is added.
pub const VERSION: u32 = 1;

/// A document: its kind (`netstat.sockets`), the computer, the time, the limits, and then the fields of `body`.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    /// The kind of document, which is also the name of its schema: `netstat.sockets`.
    pub schema: &'static str,
    /// The host name of the computer.
    pub host: &'a [u8],
    /// When the data was read.
    pub time: SystemTime,
    /// What could not be seen, and why.
    pub limits: &'a [Limit],
    /// The data itself.
    pub body: Map<String, Value>,
}

impl Document<'_> {
    /// Returns the document as a JSON object whose first members are the frame.
    pub fn value(self) -> Value {
        let mut whole = Map::new();
        whole.insert("schema".to_owned(), self.schema.into());
        whole.insert("version".to_owned(), VERSION.into());
        whole.insert("host".to_owned(), text(self.host));
        whole.insert("time".to_owned(), timestamp(self.time).into());
        whole.insert("limits".to_owned(), self.limits.iter().map(limit).collect());
        whole.extend(self.body);
        Value::Object(whole)
    }
}

/// Returns the members that begin every document, without the enclosing brace.
pub fn head(schema: &str, host: &[u8], time: SystemTime) -> String {
    let mut name = Vec::new();
    push_string(&mut name, host);
    let name = String::from_utf8_lossy(&name).into_owned();
    format!(
        "\"schema\":\"{schema}\",\"version\":{VERSION},\"host\":{name},\"time\":\"{}\"",
        timestamp(time)
    )
}

/// Returns a limit as JSON: what is missing, why, and what would help (`null` if nothing is known to).
pub fn limit(limit: &Limit) -> Value {
    json!({"what": limit.what, "why": limit.why, "remedy": limit.remedy})
}

/// Returns bytes from outside as a JSON string: UTF-8 unchanged, other bytes as in [`lossless`].
pub fn text(bytes: &[u8]) -> Value {
    lossless(bytes).into_owned().into()
}

/// Returns a document as text that ends with a line break: on one line, or, if `pretty`, with each member on its own
/// line.
pub fn to_text(value: &Value, pretty: bool) -> String {
    let text = match pretty {
        true => format!("{value:#}"),
        false => value.to_string(),
    };
    // Apart from the line breaks of the layout, characters that need escaping can occur only within strings.
    let mut out = Vec::with_capacity(text.len() + 1);
    for letter in text.chars() {
        match letter {
            '\n' => out.push(b'\n'),
            letter if is_plain(letter) => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            letter => push_code(&mut out, letter),
        }
    }
    out.push(b'\n');
    // Only whole characters were written.
    String::from_utf8_lossy(&out).into_owned()
}

/// Formats a moment as RFC 3339 in UTC, to the millisecond: `2026-11-23T22:30:00.123Z`.
pub fn timestamp(time: SystemTime) -> String {
    match jiff::Timestamp::try_from(time) {
        Ok(time) => format!("{time:.3}"),
        // Beyond the year 9999, which no real clock shows.
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn json_document_begins_with_its_frame() {
        let limits = [Limit {
            what: "UDP sockets are missing".into(),
            why: "refused".into(),
            remedy: None,
        }];
        let mut body = Map::new();
        body.insert("rows".into(), json!([1]));
        let document = Document {
            schema: "netstat.test",
            host: b"mill",
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
            limits: &limits,
            body,
        };
        assert_eq!(
            document.value().to_string(),
            r#"{"schema":"netstat.test","version":1,"host":"mill","time":"1970-01-01T00:00:01.500Z","#.to_owned()
                + r#""limits":[{"what":"UDP sockets are missing","why":"refused","remedy":null}],"rows":[1]}"#
        );
    }

    #[test]
    fn json_string_with_terminal_controls_is_escaped() {
        for (bytes, written) in [
            ("plain".as_bytes(), "\"plain\""),
            ("a\"b\\c\n\t\x1b[2J".as_bytes(), r#""a\"b\\c\n\u0009\u001b[2J""#),
            (
                "\u{9b}\u{202e}caf\u{e9}\u{10ffff}".as_bytes(),
                "\"\\u009b\\u202ecaf\u{e9}\\udbff\\udfff\"",
            ),
            (b"\xff".as_slice(), r#""\\xff""#),
        ] {
            let mut out = Vec::new();
            push_string(&mut out, bytes);
            assert_eq!(String::from_utf8(out).unwrap(), written);
            let value: Value = serde_json::from_str(written).unwrap();
            assert_eq!(value, text(bytes));
            assert_eq!(serde_json::from_str::<Value>(&to_text(&value, true)).unwrap(), value);
        }
    }

    #[test]
    fn json_text_that_is_not_utf8_is_escaped() {
        assert_eq!(text("a\"\n\u{202e}".as_bytes()), "a\"\n\u{202e}");
        assert_eq!(text(b"a\xff\n"), "a\\xff\n");
    }
}
