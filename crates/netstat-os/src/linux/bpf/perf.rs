//! Perf buffers, through which BPF programs pass records to user space on kernels without ring buffers (before Linux
//! 5.8). There is one buffer for each CPU.
//!
//! For layouts and constants, see `include/uapi/linux/perf_event.h` and perf_event_open(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::ProtFlags;

use super::ring::Mapping;
use super::sys::Map;

const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_TYPE_TRACEPOINT: u32 = 2;
const PERF_COUNT_SW_BPF_OUTPUT: u64 = 10;
const PERF_SAMPLE_RAW: u64 = 1 << 10;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;
const PERF_EVENT_IOC_ENABLE: libc::Ioctl = 0x2400;
const PERF_EVENT_IOC_SET_BPF: libc::Ioctl = 0x4004_2408;
/// `PERF_RECORD_LOST` and `PERF_RECORD_SAMPLE`.
const LOST: u32 = 2;
const SAMPLE: u32 = 9;
/// `struct perf_event_header`: type, misc, size.
const HEADER: usize = 8;
/// Offsets in `struct perf_event_mmap_page`, which occupies the first page.
const DATA_HEAD: usize = 1024;
const DATA_TAIL: usize = 1032;
/// The size of the buffer of one CPU in bytes: a power-of-two number of pages on every architecture.
const BUFFER_BYTES: usize = 1 << 20;
/// The size of a record is a 16-bit field.
const LARGEST_RECORD: usize = u16::MAX as usize;

/// The first version of `struct perf_event_attr`, which every kernel accepts.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint: u32,
    breakpoint_at: u64,
}

fn open(attributes: &Attributes, processor: libc::c_int) -> io::Result<OwnedFd> {
    const EVERY_PROCESS: libc::pid_t = -1;
    const NO_GROUP: libc::c_int = -1;
    // SAFETY: `attributes` is readable for the size that it names.
    let opened = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            &raw const *attributes,
            EVERY_PROCESS,
            processor,
            NO_GROUP,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    if opened < 0 {
        return Err(io::Error::last_os_error());
    }
    let descriptor = i32::try_from(opened).map_err(io::Error::other)?;
    // SAFETY: the kernel has just returned this new descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn control(event: BorrowedFd<'_>, request: libc::Ioctl, value: libc::c_int) -> io::Result<()> {
    // SAFETY: neither request takes a pointer.
    match unsafe { libc::ioctl(event.as_raw_fd(), request, value) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Attaches a loaded program to the tracepoint with this id, on all CPUs, until the descriptor is closed.
///
/// # Errors
/// Returns the error of the kernel: `EACCES` if the program reads beyond the fields of the tracepoint.
pub(crate) fn attach_tracepoint(id: u64, program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let attributes = Attributes {
        kind: PERF_TYPE_TRACEPOINT,
        size: size_of::<Attributes>() as u32,
        config: id,
        sample_period: 1,
        ..Attributes::default()
    };
    // The program is attached to the tracepoint as a whole, not to the CPU of the event.
    let event = open(&attributes, 0)?;
    control(event.as_fd(), PERF_EVENT_IOC_SET_BPF, program.as_raw_fd())?;
    control(event.as_fd(), PERF_EVENT_IOC_ENABLE, 0)?;
    Ok(event)
}

/// The buffer of one CPU.
#[derive(Debug)]
struct Buffer {
    /// Keeps the buffer alive: the map and the mapping refer to this event.
    _event: OwnedFd,
    /// The page with the positions, followed by the data.
    memory: Mapping,
}

/// The buffers of all processors behind a map of `BPF_MAP_TYPE_PERF_EVENT_ARRAY`.
#[derive(Debug)]
pub(crate) struct PerfBuffers {
    buffers: Vec<Buffer>,
    page: usize,
    record: Vec<u8>,
    _map: Map,
}

impl PerfBuffers {
    /// Creates a buffer for each CPU that is online.
    ///
    /// # Errors
    /// Returns the error of the kernel.
    pub(crate) fn new(map: Map) -> io::Result<PerfBuffers> {
        let attributes = Attributes {
            kind: PERF_TYPE_SOFTWARE,
            size: size_of::<Attributes>() as u32,
            config: PERF_COUNT_SW_BPF_OUTPUT,
            sample_period: 1,
            sample_type: PERF_SAMPLE_RAW,
            wakeup_events: 1,
            ..Attributes::default()
        };
        let page = rustix::param::page_size();
        let mut buffers = Vec::new();
        for processor in 0..map.shape().entries {
            let event = match open(&attributes, processor.cast_signed()) {
                Ok(event) => event,
                // The CPU is possible but not online.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => continue,
                Err(error) => return Err(error),
            };
            let memory = Mapping::new(
                event.as_fd(),
                0,
                page + BUFFER_BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
            )?;
            map.put_descriptor(processor, event.as_fd())?;
            control(event.as_fd(), PERF_EVENT_IOC_ENABLE, 0)?;
            buffers.push(Buffer { _event: event, memory });
        }
        Ok(PerfBuffers {
            buffers,
            page,
            record: Vec::new(),
            _map: map,
        })
    }

    /// Passes every record written so far to `visit`, CPU by CPU. Returns the number of records that were lost because
    /// a buffer was full.
    pub(crate) fn drain(&mut self, mut visit: impl FnMut(&[u8])) -> u64 {
        let mut lost = 0;
        let PerfBuffers {
            buffers, page, record, ..
        } = self;
        for buffer in buffers {
            lost += buffer.drain(*page, record, &mut visit);
        }
        lost
    }
}

impl Buffer {
    fn drain(&mut self, page: usize, record: &mut Vec<u8>, visit: &mut impl FnMut(&[u8])) -> u64 {
        let start = self.memory.start();
        // SAFETY: the page begins with `struct perf_event_mmap_page`, whose positions are aligned 64-bit integers that
        // the kernel changes atomically.
        let (head, tail) = unsafe {
            (
                AtomicU64::from_ptr(start.add(DATA_HEAD).cast()),
                AtomicU64::from_ptr(start.add(DATA_TAIL).cast()),
            )
        };
        let end = head.load(Ordering::Acquire);
        let mut position = tail.load(Ordering::Relaxed);
        let mut lost = 0;
        while position < end {
            self.copy(page, position, HEADER, record);
            let kind = number(record, 0, 4) as u32;
            let size = number(record, 6, 2) as usize;
            if size < HEADER || size as u64 > end - position {
                // The kernel never writes this, so the rest of the buffer cannot be trusted either.
                position = end;
                break;
            }
            self.copy(page, position, size, record);
            match kind {
                // The size of the sample, the sample, padding.
                SAMPLE => {
                    let length = number(record, HEADER, 4) as usize;
                    if let Some(sample) = record.get(HEADER + 4..).and_then(|rest| rest.get(..length)) {
                        visit(sample);
                    }
                }
                // The id of the event, the number of lost records.
                LOST => lost += number(record, HEADER + 8, 8),
                _ => {}
            }
            position += size as u64;
        }
        tail.store(position, Ordering::Release);
        lost
    }

    /// Copies `length` bytes at `position` out of the buffer, which wraps around at its end.
    fn copy(&self, page: usize, position: u64, length: usize, to: &mut Vec<u8>) {
        let length = length.min(LARGEST_RECORD);
        let offset = position as usize & (BUFFER_BYTES - 1);
        let first = length.min(BUFFER_BYTES - offset);
        to.clear();
        // SAFETY: both parts lie within the data, which begins at `page` and is `BUFFER_BYTES` long; the kernel does not write before the
        // tail has passed them.
        unsafe {
            let data = self.memory.start().add(page);
            to.extend_from_slice(std::slice::from_raw_parts(data.add(offset), first));
            to.extend_from_slice(std::slice::from_raw_parts(data, length - first));
        }
    }
}

/// Reads an integer of `length` bytes, at most 8; 0 if it is out of bounds.
fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    let mut long = [0; 8];
    if let Some(part) = bytes.get(at..at + length) {
        long[..length].copy_from_slice(part);
    }
    u64::from_ne_bytes(long)
}
