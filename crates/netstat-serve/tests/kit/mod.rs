//! A test server with synthetic documents, and clients for it.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use netstat_serve::{
    Acknowledgement, Event, Format, Options, Parameter, ParameterKind, Provider, Question, Refusal, Resource, Token,
    serve,
};
use serde_json::{Value, json};

pub(crate) const TOKEN: &str = "token-of-the-tests";

/// A provider that answers with the question itself.
pub(crate) struct Echo;

/// The acknowledgements received by any server of this test program.
pub(crate) static ACKNOWLEDGED: Mutex<Vec<Acknowledgement>> = Mutex::new(Vec::new());

impl Provider for Echo {
    fn resources(&self) -> Vec<Resource> {
        let parameter = |name: &str, kind| Parameter {
            name: name.to_owned(),
            about: format!("the {name}"),
            kind,
            required: false,
        };
        vec![Resource {
            name: "sockets",
            about: "an echo".to_owned(),
            parameters: vec![
                parameter("port", ParameterKind::Text),
                parameter("listening", ParameterKind::Flag),
            ],
            schema: json!({"title": "netstat.sockets", "type": "object"}),
            line_schema: None,
            rows: true,
            keep_millis: 60_000,
        }]
    }

    fn answer(&self, question: &Question) -> Result<Vec<u8>, Refusal> {
        assert_eq!(question.format, Format::Json);
        if question.parameters.iter().any(|(_, value)| value == "wrong") {
            return Err(Refusal::Usage("--port \"wrong\" is no port".to_owned()));
        }
        let rows: Vec<String> = (0..5).map(|number| format!("{{\"a\":{number}}}")).collect();
        Ok(format!(
            "{{\"time\":\"2026-01-01T00:00:00Z\",\"rows\":[\n{}\n],\"limits\":[]}}\n",
            rows.join(",\n")
        )
        .into())
    }

    fn acknowledge(&self, finding: &Acknowledgement) -> Result<(), Refusal> {
        if finding.id == "ffffffff" {
            return Err(Refusal::Failed("no finding has this id now".to_owned()));
        }
        ACKNOWLEDGED.lock().unwrap().push(finding.clone());
        Ok(())
    }
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) unix: PathBuf,
    pub(crate) directory: tempfile::TempDir,
}

pub(crate) fn start(change: impl FnOnce(&mut Options)) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let unix = directory.path().join("serve.sock");
    let mut options = Options {
        listen: vec![
            "127.0.0.1:0".parse().unwrap(),
            format!("unix:{}", unix.display()).parse().unwrap(),
        ],
        token: Token::chosen(TOKEN).unwrap(),
        web_config: None,
        hosts: vec!["server.example".to_owned()],
        insecure: false,
        allow_actions: false,
        interval: Duration::from_millis(200),
        programs: 10,
        audit_every: None,
        otlp: None,
        version: "0.0.0".to_owned(),
    };
    change(&mut options);
    let (tell, started) = mpsc::channel();
    std::thread::spawn(move || {
        let report = move |event: Event| {
            if let Event::Started { addresses, .. } = event {
                let _ = tell.send(addresses[0]);
            }
        };
        serve(
            options,
            Box::new(netstat_os::Native::default()),
            Arc::new(Echo),
            Arc::new(report),
        )
        .unwrap();
    });
    Server {
        address: started.recv_timeout(Duration::from_secs(60)).unwrap(),
        unix,
        directory,
    }
}

/// Returns the server that most tests share.
pub(crate) fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| start(|_| {}))
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Whether the answer is a problem document (RFC 9457) with the same status.
    pub(crate) fn is_problem(&self) -> bool {
        self.header("content-type") == Some("application/problem+json")
            && self.json()["status"] == self.status
            && self.json()["detail"].as_str().is_some_and(|detail| !detail.is_empty())
    }
}

pub(crate) fn exchange(stream: &mut (impl Read + Write), request: &[u8]) -> Answer {
    let _ = stream.write_all(request);
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Answer {
        status: head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

pub(crate) fn raw(server: &Server, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    exchange(&mut stream, request)
}

pub(crate) fn ask(server: &Server, line: &str, headers: &[&str]) -> Answer {
    let mut request = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|header| header.starts_with("Host:")) {
        request.push_str("Host: localhost\r\n");
    }
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    raw(server, request.as_bytes())
}

pub(crate) fn bearer() -> String {
    format!("Authorization: Bearer {TOKEN}")
}
