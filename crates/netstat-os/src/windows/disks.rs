//! Physical disks (`IOCTL_DISK_PERFORMANCE` on `\\.\PhysicalDriveN`).

use netstat_model::Fact;
use netstat_model::metrics::{Disk, DiskKind};

use super::bytes::{Malformed, u32_at, u64_at};

/// `DISK_PERFORMANCE`.
pub(super) const PERFORMANCE: usize = 88;
/// Times of Windows count 100 ns.
const TICKS_PER_MILLISECOND: u64 = 10_000;

/// What the system says of one disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskAnswer {
    /// The N of `PhysicalDriveN`.
    pub number: u32,
    /// The letters of the volumes on it.
    pub letters: Vec<char>,
    /// `DISK_PERFORMANCE`.
    pub performance: Vec<u8>,
}

/// A volume with a letter on a fixed disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// `C` for `C:`.
    pub letter: char,
    /// The N of the `PhysicalDriveN` that it lies on.
    pub disk: u32,
    /// Its size in bytes.
    pub total: u64,
    /// What users may still write to it, in bytes.
    pub available: u64,
}

/// The figures of one disk, named as Windows' own performance counters name it: `0 C: D:`.
///
/// # Errors
/// [`Malformed`] when the structure is cut off.
pub fn disk(answer: &DiskAnswer) -> Result<Disk, Malformed> {
    let answered = answer.performance.get(..PERFORMANCE).ok_or(Malformed)?;
    let wide = |at| u64_at(answered, at).ok_or(Malformed);
    let narrow = |at| u32_at(answered, at).map(u64::from).ok_or(Malformed);
    let (read_time, write_time, idle_time, query_time) = (wide(16)?, wide(24)?, wide(32)?, wide(56)?);
    let mut name = answer.number.to_string();
    for letter in &answer.letters {
        name.extend([' ', *letter, ':']);
    }
    Ok(Disk {
        number: (answer.number, 0),
        name: name.into_bytes().into(),
        kind: Fact::Known(DiskKind::Whole),
        reads: narrow(40)?,
        read_bytes: wide(0)?,
        writes: narrow(44)?,
        written_bytes: wide(8)?,
        in_flight: narrow(48)?,
        // The time of the query is that of the clock, so that only the difference of two readings means something.
        active: query_time.saturating_sub(idle_time) / TICKS_PER_MILLISECOND,
        weighted: read_time.saturating_add(write_time) / TICKS_PER_MILLISECOND,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `DISK_PERFORMANCE` with these numbers: bytes read and written, times of reading, writing and rest, counts, queue, time of the query.
    pub(in super::super) fn written(wide: [u64; 5], narrow: [u32; 4], query: u64) -> Vec<u8> {
        let mut bytes: Vec<u8> = wide.iter().flat_map(|number| number.to_le_bytes()).collect();
        bytes.extend(narrow.iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend(query.to_le_bytes());
        bytes.extend([0; PERFORMANCE - 64]);
        bytes
    }

    #[test]
    fn disk_has_name_and_figures() {
        let answer = DiskAnswer {
            number: 1,
            letters: vec!['C', 'E'],
            performance: written([4096, 512, 30_000, 20_000, 400_000], [8, 2, 3, 0], 1_000_000),
        };
        let disk = disk(&answer).unwrap();
        assert_eq!(&*disk.name, b"1 C: E:");
        assert_eq!((disk.read_bytes, disk.written_bytes), (4096, 512));
        assert_eq!((disk.reads, disk.writes, disk.in_flight), (8, 2, 3));
        assert_eq!((disk.active, disk.weighted), (60, 5));
        assert_eq!(disk.kind, Fact::Known(DiskKind::Whole));
    }

    #[test]
    fn cut_off_disk_is_malformed() {
        let mut answer = DiskAnswer {
            performance: written([0; 5], [0; 4], 0),
            ..DiskAnswer::default()
        };
        answer.performance.truncate(63);
        assert_eq!(disk(&answer), Err(Malformed));
    }
}
