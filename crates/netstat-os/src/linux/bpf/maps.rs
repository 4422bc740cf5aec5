//! The maps of an object file, and the instructions that use them.
//!
//! The section `maps` of the file contains a `struct map` (`bpf/events.bpf.c`) for each map; programs refer to them
//! through ELF relocations (`elf(5)`; `R_BPF_64_64` in "ELF relocations", `Documentation/bpf/llvm_reloc.rst`).

use super::btf::{part, u16_at, u32_at};
use super::object::{Elf, usize_at};
use super::sys::MapShape;

/// The size of `struct map` in bytes: five 32-bit integers.
const MAP_BYTES: usize = 20;
/// The size of `Elf64_Rel` in bytes: offset, then type and symbol.
const REL_BYTES: usize = 16;
/// The size of `Elf64_Sym` in bytes: name, info, other, section, value, size.
const SYMBOL_BYTES: usize = 24;
/// `R_BPF_64_64`: the 64-bit immediate of a load.
const R_BPF_64_64: u32 = 1;
/// `BPF_LD | BPF_IMM | BPF_DW`, the load of a 64-bit immediate in two instruction slots (RFC 9669, 5.4).
const LOAD_64: u8 = 0x18;
/// `BPF_PSEUDO_MAP_FD` as the source register: the immediate is the descriptor of a map.
const PSEUDO_MAP_FD: u8 = 1;

/// An instruction that loads the address of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MapUse {
    /// The offset of the instruction in bytes.
    at: usize,
    /// The index of the map in the file.
    map: usize,
}

/// Reads the maps of `file` and their uses by the program in `section`; `None` if they are malformed.
pub(super) fn read(file: &Elf<'_>, section: &[u8]) -> Option<(Vec<MapShape>, Vec<MapUse>)> {
    let mut shapes = Vec::new();
    let maps = file.numbered(b"maps");
    if let Some((_, content)) = maps {
        if !content.len().is_multiple_of(MAP_BYTES) {
            return None;
        }
        for map in content.chunks_exact(MAP_BYTES) {
            shapes.push(MapShape {
                kind: u32_at(map, 0)?,
                key: u32_at(map, 4)?,
                value: u32_at(map, 8)?,
                entries: u32_at(map, 12)?,
                flags: u32_at(map, 16)?,
            });
        }
    }
    let Some(relocations) = file.section([b".rel", section].concat().as_slice()) else {
        return Some((shapes, Vec::new()));
    };
    let symbols = file.section(b".symtab")?;
    let mut uses = Vec::new();
    if !relocations.len().is_multiple_of(REL_BYTES) {
        return None;
    }
    for one in relocations.chunks_exact(REL_BYTES) {
        let (kind, symbol) = (u32_at(one, 8)?, u32_at(one, 12)? as usize);
        let symbol = part(symbols, symbol.checked_mul(SYMBOL_BYTES)?, SYMBOL_BYTES)?;
        let value = usize_at(symbol, 8)?;
        let known = kind == R_BPF_64_64 && usize::from(u16_at(symbol, 6)?) == maps?.0;
        if !known || !value.is_multiple_of(MAP_BYTES) || value / MAP_BYTES >= shapes.len() {
            return None;
        }
        uses.push(MapUse {
            at: usize_at(one, 0)?,
            map: value / MAP_BYTES,
        });
    }
    Some((shapes, uses))
}

/// Writes the descriptors of the maps into the instructions; `None` if an instruction is not a load of a 64-bit
/// immediate, or its map is not among `descriptors`.
pub(super) fn fill(instructions: &mut [u8], uses: &[MapUse], descriptors: &[i32]) -> Option<()> {
    for one in uses {
        let descriptor = descriptors.get(one.map)?;
        let load = instructions.get_mut(one.at..one.at.checked_add(16)?)?;
        if load[0] != LOAD_64 {
            return None;
        }
        load[1] = load[1] & 0x0f | PSEUDO_MAP_FD << 4;
        load[4..8].copy_from_slice(&descriptor.to_ne_bytes());
    }
    Some(())
}
