//! Prints what opens, listens and closes on this computer, as it happens: `cargo run -p netstat-os --example watch_changes`.
//!
//! As root the kernel's tracepoints tell everything; without privilege two looks a second apart are compared, and what lives
//! shorter is missed. Ends with Ctrl+C.

use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use netstat_model::{EventKind, Fact, text};
use netstat_os::{EventsAsk, Native, System};

fn main() -> Result<(), Box<dyn Error>> {
    watch(&mut Native::default(), &mut io::stdout().lock(), &mut || true)
}

/// Prints a line for each change on `system`, as long as `goes_on` says so; it is asked after each second at the latest.
pub(crate) fn watch(
    system: &mut dyn System,
    out: &mut dyn Write,
    goes_on: &mut dyn FnMut() -> bool,
) -> Result<(), Box<dyn Error>> {
    let mut source = system.events(&EventsAsk::default())?;
    for limit in source.limits() {
        writeln!(out, "{}: {}", limit.what, limit.why)?;
    }
    let mut lines = Vec::new();
    while goes_on() {
        source.next(Duration::from_secs(1), &mut |event| {
            // The sockets that are there already come first.
            if event.kind == EventKind::Present {
                return;
            }
            let [local, foreign] = [event.local, event.foreign].map(|end| SocketAddr::new(end.address, end.port));
            // The owner is the one of that moment: it may have ended since.
            let owner = match event.owner {
                Fact::Known(owner) => format!("{} {}", owner.pid, text::escape(owner.name.as_bytes())),
                Fact::Unknown(_) => "-".to_owned(),
            };
            let kind = event.kind.name();
            lines.push(format!(
                "{kind:<9} {} {local} -> {foreign}  {owner}",
                event.protocol.name()
            ));
        })?;
        for line in lines.drain(..) {
            writeln!(out, "{line}")?;
        }
        // Nothing slips by in silence.
        let lost = source.lost();
        if !lost.is_nothing() {
            writeln!(out, "lost so far: {} events, {} gaps", lost.events, lost.gaps)?;
        }
    }
    Ok(())
}
