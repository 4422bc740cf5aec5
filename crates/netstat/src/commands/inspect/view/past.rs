//! What the record has about the process of a card.

use netstat_record::Millis;

use super::super::past::Past;
use super::Screen;
use super::lines::Lines;
use crate::context::human;
use crate::recall::{is_older, time};

/// The maximum number of ports and networks to name; the latest ones are chosen.
const NAMED: usize = 3;

/// Writes what is known; `name` is that of the program, escaped.
pub(super) fn write(lines: &mut Lines, past: &Past, name: &str, screen: &Screen<'_>) {
    let ago = |first: Millis| human::ago(time(first), screen.now);
    let begins = past.begins.map(ago);
    let mut parts = vec![match (past.program, &begins) {
        (Some(first), Some(begins)) if is_older(first, past.begins) => {
            format!("{name} was on the network already when the record began, {begins}")
        }
        (Some(first), _) => format!("{name} on the network {}", ago(first)),
        (None, Some(begins)) => format!("{name} is not in the record so far, which begins {begins}"),
        (None, None) => "nothing is in the record so far".to_owned(),
    }];
    if let Some(nameless) = past.nameless {
        parts.push(format!(
            "a program of that short name, which may be another, {}",
            ago(nameless)
        ));
    }
    // What is as old as the record is not new.
    let news = |first: &Millis| !is_older(*first, past.begins);
    let networks = past.networks.iter().filter(|(_, first)| news(first)).take(NAMED);
    parts.extend(networks.map(|(network, first)| format!("calling {network} {}", ago(*first))));
    let ports = past.foreign_ports.iter().filter(|(_, first)| news(first)).take(NAMED);
    parts.extend(ports.map(|(port, first)| format!("calling port {port} {}", ago(*first))));
    let ports = past.listening_ports.iter().filter(|(_, first)| news(first)).take(NAMED);
    parts.extend(ports.map(|(port, first)| format!("listening on port {port} {}", ago(*first))));
    let mut line = parts.join("; ");
    if let (Some(first), Some(begins)) = (past.program, begins)
        && !is_older(first, past.begins)
    {
        line.push_str(&format!(" (the record begins {begins})"));
    }
    lines.row("first seen", &line);
}
