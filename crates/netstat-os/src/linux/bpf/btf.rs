//! A reader for BTF, the type descriptions that the kernel publishes and that clang puts into BPF object files.
//!
//! The format is described in `Documentation/bpf/btf.rst` of the kernel. Only host byte order is supported, which is
//! that of the running kernel.

use std::ops::ControlFlow;

/// The magic number in the first two bytes of BTF.
const MAGIC: u16 = 0xeb9f;
/// The size of `struct btf_type` in bytes: the fixed part of a type.
const TYPE_BYTES: usize = 12;
/// `struct btf_member`: name, type, offset.
const MEMBER_BYTES: usize = 12;
/// How many typedefs, qualifiers and nested anonymous members are followed before giving up. C code nests far less
/// deeply.
const MAX_DEPTH: usize = 16;
/// The maximum number of members that are examined for one field. `task_struct` has about 250; the limit stops cycles
/// of anonymous structures in malformed data.
const MAX_MEMBERS: usize = 20_000;

/// The kind of a type (`BTF_KIND_*`), as far as kinds are distinguished here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A `struct` or `union` with members.
    Composite,
    /// A function of the kernel.
    Function,
    /// An integer, an enumeration or a floating-point number; the type contains its size.
    Scalar,
    /// A pointer, as wide as a machine word.
    Pointer,
    /// A `typedef`, `const`, `volatile`, `restrict` or type tag: another name for another type.
    Alias,
    /// Any other kind: arrays, prototypes, forward declarations, variables, sections.
    Other,
}

/// The error for malformed BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BtfError {
    /// The data is shorter than its header says, or has the wrong magic number.
    #[error("no BTF header")]
    Header,
    /// A type extends past the end.
    #[error("BTF type {0} is cut off")]
    Cut(u32),
    /// The kind of a type is unknown, so its length is unknown as well.
    #[error("BTF type {0} is of unknown kind {1}")]
    UnknownKind(u32, u32),
}

/// A bit mask of the kinds that [`Btf::each_named`] visits: STRUCT, UNION, TYPEDEF, FUNC.
const NAMED: u32 = 1 << 4 | 1 << 5 | 1 << 8 | 1 << 12;

/// `BTF_KIND_ARRAY`.
const ARRAY: u32 = 3;
/// `BTF_KIND_FUNC_PROTO`.
const FUNC_PROTO: u32 = 13;

/// The distance between types whose offset is recorded. An index of all of the kernel's 100,000 to 200,000 types would
/// cost more in page faults than skipping over a few types does.
const STRIDE: usize = 64;

/// Parsed BTF. Borrows the data, and owns only the offsets of some types.
#[derive(Debug)]
pub(crate) struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// The offsets in `types` of the types 1, 1 + STRIDE, 1 + 2 * STRIDE, ... Id 0 is `void` and has no description.
    places: Vec<u32>,
    /// The number of types.
    count: u32,
}

/// A type description.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Type<'a> {
    name: u32,
    info: u32,
    /// The size in bytes, or the id of the type that it points to or aliases.
    size_or_type: u32,
    /// The data after the fixed part.
    tail: &'a [u8],
}

/// A member of a `struct` or `union`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    name: u32,
    /// The id of its type.
    pub(crate) type_id: u32,
    /// The offset in bits from the start of the structure.
    pub(crate) bits: u32,
    /// Whether it is a bit field, which has no address.
    pub(crate) bit_field: bool,
}

/// The location of a field in a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// The offset in bytes from the start of the outermost structure.
    pub(crate) offset: u32,
    /// The size of the field in bytes.
    pub(crate) size: u32,
}

/// Reads a `u16` in host byte order at offset `at`; `None` if it is out of bounds.
pub(crate) fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(data.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// Reads a `u32` in host byte order at offset `at`; `None` if it is out of bounds.
pub(crate) fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(data.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Returns the `length` bytes of `data` at `offset`; `None` if they are out of bounds.
pub(crate) fn part(data: &[u8], offset: usize, length: usize) -> Option<&[u8]> {
    data.get(offset..offset.checked_add(length)?)
}

impl<'a> Btf<'a> {
    /// Parses BTF: walks over all types once and records the offset of every [`STRIDE`]th.
    pub(crate) fn parse(data: &'a [u8]) -> Result<Self, BtfError> {
        let header = |at| u32_at(data, at).map(|value| value as usize).ok_or(BtfError::Header);
        if u16_at(data, 0) != Some(MAGIC) {
            return Err(BtfError::Header);
        }
        let body = header(4)?;
        let section = |offset: usize, length: usize| {
            body.checked_add(offset)
                .and_then(|start| part(data, start, length))
                .ok_or(BtfError::Header)
        };
        let types = section(header(8)?, header(12)?)?;
        let strings = section(header(16)?, header(20)?)?;

        // The descriptions in the kernel's BTF take 20 to 25 bytes each on average.
        let mut places = Vec::with_capacity(types.len() / (20 * STRIDE) + 1);
        let mut count = 0u32;
        let mut at = 0;
        while at < types.len() {
            if (count as usize).is_multiple_of(STRIDE) {
                places.push(at as u32);
            }
            count += 1;
            let info = u32_at(types, at + 4).ok_or(BtfError::Cut(count))?;
            let tail = tail_bytes(info).ok_or(BtfError::UnknownKind(count, kind_number(info)))?;
            at += TYPE_BYTES + tail;
            if at > types.len() {
                return Err(BtfError::Cut(count));
            }
        }
        Ok(Btf {
            types,
            strings,
            places,
            count,
        })
    }

    /// Returns the type with this id; `None` for `void` and for ids that do not exist.
    pub(crate) fn get(&self, id: u32) -> Option<Type<'a>> {
        let index = (id as usize).checked_sub(1)?;
        if id > self.count {
            return None;
        }
        let mut at = *self.places.get(index / STRIDE)? as usize;
        for _ in 0..index % STRIDE {
            at += TYPE_BYTES + tail_bytes(u32_at(self.types, at + 4)?)?;
        }
        self.read(at)
    }

    /// Reads the type description at offset `at`.
    fn read(&self, at: usize) -> Option<Type<'a>> {
        let info = u32_at(self.types, at + 4)?;
        Some(Type {
            name: u32_at(self.types, at)?,
            info,
            size_or_type: u32_at(self.types, at + 8)?,
            tail: part(self.types, at + TYPE_BYTES, tail_bytes(info)?)?,
        })
    }

    /// Passes the id and kind of every structure, union, typedef and function to `visit`, in order, until it breaks.
    pub(crate) fn each_named(&self, mut visit: impl FnMut(u32, Kind, Type<'a>) -> ControlFlow<()>) {
        let mut at = 0;
        for id in 1..=self.count {
            let Some(info) = u32_at(self.types, at + 4) else {
                return;
            };
            if NAMED >> kind_number(info) & 1 == 1
                && let Some(described) = self.read(at)
                && visit(id, described.kind(), described).is_break()
            {
                return;
            }
            let Some(tail) = tail_bytes(info) else {
                return;
            };
            at += TYPE_BYTES + tail;
        }
    }

    /// Returns the string at `offset` without its terminating zero; `None` if there is none.
    pub(crate) fn string(&self, offset: u32) -> Option<&'a [u8]> {
        let rest = self.strings.get(offset as usize..)?;
        rest.iter().position(|&byte| byte == 0).map(|end| &rest[..end])
    }

    /// Whether the name of a type is `name`. Compares without searching for the end of the type's name first.
    pub(crate) fn is_named(&self, described: &Type<'_>, name: &[u8]) -> bool {
        self.string_is(described.name, name)
    }

    /// Returns the name of a type; empty if it has none.
    pub(crate) fn name(&self, described: &Type<'_>) -> &'a [u8] {
        self.string(described.name).unwrap_or_default()
    }

    /// Returns the name of a member; empty for an anonymous one.
    pub(crate) fn member_name(&self, member: &Member) -> &'a [u8] {
        self.string(member.name).unwrap_or_default()
    }

    /// Resolves typedefs and qualifiers; `None` if they are nested too deeply.
    pub(crate) fn resolve(&self, mut id: u32) -> Option<Type<'a>> {
        for _ in 0..MAX_DEPTH {
            let described = self.get(id)?;
            if described.kind() != Kind::Alias {
                return Some(described);
            }
            id = described.size_or_type;
        }
        None
    }

    /// Returns the number of parameters of the function `described`; `None` if it is not a function.
    pub(crate) fn arguments(&self, described: &Type<'_>) -> Option<usize> {
        let prototype = self.get(described.size_or_type)?;
        (described.kind() == Kind::Function && kind_number(prototype.info) == FUNC_PROTO)
            .then_some((prototype.info & 0xffff) as usize)
    }

    /// Returns the size in bytes of a number, pointer or structure, or of an array of these; `None` for anything else.
    pub(crate) fn size(&self, id: u32) -> Option<u32> {
        let mut described = self.resolve(id)?;
        let mut count = 1u32;
        for _ in 0..MAX_DEPTH {
            if kind_number(described.info) != ARRAY {
                break;
            }
            // struct btf_array: element type, index type, number of elements.
            count = count.checked_mul(u32_at(described.tail, 8)?)?;
            described = self.resolve(u32_at(described.tail, 0)?)?;
        }
        self.element_size(&described)?.checked_mul(count)
    }

    fn element_size(&self, described: &Type<'_>) -> Option<u32> {
        match described.kind() {
            Kind::Composite | Kind::Scalar => Some(described.size_or_type),
            Kind::Pointer => Some(size_of::<usize>() as u32),
            _ => None,
        }
    }

    /// Returns the location of the field at `path` in the structure `id`; each name is a member of the one before.
    /// Members of anonymous structures count as members of the outer structure, as in C, because the kernel sometimes
    /// moves fields into such groups.
    pub(crate) fn field(&self, id: u32, path: &[&[u8]]) -> Option<Field> {
        let mut budget = MAX_MEMBERS;
        let mut bits = 0u32;
        let mut id = id;
        for name in path {
            let member = self.member(id, name, MAX_DEPTH, &mut budget)?;
            bits = bits.checked_add(member.bits)?;
            id = member.type_id;
            if member.bit_field {
                return None;
            }
        }
        bits.is_multiple_of(8).then_some(())?;
        Some(Field {
            offset: bits / 8,
            size: self.size(id)?,
        })
    }

    fn member(&self, id: u32, name: &[u8], depth: usize, budget: &mut usize) -> Option<Member> {
        let composite = self.resolve(id)?;
        for member in composite.members() {
            *budget = budget.checked_sub(1)?;
            if self.string_is(member.name, name) {
                return Some(member);
            }
            if depth > 0
                && self.string_is(member.name, b"")
                && let Some(inner) = self.member(member.type_id, name, depth - 1, budget)
            {
                return Some(Member {
                    bits: inner.bits.checked_add(member.bits)?,
                    ..inner
                });
            }
        }
        None
    }

    fn string_is(&self, offset: u32, wanted: &[u8]) -> bool {
        let start = offset as usize;
        // Most names differ in the first byte.
        self.strings.get(start) == Some(wanted.first().unwrap_or(&0))
            && self.strings.get(start + wanted.len()) == Some(&0)
            && self.strings.get(start..start + wanted.len()) == Some(wanted)
    }
}

impl<'a> Type<'a> {
    /// Returns the kind of the type.
    pub(crate) fn kind(&self) -> Kind {
        kind_of(self.info)
    }

    /// Returns the members; none if the type is not a `struct` or `union`.
    pub(crate) fn members(&self) -> impl Iterator<Item = Member> + use<'a> {
        // With BTF_INFO_KFLAG, the upper 8 bits of the offset are the width of a bit field.
        let split = self.info >> 31 == 1;
        let tail = if self.kind() == Kind::Composite { self.tail } else { &[] };
        tail.chunks_exact(MEMBER_BYTES).map(move |raw| {
            let number = |at: usize| u32::from_ne_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
            let place = number(8);
            Member {
                name: number(0),
                type_id: number(4),
                bits: if split { place & 0x00ff_ffff } else { place },
                bit_field: split && place >> 24 != 0,
            }
        })
    }
}

fn kind_number(info: u32) -> u32 {
    info >> 24 & 0x1f
}

fn kind_of(info: u32) -> Kind {
    match kind_number(info) {
        1 | 6 | 16 | 19 => Kind::Scalar, // INT, ENUM, FLOAT, ENUM64
        2 => Kind::Pointer,
        4 | 5 => Kind::Composite,            // STRUCT, UNION
        8 | 9 | 10 | 11 | 18 => Kind::Alias, // TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG
        12 => Kind::Function,
        _ => Kind::Other,
    }
}

/// The number of bytes after the fixed part for each kind: a constant number, and a number for each entry
/// (`include/uapi/linux/btf.h`). Unknown kinds are [`UNKNOWN`]. This is a table and not a `match`, because kinds follow
/// each other without a pattern and a mispredicted branch for each of the kernel's types doubles the time.
const TAILS: [(u8, u8); 32] = {
    let mut tails = [(UNKNOWN, UNKNOWN); 32];
    let mut known = 1;
    while known <= 19 {
        tails[known] = match known {
            1 | 14 | 17 => (4, 0),      // INT, VAR, DECL_TAG
            3 => (12, 0),               // ARRAY
            4 | 5 | 15 | 19 => (0, 12), // STRUCT, UNION, DATASEC, ENUM64
            6 | 13 => (0, 8),           // ENUM, FUNC_PROTO
            _ => (0, 0),                // PTR, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FLOAT, TYPE_TAG
        };
        known += 1;
    }
    tails
};
/// Marks a kind whose length is unknown.
const UNKNOWN: u8 = 0xff;

/// Returns the number of bytes after the fixed part; `None` for an unknown kind.
fn tail_bytes(info: u32) -> Option<usize> {
    let (fixed, each) = TAILS[kind_number(info) as usize];
    let entries = (info & 0xffff) as usize;
    (fixed != UNKNOWN).then_some(fixed as usize + each as usize * entries)
}

#[cfg(test)]
pub(in crate::linux::bpf) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Builds BTF. The string table starts with the empty string.
    pub(in crate::linux::bpf) struct Writer {
        types: Vec<u8>,
        strings: Vec<u8>,
    }

    impl Writer {
        pub(in crate::linux::bpf) fn new() -> Self {
            Writer {
                types: Vec::new(),
                strings: vec![0],
            }
        }

        fn text(&mut self, text: &str) -> u32 {
            if text.is_empty() {
                return 0;
            }
            let at = self.strings.len() as u32;
            self.strings.extend_from_slice(text.as_bytes());
            self.strings.push(0);
            at
        }

        fn words(&mut self, words: &[u32]) {
            for word in words {
                self.types.extend_from_slice(&word.to_ne_bytes());
            }
        }

        pub(in crate::linux::bpf) fn int(&mut self, name: &str, bytes: u32) {
            let name = self.text(name);
            self.words(&[name, 1 << 24, bytes, bytes * 8]);
        }

        /// Adds a structure with members (name, type id, offset in bits).
        pub(in crate::linux::bpf) fn composite(
            &mut self,
            name: &str,
            flag: bool,
            size: u32,
            members: &[(&str, u32, u32)],
        ) {
            let name = self.text(name);
            self.words(&[name, (flag as u32) << 31 | 4 << 24 | members.len() as u32, size]);
            for &(member, type_id, place) in members {
                let member = self.text(member);
                self.words(&[member, type_id, place]);
            }
        }

        pub(in crate::linux::bpf) fn simple(&mut self, kind: u32, name: &str, size_or_type: u32) {
            let name = self.text(name);
            self.words(&[name, kind << 24, size_or_type]);
        }

        pub(in crate::linux::bpf) fn finish(self) -> Vec<u8> {
            let mut data = MAGIC.to_ne_bytes().to_vec();
            data.extend([1, 0]);
            for word in [
                24,
                0,
                self.types.len() as u32,
                self.types.len() as u32,
                self.strings.len() as u32,
            ] {
                data.extend(word.to_ne_bytes());
            }
            data.extend(self.types);
            data.extend(self.strings);
            data
        }
    }

    fn sample() -> Vec<u8> {
        let mut writer = Writer::new();
        writer.int("int", 4); // 1
        writer.simple(2, "", 1); // 2: int *
        writer.composite("", true, 16, &[("deep", 1, 32), ("bits", 1, 3 << 24 | 64)]); // 3
        writer.simple(8, "alias_t", 3); // 4: typedef of 3
        writer.composite(
            "outer",
            true,
            64,
            &[("first", 1, 0), ("", 3, 64), ("named", 4, 256), ("next", 2, 384)],
        ); // 5
        writer.simple(12, "some_function", 0); // 6
        writer.composite("loop", false, 8, &[("", 7, 0)]); // 7: contains itself
        writer.simple(8, "endless_t", 8); // 8: alias of itself
        writer.finish()
    }

    #[test]
    fn fields_in_anonymous_structures_and_behind_typedefs_are_found() {
        let data = sample();
        let btf = Btf::parse(&data).unwrap();
        let at = |path: &[&[u8]]| btf.field(5, path).map(|field| (field.offset, field.size));
        assert_eq!(at(&[b"first"]), Some((0, 4)));
        assert_eq!(at(&[b"deep"]), Some((8 + 4, 4)));
        assert_eq!(at(&[b"named", b"deep"]), Some((32 + 4, 4)));
        assert_eq!(at(&[b"next"]), Some((48, size_of::<usize>() as u32)));
        assert_eq!(at(&[b"named"]), Some((32, 16)));
        assert_eq!(at(&[b"fir"]), None, "a prefix is not the name");
        assert_eq!(at(&[b"bits"]), None, "a bit field has no address");
        assert_eq!(at(&[b"next", b"first"]), None, "a pointer is not followed");
    }

    #[test]
    fn structures_typedefs_and_functions_are_visited_by_name() {
        let data = sample();
        let btf = Btf::parse(&data).unwrap();
        let mut seen = Vec::new();
        btf.each_named(|id, kind, described| {
            seen.push((id, kind, String::from_utf8_lossy(btf.name(&described)).into_owned()));
            ControlFlow::Continue(())
        });
        let expected = [
            (3, Kind::Composite, ""),
            (4, Kind::Alias, "alias_t"),
            (5, Kind::Composite, "outer"),
            (6, Kind::Function, "some_function"),
            (7, Kind::Composite, "loop"),
            (8, Kind::Alias, "endless_t"),
        ];
        assert_eq!(seen, expected.map(|(id, kind, name)| (id, kind, name.to_string())));
    }

    #[test]
    fn structures_that_contain_themselves_have_no_field_and_no_size() {
        let data = sample();
        let btf = Btf::parse(&data).unwrap();
        assert_eq!(btf.field(7, &[b"x"]), None);
        assert!(btf.resolve(8).is_none());
        assert_eq!(btf.size(8), None);
        assert!(btf.get(0).is_none() && btf.get(9).is_none());
    }

    #[test]
    fn parse_cut_at_every_length_is_error() {
        let data = sample();
        for end in 0..data.len() {
            assert!(Btf::parse(&data[..end]).is_err(), "{end} of {} bytes", data.len());
        }
    }

    #[test]
    fn types_of_long_list_are_found_by_every_id() {
        let mut writer = Writer::new();
        for size in 1..=200 {
            writer.composite("s", false, size, &[("m", 1, 0)]);
        }
        let data = writer.finish();
        let btf = Btf::parse(&data).unwrap();
        for id in 1..=200 {
            assert_eq!(btf.size(id), Some(id));
        }
        assert!(btf.get(201).is_none());
        let mut next = 1;
        btf.each_named(|id, _, described| {
            assert_eq!((id, described.size_or_type), (next, next));
            next += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(next, 201);
    }

    #[test]
    fn parse_unknown_kind_is_error_that_names_it() {
        let mut writer = Writer::new();
        writer.int("int", 4);
        writer.simple(20, "new", 0);
        let data = writer.finish();
        assert_eq!(Btf::parse(&data).unwrap_err(), BtfError::UnknownKind(2, 20));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..400), id in any::<u32>()) {
            let _ = Btf::parse(&tail);
            let mut data = sample();
            let keep = data.len() - tail.len().min(data.len() - 24);
            data.truncate(keep);
            data.extend_from_slice(&tail);
            if let Ok(btf) = Btf::parse(&data) {
                for id in (0..12).chain([id]) {
                    let _ = btf.field(id, &[b"deep", b"first"]);
                    let _ = btf.size(id);
                }
                btf.each_named(|_, _, described| { let _ = btf.name(&described); ControlFlow::Continue(()) });
            }
        }

        #[test]
        fn changed_bytes_never_panic(at in 0usize..500, value in any::<u8>()) {
            let mut data = sample();
            let at = at % data.len();
            data[at] = value;
            if let Ok(btf) = Btf::parse(&data) {
                for id in 0..12 {
                    let _ = btf.field(id, &[b"deep"]);
                    let _ = btf.field(id, &[b"named", b"bits"]);
                    let _ = btf.size(id);
                }
            }
        }
    }
}
