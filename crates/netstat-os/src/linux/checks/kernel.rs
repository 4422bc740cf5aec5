//! Checks of the running kernel: its version, configuration, types, and restrictions.

use std::io::Read;
use std::path::Path;

use netstat_model::text::plain_error;

use crate::CheckArea::Kernel;
use crate::linux::owners_ebpf::{TaskFile, Unavailable};
use crate::linux::release_numbers;
use crate::{Check, CheckStatus, ConfinementSupport};

/// The options of the kernel's configuration that are needed, and what is missing without them.
const OPTIONS: &[(&str, &str)] = &[
    (
        "INET_DIAG",
        "TCP and UDP sockets are read from /proc/net, with fewer facts",
    ),
    ("INET_UDP_DIAG", "UDP sockets are read from /proc/net, with fewer facts"),
    ("INET_RAW_DIAG", "RAW sockets are read from /proc/net, with fewer facts"),
    ("INET_DIAG_DESTROY", "connections cannot be closed from the monitor"),
    ("UNIX_DIAG", "the peers of UNIX sockets are unknown"),
    ("PACKET_DIAG", "packet sockets cannot be listed"),
    ("NETLINK_DIAG", "netlink sockets cannot be listed"),
    (
        "BPF_SYSCALL",
        "no eBPF: short connections can slip by, UDP sockets have no rates",
    ),
    (
        "DEBUG_INFO_BTF",
        "no eBPF: short connections can slip by, UDP sockets have no rates",
    ),
    (
        "BPF_EVENTS",
        "no tracepoints for eBPF: short connections can slip by, UDP sockets have no rates",
    ),
    ("TASK_IO_ACCOUNTING", "the disk activity of processes is unknown"),
    ("NF_TABLES", "there is no nftables to read"),
];

/// Returns the checks of this area.
pub(super) fn checks(proc: &Path, root: &Path) -> Vec<Check> {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let mut checks = vec![version(&release), options(proc, root, &release)];
    checks.push(modules(proc, root, &release));
    checks.push(btf(root));
    checks.push(lockdown(root));
    checks.push(confinement(crate::confinement_support()));
    checks.push(iterator(TaskFile::load().err()));
    checks
}

fn version(release: &str) -> Check {
    let check = |status| Check::new(Kernel, "version", status, format!("Linux {release}"));
    match release_numbers(release) {
        None => check(CheckStatus::Unknown).because("its version has an unknown form"),
        Some(version) if version < (5, 10) => check(CheckStatus::Limited)
            .because("netstat is tested with Linux 5.10 and later")
            .effect("some facts about sockets may be missing"),
        Some(version) if version < (5, 11) => check(CheckStatus::Limited)
            .because("the iterator over descriptors and BTF need Linux 5.11")
            .effect("short connections can slip by, and UDP sockets have no rates"),
        Some(version) if version < (6, 3) => check(CheckStatus::Limited)
            .because("the tracepoints of sends and receives need Linux 6.3")
            .effect("UDP sockets have no rates"),
        Some(_) => check(CheckStatus::Good),
    }
}

/// Returns the text of the kernel's configuration and where it was found.
fn configuration(proc: &Path, root: &Path, release: &str) -> Option<(String, String)> {
    let published = proc.join("config.gz");
    if let Ok(file) = std::fs::File::open(&published) {
        let mut text = String::new();
        // About 250 kB; a much larger one would not be a valid configuration.
        let limited = flate2::read::GzDecoder::new(file)
            .take(8 << 20)
            .read_to_string(&mut text);
        if limited.is_ok() {
            return Some((text, published.display().to_string()));
        }
    }
    ["boot/config-", "usr/lib/kernel/config-", "lib/modules/"]
        .into_iter()
        .find_map(|place| {
            let path = match place {
                "lib/modules/" => root.join(format!("{place}{release}/config")),
                _ => root.join(format!("{place}{release}")),
            };
            Some((std::fs::read_to_string(&path).ok()?, path.display().to_string()))
        })
}

/// Returns those of [`OPTIONS`] that `text` does not set to `y` or `m`.
fn unset(text: &str) -> Vec<&'static (&'static str, &'static str)> {
    let set = |option: &str| {
        text.lines().any(|line| {
            let value = line.strip_prefix("CONFIG_").and_then(|rest| rest.strip_prefix(option));
            matches!(value, Some("=y" | "=m"))
        })
    };
    OPTIONS.iter().filter(|(option, _)| !set(option)).collect()
}

fn options(proc: &Path, root: &Path, release: &str) -> Check {
    let Some((text, path)) = configuration(proc, root, release) else {
        return Check::new(
            Kernel,
            "options",
            CheckStatus::Unknown,
            "its configuration is not published",
        )
        .because(format!(
            "neither /proc/config.gz nor /boot/config-{release} can be read"
        ))
        .remedy("sudo modprobe configs");
    };
    let unset = unset(&text);
    if unset.is_empty() {
        let found = format!("all {} options that netstat uses are set ({path})", OPTIONS.len());
        return Check::new(Kernel, "options", CheckStatus::Good, found);
    }
    let names: Vec<String> = unset.iter().map(|(option, _)| format!("CONFIG_{option}")).collect();
    let mut effects: Vec<&str> = unset.iter().map(|(_, effect)| *effect).collect();
    effects.dedup();
    Check::new(
        Kernel,
        "options",
        CheckStatus::Limited,
        format!("built without {}", names.join(", ")),
    )
    .because(format!("{path} says so; only another kernel has them"))
    .effect(effects.join("; "))
}

/// Checks whether modules can be loaded, because the sock_diag modules are loaded on first use.
fn modules(proc: &Path, root: &Path, release: &str) -> Check {
    let disabled = std::fs::read_to_string(proc.join("sys/kernel/modules_disabled"));
    if disabled.is_ok_and(|value| value.trim() == "1") {
        return Check::new(Kernel, "modules", CheckStatus::Note, "no module can be loaded any more")
            .because("kernel.modules_disabled is 1 until the next boot")
            .effect("kinds of sockets whose module is not loaded yet are read from /proc/net, or not at all");
    }
    let there = ["lib/modules", "usr/lib/modules"]
        .iter()
        .any(|place| root.join(place).join(release).is_dir());
    let built_in = !proc.join("modules").exists();
    match (built_in, there) {
        (true, _) => Check::new(Kernel, "modules", CheckStatus::Good, "built into the kernel"),
        (false, true) => Check::new(Kernel, "modules", CheckStatus::Good, "loaded when needed"),
        (false, false) => Check::new(
            Kernel,
            "modules",
            CheckStatus::Note,
            format!("no modules of the running kernel under /lib/modules/{release}"),
        )
        .because("in a container this is usual; else the kernel was upgraded or removed since the boot")
        .effect("kinds of sockets whose module is neither built in nor loaded yet cannot be asked for"),
    }
}

fn btf(root: &Path) -> Check {
    let path = "/sys/kernel/btf/vmlinux";
    match std::fs::File::open(root.join("sys/kernel/btf/vmlinux")) {
        Ok(_) => Check::new(Kernel, "btf", CheckStatus::Good, path),
        Err(error) => Check::new(
            Kernel,
            "btf",
            CheckStatus::Limited,
            "the kernel's types are not published",
        )
        .because(format!(
            "{path}: {}; the kernel needs CONFIG_DEBUG_INFO_BTF",
            plain_error(&error)
        ))
        .effect("no eBPF: short connections can slip by, UDP sockets have no rates"),
    }
}

fn lockdown(root: &Path) -> Check {
    let check = |status, found: String| Check::new(Kernel, "lockdown", status, found);
    let Ok(modes) = std::fs::read_to_string(root.join("sys/kernel/security/lockdown")) else {
        return check(CheckStatus::Good, "not in force, or not told".to_owned());
    };
    match crate::linux::owners_ebpf::chosen(&modes) {
        None | Some("none") => check(CheckStatus::Good, "not in force".to_owned()),
        Some("confidentiality") => check(CheckStatus::Note, "confidentiality".to_owned())
            .because("the kernel was booted with it, or Secure Boot demands it")
            .effect("eBPF may be refused: see \"iterator\" and \"events\""),
        Some(mode) => check(CheckStatus::Good, mode.to_owned()),
    }
}

/// Checks which mechanisms this program can use to confine itself.
fn confinement(support: ConfinementSupport) -> Check {
    let check = |status, found: &str| Check::new(Kernel, "confinement", status, found);
    match (support.system_calls, support.landlock) {
        (true, Some(version)) => check(CheckStatus::Good, &format!("seccomp, Landlock version {version}")),
        (true, None) => check(CheckStatus::Note, "seccomp, no Landlock")
            .because(
                "it needs Linux 5.13 with CONFIG_SECURITY_LANDLOCK, and landlock among the security modules (lsm=)",
            )
            .effect("netstat history is not confined to its own files"),
        (false, landlock) => check(
            CheckStatus::Note,
            landlock.map_or("neither seccomp nor Landlock", |_| "Landlock, no seccomp"),
        )
        .because("the kernel needs CONFIG_SECCOMP_FILTER, and /proc/sys/kernel/seccomp must be readable")
        .effect("netstat runs without giving up system calls that it does not need"),
    }
}

/// Reports whether the iterator over descriptors could be loaded.
fn iterator(failed: Option<Unavailable>) -> Check {
    let Some(why) = failed else {
        return Check::new(
            Kernel,
            "iterator",
            CheckStatus::Good,
            "the eBPF iterator over descriptors loads",
        );
    };
    let check = Check::new(
        Kernel,
        "iterator",
        CheckStatus::Limited,
        "the eBPF iterator over descriptors cannot be used",
    )
    .because(why.to_string())
    .effect("owners are found by the walk through /proc, which takes longer with many descriptors");
    match why {
        Unavailable::Capabilities { .. } => check.remedy("sudo netstat doctor"),
        _ => check,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confinement_missing_parts_are_named() {
        let found = |system_calls, landlock| {
            let check = confinement(ConfinementSupport { system_calls, landlock });
            (check.status, check.found, check.effect.is_some())
        };
        let all = (CheckStatus::Good, "seccomp, Landlock version 6".to_owned(), false);
        assert_eq!(found(true, Some(6)), all);
        assert_eq!(
            found(true, None),
            (CheckStatus::Note, "seccomp, no Landlock".to_owned(), true)
        );
        assert_eq!(found(false, Some(1)).1, "Landlock, no seccomp");
        assert_eq!(found(false, None).1, "neither seccomp nor Landlock");
    }

    #[test]
    fn release_numbers_are_read() {
        assert_eq!(release_numbers("6.18.5+deb14-amd64"), Some((6, 18)));
        assert_eq!(release_numbers("7.1-rc3"), Some((7, 1)));
        assert_eq!(release_numbers("unknown"), None);
        assert_eq!(version("5.10.0-39-amd64").status, CheckStatus::Limited);
        assert_eq!(version("6.1.0").effect.as_deref(), Some("UDP sockets have no rates"));
        assert_eq!(version("6.12.1").status, CheckStatus::Good);
    }

    #[test]
    fn options_not_set_are_reported_with_their_effect() {
        let mut text: String = OPTIONS
            .iter()
            .map(|(option, _)| format!("CONFIG_{option}=y\n"))
            .collect();
        assert!(unset(&text).is_empty());
        text = text.replace("CONFIG_INET_DIAG_DESTROY=y", "# CONFIG_INET_DIAG_DESTROY is not set");
        let names: Vec<&str> = unset(&text).iter().map(|(option, _)| *option).collect();
        assert_eq!(names, ["INET_DIAG_DESTROY"]);
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("boot")).unwrap();
        std::fs::write(root.path().join("boot/config-6.1.0-x"), &text).unwrap();
        let check = options(&root.path().join("proc"), root.path(), "6.1.0-x");
        assert_eq!(check.found, "built without CONFIG_INET_DIAG_DESTROY");
        assert_eq!(
            check.effect.as_deref(),
            Some("connections cannot be closed from the monitor")
        );
        let check = options(&root.path().join("proc"), root.path(), "6.1.0-y");
        assert_eq!(check.status, CheckStatus::Unknown);
    }

    #[test]
    fn compressed_configuration_is_read() {
        use std::io::Write;
        let root = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(root.path().join("config.gz")).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        encoder.write_all(b"CONFIG_INET_DIAG=m\n").unwrap();
        encoder.finish().unwrap();
        let (text, _) = configuration(root.path(), root.path(), "x").unwrap();
        assert_eq!(text, "CONFIG_INET_DIAG=m\n");
    }

    #[test]
    fn disabled_modules_and_missing_types_are_reported() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("sys/kernel")).unwrap();
        std::fs::write(root.path().join("sys/kernel/modules_disabled"), "1\n").unwrap();
        assert_eq!(modules(root.path(), root.path(), "x").status, CheckStatus::Note);
        assert_eq!(btf(root.path()).status, CheckStatus::Limited);
        std::fs::create_dir_all(root.path().join("sys/kernel/security")).unwrap();
        std::fs::write(
            root.path().join("sys/kernel/security/lockdown"),
            "none integrity [confidentiality]\n",
        )
        .unwrap();
        assert_eq!(lockdown(root.path()).found, "confidentiality");
    }
}
