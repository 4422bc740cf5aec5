//! What systems other than Unix have instead: neither sockets in the file system nor sockets that are handed over.

use std::io;
use std::path::Path;

use tokio::net::TcpListener;

/// A connection from this computer; there are none.
pub(crate) type LocalStream = tokio::io::DuplexStream;

/// A listening socket of this computer alone; there are none.
#[derive(Debug)]
pub(crate) enum LocalListener {}

impl LocalListener {
    /// The next connection.
    pub(crate) async fn accept(&self) -> io::Result<(LocalStream, Option<u32>)> {
        match *self {}
    }
}

/// # Errors
/// Always: the system has none.
pub(crate) fn listen(_path: &Path) -> io::Result<LocalListener> {
    Err(io::ErrorKind::Unsupported.into())
}

/// # Errors
/// Always: the system has none.
pub(crate) fn inherited() -> io::Result<(Vec<TcpListener>, Vec<LocalListener>)> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Waits for Ctrl+C.
pub(crate) async fn stopped() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// The user this process runs as; nobody is compared with it.
pub(crate) fn own_user() -> io::Result<u32> {
    Ok(u32::MAX)
}
