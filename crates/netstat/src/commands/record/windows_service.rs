//! `record --install-service` on Windows, and the recorder run by the service control manager.

use std::io::{self, Write};
use std::path::Path;

use netstat_model::text::{escape_str, plain_error};
use netstat_os::files;
use netstat_os::service::{
    LogLevel, RunningService, ServiceDefinition, install_service, remove_service, service_arguments,
};

use super::args::RecordArgs;
use super::service::{NAME, confirmed};
use crate::context::{Context, Failure, Outcome};

const TITLE: &str = "netstat connection recorder";
const DESCRIPTION: &str =
    "Keeps every connection of this computer, so that netstat history can answer questions about the past.";
/// An argument in the command line of the service. A service without it is not from this program and is left alone.
const OURS: &str = "--as-service";

/// Installs or removes the service.
pub(super) fn service(args: &RecordArgs, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let program = std::env::current_exe().map_err(|error| failed("this program's file", &error))?;
    let arguments = arguments(args);
    let plan = match args.uninstall {
        true => format!("stop and remove the service {NAME} and its source in the event log\n"),
        false => {
            check(&program)?;
            installation(&program, &arguments)?
        }
    };
    context.out.write_all(plan.as_bytes())?;
    if args.dry_run {
        return Ok(Outcome::Printed);
    }
    if !context.system.is_superuser() {
        return Err(Failure::Refused(
            "only an administrator can do this; use an elevated prompt, or --dry-run".to_owned(),
        ));
    }
    let existing = service_arguments(NAME).map_err(|error| failed("the service control manager", &error))?;
    if existing.is_some_and(|existing| !is_ours(&existing)) {
        return Err(Failure::Refused(format!(
            "the service {NAME} starts another program; it is left alone"
        )));
    }
    context.out.flush()?;
    if !args.yes && !confirmed(context)? {
        return Err(Failure::Refused("nothing was changed".to_owned()));
    }
    let done = match args.uninstall {
        true => {
            remove_service(NAME).map_err(|error| failed(&format!("the service {NAME}"), &error))?;
            "the service is removed; what was recorded is still there"
        }
        false => {
            let definition = ServiceDefinition {
                name: NAME,
                title: TITLE,
                description: DESCRIPTION,
                program: &program,
                arguments: &arguments,
            };
            let missing =
                install_service(&definition).map_err(|error| failed(&format!("the service {NAME}"), &error))?;
            for what in missing {
                writeln!(context.err, "netstat: not set: {}", escape_str(&what))?;
            }
            "the service runs; query it with `netstat history` from an elevated prompt"
        }
    };
    writeln!(context.err, "netstat: {done}")?;
    Ok(Outcome::Printed)
}

fn failed(what: &str, error: &io::Error) -> Failure {
    Failure::Refused(format!("{what}: {}", escape_str(&plain_error(error))))
}

/// Returns the arguments with which the service starts the program.
fn arguments(args: &RecordArgs) -> Vec<String> {
    let limits = args.limits();
    let mut arguments = vec!["record".to_owned(), OURS.to_owned()];
    arguments.extend(limits.split(' ').map(str::to_owned));
    arguments
}

fn is_ours(arguments: &[Vec<u8>]) -> bool {
    let has = |place: usize, word: &str| arguments.get(place).is_some_and(|one| one == word.as_bytes());
    has(1, "record") && has(2, OURS)
}

/// Describes the installation of the service.
fn installation(program: &Path, arguments: &[String]) -> Result<String, Failure> {
    let shown = || escape_str(&program.display().to_string()).into_owned();
    let line = program
        .to_str()
        .and_then(|program| netstat_os::windows::parse::command_line(program, arguments))
        .ok_or_else(|| Failure::Refused(format!("{}: no service can start a program of this name", shown())))?;
    Ok(format!(
        "create the service {NAME} ({TITLE}), which starts with the computer as LocalSystem, some minutes after it:\n    \
         {}\nstart it again when it fails\nmake it a source of the event log Application\nstart it\n",
        escape_str(&line)
    ))
}

/// Checks that only administrators can change the program, which the system will run.
fn check(program: &Path) -> Result<(), Failure> {
    let shown = escape_str(&program.display().to_string()).into_owned();
    for (place, part) in program.ancestors().enumerate() {
        if part.as_os_str().is_empty() {
            continue;
        }
        let others = files::others_than_administrators(part, place > 0);
        let others = others.map_err(|error| failed(&escape_str(&part.display().to_string()), &error))?;
        if let Some(why) = others.change {
            let part = escape_str(&part.display().to_string()).into_owned();
            return Err(Failure::Refused(format!(
                "{part}: {why}, so the system should not start {shown} as a service: install it first, for example into C:\\Program Files\\netstat"
            )));
        }
    }
    Ok(())
}

/// Runs the recorder as a service.
pub(super) fn run(args: &RecordArgs, context: &mut Context<'_>) -> Result<Outcome, Failure> {
    let service = RunningService::start(NAME).map_err(|error| match error.kind() {
        io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput => Failure::Usage(
            "--as-service is for the service control manager of Windows; use --install-service".to_owned(),
        ),
        _ => failed("the service control manager", &error),
    })?;
    let mut log = EventLog {
        service: &service,
        line: Vec::new(),
    };
    let mut logged = Context {
        system: &mut *context.system,
        out: &mut *context.out,
        err: &mut log,
        terminal: false,
        screen: context.screen,
        now: &mut *context.now,
        wait_until: &mut *context.wait_until,
    };
    let outcome = super::record(args, &mut logged, &mut |doing| {
        service.working();
        service.log(LogLevel::Information, &format!("started: {doing}"));
    });
    match &outcome {
        Ok(_) => service.log(LogLevel::Information, "stopped"),
        Err(Failure::Usage(why) | Failure::Refused(why)) => service.log(LogLevel::Error, why),
        Err(Failure::Output(error)) => service.log(LogLevel::Error, &error.to_string()),
    }
    service.stopped(outcome.is_err());
    outcome
}

/// A replacement for stderr that writes each line to the event log as a warning.
struct EventLog<'a> {
    service: &'a RunningService,
    line: Vec<u8>,
}

impl Write for EventLog<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        while let Some(end) = self.line.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            self.service
                .log(LogLevel::Warning, text.strip_prefix("netstat: ").unwrap_or(text));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn service_arguments_are_read_back_and_known_as_ours() {
        let args = RecordArgs::try_parse_from(["record", "--install-service", "--keep", "7d"]).unwrap();
        let arguments = arguments(&args);
        let again = RecordArgs::try_parse_from(&arguments).unwrap();
        assert!(again.as_service && again.keep == args.keep && again.max_size == args.max_size);
        let bytes = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        let mut words = vec!["netstat-rs.exe"];
        words.extend(arguments.iter().map(String::as_str));
        assert!(is_ours(&bytes(&words)));
        assert!(!is_ours(&bytes(&["C:\\other.exe", "record"])) && !is_ours(&[]));
    }

    #[test]
    fn installation_quotes_program_path_with_blanks() {
        let plan = installation(Path::new("C:\\Program Files\\netstat-rs.exe"), &["record".to_owned()]).unwrap();
        assert!(
            plan.contains("\n    \"C:\\Program Files\\netstat-rs.exe\" record\n"),
            "{plan}"
        );
    }
}
