//! What to do next, as commands to copy: the safest first, and evidence before anything that destroys it. Nothing is done here.

use std::net::IpAddr;

use netstat_model::process::{FileStatus, ProcessFacts};
use netstat_model::reach::is_loopback;
use netstat_model::text::shell_quoted;
use netstat_model::{Component, ContainerRuntime, Protocol, Socket, UnitManager};
use netstat_packages::packages::{Database, Package};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// What it is for.
    pub(crate) what: &'static str,
    /// The command, ready to be pasted into a shell: every name in it is quoted.
    pub(crate) command: String,
}

/// What steps are made from.
#[derive(Debug)]
pub(super) struct About<'a> {
    /// The process, if there is one.
    pub(super) process: Option<&'a ProcessFacts>,
    /// Whether more could be seen with more rights.
    pub(super) hidden: bool,
    /// The targets that led here.
    pub(super) targets: &'a [String],
    /// The package of its program.
    pub(super) package: Option<&'a Package>,
    /// The socket that the card is about first of all.
    pub(super) socket: Option<&'a Socket>,
    /// Whether the caller is root already.
    pub(super) superuser: bool,
    /// Where this program's file is.
    pub(super) netstat: &'a str,
}

/// The steps, the safest first.
pub(super) fn steps(about: &About<'_>) -> Vec<Step> {
    let sudo = if about.superuser { "" } else { "sudo " };
    let mut steps = Vec::new();
    let mut add = |what, command: String| steps.push(Step { what, command });
    if about.hidden && !about.superuser {
        let targets: Vec<String> = about.targets.iter().map(|word| shell_quoted(word.as_bytes())).collect();
        add(
            "see more of it",
            format!(
                "sudo {} inspect {}",
                shell_quoted(about.netstat.as_bytes()),
                targets.join(" ")
            ),
        );
    }
    if let Some(process) = about.process {
        let pid = process.pid;
        add(
            "keep evidence",
            format!(
                "{sudo}{} inspect pid:{pid} --bundle evidence-{pid}.tar",
                shell_quoted(about.netstat.as_bytes())
            ),
        );
        let removed = process
            .program
            .as_ref()
            .known()
            .is_some_and(|program| program.place != FileStatus::There);
        if removed {
            add(
                "save the running file",
                format!("{sudo}cp /proc/{pid}/exe program-{pid}"),
            );
        }
        if let Some(package) = about.package {
            add("check its package", verify(package));
        }
        if !process.kernel_thread {
            // The directory of a process whose first thread has ended shows no descriptors; those of its threads do.
            let files = match process.state == b'Z' && process.threads > 1 {
                true => format!("{sudo}sh -c 'ls -l /proc/{pid}/task/*/fd'"),
                false => format!("{sudo}ls -l /proc/{pid}/fd"),
            };
            add("see its files", files);
            add("freeze it", format!("{sudo}kill -STOP {pid}"));
            add("let it go on", format!("{sudo}kill -CONT {pid}"));
        }
    }
    if let Some(socket) = about.socket.filter(|socket| is_connection(socket)) {
        // Both commands see the network that they run in.
        let within = match about.process {
            Some(process) if socket.namespace() != 0 => format!("{sudo}nsenter -t {} -n ", process.pid),
            _ => sudo.to_owned(),
        };
        add("close this connection", close(socket, &within));
        let foreign = socket.foreign().address.to_canonical();
        if !is_loopback(foreign) {
            add("block that address", block(foreign, &within));
        }
    }
    if let Some(process) = about.process
        && !process.kernel_thread
        && process.pid != 1
    {
        let (what, command) = stop(process, sudo);
        add(what, command);
    }
    steps
}

fn is_connection(socket: &Socket) -> bool {
    socket.protocol() == Protocol::Tcp && socket.is_connected()
}

/// The package manager's own check of its files.
fn verify(package: &Package) -> String {
    let name = shell_quoted(package.name.as_bytes());
    match package.database {
        Database::Dpkg => format!("dpkg --verify {name}"),
        Database::Rpm => format!("rpm -V {name}"),
        Database::Apk => format!("apk audit --packages {name}"),
        Database::Pacman => format!("pacman -Qkk {name}"),
    }
}

/// `ss -K` closes sockets where the kernel has `CONFIG_INET_DIAG_DESTROY`.
fn close(socket: &Socket, sudo: &str) -> String {
    let (local, foreign) = (socket.local(), socket.foreign());
    format!(
        "{sudo}ss -Kt src {} sport = {} dst {} dport = {}",
        bracketed(local.address),
        local.port,
        bracketed(foreign.address),
        foreign.port
    )
}

/// A route to nowhere: works on every system, needs no packet filter, and `ip route del` undoes it.
fn block(address: IpAddr, sudo: &str) -> String {
    let address = address.to_canonical();
    let family = if address.is_ipv4() { "" } else { "-6 " };
    format!("{sudo}ip {family}route add blackhole {address}")
}

/// How the process is ended in the way it was started.
fn stop(process: &ProcessFacts, sudo: &str) -> (&'static str, String) {
    let components = process.components.as_ref().known().map_or(&[][..], Vec::as_slice);
    match components.last() {
        Some(Component::Container { runtime, id }) => match runtime {
            ContainerRuntime::Docker => {
                return ("stop its container", format!("{sudo}docker stop {}", shell_quoted(id)));
            }
            ContainerRuntime::Podman => {
                return ("stop its container", format!("{sudo}podman stop {}", shell_quoted(id)));
            }
            ContainerRuntime::Lxc => return ("stop its container", format!("{sudo}lxc-stop -n {}", shell_quoted(id))),
            ContainerRuntime::Nspawn => {
                return (
                    "stop its container",
                    format!("{sudo}machinectl poweroff {}", shell_quoted(id)),
                );
            }
            // A pod is not stopped by its UID.
            ContainerRuntime::Pod => {}
            ContainerRuntime::Containerd | ContainerRuntime::CriO | ContainerRuntime::Kubernetes => {
                return ("stop its container", format!("{sudo}crictl stop {}", shell_quoted(id)));
            }
        },
        // A scope such as that of a login session holds more than this process.
        Some(Component::Unit { name, manager }) if name.ends_with(b".service") => {
            let inside = components
                .iter()
                .any(|component| matches!(component, Component::Container { .. }));
            match manager {
                UnitManager::System if !inside => {
                    return ("stop its unit", format!("{sudo}systemctl stop {}", shell_quoted(name)));
                }
                UnitManager::User(user) if !inside => {
                    return (
                        "stop its unit",
                        format!("{sudo}systemctl --user -M {user}@ stop {}", shell_quoted(name)),
                    );
                }
                _ => {}
            }
        }
        _ => {}
    }
    ("end it", format!("{sudo}kill {}", process.pid))
}

/// An address as `ss` takes it.
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
    use proptest::prelude::*;

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
    fn evidence_comes_before_destruction() {
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
                "sudo systemctl stop 'odd name.service'",
            ]
        );
    }

    #[test]
    fn each_kind_is_ended_in_its_own_way() {
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
            (vec![unit("a.service", UnitManager::System)], "systemctl stop a.service"),
            (
                vec![unit("a.service", UnitManager::User(1000))],
                "systemctl --user -M 1000@ stop a.service",
            ),
            (
                vec![
                    unit("containerd.service", UnitManager::System),
                    container(ContainerRuntime::Docker),
                ],
                "docker stop 0123456789ab",
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
                superuser: true,
                netstat: "netstat",
            };
            assert_eq!(commands(&about).last().map(String::as_str), Some(expected));
        }
    }

    #[test]
    fn without_a_process_only_the_connection_is_left() {
        let socket = socket("2001:db8::1", "::1");
        let about = About {
            process: None,
            hidden: false,
            targets: &[],
            package: None,
            socket: Some(&socket),
            superuser: true,
            netstat: "netstat",
        };
        assert_eq!(
            commands(&about),
            ["ss -Kt src [2001:db8::1] sport = 2078 dst [::1] dport = 80"]
        );
    }

    #[test]
    fn more_rights_are_proposed_where_they_help() {
        let socket = socket("127.0.0.1", "127.0.0.1");
        let about = About {
            process: None,
            hidden: true,
            targets: &["tcp:80".into(), "a b".into()],
            package: None,
            socket: Some(&socket),
            superuser: false,
            netstat: "netstat",
        };
        assert_eq!(commands(&about)[0], "sudo netstat inspect tcp:80 'a b'");
        let root = About {
            superuser: true,
            ..about
        };
        assert_eq!(commands(&root).len(), 1);
    }

    #[test]
    fn names_cannot_break_out_of_their_quotes() {
        assert_eq!(shell_quoted(b"ssh.service"), "ssh.service");
        assert_eq!(shell_quoted(b"-rf"), "'-rf'");
        assert_eq!(shell_quoted(b""), "''");
        assert_eq!(shell_quoted(b"a'; rm -rf /; '"), r"'a'\''; rm -rf /; '\'''");
        assert_eq!(shell_quoted(b"a\x1b[2J'\\"), r"$'a\x1b[2J\'\\'");
    }

    proptest! {
        #[test]
        fn quoted_words_come_back_from_a_shell(word in prop::collection::vec(1u8.., 1..20)) {
            // bash knows $'...', which POSIX has since 2024.
            let Ok(output) = std::process::Command::new("bash")
                .args(["-c", &format!("printf %s {}", shell_quoted(&word))])
                .output()
            else {
                return Ok(());
            };
            prop_assert_eq!(output.stdout, word);
        }
    }
}
