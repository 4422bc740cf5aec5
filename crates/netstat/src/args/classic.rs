//! Reads the classic syntax: clusters of letters, `-p` with a protocol name, slashes, a bare number. No argument parser
//! supports its rules.

use std::ffi::{OsStr, OsString};
use std::iter::Peekable;

use clap::Command;
use netstat_model::columns::Sockets;

use super::error::{UsageError, quoted};
use super::hints;
use super::raw;
use super::token::{LETTERS, Token};
use super::values::{self, ProtocolName};
use crate::context;

/// What is printed instead of running the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    ShortHelp,
    LongHelp,
    Version,
}

/// A command line split into tokens.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) tokens: Vec<Token>,
    /// The first request for help or the version, whether before or after a mistake.
    pub(super) ask: Option<Ask>,
    /// The first mistake. No tokens follow it.
    pub(super) error: Option<UsageError>,
    /// The definition of all options; `None` if no long option needed it.
    pub(super) command: Option<Command>,
    /// The available commands.
    commands: &'static [context::Command],
    /// The interval as typed.
    interval: Option<String>,
}

/// Reads all arguments. `commands` are used for hints when the first word is misspelled.
pub(super) fn read(words: impl IntoIterator<Item = OsString>, commands: &'static [context::Command]) -> Line {
    let mut words = words.into_iter().peekable();
    let mut line = Line {
        commands,
        ..Line::default()
    };
    let mut options = true;
    while let Some(word) = words.next() {
        if let Err(error) = line.word(&word, &mut words, &mut options) {
            line.error = Some(error);
            break;
        }
    }
    // After a mistake, the remaining arguments are only searched for a request for help or the version.
    let rest = words.take_while(|word| options && word != "--");
    line.ask = line.ask.or_else(|| rest.filter_map(|word| asks(word.to_str()?)).next());
    line
}

/// Returns what `text` asks for, if it is a help or version switch.
fn asks(text: &str) -> Option<Ask> {
    match text.strip_prefix("--") {
        Some(long) if long.eq_ignore_ascii_case("help") => return Some(Ask::LongHelp),
        Some(long) if long.eq_ignore_ascii_case("version") => return Some(Ask::Version),
        _ if text == "-V" => return Some(Ask::Version),
        _ => {}
    }
    let letters = text.strip_prefix(['-', '/'])?;
    let is_help = letters.contains(['h', 'H', '?']) && letters.chars().all(is_letter);
    is_help.then_some(Ask::ShortHelp)
}

impl Line {
    fn word<I: Iterator<Item = OsString>>(
        &mut self,
        word: &OsStr,
        rest: &mut Peekable<I>,
        options: &mut bool,
    ) -> Result<(), UsageError> {
        let Some(text) = word.to_str() else {
            return Err(UsageError::new(format!("{} is not UTF-8 text", quoted(word))));
        };
        if is_like_number(text) {
            return self.number(text);
        }
        if !*options {
            return Err(self.unknown_word(text));
        }
        if text == "--" {
            *options = false;
            return Ok(());
        }
        if let Some(ask) = asks(text) {
            self.ask.get_or_insert(ask);
            return Ok(());
        }
        if let Some(long) = text.strip_prefix("--") {
            return self.long(text, long, rest);
        }
        match text.strip_prefix('-').or_else(|| slash_cluster(text)) {
            Some("") | None => Err(self.unknown_word(text)),
            Some(letters) => self.cluster(text, letters, rest),
        }
    }

    /// Reads a word that is a number, or was meant as one: only an interval can be a bare number.
    fn number(&mut self, text: &str) -> Result<(), UsageError> {
        let seconds = values::interval(text).map_err(|why| {
            UsageError::new(format!(
                "interval {} {why}{}",
                quoted(OsStr::new(text)),
                hints::for_interval(text)
            ))
        })?;
        if let Some(first) = &self.interval {
            return Err(UsageError::new(format!(
                "two intervals, \"{first}\" and \"{text}\"; to print {seconds} times: netstat {first} --count {seconds}"
            )));
        }
        self.interval = Some(text.to_owned());
        self.tokens.push(Token::Interval(seconds));
        Ok(())
    }

    /// Reads a cluster of switches: `letters` is the word `text` without its dash or slash.
    fn cluster<I: Iterator<Item = OsString>>(
        &mut self,
        text: &str,
        letters: &str,
        rest: &mut Peekable<I>,
    ) -> Result<(), UsageError> {
        for (at, typed) in letters.char_indices() {
            match typed.to_ascii_lowercase() {
                // A protocol name beside it means that the word is more than a cluster of switches: `-hp=tcp`.
                'h' | '?' => {
                    self.ask.get_or_insert(Ask::ShortHelp);
                }
                'p' => {
                    let after = &letters[at + 1..];
                    if let Some(name) = after.strip_prefix('=') {
                        self.tokens.push(Token::Protocol(protocol(name)?));
                        return Ok(());
                    }
                    // `-ptcp`, as getopt(3) reads it. Only a cluster with a second `p` could be mistaken for this.
                    if let Some(protocol) = ProtocolName::from_name(after) {
                        self.tokens.push(Token::Protocol(protocol));
                        return Ok(());
                    }
                    if after.is_empty() {
                        let token = protocol_or_programs(letters, rest)?;
                        self.tokens.push(token);
                    } else {
                        self.tokens.push(Token::Programs);
                    }
                }
                letter if LETTERS.contains(letter) => self.tokens.push(Token::Letter(letter)),
                _ => {
                    let hint = hints::for_letter(typed, letters, self.definition());
                    let word = quoted(OsStr::new(text));
                    return Err(UsageError::new(format!("unknown switch -{typed} in {word}{hint}")));
                }
            }
        }
        Ok(())
    }

    /// Reads a long option: `text` is `--long`, `long` the same without its dashes.
    fn long<I: Iterator<Item = OsString>>(
        &mut self,
        text: &str,
        long: &str,
        rest: &mut Peekable<I>,
    ) -> Result<(), UsageError> {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name.to_ascii_lowercase(), Some(value.to_owned())),
            None => (long.to_ascii_lowercase(), None),
        };
        let command = self.definition();
        let Some(option) = command.get_arguments().find(|option| option.get_long() == Some(&name)) else {
            let (option, _) = text.split_once('=').unwrap_or((text, ""));
            let hint = hints::for_long(&name, command);
            return Err(UsageError::new(format!(
                "unknown switch {}{hint}",
                quoted(OsStr::new(option))
            )));
        };
        let value_name = option
            .get_action()
            .takes_values()
            .then(|| match option.get_value_names() {
                Some([first, ..]) => first.to_string(),
                _ => name.to_ascii_uppercase(),
            });
        let is_optional = option.get_num_args().is_some_and(|number| number.min_values() == 0);
        let value = match (value_name, value) {
            (Some(_), None) if is_optional => None,
            (None, Some(_)) => {
                return Err(UsageError::new(format!(
                    "--{name} takes no value, but {} gives one",
                    quoted(OsStr::new(text))
                )));
            }
            (Some(value_name), None) => {
                match rest.next_if(|next| !is_switch(next) || is_sort_key(&name, next) || name == "until") {
                    Some(value) => Some(value.into_string().map_err(|value| {
                        UsageError::new(format!("{} after --{name} is not UTF-8 text", quoted(&value)))
                    })?),
                    None if name == "protocol" => return Err(protocol_missing("--protocol")),
                    None => {
                        return Err(UsageError::new(format!(
                            "--{name} needs a value: --{name} {value_name} (netstat --help)"
                        )));
                    }
                }
            }
            (_, value) => value,
        };
        let token = match (name.as_str(), value) {
            ("protocol", Some(value)) => Token::Protocol(protocol(&value)?),
            (_, value) => Token::Long { name, value },
        };
        self.tokens.push(token);
        Ok(())
    }

    fn unknown_word(&mut self, text: &str) -> UsageError {
        let commands = self.commands;
        let hint = hints::for_word(text, self.definition(), commands);
        UsageError::new(format!("unknown word {}{hint}", quoted(OsStr::new(text))))
    }

    /// Returns the definition of all options, built on first use.
    fn definition(&mut self) -> &Command {
        self.command.get_or_insert_with(raw::command)
    }
}

/// Whether `word` is a value of `--sort` that begins with a dash, such as `-rtt`.
fn is_sort_key(option: &str, word: &OsStr) -> bool {
    option == "sort"
        && word
            .to_str()
            .is_some_and(|word| super::shape::sort_of::<Sockets>(word).is_ok())
}

/// Returns the meaning of a `p` at the end of a cluster: followed by a protocol name, that protocol; otherwise,
/// together with `t`, `u` or `l`, the meaning it has on Linux (PID and program).
fn protocol_or_programs<I: Iterator<Item = OsString>>(
    letters: &str,
    rest: &mut Peekable<I>,
) -> Result<Token, UsageError> {
    if let Some(protocol) = rest
        .peek()
        .and_then(|next| next.to_str())
        .and_then(ProtocolName::from_name)
    {
        rest.next();
        return Ok(Token::Protocol(protocol));
    }
    if letters.contains(['t', 'u', 'l', 'T', 'U', 'L']) {
        return Ok(Token::Programs);
    }
    match rest.next_if(|next| !is_switch(next) && !next.to_str().is_some_and(is_like_number)) {
        Some(name) => match name.to_str() {
            Some(name) => protocol(name).map(Token::Protocol),
            None => Err(UsageError::new(format!("{} after -p is not UTF-8 text", quoted(&name)))),
        },
        None => Err(protocol_missing("-p")),
    }
}

fn protocol(name: &str) -> Result<ProtocolName, UsageError> {
    if name.is_empty() {
        return Err(protocol_missing("-p"));
    }
    ProtocolName::from_name(name).ok_or_else(|| {
        UsageError::new(format!(
            "unknown protocol {}{}",
            quoted(OsStr::new(name)),
            hints::for_protocol(name)
        ))
    })
}

fn protocol_missing(option: &str) -> UsageError {
    UsageError::new(format!(
        "{option} needs a protocol: {}; for PID and program: -tunap, or --programs",
        hints::protocol_names()
    ))
}

/// Returns the letters of a word that begins with a slash. A word with anything other than switch letters is not a
/// switch (`/tmp`), unless the rest follows a `p=`.
fn slash_cluster(text: &str) -> Option<&str> {
    let letters = text.strip_prefix('/')?;
    let (switches, _) = letters
        .split_once("p=")
        .or_else(|| letters.split_once("P="))
        .unwrap_or((letters, ""));
    switches.chars().all(is_letter).then_some(letters)
}

fn is_letter(c: char) -> bool {
    c == '?' || LETTERS.contains(c.to_ascii_lowercase())
}

/// Whether a word can only have been meant as a number: `5`, `-5`, `1.5`, `+3`, `5s`.
fn is_like_number(text: &str) -> bool {
    // `-4` and `-6` are switches, and no valid interval is negative.
    if text
        .strip_prefix('-')
        .is_some_and(|letters| !letters.is_empty() && letters.bytes().all(|b| matches!(b, b'4' | b'6')))
    {
        return false;
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = unsigned.strip_prefix('.').unwrap_or(unsigned);
    let starts = digits.starts_with(|c: char| c.is_ascii_digit());
    // A word with a dash is a cluster as soon as it contains a letter.
    starts && (!text.starts_with('-') || digits.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b','))
}

/// Whether a word looks like a switch, and therefore is not the value of an option. A negative number is a value,
/// though a wrong one.
fn is_switch(word: &OsStr) -> bool {
    let bytes = word.as_encoded_bytes();
    bytes.first() == Some(&b'-') && !word.to_str().is_some_and(is_like_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProtocolName::{Tcp, TcpV6, Udp};

    fn line(words: &str) -> Line {
        read(words.split_whitespace().map(OsString::from), crate::registry::COMMANDS)
    }

    /// Formats the tokens of a valid command line: each letter as itself, `P` for programs.
    fn tokens(words: &str) -> Vec<Token> {
        let line = line(words);
        assert_eq!(line.error, None, "{words}");
        assert_eq!(line.ask, None, "{words}");
        line.tokens
    }

    fn error(words: &str) -> String {
        line(words)
            .error
            .unwrap_or_else(|| panic!("{words} was taken"))
            .to_string()
    }

    fn letters(text: &str) -> Vec<Token> {
        text.chars()
            .map(|c| if c == 'P' { Token::Programs } else { Token::Letter(c) })
            .collect()
    }

    #[test]
    fn clusters() {
        for (words, expected) in [
            ("", ""),
            ("-a", "a"),
            ("-ano", "ano"),
            ("-nabo", "nabo"),
            ("-ANO", "ano"),
            ("-a -n -b", "anb"),
            ("/a /n", "an"),
            ("/ano", "ano"),
            ("/ANO -r", "anor"),
            ("-aa -a", "aaa"),
            ("-abcdefilnoqrstu", "abcdefilnoqrstu"),
            ("/usr", "usr"),
        ] {
            assert_eq!(tokens(words), letters(expected), "{words}");
        }
    }

    #[test]
    fn protocol_every_spelling_is_read() {
        for words in [
            "-p tcp",
            "-p TCP",
            "-P Tcp",
            "/p tcp",
            "-p=tcp",
            "-P=TCP",
            "/p=tcp",
            "-ptcp",
            "/PTCP",
            "--protocol tcp",
            "--protocol=TCP",
            "--PROTOCOL tcp",
        ] {
            assert_eq!(tokens(words), [Token::Protocol(Tcp)], "{words}");
        }
        for words in [
            "-anp tcpv6",
            "-an -p tcpv6",
            "/anp TCPv6",
            "-anp=tcpv6",
            "-anptcpv6",
            "/an /p=tcpv6",
            "/anp=tcpv6",
        ] {
            assert_eq!(
                tokens(words),
                [letters("an"), vec![Token::Protocol(TcpV6)]].concat(),
                "{words}"
            );
        }
        assert_eq!(tokens("-p tcp -p udp"), [Token::Protocol(Tcp), Token::Protocol(Udp)]);
        // The name ends the cluster; the next word is read separately.
        assert_eq!(
            tokens("-p tcp 5 -a"),
            [Token::Protocol(Tcp), Token::Interval(5), Token::Letter('a')]
        );
    }

    #[test]
    fn letter_p_without_protocol_means_pid_and_program() {
        for (words, expected) in [
            ("-tulpn", "tulPn"),
            ("-TULPN", "tulPn"),
            ("/tulpn", "tulPn"),
            ("-pan", "Pan"),
            ("-anpt", "anPt"),
            ("-pn", "Pn"),
            ("-tulp", "tulP"),
            ("-tnp", "tnP"),
            ("-np -u", ""),
            ("-lp -n", "lPn"),
            ("-antup", "antuP"),
            ("-ppn", "PPn"),
            ("--programs", "-"),
        ] {
            match expected {
                "" => assert!(
                    error(words).starts_with("-p needs a protocol: TCP, TCPv6, UDP, UDPv6, RAW,"),
                    "{words}"
                ),
                "-" => assert_eq!(
                    tokens(words),
                    [Token::Long {
                        name: "programs".into(),
                        value: None
                    }]
                ),
                _ => assert_eq!(tokens(words), letters(expected), "{words}"),
            }
        }
        // A protocol name after it makes it `-p NAME`, whatever else the cluster contains.
        assert_eq!(
            tokens("-tulp udp"),
            [letters("tul"), vec![Token::Protocol(Udp)]].concat()
        );
        assert_eq!(tokens("-tulp 5"), [letters("tulP"), vec![Token::Interval(5)]].concat());
        assert_eq!(error("-tulp upd"), "unknown word \"upd\"; did you mean -p udp?");
    }

    #[test]
    fn protocol_missing_or_unknown_is_refused_with_all_names() {
        const ALL: &str = "TCP, TCPv6, UDP, UDPv6, RAW, RAW6, MPTCP, PACKET, UNIX, UDPLITE, SCTP, DCCP, VSOCK, NETLINK, XDP, IP, IPv6, ICMP, ICMPv6";
        for words in [
            "-p",
            "-anp",
            "-p -n",
            "-p 5",
            "-p=",
            "/p",
            "-p --count 1",
            "-p --",
            "--protocol",
            "--protocol=",
        ] {
            let error = error(words);
            assert!(
                error.contains("needs a protocol") && error.contains(ALL),
                "{words}: {error}"
            );
        }
        for words in [
            "-p tpc",
            "-p=tpc",
            "-anp tpc",
            "/p tpc",
            "--protocol tpc",
            "--protocol=tpc",
        ] {
            assert_eq!(
                error(words),
                format!("unknown protocol \"tpc\"; did you mean TCP? Names: {ALL}"),
                "{words}"
            );
        }
    }

    #[test]
    fn interval_is_read_at_any_position_and_refused_when_wrong() {
        for words in ["5 -a -n", "-a 5 -n", "-a -n 5", "-a -n -- 5"] {
            assert!(tokens(words).contains(&Token::Interval(5)), "{words}");
        }
        for (words, message) in [
            (
                "0",
                "interval \"0\" is not a whole number of seconds from 1 to 31536000; did you mean 1?",
            ),
            (
                "-a -5",
                "interval \"-5\" is not a whole number of seconds from 1 to 31536000; did you mean 5?",
            ),
            (
                "-- -5",
                "interval \"-5\" is not a whole number of seconds from 1 to 31536000; did you mean 5?",
            ),
            (
                "1.5 -a",
                "interval \"1.5\" is not a whole number of seconds from 1 to 31536000; did you mean 2?",
            ),
            (
                "-1.5",
                "interval \"-1.5\" is not a whole number of seconds from 1 to 31536000; did you mean 2?",
            ),
            (
                "+5",
                "interval \"+5\" is not a whole number of seconds from 1 to 31536000; did you mean 5?",
            ),
            (
                "99999999999",
                "interval \"99999999999\" is not a whole number of seconds from 1 to 31536000; did you mean 31536000?",
            ),
            (
                "1 5",
                "two intervals, \"1\" and \"5\"; to print 5 times: netstat 1 --count 5",
            ),
        ] {
            assert_eq!(error(words), message, "{words}");
        }
    }

    #[test]
    fn help_and_version_are_recognized_despite_mistakes() {
        for (words, ask) in [
            ("-h", Ask::ShortHelp),
            ("-H", Ask::ShortHelp),
            ("-?", Ask::ShortHelp),
            ("/?", Ask::ShortHelp),
            ("/h", Ask::ShortHelp),
            ("-anh", Ask::ShortHelp),
            ("-an?", Ask::ShortHelp),
            ("/help", Ask::ShortHelp),
            ("--help", Ask::LongHelp),
            ("--HELP", Ask::LongHelp),
            ("-V", Ask::Version),
            ("--version", Ask::Version),
            // A mistake does not hide the request, and the first request wins.
            ("-z nonsense --help", Ask::LongHelp),
            ("--help --nonsense", Ask::LongHelp),
            ("-p --help", Ask::LongHelp),
            ("-z -an? -V", Ask::ShortHelp),
            ("-hp=tcp", Ask::ShortHelp),
            ("-?ptcpv6", Ask::ShortHelp),
            ("--count --help", Ask::LongHelp),
            ("--version -h", Ask::Version),
        ] {
            assert_eq!(line(words).ask, Some(ask), "{words}");
        }
        for words in ["-- --help", "-z -- --help", "-z -zh", "-- -z -h"] {
            assert_eq!(line(words).ask, None, "{words}");
            assert!(line(words).error.is_some(), "{words}");
        }
    }

    #[test]
    fn long_options_are_read_with_their_values() {
        let long = |name: &str, value: Option<&str>| Token::Long {
            name: name.into(),
            value: value.map(str::to_owned),
        };
        assert_eq!(tokens("--all --Numeric"), [long("all", None), long("numeric", None)]);
        assert_eq!(tokens("--count 3 5"), [long("count", Some("3")), Token::Interval(5)]);
        assert_eq!(tokens("--COUNT=3 5"), [long("count", Some("3")), Token::Interval(5)]);
        assert_eq!(tokens("--table=Main"), [long("table", Some("Main"))]);
        assert_eq!(tokens("--table a=b"), [long("table", Some("a=b"))]);
        assert_eq!(tokens("--count -5"), [long("count", Some("-5"))]);
        for (words, message) in [
            ("--count", "--count needs a value: --count N (netstat --help)"),
            ("--table -n", "--table needs a value: --table NAME (netstat --help)"),
            (
                "--dns-timeout --all",
                "--dns-timeout needs a value: --dns-timeout TIME (netstat --help)",
            ),
            ("--all=yes", "--all takes no value, but \"--all=yes\" gives one"),
            ("--al", "unknown switch \"--al\"; did you mean --all?"),
            ("--al=5", "unknown switch \"--al\"; did you mean --all?"),
            ("--interval 5", "unknown switch \"--interval\" (netstat --help)"),
            ("--=5", "unknown switch \"--\" (netstat --help)"),
        ] {
            assert_eq!(error(words), message, "{words}");
        }
    }

    #[test]
    fn unknown_word_or_letter_is_refused_by_name() {
        for (words, message) in [
            (
                "-anz",
                "unknown switch -z in \"-anz\"; the letters are 46abcdefghilnopqrstuwx (netstat --help)",
            ),
            (
                "-Z",
                "unknown switch -Z in \"-Z\"; the letters are 46abcdefghilnopqrstuwx (netstat --help)",
            ),
            (
                "-a=5",
                "unknown switch -= in \"-a=5\"; the letters are 46abcdefghilnopqrstuwx (netstat --help)",
            ),
            (
                "-5a",
                "unknown switch -5 in \"-5a\"; the letters are 46abcdefghilnopqrstuwx (netstat --help)",
            ),
            (
                "-v",
                "unknown switch -v in \"-v\"; did you mean --verbose or --version?",
            ),
            (
                "-\u{e9}",
                "unknown switch -\u{e9} in \"-\u{e9}\"; the letters are 46abcdefghilnopqrstuwx (netstat --help)",
            ),
            ("-", "unknown word \"-\" (netstat --help)"),
            ("/", "unknown word \"/\" (netstat --help)"),
            ("/tmp", "unknown word \"/tmp\" (netstat --help)"),
            ("/ano/", "unknown word \"/ano/\" (netstat --help)"),
            ("tcp", "unknown word \"tcp\"; did you mean -p tcp?"),
            ("-a listening", "unknown word \"listening\"; did you mean --listening?"),
            ("-- -a", "unknown word \"-a\" (netstat --help)"),
            ("-a -- --", "unknown word \"--\" (netstat --help)"),
            ("\x1b[2J", "unknown word \"\\e[2J\" (netstat --help)"),
        ] {
            assert_eq!(error(words), message, "{words:?}");
        }
        assert_eq!(
            read([OsString::new()], crate::registry::COMMANDS)
                .error
                .unwrap()
                .to_string(),
            "unknown word \"\" (netstat --help)"
        );
    }

    #[test]
    fn read_several_mistakes_reports_the_first() {
        assert_eq!(error("-z 0 nonsense"), error("-z"));
        assert_eq!(error("0 -z"), error("0"));
    }

    #[test]
    fn read_word_that_is_not_text_is_named() {
        let raw = |bytes: &[u8]| netstat_os::files::path_of(bytes.to_vec()).into_os_string();
        if raw(b"\xff").to_str().is_some() {
            // On this system, arguments are always valid text.
            return;
        }
        let word = || raw(b"a\xff\n");
        for (words, message) in [
            (vec![word()], "\"a\\xff\\n\" is not UTF-8 text"),
            (vec!["-p".into(), word()], "\"a\\xff\\n\" after -p is not UTF-8 text"),
            (
                vec!["--table".into(), word()],
                "\"a\\xff\\n\" after --table is not UTF-8 text",
            ),
            (vec![raw(b"--table=\xff")], "\"--table=\\xff\" is not UTF-8 text"),
        ] {
            assert_eq!(
                read(words, crate::registry::COMMANDS).error.unwrap().to_string(),
                message
            );
        }
    }
}
