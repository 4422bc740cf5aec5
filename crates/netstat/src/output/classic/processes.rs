//! `-c`: processes by the number of ports they hold.

use std::collections::BTreeMap;
use std::io::{self, Write};

use netstat_model::text::{escape, escape_program};
use netstat_model::{Fact, NoOwner, Owner, Owners, Process, Protocol, Socket};

/// The ports that one process holds.
#[derive(Debug, Default)]
pub(crate) struct Holding<'a> {
    /// Its TCP ports, without duplicates.
    pub(crate) tcp: Vec<u16>,
    /// Its UDP ports, without duplicates.
    pub(crate) udp: Vec<u16>,
    /// The process; `None` for ports whose owner is unknown.
    pub(crate) process: Option<&'a Process>,
}

/// Returns each process that holds a port, in descending order of the number of ports, and last, without a PID, the
/// ports whose owner is unknown.
///
/// A port counts once per process and protocol, regardless of the number of sockets on it: a server with a thousand
/// accepted connections holds one. A socket that several processes share counts for each of them. Sockets that belong
/// to no process (in TIME_WAIT, closed by their program, not yet accepted) are not counted.
pub(crate) fn holdings<'a>(sockets: &[Socket], owners: &'a Owners) -> Vec<(Option<u32>, Holding<'a>)> {
    let mut holdings: BTreeMap<u32, Holding<'a>> = BTreeMap::new();
    let mut unknown = Holding::default();
    for socket in sockets {
        let count = |holding: &mut Holding| match socket.protocol() {
            Protocol::Tcp | Protocol::Mptcp => holding.tcp.push(socket.local().port),
            Protocol::Udp => holding.udp.push(socket.local().port),
            _ => {}
        };
        match owners.of(socket) {
            Owner::Held(holders) => {
                for process in holders.iter() {
                    let holding = holdings.entry(process.pid).or_default();
                    holding.process.get_or_insert(process);
                    count(holding);
                }
            }
            // No process holds these.
            Owner::None(NoOwner::TimeWait | NoOwner::ClosedByProgram | NoOwner::Handshake | NoOwner::NotAccepted) => {}
            Owner::None(_) => count(&mut unknown),
        }
    }
    let mut rows: Vec<(Option<u32>, Holding<'a>)> = holdings.into_iter().map(|(pid, held)| (Some(pid), held)).collect();
    if !(unknown.tcp.is_empty() && unknown.udp.is_empty()) {
        rows.push((None, unknown));
    }
    for (_, held) in &mut rows {
        for ports in [&mut held.tcp, &mut held.udp] {
            ports.sort_unstable();
            ports.dedup();
        }
    }
    // The row of unknown owners is not a process, so it comes last.
    rows.sort_by_key(|(pid, held)| (pid.is_none(), std::cmp::Reverse(held.tcp.len() + held.udp.len()), *pid));
    rows
}

/// Writes the table of `-c`: a row for each process.
///
/// # Errors
/// Returns an error of `out`.
pub fn write(out: &mut dyn Write, sockets: &[Socket], owners: &Owners) -> io::Result<()> {
    writeln!(
        out,
        "\nPorts by Process\n\n  {:<8}{:<8}{:<12}Program",
        "TCP", "UDP", "PID"
    )?;
    for (pid, held) in holdings(sockets, owners) {
        let program = match held.process {
            None => "(owner unknown)".to_owned(),
            Some(process) => match &process.image {
                Fact::Known(image) => {
                    let label = process.label().map(|label| format!(" ({})", escape(label)));
                    let mark = if image.deleted { " (deleted)" } else { "" };
                    format!(
                        "{}{}{mark}",
                        escape_program(image.file_name()),
                        label.unwrap_or_default()
                    )
                }
                Fact::Unknown(_) => "-".to_owned(),
            },
        };
        let pid = pid.map_or("-".to_owned(), |pid| pid.to_string());
        writeln!(out, "  {:<8}{:<8}{pid:<12}{program}", held.tcp.len(), held.udp.len(),)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::{Family, ImageName, OwnersBuilder, SocketFacts, State, Why};

    fn socket(protocol: Protocol, port: u16, state: State, inode: u32) -> Socket {
        Socket::new(&SocketFacts {
            protocol,
            family: Family::V4,
            state,
            local: [192, 0, 2, 1].into(),
            local_port: port,
            foreign: [0, 0, 0, 0].into(),
            foreign_port: 0,
            interface: 0,
            inode,
            user: None,
            cookie: None,
            receive_queue: 0,
            send_queue: None,
        })
    }

    fn process(pid: u32, path: &str) -> Process {
        Process {
            pid,
            start_ticks: Fact::Known(1),
            comm: Fact::Unknown(Why::NotAsked),
            invocation: Fact::Unknown(netstat_model::Why::NotAsked),
            image: Fact::Known(ImageName {
                path: path.into(),
                deleted: false,
            }),
            components: Fact::Unknown(Why::NotAsked),
        }
    }

    #[test]
    fn processes_by_port_count_each_port_once_per_process() {
        let sockets = [
            socket(Protocol::Tcp, 80, State::Listening, 1),
            socket(Protocol::Tcp, 80, State::Established, 2),
            socket(Protocol::Tcp, 80, State::TimeWait, 0),
            socket(Protocol::Tcp, 443, State::Listening, 3),
            socket(Protocol::Udp, 443, State::Closed, 4),
            socket(Protocol::Udp, 53, State::Closed, 5),
            socket(Protocol::Tcp, 9999, State::Listening, 6),
        ];
        let mut owners = OwnersBuilder::default();
        owners.add(process(900, "/usr/sbin/resolver"), [5]);
        owners.add(process(50, "/usr/sbin/web"), [1, 2, 3, 4]);
        owners.add(process(51, "/usr/sbin/web"), [1]);
        let owners = owners.finish(NoOwner::NotPermitted { user: None });
        let mut out = Vec::new();
        write(&mut out, &sockets, &owners).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\nPorts by Process\n\n  \
             TCP     UDP     PID         Program\n  \
             2       1       50          web\n  \
             1       0       51          web\n  \
             0       1       900         resolver\n  \
             1       0       -           (owner unknown)\n"
        );
    }
}
