//! Problem documents (RFC 9457).

use hyper::StatusCode;
use serde_json::json;

use crate::provider::Refusal;

/// An error, as reported to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// A helpful message of one line, without anything that only the operator may know.
    pub(crate) detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Problem {
            status,
            detail: detail.into(),
        }
    }

    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn not_found() -> Self {
        Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path")
    }

    pub(crate) fn busy(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// Returns the problem document in JSON.
    pub(crate) fn document(&self) -> Vec<u8> {
        let document = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        document.to_string().into_bytes()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Usage(detail) => Problem::bad(detail),
            Refusal::NotFound(detail) => Problem::new(StatusCode::NOT_FOUND, detail),
            // The detail contains no internals: the command itself prints those on stderr for the operator.
            Refusal::Failed(detail) => Problem::busy(detail),
        }
    }
}
