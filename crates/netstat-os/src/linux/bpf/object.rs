//! The object file that clang makes, and its adaptation to the running kernel.
//!
//! ELF: `elf(5)`. The relocations that carry field names (CO-RE) stand in the section `.BTF.ext`: `struct bpf_core_relo` in
//! `include/uapi/linux/bpf.h`, "BPF CO-RE relocations" in `Documentation/bpf/llvm_reloc.rst`.

use std::ops::ControlFlow;

use super::btf::{Btf, BtfError, Kind, part, u16_at, u32_at};

/// A BPF instruction is 8 bytes: code, registers, 16-bit offset, 32-bit immediate (RFC 9669, 3).
const INSTRUCTION_BYTES: usize = 8;
/// `BPF_CORE_FIELD_BYTE_OFFSET`.
const FIELD_BYTE_OFFSET: u32 = 0;
/// `struct bpf_core_relo`: instruction, type, access string, kind.
const RELOCATION_BYTES: usize = 16;
/// Deepest access path followed.
const MAX_PATH: usize = 8;

/// Why a program cannot be made from an object file and the kernel's types.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ObjectError {
    /// The file is not what clang makes.
    #[error("the object file is malformed: {0}")]
    Malformed(&'static str),
    /// The types in the file or of the kernel cannot be read.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The kernel has no such structure, field or function.
    #[error("the running kernel has no {0}")]
    Missing(String),
    /// The kernel's BTF describes several different fields under this name.
    #[error("the running kernel describes {0} in more than one way")]
    Ambiguous(String),
    /// The field is not as wide as the program reads.
    #[error("{0} has another size in the running kernel")]
    OtherSize(String),
}

/// An object file with one program and no maps.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    instructions: &'a [u8],
    license: &'a [u8],
    relocations: Vec<Relocation<'a>>,
}

/// One instruction that reads a field of a kernel structure.
#[derive(Debug)]
struct Relocation<'a> {
    /// The instruction's place in bytes.
    at: usize,
    /// The structure's name.
    root: &'a [u8],
    /// Member names from there, anonymous ones left out.
    path: Vec<&'a [u8]>,
    /// The field's width as the program reads it.
    size: u32,
}

/// A program that fits the running kernel.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    /// Instructions, 8 bytes each.
    pub(crate) instructions: Vec<u8>,
    /// The licence, with its terminating zero.
    pub(crate) license: &'a [u8],
    /// The BTF id of the kernel function that stands for the iterator.
    pub(crate) attach_to: u32,
}

impl<'a> Object<'a> {
    /// Reads the program in `section` and its relocations.
    pub(crate) fn parse(data: &'a [u8], section: &str) -> Result<Self, ObjectError> {
        let file = Elf::parse(data)?;
        let instructions = file
            .section(section.as_bytes())
            .ok_or(ObjectError::Malformed("no program"))?;
        if instructions.is_empty() || instructions.len() % INSTRUCTION_BYTES != 0 {
            return Err(ObjectError::Malformed("program length"));
        }
        // Maps and calls to other functions would need relocations of the ELF kind.
        if file
            .section([b".rel", section.as_bytes()].concat().as_slice())
            .is_some()
        {
            return Err(ObjectError::Malformed("the program needs maps"));
        }
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
        })
    }

    /// Puts the offsets of the running kernel in, and finds the function `attach_to`.
    ///
    /// # Errors
    /// A field or the function is missing, not unique, or not as wide as the program expects.
    pub(crate) fn fit(&self, kernel: &Btf<'_>, attach_to: &str) -> Result<Program<'a>, ObjectError> {
        let mut roots: Vec<&[u8]> = self.relocations.iter().map(|one| one.root).collect();
        roots.sort_unstable();
        roots.dedup();

        // One walk for all names: kernels have 100,000 to 200,000 types.
        let mut function = None;
        let mut structures: Vec<(&[u8], u32)> = Vec::with_capacity(roots.len());
        kernel.each_named(|id, kind, described| {
            if kind == Kind::Function {
                if function.is_none() && kernel.is_named(&described, attach_to.as_bytes()) {
                    function = Some(id);
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
        Ok(Program {
            instructions,
            license: self.license,
            attach_to: function.ok_or_else(|| ObjectError::Missing(attach_to.to_owned()))?,
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

/// Writes a field's offset into the instruction that uses it.
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

/// The records of one section of the program out of `.BTF.ext`; `None` when they make no sense.
fn relocations<'a>(extension: &[u8], types: &Btf<'a>, section: &[u8]) -> Option<Vec<Relocation<'a>>> {
    // struct btf_ext_header: magic, version, flags, hdr_len, then offset and length of three parts, the third is ours.
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

/// One record. The access string names members by position: `0:0:1` is the second member of the first member.
fn relocation<'a>(record: &[u8], types: &Btf<'a>) -> Option<Relocation<'a>> {
    if u32_at(record, 12)? != FIELD_BYTE_OFFSET {
        return None;
    }
    let mut id = u32_at(record, 4)?;
    let root = types.name(&types.get(id)?);
    let access = std::str::from_utf8(types.string(u32_at(record, 8)?)?).ok()?;
    let mut steps = access.split(':');
    // The first step is an index into an array of the structure: always the structure itself.
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

/// An ELF file of 64 bits in the host's byte order, for BPF.
struct Elf<'a> {
    data: &'a [u8],
    headers: &'a [u8],
    names: &'a [u8],
}

impl<'a> Elf<'a> {
    const HEADER_BYTES: usize = 64;

    fn parse(data: &'a [u8]) -> Result<Self, ObjectError> {
        const ENDIAN: u8 = if cfg!(target_endian = "little") { 1 } else { 2 };
        const EM_BPF: u16 = 247;
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

    fn section(&self, name: &[u8]) -> Option<&'a [u8]> {
        let header = self.headers.chunks_exact(Self::HEADER_BYTES).find(|header| {
            u32_at(header, 0)
                .and_then(|at| self.names.get(at as usize..))
                .and_then(|rest| rest.strip_prefix(name))
                .is_some_and(|rest| rest.first() == Some(&0))
        })?;
        Self::content(self.data, header)
    }
}

fn usize_at(data: &[u8], at: usize) -> Option<usize> {
    let bytes = part(data, at, 8)?.try_into().ok()?;
    usize::try_from(u64::from_ne_bytes(bytes)).ok()
}
