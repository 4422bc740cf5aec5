//! Runs the audit in scenes on a copy of this machine: harmless re-enactments of intrusions, and everyday work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde_json::Value;

const FILES: [(&str, bool); 2] = [("malicious", true), ("benign", false)];

/// Runs every scene whose name contains one of the words, or all of them without words. The words `--verbose`,
/// `--digests` and `--record` are options. `--record`, which requires all scenes, updates the hit rates of the rules
/// and the table in `docs/audit.md`.
///
/// # Errors
/// Returns an error if the scenes cannot be set up at all.
pub(crate) fn run(words: impl Iterator<Item = std::ffi::OsString>) -> Result<ExitCode, anyhow::Error> {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let verbose = words.iter().any(|word| word == "--verbose");
    let digests = words.iter().any(|word| word == "--digests");
    let record = words.iter().any(|word| word == "--record");
    let wanted: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    if record && !wanted.is_empty() {
        anyhow::bail!("--record needs all scenes");
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes");
    let netstat = std::env::current_exe()?.with_file_name("netstat");
    let work = tempfile::tempdir()?;
    compile_agent(&here, work.path())?;
    let mut wrong = Vec::new();
    let mut rates: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let mut rules: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    println!("{:<10} {:<34} {:<9} findings", "kind", "scene", "severity");
    for (kind, bad) in FILES {
        let file = here.join(format!("{kind}.sh"));
        let text = std::fs::read_to_string(&file)?;
        for scene in text
            .lines()
            .filter_map(|line| line.strip_prefix("scene_")?.split("()").next())
        {
            if !wanted.is_empty() && !wanted.iter().any(|word| scene.contains(word.as_str())) {
                continue;
            }
            let Seen {
                severity,
                lines,
                log,
                grave: grave_rules,
            } = one(&here, &file, scene, &netstat, work.path(), digests)?;
            for rule in grave_rules {
                rules.entry(rule).or_default()[usize::from(!bad)] += 1;
            }
            let grave = matches!(severity.as_str(), "high" | "critical");
            let count = rates.entry(kind).or_default();
            count[0] += 1;
            count[1] += usize::from(grave);
            count[2] += usize::from(matches!(severity.as_str(), "-" | "info"));
            let right = grave == bad;
            println!(
                "{kind:<10} {scene:<34} {severity:<9} {}{}",
                if right { "" } else { "<-- " },
                lines.first().map_or("", String::as_str)
            );
            if verbose || !right {
                for line in lines.iter().skip(1) {
                    println!("{:<55} {line}", "");
                }
            }
            if verbose {
                println!("{log}");
            }
            if !right {
                wrong.push(format!("{kind} {scene}"));
            }
        }
    }
    for (kind, [all, grave, none]) in &rates {
        let what = if *kind == "malicious" {
            "found at high or above"
        } else {
            "with a false alarm"
        };
        println!("{kind}: {grave} of {all} {what}, {none} with no finding above info");
    }
    if record {
        write_figures(&rates, &rules)?;
        document(&netstat)?;
    }
    Ok(if wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Compiles the program that is used in many scenes.
fn compile_agent(sources: &Path, work: &Path) -> Result<(), anyhow::Error> {
    let compiled = Command::new("gcc")
        .args(["-O1", "-o"])
        .arg(work.join("agent"))
        .arg(sources.join("agent.c"))
        .status()?;
    if !compiled.success() {
        anyhow::bail!("agent.c does not compile");
    }
    Ok(())
}

/// Writes the hit rates of the rules, for `--explain` and the table.
fn write_figures(
    rates: &BTreeMap<&str, [usize; 3]>,
    rules: &BTreeMap<String, [usize; 2]>,
) -> Result<(), anyhow::Error> {
    let of = |kind: &str, place: usize| rates.get(kind).map_or(0, |rate| rate[place]);
    let mut text = String::from(
        "# Written by `cargo xtask audit-scenes --record`: in how many scenes of intrusions and of everyday work a rule found something high or critical.\n",
    );
    text.push_str(&format!("scenes\t{}\t{}\n", of("malicious", 0), of("benign", 0)));
    text.push_str(&format!("any\t{}\t{}\n", of("malicious", 1), of("benign", 1)));
    for (rule, [found, alarms]) in rules {
        text.push_str(&format!("{rule}\t{found}\t{alarms}\n"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/netstat-audit/src/measured.tsv");
    std::fs::write(path, text)?;
    Ok(())
}

/// The marks around the generated table in `docs/audit.md`.
const MARKS: [&str; 2] = ["<!-- rules: cargo xtask audit-docs -->", "<!-- end of rules -->"];

/// Updates the table of rules in `docs/audit.md`; with `--check`, reports whether it is up to date.
///
/// # Errors
/// Returns an error if the program or the page cannot be read.
pub(crate) fn docs(mut words: impl Iterator<Item = std::ffi::OsString>) -> Result<ExitCode, anyhow::Error> {
    let check = words.next().is_some_and(|word| word == "--check");
    let netstat = std::env::current_exe()?.with_file_name("netstat");
    if !check {
        document(&netstat)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (old, new) = page(&netstat)?;
    if old == new {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "xtask audit-docs: docs/audit.md is not what the rules say; `cargo xtask audit-docs` makes its table anew"
    );
    Ok(ExitCode::FAILURE)
}

fn document(netstat: &Path) -> Result<(), anyhow::Error> {
    let (_, new) = page(netstat)?;
    std::fs::write(audit_page(), new)?;
    Ok(())
}

fn audit_page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/audit.md")
}

/// Returns the page as it is and as it should be. Names and titles come from the program that was built, hit rates from
/// the file.
fn page(netstat: &Path) -> Result<(String, String), anyhow::Error> {
    let output = Command::new(netstat).args(["audit", "--rules", "--json"]).output()?;
    let rules: Value = serde_json::from_slice(&output.stdout)?;
    let figures = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/netstat-audit/src/measured.tsv"),
    )?;
    let figure = |name: &str| {
        let line = figures.lines().find(|line| line.split('\t').next() == Some(name));
        let mut cells = line.unwrap_or_default().split('\t').skip(1).map(str::to_owned);
        [cells.next(), cells.next()].map(|cell| cell.unwrap_or_else(|| "0".to_owned()))
    };
    let ([malicious, benign], [found, alarms]) = (figure("scenes"), figure("any"));
    let mut table = format!(
        "{}\n\nOn the project's own scenes, `netstat audit` reports severity high or above in **{found} of {malicious}** re-enactments of intrusions, and in **{alarms} of \
         {benign}** scenes of everyday work.\n\n\
         | Rule | Reports that ... | ATT&CK | Intrusions found | False alarms |\n| --- | --- | --- | --- | --- |\n",
        MARKS[0]
    );
    for rule in rules.as_array().into_iter().flatten() {
        let text = |key: &str| rule[key].as_str().unwrap_or_default().replace('|', "\\|");
        let technique = match rule["link"].as_str() {
            Some(link) => format!("[{}]({link})", text("technique")),
            None => "-".to_owned(),
        };
        let [found, alarms] = figure(&text("name"));
        table.push_str(&format!(
            "| `{}` | {} | {technique} | {found} | {alarms} |\n",
            text("name"),
            text("title")
        ));
    }
    table.push('\n');
    let old = std::fs::read_to_string(audit_page())?;
    let (Some(start), Some(end)) = (old.find(MARKS[0]), old.find(MARKS[1])) else {
        anyhow::bail!("docs/audit.md has lost its marks");
    };
    let new = format!("{}{table}{}", &old[..start], &old[end..]);
    Ok((old, new))
}

/// The result of a scene.
struct Seen {
    /// The highest severity.
    severity: String,
    /// The findings, one per line.
    lines: Vec<String>,
    /// The output of the scene and the audit.
    log: String,
    /// The rules with findings of severity high or critical.
    grave: BTreeSet<String>,
}

fn one(
    here: &Path,
    file: &Path,
    scene: &str,
    netstat: &PathBuf,
    work: &Path,
    digests: bool,
) -> Result<Seen, anyhow::Error> {
    let own = work.join(scene);
    std::fs::create_dir_all(&own)?;
    std::fs::copy(work.join("agent"), own.join("agent"))?;
    // A scene that fails must not stop the others.
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=2", "30"])
        .arg(here.join("run.sh"))
        .arg(file)
        .arg(scene)
        .arg(netstat)
        .arg(&own);
    if digests {
        command.env("SCENE_AUDIT", "--color=never");
    }
    let output = command.output()?;
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let Ok(document) = serde_json::from_slice::<Value>(&output.stdout) else {
        return Ok(Seen {
            severity: "error".to_owned(),
            lines: vec![log.clone()],
            log,
            grave: BTreeSet::new(),
        });
    };
    const ORDER: [&str; 5] = ["info", "low", "medium", "high", "critical"];
    let rank = |severity: &str| ORDER.iter().position(|known| *known == severity);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines: Vec<(Option<usize>, String)> = Vec::new();
    let mut grave = BTreeSet::new();
    for finding in document["findings"].as_array().into_iter().flatten() {
        let severity = text(&finding["severity"]);
        if matches!(severity.as_str(), "high" | "critical") {
            grave.insert(text(&finding["rule"]));
        }
        lines.push((
            rank(&severity),
            format!(
                "{severity} {}: {} {}",
                text(&finding["rule"]),
                text(&finding["program"]),
                text(&finding["headline"])
            ),
        ));
    }
    for program in document["programs"].as_array().into_iter().flatten() {
        let severity = text(&program["severity"]);
        let line = format!(
            "{severity} verdict {}: {}",
            text(&program["verdict"]),
            text(&program["program"])
        );
        lines.push((rank(&severity), line));
    }
    lines.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
    let gravest = lines
        .first()
        .and_then(|(rank, _)| *rank)
        .map_or("-", |rank| ORDER[rank]);
    let lines = lines.into_iter().map(|(_, line)| line).collect();
    Ok(Seen {
        severity: gravest.to_owned(),
        lines,
        log,
        grave,
    })
}
