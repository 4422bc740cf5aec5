//! Embeds the Windows resources of the program: manifest, version information and icon. They are written as a COFF
//! object file, which every linker accepts, so no resource compiler is needed. On other targets this script does
//! nothing.

use std::path::{Path, PathBuf};

/// Resource types: `RT_ICON`, `RT_GROUP_ICON`, `RT_VERSION`, `RT_MANIFEST` (winuser.h).
const ICON: u32 = 3;
const GROUP_ICON: u32 = 14;
const VERSION: u32 = 16;
const MANIFEST: u32 = 24;

/// The language identifier of all resources: English (United States).
const ENGLISH: u32 = 0x409;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    if !is("CARGO_CFG_TARGET_OS", "windows") {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("resources");
    let (manifest, icon) = (folder.join("netstat.manifest"), folder.join("netstat.ico"));
    for file in [&manifest, &icon] {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let read = |path: &PathBuf| std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut resources = icons(&read(&icon));
    resources.push((VERSION, 1, version()));
    resources.push((MANIFEST, 1, read(&manifest)));
    // The machine type and the relocation type for image-relative addresses, IMAGE_REL_*_ADDR32NB (PE Format).
    let (machine, relocation) = match std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("aarch64") => (0xaa64, 2),
        Ok("x86") => (0x14c, 7),
        _ => (0x8664, 3),
    };
    let object = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("resources.o");
    std::fs::write(&object, coff(machine, relocation, &section(&resources))).expect("the output folder is writable");
    println!("cargo::rustc-link-arg-bins={}", object.display());
}

/// A resource: its type, identifier and content.
type Resource = (u32, u32, Vec<u8>);

/// Returns the images of an .ico file, and the group resource that lists them. The group has the entries of the file's
/// directory, with the identifier of a resource in place of each offset into the file.
fn icons(file: &[u8]) -> Vec<Resource> {
    let u16_at = |at: usize| u16::from_le_bytes([file[at], file[at + 1]]);
    let u32_at = |at: usize| u32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]) as usize;
    let mut group = file[..6].to_vec();
    let mut resources = Vec::new();
    for number in 0..u16_at(4) {
        let entry = 6 + 16 * usize::from(number);
        let (size, at) = (u32_at(entry + 8), u32_at(entry + 12));
        group.extend(&file[entry..entry + 12]);
        group.extend((number + 1).to_le_bytes());
        resources.push((ICON, u32::from(number) + 1, file[at..at + size].to_vec()));
    }
    resources.push((GROUP_ICON, 1, group));
    resources
}

/// Builds the version resource, `VS_VERSIONINFO` (verrsrc.h).
fn version() -> Vec<u8> {
    let package = |name: &str| std::env::var(format!("CARGO_PKG_{name}")).unwrap_or_default();
    let number = |name: &str| package(name).parse::<u16>().unwrap_or(0);
    let parts = [
        number("VERSION_MINOR"),
        number("VERSION_MAJOR"),
        0,
        number("VERSION_PATCH"),
    ];
    let mut fixed = Vec::new();
    fixed.extend(0xfeef_04bd_u32.to_le_bytes());
    fixed.extend(0x0001_0000_u32.to_le_bytes());
    for _ in ["file", "product"] {
        parts.iter().for_each(|part| fixed.extend(part.to_le_bytes()));
    }
    // Mask of valid flags, flags, VOS_NT_WINDOWS32, VFT_APP, subtype, date.
    for word in [0x3f_u32, 0, 0x0004_0004, 1, 0, 0, 0] {
        fixed.extend(word.to_le_bytes());
    }
    let strings = [
        ("CompanyName", "The netstat contributors".to_owned()),
        ("FileDescription", package("DESCRIPTION")),
        ("FileVersion", package("VERSION")),
        ("InternalName", "netstat-rs".to_owned()),
        ("LegalCopyright", package("LICENSE")),
        ("OriginalFilename", "netstat-rs.exe".to_owned()),
        ("ProductName", "netstat-rs".to_owned()),
        ("ProductVersion", package("VERSION")),
    ];
    let strings: Vec<Vec<u8>> = strings
        .iter()
        .map(|(key, text)| block(key, Value::Text(text), &[]))
        .collect();
    // The key is the language and the code page of the strings: English (United States), UTF-16.
    let table = block("040904b0", Value::None, &strings);
    let translation = block("Translation", Value::Bytes(&[0x09, 0x04, 0xb0, 0x04]), &[]);
    let children = [
        block("StringFileInfo", Value::None, &[table]),
        block("VarFileInfo", Value::None, &[translation]),
    ];
    block("VS_VERSION_INFO", Value::Bytes(&fixed), &children)
}

/// The value of a block of a version resource.
enum Value<'a> {
    None,
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// Builds a block of a version resource: length, length of the value, type, key, value and children. Each part is
/// aligned to four bytes.
fn block(key: &str, value: Value<'_>, children: &[Vec<u8>]) -> Vec<u8> {
    let units = |text: &str| {
        text.encode_utf16()
            .chain([0])
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<u8>>()
    };
    let (bytes, length, kind) = match value {
        Value::None => (Vec::new(), 0, 1),
        // The length of a text value is counted in UTF-16 code units.
        Value::Text(text) => (units(text), text.encode_utf16().count() + 1, 1),
        Value::Bytes(bytes) => (bytes.to_vec(), bytes.len(), 0),
    };
    let mut block = vec![0; 6];
    block.extend(units(key));
    pad(&mut block);
    block.extend(bytes);
    for child in children {
        pad(&mut block);
        block.extend(child);
    }
    let whole = block.len() as u16;
    block[..2].copy_from_slice(&whole.to_le_bytes());
    block[2..4].copy_from_slice(&(length as u16).to_le_bytes());
    block[4..6].copy_from_slice(&(kind as u16).to_le_bytes());
    block
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// The content of the section, and the offsets in it of the addresses that need a relocation.
struct Section {
    bytes: Vec<u8>,
    addresses: Vec<u32>,
}

/// Builds the section: three levels of directories (types, identifiers, languages), the data entries, and the contents.
/// `resources` must be sorted by type and identifier.
fn section(resources: &[Resource]) -> Section {
    const DIRECTORY: usize = 16;
    const ENTRY: usize = 8;
    const DESCRIPTION: usize = 16;
    /// The high bit of an entry, which says that it refers to a directory.
    const TO_DIRECTORY: u32 = 0x8000_0000;
    let mut types: Vec<u32> = resources.iter().map(|resource| resource.0).collect();
    types.dedup();
    let of_type = |kind: u32| resources.iter().filter(move |resource| resource.0 == kind);
    let numbers_at = DIRECTORY + ENTRY * types.len();
    let languages_at = numbers_at + DIRECTORY * types.len() + ENTRY * resources.len();
    let descriptions_at = languages_at + (DIRECTORY + ENTRY) * resources.len();
    let contents_at = (descriptions_at + DESCRIPTION * resources.len()).next_multiple_of(8);
    let mut bytes = Vec::new();
    let directory = |bytes: &mut Vec<u8>, entries: &[(u32, u32)]| {
        bytes.extend([0; 14]);
        bytes.extend((entries.len() as u16).to_le_bytes());
        for (name, to) in entries {
            bytes.extend(name.to_le_bytes());
            bytes.extend(to.to_le_bytes());
        }
    };
    let mut at = numbers_at;
    let mut entries = Vec::new();
    for kind in &types {
        entries.push((*kind, at as u32 | TO_DIRECTORY));
        at += DIRECTORY + ENTRY * of_type(*kind).count();
    }
    directory(&mut bytes, &entries);
    let mut at = languages_at;
    for kind in &types {
        let mut entries = Vec::new();
        for (_, number, _) in of_type(*kind) {
            entries.push((*number, at as u32 | TO_DIRECTORY));
            at += DIRECTORY + ENTRY;
        }
        directory(&mut bytes, &entries);
    }
    for place in 0..resources.len() {
        directory(&mut bytes, &[(ENGLISH, (descriptions_at + DESCRIPTION * place) as u32)]);
    }
    let mut addresses = Vec::new();
    let mut at = contents_at;
    for (_, _, content) in resources {
        addresses.push(bytes.len() as u32);
        bytes.extend((at as u32).to_le_bytes());
        bytes.extend((content.len() as u32).to_le_bytes());
        bytes.extend([0; 8]);
        at += content.len().next_multiple_of(8);
    }
    bytes.resize(contents_at, 0);
    for (_, _, content) in resources {
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    Section { bytes, addresses }
}

/// Builds an object file with one section, `.rsrc`
/// ([PE Format](https://learn.microsoft.com/windows/win32/debug/pe-format)).
fn coff(machine: u16, relocation: u16, section: &Section) -> Vec<u8> {
    const HEADERS: u32 = 20 + 40;
    /// `IMAGE_SCN_CNT_INITIALIZED_DATA`, `IMAGE_SCN_ALIGN_8BYTES`, `IMAGE_SCN_MEM_READ`.
    const CHARACTERISTICS: u32 = 0x40 | 0x0040_0000 | 0x4000_0000;
    let size = section.bytes.len() as u32;
    let relocations_at = HEADERS + size;
    let symbols_at = relocations_at + 10 * section.addresses.len() as u32;
    let mut bytes = Vec::new();
    bytes.extend(machine.to_le_bytes());
    bytes.extend(1u16.to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    bytes.extend(symbols_at.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(b".rsrc\0\0\0");
    for word in [0, 0, size, HEADERS, relocations_at, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend((section.addresses.len() as u16).to_le_bytes());
    bytes.extend(0u16.to_le_bytes());
    bytes.extend(CHARACTERISTICS.to_le_bytes());
    bytes.extend(&section.bytes);
    for address in &section.addresses {
        bytes.extend(address.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
        bytes.extend(relocation.to_le_bytes());
    }
    // The symbol of the section, to which the relocations refer: value 0, section 1, IMAGE_SYM_CLASS_STATIC.
    bytes.extend(b".rsrc\0\0\0");
    bytes.extend(0u32.to_le_bytes());
    bytes.extend(1u16.to_le_bytes());
    bytes.extend(0u16.to_le_bytes());
    bytes.extend([3, 0]);
    // An empty string table: no symbol has a long name.
    bytes.extend(4u32.to_le_bytes());
    bytes
}
