//! The list of processes (`NtQuerySystemInformation`, `SystemProcessInformation`) and of the processors' times.
//!
//! `SYSTEM_PROCESS_INFORMATION` of 64-bit systems; winternl.h documents a part of it, the rest has kept its place since Windows Vista.

use super::bytes::{Buffer, Malformed, u16_at, u32_at, u64_at};
use super::text::to_bytes;

/// The fixed part of an entry, in front of its threads.
const ENTRY: usize = 256;

/// One process, as the list tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessEntry {
    /// Its id. 0 is not a process: the time in which processors had nothing to do.
    pub pid: u32,
    /// The id of the process that started it. That one may have ended and its id be in use again.
    pub parent: u32,
    /// The file name of its program, as [`to_bytes`] makes it; empty for id 0. Chosen by who wrote the file: escape before printing.
    pub name: Vec<u8>,
    /// When it started, as a FILETIME; 0 for those that came with the kernel.
    pub created: u64,
    /// Time in its program, in 100 ns.
    pub user_time: u64,
    /// Time in the kernel on its behalf, in 100 ns.
    pub kernel_time: u64,
    /// Number of threads.
    pub threads: u32,
    /// Number of handles.
    pub handles: u32,
    /// The session: 0 for services, from 1 on for people.
    pub session: u32,
    /// Page faults of both kinds.
    pub faults: u32,
    /// Page faults that read from a disk.
    pub hard_faults: u32,
    /// Bytes in memory.
    pub working_set: u64,
    /// Of these, its own alone.
    pub private_working_set: u64,
    /// Bytes of memory that are its own, in memory or not.
    pub private: u64,
    /// Bytes read, by every kind of reading (files, pipes, devices, network).
    pub read_bytes: u64,
    /// Bytes written, likewise.
    pub written_bytes: u64,
}

/// The id of the process that the kernel's own threads belong to (`System`).
pub(super) const SYSTEM: u32 = 4;

/// The processes of a list, by rising id.
///
/// # Errors
/// [`Malformed`] when the list is cut off or leads in a circle.
pub fn processes(buffer: &Buffer) -> Result<Vec<ProcessEntry>, Malformed> {
    let mut found = Vec::new();
    let mut at = 0usize;
    loop {
        let entry = buffer
            .bytes
            .get(at..)
            .and_then(|rest| rest.get(..ENTRY))
            .ok_or(Malformed)?;
        found.push(read(buffer, entry, at).ok_or(Malformed)?);
        // Each entry says how far the next one is: always forward.
        match u32_at(entry, 0).ok_or(Malformed)? as usize {
            0 => break,
            next if next < ENTRY => return Err(Malformed),
            next => at = at.checked_add(next).ok_or(Malformed)?,
        }
    }
    found.sort_by_key(|process: &ProcessEntry| process.pid);
    Ok(found)
}

fn read(buffer: &Buffer, entry: &[u8], at: usize) -> Option<ProcessEntry> {
    // UNICODE_STRING: length in bytes, then the pointer.
    let length = usize::from(u16_at(entry, 56)?) / 2;
    let name = match (length, buffer.pointer(at + 64)) {
        (0, _) | (_, None) => Vec::new(),
        (length, Some(place)) => to_bytes(&buffer.units(place, length)?),
    };
    Some(ProcessEntry {
        threads: u32_at(entry, 4)?,
        private_working_set: u64_at(entry, 8)?,
        hard_faults: u32_at(entry, 16)?,
        created: u64_at(entry, 32)?,
        user_time: u64_at(entry, 40)?,
        kernel_time: u64_at(entry, 48)?,
        name,
        // Ids are kept in the width of a handle.
        pid: u64_at(entry, 80)? as u32,
        parent: u64_at(entry, 88)? as u32,
        handles: u32_at(entry, 96)?,
        session: u32_at(entry, 100)?,
        faults: u32_at(entry, 128)?,
        working_set: u64_at(entry, 144)?,
        private: u64_at(entry, 200)?,
        read_bytes: u64_at(entry, 232)?,
        written_bytes: u64_at(entry, 240)?,
    })
}

/// What one processor did since the start, in 100 ns (`SYSTEM_PROCESSOR_PERFORMANCE_INFORMATION`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessorTimes {
    /// Nothing to do.
    pub idle: u64,
    /// In the kernel, interrupts included and idling not (Windows counts it there).
    pub kernel: u64,
    /// In programs.
    pub user: u64,
}

/// The times of every processor of a group.
///
/// # Errors
/// [`Malformed`] when they end within a row.
pub fn processors(bytes: &[u8]) -> Result<Vec<ProcessorTimes>, Malformed> {
    const ROW: usize = 48;
    if !bytes.len().is_multiple_of(ROW) {
        return Err(Malformed);
    }
    let read = |row: &[u8]| {
        let idle = u64_at(row, 0)?;
        Some(ProcessorTimes {
            idle,
            kernel: u64_at(row, 8)?.saturating_sub(idle),
            user: u64_at(row, 16)?,
        })
    };
    bytes.chunks_exact(ROW).map(|row| read(row).ok_or(Malformed)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::text::to_units;
    use super::*;

    /// The list as Windows writes it: names behind the entries they belong to.
    pub(in super::super) fn written(processes: &[ProcessEntry], base: u64) -> Buffer {
        let mut bytes: Vec<u8> = Vec::new();
        for (number, process) in processes.iter().enumerate() {
            let start = bytes.len();
            let name = to_units(&process.name);
            let mut entry = vec![0; ENTRY];
            let mut put = |at: usize, value: &[u8]| entry[at..at + value.len()].copy_from_slice(value);
            put(4, &process.threads.to_le_bytes());
            put(8, &process.private_working_set.to_le_bytes());
            put(16, &process.hard_faults.to_le_bytes());
            put(32, &process.created.to_le_bytes());
            put(40, &process.user_time.to_le_bytes());
            put(48, &process.kernel_time.to_le_bytes());
            put(56, &((name.len() * 2) as u16).to_le_bytes());
            // One thread (80 bytes) between the entry and its name.
            let place = start + ENTRY + 80;
            put(64, &(base + place as u64).to_le_bytes());
            put(80, &u64::from(process.pid).to_le_bytes());
            put(88, &u64::from(process.parent).to_le_bytes());
            put(96, &process.handles.to_le_bytes());
            put(100, &process.session.to_le_bytes());
            put(128, &process.faults.to_le_bytes());
            put(144, &process.working_set.to_le_bytes());
            put(200, &process.private.to_le_bytes());
            put(232, &process.read_bytes.to_le_bytes());
            put(240, &process.written_bytes.to_le_bytes());
            bytes.extend(entry);
            bytes.extend([0x55; 80]);
            bytes.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
            bytes.extend([0, 0]);
            while !bytes.len().is_multiple_of(8) {
                bytes.push(0);
            }
            let next = if number + 1 == processes.len() {
                0
            } else {
                (bytes.len() - start) as u32
            };
            bytes[start..start + 4].copy_from_slice(&next.to_le_bytes());
        }
        Buffer { bytes, base }
    }

    pub(in super::super) fn entry(pid: u32, parent: u32, name: &str, created: u64) -> ProcessEntry {
        ProcessEntry {
            pid,
            parent,
            name: name.as_bytes().to_vec(),
            created,
            threads: 3,
            ..ProcessEntry::default()
        }
    }

    #[test]
    fn idle_process_has_no_name() {
        let list = [
            entry(0, 0, "", 0),
            entry(4, 0, "System", 0),
            entry(88, 4, "smss.exe", 5),
        ];
        assert_eq!(processes(&written(&list, 0x7fff_0000)).unwrap(), list);
    }

    #[test]
    fn list_that_leads_backwards_is_malformed() {
        let mut list = written(&[entry(4, 0, "System", 0), entry(8, 4, "a", 1)], 0);
        list.bytes[0] = 8;
        list.bytes[1] = 0;
        assert_eq!(processes(&list), Err(Malformed));
        assert_eq!(processes(&Buffer::default()), Err(Malformed));
    }

    #[test]
    fn kernel_time_does_not_hold_the_idle_time() {
        let mut row = Vec::new();
        for number in [70u64, 100, 20, 1, 2, 3] {
            row.extend(number.to_le_bytes());
        }
        let times = processors(&row).unwrap();
        assert_eq!((times[0].idle, times[0].kernel, times[0].user), (70, 30, 20));
        assert!(processors(&row[1..]).is_err());
    }

    proptest! {
        #[test]
        fn processes_come_back(names in prop::collection::vec("[a-zA-Z0-9 \u{e9}\u{4e2d}.]{0,20}", 1..8), base in any::<u32>()) {
            let list: Vec<ProcessEntry> = names
                .iter()
                .enumerate()
                .map(|(place, name)| entry(place as u32 * 4, 4, name, u64::from(base) + place as u64))
                .collect();
            prop_assert_eq!(processes(&written(&list, base.into())).unwrap(), list);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..1200), base in any::<u64>()) {
            let _ = processes(&Buffer { bytes: bytes.clone(), base });
            let _ = processors(&bytes);
        }
    }
}
