//! Limits the number of wrong secrets that a peer may try.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Peer;

/// The number of wrong secrets that are tolerated in quick succession.
const BURST: f64 = 10.0;
/// The interval at which one more attempt is allowed after that.
const REFILL: Duration = Duration::from_secs(2);
/// The maximum number of peers that are tracked; above it, those that have waited longest are dropped.
const MOST_PEERS: usize = 4096;

/// Counts wrong secrets per peer. IPv6 peers are counted by /64, the usual allocation for one customer.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    peers: Mutex<HashMap<Key, Bucket>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Address(u128),
    User(Option<u32>),
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn refilled(self, now: Instant) -> Bucket {
        let more = now.saturating_duration_since(self.at).as_secs_f64() / REFILL.as_secs_f64();
        Bucket {
            left: (self.left + more).min(BURST),
            at: now,
        }
    }
}

fn key(peer: Peer) -> Key {
    match peer {
        Peer::Address(IpAddr::V4(address)) => Key::Address(u128::from(address.to_bits())),
        Peer::Address(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
            Some(address) => Key::Address(u128::from(address.to_bits())),
            None => Key::Address(address.to_bits() >> 64 << 64),
        },
        Peer::User(user) => Key::User(user),
    }
}

impl Limiter {
    /// Whether `peer` may try another secret.
    pub(super) fn allows(&self, peer: Peer, now: Instant) -> bool {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers
            .get(&key(peer))
            .is_none_or(|bucket| bucket.refilled(now).left >= 1.0)
    }

    /// Counts a wrong secret.
    pub(super) fn failed(&self, peer: Peer, now: Instant) {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if peers.len() >= MOST_PEERS && !peers.contains_key(&key(peer)) {
            peers.retain(|_, bucket| bucket.refilled(now).left < BURST);
            if peers.len() >= MOST_PEERS
                && let Some(oldest) = peers.iter().min_by_key(|(_, bucket)| bucket.at).map(|(key, _)| *key)
            {
                peers.remove(&oldest);
            }
        }
        let bucket = peers.entry(key(peer)).or_insert(Bucket { left: BURST, at: now });
        *bucket = bucket.refilled(now);
        bucket.left = (bucket.left - 1.0).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limiter_peer_that_waits_may_try_again() {
        let limiter = Limiter::default();
        let peer = Peer::Address([192, 0, 2, 1].into());
        let start = Instant::now();
        (0..10).for_each(|_| limiter.failed(peer, start));
        assert!(!limiter.allows(peer, start));
        assert!(limiter.allows(peer, start + REFILL));
        assert!(limiter.allows(Peer::User(Some(5)), start));
    }

    #[test]
    fn limiter_with_many_peers_takes_bounded_memory() {
        let limiter = Limiter::default();
        for number in 0..10_000_u32 {
            limiter.failed(
                Peer::Address(std::net::Ipv4Addr::from_bits(number).into()),
                Instant::now(),
            );
        }
        assert!(limiter.peers.lock().unwrap().len() <= MOST_PEERS);
    }
}
