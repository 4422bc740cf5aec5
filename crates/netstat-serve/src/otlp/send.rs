//! Sends requests to the collector, with retries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use super::{OtlpError, OtlpOptions, headers};

/// The time limit for an attempt.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The pause before the second attempt; doubled for each further attempt.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The maximum pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The maximum number of bytes read of a response.
const MOST_ANSWER: u64 = 64 << 10;
/// The files in which systems keep trusted certificates.
const TRUSTED: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// A client for the collector.
#[derive(Debug)]
pub(crate) struct Client {
    agent: ureq::Agent,
    url: String,
    headers: Vec<(String, String)>,
}

/// The outcome of an attempt.
enum Attempt {
    Accepted,
    /// It may be retried, after this time if given.
    Later(Option<Duration>),
    Refused,
}

impl Client {
    /// Creates a client.
    ///
    /// # Errors
    /// Fails if the URL or the headers cannot be used.
    pub(crate) fn new(options: &OtlpOptions) -> Result<Self, OtlpError> {
        let url = options.url.trim_end_matches('/').to_owned();
        let parsed: Option<Uri> = url.parse().ok();
        let fits = parsed.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none()
        });
        if !fits {
            return Err(OtlpError::Url(options.url.clone()));
        }
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(trusted())
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(ATTEMPT))
            .http_status_as_error(false)
            // Do not follow redirects, so that credentials never reach another server.
            .max_redirects(0)
            .user_agent("netstat")
            .build();
        Ok(Client {
            agent: config.into(),
            url,
            headers: options.headers.as_deref().map(headers).transpose()?.unwrap_or_default(),
        })
    }

    /// Sends `body` to `path`, retrying for at most `time`. Returns whether it was accepted.
    pub(crate) async fn send(self: &Arc<Self>, path: &'static str, body: Vec<u8>, time: Duration) -> bool {
        let end = Instant::now() + time;
        let body = Arc::new(body);
        let mut pause = FIRST_PAUSE;
        loop {
            let (client, bytes) = (Arc::clone(self), Arc::clone(&body));
            let attempt = tokio::task::spawn_blocking(move || client.attempt(path, &bytes)).await;
            let wait = match attempt {
                Ok(Attempt::Accepted) => return true,
                Ok(Attempt::Later(wait)) => wait.unwrap_or_else(|| jittered(pause)),
                Ok(Attempt::Refused) | Err(_) => return false,
            };
            // Give up: the next transmission contains newer data.
            if Instant::now() + wait >= end {
                return false;
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn attempt(&self, path: &str, body: &[u8]) -> Attempt {
        let mut request = self
            .agent
            .post(format!("{}{path}", self.url))
            .header("Content-Type", "application/x-protobuf");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let Ok(mut answer) = request.send(body) else {
            return Attempt::Later(None);
        };
        let after = answer
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let status = answer.status().as_u16();
        // Read the response completely, so that the connection can be reused.
        let _ = answer.body_mut().with_config().limit(MOST_ANSWER).read_to_vec();
        match status {
            200..=299 => Attempt::Accepted,
            // The retryable response codes of OTLP (OTLP 1.x, "Retryable Response Codes").
            429 | 502 | 503 | 504 => Attempt::Later(after.map(Duration::from_secs)),
            _ => Attempt::Refused,
        }
    }
}

/// Returns 0.5 to 1.5 times `pause`, so that many senders do not retry at the same time.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [128];
    let _ = getrandom::fill(&mut byte);
    pause.mul_f64(0.5 + f64::from(byte[0]) / 256.0)
}

/// Returns the certificates that this system trusts, or those of `SSL_CERT_FILE` if that is set.
fn trusted() -> RootCerts {
    let named = std::env::var("SSL_CERT_FILE").ok();
    let mut paths = named.as_deref().into_iter().chain(TRUSTED);
    let read = |path: &str| {
        let list: Vec<_> = CertificateDer::pem_file_iter(path)
            .ok()?
            .filter_map(Result::ok)
            .collect();
        (!list.is_empty()).then_some(list)
    };
    let found = paths.find_map(read).unwrap_or_default();
    let certificates: Vec<Certificate<'static>> = found
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    RootCerts::new_with_certs(&certificates)
}
