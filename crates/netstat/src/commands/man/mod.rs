//! `netstat man [COMMAND]`: the manual pages, generated from the definitions of the switches and commands.

mod page;
mod texts;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, CommandFactory, FromArgMatches, Parser, ValueHint};
use netstat_model::text::plain_error;

use crate::args::with_commands;
use crate::commands::completions::{command_name, own_name};
use crate::context::{Command, Context, Diagnostics, Failure, Outcome};

/// Print the manual page of the program or of a command
#[derive(Debug, Parser)]
#[command(name = "man", after_long_help = EXAMPLES)]
struct ManArgs {
    /// the command whose page is wanted; without one, the page of the whole program
    #[arg(value_name = "COMMAND", ignore_case = true)]
    command: Option<String>,
    /// write all pages into this folder, which is made if need be, and print their names
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, conflicts_with = "command")]
    directory: Option<PathBuf>,
    /// the name the program is called by, where it is not the one it was called by now
    #[arg(long = "as", value_name = "NAME", value_parser = command_name)]
    called: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  netstat man | man -l -             read the manual page
  netstat man inspect | man -l -     read the one of a command
  netstat man --directory ~/.local/share/man/man1
                                     write them all to where man finds them
";

/// Returns the definition of `netstat man`, which accepts the names of `commands`.
pub(crate) fn definition(commands: &[Command]) -> clap::Command {
    let names = PossibleValuesParser::new(commands.iter().map(|command| command.name));
    ManArgs::command().mut_arg("command", |arg: Arg| arg.value_parser(names).hide_possible_values(true))
}

/// Prints a page, or writes all of them to files.
///
/// # Errors
/// Returns [`Failure::Output`], or [`Failure::Refused`] if a file cannot be written.
pub(crate) fn run(matches: &ArgMatches, context: &mut Context<'_>, commands: &[Command]) -> Result<Outcome, Failure> {
    let words = ManArgs::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))?;
    let name = words.called.unwrap_or_else(own_name);
    let program = with_commands(commands);
    if let Some(directory) = words.directory {
        let files = write_all(&program, &name, &directory)?;
        for file in files {
            writeln!(
                context.out,
                "{}",
                netstat_model::text::escape_str(&file.to_string_lossy())
            )?;
        }
        context.out.flush()?;
        return Ok(Outcome::Printed);
    }
    let page = match &words.command {
        Some(command) => page::of_command(&program, command, &name),
        None => Some(page::of_program(&program, &name)),
    };
    context.out.write_all(page.unwrap_or_default().as_bytes())?;
    context.out.flush()?;
    if context.screen.terminal {
        let mut diagnostics = Diagnostics::default();
        let command = words.command.map(|command| format!(" {command}")).unwrap_or_default();
        diagnostics.line(format!("to read this page: {name} man{command} | man -l -"));
        diagnostics.say(context.err);
    }
    Ok(Outcome::Printed)
}

/// Writes each page into `directory` and returns the paths of the files.
fn write_all(program: &clap::Command, name: &str, directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let refused = |what: &Path, error: io::Error| {
        let what = netstat_model::text::escape_str(&what.to_string_lossy()).into_owned();
        Failure::Refused(format!("{what}: {}", plain_error(&error)))
    };
    fs::create_dir_all(directory).map_err(|error| refused(directory, error))?;
    let mut pages = vec![(format!("{name}.1"), page::of_program(program, name))];
    for command in program.get_subcommands().map(clap::Command::get_name) {
        if let Some(page) = page::of_command(program, command, name) {
            pages.push((format!("{name}-{command}.1"), page));
        }
    }
    let mut files = Vec::new();
    for (file, page) in pages {
        let file = directory.join(file);
        fs::write(&file, page).map_err(|error| refused(&file, error))?;
        files.push(file);
    }
    Ok(files)
}
