//! Reports tests that cannot run here, or fails them where nothing may be skipped.

use std::io::Write;
use std::path::Path;

use crate::namespace::current_test;

/// Forbids skips, for machines that are known to support everything. The value is the path of a list of skips that are
/// allowed nevertheless (see [`is_allowed`]); any other value allows none.
const STRICT: &str = "NETSTAT_TESTKIT_STRICT";

/// The beginning of every line about a skip.
const PREFIX: &str = "skipped ";

/// Reports on stderr that a test, or a part of one, does not run. The harness captures `eprintln!` of passing tests, so
/// this writes to the real stderr: `skipped TEST: REASON`, or `skipped TEST (PART): REASON` if `what` is a part.
///
/// # Panics
/// Panics if `NETSTAT_TESTKIT_STRICT` is set and its list does not allow this skip.
pub fn skip(what: &str, reason: &str) {
    let line = describe(&running_test(), what, reason);
    if let Some(list) = std::env::var_os(STRICT) {
        let allowed = std::fs::read_to_string(Path::new(&list)).unwrap_or_default();
        assert!(is_allowed(&allowed, &line), "may not be skipped here: {line}");
    }
    // A single write, so that the lines of other tests do not end up within this one.
    let _ = std::io::stderr().write_all(format!("{PREFIX}{line}\n").as_bytes());
}

/// Passes on the skips reported by a test that was run again in another process.
pub fn pass_on_skips(stderr: &[u8]) {
    for line in String::from_utf8_lossy(stderr).lines() {
        if line.starts_with(PREFIX) {
            let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
        }
    }
}

/// Returns the name of the test that runs in this thread; empty if unknown.
pub(crate) fn running_test() -> String {
    let inside = current_test();
    if !inside.is_empty() {
        return inside;
    }
    // The harness names its threads after the tests, except with `--test-threads=1`.
    let thread = std::thread::current();
    thread
        .name()
        .filter(|&name| name != "main")
        .unwrap_or_default()
        .to_owned()
}

fn describe(test: &str, what: &str, reason: &str) -> String {
    let reason = reason.trim().replace('\n', "; ");
    if test.is_empty() || test == what || test.ends_with(&format!("::{what}")) {
        format!("{what}: {reason}")
    } else if what.is_empty() {
        format!("{test}: {reason}")
    } else {
        format!("{test} ({what}): {reason}")
    }
}

/// Whether a list of skips contains `line`. Each line of the list is a pattern in which `*` stands for any text; empty
/// lines and lines that begin with `#` are ignored.
fn is_allowed(list: &str, line: &str) -> bool {
    list.lines()
        .map(str::trim)
        .filter(|pattern| !pattern.is_empty() && !pattern.starts_with('#'))
        .any(|pattern| matches(pattern, line))
}

fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn description_names_test_and_part_once() {
        assert_eq!(describe("", "a", "b"), "a: b");
        assert_eq!(describe("a", "a", "b\nc\n"), "a: b; c");
        assert_eq!(describe("module::a", "a", "b"), "a: b");
        assert_eq!(describe("a", "IPv6", "b"), "a (IPv6): b");
        assert_eq!(describe("a", "", "b"), "a: b");
    }

    #[test]
    fn allowed_skips_match_whole_lines() {
        let list = "# comment\n\none: needs root\nthree*: no * here\n  four: *  \n";
        for (line, allowed) in [
            ("one: needs root", true),
            ("one: needs rooting", false),
            ("one: needs", false),
            ("two: needs root", false),
            ("three (IPv6): no address here", true),
            ("three (IPv6): no address there", false),
            ("four: anything", true),
            ("# comment", false),
            ("", false),
        ] {
            assert_eq!(is_allowed(list, line), allowed, "{line}");
        }
        assert!(!is_allowed("", "one: needs root"));
        assert!(!matches("a*a", "a"));
        assert!(matches("a*a", "aa"));
    }

    #[test]
    fn running_test_is_named_after_the_thread() {
        let name = running_test();
        assert!(
            name.is_empty() || name.ends_with("running_test_is_named_after_the_thread"),
            "{name}"
        );
    }
}
