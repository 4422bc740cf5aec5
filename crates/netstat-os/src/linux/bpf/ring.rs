//! The consumer of a ring buffer that BPF programs write to: `BPF_MAP_TYPE_RINGBUF`, `Documentation/bpf/ringbuf.rst`.
//!
//! The kernel provides three mappings: the page with the consumer position (writable), the page with the producer
//! position, and the data twice in a row, so that no record is ever split.

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mm::{MapFlags, ProtFlags};

use super::sys::Map;

/// `BPF_RINGBUF_BUSY_BIT`: the record is still being written.
const BUSY: u32 = 1 << 31;
/// `BPF_RINGBUF_DISCARD_BIT`: the record was discarded.
const DISCARDED: u32 = 1 << 30;
/// `BPF_RINGBUF_HDR_SZ`: the length with the two bits, then a page offset.
const HEADER: usize = 8;

/// A mapping of memory that is shared with the kernel, unmapped on drop.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

impl Mapping {
    pub(super) fn new(of: BorrowedFd<'_>, offset: u64, length: usize, protection: ProtFlags) -> io::Result<Self> {
        // SAFETY: a new mapping at a place the kernel chooses overlaps nothing; what the kernel writes there is read
        // through atomics, or after synchronizing with them.
        let start =
            unsafe { rustix::mm::mmap(std::ptr::null_mut(), length, protection, MapFlags::SHARED, of, offset)? };
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Mapping { start, length })
    }

    /// Returns the start address.
    pub(super) fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the whole mapping made above, unmapped once; nothing borrowed from it outlives `self`.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// The consumer of a ring buffer. There may be only one for a map.
#[derive(Debug)]
pub(crate) struct Ring {
    map: Map,
    /// The page with the position up to which everything has been read.
    consumer: Mapping,
    /// The page with the position up to which records have been written, followed by the data, twice.
    producer: Mapping,
    page: usize,
    /// The size of the data in bytes, a power of two.
    size: usize,
}

impl Ring {
    /// Maps the ring buffer.
    ///
    /// # Errors
    /// Returns the error of mmap(2), or `InvalidInput` if the size is not a power of two or not a multiple of the page
    /// size.
    pub(crate) fn new(map: Map) -> io::Result<Ring> {
        let page = rustix::param::page_size();
        let size = map.shape().entries as usize;
        if !size.is_power_of_two() || !size.is_multiple_of(page) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let consumer = Mapping::new(map.descriptor(), 0, page, ProtFlags::READ | ProtFlags::WRITE)?;
        let producer = Mapping::new(map.descriptor(), page as u64, page + 2 * size, ProtFlags::READ)?;
        Ok(Ring {
            map,
            consumer,
            producer,
            page,
            size,
        })
    }

    /// Waits for at most `limit` until a program wakes the reader. Records that are written with `BPF_RB_NO_WAKEUP` do
    /// not end the wait.
    ///
    /// # Errors
    /// Returns the error of poll(2). A signal ends the wait early without an error.
    pub(crate) fn wait(&self, limit: Duration) -> io::Result<()> {
        let mut descriptors = [PollFd::from_borrowed_fd(self.map.descriptor(), PollFlags::IN)];
        let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
        match poll(&mut descriptors, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Passes every complete record written so far to `visit`, and frees the space.
    pub(crate) fn drain(&mut self, mut visit: impl FnMut(&[u8])) {
        // SAFETY: both pages start with the position, an aligned 64-bit integer that the kernel changes atomically.
        let (consumer, producer) = unsafe {
            (
                AtomicU64::from_ptr(self.consumer.start.as_ptr().cast()),
                AtomicU64::from_ptr(self.producer.start.as_ptr().cast()),
            )
        };
        let mut position = consumer.load(Ordering::Relaxed);
        while position < producer.load(Ordering::Acquire) {
            let offset = position as usize & (self.size - 1);
            // SAFETY: `offset` is below `size`, and the data is mapped twice starting at `page`, so a header lies
            // inside, at a multiple of 8.
            let length = unsafe {
                let header = self.producer.start.as_ptr().add(self.page + offset);
                AtomicU32::from_ptr(header.cast()).load(Ordering::Acquire)
            };
            if length & BUSY != 0 {
                return;
            }
            let bytes = (length & !DISCARDED) as usize;
            if bytes > self.size {
                // The kernel never writes this. Stop reading rather than access memory outside of the mapping.
                return;
            }
            if length & DISCARDED == 0 {
                // SAFETY: at most `size` bytes after an offset below `size` lie within the doubled data. The record is
                // complete, and the kernel does not reuse its space before the consumer position has passed it.
                let record = unsafe {
                    let start = self.producer.start.as_ptr().add(self.page + offset + HEADER);
                    std::slice::from_raw_parts(start, bytes.min(2 * self.size - offset - HEADER))
                };
                visit(record);
            }
            position += (HEADER + bytes).next_multiple_of(8) as u64;
            consumer.store(position, Ordering::Release);
        }
    }
}
