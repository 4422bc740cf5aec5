//! `netstat snapshot`: writes what the collectors read to a file that `--replay` and the tests can load.

use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches, Parser};
use netstat_model::text::{escape_str, plain_error};
use netstat_os::{Replay, Snapshot, files};

use crate::context::{Context, Diagnostics, Failure, Outcome, Progress};

/// Write what netstat reads of this computer into a file for a bug report
#[derive(Parser, Debug)]
#[command(
    name = "snapshot",
    after_help = "\
The file holds sockets, owners, facts of the processes that hold them, routes, rules, statistics and packet filters of the caller's \
network namespace. Without --redact it also holds their arguments and environments: read it before you pass it on. \
With --redact addresses, ports, paths of programs and numbers of users stay.

Examples:
  sudo netstat snapshot --output bug.json --redact
  netstat --replay bug.json -ano

Exit status: 0 the file was written, 1 it could not be, 2 usage error."
)]
struct SnapshotArgs {
    /// write to this file; one that exists is never overwritten
    #[arg(long, value_name = "FILE", required = true, value_hint = clap::ValueHint::FilePath)]
    output: PathBuf,
    /// leave out arguments, environments, working directories, and the names of users and of the computer
    #[arg(long)]
    redact: bool,
}

/// Returns the definition of the command, for the help, completions and manual page.
pub(crate) fn definition() -> clap::Command {
    SnapshotArgs::command()
}

/// Runs the command.
///
/// # Errors
/// Returns an error if the system cannot be read or the file cannot be written.
pub(crate) fn run(matches: &ArgMatches, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let arguments = SnapshotArgs::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))?;
    let path = &arguments.output;
    let cannot = |why: &dyn std::fmt::Display| Failure::Refused(format!("cannot write {}: {why}", shown(path)));
    if path.symlink_metadata().is_ok() {
        return Err(cannot(&"it exists already"));
    }
    let progress = Progress::start(context.terminal, "reading the computer");
    let taken = Snapshot::take(context.system, env!("CARGO_PKG_VERSION"));
    let mut snapshot = taken.map_err(|refused| Failure::Refused(refused.to_string()))?;
    if arguments.redact {
        snapshot = snapshot.redact().map_err(|why| cannot(&why))?;
    }
    drop(progress);
    let file = netstat_os::create_private(path).map_err(|error| cannot(&error))?;
    if let Err(error) = snapshot.write(&file) {
        drop(file);
        // An incomplete snapshot is useless. This is the file that was created above.
        let _ = std::fs::remove_file(path);
        return Err(cannot(&error));
    }
    let mut diagnostics = Diagnostics::default();
    diagnostics.limits(snapshot.socket_limits);
    diagnostics.limits(snapshot.owner_limits);
    diagnostics.line(format!(
        "wrote {}: {} sockets, {} processes{}",
        shown(path),
        snapshot.sockets.len(),
        snapshot.processes.len(),
        if arguments.redact {
            ""
        } else {
            ", with their arguments and environments"
        },
    ));
    diagnostics.say(context.err);
    Ok(match snapshot.sockets_failed {
        true => Outcome::Incomplete,
        false => Outcome::Printed,
    })
}

/// Returns `--replay`, for commands that can answer from a snapshot.
pub(crate) fn replay_argument() -> Arg {
    Arg::new("snapshot")
        .long("replay")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .value_hint(clap::ValueHint::FilePath)
        .help("answer from this snapshot (netstat snapshot) instead of this computer")
}

/// Loads the computer that a snapshot describes.
///
/// # Errors
/// Returns one sentence that includes the path.
pub(crate) fn load(path: &Path) -> Result<Replay, String> {
    let file =
        files::open_named(path).map_err(|error| format!("cannot open {}: {}", shown(path), plain_error(&error)))?;
    let snapshot =
        Snapshot::read(file).map_err(|why| escape_str(&format!("{}: {why}", path.display())).into_owned())?;
    Ok(snapshot.into_replay())
}

fn shown(path: &Path) -> String {
    escape_str(&path.display().to_string()).into_owned()
}
