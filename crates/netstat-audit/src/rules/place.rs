//! Detects programs and scripts in places where programs do not belong.

use netstat_model::process::{FileStatus, Signature};
use netstat_packages::packages::Manager;

use super::place_kind::Kind;
use super::windows;
use crate::case::{Case, Elder, Exposure, FileLook};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "odd-place",
    title: "the program runs from a place that anyone may write to, or that is hidden",
    explanation: "What broke in without rights can write to few places: /tmp, /var/tmp, /dev/shm, spool and lock directories. Programs are installed \
        elsewhere. High in /dev and /dev/shm, in a hidden directory outside a home, and elsewhere of these when it is on the network beyond this \
        computer, unless it runs at the terminal of a login or below a build tool that only the superuser can have installed: then, and on this computer only, medium. In a home, a hidden directory within a hidden one and the cache are high for what is \
        connected beyond this computer, unless a tool is known to keep programs there. AppImages, which mount themselves below /tmp, are info where they are mounts of FUSE; a program \
        that a package owns is none of this. Of an interpreter, the script counts. On Windows the places are Temp directories, the recycle bin, Public, Downloads, the startup folder, AppData and ProgramData themselves, streams of files, \
        and directories of the system to which users may write; a valid signature lowers the severity by one step.",
    harmless: "builds and test runs (their parent is a compiler, build tool or test runner), AppImages, installers, something you tried out yourself",
    technique: "T1036.005",
    family: Family::FileStatus,
    check: Check::Process(check),
};

/// Directories (Filesystem Hierarchy Standard 3.0; hier(7)); the most significant come first.
const PLACES: &[(&[u8], Kind)] = &[
    (b"/dev/", Kind::Never),
    (b"/run/shm/", Kind::Never),
    (b"/proc/", Kind::Never),
    (b"/sys/", Kind::Never),
    (b"/tmp/", Kind::Passing),
    (b"/var/tmp/", Kind::Passing),
    (b"/run/user/", Kind::Passing),
    (b"/run/lock/", Kind::Passing),
    (b"/run/", Kind::Passing),
    (b"/var/lock/", Kind::Passing),
    (b"/var/spool/", Kind::Data),
    (b"/var/mail/", Kind::Data),
    (b"/var/www/", Kind::Data),
    (b"/srv/www/", Kind::Data),
    (b"/var/log/", Kind::Data),
    (b"/etc/", Kind::Data),
    (b"/boot/", Kind::Data),
];

/// Programs that build and test others: what they start runs from directories for short-lived files.
const BUILDERS: &[&[u8]] = &[
    b"cargo",
    b"rustc",
    b"go",
    b"make",
    b"gmake",
    b"ninja",
    b"meson",
    b"cmake",
    b"ctest",
    b"pytest",
    b"tox",
    b"gradle",
    b"mvn",
    b"bazel",
    b"npm",
    b"dpkg-buildpackage",
    b"rpmbuild",
    b"makepkg",
    b"sbt",
    b"dotnet",
    b"cargo-nextest",
    b"gdb",
    b"rust-analyzer",
    b"Runner.Worker",
    b"Runner.Listener",
    b"gitlab-runner",
    b"buildkite-agent",
    b"act_runner",
    b"woodpecker-agent",
    b"drone-runner-docker",
    b"tox",
    b"nox",
    b"ansible-playbook",
];

fn check(case: &Case<'_>, notes: &mut Notes) {
    let Some(program) = case.program else { return };
    if case
        .facts
        .program
        .as_ref()
        .known()
        .is_some_and(|told| told.place == FileStatus::Memory)
    {
        return;
    }
    for (what, look) in [
        ("program", Some(program)),
        ("script", case.script.map(|script| &script.look)),
    ] {
        if let Some(look) = look {
            one(case, what, look, notes);
        }
    }
}

fn one(case: &Case<'_>, what: &str, look: &FileLook, notes: &mut Notes) {
    let Some(kind) = kind(&look.path) else { return };
    if look.package().is_some() {
        return;
    }
    let manager = look.origin().map(|origin| origin.manager);
    let built = built(case);
    let severity = match (kind, manager) {
        // Anyone can give a directory such a name, but only the superuser's helper can mount a file system.
        (_, Some(Manager::AppImage)) if is_fuse(case) => Severity::Info,
        // Document roots are meant to contain scripts.
        (Kind::Data, _) if what == "script" => return,
        (_, Some(Manager::GoBuild | Manager::CargoBuild)) if built.is_some() => Severity::Low,
        (Kind::Never | Kind::Hidden, _) if case.exposure > Exposure::Loopback => Severity::High,
        (Kind::Data, _)
            if case.exposure > Exposure::Loopback
                && !look.path.starts_with(b"/var/www/")
                && !look.path.starts_with(b"/srv/www/") =>
        {
            Severity::High
        }
        (Kind::HomeHidden | Kind::HomeCache, Some(_)) => return,
        (Kind::HomeHidden | Kind::HomeCache, None) if case.is_connected_far() => Severity::High,
        (Kind::HomeHidden, _) => Severity::Medium,
        (Kind::HomeCache, _) => Severity::Low,
        (Kind::Never | Kind::Hidden | Kind::Data, _) => Severity::Medium,
        (Kind::Passing, _) if built.is_none() && case.exposure > Exposure::Loopback => Severity::High,
        (Kind::Passing, _) => Severity::Medium,
    };
    let signed = signer(case);
    // Installers unpack themselves to Temp; the signer vouches for them.
    let severity = if signed.is_some() { severity.lower() } else { severity };
    let mut evidence = vec![format!("the {what} is {}", look.shown())];
    evidence.extend(built);
    evidence.extend(signed);
    evidence.extend(case.reach_evidence());
    let place = match kind {
        Kind::Never => "a place where no program belongs",
        Kind::Passing => "a place for short-lived files",
        Kind::HomeHidden => "a hidden directory of a home that no known tool uses",
        Kind::HomeCache => "the cache of a home",
        Kind::Data => "a place for data of services",
        Kind::Hidden => "a hidden place outside any home",
    };
    notes.found(Note {
        severity,
        headline: match what {
            "program" => format!("runs from {place}"),
            _ => format!("runs a script from {place}"),
        },
        evidence,
        verify: match case.facts.windows {
            Some(_) => windows::show_process(case.facts),
            None => format!("ls -ld /proc/{0}/exe; tr '\\0' ' ' </proc/{0}/cmdline", case.facts.pid),
        },
        would_change: "you, or a tool of yours, put it there".to_owned(),
        pid: None,
        program: None,
    });
}

fn kind(path: &[u8]) -> Option<Kind> {
    if netstat_model::text::is_windows_path(path) {
        return windows::places::kind(path);
    }
    let place = PLACES
        .iter()
        .find(|(place, _)| path.starts_with(place))
        .map(|(_, kind)| *kind);
    match place {
        // A hidden directory weighs at least as much as any of the remaining kinds.
        Some(Kind::Never) => return place,
        _ if is_hidden(path) => return Some(Kind::Hidden),
        Some(_) => return place,
        None => {}
    }
    let parts: Vec<&[u8]> = path
        .split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty())
        .collect();
    let below = match parts.as_slice() {
        [b"home" | b"Users", _, below @ ..] | [b"root", below @ ..] => below,
        _ => return None,
    };
    let (_, directories) = below.split_last()?;
    let known = |part: &[u8], list: &[&str]| list.iter().any(|known| part.starts_with(known.as_bytes()));
    if let [b".cache", rest @ ..] = directories {
        let tool = rest.first().is_some_and(|first| known(first, CACHES));
        return (!tool).then_some(Kind::HomeCache);
    }
    let mut hidden = directories
        .iter()
        .filter(|part| part.starts_with(b"."))
        .chain(below.last().filter(|name| name.starts_with(b".")));
    let first = hidden.next()?;
    // Hidden directories inside hidden ones, and very short names, are made to be overlooked.
    let nested = hidden.any(|part| !known(part, HOME_TOOLS));
    let short = first.len() <= 2;
    (nested || short).then_some(Kind::HomeHidden)
}

/// Subdirectories of `~/.cache` from which tools run programs.
const CACHES: &[&str] = &[
    "ms-playwright",
    "puppeteer",
    "bazel",
    "pre-commit",
    "electron",
    "Cypress",
    "cypress",
    "huggingface",
    "rod",
    "selenium",
    "uv",
    "pip",
    "node",
    "yarn",
    "pnpm",
    "prisma",
    "deno",
    "go-build",
    "JetBrains",
    "embedded-postgres",
    "pypoetry",
    "nix",
    "cargo",
    "coursier",
    "trunk",
    "zig",
    "helm",
    "claude",
    "codeium",
    "sccache",
    "ccache",
    "pdm",
    "act",
];

/// Names of hidden directories that tools create inside other hidden directories.
const HOME_TOOLS: &[&str] = &[
    ".venv",
    ".bin",
    ".git",
    ".cargo",
    ".rustup",
    ".nvm",
    ".npm",
    ".pyenv",
    ".local",
    ".cache",
    ".config",
    ".tox",
    ".nox",
    ".yarn",
    ".pnpm",
    ".pnpm-store",
    ".pack",
    ".build",
    ".conda",
    ".next",
    ".store",
    ".linuxbrew",
    ".gradle",
    ".m2",
    ".terraform",
    ".svelte-kit",
    ".vscode",
    ".idea",
    ".dotnet",
    ".nuget",
    ".pixi",
    ".mise",
    ".asdf",
    ".eggs",
];

/// Whether the path is hidden outside a home directory, or has a component that is made to be overlooked: one of only
/// dots, spaces or control characters.
pub(crate) fn is_hidden(path: &[u8]) -> bool {
    let parts: Vec<&[u8]> = path
        .split(|&byte| byte == b'/')
        .filter(|part| !part.is_empty())
        .collect();
    let odd =
        |part: &&[u8]| part.iter().all(|byte| matches!(byte, b'.' | b' ')) || part.iter().any(u8::is_ascii_control);
    if parts.iter().any(odd) {
        return true;
    }
    match parts.as_slice() {
        [b"home" | b"Users" | b"root", ..] => false,
        // Home directories of services (/var/lib/NAME/.cache/...) may contain hidden directories, like any other home.
        [b"var", b"lib", name, ..] => name.starts_with(b"."),
        // Mounted AppImages.
        [b"tmp", first, ..] if first.starts_with(b".mount_") => false,
        // Tools unpack into such directories next to a service's files.
        [b"srv" | b"opt", rest @ ..] | [b"var", b"www", rest @ ..] => rest
            .iter()
            .any(|part| part.starts_with(b".") && !HOME_TOOLS.iter().any(|known| *part == known.as_bytes())),
        all => all.iter().any(|part| part.starts_with(b".")),
    }
}

/// Whether the path is in a place for short-lived files, or hidden.
pub(crate) fn is_odd(path: &[u8]) -> bool {
    matches!(
        kind(path),
        Some(Kind::Never | Kind::Passing | Kind::Hidden | Kind::HomeHidden)
    )
}

impl Case<'_> {
    /// Whether it has a connection beyond this computer, or through a tunnel.
    fn is_connected_far(&self) -> bool {
        self.exposure > Exposure::Loopback
            && self.sockets.iter().any(|socket| {
                let through = self.host.tunnels.contains_key(&socket.foreign().port);
                socket.is_connected() && (Exposure::of(socket) > Exposure::Loopback || through)
            })
    }
}

/// Describes who signed the program, on Windows; `None` without a valid signature.
fn signer(case: &Case<'_>) -> Option<String> {
    let windows = case.facts.windows.as_deref()?;
    match windows.signature.as_ref().known()? {
        Signature::Valid { signer, .. } => Some(format!("it is signed by {}", netstat_model::text::escape(signer))),
        _ => None,
    }
}

/// Describes how a person at a terminal or a build started the program; `None` if neither did.
fn built(case: &Case<'_>) -> Option<String> {
    // A process can choose its short name, but not where the file of its program lies.
    let is_builder = |elder: &&Elder| elder.rooted && BUILDERS.contains(&elder.name.as_slice());
    if let Some(elder) = case.elders.iter().find(is_builder) {
        return Some(format!(
            "started below {} (PID {}), which builds or tests programs",
            netstat_model::text::escape(&elder.name),
            elder.pid
        ));
    }
    if let Some(unit) = case
        .system_service()
        .filter(|unit| RUNNERS.iter().any(|known| unit.starts_with(known)))
    {
        return Some(format!(
            "it belongs to {}, a service that runs jobs of builds",
            netstat_model::text::escape(unit)
        ));
    }
    case.facts
        .terminal
        .filter(|_| case.has_session())
        .map(|terminal| format!("its terminal is {terminal}"))
}

/// Whether the program is on a FUSE file system (`FUSE_SUPER_MAGIC`, linux/magic.h).
fn is_fuse(case: &Case<'_>) -> bool {
    const FUSE: u64 = 0x6573_5546;
    let program = case.facts.program.as_ref().known();
    program.is_some_and(|program| program.file_system.known() == Some(FUSE))
}

/// Prefixes of the names of services that run build jobs. Only the superuser can create a system service.
const RUNNERS: &[&[u8]] = &[
    b"actions.runner.",
    b"gitlab-runner",
    b"jenkins",
    b"buildkite-agent",
    b"act_runner",
    b"forgejo-runner",
    b"woodpecker-agent",
    b"teamcity",
    b"buildbot",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Made;

    #[test]
    fn odd_place_severity_follows_directory_and_exposure() {
        let seen = |path: &str, foreign: &str| Made::program(path).unowned().connected(foreign).check(&RULE);
        assert_eq!(seen("/dev/shm/x", "203.0.113.7:443"), [Severity::High]);
        assert_eq!(seen("/dev/shm/x", "127.0.0.1:443"), [Severity::Medium]);
        assert_eq!(seen("/tmp/x", "203.0.113.7:443"), [Severity::High]);
        assert_eq!(seen("/tmp/x", "127.0.0.1:443"), [Severity::Medium]);
        assert_eq!(seen("/usr/lib/.x/y", "203.0.113.7:443"), [Severity::High]);
        assert_eq!(seen("/home/u/.../y", "203.0.113.7:443"), [Severity::High]);
        // Names that anyone can choose do not lower the severity.
        assert_eq!(seen("/tmp/.mount_app/AppRun", "203.0.113.7:443"), [Severity::High]);
        assert_eq!(seen("/tmp/go-build7/b001/exe/x", "203.0.113.7:443"), [Severity::High]);
        let job = |rooted| {
            let made = Made::program("/tmp/build/x").unowned().connected("203.0.113.7:443");
            made.parent("Runner.Worker").below("Runner.Worker", rooted).check(&RULE)
        };
        assert_eq!((job(true), job(false)), (vec![Severity::Medium], vec![Severity::High]));
        let made = || Made::program("/tmp/x").unowned().connected("203.0.113.7:443");
        assert_eq!(made().unit("gitlab-runner.service").check(&RULE), [Severity::Medium]);
        assert_eq!(made().unit("nginx.service").check(&RULE), [Severity::High]);
        for path in [
            "/home/u/.cargo/bin/x",
            "/usr/sbin/sshd",
            "/opt/x/y",
            "/var/lib/gitlab/.x/y",
            "/root/.local/bin/x",
        ] {
            assert_eq!(seen(path, "203.0.113.7:443"), [], "{path}");
        }
        let terminal = Made::program("/tmp/x")
            .unowned()
            .connected("203.0.113.7:443")
            .terminal();
        assert_eq!(terminal.check(&RULE), [Severity::Medium]);
        assert_eq!(
            Made::program("/tmp/x")
                .packaged("x")
                .connected("203.0.113.7:443")
                .check(&RULE),
            []
        );
    }

    #[test]
    fn odd_place_of_interpreter_is_that_of_its_script() {
        let made = || {
            Made::program("/usr/bin/python3.11")
                .packaged("python3.11-minimal")
                .connected("203.0.113.7:443")
        };
        assert_eq!(made().script("/dev/shm/x.py").check(&RULE), [Severity::High]);
        assert_eq!(made().script("/srv/app/x.py").check(&RULE), []);
        assert_eq!(made().script("/var/www/x.py").check(&RULE), []);
    }
}
