//! The connection list in the classic columns.

use std::io::{self, Write};

use netstat_model::columns::{self, Books, SocketRow, Sockets};
use netstat_model::digits::{push_bare_address, push_decimal, push_endpoint};
use netstat_model::text::{escape, escape_program};
use netstat_model::{Component, Endpoint, Fact, Owner, Owners, Process, Protocol, Socket, State, UnitManager};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefMutIterator, ParallelIterator};
use rayon::slice::ParallelSlice;

use crate::output::rows::paint::Look;
use crate::output::rows::sockets::{Known, is_exposed, is_new};

/// The title, the heading, and the offsets of the columns.
const TITLE: &[u8] = b"\nActive Connections\n\n";
const HEADING: &[u8] = b"  Proto  Local Address          Foreign Address        State";
const LOCAL_AT: usize = 9;
const FOREIGN_AT: usize = 32;
const STATE_AT: usize = 55;
const EXTRA_AT: usize = 71;
/// The size in bytes at which gathered rows are written.
const CHUNK: usize = 64 * 1024;
/// The number of rows from which formatting with several threads is worth starting them.
const MANY: usize = 50_000;
/// The number of rows that a thread formats at a time: about a [`CHUNK`].
const PIECE: usize = 800;

/// A column after the state. The columns are printed in the order of the variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// `-o`: the id of the process that has held the socket longest; 0 for TIME_WAIT, which no process holds; `-` if
    /// unknown.
    Pid,
    /// `-d`: the differentiated services code point of outgoing packets.
    Dscp,
    /// `-i`: milliseconds in the current state.
    TimeInState,
    /// `-tulpn`: process id and name of the program file.
    PidProgram,
    /// `--all-namespaces`: the name of the network namespace.
    Namespace,
}

impl Column {
    const fn heading(self) -> &'static str {
        match self {
            Column::Pid => "PID",
            Column::Dscp => "DSCP",
            Column::TimeInState => "Time in State (ms)",
            Column::PidProgram => "PID/Program",
            Column::Namespace => "Namespace",
        }
    }

    /// Returns the width of the column if another one follows.
    const fn width(self) -> usize {
        match self {
            Column::Pid => 10,
            Column::Dscp => 4,
            Column::TimeInState => 18,
            Column::PidProgram | Column::Namespace => 24,
        }
    }
}

/// Names for foreign addresses. Anything without a name is printed as a number.
pub trait ForeignNames: Sync {
    /// Returns the host name for the address of `side`, safe to print; for local and unspecified addresses, the name of
    /// this computer.
    fn host(&self, side: &Endpoint) -> Option<&str>;
    /// Returns the name of the service at `port`.
    fn service(&self, protocol: Protocol, port: u16) -> Option<&str>;
}

/// The options of the list.
#[derive(Clone, Copy, Default)]
pub struct View<'a> {
    /// The columns after the state.
    pub columns: &'a [Column],
    /// The owners, if a column or `program_lines` needs them.
    pub owners: Option<&'a Owners>,
    /// `-b`: whether lines with components and program follow each row.
    pub program_lines: bool,
    /// Names for foreign addresses; `None` to print numbers.
    pub names: Option<&'a dyn ForeignNames>,
    /// Names for endpoints that are not IP addresses.
    pub books: Option<&'a dyn Books>,
    /// Whether states are coloured.
    pub color: bool,
    /// The sockets of the previous print; rows that are not among them are marked as new. `None` to mark none.
    pub before: Option<&'a Known>,
}

/// Writes the title, the heading, and a row for each of `sockets`, in the given order.
///
/// # Errors
/// Returns an error of `out`.
pub fn write(out: &mut dyn Write, sockets: &[Socket], view: &View<'_>) -> io::Result<()> {
    let mut text = Vec::with_capacity(CHUNK + 1024);
    push_heading(&mut text, view.columns);
    if sockets.len() >= MANY {
        out.write_all(&text)?;
        return write_many(out, sockets, view);
    }
    for socket in sockets {
        push_row(&mut text, socket, view);
        if text.len() >= CHUNK {
            out.write_all(&text)?;
            text.clear();
        }
    }
    out.write_all(&text)
}

/// Writes the rows with several threads: in each round, every thread formats a few pieces, which are then written in
/// order.
fn write_many(out: &mut dyn Write, sockets: &[Socket], view: &View<'_>) -> io::Result<()> {
    let mut pieces = vec![Vec::with_capacity(CHUNK + 1024); 4 * rayon::current_num_threads()];
    for round in sockets.chunks(PIECE * pieces.len()) {
        let rows = round.par_chunks(PIECE);
        pieces.par_iter_mut().zip(rows).for_each(|(text, rows)| {
            text.clear();
            for socket in rows {
                push_row(text, socket, view);
            }
        });
        for text in &pieces[..round.len().div_ceil(PIECE)] {
            out.write_all(text)?;
        }
    }
    Ok(())
}

fn push_heading(text: &mut Vec<u8>, columns: &[Column]) {
    text.extend_from_slice(TITLE);
    let start = text.len();
    text.extend_from_slice(HEADING);
    for (index, column) in columns.iter().enumerate() {
        pad_to(text, start, column_at(columns, index));
        text.extend_from_slice(column.heading().as_bytes());
    }
    text.push(b'\n');
}

/// Returns the offset of column `index` of `columns`.
fn column_at(columns: &[Column], index: usize) -> usize {
    EXTRA_AT + columns[..index].iter().map(|column| column.width() + 2).sum::<usize>()
}

/// Pads the row that starts at `start` with spaces up to offset `at`; after a longer cell, with two spaces.
fn pad_to(text: &mut Vec<u8>, start: usize, at: usize) {
    let filled = text.len() - start;
    let blanks = if filled + 2 <= at { at - filled } else { 2 };
    text.resize(text.len() + blanks, b' ');
}

fn push_row(text: &mut Vec<u8>, socket: &Socket, view: &View<'_>) {
    // A cell that is too long shifts the following ones, so each column is padded from where the previous one ended.
    let new = view.before.is_some_and(|before| is_new(socket, before));
    let look = if new && view.color { Look::New } else { Look::Plain };
    look.paint(text, |text| text.push(if new { b'+' } else { b' ' }));
    // Escape sequences take no room on a terminal.
    let start = text.len() - 1;
    text.push(b' ');
    text.extend_from_slice(socket.protocol().name().as_bytes());
    pad_to(text, start, LOCAL_AT);
    let local = text.len();
    let is_ip = socket.protocol().is_ip();
    let exposed = view.color && is_exposed(socket);
    let painted = text.len();
    let look = if exposed { Look::Unusual } else { Look::Plain };
    let mut shown = 0;
    look.paint(text, |text| {
        let start = text.len();
        match is_ip {
            true => push_local(text, socket, view),
            false => push_named(text, socket, view, "local"),
        }
        shown = text.len() - start;
    });
    // Escape sequences take no room on a terminal.
    let local = local + (text.len() - painted - shown);
    pad_to(text, local, FOREIGN_AT - LOCAL_AT);
    let foreign = text.len();
    match is_ip {
        true => push_foreign(text, socket, view.names),
        false => push_named(text, socket, view, "foreign"),
    }
    pad_to(text, foreign, STATE_AT - FOREIGN_AT);
    let mut state = text.len();
    if let Some(shown) = socket.shown_state() {
        let look = if view.color { Look::State(shown) } else { Look::Plain };
        look.paint(text, |text| text.extend_from_slice(shown.name().as_bytes()));
        // Escape sequences take no room on a terminal.
        state = text.len() - shown.name().len();
    }
    let owner = view.owners.map(|owners| owners.of(socket));
    for (index, &column) in view.columns.iter().enumerate() {
        pad_to(text, state, column_at(view.columns, index) - STATE_AT);
        match column {
            Column::Namespace => push_named(text, socket, view, "namespace"),
            column => push_column(text, socket, column, owner, view.books.unwrap_or(&())),
        }
    }
    text.push(b'\n');
    if view.program_lines
        && let Some(owner) = owner
    {
        push_owner_lines(text, socket, owner);
    }
}

/// Appends the local address. For a socket without a peer it includes the device that the socket is bound to, as in
/// `0.0.0.0%eth0:68`; for a link-local address, the device is its zone.
fn push_local(text: &mut Vec<u8>, socket: &Socket, view: &View<'_>) {
    let local = socket.local();
    let index = match socket.interface() {
        Some(index) if local.scope == 0 && !socket.is_connected() => index.get(),
        _ => return push_endpoint(text, &local),
    };
    let is_v6 = local.address.is_ipv6();
    text.extend_from_slice(if is_v6 { b"[" } else { b"" });
    push_bare_address(text, &local);
    text.push(b'%');
    match view.books.and_then(|books| books.interface(socket.namespace(), index)) {
        Some(name) => text.extend_from_slice(escape(name).as_bytes()),
        None => push_decimal(text, index.into()),
    }
    text.extend_from_slice(if is_v6 { b"]:" } else { b":" });
    push_decimal(text, local.port.into());
}

/// Appends an endpoint that is not an IP address, in the form of its column.
fn push_named(text: &mut Vec<u8>, socket: &Socket, view: &View<'_>, column: &str) {
    let Some(column) = columns::find::<Sockets>(column) else {
        return;
    };
    (column.get)(&SocketRow::new(socket, None, view.books.unwrap_or(&()))).push_cell(text);
}

fn push_foreign(text: &mut Vec<u8>, socket: &Socket, names: Option<&dyn ForeignNames>) {
    let foreign = socket.foreign();
    if matches!(socket.protocol(), Protocol::Udp | Protocol::UdpLite | Protocol::Raw) && !socket.is_connected() {
        text.extend_from_slice(b"*:*");
        return;
    }
    let Some(names) = names else {
        return push_endpoint(text, &foreign);
    };
    match names.host(&foreign) {
        Some(name) => text.extend_from_slice(name.as_bytes()),
        None => netstat_model::digits::push_address(text, &foreign),
    }
    text.push(b':');
    match names.service(socket.protocol(), foreign.port) {
        Some(name) if foreign.port != 0 => text.extend_from_slice(name.as_bytes()),
        _ => push_decimal(text, foreign.port.into()),
    }
}

fn push_column(text: &mut Vec<u8>, socket: &Socket, column: Column, owner: Option<Owner<'_>>, books: &dyn Books) {
    match column {
        Column::Pid => match owner {
            Some(Owner::Held(holders)) => push_decimal(text, holders.first().pid.into()),
            _ if socket.state() == State::TimeWait => text.push(b'0'),
            _ => text.push(b'-'),
        },
        Column::PidProgram => match owner {
            Some(Owner::Held(holders)) => {
                let process = holders.first();
                push_decimal(text, process.pid.into());
                text.push(b'/');
                push_program(text, process);
            }
            _ => text.push(b'-'),
        },
        Column::Dscp => push_fact(text, socket.dscp().map(u64::from)),
        Column::TimeInState => {
            let row = SocketRow {
                socket,
                owner: None,
                owners: None,
                books,
            };
            let time = row.time_in_state();
            if let Fact::Known(time) = time
                && !time.is_exact()
            {
                text.extend_from_slice(b">=");
            }
            push_fact(text, time.map(|time| time.millis));
        }
        Column::Namespace => {}
    }
}

fn push_fact(text: &mut Vec<u8>, fact: Fact<u64>) {
    match fact {
        Fact::Known(number) => push_decimal(text, number),
        Fact::Unknown(_) => text.push(b'-'),
    }
}

fn push_program(text: &mut Vec<u8>, process: &Process) {
    match &process.image {
        Fact::Known(image) => {
            text.extend_from_slice(escape_program(image.file_name()).as_bytes());
            push_label(text, process);
            if image.deleted {
                text.extend_from_slice(b" (deleted)");
            }
        }
        Fact::Unknown(_) => text.push(b'-'),
    }
}

/// Appends ` (srv.py)`: what distinguishes the program from others with the same program file.
fn push_label(text: &mut Vec<u8>, process: &Process) {
    if let Some(label) = process.label() {
        text.extend_from_slice(b" (");
        text.extend_from_slice(escape(label).as_bytes());
        text.push(b')');
    }
}

/// Appends the lines of `-b` below a row. Holders are listed one by one; a component is repeated only if it differs
/// from the previous one.
fn push_owner_lines(text: &mut Vec<u8>, socket: &Socket, owner: Owner<'_>) {
    let holders = match owner {
        Owner::Held(holders) => holders,
        Owner::None(_) if socket.state() == State::TimeWait => return,
        Owner::None(_) => return text.extend_from_slice(b" Can not obtain ownership information\n"),
    };
    let mut last: &[Component] = &[];
    for process in holders.iter() {
        if let Fact::Known(components) = &process.components {
            if components != last {
                for component in components {
                    text.extend_from_slice(b"  ");
                    push_component(text, component);
                    text.push(b'\n');
                }
            }
            last = components;
        }
        match &process.image {
            Fact::Known(image) => {
                text.extend_from_slice(b" [");
                text.extend_from_slice(escape(image.file_name()).as_bytes());
                text.push(b']');
                push_label(text, process);
                text.extend_from_slice(if image.deleted { b" (deleted)\n" } else { b"\n" });
            }
            Fact::Unknown(_) => text.extend_from_slice(b" Can not obtain ownership information\n"),
        }
    }
}

/// Appends a component: `ssh.service`, `app.service (user 1000)`, `docker 0123456789ab`.
pub(crate) fn push_component(text: &mut Vec<u8>, component: &Component) {
    match component {
        Component::Unit { name, manager } => {
            text.extend_from_slice(escape(name).as_bytes());
            if let UnitManager::User(user) = manager {
                text.extend_from_slice(b" (user ");
                push_decimal(text, (*user).into());
                text.push(b')');
            }
        }
        Component::Service { name } | Component::Package { name } => text.extend_from_slice(escape(name).as_bytes()),
        Component::Container { runtime, id } => {
            text.extend_from_slice(runtime.name().as_bytes());
            text.push(b' ');
            text.extend_from_slice(escape(id).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_model::{Extra, Family, ImageName, NoOwner, OwnersBuilder, SocketFacts, Why};

    fn socket(protocol: Protocol, local: &str, foreign: &str, state: State, inode: u32) -> Socket {
        let local: std::net::SocketAddr = local.parse().unwrap();
        let foreign: std::net::SocketAddr = foreign.parse().unwrap();
        Socket::new(&SocketFacts {
            protocol,
            family: if local.is_ipv4() { Family::V4 } else { Family::V6 },
            state,
            local: local.ip(),
            local_port: local.port(),
            foreign: foreign.ip(),
            foreign_port: foreign.port(),
            interface: 3,
            inode,
            user: Some(0),
            cookie: None,
            receive_queue: 0,
            send_queue: Some(0),
        })
    }

    fn process(pid: u32, path: &str, deleted: bool, components: Vec<Component>) -> Process {
        Process {
            pid,
            start_ticks: Fact::Known(u64::from(pid)),
            comm: Fact::Unknown(Why::NotAsked),
            invocation: Fact::Unknown(netstat_model::Why::NotAsked),
            image: Fact::Known(ImageName {
                path: path.as_bytes().to_vec(),
                deleted,
            }),
            components: Fact::Known(components),
        }
    }

    fn text(sockets: &[Socket], view: &View<'_>) -> String {
        let mut out = Vec::new();
        write(&mut out, sockets, view).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn sample() -> Vec<Socket> {
        vec![
            socket(Protocol::Tcp, "0.0.0.0:22", "0.0.0.0:0", State::Listening, 10),
            socket(
                Protocol::Tcp,
                "192.0.2.130:50312",
                "198.51.100.7:443",
                State::Established,
                11,
            ),
            socket(
                Protocol::Tcp,
                "192.0.2.130:50313",
                "198.51.100.7:443",
                State::TimeWait,
                0,
            ),
            socket(
                Protocol::Tcp,
                "[2001:db8::1:2:3:4]:22",
                "[2001:db8::ffff:1]:60001",
                State::CloseWait,
                12,
            ),
            socket(Protocol::Udp, "0.0.0.0:68", "0.0.0.0:0", State::Closed, 13),
            socket(Protocol::Udp, "[fe80::1]:546", "[::]:0", State::Closed, 14),
        ]
    }

    #[test]
    fn connections_are_printed_in_classic_columns() {
        let expected = "\n\
            Active Connections\n\
            \n  \
              Proto  Local Address          Foreign Address        State\n  \
              TCP    0.0.0.0%3:22           0.0.0.0:0              LISTENING\n  \
              TCP    192.0.2.130:50312      198.51.100.7:443       ESTABLISHED\n  \
              TCP    192.0.2.130:50313      198.51.100.7:443       TIME_WAIT\n  \
              TCP    [2001:db8::1:2:3:4]:22  [2001:db8::ffff:1]:60001  CLOSE_WAIT\n  \
              UDP    0.0.0.0%3:68           *:*                    \n  \
              UDP    [fe80::1%3]:546        *:*                    \n";
        assert_eq!(text(&sample(), &View::default()), expected);
    }

    #[test]
    fn connections_in_great_number_are_written_in_order() {
        let sockets: Vec<Socket> = (0..MANY as u32 + 1234)
            .map(|number| {
                let [a, b, c, d] = (0x7f00_0000 + number).to_be_bytes();
                socket(
                    Protocol::Tcp,
                    &format!("{a}.{b}.{c}.{d}:80"),
                    "0.0.0.0:0",
                    State::Listening,
                    number + 1,
                )
            })
            .collect();
        let all = text(&sockets, &View::default());
        let rows: Vec<&str> = all.lines().skip(4).collect();
        assert_eq!(rows.len(), sockets.len());
        for (socket, row) in sockets.iter().zip(rows) {
            let one = text(std::slice::from_ref(socket), &View::default());
            assert_eq!(one.lines().last(), Some(row));
        }
    }

    fn owners() -> Owners {
        let mut owners = OwnersBuilder::default();
        let unit = |name: &str, manager| Component::Unit {
            name: name.as_bytes().to_vec(),
            manager,
        };
        let ssh = vec![unit("ssh.service", UnitManager::System)];
        owners.add(process(700, "/usr/sbin/sshd", false, ssh.clone()), [10, 12]);
        owners.add(process(901, "/usr/sbin/sshd", false, ssh), [12]);
        let nested = vec![
            Component::Container {
                runtime: netstat_model::ContainerRuntime::Docker,
                id: b"0123456789ab".to_vec(),
            },
            unit("web.service", UnitManager::User(1000)),
        ];
        owners.add(process(12_345, "/srv/we\x1bb\n", true, nested), [11]);
        owners.finish(NoOwner::NotPermitted { user: None })
    }

    #[test]
    fn pid_column_shows_owner_of_each_connection() {
        let owners = owners();
        let view = View {
            columns: &[Column::Pid],
            owners: Some(&owners),
            ..View::default()
        };
        let expected = "\n\
            Active Connections\n\
            \n  \
              Proto  Local Address          Foreign Address        State           PID\n  \
              TCP    0.0.0.0%3:22           0.0.0.0:0              LISTENING       700\n  \
              TCP    192.0.2.130:50312      198.51.100.7:443       ESTABLISHED     12345\n  \
              TCP    192.0.2.130:50313      198.51.100.7:443       TIME_WAIT       0\n  \
              TCP    [2001:db8::1:2:3:4]:22  [2001:db8::ffff:1]:60001  CLOSE_WAIT      700\n  \
              UDP    0.0.0.0%3:68           *:*                                    -\n  \
              UDP    [fe80::1%3]:546        *:*                                    -\n";
        assert_eq!(text(&sample(), &view), expected);
    }

    #[test]
    fn program_lines() {
        let owners = owners();
        let view = View {
            owners: Some(&owners),
            program_lines: true,
            ..View::default()
        };
        let expected = "\n\
            Active Connections\n\
            \n  \
              Proto  Local Address          Foreign Address        State\n  \
              TCP    0.0.0.0%3:22           0.0.0.0:0              LISTENING\n  \
              ssh.service\n \
             [sshd]\n  \
              TCP    192.0.2.130:50312      198.51.100.7:443       ESTABLISHED\n  \
              docker 0123456789ab\n  \
              web.service (user 1000)\n \
             [we\\eb\\n] (deleted)\n  \
              TCP    192.0.2.130:50313      198.51.100.7:443       TIME_WAIT\n  \
              TCP    [2001:db8::1:2:3:4]:22  [2001:db8::ffff:1]:60001  CLOSE_WAIT\n  \
              ssh.service\n \
             [sshd]\n \
             [sshd]\n  \
              UDP    0.0.0.0%3:68           *:*                    \n \
             Can not obtain ownership information\n  \
              UDP    [fe80::1%3]:546        *:*                    \n \
             Can not obtain ownership information\n";
        assert_eq!(text(&sample(), &view), expected);
    }

    #[test]
    fn several_extra_columns_are_printed_side_by_side() {
        let owners = owners();
        let columns = [Column::Pid, Column::Dscp, Column::TimeInState, Column::PidProgram];
        let view = View {
            columns: &columns,
            owners: Some(&owners),
            ..View::default()
        };
        let sockets: Vec<Socket> = sample()
            .into_iter()
            .take(3)
            .map(|socket| {
                let time_in_state = match socket.state() {
                    State::TimeWait => Fact::Known(1500),
                    _ => Fact::Unknown(Why::NotKept),
                };
                socket.with_extra(Extra {
                    tos: Fact::Known(0xb8),
                    time_in_state,
                    ..Extra::default()
                })
            })
            .collect();
        let head = "  Proto  Local Address          Foreign Address        State           ";
        let expected = format!(
            "\nActive Connections\n\n\
             {head}PID         DSCP  Time in State (ms)  PID/Program\n  \
               TCP    0.0.0.0%3:22           0.0.0.0:0              LISTENING       700         46    -                   700/sshd\n  \
               TCP    192.0.2.130:50312      198.51.100.7:443       ESTABLISHED     12345       46    -                   12345/we\\eb\\n (deleted)\n  \
               TCP    192.0.2.130:50313      198.51.100.7:443       TIME_WAIT       0           46    1500                -\n"
        );
        assert_eq!(text(&sockets, &view), expected);
    }

    struct Invented;

    impl ForeignNames for Invented {
        fn host(&self, side: &Endpoint) -> Option<&str> {
            match side.address {
                address if address.is_unspecified() => Some("mill"),
                address => (address == std::net::IpAddr::from([198, 51, 100, 7])).then_some("www"),
            }
        }
        fn service(&self, protocol: Protocol, port: u16) -> Option<&str> {
            (protocol == Protocol::Tcp && port == 443).then_some("https")
        }
    }

    #[test]
    fn names_replace_foreign_addresses_only() {
        let expected = "\n\
            Active Connections\n\
            \n  \
              Proto  Local Address          Foreign Address        State\n  \
              TCP    0.0.0.0%3:22           mill:0                 LISTENING\n  \
              TCP    192.0.2.130:50312      www:https              ESTABLISHED\n  \
              TCP    192.0.2.130:50313      www:https              TIME_WAIT\n  \
              TCP    [2001:db8::1:2:3:4]:22  [2001:db8::ffff:1]:60001  CLOSE_WAIT\n  \
              UDP    0.0.0.0%3:68           *:*                    \n  \
              UDP    [fe80::1%3]:546        *:*                    \n";
        assert_eq!(
            text(
                &sample(),
                &View {
                    names: Some(&Invented),
                    ..View::default()
                }
            ),
            expected
        );
    }
}
