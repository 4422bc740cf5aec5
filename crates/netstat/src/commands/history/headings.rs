//! The columns of results that are not flows.

use netstat_model::columns::ValueKind;
use netstat_record::Gap;
use serde_json::json;

use crate::output::json::timestamp;
use crate::output::rows::Head;

/// A column with its description.
pub(super) type NamedColumn = (Head, &'static str);

const fn head(name: &'static str, heading: &'static str, kind: ValueKind) -> Head {
    Head { name, heading, kind }
}

/// The columns of `--new`.
pub(super) const NEW: [NamedColumn; 5] = [
    (head("first", "First", ValueKind::Time), "when"),
    (head("program", "Program", ValueKind::Text), "the program's file name"),
    (
        head("what", "What", ValueKind::Text),
        "what it did: first on the network, first to port, first to network, first listening on port",
    ),
    (
        head("value", "Value", ValueKind::Text),
        "the port or network; empty for a program",
    ),
    (head("path", "Path", ValueKind::Text), "the path of the program file"),
];

/// The columns of `--beacons`.
pub(super) const BEACONS: [NamedColumn; 10] = [
    (head("program", "Program", ValueKind::Text), "the program's file name"),
    (head("protocol", "Proto", ValueKind::Text), "TCP or UDP"),
    (head("foreign", "Foreign Address", ValueKind::Endpoint), "whom it calls"),
    (head("calls", "Calls", ValueKind::Number), "how many calls"),
    (
        head("period_seconds", "Every (s)", ValueKind::Decimal),
        "the middle gap between two calls, in seconds",
    ),
    (
        head("jitter_percent", "Jitter (%)", ValueKind::Decimal),
        "how far half of the gaps are from it at most, in percent",
    ),
    (head("first", "First", ValueKind::Time), "the first call"),
    (head("last", "Last", ValueKind::Time), "the last call"),
    (
        head("certainty", "Certainty", ValueKind::Text),
        "beacon; or candidate, and how much of the time or of the calls that a beacon needs there is",
    ),
    (
        head("script", "Script", ValueKind::Text),
        "the script that the program runs, by its command line; empty where it runs none",
    ),
];

/// The columns of `--gaps`.
pub(super) const GAPS: [NamedColumn; 4] = [
    (head("since", "Since", ValueKind::Time), "from when"),
    (head("until", "Until", ValueKind::Time), "until when"),
    (
        head("lost", "Lost", ValueKind::Number),
        "how many events or flows, where that can be told",
    ),
    (head("reason", "Reason", ValueKind::Text), "why, in plain words"),
];

/// The columns of `--rare`.
pub(super) const RARE: [NamedColumn; 7] = [
    (
        head("what", "What", ValueKind::Text),
        "what it did: first on the network, first to port, first to network, first listening on port",
    ),
    (
        head("program", "Program", ValueKind::Text),
        "the path of the program, or its short name",
    ),
    (
        head("value", "Value", ValueKind::Text),
        "the port or network; empty for a program",
    ),
    (head("hosts", "Hosts", ValueKind::Number), "on how many computers"),
    (head("of", "Of", ValueKind::Number), "of how many"),
    (head("first", "First", ValueKind::Time), "when it was first seen on any"),
    (head("host", "Host", ValueKind::Text), "the computer that was first"),
];

/// The column for the computer that a gap is about, in results about several computers.
pub(super) const GAP_HOST: NamedColumn = (
    head("host", "Host", ValueKind::Text),
    "the computer, in the store of a fleet",
);

/// Returns a gap as JSON; `with_host` says that the result may be about several computers.
pub(super) fn gap_value(gap: &Gap, with_host: bool) -> serde_json::Value {
    let time = |millis: i64| {
        let since = std::time::Duration::from_millis(u64::try_from(millis).unwrap_or(0));
        timestamp(std::time::SystemTime::UNIX_EPOCH + since)
    };
    let mut value = json!({"since": time(gap.since), "until": time(gap.until), "reason": gap.reason, "lost": gap.lost});
    if let Some(host) = gap.host.as_deref().filter(|_| with_host) {
        value["host"] = String::from_utf8_lossy(host).into();
    }
    value
}
