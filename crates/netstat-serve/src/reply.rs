//! Replies: bodies, common headers, and compression.

use std::convert::Infallible;
use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, VARY};
use hyper::{HeaderMap, Response, StatusCode};
use tokio::sync::mpsc;

use crate::problem::Problem;

/// The body of a reply, either complete or streamed.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    /// A complete body; `None` after it has been sent.
    Full(Option<Bytes>),
    /// A body that is sent in pieces as they arrive.
    Stream(mpsc::Receiver<Bytes>),
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            ReplyBody::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            ReplyBody::Stream(pieces) => pieces
                .poll_recv(context)
                .map(|piece| piece.map(|piece| Ok(Frame::data(piece)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ReplyBody::Full(bytes) => bytes.is_none(),
            ReplyBody::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ReplyBody::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            ReplyBody::Stream(_) => SizeHint::default(),
        }
    }
}

/// A reply.
pub(crate) type Reply = Response<ReplyBody>;

/// The content security policy: load nothing from elsewhere, run only files of this program, and allow no framing.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Creates a reply with a body.
pub(crate) fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(ReplyBody::Full(Some(body.into())));
    *reply.status_mut() = status;
    set(&mut reply, CONTENT_TYPE, kind);
    reply
}

/// Creates a reply without a body.
pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(ReplyBody::Full(None));
    *reply.status_mut() = status;
    reply
}

/// Creates a streamed reply.
pub(crate) fn stream(kind: &'static str, pieces: mpsc::Receiver<Bytes>) -> Reply {
    let mut reply = Response::new(ReplyBody::Stream(pieces));
    set(&mut reply, CONTENT_TYPE, kind);
    // Tells nginx not to buffer the pieces.
    set(&mut reply, HeaderName::from_static("x-accel-buffering"), "no");
    reply
}

/// Creates a reply with a problem document.
pub(crate) fn problem(problem: &Problem) -> Reply {
    reply(problem.status, "application/problem+json", problem.document())
}

/// Sets a header to a fixed value.
pub(crate) fn set(reply: &mut Reply, name: HeaderName, value: &'static str) {
    reply.headers_mut().insert(name, HeaderValue::from_static(value));
}

/// Sets a header. Values that are not valid in a header are ignored.
pub(crate) fn set_text(reply: &mut Reply, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
}

/// Sets the security headers that every reply has.
pub(crate) fn harden(reply: &mut Reply) {
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ] {
        set(reply, HeaderName::from_static(name), value);
    }
    if !reply.headers().contains_key(CACHE_CONTROL) {
        set(reply, CACHE_CONTROL, "no-store");
    }
}

/// The minimum size in bytes for compression to be worthwhile.
const SMALLEST: usize = 1024;

/// Compresses the body if the client accepts it.
pub(crate) fn compress(mut reply: Reply, asked: &HeaderMap) -> Reply {
    let takes = accepts_gzip(asked);
    if let ReplyBody::Full(Some(body)) = reply.body()
        && body.len() >= SMALLEST
    {
        let zipped = takes.then(|| gzip(body)).flatten();
        set(&mut reply, VARY, "accept, accept-encoding");
        if let Some(zipped) = zipped {
            *reply.body_mut() = ReplyBody::Full(Some(zipped.into()));
            set(&mut reply, CONTENT_ENCODING, "gzip");
        }
    }
    reply
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 6), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

fn accepts_gzip(asked: &HeaderMap) -> bool {
    let lists = asked
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let refused = parts.any(|part| {
            let weight = part.strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
            weight == Some(0.0)
        });
        named && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reply_is_compressed_only_if_accepted_and_large() {
        for (asked, length, zipped) in [
            ("gzip", 5000, true),
            ("br, GZIP;q=0.5", 5000, true),
            ("gzip;q=0", 5000, false),
            ("br", 5000, false),
            ("gzip", 100, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(asked));
            let reply = compress(reply(StatusCode::OK, "text/plain", vec![b'a'; length]), &headers);
            assert_eq!(reply.headers().contains_key(CONTENT_ENCODING), zipped, "{asked}");
        }
    }
}
