//! The texts, layout and exit status of the command.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use netstat_testkit::actors::Actor;
use netstat_testkit::{Needs, own_namespace};

use crate::kit::{Running, audit, netstat, open, sleep, sleep_at};

#[test]
fn audit_exit_status_follows_fail_on() {
    own_namespace!(Needs::PROCESSES);
    let shared = tempfile::tempdir_in("/dev/shm").unwrap();
    let status = |words: &[&str]| {
        netstat()
            .run([&["audit", "--no-digests"], words].concat())
            .status
            .code()
    };
    assert_eq!(status(&["--fail-on", "info"]), Some(0));
    let running = Running::with(&mut sleep_at(&shared.path().join("x")), open());
    assert_eq!(status(&[]), Some(0));
    assert_eq!(status(&["--fail-on", "high"]), Some(3));
    assert_eq!(status(&["--fail-on", "critical"]), Some(0));
    let other = running.pid() + 1;
    assert_eq!(status(&["--fail-on", "high", "--pid", &other.to_string()]), Some(0));
    assert_eq!(status(&["--fail-on", "high", "--program", "x"]), Some(3));
}

#[test]
fn audit_text_explains_each_finding_and_what_was_not_examined() {
    own_namespace!(Needs::PROCESSES);
    let shared = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = shared.path().join("x");
    let running = Running::with(&mut sleep_at(&path), open());
    let outcome = netstat().run(["audit", "--no-digests", "--min", "high"]);
    let text = outcome.success();
    let head = format!(
        "HIGH  {} (PID {}) runs from a place where no program belongs",
        path.display(),
        running.pid()
    );
    assert!(text.contains(&head), "{text}");
    for part in [
        "verdict:      suspicious",
        "seen:",
        "verify:       ls -ld /proc/",
        "harmless if:",
        "T1036.005",
        "Not examined",
        "does not mean clean",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("\x1b["), "{text}");
    let colored = netstat().run(["audit", "--no-digests", "--color", "always"]);
    assert!(colored.success().contains("\x1b["));
}

#[test]
fn audit_document_follows_its_schema() {
    own_namespace!(Needs::PROCESSES);
    let running = Running::with(&mut sleep(), open());
    let shared = tempfile::tempdir_in("/dev/shm").unwrap();
    let _odd = Running::with(&mut sleep_at(&shared.path().join("x")), open());
    let schema: serde_json::Value = serde_json::from_str(netstat().run(["schema", "audit"]).success()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let document = audit(&[]);
    let errors: Vec<String> = validator
        .iter_errors(&document)
        .map(|error| format!("{}: {error}", error.instance_path))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
    assert!(!document["findings"].as_array().unwrap().is_empty());
    assert_eq!(document["schema"], "netstat.audit");
    drop(running);
}

#[test]
fn audit_text_escapes_hostile_names() {
    own_namespace!(Needs::PROCESSES);
    let name = OsString::from_vec(b"a\n\x1b[31mb\xff\xe2\x80\xae".to_vec());
    let _holder = Actor::named(name).hold(open());
    let outcome = netstat().run(["audit", "--no-digests"]);
    let text = outcome.success();
    assert!(text.contains("/a\\n\\e[31mb\\xff\\u{202e} (PID"), "{text}");
    assert!(!text.contains('\x1b') && !text.contains('\u{202e}'), "{text}");
}

#[test]
fn audit_by_an_ordinary_user_says_what_is_missing() {
    own_namespace!(Needs::PROCESSES);
    let running = Running::with(&mut sleep(), open());
    let outcome = netstat().unprivileged().run(["audit", "--no-digests"]);
    let text = outcome.success();
    assert!(
        text.contains("owner unknown") || text.contains("owners unknown"),
        "{text}"
    );
    assert!(text.contains("not permitted"), "{text}");
    drop(running);
}

#[test]
fn audit_rules_are_listed_and_explained() {
    let list = netstat().run(["audit", "--rules"]);
    let names: Vec<&str> = list
        .success()
        .lines()
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let explained = netstat().run(["audit", "--explain", name]);
        let text = explained.success();
        assert!(
            text.starts_with(&format!("{name}: "))
                && text.contains("Harmless if: ")
                && text.contains("scenes of everyday work")
                // A rule that is not a sign of an intrusion has no technique.
                && (text.contains("attack.mitre.org") || name == "outdated-libraries"),
            "{text}"
        );
    }
}

#[test]
fn audit_wrong_arguments_are_refused_by_name() {
    for (words, told) in [
        (&["audit", "--min", "urgent"][..], "urgent"),
        (&["audit", "--explain", "deleted-programme"], "deleted-program"),
        (&["audit", "--fail-on"], "--fail-on"),
    ] {
        let outcome = netstat().run(words);
        assert!(outcome.refusal().contains(told), "{outcome:?}");
    }
    let outcome = netstat().run(["audit", "--blocklist", "/nowhere/list"]);
    assert_eq!(outcome.status.code(), Some(1));
    assert!(outcome.stderr.contains("/nowhere/list"), "{outcome:?}");
}
