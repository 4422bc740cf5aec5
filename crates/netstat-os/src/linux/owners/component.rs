//! Determines the systemd units and containers that a process runs in, from the text of `/proc/PID/cgroup`.
//!
//! The layouts are those of cgroups(7), of systemd's "The cgroup tree" and `cg_escape` rule (a name that could be
//! mistaken for one of the kernel's is prefixed with `_`), and of the cgroup names that the container runtimes
//! document. Names are kept in the form that systemd accepts on its command line: `\x2d` is not decoded.

use netstat_model::{Component, ContainerRuntime, UnitManager};

/// The number of hexadecimal digits of a container id that are shown, as in `docker ps` and `podman ps`.
const SHORT_ID: usize = 12;

/// The number of hexadecimal digits of a full container id (SHA-256).
const FULL_ID: usize = 64;

/// The maximum length of a unit name in systemd (`UNIT_NAME_MAX`).
const UNIT_NAME_MAX: usize = 256;

/// Returns the components in the text of `/proc/PID/cgroup`, outermost first. Empty if the process runs in none.
///
/// Of the hierarchies, systemd's own (`name=systemd`) is examined first, then version 2 (`0::`), then the others; the
/// first that contains a component is used. Lines that do not have the form `ID:CONTROLLERS:PATH` are ignored.
pub fn components(cgroup: &[u8]) -> Vec<Component> {
    let mut unified: Option<&[u8]> = None;
    let mut others = Vec::new();
    for line in cgroup.split(|&b| b == b'\n') {
        let mut fields = line.splitn(3, |&b| b == b':');
        let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        if controllers == b"name=systemd" {
            let found = in_path(path);
            if !found.is_empty() {
                return found;
            }
        } else if id == b"0" && controllers.is_empty() {
            unified = Some(path);
        } else {
            others.push(path);
        }
    }
    unified
        .into_iter()
        .chain(others)
        .map(in_path)
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

/// The state while scanning a path.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    /// No unit of this manager has been found yet.
    Open(UnitManager),
    /// Inside of a unit: what follows is private to the unit, unless it is a container.
    Inside,
}

/// Returns the components in one cgroup path.
fn in_path(path: &[u8]) -> Vec<Component> {
    // The kernel marks the path of a removed group that still contains a zombie.
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    let mut found = Vec::new();
    let mut level = Level::Open(UnitManager::System);
    let mut parent: &[u8] = b"";
    let mut in_kubernetes = false;
    // Where path segments begin that are not part of the layout of systemd or a container runtime.
    let mut foreign: Option<usize> = None;
    // A path outside of the reader's cgroup namespace begins with `/..`.
    for segment in path.split(|&b| b == b'/').filter(|s| !s.is_empty() && *s != b"..") {
        in_kubernetes |= segment.starts_with(b"kubepods");
        if in_kubernetes && let Some(id) = pod(segment) {
            found.push(Component::Container {
                runtime: ContainerRuntime::Pod,
                id,
            });
        }
        let begin = segment.as_ptr().addr() - path.as_ptr().addr();
        if let Some((runtime, id)) = container(segment, parent, in_kubernetes) {
            foreign = None;
            found.push(Component::Container { runtime, id });
            // A container may run its own systemd.
            level = Level::Open(UnitManager::System);
        } else if let Some(id) = nspawn(parent, segment) {
            foreign = None;
            found.push(Component::Container {
                runtime: ContainerRuntime::Nspawn,
                id,
            });
            level = Level::Open(UnitManager::System);
        } else if let Level::Open(manager) = level {
            let name = segment.strip_prefix(b"_").unwrap_or(segment);
            if is_unit_with_processes(name) {
                level = match (manager, user_manager(name)) {
                    (UnitManager::System, Some(user)) => Level::Open(UnitManager::User(user)),
                    _ => Level::Inside,
                };
                // The user manager itself runs in `user@UID.service/init.scope`; its service is more informative.
                if !(matches!(manager, UnitManager::User(_)) && name == b"init.scope") {
                    if let UnitManager::User(_) = manager {
                        // A unit of a user replaces the service of the user manager around it.
                        found.pop();
                    }
                    // Anybody who may create a group `x/system.slice/sshd.service` has not created a service of
                    // systemd. Therefore it is shown with its path, which a unit name cannot contain.
                    let name = match foreign {
                        Some(start) => &path[start..begin + segment.len()],
                        None => name,
                    };
                    found.push(Component::Unit {
                        name: name.to_vec(),
                        manager,
                    });
                }
            } else if !is_grouping(segment, in_kubernetes) {
                foreign = foreign.or(Some(begin));
            }
        }
        parent = segment;
    }
    found
}

/// Returns the machine name of a systemd-nspawn container, whose processes are below `payload`.
fn nspawn(parent: &[u8], segment: &[u8]) -> Option<Vec<u8>> {
    if segment != b"payload" {
        return None;
    }
    let name = match parent.strip_prefix(b"machine-") {
        Some(name) => name.strip_suffix(b".scope")?,
        None => parent.strip_prefix(b"systemd-nspawn@")?.strip_suffix(b".service")?,
    };
    (!name.is_empty()).then(|| unescaped(name))
}

/// Decodes the escapes in a unit name: `\x2d` is `-` (systemd-escape(1)).
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.strip_prefix(b"x").and_then(|after| after.get(..2));
        let escaped = digits
            .filter(|_| byte == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                plain.push(byte);
                rest = &after[3..];
            }
            None => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    plain
}

/// Returns the UID of a pod from `kubepods-burstable-podUID.slice` (with `_` for `-`), `podUID`, or containerd's
/// `kubepods-besteffort-podUID.slice:...`.
fn pod(segment: &[u8]) -> Option<Vec<u8>> {
    let name = segment.split(|&byte| byte == b':').next()?;
    let uid = match name.strip_prefix(b"pod") {
        Some(uid) => uid,
        None => {
            let name = name.strip_prefix(b"kubepods")?.strip_suffix(b".slice")?;
            let at = name.windows(4).position(|part| part == b"-pod")?;
            &name[at + 4..]
        }
    };
    let plain = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'_');
    (!uid.is_empty() && uid.iter().all(plain))
        .then(|| uid.iter().map(|&byte| if byte == b'_' { b'-' } else { byte }).collect())
}

/// Parses the user id in `user@1000.service`.
fn user_manager(name: &[u8]) -> Option<u32> {
    let id = name.strip_prefix(b"user@")?.strip_suffix(b".service")?;
    std::str::from_utf8(id).ok()?.parse().ok()
}

/// Whether a group of this name contains units or containers in the layout of systemd or a container runtime.
fn is_grouping(segment: &[u8], in_kubernetes: bool) -> bool {
    const RUNTIMES: [&[u8]; 6] = [
        b"docker",
        b"lxc",
        b"lxc.payload",
        b"lxc.monitor",
        b"libpod_parent",
        b"machine",
    ];
    segment.ends_with(b".slice") || RUNTIMES.contains(&segment) || in_kubernetes
}

/// Whether `name` is a valid unit name (systemd.unit(5)) of a type that contains processes. Slices only group units.
fn is_unit_with_processes(name: &[u8]) -> bool {
    const KINDS: [&[u8]; 5] = [b".service", b".scope", b".socket", b".mount", b".swap"];
    name.len() < UNIT_NAME_MAX
        && name
            .iter()
            .all(|&b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-' | b'_' | b'.' | b'\\' | b'@'))
        && KINDS.iter().any(|kind| name.len() > kind.len() && name.ends_with(kind))
}

/// Returns the container that `segment` of a path stands for, given its parent segment.
fn container(segment: &[u8], parent: &[u8], in_kubernetes: bool) -> Option<(ContainerRuntime, Vec<u8>)> {
    use ContainerRuntime::{Containerd, CriO, Docker, Kubernetes, Lxc, Podman};
    const PREFIXES: [(&[u8], ContainerRuntime); 7] = [
        (b"docker-", Docker),
        // Podman's `--cgroups=split`, as used by Quadlet: below the unit that runs the container.
        (b"libpod-payload-", Podman),
        (b"libpod-", Podman),
        (b"cri-containerd-", Containerd),
        (b"nerdctl-", Containerd),
        (b"crio-", CriO),
        (b"containerd-", Containerd),
    ];

    // lxc: `lxc.payload.NAME` or `lxc.payload/NAME` contains the container, formerly `lxc/NAME`; `lxc.monitor` is
    // outside of it.
    if let Some(name) = segment.strip_prefix(b"lxc.payload.").filter(|name| !name.is_empty()) {
        return Some((Lxc, name.to_vec()));
    }
    if matches!(parent, b"lxc.payload" | b"lxc") && !matches!(segment, b"lxc.payload" | b"lxc.monitor") {
        return Some((Lxc, segment.to_vec()));
    }

    // systemd cgroup driver: `docker-<id>.scope`; cgroupfs driver of podman and CRI-O: `libpod-<id>`, `crio-<id>`. A
    // helper of the container such as `libpod-conmon-<id>.scope` has no id directly after the prefix.
    let bare = segment.strip_suffix(b".scope").unwrap_or(segment);
    for (prefix, runtime) in PREFIXES {
        if let Some(id) = bare.strip_prefix(prefix).and_then(short_id) {
            return Some((runtime, id));
        }
    }

    // containerd configured to use systemd's notation without systemd: `SLICE:cri-containerd:<id>`.
    if let Some(at) = segment.iter().rposition(|&b| b == b':') {
        let id = short_id(&segment[at + 1..])?;
        let before = &segment[..at];
        let runtime = match before.iter().rposition(|&b| b == b':').map(|at| &before[at + 1..]) {
            Some(b"cri-containerd") => Containerd,
            Some(b"docker") => Docker,
            Some(b"crio") => CriO,
            Some(b"libpod") => Podman,
            _ => return None,
        };
        return Some((runtime, id));
    }

    // cgroupfs driver: `/docker/<id>`, and `/kubepods/QOS/podUID/<id>`, which does not identify the runtime.
    let id = short_id(segment)?;
    if parent == b"docker" {
        Some((Docker, id))
    } else if in_kubernetes {
        Some((Kubernetes, id))
    } else {
        None
    }
}

/// Returns the first digits of a full container id; `None` if `id` is not one.
fn short_id(id: &[u8]) -> Option<Vec<u8>> {
    let is_id = id.len() == FULL_ID && id.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_id.then(|| id[..SHORT_ID].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A full id; the short form is `0123456789ab`.
    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    /// Another id; the short form is `fedcba987654`.
    const OTHER: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

    /// Formats the components as words: `unit`, `1000:unit`, `docker/id`.
    fn words(cgroup: &str) -> String {
        let cgroup = cgroup.replace("{ID}", ID).replace("{OTHER}", OTHER);
        let words: Vec<String> = components(cgroup.as_bytes())
            .into_iter()
            .map(|component| match component {
                Component::Unit { name, manager } => {
                    let name = String::from_utf8(name).unwrap();
                    match manager {
                        UnitManager::System => name,
                        UnitManager::User(user) => format!("{user}:{name}"),
                    }
                }
                Component::Container { runtime, id } => {
                    format!("{}/{}", runtime.name(), String::from_utf8(id).unwrap())
                }
                other => panic!("{other:?} is of another system"),
            })
            .collect();
        words.join(" ")
    }

    #[test]
    fn cgroup_paths_of_version_2_name_their_component() {
        let table = [
            // No component.
            ("/", ""),
            ("/user.slice", ""),
            ("/system.slice", ""),
            ("/some/group", ""),
            ("/..", ""),
            // Units of the system manager.
            ("/init.scope", "init.scope"),
            ("/system.slice/ssh.service", "ssh.service"),
            ("/lxc/x/system.slice/sshd.service", "lxc/x sshd.service"),
            ("/x/system.slice/sshd.service", "x/system.slice/sshd.service"),
            ("/system.slice/x/sshd.service", "x/sshd.service"),
            ("/../x/system.slice/sshd.service", "x/system.slice/sshd.service"),
            ("/system.slice/ssh.service (deleted)", "ssh.service"),
            ("/system.slice/cups.socket", "cups.socket"),
            ("/system.slice/home.mount", "home.mount"),
            ("/system.slice/dev-vda2.swap", "dev-vda2.swap"),
            (
                "/system.slice/system-getty.slice/getty@tty1.service",
                "getty@tty1.service",
            ),
            (
                r"/system.slice/system-openvpn\x2dclient.slice/openvpn-client@my\x2dnet.service",
                r"openvpn-client@my\x2dnet.service",
            ),
            ("/system.slice/foo.service/worker-1", "foo.service"),
            ("/system.slice/foo.service/bar.service", "foo.service"),
            ("/system.slice/_cpu.service", "cpu.service"),
            ("/../../system.slice/ssh.service", "ssh.service"),
            ("/my.slice/my-own.slice/web.service", "web.service"),
            ("/system.slice/no unit name.service", ""),
            ("/system.slice/.service", ""),
            ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
            (
                r"/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/emulator",
                r"machine-qemu\x2d1\x2dvm.scope",
            ),
            // Units of a user manager.
            ("/user.slice/user-1000.slice/user@1000.service", "user@1000.service"),
            (
                "/user.slice/user-1000.slice/user@1000.service/init.scope",
                "user@1000.service",
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/syncthing.service",
                "1000:syncthing.service",
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-1.scope",
                "1000:vte-spawn-1.scope",
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/session.slice/dbus.service",
                "1000:dbus.service",
            ),
            (
                "/user.slice/user-1000.slice/user@x.service/app.slice/a.service",
                "user@x.service",
            ),
            // Containers.
            ("/docker/{ID}", "docker/0123456789ab"),
            ("/system.slice/docker-{ID}.scope", "docker/0123456789ab"),
            ("/docker/{ID}/docker/{OTHER}", "docker/0123456789ab docker/fedcba987654"),
            ("/docker/buildkit/abc123", ""),
            ("/docker/0123", ""),
            ("/machine.slice/libpod-{ID}.scope/container", "podman/0123456789ab"),
            (
                "/machine.slice/libpod-conmon-{ID}.scope",
                concat!(
                    "libpod-conmon-0123456789abcdef0123456789abcdef",
                    "0123456789abcdef0123456789abcdef.scope"
                ),
            ),
            ("/libpod_parent/libpod-{ID}", "podman/0123456789ab"),
            ("/libpod_parent/conmon", ""),
            (
                "/machine.slice/machine-libpod_pod_{OTHER}.slice/libpod-{ID}.scope",
                "podman/0123456789ab",
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container",
                "user@1000.service podman/0123456789ab",
            ),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod5f_0a.slice/cri-containerd-{ID}.scope",
                "pod/5f-0a containerd/0123456789ab",
            ),
            (
                "/kubepods.slice/kubepods-pod5f.slice/crio-{ID}.scope",
                "pod/5f cri-o/0123456789ab",
            ),
            ("/kubepods/besteffort/pod5f/crio-{ID}", "pod/5f cri-o/0123456789ab"),
            ("/kubepods/besteffort/pod5f/{ID}", "pod/5f kubernetes/0123456789ab"),
            (
                "/kubepods.slice/kubepods-pod5f.slice/docker-{ID}.scope",
                "pod/5f docker/0123456789ab",
            ),
            (
                "/system.slice/containerd.service/kubepods-besteffort-pod5f.slice:cri-containerd:{ID}",
                "containerd.service pod/5f containerd/0123456789ab",
            ),
            ("/system.slice/nerdctl-{ID}.scope", "containerd/0123456789ab"),
            ("/lxc/web", "lxc/web"),
            ("/lxc.payload/web", "lxc/web"),
            ("/lxc.payload.web", "lxc/web"),
            ("/lxc.monitor.web", ""),
            ("/lxc.monitor/web", ""),
            // A systemd inside of a container.
            (
                "/docker/{ID}/system.slice/nginx.service",
                "docker/0123456789ab nginx.service",
            ),
            ("/docker/{ID}/init.scope", "docker/0123456789ab init.scope"),
            ("/lxc.payload.web/system.slice/ssh.service", "lxc/web ssh.service"),
            (
                "/lxc.payload.c/user.slice/user-0.slice/user@0.service/app.slice/a.service",
                "lxc/c 0:a.service",
            ),
            (
                "/system.slice/snap.lxd.daemon.service/lxc.payload.web/docker/{ID}",
                "snap.lxd.daemon.service lxc/web docker/0123456789ab",
            ),
            (
                "/system.slice/web.service/libpod-payload-{ID}",
                "web.service podman/0123456789ab",
            ),
            (
                r"/machine.slice/machine-my\x2dbox.scope/payload/system.slice/ssh.service",
                r"machine-my\x2dbox.scope nspawn/my-box ssh.service",
            ),
            (
                "/machine.slice/systemd-nspawn@box.service/supervisor",
                "systemd-nspawn@box.service",
            ),
            (
                "/machine.slice/systemd-nspawn@box.service/payload/init.scope",
                "systemd-nspawn@box.service nspawn/box init.scope",
            ),
        ];
        for (path, expected) in table {
            assert_eq!(words(&format!("0::{path}\n")), expected, "{path}");
        }
    }

    #[test]
    fn cgroup_hierarchy_of_systemd_comes_first() {
        assert_eq!(
            words(
                "4:memory:/docker/{OTHER}\n1:name=systemd:/system.slice/cron.service\n0::/system.slice/other.service\n"
            ),
            "cron.service"
        );
        assert_eq!(words("1:name=systemd:/\n0::/system.slice/a.service\n"), "a.service");
        assert_eq!(
            words("9:cpu,cpuacct:/docker/{ID}\n1:name=systemd:/\n0::/\n"),
            "docker/0123456789ab"
        );
        assert_eq!(words("9:name=systemd:/\n4:memory:/own/group\n0::/\n"), "");
    }

    #[test]
    fn cgroup_lines_that_are_malformed_are_skipped() {
        assert_eq!(words(""), "");
        assert_eq!(words("nonsense\n0:\n0::/init.scope"), "init.scope");
        assert_eq!(words("0::/system.slice/a:b.service"), "a:b.service");
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            components(&bytes);
        }

        #[test]
        fn cgroup_paths_of_any_shape_never_panic(path in r"(/(user@[0-9]{0,12}\.service|init\.scope|payload|lxc|docker|_?[a-z]{0,3}(\.scope|\.service|\.slice)?|[a-f0-9]{64})){0,8}") {
            components(format!("0::{path}").as_bytes());
        }
    }
}
