//! Problem documents (RFC 9457).

use hyper::StatusCode;
use serde_json::json;

use crate::provider::Refusal;

/// What went wrong, for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The status.
    pub(crate) status: StatusCode,
    /// One line that helps; never what only the operator may know.
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

    /// The document.
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
            // Nothing of the inside: whoever runs the program finds it on stderr of the command itself.
            Refusal::Failed(detail) => Problem::busy(detail),
        }
    }
}
