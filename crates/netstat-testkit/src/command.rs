//! Runs the program under test, with and without privileges.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::namespace::{self, finish};

/// The time limit of a run; nothing here takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The id of a user who owns nothing.
pub const NOBODY: u32 = 65534;

/// The program under test, and how to start it.
#[derive(Clone, Debug)]
pub struct Netstat {
    /// The arguments that precede the program: another program that starts it.
    before: Vec<OsString>,
    program: PathBuf,
    /// Keeps the directory of `program` if that is a copy.
    _copy: Option<Arc<TempDir>>,
}

/// How a program ended, and its output.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Returns the standard output of a program that succeeded.
    ///
    /// # Panics
    /// Panics if it did not.
    #[track_caller]
    pub fn success(&self) -> &str {
        assert!(self.status.success(), "{self:#?}");
        &self.stdout
    }

    /// Returns the single line on stderr of a program that refused its arguments.
    ///
    /// # Panics
    /// Panics unless the status is 2, stdout is empty, and there is exactly one line on stderr.
    #[track_caller]
    pub fn refusal(&self) -> &str {
        assert_eq!(self.status.code(), Some(2), "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:#?}");
        self.stderr.trim_end_matches('\n')
    }
}

impl Netstat {
    /// Creates a runner for the program at `path`, usually `env!("CARGO_BIN_EXE_netstat")`.
    pub fn new(path: impl Into<PathBuf>) -> Netstat {
        Netstat {
            before: Vec::new(),
            program: path.into(),
            _copy: None,
        }
    }

    /// Returns the same program started by another one: `words` precede its path.
    pub fn behind<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Netstat {
        let mut before: Vec<OsString> = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
        before.extend(self.before.iter().cloned());
        Netstat { before, ..self.clone() }
    }

    /// Returns the same program run by somebody who may not inspect the processes of this test; see [`unprivileged`].
    pub fn unprivileged(&self) -> Netstat {
        let name = self.program.file_name().expect("a program is a file");
        let (directory, program) = public_copy(&self.program, name);
        Netstat {
            before: unprivileged(),
            program,
            _copy: Some(Arc::new(directory)),
        }
    }

    /// Returns a copy of the program that has these file capabilities (in `setcap`'s format) and runs as user 65534.
    /// `None` if that is impossible, which is reported as a skip.
    pub fn with_capabilities(&self, capabilities: &str) -> Option<Netstat> {
        let reason = if !namespace::real_root() {
            "file capabilities need the real root".to_owned()
        } else {
            if !namespace::have("setcap") {
                return None;
            }
            let (directory, program) = public_place(OsStr::new("netstat"));
            // Not a link, which would give the capabilities to the original.
            std::fs::copy(&self.program, &program).expect("a program can be copied");
            let output = namespace::tool("setcap").arg(capabilities).arg(&program).output();
            match output {
                Ok(output) if output.status.success() => {
                    let words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"];
                    let before = words.map(OsString::from).to_vec();
                    return Some(Netstat {
                        before,
                        program,
                        _copy: Some(Arc::new(directory)),
                    });
                }
                Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
                Err(error) => error.to_string(),
            }
        };
        crate::skip(&namespace::current_test(), &reason);
        None
    }

    /// Returns the path of the program.
    pub fn path(&self) -> &Path {
        &self.program
    }

    /// Returns a command with these arguments, in the C locale and without colours.
    pub fn command<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut all = self
            .before
            .iter()
            .map(OsString::as_os_str)
            .chain([self.program.as_os_str()]);
        let mut command = namespace::tool(&all.next().unwrap_or_default().to_string_lossy());
        command.args(all).args(words).env("NO_COLOR", "1");
        command
    }

    /// Runs the program with these arguments until it ends.
    ///
    /// # Panics
    /// Panics if the program cannot be started, does not end within 30 seconds, or prints invalid UTF-8.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Outcome {
        outcome(&mut self.command(words))
    }
}

/// Runs a command until it ends, by the rules of [`Netstat::run`].
#[track_caller]
pub fn outcome(command: &mut Command) -> Outcome {
    let (output, in_time) = finish(command, namespace::patience(PATIENCE)).expect("the program can be started");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8 on stdout");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8 on stderr");
    assert!(in_time, "{command:?} hangs\n{stdout}\n{stderr}");
    Outcome {
        status: output.status,
        stdout,
        stderr,
    }
}

/// Returns the arguments that start a program without any capabilities: as user and group 65534 if this is the real
/// root, or as the only user of the namespace if this is a user namespace. Neither may read `/proc/PID/fd` of a process
/// that has kept its capabilities.
pub fn unprivileged() -> Vec<OsString> {
    let mut words = vec!["setpriv", "--inh-caps=-all", "--bounding-set=-all"];
    if namespace::real_root() {
        words.extend(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    words.push("--");
    words.into_iter().map(OsString::from).collect()
}

/// Returns the user id of programs started through [`unprivileged`], as seen in this user namespace.
pub fn unprivileged_user() -> u32 {
    if namespace::real_root() {
        NOBODY
    } else {
        rustix::process::geteuid().as_raw()
    }
}

/// Copies a program to another name in a directory that everybody may enter.
pub(crate) fn public_copy(program: &Path, name: &OsStr) -> (TempDir, PathBuf) {
    let (directory, copy) = public_place(name);
    // A link cannot be "busy", unlike a newly written file while another thread starts a program.
    if std::fs::hard_link(program, &copy).is_err() {
        std::fs::copy(program, &copy).expect("a program can be copied");
    }
    (directory, copy)
}

/// Returns a path with this file name in a new directory that everybody may enter.
fn public_place(name: &OsStr) -> (TempDir, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let all_enter = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(directory.path(), all_enter).expect("an own directory's permissions");
    let path = directory.path().join(name);
    (directory, path)
}
