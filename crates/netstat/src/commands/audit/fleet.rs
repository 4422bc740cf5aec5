//! Compares findings with those of other computers of a fleet: `audit --store clickhouse://...`, and `--ship`.

use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use netstat_audit::finding::Finding;
use netstat_audit::{Severity, Survey};
use netstat_fleet::findings::{FindingRow, SMALLEST_FLEET, audited_hosts, others_with, send};
use netstat_fleet::{Client, EngineError, HostId};
use netstat_os::files;
use serde_json::json;
use sha2::{Digest, Sha256};

/// The size up to which program files are hashed, in bytes; a larger file has no digest.
const LARGEST: u64 = 1 << 30;

/// Adds to each finding how many other computers have the same one. If `ship`, sends all findings.
///
/// # Errors
/// Returns an error if the engine cannot be reached or refuses the request.
pub(super) fn compare(
    survey: &mut Survey,
    client: &Client,
    (host_id, host): (HostId, &[u8]),
    ship: bool,
    now: SystemTime,
) -> Result<(), EngineError> {
    client.version()?;
    client.check_schema()?;
    let of = audited_hosts(client, host_id)?;
    let mut rows = Vec::new();
    for judged in &mut survey.judged {
        if judged.findings.is_empty() {
            continue;
        }
        let digest = digest(judged.facts.pid).unwrap_or_default();
        for finding in &mut judged.findings {
            rows.push(row(finding, &digest));
            weigh(
                finding,
                &digest,
                others_with(client, host_id, rows.last().unwrap_or(&FindingRow::default()))?,
                of,
            );
        }
    }
    for finding in &mut survey.host {
        rows.push(row(finding, ""));
        weigh(
            finding,
            "",
            others_with(client, host_id, rows.last().unwrap_or(&FindingRow::default()))?,
            of,
        );
    }
    match ship && !rows.is_empty() {
        true => send(client, host_id, host, netstat_record::millis(now), &rows),
        false => Ok(()),
    }
}

fn row(finding: &Finding, digest: &str) -> FindingRow {
    let document = json!({"headline": finding.headline, "evidence": finding.evidence, "technique": finding.technique});
    FindingRow {
        rule: finding.rule.name.to_owned(),
        severity: finding.severity.name().to_owned(),
        program: finding.program.clone().unwrap_or_default(),
        digest: digest.to_owned(),
        subject: match &finding.program {
            Some(_) => String::new(),
            None => finding.headline.clone(),
        },
        document: document.to_string(),
    }
}

/// Adjusts the severity of a finding: lower if most computers have it, higher if no other has it. The evidence says so
/// in either case. It is lowered only for the same program file, and never if it is high or critical.
fn weigh(finding: &mut Finding, digest: &str, others: u64, of: u64) {
    if of == 0 {
        return;
    }
    let same = if digest.is_empty() {
        "of a program at this path"
    } else {
        "about the same program file"
    };
    let before = finding.severity;
    let mut text =
        format!("{others} of the {of} other computers of the fleet that were audited have this finding {same}");
    if of + 1 >= SMALLEST_FLEET {
        match (others, before) {
            (0, Severity::Low) => finding.severity = Severity::Medium,
            (0, Severity::Medium) => finding.severity = Severity::High,
            (others, Severity::Medium | Severity::Low) if !digest.is_empty() && others * 2 > of => {
                finding.severity = before.lower();
            }
            _ => {}
        }
        if finding.severity != before {
            text.push_str(&format!(": {} instead of {before}", finding.severity));
        }
    }
    finding.evidence.push(text);
}

/// Returns the hexadecimal SHA-256 of the program file that the process `pid` runs, even if its path now leads to
/// another file.
fn digest(pid: u32) -> Option<String> {
    let file = files::open_foreign(Path::new(&format!("/proc/{pid}/exe"))).ok()?;
    if files::facts(&file).ok()?.size > LARGEST {
        return None;
    }
    let mut content = files::content(&file);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match content.read(&mut buffer).ok()? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    Some(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
