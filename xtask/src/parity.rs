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

/// Switches, by their long names; all others are the same code over the same rows.
const SWITCHES: &[(&str, Support)] = &[
    ("all", YES),
    ("numeric", YES),
    ("pids", YES),
    ("executables", YES),
    ("programs", YES),
    ("listening", YES),
    ("tcp", YES),
    ("udp", YES),
    ("protocol", YES),
    ("state", YES),
    ("port", YES),
    ("pid", YES),
    ("program", YES),
    ("full-names", YES),
    ("ethernet", YES),
    ("statistics", YES),
    ("routes", YES),
    ("to", YES),
    ("changes", YES),
    ("follow", YES),
    ("json", YES),
    ("csv", YES),
    ("columns", YES),
    ("replay", YES),
    (
        "bound",
        ("yes", MADE_UP, "Wine does not list bound ports; the list says so"),
    ),
    (
        "time-in-state",
        (
            "part",
            WINE,
            "from the record and earlier samples; Windows does not tell it",
        ),
    ),
    (
        "exposed",
        ("part", WINE, "by address; port proxies are shown by audit and inspect"),
    ),
    ("unit", ("part", MADE_UP, "the name of a service or package")),
    ("groups", ("no", "-", "multicast groups are not asked for yet")),
    ("raw", ("no", "-", "Windows lists no RAW sockets")),
    ("unix", ("no", "-", "Windows lists no UNIX sockets")),
    ("all-namespaces", ("no", "-", "there are no network namespaces")),
    ("table", ("part", MADE_UP, "there is one routing table")),
    ("from", ("part", MADE_UP, "only with an address of this computer")),
    ("mark", ("no", "-", "Windows has no marks of routing")),
    ("uid", ("no", "-", "Windows routes by no user")),
    ("user", ("no", "-", "Windows keeps no user with a socket")),
    ("dscp", ("no", "-", "Windows does not keep it with a socket")),
    (
        "rates",
        (
            "yes",
            WINE,
            "bytes per connection (EStats) when elevated, by a made-up computer only",
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
    (
        Needs::STATE_TIMES,
        ("part", WINE, "from the record and earlier samples"),
    ),
    (Needs::ASKED_NAMES, ("no", "-", "DNS answers are not watched")),
    (Needs::LOCATIONS, SAME),
    (
        Needs::RATES,
        (
            "yes",
            MADE_UP,
            "when elevated, of TCP: counted from the first listing on (EStats), which Wine does not offer",
        ),
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
    (
        "record",
        (
            "part",
            WINE,
            "ETW by a made-up computer only; no names from DNS answers",
        ),
    ),
    ("history", YES),
    (
        "monitor",
        (
            "yes",
            WINE,
            "disks and bytes per connection by a made-up computer only: Wine tells neither",
        ),
    ),
    ("completions", SAME),
    ("man", SAME),
    ("schema", SAME),
    (
        "serve",
        ("yes", WINE, "at addresses; no Unix sockets, none that are handed over"),
    ),
    ("fleet", YES),
    ("help", SAME),
];

const TABS: &[(&str, Support)] = &[
    ("overview", ("yes", WINE, "disks by a made-up computer only")),
    ("cpu", YES),
    ("memory", YES),
    (
        "disk",
        (
            "yes",
            MADE_UP,
            "bytes of processes are those of all their input and output",
        ),
    ),
    (
        "network",
        (
            "yes",
            WINE,
            "bytes per connection when elevated, by a made-up computer only",
        ),
    ),
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
    // What may be the first argument: commands and switches, each with its meaning behind a tab.
    let words = printed(&["completions", "fish", "--answer", "1", "--", "netstat", ""])?;
    let first = |line: &str| line.split('\t').next().map(str::to_owned);
    let (switches, commands): (Vec<String>, Vec<String>) =
        words.lines().filter_map(first).partition(|name| name.starts_with("--"));
    let switches: Vec<String> = switches
        .iter()
        .map(|name| name.trim_start_matches('-').to_owned())
        .collect();
    let mut out = String::new();
    table(&mut out, "Command", &commands, |name| find(COMMANDS, name))?;
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

fn table(out: &mut String, heading: &str, names: &[String], support: impl Fn(&str) -> Option<Support>) -> Result<()> {
    ensure!(!names.is_empty(), "no name for the table of {heading}");
    // What is alike stands in one line, in the order in which the first of it comes.
    let mut rows: Vec<(Support, Vec<String>)> = Vec::new();
    for name in names {
        let Some(found) = support(name) else {
            bail!("{heading} {name}: xtask/src/parity.rs says nothing about it");
        };
        match rows.iter_mut().find(|(known, _)| *known == found) {
            Some((_, alike)) => alike.push(format!("`{name}`")),
            None => rows.push((found, vec![format!("`{name}`")])),
        }
    }
    write!(
        out,
        "\n| {heading} | On Windows | Shown by | Why |\n|---|---|---|---|\n"
    )?;
    for ((works, by, why), names) in rows {
        writeln!(out, "| {} | {works} | {by} | {why} |", names.join(" "))?;
    }
    Ok(())
}

fn rules(out: &mut String) -> Result<()> {
    let rules: Value = serde_json::from_str(&printed(&["audit", "--rules", "--json"])?)?;
    let rules = rules.as_array().context("audit --rules --json")?;
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
            // `.ci/windows.d/commands` makes these.
            (
                "yes",
                "odd-place" | "double-extension" | "poses-as-system" | "odd-parent" | "open-port" | "private-code"
                | "service-file" | "port-proxy" | "block-list" | "taken-port",
            ) => "Wine, made-up cases",
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
