//! The address of a fleet's database: `clickhouse://HOST[:PORT]/DATABASE`.

use std::fmt;
use std::str::FromStr;

/// The default port of ClickHouse's HTTP interface.
const PORT: u16 = 8123;
/// The default port with TLS.
const TLS_PORT: u16 = 8443;
/// The default name of the database.
const DATABASE: &str = "netstat";

/// The address of a fleet's database. Never contains a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The host name or IP address; IPv6 addresses are in brackets.
    pub host: String,
    /// The port of the HTTP interface.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The name of the database: letters, digits and `_`.
    pub database: String,
    /// The user, if one is specified.
    pub user: Option<String>,
}

/// The reason why an address is invalid, worded as the end of a sentence about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// The scheme is not supported.
    #[error("does not begin with clickhouse://, clickhouses://, http:// or https://")]
    Scheme,
    /// It contains a password.
    #[error("holds a password, which every process could read; write it into the fleet's configuration file")]
    Password,
    /// The host is missing.
    #[error("names no host")]
    Host,
    /// The port is invalid.
    #[error("has a port that is not a number from 1 to 65535")]
    Port,
    /// The name of the database is invalid.
    #[error("names a database with characters other than letters, digits and _")]
    Database,
}

impl Address {
    /// Whether `text` is meant as the address of a fleet's database and not as the path of a file.
    pub fn is_meant(text: &str) -> bool {
        ["clickhouse:", "clickhouses:", "http://", "https://"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
    }

    /// Returns the URL of the HTTP interface.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}:{}/", self.host, self.port)
    }
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Address, BadAddress> {
        let (scheme, rest) = text.split_once("://").ok_or(BadAddress::Scheme)?;
        let tls = match scheme {
            "clickhouse" | "http" => false,
            "clickhouses" | "https" => true,
            _ => return Err(BadAddress::Scheme),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => return Err(BadAddress::Password),
            Some((user, place)) => (Some(user.to_owned()).filter(|user| !user.is_empty()), place),
            None => (None, authority),
        };
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, rest)) => {
                let _: std::net::Ipv6Addr = address.parse().map_err(|_| BadAddress::Host)?;
                (format!("[{address}]"), rest.strip_prefix(':'))
            }
            None => match place.split_once(':') {
                Some((host, port)) => (host.to_owned(), Some(port)),
                None => (place.to_owned(), None),
            },
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(BadAddress::Host);
        }
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(BadAddress::Port)?,
            None if tls => TLS_PORT,
            None => PORT,
        };
        let database = match path.trim_end_matches('/') {
            "" => DATABASE,
            database => database,
        };
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !database.bytes().all(letter) || database.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(BadAddress::Database);
        }
        Ok(Address {
            host,
            port,
            tls,
            database: database.to_owned(),
            user,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "clickhouses" } else { "clickhouse" };
        write!(f, "{scheme}://{}:{}/{}", self.host, self.port, self.database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_parts_have_their_defaults() {
        for (text, shown) in [
            ("clickhouse://ch", "clickhouse://ch:8123/netstat"),
            ("clickhouse://ann@ch:9/x_1", "clickhouse://ch:9/x_1"),
            ("https://ch.example.net/", "clickhouses://ch.example.net:8443/netstat"),
            ("http://[::1]:8123/flows", "clickhouse://[::1]:8123/flows"),
        ] {
            assert_eq!(
                text.parse::<Address>().map(|address| address.to_string()),
                Ok(shown.to_owned())
            );
        }
        assert_eq!(
            "clickhouse://ann@ch".parse::<Address>().unwrap().user.as_deref(),
            Some("ann")
        );
    }

    #[test]
    fn address_that_cannot_be_used_is_refused_with_its_reason() {
        for (text, why) in [
            ("ch:8123", BadAddress::Scheme),
            ("ftp://ch/x", BadAddress::Scheme),
            ("clickhouse://ann:secret@ch/x", BadAddress::Password),
            ("clickhouse:///x", BadAddress::Host),
            ("clickhouse://a b/x", BadAddress::Host),
            ("clickhouse://ch:0/x", BadAddress::Port),
            ("clickhouse://ch:http/x", BadAddress::Port),
            ("clickhouse://ch/x;DROP", BadAddress::Database),
            ("clickhouse://ch/1x", BadAddress::Database),
        ] {
            assert_eq!(text.parse::<Address>(), Err(why), "{text}");
        }
    }
}
