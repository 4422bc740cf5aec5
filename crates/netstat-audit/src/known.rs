//! Well-known programs, by file name only. Whether a file really is the program of that name is a question for its
//! package.

mod ports;
mod programs;

use super::case::base;
pub use ports::{PortUse, control_port, port_use};
use programs::{
    CODE_MAKERS, DAEMONS, DEBUGGERS, DOWNLOADERS, INETD, INTERPRETERS, INTRUDERS_TOOLS, KERNEL_THREADS, PROXIES,
    RELAYS, RUNTIMES, SENSORS, SERVERS, SERVICES, SHELLS, SNIFFERS, TERMINAL_SERVERS, TUNNELS,
};

/// The lowest ephemeral port in the default configuration of Linux (`net.ipv4.ip_local_port_range`, ip(7)).
pub const FIRST_PASSING_PORT: u16 = 32768;

/// Whether a program of this file name is a security sensor or part of container networking.
pub fn is_sensor(name: &[u8]) -> bool {
    among(SENSORS, name) || is_sniffer(name)
}

/// Whether a daemon of this name is a server that people often build themselves.
pub fn is_server(name: &str) -> bool {
    SERVERS.contains(&name)
}

/// Whether a program of this name is a service that answers requests from strangers.
pub fn is_service(name: &[u8]) -> bool {
    among(SERVICES, without_version(name)) || among(SERVICES, claimed(name)) || name.starts_with(b"php-fpm")
}

/// Whether a program of this file name downloads files.
pub fn is_downloader(name: &[u8]) -> bool {
    among(DOWNLOADERS, name)
}

/// Whether a program of this file name is a tool that intruders bring along.
pub fn is_intruders_tool(name: &[u8]) -> bool {
    among(INTRUDERS_TOOLS, name)
}

/// Whether a program of this file name is a tunnel or a proxy.
pub fn is_tunnel(name: &[u8]) -> bool {
    among(TUNNELS, name) || is_intruders_tool(name)
}

/// Whether a library of this file name generates code at run time.
pub fn is_code_maker(name: &[u8]) -> bool {
    CODE_MAKERS.iter().any(|known| name.starts_with(known.as_bytes()))
}

/// Whether the file name `name` resembles that of a kernel thread without being one, such as `.kworkerd`.
pub fn resembles_kernel_thread(name: &[u8]) -> bool {
    let end = name.iter().position(|byte| *byte != b'.').unwrap_or(name.len());
    let bare = &name[end..];
    [
        &b"kworker"[..],
        b"ksoftirq",
        b"kswapd",
        b"kthread",
        b"khugepaged",
        b"kdevtmp",
        b"kdmtmp",
        b"kauditd",
        b"kblockd",
        b"kcompactd",
        b"rcu_",
        b"jbd2",
    ]
    .iter()
    .any(|known| bare.starts_with(known))
}

/// Whether `name` is in `list`. A name with the extension `.exe` is compared without it and ignoring case (Windows).
fn among(list: &[&str], name: &[u8]) -> bool {
    let (stem, extension) = name.split_at(name.len().saturating_sub(4));
    match extension.eq_ignore_ascii_case(b".exe") {
        true => list.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(stem)),
        false => list.iter().any(|known| known.as_bytes() == name),
    }
}

/// Returns the name without a trailing version: `python3.11` becomes `python`.
pub(crate) fn without_version(name: &[u8]) -> &[u8] {
    let end = name
        .iter()
        .rposition(|byte| !byte.is_ascii_digit() && !matches!(byte, b'.' | b'-'))
        .map_or(name.len(), |last| last + 1);
    &name[..end]
}

/// Whether a program of this file name is a shell.
pub fn is_shell(name: &[u8]) -> bool {
    among(SHELLS, without_version(name))
}

/// Whether a program of this file name is an interpreter of a programming language.
pub fn is_interpreter(name: &[u8]) -> bool {
    among(INTERPRETERS, without_version(name))
}

/// Whether a program of this file name connects the network to standard input and output.
pub fn is_relay(name: &[u8]) -> bool {
    among(RELAYS, name)
}

/// Whether a program of this file name legitimately connects shells to users.
pub fn is_terminal_server(name: &[u8]) -> bool {
    among(TERMINAL_SERVERS, name)
}

/// Whether a program of this file name starts other programs for incoming connections.
pub fn is_inetd(name: &[u8]) -> bool {
    among(INETD, name)
}

/// Whether a program of this file name legitimately captures packets.
pub fn is_sniffer(name: &[u8]) -> bool {
    among(SNIFFERS, without_version(name)) || among(SNIFFERS, name)
}

/// Whether a program of this file name is a debugger.
pub fn is_debugger(name: &[u8]) -> bool {
    among(DEBUGGERS, without_version(name)) || among(DEBUGGERS, name)
}

/// Whether a program of this file name forwards requests to other servers.
pub fn is_proxy(name: &[u8]) -> bool {
    among(PROXIES, name)
}

/// Whether a program of this file name generates code at run time.
pub fn makes_code(name: &[u8]) -> bool {
    among(RUNTIMES, name) || among(RUNTIMES, without_version(name)) || name.starts_with(b"qemu-")
}

/// Returns the daemon called `name`, if it is one that malware likes to imitate.
pub fn daemon(name: &[u8]) -> Option<&'static str> {
    DAEMONS.iter().copied().find(|daemon| daemon.as_bytes() == name)
}

/// Returns the daemon whose name is nearly `name`: one letter is missing, added, wrong, or swapped with its neighbour.
pub fn nearly_daemon(name: &[u8]) -> Option<&'static str> {
    // Shorter names are similar by chance.
    const SHORTEST: usize = 6;
    let name = std::str::from_utf8(name).ok()?;
    if name.len() < SHORTEST || daemon(name.as_bytes()).is_some() {
        return None;
    }
    DAEMONS
        .iter()
        .copied()
        .find(|daemon| daemon.len() >= SHORTEST && strsim::damerau_levenshtein(name, daemon) == 1)
}

/// Whether `name` is the name of a kernel thread.
pub fn is_kernel_thread_name(name: &[u8]) -> bool {
    KERNEL_THREADS.iter().any(|known| {
        name.strip_prefix(known.as_bytes()).is_some_and(|rest| {
            rest.first()
                .is_none_or(|next| !next.is_ascii_lowercase() || known.ends_with('/'))
        })
    })
}

/// Returns the name that a command line claims for its program: the last path component of the first word, without a
/// leading `-` (a login shell) and up to a space or colon (`nginx: worker process`).
pub fn claimed(first: &[u8]) -> &[u8] {
    let word = first
        .split(|byte| matches!(byte, b' ' | b':'))
        .next()
        .unwrap_or_default();
    let word = base(word);
    word.strip_prefix(b"-").unwrap_or(word)
}

/// Returns the words from the name by which the program `name` was called: `busybox sh -i` becomes `sh -i`.
pub fn called_as<'a>(name: &[u8], words: &'a [Vec<u8>]) -> &'a [Vec<u8>] {
    match words.first() {
        Some(first) if name == b"busybox" && base(first) == b"busybox" => &words[1..],
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_program_with_version_suffix_is_recognized() {
        assert!(is_interpreter(b"python3.11") && is_interpreter(b"perl") && is_interpreter(b"php8.2"));
        assert!(is_shell(b"bash") && is_shell(b"zsh-5.9") && !is_shell(b"bashful"));
        assert!(makes_code(b"luajit-2.1") && makes_code(b"qemu-system-aarch64") && !makes_code(b"sshd"));
        assert!(is_sniffer(b"dhclient") && is_sniffer(b"kea-dhcp4"));
    }

    #[test]
    fn kernel_thread_names_are_recognized() {
        for name in [
            "kworker/0:1-events",
            "kworker",
            "kswapd0",
            "ksoftirqd/3",
            "jbd2/sda1-8",
            "rcu_sched",
            "migration/0",
            "irq/24-ACPI",
        ] {
            assert!(is_kernel_thread_name(name.as_bytes()), "{name}");
        }
        for name in [
            "kworkers",
            "bash",
            "cryptominer",
            "netnsd",
            "migrationtool",
            "nfsdcltrack",
            "",
        ] {
            assert!(!is_kernel_thread_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn command_line_claims_name_of_its_first_word() {
        for (word, name) in [
            ("-bash", "bash"),
            ("/usr/sbin/sshd", "sshd"),
            ("nginx: worker process", "nginx"),
            ("sshd", "sshd"),
            ("", ""),
        ] {
            assert_eq!(claimed(word.as_bytes()), name.as_bytes());
        }
    }

    #[test]
    fn daemon_name_misspelled_is_recognized() {
        assert_eq!(nearly_daemon(b"rsyslgod"), Some("rsyslogd"));
        assert_eq!(nearly_daemon(b"systemd-journaldd"), Some("systemd-journald"));
        for name in ["rsyslogd", "sshx", "crond2", "nginx-debug", "chromium"] {
            assert_eq!(nearly_daemon(name.as_bytes()), None, "{name}");
        }
    }
}
