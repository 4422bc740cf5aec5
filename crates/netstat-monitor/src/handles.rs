//! The open files and loaded code of one process, for a window that is updated at each refresh.

use std::time::{Duration, Instant};

use netstat_model::Why;
use netstat_model::metrics::ProcessKey;
use netstat_model::process::Mapped;
use netstat_model::text::escape;
use netstat_os::{DescriptorsAsk, OpenFile, ProcessAsk, System};

use crate::cell::Tone;
use crate::format;

/// One reading of a process.
#[derive(Clone, Debug)]
pub(crate) struct Handles {
    /// The process that was read.
    pub(crate) process: ProcessKey,
    at: Instant,
    files: Result<Vec<OpenFile>, Why>,
    /// Sockets, pipes and kernel objects, with the number of each.
    others: Vec<(&'static str, usize)>,
    /// The files of its code without duplicates, with their size in memory.
    modules: Result<Vec<(Vec<u8>, u64)>, Why>,
}

impl Handles {
    /// Reads the open files and loaded code of `process`.
    pub(crate) fn read(system: &mut dyn System, process: ProcessKey) -> Handles {
        let files = system.open_files(process.pid, process.start_ticks);
        let at = Instant::now();
        let ask = ProcessAsk {
            descriptors: DescriptorsAsk::All,
            executable: true,
            ..ProcessAsk::default()
        };
        let facts = system.process(process.pid, &ask).ok();
        let facts = facts.filter(|facts| facts.start_ticks == process.start_ticks);
        let mut others = Vec::new();
        let mut modules = Err(Why::Gone);
        if let Some(facts) = facts {
            if let Some(open) = facts.descriptors.as_ref().known() {
                let count = |list: Option<usize>| list.unwrap_or(0);
                others = vec![
                    ("sockets", count(open.sockets.as_ref().known().map(Vec::len))),
                    ("pipes", count(open.pipes.as_ref().known().map(Vec::len))),
                    (
                        "kinds of kernel objects",
                        count(open.anonymous.as_ref().known().map(Vec::len)),
                    ),
                ];
            }
            modules = match facts.executable {
                netstat_model::Fact::Known(mappings) => {
                    let mut found: Vec<(Vec<u8>, u64)> = Vec::new();
                    for mapping in &mappings {
                        let (Mapped::File { path: name, .. } | Mapped::Memory(name)) = &mapping.what else {
                            continue;
                        };
                        match found.iter_mut().find(|(known, _)| known == name) {
                            Some((_, size)) => *size += mapping.size(),
                            None => found.push((name.clone(), mapping.size())),
                        }
                    }
                    Ok(found)
                }
                netstat_model::Fact::Unknown(why) => Err(why),
            };
        }
        Handles {
            process,
            at,
            files,
            others,
            modules,
        }
    }

    /// Returns the lines of the window, safe to print, with a tab before each path. Rates are computed from the
    /// previous reading, `before`.
    pub(crate) fn lines(&self, before: Option<&Handles>) -> Vec<(String, Tone)> {
        let mut lines = vec![(
            "Files: bytes per second by the position in each, which pread, pwrite and mmap do not move".to_owned(),
            Tone::Dim,
        )];
        match &self.files {
            Err(why) => lines.push((format!("  unknown: {}", why.words()), Tone::Warn)),
            Ok(files) => {
                lines.push((
                    format!(
                        "  {:>5} {:>9} {:>9} {:>9}\t{}",
                        "FD", "Read B/s", "Write B/s", "Position", "Path"
                    ),
                    Tone::Plain,
                ));
                let mut rows: Vec<(f64, String)> = files.iter().map(|file| row(file, self.at, before)).collect();
                // The busiest first; the others by descriptor.
                rows.sort_by(|a, b| b.0.total_cmp(&a.0));
                lines.extend(
                    rows.into_iter()
                        .map(|(rate, row)| (row, if rate > 0.0 { Tone::Plain } else { Tone::Dim })),
                );
            }
        }
        let others = self.others.iter().filter(|(_, count)| *count > 0);
        let others: Vec<String> = others.map(|(what, count)| format!("{count} {what}")).collect();
        if !others.is_empty() {
            lines.push((format!("  and {}", others.join(", ")), Tone::Dim));
        }
        lines.push((String::new(), Tone::Plain));
        lines.push(("Modules: files whose code is in its memory".to_owned(), Tone::Dim));
        match &self.modules {
            Err(why) => lines.push((format!("  unknown: {}", why.words()), Tone::Warn)),
            Ok(modules) => lines.extend(
                modules
                    .iter()
                    .map(|(path, size)| (format!("  {:>9}\t{}", format::size(*size), escape(path)), Tone::Plain)),
            ),
        }
        lines
    }
}

/// Returns the rate and the line of a file.
fn row(file: &OpenFile, at: Instant, before: Option<&Handles>) -> (f64, String) {
    let past = before.and_then(|before| {
        let past = before
            .files
            .as_ref()
            .ok()?
            .iter()
            .find(|past| past.number == file.number && past.path == file.path)?;
        Some((past.position, at.saturating_duration_since(before.at)))
    });
    let rate = match past {
        Some((position, elapsed)) if elapsed > Duration::ZERO => {
            // A decrease is a seek, not a transfer.
            Some(file.position.saturating_sub(position) as f64 / elapsed.as_secs_f64())
        }
        _ => None,
    };
    let text = |wanted: bool| match rate {
        Some(rate) if wanted => format::rate(rate),
        _ => format::UNKNOWN.to_owned(),
    };
    // If a file is open for reading and writing, the position does not tell which of them moved it.
    let (read, write) = match (file.reads, file.writes) {
        (true, true) => match rate {
            Some(rate) if rate > 0.0 => (format!("{}?", format::rate(rate)), format!("{}?", format::rate(rate))),
            _ => (text(true), text(true)),
        },
        (reads, writes) => (text(reads), text(writes)),
    };
    let deleted = if file.deleted { " (deleted)" } else { "" };
    let line = format!(
        "  {:>5} {read:>9} {write:>9} {:>9}\t{}{deleted}",
        file.number,
        format::size(file.position),
        escape(&file.path)
    );
    (rate.unwrap_or(0.0), line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(position: u64, writes: bool) -> OpenFile {
        OpenFile {
            number: 3,
            path: b"/var/log/a\x1b".to_vec(),
            deleted: false,
            position,
            reads: !writes,
            writes,
        }
    }

    fn handles(at: Instant, file: OpenFile) -> Handles {
        Handles {
            process: ProcessKey { pid: 7, start_ticks: 1 },
            at,
            files: Ok(vec![file]),
            others: vec![("sockets", 2), ("pipes", 0)],
            modules: Ok(vec![(b"/usr/lib/libc.so.6".to_vec(), 1 << 20)]),
        }
    }

    #[test]
    fn file_written_between_readings_has_its_rate() {
        let at = Instant::now();
        let before = handles(at, file(1000, true));
        let now = handles(at + Duration::from_secs(2), file(21_000, true));
        let lines = now.lines(Some(&before));
        let row = &lines[2].0;
        assert!(row.contains("10.0k") && row.contains("/var/log/a\\e"), "{row}");
        assert!(
            lines.iter().any(|(line, _)| line.contains("and 2 sockets")),
            "{lines:?}"
        );
        assert!(
            lines.iter().any(|(line, _)| line.contains("1.0M\t/usr/lib/libc.so.6")),
            "{lines:?}"
        );
        // The first reading has no rate, and moving back is not a transfer.
        assert!(before.lines(None)[2].0.contains(" - "));
        let back = handles(at + Duration::from_secs(3), file(5, true));
        assert!(back.lines(Some(&now))[2].0.contains(" 0 "));
    }
}
