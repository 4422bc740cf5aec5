//! Checks of the environment: what namespaces, containers and mounts hide from the caller.

use std::path::Path;

use netstat_model::text::plain_error;

use crate::CheckArea::Environment;
use crate::linux::{namespaces, users};
use crate::{Check, CheckStatus};

/// `PROC_PID_INIT_INO` in include/linux/proc_ns.h: the inode of the initial PID namespace.
const INITIAL_PID: u32 = 0xeffffffc;

/// Returns the checks of this area.
pub(super) fn checks(proc: &Path, root: &Path) -> Vec<Check> {
    let mut checks = vec![mount(proc), container(proc, root), processes(proc)];
    checks.push(match users::unmapped(proc) {
        None => Check::new(
            Environment,
            "user-namespace",
            CheckStatus::Good,
            "every user has a number here",
        ),
        Some(_) => Check::new(
            Environment,
            "user-namespace",
            CheckStatus::Limited,
            "a user namespace of its own",
        )
        .because("/proc/self/uid_map does not number every user")
        .effect("root here is not root outside: no eBPF, and some users have no number or name")
        .remedy("nsenter --target 1 --all netstat doctor  # outside of it, as root"),
    });
    checks.push(networks(proc));
    checks
}

/// Checks how `/proc` is mounted: `hidepid` and `subset=pid` of proc(5).
fn mount(proc: &Path) -> Check {
    let Ok(mounts) = std::fs::read_to_string(proc.join("self/mountinfo")) else {
        return Check::new(Environment, "proc", CheckStatus::Failed, "/proc is not there")
            .because(format!("{}/self/mountinfo cannot be read", proc.display()))
            .effect("owners, processes and most statistics are missing")
            .remedy("sudo mount -t proc proc /proc");
    };
    let options = proc_options(&mounts);
    let hides = options.split(',').any(|option| {
        option
            .strip_prefix("hidepid=")
            .is_some_and(|value| !matches!(value, "0" | "off"))
    });
    let subset = options.split(',').any(|option| option == "subset=pid");
    let root = rustix::process::geteuid().is_root();
    match (subset, hides) {
        (true, _) => Check::new(Environment, "proc", CheckStatus::Limited, "/proc shows processes only")
            .because("it is mounted with subset=pid")
            .effect("statistics and what is not told by netlink are missing"),
        (false, true) if !root => Check::new(Environment, "proc", CheckStatus::Limited, "/proc hides processes")
            .because(format!("it is mounted with {options}"))
            .effect("processes of other users are not even listed")
            .remedy("sudo netstat doctor"),
        _ => Check::new(
            Environment,
            "proc",
            CheckStatus::Good,
            "shows every process of this PID namespace",
        ),
    }
}

/// Returns the superblock options of the last file system mounted at `/proc`, from the text of mountinfo.
fn proc_options(mounts: &str) -> &str {
    mounts
        .lines()
        .filter_map(|line| {
            let (front, back) = line.split_once(" - ")?;
            let at_proc = front.split(' ').nth(4) == Some("/proc");
            let mut fields = back.split(' ');
            (at_proc && fields.next() == Some("proc")).then(|| fields.nth(1))?
        })
        .next_back()
        .unwrap_or_default()
}

/// Checks whether the caller runs in a container, by the traces that runtimes leave; see also systemd-detect-virt(1).
fn container(proc: &Path, root: &Path) -> Check {
    let kind = container_kind(proc, root);
    let kind = kind.unwrap_or_default();
    match kind.as_str() {
        "" => Check::new(Environment, "container", CheckStatus::Good, "no container found"),
        kind => Check::new(
            Environment,
            "container",
            CheckStatus::Note,
            format!("runs in a container ({kind})"),
        )
        .because("the runtime has left its marks")
        .effect("what is outside of it may be out of sight")
        .remedy("netstat doctor  # on the host"),
    }
}

fn container_kind(proc: &Path, root: &Path) -> Option<String> {
    if let Ok(kind) = std::fs::read_to_string(root.join("run/systemd/container")) {
        return Some(kind.trim().to_owned()).filter(|kind| !kind.is_empty());
    }
    for (file, kind) in [("run/.containerenv", "podman"), (".dockerenv", "docker")] {
        if root.join(file).exists() {
            return Some(kind.to_owned());
        }
    }
    let environment = std::fs::read(proc.join("1/environ")).ok()?;
    let value = environment
        .split(|&byte| byte == 0)
        .find_map(|variable| variable.strip_prefix(b"container="))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

fn processes(proc: &Path) -> Check {
    match std::fs::read_link(proc.join("self/ns/pid")) {
        Err(error) => Check::new(
            Environment,
            "pid-namespace",
            CheckStatus::Unknown,
            "PID namespace unknown",
        )
        .because(plain_error(&error)),
        Ok(link) if link.as_os_str().as_encoded_bytes() == format!("pid:[{INITIAL_PID}]").as_bytes() => {
            Check::new(Environment, "pid-namespace", CheckStatus::Good, "the initial one")
        }
        Ok(_) => Check::new(
            Environment,
            "pid-namespace",
            CheckStatus::Limited,
            "a PID namespace of its own",
        )
        .because("this session, mostly a container, has its own numbers of processes")
        .effect("processes outside are not seen: their sockets have no owner here")
        .remedy("nsenter --target 1 --all netstat doctor  # outside of it, as root"),
    }
}

/// Checks which network namespaces can be found.
fn networks(proc: &Path) -> Check {
    let (found, limits) = namespaces::find(proc);
    let others = found.len().saturating_sub(1);
    let shown = match others {
        0 => "the only network namespace that can be seen".to_owned(),
        1 => "1 other network namespace can be seen (--all-namespaces)".to_owned(),
        _ => format!("{others} other network namespaces can be seen (--all-namespaces)"),
    };
    match limits.into_iter().next() {
        None => Check::new(Environment, "network-namespaces", CheckStatus::Good, shown),
        Some(limit) => Check {
            remedy: limit.remedy,
            ..Check::new(Environment, "network-namespaces", CheckStatus::Limited, shown)
                .because(limit.why)
                .effect(limit.what)
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "22 1 0:20 / /proc rw,nosuid shared:5 - proc proc rw\n23 1 0:21 / /sys rw - sysfs sysfs rw\n";

    #[test]
    fn options_of_proc_are_those_of_the_mount_on_top() {
        assert_eq!(proc_options(PLAIN), "rw");
        let hidden = format!("{PLAIN}99 22 0:33 / /proc rw - proc proc rw,gid=4,hidepid=invisible\n");
        assert_eq!(proc_options(&hidden), "rw,gid=4,hidepid=invisible");
        assert_eq!(proc_options(""), "");
    }

    #[test]
    fn proc_that_shows_processes_only_is_limited() {
        let proc = tempfile::tempdir().unwrap();
        std::fs::create_dir(proc.path().join("self")).unwrap();
        assert_eq!(mount(proc.path()).status, CheckStatus::Failed);
        let text = PLAIN.replace("proc proc rw", "proc proc rw,subset=pid");
        std::fs::write(proc.path().join("self/mountinfo"), text).unwrap();
        assert_eq!(mount(proc.path()).status, CheckStatus::Limited);
        std::fs::write(proc.path().join("self/mountinfo"), PLAIN).unwrap();
        assert_eq!(mount(proc.path()).status, CheckStatus::Good);
    }

    #[test]
    fn containers_are_found_by_their_marks() {
        let root = tempfile::tempdir().unwrap();
        let proc = root.path().join("proc");
        assert_eq!(container_kind(&proc, root.path()), None);
        std::fs::create_dir_all(proc.join("1")).unwrap();
        std::fs::write(proc.join("1/environ"), b"PATH=/bin\0container=lxc\0").unwrap();
        assert_eq!(container_kind(&proc, root.path()).as_deref(), Some("lxc"));
        std::fs::write(root.path().join(".dockerenv"), "").unwrap();
        assert_eq!(container_kind(&proc, root.path()).as_deref(), Some("docker"));
    }
}
