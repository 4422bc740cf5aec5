//! The classic order of a listing.

use std::cmp::Ordering;

use crate::Socket;

/// Compares two sockets by the classic order: TCP over IPv4, TCP over IPv6, UDP over IPv4, UDP over IPv6, then the
/// other protocols in their order. Within a group, sockets are ordered by local address, local port, foreign address
/// and foreign port, all as numbers; then by interface (scope), by name and kind if there are no addresses, by
/// namespace, and by cookie, so that identical rows keep their order from one listing to the next.
pub fn classic_order(a: &Socket, b: &Socket) -> Ordering {
    a.order_key()
        .cmp(&b.order_key())
        .then_with(|| a.further_order_key().cmp(&b.further_order_key()))
}

/// Sorts the sockets in place by [`classic_order`].
pub fn sort_classic(sockets: &mut [Socket]) {
    sockets.sort_unstable_by(classic_order);
}

/// Removes rows that repeat a socket: a table that changes while it is read can return a row twice. Different sockets
/// with equal addresses have different cookies and stay; without cookies nothing is removed. `sockets` must be sorted
/// by [`classic_order`].
pub fn remove_repeats(sockets: &mut Vec<Socket>) {
    sockets.dedup_by(|next, kept| next.cookie().is_some() && classic_order(next, kept) == Ordering::Equal);
}
