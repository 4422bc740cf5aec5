//! What to do next, as commands to copy: the safest first, and the collection of evidence before anything that destroys
//! it. None of them is run.

mod windows;

use std::net::IpAddr;
use std::path::PathBuf;

use netstat_model::process::{FileStatus, ProcessFacts};
use netstat_model::reach::is_loopback;
use netstat_model::text::shell_command;
use netstat_model::{Component, ContainerRuntime, Protocol, Socket, State, SystemKind, UnitManager};
use netstat_packages::packages::Package;

/// One recommended step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// What the step is for.
    pub(crate) what: &'static str,
    /// The command, ready to be pasted into a shell: every name in it is quoted.
    pub(crate) command: String,
}

/// The data from which steps are derived.
#[derive(Debug)]
pub(super) struct About<'a> {
    /// The process, if there is one.
    pub(super) process: Option<&'a ProcessFacts>,
    /// Whether more could be seen with more privileges.
    pub(super) hidden: bool,
    /// The targets that led to the card.
    pub(super) targets: &'a [String],
    /// The package of the program, with the root whose database says so if that is not the caller's.
    pub(super) package: Option<(&'a Package, Option<PathBuf>)>,
    /// The main socket of the card.
    pub(super) socket: Option<&'a Socket>,
    /// Whether nothing unusual was found, in which case no step that stops anything is offered.
    pub(super) expected: bool,
    /// The operating system.
    pub(super) system: SystemKind,
    /// Whether the caller is already root.
    pub(super) superuser: bool,
    /// The path of this program.
    pub(super) netstat: &'a str,
}

/// Formats a command for root, with `sudo` unless the caller is root.
fn as_root<W: AsRef<[u8]>>(superuser: bool, words: &[W]) -> String {
    let sudo: Option<&[u8]> = (!superuser).then_some(b"sudo");
    let mut words = sudo.into_iter().chain(words.iter().map(AsRef::as_ref));
    let program = words.next().unwrap_or_default();
    let arguments: Vec<&[u8]> = words.collect();
    shell_command(&String::from_utf8_lossy(program), &arguments)
}

/// Splits a text into the words of a command.
fn words(text: &str) -> Vec<Vec<u8>> {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// Returns the steps, the safest first.
pub(super) fn steps(about: &About<'_>) -> Vec<Step> {
    if about.system == SystemKind::Windows {
        return windows::steps(about);
    }
    let root = |words: &[Vec<u8>]| as_root(about.superuser, words);
    let netstat = |more: &[&str]| {
        let own = [about.netstat.as_bytes().to_vec(), b"inspect".to_vec()];
        let more = more.iter().map(|word| word.as_bytes().to_vec());
        own.into_iter().chain(more).collect::<Vec<_>>()
    };
    let mut steps = Vec::new();
    let mut add = |what, command: String| steps.push(Step { what, command });
    if about.hidden && !about.superuser {
        let targets: Vec<&str> = about.targets.iter().map(String::as_str).collect();
        add("see more of it", root(&netstat(&targets)));
    }
    if let Some(process) = about.process {
        let pid = process.pid;
        let evidence = [&format!("pid:{pid}"), "--bundle", &format!("evidence-{pid}.tar")];
        add("keep evidence", root(&netstat(&evidence)));
        let removed = process
            .program
            .as_ref()
            .known()
            .is_some_and(|program| program.place != FileStatus::There);
        if removed {
            add(
                "save the running file",
                root(&words(&format!("cp /proc/{pid}/exe program-{pid}"))),
            );
        }
        if let Some((package, root)) = &about.package {
            add("check its package", package.verify_command(root.as_deref()));
        }
        if !process.kernel_thread {
            // If the first thread of a process has ended, its own directory shows no descriptors, but those of the
            // other threads do.
            let files = match process.state == b'Z' && process.threads > 1 {
                true => vec![
                    b"sh".to_vec(),
                    b"-c".to_vec(),
                    format!("ls -l /proc/{pid}/task/*/fd").into_bytes(),
                ],
                false => words(&format!("ls -l /proc/{pid}/fd")),
            };
            add("see its files", root(&files));
            if !about.expected {
                add("freeze it", root(&words(&format!("kill -STOP {pid}"))));
                add("let it go on", root(&words(&format!("kill -CONT {pid}"))));
            }
        }
    }
    if let Some(socket) = about.socket.filter(|socket| is_connection(socket)) {
        // Both commands act on the network in which they run.
        let within = match about.process {
            Some(process) if socket.namespace() != 0 => words(&format!("nsenter -t {} -n", process.pid)),
            _ => Vec::new(),
        };
        add("close this connection", root(&[within.clone(), close(socket)].concat()));
        let foreign = socket.foreign().address.to_canonical();
        if !is_loopback(foreign) {
            add("block that address", root(&[within, block(foreign)].concat()));
        }
    }
    if let Some(process) = about.process
        && !process.kernel_thread
        && !about.expected
        && process.pid != 1
    {
        let (what, command) = stop(process);
        add(what, root(&command));
    }
    steps
}

fn is_connection(socket: &Socket) -> bool {
    // The kernel's remains of a closed connection cannot be closed.
    socket.protocol() == Protocol::Tcp && socket.is_connected() && socket.state() != State::TimeWait
}

/// Closes a connection with `ss -K`, which requires a kernel with `CONFIG_INET_DIAG_DESTROY`.
fn close(socket: &Socket) -> Vec<Vec<u8>> {
    let (local, foreign) = (socket.local(), socket.foreign());
    words(&format!(
        "ss -Kt src {} sport = {} dst {} dport = {}",
        bracketed(local.address),
        local.port,
        bracketed(foreign.address),
        foreign.port
    ))
}

/// Adds a blackhole route: this works on every system, needs no packet filter, and is undone with `ip route del`.
fn block(address: IpAddr) -> Vec<Vec<u8>> {
    let address = address.to_canonical();
    let family = if address.is_ipv4() { "" } else { "-6 " };
    words(&format!("ip {family}route add blackhole {address}"))
}

/// Returns how to stop the process by the same means by which it was started.
fn stop(process: &ProcessFacts) -> (&'static str, Vec<Vec<u8>>) {
    let named = |command: &str, name: &[u8]| {
        let mut command = words(command);
        // The name of a unit or container cannot be taken for an option.
        command.extend([b"--".to_vec(), name.to_vec()]);
        command
    };
    // As the value of an option, the name may begin with anything.
    let lxc = |id: &[u8]| vec![b"lxc-stop".to_vec(), [b"--name=", id].concat()];
    let components = process.components.as_ref().known().map_or(&[][..], Vec::as_slice);
    match components.last() {
        // A pod cannot be stopped by its UID.
        Some(Component::Container {
            runtime: ContainerRuntime::Pod,
            ..
        }) => {}
        Some(Component::Container { runtime, id }) => {
            let command = match runtime {
                ContainerRuntime::Docker => named("docker stop", id),
                ContainerRuntime::Podman => named("podman stop", id),
                ContainerRuntime::Lxc => lxc(id),
                ContainerRuntime::Nspawn => named("machinectl poweroff", id),
                ContainerRuntime::Containerd
                | ContainerRuntime::CriO
                | ContainerRuntime::Kubernetes
                | ContainerRuntime::Pod => named("crictl stop", id),
            };
            return ("stop its container", command);
        }
        // A scope, such as that of a login session, contains more than this process.
        Some(Component::Unit { name, manager }) if name.ends_with(b".service") && !name.contains(&b'/') => {
            let inside = components
                .iter()
                .any(|component| matches!(component, Component::Container { .. }));
            match manager {
                UnitManager::System if !inside => return ("stop its unit", named("systemctl stop", name)),
                UnitManager::User(user) if !inside => {
                    return (
                        "stop its unit",
                        named(&format!("systemctl --user -M {user}@ stop"), name),
                    );
                }
                _ => {}
            }
        }
        _ => {}
    }
    ("end it", words(&format!("kill {}", process.pid)))
}

/// Formats an address for `ss`.
fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::{Fact, Family, SocketFacts, State, Why};

    fn commands(about: &About<'_>) -> Vec<String> {
        steps(about).into_iter().map(|step| step.command).collect()
    }

    fn socket(local: &str, foreign: &str) -> Socket {
        let local: IpAddr = local.parse().unwrap();
        Socket::new(&SocketFacts {
            protocol: Protocol::Tcp,
            family: if local.is_ipv4() { Family::V4 } else { Family::V6 },
            state: State::Established,
            local,
            local_port: 2078,
            foreign: foreign.parse().unwrap(),
            foreign_port: 80,
            interface: 0,
            inode: 1,
            user: None,
            cookie: None,
            receive_queue: 0,
            send_queue: None,
        })
    }

    #[test]
    fn steps_collect_evidence_before_anything_is_ended() {
        let mut facts = ProcessFacts::bare(5356, 1, Why::NotAsked);
        facts.components = Fact::Known(vec![Component::Unit {
            name: b"odd name.service".to_vec(),
            manager: UnitManager::System,
        }]);
        let socket = socket("192.168.1.114", "203.0.113.7");
        let about = About {
            process: Some(&facts),
            hidden: false,
            targets: &[],
            package: None,
            socket: Some(&socket),
            expected: false,
            system: SystemKind::Linux,
            superuser: false,
            netstat: "/usr/bin/netstat",
        };
        assert_eq!(
            commands(&about),
            [
                "sudo /usr/bin/netstat inspect pid:5356 --bundle evidence-5356.tar",
                "sudo ls -l /proc/5356/fd",
                "sudo kill -STOP 5356",
                "sudo kill -CONT 5356",
                "sudo ss -Kt src 192.168.1.114 sport = 2078 dst 203.0.113.7 dport = 80",
                "sudo ip route add blackhole 203.0.113.7",
                "sudo systemctl stop -- 'odd name.service'",
            ]
        );
    }

    #[test]
    fn step_to_end_a_process_fits_its_unit_or_container() {
        let unit = |name: &str, manager| Component::Unit {
            name: name.into(),
            manager,
        };
        let container = |runtime| Component::Container {
            runtime,
            id: b"0123456789ab".to_vec(),
        };
        for (components, expected) in [
            (vec![], "kill 7"),
            (vec![unit("session-3.scope", UnitManager::System)], "kill 7"),
            (
                vec![unit("a.service", UnitManager::System)],
                "systemctl stop -- a.service",
            ),
            (
                vec![unit("a.service", UnitManager::User(1000))],
                "systemctl --user -M 1000@ stop -- a.service",
            ),
            (
                vec![
                    unit("containerd.service", UnitManager::System),
                    container(ContainerRuntime::Docker),
                ],
                "docker stop -- 0123456789ab",
            ),
            (
                vec![
                    container(ContainerRuntime::Docker),
                    unit("inner.service", UnitManager::System),
                ],
                "kill 7",
            ),
        ] {
            let mut facts = ProcessFacts::bare(7, 1, Why::NotAsked);
            facts.components = Fact::Known(components);
            let about = About {
                process: Some(&facts),
                hidden: false,
                targets: &[],
                package: None,
                socket: None,
                expected: false,
                system: SystemKind::Linux,
                superuser: true,
                netstat: "netstat",
            };
            assert_eq!(commands(&about).last().map(String::as_str), Some(expected));
        }
    }

    #[test]
    fn steps_without_a_process_end_only_the_connection() {
        let socket = socket("2001:db8::1", "::1");
        let about = About {
            process: None,
            hidden: false,
            targets: &[],
            package: None,
            socket: Some(&socket),
            expected: false,
            system: SystemKind::Linux,
            superuser: true,
            netstat: "netstat",
        };
        assert_eq!(
            commands(&about),
            ["ss -Kt src '[2001:db8::1]' sport = 2078 dst '[::1]' dport = 80"]
        );
    }

    #[test]
    fn steps_propose_sudo_only_where_it_helps() {
        let socket = socket("127.0.0.1", "127.0.0.1");
        let about = About {
            process: None,
            hidden: true,
            targets: &["tcp:80".into(), "a b".into()],
            package: None,
            socket: Some(&socket),
            expected: false,
            system: SystemKind::Linux,
            superuser: false,
            netstat: "netstat",
        };
        assert_eq!(commands(&about)[0], "sudo netstat inspect tcp:80 'a b'");
        let root = About {
            expected: false,
            system: SystemKind::Linux,
            superuser: true,
            ..about
        };
        assert_eq!(commands(&root).len(), 1);
    }
}
