//! The documents of the API: requested once for all clients, served in pages, and tagged for caching.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, Semaphore};

use crate::metrics::{Family, Kind, Value};
use crate::problem::Problem;
use crate::provider::{Acknowledgement, Figure, Format, Provider, Question, Refusal, Resource};

/// The maximum number of questions that are answered in parallel.
const AT_ONCE: usize = 2;
/// The maximum number of cached answers.
const MOST_KEPT: usize = 24;
/// The maximum total size of cached answers in bytes.
const MOST_BYTES: usize = 32 << 20;
/// How long the figures of the provider are cached.
const KEEP_FIGURES: Duration = Duration::from_secs(5);
/// The maximum number of questions that wait.
const MOST_WAITING: usize = 64;

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The document, as the command line would print it.
    pub(crate) body: String,
    /// A weak entity tag, which stays the same as long as only the time of the document changes.
    pub(crate) tag: String,
}

type Cell = Arc<OnceCell<Result<Arc<Answer>, Refusal>>>;

struct Kept {
    cell: Cell,
    at: Instant,
}

/// Requests documents from the provider and caches them.
pub(crate) struct Documents {
    provider: Arc<dyn Provider>,
    kept: Mutex<HashMap<Question, Kept>>,
    working: Semaphore,
    waiting: Semaphore,
    figures: tokio::sync::Mutex<Option<(Instant, Vec<Family>)>>,
    /// The number of callers at regular intervals in the record, when last counted.
    callers: Mutex<Option<u64>>,
}

impl std::fmt::Debug for Documents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Documents")
    }
}

impl Documents {
    pub(crate) fn new(provider: Arc<dyn Provider>) -> Self {
        Documents {
            provider,
            kept: Mutex::new(HashMap::new()),
            working: Semaphore::new(AT_ONCE),
            waiting: Semaphore::new(MOST_WAITING),
            figures: tokio::sync::Mutex::default(),
            callers: Mutex::default(),
        }
    }

    /// Returns the figures that the provider adds to the metrics, at most a few seconds old.
    pub(crate) async fn figures(&self) -> Vec<Family> {
        // Concurrent callers wait for the same answer.
        let mut last = self.figures.lock().await;
        if let Some((at, families)) = &*last
            && at.elapsed() < KEEP_FIGURES
        {
            return families.clone();
        }
        let provider = Arc::clone(&self.provider);
        let figures = tokio::task::spawn_blocking(move || provider.figures()).await;
        let mut families = families(figures.unwrap_or_default());
        if let Some(callers) = *self.callers.lock().unwrap_or_else(PoisonError::into_inner) {
            let help = "Programs that call the same place at regular times, by the record";
            let family = Family::new("netstat_regular_callers", Kind::Gauge, help);
            families.push(family.single(Value::Whole(callers)));
        }
        *last = Some((Instant::now(), families.clone()));
        families
    }

    /// Counts the callers at regular intervals in the record, for the metrics. Reads much of the record and should be
    /// called rarely.
    pub(crate) async fn count_callers(&self, resources: &[Resource]) {
        let Some(resource) = resources.iter().find(|resource| resource.name == "history") else {
            return;
        };
        let question = Question {
            resource: resource.name,
            parameters: vec![("beacons".to_owned(), "true".to_owned())],
            format: Format::Json,
        };
        let answer = self.get(question, Duration::from_millis(resource.keep_millis)).await;
        let count = answer.ok().and_then(|answer| {
            let document: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
            Some(document.get("rows")?.as_array()?.len() as u64)
        });
        *self.callers.lock().unwrap_or_else(PoisonError::into_inner) = count;
    }

    /// Returns the answer to `question`, at most `keep` old. Clients that ask the same question at the same time share
    /// one answer.
    ///
    /// # Errors
    /// Fails if the provider returns no answer, or if too many questions wait.
    pub(crate) async fn get(&self, question: Question, keep: Duration) -> Result<Arc<Answer>, Problem> {
        let _waiting = self
            .waiting
            .try_acquire()
            .map_err(|_| Problem::busy("too many questions are waiting"))?;
        let cell = self.cell(&question, keep);
        let answer = cell.get_or_init(|| self.ask(question)).await;
        Ok(Arc::clone(answer.as_ref().map_err(|refusal| refusal.clone())?))
    }

    /// Acknowledges a finding of the audit. Answers about findings from before are discarded.
    ///
    /// # Errors
    /// Returns the reason if the finding could not be acknowledged.
    pub(crate) async fn acknowledge(&self, finding: Acknowledgement) -> Result<(), String> {
        let interrupted = || "it was interrupted".to_owned();
        let _working = self.working.acquire().await.map_err(|_| interrupted())?;
        let provider = Arc::clone(&self.provider);
        let done = tokio::task::spawn_blocking(move || provider.acknowledge(&finding)).await;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|question, _| question.resource != "findings");
        done.map_err(|_| interrupted())?.map_err(|refusal| match refusal {
            Refusal::Usage(why) | Refusal::NotFound(why) | Refusal::Failed(why) => why,
        })
    }

    fn cell(&self, question: &Question, keep: Duration) -> Cell {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = kept.get(question)
            && known.at.elapsed() < keep
        {
            return Arc::clone(&known.cell);
        }
        let cell = Cell::default();
        kept.insert(
            question.clone(),
            Kept {
                cell: Arc::clone(&cell),
                at: Instant::now(),
            },
        );
        make_room(&mut kept);
        cell
    }

    async fn ask(&self, question: Question) -> Result<Arc<Answer>, Refusal> {
        let failed = || Refusal::Failed("the answer was interrupted".to_owned());
        let _working = self.working.acquire().await.map_err(|_| failed())?;
        let provider = Arc::clone(&self.provider);
        let answer = tokio::task::spawn_blocking(move || {
            let body = String::from_utf8(provider.answer(&question)?)
                .map_err(|_| Refusal::Failed("the answer is no UTF-8".to_owned()))?;
            Ok(Arc::new(Answer {
                tag: tag(&body, question.format),
                body,
            }))
        });
        answer.await.unwrap_or_else(|_| Err(failed()))
    }
}

/// Groups figures into families; consecutive figures with the same name form one family.
fn families(figures: Vec<Figure>) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for figure in figures {
        let kind = if figure.counter { Kind::Counter } else { Kind::Gauge };
        if families.last().is_none_or(|last| last.name != figure.name) {
            families.push(Family::new(figure.name, kind, figure.help));
        }
        if let Some(family) = families.last_mut() {
            family.push(&figure.labels, Value::Real(figure.value));
        }
    }
    families
}

fn make_room(kept: &mut HashMap<Question, Kept>) {
    let size = |kept: &Kept| match kept.cell.get() {
        Some(Ok(answer)) => answer.body.len(),
        _ => 0,
    };
    while kept.len() > 1 && (kept.len() > MOST_KEPT || kept.values().map(size).sum::<usize>() > MOST_BYTES) {
        let Some(oldest) = kept.iter().min_by_key(|(_, kept)| kept.at).map(|(key, _)| key.clone()) else {
            return;
        };
        kept.remove(&oldest);
    }
}

/// Computes a weak entity tag of `body` that ignores the time at which the document was created.
fn tag(body: &str, format: Format) -> String {
    let mut hash = Sha256::new();
    let time = match format {
        Format::Json => body
            .get(..1024.min(body.len()))
            .and_then(|head| head.find(",\"time\":\"")),
        Format::NdJson | Format::Csv => None,
    };
    match time {
        Some(at) => {
            let end = body[at..].find("Z\"").map_or(at, |length| at + length);
            hash.update(&body[..at]);
            hash.update(&body[end..]);
        }
        None => hash.update(body),
    }
    let digest = hash.finalize();
    let short: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("W/\"{short}\"")
}

/// Returns the rows `offset` to `offset + limit` of a document, and the total number of rows; `None` if the document
/// has no rows of this form. Each row is on a line of its own, and text within a row cannot contain a line break.
pub(crate) fn page(body: &str, offset: usize, limit: usize) -> Option<(String, usize)> {
    const ROWS: &str = "\"rows\":[\n";
    let start = body.find(ROWS)? + ROWS.len();
    let mut rows = Vec::new();
    let mut at = start;
    let end = loop {
        let line = body[at..].split_inclusive('\n').next()?;
        if line.starts_with(']') {
            break at;
        }
        rows.push(line.trim_end().trim_end_matches(','));
        at += line.len();
    };
    let total = rows.len();
    let some: Vec<&str> = rows.into_iter().skip(offset).take(limit).collect();
    let mut out = String::with_capacity(start + some.iter().map(|row| row.len() + 2).sum::<usize>() + 256);
    out.push_str(&body[..start]);
    out.push_str(&some.join(",\n"));
    if !some.is_empty() {
        out.push('\n');
    }
    out.push_str(&body[end..]);
    Some((out, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "{\"time\":\"T\",\"rows\":[\n{\"a\":1},\n{\"a\":\"],\"},\n{\"a\":3}\n],\"limits\":[]}\n";

    #[test]
    fn document_page_is_valid_document_with_some_rows() {
        for (offset, limit, rows) in [(0, 10, 3), (1, 1, 1), (2, 5, 1), (3, 5, 0), (0, 0, 0)] {
            let (text, total) = page(BODY, offset, limit).unwrap();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!((value["rows"].as_array().unwrap().len(), total), (rows, 3));
            assert!(value["limits"].is_array());
        }
        assert_eq!(page("{\"rows\":[]}", 0, 1), None);
        assert_eq!(page("{\"rows\":[\n{\"a\":1}", 0, 1), None);
    }

    #[test]
    fn document_tag_ignores_time_of_document() {
        let document = |time: &str, rows: &str| {
            format!("{{\"schema\":\"s\",\"host\":\"h\",\"time\":\"2026-01-01T00:00:{time}Z\",\"rows\":[{rows}]}}")
        };
        let tags = [("00", "1"), ("01", "1"), ("00", "2")].map(|(time, rows)| tag(&document(time, rows), Format::Json));
        assert_eq!(tags[0], tags[1]);
        assert_ne!(tags[0], tags[2]);
    }
}
