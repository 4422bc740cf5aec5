//! How the client takes what an engine, or something that is none, may answer: by an HTTP server in this process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use netstat_fleet::{Address, Client, EngineError, FleetConfig, FleetStore, Insert, Retry};
use netstat_record::{FlowStore, Question, StoreError};

/// Head and body of each request.
type Requests = Receiver<(String, Vec<u8>)>;

/// A server that gives these answers, one a request, and then no more. What it was asked goes to the receiver: head and body.
fn server(answers: Vec<Vec<u8>>) -> (Address, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!(
        "clickhouse://ann@127.0.0.1:{}/netstat",
        listener.local_addr().unwrap().port()
    );
    let (asked, requests) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let request = request(&stream);
            let _ = asked.send(request);
            let _ = stream.write_all(&answer);
        }
    });
    (address.parse().unwrap(), requests)
}

fn request(stream: &TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    (head, body)
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn refusal(status: &str, code: u32, text: &str) -> Vec<u8> {
    answer(
        status,
        &format!("X-ClickHouse-Exception-Code: {code}\r\n"),
        text.as_bytes(),
    )
}

fn config() -> FleetConfig {
    FleetConfig {
        password: Some("secret".to_owned()),
        ..FleetConfig::default()
    }
}

fn insert(answers: Vec<Vec<u8>>) -> (Result<(), EngineError>, Requests) {
    let (address, requests) = server(answers);
    let client = Client::new(&address, &config()).unwrap();
    let insert = Insert {
        table: "flow",
        body: b"rows",
        token: "host-store-1",
    };
    (client.insert(&insert), requests)
}

#[test]
fn insert_carries_token_and_credentials_in_headers_only() {
    let (inserted, requests) = insert(vec![answer("200 OK", "", b"")]);
    assert_eq!(inserted, Ok(()));
    let (head, body) = requests.recv().unwrap();
    let first = head.lines().next().unwrap();
    assert!(first.contains("insert_deduplication_token=host-store-1"), "{first}");
    assert!(first.contains("distributed_foreground_insert=1"), "{first}");
    assert!(!first.contains("secret") && !first.contains("ann"), "{first}");
    // RFC 7617: base64 of ann:secret.
    assert!(
        head.to_ascii_lowercase()
            .contains("authorization: basic yw5uonnly3jlda=="),
        "{head}"
    );
    assert_eq!(body, b"rows");
}

#[test]
fn insert_each_refusal_has_its_class() {
    for (status, code, retry, said) in [
        ("500 Internal Server Error", 252, Retry::Soon, "too many parts"),
        ("500 Internal Server Error", 279, Retry::Soon, "a shard did not answer"),
        ("404 Not Found", 60, Retry::AfterChange, "no such table"),
        (
            "403 Forbidden",
            516,
            Retry::AfterChange,
            "user name or password refused",
        ),
        ("500 Internal Server Error", 497, Retry::AfterChange, "may not do this"),
        ("400 Bad Request", 27, Retry::Never, "the engine refused"),
    ] {
        let (inserted, _requests) = insert(vec![refusal(
            status,
            code,
            "Code: 1. DB::Exception: Words. (NAME) (version 26.7)",
        )]);
        let error = inserted.unwrap_err();
        assert_eq!(error.retry(), retry, "{code}");
        let text = error.to_string();
        assert!(
            text.contains(said) && text.ends_with(&format!("(error {code}: Words. (NAME))")),
            "{text}"
        );
    }
}

#[test]
fn insert_refusal_with_status_200_is_a_refusal() {
    let (inserted, _requests) = insert(vec![refusal("200 OK", 241, "Code: 241. DB::Exception: Memory")]);
    assert!(
        matches!(inserted, Err(EngineError::Refused { code: 241, .. })),
        "{inserted:?}"
    );
}

#[test]
fn insert_where_nobody_answers_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let client = Client::new(&format!("clickhouse://127.0.0.1:{port}").parse().unwrap(), &config()).unwrap();
    let insert = Insert {
        table: "flow",
        body: b"",
        token: "t",
    };
    assert_eq!(client.insert(&insert).unwrap_err().retry(), Retry::Soon);
    // A connection that ends without an answer.
    let (inserted, _requests) = self::insert(vec![Vec::new()]);
    assert_eq!(inserted.unwrap_err().retry(), Retry::Soon);
}

#[test]
fn version_of_something_else_is_named() {
    let version = |answers| {
        let (address, _requests) = server(answers);
        Client::new(&address, &config()).unwrap().version()
    };
    assert_eq!(
        version(vec![answer("200 OK", "", b"26.7.2.1\n")]),
        Ok("26.7.2.1".to_owned())
    );
    let old = version(vec![answer("200 OK", "", b"23.3.1.1\n")]).unwrap_err();
    assert!(
        old.to_string().contains("23.3.1.1") && old.to_string().contains("24.8"),
        "{old}"
    );
    for other in [
        answer("200 OK", "", b"<html>hello</html>"),
        answer("404 Not Found", "", b"nothing"),
    ] {
        let error = version(vec![other]).unwrap_err();
        assert!(matches!(error, EngineError::NotClickHouse(_)), "{error:?}");
    }
}

#[test]
fn answer_without_the_rows_that_the_engine_had_is_an_error() {
    let text = |headers: &str| {
        let (address, _requests) = server(vec![answer("200 OK", headers, b"")]);
        Client::new(&address, &config()).unwrap().text("SELECT 1")
    };
    let summary = |rows: u32| format!("X-ClickHouse-Summary: {{\"read_rows\":\"1\",\"result_rows\":\"{rows}\"}}\r\n");
    assert_eq!(text(""), Ok(String::new()));
    assert_eq!(text(&summary(0)), Ok(String::new()));
    let cut = text(&summary(1)).unwrap_err();
    assert!(matches!(cut, EngineError::Truncated(_)), "{cut:?}");
    assert_eq!(cut.retry(), Retry::Soon);
}

#[test]
fn open_tables_of_another_version_are_named() {
    let open = |schema: Vec<u8>| {
        let (address, _requests) = server(vec![answer("200 OK", "", b"26.7.2.1\n"), schema]);
        FleetStore::open(Client::new(&address, &config()).unwrap()).map(drop)
    };
    assert_eq!(
        open(refusal("404 Not Found", 60, "Code: 60.")),
        Err(EngineError::NoSchema)
    );
    assert_eq!(
        open(refusal("404 Not Found", 81, "Code: 81.")),
        Err(EngineError::NoSchema)
    );
    // Later versions only add.
    assert_eq!(open(answer("200 OK", "", b"7\n")), Ok(()));
}

/// Asks for flows where the answer is `last`.
fn flows(last: Vec<u8>) -> Result<usize, StoreError> {
    let (address, _requests) = server(vec![
        answer("200 OK", "", b"26.7.2.1\n"),
        answer("200 OK", "", format!("{}\n", netstat_fleet::ddl::VERSION).as_bytes()),
        last,
    ]);
    let mut store = FleetStore::open(Client::new(&address, &config()).unwrap()).unwrap();
    let mut count = 0;
    store.flows(&Question::default(), &mut |_| {
        count += 1;
        std::ops::ControlFlow::Continue(())
    })?;
    Ok(count)
}

#[test]
fn flows_answer_that_ends_in_the_middle_with_status_200_is_an_error() {
    assert_eq!(flows(answer("200 OK", "", b"")).unwrap(), 0);
    let cut = flows(answer("200 OK", "", &[1; 20])).unwrap_err().to_string();
    assert!(cut.contains("ended in the middle"), "{cut}");
    // The connection breaks before all that was announced has come.
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n".to_vec();
    assert!(flows(short).unwrap_err().to_string().contains("ended in the middle"));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc".to_vec();
    assert!(flows(chunked).unwrap_err().to_string().contains("ended in the middle"));
    let body = b"\r\n__exception__\r\ntag12345\r\nCode: 241. DB::Exception: Memory limit exceeded. (MEMORY)\r\n50 tag12345\r\n__exception__\r\n";
    let told = flows(answer("200 OK", "X-ClickHouse-Exception-Tag: tag12345\r\n", body))
        .unwrap_err()
        .to_string();
    assert!(told.contains("Memory limit exceeded"), "{told}");
}

#[test]
fn request_with_tls_to_a_server_without_is_an_error_of_tls_or_the_connection() {
    let (address, _requests) = server(vec![answer("400 Bad Request", "", b"")]);
    let address = Address { tls: true, ..address };
    let error = Client::new(&address, &config()).unwrap().version().unwrap_err();
    assert!(
        matches!(error, EngineError::Tls(_) | EngineError::Unreachable(_)),
        "{error:?}"
    );
}
