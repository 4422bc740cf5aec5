//! `bench`: creates loads of sockets, measures this program, the floors and comparable programs side by side, and
//! prints a table.

mod contenders;
mod loads;
mod machine;
pub(crate) mod measure;
mod plot;
mod report;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use contenders::Contender;
use loads::Load;
use measure::{End, Run};
use report::{Entry, Figures, Report, Summary};

/// Measure netstat, the floors and its peers under made loads.
///
/// Each load lives in a network namespace of its own and vanishes with it. Runs of the commands take turns; each
/// command's output goes to a pipe that is drained and counted. Medians are shown.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Options {
    /// Sockets of each load, as 1000, 1k or 1M
    #[arg(long, value_delimiter = ',', default_value = "1k,10k,100k,1M", value_parser = loads::parse_size)]
    sizes: Vec<u64>,
    /// Idle machine, 1k and 10k only, few repetitions
    #[arg(long)]
    short: bool,
    /// Runs of each command under each load (fewer where a command has spent its time)
    #[arg(long, value_name = "N")]
    repeats: Option<u32>,
    /// Runs of each command on the machine as it is
    #[arg(long, value_name = "N")]
    idle_repeats: Option<u32>,
    /// Seconds after which a command is ended
    #[arg(long, value_name = "SECONDS")]
    limit: Option<u64>,
    /// Leave the other projects' programs out
    #[arg(long)]
    no_peers: bool,
    /// Measure this program; nothing is built then
    #[arg(long, value_name = "PATH")]
    ours: Option<PathBuf>,
    /// Print the tables as Markdown
    #[arg(long)]
    markdown: bool,
    /// Write the plot to this file
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
    /// Write the tables into BENCHMARKS.md and the plot to docs/bench.svg
    #[arg(long, conflicts_with = "short")]
    write: bool,
}

/// How often and for how long commands are run.
struct Patience {
    repeats: u32,
    limit: Duration,
    /// The total time after which a command is not run again under the same load.
    budget: Duration,
}

/// Runs the task.
///
/// # Errors
/// Returns an error if no namespace can be created, the program cannot be built or run, or a file cannot be written.
pub(crate) fn run() -> Result<()> {
    let options = Options::parse_from(crate::task_arguments());
    let (repeats, idle_repeats, limit, budget) = if options.short {
        (3, 30, 20, 5)
    } else {
        (5, 200, 120, 60)
    };
    let limit = Duration::from_secs(options.limit.unwrap_or(limit));
    ensure!(!limit.is_zero(), "--limit must be at least 1");
    let budget = Duration::from_secs(budget);

    let ours = match &options.ours {
        Some(path) => path.canonicalize().with_context(|| path.display().to_string())?,
        None => build()?,
    };
    let iterator_floor = if options.ours.is_some() {
        built_iterator_floor()?
    } else {
        build_iterator_floor()?
    };
    let field = contenders::field(&ours, iterator_floor.as_deref(), !options.no_peers)?;
    for name in &field.missing {
        eprintln!("bench: {name} is not here");
    }
    let mut report = Report::new(machine::describe(&field.versions), limit);

    let patience = Patience {
        repeats: options.idle_repeats.unwrap_or(idle_repeats).max(1),
        limit,
        budget,
    };
    eprintln!("bench: idle machine");
    let entries = compete(&field.contenders, None, &patience, &HashSet::new())?;
    report.add("Idle machine (its own sockets)".into(), None, 0, entries);

    let patience = Patience {
        repeats: options.repeats.unwrap_or(repeats).max(1),
        limit,
        budget,
    };
    // Commands that exceeded the limit once are not run with more sockets in the same kind of load.
    let mut hopeless: HashSet<(&'static str, &'static str)> = HashSet::new();
    for mut plan in loads::plans(&options.sizes, options.short) {
        if let Some(why) = plan.no_room() {
            eprintln!("bench: {} left out: {why}", plan.title());
            report.leave_out(format!("{}: {why}", plan.title()));
            continue;
        }
        eprint!("bench: {} ... ", plan.title());
        let load = Load::start(&plan)?;
        eprintln!("{}", load.ready);
        plan.amounts.processes = load.processes;
        let entries = {
            let skip = hopeless
                .iter()
                .filter(|(shape, _)| *shape == plan.shape.name())
                .map(|(_, label)| *label)
                .collect();
            compete(&field.contenders, Some(&load), &patience, &skip)?
        };
        load.end()?;
        for entry in entries
            .iter()
            .filter(|entry| matches!(entry.figures, Figures::OverLimit))
        {
            hopeless.insert((plan.shape.name(), entry.label));
        }
        report.add(plan.title(), plan.on_plot(), plan.amounts.sockets(), entries);
    }
    show(&options, &report)
}

/// Prints the tables and writes the requested files.
fn show(options: &Options, report: &Report) -> Result<()> {
    println!(
        "{}",
        if options.markdown {
            report.markdown()
        } else {
            report.text()
        }
    );
    let plot = plot::draw(report);
    if let Some(path) = &options.svg {
        std::fs::write(path, &plot).with_context(|| path.display().to_string())?;
    }
    if options.write {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("the workspace's directory")?;
        std::fs::create_dir_all(root.join("docs"))?;
        let picture = root.join("docs/bench.svg");
        std::fs::write(&picture, &plot).with_context(|| picture.display().to_string())?;
        let page = root.join("BENCHMARKS.md");
        let text = std::fs::read_to_string(&page).with_context(|| page.display().to_string())?;
        std::fs::write(&page, report::replace_section(&text, &report.markdown())?)?;
        eprintln!("bench: wrote {} and {}", page.display(), picture.display());
    }
    Ok(())
}

/// Builds the program and returns its path.
fn build() -> Result<PathBuf> {
    if cfg!(debug_assertions) {
        eprintln!("bench: a build without optimisation; its figures mean nothing");
    }
    cargo_build(&["--package", "netstat"], "netstat")
}

/// Builds the floor for owners, an example of `netstat-os`, if it is in the source tree.
fn build_iterator_floor() -> Result<Option<PathBuf>> {
    let (package, example) = ("netstat-os", "iterator_floor");
    if !root()?
        .join("crates")
        .join(package)
        .join("examples")
        .join(example)
        .with_extension("rs")
        .is_file()
    {
        return Ok(None);
    }
    cargo_build(
        &["--package", package, "--example", example],
        &format!("examples/{example}"),
    )
    .map(Some)
}

/// Returns the floor for owners that an earlier run built.
fn built_iterator_floor() -> Result<Option<PathBuf>> {
    let program = std::env::current_exe()?.with_file_name("examples/iterator_floor");
    Ok(program.is_file().then_some(program))
}

/// Builds with the same profile as this program; `product` is in the same directory.
fn cargo_build(what: &[&str], product: &str) -> Result<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()?).args(["build", "--quiet"]).args(what);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    ensure!(
        command.status().context("starting cargo")?.success(),
        "{product} does not build"
    );
    let program = std::env::current_exe()?.with_file_name(product);
    ensure!(program.is_file(), "no program at {}", program.display());
    Ok(program)
}

/// Returns the directory of the workspace.
fn root() -> Result<&'static Path> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the workspace's directory")
}

/// Runs all commands in turn, repeatedly.
fn compete(
    contenders: &[Contender],
    load: Option<&Load>,
    patience: &Patience,
    skip: &HashSet<&'static str>,
) -> Result<Vec<Entry>> {
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); contenders.len()];
    let mut ended: Vec<Option<Figures>> = vec![None; contenders.len()];
    for round in 0..patience.repeats as usize {
        for (index, contender) in contenders.iter().enumerate() {
            if round == 0 && skip.contains(contender.label) {
                ended[index] = Some(Figures::NotTried);
            }
            let spent: Duration = runs[index].iter().map(|run| run.wall).sum();
            if ended[index].is_some() || spent > patience.budget {
                continue;
            }
            let run = measure::measure(&contender.words, load.map(Load::process), patience.limit)?;
            match run.end {
                End::OverLimit => ended[index] = Some(Figures::OverLimit),
                End::Signal(signal) => bail!("{} was ended by signal {signal}", contender.label),
                End::Status(status) if status != 0 && run.bytes == 0 => {
                    let why = match run.complaint.as_str() {
                        "" => format!("printed nothing, exit status {status}"),
                        complaint => complaint.to_owned(),
                    };
                    ended[index] = Some(Figures::NotAvailable(why));
                }
                End::Status(_) => runs[index].push(run),
            }
        }
    }
    let entries = contenders
        .iter()
        .zip(runs)
        .zip(ended)
        .map(|((contender, runs), ended)| Entry {
            label: contender.label,
            whose: contender.whose,
            question: contender.question,
            figures: ended.unwrap_or_else(|| Figures::Measured(Summary::of(&runs))),
        });
    Ok(entries.collect())
}
