//! Facts about a process that only Windows has.

use crate::{Fact, Why};

/// Facts about a process that only Windows has: its user, its privileges, and how far its program can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WindowsProcess {
    /// The user's security identifier, such as `S-1-5-18`.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub sid: Fact<Vec<u8>>,
    /// The user's name as `DOMAIN\name`. Escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::fact_text"))]
    pub user: Fact<Vec<u8>>,
    /// Whether it runs with full administrator rights (`TokenElevation`).
    pub elevated: Fact<bool>,
    /// The integrity level (`TokenIntegrityLevel`).
    pub integrity: Fact<IntegrityLevel>,
    /// Whether it runs in an app container.
    pub app_container: Fact<bool>,
    /// Its protection from other processes (`ProcessProtectionInformation`).
    pub protection: Fact<Protection>,
    /// The signature of its program (Authenticode).
    pub signature: Fact<Signature>,
    /// Who may change its program's file.
    pub file_access: Fact<FileAccess>,
    /// Who may add files to the directory of its program.
    pub directory_access: Fact<FileAccess>,
}

impl WindowsProcess {
    /// Creates a value in which everything is unknown for the reason `why`.
    pub const fn unknown(why: Why) -> Self {
        WindowsProcess {
            sid: Fact::Unknown(why),
            user: Fact::Unknown(why),
            elevated: Fact::Unknown(why),
            integrity: Fact::Unknown(why),
            app_container: Fact::Unknown(why),
            protection: Fact::Unknown(why),
            signature: Fact::Unknown(why),
            file_access: Fact::Unknown(why),
            directory_access: Fact::Unknown(why),
        }
    }

    /// Whether only administrators and the system may change the program's file and add files beside it; `false` if
    /// that is unknown.
    pub fn is_protected_place(&self) -> bool {
        let only = |access: &Fact<FileAccess>| {
            let known = access.as_ref().known();
            known.is_some_and(FileAccess::is_administrators_only)
        };
        only(&self.file_access) && only(&self.directory_access)
    }
}

/// An integrity level: the last component of the SID `S-1-16-N` (winnt.h, `SECURITY_MANDATORY_*_RID`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct IntegrityLevel(pub u32);

impl IntegrityLevel {
    /// The level of services and of the kernel's own processes.
    pub const SYSTEM: IntegrityLevel = IntegrityLevel(0x4000);
    /// The level of elevated programs.
    pub const HIGH: IntegrityLevel = IntegrityLevel(0x3000);

    /// Returns the name of the level; numbers in between have the name of the next lower level.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0..0x1000 => "untrusted",
            0x1000..0x2000 => "low",
            0x2000..0x2100 => "medium",
            0x2100..0x3000 => "medium plus",
            0x3000..0x4000 => "high",
            0x4000..0x5000 => "system",
            _ => "protected process",
        }
    }
}

/// The protection of a process, `PS_PROTECTION` (winternl.h): the type in bits 0 to 2, the signer in bits 4 to 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Protection(pub u8);

impl Protection {
    /// Whether it is protected at all.
    pub const fn is_protected(self) -> bool {
        self.0 & 7 != 0
    }

    /// Returns a description in plain words: `protected light (antimalware)`.
    pub fn words(self) -> String {
        let kind = match self.0 & 7 {
            0 => return "not protected".to_owned(),
            1 => "protected light",
            2 => "protected",
            _ => "protected in an unknown way",
        };
        let signer = match self.0 >> 4 {
            1 => "Authenticode",
            2 => "code generation",
            3 => "antimalware",
            4 => "LSA",
            5 => "Windows",
            6 => "Windows TCB",
            7 => "system",
            8 => "app",
            _ => return kind.to_owned(),
        };
        format!("{kind} ({signer})")
    }
}

/// The result of checking a file's signature (Authenticode) without network access.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Signature {
    /// The signature is valid.
    Valid {
        /// The signer's name in the certificate. Whoever requested the certificate chose it: escape before printing.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        signer: Vec<u8>,
        /// Whether the file is listed in a signed catalogue of the system rather than signed itself.
        catalogue: bool,
    },
    /// There is no signature, neither in the file nor in a catalogue.
    None,
    /// There is a signature, but it is not valid; the value is the system's error code (`TRUST_E_*`, `CERT_E_*`;
    /// winerror.h).
    Invalid(u32),
    /// The file has no signature of its own, and the catalogues could not be queried.
    NotInFile,
}

impl Signature {
    /// Returns why a signature is not valid, by its error code (winerror.h).
    pub fn reason(code: u32) -> String {
        match code {
            0x8009_6010 => "the file was changed after it was signed".to_owned(),
            0x800B_0101 => "its certificate has expired".to_owned(),
            0x800B_0109 => "its certificate leads to a root that this computer does not trust".to_owned(),
            0x800B_010A => "its chain of certificates is incomplete".to_owned(),
            0x800B_010C => "its certificate was revoked".to_owned(),
            0x800B_0111 => "its certificate is explicitly distrusted".to_owned(),
            0x800B_0004 => "its signer is not trusted".to_owned(),
            code => format!("error {code:#010x}"),
        }
    }
}

/// The accounts that may change a file or add files to a directory, according to its access control list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FileAccess {
    /// The SID of the owner, who may always change the list.
    pub owner: String,
    /// The SIDs of further accounts that may change it, besides administrators, the system, TrustedInstaller and the
    /// system's service accounts.
    pub writers: Vec<String>,
    /// Whether there is no list, so that everyone has full access.
    pub open: bool,
}

impl FileAccess {
    /// Whether only administrators and the system may change it.
    pub fn is_administrators_only(&self) -> bool {
        !self.open && self.writers.is_empty() && is_administrative(&self.owner)
    }

    /// Whether only the system and administrative accounts may change it: the built-in ones and those in `members`,
    /// which are SIDs. A program that runs as such an account needs no elevation to do so.
    pub fn is_of_administrators(&self, members: &[String]) -> bool {
        let is_member = |sid: &String| is_administrative(sid) || members.contains(sid);
        !self.open && self.writers.iter().chain([&self.owner]).all(is_member)
    }
}

/// Whether a SID belongs to an account that may change everything anyway: the system, administrators or
/// TrustedInstaller.
pub fn is_administrative(sid: &str) -> bool {
    /// NT SERVICE\TrustedInstaller, which is the same on every Windows installation (SHA-1 of its name).
    const TRUSTED_INSTALLER: &str = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464";
    matches!(sid, "S-1-5-18" | "S-1-5-32-544" | TRUSTED_INSTALLER)
        // The built-in Administrator and the domain's administrators: the last component is 500, 512 or 519 (MS-DTYP
        // 2.4.2.4).
        || (sid.starts_with("S-1-5-21-") && ["-500", "-512", "-519"].iter().any(|end| sid.ends_with(end)))
}

/// Returns a plain name for a well-known SID, such as `everyone`; the SID itself for any other.
pub fn sid_name(sid: &str) -> &str {
    match sid {
        "S-1-1-0" => "everyone",
        "S-1-5-4" => "interactive users",
        "S-1-5-7" => "anonymous",
        "S-1-5-11" => "authenticated users",
        "S-1-5-18" => "the system",
        "S-1-5-19" => "local services",
        "S-1-5-20" => "network services",
        "S-1-5-32-544" => "administrators",
        "S-1-5-32-545" => "users",
        "S-1-5-32-546" => "guests",
        "S-1-15-2-1" => "all app packages",
        other => other,
    }
}

/// A configured Windows service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ServiceProgram {
    /// The service name. Escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub name: Vec<u8>,
    /// The command that starts it, from the registry with variables expanded. Escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub command: Vec<u8>,
    /// The account it runs as; empty if none is named. Escape before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
    pub account: Vec<u8>,
    /// Who may change its program's file.
    pub access: Fact<FileAccess>,
    /// The programs of [`ServiceProgram::tried_before`] that accounts other than administrators may create. Escape
    /// before printing.
    #[cfg_attr(feature = "serde", serde(with = "crate::wire::texts"))]
    pub plantable: Vec<Vec<u8>>,
}

impl ServiceProgram {
    /// Returns the path of its program: the quoted part of the command, or everything up to the first `.exe`, ignoring
    /// case.
    pub fn path(&self) -> &[u8] {
        let command = self.command.strip_prefix(br"\??\").unwrap_or(&self.command);
        if let Some(rest) = command.strip_prefix(b"\"") {
            return rest.split(|&byte| byte == b'"').next().unwrap_or_default();
        }
        let end = command
            .windows(4)
            .position(|part| part.eq_ignore_ascii_case(b".exe"))
            .map(|at| at + 4);
        match end {
            Some(end) => &command[..end],
            None => command.split(|&byte| byte == b' ').next().unwrap_or_default(),
        }
    }

    /// Returns the programs that Windows tries before the intended one because the path is not quoted: `C:\Program.exe`
    /// for `C:\Program Files\x.exe`. Empty if the path is quoted or has no spaces.
    pub fn tried_before(&self) -> Vec<Vec<u8>> {
        if self.command.starts_with(b"\"") {
            return Vec::new();
        }
        let path = self.path();
        let blanks = path.iter().enumerate().filter(|(_, byte)| **byte == b' ');
        blanks.map(|(at, _)| [&path[..at], b".exe"].concat()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(command: &str) -> ServiceProgram {
        ServiceProgram {
            name: b"x".to_vec(),
            command: command.into(),
            account: Vec::new(),
            access: Fact::Unknown(Why::NotAsked),
            plantable: Vec::new(),
        }
    }

    #[test]
    fn service_path_ends_where_windows_ends_it() {
        for (command, path) in [
            (
                r#""C:\Program Files\a b\x.exe" -k y.exe"#,
                r"C:\Program Files\a b\x.exe",
            ),
            (r"C:\Program Files\x.EXE -k", r"C:\Program Files\x.EXE"),
            (r"\??\C:\x.exe", r"C:\x.exe"),
            (
                r"C:\Windows\system32\drivers\x.sys y",
                r"C:\Windows\system32\drivers\x.sys",
            ),
            ("", ""),
            ("\"", ""),
        ] {
            assert_eq!(service(command).path(), path.as_bytes(), "{command}");
        }
        assert_eq!(
            service(r"C:\Program Files\My App\x.exe -a b").tried_before(),
            [b"C:\\Program.exe".to_vec(), b"C:\\Program Files\\My.exe".to_vec()]
        );
        assert!(service(r#""C:\Program Files\x.exe""#).tried_before().is_empty());
        assert!(service(r"C:\Windows\x.exe -k netsvcs").tried_before().is_empty());
    }

    #[test]
    fn file_access_is_recognized_as_administrators_only() {
        let access = |owner: &str, writers: &[&str]| FileAccess {
            owner: owner.to_owned(),
            writers: writers.iter().map(|&sid| sid.to_owned()).collect(),
            open: false,
        };
        assert!(access("S-1-5-18", &[]).is_administrators_only());
        assert!(access("S-1-5-21-1-2-3-500", &[]).is_administrators_only());
        assert!(!access("S-1-5-21-1-2-3-1001", &[]).is_administrators_only());
        assert!(!access("S-1-5-18", &["S-1-5-32-545"]).is_administrators_only());
        let members = ["S-1-5-21-1-2-3-1001".to_owned()];
        assert!(access("S-1-5-21-1-2-3-1001", &[]).is_of_administrators(&members));
        assert!(!access("S-1-5-21-1-2-3-1002", &[]).is_of_administrators(&members));
        assert!(!access("S-1-5-18", &["S-1-5-32-545"]).is_of_administrators(&members));
        let open = FileAccess {
            open: true,
            ..access("S-1-5-18", &[])
        };
        assert!(!open.is_administrators_only());
    }

    #[test]
    fn integrity_levels_and_protections_have_names() {
        assert_eq!(IntegrityLevel::SYSTEM.name(), "system");
        assert_eq!(IntegrityLevel(0x2000).name(), "medium");
        assert_eq!(IntegrityLevel(0).name(), "untrusted");
        assert_eq!(Protection(0x31).words(), "protected light (antimalware)");
        assert_eq!(Protection(0x72).words(), "protected (system)");
        assert!(!Protection(0).is_protected());
    }
}
