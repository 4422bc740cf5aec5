//! Reads rows in ClickHouse's format RowBinary one by one, and detects incomplete answers.
//!
//! If the engine fails after it has begun to answer, it has already sent status 200. It then appends a block with
//! `__exception__` and the tag from the header `X-ClickHouse-Exception-Tag` (25.11 and later) or its error message as
//! text (earlier versions), or closes the connection. Therefore, the last bytes of an answer are held back until it is
//! known that they contain no such error.

use std::io::{self, Read};
use std::net::Ipv6Addr;

use netstat_model::text::plain_error;

use crate::error::EngineError;

/// The number of bytes at the end of an answer that are held back. The longest error message has 16 KiB.
const HELD: usize = 32 << 10;
/// The maximum length of a text in a row in bytes, which is more than any path or name has.
const LONGEST: u64 = 1 << 24;

/// An answer that is read row by row.
pub struct Rows {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
    tag: Option<String>,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Rows {
    /// Reads the rows of `source`; `tag` is the tag that marks an error.
    pub(crate) fn new(source: Box<dyn Read + Send>, tag: Option<String>) -> Rows {
        Rows {
            source,
            buffer: Vec::new(),
            at: 0,
            ended: false,
            tag,
        }
    }

    /// Reads until `needed` bytes are available, in addition to those that are held back.
    fn fill(&mut self, needed: usize) -> Result<(), EngineError> {
        while !self.ended && self.buffer.len() - self.at < needed + HELD {
            if self.at > HELD {
                self.buffer.drain(..self.at);
                self.at = 0;
            }
            let old = self.buffer.len();
            self.buffer.resize(old + (64 << 10), 0);
            let read = loop {
                match self.source.read(&mut self.buffer[old..]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read,
                }
            };
            self.buffer.truncate(old + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => {
                    self.ended = true;
                    self.judge_end()?;
                }
                Ok(_) => {}
                Err(error) => return Err(EngineError::Truncated(plain_error(&error))),
            }
        }
        Ok(())
    }

    /// Returns an error if the answer ends with an error message of the engine.
    fn judge_end(&self) -> Result<(), EngineError> {
        let tail = &self.buffer[self.at.max(self.buffer.len().saturating_sub(HELD))..];
        let text = String::from_utf8_lossy(tail);
        let found = match &self.tag {
            Some(tag) => text.find(&format!("__exception__\r\n{tag}")),
            None => text.rfind("DB::Exception: ").filter(|_| text.contains("Code: ")),
        };
        match found {
            Some(at) => {
                // In the marked block, the error code follows the mark; in the plain text of earlier versions, it
                // precedes it.
                let after = text[at..].find("Code: ").map(|more| at + more);
                let begin = after.or_else(|| text[..at].rfind("Code: ")).unwrap_or(at);
                Err(refused_text(&text[begin..]))
            }
            None => Ok(()),
        }
    }

    /// Whether another row follows.
    ///
    /// # Errors
    /// Returns an error if the connection broke, or the engine failed during the answer.
    pub(crate) fn more(&mut self) -> Result<bool, EngineError> {
        self.fill(1)?;
        Ok(self.at < self.buffer.len())
    }

    fn take(&mut self, count: usize) -> Result<&[u8], EngineError> {
        if self.buffer.len() - self.at < count + HELD {
            self.fill(count)?;
        }
        if self.buffer.len() - self.at < count {
            return Err(EngineError::Truncated("in the middle of a row".to_owned()));
        }
        self.at += count;
        Ok(&self.buffer[self.at - count..self.at])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], EngineError> {
        let mut value = [0; N];
        value.copy_from_slice(self.take(N)?);
        Ok(value)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, EngineError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, EngineError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, EngineError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, EngineError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, EngineError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// Reads the 16 bytes of an IPv6 address, in network byte order.
    pub(crate) fn ipv6(&mut self) -> Result<Ipv6Addr, EngineError> {
        Ok(Ipv6Addr::from(self.array::<16>()?))
    }

    /// Reads a value that may be NULL.
    pub(crate) fn optional<T>(
        &mut self,
        value: impl FnOnce(&mut Rows) -> Result<T, EngineError>,
    ) -> Result<Option<T>, EngineError> {
        match self.u8()? {
            0 => value(self).map(Some),
            1 => Ok(None),
            _ => Err(EngineError::Truncated("a value is neither there nor NULL".to_owned())),
        }
    }

    pub(crate) fn length(&mut self) -> Result<u64, EngineError> {
        let mut number = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = self.u8()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(EngineError::Truncated("a length is not a number".to_owned()))
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, EngineError> {
        let length = self.length()?;
        if length > LONGEST {
            return Err(EngineError::Truncated("a text is too long".to_owned()));
        }
        Ok(self.take(length as usize)?.to_vec())
    }

    pub(crate) fn string(&mut self) -> Result<String, EngineError> {
        Ok(String::from_utf8_lossy(&self.bytes()?).into_owned())
    }
}

/// Parses the text of an error: `Code: 60. DB::Exception: ...`.
pub(crate) fn refused_text(text: &str) -> EngineError {
    let code = text
        .strip_prefix("Code: ")
        .and_then(|rest| rest.split(|other: char| !other.is_ascii_digit()).next()?.parse().ok());
    EngineError::Refused {
        code: code.unwrap_or(0),
        text: one_line(text),
    }
}

/// Returns the error message as one line of limited length, without the engine's prefix and suffix.
pub(crate) fn one_line(text: &str) -> String {
    const MOST: usize = 300;
    let message = text.split_once("DB::Exception: ").map_or(text, |(_, message)| message);
    let line = message.lines().next().unwrap_or("").trim();
    let line = line.split_once(" (version ").map_or(line, |(line, _)| line);
    let mut short: String = line.chars().take(MOST).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(bytes: &[u8], tag: Option<&str>) -> Rows {
        Rows::new(Box::new(io::Cursor::new(bytes.to_vec())), tag.map(str::to_owned))
    }

    #[test]
    fn more_answer_that_ends_with_an_exception_is_an_error() {
        let mut body = vec![7u8; 10];
        body.extend_from_slice(
            b"\r\n__exception__\r\nabcdefgh\r\nCode: 395. DB::Exception: Value passed: while executing. (FUNCTION_THROW) (version 26.7)\r\n90 abcdefgh\r\n__exception__\r\n",
        );
        let mut answer = rows(&body, Some("abcdefgh"));
        assert_eq!(
            answer.more(),
            Err(EngineError::Refused {
                code: 395,
                text: "Value passed: while executing. (FUNCTION_THROW)".to_owned()
            })
        );
        // Without the tag of this answer, the same bytes are data.
        assert_eq!(rows(&body, Some("another1")).more(), Ok(true));
        let mut older = rows(b"\x01\x02Code: 241. DB::Exception: Memory limit", None);
        assert!(matches!(older.more(), Err(EngineError::Refused { code: 241, .. })));
    }

    #[test]
    fn take_answer_cut_in_a_row_is_an_error() {
        let mut answer = rows(&[1, 2, 3], None);
        assert_eq!(answer.u16(), Ok(0x201));
        assert!(matches!(answer.u16(), Err(EngineError::Truncated(_))));
        assert_eq!(rows(&[], None).more(), Ok(false));
    }

    #[test]
    fn one_line_keeps_the_message_only() {
        let text = "Code: 60. DB::Exception: Table x does not exist. (UNKNOWN_TABLE) (version 26.7.2.1)\nmore";
        assert_eq!(one_line(text), "Table x does not exist. (UNKNOWN_TABLE)");
    }

    proptest! {
        #[test]
        fn rows_of_any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut answer = rows(&bytes, None);
            while let Ok(true) = answer.more() {
                if answer.bytes().is_err() || answer.optional(Rows::u64).is_err() || answer.ipv6().is_err() {
                    break;
                }
            }
        }
    }
}
