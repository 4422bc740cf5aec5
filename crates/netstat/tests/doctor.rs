//! The output of `netstat doctor` about this computer, for the user who runs the tests and without privileges.
#![cfg(target_os = "linux")]

use netstat_testkit::{Netstat, own_namespace};
use serde_json::Value;

fn netstat() -> Netstat {
    Netstat::new(env!("CARGO_BIN_EXE_netstat"))
}

fn checks(text: &str) -> Vec<Value> {
    let document: Value = serde_json::from_str(text).unwrap();
    assert_eq!(document["schema"], "netstat.doctor");
    document["checks"].as_array().unwrap().clone()
}

fn status<'a>(checks: &'a [Value], id: &str) -> &'a str {
    let check = checks.iter().find(|check| check["id"] == id);
    check.unwrap_or_else(|| panic!("no check {id}"))["status"]
        .as_str()
        .unwrap()
}

#[test]
fn doctor_document_matches_its_schema_and_the_computer() {
    let text = netstat().run(["doctor", "--json", "--numeric"]).success().to_owned();
    let schema: Value = serde_json::from_str(netstat().run(["schema", "doctor"]).success()).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    jsonschema::validate(&schema, &document).unwrap();
    let checks = checks(&text);
    let btf = std::fs::File::open("/sys/kernel/btf/vmlinux").is_ok();
    assert_eq!(status(&checks, "btf") == "ok", btf);
    let root = rustix::process::geteuid().is_root();
    assert_eq!(status(&checks, "user") == "ok", root);
    let version = checks.iter().find(|check| check["id"] == "version").unwrap();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(version["found"], format!("Linux {}", release.trim()));
    // Whatever is missing has an effect or a reason.
    for check in &checks {
        if matches!(check["status"].as_str(), Some("limited" | "failed")) {
            assert!(check["reason"].is_string() || check["effect"].is_string(), "{check}");
        }
    }
}

#[test]
fn doctor_remedy_for_the_superuser_has_no_sudo() {
    own_namespace!();
    // Without a record, there is always something to fix.
    let store = tempfile::tempdir().unwrap();
    let store = store.path().join("none.db");
    let words = ["doctor", "--json", "--numeric", "--store", store.to_str().unwrap()];
    let text = netstat().run(words).success().to_owned();
    let all = checks(&text);
    let remedies: Vec<&str> = all.iter().filter_map(|check| check["remedy"].as_str()).collect();
    assert!(
        remedies
            .iter()
            .any(|remedy| remedy.contains("record --install-service")),
        "{text}"
    );
    assert!(
        !remedies.iter().any(|remedy| remedy.starts_with("sudo ")),
        "{remedies:?}"
    );
}

#[test]
fn doctor_problems_option_leaves_out_good_checks() {
    let text = netstat()
        .run(["doctor", "--problems", "--numeric", "--color", "never"])
        .success()
        .to_owned();
    assert!(!text.lines().any(|line| line.starts_with("  ok ")), "{text}");
    assert!(text.lines().last().unwrap().contains(" checks: "), "{text}");
}

#[test]
fn doctor_reports_unknown_time_zone() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_netstat"));
    let out = command
        .args(["doctor", "--json", "--numeric"])
        .env("TZ", "Nowhere/Atall")
        .output()
        .unwrap();
    let checks = checks(&String::from_utf8(out.stdout).unwrap());
    assert_eq!(status(&checks, "time-zone"), "limited");
}
