//! Parsers for the metrics in `/proc`. They accept any bytes and return values or nothing.

use netstat_model::metrics::{CpuMetrics, CpuTimes, Disk, Memory, Pressure, Stalled};
use netstat_model::{Fact, Why};

/// The size of a sector in `/proc/diskstats` in bytes, independent of the device (Documentation/block/stat.rst).
const SECTOR: u64 = 512;

fn number<T: std::str::FromStr>(word: &[u8]) -> Option<T> {
    // These numbers never have a sign, but `from_str` would accept a plus.
    if !word.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
}

/// Parses the CPU times in `/proc/stat` (proc_stat(5)); `None` if the line for all CPUs is missing.
pub fn cpu(text: &[u8]) -> Option<CpuMetrics> {
    let mut total = None;
    let mut cores = Vec::new();
    for line in lines(text) {
        let Some(rest) = line.strip_prefix(b"cpu") else {
            // The lines are together at the top.
            break;
        };
        let mut fields = words(rest);
        match rest.first() {
            Some(b' ') => total = Some(cpu_times(fields)?),
            _ => {
                let core = number(fields.next()?)?;
                cores.push((core, cpu_times(fields)?));
            }
        }
    }
    Some(CpuMetrics { total: total?, cores })
}

/// Parses user, nice, system, idle, iowait, irq, softirq and steal. The guest times that follow are included in the
/// first two. Old kernels have fewer fields.
fn cpu_times<'a>(mut fields: impl Iterator<Item = &'a [u8]>) -> Option<CpuTimes> {
    let mut needed = || number::<u64>(fields.next()?);
    let (user, nice, system, idle) = (needed()?, needed()?, needed()?, needed()?);
    let mut further = || needed().unwrap_or(0);
    let (waiting, irq, softirq, stolen) = (further(), further(), further(), further());
    Some(CpuTimes {
        user: user.checked_add(nice)?,
        system: system.checked_add(irq)?.checked_add(softirq)?,
        idle,
        waiting,
        stolen,
    })
}

/// Parses `/proc/meminfo` (proc_meminfo(5)); fields that a kernel does not report are unknown.
pub fn memory(text: &[u8]) -> Memory {
    let bytes = |name: &[u8]| {
        let value = lines(text).find_map(|line| line.strip_prefix(name)?.strip_prefix(b":"));
        let value = value.and_then(|rest| {
            let mut words = words(rest);
            let value: u64 = number(words.next()?)?;
            match words.next() {
                Some(b"kB") => value.checked_mul(1024),
                _ => None,
            }
        });
        Fact::from_option(value, Why::NotKept)
    };
    let shared = bytes(b"Shmem");
    let cached = match (bytes(b"Cached"), bytes(b"Buffers"), bytes(b"SReclaimable"), shared) {
        (Fact::Known(files), Fact::Known(buffers), Fact::Known(kernel), Fact::Known(shared)) => Fact::Known(
            files
                .saturating_add(buffers)
                .saturating_add(kernel)
                .saturating_sub(shared),
        ),
        _ => Fact::Unknown(Why::NotKept),
    };
    Memory {
        total: bytes(b"MemTotal"),
        free: bytes(b"MemFree"),
        available: bytes(b"MemAvailable"),
        cached,
        shared,
        dirty: bytes(b"Dirty"),
        swap_total: bytes(b"SwapTotal"),
        swap_free: bytes(b"SwapFree"),
    }
}

/// Parses a file in `/proc/pressure` (Documentation/accounting/psi.rst).
pub fn pressure(text: &[u8]) -> Option<Pressure> {
    let line = |name: &[u8]| lines(text).find_map(|line| stalled(line.strip_prefix(name)?));
    Some(Pressure {
        some: line(b"some ")?,
        full: Fact::from_option(line(b"full "), Why::NotKept),
    })
}

/// Parses `avg10=0.12 avg60=0.00 avg300=0.00 total=12345`.
fn stalled(line: &[u8]) -> Option<Stalled> {
    let value = |name: &[u8]| words(line).find_map(|word| word.strip_prefix(name)?.strip_prefix(b"="));
    let average = value(b"avg10")?;
    // There are always two decimals.
    let (whole, decimals) = average.split_at_checked(average.iter().position(|&byte| byte == b'.')?)?;
    let [b'.', decimals @ ..] = decimals else { return None };
    if decimals.len() != 2 {
        return None;
    }
    let hundredths = number::<u16>(whole)?.checked_mul(100)?.checked_add(number(decimals)?)?;
    Some(Stalled {
        ten_seconds: hundredths,
        total: number(value(b"total")?)?,
    })
}

/// Parses the rows of `/proc/diskstats` (Documentation/admin-guide/iostats.rst), in order; malformed ones are left out.
/// The file does not contain the kind of a disk.
pub fn disks(text: &[u8]) -> Vec<Disk> {
    lines(text).filter_map(disk).collect()
}

fn disk(line: &[u8]) -> Option<Disk> {
    let mut words = words(line);
    let major = number(words.next()?)?;
    let minor = number(words.next()?)?;
    let name = words.next()?;
    let mut field = || number::<u64>(words.next()?);
    // Reads, merged, sectors, milliseconds; the same for writes; in flight, milliseconds active, weighted.
    let (reads, _, read_sectors, _) = (field()?, field()?, field()?, field()?);
    let (writes, _, written_sectors, _) = (field()?, field()?, field()?, field()?);
    Some(Disk {
        number: (major, minor),
        name: name.into(),
        kind: Fact::Unknown(Why::NotAsked),
        reads,
        read_bytes: read_sectors.checked_mul(SECTOR)?,
        writes,
        written_bytes: written_sectors.checked_mul(SECTOR)?,
        in_flight: field()?,
        active: field()?,
        weighted: field()?,
    })
}

/// Parses `/proc/PID/statm` (proc_pid_statm(5)): the number of resident pages, and how many of them are shared.
pub fn statm(text: &[u8]) -> Option<(u64, u64)> {
    let mut words = words(text).skip(1);
    Some((number(words.next()?)?, number(words.next()?)?))
}

/// Parses `/proc/PID/io` (proc_pid_io(5)): the bytes read from storage and written to it.
pub fn io(text: &[u8]) -> Option<(u64, u64)> {
    let value = |name: &[u8]| lines(text).find_map(|line| number(line.strip_prefix(name)?));
    Some((value(b"read_bytes: ")?, value(b"write_bytes: ")?))
}

/// Parses the effective user id (`Uid:`, second number) from `/proc/PID/status` (proc_pid_status(5)).
pub fn effective_user(status: &[u8]) -> Option<u32> {
    lines(status).find_map(|line| number(words(line.strip_prefix(b"Uid:")?).nth(1)?))
}

/// Parses the bytes in swap space (`VmSwap:`) from `/proc/PID/status`; `None` for processes without memory of their
/// own.
pub fn swapped(status: &[u8]) -> Option<u64> {
    lines(status).find_map(|line| number::<u64>(words(line.strip_prefix(b"VmSwap:")?).next()?)?.checked_mul(1024))
}

/// Parses the time since boot in `/proc/uptime` (proc_uptime(5)), in hundredths of a second.
pub fn uptime(text: &[u8]) -> Option<u64> {
    let first = words(text).next()?;
    let point = first.iter().position(|&byte| byte == b'.')?;
    let (whole, decimals) = (&first[..point], first.get(point + 1..)?);
    if decimals.len() != 2 {
        return None;
    }
    number::<u64>(whole)?.checked_mul(100)?.checked_add(number(decimals)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAT: &[u8] = b"cpu  10 2 3 400 5 6 7 8 9 1\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu12 2 2 2 2\nintr 5 6\nctxt 1\n";

    #[test]
    fn cpu_times_are_read_in_total_and_per_core() {
        let cpu = cpu(STAT).unwrap();
        assert_eq!(
            cpu.total,
            CpuTimes {
                user: 12,
                system: 16,
                idle: 400,
                waiting: 5,
                stolen: 8
            }
        );
        assert_eq!(cpu.cores.iter().map(|core| core.0).collect::<Vec<_>>(), [0, 12]);
        assert_eq!((cpu.cores[1].1.user, cpu.cores[1].1.stolen), (4, 0));
        assert!(super::cpu(b"intr 5\n").is_none());
        assert!(super::cpu(b"cpu0 1 1 1 1\n").is_none());
    }

    #[test]
    fn memory_leaves_shared_memory_out_of_the_cache() {
        let text = b"MemTotal:       1000 kB\nMemFree:  100 kB\nBuffers: 10 kB\nCached: 300 kB\nSwapCached: 9 kB\n\
            Shmem: 50 kB\nSReclaimable: 40 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\nHugePages_Total: 7\n";
        let memory = memory(text);
        assert_eq!(memory.total, Fact::Known(1000 * 1024));
        assert_eq!(memory.cached, Fact::Known(300 * 1024));
        assert_eq!(memory.in_use(), Fact::Known(600 * 1024));
        assert_eq!(memory.swap_used(), Fact::Known(0));
        assert_eq!(memory.available, Fact::Unknown(Why::NotKept));
        assert_eq!(super::memory(b"").in_use(), Fact::Unknown(Why::NotKept));
    }

    #[test]
    fn pressure_is_read_in_hundredths() {
        let text =
            b"some avg10=1.25 avg60=0.00 avg300=0.00 total=77\nfull avg10=100.00 avg60=0.00 avg300=0.00 total=5\n";
        let found = pressure(text).unwrap();
        assert_eq!((found.some.ten_seconds, found.some.total), (125, 77));
        assert_eq!(found.full.known().unwrap().ten_seconds, 10_000);
        let old = pressure(b"some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n").unwrap();
        assert_eq!(old.full, Fact::Unknown(Why::NotKept));
        assert!(pressure(b"some avg10=x total=1").is_none());
    }

    #[test]
    fn disks_with_and_without_newer_fields_are_read() {
        let text = b"   8       0 sda 10 0 20 5 30 0 40 6 2 700 900 1 2 3 4 5 6\n   8       1 sda1 1 0 2 0 3 0 4 0 0 7 9\n garbage\n";
        let disks = disks(text);
        assert_eq!(disks.len(), 2);
        assert_eq!((disks[0].read_bytes, disks[0].written_bytes), (10240, 20480));
        assert_eq!((disks[0].in_flight, disks[0].active, disks[0].weighted), (2, 700, 900));
        assert_eq!((disks[1].number, &*disks[1].name), ((8, 1), &b"sda1"[..]));
    }

    #[test]
    fn process_files_are_read_field_by_field() {
        assert_eq!(statm(b"585 218 190 10 0 130 0\n"), Some((218, 190)));
        assert_eq!(statm(b"585"), None);
        let text =
            b"rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 1\n";
        assert_eq!(io(text), Some((4096, 8192)));
        let status = b"Name:\tx\nUid:\t1000\t33\t1000\t33\nVmSwap:\t      12 kB\n";
        assert_eq!(effective_user(status), Some(33));
        assert_eq!(swapped(status), Some(12288));
        assert_eq!(uptime(b"123.45 99.00\n"), Some(12345));
    }

    proptest! {
        #[test]
        fn never_panic(text: Vec<u8>) {
            everything(&text);
        }

        #[test]
        fn parsers_of_damaged_text_never_panic(at in 0usize..200, byte: u8) {
            for good in [STAT, b"some avg10=1.25 avg60=0.00 avg300=0.00 total=77\n", b"8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n"] {
                let mut text = good.to_vec();
                let place = at % text.len();
                text[place] = byte;
                everything(&text);
            }
        }
    }

    fn everything(text: &[u8]) {
        let _ = (cpu(text), memory(text), pressure(text), disks(text), uptime(text));
        let _ = (statm(text), io(text), effective_user(text), swapped(text));
    }
}
