//! Which processes hold which sockets.
