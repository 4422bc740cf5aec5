//! The resource usage of the process of a card.

use netstat_model::{Fact, Why};

use super::super::usage::Usage;
use super::connection::rates;
use super::lines::Lines;
use crate::context::human::{bytes, bytes_per_second, plural, span};

pub(super) fn write(lines: &mut Lines, usage: &Usage) {
    let mut parts = Vec::new();
    if let Fact::Known(cpu) = usage.cpu {
        parts.push(format!("{:.0} % of one processor", cpu * 100.0));
    }
    if let Fact::Known(time) = usage.cpu_time {
        parts.push(format!("{} of processor time so far", span(time)));
    }
    match (usage.resident, usage.private, usage.shared) {
        // The error of the parts may exceed the parts themselves.
        (Fact::Known(resident), ..) if usage.rough => parts.push(format!("memory about {}", bytes(resident))),
        (Fact::Known(resident), Fact::Known(private), Fact::Known(shared)) => parts.push(format!(
            "memory {} ({} private, {} shared)",
            bytes(resident),
            bytes(private),
            bytes(shared)
        )),
        (Fact::Unknown(Why::NotApplicable), ..) => {}
        (Fact::Unknown(why), ..) | (_, Fact::Unknown(why), _) | (.., Fact::Unknown(why)) => {
            parts.push(format!("memory: {}", why.words()));
        }
    }
    match (usage.read, usage.written) {
        (Fact::Known(read), Fact::Known(written)) => parts.push(format!(
            "disk {} read and {} written",
            bytes_per_second(read),
            bytes_per_second(written)
        )),
        (Fact::Unknown(Why::NotAsked), _) => {}
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => parts.push(format!("disk: {}", why.words())),
    }
    if usage.network.received.why() != Some(Why::NotAsked) {
        parts.push(rates(&usage.network));
    }
    if let Fact::Known(threads) = usage.threads {
        parts.push(plural(threads.into(), "thread"));
    }
    match usage.descriptors {
        Fact::Known(open) => parts.push(plural(open, "open descriptor")),
        Fact::Unknown(why) => parts.push(format!("descriptors: {}", why.words())),
    }
    let over = match usage.over.is_zero() {
        true => String::new(),
        false => format!(" (over {:.1} s)", usage.over.as_secs_f64()),
    };
    lines.row("uses now", &format!("{}{over}", parts.join(", ")));
}
