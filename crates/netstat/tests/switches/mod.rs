//! All switches that take a path, each with a command line that uses it.

/// What happens to the file that a switch names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// It is read, and the command fails without it.
    Read,
    /// It is read; a result without it says why it is missing.
    ReadIfPossible,
    /// It is created, or replaced as a whole.
    Written,
    /// A program that is started when something happens.
    Started,
    /// It is written by the engine of a fleet, which these tests do not have.
    WrittenByEngine,
}

/// Command (empty for a listing), switch, use, and the arguments of a command line that ends with the switch.
pub(crate) const SWITCHES: &[(&str, &str, Use, &[&str])] = &[
    ("", "--mmdb", Use::Read, &["-an"]),
    ("", "--replay", Use::Read, &["-an"]),
    (
        "inspect",
        "--store",
        Use::ReadIfPossible,
        &["inspect", "--sample", "0", "pid:1"],
    ),
    (
        "inspect",
        "--fleet-config",
        Use::Read,
        &["inspect", "--sample", "0", "pid:1"],
    ),
    (
        "inspect",
        "--bundle",
        Use::Written,
        &["inspect", "--sample", "0", "pid:1"],
    ),
    (
        "inspect",
        "--report",
        Use::Written,
        &["inspect", "--sample", "0", "pid:1"],
    ),
    ("inspect", "--replay", Use::Read, &["inspect", "pid:1"]),
    ("audit", "--baseline", Use::Read, &["audit"]),
    ("audit", "--blocklist", Use::Read, &["audit"]),
    ("audit", "--store", Use::ReadIfPossible, &["audit"]),
    ("audit", "--fleet-config", Use::Read, &["audit"]),
    ("audit", "--report", Use::Written, &["audit"]),
    ("audit", "--replay", Use::Read, &["audit"]),
    ("audit", "--exec", Use::Started, &[]),
    ("monitor", "--mmdb", Use::Read, &["monitor"]),
    ("monitor", "--config", Use::Read, &["monitor"]),
    ("monitor", "--exec", Use::Started, &[]),
    ("monitor", "--record", Use::Written, &["monitor"]),
    ("monitor", "--replay", Use::Read, &["monitor"]),
    ("record", "--store", Use::Read, &["record", "--for", "1s"]),
    ("record", "--fleet-config", Use::Read, &["record", "--for", "1s"]),
    ("record", "--exec", Use::Started, &[]),
    ("history", "--store", Use::Read, &["history"]),
    ("history", "--fleet-config", Use::Read, &["history"]),
    ("history", "--report", Use::Written, &["history"]),
    ("history", "--parquet", Use::WrittenByEngine, &[]),
    ("history", "--svg", Use::Written, &["history", "--plot", "day"]),
    ("fleet", "--fleet-config", Use::Read, &["fleet", "status"]),
    (
        "fleet",
        "--agent-password",
        Use::Read,
        &["fleet", "init", "--at", ENGINE, "--print", "--agent", "a"],
    ),
    (
        "fleet",
        "--reader-password",
        Use::Read,
        &["fleet", "init", "--at", ENGINE, "--print", "--reader", "a"],
    ),
    ("serve", "--config", Use::Read, &["serve"]),
    ("serve", "--token-file", Use::Read, SERVE),
    ("serve", "--web-config", Use::Read, SERVE),
    ("serve", "--store", Use::Read, SERVE),
    ("serve", "--fleet-config", Use::Read, SERVE),
    ("serve", "--mmdb", Use::Read, SERVE),
    (
        "serve",
        "--otlp-headers",
        Use::Read,
        &["serve", "--listen", "127.0.0.1:0", "--otlp", "http://127.0.0.1:9"],
    ),
    ("doctor", "--store", Use::ReadIfPossible, &["doctor"]),
    ("doctor", "--fleet-config", Use::Read, &["doctor"]),
    ("snapshot", "--output", Use::Written, &["snapshot"]),
    ("man", "--directory", Use::Written, &["man"]),
];

/// Nothing answers at this address, and with `--print` it is not contacted.
const ENGINE: &str = "clickhouse://127.0.0.1:9/netstat";
const SERVE: &[&str] = &["serve", "--listen", "127.0.0.1:0"];
