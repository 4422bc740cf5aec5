//! Parses the process list (`NtQuerySystemInformation`, `SystemProcessInformation`) and the CPU times.
//!
//! The structure is `SYSTEM_PROCESS_INFORMATION` on 64-bit systems. winternl.h documents a part of it; the layout of
//! the rest has not changed since Windows Vista.

use super::bytes::{Buffer, Malformed, u16_at, u32_at, u64_at};
use super::text::to_bytes;

/// The size in bytes of the fixed part of an entry, before its threads.
const ENTRY: usize = 256;

/// A process in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessEntry {
    /// The process id. 0 is not a process but the idle time of the CPUs.
    pub pid: u32,
    /// The id of the process that started it. That process may have ended, and its id may be in use again.
    pub parent: u32,
    /// The file name of its program, as converted by [`to_bytes`]; empty for id 0. Untrusted: must be escaped before
    /// printing.
    pub name: Vec<u8>,
    /// When it started, as a FILETIME; 0 for those that were started with the kernel.
    pub created: u64,
    /// The CPU time in user mode, in units of 100 ns.
    pub user_time: u64,
    /// The CPU time in kernel mode, in units of 100 ns.
    pub kernel_time: u64,
    /// The number of threads.
    pub threads: u32,
    /// The number of handles.
    pub handles: u32,
    /// The session id: 0 for services, 1 and above for users.
    pub session: u32,
    /// The number of page faults of both kinds.
    pub faults: u32,
    /// The number of page faults that read from a disk.
    pub hard_faults: u32,
    /// The size of the working set in bytes.
    pub working_set: u64,
    /// The private part of the working set in bytes.
    pub private_working_set: u64,
    /// The private memory in bytes, resident or not.
    pub private: u64,
    /// The number of bytes read from files, pipes, devices and the network.
    pub read_bytes: u64,
    /// The number of bytes written to these.
    pub written_bytes: u64,
}

/// The id of the process that the kernel's threads belong to (`System`).
pub(super) const SYSTEM: u32 = 4;

/// Parses the processes in a list, ordered by id.
///
/// # Errors
/// Returns [`Malformed`] if the list is truncated or an entry refers backwards.
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
        // Each entry contains the distance to the next one, which is always positive.
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
    // UNICODE_STRING: the length in bytes, then the pointer.
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
        // Ids have the size of a handle.
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

/// The times of a CPU since the boot, in units of 100 ns (`SYSTEM_PROCESSOR_PERFORMANCE_INFORMATION`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessorTimes {
    /// The idle time.
    pub idle: u64,
    /// The time in kernel mode, including interrupts but not the idle time (which Windows includes there).
    pub kernel: u64,
    /// The time in user mode.
    pub user: u64,
}

/// Parses the times of all CPUs of a group.
///
/// # Errors
/// Returns [`Malformed`] if they end within a row.
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

    /// The list in the format of Windows: each name follows its entry.
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
