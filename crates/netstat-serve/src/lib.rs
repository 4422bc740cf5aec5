//! `netstat serve`: what the program knows, over HTTP: a web page, an API, metrics for Prometheus and OpenTelemetry.
//!
//! One collector ([`netstat_monitor::collect::Collector`]) samples for everybody who asks. The documents of the API come from a
//! [`Provider`], so that the rest of the program knows nothing of HTTP. This is the only crate with asynchronous code; it runs on one
//! thread of its own, and whatever takes time runs beside it.
#![forbid(unsafe_code)]

mod access;
mod actions;
mod assets;
mod collector;
mod connection;
mod documents;
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

/// How to serve.
#[derive(Debug)]
pub struct Options {
    /// Where to listen; at least one place.
    pub listen: Vec<Listen>,
    /// The token.
    pub token: Token,
    /// A web configuration as Prometheus has it.
    pub web_config: Option<PathBuf>,
    /// Further names by which this computer may be asked.
    pub hosts: Vec<String>,
    /// Whether other addresses than loopback may be served without TLS.
    pub insecure: bool,
    /// Whether processes may be ended and connections closed.
    pub allow_actions: bool,
    /// Between two samples while somebody watches.
    pub interval: Duration,
    /// Programs with series of their own in the metrics.
    pub programs: usize,
    /// Between two audits for the metrics; `None` for no audits.
    pub audit_every: Option<Duration>,
    /// An OpenTelemetry collector to send to.
    pub otlp: Option<OtlpOptions>,
    /// The program's version.
    pub version: String,
}

/// What happens, for the operator.
#[derive(Debug)]
pub enum Event {
    /// It listens.
    Started {
        /// The TCP addresses.
        addresses: Vec<SocketAddr>,
        /// Whether browsers come over TLS.
        tls: bool,
    },
    /// The web configuration has changed and cannot be used; what was in use stays.
    NotRefreshed(WebConfigError),
    /// Rights that are not needed could not be given up; it serves all the same.
    RightsKept(io::Error),
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It cannot listen there.
    #[error("cannot listen at {0}: {1}")]
    Listen(String, io::Error),
    /// An address that others reach would be served without TLS.
    #[error("{0} can be reached by other computers: give a TLS certificate (--web-config) or --insecure")]
    NeedsTls(SocketAddr),
    /// The web configuration.
    #[error("{0}")]
    WebConfig(#[from] WebConfigError),
    /// The OpenTelemetry collector.
    #[error("{0}")]
    Otlp(#[from] OtlpError),
    /// The system refused something that is needed.
    #[error("{0}")]
    System(io::Error),
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot begin.
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

/// The OpenAPI 3.1 document of what `provider` answers.
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
    // Before the first thread: they inherit what is left. Everything that needed more is open.
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

/// Audits now and then, for the metrics.
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
