//! Looks up the addresses of a host name that the user gave.

use std::net::IpAddr;
use std::sync::mpsc::channel;
use std::time::Duration;

use netstat_model::text::plain_error;

/// Why a host name could not be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// The system's resolver reported an error; this is its message.
    #[error("{0}")]
    Refused(String),
    /// No answer arrived within this time.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
}

/// Returns the distinct addresses of `name`, as found by the system's own resolver (hosts file, name servers, whatever
/// the administrator configured). May send queries to a name server.
///
/// # Errors
/// Fails if there are no addresses, or if no answer arrives within `deadline`.
pub fn addresses(name: &str, deadline: Duration) -> Result<Vec<IpAddr>, NotFound> {
    let (sender, receiver) = channel();
    let host = name.to_owned();
    // The resolver has no deadline, so the thread may outlive this call.
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
    fn forward_lookup_of_address_returns_that_address() {
        let found = addresses("127.0.0.1", Duration::from_secs(5));
        assert_eq!(found, Ok(vec!["127.0.0.1".parse().unwrap()]));
    }
}
