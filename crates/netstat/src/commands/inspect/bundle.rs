//! Evidence bundles: the cards, and copies of what would be lost when the processes end.

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::SystemTime;

use netstat_model::{Fact, Why, text::plain_error};
use netstat_os::{ProcessText, System};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::card::{FileView, Report, Script, Subject};
use super::pieces::{self, Pieces};
use super::redact::LEFT_OUT;
use crate::context::Progress;
use crate::output::json::Document;

/// The maximum number of bytes to copy of one file; some programs have several hundred megabytes.
const LARGEST_FILE: u64 = 512 << 20;

/// The maximum length of a file to copy, including holes: the whole length is hashed, and the archive format has eleven
/// octal digits.
const LONGEST_FILE: u64 = (8 << 30) - 1;

/// The maximum number of bytes to copy of all files together.
const LARGEST_BUNDLE: u64 = 2 << 30;

/// The texts that are copied for each process, by the name of the archive member.
const TEXTS: [(&str, ProcessText); 7] = [
    ("maps", ProcessText::Maps),
    ("status", ProcessText::Status),
    ("cmdline", ProcessText::Arguments),
    ("environ", ProcessText::Environment),
    ("cgroup", ProcessText::ControlGroup),
    ("mountinfo", ProcessText::Mounts),
    ("limits", ProcessText::Limits),
];

/// The inputs of a bundle.
pub(super) struct Contents<'a> {
    /// The results of the inspection.
    pub(super) report: &'a Report,
    /// The same results as a JSON document.
    pub(super) document: &'a Value,
    /// The host name of the computer.
    pub(super) host: &'a [u8],
    /// When the results were read.
    pub(super) time: SystemTime,
    /// `--redact`: whether nothing is copied, and files are represented by their digests.
    pub(super) redacted: bool,
}

/// Writes the bundle: an uncompressed tar archive (POSIX ustar, with the GNU format for sparse files) whose last member
/// is `manifest.json`. Returns what was written, and how many items could not be included; the manifest names them.
///
/// # Errors
/// Returns an error of the system if the archive cannot be written.
pub(super) fn write(
    to: File,
    contents: &Contents<'_>,
    system: &mut dyn System,
    progress: &Progress,
) -> io::Result<Written> {
    let mut bundle = Bundle {
        archive: Builder::new(io::BufWriter::new(to)),
        time: contents.time,
        room: LARGEST_BUNDLE,
        members: Vec::new(),
        missing: Vec::new(),
    };
    bundle.add("cards.json", &pretty(contents.document))?;
    for subject in contents.report.cards.iter().filter_map(|card| card.owner.as_ref().ok()) {
        match contents.redacted {
            true => bundle.withhold_process(subject),
            false => bundle.add_process(subject, system, progress)?,
        }
    }
    let missing = if contents.redacted { 0 } else { bundle.missing.len() };
    let members = bundle.members.clone();
    bundle.finish(contents)?;
    Ok(Written { missing, members })
}

/// What was written.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The number of items that could not be included.
    pub(super) missing: usize,
    /// The members as listed in the manifest.
    members: Vec<Value>,
}

impl Written {
    /// Returns each member with its size in bytes and its SHA-256 digest.
    pub(super) fn digests(&self) -> Vec<Vec<String>> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let row = |member: &Value| {
            ["name", "size", "sha256"]
                .iter()
                .map(|key| text(&member[*key]))
                .collect()
        };
        self.members.iter().map(row).collect()
    }
}

fn pretty(value: &Value) -> Vec<u8> {
    crate::output::json::to_text(value, true).into_bytes()
}

/// An archive that is being written.
struct Bundle<W: Write> {
    archive: Builder<W>,
    time: SystemTime,
    /// How many bytes of files may still be copied.
    room: u64,
    members: Vec<Value>,
    missing: Vec<Value>,
}

impl<W: Write> Bundle<W> {
    /// Adds everything about one process, below a directory named after its id: what it runs and what the system
    /// reports about it. A file that it merely names is not copied, since it could name any file.
    fn add_process(&mut self, subject: &Subject, system: &mut dyn System, progress: &Progress) -> io::Result<()> {
        let (pid, start) = (subject.facts.pid, subject.facts.start_ticks);
        let name = |what: &str| format!("{pid}/{what}");
        let mut is_readable = Ok(());
        for (what, which) in TEXTS {
            match system.process_text(pid, start, which) {
                Ok(text) => self.add(&name(what), &text)?,
                Err(why) => {
                    self.leave_out(&name(what), why.words(), None);
                    if which == ProcessText::Environment {
                        is_readable = Err(why);
                    }
                }
            }
        }
        let sockets = super::json::sockets(&subject.open_sockets);
        self.add(&name("sockets.json"), &pretty(&sockets))?;
        if subject.facts.kernel_thread {
            self.leave_out(&name("exe"), Why::NotApplicable.words(), None);
        } else {
            progress.stage(|| format!("copying the program of process {pid}"));
            // A caller who may not inspect the process gets no file of it either.
            match is_readable.and_then(|()| system.program_file(pid, start)) {
                Ok(file) => self.copy(&name("exe"), &file, Some(&subject.file))?,
                Err(why) => self.leave_out(&name("exe"), why.words(), Some(&subject.file)),
            }
        }
        if let Some(script) = &subject.script {
            match is_readable.and_then(|()| open_script(subject, script, system)) {
                Ok(Some(file)) => self.copy(&name("script"), &file, Some(&script.view))?,
                Ok(None) => {
                    let why = "the process does not have it open: only its arguments name it";
                    self.leave_out(&name("script"), why, Some(&script.view));
                }
                Err(why) => self.leave_out(&name("script"), why.words(), Some(&script.view)),
            }
        }
        Ok(())
    }

    /// Lists what would be copied for a process, and includes nothing but the digests of its files.
    fn withhold_process(&mut self, subject: &Subject) {
        let pid = subject.facts.pid;
        for (what, _) in TEXTS {
            self.leave_out(&format!("{pid}/{what}"), LEFT_OUT, None);
        }
        self.leave_out(&format!("{pid}/sockets.json"), LEFT_OUT, None);
        self.leave_out(&format!("{pid}/exe"), LEFT_OUT, Some(&subject.file));
        if let Some(script) = &subject.script {
            self.leave_out(&format!("{pid}/script"), LEFT_OUT, Some(&script.view));
        }
    }

    /// Lists an item that is not in the bundle, with the digest of the file if it is known.
    fn leave_out(&mut self, name: &str, why: &str, file: Option<&FileView>) {
        let mut entry = json!({"name": name, "why": why});
        if let Some(Ok(digest)) = file.map(|view| &view.sha256) {
            entry["sha256"] = digest.to_string().into();
        }
        self.missing.push(entry);
    }

    fn header(&self, size: u64, mode: u32) -> Header {
        let mut header = Header::new_ustar();
        header.set_size(size);
        header.set_mode(mode);
        let time = self.time.duration_since(SystemTime::UNIX_EPOCH);
        header.set_mtime(time.map_or(0, |time| time.as_secs()));
        header
    }

    fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut header = self.header(content.len() as u64, 0o600);
        self.archive.append_data(&mut header, name, content)?;
        self.note(name, content.len() as u64, &Sha256::digest(content));
        Ok(())
    }

    /// Copies a file at its current length, preserving holes. If it grows in the meantime, it is cut off there; if it
    /// shrinks, it is padded with zero bytes, which is reported.
    fn copy(&mut self, name: &str, file: &File, view: Option<&FileView>) -> io::Result<()> {
        let size = netstat_os::files::facts(file)?.size;
        let ranges = match netstat_os::files::data_ranges(file, pieces::MOST) {
            Ok(Some(ranges)) if size <= LONGEST_FILE => ranges,
            Ok(_) => {
                self.leave_out(name, "it is too large", view);
                return Ok(());
            }
            Err(error) => {
                self.leave_out(name, &plain_error(&error), view);
                return Ok(());
            }
        };
        let data: u64 = ranges.iter().map(|(_, length)| length).sum();
        if data > LARGEST_FILE {
            self.leave_out(name, "it is too large", view);
            return Ok(());
        }
        if data > self.room {
            self.leave_out(name, "the bundle is full", view);
            return Ok(());
        }
        self.room -= data;
        // Never executable, because it is evidence.
        let mut header = self.header(data, 0o400);
        let whole = ranges.iter().copied().eq((size > 0).then_some((0, size)));
        let extensions = match whole {
            true => Vec::new(),
            false => pieces::describe(&mut header, &ranges, size)?,
        };
        let mut content = Pieces::new(file, &ranges, size);
        if whole {
            self.archive.append_data(&mut header, name, &mut content)?;
        } else {
            header.set_entry_type(EntryType::GNUSparse);
            header.set_path(name)?;
            header.set_cksum();
            self.archive
                .append(&header, extensions.as_slice().chain(&mut content))?;
        }
        let (digest, failed) = content.finish();
        if let Some(error) = failed {
            self.leave_out(&format!("{name} (its end)"), &error, None);
        }
        self.note(name, size, &digest);
        Ok(())
    }

    fn note(&mut self, name: &str, size: u64, digest: &[u8]) {
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.members.push(json!({"name": name, "size": size, "sha256": digest}));
    }

    /// Writes the manifest and the end of the archive.
    fn finish(mut self, contents: &Contents<'_>) -> io::Result<()> {
        let mut body = Map::new();
        body.insert(
            "program".to_owned(),
            concat!("netstat ", env!("CARGO_PKG_VERSION")).into(),
        );
        body.insert("redacted".to_owned(), contents.redacted.into());
        body.insert("members".to_owned(), Value::Array(std::mem::take(&mut self.members)));
        body.insert("missing".to_owned(), Value::Array(std::mem::take(&mut self.missing)));
        let manifest = Document {
            schema: "netstat.bundle",
            host: contents.host,
            time: contents.time,
            limits: &contents.report.limits,
            body,
        };
        let manifest = pretty(&manifest.value());
        let mut header = self.header(manifest.len() as u64, 0o600);
        self.archive
            .append_data(&mut header, "manifest.json", manifest.as_slice())?;
        self.archive.into_inner()?.flush()
    }
}

/// Opens the script of a process if the process has it open. It is found among the open files, because its path may
/// lead to another file by now.
fn open_script(subject: &Subject, script: &Script, system: &mut dyn System) -> Result<Option<File>, Why> {
    let Fact::Known(named) = script.file else {
        return Ok(None);
    };
    let (pid, start) = (subject.facts.pid, subject.facts.start_ticks);
    for open in system.open_files(pid, start)? {
        let Ok(file) = system.open_file(pid, start, open.number) else {
            continue;
        };
        if netstat_os::files::facts(&file).is_ok_and(|facts| facts.is_same_file(&named)) {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// Returns the note about missing items, for stderr; `None` if nothing is missing.
pub(super) fn missing(count: usize) -> Option<String> {
    (count > 0).then(|| {
        let things = crate::context::human::plural(count as u64, "thing");
        format!("{things} could not be put into the bundle: its manifest.json names them with the reasons")
    })
}
