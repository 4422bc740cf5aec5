//! Loads BPF programs, iterators and tracepoints: the least that this needs, so that a listing pays milliseconds for it, not tens.
//!
//! The general loader `aya` 0.14 needs 50 ms of start-up here (measured on a 2-core virtual machine with Linux 6.18): it copies the 5.5 MB of
//! kernel BTF, parses all of it into owned values twice, and probes features that an iterator has no use for. This module maps
//! the kernel's BTF, walks over it once and looks only at the names that the program mentions.
//!
//! * [`btf`]: reads BTF, the type descriptions of the kernel and of our object file;
//! * [`object`]: reads the object file and puts the running kernel's field offsets into its instructions (CO-RE);
//! * [`kernel_btf`]: `/sys/kernel/btf/vmlinux` in memory;
//! * [`maps`]: the maps of an object file;
//! * [`perf`]: attaches programs to classic tracepoints, and reads perf buffers;
//! * [`ring`]: reads a ring buffer that programs write;
//! * [`sys`]: the `bpf(2)` commands.

pub(crate) mod btf;
pub(crate) mod kernel_btf;
pub(crate) mod maps;
pub(crate) mod object;
pub(crate) mod perf;
pub(crate) mod ring;
pub(crate) mod sys;

/// For the fuzz targets.
#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    use std::ops::ControlFlow;

    use super::btf::Btf;
    use super::object::Object;

    /// Reads type descriptions.
    pub fn btf(data: &[u8]) {
        let Ok(types) = Btf::parse(data) else { return };
        types.each_named(|id, kind, described| {
            let _ = (
                kind,
                types.name(&described),
                types.size(id),
                types.arguments(&described),
            );
            let _ = types.resolve(id).map(|resolved| resolved.kind());
            for member in described.members().take(100) {
                let name = types.member_name(&member);
                let _ = types.field(id, &[name]);
                let _ = types.field(id, &[name, name]);
            }
            ControlFlow::Continue(())
        });
    }

    /// Reads an object file and adapts its program to the types of a kernel.
    pub fn object(data: &[u8], kernel: &[u8], section: &str, attach_to: &str) {
        let Ok(object) = Object::parse(data, section) else {
            return;
        };
        let descriptors = [3; 64];
        let _ = object.as_written().use_maps(&descriptors);
        if let Ok(types) = Btf::parse(kernel)
            && let Ok(mut program) = object.fit(&types, attach_to)
        {
            let _ = program.use_maps(&descriptors);
        }
    }
}
