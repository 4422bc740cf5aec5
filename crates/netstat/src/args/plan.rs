//! The meaning of a command line: plain data that the program runs from, with nothing left to decide.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use netstat_model::columns::{Column, Sockets};
use netstat_model::{Filter, Protocol};

use super::shape::{ColorChoice, Format, Shape, SortKey};
use super::values::{OwnerMethod, ProtocolName};

/// The default of `--dns-timeout`: how long one print waits for all its names.
pub const DEFAULT_DNS_TIMEOUT: Duration = Duration::from_secs(2);

/// What to print. The parts are printed in the order of the fields: `ethernet`, `statistics`, `routes`, `groups`,
/// `processes`, `list`. At least one of them is present. The default is the plan of a command line without arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// `-e`: interface statistics.
    pub ethernet: Option<EthernetPlan>,
    /// `-s`: statistics per protocol.
    pub statistics: Option<StatisticsPlan>,
    /// `-r`: the routing table.
    pub routes: Option<RoutesPlan>,
    /// `-g`: multicast groups.
    pub groups: bool,
    /// `-c`: processes, sorted by the number of ports they hold.
    pub processes: bool,
    /// The connection list. If other parts are printed, it is present only if a switch that concerns nothing else asks
    /// for it; `-n`, `-f` and an interval do not.
    pub list: Option<ListPlan>,
    /// The filter on the rows of the list, and on the sockets of `processes`. Names of hosts and users in it are not
    /// resolved.
    pub filter: Filter,
    /// The format of the output.
    pub format: Format,
    /// When colours are used.
    pub color: ColorChoice,
    /// `--follow` and `--until`: events of sockets instead of a list of them.
    pub follow: Option<FollowPlan>,
    /// `--rates`: the change per second instead of totals in `ethernet` and `statistics`. Requires an interval.
    pub rates: bool,
    /// `--scroll`: even on a terminal, each print appears below the previous one.
    pub scroll: bool,
    /// `-4` and `-6`.
    pub families: Families,
    /// `--mmdb`, `--as` and `--country`.
    pub locations: LocationPlan,
    /// The time from one print to the next: whole seconds, from 1 to [`INTERVAL_MAX`](super::INTERVAL_MAX). `None` to
    /// print once.
    pub interval: Option<Duration>,
    /// `--count`: the number of prints. `None` means one without an interval, and no limit with one. More than 1
    /// requires an interval.
    pub count: Option<NonZeroU64>,
    /// `--verbose`: report on stderr how owners were found.
    pub verbose: bool,
    /// The timeout for all name lookups of one print, from 1 ms to one hour. Ignored with [`Naming::Numeric`].
    pub dns_timeout: Duration,
    /// `--owners`: how owners are found.
    pub owners: OwnerMethod,
    /// `--replay`: the snapshot to answer from, instead of this computer.
    pub replay: Option<PathBuf>,
}

/// The address families that are shown. Sockets without IP addresses belong to neither and are always shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// IPv4.
    pub v4: bool,
    /// IPv6.
    pub v6: bool,
}

impl Default for Families {
    fn default() -> Self {
        Families { v4: true, v6: true }
    }
}

/// The meaning of `--follow` and `--until`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowPlan {
    /// Whether every event is shown, not only the one that matches `until`.
    pub every: bool,
    /// `--until`: the filter whose first match ends the program.
    pub until: Option<Filter>,
    /// `--timeout`: when to give up; `None` for never.
    pub timeout: Option<Duration>,
}

/// `--mmdb`, `--as` and `--country`: the location databases, and the filters that use them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocationPlan {
    /// `--mmdb`: the databases; if empty, those in the usual places.
    pub databases: Vec<PathBuf>,
    /// `--as`: the numbers of the autonomous systems to show; if empty, all.
    pub systems: Vec<u32>,
    /// `--country`: the codes of the countries to show, in capitals; if empty, all.
    pub countries: Vec<String>,
}

impl LocationPlan {
    /// Whether this plan filters rows.
    pub fn filters(&self) -> bool {
        !(self.systems.is_empty() && self.countries.is_empty())
    }
}

/// The meaning of `-e`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EthernetPlan {
    /// Whether each interface has a block of its own, instead of one block for their sum.
    pub per_interface: bool,
}

/// The meaning of `-s`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatisticsPlan {
    /// The blocks to print, in print order, without duplicates. Never empty.
    pub blocks: Vec<ProtocolName>,
    /// Whether every further counter that the system keeps is printed after the classic blocks.
    pub verbose: bool,
    /// Whether further counters that are 0 are printed, too. Requires `verbose`.
    pub zeros: bool,
}

/// The meaning of `-r`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutesPlan {
    /// The tables to show.
    pub table: RouteTable,
    /// The packet whose path is shown instead of tables.
    pub to: Option<PacketPlan>,
}

/// `--to`, `--from`, `--mark` and `--uid`: a packet whose path is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketPlan {
    /// Its destination address.
    pub to: IpAddr,
    /// Its source address; `None` if the kernel is to choose.
    pub from: Option<IpAddr>,
    /// Its mark (`SO_MARK`); 0 for none.
    pub mark: u32,
    /// The id of the user who sends it; `None` for the caller.
    pub uid: Option<u32>,
}

/// The routing tables that are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RouteTable {
    /// The tables in which every packet is looked up unless an administrator has added rules; this is what `-r` alone
    /// shows.
    #[default]
    Default,
    /// Every table: `--table all`.
    All,
    /// One table by its name or number, as typed. It may not exist.
    Named(String),
}

/// The connection list. At least one kind of socket is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPlan {
    /// TCP sockets over IPv4.
    pub tcp4: bool,
    /// TCP sockets over IPv6.
    pub tcp6: bool,
    /// UDP sockets over IPv4.
    pub udp4: bool,
    /// UDP sockets over IPv6.
    pub udp6: bool,
    /// Raw sockets over IPv4, including those of `ping`.
    pub raw4: bool,
    /// Raw sockets over IPv6, including those of `ping`.
    pub raw6: bool,
    /// MPTCP sockets of both families.
    pub mptcp: bool,
    /// The families to show, of the sockets that the other fields select.
    pub families: Families,
    /// Packet sockets.
    pub packet: bool,
    /// UNIX sockets.
    pub unix: bool,
    /// Further kinds of sockets, from [`netstat_os::SocketAsk::FURTHER`].
    pub further: Vec<Protocol>,
    /// Whether `further` is shown only if the kernel has such sockets, because the command line does not name them.
    pub further_where_present: bool,
    /// Whether the sockets of all network namespaces that can be entered are shown.
    pub all_namespaces: bool,
    /// The states to show.
    pub states: Which,
    /// How foreign addresses are written.
    pub names: Naming,
    /// `-o`: a column with the process id of the owner.
    pub pid: bool,
    /// `-b`: lines below each row with the components and the executable of the owner.
    pub program_lines: bool,
    /// `-d`: a column with the DSCP value.
    pub dscp: bool,
    /// `-i`: a column with the time that a connection has been in its state.
    pub time_in_state: bool,
    /// The `p` of `-tulpn`, or `--programs`: a last column with PID and program name.
    pub pid_program_column: bool,
    /// Which columns are shown.
    pub shape: Shape,
    /// The columns to sort by; if empty, the classic order.
    pub sort: Vec<SortKey<Sockets>>,
    /// The maximum number of rows; `None` for all.
    pub top: Option<usize>,
    /// `--group`: the columns by which rows are grouped and counted; if empty, the rows themselves are shown.
    pub group: Vec<&'static Column<Sockets>>,
    /// Whether only changes since the last print are shown. Requires an interval.
    pub changes: bool,
    /// `--tree`: whether the sockets are shown below their processes.
    pub tree: bool,
    /// `--wide --rates`: columns with bytes per second. Requires an interval.
    pub rates: bool,
}

/// Selects rows of the chosen protocols by state if [`Plan::filter`] names no states. If it does, exactly those states
/// are shown, except that `ListeningOnly` still excludes everything else. Only `ListeningOnly` affects UDP, which has
/// no states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Which {
    /// TCP sockets that are neither LISTENING nor BOUND.
    #[default]
    Connected,
    /// All sockets except BOUND ones: `-a`.
    All,
    /// All sockets, including BOUND ones: `-q`.
    AllAndBound,
    /// `-l`: TCP sockets that are LISTENING, and, if UDP is shown, UDP sockets without a peer, which receive datagrams
    /// from anyone.
    ListeningOnly,
}

/// How foreign addresses are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Naming {
    /// Numeric addresses and ports, without lookups.
    Numeric,
    /// Names, cut off after the first label.
    #[default]
    FirstLabel,
    /// Fully qualified names.
    Full,
}

impl Default for ListPlan {
    /// The list of a command line without arguments: connected TCP sockets, with names.
    fn default() -> ListPlan {
        ListPlan {
            tcp4: true,
            tcp6: true,
            udp4: false,
            udp6: false,
            states: Which::default(),
            names: Naming::default(),
            pid: false,
            program_lines: false,
            dscp: false,
            time_in_state: false,
            pid_program_column: false,
            raw4: false,
            raw6: false,
            mptcp: false,
            families: Families::default(),
            packet: false,
            unix: false,
            further: Vec::new(),
            further_where_present: false,
            all_namespaces: false,
            shape: Shape::default(),
            sort: Vec::new(),
            top: None,
            group: Vec::new(),
            changes: false,
            tree: false,
            rates: false,
        }
    }
}

impl Default for StatisticsPlan {
    /// All eight blocks.
    fn default() -> StatisticsPlan {
        StatisticsPlan {
            blocks: ProtocolName::BLOCKS.to_vec(),
            verbose: false,
            zeros: false,
        }
    }
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            ethernet: None,
            statistics: None,
            routes: None,
            groups: false,
            processes: false,
            list: Some(ListPlan::default()),
            filter: Filter::default(),
            format: Format::default(),
            color: ColorChoice::default(),
            follow: None,
            rates: false,
            scroll: false,
            families: Families::default(),
            locations: LocationPlan::default(),
            interval: None,
            count: None,
            verbose: false,
            dns_timeout: DEFAULT_DNS_TIMEOUT,
            owners: OwnerMethod::Auto,
            replay: None,
        }
    }
}
