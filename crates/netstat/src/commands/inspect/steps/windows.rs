//! What to do next on Windows: commands for PowerShell, the safest first.

use netstat_model::Component;
use netstat_model::reach::is_loopback;
use netstat_model::text::powershell_quoted;

use super::{About, Step, is_connection};

/// Returns the steps, the safest first.
pub(super) fn steps(about: &About<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut add = |what, command: String| steps.push(Step { what, command });
    let netstat = powershell_quoted(about.netstat.as_bytes());
    if about.hidden && !about.superuser {
        let targets: Vec<String> = about
            .targets
            .iter()
            .map(|word| powershell_quoted(word.as_bytes()))
            .collect();
        add(
            "see more of it, elevated",
            format!("& {netstat} inspect {}", targets.join(" ")),
        );
    }
    let process = about.process.filter(|process| !process.kernel_thread);
    if let Some(process) = process {
        let pid = process.pid;
        if let Some(program) = process
            .program
            .as_ref()
            .known()
            .filter(|program| program.path.contains(&b'\\'))
        {
            add(
                "check its signature",
                format!(
                    "Get-AuthenticodeSignature {} | Format-List",
                    powershell_quoted(&program.path)
                ),
            );
        }
        add(
            "see its modules",
            format!("(Get-Process -Id {pid}).Modules | Format-Table -AutoSize"),
        );
    }
    if let Some(socket) = about.socket.filter(|socket| is_connection(socket)) {
        let foreign = socket.foreign().address.to_canonical();
        if !is_loopback(foreign) {
            let rule = format!("-DisplayName 'Block {foreign}' -RemoteAddress {foreign} -Action Block");
            add(
                "block that address",
                format!("New-NetFirewallRule -Direction Outbound {rule}"),
            );
        }
    }
    let Some(process) = process.filter(|_| !about.expected) else {
        return steps;
    };
    let services = process.components.as_ref().known().map_or(&[][..], Vec::as_slice);
    let names = services.iter().filter_map(|component| match component {
        Component::Service { name } => Some(powershell_quoted(name)),
        _ => None,
    });
    let names: Vec<String> = names.collect();
    match names.is_empty() {
        true => add("end it", format!("taskkill /PID {} /F", process.pid)),
        // Ending a process that hosts services would end all of them without a proper shutdown.
        false => add("stop its services", format!("Stop-Service -Name {}", names.join(", "))),
    }
    steps
}
