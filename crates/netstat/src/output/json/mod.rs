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

/// The version of the published schemas. It grows when a field goes or changes its meaning, not when one comes.
pub const VERSION: u32 = 1;

/// A document: what it is (`netstat.sockets`), of which computer, when, what could not be seen, then the fields of `body`.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    /// The kind of document, as its schema is called: `netstat.sockets`.
    pub schema: &'static str,
    /// The computer's name.
    pub host: &'a [u8],
    /// When the answer was read.
    pub time: SystemTime,
    /// What could not be seen, and why.
    pub limits: &'a [Limit],
    /// The answer itself.
    pub body: Map<String, Value>,
}

impl Document<'_> {
    /// The whole as one JSON object, the frame first.
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

/// The members that begin every document, without the brace around them.
pub fn head(schema: &str, host: &[u8], time: SystemTime) -> String {
    let mut name = Vec::new();
    push_string(&mut name, host);
    let name = String::from_utf8_lossy(&name).into_owned();
    format!(
        "\"schema\":\"{schema}\",\"version\":{VERSION},\"host\":{name},\"time\":\"{}\"",
        timestamp(time)
    )
}

/// A limit: what is missing, why, and what would help (null: nothing known).
pub fn limit(limit: &Limit) -> Value {
    json!({"what": limit.what, "why": limit.why, "remedy": limit.remedy})
}

/// Bytes from outside as a JSON string: UTF-8 as it is, other bytes as [`lossless`] has them.
pub fn text(bytes: &[u8]) -> Value {
    lossless(bytes).into_owned().into()
}

/// A document as text: on one line, or with each member on a line of its own (`pretty`). Ends with a line end.
pub fn to_text(value: &Value, pretty: bool) -> String {
    let text = match pretty {
        true => format!("{value:#}"),
        false => value.to_string(),
    };
    // What is not plain can be within strings only, but for the line ends of the layout.
    let mut out = Vec::with_capacity(text.len() + 1);
    for letter in text.chars() {
        match letter {
            '\n' => out.push(b'\n'),
            letter if is_plain(letter) => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            letter => push_code(&mut out, letter),
        }
    }
    out.push(b'\n');
    // Whole characters were written.
    String::from_utf8_lossy(&out).into_owned()
}

/// A moment as RFC 3339 in UTC, to the millisecond: `2026-11-23T22:30:00.123Z`.
pub fn timestamp(time: SystemTime) -> String {
    match jiff::Timestamp::try_from(time) {
        Ok(time) => format!("{time:.3}"),
        // Beyond the year 9999, which no clock here shows.
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_frame_comes_first() {
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
    fn what_would_drive_a_terminal_is_escaped() {
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
    fn names_never_break_the_document() {
        assert_eq!(text("a\"\n\u{202e}".as_bytes()), "a\"\n\u{202e}");
        assert_eq!(text(b"a\xff\n"), "a\\xff\n");
    }
}
