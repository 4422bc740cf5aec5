//! Suggestions for what a wrong word probably meant.

use clap::Command;

use super::similar::nearest;
use super::token::LETTERS;
use super::values::{INTERVAL_MAX, ProtocolName};
use crate::context;

/// Returns the hint for an unknown bare word, as the end of a sentence.
pub(super) fn for_word(word: &str, command: &Command, commands: &[context::Command]) -> String {
    let lower = word.to_ascii_lowercase();
    if ProtocolName::from_name(word).is_some() {
        return did_you_mean(&format!("-p {lower}"));
    }
    let bare = lower.trim_start_matches(['/', '+']);
    // Word processors and web pages replace a minus sign by these characters.
    if let Some(rest) = bare.strip_prefix(['\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2212}'])
        && is_cluster(rest)
    {
        return did_you_mean(&format!("-{rest}"));
    }
    let names = || commands.iter().map(|command| command.name);
    if names().any(|name| name == bare) {
        return format!("; a command comes first: netstat {bare}");
    }
    if LIVE.contains(&bare) {
        return "; for a live view: netstat monitor".to_owned();
    }
    // `/tmp` is a path, so only the exact name of an option is recognized in such a word.
    if lower.starts_with('/') {
        let long = command
            .get_arguments()
            .filter_map(clap::Arg::get_long)
            .find(|long| bare.trim_end_matches('!') == *long);
        return long.map_or_else(see_help, |long| did_you_mean(&format!("--{long}")));
    }
    if let Some(name) = nearest(bare, names()) {
        return did_you_mean(&format!("netstat {name}"));
    }
    if let Some(protocol) = nearest_protocol(&lower).filter(|protocol| protocol.has_rows()) {
        return did_you_mean(&format!("-p {}", protocol.name().to_ascii_lowercase()));
    }
    if let Some(long) = nearest_long(bare, command) {
        return did_you_mean(&long);
    }
    if is_likely_cluster(bare) {
        return did_you_mean(&format!("-{bare}"));
    }
    see_help()
}

/// Words that people look for when they want what the monitor does.
const LIVE: [&str; 8] = ["top", "htop", "watch", "live", "kill", "tui", "tcpview", "nethogs"];

/// Returns the hint for `--name`, which is not an option.
pub(super) fn for_long(name: &str, command: &Command) -> String {
    if let Some(long) = nearest_long(name, command) {
        return did_you_mean(&long);
    }
    if is_likely_cluster(name) {
        return did_you_mean(&format!("-{name}"));
    }
    see_help()
}

/// Returns the hint for an unknown letter in a cluster with the letters `rest`.
pub(super) fn for_letter(letter: char, rest: &str, command: &Command) -> String {
    match letter {
        'v' | 'V' if rest.chars().count() <= 2 => return did_you_mean("--verbose or --version"),
        _ => {}
    }
    // A long option typed with a single dash.
    if rest.chars().count() > 2
        && let Some(long) = nearest_long(&rest.to_ascii_lowercase(), command)
    {
        return did_you_mean(&long);
    }
    format!("; the letters are {LETTERS} (netstat --help)")
}

/// Returns the hint for an unknown protocol: the nearest name if there is one, and the list of all names.
pub(super) fn for_protocol(word: &str) -> String {
    let names = protocol_names();
    match nearest_protocol(word) {
        Some(protocol) => format!("; did you mean {}? Names: {names}", protocol.name()),
        None => format!("; names: {names}"),
    }
}

/// Returns the protocol whose name is spelled most like `word`; `None` if none is similar.
fn nearest_protocol(word: &str) -> Option<ProtocolName> {
    nearest(word, ProtocolName::ALL.into_iter().map(ProtocolName::name)).and_then(ProtocolName::from_name)
}

/// The names that `-p` accepts, starting with those that have rows.
pub(super) fn protocol_names() -> String {
    let (rows, others): (Vec<_>, Vec<_>) = ProtocolName::ALL.into_iter().partition(|p| p.has_rows());
    rows.into_iter()
        .chain(others)
        .map(ProtocolName::name)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Returns the hint for a number that is not a valid interval: the nearest valid one.
pub(super) fn for_interval(word: &str) -> String {
    let number = word.trim_start_matches(['-', '+']).trim_end_matches(['s', 'S']);
    match number.parse::<f64>() {
        Ok(seconds) => did_you_mean(&(seconds.round().clamp(1.0, f64::from(INTERVAL_MAX)) as u32).to_string()),
        Err(_) => see_help(),
    }
}

/// Returns the long option most similar to `name`, with its dashes; `None` if none is similar.
fn nearest_long(name: &str, command: &Command) -> Option<String> {
    let long = nearest(name, command.get_arguments().filter_map(clap::Arg::get_long))?;
    Some(format!("--{long}"))
}

/// Whether `word` looks like switch letters without their dash, rather than a word that merely consists of such
/// letters.
fn is_likely_cluster(word: &str) -> bool {
    /// `-tulpn` is the longest cluster in common use.
    const LONGEST: usize = 5;
    let twice = word.char_indices().any(|(at, letter)| word[..at].contains(letter));
    is_cluster(word) && word.len() <= LONGEST && !twice && word.contains(['a', 'n'])
}

fn is_cluster(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| LETTERS.contains(c))
}

fn did_you_mean(what: &str) -> String {
    format!("; did you mean {what}?")
}

fn see_help() -> String {
    " (netstat --help)".to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::raw::command;
    use super::*;

    #[test]
    fn words() {
        for (word, hint) in [
            ("tcp", "; did you mean -p tcp?"),
            ("UDPv6", "; did you mean -p udpv6?"),
            ("listening", "; did you mean --listening?"),
            ("listen", "; did you mean --listen?"),
            ("all", "; did you mean --all?"),
            ("ano", "; did you mean -ano?"),
            ("\u{2013}ano", "; did you mean -ano?"),
            ("help", "; did you mean --help?"),
            ("/help!", "; did you mean --help?"),
            ("upd", "; did you mean -p udp?"),
            ("statis", "; did you mean --statistics?"),
            ("states", "; did you mean --state?"),
            ("inspct", "; did you mean netstat inspect?"),
            ("audti", "; did you mean netstat audit?"),
            ("monitor", "; a command comes first: netstat monitor"),
            ("top", "; for a live view: netstat monitor"),
            ("kill", "; for a live view: netstat monitor"),
            ("frobnicate", " (netstat --help)"),
            ("connections", " (netstat --help)"),
            ("lib", " (netstat --help)"),
            ("www.example.com", " (netstat --help)"),
            ("", " (netstat --help)"),
        ] {
            assert_eq!(for_word(word, &command(), crate::registry::COMMANDS), hint, "{word:?}");
        }
    }

    #[test]
    fn unknown_long_option_gets_nearest_as_hint() {
        for (name, hint) in [
            ("al", "; did you mean --all?"),
            ("alll", "; did you mean --all?"),
            ("numreic", "; did you mean --numeric?"),
            ("route", "; did you mean --routes?"),
            ("dns", "; did you mean --dns-timeout?"),
            ("pid", "; did you mean --pid?"),
            ("ano", "; did you mean -ano?"),
            ("xyzzy", " (netstat --help)"),
        ] {
            assert_eq!(for_long(name, &command()), hint, "{name:?}");
        }
    }

    #[test]
    fn letters() {
        for (letter, rest, hint) in [
            ('z', "anz", "; the letters are 46abcdefghilnopqrstuwx (netstat --help)"),
            ('v', "v", "; did you mean --verbose or --version?"),
            ('v', "version", "; did you mean --version?"),
            ('m', "numeric", "; did you mean --numeric?"),
        ] {
            assert_eq!(for_letter(letter, rest, &command()), hint, "{letter} in {rest}");
        }
    }

    #[test]
    fn unknown_protocol_hint_names_nearest_and_all() {
        const ALL: &str = "TCP, TCPv6, UDP, UDPv6, RAW, RAW6, MPTCP, PACKET, UNIX, UDPLITE, SCTP, DCCP, VSOCK, NETLINK, XDP, IP, IPv6, ICMP, ICMPv6";
        assert_eq!(for_protocol("tcp6"), format!("; did you mean TCPv6? Names: {ALL}"));
        assert_eq!(for_protocol("TPC"), format!("; did you mean TCP? Names: {ALL}"));
        assert_eq!(for_protocol("quic"), format!("; names: {ALL}"));
    }

    #[test]
    fn wrong_interval_hint_offers_nearest_valid_one() {
        for (word, hint) in [
            ("0", "; did you mean 1?"),
            ("-5", "; did you mean 5?"),
            ("1.5", "; did you mean 2?"),
            ("0.2", "; did you mean 1?"),
            ("5s", "; did you mean 5?"),
            ("99999999999", "; did you mean 31536000?"),
            ("5x", " (netstat --help)"),
        ] {
            assert_eq!(for_interval(word), hint, "{word}");
        }
    }
}
