//! Detects code in the memory of a program that does not come from its own files.

use netstat_model::Fact;
use netstat_model::process::Mapped;
use netstat_model::text::escape;

use crate::case::{Case, Exposure, FileLook, base};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::known;
use crate::script::runs;

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "injected",
    title: "code in the program's memory comes from a removed file, from a place anyone may write to, or from nowhere",
    explanation: "What was injected into a program shows in its map of memory. High: code from /dev or /dev/shm, and code from /tmp or another passing place in \
        a packaged program that is no interpreter or runtime; medium in the others. Code from a library that no package owns in a system directory, in a \
        packaged program, is high where libraries for all programs lie, medium where plugins do. Code from a removed library is medium, unless a package has installed another meanwhile (see outdated-libraries). Code \
        from a file in memory is medium, and so is executable memory without a file in a program that makes no code: high when it is on the network beyond this computer. Runtimes that make code while they run (browsers, node, java, \
        ...) and programs that map a library which makes code are not blamed for such memory where a package owns them or only the superuser can have installed them (else low); neither are packed modules that java and Python unpack (low).",
    harmless: "runtimes that translate while they run; modules unpacked to /tmp by java and Python; libraries replaced by an upgrade; drivers of graphics \
        cards that were not installed as a package",
    technique: "T1055",
    family: Family::Memory,
    check: Check::Process(check),
};

/// Names of memory files that legitimately contain code: .NET's double mapping, libffi, JavaScript engines, graphics
/// drivers.
const KNOWN_MEMORY: &[&[u8]] = &[
    b"doublemapper",
    b"libffi",
    b"JITCode",
    b"jit",
    b"mozilla",
    b"v8",
    b"gallium",
    b"swr",
    b"llvm",
    b"pipewire",
];

/// Drivers that their vendors install without a package.
const DRIVERS: &[&[u8]] = &[
    b"libnvidia",
    b"libcuda",
    b"libGLX_nvidia",
    b"libEGL_nvidia",
    b"libnvcuvid",
    b"libvulkan",
    b"libamd",
];

fn check(case: &Case<'_>, notes: &mut Notes) {
    let Fact::Known(mappings) = &case.facts.executable else {
        return;
    };
    let name = case.name();
    let runtime = known::makes_code(name);
    let hosts_modules = runtime || known::is_interpreter(name) || runs(name, &[]).is_some();
    let mut worst: Option<(Severity, &'static str)> = None;
    let mut evidence = Vec::new();
    let mut seen: Vec<&[u8]> = Vec::new();
    let mut note = |severity: Severity, headline: &'static str, line: String| {
        if worst.is_none_or(|(known, _)| severity > known) {
            worst = Some((severity, headline));
        }
        evidence.push((severity, line));
    };
    let own = case.program.map(|program| program.path.as_slice());
    let (mut bare, mut read_only) = (0, 0);
    for mapping in mappings {
        match &mapping.what {
            Mapped::File { path, .. } if Some(path.as_slice()) == own || seen.contains(&path.as_slice()) => {}
            Mapped::File { path, deleted } => {
                seen.push(path);
                if let Some((severity, headline, why)) = file(case, path, *deleted, hosts_modules) {
                    note(
                        severity,
                        headline,
                        format!("{} at {:x}: {why}", escape(path), mapping.start),
                    );
                }
            }
            Mapped::Memory(label) if seen.contains(&label.as_slice()) => {}
            Mapped::Memory(label) => {
                seen.push(label);
                if !runtime
                    && !KNOWN_MEMORY
                        .iter()
                        .any(|known| label.windows(known.len()).any(|part| part == *known))
                {
                    let severity = if hosts_modules { Severity::Low } else { Severity::Medium };
                    note(
                        severity,
                        "has code from a file in memory",
                        format!(
                            "memfd:{} at {:x}, {} bytes",
                            escape(label),
                            mapping.start,
                            mapping.size()
                        ),
                    );
                }
            }
            Mapped::Anonymous if mapping.writable => bare += mapping.size(),
            Mapped::Anonymous => read_only += mapping.size(),
            Mapped::Named(_) => {}
        }
    }
    if bare + read_only > 0
        && let Some((severity, line)) = without_file(case, (bare, read_only), hosts_modules)
    {
        note(severity, "has code in memory without a file", line);
    }
    let Some((severity, headline)) = worst else { return };
    let mut evidence = worst_lines(evidence);
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity,
        headline: headline.to_owned(),
        evidence,
        verify: format!(
            "grep -E ' r-xp | rwxp ' /proc/{0}/maps; ls -l /proc/{0}/map_files",
            case.facts.pid
        ),
        would_change: "the file is a module that this program loads on purpose".to_owned(),
        pid: None,
        program: None,
    });
}

/// Returns the most severe lines of evidence, followed by the number of those left out.
fn worst_lines(mut evidence: Vec<(Severity, String)>) -> Vec<String> {
    const MOST: usize = 5;
    evidence.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    let more = evidence.len().saturating_sub(MOST);
    let mut lines: Vec<String> = evidence.into_iter().take(MOST).map(|(_, line)| line).collect();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

/// Returns how suspicious executable memory without a file is, with a line of evidence; `None` in a trusted program
/// that is expected to have it. `bare` bytes are also writable, `read_only` bytes are not.
fn without_file(case: &Case<'_>, (bare, read_only): (u64, u64), hosts_modules: bool) -> Option<(Severity, String)> {
    let makes_code = case
        .libraries
        .iter()
        .any(|library| known::is_code_maker(library.name()));
    let expected = hosts_modules || makes_code;
    // A name alone proves nothing.
    if expected && case.program.is_some_and(FileLook::is_trusted) {
        return None;
    }
    let far = case.exposure > Exposure::Loopback;
    let severity = match (case.is_unowned(), far, bare > 0) {
        _ if expected => Severity::Low,
        (true, true, _) | (false, true, true) => Severity::High,
        (true, false, _) | (false, false, true) => Severity::Medium,
        (false, _, false) => Severity::Low,
    };
    let line = format!(
        "{bare} bytes are writable and executable, {read_only} bytes executable, without a file, in a program that makes no code"
    );
    Some((severity, line))
}

/// Whether the mapping is not a library: shared memory, which is named `/dev/zero` or `/SYSV...`, or the device of a
/// driver.
fn is_no_library(path: &[u8]) -> bool {
    path == b"/dev/zero"
        || path.starts_with(b"/dev/dri/")
        || path.starts_with(b"/dev/nvidia")
        || path.starts_with(b"/SYSV")
}

fn file(case: &Case<'_>, path: &[u8], deleted: bool, hosts_modules: bool) -> Option<(Severity, &'static str, String)> {
    let look = case.libraries.iter().find(|library| library.path == path);
    let never = [&b"/dev/"[..], b"/run/shm/"]
        .iter()
        .any(|place| path.starts_with(place));
    let passing = [&b"/tmp/"[..], b"/var/tmp/", b"/run/user/", b"/run/lock/"]
        .iter()
        .any(|place| path.starts_with(place));
    if is_no_library(path) {
        return None;
    }
    if never {
        return Some((
            Severity::High,
            "has code from a place where no program belongs",
            "no library belongs there".to_owned(),
        ));
    }
    // Another rule covers programs that lie in such a place themselves, with their libraries next to them.
    let beside = case
        .program
        .is_some_and(|program| directory(&program.path) == directory(path) || program.path.starts_with(b"/tmp/"));
    if passing && !beside {
        let packed = path.starts_with(b"/tmp/_MEI") && case.is_unowned();
        let severity = match (hosts_modules, deleted) {
            _ if packed => Severity::Low,
            (true, true) => Severity::Low,
            (false, _) if case.is_packaged() => Severity::High,
            _ => Severity::Medium,
        };
        return Some((
            severity,
            "has code from a place for short-lived files",
            format!(
                "a place for short-lived files{}",
                if deleted { ", and it was removed since" } else { "" }
            ),
        ));
    }
    if look.is_some_and(|look| look.file.known().is_some_and(|file| file.writable_by_all())) {
        return Some((
            Severity::Medium,
            "has code from a file that anyone may write to",
            "its mode lets anyone write to it".to_owned(),
        ));
    }
    if deleted {
        return removed(case, look, hosts_modules);
    }
    let system = [&b"/usr/lib"[..], b"/lib", b"/usr/share/"]
        .iter()
        .any(|place| path.starts_with(place));
    let driver = DRIVERS.iter().any(|driver| base(path).starts_with(driver));
    if system
        && !hosts_modules
        && !driver
        && case.is_packaged()
        && look.is_some_and(|look| look.is_unowned() && look.origin().is_none())
        // Skip the caches that programs create there, such as gconv-modules.cache and locale archives.
        && base(path).windows(3).any(|part| part == b".so")
    {
        // Libraries for all programs lie directly in these directories; plugins lie in subdirectories.
        let shared = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).count() <= 4
            && (path.starts_with(b"/usr/lib") || path.starts_with(b"/lib"));
        return Some((
            if shared { Severity::High } else { Severity::Medium },
            "has a library that no package owns",
            "it lies in a system directory, and no package lists it".to_owned(),
        ));
    }
    None
}

/// Returns how suspicious code from a removed file is, with a headline and a reason.
fn removed(case: &Case<'_>, look: Option<&FileLook>, hosts_modules: bool) -> Option<(Severity, &'static str, String)> {
    // Upgraded files are covered by another rule.
    if look.is_some_and(|look| case.was_upgraded(look)) {
        return None;
    }
    Some(match (hosts_modules, look.and_then(|look| look.origin())) {
        (true, _) | (_, Some(_)) => (Severity::Low, "has code from a removed file", "removed".to_owned()),
        _ => (
            Severity::Medium,
            "has code from a removed file",
            match look.and_then(|look| look.package()) {
                Some(_) => "removed, and its package was not upgraded since".to_owned(),
                None => "removed, and no package is known to have owned it".to_owned(),
            },
        ),
    })
}

fn directory(path: &[u8]) -> &[u8] {
    &path[..path.len() - base(path).len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Made};

    fn with(program: &str, path: &str, deleted: bool) -> Vec<Severity> {
        Made::program(program)
            .packaged("x")
            .mapped(testing::unowned(path), deleted)
            .connected("203.0.113.7:1")
            .check(&RULE)
    }

    #[test]
    fn injected_library_severity_follows_its_directory_and_program() {
        assert_eq!(with("/usr/sbin/sshd", "/dev/shm/x.so", false), [Severity::High]);
        assert_eq!(with("/usr/sbin/sshd", "/tmp/x.so", false), [Severity::High]);
        assert_eq!(with("/usr/bin/python3.11", "/tmp/x.so", false), [Severity::Medium]);
        assert_eq!(with("/usr/bin/java", "/tmp/x.so", true), [Severity::Low]);
        assert_eq!(
            with("/usr/sbin/sshd", "/usr/lib/security/pam_x.so", false),
            [Severity::High]
        );
        assert_eq!(
            with("/usr/sbin/nginx", "/usr/lib/nginx/modules/own/x.so", false),
            [Severity::Medium]
        );
        assert_eq!(with("/usr/sbin/sshd", "/opt/x/y.so", false), []);
        assert_eq!(with("/usr/sbin/sshd", "/opt/x/y.so", true), [Severity::Low]);
        assert_eq!(with("/usr/sbin/sshd", "/srv/x/y.so", true), [Severity::Medium]);
        assert_eq!(with("/usr/bin/Xorg", "/usr/lib/libnvidia-glcore.so.550", false), []);
        let upgraded = Made::program("/usr/sbin/sshd")
            .packaged("x")
            .mapped(testing::upgraded("/usr/lib/libssl.so.3", "libssl3"), true)
            .check(&RULE);
        // Files that an upgrade replaced are covered by another rule.
        assert_eq!(upgraded, []);
    }

    #[test]
    fn code_memory_without_file_severity_follows_program() {
        let bare = |made: Made| made.bare_memory().connected("203.0.113.7:1").check(&RULE);
        assert_eq!(bare(Made::program("/srv/x/agent").unowned()), [Severity::High]);
        assert_eq!(bare(Made::program("/usr/sbin/cron").packaged("cron")), [Severity::High]);
        let makes_code = testing::upgraded("/usr/lib/libpcre2-8.so.0", "libpcre2-8-0");
        let nginx = Made::program("/usr/sbin/nginx")
            .packaged("nginx")
            .mapped(makes_code, false);
        assert_eq!(bare(nginx), []);
        let node = || Made::program("/opt/node/bin/node").unowned();
        assert_eq!(bare(node().rooted()), []);
        assert_eq!(bare(node()), [Severity::Low]);
        let memory = |made: Made, label: &str| made.memory_code(label).check(&RULE);
        assert_eq!(
            memory(Made::program("/usr/sbin/sshd").packaged("x"), "x"),
            [Severity::Medium]
        );
        assert_eq!(
            memory(Made::program("/usr/bin/dotnet").packaged("x"), "doublemapper"),
            []
        );
    }
}
