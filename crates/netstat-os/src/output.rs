//! Standard output without the standard library's line buffer.

use std::fs::File;
use std::io::{self, Write};

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

/// A console made ready for output; put back as it was when this is dropped.
#[derive(Debug)]
pub struct Console {
    #[cfg(windows)]
    _before: crate::windows::ConsoleState,
    /// Whether it shows colours, where the console itself says so (Windows); elsewhere the variable `TERM` does.
    pub colours: Option<bool>,
}

/// Makes the console, where output goes to one, take UTF-8 and colours (Windows). Terminals of other systems do.
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

/// The width of the terminal that standard output is, in columns; `None` where it is none, or does not report it.
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

/// The columns and rows of the terminal that standard output is; `None` where it is none, or does not report it.
pub fn terminal_size() -> Option<(u16, u16)> {
    #[cfg(target_os = "linux")]
    return rustix::termios::tcgetwinsize(io::stdout())
        .ok()
        .map(|size| (size.ws_col, size.ws_row))
        .filter(|(columns, rows)| *columns > 0 && *rows > 0);
    #[cfg(not(target_os = "linux"))]
    None
}

/// Makes a new file that only its user may read or write (on Windows the system and administrators as well), for what others must not see. Never opens one that is there: it might
/// be a link, or hold what is still needed.
///
/// # Errors
/// The system's; [`io::ErrorKind::AlreadyExists`] when something is at `path`.
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

/// Writes `content` to `path`, readable by its user alone: either the old or the new content is there, whatever happens. What is there is
/// replaced, also a symbolic link, which another user may have put there.
///
/// # Errors
/// The system's; [`io::ErrorKind::InvalidInput`] when `path` leads to something other than a regular file, as `/dev/stdout` does.
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
    // A file of that name that was there before is another's.
    if written
        .as_ref()
        .is_err_and(|error| error.kind() != io::ErrorKind::AlreadyExists)
    {
        // Nothing half-made stays behind.
        let _ = std::fs::remove_file(&beside);
    }
    written
}
