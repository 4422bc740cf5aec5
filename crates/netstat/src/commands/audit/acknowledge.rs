//! Acknowledged and new findings: the files that an audit keeps.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use netstat_audit::baseline::{Baseline, Entry, Mark};
use netstat_audit::{Finding, Judged, Survey};
use netstat_model::text::{escape_str, plain_error};
use netstat_os::System;
use netstat_packages::digest::Cache;

use crate::context::{Diagnostics, Failure};

/// The size limit of a baseline or a list of findings, in bytes.
const LARGEST: u64 = 4 << 20;

/// Returns the default path of the baseline: `/etc/netstat/audit.toml` for root, otherwise in the user's configuration
/// directory (XDG Base Directory Specification). `None` if that directory is unknown.
pub(super) fn usual_baseline(root: bool) -> Option<PathBuf> {
    if root {
        return Some("/etc/netstat/audit.toml".into());
    }
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .or_else(|| absolute("APPDATA"))?;
    Some(base.join("netstat/audit.toml"))
}

/// Returns the path of the list of earlier findings, which is kept beside the record at `store`.
pub(super) fn seen_beside(store: &Path) -> PathBuf {
    store.with_file_name("audit-findings.txt")
}

/// Reads a baseline. Unless `must_exist`, a missing file counts as an empty baseline.
///
/// # Errors
/// Returns the reason why the file cannot be used, as one line.
pub(super) fn read_baseline(path: &Path, must_exist: bool, diagnostics: &mut Diagnostics) -> Result<Baseline, Failure> {
    let failed = |why: &str| Failure::Refused(format!("--baseline {}: {why}", escape_str(&path.display().to_string())));
    match read_trusted(path) {
        Ok(text) => Baseline::parse(&text).map_err(|why| failed(&why)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => Ok(Baseline::default()),
        // Nothing counts as acknowledged then, so no finding is hidden.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !must_exist => {
            diagnostics.line(format!(
                "{}: {}",
                escape_str(&path.display().to_string()),
                plain_error(&error)
            ));
            Ok(Baseline::default())
        }
        Err(error) => Err(failed(&plain_error(&error))),
    }
}

/// Reads a file that nobody except its owner can change. Because its content lowers suspicion, its owner must be the
/// caller, the superuser, or the user who called sudo.
fn read_trusted(path: &Path) -> io::Result<String> {
    let file = netstat_os::files::regular(netstat_os::files::open_without_waiting(path)?)?;
    let facts = netstat_os::files::facts(&file)?;
    let caller = netstat_os::files::effective_user();
    let sudo = std::env::var("SUDO_UID").ok().and_then(|user| user.parse().ok());
    let mut trusted = [Some(0), Some(caller), sudo.filter(|_| caller == 0)]
        .into_iter()
        .flatten();
    if !trusted.any(|user| user == facts.user) {
        return Err(io::Error::other(format!(
            "it belongs to user {}, who could hide findings from you with it",
            facts.user
        )));
    }
    /// Write permission for group and others (inode(7)).
    const OTHERS_WRITE: u32 = 0o022;
    if facts.mode & OTHERS_WRITE != 0 {
        return Err(io::Error::other(
            "others may write to it and hide findings from you with it (chmod go-w)",
        ));
    }
    if let Some(why) = netstat_os::files::other_users(path, false)?.change {
        return Err(io::Error::other(format!("{why}, and hide findings from you with it")));
    }
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 4 MiB"));
    }
    Ok(text)
}

/// Writes `text` to `path` atomically: whatever happens, the file has either the old or the new content.
///
/// # Errors
/// Returns an error of the system.
pub(super) fn write_whole(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.exists()) {
        netstat_os::files::create_private_directory(folder)?;
    }
    // A link is kept: the file to which it leads is replaced.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = target.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(name);
    let written = (|| {
        let mut file = netstat_os::create_private(&beside)?;
        file.write_all(text.as_bytes())?;
        netstat_os::files::set_mode(&file, mode)?;
        file.sync_all()?;
        std::fs::rename(&beside, &target)
    })();
    if written.is_err() {
        // Leave no incomplete file behind.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// How a finding relates to acknowledgements and earlier runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The acknowledgement that covers it; `None` if there is none.
    pub(crate) acknowledged: Option<Entry>,
    /// Whether an acknowledgement no longer applies because the file has changed.
    pub(crate) changed: bool,
    /// Whether it was absent at the last run with `--new`; `None` without `--new`.
    pub(crate) new: Option<bool>,
}

/// A finding with the mark that identifies it across runs, and its standing.
#[derive(Clone, Debug)]
pub(crate) struct Item<'a> {
    /// The process; `None` for a finding about the computer.
    pub(crate) judged: Option<&'a Judged>,
    pub(crate) finding: &'a Finding,
    pub(crate) mark: Mark,
    pub(crate) standing: Standing,
}

/// Returns all findings of `survey`, without digests.
pub(crate) fn items(survey: &Survey) -> Vec<Item<'_>> {
    let of_host = survey.host.iter().map(|finding| Item {
        judged: None,
        finding,
        mark: Mark::of(finding, None, None, None),
        standing: Standing::default(),
    });
    let of_process = survey.judged.iter().flat_map(|judged| {
        let script = judged.script.as_ref().map(netstat_audit::case::FileLook::shown);
        let peer = judged.contacts.stable_peer();
        judged.findings.iter().map(move |finding| Item {
            judged: Some(judged),
            finding,
            mark: Mark::of(finding, script.as_deref(), None, peer.as_deref()),
            standing: Standing::default(),
        })
    });
    of_host.chain(of_process).collect()
}

/// Adds the digest of the code that the finding is about, if it is about a process.
pub(super) fn add_digest(item: &mut Item<'_>, system: &mut dyn System, cache: &mut Cache) {
    if item.mark.sha256.is_none()
        && let Some(judged) = item.judged
    {
        item.mark.sha256 = judged.digest(system, cache);
    }
}

/// Applies the baseline. A digest is computed only if an entry covers a finding in everything but the digest.
pub(super) fn apply(
    baseline: &Baseline,
    today: &str,
    items: &mut [Item<'_>],
    system: &mut dyn System,
    cache: &mut Cache,
) {
    for item in items {
        let might = |entry: &&Entry| {
            let mut loose = (*entry).clone();
            loose.mark.sha256 = None;
            loose.covers(&item.mark, today)
        };
        let candidates: Vec<&Entry> = baseline.entries().iter().filter(might).collect();
        if candidates.is_empty() {
            continue;
        }
        if candidates.iter().any(|entry| entry.mark.sha256.is_some()) {
            add_digest(item, system, cache);
        }
        item.standing.acknowledged = candidates
            .iter()
            .find(|entry| entry.covers(&item.mark, today))
            .map(|entry| (*entry).clone());
        item.standing.changed = item.standing.acknowledged.is_none();
    }
}

/// Compares the findings with those of the last run, and saves the current ones. Returns when that run was; `None` for
/// the first run.
///
/// # Errors
/// Returns the reason why the list cannot be saved, as one line.
pub(super) fn compare(path: &Path, items: &mut [Item<'_>]) -> Result<Option<SystemTime>, Failure> {
    let failed = |error: &io::Error| {
        Failure::Refused(format!(
            "{}: {}",
            escape_str(&path.display().to_string()),
            plain_error(&error)
        ))
    };
    let (known, then) = match read_trusted(path) {
        Ok(text) => {
            let changed = std::fs::metadata(path).and_then(|data| data.modified());
            (lines(&text), Some(changed.map_err(|error| failed(&error))?))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (BTreeSet::new(), None),
        Err(error) => return Err(failed(&error)),
    };
    let mut found = BTreeSet::new();
    for item in items {
        let line = line(&item.mark);
        item.standing.new = Some(!known.contains(&line));
        found.insert(line);
    }
    let mut text =
        String::from("# What the last `netstat audit --new` found: an id, the SHA-256 digest of the code, the rule.\n");
    for line in &found {
        text.push_str(line);
        text.push('\n');
    }
    /// Readable by its owner only, because it reveals which programs run.
    const PRIVATE: u32 = 0o600;
    write_whole(path, &text, PRIVATE).map_err(|error| failed(&error))?;
    Ok(then)
}

fn line(mark: &Mark) -> String {
    format!("{} {} {}", mark.id(), mark.sha256.as_deref().unwrap_or("-"), mark.rule)
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// Returns the day of `now` in the local time zone: `2026-11-28`.
pub(super) fn day(now: SystemTime) -> String {
    crate::context::human::moment(now).chars().take(10).collect()
}
