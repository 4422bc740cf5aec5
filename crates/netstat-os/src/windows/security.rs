//! Who may change a file, by its security descriptor in self-relative form (winnt.h; [MS-DTYP] 2.4).

use netstat_model::process::{FileAccess, is_administrative, sid_name};

use crate::files::OtherUsers;

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

/// The rights by which the content of a file, or the names in a directory, can be read: `FILE_READ_DATA`, `GENERIC_READ`, `GENERIC_ALL`.
const READ: u32 = 0x1 | 0x8000_0000 | 0x1000_0000;

/// Everyone.
const EVERYONE: &str = "S-1-1-0";

/// Groups that every user of a computer may be in: everyone, interactive, anonymous, authenticated users, users, guests, all app packages.
const EVERY_USER: [&str; 7] = [
    EVERYONE,
    "S-1-5-4",
    "S-1-5-7",
    "S-1-5-11",
    "S-1-5-32-545",
    "S-1-5-32-546",
    "S-1-15-2-1",
];

/// Who may change the file, or with `directory` add files to the directory, of this descriptor.
pub fn access(descriptor: &[u8], directory: bool) -> Result<FileAccess, Malformed> {
    let (owner, list) = owner_and_list(descriptor)?;
    let wanted = if directory { CHANGE_DIRECTORY } else { CHANGE_FILE };
    Ok(FileAccess {
        owner,
        writers: list.map_or(Ok(Vec::new()), |list| holders(list, wanted))?,
        open: list.is_none(),
    })
}

/// What others than the user `own`, the system and administrators may do with the file or directory of this descriptor.
pub fn others(descriptor: &[u8], own: &str, directory: bool) -> Result<OtherUsers, Malformed> {
    let access = access(descriptor, directory)?;
    let is_other = |sid: &&String| *sid != own && !is_administrative(sid);
    if access.open {
        let why = || Some("it has no access list, so every user may do everything with it".to_owned());
        return Ok(OtherUsers {
            change: why(),
            every_user_changes: true,
            read: why(),
        });
    }
    let may = |sid: &String, what: &str| format!("{} may {what} it", sid_name(sid));
    let change = match Some(&access.owner).filter(is_other) {
        Some(owner) => Some(format!("it belongs to {}", sid_name(owner))),
        None => access.writers.iter().find(is_other).map(|sid| may(sid, "change")),
    };
    let (_, list) = owner_and_list(descriptor)?;
    let readers = list.map_or(Ok(Vec::new()), |list| holders(list, READ))?;
    Ok(OtherUsers {
        change,
        every_user_changes: access.writers.iter().any(|sid| EVERY_USER.contains(&sid.as_str())),
        read: readers.iter().find(is_other).map(|sid| may(sid, "read")),
    })
}

/// The access list, in SDDL, of something that only the system, administrators and, unless `shared`, the user `own` may use. It is protected from
/// what the directory above hands down, and handed down itself. What is `shared` belongs to administrators: whichever of them made it, the
/// others and the system trust it.
#[cfg_attr(not(any(test, windows)), expect(dead_code, reason = "only the calls use it"))]
pub(super) fn private_list(own: &str, shared: bool, directory: bool) -> String {
    let flags = if directory { "OICI" } else { "" };
    let (owner, user) = match shared {
        true => ("O:BA", String::new()),
        false => ("", format!("(A;{flags};FA;;;{own})")),
    };
    format!("{owner}D:P(A;{flags};FA;;;SY)(A;{flags};FA;;;BA){user}")
}

/// The owner's SID, and the access list; without a list everybody may do everything.
fn owner_and_list(descriptor: &[u8]) -> Result<(String, Option<&[u8]>), Malformed> {
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
    let list = part(16)?.filter(|_| control & DACL_PRESENT != 0);
    Ok((owner, list))
}

/// The SIDs that an access list gives one of the rights `wanted`, without those that may do everything anyway.
fn holders(list: &[u8], wanted: u32) -> Result<Vec<String>, Malformed> {
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
    const READ_AND_RUN: u32 = 0x0012_00a9;
    const ME: &str = "S-1-5-21-1-2-3-1001";
    const STRANGER: &str = "S-1-5-21-1-2-3-1002";

    #[test]
    fn writers_of_a_file_are_those_with_a_right_to_change_it() {
        let of = |entries: &[(u8, u8, u32, &str)]| access(&descriptor("S-1-5-18", entries), false).unwrap().writers;
        let system = [
            (0, 0, FULL, "S-1-5-18"),
            (0, 0, FULL, "S-1-5-32-544"),
            (0, 0, READ_AND_RUN, "S-1-5-32-545"),
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

    #[test]
    fn others_are_neither_this_user_nor_administrators() {
        let of = |owner: &str, entries: &[(u8, u8, u32, &str)]| others(&descriptor(owner, entries), ME, false).unwrap();
        let private = [(0, 0, FULL, "S-1-5-18"), (0, 0, FULL, "S-1-5-32-544"), (0, 0, FULL, ME)];
        assert_eq!(of(ME, &private), OtherUsers::default());
        assert_eq!(of("S-1-5-32-544", &private), OtherUsers::default());
        assert_eq!(
            of(STRANGER, &private).change.unwrap(),
            format!("it belongs to {STRANGER}")
        );
        let read = of(ME, &[(0, 0, READ_AND_RUN, "S-1-5-32-545")]);
        assert_eq!((read.change, read.every_user_changes), (None, false));
        assert_eq!(read.read.unwrap(), "users may read it");
        let changed = of(ME, &[(0, 0, FULL, STRANGER)]);
        assert_eq!(changed.change.unwrap(), format!("{STRANGER} may change it"));
        assert!(!changed.every_user_changes);
        let all = of(ME, &[(0, 0, FULL, ME), (0, 0, 0x2, "S-1-5-11")]);
        assert_eq!(all.change.unwrap(), "authenticated users may change it");
        assert!(all.every_user_changes && all.read.is_none());
    }

    #[test]
    fn others_without_a_list_are_all() {
        let mut bytes = descriptor(ME, &[]);
        bytes[16..20].fill(0);
        let others = others(&bytes, ME, false).unwrap();
        assert!(others.change.is_some() && others.every_user_changes && others.read.is_some());
    }

    #[test]
    fn private_list_names_nobody_else() {
        assert_eq!(
            private_list(ME, false, true),
            format!("D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;{ME})")
        );
        assert_eq!(private_list(ME, true, false), "O:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>, directory: bool) {
            let _ = access(&bytes, directory);
            let _ = others(&bytes, ME, directory);
        }

        #[test]
        fn any_damage_is_taken(at in 0usize..80, byte: u8) {
            let mut bytes = descriptor("S-1-5-18", &[(0, 0, FULL, "S-1-5-18"), (1, 0, READ_AND_RUN, "S-1-1-0")]);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = access(&bytes, false);
            let _ = others(&bytes, ME, true);
        }
    }
}
