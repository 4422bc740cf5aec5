//! The loads: how many sockets in how many processes, and their making.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::machine;
use crate::load::Amounts;

/// How the sockets are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// In a few large processes.
    Few,
    /// In many processes of some 200 sockets, at most 1,000 of them.
    Many,
    /// In many processes, beside others that hold plain descriptors only.
    Descriptors,
}

impl Shape {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Shape::Few => "few",
            Shape::Many => "many",
            Shape::Descriptors => "descriptors",
        }
    }
}

/// The sockets of the load with plain descriptors, those descriptors, and the processes that hold them.
const DESCRIPTOR_LOAD: (u64, u64, u64) = (10_000, 1_000_000, 200);

/// One load to be made.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub shape: Shape,
    pub amounts: Amounts,
}

/// The loads of the given sizes; the short form leaves the few large processes and the plain descriptors out.
pub(crate) fn plans(sizes: &[u64], short: bool) -> Vec<Plan> {
    let short_sizes = [1_000, 10_000];
    let sizes = if short { &short_sizes[..] } else { sizes };
    let mut plans = Vec::new();
    for &size in sizes {
        if !short {
            plans.push(plan(Shape::Few, size));
        }
        plans.push(plan(Shape::Many, size));
    }
    if !short && sizes.contains(&DESCRIPTOR_LOAD.0) {
        plans.push(plan(Shape::Descriptors, DESCRIPTOR_LOAD.0));
    }
    plans
}

fn plan(shape: Shape, size: u64) -> Plan {
    let processes = match shape {
        Shape::Few => 4,
        Shape::Many | Shape::Descriptors => (size / 200).clamp(5, 1000),
    };
    let (descriptors, descriptor_processes) = match shape {
        Shape::Descriptors => (DESCRIPTOR_LOAD.1, DESCRIPTOR_LOAD.2),
        Shape::Few | Shape::Many => (0, 0),
    };
    let udp = size / 100;
    let amounts = Amounts {
        tcp: size - udp,
        listeners: size / 100,
        udp,
        v6_percent: 20,
        processes,
        descriptors,
        descriptor_processes,
    };
    Plan { shape, amounts }
}

impl Plan {
    /// What the load is to be, in words.
    pub(crate) fn title(&self) -> String {
        let sockets = thousands(self.amounts.sockets());
        let processes = self.amounts.processes;
        match self.shape {
            Shape::Few | Shape::Many => format!("{sockets} sockets in {processes} processes"),
            Shape::Descriptors => format!(
                "{sockets} sockets in {processes} processes, {} plain descriptors in {} more",
                thousands(self.amounts.descriptors),
                self.amounts.descriptor_processes
            ),
        }
    }

    /// Where the load is on the plot: its sockets.
    pub(crate) fn on_plot(&self) -> Option<u64> {
        (self.shape == Shape::Many).then(|| self.amounts.sockets())
    }

    /// Why the machine has no room for it.
    pub(crate) fn no_room(&self) -> Option<String> {
        let amounts = &self.amounts;
        machine::no_room(
            amounts.sockets(),
            amounts.descriptors,
            amounts.processes + amounts.descriptor_processes,
        )
    }
}

/// A load that is up; dropping it takes it down.
pub(crate) struct Load {
    child: Child,
    /// What it said when it was up.
    pub ready: String,
    /// How many processes hold the sockets: more than planned where the limit on open files asks for it.
    pub processes: u64,
}

impl Load {
    /// Starts `load` in a network namespace of its own and waits until it is up.
    ///
    /// # Errors
    /// `unshare` is missing or refused, or the load fails; it says why on stderr.
    pub(crate) fn start(plan: &Plan) -> Result<Load> {
        let root = rustix::process::geteuid().is_root();
        let amounts = &plan.amounts;
        let child = Command::new("unshare")
            // Without --fork, the process keeps its id and becomes the load.
            .arg(if root { "-n" } else { "-Urn" })
            .arg(std::env::current_exe()?)
            .arg("load")
            .args(
                [
                    ("tcp", amounts.tcp),
                    ("listeners", amounts.listeners),
                    ("udp", amounts.udp),
                    ("v6-percent", amounts.v6_percent),
                    ("processes", amounts.processes),
                    ("descriptors", amounts.descriptors),
                    ("descriptor-processes", amounts.descriptor_processes),
                ]
                .map(|(name, value)| format!("--{name}={value}")),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting `unshare` (of util-linux)")?;
        let mut load = Load {
            child,
            ready: String::new(),
            processes: 0,
        };
        let stdout = load.child.stdout.take().context("its stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(line.starts_with("READY"), "the load did not come up");
        load.ready = line.trim_end().to_owned();
        load.processes = processes_in(&line).context("the load's answer")?;
        Ok(load)
    }

    /// The process whose network namespace holds the load.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Takes the load down and waits for its end.
    ///
    /// # Errors
    /// The load had failed meanwhile, so that the figures cannot be trusted.
    pub(crate) fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "the load failed under way ({status})");
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It has ended already when `end` was called; else this is the way out after an error.
        let _ = self.child.wait();
    }
}

/// The number of processes in the words `... UDP in 4 processes; ...`.
fn processes_in(ready: &str) -> Option<u64> {
    ready.split_once("UDP in ")?.1.split(' ').next()?.parse().ok()
}

/// `1000`, `1k`, `1M` as a number.
pub(crate) fn parse_size(word: &str) -> Result<u64, String> {
    let (digits, factor) = match word.trim_end_matches(['k', 'K', 'm', 'M']) {
        digits if digits.len() == word.len() => (digits, 1),
        digits if word[digits.len()..].eq_ignore_ascii_case("k") => (digits, 1_000),
        digits if word[digits.len()..].eq_ignore_ascii_case("m") => (digits, 1_000_000),
        _ => return Err(format!("`{word}` is no size")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| format!("`{word}` is no size; say 1000, 1k or 1M"))?;
    match number.checked_mul(factor) {
        Some(size) if (100..=4_000_000).contains(&size) => Ok(size),
        _ => Err(format!("`{word}` is not between 100 and 4M")),
    }
}

/// A number with commas between the thousands.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_size_with_unit_is_read_and_wrong_text_refused() {
        assert_eq!(parse_size("1000"), Ok(1_000));
        assert_eq!(parse_size("10k"), Ok(10_000));
        assert_eq!(parse_size("1M"), Ok(1_000_000));
        for wrong in [
            "",
            "k",
            "1kk",
            "1km",
            "99",
            "5M",
            "-1",
            "1.5k",
            "99999999999999999999M",
            "1000000000000000M",
        ] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn plans_have_as_many_sockets_as_their_size() {
        for plan in plans(&[100, 1_000, 10_000, 1_000_000], false) {
            let size = plan.amounts.sockets();
            assert!([100, 1_000, 10_000, 1_000_000].contains(&size), "{size}");
            assert!(plan.amounts.listeners < plan.amounts.tcp);
        }
        assert_eq!(plans(&[1_000_000], true).len(), 2);
    }

    #[test]
    fn processes_in_ready_line_are_counted() {
        let ready = "READY in 0.3 s: 99000 TCP, 1000 UDP in 6 processes; 0 descriptors in 0 processes";
        assert_eq!(processes_in(ready), Some(6));
        assert_eq!(processes_in("READY"), None);
    }

    #[test]
    fn thousands_of_large_number_are_separated_by_commas() {
        assert_eq!(
            ["7", "999", "1,000", "12,345", "1,234,567"].map(str::to_owned),
            [
                thousands(7),
                thousands(999),
                thousands(1_000),
                thousands(12_345),
                thousands(1_234_567)
            ]
        );
    }
}
