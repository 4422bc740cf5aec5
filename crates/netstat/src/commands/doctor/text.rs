//! The result as text.

use netstat_model::text::escape_str;
use netstat_os::{Check, CheckStatus};

use crate::output::rows::paint::Look;
use crate::output::wrap::wrapped;

/// Longer lines are hard to read, however wide the terminal is.
const WIDTH: usize = 110;

/// The number of checks with each status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts([usize; CheckStatus::ALL.len()]);

impl Counts {
    pub(super) fn of(checks: &[Check]) -> Self {
        Counts(CheckStatus::ALL.map(|status| checks.iter().filter(|check| check.status == status).count()))
    }

    /// Formats the counts: `23 checks: 20 ok, 3 limited`.
    fn line(self) -> String {
        let parts = CheckStatus::ALL.iter().zip(self.0).filter(|(_, count)| *count > 0);
        let parts: Vec<String> = parts
            .map(|(status, count)| format!("{count} {}", status.name()))
            .collect();
        format!("{} checks: {}", self.0.iter().sum::<usize>(), parts.join(", "))
    }
}

const fn look(status: CheckStatus) -> Look {
    match status {
        CheckStatus::Good | CheckStatus::Note => Look::Plain,
        CheckStatus::Unknown | CheckStatus::Limited => Look::Changed,
        CheckStatus::Failed => Look::Alarming,
    }
}

/// Writes the checks by area, and a summary line.
pub(super) fn write(out: &mut Vec<u8>, checks: &[Check], counts: Counts, width: Option<usize>, colored: bool) {
    let width = width.unwrap_or(WIDTH).clamp(40, WIDTH);
    let paint = |out: &mut Vec<u8>, look: Look, text: &str| {
        let look = if colored { look } else { Look::Plain };
        look.paint(out, |out| out.extend_from_slice(text.as_bytes()));
    };
    let mut area = None;
    for check in checks {
        if area != Some(check.area) {
            if area.is_some() {
                out.push(b'\n');
            }
            area = Some(check.area);
            paint(out, Look::Heading, check.area.name());
            out.push(b'\n');
        }
        out.extend_from_slice(b"  ");
        paint(out, look(check.status), &format!("{:9}", check.status.name()));
        part(out, &format!("{:24}", check.id), &check.found, 11, width);
        if check.status == CheckStatus::Good {
            continue;
        }
        for (label, text) in [("why", &check.reason), ("effect", &check.effect)] {
            if let Some(text) = text {
                out.extend_from_slice(b"           ");
                part(out, &format!("  {label:8}"), text, 11, width);
            }
        }
        if let Some(remedy) = &check.remedy {
            // A command is not wrapped, so that it is easy to copy.
            out.extend_from_slice(format!("             {:8}{}\n", "mend", escape_str(remedy)).as_bytes());
        }
    }
    if !checks.is_empty() {
        out.push(b'\n');
    }
    out.extend_from_slice(counts.line().as_bytes());
    out.push(b'\n');
}

/// Writes a label followed by a text, wrapped below itself; `before` columns are already taken.
fn part(out: &mut Vec<u8>, label: &str, text: &str, before: usize, width: usize) {
    let indent = before + label.len();
    let text = escape_str(text);
    for (number, line) in wrapped(&text, width.saturating_sub(indent).max(20)).iter().enumerate() {
        match number {
            0 => out.extend_from_slice(format!("{label}{line}\n").as_bytes()),
            _ => out.extend_from_slice(format!("{:indent$}{line}\n", "").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use netstat_os::CheckArea;

    use super::*;

    #[test]
    fn doctor_text_explains_problems_and_gives_good_checks_one_line() {
        let checks = [
            Check::new(CheckArea::Kernel, "btf", CheckStatus::Good, "there").because("not shown"),
            Check::new(CheckArea::Answers, "sockets", CheckStatus::Limited, "evil\u{1b}[2J")
                .because("refused")
                .effect("rows are missing")
                .remedy("sudo netstat doctor"),
        ];
        let mut out = Vec::new();
        write(&mut out, &checks, Counts::of(&checks), Some(60), false);
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains('\u{1b}') && !text.contains("not shown"), "{text}");
        for part in [
            "kernel\n  ok       btf",
            "why     refused",
            "effect  rows",
            "mend    sudo netstat doctor\n",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
        assert!(text.ends_with("2 checks: 1 ok, 1 limited\n"), "{text}");
    }
}
