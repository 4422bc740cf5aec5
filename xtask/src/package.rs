//! `cargo xtask package [--check]`: generates the files in `packaging/` that the program itself prints: manual pages
//! and completion scripts. They are kept in the repository, so that `cargo deb` and `rpmbuild` need no preceding step.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};

/// The name of the packaged program, because net-tools has `netstat` in the same directory.
const NAME: &str = "netstat-rs";

/// Each shell, and the file name under which that shell finds its script.
const SCRIPTS: [(&str, &str); 5] = [
    ("bash", "netstat-rs"),
    ("zsh", "_netstat-rs"),
    ("fish", "netstat-rs.fish"),
    ("powershell", "netstat-rs.ps1"),
    ("elvish", "netstat-rs.elv"),
];

/// Generates the files or, with `--check`, compares them with what would be generated.
pub(crate) fn run(mut words: impl Iterator<Item = OsString>) -> Result<ExitCode> {
    let check = match (words.next(), words.next()) {
        (None, None) => false,
        (Some(word), None) if word == "--check" => true,
        _ => bail!("only --check is known"),
    };
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging");
    if !check {
        make(&packaging)?;
        return Ok(ExitCode::SUCCESS);
    }
    let made = std::env::temp_dir().join(format!("netstat-package-{}", std::process::id()));
    let compared = make(&made).and_then(|()| differences(&made, &packaging));
    fs::remove_dir_all(&made).with_context(|| made.display().to_string())?;
    let differences = compared?;
    for difference in &differences {
        eprintln!("xtask package: {difference}");
    }
    if differences.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("xtask package: `cargo xtask package` makes them anew");
    Ok(ExitCode::FAILURE)
}

/// Writes all files into `man` and `completions` in `packaging`, and removes all others there.
fn make(packaging: &Path) -> Result<()> {
    let man = packaging.join("man");
    let completions = packaging.join("completions");
    for folder in [&man, &completions] {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    printed(["man".as_ref(), "--directory".as_ref(), man.as_os_str()])?;
    for (shell, file) in SCRIPTS {
        let script = printed(["completions", shell].map(AsRef::as_ref))?;
        let file = completions.join(file);
        fs::write(&file, script).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// Returns what the program prints for `words` when it is called by its packaged name.
fn printed<'a>(words: impl IntoIterator<Item = &'a std::ffi::OsStr>) -> Result<Vec<u8>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--package", "netstat", "--"])
        .args(words)
        .args(["--as", NAME])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cargo run")?;
    ensure!(output.status.success(), "netstat failed: {}", output.status);
    Ok(output.stdout)
}

/// Returns one line for each file that exists in only one of the two directories, or differs.
fn differences(made: &Path, kept: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for folder in ["man", "completions"] {
        let mut names: Vec<OsString> = Vec::new();
        for side in [made, kept] {
            let side = side.join(folder);
            for entry in fs::read_dir(&side).with_context(|| side.display().to_string())? {
                names.push(entry?.file_name());
            }
        }
        names.sort();
        names.dedup();
        for name in names {
            let [new, old] = [made, kept].map(|side| fs::read(side.join(folder).join(&name)).ok());
            let name = name.to_string_lossy();
            match (new, old) {
                (Some(new), Some(old)) if new == old => {}
                (Some(_), Some(_)) => found.push(format!("packaging/{folder}/{name} is not what the program prints")),
                (Some(_), None) => found.push(format!("packaging/{folder}/{name} is missing")),
                (None, _) => found.push(format!("packaging/{folder}/{name} is not printed any more")),
            }
        }
    }
    Ok(found)
}
