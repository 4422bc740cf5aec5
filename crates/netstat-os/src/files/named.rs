//! Reads files that the user named, with a limit on their size, and without blocking forever.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Opens the file at `path` for reading, following symbolic links. It must be a regular file, or an unnamed pipe as a
/// shell creates it for `<(command)`.
///
/// # Errors
/// Returns the error of the system, or [`io::ErrorKind::InvalidInput`] for a FIFO (which may never have a writer), a
/// device (which may have no end), a directory or a socket.
pub fn open_named(path: &Path) -> io::Result<File> {
    let file = super::open_without_waiting(path)?;
    let refused = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    match super::entry_of(&file)?.kind {
        super::EntryKind::File => Ok(file),
        super::EntryKind::Fifo if super::native::is_unnamed_pipe(&file) => {
            super::native::wait_again(&file)?;
            Ok(file)
        }
        super::EntryKind::Fifo => refused("it is a FIFO"),
        super::EntryKind::Directory => refused("it is a directory"),
        super::EntryKind::Link | super::EntryKind::Other => refused("it is not a regular file"),
    }
}

/// Reads the file at `path`, of at most `most` bytes.
///
/// # Errors
/// Returns the errors of [`open_named`], and [`io::ErrorKind::FileTooLarge`] with a message for a larger file.
pub fn read_named(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_opened(open_named(path)?, most)
}

/// Reads the rest of a file from [`open_named`], at most `most` bytes.
///
/// # Errors
/// Returns the error of the system, or [`io::ErrorKind::FileTooLarge`] with a message for a larger file.
pub fn read_opened(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let read = file.take(most.saturating_add(1)).read_to_end(&mut content)?;
    if read as u64 > most {
        let limit = match most {
            0x10_0000.. => format!("{} MiB", most >> 20),
            _ => format!("{} KiB", most >> 10),
        };
        let error = format!("it is larger than {limit}");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, error));
    }
    Ok(content)
}

/// Like [`read_named`], for text.
///
/// # Errors
/// Also returns [`io::ErrorKind::InvalidData`] if it is not UTF-8.
pub fn text_named(path: &Path, most: u64) -> io::Result<String> {
    text_opened(open_named(path)?, most)
}

/// Like [`read_opened`], for text.
///
/// # Errors
/// Also returns [`io::ErrorKind::InvalidData`] if it is not UTF-8.
pub fn text_opened(file: File, most: u64) -> io::Result<String> {
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not a text in UTF-8");
    String::from_utf8(read_opened(file, most)?).map_err(not_text)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn kind(path: &Path) -> io::ErrorKind {
        read_named(path, 1000).unwrap_err().kind()
    }

    #[test]
    fn fifo_device_and_directory_refused() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(kind(&fifo), io::ErrorKind::InvalidInput);
        assert_eq!(kind(Path::new("/dev/zero")), io::ErrorKind::InvalidInput);
        assert_eq!(kind(folder.path()), io::ErrorKind::InvalidInput);
        assert_eq!(kind(&folder.path().join("none")), io::ErrorKind::NotFound);
    }

    #[test]
    fn file_larger_than_limit_refused_and_one_of_the_limit_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [b'x'; 1000]).unwrap();
        assert_eq!(text_named(&path, 1000).unwrap().len(), 1000);
        assert_eq!(read_named(&path, 999).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(text_named(&path, 1000).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn pipe_of_a_shell_is_read_to_its_end() {
        use std::io::Write;
        use std::os::fd::AsRawFd;
        let (reader, mut writer) = std::io::pipe().unwrap();
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        let read = std::thread::spawn(move || read_named(Path::new(&path), 1000).unwrap());
        writer.write_all(b"one ").unwrap();
        writer.write_all(b"two").unwrap();
        drop(writer);
        assert_eq!(read.join().unwrap(), b"one two");
        drop(reader);
    }
}
