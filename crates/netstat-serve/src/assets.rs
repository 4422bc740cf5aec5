//! The files of the web page, which are embedded in the program.

use std::sync::LazyLock;

use hyper::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use hyper::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};

use crate::reply::{self, Reply, empty, set, set_text};

/// A file of the web page.
#[derive(Debug)]
pub(crate) struct Asset {
    path: &'static str,
    kind: &'static str,
    content: &'static [u8],
}

macro_rules! assets {
    ($($path:literal $kind:literal $file:literal,)*) => {
        &[$(Asset {
            path: $path,
            kind: $kind,
            content: include_bytes!(concat!("../page/", $file)),
        },)*]
    };
}

static ASSETS: &[Asset] = assets![
    "/" "text/html; charset=utf-8" "index.html",
    "/app.js" "text/javascript; charset=utf-8" "app.js",
    "/chart.js" "text/javascript; charset=utf-8" "chart.js",
    "/filter.js" "text/javascript; charset=utf-8" "filter.js",
    "/grid.js" "text/javascript; charset=utf-8" "grid.js",
    "/store.js" "text/javascript; charset=utf-8" "store.js",
    "/util.js" "text/javascript; charset=utf-8" "util.js",
    "/style.css" "text/css; charset=utf-8" "style.css",
    "/icon.svg" "image/svg+xml" "icon.svg",
    "/vendor/uPlot.iife.min.js" "text/javascript; charset=utf-8" "vendor/uPlot.iife.min.js",
    "/vendor/uPlot.min.css" "text/css; charset=utf-8" "vendor/uPlot.min.css",
    "/vendor/uPlot.LICENSE" "text/plain; charset=utf-8" "vendor/uPlot.LICENSE",
    "/views/connections.js" "text/javascript; charset=utf-8" "views/connections.js",
    "/views/fleet.js" "text/javascript; charset=utf-8" "views/fleet.js",
    "/views/findings.js" "text/javascript; charset=utf-8" "views/findings.js",
    "/views/health.js" "text/javascript; charset=utf-8" "views/health.js",
    "/views/history.js" "text/javascript; charset=utf-8" "views/history.js",
    "/views/overview.js" "text/javascript; charset=utf-8" "views/overview.js",
    "/views/process.js" "text/javascript; charset=utf-8" "views/process.js",
    "/views/routes.js" "text/javascript; charset=utf-8" "views/routes.js",
];

static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |asset: &Asset| {
        let digest = Sha256::digest(asset.content);
        let short: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        format!("\"{short}\"")
    };
    ASSETS.iter().map(tag).collect()
});

/// Returns the file at this path.
pub(crate) fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// Returns the reply that serves a file, or "304 Not Modified" if the client has it already.
pub(crate) fn reply(asset: &'static Asset, asked: &HeaderMap) -> Reply {
    let place = ASSETS.iter().position(|known| known.path == asset.path);
    let tag = place.and_then(|place| TAGS.get(place)).map_or("", |tag| &**tag);
    let known = asked.get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let mut reply = match known.is_some_and(|tags| {
        tags.split(',')
            .any(|known| known.trim().trim_start_matches("W/") == tag)
    }) {
        true => empty(StatusCode::NOT_MODIFIED),
        false => reply::reply(StatusCode::OK, asset.kind, asset.content),
    };
    set_text(&mut reply, ETAG, tag);
    // Browsers must revalidate, so that the page is current after an update of the program.
    set(&mut reply, CACHE_CONTROL, "private, no-cache");
    reply
}

/// Returns the page that asks for the token.
pub(crate) fn login_page(wrong: bool) -> String {
    let message = match wrong {
        true => "<p role=\"alert\">This token is wrong.</p>",
        false => "",
    };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>netstat: token</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><link rel=\"icon\" href=\"data:,\"><meta name=\"color-scheme\" content=\"light dark\"></head>\
         <body><main><h1>netstat</h1>{message}\
         <form method=\"post\" action=\"/login\"><p><label>Token <input name=\"token\" type=\"password\" required \
         autocomplete=\"current-password\" autofocus></label> <button>Open</button></p></form>\
         <p><code>netstat serve</code> prints a link with the token when it starts.</p></main></body></html>\n"
    )
}
