//! The system-specific parts of a server on a `tokio` runtime: sockets in the file system with the user id of the peer,
//! sockets passed by the service manager, and the signals that ask it to terminate. This is the only asynchronous code
//! in this crate; it needs the feature `tokio`.

#[cfg(not(unix))]
mod elsewhere;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub use elsewhere::{LocalListener, LocalStream, inherited, listen, own_user, stopped};
#[cfg(unix)]
pub use unix::{LocalListener, LocalStream, inherited, listen, own_user, stopped};
