//! Lists with one entry per line, and hosts files.

use std::net::IpAddr;

use super::network::{Network, address_of};
use super::{Loader, Target};

/// The number of lines that are examined to recognise the format.
const SAMPLE: usize = 200;

/// Returns the numbered, trimmed lines of a list, without comments and empty lines.
fn lines(content: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    content
        .split(|&byte| byte == b'\n')
        .zip(1u32..)
        .map(|(line, number)| (number, line.trim_ascii()))
        .filter(|(_, line)| !matches!(line.first(), None | Some(b'#' | b';')))
}

/// Whether the content is a hosts file with names after sinkhole addresses.
pub(super) fn looks_like_hosts(content: &[u8]) -> bool {
    lines(content).take(SAMPLE).any(|(_, line)| {
        let Ok(line) = std::str::from_utf8(line) else {
            return false;
        };
        let mut words = line.split_ascii_whitespace();
        is_sinkhole(words.next().unwrap_or_default())
            && words
                .next()
                .is_some_and(|name| !is_own_name(name) && host_name(name).is_ok())
    })
}

pub(super) fn read(content: &[u8], hosts: bool, loader: &mut Loader<'_>) {
    for (number, line) in lines(content) {
        let mark = line
            .iter()
            .position(|byte| matches!(byte, b'#' | b';'))
            .unwrap_or(line.len());
        let comment = line.get(mark + 1..).unwrap_or_default().trim_ascii();
        let Ok(entry) = std::str::from_utf8(&line[..mark]) else {
            loader.bad(number, line, "no text in UTF-8");
            continue;
        };
        let done = if hosts {
            read_hosts(number, entry, comment, loader)
        } else {
            read_line(number, entry, comment, loader)
        };
        if let Err(reason) = done {
            loader.bad(number, line, reason);
        }
    }
}

fn read_line(number: u32, entry: &str, comment: &[u8], loader: &mut Loader<'_>) -> Result<(), &'static str> {
    let (first, rest) = first_word(entry);
    match first {
        // ipset(8): the output of `ipset save`. A `create` line defines the set.
        "create" => return Ok(()),
        "add" => {
            let (_, rest) = first_word(rest);
            let (entry, label) = first_word(rest);
            return read_entry(number, entry, choose(comment, label), loader);
        }
        // Tor exit list 1.1: ExitAddress ADDRESS DATE TIME.
        "ExitAddress" => return read_entry(number, first_word(rest).0, b"Tor exit", loader),
        "ExitNode" | "Published" | "LastStatus" if !rest.is_empty() => return Ok(()),
        // DShield block list: the header of a table of start, end and prefix.
        "Start" if rest.starts_with("End") => return Ok(()),
        _ => {}
    }
    let (second, behind) = first_word(rest);
    if second == "-" {
        return read_range(
            number,
            first,
            first_word(behind).0,
            choose(comment, first_word(behind).1),
            loader,
        );
    }
    // Start and end in separate columns.
    if let (Ok(start), Ok(end)) = (address_of(first), address_of(second)) {
        return take_range(number, start, end, comment, loader);
    }
    read_entry(number, first, choose(comment, rest), loader)
}

/// Parses an address, network, range, address with port, or name.
pub(super) fn read_entry(number: u32, word: &str, label: &[u8], loader: &mut Loader<'_>) -> Result<(), &'static str> {
    let problem = match Network::parse(word) {
        Ok(network) => {
            loader.take(number, Target::Network(network), None, label);
            return Ok(());
        }
        Err(problem) => problem,
    };
    if let Ok(end) = word.parse::<std::net::SocketAddr>() {
        loader.take(
            number,
            Target::Network(Network::host(end.ip())),
            Some(end.port()),
            label,
        );
        return Ok(());
    }
    if let Some((start, end)) = word.split_once('-')
        && end.parse::<IpAddr>().is_ok()
    {
        // P2P lists use NAME:START-END.
        return match start.rsplit_once(':') {
            Some((name, start)) if address_of(start).is_ok() && end.contains('.') => {
                read_range(number, start, end, choose(label, name), loader)
            }
            _ => read_range(number, start, end, label, loader),
        };
    }
    if problem == "no address or network" && host_name(word).is_ok() {
        loader.take(number, Target::Name(trim_dot(word)), None, label);
        return Ok(());
    }
    Err(problem)
}

fn read_range(number: u32, start: &str, end: &str, label: &[u8], loader: &mut Loader<'_>) -> Result<(), &'static str> {
    take_range(number, address_of(start)?, address_of(end)?, label, loader)
}

fn take_range(
    number: u32,
    start: IpAddr,
    end: IpAddr,
    label: &[u8],
    loader: &mut Loader<'_>,
) -> Result<(), &'static str> {
    for network in Network::range(start, end)? {
        loader.take(number, Target::Network(network), None, label);
    }
    Ok(())
}

fn read_hosts(number: u32, entry: &str, comment: &[u8], loader: &mut Loader<'_>) -> Result<(), &'static str> {
    let (address, names) = first_word(entry);
    if !is_sinkhole(address) {
        // The machine's own hosts and multicast groups are not entries of a block list.
        return match address_of(address) {
            Ok(_) if names.split_ascii_whitespace().all(is_own_name) && !names.is_empty() => Ok(()),
            Ok(_) => Err("hosts file with an address that is no sinkhole"),
            Err(_) => read_entry(number, address, comment, loader),
        };
    }
    let mut problem = Ok(());
    let mut any = false;
    for name in names.split_ascii_whitespace() {
        any = true;
        if is_own_name(name) {
            continue;
        }
        match host_name(name) {
            Ok(()) => loader.take(number, Target::Name(trim_dot(name)), None, comment),
            Err(reason) => problem = Err(reason),
        }
    }
    if any {
        problem
    } else {
        Err("no name behind the address")
    }
}

/// Whether hosts files map blocked names to this address.
fn is_sinkhole(word: &str) -> bool {
    matches!(word, "0.0.0.0" | "127.0.0.1" | "::" | "::1" | "0")
}

/// Whether hosts files use this name for the machine itself or for multicast groups.
fn is_own_name(name: &str) -> bool {
    matches!(
        name,
        "localhost"
            | "localhost.localdomain"
            | "local"
            | "broadcasthost"
            | "localhost4"
            | "localhost6"
            | "0.0.0.0"
            | "localhost6.localdomain6"
            | "localhost4.localdomain4"
    ) || name.starts_with("ip6-")
}

/// Checks that `name` is a host name by RFC 1123, 2.1, in which underscores are allowed as well, since DNS names
/// contain them in practice. A name has at least two labels, and the last one is not a number, so that a mistyped
/// address is not taken for a name.
pub(super) fn host_name(name: &str) -> Result<(), &'static str> {
    const NOT: Result<(), &str> = Err("no address, network or host name");
    let name = trim_dot(name);
    if name.len() > 253 {
        return NOT;
    }
    let good = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let Some((rest, last)) = name.rsplit_once('.') else {
        return NOT;
    };
    let top = last.bytes().all(|byte| byte.is_ascii_alphabetic())
        || last.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("xn--"));
    if top && good(last) && rest.split('.').all(good) {
        Ok(())
    } else {
        NOT
    }
}

fn trim_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim_ascii();
    match text.find(|c: char| c.is_ascii_whitespace()) {
        Some(at) => (&text[..at], text[at..].trim_ascii_start()),
        None => (text, ""),
    }
}

/// Returns the comment or, without one, the text after the entry.
fn choose<'a>(comment: &'a [u8], behind: &'a (impl AsRef<[u8]> + ?Sized)) -> &'a [u8] {
    if comment.is_empty() { behind.as_ref() } else { comment }
}
