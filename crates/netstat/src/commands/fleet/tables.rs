//! `fleet init`, `upgrade` and `forget`: the commands that change the engine.

use std::io::BufRead;
use std::path::Path;

use netstat_fleet::ddl::{AGENT, Layout, READER, VERSION, run};
use netstat_fleet::{Client, status};
use netstat_model::text::{escape, escape_str, plain_error};
use sha2::{Digest, Sha256};

use super::args::FleetCommand;
use super::refused;
use crate::context::{Context, Failure, Outcome};

/// The notice shown with statements for a cluster.
const CLUSTER: &str =
    "-- For a cluster: replication has not been tested with this program; read these statements before they run.";

fn layout(args: &FleetCommand, client: &Client) -> Result<Layout, Failure> {
    let mut layout = Layout::of(client.address());
    if let Some(cluster) = &args.cluster {
        if !Layout::is_name(cluster) {
            return Err(Failure::Usage(format!(
                "--cluster {} has characters other than letters, digits, _, - and .",
                escape_str(cluster)
            )));
        }
        layout.cluster = Some(cluster.clone());
    }
    if let Some(keep) = args.keep {
        // Partitions are dropped by whole days.
        layout.keep_days = u32::try_from(keep.as_secs().div_ceil(86_400))
            .unwrap_or(u32::MAX)
            .max(1);
    }
    layout.roles = !args.no_roles;
    Ok(layout)
}

/// Shows the statements, or has the engine run them.
fn carry_out(
    args: &FleetCommand,
    client: &Client,
    context: &mut Context<'_>,
    statements: &[String],
    done: &str,
) -> Result<Outcome, Failure> {
    if args.print {
        if args.cluster.is_some() {
            writeln!(context.out, "{CLUSTER}")?;
        }
        for statement in statements {
            writeln!(context.out, "{statement};")?;
        }
        return Ok(Outcome::Printed);
    }
    run(client, statements).map_err(|error| refused(client, &error))?;
    writeln!(context.out, "{}: {done}", client.address())?;
    Ok(Outcome::Printed)
}

/// Runs `fleet init`.
pub(super) fn init(args: &FleetCommand, client: &Client, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let layout = layout(args, client)?;
    let mut from = 0;
    if !args.print {
        client.version().map_err(|error| refused(client, &error))?;
        from = client
            .schema_version()
            .map_err(|error| refused(client, &error))?
            .unwrap_or(0);
        if from > VERSION {
            return Err(Failure::Refused(format!(
                "{}: the tables have version {from}; this program knows {VERSION} at most",
                client.address()
            )));
        }
    }
    let mut statements = layout.statements(from);
    for (name, file, role) in [
        (&args.agent, &args.agent_password, AGENT),
        (&args.reader, &args.reader_password, READER),
    ] {
        if let (Some(name), Some(file)) = (name, file) {
            if !Layout::is_name(name) {
                return Err(Failure::Usage(format!(
                    "the user name {} has characters other than letters, digits, _, - and .",
                    escape_str(name)
                )));
            }
            statements.extend(layout.user(name, &password_digest(file)?, role));
        }
    }
    let done = match from {
        0 => format!("tables of version {VERSION} made"),
        _ => format!("the tables were there already, in version {from}"),
    };
    carry_out(args, client, context, &statements, &done)
}

/// Returns the hexadecimal SHA-256 of the password in a file, without the line break. The engine never receives the
/// password itself.
fn password_digest(file: &Path) -> Result<String, Failure> {
    /// The largest file that is read, in bytes.
    const LARGEST: u64 = 64 << 10;
    let text = netstat_os::files::text_named(file, LARGEST);
    let text = text.map_err(|error| {
        Failure::Refused(format!(
            "{}: {}",
            escape_str(&file.display().to_string()),
            plain_error(&error)
        ))
    })?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        let shown = escape_str(&file.display().to_string()).into_owned();
        return Err(Failure::Refused(format!("{shown}: holds no password")));
    }
    Ok(Sha256::digest(password.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Runs `fleet upgrade`.
pub(super) fn upgrade(args: &FleetCommand, client: &Client, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let layout = layout(args, client)?;
    let found = client.schema_version().map_err(|error| refused(client, &error))?;
    let found = found.ok_or_else(|| refused(client, &netstat_fleet::EngineError::NoSchema))?;
    if found > VERSION {
        return Err(Failure::Refused(format!(
            "{}: the tables have version {found}; this program knows {VERSION} at most",
            client.address()
        )));
    }
    let mut statements = layout.statements(found);
    if args.keep.is_some() {
        statements.extend(layout.retention());
    }
    let done = match found == VERSION {
        true => format!("the tables have version {VERSION}, which is the latest"),
        false => format!("tables brought from version {found} to {VERSION}"),
    };
    carry_out(args, client, context, &statements, &done)
}

/// Runs `fleet forget HOST`.
pub(super) fn forget(args: &FleetCommand, client: &Client, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let Some(text) = &args.host else {
        return Err(Failure::Usage(
            "fleet forget needs the number of a computer; `netstat fleet hosts` lists them".to_owned(),
        ));
    };
    let Ok(number) = u64::from_str_radix(text, 16) else {
        return Err(Failure::Usage(format!(
            "{} is not the number of a computer; `netstat fleet hosts` lists them",
            escape_str(text)
        )));
    };
    let layout = layout(args, client)?;
    let statements = status::forget_statements(client, number, layout.cluster.as_deref());
    if args.print {
        return carry_out(args, client, context, &statements, "");
    }
    let hosts = status::hosts(client).map_err(|error| refused(client, &error))?;
    let name = hosts
        .iter()
        .find(|host| host.id == number)
        .map(|host| escape(&host.name).into_owned());
    let shown = name.unwrap_or_else(|| "a computer that never sent its name".to_owned());
    if !args.yes {
        write!(
            context.err,
            "Delete everything of {shown} ({number:016x}) from {}? [y/N] ",
            client.address()
        )?;
        context.err.flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Err(Failure::Refused("nothing was deleted".to_owned()));
        }
    }
    carry_out(
        args,
        client,
        context,
        &statements,
        &format!("everything of {shown} is deleted"),
    )
}
