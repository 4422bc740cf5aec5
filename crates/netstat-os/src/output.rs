//! Standard output without the standard library's line buffer.

use std::fs::File;
use std::io;

/// Standard output as a file. A listing is written in large pieces, which [`io::stdout`] would copy and search for line ends once
/// more.
///
/// # Errors
/// When the descriptor cannot be duplicated.
pub fn stdout() -> io::Result<File> {
    #[cfg(unix)]
    let owned = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?;
    #[cfg(windows)]
    let owned = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned()?;
    Ok(File::from(owned))
}

/// The width of the terminal that standard output is, in columns; `None` where it is none, or does not tell.
pub fn terminal_width() -> Option<u16> {
    #[cfg(target_os = "linux")]
    return rustix::termios::tcgetwinsize(io::stdout())
        .ok()
        .map(|size| size.ws_col)
        .filter(|columns| *columns > 0);
    #[cfg(not(target_os = "linux"))]
    None
}
