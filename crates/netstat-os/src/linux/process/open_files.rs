//! The open files of a process, with the file offset of each.

use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use netstat_model::process::Descriptor;
use rustix::fs::{Mode, OFlags, RawDir, openat, readlinkat_raw};
use rustix::io::Errno;

use super::super::owners::process::ProcessDir;
use super::program;
use crate::OpenFile;

/// The maximum number of files listed. Some servers have a million sockets, but these are not files.
const MOST: usize = 4096;
/// The buffer size for directory entries in bytes.
const BUFFER: usize = 8192;

/// Reads `/proc/PID/fd` and `/proc/PID/fdinfo` (proc_pid_fdinfo(5)).
pub(super) fn read(dir: &ProcessDir) -> Result<Vec<OpenFile>, Errno> {
    let access = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let table = openat(dir.as_fd(), c"fd", access, Mode::empty())?;
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut entries = RawDir::new(&table, buffer.spare_capacity_mut());
    let mut files = Vec::new();
    let mut text = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        let Some(number) = std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let mut target = [MaybeUninit::uninit(); 4096];
        let (path, deleted) = match readlinkat_raw(&table, entry.file_name(), &mut target) {
            Ok((target, _)) => match program::descriptor(dir, table.as_fd(), entry.file_name(), target) {
                Descriptor::Path { path, deleted } => (path, deleted),
                Descriptor::Memory(name) => (name, false),
                _ => continue,
            },
            // Closed in the meantime.
            Err(Errno::NOENT) => continue,
            Err(error) => return Err(error),
        };
        let info = [b"fdinfo/", name, b"\0"].concat();
        let Ok(info) = std::ffi::CStr::from_bytes_with_nul(&info) else {
            continue;
        };
        let Some((position, flags)) = dir.text(info, &mut text).ok().and_then(|()| parse(&text)) else {
            continue;
        };
        files.push(OpenFile {
            number,
            path,
            deleted,
            position,
            reads: flags & libc::O_ACCMODE as u64 != libc::O_WRONLY as u64,
            writes: flags & libc::O_ACCMODE as u64 != libc::O_RDONLY as u64,
        });
        if files.len() >= MOST {
            break;
        }
    }
    files.sort_unstable_by_key(|file| file.number);
    Ok(files)
}

/// Parses the offset and flags in the text of an `fdinfo` file: `pos:` in decimal, `flags:` in octal.
fn parse(text: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(text).ok()?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let position = field("pos:")?.parse().ok()?;
    Some((position, u64::from_str_radix(field("flags:")?, 8).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fdinfo_position_and_flags_are_read() {
        let text = b"pos:\t1234\nflags:\t0102002\nmnt_id:\t29\nino:\t7\n";
        assert_eq!(parse(text), Some((1234, 0o102_002)));
        assert_eq!(parse(b"pos:\t1\n"), None);
        assert_eq!(parse(b"\xff"), None);
    }

    #[test]
    fn file_named_like_deleted_mark_is_not_reported_as_deleted() {
        use netstat_model::process::Mapped;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let text = |name: &str| path(name).into_os_string().into_encoded_bytes();
        let open = |name: &str| {
            std::fs::write(path(name), [0; 5000]).unwrap();
            std::fs::File::open(path(name)).unwrap()
        };
        let [kept, removed] = ["kept (deleted)", "removed"].map(open);
        let map = |file: &std::fs::File| {
            use rustix::mm::{MapFlags, ProtFlags, mmap};
            let access = ProtFlags::READ | ProtFlags::EXEC;
            // SAFETY: a new mapping that nothing else uses.
            unsafe { mmap(std::ptr::null_mut(), 4096, access, MapFlags::PRIVATE, file, 0) }.unwrap();
        };
        map(&kept);
        map(&removed);
        std::fs::remove_file(path("removed")).unwrap();
        let mut reader = super::super::ProcessReader::default();
        let ask = crate::ProcessAsk {
            executable: true,
            ..crate::ProcessAsk::default()
        };
        let facts = reader.read(std::process::id(), &ask).unwrap();
        let files = reader.open_files(facts.pid, facts.start_ticks).unwrap();
        let open = |name: &str| {
            files
                .iter()
                .find(|file| file.path == text(name))
                .map(|file| file.deleted)
        };
        assert_eq!(
            [open("kept (deleted)"), open("removed"), open("kept")],
            [Some(false), Some(true), None]
        );
        let mapped = facts.executable.known().unwrap();
        let find = |name: &str| {
            mapped.iter().find_map(|one| match &one.what {
                Mapped::File { path, deleted } if *path == text(name) => Some(*deleted),
                _ => None,
            })
        };
        assert_eq!(
            [find("kept (deleted)"), find("removed"), find("kept")],
            [Some(false), Some(true), None]
        );
    }

    #[test]
    fn open_files_of_own_process_have_position_and_access() {
        use std::io::Write;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 5000]).unwrap();
        let mut reader = super::super::ProcessReader::default();
        let own = std::process::id();
        let start = reader.read(own, &crate::ProcessAsk::default()).unwrap().start_ticks;
        let files = reader.open_files(own, start).unwrap();
        let path = std::os::unix::ffi::OsStrExt::as_bytes(file.path().as_os_str());
        let found = files.iter().find(|one| one.path == path).unwrap();
        assert_eq!((found.position, found.writes, found.deleted), (5000, true, false));
        assert!(reader.open_files(own, start + 1).is_err(), "another process");
    }
}
