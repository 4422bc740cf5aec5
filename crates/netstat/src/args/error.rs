//! Usage errors: one line that names the wrong argument and the nearest valid one.

use std::ffi::OsStr;
use std::fmt;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use netstat_model::text;

/// Why a command line was refused: one line for stderr, without the program's name, a line break, or anything that
/// could control a terminal. The exit status that belongs to it is 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(String);

impl UsageError {
    /// Creates an error with `message`, in which unprintable characters are escaped.
    pub(super) fn new(message: impl AsRef<str>) -> UsageError {
        UsageError(text::escape_str(message.as_ref()).into_owned())
    }

    /// Converts an error that `clap` found in the arguments of the command `name`.
    pub(crate) fn of_command(name: &str, error: &clap::Error) -> UsageError {
        let UsageError(words) = UsageError::from_clap(error);
        let words = words.strip_suffix(" (netstat --help)").unwrap_or(&words);
        UsageError(format!("{words} (netstat {name} --help)"))
    }

    /// Converts an error that `clap` found in the value of a long option, without its usage lines and tips.
    pub(super) fn from_clap(error: &clap::Error) -> UsageError {
        let context = |kind| match error.get(kind) {
            Some(ContextValue::String(one)) => Some(one.clone()),
            Some(ContextValue::Strings(many)) => Some(many.join(", ")),
            _ => None,
        };
        let option = context(ContextKind::InvalidArg).map(|argument| bare_name(&argument).to_owned());
        let value = context(ContextKind::InvalidValue).map(|value| quoted(OsStr::new(&value)));
        match (error.kind(), option, value) {
            (ErrorKind::InvalidValue, Some(option), Some(value)) => {
                // If `clap` knows no valid values, the value is missing.
                UsageError::new(
                    match context(ContextKind::ValidValue).filter(|known| !known.is_empty()) {
                        Some(known) => format!("{option} {value} is not one of {known}"),
                        None => format!("{option} needs a value"),
                    },
                )
            }
            (ErrorKind::MissingRequiredArgument, Some(missing), _) => UsageError::new(format!("{missing} is missing")),
            (ErrorKind::ValueValidation, Some(option), Some(value)) => {
                let why = std::error::Error::source(error).map_or_else(|| "is not valid".to_owned(), |s| s.to_string());
                UsageError::new(format!("{option} {value} {why}"))
            }
            _ => {
                let whole = error.to_string();
                let first = whole.lines().next().unwrap_or_default();
                UsageError::new(format!(
                    "{} (netstat --help)",
                    first.strip_prefix("error: ").unwrap_or(first)
                ))
            }
        }
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UsageError {}

/// Returns the name of an argument that `clap` shows with its value: `--count` of `--count <N>`, `--csv` of
/// `--csv[=<STYLE>]`, `TARGET` of `<TARGET>...`.
fn bare_name(argument: &str) -> &str {
    let end = match argument.starts_with('-') {
        true => argument.find([' ', '[', '=', '<']),
        false => argument.find(' '),
    };
    argument[..end.unwrap_or(argument.len())].trim_matches(['<', '>', '.', '[', ']'])
}

/// Returns a word as it was typed, in quotes, escaped, and cut off after 60 characters.
pub(super) fn quoted(word: &OsStr) -> String {
    const LONGEST: usize = 60;
    let shown = text::escape(word.as_encoded_bytes());
    match shown.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("\"{}...\"", &shown[..cut]),
        None => format!("\"{shown}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_word_is_escaped_and_cut() {
        assert_eq!(quoted(OsStr::new("-z")), "\"-z\"");
        assert_eq!(quoted(OsStr::new("a\nb\x1b[2J")), "\"a\\nb\\e[2J\"");
        let long = quoted(OsStr::new(&"x".repeat(10_000)));
        assert_eq!(long, format!("\"{}...\"", "x".repeat(60)));
    }

    #[test]
    fn quoted_bytes_that_are_not_text_are_escaped() {
        // On systems where arguments are always text, there is nothing to escape.
        let word = netstat_os::files::path_of(b"-a\xff".to_vec()).into_os_string();
        if word.to_str().is_none() {
            assert_eq!(quoted(&word), "\"-a\\xff\"");
        }
    }

    #[test]
    fn from_clap_names_the_argument_without_its_value() {
        for (shown, name) in [
            ("--count <N>", "--count"),
            ("--csv[=<STYLE>]", "--csv"),
            ("--sample=<TIME>", "--sample"),
            ("<TARGET>...", "TARGET"),
            ("[TARGET]", "TARGET"),
            ("-v", "-v"),
        ] {
            assert_eq!(bare_name(shown), name, "{shown}");
        }
    }

    #[test]
    fn usage_error_with_line_breaks_becomes_one_line() {
        assert_eq!(UsageError::new("a\nb\u{202e}").to_string(), "a\\nb\\u{202e}");
    }
}
