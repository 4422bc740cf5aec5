//! Recommended next steps about a process, as commands to copy: the safest first, and those that preserve evidence
//! before any that destroy it.

use netstat_model::reach::is_loopback;
use netstat_model::text::{powershell_command, powershell_quoted, shell_command};
use netstat_model::{Protocol, Socket};

use crate::{Judged, Judgement};

/// A recommended step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The purpose, in a few words.
    pub what: &'static str,
    /// The command, ready to be pasted into a shell.
    pub command: String,
}

/// Returns the steps for an examined process. `netstat` is the path of this program; unless `superuser`, commands begin
/// with `sudo`.
///
/// Only a closer look is recommended for processes that were judged to be as expected, and for those that run the
/// computer itself.
pub fn steps(judged: &Judged, netstat: &str, superuser: bool) -> Vec<Step> {
    let pid = judged.facts.pid;
    let target = format!("pid:{pid}");
    if judged.facts.windows.is_some() {
        return windows_steps(judged, netstat, &target);
    }
    let mut steps = vec![
        Step {
            what: "look closer",
            command: command(superuser, netstat, &["inspect", &target]),
        },
        Step {
            what: "capture evidence",
            command: command(
                superuser,
                netstat,
                &["inspect", &target, "--bundle", &format!("evidence-{pid}.tar")],
            ),
        },
    ];
    if !may_be_stopped(judged) {
        return steps;
    }
    steps.push(Step {
        what: "suspend it",
        command: command(superuser, "kill", &["-STOP", &pid.to_string()]),
    });
    let connection = judged
        .contacts
        .outgoing
        .iter()
        .chain(&judged.contacts.incoming)
        .find(|socket| socket.protocol() == Protocol::Tcp && !is_loopback(socket.foreign().address));
    // Both commands act in the network namespace of the caller.
    let own = judged.facts.namespaces.network.known().is_none_or(|space| space.ours);
    if let Some(socket) = connection.filter(|_| own) {
        steps.push(Step {
            what: "close its connection",
            command: close(socket, superuser),
        });
    }
    steps
}

/// Returns the steps on Windows, for PowerShell. If more rights are needed, the commands are meant for an elevated
/// prompt.
fn windows_steps(judged: &Judged, netstat: &str, target: &str) -> Vec<Step> {
    let mut steps = vec![Step {
        what: "look closer",
        command: powershell_command(netstat, &[b"inspect", target.as_bytes()]),
    }];
    if let Some(program) = judged.program.as_ref().filter(|program| program.path.contains(&b'\\')) {
        steps.push(Step {
            what: "check its signature",
            command: format!(
                "Get-AuthenticodeSignature {} | Format-List",
                powershell_quoted(&program.path)
            ),
        });
    }
    if !may_be_stopped(judged) {
        return steps;
    }
    let connections = judged.contacts.outgoing.iter().chain(&judged.contacts.incoming);
    let far = connections.map(|socket| socket.foreign().address.to_canonical());
    if let Some(address) = far.into_iter().find(|&address| !is_loopback(address)) {
        steps.push(Step {
            what: "block that address",
            command: format!(
                "New-NetFirewallRule -Direction Outbound -DisplayName 'Block {address}' -RemoteAddress {address} -Action Block"
            ),
        });
    }
    steps.push(Step {
        what: "end it",
        command: format!("taskkill /PID {} /F", judged.facts.pid),
    });
    steps
}

/// Whether stopping the process is recommended: it was judged suspicious or unusual, and is neither a kernel thread nor
/// PID 1.
fn may_be_stopped(judged: &Judged) -> bool {
    let worth = matches!(judged.verdict.judgement, Judgement::Suspicious | Judgement::Unusual);
    worth && !judged.facts.kernel_thread && judged.facts.pid != 1
}

/// Returns an `ss -K` command, which closes sockets if the kernel was built with `CONFIG_INET_DIAG_DESTROY`.
fn close(socket: &Socket, superuser: bool) -> String {
    let side = |end: netstat_model::Endpoint| match end.address {
        std::net::IpAddr::V4(address) => (address.to_string(), end.port.to_string()),
        std::net::IpAddr::V6(address) => (format!("[{address}]"), end.port.to_string()),
    };
    let ((local, local_port), (foreign, foreign_port)) = (side(socket.local()), side(socket.foreign()));
    command(
        superuser,
        "ss",
        &[
            "-Kt",
            "src",
            &local,
            "sport",
            "=",
            &local_port,
            "dst",
            &foreign,
            "dport",
            "=",
            &foreign_port,
        ],
    )
}

/// Returns a command, preceded by `sudo` unless the caller is the superuser.
fn command(superuser: bool, program: &str, words: &[&str]) -> String {
    let mut arguments: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    if superuser {
        return shell_command(program, &arguments);
    }
    arguments.insert(0, program.as_bytes());
    shell_command("sudo", &arguments)
}
