//! A client for ClickHouse's HTTP interface.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use netstat_model::text::plain_error;
use rustls::AlertDescription;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use ureq::http::Response;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};
use ureq::{Body, RequestBuilder};

use crate::address::Address;
use crate::config::FleetConfig;
use crate::error::EngineError;
use crate::rows::{Rows, one_line, refused_text};
use crate::version::VERSION;

/// The time limit for establishing a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// The time limit from a request to the first byte of its answer.
const THINK: Duration = Duration::from_secs(120);
/// The time limit between two pieces of an answer.
const STALL: Duration = Duration::from_secs(60);
/// The maximum size in bytes of an error message that is read.
const MOST_ERROR: u64 = 64 << 10;
/// The size in bytes up to which the engine buffers an answer in memory. Longer answers go to a temporary file, for
/// which the disk may have no space.
const ANSWER_IN_MEMORY: &str = "4194304";
/// The oldest supported version: deduplication in dependent views and exact skip indexes under FINAL require newer
/// ones. `docs/fleet.md` says what is missing before 25.6.
const OLDEST: (u32, u32) = (24, 8);
/// The locations of the system's trusted certificates.
const TRUSTED: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// A connection to one engine, with the credentials for it.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    address: Address,
    /// The headers with the credentials.
    credentials: Vec<(&'static str, String)>,
}

impl std::fmt::Debug for Client {
    /// Writes the address, but not the credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "client of {}", self.address)
    }
}

/// Rows to be inserted.
#[derive(Clone, Copy, Debug)]
pub struct Insert<'a> {
    /// The table.
    pub table: &'a str,
    /// A block in the format Native, compressed with gzip.
    pub body: &'a [u8],
    /// The deduplication token: the same for the same rows, and different for others. The engine ignores a block whose
    /// token it has already seen.
    pub token: &'a str,
}

impl Client {
    /// Creates a client for the engine at `address`, with the credentials and certificates in `config`. Does not
    /// connect yet.
    ///
    /// # Errors
    /// Returns an error if a certificate or key cannot be used.
    pub fn new(address: &Address, config: &FleetConfig) -> Result<Client, EngineError> {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(roots(config, address.tls)?)
            .client_cert(certificate_of_this_computer(config)?)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .timeout_connect(Some(CONNECT))
            .timeout_resolve(Some(CONNECT))
            .timeout_recv_response(Some(THINK))
            .timeout_per_read(Some(STALL))
            .timeout_per_write(Some(STALL))
            .http_status_as_error(false)
            // Credentials must not be sent to another server.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("netstat/", env!("CARGO_PKG_VERSION")))
            .build();
        let user = address.user.clone().or_else(|| config.user.clone());
        let password = config.password.clone().unwrap_or_default();
        let credentials = match user {
            // Basic authentication would send an empty password where none is needed.
            None if password.is_empty() => Vec::new(),
            user => {
                let user = user.unwrap_or_else(|| "default".to_owned());
                match config.headers {
                    true => vec![("X-ClickHouse-User", user), ("X-ClickHouse-Key", password)],
                    false => {
                        let pair = BASE64_STANDARD.encode(format!("{user}:{password}"));
                        vec![("Authorization", format!("Basic {pair}"))]
                    }
                }
            }
        };
        Ok(Client {
            agent: agent.into(),
            address: address.clone(),
            credentials,
        })
    }

    /// Returns the address of the engine.
    pub fn address(&self) -> &Address {
        &self.address
    }

    fn request(&self, settings: &[(&str, &str)]) -> RequestBuilder<ureq::typestate::WithBody> {
        let mut request = self.agent.post(self.address.url());
        for (name, value) in &self.credentials {
            request = request.header(*name, value.as_str());
        }
        for (name, value) in settings {
            request = request.query(*name, *value);
        }
        request
    }

    /// Runs a query, and returns the rows in the format RowBinary as they arrive.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached or refuses the query.
    pub fn rows(&self, text: &str, settings: &[(&str, &str)]) -> Result<Rows, EngineError> {
        let mut all = vec![("default_format", "RowBinary"), ("readonly", "2")];
        all.extend_from_slice(settings);
        let answer = sent(self.request(&all).send(text))?;
        let tag = header(&answer, "X-ClickHouse-Exception-Tag");
        Ok(Rows::new(
            Box::new(answer.into_body().into_with_config().limit(u64::MAX).reader()),
            tag,
        ))
    }

    /// Runs a query in any format, and copies the whole answer to `out` as it arrives.
    ///
    /// # Errors
    /// Returns an error if the engine refuses the query or fails during the answer, and the errors of `out`.
    pub fn copy(&self, text: &str, out: &mut dyn std::io::Write) -> Result<u64, EngineError> {
        let settings = [
            ("readonly", "2"),
            ("wait_end_of_query", "1"),
            ("buffer_size", ANSWER_IN_MEMORY),
        ];
        let answer = sent(self.request(&settings).send(text))?;
        let summary = header(&answer, "X-ClickHouse-Summary").unwrap_or_default();
        let mut body = answer.into_body().into_with_config().limit(u64::MAX).reader();
        let count = std::io::copy(&mut body, out).map_err(|error| EngineError::Truncated(plain_error(&error)))?;
        // If the engine has no space for the file in which it buffers an answer, it sends an empty one with status 200.
        match count == 0 && summary.contains("\"result_rows\"") && !summary.contains("\"result_rows\":\"0\"") {
            true => Err(EngineError::Truncated("the engine had rows and sent none".to_owned())),
            false => Ok(count),
        }
    }

    /// Runs a query and returns the answer as text.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached or refuses the query.
    pub fn text(&self, text: &str) -> Result<String, EngineError> {
        let mut bytes = Vec::new();
        self.copy(text, &mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Runs a statement that changes data or tables.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached or refuses the statement.
    pub fn execute(&self, text: &str) -> Result<(), EngineError> {
        let answer = sent(self.request(&[("wait_end_of_query", "1")]).send(text))?;
        drain(answer);
        Ok(())
    }

    /// Inserts rows, and returns after the engine has stored them on all shards and in all views.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached or refuses the rows. It may have stored them nevertheless; the
    /// same insert can safely be repeated.
    pub fn insert(&self, insert: &Insert<'_>) -> Result<(), EngineError> {
        let Insert { table, body, token } = insert;
        let query = format!("INSERT INTO {}.{table} FORMAT Native", self.address.database);
        let request = self
            .request(&[
                ("query", &query),
                ("insert_deduplication_token", token),
                ("insert_deduplicate", "1"),
                ("deduplicate_blocks_in_dependent_materialized_views", "1"),
                ("async_insert", "0"),
                // Wait for all shards, not only for the disk of the server that receives the rows.
                ("distributed_foreground_insert", "1"),
                // A computer whose clock was wrong may have flows of many days.
                ("max_partitions_per_insert_block", "0"),
                ("input_format_skip_unknown_fields", "1"),
            ])
            .header("Content-Encoding", "gzip");
        drain(sent(request.send(*body))?);
        Ok(())
    }

    /// Returns the version of the engine.
    ///
    /// # Errors
    /// Returns an error if it cannot be reached, is not ClickHouse, or is older than 24.8.
    pub fn version(&self) -> Result<String, EngineError> {
        let version = self.text("SELECT version() FORMAT TSVRaw")?.trim().to_owned();
        let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
        match (parts.next().flatten(), parts.next().flatten()) {
            (Some(year), Some(month)) if (year, month) >= OLDEST => Ok(version),
            (Some(_), Some(_)) => Err(EngineError::Version(version)),
            _ => Err(EngineError::NotClickHouse(one_line(&version))),
        }
    }

    /// Returns the version of the tables, or `None` if there are none.
    ///
    /// # Errors
    /// Returns an error if the engine cannot be reached or refuses the query.
    pub fn schema_version(&self) -> Result<Option<u32>, EngineError> {
        let text = format!(
            "SELECT max(version) FROM {}.schema_version FORMAT TSVRaw",
            self.address.database
        );
        match self.text(&text) {
            Ok(text) => Ok(text.trim().parse().ok().filter(|version| *version > 0)),
            Err(EngineError::Refused { code: 60 | 81, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Checks that the tables exist. Columns that tables of an older version lack are left out of the rows that are
    /// sent.
    ///
    /// # Errors
    /// Returns an error if there are no tables, or the engine cannot be reached.
    pub fn check_tables(&self) -> Result<(), EngineError> {
        self.schema_version()?.map(drop).ok_or(EngineError::NoSchema)
    }

    /// Checks that the tables have everything that this program queries.
    ///
    /// # Errors
    /// Returns an error if there are no tables, or they have a version that this program cannot use.
    pub fn check_schema(&self) -> Result<(), EngineError> {
        match self.schema_version()? {
            None => Err(EngineError::NoSchema),
            // New versions only add columns and tables, so a newer one has everything.
            Some(found) if found >= VERSION => Ok(()),
            Some(found) => Err(EngineError::Schema { found, needed: VERSION }),
        }
    }
}

fn header(answer: &Response<Body>, name: &str) -> Option<String> {
    Some(answer.headers().get(name)?.to_str().ok()?.to_owned())
}

/// Reads an answer to its end, so that the connection can be reused.
fn drain(mut answer: Response<Body>) {
    let _ = answer.body_mut().with_config().limit(MOST_ERROR).read_to_vec();
}

/// Returns the answer, or the error if the engine refused the request.
fn sent(result: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, EngineError> {
    let answer = result.map_err(|error| of_connection(&error))?;
    let status = answer.status().as_u16();
    let code = header(&answer, "X-ClickHouse-Exception-Code").and_then(|code| code.parse::<u32>().ok());
    if status == 200 && code.is_none() {
        return Ok(answer);
    }
    let mut text = Vec::new();
    let _ = answer.into_body().into_reader().take(MOST_ERROR).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    Err(match code {
        Some(code) => EngineError::Refused {
            code,
            text: one_line(&text),
        },
        None if text.starts_with("Code: ") => refused_text(&text),
        // A proxy in front of the engine, which may let requests through later.
        None if matches!(status, 429 | 502..=504) => EngineError::Unreachable(format!("status {status}")),
        None => EngineError::NotClickHouse(format!("status {status}")),
    })
}

fn of_connection(error: &ureq::Error) -> EngineError {
    let text = plain_error(&error);
    match error {
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) => EngineError::Tls(text),
        // An invalid certificate is reported as an I/O error of the handshake.
        ureq::Error::Io(io) => match io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)) => EngineError::Tls(
                "the engine asks for a certificate: `certificate` and `key` in the fleet's configuration name it"
                    .to_owned(),
            ),
            Some(_) => EngineError::Tls(text),
            None => EngineError::Unreachable(text),
        },
        ureq::Error::Protocol(_) => EngineError::NotClickHouse(text),
        _ => EngineError::Unreachable(text),
    }
}

/// Returns the trusted certificates: those in the configuration, those of `SSL_CERT_FILE`, or the system's.
fn roots(config: &FleetConfig, tls: bool) -> Result<RootCerts, EngineError> {
    if !tls {
        return Ok(RootCerts::new_with_certs(&[]));
    }
    let named = std::env::var("SSL_CERT_FILE").ok();
    let found = match &config.ca {
        Some(path) => certificates(path)?,
        None => named
            .as_deref()
            .into_iter()
            .chain(TRUSTED)
            .find_map(|path| certificates(Path::new(path)).ok())
            .unwrap_or_default(),
    };
    Ok(RootCerts::new_with_certs(&found))
}

fn unusable(path: &Path, why: impl std::fmt::Display) -> EngineError {
    EngineError::Tls(format!("{}: {why}", path.display()))
}

/// The maximum size in bytes of a file with certificates or keys. The system's trusted certificates take about 220 kB.
const LARGEST_PEM: u64 = 16 << 20;

fn pem(path: &Path) -> Result<Vec<u8>, EngineError> {
    netstat_os::files::read_named(path, LARGEST_PEM).map_err(|error| unusable(path, error))
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, EngineError> {
    let list: Vec<Certificate<'static>> = CertificateDer::pem_slice_iter(&pem(path)?)
        .filter_map(Result::ok)
        .map(|one| Certificate::from_der(&one).to_owned())
        .collect();
    match list.is_empty() {
        true => Err(unusable(path, "no certificate in it")),
        false => Ok(list),
    }
}

fn certificate_of_this_computer(config: &FleetConfig) -> Result<Option<ClientCert>, EngineError> {
    let (Some(certificate), Some(key)) = (&config.certificate, &config.key) else {
        return Ok(None);
    };
    // Parse with rustls first, which gives a useful error; the client's own parser panics if key and certificate do not
    // match.
    let text = pem(key)?;
    let secret = PrivateKeyDer::from_pem_slice(&text).map_err(|error| unusable(key, error))?;
    let secret = rustls::crypto::ring::sign::any_supported_type(&secret).map_err(|error| unusable(key, error))?;
    let chain = certificates(certificate)?;
    let ders = chain.iter().map(|one| CertificateDer::from(one.der().to_vec()));
    let pair = CertifiedKey::new(ders.collect(), secret);
    pair.keys_match().map_err(|error| {
        unusable(
            certificate,
            format!("the key does not fit the certificate: {}", plain_error(&error)),
        )
    })?;
    let key = PrivateKey::from_pem(&text).map_err(|error| unusable(key, error))?;
    Ok(Some(ClientCert::new_with_certs(&chain, key)))
}
