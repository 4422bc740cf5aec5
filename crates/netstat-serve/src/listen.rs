//! Where it listens: an address, a socket in the file system, or what systemd hands over.

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

/// The address that is used where none is given: 9117 on loopback.
pub const DEFAULT: &str = "127.0.0.1:9117";

/// One place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A TCP address.
    Address(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
    /// All sockets that the service manager hands over (`LISTEN_FDS` of sd_listen_fds(3)).
    Inherited,
}

/// A text that is no place to listen at.
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
        // `:9117` is every address, as Prometheus and its exporters write it.
        if let Some(port) = text.strip_prefix(':') {
            let port = port.parse().map_err(|_| ListenError)?;
            return Ok(Listen::Address(SocketAddr::new(IpAddr::from([0; 16]), port)));
        }
        if let Ok(address) = text.parse() {
            return Ok(Listen::Address(address));
        }
        // Of names only this one: others may come to mean another address.
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
    fn places_are_read_and_others_refused() {
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
