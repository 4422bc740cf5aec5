//! The messages between this program and its [`reader`](super::reader): packets over a socket pair, in host byte order.
//!
//! Code that runs in the reader must not allocate, because the reader is a forked copy of a multi-threaded program.

use netstat_model::process::{FileFacts, FileTime};

/// The maximum number of unresponsive devices in a request.
pub(super) const UNRESPONSIVE_MAX: usize = 8;
/// PATH_MAX of linux/limits.h, including the terminating NUL.
pub(super) const PATH_MAX: usize = 4096;
/// The number of integers in a request: the operation, three arguments and the unresponsive devices.
const NUMBERS: usize = 4 + UNRESPONSIVE_MAX;
/// The maximum size of a request in bytes.
pub(super) const REQUEST_MAX: usize = NUMBERS * 8 + PATH_MAX;
/// The maximum content of one answer packet in bytes.
pub(super) const CHUNK: usize = 64 << 10;
/// The size of the header before the content: kind and error number.
pub(super) const HEADER: usize = 8;
/// The maximum size of an answer packet in bytes.
pub(super) const ANSWER_MAX: usize = HEADER + CHUNK;

/// The operations of the reader on the descriptor that comes with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Operation {
    /// Open the path below the descriptor with O_PATH, after trying to open it with the requested flags. Arguments:
    /// open flags, resolve flags (openat2(2)).
    Open = 1,
    /// Try to open the file that the descriptor refers to. Argument: open flags.
    Try = 2,
    /// fstat(2).
    Facts = 3,
    /// The file system type of fstatfs(2).
    Type = 4,
    /// pread(2). Arguments: offset, length.
    Read = 5,
    /// readlinkat(2) of the path below the descriptor.
    Link = 6,
    /// The names in the directory.
    Names = 7,
    /// lseek(2). Arguments: offset, and 0 for the next data or 1 for the next hole.
    Seek = 8,
}

impl Operation {
    const ALL: [Operation; 8] = {
        use Operation::*;
        [Open, Try, Facts, Type, Read, Link, Names, Seek]
    };
}

/// A request, except for its descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) operation: Operation,
    pub(super) arguments: [u64; 3],
    pub(super) unresponsive: [u64; UNRESPONSIVE_MAX],
    pub(super) path: &'a [u8],
}

impl<'a> Request<'a> {
    pub(super) fn new(operation: Operation, arguments: [u64; 3], path: &'a [u8]) -> Request<'a> {
        Request {
            operation,
            arguments,
            unresponsive: [0; UNRESPONSIVE_MAX],
            path,
        }
    }

    /// Encodes the request as a packet; `None` if its path is longer than PATH_MAX.
    pub(super) fn packet(&self) -> Option<Vec<u8>> {
        let mut packet = Vec::with_capacity(NUMBERS * 8 + self.path.len());
        for number in [self.operation as u64]
            .iter()
            .chain(&self.arguments)
            .chain(&self.unresponsive)
        {
            packet.extend_from_slice(&number.to_ne_bytes());
        }
        packet.extend_from_slice(self.path);
        (self.path.len() < PATH_MAX && !self.path.contains(&0)).then_some(packet)
    }

    /// Decodes a packet; `None` if it is malformed.
    pub(super) fn parse(packet: &'a [u8]) -> Option<Request<'a>> {
        let (numbers, path) = packet.split_at_checked(NUMBERS * 8)?;
        let mut read = [0; NUMBERS];
        for (number, bytes) in read.iter_mut().zip(numbers.chunks_exact(8)) {
            *number = u64::from_ne_bytes(bytes.try_into().ok()?);
        }
        let mut unresponsive = [0; UNRESPONSIVE_MAX];
        unresponsive.copy_from_slice(read.get(4..)?);
        Some(Request {
            operation: Operation::ALL.into_iter().find(|one| *one as u64 == read[0])?,
            arguments: [read[1], read[2], read[3]],
            unresponsive,
            path,
        })
    }
}

/// The kind of a packet from the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Kind {
    /// The reader is about to access a file on this device, which may not answer.
    At = 1,
    /// A part of the answer; more follows.
    Part = 2,
    /// The end of the answer, with an error number or 0.
    End = 3,
}

pub(super) fn header(kind: Kind, error: i32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&(kind as u32).to_ne_bytes());
    header[4..].copy_from_slice(&error.to_ne_bytes());
    header
}

/// Splits a packet into its kind, error number and content; `None` if it is malformed.
pub(super) fn parse_answer(packet: &[u8]) -> Option<(Kind, i32, &[u8])> {
    let (kind, rest) = packet.split_first_chunk::<4>()?;
    let (error, content) = rest.split_first_chunk::<4>()?;
    let kind = u32::from_ne_bytes(*kind);
    let kind = [Kind::At, Kind::Part, Kind::End]
        .into_iter()
        .find(|one| *one as u32 == kind)?;
    Some((kind, i32::from_ne_bytes(*error), content))
}

pub(super) const FACTS: usize = 13 * 8;

pub(super) fn facts_to_bytes(facts: &FileFacts) -> [u8; FACTS] {
    let numbers = [
        facts.device,
        facts.inode,
        facts.links,
        facts.size,
        facts.mode.into(),
        facts.user.into(),
        facts.group.into(),
        facts.modified.seconds.cast_unsigned(),
        facts.modified.nanoseconds.into(),
        facts.changed.seconds.cast_unsigned(),
        facts.changed.nanoseconds.into(),
        0,
        0,
    ];
    let mut bytes = [0; FACTS];
    for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_ne_bytes());
    }
    bytes
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "each number was a u32 when it was written"
)]
pub(super) fn facts_from_bytes(bytes: &[u8]) -> Option<FileFacts> {
    let bytes: &[u8; FACTS] = bytes.try_into().ok()?;
    let mut numbers = [0; FACTS / 8];
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
        *number = u64::from_ne_bytes(bytes.try_into().ok()?);
    }
    let [
        device,
        inode,
        links,
        size,
        mode,
        user,
        group,
        modified,
        modified_part,
        changed,
        changed_part,
        ..,
    ] = numbers;
    Some(FileFacts {
        device,
        inode,
        links,
        size,
        mode: mode as u32,
        user: user as u32,
        group: group as u32,
        modified: FileTime {
            seconds: modified.cast_signed(),
            nanoseconds: modified_part as u32,
        },
        changed: FileTime {
            seconds: changed.cast_signed(),
            nanoseconds: changed_part as u32,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_survives_its_packet() {
        let mut request = Request::new(Operation::Open, [1, 2, 3], b"/usr/bin/x");
        request.unresponsive[7] = 9;
        let packet = request.packet().unwrap();
        let read = Request::parse(&packet).unwrap();
        assert_eq!((read.operation, read.arguments), (request.operation, request.arguments));
        assert_eq!((read.unresponsive, read.path), (request.unresponsive, request.path));
        assert!(Request::parse(&packet[..40]).is_none() && Request::parse(&[0; 200]).is_none());
    }

    #[test]
    fn request_path_with_nul_or_too_long_refused() {
        assert!(Request::new(Operation::Link, [0; 3], b"a\0b").packet().is_none());
        assert!(
            Request::new(Operation::Link, [0; 3], &[b'a'; PATH_MAX])
                .packet()
                .is_none()
        );
    }
}
