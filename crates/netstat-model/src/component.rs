//! What a process is part of: a service, a container, a package.

/// What a process runs in or for. Names come from outside: escape before printing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Component {
    /// A systemd service, scope or socket.
    Unit {
        /// The unit's full name as `systemctl` takes it: `ssh.service`. systemd's own escapes (`\x2d`) stay.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        name: Vec<u8>,
        /// The system's manager or a user's.
        manager: UnitManager,
    },
    /// A service of Windows.
    Service {
        /// Its name, as `sc query` takes it: `RpcSs`.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        name: Vec<u8>,
    },
    /// A package of Windows, such as a program from its store.
    Package {
        /// Its full name: name, version, architecture and the publisher's id.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        name: Vec<u8>,
    },
    /// A container.
    Container {
        /// The program that runs it.
        runtime: ContainerRuntime,
        /// Its id (docker and its like: 12 hexadecimal digits) or name (lxc).
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        id: Vec<u8>,
    },
}

/// Whose systemd manages a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum UnitManager {
    /// The system manager, PID 1.
    System,
    /// The manager of the user with this id (`user@1000.service`).
    User(u32),
}

/// The program that runs a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ContainerRuntime {
    /// Docker.
    Docker,
    /// Podman (libpod).
    Podman,
    /// containerd, used directly or by Kubernetes.
    Containerd,
    /// CRI-O.
    CriO,
    /// LXC and LXD or Incus.
    Lxc,
    /// Kubernetes, with a runtime that the cgroup path does not name.
    Kubernetes,
    /// systemd-nspawn.
    Nspawn,
    /// No container, but the pod of Kubernetes that containers are in; its id is the pod's UID.
    Pod,
}

impl ContainerRuntime {
    /// The name a user knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            ContainerRuntime::Docker => "docker",
            ContainerRuntime::Podman => "podman",
            ContainerRuntime::Containerd => "containerd",
            ContainerRuntime::CriO => "cri-o",
            ContainerRuntime::Lxc => "lxc",
            ContainerRuntime::Kubernetes => "kubernetes",
            ContainerRuntime::Nspawn => "nspawn",
            ContainerRuntime::Pod => "pod",
        }
    }
}
