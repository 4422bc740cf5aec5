//! Tests TLS and the users of a web configuration over real connections.
#![cfg(target_os = "linux")]

mod kit;

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use kit::{Answer, Server, TOKEN, exchange, raw, start};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

const PASSWORD: &str = "correct horse: battery";

fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/certificates")
        .join(name)
}

/// Creates a directory with a web configuration and the server's certificate.
fn web_config(tls: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (from, to) in [
        ("server.crt", "web.crt"),
        ("server.key", "web.key"),
        ("ca.crt", "ca.crt"),
    ] {
        fs::copy(certificate(from), directory.path().join(to)).unwrap();
    }
    let hash = bcrypt::hash(PASSWORD, 4).unwrap();
    let text = format!(
        "tls_server_config:\n  cert_file: web.crt\n  key_file: web.key\n{tls}basic_auth_users:\n  alice: {hash}\n"
    );
    fs::write(directory.path().join("web.yml"), text).unwrap();
    directory
}

fn serve_with(directory: &tempfile::TempDir) -> Server {
    start(|options| options.web_config = Some(directory.path().join("web.yml")))
}

fn client(versions: &[&'static SupportedProtocolVersion], own: Option<&str>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(certificate("ca.crt")).unwrap())
        .unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match own {
        None => builder.with_no_client_auth(),
        Some(name) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_file(certificate(&format!("{name}.crt"))).unwrap()],
                PrivateKeyDer::from_pem_file(certificate(&format!("{name}.key"))).unwrap(),
            )
            .unwrap(),
    })
}

fn connect(server: &Server, config: Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    StreamOwned::new(ClientConnection::new(config, name).unwrap(), stream)
}

/// Returns the answer to a request over TLS; status 0 if there is none.
fn get(server: &Server, config: &Arc<ClientConfig>, path: &str, headers: &[&str]) -> Answer {
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    exchange(&mut connect(server, Arc::clone(config)), request.as_bytes())
}

fn basic(user: &str, password: &str) -> String {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {pair}")
}

#[test]
fn tls_access_needs_valid_password_or_token() {
    let directory = web_config("");
    let server = serve_with(&directory);
    for versions in [&[&TLS13][..], &[&TLS12][..]] {
        let config = client(versions, None);
        for (headers, path, status) in [
            (vec![basic("alice", PASSWORD)], "/api/v1/sockets", 200),
            (vec![basic("alice", PASSWORD)], "/metrics", 200),
            (vec![format!("Authorization: Bearer {TOKEN}")], "/api/v1/sockets", 200),
            (vec![basic("alice", "wrong")], "/api/v1/sockets", 401),
            (vec![basic("bob", PASSWORD)], "/api/v1/sockets", 401),
            (vec!["Authorization: Basic !".to_owned()], "/api/v1/sockets", 401),
            (vec![], "/api/v1/sockets", 401),
            // If there are users, the metrics require one as well.
            (vec![], "/metrics", 401),
            (vec![], "/healthz", 200),
        ] {
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            let answer = get(&server, &config, path, &headers);
            // The first sample may take long on a busy machine.
            let busy = path == "/metrics" && status == 200 && answer.status == 503;
            assert!(busy || answer.status == status, "{path} {headers:?}: {answer:?}");
            if status == 401 {
                assert!(answer.header("www-authenticate").unwrap().starts_with("Basic "));
            }
        }
    }
    let opened = get(&server, &client(&[&TLS13], None), &format!("/?token={TOKEN}"), &[]);
    let cookie = opened.header("set-cookie").unwrap();
    assert!(cookie.contains("; Secure"), "{cookie}");
}

#[test]
fn plain_http_on_tls_port_gets_no_answer() {
    let directory = web_config("");
    let server = serve_with(&directory);
    let answer = raw(&server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(answer.status, 0, "{answer:?}");
    assert_eq!(get(&server, &client(&[&TLS13], None), "/healthz", &[]).status, 200);
}

#[test]
fn tls_version_below_minimum_is_refused() {
    let directory = web_config("  min_version: TLS13\n");
    let server = serve_with(&directory);
    assert_eq!(get(&server, &client(&[&TLS12], None), "/healthz", &[]).status, 0);
    assert_eq!(get(&server, &client(&[&TLS13], None), "/healthz", &[]).status, 200);
}

#[test]
fn tls_client_without_required_certificate_is_refused() {
    let directory = web_config("  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n");
    let server = serve_with(&directory);
    assert_eq!(get(&server, &client(&[&TLS13], None), "/healthz", &[]).status, 0);
    // A certificate that is not meant for clients.
    assert_eq!(
        get(&server, &client(&[&TLS13], Some("server")), "/healthz", &[]).status,
        0
    );
    let config = client(&[&TLS13], Some("client"));
    assert_eq!(get(&server, &config, "/healthz", &[]).status, 200);
    // A certificate permits the connection; access still requires a user.
    assert_eq!(get(&server, &config, "/api/v1/sockets", &[]).status, 401);
}

#[test]
fn renewed_certificate_and_users_are_used_without_restart() {
    let directory = web_config("");
    let server = serve_with(&directory);
    let config = client(&[&TLS13], None);
    let presented = || {
        let mut stream = connect(&server, Arc::clone(&config));
        assert_eq!(
            exchange(
                &mut stream,
                b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            .status,
            200
        );
        stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
    };
    let first = presented();
    for kind in ["crt", "key"] {
        fs::copy(
            certificate(&format!("renewed.{kind}")),
            directory.path().join(format!("web.{kind}")),
        )
        .unwrap();
    }
    let path = directory.path().join("web.yml");
    let text = fs::read_to_string(&path).unwrap().replace("alice", "carol");
    fs::write(&path, text + "# changed\n").unwrap();
    for attempt in 0.. {
        assert!(attempt < 600, "the certificate was not read again");
        if presented() != first {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let ask = |user| get(&server, &config, "/api/v1/sockets", &[&basic(user, PASSWORD)]).status;
    assert_eq!((ask("carol"), ask("alice")), (200, 401));
    // A configuration that cannot be used changes nothing.
    fs::write(&path, "tls_server_config: {}\n").unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    presented();
    assert_eq!((ask("carol"), ask("alice")), (200, 401));
}
