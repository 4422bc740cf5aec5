//! The reader process: a forked copy of this program that performs file accesses that may block forever.
//!
//! A thread would not do. While the server of a file system does not respond, a process that waits for it cannot even
//! be killed (with FUSE, once the server has accepted the request), and a process with such a thread cannot exit.

use std::io;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{
    CWD, FileType, Mode, OFlags, RawDir, ResolveFlags, SeekFrom, fstat, fstatfs, openat, openat2, readlinkat_raw, seek,
};
use rustix::io::{Errno, pread};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::Pid;

use super::wire::{self, CHUNK, HEADER, Kind, Operation, PATH_MAX, REQUEST_MAX, Request};
use crate::linux::privilege;
use crate::linux::stat_facts::stat_facts;

/// The ancillary buffer size for one descriptor in a message.
pub(super) const ANCILLARY: usize = rustix::cmsg_space!(ScmRights(1));
/// The stack size in bytes of the thread that forks readers, whose copy the readers run on: it holds buffers for a
/// request, an answer and directory entries.
const STACK: usize = 1 << 20;

/// The flags to open for reading; opening a FIFO without a writer does not block.
const READING: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// A running reader process.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) socket: OwnedFd,
    pub(super) process: Pid,
}

type Reply = mpsc::SyncSender<io::Result<Reader>>;

/// Starts a reader.
///
/// # Errors
/// Returns the error of the system.
pub(super) fn start() -> io::Result<Reader> {
    /// A reader must die with this program (PR_SET_PDEATHSIG), but the kernel sends the signal when the thread that
    /// forked it exits. Therefore, all readers are forked by one thread that never exits.
    static STARTER: Mutex<Option<mpsc::Sender<Reply>>> = Mutex::new(None);
    let mut starter = STARTER.lock().unwrap_or_else(PoisonError::into_inner);
    if starter.is_none() {
        let (sender, receiver) = mpsc::channel::<Reply>();
        let work = move || {
            let _own = privilege::callers_own();
            for reply in receiver {
                let _ = reply.send(fork());
            }
        };
        std::thread::Builder::new()
            .name("files".to_owned())
            .stack_size(STACK)
            .spawn(work)?;
        *starter = Some(sender);
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let gone = |_| io::Error::other("the thread that starts readers has ended");
    match &*starter {
        Some(starter) => starter.send(sender).map_err(|_| gone(()))?,
        None => return Err(gone(())),
    }
    receiver.recv().map_err(|_| gone(()))?
}

fn fork() -> io::Result<Reader> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    // SAFETY: other threads may hold locks at the time of the fork. The child takes no locks: it does not allocate,
    // print or panic, and only makes system calls with buffers on its stack until it exits.
    match unsafe { libc::fork() } {
        0 => serve(&theirs),
        -1 => Err(io::Error::last_os_error()),
        child => match Pid::from_raw(child) {
            Some(process) => Ok(Reader { socket: ours, process }),
            None => Err(io::Error::other("fork(2) gave no process id")),
        },
    }
}

/// Answers requests until the peer closes the socket.
fn serve(socket: &OwnedFd) -> ! {
    // Signals from the terminal or from other processes are meant for the main program.
    let _ = nix::sys::signal::SigSet::all().thread_block();
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let _ = rustix::thread::set_name(c"netstat-files");
    let own_rights = privilege::give_up().is_ok();
    // SAFETY: the reader does not use its inherited descriptors, and nothing uses one later except the socket, which is
    // now descriptor 0.
    let ready = unsafe {
        (socket.as_raw_fd() == 0 || libc::dup3(socket.as_raw_fd(), 0, libc::O_CLOEXEC) == 0) && {
            if libc::syscall(libc::SYS_close_range, 1, libc::c_uint::MAX, 0) != 0 {
                // Before Linux 5.9.
                (1..65_536).for_each(|number| {
                    libc::close(number);
                });
            }
            true
        }
    };
    if own_rights && ready {
        // SAFETY: descriptor 0 stays open until the process exits.
        let socket = unsafe { BorrowedFd::borrow_raw(0) };
        let mut packet = [0; REQUEST_MAX];
        while let Some((length, file)) = next(socket, &mut packet) {
            let answered = Request::parse(&packet[..length])
                .ok_or(Errno::INVAL)
                .and_then(|request| answer(socket, &request, file.as_fd()));
            let sent = match answered {
                Ok(Some(file)) => end(socket, 0, Some(file.as_fd())),
                Ok(None) => end(socket, 0, None),
                Err(error) => end(socket, error.raw_os_error(), None),
            };
            if sent.is_err() {
                break;
            }
        }
    }
    // SAFETY: exits without running the exit handlers that the original process registered.
    unsafe { libc::_exit(0) }
}

fn next(socket: BorrowedFd<'_>, packet: &mut [u8]) -> Option<(usize, OwnedFd)> {
    let mut space = [MaybeUninit::uninit(); ANCILLARY];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [io::IoSliceMut::new(packet)];
    let received = recvmsg(socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC).ok()?;
    let file = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    })?;
    (received.bytes > 0).then_some((received.bytes, file))
}

fn send(
    socket: BorrowedFd<'_>,
    header: [u8; HEADER],
    content: &[u8],
    file: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); ANCILLARY];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let files = file.as_slice();
    if !files.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(files));
    }
    let parts = [IoSlice::new(&header), IoSlice::new(content)];
    sendmsg(socket, &parts, &mut ancillary, SendFlags::NOSIGNAL).map(drop)
}

fn end(socket: BorrowedFd<'_>, error: i32, file: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
    send(socket, wire::header(Kind::End, error), &[], file)
}

fn part(socket: BorrowedFd<'_>, content: &[u8]) -> Result<(), Errno> {
    send(socket, wire::header(Kind::Part, 0), content, None)
}

fn answer(socket: BorrowedFd<'_>, request: &Request<'_>, file: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
    let [first, second, _] = request.arguments;
    match request.operation {
        Operation::Open => return open(socket, request, file).map(Some),
        Operation::Try => drop(reopen(file, flags(first))?),
        Operation::Facts => part(socket, &wire::facts_to_bytes(&stat_facts(&fstat(file)?)))?,
        Operation::Type => part(socket, &super::type_of(&fstatfs(file)?).to_ne_bytes())?,
        Operation::Read => {
            let mut content = [MaybeUninit::uninit(); CHUNK];
            let length = usize::try_from(second).map_or(CHUNK, |length| length.min(CHUNK));
            let file = reopen(file, READING)?;
            let (read, _) = pread(&file, &mut content[..length], first)?;
            part(socket, read)?;
        }
        Operation::Link => {
            let mut target = [MaybeUninit::uninit(); PATH_MAX];
            let mut path = [0; PATH_MAX];
            let (target, _) = readlinkat_raw(file, text(request.path, &mut path)?, &mut target)?;
            part(socket, target)?;
        }
        Operation::Names => names(socket, file)?,
        Operation::Seek => {
            let whence = if second == 0 {
                SeekFrom::Data(first)
            } else {
                SeekFrom::Hole(first)
            };
            part(socket, &seek(reopen(file, READING)?, whence)?.to_ne_bytes())?;
        }
    }
    Ok(None)
}

#[expect(clippy::cast_possible_truncation, reason = "open flags have 32 bits")]
fn flags(argument: u64) -> OFlags {
    OFlags::from_bits_retain(argument as u32).union(OFlags::CLOEXEC)
}

/// Copies `path` into `buffer` as a C string.
fn text<'a>(path: &[u8], buffer: &'a mut [u8; PATH_MAX]) -> Result<&'a std::ffi::CStr, Errno> {
    let place = buffer.get_mut(..=path.len()).ok_or(Errno::NAMETOOLONG)?;
    place[..path.len()].copy_from_slice(path);
    place[path.len()] = 0;
    std::ffi::CStr::from_bytes_with_nul(place).map_err(|_| Errno::INVAL)
}

/// Opens a path with O_PATH. Before each component, tells the peer the device that is about to be accessed.
fn open(socket: BorrowedFd<'_>, request: &Request<'_>, below: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let mut buffer = [0; PATH_MAX];
    let resolve = ResolveFlags::from_bits_retain(request.arguments[1]);
    let wanted = flags(request.arguments[0]);
    let mut open = |length: usize, flags: OFlags| {
        let path = text(&request.path[..length], &mut buffer)?;
        match resolve.is_empty() {
            true => openat(below, path, flags, Mode::empty()),
            false => openat2(below, path, flags, Mode::empty(), resolve),
        }
    };
    let mut device = super::place_of(below).map_or(0, |place| place.device);
    let whole = request.path.len();
    let mut at = 0;
    while at < whole {
        // Advance to the end of the next component.
        let start = request.path[at..]
            .iter()
            .position(|&byte| byte != b'/')
            .map_or(whole, |skip| at + skip);
        at = request.path[start..]
            .iter()
            .position(|&byte| byte == b'/')
            .map_or(whole, |length| start + length);
        let last = at == whole;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let step = open(
            at,
            if last {
                flags | (wanted & OFlags::NOFOLLOW)
            } else {
                flags
            },
        )?;
        let place = super::place_of(step.as_fd())?;
        if request.unresponsive.contains(&place.device) {
            return Err(Errno::TIMEDOUT);
        }
        if place.device != device {
            device = place.device;
            send(socket, wire::header(Kind::At, 0), &device.to_ne_bytes(), None)?;
        }
    }
    let place = open(
        whole,
        wanted & (OFlags::DIRECTORY | OFlags::NOFOLLOW) | OFlags::PATH | OFlags::CLOEXEC,
    )?;
    if !wanted.contains(OFlags::PATH) {
        match super::remembered_of(place.as_fd()).map(|file| FileType::from_raw_mode(file.mode))? {
            // As open(2) does with O_NOFOLLOW.
            FileType::Symlink => return Err(Errno::LOOP),
            FileType::RegularFile | FileType::Directory => drop(reopen(place.as_fd(), wanted - OFlags::NOFOLLOW)?),
            _ => {}
        }
    }
    Ok(place)
}

/// Reopens the file that `file` refers to, which may be an O_PATH descriptor.
pub(super) fn reopen(file: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
    if flags.contains(OFlags::DIRECTORY) {
        return openat(file, c".", flags, Mode::empty());
    }
    let mut path = [0; 32];
    let digits = rustix::path::DecInt::from_fd(file);
    let digits = digits.as_bytes();
    let prefix = b"/proc/self/fd/";
    path[..prefix.len()].copy_from_slice(prefix);
    path[prefix.len()..prefix.len() + digits.len()].copy_from_slice(digits);
    let path = std::ffi::CStr::from_bytes_until_nul(&path).map_err(|_| Errno::INVAL)?;
    openat(CWD, path, flags, Mode::empty())
}

/// Sends the names in a directory, each terminated by NUL.
fn names(socket: BorrowedFd<'_>, directory: BorrowedFd<'_>) -> Result<(), Errno> {
    let directory = reopen(directory, READING | OFlags::DIRECTORY)?;
    let mut entries = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(&directory, &mut entries);
    let mut content = [0; 16 << 10];
    let mut filled = 0;
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes_with_nul();
        if matches!(name, b".\0" | b"..\0") {
            continue;
        }
        if filled + name.len() > content.len() {
            part(socket, &content[..filled])?;
            filled = 0;
        }
        content[filled..filled + name.len()].copy_from_slice(name);
        filled += name.len();
    }
    part(socket, &content[..filled])
}
