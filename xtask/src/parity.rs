//! `cargo xtask parity [--check]`: the tables in `docs/windows.md` that say of every switch, column, command, rule and tab how it is on
//! Windows. The names come from the program; what is said of them stands here, and a name that is missing here is an error.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use netstat_model::columns::{Column, Needs, Sockets, Table};
use serde_json::Value;

/// How something is on Windows: whether it works, what shows that, and why not.
type Support = (&'static str, &'static str, &'static str);

const WINE: &str = "Wine";
const MADE_UP: &str = "made-up computer";
const YES: Support = ("yes", WINE, "");
const SAME: Support = ("yes", "the same code", "");

/// Switches that differ from Linux, by their long names; all others are the same code over the same rows.
const SWITCHES: &[(&str, Support)] = &[
    ("all", YES),
    ("numeric", YES),
    ("program", YES),
    ("process-id", YES),
    ("listening", YES),
    ("tcp", YES),
    ("udp", YES),
    ("statistics", YES),
    ("interfaces", YES),
    ("routes", YES),
    ("to", YES),
    ("names", YES),
    ("changes", YES),
    ("follow", YES),
    ("json", YES),
    ("csv", YES),
    ("columns", YES),
    ("state", YES),
    ("port", YES),
    ("pid", YES),
    (
        "bound",
        ("yes", MADE_UP, "Wine does not list bound ports; the list says so"),
    ),
    ("groups", ("no", "-", "multicast groups are not asked for yet")),
    ("raw", ("no", "-", "Windows lists no RAW sockets")),
    ("unix", ("no", "-", "Windows lists no UNIX sockets")),
    ("packet", ("no", "-", "Windows lists no packet sockets")),
    ("all-namespaces", ("no", "-", "there are no network namespaces")),
    ("namespace", ("no", "-", "there are no network namespaces")),
    ("table", ("part", MADE_UP, "there is one routing table")),
    (
        "details",
        (
            "part",
            WINE,
            "Windows keeps no TCP internals, queues, memory or user with a socket",
        ),
    ),
];

/// Columns by what must be asked for them.
const COLUMNS: &[(Needs, Support)] = &[
    (Needs::NONE, YES),
    (Needs::SERVICES, YES),
    (Needs::HOSTS, YES),
    (Needs::INTERFACES, YES),
    (Needs::OWNERS, YES),
    (Needs::IMAGE, YES),
    (
        Needs::NAMES,
        ("part", WINE, "command lines of other users' processes need elevation"),
    ),
    (
        Needs::COMPONENTS,
        ("yes", MADE_UP, "services and packages in place of units"),
    ),
    (
        Needs::NETWORKS,
        (
            "part",
            WINE,
            "by address and interface; what the firewall makes of it is in inspect",
        ),
    ),
    (Needs::STATE_TIMES, ("part", WINE, "from the record and earlier looks")),
    (Needs::ASKED_NAMES, ("no", "-", "DNS answers are not watched")),
    (Needs::LOCATIONS, SAME),
    (
        Needs::RATES,
        ("no", "-", "bytes per connection are not asked for yet (EStats)"),
    ),
    (Needs::USERS, ("no", "-", "Windows keeps no user with a socket")),
    (Needs::BASIC, ("no", "-", "Windows does not keep it with a socket")),
    (Needs::TCP, ("no", "-", "Windows does not keep it with a socket")),
    (Needs::CONGESTION, ("no", "-", "Windows does not keep it with a socket")),
    (Needs::MEMORY, ("no", "-", "Windows does not keep it with a socket")),
    (Needs::CGROUPS, ("no", "-", "there are no control groups")),
    (Needs::NAMESPACES, ("no", "-", "there are no network namespaces")),
];

/// Columns that need nothing and still are not there.
const MISSING: &[(&str, Support)] = &[
    ("recv_q", ("no", "-", "Windows does not keep it with a socket")),
    ("send_q", ("no", "-", "Windows does not keep it with a socket")),
    ("accept_queue", ("no", "-", "Windows does not keep it with a socket")),
    ("backlog", ("no", "-", "Windows does not keep it with a socket")),
    ("uid", ("no", "-", "Windows keeps no user with a socket")),
    (
        "inode",
        (
            "no",
            "-",
            "sockets have no number of their own; `cookie` is made of addresses, process and creation",
        ),
    ),
    ("container", ("no", "-", "containers are not told apart")),
    ("pod", ("no", "-", "containers are not told apart")),
];

const COMMANDS: &[(&str, Support)] = &[
    (
        "inspect",
        ("yes", WINE, "signatures by a made-up computer only: Wine checks none"),
    ),
    ("audit", ("yes", WINE, "packages and their contents are not compared")),
    ("doctor", YES),
    ("snapshot", YES),
    ("record", ("yes", WINE, "polling; no service and no ETW yet")),
    ("history", YES),
    ("monitor", ("part", WINE, "no disks, no bytes per connection")),
    ("completions", SAME),
    ("man", SAME),
    ("schema", SAME),
    ("serve", ("no", "-", "not built: it listens on Unix sockets")),
    ("fleet", ("no", "-", "not built")),
    ("help", SAME),
];

const TABS: &[(&str, Support)] = &[
    ("overview", ("part", WINE, "no disks")),
    ("cpu", YES),
    ("memory", YES),
    ("disk", ("no", "-", "disks are not asked for yet")),
    ("network", ("part", WINE, "no bytes per connection")),
];

/// Where the tables stand in the page.
const BEGIN: &str = "<!-- parity: cargo xtask parity -->\n";
const END: &str = "<!-- end of parity -->\n";

/// Makes the tables anew; with `--check`, compares them with what would be made.
pub(crate) fn run(mut words: impl Iterator<Item = OsString>) -> Result<ExitCode> {
    let check = words.next().is_some_and(|word| word == "--check");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/windows.md");
    let old = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let new = page(&old)?;
    match (old == new, check) {
        (true, _) => {}
        (false, true) => {
            eprintln!(
                "xtask parity: docs/windows.md is not what the program has; `cargo xtask parity` makes its tables anew"
            );
            return Ok(ExitCode::FAILURE);
        }
        (false, false) => std::fs::write(&path, new)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn page(old: &str) -> Result<String> {
    let (head, rest) = old
        .split_once(BEGIN)
        .context("docs/windows.md has no place for the tables")?;
    let (_, tail) = rest
        .split_once(END)
        .context("docs/windows.md has no end of the tables")?;
    Ok(format!("{head}{BEGIN}{}{END}{tail}", tables()?))
}

fn tables() -> Result<String> {
    let help = printed(&["--help"])?;
    let mut out = String::new();
    let commands = listed(&printed(&["completions", "--answer", "1", "netstat", ""])?);
    table(&mut out, "Command", &commands, |name| find(COMMANDS, name))?;
    let switches = switches(&help);
    for (name, _) in SWITCHES {
        ensure!(
            switches.iter().any(|known| known == name),
            "there is no switch --{name}"
        );
    }
    table(&mut out, "Switch", &switches, |name| {
        Some(find(SWITCHES, name).unwrap_or(SAME))
    })?;
    let columns: Vec<String> = Sockets::columns().iter().map(|column| column.name.to_owned()).collect();
    table(&mut out, "Column", &columns, |name| {
        let column = Sockets::columns().iter().find(|column| column.name == name)?;
        find(MISSING, name).or_else(|| of_needs(column))
    })?;
    rules(&mut out)?;
    let tabs: Vec<String> = TABS.iter().map(|(name, _)| (*name).to_owned()).collect();
    table(&mut out, "Tab of the monitor", &tabs, |name| find(TABS, name))?;
    Ok(out)
}

fn find(list: &[(&str, Support)], name: &str) -> Option<Support> {
    list.iter().find(|(known, _)| *known == name).map(|(_, word)| *word)
}

fn of_needs(column: &Column<Sockets>) -> Option<Support> {
    let found = COLUMNS.iter().find(|(needs, _)| *needs == column.needs);
    found.map(|(_, word)| *word)
}

/// The names in the first column of lines.
fn listed(text: &str) -> Vec<String> {
    let name = |line: &str| line.split(['\t', ' ']).next().map(str::to_owned);
    let is_name = |name: &String| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
    text.lines().filter_map(name).filter(is_name).collect()
}

/// The long names of switches in a help text.
fn switches(help: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in help.lines().map(str::trim_start).filter(|line| line.starts_with('-')) {
        let words = line
            .split([' ', ',', '=', '['])
            .take_while(|word| word.is_empty() || word.starts_with('-'));
        for name in words.filter_map(|word| word.strip_prefix("--")) {
            if !name.is_empty() && !found.iter().any(|known| known == name) {
                found.push(name.to_owned());
            }
        }
    }
    found
}

fn table(out: &mut String, heading: &str, names: &[String], support: impl Fn(&str) -> Option<Support>) -> Result<()> {
    ensure!(!names.is_empty(), "no name for the table of {heading}");
    write!(
        out,
        "\n| {heading} | On Windows | Shown by | Why |\n|---|---|---|---|\n"
    )?;
    // What is the same code stands in one line.
    let mut same = Vec::new();
    for name in names {
        match support(name) {
            Some(SAME) => same.push(format!("`{name}`")),
            Some((works, by, why)) => writeln!(out, "| `{name}` | {works} | {by} | {why} |")?,
            None => bail!("{heading} {name}: xtask/src/parity.rs says nothing about it"),
        }
    }
    if !same.is_empty() {
        writeln!(out, "| {} | yes | the same code | |", same.join(" "))?;
    }
    Ok(())
}

fn rules(out: &mut String) -> Result<()> {
    let rules: Value = serde_json::from_str(&printed(&["audit", "--list-rules", "--json"])?)?;
    let rules = rules.as_array().context("audit --list-rules --json")?;
    write!(
        out,
        "\n| Rule of the audit | Linux | Windows | Shown on Windows by |\n|---|---|---|---|\n"
    )?;
    for rule in rules {
        let name = rule["name"].as_str().context("a rule without a name")?;
        let systems: Vec<&str> = rule["systems"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let is = |system| if systems.contains(&system) { "yes" } else { "-" };
        let by = match (is("windows"), name) {
            ("yes", "odd-place" | "double-extension" | "poses-as-system") => "Wine, made-up cases",
            ("yes", _) => "made-up cases",
            _ => "",
        };
        writeln!(out, "| `{name}` | {} | {} | {by} |", is("linux"), is("windows"))?;
    }
    Ok(())
}

/// What the program prints for `words`.
fn printed(words: &[&str]) -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--package", "netstat", "--"])
        .args(words)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cargo run")?;
    ensure!(output.status.success(), "netstat {words:?} failed: {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
