//! How the allocator treats memory that is free again.

/// Has memory of large tables returned to the system as soon as they are dropped, and limits how many heaps threads have of their own
/// (mallopt(3)): for processes that run for long and make large tables now and then. Does nothing where the allocator is another.
pub fn return_memory_early() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// Allocations from this size on are mappings of their own, in bytes. glibc raises its own value up to 32 MiB as it goes.
        const MAPPED_FROM: libc::c_int = 512 << 10;
        /// Free memory at the end of a heap that is kept, in bytes.
        const KEPT: libc::c_int = 1 << 20;
        const HEAPS: libc::c_int = 2;
        for (parameter, value) in [
            (libc::M_MMAP_THRESHOLD, MAPPED_FROM),
            (libc::M_TRIM_THRESHOLD, KEPT),
            (libc::M_ARENA_MAX, HEAPS),
        ] {
            // SAFETY: the call takes two numbers and changes settings of the allocator alone; a refusal changes nothing.
            unsafe { libc::mallopt(parameter, value) };
        }
    }
}
