//! `netstat serve --config FILE`: a TOML file whose keys are the long options of the command, without their dashes.
//! Options on the command line override those in the file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};
use netstat_model::text::{escape_str, plain_error};
use toml_edit::Item;

use crate::args::UsageError;
use crate::context::Failure;

/// The size limit of a configuration file, in bytes.
const SIZE_MAX: u64 = 64 << 10;

/// Returns the options combined with those of the file that `--config` names, or unchanged without `--config`.
///
/// # Errors
/// Returns an error if the file cannot be read, and the first mistake in it.
pub(super) fn with_file(matches: &ArgMatches) -> Result<ArgMatches, Failure> {
    let Some(path) = matches.get_one::<PathBuf>("config") else {
        return Ok(matches.clone());
    };
    let shown = escape_str(&path.display().to_string()).into_owned();
    let text = read(path).map_err(|why| Failure::Refused(format!("{shown}: {why}")))?;
    merge(matches, &text).map_err(|wrong| {
        Failure::Usage(match wrong {
            Wrong::At(line, what) => format!("{shown}: line {line}: {what}"),
            Wrong::Value(what) => format!("{shown}: {what}"),
        })
    })
}

fn read(path: &Path) -> Result<String, String> {
    netstat_os::files::text_named(path, SIZE_MAX).map_err(|error| plain_error(&error))
}

/// A mistake in a file.
#[derive(Debug, PartialEq, Eq)]
enum Wrong {
    /// In this line.
    At(usize, String),
    /// In the value of an option.
    Value(String),
}

fn merge(matches: &ArgMatches, text: &str) -> Result<ArgMatches, Wrong> {
    let line = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
    let document = toml_edit::Document::parse(text).map_err(|error| {
        let message = escape_str(error.message().lines().next().unwrap_or_default()).into_owned();
        Wrong::At(error.span().map_or(1, |span| line(span.start)), message)
    })?;
    let definition = super::definition();
    let allowed: Vec<(&str, &Arg)> = definition
        .get_arguments()
        .filter_map(|arg| arg.get_long().map(|long| (long, arg)))
        .filter(|(long, _)| *long != "config")
        .collect();
    let mut words = Vec::new();
    for (key, item) in document.as_table().iter() {
        let span = document
            .as_table()
            .key(key)
            .and_then(toml_edit::Key::span)
            .or_else(|| item.span());
        let here = span.map_or(1, |span| line(span.start));
        let Some((long, arg)) = allowed.iter().find(|(long, _)| *long == key) else {
            let names: Vec<&str> = allowed.iter().map(|(long, _)| *long).collect();
            let what = format!("unknown key \"{}\": use {}", escape_str(key), names.join(", "));
            return Err(Wrong::At(here, what));
        };
        let given = option_words(long, arg, item).map_err(|what| Wrong::At(here, what))?;
        if !is_typed(matches, arg) {
            words.extend(given);
        }
    }
    for (long, arg) in &allowed {
        if is_typed(matches, arg) {
            words.extend(typed_words(matches, long, arg));
        }
    }
    super::definition()
        .no_binary_name(true)
        .try_get_matches_from(words)
        .map_err(|error| Wrong::Value(UsageError::of_command("serve", &error).to_string()))
}

/// Whether the command line has the option.
fn is_typed(matches: &ArgMatches, arg: &Arg) -> bool {
    matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
}

/// Returns the option as it would be typed.
fn typed_words(matches: &ArgMatches, long: &str, arg: &Arg) -> Vec<OsString> {
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return vec![format!("--{long}").into()];
    }
    let values = matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
    values
        .map(|value| {
            let mut word = OsString::from(format!("--{long}="));
            word.push(value);
            word
        })
        .collect()
}

/// Converts a key and its value to command-line arguments.
fn option_words(long: &str, arg: &Arg, item: &Item) -> Result<Vec<OsString>, String> {
    let one = |text: &str| OsString::from(format!("--{long}={text}"));
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        return match item.as_bool() {
            Some(true) => Ok(vec![format!("--{long}").into()]),
            Some(false) => Ok(Vec::new()),
            None => Err(format!("\"{long}\" must be true or false")),
        };
    }
    let several = matches!(arg.get_action(), ArgAction::Append);
    if let (true, Some(array)) = (several, item.as_array()) {
        let words: Option<Vec<OsString>> = array.iter().map(|value| value.as_str().map(one)).collect();
        return words.ok_or_else(|| format!("\"{long}\" must be a list of strings"));
    }
    if let Some(text) = item.as_str() {
        return Ok(vec![one(text)]);
    }
    match item.as_integer() {
        Some(number) if !several => Ok(vec![one(&number.to_string())]),
        _ if several => Err(format!("\"{long}\" must be a string or a list of strings")),
        _ => Err(format!("\"{long}\" must be a string or a whole number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(words: &[&str], text: &str) -> Result<ArgMatches, Wrong> {
        let matches = super::super::definition()
            .no_binary_name(true)
            .try_get_matches_from(words)
            .unwrap();
        merge(&matches, text)
    }

    fn listen(matches: &ArgMatches) -> Vec<String> {
        let all = matches.get_many::<netstat_serve::Listen>("listen").unwrap();
        all.map(ToString::to_string).collect()
    }

    #[test]
    fn config_file_sets_options_and_command_line_replaces_them() {
        let text = "# comment\nlisten = [\"127.0.0.1:1\", \"unix:/run/x.sock\"]\nmax-programs = 7\ninsecure = true\n\
                    allow-actions = false\ninterval = \"5s\"\notlp = \"http://localhost:4318\"\notlp-logs = [\"flows\", \"findings\"]\n";
        let file = merged(&[], text).unwrap();
        assert_eq!(listen(&file), ["127.0.0.1:1", "unix:/run/x.sock"]);
        assert_eq!(file.get_one::<u16>("max_programs"), Some(&7));
        assert!(file.get_flag("insecure") && !file.get_flag("allow_actions"));
        assert_eq!(file.get_many::<super::super::Log>("otlp_logs").unwrap().count(), 2);
        let both = merged(&["--listen", "[::1]:2", "--max-programs=9"], text).unwrap();
        assert_eq!(listen(&both), ["[::1]:2"]);
        assert_eq!(both.get_one::<u16>("max_programs"), Some(&9));
        assert!(both.get_flag("insecure"));
        assert_eq!(listen(&merged(&[], "").unwrap()), [netstat_serve::DEFAULT_LISTEN]);
    }

    #[test]
    fn config_file_with_a_mistake_is_refused_by_line_and_word() {
        for (text, expected) in [
            ("listen = \n", "line 1: "),
            (
                "insecure = true\ncolour = \"red\"\n",
                "line 2: unknown key \"colour\": use listen, ",
            ),
            ("config = \"x\"\n", "line 1: unknown key \"config\""),
            ("\ninsecure = \"yes\"\n", "line 2: \"insecure\" must be true or false"),
            ("listen = [1]\n", "line 1: \"listen\" must be a list of strings"),
            ("listen = 1\n", "\"listen\" must be a string or a list"),
            ("max-programs = 0\n", "--max-programs \"0\""),
            ("listen = \"nowhere\"\n", "--listen \"nowhere\""),
            ("otlp-headers = \"x\"\n", "--otlp"),
            ("[listen]\na = 1\n", "\"listen\" must be"),
            ("interval = 1.5\n", "\"interval\" must be a string or a whole number"),
        ] {
            let said = match merged(&[], text).unwrap_err() {
                Wrong::At(line, what) => format!("line {line}: {what}"),
                Wrong::Value(what) => what,
            };
            assert!(said.contains(expected), "{text:?}: {said}");
        }
    }

    #[test]
    fn config_file_without_end_is_refused() {
        assert!(read(Path::new("/dev/zero")).is_err());
    }
}
