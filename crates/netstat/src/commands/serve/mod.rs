//! `netstat serve`: the results of the program over HTTP. The server itself is in `netstat-serve`; this module has its
//! options and provides its documents.

mod config;
mod provider;
mod record;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, ValueEnum};
use netstat_model::SystemKind;
use netstat_model::text::{escape_str, plain_error};
use netstat_names::Locations;
use netstat_os::Confinement;
use netstat_serve::{DEFAULT_LISTEN, Event, Listen, Options, OtlpOptions, Token, serve};

use crate::args::units;
use crate::context::{Context, Failure, Outcome};
use provider::CommandLine;

/// Serve a web page, an API and metrics about this computer
#[derive(Parser, Debug)]
#[command(name = "serve", after_help = AFTER_HELP)]
struct Words {
    /// read options from this TOML file: the long options below as keys, without their dashes; the command line replaces them
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// where to listen: an address with a port, unix:PATH, or fd for the sockets that systemd hands over; may be repeated
    #[arg(long, value_name = "ADDRESS", value_parser = listen, default_value = DEFAULT_LISTEN)]
    listen: Vec<Listen>,
    /// read the token from this file, instead of making a new one at each start
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// users and TLS certificates, in the web configuration format of Prometheus
    #[arg(long, value_name = "FILE")]
    web_config: Option<PathBuf>,
    /// a further host name that requests may ask for, as behind a reverse proxy; may be repeated
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// where history comes from, and what audits compare with: a record file, or a fleet's store as clickhouse://HOST[:PORT]/DATABASE, which adds its hosts and findings
    #[arg(long, value_name = "PATH", value_hint = clap::ValueHint::FilePath)]
    store: Option<String>,
    /// the fleet's user, password and certificates
    #[cfg(feature = "fleet")]
    #[arg(long, value_name = "FILE")]
    fleet_config: Option<PathBuf>,
    /// countries and autonomous systems from this database in the MaxMind format, as netstat --mmdb; may be repeated [default: those at the
    /// usual places]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    mmdb: Vec<PathBuf>,
    /// serve other addresses than loopback without TLS
    #[arg(long)]
    insecure: bool,
    /// let the page and the API end processes, close connections and acknowledge findings, each after a confirmation
    #[arg(long)]
    allow_actions: bool,
    /// how often to sample while somebody watches: 1s, 10s
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "2s")]
    interval: Duration,
    /// how many programs get metrics of their own; further ones are counted as "other"
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000), default_value = "100")]
    max_programs: u16,
    /// how often to audit for the metrics: 10m, 1h; 0s for never
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "1h")]
    audit_every: Duration,
    /// send the metrics to an OpenTelemetry collector, too: http://HOST:4318
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,
    /// headers to send to it, such as a token: Name: value on each line
    #[arg(long, value_name = "FILE", requires = "otlp")]
    otlp_headers: Option<PathBuf>,
    /// how often to send
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "60s")]
    otlp_interval: Duration,
    /// send these as logs, too: flows (connections that ended, with their addresses), findings (of the audit)
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',', requires = "otlp")]
    otlp_logs: Vec<Log>,
}

/// What `--otlp-logs` sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Log {
    Flows,
    Findings,
}

const AFTER_HELP: &str = "\
Without a token, only /metrics and /healthz answer. The link with the token is printed at start if standard error is a terminal; the
token is also in serve.token in $RUNTIME_DIRECTORY, $XDG_RUNTIME_DIR/netstat or, for root, /run/netstat; on Windows in
%LOCALAPPDATA%\\netstat or, elevated, %ProgramData%\\netstat. Root and the user who runs the command need no token on a unix socket.

  /               the web page
  /metrics        metrics for Prometheus (OpenMetrics or text)
  /api/v1/        the documents of --json; /api/v1/openapi.json describes them
  /healthz        whether it is there

Exit status: 0 when SIGTERM or Ctrl+C ended it, 1 when it cannot serve, 2 for a usage error.";

fn listen(text: &str) -> Result<Listen, String> {
    text.parse()
        .map_err(|error: netstat_serve::ListenError| format!("is not valid: {error}"))
}

pub(crate) fn definition() -> clap::Command {
    Words::command()
}

/// Runs the command.
///
/// # Errors
/// Returns an error if the server cannot run.
pub(crate) fn run(matches: &ArgMatches, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let matches = config::with_file(matches)?;
    let words = Words::from_arg_matches(&matches).map_err(|error| Failure::Usage(error.to_string()))?;
    if words.interval.is_zero() {
        return Err(Failure::Usage("--interval 0s is not possible".to_owned()));
    }
    check_store(words.store.as_deref())?;
    let token = token(&words)?;
    let kept = match words.token_file {
        Some(_) => None,
        None => keep(&token, context.system.is_superuser()),
    };
    let link = context.terminal.then(|| token.secret().to_owned());
    let hint = token_hint(words.token_file.as_deref().or(kept.as_deref()));
    let unix = other_sockets(&words.listen);
    let report = reporter(link, hint, unix);
    let (flows, findings) = (
        words.otlp_logs.contains(&Log::Flows),
        words.otlp_logs.contains(&Log::Findings),
    );
    let otlp = words.otlp.map(|url| OtlpOptions {
        url,
        headers: words.otlp_headers,
        interval: words.otlp_interval.max(Duration::from_secs(1)),
        flows,
        findings,
    });
    let options = Options {
        listen: words.listen,
        token,
        web_config: words.web_config,
        hosts: words.host,
        insecure: words.insecure,
        allow_actions: words.allow_actions,
        interval: words.interval,
        programs: words.max_programs.into(),
        audit_every: Some(words.audit_every).filter(|pause| !pause.is_zero()),
        otlp,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let system = context.system.another();
    #[cfg(feature = "fleet")]
    let fleet_config = words.fleet_config;
    // The path may come from the configuration file.
    #[cfg(feature = "fleet")]
    if let Some(path) = &fleet_config {
        crate::args::store::named_config(path)?;
    }
    #[cfg(not(feature = "fleet"))]
    let fleet_config = None;
    let locations = locations(&words.mmdb)?;
    let provider =
        CommandLine::about(context.system.another(), words.store, fleet_config).with_locations(words.mmdb, locations);
    context.system.confine(&Confinement {
        network: true,
        signals: options.allow_actions,
        foreign_sockets: true,
        ..Confinement::default()
    });
    let served = serve(options, system, Arc::new(provider), Arc::new(report));
    if let Some(path) = kept {
        let _ = fs::remove_file(path);
    }
    served.map_err(|error| Failure::Refused(escape_str(&plain_error(&error)).into_owned()))?;
    Ok(Outcome::Printed)
}

/// Returns what reports events of the server on stderr: where it listens, with a link that holds the token `link`, and what failed.
fn reporter(link: Option<String>, hint: String, unix: Vec<String>) -> impl Fn(Event) + Send + Sync + 'static {
    move |event: Event| {
        // If stderr is closed, there is nobody to tell.
        let mut err = std::io::stderr();
        let _ = match event {
            Event::Started { addresses, tls } => {
                let scheme = if tls { "https" } else { "http" };
                let shown = addresses.iter().map(ToString::to_string).chain(unix.iter().cloned());
                let shown: Vec<String> = shown.collect();
                let listening = writeln!(err, "netstat: serving at {}{hint}", escape_str(&shown.join(", ")));
                match (addresses.first(), &link) {
                    (Some(address), Some(token)) => writeln!(err, "netstat: open {scheme}://{address}/?token={token}"),
                    _ => listening,
                }
            }
            Event::NotRefreshed(error) => writeln!(err, "netstat: {}", escape_str(&plain_error(&error))),
            Event::RightsKept(error) => writeln!(
                err,
                "netstat: capabilities that are not needed stay: {}",
                plain_error(&error)
            ),
        };
    }
}

/// Describes where the token is, to follow the addresses.
fn token_hint(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| {
        format!("; the token is in {}", escape_str(&path.display().to_string()))
    })
}

/// Checks that the store is a record or may become one. A record that does not exist yet is looked for at each request.
fn check_store(store: Option<&str>) -> Result<(), Failure> {
    match store {
        Some(path) if !path.contains("://") && fs::metadata(path).is_ok_and(|there| !there.is_file()) => Err(
            Failure::Refused(format!("--store {}: it is not a regular file", escape_str(path))),
        ),
        _ => Ok(()),
    }
}

/// Returns the listening sockets that are not addresses, as typed.
fn other_sockets(listen: &[Listen]) -> Vec<String> {
    let others = listen.iter().filter(|listen| !matches!(listen, Listen::Address(_)));
    others.map(ToString::to_string).collect()
}

/// Opens the databases named on the command line, or those in the usual places that can be used.
fn locations(named: &[PathBuf]) -> Result<Locations, Failure> {
    if named.is_empty() {
        return Ok(Locations::open(&Locations::usual(Path::new("/"))).unwrap_or_default());
    }
    Locations::open(named).map_err(|error| Failure::Refused(format!("--mmdb {}", escape_str(&plain_error(&error)))))
}

fn token(words: &Words) -> Result<Token, Failure> {
    match &words.token_file {
        Some(path) => Token::from_file(path).map_err(|error| {
            Failure::Refused(format!(
                "{}: {}",
                escape_str(&path.display().to_string()),
                plain_error(&error)
            ))
        }),
        None => Token::random().map_err(|error| Failure::Refused(plain_error(&error))),
    }
}

/// Writes the token to a file that only its user can read, and returns the path; `None` if there is no suitable
/// directory.
fn keep(token: &Token, root: bool) -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if netstat_os::NATIVE_KIND == SystemKind::Windows {
        let base = match root {
            true => netstat_os::files::shared_directory()?,
            false => PathBuf::from(set("LOCALAPPDATA")?),
        };
        let directory = base.join("netstat");
        netstat_os::files::create_private_directory(&directory).ok()?;
        return write_token(&directory, token);
    }
    // systemd may set several directories, separated by colons.
    let own = set("RUNTIME_DIRECTORY").filter(|list| !list.to_string_lossy().contains(':'));
    let directory = match (own, set("XDG_RUNTIME_DIR")) {
        (Some(own), _) => PathBuf::from(own),
        (None, Some(runtime)) => Path::new(&runtime).join("netstat"),
        (None, None) if root => PathBuf::from("/run/netstat"),
        (None, None) => return None,
    };
    fs::create_dir_all(&directory).ok()?;
    write_token(&directory, token)
}

fn write_token(directory: &Path, token: &Token) -> Option<PathBuf> {
    let path = directory.join("serve.token");
    // Remove what an earlier start left.
    let _ = fs::remove_file(&path);
    let mut file = netstat_os::create_private(&path).ok()?;
    file.write_all(format!("{}\n", token.secret()).as_bytes()).ok()?;
    Some(path)
}
