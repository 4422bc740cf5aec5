//! Settings of the allocator for freed memory.

/// Makes the allocator return the memory of large tables to the system as soon as they are dropped, and limits the
/// number of per-thread heaps (mallopt(3)). Meant for long-running processes that build large tables now and then. Does
/// nothing with an allocator other than glibc's.
pub fn return_memory_early() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// The size in bytes from which an allocation gets a mapping of its own. Setting it also stops glibc from
        /// raising it up to 32 MiB.
        const MAPPED_FROM: libc::c_int = 512 << 10;
        /// How many bytes of free memory are kept at the end of a heap.
        const KEPT: libc::c_int = 1 << 20;
        const HEAPS: libc::c_int = 2;
        for (parameter, value) in [
            (libc::M_MMAP_THRESHOLD, MAPPED_FROM),
            (libc::M_TRIM_THRESHOLD, KEPT),
            (libc::M_ARENA_MAX, HEAPS),
        ] {
            // SAFETY: the call takes two integers and only changes settings of the allocator; if it fails, nothing
            // changes.
            unsafe { libc::mallopt(parameter, value) };
        }
    }
}
