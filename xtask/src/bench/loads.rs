//! The loads: how many sockets in how many processes, and how to create them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::machine;
use crate::load::Amounts;

/// How the sockets are distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// In a few large processes.
    Few,
    /// In many processes with about 200 sockets each, at most 1,000 processes.
    Many,
    /// In many processes, in addition to others that hold only plain descriptors.
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

/// The number of sockets in the load with plain descriptors, of these descriptors, and of the processes that hold them.
const DESCRIPTOR_LOAD: (u64, u64, u64) = (10_000, 1_000_000, 200);

/// A load to be created.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub shape: Shape,
    pub amounts: Amounts,
}

/// Returns the loads of the given sizes. The short form omits the few large processes and the plain descriptors.
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
    /// Returns a description of the load.
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

    /// Returns the position of the load on the plot, which is its number of sockets; `None` if it is not shown.
    pub(crate) fn on_plot(&self) -> Option<u64> {
        (self.shape == Shape::Many).then(|| self.amounts.sockets())
    }

    /// Returns why the machine does not have the resources for it; `None` if it does.
    pub(crate) fn no_room(&self) -> Option<String> {
        let amounts = &self.amounts;
        machine::no_room(
            amounts.sockets(),
            amounts.descriptors,
            amounts.processes + amounts.descriptor_processes,
        )
    }
}

/// A running load, which is stopped on drop.
pub(crate) struct Load {
    child: Child,
    /// What it printed when it was complete.
    pub ready: String,
    /// The number of processes that hold the sockets: more than planned if the limit on open files requires it.
    pub processes: u64,
}

impl Load {
    /// Starts a load in a new network namespace and waits until it is complete.
    ///
    /// # Errors
    /// Returns an error if `unshare` is missing or refused, or the load fails, in which case it prints the reason on
    /// stderr.
    pub(crate) fn start(plan: &Plan) -> Result<Load> {
        let root = rustix::process::geteuid().is_root();
        let amounts = &plan.amounts;
        let child = Command::new("unshare")
            // Without --fork, the process keeps its id when it executes the load.
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

    /// Returns the id of the process whose network namespace contains the load.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Stops the load and waits until it has ended.
    ///
    /// # Errors
    /// Returns an error if the load had failed in the meantime, which invalidates the measurements.
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
        // It has already ended if `end` was called; otherwise, this is the cleanup after an error.
        let _ = self.child.wait();
    }
}

/// Parses the number of processes in `... UDP in 4 processes; ...`.
fn processes_in(ready: &str) -> Option<u64> {
    ready.split_once("UDP in ")?.1.split(' ').next()?.parse().ok()
}

/// Parses a number such as `1000`, `1k`, `1M`.
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

/// Formats a number with thousands separators.
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
