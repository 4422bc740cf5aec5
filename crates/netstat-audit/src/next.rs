//! What to do about a process next, as commands to copy: the safest first, evidence before anything that destroys it.

use netstat_model::reach::is_loopback;
use netstat_model::text::{powershell_command, powershell_quoted, shell_command};
use netstat_model::{Protocol, Socket};

use crate::{Judged, Judgement};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it is for, in a few words.
    pub what: &'static str,
    /// The command, ready to be pasted into a shell.
    pub command: String,
}

/// The steps for a process that was judged. `netstat` is the path of this program; without `superuser` commands begin with `sudo`.
///
/// What was judged to be as expected, and what runs the computer itself, is only to be looked at.
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

/// The steps on Windows, for PowerShell: where more rights are needed, they are those of an elevated prompt.
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

/// Whether stopping it is proposed: something suspicious or unusual was found, and it is neither a kernel thread nor PID 1.
fn may_be_stopped(judged: &Judged) -> bool {
    let worth = matches!(judged.verdict.judgement, Judgement::Suspicious | Judgement::Unusual);
    worth && !judged.facts.kernel_thread && judged.facts.pid != 1
}

/// `ss -K` closes sockets where the kernel has `CONFIG_INET_DIAG_DESTROY`.
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

/// A command with `sudo` in front where the caller is not the superuser.
fn command(superuser: bool, program: &str, words: &[&str]) -> String {
    let mut arguments: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    if superuser {
        return shell_command(program, &arguments);
    }
    arguments.insert(0, program.as_bytes());
    shell_command("sudo", &arguments)
}
