//! The one question that is put to a resolver, and the system's own way to answer it.

use std::net::IpAddr;

use dns_lookup::LookupErrorKind;

/// What a resolver says about one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A name, as it came; see [`HostName`](crate::HostName) for what is made of it.
    Name(Vec<u8>),
    /// There is no name for the address.
    NotFound,
    /// The question could not be answered: no name server, a server in trouble, an answer that makes no sense.
    Failed,
}

/// Finds the name of an address. Called on threads of its own, several at a time, and may block for as long as it likes.
pub trait Resolver: Send + Sync {
    /// The name of `address`, which is never an IPv4-mapped one.
    fn name_of(&self, address: IpAddr) -> Answer;
}

impl<F: Fn(IpAddr) -> Answer + Send + Sync> Resolver for F {
    fn name_of(&self, address: IpAddr) -> Answer {
        self(address)
    }
}

/// The system's own resolver, getnameinfo(3): hosts, name servers and whatever else nsswitch.conf(5) names.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn name_of(&self, address: IpAddr) -> Answer {
        // Asked with NI_NAMEREQD, so an address without a name should be an error; a numeric text is not a name in any case.
        match dns_lookup::lookup_addr(&address) {
            Ok(name) if is_numeric(&name) => Answer::NotFound,
            Ok(name) => Answer::Name(name.into_bytes()),
            Err(error) => match error.kind() {
                LookupErrorKind::NoName | LookupErrorKind::NoData => Answer::NotFound,
                // Also a name that is no UTF-8, which the library reports as an I/O error.
                _ => Answer::Failed,
            },
        }
    }
}

/// Whether `name` is an address in text, with or without a scope (RFC 4007, 11.2).
fn is_numeric(name: &str) -> bool {
    let bare = name.split('%').next().unwrap_or_default();
    bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_no_names() {
        assert!(is_numeric("192.0.2.1") && is_numeric("::1") && is_numeric("fe80::1%eth0"));
        assert!(!is_numeric("host.example") && !is_numeric("1.example") && !is_numeric(""));
    }
}
