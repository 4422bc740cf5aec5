//! Other systems: neither sockets in the file system nor sockets that are handed over.

use std::io;
use std::path::Path;

use tokio::net::TcpListener;

/// A connection from this computer; there are none.
pub type LocalStream = tokio::io::DuplexStream;

/// A listening socket in the file system; there are none.
#[derive(Debug)]
pub enum LocalListener {}

impl LocalListener {
    /// The next connection.
    ///
    /// # Errors
    /// Never: there is no value of this type.
    pub async fn accept(&self) -> io::Result<(LocalStream, Option<u32>)> {
        match *self {}
    }
}

/// Listens at a path.
///
/// # Errors
/// Always: the system has no such sockets.
pub fn listen(_path: &Path) -> io::Result<LocalListener> {
    Err(unsupported())
}

fn unsupported() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "not supported on this system; give an address with a port",
    )
}

/// The sockets that the service manager hands over.
///
/// # Errors
/// Always: the system hands over none.
pub fn inherited() -> io::Result<(Vec<TcpListener>, Vec<LocalListener>)> {
    Err(unsupported())
}

/// Waits for Ctrl+C.
///
/// # Errors
/// When it cannot be caught.
pub async fn stopped() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// The user this process runs as; no peer is ever compared with it.
///
/// # Errors
/// Never.
pub fn own_user() -> io::Result<u32> {
    Ok(u32::MAX)
}
