//! Signals that are sent to processes, and signals that are caught so that a full-screen program can restore the
//! terminal.

#[cfg(not(unix))]
use std::io;

use netstat_model::SystemKind;

#[cfg(windows)]
pub use crate::windows::catch_signals;
#[cfg(unix)]
pub use caught::{catch_signals, stop_self};

/// A signal that was caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caught {
    /// The program must end; the number of the signal.
    End(i32),
    /// The program must stop, for example because of Ctrl+Z.
    Stop,
    /// The program continues after it was stopped.
    Continue,
}

/// A signal that can be sent to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// SIGHUP.
    HangUp,
    /// SIGKILL.
    Kill,
    /// SIGSTOP.
    Stop,
    /// SIGCONT.
    Continue,
}

impl Signal {
    /// All signals, the gentlest way to end a process first.
    pub const ALL: [Signal; 6] = [
        Signal::Terminate,
        Signal::Interrupt,
        Signal::HangUp,
        Signal::Kill,
        Signal::Stop,
        Signal::Continue,
    ];

    /// Returns the signals that can be distinguished on this system, the gentlest way to end a process first. Windows
    /// has no signals: a process is asked to close its windows, terminated, suspended or resumed.
    pub const fn offered() -> &'static [Signal] {
        match crate::NATIVE_KIND {
            SystemKind::Windows => &[Signal::Terminate, Signal::Kill, Signal::Stop, Signal::Continue],
            SystemKind::Linux | SystemKind::Other => &Signal::ALL,
        }
    }

    /// Returns its name (signal(7)); on Windows, that of the corresponding action.
    pub const fn name(self) -> &'static str {
        match crate::NATIVE_KIND {
            SystemKind::Windows => self.name_on_windows(),
            SystemKind::Linux | SystemKind::Other => self.unix_name(),
        }
    }

    const fn name_on_windows(self) -> &'static str {
        match self {
            Signal::Terminate | Signal::Interrupt | Signal::HangUp => "WM_CLOSE",
            Signal::Kill => "end",
            Signal::Stop => "suspend",
            Signal::Continue => "resume",
        }
    }

    const fn unix_name(self) -> &'static str {
        match self {
            Signal::Terminate => "SIGTERM",
            Signal::Interrupt => "SIGINT",
            Signal::HangUp => "SIGHUP",
            Signal::Kill => "SIGKILL",
            Signal::Stop => "SIGSTOP",
            Signal::Continue => "SIGCONT",
        }
    }

    /// Returns the heading of the menu in which a signal for the process `name` is chosen.
    pub fn heading(name: &str, pid: u32) -> String {
        match crate::NATIVE_KIND {
            SystemKind::Windows => format!("End {name} (process {pid})"),
            SystemKind::Linux | SystemKind::Other => format!("Signal {name} (process {pid})"),
        }
    }

    /// Returns the question whether to send it to the process `name`.
    pub fn question(self, name: &str, pid: u32) -> String {
        self.question_on(crate::NATIVE_KIND, name, pid)
    }

    fn question_on(self, system: SystemKind, name: &str, pid: u32) -> String {
        match (system, self) {
            (SystemKind::Windows, Signal::Terminate | Signal::Interrupt | Signal::HangUp) => {
                format!("Ask {name} (process {pid}) to close its windows?")
            }
            (SystemKind::Windows, Signal::Kill) => format!("End {name} (process {pid}) at once?"),
            (SystemKind::Windows, Signal::Stop) => format!("Suspend {name} (process {pid})?"),
            (SystemKind::Windows, Signal::Continue) => format!("Resume {name} (process {pid})?"),
            _ => format!("Send {} to {name} (process {pid})?", self.unix_name()),
        }
    }

    /// Returns the message after it was sent.
    pub fn notice(self, pid: u32) -> String {
        self.notice_on(crate::NATIVE_KIND, pid)
    }

    fn notice_on(self, system: SystemKind, pid: u32) -> String {
        match (system, self) {
            (SystemKind::Windows, Signal::Terminate | Signal::Interrupt | Signal::HangUp) => {
                format!("process {pid} was asked to close its windows")
            }
            (SystemKind::Windows, Signal::Kill) => format!("process {pid} was ended"),
            (SystemKind::Windows, Signal::Stop) => format!("process {pid} was suspended"),
            (SystemKind::Windows, Signal::Continue) => format!("process {pid} was resumed"),
            _ => format!("{} was sent to process {pid}", self.unix_name()),
        }
    }

    /// Returns a description of its effect.
    pub const fn meaning(self) -> &'static str {
        match (crate::NATIVE_KIND, self) {
            (SystemKind::Windows, Signal::Terminate | Signal::Interrupt | Signal::HangUp) => {
                "It asks the windows of the process to close; most save their work first"
            }
            (SystemKind::Windows, Signal::Stop) => "It suspends the process until it is resumed",
            (SystemKind::Windows, Signal::Continue) => "It resumes a suspended process",
            _ => self.unix_meaning(),
        }
    }

    const fn unix_meaning(self) -> &'static str {
        match self {
            Signal::Terminate => "It asks the process to end; most save their work first",
            Signal::Interrupt => "It asks the process to end, as Ctrl+C does",
            Signal::HangUp => "It ends the process, or makes a daemon read its configuration again",
            Signal::Kill => "It ends the process at once; what is not saved is lost",
            Signal::Stop => "It stops the process until SIGCONT lets it go on",
            Signal::Continue => "It lets a stopped process go on",
        }
    }
}

#[cfg(unix)]
mod caught {
    use std::io;

    use nix::sys::signal as nix_signal;
    use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
    use signal_hook::iterator::Signals;

    use super::Caught;

    /// Calls `notify` from a thread of its own for each signal that would end or stop the program; the signal no longer
    /// has that effect by itself.
    ///
    /// # Errors
    /// Returns an error if the signals cannot be caught, or the thread cannot be started.
    pub fn catch_signals(mut notify: impl FnMut(Caught) + Send + 'static) -> io::Result<()> {
        let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGCONT])?;
        let work = move || {
            for signal in signals.forever() {
                notify(match signal {
                    SIGTSTP => Caught::Stop,
                    SIGCONT => Caught::Continue,
                    end => Caught::End(end),
                });
            }
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(work)
            .map(drop)
    }

    /// Stops this program until it is continued, and then returns.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn stop_self() -> io::Result<()> {
        // SIGTSTP is caught, so use SIGSTOP, which the shell treats in the same way.
        Ok(nix_signal::raise(nix_signal::Signal::SIGSTOP)?)
    }
}

/// Does nothing: the system's default way to end a program is kept.
///
/// # Errors
/// Never fails.
#[cfg(not(any(unix, windows)))]
pub fn catch_signals(notify: impl FnMut(Caught) + Send + 'static) -> io::Result<()> {
    drop(notify);
    Ok(())
}

/// Cannot stop the program on this system.
///
/// # Errors
/// Always returns [`io::ErrorKind::Unsupported`].
#[cfg(not(unix))]
pub fn stop_self() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_and_notice_follow_the_system() {
        let question = |system, signal: Signal| signal.question_on(system, "x.exe", 7);
        assert_eq!(
            question(SystemKind::Linux, Signal::Kill),
            "Send SIGKILL to x.exe (process 7)?"
        );
        assert_eq!(
            question(SystemKind::Windows, Signal::Kill),
            "End x.exe (process 7) at once?"
        );
        for signal in Signal::ALL {
            let said = question(SystemKind::Windows, signal) + &signal.notice_on(SystemKind::Windows, 7);
            assert!(!said.contains("SIG") && said.contains("process 7"), "{said}");
        }
        assert_eq!(
            Signal::Terminate.notice_on(SystemKind::Linux, 7),
            "SIGTERM was sent to process 7"
        );
    }
}
