//! The implementation for other systems, which have neither Unix-domain sockets in the file system nor passed sockets.

use std::io;
use std::path::Path;

use tokio::net::TcpListener;

/// A connection from this computer; there are none on this system.
pub type LocalStream = tokio::io::DuplexStream;

/// A listening socket in the file system; there are none on this system.
#[derive(Debug)]
pub enum LocalListener {}

impl LocalListener {
    /// Accepts the next connection.
    ///
    /// # Errors
    /// Never returns, because there are no values of this type.
    pub async fn accept(&self) -> io::Result<(LocalStream, Option<u32>)> {
        match *self {}
    }
}

/// Listens at a path.
///
/// # Errors
/// Always returns an error, because the system has no such sockets.
pub fn listen(_path: &Path) -> io::Result<LocalListener> {
    Err(unsupported())
}

fn unsupported() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "not supported on this system; give an address with a port",
    )
}

/// Returns the sockets that were passed by the service manager.
///
/// # Errors
/// Always returns an error, because the system passes none.
pub fn inherited() -> io::Result<(Vec<TcpListener>, Vec<LocalListener>)> {
    Err(unsupported())
}

/// Waits for Ctrl+C.
///
/// # Errors
/// Returns an error if it cannot be caught.
pub async fn stopped() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// Returns the user id of this process, which is never compared with that of a peer here.
///
/// # Errors
/// Never fails.
pub fn own_user() -> io::Result<u32> {
    Ok(u32::MAX)
}
