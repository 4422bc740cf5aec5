//! `cargo xtask kernels`: boots Debian's kernels in qemu and runs tests, or any command, in the virtual machine.
//!
//! [`fetch`] chooses and unpacks kernel packages with an apt state of its own, [`image`] packs an initial RAM disk with the
//! kernel's modules, the programs and what they need, [`machine`] boots it and reads what the guest reports. The guest's first
//! process is `guest.sh`. See docs/kernels.md.

mod fetch;
mod image;
mod machine;

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};

/// A kernel for the guest: what Debian calls its architecture, and what qemu and Rust do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Arch {
    #[value(name = "x86_64")]
    X86,
    #[value(name = "aarch64")]
    Arm,
}

impl Arch {
    /// Debian's name.
    fn debian(self) -> &'static str {
        match self {
            Arch::X86 => "amd64",
            Arch::Arm => "arm64",
        }
    }
}

/// Boot Debian kernels under qemu and run tests in the virtual machine
#[derive(Parser, Debug)]
#[command(name = "kernels", max_term_width = 100)]
struct Args {
    /// Kernels to boot: the beginning of a version (5.10, 6.12), "oldest" or "newest"; both by default
    versions: Vec<String>,
    /// List the kernels that can be had
    #[arg(long)]
    list: bool,
    /// Set-up of the guest; "all" runs every one
    #[arg(long, value_name = "CASE", default_value = "plain")]
    case: Vec<String>,
    /// Test program to run, as PACKAGE:TARGET or PACKAGE:TARGET:FILTER; TARGET "lib" means the unit tests
    #[arg(long, value_name = "TEST")]
    test: Vec<String>,
    /// Shell command to run in the guest instead of tests
    #[arg(long, value_name = "COMMAND", conflicts_with = "test")]
    run: Vec<String>,
    /// Program to install as /usr/bin/netstat instead of the one that cargo builds; may be static
    #[arg(long, value_name = "FILE")]
    netstat: Option<PathBuf>,
    /// More programs of this computer to take along, with their libraries
    #[arg(long, value_name = "FILE")]
    tool: Vec<PathBuf>,
    /// Architecture of the guest; aarch64 needs --netstat and --run
    #[arg(long, value_enum, default_value = "x86_64")]
    arch: Arch,
    /// qemu accelerator: tcg works everywhere, kvm is faster where the computer offers it
    #[arg(long, default_value = "tcg")]
    accel: String,
    /// Time limit for one guest in seconds
    #[arg(long, default_value_t = 900)]
    limit: u64,
    /// Guests at a time
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Where kernels, images and results are kept
    #[arg(long, default_value = "target/kernels")]
    folder: PathBuf,
}

/// One set-up of the guest.
struct Case {
    name: &'static str,
    /// Words for the kernel's command line.
    kernel: &'static str,
    help: &'static str,
}

/// Every set-up. `guest.sh` prepares those that are not the kernel's command line alone.
const CASES: [Case; 10] = [
    Case {
        name: "plain",
        kernel: "",
        help: "nothing unusual",
    },
    Case {
        name: "noipv6",
        kernel: "ipv6.disable=1",
        help: "a kernel without IPv6",
    },
    Case {
        name: "integrity",
        kernel: "lsm=lockdown lockdown=integrity",
        help: "lockdown, integrity mode",
    },
    Case {
        name: "confidentiality",
        kernel: "lsm=lockdown lockdown=confidentiality",
        help: "lockdown, confidentiality mode",
    },
    Case {
        name: "hidepid",
        kernel: "",
        help: "/proc mounted with hidepid=2",
    },
    Case {
        name: "nomodules",
        kernel: "",
        help: "no kernel module can be loaded",
    },
    Case {
        name: "notracefs",
        kernel: "",
        help: "no tracefs, debugfs or bpffs mounted",
    },
    Case {
        name: "nobtf",
        kernel: "",
        help: "/sys/kernel/btf is empty",
    },
    Case {
        name: "cgroup1",
        kernel: "",
        help: "cgroup v1 only",
    },
    Case {
        name: "noproc",
        kernel: "",
        help: "netstat runs without /proc",
    },
];

/// What runs when neither `--test` nor `--run` says otherwise: tests that compare answers with `/proc`, `ss` and their own counts.
const DEFAULT_TESTS: [&str; 1] = ["netstat:kernels"];

/// A program for the guest.
struct Program {
    /// What the report calls it.
    name: String,
    /// The command: a path that is the same in the guest, and arguments.
    command: Vec<String>,
}

/// Runs the task.
pub(crate) fn run() -> Result<ExitCode> {
    let args = Args::parse_from(crate::task_arguments());
    std::fs::create_dir_all(&args.folder).with_context(|| args.folder.display().to_string())?;
    let folder = args.folder.canonicalize()?;
    let store = fetch::Store::new(&folder, args.arch)?;
    if args.list {
        for kernel in store.available()? {
            println!("{kernel}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let cases = chosen_cases(&args.case)?;
    let programs = programs(&args)?;
    let mut names = Vec::new();
    let versions = if args.versions.is_empty() {
        vec!["oldest".to_owned(), "newest".to_owned()]
    } else {
        args.versions.clone()
    };
    for version in &versions {
        names.push(store.choose(version)?);
    }
    let busybox = (args.arch != Arch::X86).then(|| store.busybox()).transpose()?;
    let mut guests = Vec::new();
    for name in names {
        let kernel = store.get(&name)?;
        let initrd = image::pack(&image::Contents {
            kernel: &kernel,
            programs: &programs,
            netstat: args.netstat.as_deref(),
            tools: &args.tool,
            busybox: busybox.as_deref(),
            arch: args.arch,
            folder: &folder,
        })?;
        for case in &cases {
            guests.push(machine::Guest {
                title: format!("{name}-{}", case.name),
                kernel: kernel.clone(),
                initrd: initrd.clone(),
                words: format!("netstat.case={} {}", case.name, case.kernel),
                arch: args.arch,
                accel: args.accel.clone(),
                limit: args.limit,
                folder: folder.join("results"),
            });
        }
    }
    let failed = machine::run_all(guests, args.jobs)?;
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn chosen_cases(names: &[String]) -> Result<Vec<&'static Case>> {
    if names.iter().any(|name| name == "all") {
        return Ok(CASES.iter().collect());
    }
    let named = |name: &String| {
        CASES.iter().find(|case| case.name == name).with_context(|| {
            let known: Vec<String> = CASES
                .iter()
                .map(|case| format!("{:16}{}", case.name, case.help))
                .collect();
            format!("--case {name:?} is not a case; cases:\n  {}", known.join("\n  "))
        })
    };
    names.iter().map(named).collect()
}

/// The programs that the guest runs; builds what cargo has to build.
fn programs(args: &Args) -> Result<Vec<Program>> {
    let shell = |text: &String| Program {
        name: text.clone(),
        command: ["/bin/sh", "-c", text].map(str::to_owned).to_vec(),
    };
    if !args.run.is_empty() {
        return Ok(args.run.iter().map(shell).collect());
    }
    ensure!(
        args.arch == Arch::X86,
        "tests are built for this computer only; --arch aarch64 needs --run"
    );
    let wanted: Vec<String> = if args.test.is_empty() {
        DEFAULT_TESTS.map(str::to_owned).to_vec()
    } else {
        args.test.clone()
    };
    wanted.iter().map(|test| built(test)).collect()
}

/// Builds the test program `PACKAGE:TARGET[:FILTER]`.
fn built(test: &str) -> Result<Program> {
    let mut words = test.splitn(3, ':');
    let (Some(package), Some(target)) = (words.next(), words.next()) else {
        bail!("--test {test:?} is not PACKAGE:TARGET or PACKAGE:TARGET:FILTER; for example: netstat:owners");
    };
    let filter = words.next();
    let mut cargo = Command::new("cargo");
    cargo.args([
        "test",
        "--no-run",
        "--quiet",
        "--message-format=json",
        "--package",
        package,
    ]);
    match target {
        "lib" => cargo.arg("--lib"),
        _ => cargo.args(["--test", target]),
    };
    // The task itself is a release build, and its cargo says so to those that it starts.
    cargo.env_remove("CARGO_MANIFEST_DIR").stderr(Stdio::inherit());
    let output = cargo.output().context("cargo")?;
    ensure!(output.status.success(), "cargo cannot build {test:?}");
    let messages = String::from_utf8(output.stdout)?;
    let executables: Vec<String> = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["profile"]["test"] == true)
        .filter_map(|message| message["executable"].as_str().map(str::to_owned))
        .collect();
    let [executable] = executables.as_slice() else {
        bail!("cargo built {} test programs for {test:?}", executables.len());
    };
    let mut command = vec![executable.clone(), "--test-threads=1".to_owned()];
    command.extend(filter.map(str::to_owned));
    Ok(Program {
        name: test.to_owned(),
        command,
    })
}
