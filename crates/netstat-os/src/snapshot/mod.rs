//! Snapshots: the state of a computer at one moment in a file, from which a [`Replay`] can be created. This turns a bug
//! report into a test.

mod redact;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use netstat_model::counters::{BlockSet, InterfaceStatistics, ProtocolStatistics};
use netstat_model::packet_filter::PacketFilter;
use netstat_model::process::ProcessFacts;
use netstat_model::route::{RouteListing, TableSelection};
use netstat_model::{Extras, Limit, Moment, Owners, Socket, text::plain_error};
use serde::{Deserialize, Serialize};

use crate::{OwnersAsk, ProcessAsk, Refused, Replay, ReplayClock, SocketAsk, SocketList, System};

/// The value of the field `schema` in a snapshot.
pub const SNAPSHOT_SCHEMA: &str = "netstat.snapshot";

/// The version that is written, and the only one that can be read.
pub const SNAPSHOT_VERSION: u32 = 1;

/// The maximum size in bytes of a file that is read: about 200,000 sockets with all their metrics.
pub const SNAPSHOT_SIZE_MAX: u64 = 256 << 20;

/// Everything that the collectors read at one moment, in the caller's own network namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Always [`SNAPSHOT_SCHEMA`].
    pub schema: String,
    /// Always [`SNAPSHOT_VERSION`].
    pub version: u32,
    /// The version of the program that wrote it.
    pub program_version: String,
    /// Whether [`Snapshot::redact`] was applied.
    pub redacted: bool,
    /// The wall-clock time.
    pub time: SystemTime,
    /// Nanoseconds since boot.
    pub since_boot: u64,
    /// The boot id; `None` if the system does not report it.
    pub boot_id: Option<String>,
    /// The name of the computer, in which invalid UTF-8 is replaced.
    pub computer_name: String,
    /// The operating system.
    #[serde(default)]
    pub kind: netstat_model::SystemKind,
    /// Whether the caller was the superuser.
    pub superuser: bool,
    /// See [`System::unmapped_user`].
    pub unmapped_user: Option<u32>,
    /// The names of all users that occur in the snapshot.
    pub users: BTreeMap<u32, Arc<str>>,
    /// The names of all groups that occur in the snapshot.
    pub groups: BTreeMap<u32, Arc<str>>,
    /// The computer's own addresses, each with the index of its interface.
    pub own_addresses: Vec<(IpAddr, u32)>,
    /// All sockets, with all details.
    pub sockets: Vec<Socket>,
    /// What is missing from the sockets.
    pub socket_limits: Vec<Limit>,
    /// See [`SocketList::failed`].
    pub sockets_failed: bool,
    /// See [`SocketList::fell_back`].
    pub sockets_fell_back: bool,
    /// The owners of the sockets.
    pub owners: Owners,
    /// What is missing from the owners.
    pub owner_limits: Vec<Limit>,
    /// The processes that hold a socket.
    pub processes: Vec<ProcessFacts>,
    /// The protocol counters.
    pub protocols: ProtocolStatistics,
    /// What is missing from the protocol counters.
    pub protocol_limits: Vec<Limit>,
    /// The interface counters.
    pub interfaces: InterfaceStatistics,
    /// What is missing from the interface counters.
    pub interface_limits: Vec<Limit>,
    /// The packet filters.
    pub packet_filter: PacketFilter,
    /// What Windows is configured to start, to forward and to admit; absent on other systems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows_host: Option<netstat_model::windows_host::WindowsHost>,
    /// The interfaces, the routes of all tables, and the policy rules.
    pub routes: RouteListing,
}

/// The part of a file that is parsed first.
#[derive(Deserialize)]
struct Header {
    schema: String,
    version: u32,
}

impl Snapshot {
    /// Reads everything from `system`.
    ///
    /// # Errors
    /// Returns an error if the owners of sockets cannot be searched at all.
    pub fn take(system: &mut dyn System, program_version: &str) -> Result<Snapshot, Refused> {
        let moment = system.now();
        let mut list = SocketList::default();
        let ask = SocketAsk {
            extra: Extras::ALL,
            ..SocketAsk::everything()
        };
        system.sockets(&ask, &mut list);
        let ask = OwnersAsk {
            start: true,
            image: true,
            names: true,
            components: true,
            ..OwnersAsk::default()
        };
        let found = system.owners(&list.sockets, &ask)?;
        let ask = ProcessAsk {
            environment: true,
            ..ProcessAsk::CARD
        };
        let pids: BTreeSet<u32> = found.owners.processes().iter().map(|process| process.pid).collect();
        // A process may have ended since then.
        let processes: Vec<ProcessFacts> = pids
            .into_iter()
            .filter_map(|pid| system.process(pid, &ask).ok())
            .collect();
        let (users, groups) = account_names(system, &list.sockets, &processes);
        let (protocols, protocol_limits) = system.protocol_statistics(BlockSet::ALL, true);
        let (interfaces, interface_limits) = system.interface_statistics();
        Ok(Snapshot {
            schema: SNAPSHOT_SCHEMA.to_owned(),
            version: SNAPSHOT_VERSION,
            program_version: program_version.to_owned(),
            redacted: false,
            time: moment.wall,
            since_boot: moment.since_boot,
            boot_id: system.boot_id().ok(),
            computer_name: String::from_utf8_lossy(&system.computer_name()).into_owned(),
            kind: system.kind(),
            superuser: system.is_superuser(),
            unmapped_user: system.unmapped_user(),
            users,
            groups,
            own_addresses: system.own_addresses().unwrap_or_default(),
            sockets: list.sockets,
            socket_limits: list.limits,
            sockets_failed: list.failed,
            sockets_fell_back: list.fell_back,
            owners: found.owners,
            owner_limits: found.limits,
            processes,
            protocols,
            protocol_limits,
            interfaces,
            interface_limits,
            packet_filter: system.packet_filter(),
            windows_host: system.windows_host(),
            routes: system.routes(TableSelection::All),
        })
    }

    /// Reads a snapshot. The file is untrusted.
    ///
    /// # Errors
    /// Returns a sentence without a period, whose subject is "it": the file is too large, not a snapshot, of another
    /// version, or damaged.
    pub fn read(from: impl Read) -> Result<Snapshot, String> {
        let mut bytes = Vec::new();
        let read = from.take(SNAPSHOT_SIZE_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|error| format!("it cannot be read: {}", plain_error(&error)))?;
        if bytes.len() as u64 > SNAPSHOT_SIZE_MAX {
            return Err(format!("it is larger than {} MiB", SNAPSHOT_SIZE_MAX >> 20));
        }
        let header: Header = match serde_json::from_slice(&bytes) {
            Ok(header) => header,
            Err(error) => return Err(format!("it is not a snapshot of netstat: {}", plain_error(&error))),
        };
        if header.schema != SNAPSHOT_SCHEMA {
            return Err("it is not a snapshot of netstat, but another document".to_owned());
        }
        if header.version != SNAPSHOT_VERSION {
            let version = header.version;
            return Err(format!(
                "it is a snapshot of version {version}, and this program reads version {SNAPSHOT_VERSION}"
            ));
        }
        serde_json::from_slice(&bytes).map_err(|error| format!("it is a damaged snapshot: {}", plain_error(&error)))
    }

    /// Writes the snapshot.
    ///
    /// # Errors
    /// Returns an error if writing to `to` fails, or a time in the snapshot is before 1970.
    pub fn write(&self, to: impl Write) -> std::io::Result<()> {
        let mut to = std::io::BufWriter::new(to);
        serde_json::to_writer(&mut to, &self)?;
        to.write_all(b"\n")?;
        to.flush()
    }

    /// Returns the system that answers from this snapshot.
    pub fn into_replay(self) -> Replay {
        Replay {
            clock: ReplayClock::at(Moment {
                wall: self.time,
                since_boot: self.since_boot,
            }),
            boot_id: self.boot_id,
            computer_name: self.computer_name.into_bytes(),
            kind: self.kind,
            superuser: self.superuser,
            unmapped_user: self.unmapped_user,
            users: self.users,
            groups: self.groups,
            own_addresses: self.own_addresses,
            sockets: vec![SocketList {
                sockets: self.sockets,
                namespaces: Vec::new(),
                limits: self.socket_limits,
                failed: self.sockets_failed,
                fell_back: self.sockets_fell_back,
            }],
            owners: self.owners,
            owner_limits: self.owner_limits,
            processes: self.processes,
            protocols: self.protocols,
            protocol_limits: self.protocol_limits,
            interfaces: self.interfaces,
            interface_limits: self.interface_limits,
            packet_filter: self.packet_filter,
            windows_host: self.windows_host,
            routes: self.routes,
            ..Replay::default()
        }
    }
}

type Names = BTreeMap<u32, Arc<str>>;

/// Returns the names of all users and groups of `sockets` and `processes`.
fn account_names(system: &mut dyn System, sockets: &[Socket], processes: &[ProcessFacts]) -> (Names, Names) {
    let mut users: BTreeSet<u32> = sockets.iter().filter_map(|socket| socket.user().known()).collect();
    let mut groups = BTreeSet::new();
    for process in processes {
        if let Some(ids) = process.users.known() {
            users.extend([ids.real, ids.effective, ids.saved, ids.file_system]);
        }
        users.extend(process.login_user.known().flatten());
        if let Some(ids) = process.groups.known() {
            groups.extend([ids.real, ids.effective, ids.saved, ids.file_system]);
        }
        groups.extend(process.other_groups.as_ref().known().into_iter().flatten());
    }
    let users = users
        .into_iter()
        .filter_map(|id| Some((id, system.user_name(id)?)))
        .collect();
    let groups = groups
        .into_iter()
        .filter_map(|id| Some((id, system.group_name(id)?)))
        .collect();
    (users, groups)
}

#[cfg(test)]
mod tests;
