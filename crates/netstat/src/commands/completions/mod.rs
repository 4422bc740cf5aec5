//! `netstat completions SHELL`: prints a short script that connects the program to the completion of a shell.
//!
//! The script itself contains no words. At each completion it runs the program (`--answer`), which uses the same
//! definitions as the command line. The script therefore never becomes outdated, and lists with commas, switches in any
//! case and classic clusters are completed in the same way in every shell.

mod answer;
mod live;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, ValueEnum};

use netstat_os::System;

use crate::args::with_commands;
use crate::context::{Command, Context, Failure, Outcome};
use answer::Answer;

/// A shell whose completion is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    #[value(name = "powershell", alias = "pwsh")]
    Power,
    Elvish,
}

/// Print a script that completes this program's words in a shell
#[derive(Debug, Parser)]
#[command(name = "completions", after_long_help = EXAMPLES)]
struct CompletionsArgs {
    /// the shell the script is for
    #[arg(value_name = "SHELL", value_enum, ignore_case = true)]
    shell: Shell,
    /// the name the program is called by, where it is not the one it was called by now
    #[arg(long = "as", value_name = "NAME", value_parser = command_name)]
    called: Option<String>,
    /// what may be at this place of WORDS, the program's name being place 0; the scripts ask this
    #[arg(long, value_name = "PLACE", hide = true)]
    answer: Option<usize>,
    /// a command line
    #[arg(value_name = "WORDS", last = true, hide = true, requires = "answer")]
    words: Vec<OsString>,
}

const EXAMPLES: &str = "\
Examples:
  source <(netstat completions bash)
      bash, this session only; for every session, into a file:
  netstat completions bash > ~/.local/share/bash-completion/completions/netstat
  netstat completions zsh > ~/.zfunc/_netstat
      with fpath=(~/.zfunc $fpath) before compinit in ~/.zshrc
  netstat completions fish > ~/.config/fish/completions/netstat.fish
  netstat completions powershell >> $PROFILE
  netstat completions elvish >> ~/.config/elvish/rc.elv

The words are not in the script: it asks the program at each press of the key.
";

/// Returns the definition of `netstat completions`.
pub(crate) fn definition() -> clap::Command {
    CompletionsArgs::command()
}

/// Prints the script, or answers a request of the script from the definitions of all `commands`.
///
/// # Errors
/// Returns [`Failure::Output`].
pub(crate) fn run(matches: &ArgMatches, context: &mut Context<'_>, commands: &[Command]) -> Result<Outcome, Failure> {
    let words = CompletionsArgs::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))?;
    let text = match words.answer {
        Some(place) => answers(words.shell, place, words.words, commands, context.system),
        None => script(words.shell, &words.called.unwrap_or_else(own_name)),
    };
    context.out.write_all(text.as_bytes())?;
    context.out.flush()?;
    Ok(Outcome::Printed)
}

/// Returns the name by which this program was called, without its directory; `netstat` if that is not a plain command
/// name.
pub(crate) fn own_name() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&called)
        .file_name()
        .and_then(OsStr::to_str)
        .unwrap_or_default();
    command_name(name).unwrap_or_else(|_| "netstat".to_owned())
}

/// Parses the value of `--as`: a name that needs no quotes in any shell.
pub(crate) fn command_name(name: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(plain) {
        return Err("is not the name of a command: letters, digits and - _ . + only, such as netstat-rs".to_owned());
    }
    Ok(name.to_owned())
}

/// Returns the script for `shell` and the command `name`.
fn script(shell: Shell, name: &str) -> String {
    let text = match shell {
        Shell::Bash => include_str!("scripts/bash"),
        Shell::Zsh => include_str!("scripts/zsh"),
        Shell::Fish => include_str!("scripts/fish"),
        Shell::Power => include_str!("scripts/powershell"),
        Shell::Elvish => include_str!("scripts/elvish"),
    };
    let function: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    text.replace("{name}", name).replace("{function}", &function)
}

/// Formats the completions for the script of `shell`, one per line. `:files` alone tells the shell to complete file
/// names.
fn answers(shell: Shell, place: usize, words: Vec<OsString>, commands: &[Command], system: &mut dyn System) -> String {
    let words = words
        .into_iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let mut out = String::new();
    for answer in answer::answers(with_commands(commands), words, place, shell == Shell::Bash, system) {
        match answer {
            Answer::Files => return ":files\n".to_owned(),
            // Offered as typed, such a word would reach the terminal, and a newline in it would make two answers.
            Answer::Word { value, .. } if value.contains(char::is_control) => {}
            Answer::Word { value, help } => {
                match shell {
                    Shell::Bash => out.push_str(&value),
                    // In zsh, an unescaped colon separates a word from its description.
                    Shell::Zsh => out.push_str(&format!("{}:{help}", value.replace('\\', "\\\\").replace(':', "\\:"))),
                    Shell::Fish | Shell::Power | Shell::Elvish => out.push_str(&format!("{value}\t{help}")),
                }
                out.push('\n');
            }
        }
    }
    out
}

/// Answers one of the shells, for the fuzz targets.
#[cfg(fuzzing)]
pub(crate) fn fuzz(shell: u8, words: Vec<OsString>, place: usize, commands: &[Command]) -> String {
    let mut system = netstat_os::Replay::default();
    let shell = match shell % 3 {
        0 => Shell::Bash,
        1 => Shell::Zsh,
        _ => Shell::Fish,
    };
    answers(shell, place, words, commands, &mut system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_names_its_command_and_nothing_else() {
        for shell in Shell::value_variants() {
            let text = script(*shell, "netstat-rs");
            assert!(
                text.contains("netstat-rs completions") || text.contains("'netstat-rs' completions"),
                "{text}"
            );
            assert!(!text.contains("{name}") && !text.contains("{function}"), "{text}");
        }
        assert!(script(Shell::Bash, "netstat-rs").contains("_netstat_rs()"));
    }

    #[test]
    fn a_command_name_needs_no_quotes() {
        for name in ["netstat", "netstat-rs", "netstat.new", "n2"] {
            assert_eq!(command_name(name).unwrap(), name);
        }
        for name in ["", "-x", "a b", "a;b", "a'b", "a/b", "a\nb", "ä", "$x", "*"] {
            assert!(command_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn answers_word_with_a_control_character_offers_nothing() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let words = vec!["netstat".into(), "-t\u{8}".into()];
            let mut system = netstat_os::Replay::default();
            let offered = answers(shell, 1, words, crate::registry::COMMANDS, &mut system);
            assert_eq!(offered, "");
        }
    }

    #[test]
    fn each_shell_gets_its_form() {
        let words = || vec!["netstat".into(), "completions".into(), "fi".into()];
        assert_eq!(
            answers(
                Shell::Bash,
                2,
                words(),
                crate::registry::COMMANDS,
                &mut netstat_os::Replay::default()
            ),
            "fish\n"
        );
        assert_eq!(
            answers(
                Shell::Zsh,
                2,
                words(),
                crate::registry::COMMANDS,
                &mut netstat_os::Replay::default()
            ),
            "fish:\n"
        );
        assert_eq!(
            answers(
                Shell::Fish,
                2,
                words(),
                crate::registry::COMMANDS,
                &mut netstat_os::Replay::default()
            ),
            "fish\t\n"
        );
        let words = || vec!["netstat".into(), "--nume".into()];
        assert_eq!(
            answers(
                Shell::Elvish,
                1,
                words(),
                crate::registry::COMMANDS,
                &mut netstat_os::Replay::default()
            ),
            "--numeric\tnumbers only, no lookups; wins over -f\n"
        );
        assert_eq!(
            answers(
                Shell::Zsh,
                1,
                words(),
                crate::registry::COMMANDS,
                &mut netstat_os::Replay::default()
            ),
            "--numeric:numbers only, no lookups; wins over -f\n"
        );
    }
}
