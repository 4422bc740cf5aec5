//! The running kernel's BTF in memory.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::ptr::NonNull;

use rustix::mm::{Advice, MapFlags, ProtFlags};

/// The file in which the kernel publishes its types; mode 0444, since Linux 5.4 with `CONFIG_DEBUG_INFO_BTF`.
pub(crate) const PATH: &str = "/sys/kernel/btf/vmlinux";

/// The content of `/sys/kernel/btf/vmlinux`: 5 to 10 MB, unmapped on drop.
#[derive(Debug)]
pub(crate) struct KernelBtf {
    start: NonNull<u8>,
    mapped: usize,
    filled: usize,
}

impl KernelBtf {
    /// Maps the file (Linux 6.16 and later), or reads it.
    ///
    /// # Errors
    /// Returns `NotFound` if the kernel has no BTF, and any other error of opening or reading the file.
    pub(crate) fn open() -> io::Result<Self> {
        let file = File::open(PATH)?;
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match Self::map(&file, length) {
            Ok(mapped) => Ok(mapped),
            Err(_) => Self::read(&file, length),
        }
    }

    /// Maps the file without a copy, which takes 0.05 ms instead of 2.5 ms.
    fn map(file: &File, length: usize) -> io::Result<Self> {
        // SAFETY: a new private mapping at a place the kernel chooses overlaps nothing. The kernel's BTF never changes.
        let start = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ,
                MapFlags::PRIVATE,
                file,
                0,
            )?
        };
        Self::new(start, length, length)
    }

    /// Reads the file. sysfs returns one page per `read`, so most of the time goes into page faults of the buffer; huge
    /// pages, where available, reduce it from 13 ms to 2.5 ms.
    fn read(file: &File, length: usize) -> io::Result<Self> {
        // SAFETY: a new anonymous mapping at a place the kernel chooses overlaps nothing.
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )?
        };
        let mut memory = Self::new(start, length, 0)?;
        // SAFETY: the range is the mapping just made. This is only advice: a kernel without huge pages refuses it,
        // which changes nothing.
        let _ = unsafe { rustix::mm::madvise(start, length, Advice::LinuxHugepage) };
        // SAFETY: the mapping has `length` bytes, is readable, writable and zeroed, and nothing else refers to it yet.
        let buffer = unsafe { std::slice::from_raw_parts_mut(memory.start.as_ptr(), length) };
        while memory.filled < length {
            match io::Read::read(&mut &*file, &mut buffer[memory.filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => memory.filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(memory)
    }

    fn new(start: *mut std::ffi::c_void, mapped: usize, filled: usize) -> io::Result<Self> {
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(KernelBtf { start, mapped, filled })
    }
}

impl Deref for KernelBtf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping lives as long as `self`, is readable for `filled` bytes, and nothing writes to it any more.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.filled) }
    }
}

impl Drop for KernelBtf {
    fn drop(&mut self) {
        // SAFETY: the whole mapping made above, unmapped once; slices of it borrow `self`. Nothing can be done about an error.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.mapped) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::bpf::btf::Btf;

    #[test]
    fn mapping_and_reading_give_the_same_types() {
        let Ok(file) = File::open(PATH) else {
            return netstat_testkit::skip(
                "mapping_and_reading_give_the_same_types",
                &format!("this kernel has no {PATH}"),
            );
        };
        let length = file.metadata().unwrap().len() as usize;
        let read = KernelBtf::read(&file, length).unwrap();
        let opened = KernelBtf::open().unwrap();
        assert!(read[..] == opened[..], "the two ways differ");
        let btf = Btf::parse(&opened).unwrap();
        let mut families = Vec::new();
        btf.each_named(|id, _, described| {
            if btf.is_named(&described, b"sock_common") {
                families.extend(btf.field(id, &[b"skc_family"]));
            }
            std::ops::ControlFlow::Continue(())
        });
        assert_eq!(families.len(), 1);
        assert_eq!(families[0].size, 2);
    }
}
