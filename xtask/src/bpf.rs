//! `cargo xtask bpf`: builds the BPF objects in `bpf/` with clang, or checks that the committed objects match their
//! source.
//!
//! Building the program requires no clang, because the objects are in the repository. `bpf/*.bpf.o.built` records which
//! clang built each one and from which source, so that the check also works on a machine with another version of clang,
//! which would produce different bytes.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

/// All programs: `bpf/NAME.bpf.c` is compiled to `bpf/NAME.bpf.o`.
const PROGRAMS: &[&str] = &["task_file", "events", "socket_origin", "states"];

/// The result of the check for one program.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Source, flags and object match, byte for byte.
    Same,
    /// This clang is not the one that built the object, but the source is the one it was built from.
    OtherClang { here: String, made_by: String },
    /// They do not match.
    Differs(&'static str),
}

/// The record that is stored next to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Built {
    clang: String,
    flags: String,
    source: u64,
    object: u64,
}

/// Runs the task: builds without an argument, and compares with `--check`.
pub(crate) fn run(mut words: impl Iterator<Item = OsString>) -> Result<ExitCode> {
    let check = match (words.next(), words.next()) {
        (None, _) => false,
        (Some(word), None) if word == "--check" => true,
        _ => bail!("usage: cargo xtask bpf [--check]"),
    };
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bpf");
    let mut failed = false;
    for name in PROGRAMS {
        let source = directory.join(format!("{name}.bpf.c"));
        let object = directory.join(format!("{name}.bpf.o"));
        let record = directory.join(format!("{name}.bpf.o.built"));
        if !check {
            let (bytes, built) = build(&source)?;
            fs::write(&object, &bytes).with_context(|| object.display().to_string())?;
            fs::write(&record, built.write()).with_context(|| record.display().to_string())?;
            eprintln!("{}: {} bytes by clang {}", object.display(), bytes.len(), built.clang);
            continue;
        }
        let committed = fs::read(&object).with_context(|| object.display().to_string())?;
        let recorded = fs::read_to_string(&record).with_context(|| record.display().to_string())?;
        let recorded = Built::read(&recorded).with_context(|| format!("{}: not understood", record.display()))?;
        let text = fs::read(&source).with_context(|| source.display().to_string())?;
        match judge(&recorded, digest(&text), digest(&committed), || build(&source))? {
            Verdict::Same => eprintln!("bpf/{name}.bpf.o: rebuilt, the same {} bytes", committed.len()),
            Verdict::OtherClang { here, made_by } => eprintln!(
                "bpf/{name}.bpf.o: made from this source by clang {made_by}; {here}, so the bytes were not compared"
            ),
            Verdict::Differs(why) => {
                eprintln!("bpf/{name}.bpf.o: {why}; run `cargo xtask bpf` and commit the result");
                failed = true;
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Compares the committed object with its record and, if the same clang is available, with a new build.
fn judge(
    recorded: &Built,
    source: u64,
    object: u64,
    build: impl FnOnce() -> Result<(Vec<u8>, Built)>,
) -> Result<Verdict> {
    if recorded.flags != FLAGS.join(" ") {
        return Ok(Verdict::Differs("was made with other flags"));
    }
    if recorded.source != source {
        return Ok(Verdict::Differs("was not made from the source as it is now"));
    }
    if recorded.object != object {
        return Ok(Verdict::Differs("is not the object that was made"));
    }
    let made_by = recorded.clang.clone();
    let (bytes, built) = match build() {
        Ok(built) => built,
        Err(error) if error.downcast_ref::<NoClang>().is_some() => {
            let here = "there is no clang here".to_owned();
            return Ok(Verdict::OtherClang { here, made_by });
        }
        Err(error) => return Err(error),
    };
    if digest(&bytes) == object {
        Ok(Verdict::Same)
    } else if built.clang == recorded.clang {
        Ok(Verdict::Differs("differs from a new build of its source"))
    } else {
        let here = format!("clang {} is here", built.clang);
        Ok(Verdict::OtherClang { here, made_by })
    }
}

/// `bpfel`: little-endian, independent of the build machine. `v3`: 32-bit registers and jumps (Linux 5.1). `-g`: the
/// type information, which is required to find field offsets at run time.
const FLAGS: &[&str] = &[
    "-target",
    "bpfel",
    "-mcpu=v3",
    "-O2",
    "-g",
    "-Wall",
    "-Wextra",
    "-fno-ident",
];

/// The error if clang is not installed.
#[derive(Debug)]
struct NoClang;

impl std::fmt::Display for NoClang {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("clang is not installed (set CLANG to name it)")
    }
}

impl std::error::Error for NoClang {}

/// Compiles a source file to an object that depends only on the source and on clang: it contains no paths of this
/// machine, and no debug sections other than BTF.
fn build(source: &Path) -> Result<(Vec<u8>, Built)> {
    let clang = std::env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let version = match Command::new(&clang).arg("--version").output() {
        Ok(output) => version(&String::from_utf8_lossy(&output.stdout)).context("clang --version says no version")?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(NoClang.into()),
        Err(error) => return Err(error).context(clang),
    };
    let directory = source.parent().context("a source has a folder")?.canonicalize()?;
    let file = source.file_name().context("a source has a name")?;
    let work = tempdir()?;
    let object = work.join("object");
    let done = Command::new(&clang)
        .current_dir(&directory)
        .args(FLAGS)
        .arg(format!("-ffile-prefix-map={}=.", directory.display()))
        .arg("-c")
        .arg(file)
        .arg("-o")
        .arg(&object)
        .status();
    let bytes = done
        .map_err(anyhow::Error::from)
        .and_then(|status| {
            if status.success() {
                Ok(())
            } else {
                bail!("clang: {status}")
            }
        })
        .and_then(|()| strip(&clang, &object))
        .and_then(|()| Ok(fs::read(&object)?));
    fs::remove_dir_all(&work).with_context(|| work.display().to_string())?;
    let bytes = bytes?;
    let built = Built {
        clang: version,
        flags: FLAGS.join(" "),
        source: digest(&fs::read(source)?),
        object: digest(&bytes),
    };
    Ok((bytes, built))
}

/// Removes DWARF and keeps BTF, with the `llvm-strip` that belongs to `clang`.
fn strip(clang: &str, object: &Path) -> Result<()> {
    let found = Command::new(clang).arg("-print-prog-name=llvm-strip").output()?;
    let program = String::from_utf8_lossy(&found.stdout).trim().to_owned();
    let status = Command::new(&program)
        .arg("-g")
        .arg(object)
        .status()
        .with_context(|| program.clone())?;
    if !status.success() {
        bail!("{program}: {status}");
    }
    Ok(())
}

/// Creates a new empty directory in the system's directory for temporary files.
fn tempdir() -> Result<PathBuf> {
    let path = std::env::temp_dir().join(format!("xtask-bpf-{}", std::process::id()));
    fs::create_dir(&path).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// Parses `14.0.6` in `Debian clang version 14.0.6`.
fn version(words: &str) -> Option<String> {
    let (_, rest) = words.split_once("clang version ")?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    (end > 0).then(|| rest[..end].to_owned())
}

/// Computes FNV-1a with 64 bits. It detects accidental changes to a file, not forgery.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Built {
    fn write(&self) -> String {
        format!(
            "# Written by `cargo xtask bpf`.\nclang {}\nflags {}\nsource {:016x}\nobject {:016x}\n",
            self.clang, self.flags, self.source, self.object
        )
    }

    fn read(text: &str) -> Option<Built> {
        let field = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key).and_then(|rest| rest.strip_prefix(' ')))
        };
        Some(Built {
            clang: field("clang")?.to_owned(),
            flags: field("flags")?.to_owned(),
            source: u64::from_str_radix(field("source")?, 16).ok()?,
            object: u64::from_str_radix(field("object")?, 16).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(clang: &str, source: u64, object: &[u8]) -> Built {
        Built {
            clang: clang.to_owned(),
            flags: FLAGS.join(" "),
            source,
            object: digest(object),
        }
    }

    #[test]
    fn build_record_written_and_read_is_the_same() {
        let record = built("14.0.6", 7, b"object");
        assert_eq!(Built::read(&record.write()), Some(record));
        assert_eq!(Built::read("clang 14\n"), None);
    }

    #[test]
    fn clang_version_of_any_distribution_is_read() {
        assert_eq!(
            version("Debian clang version 14.0.6\nTarget: x").as_deref(),
            Some("14.0.6")
        );
        assert_eq!(
            version("Ubuntu clang version 18.1.3 (1ubuntu1)").as_deref(),
            Some("18.1.3")
        );
        assert_eq!(version("clang version 19.1.0-rc2").as_deref(), Some("19.1.0"));
        assert_eq!(version("gcc 12"), None);
    }

    #[test]
    fn judge_each_difference_has_its_verdict() {
        let recorded = built("14.0.6", 1, b"good");
        let good = digest(b"good");
        let same = || Ok((b"good".to_vec(), built("14.0.6", 1, b"good")));
        let other = || Ok((b"bad".to_vec(), built("14.0.6", 1, b"bad")));
        let newer = || Ok((b"bad".to_vec(), built("19.1.0", 1, b"bad")));
        let none = || Err(NoClang.into());
        assert_eq!(judge(&recorded, 1, good, same).unwrap(), Verdict::Same);
        assert!(matches!(judge(&recorded, 2, good, same).unwrap(), Verdict::Differs(_)));
        assert!(matches!(
            judge(&recorded, 1, digest(b"bad"), same).unwrap(),
            Verdict::Differs(_)
        ));
        assert!(matches!(judge(&recorded, 1, good, other).unwrap(), Verdict::Differs(_)));
        assert!(matches!(
            judge(&recorded, 1, good, newer).unwrap(),
            Verdict::OtherClang { .. }
        ));
        assert!(matches!(
            judge(&recorded, 1, good, none).unwrap(),
            Verdict::OtherClang { .. }
        ));
        let flags = Built {
            flags: "-O0".to_owned(),
            ..recorded
        };
        assert!(matches!(judge(&flags, 1, good, same).unwrap(), Verdict::Differs(_)));
    }
}
