//! TLS to the engine: the authority that is trusted, the certificate of this computer, and what does not fit, in one sentence each.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use netstat_fleet::{Client, EngineError, FleetConfig, Retry};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// An authority, and certificates that it has signed: of a server for `localhost` and `127.0.0.1`, and of a client.
fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../netstat-serve/tests/certificates")
        .join(name)
}

fn server_config(asks_for_certificate: bool) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match asks_for_certificate {
        false => builder.with_no_client_auth(),
        true => {
            let mut roots = RootCertStore::empty();
            let authority = CertificateDer::from_pem_file(certificate("ca.crt")).unwrap();
            roots.add(authority).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let own = CertificateDer::from_pem_file(certificate("server.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(certificate("server.key")).unwrap();
    Arc::new(builder.with_single_cert(vec![own], key).unwrap())
}

/// A server that says over TLS that it is ClickHouse 26.7. Gives its port.
fn server(asks_for_certificate: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = server_config(asks_for_certificate);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
            // The whole request, with its short body.
            while !seen.ends_with(b"FORMAT TSVRaw") {
                match stream.read(&mut buffer) {
                    Ok(count) if count > 0 => seen.extend_from_slice(&buffer[..count]),
                    _ => break,
                }
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\n26.7.2.1\n");
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    port
}

fn version(port: u16, host: &str, config: &FleetConfig) -> Result<String, EngineError> {
    let address = format!("clickhouses://{host}:{port}/netstat").parse().unwrap();
    Client::new(&address, config)?.version()
}

fn with_authority() -> FleetConfig {
    FleetConfig {
        ca: Some(certificate("ca.crt")),
        ..FleetConfig::default()
    }
}

fn with_certificate(certificate_name: &str, key: &str) -> FleetConfig {
    FleetConfig {
        certificate: Some(certificate(certificate_name)),
        key: Some(certificate(key)),
        ..with_authority()
    }
}

/// That it is a fault of TLS, in one line with these words, after which the rows are kept.
#[track_caller]
fn assert_tls(result: Result<String, EngineError>, words: &[&str]) {
    let error = result.unwrap_err();
    assert!(matches!(error, EngineError::Tls(_)), "{error:?}");
    assert_eq!(error.retry(), Retry::AfterChange);
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    for word in words {
        assert!(text.contains(word), "{word}: {text}");
    }
}

#[test]
fn engine_with_a_certificate_of_the_given_authority_is_trusted() {
    let port = server(false);
    assert_eq!(version(port, "127.0.0.1", &with_authority()), Ok("26.7.2.1".to_owned()));
    assert_eq!(version(port, "localhost", &with_authority()), Ok("26.7.2.1".to_owned()));
}

#[test]
fn engine_with_a_certificate_of_another_authority_is_refused() {
    assert_tls(
        version(server(false), "127.0.0.1", &FleetConfig::default()),
        &["certificate"],
    );
}

#[test]
fn engine_with_a_certificate_for_another_name_is_refused() {
    // All of 127.0.0.0/8 is this computer; the certificate names 127.0.0.1.
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = server_config(false);
    std::thread::spawn(move || {
        let Ok((stream, _)) = listener.accept() else { return };
        let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
        let _ = stream.read(&mut [0; 16]);
    });
    assert_tls(version(port, "127.0.0.2", &with_authority()), &["certificate"]);
}

#[test]
fn engine_that_asks_for_a_certificate_gets_that_of_this_computer() {
    let port = server(true);
    let config = with_certificate("client.crt", "client.key");
    assert_eq!(version(port, "127.0.0.1", &config), Ok("26.7.2.1".to_owned()));
}

#[test]
fn engine_that_asks_for_a_certificate_refuses_who_has_none() {
    assert_tls(
        version(server(true), "127.0.0.1", &with_authority()),
        &["asks for a certificate", "`key`"],
    );
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "nothing\n").unwrap();
    let authority = |path: &Path| FleetConfig {
        ca: Some(path.to_owned()),
        ..FleetConfig::default()
    };
    assert_tls(version(1, "127.0.0.1", &authority(&empty)), &["empty.pem"]);
    assert_tls(
        version(1, "127.0.0.1", &authority(Path::new("/nonexistent/ca.pem"))),
        &["/nonexistent/ca.pem"],
    );
    assert_tls(
        version(1, "127.0.0.1", &with_certificate("client.crt", "client.crt")),
        &["client.crt"],
    );
    // The key of another certificate.
    assert_tls(
        version(server(true), "127.0.0.1", &with_certificate("client.crt", "server.key")),
        &["client.crt", "the key does not fit"],
    );
}
