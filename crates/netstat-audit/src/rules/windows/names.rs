//! Names that are meant to be taken for others.

use netstat_model::text::escape;

use super::{bare, behind_drive, directory, lower, show_process, show_signature, told};
use crate::case::Case;
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// A program of the system has its name; it does not.
pub(crate) static RULE: Rule = Rule {
    name: "poses-as-system",
    title: "bears the name of a process of Windows and lies elsewhere, or nearly bears it",
    explanation: "svchost.exe, lsass.exe and the like lie in System32 and nowhere else; what is called so and lies in another place poses as them. High outside the directory of Windows, medium within it. Names that only \
        look alike, with a 1 for an l or letters of another alphabet, are high wherever they lie; names that differ by one letter are medium, unless only administrators can have put the program there.",
    harmless: "a copy for tests; a service whose maker chose a name like that of Windows' own",
    technique: "T1036.005",
    family: Family::Hiding,
    check: Check::Process(check_name),
};

/// The name hides what kind of file it is.
pub(crate) static EXTENSION: Rule = Rule {
    name: "double-extension",
    title: "the program's name ends like that of a document (Windows)",
    explanation: "Explorer hides known extensions, so that report.pdf.exe looks like a document; blanks in front of the extension, and characters that turn the direction of writing, do the same. High in all cases: \
        programs of good faith have no such names.",
    harmless: "a converter or installer that is called after the file that it was made of",
    technique: "T1036.007",
    family: Family::Hiding,
    check: Check::Process(check_extension),
};

/// Processes of Windows, without `.exe`, each with its directories below that of Windows.
const SYSTEM: &[(&str, &[&str])] = &[
    ("svchost", &["system32", "syswow64"]),
    ("lsass", &["system32"]),
    ("lsaiso", &["system32"]),
    ("csrss", &["system32"]),
    ("smss", &["system32"]),
    ("services", &["system32"]),
    ("wininit", &["system32"]),
    ("winlogon", &["system32"]),
    ("spoolsv", &["system32"]),
    ("taskhostw", &["system32"]),
    ("taskhost", &["system32"]),
    ("dllhost", &["system32", "syswow64"]),
    ("conhost", &["system32"]),
    ("dwm", &["system32"]),
    ("sihost", &["system32"]),
    ("ctfmon", &["system32", "syswow64"]),
    ("fontdrvhost", &["system32"]),
    ("runtimebroker", &["system32"]),
    ("searchindexer", &["system32", "syswow64"]),
    ("userinit", &["system32", "syswow64"]),
    ("rundll32", &["system32", "syswow64"]),
    ("regsvr32", &["system32", "syswow64"]),
    ("wmiprvse", &["system32\\wbem", "syswow64\\wbem"]),
    ("explorer", &["", "syswow64"]),
];

/// Digits, Cyrillic and Greek letters, each with the Latin letter that it looks like; names are compared in Latin letters.
const ALIKE: &[(char, char)] = &[
    ('0', 'o'),
    ('1', 'l'),
    ('3', 'e'),
    ('5', 's'),
    ('$', 's'),
    ('@', 'a'),
    ('|', 'l'),
    ('а', 'a'),
    ('е', 'e'),
    ('о', 'o'),
    ('р', 'p'),
    ('с', 'c'),
    ('у', 'y'),
    ('х', 'x'),
    ('і', 'i'),
    ('ѕ', 's'),
    ('һ', 'h'),
    ('ԁ', 'd'),
    ('ѵ', 'v'),
    ('ԝ', 'w'),
    ('ӏ', 'l'),
    ('т', 't'),
    ('м', 'm'),
    ('н', 'h'),
    ('к', 'k'),
    ('в', 'b'),
    ('ο', 'o'),
    ('α', 'a'),
    ('ν', 'v'),
    ('ι', 'i'),
    ('ρ', 'p'),
    ('τ', 't'),
    ('ı', 'i'),
    ('ɡ', 'g'),
];

/// What a name looks like to a quick reader: `lsass` for `1sass`, `winlogon` for `wın1og0n`.
fn appearance(name: &str) -> String {
    let fold = |letter: char| match letter {
        // Full-width forms stand 0xfee0 behind ASCII.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(letter as u32 - 0xfee0).unwrap_or(letter),
        // An I can be an l in the letters of Explorer.
        letter => ALIKE
            .iter()
            .find(|(from, _)| *from == letter)
            .map_or(letter, |(_, to)| *to),
    };
    let folded: String = name.chars().flat_map(char::to_lowercase).map(fold).collect();
    folded.replace("rn", "m").replace("vv", "w").replace('i', "l")
}

fn check_name(case: &Case<'_>, notes: &mut Notes) {
    let Some((_, path)) = told(case) else { return };
    let Some(program) = case.program else { return };
    let name = bare(program.name());
    let Some((severity, headline, line)) = judged(&name, path, program.rooted) else {
        return;
    };
    let mut evidence = vec![format!("the program is {}", escape(path)), line];
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity,
        headline,
        evidence,
        verify: format!("{}; {}", show_process(case.facts), show_signature(path)),
        would_change: "you know who made the program and why it is called so".to_owned(),
        pid: None,
        program: None,
    });
}

fn judged(name: &[u8], path: &[u8], rooted: bool) -> Option<(Severity, String, String)> {
    /// Shorter names are near to each other by chance.
    const SHORTEST: usize = 5;
    let name = std::str::from_utf8(name).ok()?;
    if let Some((known, places)) = SYSTEM.iter().find(|(known, _)| *known == name) {
        let path = lower(path);
        let directory = behind_drive(directory(&path));
        let right = places.iter().any(|place| {
            let whole = match place.is_empty() {
                true => r"\windows\".to_owned(),
                false => format!(r"\windows\{place}\"),
            };
            directory == whole.as_bytes()
        });
        // Parts of the system that are being replaced.
        let servicing =
            directory.starts_with(br"\windows\winsxs\") || directory.starts_with(br"\windows\softwaredistribution\");
        if right || servicing {
            return None;
        }
        let severity = match directory.starts_with(br"\windows\") {
            true => Severity::Medium,
            false => Severity::High,
        };
        let place = places.first().filter(|place| !place.is_empty());
        return Some((
            severity,
            format!("is called {known}.exe and lies elsewhere"),
            format!(
                "Windows' own {known}.exe lies in {}",
                place.map_or_else(|| r"C:\Windows".to_owned(), |place| format!(r"C:\Windows\{place}"))
            ),
        ));
    }
    if let Some((known, _)) = SYSTEM.iter().find(|(known, _)| appearance(known) == appearance(name)) {
        return Some((
            Severity::High,
            format!("has a name that looks like {known}.exe"),
            format!(
                "{}.exe is not {known}.exe: letters or digits that look alike stand in it",
                escape(name.as_bytes())
            ),
        ));
    }
    let near = |known: &&str| known.len() >= SHORTEST && strsim::damerau_levenshtein(name, known) == 1;
    let (known, _) = SYSTEM
        .iter()
        .find(|(known, _)| near(known))
        .filter(|_| name.len() >= SHORTEST && !rooted)?;
    Some((
        Severity::Medium,
        format!("has a name that is nearly {known}.exe"),
        format!("{}.exe differs from {known}.exe by one letter", escape(name.as_bytes())),
    ))
}

fn check_extension(case: &Case<'_>, notes: &mut Notes) {
    /// Extensions of documents, pictures and archives.
    const DOCUMENTS: &[&str] = &[
        "pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "txt", "rtf", "jpg", "jpeg", "png", "gif", "mp3", "mp4",
        "zip", "rar", "7z", "htm", "html", "csv",
    ];
    /// Left-to-right and right-to-left embeddings and overrides, isolates (Unicode, UAX 9).
    const TURNS: &[char] = &[
        '\u{202a}', '\u{202b}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{200f}',
    ];
    let Some((_, path)) = told(case) else { return };
    let Some(program) = case.program else { return };
    let name = String::from_utf8_lossy(program.name()).into_owned();
    let stem = String::from_utf8_lossy(&bare(program.name())).into_owned();
    let document = stem
        .trim_end()
        .rsplit_once('.')
        .filter(|(_, end)| DOCUMENTS.contains(end));
    let line = if name.contains(TURNS) {
        "a character in its name turns the direction of writing, so that it reads otherwise than it is".to_owned()
    } else if let Some((_, end)) = document {
        format!("its name ends in .{end} where extensions are hidden")
    } else if stem.ends_with("    ") {
        "blanks in front of its extension push that out of sight".to_owned()
    } else {
        return;
    };
    let mut evidence = vec![format!("the program is {}", escape(path)), line];
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity: Severity::High,
        headline: "is a program with the name of a document".to_owned(),
        evidence,
        verify: show_signature(path),
        would_change: "you know who made the program and why it is called so".to_owned(),
        pid: None,
        program: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    fn seen(path: &str) -> Vec<Severity> {
        Made::windows(path).connected("203.0.113.7:443").check(&RULE)
    }

    #[test]
    fn system_name_counts_by_place() {
        assert_eq!(seen(r"C:\Windows\System32\svchost.exe"), []);
        assert_eq!(seen(r"c:\WINDOWS\syswow64\SVCHOST.EXE"), []);
        assert_eq!(seen(r"C:\Windows\explorer.exe"), []);
        assert_eq!(seen(r"C:\Windows\System32\wbem\WmiPrvSE.exe"), []);
        assert_eq!(seen(r"C:\Windows\svchost.exe"), [Severity::Medium]);
        assert_eq!(seen(r"C:\ProgramData\x\svchost.exe"), [Severity::High]);
        assert_eq!(seen(r"C:\Users\a\explorer.exe"), [Severity::High]);
    }

    #[test]
    fn name_that_looks_alike_is_found() {
        assert_eq!(seen(r"C:\x\1sass.exe"), [Severity::High]);
        assert_eq!(seen("C:\\x\\svch\u{043e}st.exe"), [Severity::High]);
        assert_eq!(seen("C:\\x\\\u{ff4c}sass.exe"), [Severity::High]);
        assert_eq!(seen(r"C:\x\scvhost.exe"), [Severity::Medium]);
        assert_eq!(seen(r"C:\x\lsasss.exe"), [Severity::Medium]);
        assert_eq!(seen(r"C:\x\server.exe"), []);
        assert_eq!(
            Made::windows(r"C:\Program Files\x\service.exe").rooted().check(&RULE),
            []
        );
        assert_eq!(Made::windows(r"C:\x\service.exe").check(&RULE), [Severity::Medium]);
        // Of another system.
        assert_eq!(Made::program("/opt/svchost.exe").check(&RULE), []);
    }

    #[test]
    fn document_names_of_programs_are_found() {
        let seen = |path: &str| Made::windows(path).check(&EXTENSION);
        assert_eq!(seen(r"C:\x\Invoice.PDF.exe"), [Severity::High]);
        assert_eq!(seen("C:\\x\\Invoice.pdf          .exe"), [Severity::High]);
        assert_eq!(seen("C:\\x\\a\u{202e}fdp.exe"), [Severity::High]);
        assert_eq!(seen(r"C:\x\setup.2.1.exe"), []);
        assert_eq!(seen(r"C:\x\pdf.exe"), []);
    }
}
