//! Judges interpreters by the code that they run.

use netstat_model::Fact;
use netstat_model::process::{Descriptor, FileStatus};
use netstat_model::text::escape;

use crate::case::{Case, Exposure, base};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};
use crate::known;
use crate::script::Runs;

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "interpreter-code",
    title: "an interpreter or shell on the network runs code that is in no installed file",
    explanation: "That a package owns python or bash says nothing about what they run. High when the code came from standard input or from the command line (-c, -e) and \
        the process has a connection to a public address, or listens for every network, without a terminal; medium with a terminal, and in private networks. High when its \
        script has been removed, medium in private networks. Loaders such as ld.so that are given a program are judged alike. Workers that multiprocessing starts \
        below the same interpreter are left out.",
    harmless: "a one-liner of your own; configuration management that pipes its modules to an interpreter",
    technique: "T1059",
    family: Family::Input,
    check: Check::Process(check),
};

fn check(case: &Case<'_>, notes: &mut Notes) {
    if case.exposure <= Exposure::Loopback || (known::is_shell(case.name()) && case.holds_only_inherited()) {
        return;
    }
    let name = case.name();
    let far = case.exposure >= Exposure::World;
    let terminal = case.has_session();
    let weigh = match (far, terminal) {
        (true, false) => Severity::High,
        _ => Severity::Medium,
    };
    let (headline, severity, source) = if is_loader(name) {
        let Some(program) = loaded(case) else { return };
        (
            format!("runs the program {} by way of the loader", escape(program)),
            weigh.max(Severity::Medium),
            format!(
                "the program {} was started by the loader {}, so it is not listed by its own name",
                escape(program),
                escape(name)
            ),
        )
    } else {
        match case.runs() {
            Some(Runs::Text(text)) if is_worker(case, text) => return,
            Some(Runs::Text(text)) => (
                "is on the network and runs code from its command line".to_owned(),
                weigh,
                format!("code: {}", shortened(text)),
            ),
            Some(Runs::Input) => {
                let what = match standard_input(case) {
                    Input::Terminal => return,
                    Input::Other(what) => what,
                };
                (
                    "is on the network and runs code from standard input".to_owned(),
                    weigh,
                    what,
                )
            }
            Some(Runs::File(path)) if case.script_is_gone() => (
                format!("runs a script that has been removed: {}", escape(path)),
                weigh,
                format!("script: {}, which is not there any more", escape(path)),
            ),
            _ => return,
        }
    };
    let mut evidence = vec![source, format!("command line: {}", case.command_line())];
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity,
        headline,
        evidence,
        verify: format!("tr '\\0' ' ' </proc/{0}/cmdline; ls -l /proc/{0}/fd/0", case.facts.pid),
        would_change: "you know who gave it this code".to_owned(),
        pid: None,
        program: None,
    });
}

/// Whether a program of this file name is the dynamic linker (ld.so(8)).
fn is_loader(name: &[u8]) -> bool {
    name.starts_with(b"ld-linux")
        || name.starts_with(b"ld-musl")
        || name == b"ld.so"
        || (name.starts_with(b"ld-2.") && name.ends_with(b".so"))
}

/// Returns the program that the dynamic linker was told to run.
fn loaded<'a>(case: &Case<'a>) -> Option<&'a [u8]> {
    let mut words = case.facts.arguments.as_ref().known()?.iter().skip(1).map(Vec::as_slice);
    while let Some(word) = words.next() {
        match word {
            b"--library-path"
            | b"--preload"
            | b"--audit"
            | b"--argv0"
            | b"--inhibit-rpath"
            | b"--glibc-hwcaps-prepend" => {
                words.next();
            }
            [b'-', ..] => {}
            program => return Some(program),
        }
    }
    None
}

/// Whether the process is a worker of Python's multiprocessing whose parent runs the same interpreter.
fn is_worker(case: &Case<'_>, text: &[u8]) -> bool {
    let parent = case.facts.ancestors.as_ref().known().and_then(|chain| chain.first());
    let same = parent.is_some_and(|parent| {
        parent
            .path
            .as_ref()
            .known()
            .is_some_and(|path| case.program.is_some_and(|program| program.path == **path))
    });
    same && text.starts_with(b"from multiprocessing.")
}

enum Input {
    Terminal,
    Other(String),
}

fn standard_input(case: &Case<'_>) -> Input {
    let Fact::Known(open) = &case.facts.descriptors else {
        return Input::Other("standard input is not known".to_owned());
    };
    match &open.standard[0] {
        Fact::Known(Some(Descriptor::Path { path, .. }))
            if path.starts_with(b"/dev/pts/") || path.starts_with(b"/dev/tty") =>
        {
            Input::Terminal
        }
        Fact::Known(Some(Descriptor::Path { path, .. })) => Input::Other(format!("standard input is {}", escape(path))),
        Fact::Known(Some(Descriptor::Pipe(_))) => Input::Other("standard input is a pipe".to_owned()),
        Fact::Known(Some(Descriptor::Socket(_))) => Input::Other("standard input is a socket".to_owned()),
        _ => Input::Other("standard input is closed or unknown".to_owned()),
    }
}

fn shortened(text: &[u8]) -> String {
    const MOST: usize = 120;
    let cut = text.len().min(MOST);
    let more = if cut < text.len() { "..." } else { "" };
    format!("{}{more}", escape(&text[..cut]))
}

impl Case<'_> {
    /// Whether the script named on the command line no longer exists.
    fn script_is_gone(&self) -> bool {
        let Some(Runs::File(path)) = self.runs() else {
            return false;
        };
        let there = self
            .facts
            .program
            .as_ref()
            .known()
            .is_some_and(|program| program.place == FileStatus::There);
        // The titles that programs give themselves are not paths.
        there
            && path.starts_with(b"/")
            && !path.starts_with(b"/dev/")
            && !path.starts_with(b"/proc/")
            && self.script.is_none()
            && base(path).contains(&b'.')
    }

    /// Whether its parent holds all of its sockets as well, which suggests that they were merely inherited.
    pub(super) fn holds_only_inherited(&self) -> bool {
        !self.sockets.is_empty()
            && self.sockets.iter().all(|socket| {
                socket.inode().is_some_and(|inode| {
                    self.host
                        .shared
                        .get(&inode.get())
                        .is_some_and(|pids| pids.contains(&self.facts.parent))
                })
            })
    }
}
