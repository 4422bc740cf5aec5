//! The interface to resolvers, and the system's own resolver.

use std::net::IpAddr;

use dns_lookup::LookupErrorKind;

/// The answer of a resolver about an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The name, exactly as received; [`HostName`](crate::HostName) validates it.
    Name(Vec<u8>),
    /// The address has no name.
    NotFound,
    /// The question could not be answered: there is no name server, the server failed, or the answer is invalid.
    Failed,
}

/// Looks up the name of an address. Called on separate threads, several in parallel, and allowed to block.
pub trait Resolver: Send + Sync {
    /// Returns the name of `address`, which is never IPv4-mapped.
    fn name_of(&self, address: IpAddr) -> Answer;
}

impl<F: Fn(IpAddr) -> Answer + Send + Sync> Resolver for F {
    fn name_of(&self, address: IpAddr) -> Answer {
        self(address)
    }
}

/// The system's own resolver, getnameinfo(3): hosts files, name servers, and any other source listed in
/// nsswitch.conf(5).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn name_of(&self, address: IpAddr) -> Answer {
        // The call uses NI_NAMEREQD, so that an address without a name should be an error. A numeric text is not a name
        // in any case.
        match dns_lookup::lookup_addr(&address) {
            Ok(name) if is_numeric(&name) => Answer::NotFound,
            Ok(name) => Answer::Name(name.into_bytes()),
            Err(error) => match error.kind() {
                LookupErrorKind::NoName | LookupErrorKind::NoData => Answer::NotFound,
                // Includes names that are not UTF-8, which the library reports as I/O errors.
                _ => Answer::Failed,
            },
        }
    }
}

/// Whether `name` is an address in text form, with or without a scope (RFC 4007, 11.2).
fn is_numeric(name: &str) -> bool {
    let bare = name.split('%').next().unwrap_or_default();
    bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_address_is_told_from_host_name() {
        assert!(is_numeric("192.0.2.1") && is_numeric("::1") && is_numeric("fe80::1%eth0"));
        assert!(!is_numeric("host.example") && !is_numeric("1.example") && !is_numeric(""));
    }
}
