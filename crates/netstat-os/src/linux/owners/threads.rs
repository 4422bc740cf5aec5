//! The threads of a process that have a descriptor table of their own (unshare(2), `CLONE_FILES`).

use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, openat, statat};
use rustix::io::Errno;

use super::process::small_number;
use super::table::PathBuffer;

/// `KCMP_FILES` in the kernel's `include/uapi/linux/kcmp.h`: compares whether two threads share their descriptor table.
const KCMP_FILES: libc::c_int = 2;

/// Returns one thread for each descriptor table in process `pid` that is not the table of the main thread.
pub(crate) fn threads_with_tables(proc: BorrowedFd<'_>, pid: u32) -> Result<Vec<u32>, Errno> {
    let mut path = PathBuffer::new();
    path.number(pid);
    path.text(b"/task");
    // The directory has two links plus one for each thread (proc_task_getattr); most processes have only one thread.
    if statat(proc, path.as_bytes(), AtFlags::empty())?.st_nlink == 3 {
        return Ok(Vec::new());
    }
    let tasks = openat(
        proc,
        path.as_bytes(),
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(&tasks, &mut buffer);
    let mut met = Vec::new();
    while let Some(entry) = entries.next() {
        let Some(thread) = small_number(entry?.file_name().to_bytes()).filter(|&thread| thread != pid) else {
            continue;
        };
        if !share_table(pid, thread) && !met.iter().any(|&other| share_table(other, thread)) {
            met.push(thread);
        }
    }
    Ok(met)
}

/// Whether two threads share their descriptor table. Assumed if the kernel does not tell, because it is true for all
/// but a few programs.
fn share_table(one: u32, other: u32) -> bool {
    // SAFETY: kcmp(2) with these arguments takes only integers and does not access memory of this process.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kcmp,
            one as libc::pid_t,
            other as libc::pid_t,
            KCMP_FILES,
            0 as libc::c_ulong,
            0 as libc::c_ulong,
        )
    };
    // 0: equal; 1, 2, 3: not; -1: an error.
    result <= 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_one_process_share_descriptor_table() {
        let own = std::process::id();
        // gettid(2) of the test's thread, which is not the main thread of its process.
        let thread = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        assert!(share_table(own, thread));
    }
}
