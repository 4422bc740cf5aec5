//! `netstat doctor`: what can be seen on this computer and what cannot, with reasons and with commands that help.

mod installation;
mod text;

use std::time::Duration;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use netstat_os::{Check, CheckArea, CheckStatus};
use serde_json::{Map, Value, json};

use crate::args::shape::ColorChoice;
use crate::args::store::StoreArgs;
use crate::context::{Context, Failure, Outcome, Progress};
use crate::output::json::{self, Document};

/// Show what netstat can see on this computer, what not, why, and what mends it
#[derive(Parser, Debug)]
#[command(
    name = "doctor",
    after_help = "\
Everything is tried or read once, nothing is changed. One name server of yours is asked for its own name, unless --numeric is given; \
nothing else is sent.

Examples:
  netstat doctor
  sudo netstat doctor --problems
  netstat doctor --json

Exit status: 0 everything was checked, whatever was found, 1 the output could not be written, 2 usage error."
)]
struct DoctorArgs {
    /// leave out what is as it should be
    #[arg(long)]
    problems: bool,
    /// ask no name server
    #[arg(short, long)]
    numeric: bool,
    /// one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
    /// colours: auto (on a terminal), always or never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
}

/// Returns the definition of the command, for the help, completions and manual page.
pub(crate) fn definition() -> clap::Command {
    DoctorArgs::command()
}

/// The time limit for the name server.
const NAME_SERVER_LIMIT: Duration = Duration::from_secs(2);

/// Returns all checks by area: those of the system, followed by those of what this program uses besides it.
pub(crate) fn checks(context: &mut Context<'_>, store: &StoreArgs, ask_names: bool) -> Vec<Check> {
    let mut checks = context.system.checks();
    let names = ask_names.then_some(NAME_SERVER_LIMIT);
    checks.extend(installation::checks(context, store, names));
    // A stable sort keeps the order within an area.
    checks.sort_by_key(|check| check.area);
    if context.system.is_superuser() {
        for check in &mut checks {
            without_sudo(&mut check.remedy);
        }
    }
    checks
}

/// Removes `sudo` from a command, which the superuser does not need.
fn without_sudo(remedy: &mut Option<String>) {
    if let Some(command) = remedy
        && let Some(plain) = command.strip_prefix("sudo ")
    {
        *command = plain.to_owned();
    }
}

/// Runs the command.
///
/// # Errors
/// Returns an error if the output cannot be written.
pub(crate) fn run(matches: &ArgMatches, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let arguments = DoctorArgs::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))?;
    let progress = Progress::start(context.terminal, "checking this computer");
    let mut checks = checks(context, &arguments.store, !arguments.numeric);
    drop(progress);
    let counts = text::Counts::of(&checks);
    if arguments.problems {
        checks.retain(|check| check.status != CheckStatus::Good);
    }
    if arguments.json {
        let host = context.system.computer_name();
        let document = Document {
            schema: "netstat.doctor",
            host: &host,
            time: (context.now)(),
            limits: &[],
            body: body(&checks),
        };
        let text = json::to_text(&document.value(), context.screen.terminal);
        context.out.write_all(text.as_bytes())?;
    } else {
        let width = context.screen.width.map(usize::from);
        let mut out = Vec::new();
        text::write(
            &mut out,
            &checks,
            counts,
            width,
            arguments.color.colored(context.screen),
        );
        context.out.write_all(&out)?;
    }
    context.out.flush()?;
    Ok(Outcome::Printed)
}

/// Returns the members of the document that follow the frame.
fn body(checks: &[Check]) -> Map<String, Value> {
    let check = |check: &Check| {
        json!({
            "id": check.id,
            "area": check.area.name(),
            "status": check.status.name(),
            "found": check.found,
            "reason": check.reason,
            "effect": check.effect,
            "remedy": check.remedy,
        })
    };
    let mut body = Map::new();
    body.insert("program_version".into(), env!("CARGO_PKG_VERSION").into());
    body.insert("system".into(), std::env::consts::OS.into());
    body.insert("architecture".into(), std::env::consts::ARCH.into());
    body.insert("checks".into(), checks.iter().map(check).collect());
    body
}

/// Returns the schema of the document.
pub(crate) fn schema() -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    let optional = |about: &str| json!({"type": ["string", "null"], "description": about});
    let properties = json!({
        "id": text("a stable name of what was checked: btf; several checks may share one"),
        "area": {"enum": CheckArea::ALL.map(CheckArea::name), "description": "what it is about"},
        "status": {
            "enum": CheckStatus::ALL.map(CheckStatus::name),
            "description": "ok; note: worth knowing; unknown: could not be found out; limited: something is missing; failed: does not work",
        },
        "found": text("what was found, in a few words"),
        "reason": optional("why it is so"),
        "effect": optional("what cannot be seen or done because of it"),
        "remedy": optional("the command that mends it"),
    });
    let required: Vec<&str> = properties
        .as_object()
        .into_iter()
        .flat_map(|map| map.keys())
        .map(String::as_str)
        .collect();
    let check = json!({
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": false,
    });
    json::schema::document(
        "doctor",
        &[
            ("program_version", text("the version of netstat")),
            ("system", text("the operating system: linux")),
            ("architecture", text("the architecture: x86_64")),
            ("checks", json!({"type": "array", "items": {"$ref": "#/$defs/check"}})),
        ],
        json!({"check": check}),
    )
}
