//! Translates queries to conditions in SELECT statements.
//!
//! User input is never inserted into a statement as it is: text is encoded in hexadecimal, and addresses and numbers
//! are formatted by this program. A condition never excludes a wanted row. If it may include others, it is not exact,
//! and the rows are filtered again.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};

use netstat_model::{Filter, Globs, Network, Ports, Side, Sides, State};
use netstat_record::{Millis, Question};

use crate::encode::mapped;

/// The path of a program, or its name if the path is unknown, as filters see it.
const PROGRAM: &str = "if(program = '', program_name, program)";
/// When a flow was last seen; the same expression as in the skip index.
const LAST: &str = "addMilliseconds(first, span)";
/// The maximum number of elements in a list.
const MOST: usize = 10_000;

/// A condition on rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    /// The expression after WHERE.
    pub(crate) text: String,
    /// Whether it excludes all unwanted rows.
    pub(crate) exact: bool,
}

/// Returns text as a SQL expression.
pub(crate) fn literal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len() + 8);
    text.push_str("unhex('");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text.push_str("')");
    text
}

/// Returns an address as a SQL expression.
pub(crate) fn address(address: Ipv6Addr) -> String {
    format!("toIPv6('{address}')")
}

/// Returns a time as a SQL expression, clamped to the range of the type (1900 to 2299).
pub(crate) fn moment(millis: Millis) -> String {
    const EARLIEST: Millis = -2_208_988_800_000;
    const LATEST: Millis = 10_413_791_999_999;
    format!("fromUnixTimestamp64Milli({}, 'UTC')", millis.clamp(EARLIEST, LATEST))
}

/// Collects conditions that must all hold.
#[derive(Debug)]
struct All {
    parts: Vec<String>,
    exact: bool,
}

impl All {
    fn add(&mut self, part: String) {
        self.parts.push(part);
    }

    fn add_some(&mut self, part: Option<String>) {
        match part {
            Some(part) => self.parts.push(part),
            None => self.exact = false,
        }
    }
}

/// Returns the condition for the flows that `question` selects.
pub(crate) fn flows(question: &Question) -> Condition {
    let mut all = All {
        parts: Vec::new(),
        exact: true,
    };
    if let Some(since) = question.since {
        all.add(format!("{LAST} >= {}", moment(since)));
    }
    if let Some(until) = question.until {
        all.add(format!("first <= {}", moment(until)));
    }
    filter(&question.filter, &mut all);
    if !question.scripts.is_empty() {
        let script = paths("script", &question.scripts, &mut all.exact);
        all.add(format!("(pid != 0 AND {script})"));
    }
    if !question.names.is_empty() {
        let name = names("asked_name", &question.names, &mut all.exact);
        all.add(format!("(asked_name != '' AND {name})"));
    }
    if !question.community_ids.is_empty() {
        let ids: Vec<String> = question.community_ids.iter().map(|id| literal(id.as_bytes())).collect();
        all.add(format!(
            "foreign_port != 0 AND {} IN ({})",
            community_id(),
            ids.join(", ")
        ));
        // A connection without a foreign address has no Community ID.
        all.exact = false;
    }
    if !question.hosts.is_empty() {
        let host = names("host", &question.hosts, &mut all.exact);
        all.add(host);
    }
    Condition {
        text: join(&all.parts, " AND ", "1"),
        exact: all.exact,
    }
}

/// Returns the SQL expression that computes the Community ID of a row (version 1, seed 0).
fn community_id() -> String {
    let address = |side: &str| {
        let bytes = format!("reinterpretAsFixedString({side}_address)");
        format!(
            "if({side}_address BETWEEN toIPv6('::ffff:0.0.0.0') AND toIPv6('::ffff:255.255.255.255'), substring({bytes}, 13, 4), toString({bytes}))"
        )
    };
    let port = |side: &str| format!("toString(reinterpretAsFixedString(byteSwap({side}_port)))");
    let (a, b, p, r) = (address("local"), address("foreign"), port("local"), port("foreign"));
    let first = format!("({a}, local_port) < ({b}, foreign_port)");
    format!(
        "concat('1:', base64Encode(SHA1(concat(unhex('0000'), if({first}, concat({a}, {b}), concat({b}, {a})), \
         char(toUInt8(protocol)), unhex('00'), if({first}, concat({p}, {r}), concat({r}, {p}))))))"
    )
}

/// Returns the condition for rows of the computers that `question` selects.
pub(crate) fn hosts(question: &Question) -> Condition {
    let mut exact = true;
    let text = match question.hosts.is_empty() {
        true => "1".to_owned(),
        false => names("host", &question.hosts, &mut exact),
    };
    Condition { text, exact }
}

fn join(parts: &[String], word: &str, none: &str) -> String {
    match parts {
        [] => none.to_owned(),
        parts => parts.join(word),
    }
}

fn filter(filter: &Filter, all: &mut All) {
    if filter.names_states() {
        let wanted = State::ALL.iter().filter(|state| filter.allows_state(**state));
        let names: Vec<String> = wanted.map(|state| format!("'{}'", state.name())).collect();
        let tcp = match names.is_empty() {
            true => "0".to_owned(),
            false => format!("protocol = 'TCP' AND state IN ({})", names.join(", ")),
        };
        let udp = if filter.allows_stateless() {
            " OR protocol = 'UDP'"
        } else {
            ""
        };
        all.add(format!("({tcp}{udp})"));
    }
    if !filter.ports.is_empty() {
        let (local, foreign) = (ports("local_port", &filter.ports), ports("foreign_port", &filter.ports));
        all.add(format!("({local} OR {foreign})"));
    }
    for (name, wanted) in [("local", &filter.local), ("foreign", &filter.foreign)] {
        if !wanted.is_empty() {
            all.add_some(sides(name, wanted));
        }
    }
    if !filter.users.is_empty() {
        let ids: Vec<u32> = filter.users.ids().collect();
        all.add(numbers("user", &ids));
    }
    if !filter.pids.is_empty() {
        let pids: Vec<u32> = filter.pids.iter().take(MOST + 1).collect();
        all.add_some((pids.len() <= MOST).then(|| numbers("pid", &pids)));
        all.add("pid != 0".to_owned());
    }
    if !filter.programs.is_empty() {
        let program = paths(PROGRAM, &filter.programs, &mut all.exact);
        let script = paths("script", &filter.programs, &mut all.exact);
        all.add(format!("(pid != 0 AND ({program} OR (script != '' AND {script})))"));
    }
    if !filter.units.is_empty() {
        let unit = names("unit", &filter.units, &mut all.exact);
        let container = names("container", &filter.units, &mut all.exact);
        let id = names(
            "substring(container, position(container, ' ') + 1)",
            &filter.units,
            &mut all.exact,
        );
        all.add(format!(
            "((unit != '' AND {unit}) OR (container != '' AND {container}) OR (position(container, ' ') > 0 AND {id}))"
        ));
    }
    if filter.listening || filter.exposed {
        let none = address(Ipv6Addr::UNSPECIFIED);
        let none4 = address(mapped(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)));
        all.add(format!(
            "(protocol = 'TCP' OR (foreign_port = 0 AND foreign_address IN ({none}, {none4})))"
        ));
    }
    // Whether an address is public or a loopback address is decided row by row.
    all.exact &= !(filter.public || filter.exposed);
}

fn numbers(column: &str, numbers: &[u32]) -> String {
    match numbers {
        [] => "0".to_owned(),
        numbers => {
            let list: Vec<String> = numbers.iter().map(u32::to_string).collect();
            format!("{column} IN ({})", list.join(", "))
        }
    }
}

fn ports(column: &str, ports: &Ports) -> String {
    let ranges: Vec<String> = ports
        .ranges()
        .iter()
        .map(|range| match range.start() == range.end() {
            true => format!("{column} = {}", range.start()),
            false => format!("{column} BETWEEN {} AND {}", range.start(), range.end()),
        })
        .collect();
    format!("({})", join(&ranges, " OR ", "0"))
}

/// Returns the condition for one side; `None` if it cannot be expressed.
fn sides(name: &str, sides: &Sides) -> Option<String> {
    let any: Vec<String> = sides.iter().map(|side| one_side(name, side)).collect::<Option<_>>()?;
    // A single list allows the engine to use its index of addresses.
    Some(format!("({})", join(&any, " OR ", "0")))
}

fn one_side(name: &str, side: &Side) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(networks) = side.networks() {
        let column = format!("{name}_address");
        let (one, many): (Vec<&Network>, Vec<&Network>) = networks.iter().partition(|network| is_one(network));
        let mut any: Vec<String> = many
            .iter()
            .map(|network| range(&column, network))
            .collect::<Option<_>>()?;
        if !one.is_empty() {
            let list: Vec<String> = one.iter().map(|network| address(mapped(network.address()))).collect();
            any.push(match &list[..] {
                [one] => format!("{column} = {one}"),
                list => format!("{column} IN ({})", list.join(", ")),
            });
        }
        parts.push(format!("({})", join(&any, " OR ", "0")));
    }
    if !side.ports().is_empty() {
        parts.push(ports(&format!("{name}_port"), side.ports()));
    }
    Some(format!("({})", join(&parts, " AND ", "1")))
}

fn is_one(network: &Network) -> bool {
    network.length() == if network.address().is_ipv4() { 32 } else { 128 }
}

/// Returns the condition that an address is in a network; `None` for an IPv6 network that contains the mapped
/// addresses, which are IPv4 here.
fn range(column: &str, network: &Network) -> Option<String> {
    let (low, length) = match network.address() {
        IpAddr::V4(v4) => (v4.to_ipv6_mapped(), 96 + network.length()),
        IpAddr::V6(v6) if network.length() < 96 && v6.segments()[..5].iter().all(|part| *part == 0) => return None,
        IpAddr::V6(v6) => (v6, network.length()),
    };
    let free = u128::MAX.checked_shr(length.into()).unwrap_or(0);
    let high = Ipv6Addr::from_bits(low.to_bits() | free);
    Some(format!("{column} BETWEEN {} AND {}", address(low), address(high)))
}

/// Returns the condition that the whole of `expression` matches one of the patterns.
fn names(expression: &str, globs: &Globs, exact: &mut bool) -> String {
    let any: Vec<String> = globs
        .patterns()
        .iter()
        .map(|pattern| like(expression, pattern, exact))
        .collect();
    format!("({})", join(&any, " OR ", "0"))
}

/// Returns the condition that `expression`, a path, matches one of the patterns: those with a slash match the whole
/// path, others the file name.
fn paths(expression: &str, globs: &Globs, exact: &mut bool) -> String {
    let file = format!("splitByChar('/', {expression})[-1]");
    let any: Vec<String> = globs
        .patterns()
        .iter()
        .map(|pattern| {
            let of = if pattern.contains('/') { expression } else { &file };
            like(of, pattern, exact)
        })
        .collect();
    format!("({})", join(&any, " OR ", "0"))
}

/// Returns the condition that `expression` matches a pattern, ignoring the case of ASCII letters.
fn like(expression: &str, pattern: &str, exact: &mut bool) -> String {
    let lower = pattern.to_ascii_lowercase();
    if !lower.contains(['*', '?']) {
        return format!("lower({expression}) = {}", literal(lower.as_bytes()));
    }
    // `?` matches one byte in SQL, but one character in filters.
    *exact &= !lower.contains('?');
    let mut like = Vec::with_capacity(lower.len() + 8);
    for byte in lower.bytes() {
        match byte {
            b'*' | b'?' => like.push(b'%'),
            b'%' | b'_' | b'\\' => like.extend_from_slice(&[b'\\', byte]),
            other => like.push(other),
        }
    }
    format!("lower({expression}) LIKE {}", literal(&like))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn question(change: impl FnOnce(&mut Question)) -> Question {
        let mut question = Question::default();
        change(&mut question);
        question
    }

    #[test]
    fn flows_one_address_uses_the_index_and_is_exact() {
        let asked = question(|question| question.filter.foreign = "203.0.113.7".parse().unwrap());
        assert_eq!(
            flows(&asked),
            Condition {
                text: "(((foreign_address = toIPv6('::ffff:203.0.113.7'))))".to_owned(),
                exact: true
            }
        );
        let asked = question(|question| question.filter.foreign = "10.0.0.0/8:443".parse().unwrap());
        let text = "((foreign_address BETWEEN toIPv6('::ffff:10.0.0.0') AND toIPv6('::ffff:10.255.255.255')) AND (foreign_port = 443))";
        assert_eq!(flows(&asked).text, format!("({text})"));
    }

    #[test]
    fn flows_filter_that_sql_cannot_express_is_not_exact() {
        for change in [
            (|question: &mut Question| question.filter.public = true) as fn(&mut Question),
            |question| question.filter.programs.add("n?inx".parse().unwrap()),
            |question| question.filter.foreign = "::/0".parse().unwrap(),
        ] {
            let asked = question(change);
            assert!(!flows(&asked).exact, "{asked:?}");
        }
    }

    #[test]
    fn flows_without_filter_selects_everything() {
        assert_eq!(flows(&Question::default()).text, "1");
    }

    proptest! {
        #[test]
        fn literal_any_text_stays_within_its_quotes(text in "\\PC*") {
            let shown = literal(text.as_bytes());
            let inside = &shown["unhex('".len()..shown.len() - 2];
            prop_assert!(inside.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }

        #[test]
        fn flows_any_pattern_leaves_no_quote_in_the_statement(text in "[^,\\s]{1,20}") {
            if let Ok(globs) = text.parse::<Globs>() {
                let asked = question(|question| {
                    question.filter.programs.add(globs.clone());
                    question.hosts.add(globs);
                });
                let text = flows(&asked).text;
                // Every quote was written by this program.
                prop_assert_eq!(text.matches('\'').count() % 2, 0);
                for part in text.split("unhex('").skip(1) {
                    let inside = part.split('\'').next().unwrap_or_default();
                    prop_assert!(inside.bytes().all(|byte| byte.is_ascii_hexdigit()));
                }
            }
        }
    }
}
