//! Tests a server on loopback with well-behaved and malicious clients.
#![cfg(target_os = "linux")]

mod kit;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use kit::{ACKNOWLEDGED, Answer, Echo, Server, TOKEN, ask, bearer, exchange, raw, shared, start};
use netstat_serve::{Options, Token, serve};
use serde_json::json;

#[test]
fn request_without_token_is_answered_for_metrics_and_health_only() {
    let server = shared();
    for (path, status) in [
        ("/healthz", 200),
        ("/metrics", 200),
        ("/", 401),
        ("/app.js", 401),
        ("/api/v1/sockets", 401),
        ("/api/v1/live", 401),
        ("/api/v1/openapi.json", 401),
        ("/api/v1/nothing", 401),
        ("/nothing", 401),
    ] {
        let answer = ask(server, &format!("GET {path}"), &[]);
        // The first sample may take long on a busy machine.
        let busy = path == "/metrics" && answer.status == 503;
        assert!(busy || answer.status == status, "{path}: {answer:?}");
        if status == 401 && path != "/" {
            assert!(
                answer.is_problem() && answer.header("www-authenticate").is_some(),
                "{answer:?}"
            );
        }
    }
    assert_eq!(ask(server, "GET /api/v1/sockets", &[&bearer()]).status, 200);
    assert_eq!(ask(server, "GET /nothing", &[&bearer()]).status, 404);
}

#[test]
fn reply_has_content_security_policy_and_no_cors() {
    for (path, token) in [
        ("/", true),
        ("/", false),
        ("/api/v1/sockets", true),
        ("/metrics", false),
        ("/x", true),
    ] {
        let bearer = bearer();
        let headers: &[&str] = if token { &[&bearer] } else { &[] };
        let answer = ask(shared(), &format!("GET {path}"), headers);
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{answer:?}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[test]
fn request_with_rebound_host_name_is_refused() {
    for (host, status) in [
        ("Host: rebind.example", 421),
        ("Host: rebind.example:80", 421),
        ("Host: server.example", 200),
        ("Host: 127.0.0.1:1", 200),
    ] {
        for path in ["/healthz", "/api/v1/sockets"] {
            let answer = ask(shared(), &format!("GET {path}"), &[host, &bearer()]);
            assert_eq!(answer.status, status, "{host} {path}");
        }
    }
    let none = raw(shared(), b"GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(matches!(none.status, 400 | 421), "{none:?}");
}

#[test]
fn login_link_gives_cookie_valid_until_logout() {
    let server = start(|_| {});
    let opened = ask(&server, &format!("GET /?token={TOKEN}"), &[]);
    assert_eq!((opened.status, opened.header("location")), (303, Some("/")));
    let cookie = opened.header("set-cookie").unwrap();
    assert!(
        cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains(TOKEN),
        "{cookie}"
    );
    let pair = format!("Cookie: {}", cookie.split(';').next().unwrap());
    let page = ask(&server, "GET /", &[&pair]);
    assert!(
        page.status == 200 && page.body.contains("<script type=\"module\""),
        "{page:?}"
    );
    // Other pages can neither sign out nor in.
    let foreign = ask(&server, "POST /logout", &[&pair, "Origin: http://evil.example"]);
    assert!(foreign.status == 403 && foreign.is_problem());
    let foreign = ask(
        &server,
        "POST /login",
        &["Sec-Fetch-Site: cross-site", "Content-Length: 0"],
    );
    assert_eq!(foreign.status, 403);
    assert_eq!(
        ask(&server, "POST /logout", &[&pair, "Origin: http://localhost"]).status,
        303
    );
    assert_eq!(ask(&server, "GET /", &[&pair]).status, 401);
    assert_eq!(ask(&server, "GET /?token=wrong", &[]).status, 401);
}

#[test]
fn wrong_tokens_are_limited_after_ten_attempts() {
    let server = start(|_| {});
    let mut tries = 0;
    loop {
        let status = ask(&server, "GET /api/v1/sockets", &["Authorization: Bearer wrong"]).status;
        assert!(matches!(status, 401 | 429), "{status}");
        // Ten wrong attempts in quick succession are tolerated, and a few more on a slow machine.
        if status == 429 {
            break;
        }
        tries += 1;
        assert!(tries < 10_000);
    }
    assert!(tries >= 10, "{tries}");
    assert_eq!(ask(&server, "GET /healthz", &[]).status, 200);
}

#[test]
fn unix_socket_peer_of_same_user_needs_no_token() {
    let server = shared();
    let mut stream = std::os::unix::net::UnixStream::connect(&server.unix).unwrap();
    let request = b"GET /api/v1/sockets HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(&mut stream, request).status, 200);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&server.unix).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o660);
}

#[test]
fn listen_beyond_loopback_without_tls_or_insecure_is_refused() {
    let options = |insecure| Options {
        listen: vec!["0.0.0.0:0".parse().unwrap()],
        token: Token::chosen(TOKEN).unwrap(),
        web_config: None,
        hosts: Vec::new(),
        insecure,
        allow_actions: false,
        interval: Duration::from_secs(1),
        programs: 10,
        audit_every: None,
        otlp: None,
        version: String::new(),
    };
    let system = Box::new(netstat_os::Native::default());
    let refused = serve(options(false), system, Arc::new(Echo), Arc::new(|_| {})).unwrap_err();
    assert!(refused.to_string().contains("--insecure"), "{refused}");
}

#[test]
fn documents_are_served_in_pages_with_tags() {
    let server = shared();
    let page = ask(server, "GET /api/v1/sockets?limit=2&offset=1&port=80", &[&bearer()]);
    assert_eq!(page.json()["rows"], json!([{"a": 1}, {"a": 2}]));
    assert_eq!(page.header("x-total-count"), Some("5"));
    assert_eq!(
        page.header("link"),
        Some("</api/v1/sockets?port=80&limit=2&offset=3>; rel=\"next\"")
    );
    let tag = page.header("etag").unwrap();
    let same = ask(
        server,
        "GET /api/v1/sockets?limit=2&offset=1&port=80",
        &[&bearer(), &format!("If-None-Match: {tag}")],
    );
    assert_eq!((same.status, &*same.body), (304, ""));
    let last = ask(server, "GET /api/v1/sockets?limit=5", &[&bearer()]);
    assert_eq!(last.header("link"), None);
    let head = ask(server, "HEAD /api/v1/sockets", &[&bearer()]);
    assert_eq!((head.status, &*head.body), (200, ""));
    let zipped = ask(server, "GET /app.js", &[&bearer(), "Accept-Encoding: gzip"]);
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
}

#[test]
fn malformed_request_returns_problem_naming_wrong_word() {
    let server = shared();
    for (line, status, word) in [
        ("GET /api/v1/sockets?port=wrong", 400, "wrong"),
        ("GET /api/v1/sockets?colour=red", 400, "colour"),
        ("GET /api/v1/sockets?listening=maybe", 400, "listening"),
        ("GET /api/v1/sockets?limit=-1", 400, "limit"),
        ("GET /api/v1/sockets?limit=99999999999999999999", 400, "limit"),
        ("GET /api/v1/sockets?limit=1&limit=2", 400, "limit"),
        ("GET /api/v1/sockets?format=xml", 400, "format"),
        ("GET /api/v1/sockets?format=csv", 406, "JSON"),
        ("GET /api/v1/sockets?port=%zz", 400, "encoded"),
        ("POST /api/v1/sockets", 405, "GET"),
        ("DELETE /api/v1/sockets", 405, "GET"),
        ("PUT /metrics", 405, "GET"),
        ("GET /api/v1/actions", 405, "POST"),
        ("POST /api/v1/actions", 403, "--allow-actions"),
        ("GET /api/v1/Sockets", 404, "nothing"),
        ("GET /api/v1/sockets/", 404, "nothing"),
    ] {
        let answer = ask(server, line, &[&bearer()]);
        assert!(answer.status == status && answer.is_problem(), "{line}: {answer:?}");
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(word),
            "{line}: {answer:?}"
        );
    }
}

#[test]
fn path_outside_of_page_is_not_found() {
    for path in [
        "/../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/vendor/../app.js",
        "/app.js/",
        "/views/",
        "/app.js%00",
        "/\\..\\x",
    ] {
        let answer = ask(shared(), &format!("GET {path}"), &[&bearer()]);
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
        assert!(!answer.body.contains("root:"));
    }
}

#[test]
fn request_too_large_is_refused() {
    let server = shared();
    let long = "a".repeat(40_000);
    assert!(matches!(
        ask(server, &format!("GET /{long}"), &[]).status,
        0 | 400 | 414 | 431
    ));
    assert!(matches!(
        ask(server, "GET /metrics", &[&format!("X: {long}")]).status,
        0 | 400 | 431
    ));
    let many: Vec<String> = (0..500).map(|number| format!("X-{number}: 1")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(matches!(ask(server, "GET /metrics", &many).status, 0 | 400 | 431));
    let mut body =
        "POST /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 40000\r\n\r\n".to_owned();
    body.push_str(&long);
    assert!(matches!(raw(server, body.as_bytes()).status, 0 | 413));
    assert!(matches!(raw(server, b"\x16\x03\x01 no HTTP\r\n\r\n").status, 0 | 400));
    assert_eq!(ask(server, "GET /healthz", &[]).status, 200);
}

#[test]
fn silent_clients_do_not_block_others() {
    let server = start(|_| {});
    let mut slow = TcpStream::connect(server.address).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHost: loc").unwrap();
    // A connection with full access stays open, however many others arrive.
    let mut known = TcpStream::connect(server.address).unwrap();
    known.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let request = format!(
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /app.js HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n",
        bearer()
    );
    known.write_all(request.as_bytes()).unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while seen.windows(8).filter(|window| window == b"HTTP/1.1").count() < 2 {
        let count = known.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..count]);
    }
    // More connections than are served at once, none of which sends a request.
    let many: Vec<TcpStream> = (0..900)
        .map_while(|_| TcpStream::connect(server.address).ok())
        .collect();
    assert!(many.len() > 600, "{}", many.len());
    assert_eq!(ask(&server, "GET /healthz", &[]).status, 200);
    known
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut rest = Vec::new();
    known.read_to_end(&mut rest).unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("HTTP/1.1 200"));
    // If the head of a request does not arrive in time, or others need the room, the server closes the connection.
    slow.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let mut rest = Vec::new();
    let closed = slow.read_to_end(&mut rest);
    assert!(closed.is_ok() || rest.is_empty(), "{closed:?}");
}

#[test]
fn changes_stream_reports_opened_and_closed_listener() {
    let server = shared();
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let request = format!(
        "GET /api/v1/changes HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n{}\r\n\r\n",
        bearer()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    // A listener that opens after the stream began is reported, and so is its closing.
    let mut listener = None;
    let mut port = String::new();
    for _ in 0..400 {
        let count = stream.read(&mut buffer).unwrap();
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        if listener.is_none() && port.is_empty() && seen.contains("\r\n\r\n") {
            std::thread::sleep(Duration::from_secs(2));
            let new = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            port = format!("\"local_port\":{}", new.local_addr().unwrap().port());
            listener = Some(new);
        }
        let told = |what: &str| seen.lines().any(|line| line.contains(what) && line.contains(&port));
        if listener.is_some() && told("\"change\":\"opened\"") {
            listener = None;
        }
        if !port.is_empty() && told("\"change\":\"closed\"") {
            return;
        }
    }
    panic!("{seen}");
}

const JSON: &str = "Content-Type: application/json";

fn post(server: &Server, path: &str, body: &str, headers: &[&str]) -> Answer {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\nContent-Length: {}\r\n",
        bearer(),
        body.len()
    );
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    raw(server, format!("{request}\r\n{body}").as_bytes())
}

#[test]
fn finding_is_acknowledged_only_after_confirmation() {
    let server = start(|options| options.allow_actions = true);
    let prepare = |id: &str| {
        let body =
            format!("{{\"action\":\"acknowledge\",\"id\":\"{id}\",\"why\":\"a known tool\",\"until\":\"2099-01-31\"}}");
        let mut prepared = post(&server, "/api/v1/actions", &body, &[JSON]);
        // Wait for the first sample.
        for _ in 0..600 {
            if prepared.status != 503 {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
            prepared = post(&server, "/api/v1/actions", &body, &[JSON]);
        }
        prepared
    };
    let done = || {
        let all = ACKNOWLEDGED.lock().unwrap();
        all.iter()
            .filter(|finding| finding.id == "00c0ffee")
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(prepare("all of them").status, 400);
    let prepared = prepare("00c0ffee").json();
    let summary = prepared["summary"].as_str().unwrap();
    assert!(
        summary.contains("00c0ffee") && summary.contains("a known tool"),
        "{summary}"
    );
    assert!(done().is_empty(), "nothing happens before it is confirmed");
    let path = format!("/api/v1/actions/{}", prepared["confirmation"].as_str().unwrap());
    assert_eq!(post(&server, &path, "{}", &[JSON]).status, 200);
    assert_eq!(post(&server, &path, "{}", &[JSON]).status, 404);
    let done = done();
    assert_eq!(done.len(), 1);
    assert_eq!(
        (&*done[0].why, done[0].until.as_deref()),
        ("a known tool", Some("2099-01-31"))
    );
    // A refusal by the audit is a conflict that states the reason.
    let prepared = prepare("ffffffff").json();
    let path = format!("/api/v1/actions/{}", prepared["confirmation"].as_str().unwrap());
    let refused = post(&server, &path, "{}", &[JSON]);
    assert!(refused.status == 409 && refused.is_problem(), "{refused:?}");
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains("no finding has this id"),
        "{refused:?}"
    );
}

#[test]
fn action_is_done_only_after_confirmation_and_once() {
    let server = start(|options| options.allow_actions = true);
    let post = |path: &str, body: &str, headers: &[&str]| post(&server, path, body, headers);
    for (body, headers, status) in [
        ("{}", &[][..], 415),
        ("{}", &["Content-Type: text/plain"][..], 415),
        ("{}", &[JSON, "Origin: http://evil.example"][..], 403),
        ("{", &[JSON][..], 400),
        ("{}", &[JSON][..], 400),
        ("{\"action\":\"close\",\"id\":\"zz\"}", &[JSON][..], 400),
        ("{\"action\":\"close\",\"id\":\"1\"}", &[JSON][..], 404),
        ("{\"action\":\"end\",\"pid\":1}", &[JSON][..], 400),
    ] {
        let answer = post("/api/v1/actions", body, headers);
        assert!(answer.status == status && answer.is_problem(), "{body}: {answer:?}");
    }
    assert_eq!(post("/api/v1/actions/made-up", "{}", &[JSON]).status, 404);
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    // Field 22 of proc_pid_stat(5); the name in parentheses is field 2.
    let start = stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap();
    let body = format!(
        "{{\"action\":\"end\",\"pid\":{},\"process_start\":{start}}}",
        child.id()
    );
    let mut prepared = post("/api/v1/actions", &body, &[JSON]);
    for _ in 0..100 {
        if prepared.status == 200 {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
        prepared = post("/api/v1/actions", &body, &[JSON]);
    }
    assert!(
        prepared.json()["summary"].as_str().unwrap().contains("(sleep)"),
        "{prepared:?}"
    );
    assert!(
        child.try_wait().unwrap().is_none(),
        "nothing happens before it is confirmed"
    );
    let path = format!("/api/v1/actions/{}", prepared.json()["confirmation"].as_str().unwrap());
    assert_eq!(post(&path, "{}", &[JSON]).status, 200);
    assert!(!child.wait().unwrap().success());
    assert_eq!(post(&path, "{}", &[JSON]).status, 404);
}
