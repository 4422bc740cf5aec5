//! Who may change a file, by its security descriptor in self-relative form (winnt.h; [MS-DTYP] 2.4).

use netstat_model::process::{FileAccess, is_administrative};

use super::bytes::{Malformed, array, u16_at, u32_at};

/// `SE_DACL_PRESENT`.
const DACL_PRESENT: u16 = 4;

/// `INHERIT_ONLY_ACE`: the entry is for what will be made below, not for this file.
const INHERIT_ONLY: u8 = 8;

/// The rights by which a file can be changed: `FILE_WRITE_DATA`, `FILE_APPEND_DATA`, `DELETE`, `WRITE_DAC`, `WRITE_OWNER`, `GENERIC_WRITE`,
/// `GENERIC_ALL`.
const CHANGE_FILE: u32 = 0x2 | 0x4 | 0x1_0000 | 0x4_0000 | 0x8_0000 | 0x4000_0000 | 0x1000_0000;

/// The rights by which a file can be added to a directory, or one in it replaced: `FILE_ADD_FILE`, `FILE_DELETE_CHILD`, and those over the
/// directory itself but for adding directories.
const CHANGE_DIRECTORY: u32 = 0x2 | 0x40 | 0x4_0000 | 0x8_0000 | 0x4000_0000 | 0x1000_0000;

/// Everyone.
const EVERYONE: &str = "S-1-1-0";

/// Who may change the file, or with `directory` add files to the directory, of this descriptor.
pub fn access(descriptor: &[u8], directory: bool) -> Result<FileAccess, Malformed> {
    let control = u16_at(descriptor, 2).ok_or(Malformed)?;
    let part = |at: usize| -> Result<Option<&[u8]>, Malformed> {
        match u32_at(descriptor, at).ok_or(Malformed)? as usize {
            0 => Ok(None),
            offset => descriptor.get(offset..).map(Some).ok_or(Malformed),
        }
    };
    let owner = match part(4)? {
        Some(owner) => sid(owner).ok_or(Malformed)?.0,
        None => String::new(),
    };
    let list = match part(16)? {
        Some(list) if control & DACL_PRESENT != 0 => list,
        // Without a list everybody may do everything.
        _ => {
            return Ok(FileAccess {
                owner,
                writers: Vec::new(),
                open: true,
            });
        }
    };
    let wanted = if directory { CHANGE_DIRECTORY } else { CHANGE_FILE };
    Ok(FileAccess {
        owner,
        writers: writers(list, wanted)?,
        open: false,
    })
}

/// The SIDs that an access list gives one of the rights `wanted`, without those that may do everything anyway.
fn writers(list: &[u8], wanted: u32) -> Result<Vec<String>, Malformed> {
    let count = u16_at(list, 4).ok_or(Malformed)?;
    let mut at = 8;
    let mut denied: Vec<(String, u32)> = Vec::new();
    let mut found: Vec<String> = Vec::new();
    for _ in 0..count {
        let [kind, flags] = array(list, at).ok_or(Malformed)?;
        let size = usize::from(u16_at(list, at + 2).ok_or(Malformed)?);
        let entry = list.get(at..at + size).ok_or(Malformed)?;
        if size < 8 {
            return Err(Malformed);
        }
        at += size;
        if flags & INHERIT_ONLY != 0 {
            continue;
        }
        let mask = u32_at(entry, 4).ok_or(Malformed)?;
        // ACCESS_ALLOWED and ACCESS_DENIED, plain and with conditions (CALLBACK); entries of other kinds audit or label.
        let is_denied = match kind {
            0 | 9 => false,
            1 => true,
            _ => continue,
        };
        let (name, _) = sid(&entry[8..]).ok_or(Malformed)?;
        if is_denied {
            denied.push((name, mask));
            continue;
        }
        let kept: u32 = denied
            .iter()
            .filter(|(whom, _)| *whom == name || whom == EVERYONE)
            .fold(mask, |mask, (_, gone)| mask & !gone);
        if kept & wanted != 0 && !is_expected(&name) && !found.contains(&name) {
            found.push(name);
        }
    }
    Ok(found)
}

/// Accounts that may change system files, or that stand for nobody in a list: service accounts are made by administrators, and CREATOR OWNER
/// only counts when a file is made.
fn is_expected(sid: &str) -> bool {
    is_administrative(sid) || sid.starts_with("S-1-5-80-") || sid.starts_with("S-1-3-")
}

/// A SID in text, and its length in bytes.
fn sid(bytes: &[u8]) -> Option<(String, usize)> {
    let [revision, count] = array(bytes, 0)?;
    // SID_MAX_SUB_AUTHORITIES.
    if revision != 1 || count > 15 {
        return None;
    }
    let authority = array::<6>(bytes, 2)?
        .iter()
        .fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
    let mut text = format!("S-1-{authority}");
    for place in 0..usize::from(count) {
        text.push_str(&format!("-{}", u32_at(bytes, 8 + 4 * place)?));
    }
    Some((text, 8 + 4 * usize::from(count)))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sid_bytes(text: &str) -> Vec<u8> {
        let parts: Vec<u64> = text.split('-').skip(2).map(|part| part.parse().unwrap()).collect();
        let mut bytes = vec![1, (parts.len() - 1) as u8];
        bytes.extend(&parts[0].to_be_bytes()[2..]);
        parts[1..]
            .iter()
            .for_each(|part| bytes.extend((*part as u32).to_le_bytes()));
        bytes
    }

    /// A descriptor with these entries: kind, flags, rights, whom.
    pub(in super::super) fn descriptor(owner: &str, entries: &[(u8, u8, u32, &str)]) -> Vec<u8> {
        let owner = sid_bytes(owner);
        let mut list = Vec::new();
        for (kind, flags, mask, whom) in entries {
            let whom = sid_bytes(whom);
            list.extend([*kind, *flags]);
            list.extend((8 + whom.len() as u16).to_le_bytes());
            list.extend(mask.to_le_bytes());
            list.extend(whom);
        }
        let mut bytes = vec![1, 0];
        bytes.extend(0x8004u16.to_le_bytes());
        bytes.extend(20u32.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
        bytes.extend((20 + owner.len() as u32).to_le_bytes());
        bytes.extend(owner);
        bytes.extend([2, 0]);
        bytes.extend((8 + list.len() as u16).to_le_bytes());
        bytes.extend((entries.len() as u16).to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(list);
        bytes
    }

    const FULL: u32 = 0x001f_01ff;
    const READ: u32 = 0x0012_00a9;

    #[test]
    fn writers_of_a_file_are_those_with_a_right_to_change_it() {
        let of = |entries: &[(u8, u8, u32, &str)]| access(&descriptor("S-1-5-18", entries), false).unwrap().writers;
        let system = [
            (0, 0, FULL, "S-1-5-18"),
            (0, 0, FULL, "S-1-5-32-544"),
            (0, 0, READ, "S-1-5-32-545"),
        ];
        assert!(of(&system).is_empty());
        assert_eq!(of(&[(0, 0, FULL, "S-1-5-32-545")]), ["S-1-5-32-545"]);
        assert_eq!(of(&[(0, 0, 0x2, "S-1-5-11"), (0, 0, 0x2, "S-1-5-11")]), ["S-1-5-11"]);
        // For what is made below, not for this.
        assert!(of(&[(0, INHERIT_ONLY, FULL, "S-1-1-0")]).is_empty());
        assert!(of(&[(1, 0, FULL, "S-1-5-11"), (0, 0, FULL, "S-1-5-11")]).is_empty());
        assert!(of(&[(1, 0, FULL, "S-1-1-0"), (0, 0, FULL, "S-1-5-11")]).is_empty());
        assert!(of(&[(0, 0, FULL, "S-1-3-0"), (0, 0, FULL, "S-1-5-80-1-2-3-4-5")]).is_empty());
        assert!(of(&[]).is_empty());
    }

    #[test]
    fn directory_to_which_only_directories_may_be_added_is_closed() {
        let of = |mask| access(&descriptor("S-1-5-18", &[(0, 0, mask, "S-1-5-11")]), true).unwrap();
        assert!(of(0x4).is_administrators_only());
        assert!(!of(0x2).is_administrators_only());
        assert!(!of(0x40).is_administrators_only());
    }

    #[test]
    fn file_without_a_list_is_open() {
        let mut bytes = descriptor("S-1-5-21-1-2-3-1001", &[]);
        bytes[16..20].fill(0);
        let access = access(&bytes, false).unwrap();
        assert!(access.open && access.owner == "S-1-5-21-1-2-3-1001");
        assert_eq!(super::access(&[], false), Err(Malformed));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>, directory: bool) {
            let _ = access(&bytes, directory);
        }

        #[test]
        fn any_damage_is_taken(at in 0usize..80, byte: u8) {
            let mut bytes = descriptor("S-1-5-18", &[(0, 0, FULL, "S-1-5-18"), (1, 0, READ, "S-1-1-0")]);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = access(&bytes, false);
        }
    }
}
