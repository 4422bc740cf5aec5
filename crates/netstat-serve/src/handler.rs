//! Dispatches requests.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ALLOW, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, LINK, LOCATION, RETRY_AFTER, SET_COOKIE,
    WWW_AUTHENTICATE,
};
use hyper::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::access::{Access, Peer, Verdict};
use crate::actions::Actions;
use crate::collector::Handle;
use crate::documents::{Documents, page};
use crate::live::Live;
use crate::metrics;
use crate::problem::Problem;
use crate::provider::{Format, ParameterKind, Question, Resource};
use crate::reply::{Reply, compress, empty, harden, problem, reply, set, set_text};
use crate::room::{Badge, Standing};
use crate::{assets, query, streams};

/// The maximum size of a request body in bytes.
const MOST_BODY: usize = 16 << 10;
/// The time limit for reading a request body.
const BODY_TIME: Duration = Duration::from_secs(10);
/// The time limit for a scrape.
const SCRAPE_TIME: Duration = Duration::from_secs(10);
/// The number of rows per page if no limit is given.
pub(crate) const USUAL_ROWS: usize = 1000;
/// The maximum number of rows per page.
pub(crate) const MOST_ROWS: usize = 1_000_000;
/// The maximum number of passwords that are checked in parallel.
pub(crate) const PASSWORDS_AT_ONCE: usize = 2;
/// The maximum number of open streams.
pub(crate) const MOST_STREAMS: usize = 64;

/// Everything that is needed to reply to requests.
#[derive(Debug)]
pub(crate) struct Site {
    /// The name of the computer, for display.
    pub(crate) host: String,
    pub(crate) version: String,
    pub(crate) access: Access,
    pub(crate) collector: Handle,
    pub(crate) documents: Documents,
    pub(crate) resources: Vec<Resource>,
    pub(crate) open_api: String,
    pub(crate) live: Live,
    /// Whether countries and autonomous systems are available.
    pub(crate) locates: bool,
    pub(crate) actions: Option<Actions>,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) passwords: Semaphore,
    pub(crate) otlp: crate::otlp::Sent,
    pub(crate) stop: tokio::sync::watch::Receiver<bool>,
}

/// The client that sent a request.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The other end of the connection.
    pub(crate) peer: Peer,
    /// Informs the server of the standing of this connection.
    pub(crate) badge: Badge,
}

/// Returns the reply to a request.
pub(crate) async fn handle(site: Arc<Site>, caller: Caller, request: Request<Incoming>) -> Reply {
    caller.badge.show(Standing::Anonymous);
    let asked = request.headers().clone();
    let head = request.method() == Method::HEAD;
    let result = route(&site, &caller, request).await;
    let mut answer = compress(result.unwrap_or_else(|refused| problem(&refused)), &asked);
    harden(&mut answer);
    if head {
        *answer.body_mut() = crate::reply::ReplyBody::Full(None);
    }
    answer
}

async fn route(site: &Arc<Site>, caller: &Caller, request: Request<Incoming>) -> Result<Reply, Problem> {
    let peer = caller.peer;
    if !site.access.host_is_own(peer, request.headers()) {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "the Host header names another computer; --host NAME allows a further name",
        ));
    }
    let path = request.uri().path().to_owned();
    let read = matches!(*request.method(), Method::GET | Method::HEAD);
    match (&*path, read) {
        ("/healthz", true) => return Ok(reply(StatusCode::OK, "application/json", "{\"status\":\"ok\"}\n")),
        ("/healthz" | "/metrics", false) => return Ok(not_allowed("GET, HEAD")),
        ("/metrics", true) if !site.access.has_users() => return scrape(site, request.headers()).await,
        ("/login", false) if request.method() == Method::POST => return login(site, peer, request).await,
        ("/", true) => {
            if let Some(reply) = open_link(site, peer, &request)? {
                return Ok(reply);
            }
        }
        _ => {}
    }
    match verdict(site, peer, request.headers()).await {
        Verdict::Allowed => caller.badge.show(Standing::Allowed),
        Verdict::Limited => return Ok(limited()),
        unknown => return Ok(unauthorized(site, &path, unknown)),
    }
    if read {
        return get(site, &path, request).await;
    }
    if request.method() != Method::POST {
        return Ok(not_allowed("GET, HEAD"));
    }
    if !Access::same_origin(request.headers()) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the request comes from another page",
        ));
    }
    post(site, &path, request).await
}

/// Returns what the request may access. Passwords are checked on another thread, so that other requests do not have to
/// wait.
async fn verdict(site: &Arc<Site>, peer: Peer, headers: &HeaderMap) -> Verdict {
    if !Access::is_slow(headers) {
        return site.access.check(peer, headers);
    }
    let Ok(_permit) = site.passwords.acquire().await else {
        return Verdict::Limited;
    };
    let (site, headers) = (Arc::clone(site), headers.clone());
    let checked = tokio::task::spawn_blocking(move || site.access.check(peer, &headers));
    checked.await.unwrap_or(Verdict::Wrong)
}

async fn get(site: &Arc<Site>, path: &str, request: Request<Incoming>) -> Result<Reply, Problem> {
    if let Some(asset) = assets::find(path) {
        return Ok(assets::reply(asset, request.headers()));
    }
    match path {
        "/metrics" => return scrape(site, request.headers()).await,
        "/login" | "/logout" => return Ok(not_allowed("POST")),
        "/api/v1/openapi.json" => {
            return Ok(reply(StatusCode::OK, "application/json", site.open_api.clone()));
        }
        "/api/v1/live" => return streams::live(site),
        "/api/v1/changes" => return streams::changes(site, request.headers()),
        "/api/v1/actions" => return Ok(not_allowed("POST")),
        _ => {}
    }
    let name = path.strip_prefix("/api/v1/").ok_or_else(Problem::not_found)?;
    let resource = site.resources.iter().find(|resource| resource.name == name);
    let resource = resource.ok_or_else(Problem::not_found)?;
    document(site, resource, &request).await
}

async fn post(site: &Arc<Site>, path: &str, request: Request<Incoming>) -> Result<Reply, Problem> {
    if path == "/logout" {
        let mut reply = empty(StatusCode::SEE_OTHER);
        set(&mut reply, LOCATION, "/");
        set_text(&mut reply, SET_COOKIE, &site.access.end_session(request.headers()));
        return Ok(reply);
    }
    let Some(rest) = path.strip_prefix("/api/v1/actions") else {
        return match assets::find(path).is_some() || path.starts_with("/api/v1/") {
            true => Ok(not_allowed("GET, HEAD")),
            false => Err(Problem::not_found()),
        };
    };
    let actions = site.actions.as_ref().ok_or_else(|| {
        Problem::new(
            StatusCode::FORBIDDEN,
            "this server only shows; it acts where it was started with --allow-actions",
        )
    })?;
    let json = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if json.is_none_or(|kind| {
        kind.split(';')
            .next()
            .is_none_or(|kind| kind.trim() != "application/json")
    }) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "application/json is expected",
        ));
    }
    let body = body(request).await?;
    let done = match rest {
        "" => {
            let asked: Value = serde_json::from_slice(&body).map_err(|_| Problem::bad("the body is no JSON"))?;
            // Make sure that the sample is recent: the target of the action may be only a moment old.
            let _ = site.collector.scrape().await;
            let frame = site
                .collector
                .last()
                .ok_or_else(|| Problem::busy("there is no sample yet"))?;
            actions.prepare(&asked, &frame)?
        }
        _ => {
            let word = rest.strip_prefix('/').ok_or_else(Problem::not_found)?;
            actions.confirm(word, &site.collector, &site.documents).await?
        }
    };
    Ok(reply(StatusCode::OK, "application/json", done.to_string()))
}

async fn body(request: Request<Incoming>) -> Result<Vec<u8>, Problem> {
    let collected = Limited::new(request.into_body(), MOST_BODY).collect();
    match tokio::time::timeout(BODY_TIME, collected).await {
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come in time",
        )),
        Ok(Err(_)) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is too long or broken",
        )),
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
    }
}

/// Handles the link that was printed at start: stores a session in a cookie and redirects, so that the token disappears
/// from the address bar.
fn open_link(site: &Site, peer: Peer, request: &Request<Incoming>) -> Result<Option<Reply>, Problem> {
    let Some(query) = request.uri().query() else {
        return Ok(None);
    };
    let pairs = query::parse(query)?;
    let Some((_, token)) = pairs.iter().find(|(name, _)| name == "token") else {
        return Ok(None);
    };
    Ok(Some(match site.access.check_token(peer, token) {
        Verdict::Allowed => session(site)?,
        Verdict::Limited => limited(),
        wrong => unauthorized(site, "/", wrong),
    }))
}

async fn login(site: &Arc<Site>, peer: Peer, request: Request<Incoming>) -> Result<Reply, Problem> {
    if !Access::same_origin(request.headers()) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the request comes from another page",
        ));
    }
    let body = body(request).await?;
    let text = String::from_utf8(body).map_err(|_| Problem::bad("the form is not well encoded"))?;
    let pairs = query::parse(&text)?;
    let token = pairs.iter().find(|(name, _)| name == "token");
    let (_, token) = token.ok_or_else(|| Problem::bad("token: a token is expected"))?;
    Ok(match site.access.check_token(peer, token.trim()) {
        Verdict::Allowed => session(site)?,
        Verdict::Limited => limited(),
        wrong => unauthorized(site, "/", wrong),
    })
}

fn session(site: &Site) -> Result<Reply, Problem> {
    let cookie = site.access.begin_session();
    let cookie = cookie.ok_or_else(|| Problem::busy("the system gives no random numbers"))?;
    let mut reply = empty(StatusCode::SEE_OTHER);
    set(&mut reply, LOCATION, "/");
    set_text(&mut reply, SET_COOKIE, &cookie);
    Ok(reply)
}

fn unauthorized(site: &Site, path: &str, verdict: Verdict) -> Reply {
    let wrong = verdict == Verdict::Wrong;
    let mut reply = match path {
        "/" => reply(
            StatusCode::UNAUTHORIZED,
            "text/html; charset=utf-8",
            assets::login_page(wrong),
        ),
        _ => problem(&Problem::new(
            StatusCode::UNAUTHORIZED,
            match wrong {
                true => "the token, user or password is wrong",
                false => "a token is needed: open the link that netstat serve printed, or send it as a Bearer token",
            },
        )),
    };
    let challenge = match site.access.has_users() {
        true => "Basic realm=\"netstat\", charset=\"UTF-8\"",
        false => "Bearer realm=\"netstat\"",
    };
    set(&mut reply, WWW_AUTHENTICATE, challenge);
    reply
}

fn limited() -> Reply {
    let mut reply = problem(&Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too many wrong tokens or passwords; try again later",
    ));
    set(&mut reply, RETRY_AFTER, "2");
    reply
}

fn not_allowed(allowed: &'static str) -> Reply {
    let mut reply = problem(&Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{allowed} can be used here"),
    ));
    set(&mut reply, ALLOW, allowed);
    reply
}

async fn scrape(site: &Arc<Site>, headers: &HeaderMap) -> Result<Reply, Problem> {
    let begun = std::time::Instant::now();
    let families = tokio::time::timeout(SCRAPE_TIME, site.collector.scrape()).await;
    let families = families
        .map_err(|_| Problem::busy("the sample takes too long"))?
        .map_err(|_| Problem::busy("the collector has ended"))?;
    let mut all = families.to_vec();
    all.extend(site.otlp.families());
    all.extend(site.documents.figures().await);
    all.push(
        metrics::Family::new(
            "netstat_scrape_duration_seconds",
            metrics::Kind::Gauge,
            "How long the figures of this scrape took to collect",
        )
        .single(metrics::Value::Real(begun.elapsed().as_secs_f64())),
    );
    let all = Arc::new(all);
    Ok(match prefers_open_metrics(headers) {
        true => reply(
            StatusCode::OK,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            metrics::open_metrics(&all),
        ),
        false => reply(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            metrics::text(&all),
        ),
    })
}

/// Whether `Accept` prefers OpenMetrics.
fn prefers_open_metrics(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (mut open, mut text) = (0.0_f32, 0.0_f32);
    for range in lists.flat_map(|list| list.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let weight = parts
            .find_map(|part| part.strip_prefix("q=")?.parse().ok())
            .unwrap_or(1.0);
        if kind.eq_ignore_ascii_case("application/openmetrics-text") {
            open = open.max(weight);
        } else if kind.eq_ignore_ascii_case("text/plain") {
            text = text.max(weight);
        }
    }
    open > 0.0 && open >= text
}

/// The parameters of a query that the server handles itself.
struct Window {
    offset: usize,
    limit: usize,
}

async fn document(site: &Arc<Site>, resource: &Resource, request: &Request<Incoming>) -> Result<Reply, Problem> {
    let mut pairs = query::parse(request.uri().query().unwrap_or_default())?;
    let window = take_window(resource, &mut pairs)?;
    let format = format_of(resource, request.headers(), &mut pairs)?;
    for (name, value) in &mut pairs {
        check_parameter(resource, name, value)?;
    }
    for needed in resource.parameters.iter().filter(|parameter| parameter.required) {
        if !pairs.iter().any(|(name, _)| *name == needed.name) {
            return Err(Problem::bad(format!("{}: {}", needed.name, needed.about)));
        }
    }
    // The same question in a different order is the same question.
    pairs.sort();
    let question = Question {
        resource: resource.name,
        parameters: pairs,
        format,
    };
    let link = |offset: usize| {
        let mut query: Vec<String> = question
            .parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        query.extend([format!("limit={}", window.limit), format!("offset={offset}")]);
        format!("</api/v1/{}?{}>; rel=\"next\"", resource.name, query.join("&"))
    };
    let next = link(window.offset.saturating_add(window.limit));
    let answer = site
        .documents
        .get(question, Duration::from_millis(resource.keep_millis))
        .await?;
    let tag = match resource.rows && format == Format::Json {
        true => format!(
            "{}-{}-{}\"",
            answer.tag.trim_end_matches('"'),
            window.offset,
            window.limit
        ),
        false => answer.tag.clone(),
    };
    let known = request.headers().get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    if known.is_some_and(|tags| tags.split(',').any(|known| known.trim() == tag)) {
        let mut reply = empty(StatusCode::NOT_MODIFIED);
        set_text(&mut reply, ETAG, &tag);
        return Ok(reply);
    }
    let kind = match format {
        Format::Json => "application/json",
        Format::NdJson => "application/x-ndjson",
        Format::Csv => "text/csv; charset=utf-8",
    };
    let paged = match resource.rows && format == Format::Json {
        true => page(&answer.body, window.offset, window.limit),
        false => None,
    };
    let mut reply = match paged {
        Some((text, total)) => {
            let mut reply = reply(StatusCode::OK, kind, text);
            set_text(&mut reply, HeaderName::from_static("x-total-count"), &total.to_string());
            if window.offset.saturating_add(window.limit) < total && window.limit > 0 {
                set_text(&mut reply, LINK, &next);
            }
            reply
        }
        None => reply(StatusCode::OK, kind, answer.body.clone()),
    };
    set_text(&mut reply, ETAG, &tag);
    set(&mut reply, hyper::header::CACHE_CONTROL, "private, no-cache");
    Ok(reply)
}

fn encode(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    value
        .bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

fn take(pairs: &mut Vec<(String, String)>, name: &str) -> Result<Option<String>, Problem> {
    let place = pairs.iter().position(|(known, _)| known == name);
    let value = place.map(|place| pairs.remove(place).1);
    match pairs.iter().any(|(known, _)| known == name) {
        true => Err(Problem::bad(format!("{name}: it is given twice"))),
        false => Ok(value),
    }
}

fn take_window(resource: &Resource, pairs: &mut Vec<(String, String)>) -> Result<Window, Problem> {
    let mut window = Window {
        offset: 0,
        limit: USUAL_ROWS,
    };
    if !resource.rows {
        return Ok(window);
    }
    let number = |name: &str, value: Option<String>| match value {
        None => Ok(None),
        Some(text) => match text.parse::<usize>() {
            Ok(number) if number <= MOST_ROWS && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Some(number)),
            _ => Err(Problem::bad(format!(
                "{name}: a number from 0 to {MOST_ROWS} is expected"
            ))),
        },
    };
    if let Some(limit) = number("limit", take(pairs, "limit")?)? {
        window.limit = limit;
    }
    if let Some(offset) = number("offset", take(pairs, "offset")?)? {
        window.offset = offset;
    }
    Ok(window)
}

/// Returns the format that the parameter `format` or, without it, the `Accept` header requests.
fn format_of(resource: &Resource, headers: &HeaderMap, pairs: &mut Vec<(String, String)>) -> Result<Format, Problem> {
    let named = match take(pairs, "format")?.as_deref() {
        None => None,
        Some("json") => Some(Format::Json),
        Some("ndjson") => Some(Format::NdJson),
        Some("csv") => Some(Format::Csv),
        Some(_) => return Err(Problem::bad("format: json, ndjson or csv is expected")),
    };
    let accept = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or_default();
    let kinds: Vec<&str> = accept
        .split(',')
        .filter_map(|kind| kind.split(';').next())
        .map(str::trim)
        .collect();
    let format = named.unwrap_or(match () {
        () if kinds.contains(&"application/json") => Format::Json,
        () if kinds.contains(&"application/x-ndjson") => Format::NdJson,
        () if kinds.contains(&"text/csv") => Format::Csv,
        () => Format::Json,
    });
    match format == Format::Json || resource.line_schema.is_some() {
        true => Ok(format),
        false => Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "there is JSON only")),
    }
}

fn check_parameter(resource: &Resource, name: &str, value: &mut String) -> Result<(), Problem> {
    let Some(parameter) = resource.parameters.iter().find(|parameter| parameter.name == name) else {
        let all: Vec<&str> = resource.parameters.iter().map(|parameter| &*parameter.name).collect();
        return Err(Problem::bad(format!(
            "{name:?} is no parameter of {}; there are {}",
            resource.name,
            all.join(", ")
        )));
    };
    match &parameter.kind {
        ParameterKind::Text => Ok(()),
        ParameterKind::OneOf(words) if words.contains(value) => Ok(()),
        ParameterKind::OneOf(words) => Err(Problem::bad(format!("{name}: {} is expected", words.join(" or ")))),
        ParameterKind::Flag => match value.as_str() {
            "true" | "false" => Ok(()),
            "" => {
                "true".clone_into(value);
                Ok(())
            }
            _ => Err(Problem::bad(format!("{name}: true or false is expected"))),
        },
    }
}
