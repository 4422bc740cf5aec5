//! The object file that clang compiles, and its relocation for the running kernel.
//!
//! ELF is described in `elf(5)`. The relocations that carry field names (CO-RE) are in the section `.BTF.ext`: `struct
//! bpf_core_relo` in `include/uapi/linux/bpf.h`, "BPF CO-RE relocations" in `Documentation/bpf/llvm_reloc.rst`.

use std::ops::ControlFlow;

use super::btf::{Btf, BtfError, Kind, part, u16_at, u32_at};
use super::maps::{self, MapUse};
use super::sys::MapShape;

/// The size of a BPF instruction in bytes: code, registers, 16-bit offset, 32-bit immediate (RFC 9669, 3).
const INSTRUCTION_BYTES: usize = 8;
/// `BPF_CORE_FIELD_BYTE_OFFSET`.
const FIELD_BYTE_OFFSET: u32 = 0;
/// The size of `struct bpf_core_relo` in bytes: instruction, type, access string, kind.
const RELOCATION_BYTES: usize = 16;
/// The maximum length of an access path.
const MAX_PATH: usize = 8;

/// The reason why a program cannot be built from an object file and the types of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ObjectError {
    /// The file does not have the structure that clang produces.
    #[error("the object file is malformed: {0}")]
    Malformed(&'static str),
    /// The objects are made for little-endian processors.
    #[error("this program has no eBPF objects for big-endian processors")]
    ByteOrder,
    /// The BTF of the file or of the kernel cannot be read.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The kernel has no such structure, field or function.
    #[error("the running kernel has no {0}")]
    Missing(String),
    /// The kernel's BTF describes several different fields under this name.
    #[error("the running kernel describes {0} in more than one way")]
    Ambiguous(String),
    /// The size of the field differs from what the program reads.
    #[error("{0} has another size in the running kernel")]
    OtherSize(String),
}

/// A program of an object file, and the maps of the file.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    instructions: &'a [u8],
    license: &'a [u8],
    relocations: Vec<Relocation<'a>>,
    maps: Vec<MapShape>,
    uses: Vec<MapUse>,
}

/// An instruction that accesses a field of a kernel structure.
#[derive(Debug)]
struct Relocation<'a> {
    /// The offset of the instruction in bytes.
    at: usize,
    /// The structure's name.
    root: &'a [u8],
    /// The member names from there; anonymous members are left out.
    path: Vec<&'a [u8]>,
    /// The size of the field in bytes, as the program reads it.
    size: u32,
}

/// A program that has been relocated for the running kernel.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    /// The instructions, 8 bytes each.
    pub(crate) instructions: Vec<u8>,
    /// The license, with its terminating zero.
    pub(crate) license: &'a [u8],
    /// The BTF id of the kernel function, or of the tracepoint's `btf_trace_` type, that the program attaches to.
    pub(crate) attach_to: u32,
    /// The number of parameters of that function; `None` for a tracepoint.
    pub(crate) arguments: Option<usize>,
    uses: Vec<MapUse>,
}

impl Program<'_> {
    /// Inserts the descriptors of the maps, in the order of [`Object::maps`].
    ///
    /// # Errors
    /// Returns an error if there are fewer descriptors than the program uses, or it refers to a map in an instruction
    /// other than a 64-bit load.
    pub(crate) fn use_maps(&mut self, descriptors: &[i32]) -> Result<(), ObjectError> {
        maps::fill(&mut self.instructions, &self.uses, descriptors).ok_or(ObjectError::Malformed("use of a map"))
    }
}

impl<'a> Object<'a> {
    /// Parses the program in `section` and its relocations.
    pub(crate) fn parse(data: &'a [u8], section: &str) -> Result<Self, ObjectError> {
        let file = Elf::parse(data)?;
        let instructions = file
            .section(section.as_bytes())
            .ok_or(ObjectError::Malformed("no program"))?;
        if instructions.is_empty() || !instructions.len().is_multiple_of(INSTRUCTION_BYTES) {
            return Err(ObjectError::Malformed("program length"));
        }
        // Only maps have ELF relocations, because the programs do not call other functions.
        let (maps, uses) = maps::read(&file, section.as_bytes()).ok_or(ObjectError::Malformed("maps"))?;
        let license = file.section(b"license").ok_or(ObjectError::Malformed("no licence"))?;
        if license.last() != Some(&0) {
            return Err(ObjectError::Malformed("licence without end"));
        }
        let types = Btf::parse(file.section(b".BTF").ok_or(ObjectError::Malformed("no types"))?)?;
        let extension = file
            .section(b".BTF.ext")
            .ok_or(ObjectError::Malformed("no relocations"))?;
        let relocations =
            relocations(extension, &types, section.as_bytes()).ok_or(ObjectError::Malformed("relocations"))?;
        Ok(Object {
            instructions,
            license,
            relocations,
            maps,
            uses,
        })
    }

    /// Returns the maps in the order of the file; all programs of one file share them.
    pub(crate) fn maps(&self) -> &[MapShape] {
        &self.maps
    }

    /// Returns the program as it was compiled, for attach points that need no kernel types.
    pub(crate) fn as_written(&self) -> Program<'a> {
        Program {
            instructions: self.instructions.to_vec(),
            license: self.license,
            attach_to: 0,
            arguments: None,
            uses: self.uses.clone(),
        }
    }

    /// Relocates the program to the offsets of the running kernel, and looks up the function or type `attach_to`.
    ///
    /// # Errors
    /// Returns an error if a field or the function is missing, ambiguous, or has another size than the program expects.
    pub(crate) fn fit(&self, kernel: &Btf<'_>, attach_to: &str) -> Result<Program<'a>, ObjectError> {
        let mut roots: Vec<&[u8]> = self.relocations.iter().map(|one| one.root).collect();
        roots.sort_unstable();
        roots.dedup();

        // One walk over the types for all names, because kernels have 100,000 to 200,000 of them.
        let mut function = None;
        let mut structures: Vec<(&[u8], u32)> = Vec::with_capacity(roots.len());
        kernel.each_named(|id, kind, described| {
            if matches!(kind, Kind::Function | Kind::Alias) {
                if function.is_none() && kernel.is_named(&described, attach_to.as_bytes()) {
                    function = Some((id, kernel.arguments(&described)));
                }
            } else if let Some(root) = roots.iter().find(|root| kernel.is_named(&described, root)) {
                structures.push((root, id));
            }
            ControlFlow::Continue(())
        });

        let mut instructions = self.instructions.to_vec();
        for one in &self.relocations {
            let mut found = None;
            for (_, id) in structures.iter().filter(|(name, _)| *name == one.root) {
                match (kernel.field(*id, &one.path), found) {
                    (Some(field), None) => found = Some(field),
                    (Some(field), Some(other)) if field != other => return Err(ObjectError::Ambiguous(one.words())),
                    _ => {}
                }
            }
            let field = found.ok_or_else(|| ObjectError::Missing(one.words()))?;
            if field.size != one.size {
                return Err(ObjectError::OtherSize(one.words()));
            }
            let instruction = instructions
                .get_mut(one.at..one.at + INSTRUCTION_BYTES)
                .ok_or(ObjectError::Malformed("relocation outside the program"))?;
            patch(instruction, field.offset).ok_or(ObjectError::Malformed("relocated instruction"))?;
        }
        let (attach_to, arguments) = function.ok_or_else(|| ObjectError::Missing(attach_to.to_owned()))?;
        Ok(Program {
            instructions,
            license: self.license,
            attach_to,
            arguments,
            uses: self.uses.clone(),
        })
    }
}

impl Relocation<'_> {
    fn words(&self) -> String {
        let mut words = String::from_utf8_lossy(self.root).into_owned();
        for name in &self.path {
            words.push('.');
            words.push_str(&String::from_utf8_lossy(name));
        }
        words
    }
}

/// Writes the offset of a field into the instruction that uses it; `None` if it does not fit.
fn patch(instruction: &mut [u8], offset: u32) -> Option<()> {
    match *instruction.first()? & 0x07 {
        // LDX, ST, STX: the 16-bit offset from the register.
        1..=3 => {
            let offset = i16::try_from(offset).ok()?;
            instruction.get_mut(2..4)?.copy_from_slice(&offset.to_ne_bytes());
        }
        // ALU and ALU64 with an immediate: clang computes an address first.
        4 | 7 if instruction[0] & 0x08 == 0 => {
            let offset = i32::try_from(offset).ok()?;
            instruction.get_mut(4..8)?.copy_from_slice(&offset.to_ne_bytes());
        }
        _ => return None,
    }
    Some(())
}

/// Returns the relocations for one section of the program from `.BTF.ext`; `None` if they are malformed.
fn relocations<'a>(extension: &[u8], types: &Btf<'a>, section: &[u8]) -> Option<Vec<Relocation<'a>>> {
    // struct btf_ext_header: magic, version, flags, hdr_len, then offset and length of three parts. The third is used
    // here.
    let header = u32_at(extension, 4)? as usize;
    if u16_at(extension, 0)? != 0xeb9f || header < 32 {
        return None;
    }
    let start = header.checked_add(u32_at(extension, 24)? as usize)?;
    let mut rest = part(extension, start, u32_at(extension, 28)? as usize)?;
    if rest.is_empty() {
        return Some(Vec::new());
    }
    if u32_at(rest, 0)? as usize != RELOCATION_BYTES {
        return None;
    }
    rest = &rest[4..];

    let mut found = Vec::new();
    while !rest.is_empty() {
        let name = types.string(u32_at(rest, 0)?)?;
        let length = (u32_at(rest, 4)? as usize).checked_mul(RELOCATION_BYTES)?;
        let records = part(rest, 8, length)?;
        if name == section {
            for record in records.chunks_exact(RELOCATION_BYTES) {
                found.push(relocation(record, types)?);
            }
        }
        rest = &rest[8 + length..];
    }
    Some(found)
}

/// Decodes one relocation. The access string contains member indices: `0:0:1` is the second member of the first member.
fn relocation<'a>(record: &[u8], types: &Btf<'a>) -> Option<Relocation<'a>> {
    if u32_at(record, 12)? != FIELD_BYTE_OFFSET {
        return None;
    }
    let mut id = u32_at(record, 4)?;
    let root = types.name(&types.get(id)?);
    let access = std::str::from_utf8(types.string(u32_at(record, 8)?)?).ok()?;
    let mut steps = access.split(':');
    // The first index is that into an array of the structure, which is always 0 here.
    if root.is_empty() || steps.next()? != "0" {
        return None;
    }
    let mut path = Vec::new();
    for step in steps.take(MAX_PATH + 1) {
        let member = types.resolve(id)?.members().nth(step.parse().ok()?)?;
        let name = types.member_name(&member);
        if !name.is_empty() {
            path.push(name);
        }
        id = member.type_id;
    }
    if path.is_empty() || path.len() > MAX_PATH {
        return None;
    }
    Some(Relocation {
        at: u32_at(record, 0)? as usize,
        root,
        path,
        size: types.size(id)?,
    })
}

/// A 64-bit ELF file for BPF in host byte order.
pub(super) struct Elf<'a> {
    data: &'a [u8],
    headers: &'a [u8],
    names: &'a [u8],
}

impl<'a> Elf<'a> {
    const HEADER_BYTES: usize = 64;

    fn parse(data: &'a [u8]) -> Result<Self, ObjectError> {
        const ENDIAN: u8 = if cfg!(target_endian = "little") { 1 } else { 2 };
        const EM_BPF: u16 = 247;
        if cfg!(target_endian = "big") && data.starts_with(b"\x7fELF\x02\x01") {
            return Err(ObjectError::ByteOrder);
        }
        if !data.starts_with(&[0x7f, b'E', b'L', b'F', 2, ENDIAN]) || u16_at(data, 18) != Some(EM_BPF) {
            return Err(ObjectError::Malformed("not a BPF object of this byte order"));
        }
        Self::sections(data).ok_or(ObjectError::Malformed("sections"))
    }

    fn sections(data: &'a [u8]) -> Option<Self> {
        let start = usize_at(data, 40)?;
        let count = u16_at(data, 60)? as usize;
        if u16_at(data, 58)? as usize != Self::HEADER_BYTES {
            return None;
        }
        let headers = part(data, start, count * Self::HEADER_BYTES)?;
        let index = u16_at(data, 62)? as usize;
        let names = Self::content(data, part(headers, index * Self::HEADER_BYTES, Self::HEADER_BYTES)?)?;
        Some(Elf { data, headers, names })
    }

    fn content(data: &'a [u8], header: &[u8]) -> Option<&'a [u8]> {
        part(data, usize_at(header, 24)?, usize_at(header, 32)?)
    }

    pub(super) fn section(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.numbered(name).map(|(_, content)| content)
    }

    /// Returns the index and content of the section called `name`.
    pub(super) fn numbered(&self, name: &[u8]) -> Option<(usize, &'a [u8])> {
        let (index, header) = self
            .headers
            .chunks_exact(Self::HEADER_BYTES)
            .enumerate()
            .find(|(_, header)| {
                u32_at(header, 0)
                    .and_then(|at| self.names.get(at as usize..))
                    .and_then(|rest| rest.strip_prefix(name))
                    .is_some_and(|rest| rest.first() == Some(&0))
            })?;
        Some((index, Self::content(self.data, header)?))
    }
}

pub(super) fn usize_at(data: &[u8], at: usize) -> Option<usize> {
    let bytes = part(data, at, 8)?.try_into().ok()?;
    usize::try_from(u64::from_ne_bytes(bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::bpf::btf::tests::Writer;
    #[cfg(not(target_arch = "x86"))]
    use crate::linux::bpf::kernel_btf::{KernelBtf, PATH};
    use proptest::prelude::*;

    const OBJECT: &[u8] = include_bytes!("../../../bpf/task_file.bpf.o");
    const SECTION: &str = "iter/task_file";
    const ITERATOR: &str = "bpf_iter_task_file";

    /// A made-up kernel: all fields that the program reads, and a structure called `file` for each element of `files`.
    fn kernel(inode: Option<(&str, u32)>, files: &[u32]) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.int("unsigned int", 4); // 1
        writer.int("unsigned long", 8); // 2
        writer.int("unsigned short", 2); // 3
        writer.simple(2, "", 2); // 4: pointer
        writer.composite("", false, 8, &[("net", 4, 0)]); // 5
        writer.simple(8, "possible_net_t", 5); // 6
        writer.composite(
            "sock_common",
            false,
            80,
            &[("skc_family", 3, 16 * 8), ("skc_net", 6, 48 * 8)],
        ); // 7
        writer.composite("sock", false, 800, &[("__sk_common", 7, 0)]);
        writer.composite("socket", false, 128, &[("sk", 4, 24 * 8)]);
        let (name, kind) = inode.unwrap_or(("i_ino", 2));
        writer.composite("inode", false, 600, &[(name, kind, 64 * 8)]);
        for place in files {
            writer.composite("file", false, 256, &[("f_inode", 4, place * 8)]);
        }
        writer.composite("nsproxy", false, 64, &[("net_ns", 4, 40 * 8)]);
        let task = [
            ("pid", 1, 2464 * 8),
            ("tgid", 1, 2468 * 8),
            ("start_boottime", 2, 2800 * 8),
            ("group_leader", 4, 2528 * 8),
            ("nsproxy", 4, 3208 * 8),
        ];
        writer.composite("task_struct", false, 9000, &task);
        writer.composite("bpf_iter_meta", false, 24, &[("seq", 4, 0)]);
        writer.simple(12, "bpf_iter_task", 0);
        writer.simple(12, ITERATOR, 0);
        writer.finish()
    }

    fn fit(kernel: &[u8]) -> Result<Program<'static>, ObjectError> {
        Object::parse(OBJECT, SECTION)
            .unwrap()
            .fit(&Btf::parse(kernel).unwrap(), ITERATOR)
    }

    /// The offsets in the load instructions of the program, in order.
    fn loads(program: &Program<'_>) -> Vec<i16> {
        let instructions = program.instructions.as_chunks::<8>().0.iter();
        let loads = instructions.filter(|instruction| instruction[0] & 7 == 1);
        loads
            .map(|instruction| i16::from_ne_bytes([instruction[2], instruction[3]]))
            .collect()
    }

    #[test]
    fn fit_puts_offsets_of_kernel_into_program() {
        let program = fit(&kernel(None, &[168])).unwrap();
        assert_eq!(program.license, b"Dual MIT/GPL\0");
        let mut found = loads(&program);
        found.sort_unstable();
        // 0: meta, and seq in it; 8, 16, 24: task, fd and file in the context, and sk in the socket at 24.
        assert_eq!(found, [0, 0, 8, 16, 24, 24, 64, 168, 2464, 2468, 2528, 2800]);
        let types = kernel(None, &[168]);
        let types = Btf::parse(&types).unwrap();
        assert!(types.is_named(&types.get(program.attach_to).unwrap(), ITERATOR.as_bytes()));
    }

    #[test]
    fn fit_missing_type_or_field_is_error_that_names_it() {
        let missing = |result: Result<Program<'_>, ObjectError>| result.unwrap_err().to_string();
        assert_eq!(
            missing(fit(&kernel(Some(("i_number", 2)), &[8]))),
            "the running kernel has no inode.i_ino"
        );
        assert_eq!(
            missing(fit(&kernel(None, &[]))),
            "the running kernel has no file.f_inode"
        );
        let object = Object::parse(OBJECT, SECTION).unwrap();
        let types = kernel(None, &[8]);
        let types = Btf::parse(&types).unwrap();
        assert_eq!(
            missing(object.fit(&types, "bpf_iter_x")),
            "the running kernel has no bpf_iter_x"
        );
    }

    #[test]
    fn fit_field_of_other_width_or_in_two_places_is_refused() {
        assert_eq!(
            fit(&kernel(Some(("i_ino", 1)), &[8])).unwrap_err(),
            ObjectError::OtherSize("inode.i_ino".to_owned())
        );
        assert_eq!(
            fit(&kernel(None, &[8, 16])).unwrap_err(),
            ObjectError::Ambiguous("file.f_inode".to_owned())
        );
        assert!(fit(&kernel(None, &[8, 8])).is_ok(), "the same description twice is one");
    }

    #[test]
    fn fit_offset_too_large_for_instruction_is_refused() {
        assert!(matches!(fit(&kernel(None, &[40_000])), Err(ObjectError::Malformed(_))));
    }

    /// An independent loader must produce the same instructions for the running kernel.
    #[cfg(not(target_arch = "x86"))]
    #[test]
    fn aya_relocates_to_the_same_instructions() {
        let Ok(types) = KernelBtf::open() else {
            return netstat_testkit::skip(
                "aya_relocates_to_the_same_instructions",
                &format!("this kernel has no {PATH}"),
            );
        };
        let ours = match Object::parse(OBJECT, SECTION)
            .unwrap()
            .fit(&Btf::parse(&types).unwrap(), ITERATOR)
        {
            Ok(program) => program,
            Err(error) => {
                return netstat_testkit::skip("aya_relocates_to_the_same_instructions", &error.to_string());
            }
        };
        let mut theirs = aya_obj::Object::parse(OBJECT).unwrap();
        let kernel = aya_obj::btf::Btf::from_sys_fs().unwrap();
        theirs.relocate_btf(&kernel).unwrap();
        let function = theirs.functions.values().next().unwrap();
        let theirs: Vec<u8> = function
            .instructions
            .iter()
            .flat_map(|one| {
                let mut bytes = vec![one.code, one.dst_reg() | one.src_reg() << 4];
                bytes.extend(one.off.to_ne_bytes());
                bytes.extend(one.imm.to_ne_bytes());
                bytes
            })
            .collect();
        assert_eq!(ours.instructions, theirs);
        let id = kernel
            .id_by_type_name_kind(ITERATOR, aya_obj::btf::BtfKind::Func)
            .unwrap();
        assert_eq!(ours.attach_to, id);
    }

    #[test]
    fn a_cut_object_is_an_error_at_every_length() {
        for end in 0..OBJECT.len() {
            assert!(Object::parse(&OBJECT[..end], SECTION).is_err(), "{end} bytes");
        }
        assert!(Object::parse(OBJECT, "iter/other").is_err());
    }

    proptest! {
        #[test]
        fn changed_bytes_never_panic(changes in proptest::collection::vec((0..OBJECT.len(), any::<u8>()), 1..6)) {
            let mut data = OBJECT.to_vec();
            for (at, value) in changes {
                data[at] = value;
            }
            let types = kernel(None, &[8]);
            if let Ok(object) = Object::parse(&data, SECTION) {
                let _ = object.fit(&Btf::parse(&types).unwrap(), ITERATOR);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Object::parse(&data, SECTION);
            let mut file = OBJECT[..64].to_vec();
            file.extend_from_slice(&data);
            let _ = Object::parse(&file, SECTION);
        }
    }
}
