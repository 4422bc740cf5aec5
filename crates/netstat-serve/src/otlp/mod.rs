//! Sends metrics and, if configured, flows and findings to an OpenTelemetry collector: OTLP over HTTP with protobuf.

mod messages;
mod send;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netstat_model::text::plain_error;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;

use crate::access::read_text;
use crate::handler::Site;
use crate::live::Live;
use crate::metrics::{Family, Kind, Value};
use crate::provider::{Format, Question};

pub(crate) use send::Client;

/// The options of the OTLP sender.
#[derive(Clone, Debug)]
pub struct OtlpOptions {
    /// The URL of the collector, without `/v1/metrics`.
    pub url: String,
    /// A file of additional request headers, one `Name: value` per line.
    pub headers: Option<PathBuf>,
    /// The interval between two transmissions.
    pub interval: Duration,
    /// Whether closed connections are sent as logs.
    pub flows: bool,
    /// Whether findings of the audit are sent as logs.
    pub findings: bool,
}

/// Why the OTLP options cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// The URL is invalid.
    #[error("--otlp {0}: http:// or https:// with a host is expected")]
    Url(String),
    /// The file of headers cannot be used: its path and the reason.
    #[error("{0}: {1}")]
    Headers(String, String),
}

/// The maximum number of records per transmission; any further ones are dropped and counted.
const MOST_RECORDS: usize = 10_000;

/// The maximum size of a file of headers in bytes.
const MOST_HEADERS: u64 = 64 << 10;

/// Counts of what was sent, for the metrics.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    sent: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

impl Sent {
    /// Returns the metric families of the counts.
    pub(crate) fn families(&self) -> [Family; 2] {
        let mut requests = Family::new(
            "netstat_otlp_requests",
            Kind::Counter,
            "Requests to the OpenTelemetry collector, without repetitions",
        );
        for (result, count) in [("sent", &self.sent), ("failed", &self.failed)] {
            requests.push(&[("result", result)], Value::Whole(count.load(Ordering::Relaxed)));
        }
        let dropped = Family::new(
            "netstat_otlp_dropped_records",
            Kind::Counter,
            "Log records that were not sent because there were too many",
        )
        .single(Value::Whole(self.dropped.load(Ordering::Relaxed)));
        [requests, dropped]
    }

    fn count(&self, sent: bool) {
        let counter = if sent { &self.sent } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads a file of headers.
fn headers(path: &Path) -> Result<Vec<(String, String)>, OtlpError> {
    let wrong = |why: String| OtlpError::Headers(path.display().to_string(), why);
    let text = read_text(path, MOST_HEADERS).map_err(|error| wrong(plain_error(&error)))?;
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let (name, value) = (name.trim(), value.trim());
            let fits = !value.is_empty()
                && hyper::header::HeaderName::from_bytes(name.as_bytes()).is_ok()
                && hyper::header::HeaderValue::from_str(value).is_ok();
            match fits {
                true => Ok((name.to_owned(), value.to_owned())),
                // Do not quote the line, which may contain a secret.
                false => Err(wrong("each line is a header: Name: value".to_owned())),
            }
        })
        .collect()
}

/// Sends for as long as the server runs.
pub(crate) async fn run(site: Arc<Site>, client: Arc<Client>, options: OtlpOptions) {
    let sent = &site.otlp;
    let started = nanos();
    let mut ended = Ended {
        live: Arc::new(site.live.beside()),
        records: Vec::new(),
        dropped: 0,
    };
    let mut told: HashSet<String> = HashSet::new();
    let mut frames = options.flows.then(|| site.collector.attend());
    let mut next = tokio::time::Instant::now() + options.interval;
    let mut stop = site.stop.clone();
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            Ok(()) = changed(&mut frames) => {
                ended.take(&site).await;
                continue;
            }
            _ = stop.changed() => return,
        }
        next = tokio::time::Instant::now() + options.interval;
        if let Ok(families) = site.collector.scrape().await {
            let mut families = families.to_vec();
            families.extend(site.documents.figures().await);
            let request = messages::metrics(&site.host, &site.version, &families, started, nanos());
            sent.count(
                client
                    .send("/v1/metrics", request.encode_to_vec(), options.interval)
                    .await,
            );
        }
        let mut records = std::mem::take(&mut ended.records);
        sent.dropped
            .fetch_add(std::mem::take(&mut ended.dropped), Ordering::Relaxed);
        if options.findings {
            records.extend(findings(&site, &mut told).await);
        }
        if !records.is_empty() {
            let request = messages::logs(&site.host, &site.version, records);
            sent.count(client.send("/v1/logs", request.encode_to_vec(), options.interval).await);
        }
    }
}

type Frames = tokio::sync::watch::Receiver<Option<Arc<crate::collector::Frame>>>;

async fn changed(frames: &mut Option<Frames>) -> Result<(), ()> {
    match frames {
        Some(frames) => frames.changed().await.map_err(|_| ()),
        None => std::future::pending().await,
    }
}

/// Connections that closed since the last transmission.
struct Ended {
    live: Arc<Live>,
    records: Vec<LogRecord>,
    dropped: u64,
}

impl Ended {
    async fn take(&mut self, site: &Arc<Site>) {
        let model = site.collector.last().and_then(|frame| frame.model.clone());
        let Some(model) = model else { return };
        let live = Arc::clone(&self.live);
        let changes = tokio::task::spawn_blocking(move || live.changes(&model)).await;
        let Ok(changes) = changes else { return };
        let now = nanos();
        for (_, row) in &changes.gone {
            let Ok(row) = serde_json::from_slice(row) else { continue };
            if let Some(record) = messages::flow(&row, now) {
                if self.records.len() >= MOST_RECORDS {
                    self.dropped += 1;
                } else {
                    self.records.push(record);
                }
            }
        }
    }
}

/// Returns the findings that have not been sent yet.
async fn findings(site: &Arc<Site>, told: &mut HashSet<String>) -> Vec<LogRecord> {
    let Some(resource) = site.resources.iter().find(|resource| resource.name == "findings") else {
        return Vec::new();
    };
    let question = Question {
        resource: resource.name,
        parameters: Vec::new(),
        format: Format::Json,
    };
    // An audit costs more than a sample, so its answer is cached for longer.
    let keep = Duration::from_millis(resource.keep_millis).max(Duration::from_secs(600));
    let Ok(answer) = site.documents.get(question, keep).await else {
        return Vec::new();
    };
    let Ok(document) = serde_json::from_str::<serde_json::Value>(&answer.body) else {
        return Vec::new();
    };
    let all = document
        .get("findings")
        .and_then(serde_json::Value::as_array)
        .cloned()
        .unwrap_or_default();
    let all: Vec<_> = all.into_iter().filter(|one| one["acknowledged"].is_null()).collect();
    let present: HashSet<String> = all.iter().map(ToString::to_string).collect();
    let new = all.iter().filter(|finding| !told.contains(&finding.to_string()));
    let records = new.map(|finding| messages::finding(finding, nanos())).collect();
    *told = present;
    records
}

fn nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
