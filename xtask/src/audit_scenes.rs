//! What the audit finds in scenes made on a copy of this machine: harmless re-enactments of intrusions, and everyday work.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use serde_json::Value;

const FILES: [(&str, bool); 2] = [("malicious", true), ("benign", false)];

/// Runs every scene whose name contains one of the words, or all; the words `--verbose` and `--digests` are options.
///
/// # Errors
/// Where the scenes cannot be made at all.
pub(crate) fn run(words: impl Iterator<Item = std::ffi::OsString>) -> Result<ExitCode, anyhow::Error> {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let verbose = words.iter().any(|word| word == "--verbose");
    let digests = words.iter().any(|word| word == "--digests");
    let wanted: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenes");
    let netstat = std::env::current_exe()?.with_file_name("netstat");
    let work = tempfile::tempdir()?;
    let compiled = Command::new("gcc")
        .args(["-O1", "-o"])
        .arg(work.path().join("agent"))
        .arg(here.join("agent.c"))
        .status()?;
    if !compiled.success() {
        anyhow::bail!("agent.c does not compile");
    }
    let mut wrong = Vec::new();
    let mut rates: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
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
            let (severity, lines, log) = one(&here, &file, scene, &netstat, work.path(), digests)?;
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
    Ok(if wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The gravest severity of a scene, its findings in lines, and what it and the audit wrote.
fn one(
    here: &Path,
    file: &Path,
    scene: &str,
    netstat: &PathBuf,
    work: &Path,
    digests: bool,
) -> Result<(String, Vec<String>, String), anyhow::Error> {
    let own = work.join(scene);
    std::fs::create_dir_all(&own)?;
    std::fs::copy(work.join("agent"), own.join("agent"))?;
    // A scene that cannot be made must not stop the others.
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
        return Ok(("error".to_owned(), vec![log.clone()], log));
    };
    const ORDER: [&str; 5] = ["info", "low", "medium", "high", "critical"];
    let rank = |severity: &str| ORDER.iter().position(|known| *known == severity);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines: Vec<(Option<usize>, String)> = Vec::new();
    for finding in document["findings"].as_array().into_iter().flatten() {
        let severity = text(&finding["severity"]);
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
    Ok((gravest.to_owned(), lines, log))
}
