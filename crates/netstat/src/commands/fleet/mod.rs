//! `netstat fleet`: administers the store of a fleet.

mod answers;
mod args;
pub(crate) mod schema;
mod tables;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use netstat_fleet::{Client, EngineError};
use netstat_model::text::{escape_str, plain_error};

use crate::context::{Context, Failure, Outcome};

use args::{Action, FleetCommand};

pub(crate) fn definition() -> clap::Command {
    FleetCommand::command()
}

/// Runs the command.
///
/// # Errors
/// Returns an error if the engine cannot be reached or refuses the request.
pub(crate) fn run(matches: &ArgMatches, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let args = FleetCommand::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))?;
    let client = args.fleet.client(args.at.as_ref(), context.system.is_superuser())?;
    match args.action {
        Action::Init => tables::init(&args, &client, context),
        Action::Upgrade => tables::upgrade(&args, &client, context),
        Action::Forget => tables::forget(&args, &client, context),
        Action::Status => answers::status(&args, &client, context),
        Action::Hosts => answers::hosts(&args, &client, context),
        Action::Findings => answers::findings(&args, &client, context),
    }
}

/// Converts an error of the engine to a failure with one line that includes its address.
fn refused(client: &Client, error: &EngineError) -> Failure {
    let text = format!("{}: {}", client.address(), plain_error(&error));
    Failure::Refused(escape_str(&text).into_owned())
}
