//! Addresses of a host that the user named.

use std::net::IpAddr;
use std::sync::mpsc::channel;
use std::time::Duration;

use netstat_model::text::plain_error;

/// Why a host name has no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// The system's resolver says so; its own message.
    #[error("{0}")]
    Refused(String),
    /// No answer came in time.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
}

/// The addresses of `name`, by the system's own resolver (hosts file, name server, as the administrator has arranged it); each
/// once. May send queries to a name server.
///
/// # Errors
/// When there are none, or none within `deadline`.
pub fn addresses(name: &str, deadline: Duration) -> Result<Vec<IpAddr>, NotFound> {
    let (sender, receiver) = channel();
    let host = name.to_owned();
    // The resolver knows no deadline of ours, so it may go on alone.
    let asked = std::thread::Builder::new().name("lookup".into()).spawn(move || {
        let found = dns_lookup::lookup_host(&host).map(|found| found.collect::<Vec<IpAddr>>());
        let _ = sender.send(found);
    });
    if let Err(error) = asked {
        return Err(NotFound::Refused(plain_error(&error)));
    }
    match receiver.recv_timeout(deadline) {
        Ok(Ok(mut found)) => {
            found.sort_unstable();
            found.dedup();
            Ok(found)
        }
        Ok(Err(error)) => Err(NotFound::Refused(plain_error(&error))),
        Err(_) => Err(NotFound::TimedOut(deadline)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_its_own() {
        let found = addresses("127.0.0.1", Duration::from_secs(5));
        assert_eq!(found, Ok(vec!["127.0.0.1".parse().unwrap()]));
    }
}
