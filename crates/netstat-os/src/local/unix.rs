//! The Unix implementation: Unix-domain sockets with the user id of the peer, passed sockets, and SIGTERM.

use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
pub use tokio::net::UnixStream as LocalStream;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};

/// The owner and the group may connect; what a client may see depends on its user.
const MODE: u32 = 0o660;

/// A listening Unix-domain socket. If it was created here, its file is removed on drop.
#[derive(Debug)]
pub struct LocalListener {
    listener: UnixListener,
    made: Option<PathBuf>,
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        if let Some(path) = &self.made {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl LocalListener {
    /// Accepts the next connection and returns it with the user id of the peer as the kernel reports it (SO_PEERCRED in
    /// unix(7)).
    ///
    /// # Errors
    /// Returns the errors of accept(2).
    pub async fn accept(&self) -> io::Result<(LocalStream, Option<u32>)> {
        let (stream, _) = self.listener.accept().await?;
        let user = stream.peer_cred().ok().map(|peer| peer.uid());
        Ok((stream, user))
    }
}

/// Listens at `path`. A socket file that an earlier process left there is removed if nobody listens on it any more.
///
/// # Errors
/// Returns the errors of bind(2), and [`io::ErrorKind::AddrInUse`] if another process listens there.
pub fn listen(path: &Path) -> io::Result<LocalListener> {
    if let Ok(about) = std::fs::symlink_metadata(path)
        && about.file_type().is_socket()
    {
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            Err(error) => return Err(error),
        }
    }
    let listener = LocalListener {
        listener: UnixListener::bind(path)?,
        made: Some(path.to_owned()),
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))?;
    Ok(listener)
}

/// Returns the sockets that were passed by the service manager (`LISTEN_FDS` in sd_listen_fds(3)).
///
/// # Errors
/// Returns an error if no socket was passed, or one of an unsupported kind.
pub fn inherited() -> io::Result<(Vec<TcpListener>, Vec<LocalListener>)> {
    let mut handed = ListenFd::from_env();
    let (mut tcp, mut unix) = (Vec::new(), Vec::new());
    for place in 0..handed.len() {
        if let Ok(Some(listener)) = handed.take_tcp_listener(place) {
            listener.set_nonblocking(true)?;
            tcp.push(TcpListener::from_std(listener)?);
        } else if let Some(listener) = handed.take_unix_listener(place)? {
            listener.set_nonblocking(true)?;
            let listener = UnixListener::from_std(listener)?;
            unix.push(LocalListener { listener, made: None });
        }
    }
    match tcp.is_empty() && unix.is_empty() {
        true => Err(io::Error::other(
            "the service manager handed over no socket (LISTEN_FDS)",
        )),
        false => Ok((tcp, unix)),
    }
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// Returns an error if the signal handlers cannot be installed.
pub async fn stopped() -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Returns the effective user id of this process.
///
/// # Errors
/// Returns an error if the kernel does not report it.
pub fn own_user() -> io::Result<u32> {
    let (one, _other) = UnixStream::pair()?;
    one.peer_cred().map(|peer| peer.uid())
}
