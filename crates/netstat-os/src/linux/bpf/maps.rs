//! Maps of an object file: which there are, and which instructions use them.
//!
//! The file has one `struct map` (`bpf/events.bpf.c`) for each in the section `maps`; a program names them through ELF relocations
//! (`elf(5)`; `R_BPF_64_64` in "ELF relocations", `Documentation/bpf/llvm_reloc.rst`).

use super::btf::{part, u16_at, u32_at};
use super::object::{Elf, usize_at};
use super::sys::MapShape;

/// `struct map`: five numbers of 32 bits.
const MAP_BYTES: usize = 20;
/// `Elf64_Rel`: place, then type and symbol.
const REL_BYTES: usize = 16;
/// `Elf64_Sym`: name, info, other, section, value, size.
const SYMBOL_BYTES: usize = 24;
/// `R_BPF_64_64`: the 64-bit immediate of a load.
const R_BPF_64_64: u32 = 1;
/// `BPF_LD | BPF_IMM | BPF_DW`, the load of a 64-bit immediate in two instruction slots (RFC 9669, 5.4).
const LOAD_64: u8 = 0x18;
/// `BPF_PSEUDO_MAP_FD` as the source register: the immediate is a map's descriptor.
const PSEUDO_MAP_FD: u8 = 1;

/// One instruction that loads a map's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MapUse {
    /// The instruction's place in bytes.
    at: usize,
    /// The map, by its place in the file.
    map: usize,
}

/// The maps of `file`, and where the program in `section` uses them; `None` when they make no sense.
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

/// Writes the maps' descriptors into the instructions; `None` when a use is no load of a 64-bit number or the map is not among
/// `descriptors`.
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
