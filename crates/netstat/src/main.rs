//! Entry point of the program; everything else is in the library.
//!
//! Exit status: 0 for success, including when the reader of the output exits early; 1 if the system or the output
//! failed; 2 for a usage error.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use netstat::args::Parsed;
use netstat::context::{Context, Failure, Outcome, Screen};
use netstat::list::run;
use netstat::registry;
use netstat_model::text::plain_error;

const FAILURE: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    if let Err(error) = netstat_os::lower_lent_capabilities() {
        return complain(
            FAILURE,
            &format!(
                "cannot give up the rights of this program's file: {}",
                plain_error(&error)
            ),
        );
    }
    // Restores the console when it is dropped at the end of the program.
    let console = netstat_os::prepare_console();
    run_program(&console)
}

fn run_program(console: &netstat_os::Console) -> ExitCode {
    let parsed = match registry::parse_for_user(std::env::args_os().skip(1).collect(), io::stdout().is_terminal()) {
        Ok(Parsed::Print(text)) => return written(io::stdout().write_all(text.as_bytes())),
        Ok(parsed) => parsed,
        Err(error) => return complain(USAGE, &plain_error(&error)),
    };
    let mut out = match netstat_os::stdout() {
        Ok(stdout) => stdout,
        Err(error) => return complain(FAILURE, &format!("standard output: {}", plain_error(&error))),
    };
    if !registry::needs_privileges(&parsed)
        && let Err(error) = netstat_os::give_up_lent_capabilities()
    {
        return complain(
            FAILURE,
            &format!("cannot give up capabilities: {}", plain_error(&error)),
        );
    }
    let mut replay = match registry::replay(&parsed) {
        Ok(replay) => replay,
        Err(why) => return complain(FAILURE, &why),
    };
    let clock = replay.as_ref().map(|replay| replay.clock.clone());
    let mut native = netstat_os::Native::of_whole_process();
    let mut context = Context {
        system: match &mut replay {
            Some(replay) => replay,
            None => &mut native,
        },
        out: &mut io::BufWriter::new(&mut out),
        err: &mut io::stderr(),
        terminal: io::stderr().is_terminal(),
        screen: Screen::of_stdout(console.colours),
        now: &mut || clock.as_ref().map_or_else(SystemTime::now, |clock| clock.now().wall),
        wait_until: &mut |moment| std::thread::sleep(moment.saturating_duration_since(Instant::now())),
    };
    let outcome = match parsed {
        Parsed::Run(plan) => run(&plan, &mut context),
        Parsed::Command(command, matches) => registry::carry_out(command, &matches, &mut context),
        Parsed::Print(_) => Ok(Outcome::Printed),
    };
    match outcome {
        Ok(Outcome::Printed) => ExitCode::SUCCESS,
        Ok(Outcome::Incomplete) => ExitCode::from(FAILURE),
        Ok(Outcome::Status(status)) => ExitCode::from(status),
        Err(Failure::Output(error)) => written(Err(error)),
        Err(Failure::Usage(words)) => complain(USAGE, &words),
        Err(Failure::Refused(words)) => complain(FAILURE, &words),
    }
}

/// Returns the exit status for the result of writing. A reader that exits early (`| head`) has what it wanted, so a
/// broken pipe counts as success.
fn written(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => complain(FAILURE, &format!("cannot write the output: {}", plain_error(&error))),
    }
}

fn complain(status: u8, words: &str) -> ExitCode {
    // Escaping twice changes nothing, and here no message can omit it.
    let words = netstat_model::text::escape_str(words);
    // If stderr is closed, there is nobody to tell.
    let _ = writeln!(io::stderr(), "netstat: {words}");
    ExitCode::from(status)
}
