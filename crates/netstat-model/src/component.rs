//! The service, container or package that a process belongs to.

/// Something that a process runs in or for. Names come from outside: escape before printing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Component {
    /// A systemd service, scope or socket.
    Unit {
        /// The unit's full name as `systemctl` accepts it: `ssh.service`. systemd's own escapes (`\x2d`) are kept.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        name: Vec<u8>,
        /// The service manager: the system's or a user's.
        manager: UnitManager,
    },
    /// A Windows service.
    Service {
        /// The service name, as `sc query` accepts it: `RpcSs`.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        name: Vec<u8>,
    },
    /// A Windows package, such as an app from the Microsoft Store.
    Package {
        /// The full package name: name, version, architecture and publisher id.
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        name: Vec<u8>,
    },
    /// A container.
    Container {
        /// The container runtime.
        runtime: ContainerRuntime,
        /// The container's id (12 hexadecimal digits for Docker and similar) or name (LXC).
        #[cfg_attr(feature = "serde", serde(with = "crate::wire::text"))]
        id: Vec<u8>,
    },
}

/// The systemd instance that manages a unit.
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
    /// LXC, LXD or Incus.
    Lxc,
    /// Kubernetes, with a runtime that the cgroup path does not name.
    Kubernetes,
    /// systemd-nspawn.
    Nspawn,
    /// Not a container but the Kubernetes pod that containers are in; its id is the pod's UID.
    Pod,
}

impl ContainerRuntime {
    /// Returns the name that users know it by.
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
