//! Names in place of numbers for the foreign address of a row.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use netstat_model::{Endpoint, Protocol};

use crate::{HostName, Lookup, ReverseDns, Services, Summary, askable};

/// How much of a host name is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostStyle {
    /// The part before the first dot.
    FirstLabel,
    /// The whole name.
    Full,
}

/// The names of an endpoint; `None` if the number is to be shown. Both names are safe to print, contain no spaces,
/// colons or brackets, and cannot be mistaken for an address or a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign<'a> {
    /// The host name in the requested style.
    pub host: Option<&'a str>,
    /// The service name of the port.
    pub service: Option<&'a str>,
}

/// The names for the foreign addresses of a listing.
#[derive(Debug)]
pub struct Names {
    computer: Option<HostName>,
    own: HashSet<(IpAddr, u32)>,
    style: HostStyle,
    services: Services,
    dns: ReverseDns,
    /// The names of peers, in the form in which they are shown.
    peers: HashMap<IpAddr, Box<str>>,
    /// The names that were looked up on this computer. They say more than the names that the owners of addresses chose.
    asked: HashMap<IpAddr, HostName>,
}

impl Names {
    /// Creates the names for a listing.
    ///
    /// `computer` is the computer's own name as reported by the system; it is not shown if it is not a valid host name.
    /// `own` contains the computer's own addresses with the index of their interface, which matters for link-local
    /// addresses only. Loopback addresses and the unspecified addresses ("this host", RFC 1122, 3.2.1.3) are always its
    /// own.
    pub fn new(
        computer: &[u8],
        own: impl IntoIterator<Item = (IpAddr, u32)>,
        style: HostStyle,
        services: Services,
        dns: ReverseDns,
    ) -> Self {
        let mut names = Names {
            computer: HostName::parse(computer),
            own: HashSet::new(),
            style,
            services,
            dns,
            peers: HashMap::new(),
            asked: HashMap::new(),
        };
        names.set_own(own);
        names
    }

    /// Replaces the computer's own addresses, which may change during a repeated listing; see [`Names::new`].
    pub fn set_own(&mut self, own: impl IntoIterator<Item = (IpAddr, u32)>) {
        self.own = own
            .into_iter()
            .map(|(address, interface)| key(address, interface))
            .collect();
    }

    /// Sets the names that were looked up on this computer; reverse DNS is no longer asked about their addresses.
    pub fn set_asked(&mut self, names: impl IntoIterator<Item = (IpAddr, HostName)>) {
        let named = names.into_iter().map(|(address, name)| (address.to_canonical(), name));
        self.asked = named.filter(|(_, name)| self.shown(name).is_some()).collect();
    }

    /// Looks up the peers among `endpoints`, waiting for at most `deadline`; see [`ReverseDns::resolve`], also for
    /// `progress`. Addresses without an answer by then remain numbers in this listing.
    pub fn resolve(
        &mut self,
        endpoints: impl IntoIterator<Item = Endpoint>,
        deadline: Duration,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Summary {
        let mut peers: HashSet<IpAddr> = HashSet::new();
        for endpoint in endpoints {
            let address = endpoint.address.to_canonical();
            if !peers.contains(&address)
                && !self.asked.contains_key(&address)
                && askable(address)
                && !self.is_own(address, endpoint.scope)
            {
                peers.insert(address);
            }
        }
        let answers = self.dns.resolve(peers, deadline, progress);
        let shown = answers.iter().filter_map(|(address, lookup)| match lookup {
            Lookup::Resolved(name) => Some((address, self.shown(name)?.into())),
            _ => None,
        });
        self.peers = shown.collect();
        answers.summary()
    }

    /// Returns the names of an endpoint that the last [`Names::resolve`] found.
    pub fn foreign(&self, endpoint: Endpoint, protocol: Protocol) -> Foreign<'_> {
        Foreign {
            host: self.host(endpoint.address, endpoint.scope),
            service: self.services.name(protocol, endpoint.port),
        }
    }

    /// Returns the name of an address; `scope` is the interface index of a link-local address, otherwise 0.
    pub fn host(&self, address: IpAddr, scope: u32) -> Option<&str> {
        let address = address.to_canonical();
        if self.is_own(address, scope) {
            return self.computer.as_ref().map(|name| self.styled(name));
        }
        match self.asked.get(&address) {
            Some(name) => self.shown(name),
            None => self.peers.get(&address).map(|name| &**name),
        }
    }

    /// Returns the names of ports.
    pub fn services(&self) -> &Services {
        &self.services
    }

    fn is_own(&self, address: IpAddr, scope: u32) -> bool {
        address.is_loopback() || address.is_unspecified() || self.own.contains(&key(address, scope))
    }

    fn styled<'a>(&self, name: &'a HostName) -> &'a str {
        match self.style {
            HostStyle::FirstLabel => name.first_label(),
            HostStyle::Full => name.full(),
        }
    }

    /// Returns the name of a peer in the form in which it is shown. The peer chose the name, so one that imitates this
    /// computer is rejected. If only the shortened form does, the whole name is shown.
    fn shown<'a>(&self, name: &'a HostName) -> Option<&'a str> {
        let mine = |text: &str| {
            let computer = self.computer.as_ref();
            text.eq_ignore_ascii_case("localhost")
                || computer.is_some_and(|own| {
                    text.eq_ignore_ascii_case(self.styled(own)) || text.eq_ignore_ascii_case(own.full())
                })
        };
        if name.is_localhost() || mine(name.full()) {
            return None;
        }
        let styled = self.styled(name);
        Some(if mine(styled) { name.full() } else { styled })
    }
}

/// Returns the key of an own address. It includes the interface only for addresses that may exist on several links.
fn key(address: IpAddr, interface: u32) -> (IpAddr, u32) {
    let address = address.to_canonical();
    let scope = match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => interface,
        _ => 0,
    };
    (address, scope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answer, Limits};
    use std::sync::Arc;

    fn endpoint(address: &str, port: u16, scope: u32) -> Endpoint {
        Endpoint {
            address: address.parse().unwrap(),
            port,
            scope,
        }
    }

    fn names(style: HostStyle, answer: fn(IpAddr) -> Answer) -> Names {
        let own = [("192.0.2.1", 2), ("2001:db8::1", 2), ("fe80::1", 2)];
        let own = own.map(|(address, interface)| (address.parse().unwrap(), interface));
        let dns = ReverseDns::new(Arc::new(answer), Limits::default());
        Names::new(b"mybox.example.net", own, style, Services::with_file(b""), dns)
    }

    fn shown(style: HostStyle, answer: fn(IpAddr) -> Answer) -> Option<String> {
        let mut names = names(style, answer);
        let peer = endpoint("198.51.100.7", 443, 0);
        names.resolve([peer], Duration::from_secs(60), &mut |_, _| {});
        names.foreign(peer, Protocol::Tcp).host.map(str::to_owned)
    }

    #[test]
    fn own_address_shows_computer_name_without_lookup() {
        let mut names = names(HostStyle::FirstLabel, |address| panic!("asked for {address}"));
        let own = [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "192.0.2.1",
            "::ffff:192.0.2.1",
            "2001:db8::1",
            "0.0.0.0",
            "::",
        ];
        let endpoints: Vec<Endpoint> = own.iter().map(|text| endpoint(text, 0, 0)).collect();
        let summary = names.resolve(endpoints.iter().copied(), Duration::from_secs(60), &mut |_, _| {});
        assert_eq!(summary, Summary::default());
        for endpoint in endpoints {
            assert_eq!(
                names.foreign(endpoint, Protocol::Tcp),
                Foreign {
                    host: Some("mybox"),
                    service: None
                }
            );
        }
        // The same link-local address on another link belongs to another computer.
        assert_eq!(names.host("fe80::1".parse().unwrap(), 2), Some("mybox"));
        assert_eq!(names.host("fe80::1".parse().unwrap(), 3), None);
        names.set_own([("fe80::1".parse().unwrap(), 3)]);
        assert_eq!(names.host("fe80::1".parse().unwrap(), 3), Some("mybox"));
        assert_eq!(names.host("192.0.2.1".parse().unwrap(), 0), None);
    }

    #[test]
    fn peer_name_is_cut_or_whole_as_chosen() {
        let answer = |_| Answer::Name(b"www.example.org.".to_vec());
        assert_eq!(shown(HostStyle::FirstLabel, answer).as_deref(), Some("www"));
        assert_eq!(shown(HostStyle::Full, answer).as_deref(), Some("www.example.org"));
        assert_eq!(shown(HostStyle::Full, |_| Answer::NotFound), None);
    }

    #[test]
    fn mapped_address_is_looked_up_as_ipv4() {
        let answer = |address: IpAddr| match address {
            IpAddr::V4(_) => Answer::Name(b"four.example".to_vec()),
            IpAddr::V6(_) => Answer::Failed,
        };
        let mut names = names(HostStyle::FirstLabel, answer);
        let mapped = endpoint("::ffff:198.51.100.7", 22, 0);
        let both = [mapped, endpoint("198.51.100.7", 22, 0)];
        assert_eq!(names.resolve(both, Duration::from_secs(60), &mut |_, _| {}).total, 1);
        assert_eq!(
            names.foreign(mapped, Protocol::Tcp),
            Foreign {
                host: Some("four"),
                service: Some("ssh")
            }
        );
    }

    #[test]
    fn peer_with_name_of_this_computer_is_not_shown_as_it() {
        for style in [HostStyle::FirstLabel, HostStyle::Full] {
            for answer in [
                (|_| Answer::Name(b"localhost".to_vec())) as fn(IpAddr) -> Answer,
                |_| Answer::Name(b"localhost.localdomain".to_vec()),
                |_| Answer::Name(b"MyBox.example.net.".to_vec()),
            ] {
                assert_eq!(shown(style, answer), None);
            }
        }
        let cut = |answer| shown(HostStyle::FirstLabel, answer);
        assert_eq!(
            cut(|_| Answer::Name(b"localhost.evil.test".to_vec())).as_deref(),
            Some("localhost.evil.test")
        );
        assert_eq!(
            cut(|_| Answer::Name(b"mybox.evil.test".to_vec())).as_deref(),
            Some("mybox.evil.test")
        );
    }

    #[test]
    fn peer_with_hostile_name_is_shown_as_number() {
        for answer in [
            (|_| Answer::Name(b"10.0.0.1".to_vec())) as fn(IpAddr) -> Answer,
            |_| Answer::Name(b"a\x1b[2Jb.test".to_vec()),
            |_| Answer::Name(b"bank:443.test".to_vec()),
            |_| Answer::Name(b"\xff\xfe.test".to_vec()),
        ] {
            assert_eq!(shown(HostStyle::FirstLabel, answer), None);
        }
        let cut = shown(HostStyle::FirstLabel, |_| Answer::Name(b"8-8-8-8.evil.test".to_vec()));
        assert_eq!(cut.as_deref(), Some("8-8-8-8.evil.test"));
    }

    #[test]
    fn own_address_without_proper_computer_name_is_shown_as_number() {
        let names = Names::new(
            b"10.0.0.1",
            [],
            HostStyle::Full,
            Services::with_file(b""),
            ReverseDns::system(),
        );
        assert_eq!(
            names.foreign(endpoint("127.0.0.1", 80, 0), Protocol::Tcp),
            Foreign {
                host: None,
                service: Some("http")
            }
        );
    }
}
