//! What a server on a `tokio` runtime needs of one system: sockets in the file system with the peer's user, sockets that the service
//! manager hands over, and the signals that ask it to end. The only asynchronous code of this crate, behind the feature `tokio`.

#[cfg(not(unix))]
mod elsewhere;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub use elsewhere::{LocalListener, LocalStream, inherited, listen, own_user, stopped};
#[cfg(unix)]
pub use unix::{LocalListener, LocalStream, inherited, listen, own_user, stopped};
