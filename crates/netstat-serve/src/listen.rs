//! The endpoints that the server listens on: addresses, Unix sockets, and sockets passed by systemd.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

/// The default address: port 9117 on loopback.
pub const DEFAULT: &str = "127.0.0.1:9117";

/// An endpoint to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address.
    Address(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// All sockets that the service manager passes (`LISTEN_FDS` of sd_listen_fds(3)).
    Inherited,
}

/// The error for a text that is not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ADDRESS:PORT, unix:PATH or fd is expected")]
pub struct ListenError;

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        if text == "fd" {
            return Ok(Listen::Inherited);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.is_empty() {
                true => Err(ListenError),
                false => Ok(Listen::Unix(path.into())),
            };
        }
        // `:9117` means every address, as in Prometheus and its exporters.
        if let Some(port) = text.strip_prefix(':') {
            let port = port.parse().map_err(|_| ListenError)?;
            return Ok(Listen::Address(SocketAddr::new(IpAddr::from([0; 16]), port)));
        }
        if let Ok(address) = text.parse() {
            return Ok(Listen::Address(address));
        }
        // No other host names are accepted, since their addresses may change.
        let port = text.strip_prefix("localhost:").ok_or(ListenError)?;
        let port: u16 = port.parse().map_err(|_| ListenError)?;
        let mut found = ("localhost", port).to_socket_addrs().map_err(|_| ListenError)?;
        found
            .find(|address| address.ip().is_loopback())
            .map(Listen::Address)
            .ok_or(ListenError)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Address(address) => address.fmt(f),
            Listen::Unix(path) => write!(f, "unix:{}", path.display()),
            Listen::Inherited => f.write_str("fd"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses_are_read_and_malformed_ones_refused() {
        for (text, listen) in [
            ("127.0.0.1:9117", Some("127.0.0.1:9117")),
            ("[::1]:80", Some("[::1]:80")),
            (":9117", Some("[::]:9117")),
            ("unix:/run/netstat/serve.sock", Some("unix:/run/netstat/serve.sock")),
            ("fd", Some("fd")),
            ("localhost:1", Some("127.0.0.1:1")),
            ("unix:", None),
            ("9117", None),
            ("example.org:80", None),
            ("127.0.0.1:70000", None),
        ] {
            let read = text.parse::<Listen>().ok().map(|listen| listen.to_string());
            if text.starts_with("localhost") {
                assert!(read.is_some(), "{text}");
            } else {
                assert_eq!(read.as_deref(), listen, "{text}");
            }
        }
    }
}
