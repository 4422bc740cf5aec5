//! Linux: netlink and `/proc`.

pub(crate) mod bounded;
mod bpf;
pub(crate) mod capabilities;
mod cgroups;
mod checks;
pub(crate) mod confine;
pub mod counters;
pub mod dns_watch;
mod events;
mod file_locks;
mod file_systems;
mod kept_namespaces;
mod kernel_sockets;
pub mod metrics;
mod mountinfo;
mod multicast;
mod namespaces;
mod netlink;
mod owner_source;
pub mod owners;
pub mod owners_ebpf;
pub mod packet_filter;
mod port_probe;
pub(crate) mod privilege;
pub mod process;
pub mod routes;
mod socket_origin;
pub mod sockets;
mod stat_facts;
mod system;
mod users;

#[cfg(fuzzing)]
pub(crate) use bpf::fuzzing as bpf_fuzzing;
#[cfg(fuzzing)]
pub(crate) use events::fuzzing as events_fuzzing;
pub use system::Linux;

pub use events::moment as now;

pub use file_locks::is_locked;

/// The kernel's id of this boot: random, and the same until the next.
///
/// # Errors
/// When `/proc` is not there.
pub fn boot_id() -> std::io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// The first two numbers of the running kernel's release, such as (6, 18); `None` when it has an unknown form.
fn release() -> Option<(u32, u32)> {
    release_numbers(&rustix::system::uname().release().to_string_lossy())
}

/// The first two numbers of a release such as `6.18.5+deb14-amd64`.
fn release_numbers(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The command that mounts the process list at `place`.
fn mount_proc(place: &std::path::Path) -> String {
    let place = place.as_os_str().as_encoded_bytes();
    netstat_model::text::shell_command("mount", &[b"-t", b"proc", b"proc", place])
}

/// What the control group at `path`, below the root of version 2, stands for: units and containers, outermost first.
pub fn components_of(path: &[u8]) -> Vec<netstat_model::Component> {
    owners::components(&[b"0::", path, b"\n"].concat())
}
