//! What was probably meant.

use clap::Command;

use super::low::LETTERS;
use super::values::{INTERVAL_MAX, ProtocolName};

/// How alike two words must be (Jaro-Winkler, 0 to 1) before one is offered for the other.
const ALIKE: f64 = 0.8;

/// The hint for a bare word that means nothing, as the end of a sentence.
pub(super) fn for_word(word: &str, command: &Command) -> String {
    let lower = word.to_ascii_lowercase();
    if ProtocolName::from_name(word).is_some() {
        return did_you_mean(&format!("-p {lower}"));
    }
    let bare = lower.trim_start_matches(['/', '+']);
    // Word processors and web pages turn a minus into these.
    if let Some(rest) = bare.strip_prefix(['\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2212}'])
        && is_cluster(rest)
    {
        return did_you_mean(&format!("-{rest}"));
    }
    let commands = crate::registry::COMMANDS.iter().map(|command| command.name);
    if let Some(name) = nearest_lower(bare, commands) {
        return format!("; a command comes first: netstat {name}");
    }
    if let Some(long) = nearest_long(bare, command) {
        return did_you_mean(&long);
    }
    if let Some(protocol) = nearest_protocol(&lower).filter(|protocol| protocol.has_rows()) {
        return did_you_mean(&format!("-p {}", protocol.name().to_ascii_lowercase()));
    }
    if is_cluster(bare) {
        return did_you_mean(&format!("-{bare}"));
    }
    see_help()
}

/// The hint for `--name` that is no option.
pub(super) fn for_long(name: &str, command: &Command) -> String {
    if let Some(long) = nearest_long(name, command) {
        return did_you_mean(&long);
    }
    // A letter twice makes no cluster that anybody means: --foo is not -foo.
    let twice = name.char_indices().any(|(at, letter)| name[..at].contains(letter));
    if is_cluster(name) && !twice {
        return did_you_mean(&format!("-{name}"));
    }
    see_help()
}

/// The hint for a letter that is no switch, in a cluster whose letters are `rest`.
pub(super) fn for_letter(letter: char, rest: &str, command: &Command) -> String {
    match letter {
        '4' => return "; for IPv4 only: -p tcp -p udp".to_owned(),
        '6' => return "; for IPv6 only: -p tcpv6 -p udpv6".to_owned(),
        'v' | 'V' if rest.chars().count() <= 2 => return did_you_mean("--verbose or --version"),
        _ => {}
    }
    // A long option typed with one dash only.
    if rest.chars().count() > 2
        && let Some(long) = nearest_long(&rest.to_ascii_lowercase(), command)
    {
        return did_you_mean(&long);
    }
    format!("; the letters are {LETTERS} (netstat --help)")
}

/// The hint for a protocol that is none: the nearest, and always all.
pub(super) fn for_protocol(word: &str) -> String {
    let names = protocol_names();
    match nearest_protocol(word) {
        Some(protocol) => format!("; did you mean {}? Names: {names}", protocol.name()),
        None => format!("; names: {names}"),
    }
}

/// The protocol whose name is typed with one mistake, or with two where it is long.
fn nearest_protocol(word: &str) -> Option<ProtocolName> {
    let word = word.to_ascii_lowercase();
    let compare = |protocol: ProtocolName| {
        let name = protocol.name().to_ascii_lowercase();
        (
            strsim::osa_distance(&word, &name),
            strsim::jaro_winkler(&word, &name),
            protocol,
        )
    };
    let nearest = ProtocolName::ALL
        .map(compare)
        .into_iter()
        .min_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    nearest
        .filter(|(mistakes, _, protocol)| *mistakes <= (protocol.name().len() / 2).min(2))
        .map(|(.., protocol)| protocol)
}

/// The names of `-p`, the ones with rows first.
pub(super) fn protocol_names() -> String {
    let (rows, others): (Vec<_>, Vec<_>) = ProtocolName::ALL.into_iter().partition(|p| p.has_rows());
    rows.into_iter()
        .chain(others)
        .map(ProtocolName::name)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The hint for a number that is no interval: the nearest that is one.
pub(super) fn for_interval(word: &str) -> String {
    match word {
        "-4" => return did_you_mean("4, or -p tcp for IPv4 only"),
        "-6" => return did_you_mean("6, or -p tcpv6 for IPv6 only"),
        _ => {}
    }
    let number = word.trim_start_matches(['-', '+']).trim_end_matches(['s', 'S']);
    match number.parse::<f64>() {
        Ok(seconds) => did_you_mean(&(seconds.round().clamp(1.0, f64::from(INTERVAL_MAX)) as u32).to_string()),
        Err(_) => see_help(),
    }
}

/// The one of `names`, all in capitals, that is spelled nearly like `word`.
pub(super) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    most_alike(&word.to_ascii_uppercase(), names)
}

/// As [`nearest`], of names in lower case.
pub(super) fn nearest_lower<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    most_alike(&word.to_ascii_lowercase(), names)
}

fn most_alike<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::jaro_winkler(word, name), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .map(|(_, name)| name)
}

/// The long option most like `name`, with its dashes: one that begins so, or one spelled nearly so.
fn nearest_long(name: &str, command: &Command) -> Option<String> {
    if name.is_empty() {
        return None;
    }
    let longs = || command.get_arguments().filter_map(clap::Arg::get_long);
    let begins = || {
        longs()
            .filter(|long| name.len() > 1 && long.starts_with(name))
            .min_by_key(|long| long.len())
    };
    let (likeness, nearest) = longs()
        .map(|long| (strsim::jaro_winkler(name, long), long))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap_or((0.0, ""));
    if likeness >= ALIKE { Some(nearest) } else { begins() }.map(|long| format!("--{long}"))
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
    use super::super::low::command;
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
            ("www.example.com", " (netstat --help)"),
            ("", " (netstat --help)"),
        ] {
            assert_eq!(for_word(word, &command()), hint, "{word:?}");
        }
    }

    #[test]
    fn longs() {
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
            ('z', "anz", "; the letters are abcdefhilnopqrstu (netstat --help)"),
            ('v', "v", "; did you mean --verbose or --version?"),
            ('v', "version", "; did you mean --version?"),
            ('m', "numeric", "; did you mean --numeric?"),
            ('4', "tuln4", "; for IPv4 only: -p tcp -p udp"),
        ] {
            assert_eq!(for_letter(letter, rest, &command()), hint, "{letter} in {rest}");
        }
    }

    #[test]
    fn protocols_name_the_nearest_and_all() {
        const ALL: &str = "TCP, TCPv6, UDP, UDPv6, RAW, RAW6, MPTCP, PACKET, UNIX, IP, IPv6, ICMP, ICMPv6";
        assert_eq!(for_protocol("tcp6"), format!("; did you mean TCPv6? Names: {ALL}"));
        assert_eq!(for_protocol("TPC"), format!("; did you mean TCP? Names: {ALL}"));
        assert_eq!(for_protocol("sctp"), format!("; names: {ALL}"));
    }

    #[test]
    fn intervals_offer_the_nearest() {
        for (word, hint) in [
            ("0", "; did you mean 1?"),
            ("-5", "; did you mean 5?"),
            ("1.5", "; did you mean 2?"),
            ("0.2", "; did you mean 1?"),
            ("5s", "; did you mean 5?"),
            ("99999999999", "; did you mean 31536000?"),
            ("-4", "; did you mean 4, or -p tcp for IPv4 only?"),
            ("5x", " (netstat --help)"),
        ] {
            assert_eq!(for_interval(word), hint, "{word}");
        }
    }
}
