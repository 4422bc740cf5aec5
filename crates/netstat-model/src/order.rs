//! The classic order of a listing.

use std::cmp::Ordering;

use crate::Socket;

/// TCP over IPv4, TCP over IPv6, UDP over IPv4, UDP over IPv6, then the other protocols in their order; within a group by local
/// address, local port, foreign address, foreign port, all as numbers, then by interface (scope), by name and kind where there
/// are no addresses, by namespace, and by cookie so that twins keep their place between prints.
pub fn classic_order(a: &Socket, b: &Socket) -> Ordering {
    a.order_key()
        .cmp(&b.order_key())
        .then_with(|| a.further_order_key().cmp(&b.further_order_key()))
}

/// Sorts in place by [`classic_order`].
pub fn sort_classic(sockets: &mut [Socket]) {
    sockets.sort_unstable_by(classic_order);
}

/// Takes out rows that show one socket twice: a table that changes while it is read can show one again. Twins that are
/// different sockets have different cookies and stay; without cookies nothing is taken out. `sockets` must be sorted.
pub fn remove_repeats(sockets: &mut Vec<Socket>) {
    sockets.dedup_by(|next, kept| next.cookie().is_some() && classic_order(next, kept) == Ordering::Equal);
}
