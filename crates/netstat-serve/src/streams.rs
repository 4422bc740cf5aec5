//! Streams: Server-Sent Events for the web page, and changes as events or lines.

use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::ACCEPT;
use netstat_monitor::model::Model;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::handler::Site;
use crate::live::{self, COLUMNS, Changes};
use crate::problem::Problem;
use crate::reply::{Reply, stream};

/// The number of pieces that are buffered for a slow client. A sample that does not fit is skipped, and the whole table
/// is sent again later.
const WAITING: usize = 64;
/// The time limit for a send; a client that accepts no data for longer is disconnected.
const PATIENCE: Duration = Duration::from_secs(30);
/// The interval of keep-alive messages, for proxies that close idle connections.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

type Pieces = mpsc::Sender<Bytes>;

/// The error for a client that has disconnected.
struct Gone;

fn permit(site: &Site) -> Result<OwnedSemaphorePermit, Problem> {
    let free = Arc::clone(&site.streams).try_acquire_owned();
    free.map_err(|_| Problem::busy("too many streams are open"))
}

fn event(name: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

async fn send(pieces: &Pieces, piece: Bytes) -> Result<(), Gone> {
    match tokio::time::timeout(PATIENCE, pieces.send(piece)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(Gone),
    }
}

/// Returns the stream that the web page reads: `about` and `columns`, then for each sample `overview`, `rows` and
/// `gone`; `reset` starts the table anew.
pub(crate) fn live(site: &Arc<Site>) -> Result<Reply, Problem> {
    let permit = permit(site)?;
    let (pieces, receiver) = mpsc::channel(WAITING);
    let site = Arc::clone(site);
    tokio::spawn(async move {
        let _permit = permit;
        let _ = follow(&site, &pieces, Kind::Page).await;
        forget(&site);
    });
    Ok(stream("text/event-stream", receiver))
}

/// Returns a stream of rows that opened, closed, or changed their state or owner, each as an object.
pub(crate) fn changes(site: &Arc<Site>, headers: &HeaderMap) -> Result<Reply, Problem> {
    let permit = permit(site)?;
    let accept = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or_default();
    let lines = accept.contains("application/x-ndjson");
    let (pieces, receiver) = mpsc::channel(WAITING);
    let site = Arc::clone(site);
    tokio::spawn(async move {
        let _permit = permit;
        let kind = if lines { Kind::Lines } else { Kind::Events };
        let _ = follow(&site, &pieces, kind).await;
        forget(&site);
    });
    Ok(stream(
        if lines {
            "application/x-ndjson"
        } else {
            "text/event-stream"
        },
        receiver,
    ))
}

fn forget(site: &Site) {
    // The permit of this stream is released only after this function returns.
    if site.streams.available_permits() + 1 >= crate::handler::MOST_STREAMS {
        site.live.clear();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Page,
    Events,
    Lines,
}

async fn follow(site: &Arc<Site>, pieces: &Pieces, kind: Kind) -> Result<(), Gone> {
    let mut frames = site.collector.attend();
    let mut stop = site.stop.clone();
    if kind == Kind::Page {
        let about = json!({
            "host": site.host,
            "version": site.version,
            "actions": site.actions.is_some(),
            "locations": site.locates,
            "fleet": site.resources.iter().any(|resource| resource.name == "fleet-hosts"),
        });
        send(pieces, event("about", &about)).await?;
        send(pieces, event("columns", &json!(COLUMNS))).await?;
    }
    let mut shown = None;
    loop {
        let model = frames
            .borrow_and_update()
            .as_ref()
            .and_then(|frame| frame.model.clone());
        if let Some(model) = model {
            let worker = Arc::clone(site);
            let of = Arc::clone(&model);
            let changes = tokio::task::spawn_blocking(move || worker.live.changes(&of))
                .await
                .map_err(|_| Gone)?;
            if shown != Some(changes.number) {
                match kind {
                    Kind::Page => {
                        if shown != Some(changes.after) || changes.after == 0 {
                            send(pieces, event("reset", &json!({"rows": model.sockets.open.len()}))).await?;
                            whole_table(site, &model, pieces).await?;
                        } else {
                            page_changes(pieces, &changes).await?;
                        }
                        send(pieces, event("overview", &changes.overview)).await?;
                    }
                    Kind::Events | Kind::Lines => {
                        if shown.is_some_and(|shown| shown != changes.after) {
                            let lost = json!({"change": "gap", "time": changes.overview["time"]});
                            send(pieces, written(kind, &lost)).await?;
                        } else if shown.is_some() {
                            object_changes(pieces, &changes, kind).await?;
                        }
                    }
                }
                shown = Some(changes.number);
            }
        }
        loop {
            tokio::select! {
                changed = frames.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return Ok(()),
                },
                _ = stop.changed() => return Ok(()),
                () = pieces.closed() => return Err(Gone),
                () = tokio::time::sleep(SIGN_OF_LIFE) => {
                    let sign = if kind == Kind::Lines { "\n" } else { ": \n\n" };
                    send(pieces, Bytes::from_static(sign.as_bytes())).await?;
                }
            }
        }
    }
}

/// Sends the whole table in pieces. Each is serialised on another thread, so that this one can serve other clients
/// meanwhile.
async fn whole_table(site: &Arc<Site>, model: &Arc<Model>, pieces: &Pieces) -> Result<(), Gone> {
    for start in (0..model.sockets.open.len()).step_by(live::PIECE) {
        let (worker, of) = (Arc::clone(site), Arc::clone(model));
        let piece = tokio::task::spawn_blocking(move || rows_event("rows", &worker.live.piece(&of, start))).await;
        send(pieces, piece.map_err(|_| Gone)?).await?;
    }
    Ok(())
}

fn rows_event(name: &str, rows: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(rows.len() + 32);
    event.extend_from_slice(format!("event: {name}\ndata: ").as_bytes());
    event.extend_from_slice(rows);
    event.extend_from_slice(b"\n\n");
    event.into()
}

async fn page_changes(pieces: &Pieces, changes: &Changes) -> Result<(), Gone> {
    for some in changes.rows.chunks(live::PIECE) {
        let rows = live::array(some.iter().map(|change| &change.row));
        send(pieces, rows_event("rows", &rows)).await?;
    }
    for some in changes.gone.chunks(live::PIECE) {
        let rows = live::array(some.iter().map(|(_, row)| row));
        send(pieces, rows_event("gone", &rows)).await?;
    }
    Ok(())
}

async fn object_changes(pieces: &Pieces, changes: &Changes, kind: Kind) -> Result<(), Gone> {
    let opened = changes.rows.iter().filter(|change| change.state).map(|change| {
        let what = if change.opened { "opened" } else { "changed" };
        (what, &change.row)
    });
    let closed = changes.gone.iter().map(|(_, row)| ("closed", row));
    for (what, row) in opened.chain(closed) {
        let mut object = serde_json::Map::new();
        object.insert("change".to_owned(), what.into());
        object.insert("time".to_owned(), changes.overview["time"].clone());
        object.extend(live::object(row));
        send(pieces, written(kind, &Value::Object(object))).await?;
    }
    Ok(())
}

fn written(kind: Kind, object: &Value) -> Bytes {
    match kind {
        Kind::Lines => Bytes::from(format!("{object}\n")),
        Kind::Page | Kind::Events => event("change", object),
    }
}
