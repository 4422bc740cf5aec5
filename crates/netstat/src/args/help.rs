//! The help texts, the version, and the Markdown table of switches, all generated from the definition of the options.

use clap::{Arg, Command};

use super::raw::HEADINGS;

/// The maximum width of the help text, in columns.
const WIDTH: usize = 80;

/// The columns at which the descriptions begin in the long and in the short help.
const TEXT_AT: usize = 29;
const SHORT_TEXT_AT: usize = 14;

const USAGE: &str = "Usage: netstat [SWITCHES] [INTERVAL]\n       netstat COMMAND ...";

const RULES: &str = "\
Letters work in any order and any case, together or apart, with a dash or a
slash: -ano, -ONA, -a -n -o and /a /n /o are the same. Without a switch, TCP
connections that are not LISTENING are listed, with names.

-p TCP means IPv4 only and -p TCPv6 IPv6 only, as ever; -t and -u take both.
Listeners of IPv6 that take IPv4 as well are in -p TCP, too.
-e, -s, -r, -g and -c print their own tables, in this order, and the connection
list follows if one of -a -b -d -i -l -o -p -q -t -u or a filter asks for it.
Other users' programs are shown only with sudo.
";

pub(crate) const EXAMPLES: &str = "\
Examples:
  netstat -an                        every TCP and UDP socket, in numbers
  netstat -f                         who this computer talks to, by full names
  sudo netstat -tulpn                what listens here, and which program it is
  sudo netstat -ab --port 443        which programs use port 443
  netstat -n --state SYN_SENT,LISTENING
                                     only connections in these states
  sudo netstat -nb -p tcp            IPv4 connections, with service and program
  netstat -c                         which programs hold the most ports
  sudo netstat --exposed --wide      what others can reach, and whose it is
  netstat -n --public --group foreign_address --top 10
                                     which public addresses, and how often
  netstat -a --columns protocol,foreign,rtt,cwnd,retrans_total --sort -rtt
                                     the slowest connections
  sudo netstat -ao --json            for programs: everything in one document
  netstat -a --changes 1             what opens, closes or changes, as it does
  netstat -s --rates 5               what changes, per second, every 5 seconds
  netstat -e --per-interface 1 --count 10
                                     traffic of each interface, ten times
";

const STATUS: &str = "\
Exit status: 0 all was printed, 1 the system could not be read or the output
not written, 2 usage error.
";

/// The text of `--version`.
pub(super) fn version() -> String {
    concat!("netstat ", env!("CARGO_PKG_VERSION"), "\n").to_owned()
}

/// Letters that share a line of the short help, and their common description.
const PAIRS: [(char, char, &str); 6] = [
    ('t', 'u', "TCP, UDP, of both families"),
    (
        'w',
        'x',
        "RAW sockets of both families; sockets within this computer (UNIX)",
    ),
    ('4', '6', "only IPv4; only IPv6"),
    (
        'n',
        'f',
        "numbers only, no lookups, wins over -f; full names of foreign addresses",
    ),
    (
        'e',
        's',
        "interface statistics; statistics by protocol (-p, -t, -u choose)",
    ),
    ('h', 'V', "this help, --help is complete; the version"),
];

/// The text of `-h`: all letters on one screen.
pub(super) fn short(command: &Command) -> String {
    let mut out = format!("{}\n\n", USAGE.lines().next().unwrap_or_default());
    for arg in by_heading(command).filter(|arg| arg.get_short().is_some() || arg.is_positional()) {
        if let Some((first, second, text)) = PAIRS
            .iter()
            .find(|(first, second, _)| [Some(*first), Some(*second)].contains(&arg.get_short()))
        {
            if arg.get_short() == Some(*first) {
                entry(&mut out, &format!("-{first}, -{second}"), text, SHORT_TEXT_AT);
            }
            continue;
        }
        let label = match arg.get_short() {
            Some(letter) => format!("-{letter}{}", value(arg)),
            None => value(arg).trim_start().to_owned(),
        };
        // Whatever does not fit on the line can be read in --help.
        let text = text(arg);
        entry(
            &mut out,
            &label,
            text.split("; with -s").next().unwrap_or(&text),
            SHORT_TEXT_AT,
        );
    }
    out.push_str("\nLong options, commands (inspect, audit, monitor, history ...): netstat --help\n");
    out
}

/// The text of `--help`.
pub(super) fn long(command: &Command, commands: &[crate::context::Command]) -> String {
    let mut out = version();
    if let Some(about) = command.get_about() {
        out.push_str(&format!("{about}.\n"));
    }
    out.push_str(&format!("\n{USAGE}\n\n{RULES}"));
    for heading in HEADINGS {
        out.push_str(&format!("\n{heading}:\n"));
        for arg in by_heading(command).filter(|arg| arg.get_help_heading() == Some(heading)) {
            entry(&mut out, &label(arg), &text(arg), TEXT_AT);
        }
    }
    out.push_str("\nCommands (netstat COMMAND --help tells more):\n");
    for command in commands {
        let definition = (command.definition)();
        let about = definition.get_about().map(ToString::to_string).unwrap_or_default();
        entry(&mut out, command.name, &about, SHORT_TEXT_AT + 2);
    }
    out.push_str(&format!("\n{EXAMPLES}\n{STATUS}"));
    out
}

/// Returns the switches as a Markdown table with one row per option.
pub fn markdown(command: &Command) -> String {
    let mut out = String::from("| switch | long | meaning |\n|---|---|---|\n");
    for arg in by_heading(command) {
        let short = match arg.get_short() {
            Some(letter) => format!("`-{letter}{}`", value(arg)),
            None if arg.is_positional() => format!("`{}`", value(arg).trim_start()),
            None => String::new(),
        };
        let long = arg
            .get_long()
            .map(|long| format!("`--{long}{}`", value(arg)))
            .unwrap_or_default();
        out.push_str(&format!("| {short} | {long} | {} |\n", text(arg).replace('|', "\\|")));
    }
    out
}

/// Returns all options, in the order of the headings.
fn by_heading(command: &Command) -> impl Iterator<Item = &Arg> {
    HEADINGS.into_iter().flat_map(|heading| {
        command
            .get_arguments()
            .filter(move |arg| arg.get_help_heading() == Some(heading))
    })
}

/// Returns the label of an option, such as `-p, --protocol NAME`; the long names of all options begin in the same
/// column.
fn label(arg: &Arg) -> String {
    match (arg.get_short(), arg.get_long()) {
        (Some(letter), Some(long)) => format!("-{letter}, --{long}{}", value(arg)),
        (None, Some(long)) => format!("    --{long}{}", value(arg)),
        (Some(letter), None) => format!("-{letter}{}", value(arg)),
        (None, None) => value(arg).trim_start().to_owned(),
    }
}

/// Returns the placeholder of an option's value with a leading space, ` NAME`; empty if the option takes no value.
fn value(arg: &Arg) -> String {
    let names = arg
        .get_value_names()
        .filter(|_| arg.get_action().takes_values())
        .unwrap_or_default();
    let is_optional = arg.get_num_args().is_some_and(|number| number.min_values() == 0);
    let shown = |name| match is_optional {
        true => format!("[={name}]"),
        false => format!(" {name}"),
    };
    names.iter().map(shown).collect()
}

fn text(arg: &Arg) -> String {
    arg.get_help().map(ToString::to_string).unwrap_or_default()
}

/// Appends one option: the label indented by two columns, the description from column `at`, wrapped at [`WIDTH`].
fn entry(out: &mut String, label: &str, text: &str, at: usize) {
    let mut line = format!("  {label}");
    if line.len() + 2 > at {
        out.push_str(&line);
        out.push('\n');
        line.clear();
    }
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.len() + 1 + word.len() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line.clear();
            empty = true;
        }
        if empty {
            line.extend(std::iter::repeat_n(' ', at.saturating_sub(line.len())));
        } else {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    out.push_str(&line);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::Parsed;
    use super::super::raw::command;
    use super::super::token::LETTERS;
    use super::*;
    use crate::registry::parse;
    use std::ffi::OsString;

    fn parses(words: &str) -> bool {
        parse(words.split_whitespace().map(OsString::from)).is_ok()
    }

    #[test]
    fn help_entry_long_text_is_wrapped_at_its_column() {
        let mut out = String::new();
        entry(&mut out, "-x", &"word ".repeat(16), 10);
        let indent = " ".repeat(8);
        let fourteen = ["word"; 14].join(" ");
        assert_eq!(out, format!("  -x      {fourteen}\n  {indent}word word\n"));
        let mut out = String::new();
        entry(&mut out, "--long-name", "text", 10);
        assert_eq!(out, "  --long-name\n          text\n");
    }

    #[test]
    fn help_fits_eighty_columns() {
        for help in [short(&command()), long(&command(), crate::registry::COMMANDS)] {
            assert!(
                help.is_ascii() && help.ends_with('\n') && !help.contains("\n\n\n"),
                "{help}"
            );
            for line in help.lines() {
                assert!(line.len() <= WIDTH && line.trim_end() == line, "{line:?}");
            }
        }
    }

    #[test]
    fn short_help_fits_one_screen() {
        let lines = short(&command()).lines().count();
        // The prompt takes the 24th line.
        assert!(lines <= 23, "{lines} lines");
    }

    #[test]
    fn help_lists_every_option() {
        let (brief, whole) = (short(&command()), long(&command(), crate::registry::COMMANDS));
        for letter in LETTERS.chars() {
            let alone = brief.contains(&format!("\n  -{letter} "));
            let in_pair = brief.contains(&format!("\n  -{letter}, -")) || brief.contains(&format!(", -{letter} "));
            assert!(alone || in_pair, "-{letter} in {brief}");
            assert!(whole.contains(&format!("\n  -{letter}, --")), "-{letter} in {whole}");
        }
        for arg in command().get_arguments() {
            let name = arg.get_long().map_or("INTERVAL".to_owned(), |long| format!("--{long}"));
            assert!(whole.contains(&format!(" {name}")), "{name}");
        }
        for heading in HEADINGS {
            assert!(whole.contains(&format!("\n\n{heading}:\n  ")), "{heading}");
        }
    }

    /// Checks every option that the help names, with a value if it takes one, and with the switches that it needs.
    #[test]
    fn every_option_in_help_is_accepted() {
        let help = long(&command(), crate::registry::COMMANDS);
        let mut seen = 0;
        let named = |word: &&&str| word.starts_with("--") && word.len() > 2;
        for line in help
            .lines()
            .filter(|line| line.starts_with("  -") || line.starts_with("      --"))
        {
            let words: Vec<&str> = line
                .split("  ")
                .find(|part| part.contains('-'))
                .unwrap()
                .split_whitespace()
                .collect();
            let long = words.iter().find(named).unwrap().split('[').next().unwrap();
            let value = match words.last().unwrap() {
                &"NAME" if long == "--protocol" => "tcp",
                &"NAME" => "main",
                &"ADDRESS" => "203.0.113.5",
                &"FILE" => "snapshot.json",
                &"TIME" => "500ms",
                &"HOW" => "proc",
                &"FILTER" => "--port=443",
                &"LIST" => match long {
                    "--state" => "listening,BOUND",
                    "--local" | "--foreign" => "10.0.0.0/8,:443",
                    "--pid" => "7,8",
                    "--program" | "--unit" => "ssh*,nginx",
                    "--user" => "root,1000",
                    "--as" => "13335,AS64500",
                    "--country" => "DE,US",
                    "--columns" | "--sort" | "--group" => "local,state",
                    _ => "443,8000-8010",
                },
                &"WHEN" => "never",
                &"N" => "3",
                word => {
                    assert_eq!(word.split('[').next(), Some(long), "an unknown value in {line:?}");
                    ""
                }
            };
            // Machine-readable formats print only the list.
            let company = match long {
                "--json" | "--ndjson" | "--csv" => "5",
                "--follow" | "--until" => "-n",
                "--timeout" => "--follow",
                "--to" => "-r",
                "--replay" | "--tree" => "-n",
                "--from" | "--mark" | "--uid" => "-r --to 203.0.113.9",
                _ => "-e -s -r --verbose 5",
            };
            assert!(parses(&format!("{long} {value} {company}")), "{line}");
            seen += 1;
        }
        assert_eq!(
            seen,
            command().get_arguments().filter(|arg| !arg.is_positional()).count()
        );
    }

    #[test]
    fn every_example_in_help_is_accepted() {
        let mut seen = 0;
        for line in EXAMPLES.lines().filter_map(|line| line.split("netstat ").nth(1)) {
            let words = line.split("  ").next().unwrap().split(" | ").next().unwrap();
            assert!(parses(words), "{words}");
            seen += 1;
        }
        assert_eq!(seen, 14);
    }

    #[test]
    fn help_and_version_switches_print_their_text() {
        let print = |words: &str| match parse(words.split_whitespace().map(OsString::from)) {
            Ok(Parsed::Print(text)) => text,
            other => panic!("{words}: {other:?}"),
        };
        assert_eq!(print("--version"), format!("netstat {}\n", env!("CARGO_PKG_VERSION")));
        assert_eq!(print("-V"), print("--version"));
        assert_eq!(print("--help"), long(&command(), crate::registry::COMMANDS));
        for words in ["-h", "-?", "/?", "-anh", "/H"] {
            assert_eq!(print(words), short(&command()), "{words}");
        }
    }

    #[test]
    fn documentation_has_the_switch_table_of_the_definition() {
        let table = markdown(&command());
        let document = include_str!("../../../../docs/switches.md");
        assert!(
            document.contains(&table),
            "docs/switches.md should hold this table:\n{table}"
        );
    }
}
