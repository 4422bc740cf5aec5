//! The metrics of the record.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use netstat_record::{GapSums, Reader, RecordStatus, SpoolState};
use netstat_serve::Figure;

use crate::recall;

/// Totals that only grow, although the record discards old gaps.
#[derive(Debug, Default)]
pub(super) struct RecordFigures {
    seen: Mutex<Option<Seen>>,
}

#[derive(Debug)]
struct Seen {
    path: PathBuf,
    newest_gap: i64,
    sums: GapSums,
}

impl RecordFigures {
    /// Returns the metrics of the record at `named`, or of the first one found; empty if none can be read.
    pub(super) fn of_this_computer(&self, named: Option<&Path>, superuser: bool) -> Vec<Figure> {
        let places = recall::places(named, superuser);
        let read = places.iter().find_map(|path| {
            let reader = Reader::open(path).ok()?;
            let (status, sums) = self.read(path, &reader)?;
            let mut all = figures(path, &status, sums);
            if let Ok(Some(spool)) = reader.spool() {
                all.extend(shipping(&spool));
            }
            Some(all)
        });
        read.unwrap_or_default()
    }

    fn read(&self, path: &Path, reader: &Reader) -> Option<(RecordStatus, GapSums)> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen.take().filter(|seen| seen.path == path);
        let after = known.as_ref().map_or(0, |seen| seen.newest_gap);
        let mut status = reader.status(after).ok()?;
        let mut sums = known.map_or(GapSums::default(), |seen| seen.sums);
        // The store was recreated.
        if status.newest_gap < after {
            status = reader.status(0).ok()?;
            sums = GapSums::default();
        }
        sums.nothing += status.gaps.nothing;
        sums.with_losses += status.gaps.with_losses;
        sums.lost += status.gaps.lost;
        *seen = Some(Seen {
            path: path.to_owned(),
            newest_gap: status.newest_gap,
            sums,
        });
        Some((status, sums))
    }
}

fn figure(name: &'static str, help: &'static str, counter: bool, value: f64) -> Figure {
    Figure {
        name,
        help,
        counter,
        labels: Vec::new(),
        value,
    }
}

/// Returns the metrics of what waits for the store of a fleet.
fn shipping(spool: &SpoolState) -> Vec<Figure> {
    let mut all = vec![
        figure(
            "netstat_ship_spool_rows",
            "Rows of the record that the fleet's store has not acknowledged yet",
            false,
            (spool.rows + spool.unsent) as f64,
        ),
        figure(
            "netstat_ship_spool_bytes",
            "Size of the segments that the fleet's store has not acknowledged yet",
            false,
            spool.bytes as f64,
        ),
        figure(
            "netstat_ship_dropped_rows",
            "Rows that were given up unsent because there were too many",
            true,
            spool.lost as f64,
        ),
    ];
    if let Some(oldest) = spool.oldest {
        all.push(figure(
            "netstat_ship_oldest_unsent_timestamp_seconds",
            "When the oldest row that waits in a segment begins, in seconds since 1970",
            false,
            oldest as f64 / 1000.0,
        ));
    }
    all
}

fn figures(path: &Path, status: &RecordStatus, sums: GapSums) -> Vec<Figure> {
    let size = |end: &str| {
        let mut file = path.as_os_str().to_owned();
        file.push(end);
        std::fs::metadata(file).map_or(0, |about| about.len())
    };
    let gap = |reason, millis: u64| Figure {
        labels: vec![("reason", reason)],
        ..figure(
            "netstat_record_gap_seconds",
            "Time of which the record lacks everything (nothing_recorded) or some events (events_lost)",
            true,
            millis as f64 / 1000.0,
        )
    };
    let mut all = vec![
        figure(
            "netstat_record_flows",
            "Connections that the record has taken in",
            true,
            status.flows as f64,
        ),
        figure(
            "netstat_record_lost_events",
            "Events and connections that the record lacks, as far as they could be counted",
            true,
            sums.lost as f64,
        ),
        gap("nothing_recorded", sums.nothing),
        gap("events_lost", sums.with_losses),
        figure(
            "netstat_record_store_bytes",
            "Size of the record's files",
            false,
            (size("") + size("-wal") + size("-shm")) as f64,
        ),
        figure(
            "netstat_new_programs",
            "Programs that the record has seen on the network for the first time",
            true,
            status.programs as f64,
        ),
    ];
    if let Some(last) = status.last_write {
        all.push(figure(
            "netstat_record_last_write_timestamp_seconds",
            "When the recorder last wrote, in seconds since 1970",
            false,
            last as f64 / 1000.0,
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_record::Writer;

    #[test]
    fn gap_sums_grow_and_begin_again_with_a_new_store() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record.db");
        let figures = RecordFigures::default();
        let read = || {
            let (_, sums) = figures.read(&path, &Reader::open(&path).ok()?)?;
            Some((sums.nothing, sums.with_losses, sums.lost))
        };
        assert_eq!(read(), None);
        let write = |gaps: &[(i64, i64, Option<u64>)]| {
            let mut writer = Writer::open(&path, b"host", "00000000-0000-0000-0000-000000000000").unwrap();
            let mut batch = writer.batch().unwrap();
            for (since, until, lost) in gaps {
                batch.gap(*since, *until, "for the test", *lost).unwrap();
            }
            batch.commit().unwrap();
        };
        write(&[(0, 1000, None), (2000, 2500, Some(3))]);
        assert_eq!(read(), Some((1000, 500, 3)));
        assert_eq!(read(), Some((1000, 500, 3)));
        write(&[(3000, 3100, Some(1))]);
        assert_eq!(read(), Some((1000, 600, 4)));
        for end in ["", "-wal", "-shm", ".lock"] {
            let _ = std::fs::remove_file(format!("{}{end}", path.display()));
        }
        write(&[(0, 70, None)]);
        assert_eq!(read(), Some((70, 0, 0)));
    }

    #[test]
    fn shipping_figures_appear_only_when_the_record_is_shipped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record.db");
        let figures = RecordFigures::default();
        let names = || {
            let all = figures.of_this_computer(Some(&path), false);
            all.iter()
                .filter(|figure| figure.name.starts_with("netstat_ship"))
                .count()
        };
        let mut writer = Writer::open(&path, b"host", "00000000-0000-0000-0000-000000000000").unwrap();
        assert_eq!(names(), 0);
        writer.begin_shipping().unwrap();
        assert_eq!(names(), 3);
    }
}
