//! Tasks for maintainers: `cargo xtask TASK [options]`.

mod arrows;
mod attacks;
mod audit_scenes;
mod bench;
mod bpf;
mod floor;
mod flows;
mod kernels;
mod links;
mod load;
mod monitor_cost;
mod package;
mod parity;
mod picture;
mod services;
mod sizes;

use std::process::ExitCode;

/// One line per task that a person runs; the others are parts of `bench`.
const TASKS: &str = "\
tasks:
  arrows       check that crates and modules depend on each other in the order that ARCHITECTURE.md states
  sizes        check that no function, parameter list or source file is too long
  attacks      run every test that attacks the program; words choose some by their description, --fuzz adds the fuzz targets
  bench        measure netstat, the floors and its peers under made loads
  load         hold many sockets in this network namespace until stdin closes
  floor-dump   read the raw TCP dump of the kernel and count its rows
  monitor-cost measure what `netstat monitor` costs with many processes and sockets
  pictures     draw the pictures in README and docs: terminals that show recordings, captured
  record-churn make many short connections and count what the recorder has of them; in a network namespace of its own
  record-store fill a record with made-up flows and ask it
  record-memory give a recorder more than it can hold, and measure its memory
  audit-scenes make harmless intrusions and everyday work in namespaces, and see what the audit finds; as root. Words choose scenes, --verbose, --digests, --record
  audit-docs   make the table of rules in docs/audit.md anew; --check: prove that it is up to date
  kernels      boot Debian's kernels under qemu and run tests there (docs/kernels.md)
  bpf          compile the eBPF program; --check: prove that the committed object is what the source makes
  package      make the manual pages and completion scripts of the packages anew; --check: prove that they are up to date
  parity       make the tables in docs/windows.md anew; --check: prove that they are up to date
  services     make the table of service names anew";

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let words = std::env::args_os().skip(2);
    let done = match task.as_str() {
        "arrows" => arrows::run(),
        "attacks" => attacks::run(words),
        "sizes" => sizes::run(),
        "bench" => bench::run().map(success),
        "bench-run" => bench::measure::run().map(success),
        "load" => load::run().map(success),
        "load-worker" => load::worker::run().map(success),
        "monitor-cost" => monitor_cost::run().map(success),
        "pictures" => picture::run().map(success),
        "floor-dump" => floor::dump().map(success),
        "record-churn" => flows::churn().map(success),
        "record-churn-role" => flows::play().map(success),
        "record-store" => flows::store().map(success),
        "record-memory" => flows::memory().map(success),
        "kernels" => kernels::run(),
        "audit-scenes" => audit_scenes::run(words),
        "audit-docs" => audit_scenes::docs(words),
        "bpf" => bpf::run(words),
        "package" => package::run(words),
        "parity" => parity::run(words),
        "services" => services::run(words).map(success),
        "" | "help" | "--help" | "-h" => {
            println!("{TASKS}");
            Ok(ExitCode::SUCCESS)
        }
        other => {
            eprintln!("xtask: unknown task `{other}`\n{TASKS}");
            return ExitCode::from(2);
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("xtask {task}: {error:#}");
        ExitCode::FAILURE
    })
}

fn success((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

/// The words after `xtask` with the task's name first, as clap expects them.
fn task_arguments() -> impl Iterator<Item = std::ffi::OsString> {
    std::env::args_os().skip(1)
}
