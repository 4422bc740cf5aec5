//! The parser for `/proc/PID/status` (proc_pid_status(5)).

use netstat_model::process::{Capabilities, CapabilitySets, Ids, Seccomp};
use netstat_model::{Fact, Why};

use crate::linux::owners::process::small_number;

/// The parsed fields of `/proc/PID/status`. A field that the running kernel does not report is unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// `Tgid`: the process that the thread belongs to.
    pub process: Fact<u32>,
    /// `TracerPid`; `None` for 0.
    pub tracer: Fact<Option<u32>>,
    /// `Uid`.
    pub users: Fact<Ids>,
    /// `Gid`.
    pub groups: Fact<Ids>,
    /// `Groups`.
    pub other_groups: Fact<Vec<u32>>,
    /// `NStgid`: the process id in each PID namespace, from that of the reader to the innermost.
    pub inner_pids: Fact<Vec<u32>>,
    /// `Kthread` (Linux 6.8 and later).
    pub kernel_thread: Fact<bool>,
    /// `CapEff` and the other sets.
    pub capabilities: Fact<CapabilitySets>,
    /// `NoNewPrivs` (Linux 4.10 and later).
    pub no_new_privileges: Fact<bool>,
    /// `Seccomp`.
    pub seccomp: Fact<Seccomp>,
}

/// Parses `/proc/PID/status`. Accepts any bytes: a field that is missing or malformed is unknown.
pub fn parse_status(text: &[u8]) -> Status {
    const MISSING: Why = Why::NotSupported;
    let mut status = Status {
        process: Fact::Unknown(MISSING),
        tracer: Fact::Unknown(MISSING),
        users: Fact::Unknown(MISSING),
        groups: Fact::Unknown(MISSING),
        other_groups: Fact::Unknown(MISSING),
        inner_pids: Fact::Unknown(MISSING),
        kernel_thread: Fact::Unknown(MISSING),
        capabilities: Fact::Unknown(MISSING),
        no_new_privileges: Fact::Unknown(MISSING),
        seccomp: Fact::Unknown(MISSING),
    };
    let mut sets = [None; 5];
    for line in text.split(|&byte| byte == b'\n') {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        match name {
            b"Tgid" => status.process = read(small_number(value)),
            b"TracerPid" => status.tracer = read(small_number(value)).map(|pid| (pid != 0).then_some(pid)),
            b"Uid" => status.users = read(ids(value)),
            b"Gid" => status.groups = read(ids(value)),
            b"Groups" => status.other_groups = read(numbers(value)),
            b"NStgid" => status.inner_pids = read(numbers(value)),
            b"Kthread" => status.kernel_thread = read(flag(value)),
            b"NoNewPrivs" => status.no_new_privileges = read(flag(value)),
            b"Seccomp" => {
                status.seccomp = read(match value {
                    b"0" => Some(Seccomp::Off),
                    b"1" => Some(Seccomp::Strict),
                    b"2" => Some(Seccomp::Filter),
                    _ => None,
                });
            }
            b"CapEff" => sets[0] = capabilities(value),
            b"CapPrm" => sets[1] = capabilities(value),
            b"CapInh" => sets[2] = capabilities(value),
            b"CapBnd" => sets[3] = capabilities(value),
            b"CapAmb" => sets[4] = capabilities(value),
            _ => {}
        }
    }
    if let [
        Some(effective),
        Some(permitted),
        Some(inheritable),
        Some(bounding),
        ambient,
    ] = sets
    {
        status.capabilities = Fact::Known(CapabilitySets {
            effective,
            permitted,
            inheritable,
            bounding,
            ambient: ambient.unwrap_or_default(),
        });
    }
    status
}

/// Returns the value of an existing line, or [`Why::Failed`] if it is malformed.
fn read<T>(value: Option<T>) -> Fact<T> {
    Fact::from_option(value, Why::Failed)
}

fn flag(value: &[u8]) -> Option<bool> {
    match value {
        b"0" => Some(false),
        b"1" => Some(true),
        _ => None,
    }
}

fn numbers(value: &[u8]) -> Option<Vec<u32>> {
    value
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .map(small_number)
        .collect()
}

fn ids(value: &[u8]) -> Option<Ids> {
    match numbers(value)?[..] {
        [real, effective, saved, file_system] => Some(Ids {
            real,
            effective,
            saved,
            file_system,
        }),
        _ => None,
    }
}

fn capabilities(value: &[u8]) -> Option<Capabilities> {
    let digits = std::str::from_utf8(value).ok()?;
    u64::from_str_radix(digits, 16).ok().map(Capabilities)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "Name:\tx\\nUid:\\t0\nTgid:\t12\nPid:\t13\nPPid:\t1\nTracerPid:\t7\nUid:\t1\t2\t3\t4\n\
        Gid:\t5\t6\t7\t8\nGroups:\t4 24 \nNStgid:\t12\t3\nKthread:\t1\nCapInh:\t0000000000000000\n\
        CapPrm:\t0000000000002000\nCapEff:\t0000000000002001\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000002\n\
        NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";

    #[test]
    fn parse_status_reads_every_line() {
        let status = parse_status(TEXT.as_bytes());
        assert_eq!(status.process, Fact::Known(12));
        assert_eq!(status.tracer, Fact::Known(Some(7)));
        let users = status.users.known().unwrap();
        assert_eq!(
            (users.real, users.effective, users.saved, users.file_system),
            (1, 2, 3, 4)
        );
        assert_eq!(status.groups.known().unwrap().effective, 6);
        assert_eq!(status.other_groups, Fact::Known(vec![4, 24]));
        assert_eq!(status.inner_pids, Fact::Known(vec![12, 3]));
        assert_eq!(status.kernel_thread, Fact::Known(true));
        let sets = status.capabilities.known().unwrap();
        assert_eq!(sets.effective.names(), ["chown", "net_raw"]);
        assert_eq!(sets.permitted.names(), ["net_raw"]);
        assert_eq!(sets.ambient.names(), ["dac_override"]);
        assert_eq!(sets.bounding.count(), 41);
        assert_eq!(status.no_new_privileges, Fact::Known(true));
        assert_eq!(status.seccomp, Fact::Known(Seccomp::Filter));
    }

    #[test]
    fn parse_status_missing_lines_are_unknown() {
        let status = parse_status(b"Tgid:\t1\nTracerPid:\t0\nUid:\t1\t2\t3\nGroups:\t\nCapEff:\t0\n");
        assert_eq!(status.tracer, Fact::Known(None));
        assert_eq!(status.users, Fact::Unknown(Why::Failed));
        assert_eq!(status.other_groups, Fact::Known(vec![]));
        assert_eq!(status.kernel_thread, Fact::Unknown(Why::NotSupported));
        assert_eq!(status.capabilities, Fact::Unknown(Why::NotSupported));
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            parse_status(&bytes);
        }

        #[test]
        fn parse_status_damaged_never_panics(at in 0..TEXT.len(), byte: u8) {
            let mut text = TEXT.as_bytes().to_vec();
            text[at] = byte;
            parse_status(&text);
        }
    }
}
