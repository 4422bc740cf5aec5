//! Standard output without the standard library's line buffer.

use std::fs::File;
use std::io::{self, Write};

/// Returns standard output as a file. Listings are written in large pieces, which [`io::stdout`] would copy and search
/// for newlines once more.
///
/// # Errors
/// Returns an error if the descriptor cannot be duplicated.
pub fn stdout() -> io::Result<File> {
    #[cfg(unix)]
    let owned = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?;
    #[cfg(windows)]
    let owned = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned()?;
    Ok(File::from(owned))
}

/// A console that was prepared for output; its previous state is restored on drop.
#[derive(Debug)]
pub struct Console {
    #[cfg(windows)]
    _before: crate::windows::ConsoleState,
    /// Whether the console supports colors, if it reports that (Windows); on other systems, the variable `TERM` tells.
    pub colours: Option<bool>,
}

/// Prepares the console for UTF-8 and colors, if output goes to one (Windows). Terminals on other systems support them
/// without preparation.
pub fn prepare_console() -> Console {
    #[cfg(windows)]
    {
        let (before, colours) = crate::windows::prepare_console();
        Console {
            _before: before,
            colours: Some(colours),
        }
    }
    #[cfg(not(windows))]
    Console { colours: None }
}

/// Returns the width in columns of the terminal that standard output refers to; `None` if it is not a terminal, or does
/// not report its size.
pub fn terminal_width() -> Option<u16> {
    #[cfg(target_os = "linux")]
    return rustix::termios::tcgetwinsize(io::stdout())
        .ok()
        .map(|size| size.ws_col)
        .filter(|columns| *columns > 0);
    #[cfg(windows)]
    return crate::windows::console_width();
    #[cfg(not(any(target_os = "linux", windows)))]
    None
}

/// Returns the columns and rows of the terminal that standard output refers to; `None` if it is not a terminal, or does
/// not report its size.
pub fn terminal_size() -> Option<(u16, u16)> {
    #[cfg(target_os = "linux")]
    return rustix::termios::tcgetwinsize(io::stdout())
        .ok()
        .map(|size| (size.ws_col, size.ws_row))
        .filter(|(columns, rows)| *columns > 0 && *rows > 0);
    #[cfg(not(target_os = "linux"))]
    None
}

/// Creates a new file that only its user may read or write (on Windows also the system and administrators). An existing
/// file is never opened: it might be a symbolic link, or still be needed.
///
/// # Errors
/// Returns the error of the system; [`io::ErrorKind::AlreadyExists`] if `path` exists.
pub fn create_private(path: &std::path::Path) -> io::Result<File> {
    #[cfg(windows)]
    return crate::windows::create_private_file(path);
    #[cfg(not(windows))]
    {
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path)
    }
}

/// Writes `content` to `path` atomically, readable only by its user: either the old or the new content is there,
/// whatever happens. An existing file is replaced, including a symbolic link, which another user may have created.
///
/// # Errors
/// Returns the error of the system; [`io::ErrorKind::InvalidInput`] if `path` refers to something other than a regular
/// file, such as `/dev/stdout`.
pub fn replace_private(path: &std::path::Path, content: &[u8]) -> io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = std::path::PathBuf::from(name);
    let written: io::Result<()> = (|| {
        let mut file = create_private(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    })();
    // A file with that name that already existed belongs to somebody else.
    if written
        .as_ref()
        .is_err_and(|error| error.kind() != io::ErrorKind::AlreadyExists)
    {
        // Do not leave an incomplete file behind.
        let _ = std::fs::remove_file(&beside);
    }
    written
}
