//! Detects programs that name a loader of their own.

use crate::case::{Case, Exposure};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "odd-loader",
    title: "the program names a loader that no package owns",
    explanation: "The dynamic loader that a program names in its file (PT_INTERP) runs before it and can change everything in it. Loaders come from the C library's package. High when no package owns the \
        loader and it lies in a place for short-lived files, in a hidden directory or in a home outside the stores of known tools, or when a package owns the program itself; else medium, low where only the superuser can have put \
        it there.",
    harmless: "programs of Nix, Guix, Homebrew or a vendor, which bring a C library of their own",
    technique: "T1574",
    family: Family::Memory,
    check: Check::Process(check),
};

/// Where package managers other than the distribution's keep their C libraries.
const STORES: &[&[u8]] = &[
    b"/nix/store/",
    b"/gnu/store/",
    b"/home/linuxbrew/.linuxbrew/",
    b"/snap/",
    b"/system/bin/",
    b"/app/",
];

fn check(case: &Case<'_>, notes: &mut Notes) {
    let (Some(loader), Some(program)) = (case.loader, case.program) else {
        return;
    };
    // A loader that cannot be looked up cannot be judged.
    if !loader.is_unowned() || loader.file.known().is_none() {
        return;
    }
    let store = STORES.iter().any(|store| loader.path.starts_with(store));
    let home = loader.path.starts_with(b"/home/") || loader.path.starts_with(b"/root/");
    let severity = match (store, loader.rooted) {
        (true, true) => return,
        (true, false) => Severity::Low,
        _ if super::is_odd_place(&loader.path) || home || program.package().is_some() => Severity::High,
        (false, true) => Severity::Low,
        (false, false) => Severity::Medium,
    };
    let mut evidence = vec![
        format!("{} names the loader {}", program.shown(), loader.shown()),
        "no package owns that loader".to_owned(),
    ];
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity: match case.exposure > Exposure::Loopback {
            true => severity,
            false => severity.lower(),
        },
        headline: "is started by a loader that no package owns".to_owned(),
        evidence,
        verify: format!("readelf -lW /proc/{}/exe | grep interpreter", case.facts.pid),
        would_change: "you know which tool brought that loader".to_owned(),
        pid: None,
        program: None,
    });
}

/// Returns the loader that an ELF program names (elf(5), `PT_INTERP`), given the beginning of its file; `None` if there
/// is none.
pub(crate) fn named(file: &[u8]) -> Option<&[u8]> {
    const PT_INTERP: u32 = 3;
    let wide = match file.get(..6)? {
        [0x7f, b'E', b'L', b'F', class, 1] => *class == 2,
        // Big-endian programs do not run on the supported machines.
        _ => return None,
    };
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let part = file.get(at..at.checked_add(bytes)?)?;
        Some(part.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let (table, size, count) = match wide {
        true => (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?),
        false => (number(0x1c, 4)?, number(0x2a, 2)?, number(0x2c, 2)?),
    };
    for entry in 0..count {
        let at = usize::try_from(table.checked_add(entry.checked_mul(size)?)?).ok()?;
        if number(at, 4)? != u64::from(PT_INTERP) {
            continue;
        }
        let (offset, length) = match wide {
            true => (number(at.checked_add(8)?, 8)?, number(at.checked_add(32)?, 8)?),
            false => (number(at.checked_add(4)?, 4)?, number(at.checked_add(16)?, 4)?),
        };
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        let name = file.get(start..end)?;
        let name = name.split(|byte| *byte == 0).next()?;
        return (!name.is_empty()).then_some(name);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Made};
    use proptest::prelude::*;

    #[test]
    fn loader_name_of_running_elf_program_is_read() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        // A statically linked test binary has no loader.
        if let Some(name) = named(&own) {
            assert!(
                name.starts_with(b"/") && name.windows(2).any(|part| part == b"ld"),
                "{name:?}"
            );
        }
        assert_eq!(named(b"#!/bin/sh\n"), None);
    }

    #[test]
    fn loader_severity_follows_its_directory_and_package() {
        let with = |loader: &str, rooted| {
            let mut look = testing::unowned(loader);
            look.rooted = rooted;
            let made = Made::program("/srv/x/agent").unowned().connected("203.0.113.7:443");
            made.loader(look).check(&RULE)
        };
        assert_eq!(with("/tmp/ld.so", false), [Severity::High]);
        assert_eq!(with("/opt/x/lib/ld-linux.so.2", true), [Severity::Low]);
        assert_eq!(with("/opt/x/lib/ld-linux.so.2", false), [Severity::Medium]);
        assert_eq!(with("/nix/store/abc-glibc/lib/ld-linux-x86-64.so.2", true), []);
        let packaged = Made::program("/usr/sbin/sshd")
            .packaged("openssh")
            .connected("203.0.113.7:443");
        assert_eq!(
            packaged.loader(testing::unowned("/usr/lib/ld-x.so")).check(&RULE),
            [Severity::High]
        );
        let usual = Made::program("/usr/sbin/sshd")
            .packaged("openssh")
            .connected("203.0.113.7:443");
        assert_eq!(
            usual
                .loader(testing::packaged("/lib64/ld-linux-x86-64.so.2", "libc6"))
                .check(&RULE),
            []
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(mut bytes: Vec<u8>, wide: bool) {
            let head = [0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, 1];
            bytes.splice(0..0, head);
            let _ = named(&bytes);
        }
    }
}
