//! Finds the possible completions at a position of a command line.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use clap::builder::StyledStr;
use clap::{Arg, Command, ValueHint};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, complete};
use netstat_model::State;
use netstat_model::columns::{Sockets, Table};
use netstat_os::System;
use netstat_record::Flows;

use netstat_audit::Severity;

use super::live::Live;

/// A possible completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A word, with a description in one line, which may be empty.
    Word { value: String, help: String },
    /// The name of a file; the shell completes it itself.
    Files,
}

/// Represents [`Answer::Files`] among the candidates; no real word begins like this.
const FILES: &str = ":files";

/// Returns the possible completions at index `place` of `words`, whose first is the program's name. `splits_at_equals`
/// says that the shell splits `--name=value` into three words, as bash does.
pub(super) fn answers(
    program: Command,
    words: Vec<String>,
    place: usize,
    splits_at_equals: bool,
    system: &mut dyn System,
) -> Vec<Answer> {
    let mut words = words;
    words.truncate(place.saturating_add(1));
    if words.len() <= place {
        words.push(String::new());
    }
    if splits_at_equals {
        without_equals(&mut words);
    }
    let is_command = words.len() > 2
        && program
            .get_subcommands()
            .any(|own| own.get_name().eq_ignore_ascii_case(&words[1]));
    let live = Arc::new(match Live::is_wanted(&words) {
        true => Live::read(system),
        false => Live::default(),
    });
    let mut program = prepared(program, &live);
    let mut found = Vec::new();
    if is_command {
        words[1] = words[1].to_ascii_lowercase();
        gather(&mut program, &words, &mut found);
    } else {
        if words.len() > 2 {
            // After a switch, a command is not possible any more.
            program = without_commands(program);
        }
        for words in classic(words) {
            gather(&mut program, &words, &mut found);
        }
    }
    if found.contains(&Answer::Files) {
        return vec![Answer::Files];
    }
    found
}

/// Adds the completions found by `clap_complete`.
fn gather(program: &mut Command, words: &[String], found: &mut Vec<Answer>) {
    let last = words.len() - 1;
    let arguments = words.iter().map(OsString::from).collect();
    // It fails if there is no such position.
    for candidate in complete(program, arguments, last, None).unwrap_or_default() {
        let value = candidate.get_value().to_string_lossy();
        let answer = match &*value {
            value if value.ends_with(FILES) => Answer::Files,
            value if repeats_a_letter(&words[last], value) => continue,
            value => Answer::Word {
                value: value.to_owned(),
                help: candidate.get_help().map(one_line).unwrap_or_default(),
            },
        };
        if !found.contains(&answer) {
            found.push(answer);
        }
    }
}

fn one_line(help: &StyledStr) -> String {
    help.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether `value` adds to the cluster `typed` a letter that it already has, or one that asks for help or the version.
fn repeats_a_letter(typed: &str, value: &str) -> bool {
    let cluster = |word: &str| word.starts_with('-') && !word.starts_with("--") && word.len() > 1;
    match value.strip_prefix(typed).map(|rest| rest.chars().collect::<Vec<_>>()) {
        Some(rest) if cluster(typed) => match rest[..] {
            [letter] => typed.contains(letter) || matches!(letter, 'h' | 'V' | '?'),
            _ => false,
        },
        _ => false,
    }
}

/// Converts `--name`, `=`, `value`, as bash splits it, to `--name`, `value`. The last word is kept.
fn without_equals(words: &mut Vec<String>) {
    let last = words.len() - 1;
    if last > 1 && words[last] == "=" && words[last - 1].starts_with("--") {
        words[last].clear();
    }
    let mut at = 2;
    while at + 1 < words.len() {
        if words[at] == "=" && words[at - 1].starts_with("--") {
            words.remove(at);
        } else {
            at += 1;
        }
    }
}

/// Converts a classic line to a form that `clap_complete` can read: switches in lower case with a dash. A cluster such
/// as `-tulp` right before the last word may or may not end with `-p NAME`, so it results in two lines.
fn classic(mut words: Vec<String>) -> Vec<Vec<String>> {
    let last = words.len() - 1;
    for word in words.iter_mut().take(last).skip(1) {
        let letters = word.strip_prefix(['-', '/']).unwrap_or_default();
        if !letters.is_empty() && letters.chars().all(|c| c.is_ascii_alphabetic()) && letters != "V" {
            *word = format!("-{}", letters.to_ascii_lowercase());
        }
        if let Some(long) = word.strip_prefix("--") {
            *word = format!("--{}", long.to_ascii_lowercase());
        }
    }
    let before = words[last.saturating_sub(1)].clone();
    let open = before.starts_with('-') && !before.starts_with("--") && before.ends_with('p');
    if last > 1 && open && before.contains(['t', 'u', 'l']) {
        let mut other = words.clone();
        other[last - 1].pop();
        return vec![words, other];
    }
    vec![words]
}

/// Returns `program` without its subcommands.
fn without_commands(program: Command) -> Command {
    let arguments: Vec<Arg> = program.get_arguments().cloned().collect();
    Command::new("netstat")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(arguments)
}

/// Returns `program` with completers for the values of its options.
fn prepared(program: Command, live: &Arc<Live>) -> Command {
    let program = program.mut_args(|arg| prepared_arg(arg, live));
    program.mut_subcommands(|command| command.mut_args(|arg| prepared_arg(arg, live)))
}

fn prepared_arg(arg: Arg, live: &Live) -> Arg {
    // A command may have set a more specific completer.
    if !arg.get_action().takes_values() || arg.get::<ArgValueCompleter>().is_some() {
        return arg;
    }
    let values = Values::of(&arg, live);
    if matches!(values, Values::Free) {
        return arg;
    }
    arg.add(ArgValueCompleter::new(move |typed: &OsStr| match typed.to_str() {
        Some(typed) => values.beginning_with(typed),
        None => Vec::new(),
    }))
}

/// The possible values of an option.
#[derive(Clone, Debug)]
enum Values {
    /// One of these values, with descriptions.
    One(Vec<(String, String)>),
    /// A list of these values, separated by commas. `reversible` allows a dash before each.
    List {
        words: Vec<(String, String)>,
        reversible: bool,
    },
    /// The name of a file or directory.
    Path,
    /// Anything.
    Free,
}

impl Values {
    fn of(arg: &Arg, live: &Live) -> Values {
        let list = |words: &[(String, String)]| Values::List {
            words: words.to_vec(),
            reversible: false,
        };
        let named = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), String::new())).collect();
        match arg.get_id().as_str() {
            "state" => Values::List {
                words: named(&State::ALL.map(State::name)),
                reversible: false,
            },
            "flow_columns" => Values::List {
                words: with(columns::<Flows>(), "help", "what each column means, and its unit"),
                reversible: false,
            },
            "flow_group" => Values::List {
                words: columns::<Flows>(),
                reversible: false,
            },
            "flow_sort" => Values::List {
                words: with(columns::<Flows>(), "count", "with --group: how many rows"),
                reversible: true,
            },
            "columns" => Values::List {
                words: with(columns::<Sockets>(), "help", "what each column means, and its unit"),
                reversible: false,
            },
            "group" => Values::List {
                words: columns::<Sockets>(),
                reversible: false,
            },
            "sort" => Values::List {
                words: with(columns::<Sockets>(), "count", "with --group: how many rows"),
                reversible: true,
            },
            "port" => list(&live.ports),
            "program" => list(&live.programs),
            "pid" => list(&live.pids),
            "unit" => list(&live.units),
            "user" => list(&live.users),
            _ if called(arg, &["TARGET"]) => Values::One(live.targets()),
            "table" => Values::One(named(&["all", "main", "local", "default"])),
            _ if called(arg, &["FILE", "FOLDER"]) => Values::Path,
            _ if called(arg, &["SEVERITY"]) => Values::One(named(&Severity::ALL.map(Severity::name))),
            _ if called(arg, &["RULE"]) => Values::One(rules()),
            _ => match arg.get_value_hint() {
                ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath | ValueHint::ExecutablePath => {
                    Values::Path
                }
                _ => {
                    let values = arg.get_possible_values();
                    let words: Vec<(String, String)> = values
                        .iter()
                        .filter(|value| !value.is_hide_set())
                        .map(|value| {
                            let help = value.get_help().map(one_line).unwrap_or_default();
                            (value.get_name().to_owned(), help)
                        })
                        .collect();
                    if words.is_empty() {
                        Values::Free
                    } else {
                        Values::One(words)
                    }
                }
            },
        }
    }

    /// Returns the values that begin with `typed`, ignoring case. They are returned in the case that was typed, because
    /// a shell discards completions that do not begin with the existing text.
    fn beginning_with(&self, typed: &str) -> Vec<CompletionCandidate> {
        let (words, before, part) = match self {
            Values::One(words) => (words, "", typed),
            Values::List { words, reversible } => {
                let start = typed.rfind(',').map_or(0, |comma| comma + 1);
                let start = start + usize::from(*reversible && typed[start..].starts_with('-'));
                let (before, part) = typed.split_at(start);
                (words, before, part)
            }
            Values::Path => return vec![CompletionCandidate::new(FILES)],
            Values::Free => return Vec::new(),
        };
        let taken: Vec<&str> = before.split(',').map(|word| word.trim_start_matches('-')).collect();
        let lower = part.contains(|c: char| c.is_ascii_lowercase());
        words
            .iter()
            .filter(|(word, _)| {
                word.get(..part.len())
                    .is_some_and(|begin| begin.eq_ignore_ascii_case(part))
            })
            .filter(|(word, _)| !taken.iter().any(|taken| taken.eq_ignore_ascii_case(word)))
            .map(|(word, help)| {
                let word = if lower { word.to_ascii_lowercase() } else { word.clone() };
                let rest = &word[part.len()..];
                CompletionCandidate::new(format!("{before}{part}{rest}")).help(Some(help.clone().into()))
            })
            .collect()
    }
}

/// Whether the value of `arg` has one of `names` in the help.
fn called(arg: &Arg, names: &[&str]) -> bool {
    let own = arg.get_value_names().unwrap_or_default();
    own.iter().any(|own| names.contains(&own.as_str()))
}

/// Returns the rules of the audit with their titles.
fn rules() -> Vec<(String, String)> {
    let rules = netstat_audit::rules::RULES.iter();
    rules
        .map(|rule| (rule.name.to_owned(), rule.title.to_owned()))
        .collect()
}

/// Returns `words` with one more word.
fn with(mut words: Vec<(String, String)>, word: &str, help: &str) -> Vec<(String, String)> {
    words.push((word.to_owned(), help.to_owned()));
    words
}

/// Returns the columns of a table with their descriptions.
fn columns<T: Table>() -> Vec<(String, String)> {
    T::columns()
        .iter()
        .map(|column| (column.name.to_owned(), column.meaning.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::program;

    /// Returns the words offered at the end of `line`, split as bash does.
    fn offered(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let place = words.len() - 1;
        answers(program(), words, place, true, &mut netstat_os::Replay::default())
            .into_iter()
            .map(|answer| match answer {
                Answer::Word { value, .. } => value,
                Answer::Files => FILES.to_owned(),
            })
            .collect()
    }

    #[test]
    fn switches() {
        assert_eq!(offered("netstat --numer"), ["--numeric"]);
        assert_eq!(offered("netstat -ano --statis"), ["--statistics"]);
        assert_eq!(offered("netstat -p tcp --listeni"), ["--listening"]);
        assert_eq!(offered("netstat /a /n --listeni"), ["--listening"]);
        assert_eq!(offered("netstat 5 --cou"), ["--country", "--count"]);
        assert!(offered("netstat -").contains(&"-a".to_owned()));
        assert!(offered("netstat ").contains(&"completions".to_owned()));
        assert!(!offered("netstat -a ").contains(&"completions".to_owned()));
    }

    #[test]
    fn completion_of_cluster_offers_letters_it_lacks() {
        let grown = offered("netstat -an");
        assert!(grown.contains(&"-ano".to_owned()), "{grown:?}");
        for word in ["-ana", "-ann", "-anh"] {
            assert!(!grown.contains(&word.to_owned()), "{word}");
        }
    }

    #[test]
    fn completion_of_protocol_keeps_the_case_typed() {
        for line in [
            "netstat -p t",
            "netstat -ap t",
            "netstat -P t",
            "netstat /p t",
            "netstat --protocol t",
            "netstat --protocol = t",
            "netstat -tulp t",
        ] {
            let found = offered(line);
            assert!(
                found.starts_with(&["tcp".to_owned(), "tcpv6".to_owned()]),
                "{line}: {found:?}"
            );
        }
        let upper = offered("netstat -p T");
        assert!(upper.starts_with(&["TCP".to_owned(), "TCPv6".to_owned()]), "{upper:?}");
        assert!(offered("netstat -p ").contains(&"ICMPv6".to_owned()));
        assert!(offered("netstat -p =").is_empty());
    }

    #[test]
    fn completion_after_tulp_offers_switches_beside_protocols() {
        let found = offered("netstat -tulp -");
        assert!(found.contains(&"-n".to_owned()), "{found:?}");
        assert!(!offered("netstat -ap -").contains(&"-n".to_owned()));
    }

    #[test]
    fn completion_in_comma_list_offers_values_not_yet_named() {
        assert_eq!(offered("netstat --state est"), ["established"]);
        assert_eq!(offered("netstat --state = EST"), ["ESTABLISHED"]);
        assert_eq!(offered("netstat --state listening,syn_s"), ["listening,syn_sent"]);
        assert!(!offered("netstat --state listening,").contains(&"listening,LISTENING".to_owned()));
        assert!(offered("netstat --state =").contains(&"TIME_WAIT".to_owned()));
        assert_eq!(offered("netstat --STATE bo"), ["bound"]);
        assert_eq!(offered("netstat --sort -coun"), ["-country", "-count"]);
        assert_eq!(offered("netstat --columns local_add"), ["local_address"]);
        assert_eq!(offered("netstat --color al"), ["always"]);
    }

    #[test]
    fn completion_of_word_with_equals_sign_repeats_the_option() {
        let words = ["netstat", "--state=LISTENING,est"].map(str::to_owned).to_vec();
        let found = answers(program(), words, 1, false, &mut netstat_os::Replay::default());
        assert_eq!(
            found,
            [Answer::Word {
                value: "--state=LISTENING,established".into(),
                help: String::new()
            }]
        );
    }

    #[test]
    fn completion_of_sort_column_keeps_the_leading_dash() {
        let sort = Values::List {
            words: columns::<Sockets>(),
            reversible: true,
        };
        let first = |typed: &str| sort.beginning_with(typed)[0].get_value().to_str().unwrap().to_owned();
        assert_eq!(first("-pi"), "-pid");
        assert_eq!(first("state,-pi"), "state,-pid");
    }

    #[test]
    fn commands() {
        assert_eq!(offered("netstat comp"), ["completions"]);
        assert_eq!(offered("netstat completions ba"), ["bash"]);
        assert_eq!(offered("netstat Completions power"), ["powershell"]);
    }

    /// Catches options whose values could be completed, but are not.
    #[test]
    fn every_option_value_has_completions_or_is_listed_as_free() {
        // Numbers, addresses and names that only the user knows.
        const FREE: &[&str] = &[
            "local",
            "foreign",
            "top",
            "dns_timeout",
            "to",
            "from",
            "mark",
            "uid",
            "interval",
            "count",
            "called",
            "answer",
            "words",
            "sample",
            "heartbeat",
            "keep",
            "max_size",
            "period",
            "since",
            "until",
            "follow",
            "timeout",
            "to",
            "from",
            "mark",
            "uid",
            "script",
            "history name",
            "listen",
            "host",
            "acknowledge",
            "why",
            "exec_timeout",
            "max_programs",
            "audit_every",
            "otlp",
            "otlp_interval",
            "ship_every",
            "spool_size",
            "community_id",
            "at",
            "cluster",
            "agent",
            "reader",
            "late_after",
            "kind",
            "ship",
            "systems",
            "country",
        ];
        let live = Arc::new(Live::default());
        let all = prepared(program(), &live);
        for command in std::iter::once(&all).chain(all.get_subcommands()) {
            for arg in command.get_arguments().filter(|arg| arg.get_action().takes_values()) {
                let free = matches!(Values::of(arg, &live), Values::Free);
                // Several commands may have an option of this name.
                let id = arg.get_id().as_str();
                let whole = format!("{} {id}", command.get_name());
                assert_eq!(free, FREE.contains(&id) || FREE.contains(&whole.as_str()), "{whole}");
            }
        }
    }

    #[test]
    fn completion_of_odd_lines_never_panics() {
        for line in [
            "",
            "netstat",
            "netstat =",
            "netstat = =",
            "netstat -- -",
            "netstat --state = = =",
            "netstat \u{e4}\u{f6} -\u{e4}",
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            for place in [0, 1, 2, 3, 7, usize::MAX] {
                for splits in [false, true] {
                    answers(
                        program(),
                        words.clone(),
                        place,
                        splits,
                        &mut netstat_os::Replay::default(),
                    );
                }
            }
        }
    }
}
