//! Detects environment variables that make an interpreter load code from unusual places.

use netstat_model::Fact;
use netstat_model::text::escape;

use crate::case::{Case, Exposure};
use crate::finding::{Check, Family, Note, Notes, Rule, Severity};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "environment-hook",
    title: "a variable of the environment makes the program load code from an unusual place",
    explanation: "PYTHONPATH, PYTHONSTARTUP, PERL5OPT, PERL5LIB, RUBYOPT, RUBYLIB, NODE_OPTIONS, NODE_PATH, JAVA_TOOL_OPTIONS, LUA_INIT, BASH_ENV, LD_LIBRARY_PATH and their like name \
        code that is loaded before the program's own. High when one names a place for short-lived files, a device directory or a hidden directory outside a home and \
        the program is connected beyond this computer; else medium; LD_LIBRARY_PATH is low.",
    harmless: "a build or test run; a packed program that unpacks itself to /tmp",
    technique: "T1574",
    family: Family::Memory,
    check: Check::Process(check),
};

const NAMES: &[&[u8]] = &[
    b"PYTHONPATH",
    b"PYTHONSTARTUP",
    b"PYTHONHOME",
    b"PERL5OPT",
    b"PERL5LIB",
    b"PERL5DB",
    b"RUBYOPT",
    b"RUBYLIB",
    b"NODE_OPTIONS",
    b"NODE_PATH",
    b"JAVA_TOOL_OPTIONS",
    b"_JAVA_OPTIONS",
    b"JDK_JAVA_OPTIONS",
    b"LUA_INIT",
    b"LUA_PATH",
    b"BASH_ENV",
    b"PHP_INI_SCAN_DIR",
    b"R_PROFILE",
    b"LD_LIBRARY_PATH",
    b"GCONV_PATH",
    b"OPENSSL_CONF",
    b"OPENSSL_ENGINES",
    b"GTK_MODULES",
];

fn check(case: &Case<'_>, notes: &mut Notes) {
    let Fact::Known(environment) = &case.facts.environment else {
        return;
    };
    let mut severity = None;
    let mut evidence = Vec::new();
    for variable in environment {
        let Some(equals) = variable.iter().position(|byte| *byte == b'=') else {
            continue;
        };
        let (name, value) = (&variable[..equals], &variable[equals + 1..]);
        if !NAMES.contains(&name)
            || !value
                .split(|byte| matches!(byte, b':' | b' ' | b'=' | b','))
                .any(is_odd)
        {
            continue;
        }
        let weight = match name {
            b"LD_LIBRARY_PATH" => Severity::Low,
            _ if case.exposure > Exposure::Loopback => Severity::High,
            _ => Severity::Medium,
        };
        severity = severity.max(Some(weight));
        evidence.push(format!("{}={}", escape(name), escape(&value[..value.len().min(200)])));
    }
    let Some(severity) = severity else { return };
    evidence.extend(case.reach_evidence());
    notes.found(Note {
        severity,
        headline: "was made to load code from an unusual place by its environment".to_owned(),
        evidence,
        verify: format!(
            "tr '\\0' '\\n' </proc/{}/environ | grep -E 'PYTHON|PERL|RUBY|NODE|JAVA|LUA|BASH_ENV|LD_'",
            case.facts.pid
        ),
        would_change: "you set the variable".to_owned(),
        pid: None,
        program: None,
    });
}

fn is_odd(path: &[u8]) -> bool {
    let passing = [&b"/tmp/"[..], b"/var/tmp/", b"/dev/", b"/run/"]
        .iter()
        .any(|place| path.starts_with(place));
    let packed = path.starts_with(b"/tmp/_MEI") || path.starts_with(b"/tmp/.mount_") || path == b"/dev/null";
    (passing && !packed) || super::place::is_hidden(path)
}
