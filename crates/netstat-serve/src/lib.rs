//! `netstat serve`: a web page, an API, and metrics for Prometheus and OpenTelemetry over HTTP.
//!
//! A single collector ([`netstat_monitor::collect::Collector`]) samples on behalf of all clients. The documents of the
//! API come from a [`Provider`], so that the rest of the program does not depend on HTTP. This is the only crate with
//! asynchronous code. It runs on a single thread of its own; blocking work runs on other threads.
#![forbid(unsafe_code)]

mod access;
mod actions;
mod assets;
mod collector;
mod connection;
mod documents;
#[cfg(fuzzing)]
pub mod fuzzing;
mod handler;
mod listen;
mod live;
mod metrics;
mod openapi;
mod otlp;
mod problem;
mod provider;
mod query;
mod reply;
mod room;
mod server;
mod streams;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use netstat_os::{System, local};
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

pub use access::web_config::WebConfigError;
pub use access::{Token, TokenError};
pub use listen::{DEFAULT as DEFAULT_LISTEN, Listen, ListenError};
pub use otlp::{OtlpError, OtlpOptions};
pub use provider::{Acknowledgement, Figure, Format, Parameter, ParameterKind, Provider, Question, Refusal, Resource};

use access::web_config::WebConfig;
use access::{Access, Rules};
use actions::Actions;
use documents::Documents;
use handler::{MOST_STREAMS, PASSWORDS_AT_ONCE, Site};
use server::Listeners;

/// The options of the server.
#[derive(Debug)]
pub struct Options {
    /// The endpoints to listen on; at least one.
    pub listen: Vec<Listen>,
    /// The access token.
    pub token: Token,
    /// The path of a web configuration in the format of Prometheus.
    pub web_config: Option<PathBuf>,
    /// Additional host names by which clients may address this computer.
    pub hosts: Vec<String>,
    /// Whether addresses other than loopback may be served without TLS.
    pub insecure: bool,
    /// Whether clients may end processes, close connections and acknowledge findings.
    pub allow_actions: bool,
    /// The refresh interval while someone watches.
    pub interval: Duration,
    /// The maximum number of programs with series of their own in the metrics.
    pub programs: usize,
    /// The interval between audits for the metrics; `None` to disable audits.
    pub audit_every: Option<Duration>,
    /// The OpenTelemetry collector to send to, if any.
    pub otlp: Option<OtlpOptions>,
    /// The version of this program.
    pub version: String,
}

/// An event that the operator should know of.
#[derive(Debug)]
pub enum Event {
    /// The server is listening.
    Started {
        /// The TCP addresses that it listens on.
        addresses: Vec<SocketAddr>,
        /// Whether browsers connect over TLS.
        tls: bool,
    },
    /// The web configuration has changed but cannot be used; the previous one remains in use.
    NotRefreshed(WebConfigError),
    /// Privileges that are no longer needed could not be dropped; the server runs nevertheless.
    RightsKept(io::Error),
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It cannot listen on this endpoint.
    #[error("cannot listen at {0}: {1}")]
    Listen(String, io::Error),
    /// An address that other computers can reach would be served without TLS.
    #[error("{0} can be reached by other computers: give a TLS certificate (--web-config) or --insecure")]
    NeedsTls(SocketAddr),
    /// The web configuration cannot be used.
    #[error("{0}")]
    WebConfig(#[from] WebConfigError),
    /// The OpenTelemetry options cannot be used.
    #[error("{0}")]
    Otlp(#[from] OtlpError),
    /// A necessary system call failed.
    #[error("{0}")]
    System(io::Error),
}

/// Serves until SIGTERM or SIGINT arrives.
///
/// # Errors
/// Fails if the server cannot start.
pub fn serve(
    options: Options,
    system: Box<dyn System + Send>,
    provider: Arc<dyn Provider>,
    report: Arc<dyn Fn(Event) + Send + Sync>,
) -> Result<(), ServeError> {
    netstat_os::return_memory_early();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .thread_keep_alive(Duration::from_secs(10))
        .build()
        .map_err(ServeError::System)?;
    runtime.block_on(begin(options, system, provider, report))
}

/// Returns the OpenAPI 3.1 document of the resources that `provider` offers.
pub fn open_api(provider: &dyn Provider, version: &str) -> Value {
    openapi::document(&provider.resources(), version, true)
}

async fn begin(
    options: Options,
    system: Box<dyn System + Send>,
    provider: Arc<dyn Provider>,
    report: Arc<dyn Fn(Event) + Send + Sync>,
) -> Result<(), ServeError> {
    let web = options
        .web_config
        .as_deref()
        .map(WebConfig::read)
        .transpose()?
        .map(Arc::new);
    let client = options.otlp.as_ref().map(otlp::Client::new).transpose()?.map(Arc::new);
    let tls = web.as_ref().is_some_and(|web| web.tls().is_some());
    let listeners = Listeners::open(&options.listen)?;
    let addresses = listeners.addresses();
    let reachable = addresses
        .iter()
        .find(|address| !address.ip().to_canonical().is_loopback());
    if let Some(address) = reachable.filter(|_| !tls && !options.insecure) {
        return Err(ServeError::NeedsTls(*address));
    }
    let mut hosts = options.hosts;
    let host = netstat_model::text::escape(&system.computer_name()).into_owned();
    hosts.push(host.clone());
    // Must happen before the first thread starts, so that threads inherit the reduced set. Everything that needs more
    // privileges is open by now.
    if let Err(error) = netstat_os::drop_capabilities(options.allow_actions) {
        report(Event::RightsKept(error));
    }
    let setup = collector::Setup {
        interval: options.interval,
        programs: options.programs,
        version: options.version.clone(),
    };
    let collector = collector::start(system, setup).map_err(ServeError::System)?;
    let resources = provider.resources();
    let (stop_all, stop) = watch::channel(false);
    let site = Arc::new(Site {
        host,
        version: options.version.clone(),
        access: Access::new(Rules {
            token: options.token,
            users: web.as_ref().map(|web| web.users()),
            hosts,
            secure: tls,
            own_user: local::own_user().map_err(ServeError::System)?,
        }),
        collector,
        locates: provider.locates(),
        live: live::Live::new(Arc::clone(&provider)),
        documents: Documents::new(provider),
        open_api: openapi::document(&resources, &options.version, options.allow_actions).to_string(),
        resources,
        actions: options.allow_actions.then(Actions::default),
        streams: Arc::new(Semaphore::new(MOST_STREAMS)),
        passwords: Semaphore::new(PASSWORDS_AT_ONCE),
        otlp: otlp::Sent::default(),
        stop,
    });
    report(Event::Started { addresses, tls });
    if let Some(pause) = options.audit_every {
        tokio::spawn(audit(Arc::clone(&site), pause));
    }
    if let (Some(client), Some(options)) = (client, options.otlp) {
        tokio::spawn(otlp::run(Arc::clone(&site), client, options));
    }
    server::run(listeners, site, web, stop_all, report).await
}

/// Audits at regular intervals, for the metrics.
async fn audit(site: Arc<Site>, pause: Duration) {
    loop {
        let resource = site.resources.iter().find(|resource| resource.name == "findings");
        let Some(resource) = resource else { return };
        let question = Question {
            resource: resource.name,
            parameters: Vec::new(),
            format: Format::Json,
        };
        if let Ok(answer) = site
            .documents
            .get(question, Duration::from_millis(resource.keep_millis))
            .await
            && let Some(findings) = metrics::Findings::read(&answer.body)
        {
            site.collector.audited(findings);
        }
        site.documents.count_callers(&site.resources).await;
        tokio::time::sleep(pause).await;
    }
}
