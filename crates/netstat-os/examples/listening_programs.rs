//! Lists the programs that listen for TCP connections: `cargo run -p netstat-os --example listening_programs`.
//!
//! Without privilege it names your own programs and says why it cannot name the others.

use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;

use netstat_model::{Fact, Owner, State, sort_classic, text};
use netstat_os::{Native, OwnersAsk, SocketAsk, SocketList, System};

fn main() -> Result<(), Box<dyn Error>> {
    list(&mut Native::default(), &mut io::stdout().lock())
}

/// One line for each listening socket of `system`: address, process id, program.
pub(crate) fn list(system: &mut dyn System, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    // Only what is named here is read, and the kernel leaves out the other states.
    let ask = SocketAsk {
        tcp4: true,
        tcp6: true,
        tcp_states: vec![State::Listening],
        ..SocketAsk::default()
    };
    let mut found = SocketList::default();
    system.sockets(&ask, &mut found);
    sort_classic(&mut found.sockets);

    // The owners of all sockets are found in one pass. The program file is only read if it is asked for.
    let ask = OwnersAsk {
        image: true,
        ..OwnersAsk::default()
    };
    let owners = system.owners(&found.sockets, &ask)?;

    for socket in &found.sockets {
        let local = socket.local();
        let local = SocketAddr::new(local.address, local.port).to_string();
        match owners.owners.of(socket) {
            // A socket may be held by many processes: here the one that has run longest.
            Owner::Held(holders) => {
                let process = holders.first();
                // Names are chosen by others: never print them as they are.
                let program = match &process.image {
                    Fact::Known(image) => text::escape(&image.path).into_owned(),
                    Fact::Unknown(why) => format!("- ({})", why.words()),
                };
                writeln!(out, "{local:<30} {:>7}  {program}", process.pid)?;
            }
            Owner::None(reason) => writeln!(out, "{local:<30} {:>7}  ({})", "-", reason.words())?,
        }
    }
    // What could not be seen is no error, but it is told.
    for limit in found.limits.iter().chain(&owners.limits) {
        writeln!(out, "{}: {}", limit.what, limit.why)?;
    }
    Ok(())
}
