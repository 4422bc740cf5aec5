//! What a command line means: pure data that the program runs by, with nothing left to decide.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use netstat_model::columns::{Column, Sockets};
use netstat_model::{Filter, Protocol};

use super::shape::{ColorChoice, Format, Shape, SortKey};
use super::values::{OwnerMethod, ProtocolName};

/// How long a whole listing waits for names where `--dns-timeout` says nothing else.
pub const DEFAULT_DNS_TIMEOUT: Duration = Duration::from_secs(2);

/// What to print. The parts are printed in the order of the fields: `ethernet`, `statistics`, `routes`, `groups`, `processes`, `list`.
/// At least one of them is asked for. The default is the meaning of a line without words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// `-e`: interface statistics.
    pub ethernet: Option<EthernetPlan>,
    /// `-s`: statistics by protocol.
    pub statistics: Option<StatisticsPlan>,
    /// `-r`: routes.
    pub routes: Option<RoutesPlan>,
    /// `-g`: multicast groups.
    pub groups: bool,
    /// `-c`: processes, sorted by the number of ports they hold.
    pub processes: bool,
    /// The connection list. Beside other parts it is there only if a switch that concerns nothing else asks for it: `-n`, `-f`
    /// and an interval do not.
    pub list: Option<ListPlan>,
    /// Which rows of the list, and which sockets of `processes`. Names of hosts and users in it are not resolved.
    pub filter: Filter,
    /// In which form it is printed.
    pub format: Format,
    /// When colours are used.
    pub color: ColorChoice,
    /// `--follow` and `--until`: what happens to sockets instead of a list of them.
    pub follow: Option<FollowPlan>,
    /// `--rates`: the change per second instead of totals in `ethernet` and `statistics`. Only with an interval.
    pub rates: bool,
    /// `--scroll`: prints follow each other on a terminal, too.
    pub scroll: bool,
    /// `-4` and `-6`.
    pub families: Families,
    /// `--mmdb`, `--as` and `--country`.
    pub locations: LocationPlan,
    /// Time from one print to the next: whole seconds, from 1 to [`INTERVAL_MAX`](super::INTERVAL_MAX). `None`: print once.
    pub interval: Option<Duration>,
    /// `--count`: prints until the end. `None`: once without an interval, for ever with one. More than 1 only with an interval.
    pub count: Option<NonZeroU64>,
    /// `--verbose`: say on stderr how owners were found.
    pub verbose: bool,
    /// The deadline of all name look-ups of one print, from 1 ms to one hour. Without meaning where [`Naming::Numeric`] rules.
    pub dns_timeout: Duration,
    /// `--owners`.
    pub owners: OwnerMethod,
    /// `--replay`: the snapshot that answers instead of this computer.
    pub replay: Option<PathBuf>,
}

/// Which address families are shown. Sockets without IP addresses belong to neither and are always shown.
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

/// `--follow` and `--until`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowPlan {
    /// Whether every event is shown, not only the one that ends it.
    pub every: bool,
    /// `--until`: the first match ends it.
    pub until: Option<Filter>,
    /// `--timeout`.
    pub timeout: Option<Duration>,
}

/// Where foreign addresses must be registered, and what says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocationPlan {
    /// `--mmdb`: databases; empty: those at the usual places.
    pub databases: Vec<PathBuf>,
    /// `--as`: only these autonomous systems; empty: all.
    pub systems: Vec<u32>,
    /// `--country`: only these countries, codes in capitals; empty: all.
    pub countries: Vec<String>,
}

impl LocationPlan {
    /// Whether rows are chosen by it.
    pub fn filters(&self) -> bool {
        !(self.systems.is_empty() && self.countries.is_empty())
    }
}

/// `-e`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EthernetPlan {
    /// One block for each interface, not one for their sum.
    pub per_interface: bool,
}

/// `-s`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatisticsPlan {
    /// The blocks to print, in print order, each once, never none.
    pub blocks: Vec<ProtocolName>,
    /// Every further counter that the system keeps, after the classic blocks.
    pub verbose: bool,
    /// Further counters that are 0 as well. Only with `verbose`.
    pub zeros: bool,
}

/// `-r`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutesPlan {
    /// Which of the system's tables.
    pub table: RouteTable,
    /// The packet whose way is shown instead of tables.
    pub to: Option<PacketPlan>,
}

/// `--to` and what goes with it: a packet whose way is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketPlan {
    /// Where it goes.
    pub to: IpAddr,
    /// Its source address, if one was given.
    pub from: Option<IpAddr>,
    /// Its mark; 0 for none.
    pub mark: u32,
    /// The user who sends it; `None` for the caller.
    pub uid: Option<u32>,
}

/// Which of the system's policy routing tables are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RouteTable {
    /// Those that every packet is looked up in where no rule of the administrator says otherwise: what `-r` alone shows.
    #[default]
    Default,
    /// Every table: `--table all`.
    All,
    /// One table by its name or number, as it was typed. Not known to exist.
    Named(String),
}

/// The connection list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPlan {
    /// Rows of TCP over IPv4. At least one kind is asked for.
    pub tcp4: bool,
    /// Rows of TCP over IPv6.
    pub tcp6: bool,
    /// Rows of UDP over IPv4.
    pub udp4: bool,
    /// Rows of UDP over IPv6.
    pub udp6: bool,
    /// Rows of RAW over IPv4, `ping` included.
    pub raw4: bool,
    /// Rows of RAW over IPv6.
    pub raw6: bool,
    /// Rows of MPTCP over both families.
    pub mptcp: bool,
    /// Which families of sockets with IP addresses: within what the other fields choose.
    pub families: Families,
    /// Rows of packet sockets.
    pub packet: bool,
    /// Rows of sockets within this computer.
    pub unix: bool,
    /// Rows of further kinds, of [`netstat_os::SocketAsk::FURTHER`].
    pub further: Vec<Protocol>,
    /// Whether those are shown only where the kernel has any: nobody named them.
    pub further_where_present: bool,
    /// Rows of every network namespace that can be entered.
    pub all_namespaces: bool,
    /// Which of these rows.
    pub states: Which,
    /// How the foreign side is written.
    pub names: Naming,
    /// `-o`: a column with the owning process id.
    pub pid: bool,
    /// `-b`: lines under each row with the owner's components and executable.
    pub program_lines: bool,
    /// `-d`: a column with the DSCP value.
    pub dscp: bool,
    /// `-i`: a column with the time a connection has spent in its state.
    pub time_in_state: bool,
    /// The `p` of `-tulpn`, or `--programs`: a last column with PID and program.
    pub pid_program_column: bool,
    /// Which columns.
    pub shape: Shape,
    /// In which order; the classic one where this is empty.
    pub sort: Vec<SortKey<Sockets>>,
    /// How many rows at most.
    pub top: Option<usize>,
    /// Counts of rows by these columns instead of rows. Empty: rows.
    pub group: Vec<&'static Column<Sockets>>,
    /// Only what has changed since the last print. Only with an interval.
    pub changes: bool,
    /// `--tree`: under the processes.
    pub tree: bool,
    /// `--wide --rates`: columns of bytes per second. Only with an interval.
    pub rates: bool,
}

/// Which rows of the chosen protocols, by state, where [`Plan::filter`] names no states; with states named they are shown
/// exactly, though `ListeningOnly` still leaves out all others. A choice among TCP rows, but for `ListeningOnly`: UDP has no states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Which {
    /// TCP that is neither LISTENING nor BOUND.
    #[default]
    Connected,
    /// All but BOUND: `-a`.
    All,
    /// All, BOUND included: `-q`.
    AllAndBound,
    /// `-l`: TCP in LISTENING, and of UDP, where it is asked for, the sockets without a peer, which take datagrams from anyone.
    ListeningOnly,
}

/// How the foreign side of a row is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Naming {
    /// Addresses and ports in numbers; nothing is looked up.
    Numeric,
    /// Names, cut to their first label.
    #[default]
    FirstLabel,
    /// Fully qualified names.
    Full,
}

impl Default for ListPlan {
    /// What a line without words lists: connected TCP, with names.
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
