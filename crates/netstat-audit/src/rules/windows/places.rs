//! Places of Windows where no program belongs; the rule `odd-place` judges them with those of other systems.

use super::super::place_kind::Kind;
use super::{behind_drive, lower};

/// Directories behind the drive, in lower case, the more telling first.
const PLACES: &[(&[u8], Kind)] = &[
    (br"\$recycle.bin\", Kind::Never),
    (br"\recycler\", Kind::Never),
    (br"\system volume information\", Kind::Never),
    (br"\perflogs\", Kind::Never),
    (br"\windows\fonts\", Kind::Never),
    (br"\windows\debug\", Kind::Never),
    (br"\windows\tasks\", Kind::Never),
    (br"\windows\tracing\", Kind::Never),
    (br"\windows\system32\tasks\", Kind::Never),
    (br"\windows\system32\spool\drivers\color\", Kind::Never),
    (br"\windows\system32\spool\printers\", Kind::Never),
    (br"\windows\system32\microsoft\crypto\rsa\machinekeys\", Kind::Never),
    (br"\windows\temp\", Kind::Passing),
    (br"\temp\", Kind::Passing),
    (br"\tmp\", Kind::Passing),
    (br"\users\public\", Kind::Passing),
    (br"\users\default\", Kind::Never),
    (br"\users\all users\", Kind::Data),
    (br"\inetpub\wwwroot\", Kind::Data),
];

/// Directories below that of a user, in lower case.
const BELOW_USER: &[(&[u8], Kind)] = &[
    (
        br"appdata\roaming\microsoft\windows\start menu\programs\startup\",
        Kind::Never,
    ),
    (br"appdata\local\temp\", Kind::Passing),
    (br"appdata\locallow\temp\", Kind::Passing),
    (br"appdata\local\microsoft\windows\inetcache\", Kind::Passing),
    (
        br"appdata\local\microsoft\windows\temporary internet files\",
        Kind::Passing,
    ),
    (br"downloads\", Kind::HomeCache),
];

/// What kind of place a path of Windows is; `None` for one where programs are.
pub(in super::super) fn kind(path: &[u8]) -> Option<Kind> {
    let path = lower(path);
    let path = behind_drive(&path);
    // A stream of a file (`x.txt:y.exe`) is seen by nobody who looks at the directory.
    if path.contains(&b':') {
        return Some(Kind::Never);
    }
    let listed = |list: &[(&[u8], Kind)], path: &[u8]| {
        let found = list.iter().find(|(place, _)| path.starts_with(place));
        found.map(|(_, kind)| *kind)
    };
    if let Some(kind) = listed(PLACES, path) {
        return Some(kind);
    }
    // Right in these, and not in a directory of its own.
    let is_alone = |rest: &[u8]| !rest.contains(&b'\\');
    if let Some(rest) = path.strip_prefix(br"\programdata\") {
        return is_alone(rest).then_some(Kind::Data);
    }
    let user = path.strip_prefix(br"\users\")?;
    let below = user.iter().position(|&byte| byte == b'\\').map(|at| &user[at + 1..])?;
    if let Some(kind) = listed(BELOW_USER, below) {
        return Some(kind);
    }
    let data = [
        &br"appdata\roaming\"[..],
        br"appdata\local\",
        br"appdata\locallow\",
        br"appdata\",
    ];
    let alone = data
        .iter()
        .find_map(|data| below.strip_prefix(*data))
        .is_some_and(is_alone);
    alone.then_some(Kind::HomeHidden)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn directories_match_in_any_case_and_on_any_drive() {
        for (path, expected) in [
            (r"C:\Users\anna\AppData\Local\Temp\x.exe", Some(Kind::Passing)),
            (r"d:\USERS\anna\appdata\LOCAL\temp\a\x.exe", Some(Kind::Passing)),
            (r"C:\Users\anna\AppData\Roaming\x.exe", Some(Kind::HomeHidden)),
            (r"C:\Users\anna\AppData\Roaming\Zoom\bin\Zoom.exe", None),
            (r"C:\Users\anna\Downloads\x.exe", Some(Kind::HomeCache)),
            (r"C:\Users\Public\Music\x.exe", Some(Kind::Passing)),
            (r"C:\ProgramData\x.exe", Some(Kind::Data)),
            (r"C:\ProgramData\Vendor\x.exe", None),
            (r"C:\$Recycle.Bin\S-1-5-21\x.exe", Some(Kind::Never)),
            (r"C:\Windows\Temp\x.exe", Some(Kind::Passing)),
            (r"C:\Windows\System32\svchost.exe", None),
            (r"C:\Program Files\x\x.exe", None),
            (r"C:\x\readme.txt:x.exe", Some(Kind::Never)),
            (r"\\server\share\x.exe", None),
            ("x.exe", None),
        ] {
            assert_eq!(kind(path.as_bytes()), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            kind(&bytes);
        }
    }
}
