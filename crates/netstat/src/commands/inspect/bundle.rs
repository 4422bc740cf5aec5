//! An evidence bundle: the cards, and copies of what would be lost with the processes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::SystemTime;

use netstat_model::Why;
use netstat_os::{ProcessText, System};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, Header};

use super::card::{Report, Subject};
use super::redact::{LEFT_OUT, Withheld};
use crate::context::Progress;
use crate::output::json::Document;

/// A script longer than this is not copied: no one writes such a one.
const LONGEST_SCRIPT: u64 = 64 << 20;

/// The texts that are copied of each process, by the name of the member.
const TEXTS: [(&str, ProcessText); 7] = [
    ("maps", ProcessText::Maps),
    ("status", ProcessText::Status),
    ("cmdline", ProcessText::Arguments),
    ("environ", ProcessText::Environment),
    ("cgroup", ProcessText::ControlGroup),
    ("mountinfo", ProcessText::Mounts),
    ("limits", ProcessText::Limits),
];

/// What a bundle is made from.
pub(super) struct Contents<'a> {
    /// What was found.
    pub(super) report: &'a Report,
    /// The same as a JSON document.
    pub(super) document: &'a Value,
    /// The computer's name.
    pub(super) host: &'a [u8],
    /// When it was read.
    pub(super) time: SystemTime,
    /// With `--redact`, what was taken out of the report and must not come back with the copies.
    pub(super) withheld: Option<&'a Withheld>,
}

/// Writes the bundle: an uncompressed tar archive (POSIX ustar) with `manifest.json` as its last member. Gives back how many
/// things could not be had; the manifest names them.
///
/// # Errors
/// The system's, when the archive cannot be written.
pub(super) fn write(
    to: File,
    contents: &Contents<'_>,
    system: &mut dyn System,
    progress: &Progress,
) -> io::Result<usize> {
    let mut bundle = Bundle {
        archive: Builder::new(io::BufWriter::new(to)),
        time: contents.time,
        members: Vec::new(),
        missing: Vec::new(),
    };
    bundle.add("cards.json", &pretty(contents.document)?)?;
    for subject in contents.report.cards.iter().filter_map(|card| card.owner.as_ref().ok()) {
        bundle.add_process(subject, contents.withheld, system, progress)?;
    }
    let missing = bundle.missing.len();
    bundle.finish(contents)?;
    Ok(missing)
}

fn pretty(value: &Value) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(text)
}

/// An archive on its way.
struct Bundle<W: Write> {
    archive: Builder<W>,
    time: SystemTime,
    members: Vec<Value>,
    missing: Vec<Value>,
}

impl<W: Write> Bundle<W> {
    /// Everything of one process, below a directory of its id.
    fn add_process(
        &mut self,
        subject: &Subject,
        withheld: Option<&Withheld>,
        system: &mut dyn System,
        progress: &Progress,
    ) -> io::Result<()> {
        let (pid, start) = (subject.facts.pid, subject.facts.start_ticks);
        let name = |what: &str| format!("{pid}/{what}");
        for (what, which) in TEXTS {
            if withheld.is_some() && which == ProcessText::Arguments {
                self.leave_out(&name(what), LEFT_OUT);
                continue;
            }
            match system.process_text(pid, start, which) {
                Ok(text) => {
                    let text = match (withheld, which) {
                        (Some(_), ProcessText::Environment) => without_values(&text),
                        (Some(_), ProcessText::Status) => without_name(&text),
                        (Some(withheld), ProcessText::Maps) => withheld.without_directory(pid, &text),
                        _ => text,
                    };
                    self.add(&name(what), &text)?;
                }
                Err(why) => self.leave_out(&name(what), why.words()),
            }
        }
        let sockets = super::json::sockets(&subject.open_sockets);
        self.add(&name("sockets.json"), &pretty(&sockets)?)?;
        if subject.facts.kernel_thread {
            self.leave_out(&name("exe"), Why::NotApplicable.words());
        } else {
            progress.stage(|| format!("copying the program of process {pid}"));
            match system.program_file(pid, start) {
                Ok(file) => self.copy(&name("exe"), file, u64::MAX)?,
                Err(why) => self.leave_out(&name("exe"), why.words()),
            }
        }
        if withheld.is_some() && subject.script.is_some() {
            self.leave_out(&name("script"), LEFT_OUT);
        } else if let Some(script) = &subject.script {
            match system.file_in_view(pid, start, &script.path) {
                Ok(file) => self.copy(&name("script"), file, LONGEST_SCRIPT)?,
                Err(why) => self.leave_out(&name("script"), why.words()),
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, name: &str, why: &str) {
        self.missing.push(json!({"name": name, "why": why}));
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

    /// Copies a file as long as it is now. One that grows meanwhile is cut there; one that shrinks is filled up with zero bytes, which
    /// is noted.
    fn copy(&mut self, name: &str, file: File, longest: u64) -> io::Result<()> {
        let size = file.metadata()?.len();
        if size > longest {
            self.leave_out(name, "it is too large");
            return Ok(());
        }
        // Never executable: it is evidence.
        let mut header = self.header(size, 0o400);
        let mut content = Hashing {
            from: file.take(size),
            left: size,
            digest: Sha256::new(),
            failed: None,
        };
        self.archive.append_data(&mut header, name, &mut content)?;
        if let Some(error) = content.failed.take() {
            self.leave_out(&format!("{name} (its end)"), &error);
        }
        let digest = content.digest.finalize();
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
        body.insert("redacted".to_owned(), contents.withheld.is_some().into());
        body.insert("members".to_owned(), Value::Array(std::mem::take(&mut self.members)));
        body.insert("missing".to_owned(), Value::Array(std::mem::take(&mut self.missing)));
        let manifest = Document {
            schema: "netstat.bundle",
            host: contents.host,
            time: contents.time,
            limits: &contents.report.limits,
            body,
        };
        let manifest = pretty(&manifest.value())?;
        let mut header = self.header(manifest.len() as u64, 0o600);
        self.archive
            .append_data(&mut header, "manifest.json", manifest.as_slice())?;
        self.archive.into_inner()?.flush()
    }
}

/// A file on its way into the archive: exactly as many bytes as were announced, digested as they pass.
struct Hashing<R> {
    from: R,
    left: u64,
    digest: Sha256,
    failed: Option<String>,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let length = match self.from.read(&mut buffer[..room]) {
            Ok(0) => {
                self.failed.get_or_insert_with(|| "the file became shorter".to_owned());
                buffer[..room].fill(0);
                room
            }
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.failed.get_or_insert_with(|| error.to_string());
                buffer[..room].fill(0);
                room
            }
        };
        self.left -= length as u64;
        self.digest.update(&buffer[..length]);
        Ok(length)
    }
}

/// The strings of an environment without what follows their `=`.
fn without_values(text: &[u8]) -> Vec<u8> {
    let mut names = Vec::new();
    for string in text.split(|&byte| byte == 0).filter(|string| !string.is_empty()) {
        // A string without a name may be anything the process has put there.
        if let Some(at) = string.iter().position(|&byte| byte == b'=') {
            names.extend_from_slice(&string[..=at]);
            names.push(0);
        }
    }
    names
}

/// The text of `status` without the line of the process's name, which may be that of a script (proc_pid_status(5)).
fn without_name(text: &[u8]) -> Vec<u8> {
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    lines
        .filter(|line| !line.starts_with(b"Name:"))
        .flatten()
        .copied()
        .collect()
}

/// A remark about what is missing, for stderr.
pub(super) fn missing(count: usize) -> Option<String> {
    (count > 0).then(|| {
        let things = crate::context::human::plural(count as u64, "thing");
        format!("{things} could not be put into the bundle: its manifest.json names them with the reasons")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_and_values_go() {
        assert_eq!(without_values(b"A=1\0SECRET=x=y\0nonsense\0\0B="), b"A=\0SECRET=\0B=\0");
    }

    #[test]
    fn a_member_is_as_long_as_announced() {
        let mut reader = Hashing {
            from: &b"abc"[..],
            left: 5,
            digest: Sha256::new(),
            failed: None,
        };
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read, b"abc\0\0");
        assert_eq!(reader.failed.as_deref(), Some("the file became shorter"));
        assert_eq!(reader.digest.finalize(), Sha256::digest(b"abc\0\0"));
    }
}
