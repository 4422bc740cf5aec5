//! Code in the memory of a process that is not that of its files.

use netstat_model::Fact;
use netstat_model::process::{Mapped, Mapping};
use netstat_model::text::{escape, file_name};

use super::{behind_drive, is_signed, lower, told};
use crate::case::{Case, Exposure};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::known;

/// The program is not in its own memory.
pub(crate) static HOLLOWED: Rule = Rule {
    name: "hollowed",
    title: "the program's file is not in the memory of its process (Windows)",
    explanation: "A process can be started from a harmless file, emptied, and filled with other code before it runs: its path then names a program that it does not run. High when \
        neither the program nor another program file is among the files whose code is in its memory. A program file that was renamed while it ran, as updaters do, is told apart.",
    harmless: "programs that unpack themselves over their own image; a process that was just started or is about to end",
    technique: "T1055.012",
    family: Family::Memory,
    check: Check::Process(check_hollowed),
};

/// Code without a file.
pub(crate) static PRIVATE: Rule = Rule {
    name: "private-code",
    title: "a program that makes no code has executable memory without a file (Windows)",
    explanation: "What is injected into a process lies in memory that belongs to no file. High when such memory can also be written, the program is connected beyond this computer, and neither a signature nor its place speaks for it; medium in other programs that are \
        connected or reachable; low otherwise, and where a library that makes code (.NET, Java, JavaScript) is loaded from a place that anyone may write to. Programs with such a library from Windows or Program Files, and signed programs that are known to make code, are left out.",
    harmless: "runtimes that translate while they run; protection against copying; overlays and security programs that put hooks into others",
    technique: "T1055",
    family: Family::Memory,
    check: Check::Process(check_private),
};

/// Libraries that make code while they run, in lower case, by the beginning of their names.
const MAKERS: &[&str] = &[
    "clr.dll",
    "coreclr.dll",
    "clrjit.dll",
    "mscorwks.dll",
    "jvm.dll",
    "v8.dll",
    "libnode.dll",
    "mozjs",
    "mozglue.dll",
    "xul.dll",
    "chrome.dll",
    "msedge.dll",
    "libcef.dll",
    "jscript9.dll",
    "jscript.dll",
    "chakra.dll",
    "chakracore.dll",
    "mono-2.0",
    "lua51.dll",
    "libffi",
    "electron",
    "webkit",
    "javascriptcore",
    "qt5qml",
    "qt6qml",
    "qt5webengine",
    "qt6webengine",
    "php8",
    "beam.smp",
];

/// The files whose code is in its memory.
fn files<'m>(mappings: &'m [Mapping]) -> impl Iterator<Item = &'m [u8]> + use<'m> {
    mappings.iter().filter_map(|mapping| match &mapping.what {
        Mapped::File { path, .. } => Some(path.as_slice()),
        _ => None,
    })
}

fn check_hollowed(case: &Case<'_>, notes: &mut Notes) {
    let Some((_, path)) = told(case) else { return };
    let Fact::Known(mappings) = &case.facts.executable else {
        return;
    };
    let path = lower(path);
    let own = behind_drive(&path);
    // A mounted or substituted drive has several names: what follows it counts.
    let is_program = |file: &[u8]| {
        let file = lower(file);
        file.ends_with(own) || file.ends_with(b".exe") || file_name(&file) == file_name(&path)
    };
    if files(mappings).next().is_none() || files(mappings).any(is_program) {
        return;
    }
    let mut evidence = vec![format!("the program is {}", escape(&path))];
    const MOST: usize = 4;
    evidence.push(format!(
        "its memory has code of {}",
        files(mappings)
            .take(MOST)
            .map(|file| escape(file).into_owned())
            .collect::<Vec<_>>()
            .join(", ")
    ));
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity: Severity::High,
        headline: "does not run the program that it was started from".to_owned(),
        evidence,
        verify: modules(case),
        would_change: "its main module is shown to be the program".to_owned(),
        pid: None,
        program: None,
    });
}

fn modules(case: &Case<'_>) -> String {
    format!(
        "(Get-Process -Id {}).Modules | Format-Table ModuleName, FileName -AutoSize",
        case.facts.pid
    )
}

fn check_private(case: &Case<'_>, notes: &mut Notes) {
    let Some((windows, path)) = told(case) else { return };
    let Fact::Known(mappings) = &case.facts.executable else {
        return;
    };
    let private = || {
        mappings
            .iter()
            .filter(|mapping| matches!(mapping.what, Mapped::Anonymous) && !mapping.shared)
    };
    let size = |writable: bool| -> u64 {
        private()
            .filter(|mapping| mapping.writable == writable)
            .map(Mapping::size)
            .sum()
    };
    let (open, fixed) = (size(true), size(false));
    if open + fixed == 0 {
        return;
    }
    let maker = files(mappings).find(|file| {
        let name = lower(file_name(file));
        MAKERS.iter().any(|maker| name.starts_with(maker.as_bytes()))
    });
    let is_protected = |file: &[u8]| {
        let file = lower(file);
        [&br"\windows\"[..], br"\program files\", br"\program files (x86)\"]
            .iter()
            .any(|place| behind_drive(&file).starts_with(place))
    };
    let name = super::bare(case.name());
    let trusted = is_signed(windows) || case.is_trusted();
    let makes_code = known::makes_code(&name);
    if maker.is_some_and(is_protected) || (makes_code && trusted) {
        return;
    }
    let far = case.exposure > Exposure::Loopback;
    let severity = match (maker.is_some() || makes_code, far, trusted) {
        (true, ..) | (_, false, _) => Severity::Low,
        (false, true, false) if open > 0 => Severity::High,
        (false, true, _) => Severity::Medium,
    };
    let mut evidence = vec![
        format!("{open} bytes are writable and executable, {fixed} bytes executable, without a file"),
        format!("the program is {}", escape(path)),
    ];
    if let Some(maker) = maker {
        evidence.push(format!("{} makes code, and lies where others may write", escape(maker)));
    }
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity,
        headline: "has code in memory without a file".to_owned(),
        evidence,
        verify: modules(case),
        would_change: "a library in it is known to make code, or a security program put it there".to_owned(),
        pid: None,
        program: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Made, unowned};
    use netstat_model::process::Signature;

    const AGENT: &str = r"C:\tools\agent.exe";

    fn agent() -> Made {
        Made::windows(AGENT).connected("203.0.113.7:443")
    }

    #[test]
    fn program_that_is_not_in_its_memory_is_found() {
        let ntdll = || unowned(r"C:\Windows\System32\ntdll.dll");
        assert_eq!(agent().mapped(ntdll(), false).check(&HOLLOWED), [Severity::High]);
        assert_eq!(
            agent()
                .mapped(ntdll(), false)
                .mapped(unowned(r"C:\TOOLS\agent.exe"), false)
                .check(&HOLLOWED),
            []
        );
        // By another name of the drive, and renamed by an updater.
        assert_eq!(
            agent()
                .mapped(unowned(r"\Device\HarddiskVolume7\tools\agent.exe"), false)
                .check(&HOLLOWED),
            []
        );
        assert_eq!(
            agent()
                .mapped(unowned(r"C:\tools\old_agent.exe"), false)
                .check(&HOLLOWED),
            []
        );
        assert_eq!(agent().check(&HOLLOWED), []);
    }

    #[test]
    fn private_code_counts_by_program_and_reach() {
        assert_eq!(agent().bare_memory().check(&PRIVATE), [Severity::High]);
        assert_eq!(agent().check(&PRIVATE), []);
        assert_eq!(Made::windows(AGENT).bare_memory().check(&PRIVATE), [Severity::Low]);
        let valid = Fact::Known(Signature::Valid {
            signer: b"x".to_vec(),
            catalogue: false,
        });
        assert_eq!(
            agent().signature(valid).bare_memory().check(&PRIVATE),
            [Severity::Medium]
        );
        let with = |library: &str| agent().bare_memory().mapped(unowned(library), false).check(&PRIVATE);
        assert_eq!(with(r"C:\Windows\Microsoft.NET\Framework64\v4.0.30319\clr.dll"), []);
        // A name alone does not acquit.
        assert_eq!(with(r"C:\Users\a\clr.dll"), [Severity::Low]);
    }
}
