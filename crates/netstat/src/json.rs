//! The frame of every JSON document that this program prints.

use std::time::SystemTime;

use netstat_model::{Limit, text};
use serde_json::{Map, Value, json};

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

/// A limit: what is missing, why, and what would help (null: nothing known).
pub fn limit(limit: &Limit) -> Value {
    json!({"what": limit.what, "why": limit.why, "remedy": limit.remedy})
}

/// Bytes from outside as a JSON string: UTF-8 as it is, other bytes as `\xNN` (and with it each backslash doubled, so that
/// nothing can pose as an escape).
pub fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => text::escape(bytes).into_owned().into(),
    }
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
    fn names_never_break_the_document() {
        assert_eq!(text("a\"\n\u{202e}".as_bytes()), "a\"\n\u{202e}");
        assert_eq!(text(b"a\xff\n"), "a\\xff\\n");
    }
}
