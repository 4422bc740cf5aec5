//! What is on which tab: the panes and their columns, as data. Drawing, sorting, choosing and saving all read these lists.

/// A tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tab {
    /// A little of everything.
    Overview,
    /// Processors.
    Cpu,
    /// Memory.
    Memory,
    /// Disks.
    Disk,
    /// Network.
    Network,
}

impl Tab {
    /// Every tab, in order: keys 1 to 5.
    pub const ALL: [Tab; 5] = [Tab::Overview, Tab::Cpu, Tab::Memory, Tab::Disk, Tab::Network];

    /// The word on the tab.
    pub const fn title(self) -> &'static str {
        match self {
            Tab::Overview => "Overview",
            Tab::Cpu => "CPU",
            Tab::Memory => "Memory",
            Tab::Disk => "Disk",
            Tab::Network => "Network",
        }
    }

    /// The panes on it, from top to bottom. In the first, marking does not hide the other rows.
    pub const fn panes(self) -> &'static [Pane] {
        match self {
            Tab::Overview => &[
                Pane::OverviewCpu,
                Pane::OverviewDisk,
                Pane::OverviewNetwork,
                Pane::OverviewMemory,
            ],
            Tab::Cpu => &[Pane::CpuProcesses, Pane::CpuUnits],
            Tab::Memory => &[Pane::MemoryProcesses],
            Tab::Disk => &[Pane::DiskProcesses, Pane::DiskDevices],
            Tab::Network => &[
                Pane::NetworkProcesses,
                Pane::NetworkActivity,
                Pane::Connections,
                Pane::Listening,
            ],
        }
    }
}

/// A table on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pane {
    /// Overview: processes by processor time.
    OverviewCpu,
    /// Overview: processes by disk.
    OverviewDisk,
    /// Overview: connections by traffic.
    OverviewNetwork,
    /// Overview: processes by memory.
    OverviewMemory,
    /// CPU: processes.
    CpuProcesses,
    /// CPU: units and containers.
    CpuUnits,
    /// Memory: processes.
    MemoryProcesses,
    /// Disk: processes with disk activity.
    DiskProcesses,
    /// Disk: devices.
    DiskDevices,
    /// Network: processes with network activity.
    NetworkProcesses,
    /// Network: connections with traffic.
    NetworkActivity,
    /// Network: every TCP connection.
    Connections,
    /// Network: what listens.
    Listening,
}

/// What the rows of a pane are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Every process.
    Processes,
    /// Processes with recent disk traffic.
    DiskUsers,
    /// Processes with sockets or recent network traffic.
    NetworkUsers,
    /// Sockets with recent traffic.
    ActiveSockets,
    /// TCP that does not listen.
    Connections,
    /// What listens.
    Listeners,
    /// Units.
    Units,
    /// Disks.
    Disks,
}

impl Source {
    /// Whether the rows are sockets.
    pub const fn is_sockets(self) -> bool {
        matches!(self, Source::ActiveSockets | Source::Connections | Source::Listeners)
    }
}

/// How processes hang together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tree {
    /// Not at all.
    #[default]
    Flat,
    /// Each below the one that started it.
    Parent,
    /// Each below its unit.
    Unit,
}

impl Tree {
    /// The next one.
    pub const fn next(self) -> Tree {
        match self {
            Tree::Flat => Tree::Parent,
            Tree::Parent => Tree::Unit,
            Tree::Unit => Tree::Flat,
        }
    }
}

/// What sockets are grouped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// Not grouped.
    #[default]
    None,
    /// The program that holds them.
    Program,
    /// The systemd unit of their process.
    Unit,
    /// The container of their process.
    Container,
    /// The remote address.
    Peer,
    /// The remote network: /24 of IPv4, /64 of IPv6.
    Network,
    /// The country in which the remote address is registered.
    Country,
    /// The autonomous system of the remote address.
    System,
}

impl Grouping {
    /// Every grouping with its name in the configuration.
    pub const ALL: [(&'static str, Grouping); 8] = [
        ("none", Grouping::None),
        ("program", Grouping::Program),
        ("unit", Grouping::Unit),
        ("container", Grouping::Container),
        ("peer", Grouping::Peer),
        ("network", Grouping::Network),
        ("country", Grouping::Country),
        ("as", Grouping::System),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, grouping)| *grouping == self);
        found.map_or("none", |(name, _)| name)
    }

    /// Whether databases of countries and autonomous systems are needed for it.
    pub const fn needs_databases(self) -> bool {
        matches!(self, Grouping::Country | Grouping::System)
    }

    /// The next one.
    pub fn next(self) -> Grouping {
        let at = Self::ALL
            .iter()
            .position(|(_, grouping)| *grouping == self)
            .unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()].1
    }
}

/// How connections shorter than a refresh are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShortConnections {
    /// One row for each program and peer.
    #[default]
    Folded,
    /// One row each, for five seconds.
    Listed,
    /// Not at all; their bytes count all the same.
    Hidden,
}

impl ShortConnections {
    /// Every way with its name in the configuration.
    pub const ALL: [(&'static str, ShortConnections); 3] = [
        ("fold", ShortConnections::Folded),
        ("list", ShortConnections::Listed),
        ("hide", ShortConnections::Hidden),
    ];

    /// The next one.
    pub const fn next(self) -> ShortConnections {
        match self {
            ShortConnections::Folded => ShortConnections::Listed,
            ShortConnections::Listed => ShortConnections::Hidden,
            ShortConnections::Hidden => ShortConnections::Folded,
        }
    }
}

/// By which column a pane is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The column.
    pub column: Column,
    /// Whether the largest comes first.
    pub falling: bool,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Column {
    /// The name of the program.
    Image,
    /// Process id.
    Pid,
    /// User.
    User,
    /// Unit or container.
    Unit,
    /// What a process is doing.
    Status,
    /// Threads.
    Threads,
    /// Processor time now.
    Cpu,
    /// Processor time over the last minute.
    CpuAverage,
    /// The command line.
    Command,
    /// Bytes read per second.
    Read,
    /// Bytes written per second.
    Write,
    /// Both.
    DiskTotal,
    /// Bytes sent per second.
    Send,
    /// Bytes received per second.
    Receive,
    /// Both.
    NetworkTotal,
    /// Page faults with a disk per second.
    Faults,
    /// Page faults without a disk per second.
    MinorFaults,
    /// Memory in use.
    Resident,
    /// Memory that may be shared.
    Shareable,
    /// Memory of its own.
    Private,
    /// Memory in swap space.
    Swap,
    /// Number of sockets.
    Sockets,
    /// Foreign address with its name.
    Address,
    /// Country of the foreign address.
    Country,
    /// Autonomous system of the foreign address.
    System,
    /// Foreign port with its name.
    RemotePort,
    /// Own address.
    LocalAddress,
    /// Own port.
    LocalPort,
    /// State of a connection.
    State,
    /// Segments sent again.
    Loss,
    /// Bytes sent since it began.
    Sent,
    /// Bytes received since it began.
    Received,
    /// How long a closed connection lived.
    Lived,
    /// Round-trip time.
    Latency,
    /// Protocol.
    Protocol,
    /// From where a listener can be reached.
    Reach,
    /// Bytes received and not read.
    ReceiveQueue,
    /// Bytes sent and not acknowledged.
    SendQueue,
    /// Name of a unit.
    UnitName,
    /// Number of processes.
    Processes,
    /// Name of a disk.
    Disk,
    /// Share of the time in which a disk was active.
    Active,
    /// Requests on their way.
    Queue,
    /// The last minute of a process as a small graph.
    Trend,
    /// Average time of a request.
    Response,
    /// Room left in the file systems of a disk.
    Free,
    /// Size of the file systems of a disk.
    Size,
}

/// How a column is shown.
#[derive(Clone, Copy, Debug)]
pub struct ColumnSpec {
    /// Its name in the configuration and in saved files.
    pub key: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// The least width.
    pub width: u16,
    /// How much of the room that is left it gets, beside others; 0: none.
    pub grow: u16,
    /// Whether figures are at the right.
    pub right: bool,
    /// One line of help.
    pub meaning: &'static str,
}

const fn text(key: &'static str, title: &'static str, width: u16, grow: u16, meaning: &'static str) -> ColumnSpec {
    ColumnSpec {
        key,
        title,
        width,
        grow,
        right: false,
        meaning,
    }
}

const fn figure(key: &'static str, title: &'static str, width: u16, meaning: &'static str) -> ColumnSpec {
    ColumnSpec {
        key,
        title,
        width,
        grow: 0,
        right: true,
        meaning,
    }
}

impl Column {
    /// Every column.
    pub const ALL: [Column; 47] = [
        Column::Image,
        Column::Pid,
        Column::User,
        Column::Unit,
        Column::Status,
        Column::Threads,
        Column::Cpu,
        Column::CpuAverage,
        Column::Command,
        Column::Read,
        Column::Write,
        Column::DiskTotal,
        Column::Send,
        Column::Receive,
        Column::NetworkTotal,
        Column::Faults,
        Column::MinorFaults,
        Column::Resident,
        Column::Shareable,
        Column::Private,
        Column::Swap,
        Column::Sockets,
        Column::Address,
        Column::Country,
        Column::System,
        Column::RemotePort,
        Column::LocalAddress,
        Column::LocalPort,
        Column::State,
        Column::Loss,
        Column::Sent,
        Column::Received,
        Column::Lived,
        Column::Latency,
        Column::Protocol,
        Column::Reach,
        Column::ReceiveQueue,
        Column::SendQueue,
        Column::UnitName,
        Column::Processes,
        Column::Disk,
        Column::Active,
        Column::Queue,
        Column::Trend,
        Column::Response,
        Column::Free,
        Column::Size,
    ];

    /// How it is shown.
    #[rustfmt::skip]
    pub const fn spec(self) -> ColumnSpec {
        match self {
            Column::Image => text("image", "Image", 10, 3, "name of the program"),
            Column::Pid => figure("pid", "PID", 7, "process id"),
            Column::User => text("user", "User", 9, 1, "user whose rights the process has"),
            Column::Unit => text("unit", "Unit", 14, 2, "systemd unit or container it runs in"),
            Column::Status => text("status", "Status", 8, 0, "what it is doing; running when any thread is"),
            Column::Threads => figure("threads", "Threads", 7, "number of threads"),
            Column::Cpu => figure("cpu", "CPU %", 6, "processor time now; 100 is one processor"),
            Column::CpuAverage => figure("cpu_average", "Avg %", 6, "processor time over the last minute"),
            Column::Command => text("command", "Command", 16, 6, "command line"),
            Column::Read => figure("read", "Read B/s", 9, "bytes per second read from storage"),
            Column::Write => figure("write", "Write B/s", 9, "bytes per second written to storage"),
            Column::DiskTotal => figure("disk_total", "Total B/s", 9, "bytes per second read and written"),
            Column::Send => figure("send", "Send B/s", 9, "bytes per second sent; of TCP, those acknowledged"),
            Column::Receive => figure("receive", "Recv B/s", 9, "bytes per second received"),
            Column::NetworkTotal => figure("network_total", "Total B/s", 9, "bytes per second sent and received"),
            Column::Faults => figure("faults", "Faults/s", 8, "page faults per second that needed a disk"),
            Column::MinorFaults => figure("minor_faults", "Minor/s", 8, "page faults per second that needed no disk"),
            Column::Resident => figure("resident", "Resident", 8, "memory in use"),
            Column::Shareable => figure("shareable", "Shareable", 9, "of it, memory of files and shared memory"),
            Column::Private => figure("private", "Private", 8, "of it, memory of its own"),
            Column::Swap => figure("swap", "Swap", 7, "memory moved to swap space"),
            Column::Sockets => figure("sockets", "Sockets", 7, "sockets it has held longest of all that hold them"),
            Column::Address => text("address", "Remote address", 15, 4, "address of the other side, or its name"),
            Column::Country => text("country", "Country", 7, 0, "country in which the remote address is registered"),
            Column::System => text("as", "AS", 12, 2, "autonomous system of the remote address"),
            Column::RemotePort => text("remote_port", "R.port", 6, 1, "port of the other side, or its service"),
            Column::LocalAddress => text("local_address", "Local address", 13, 2, "own address"),
            Column::LocalPort => text("local_port", "L.port", 6, 0, "own port"),
            Column::State => text("state", "State", 11, 0, "state of the connection"),
            Column::Loss => figure("loss", "Loss %", 6, "segments sent again, of those with data in the last minute"),
            Column::Sent => figure("sent", "Sent", 7, "bytes sent since it began; of UDP, since the monitor began"),
            Column::Received => figure("received", "Received", 8, "bytes received, in the same way"),
            Column::Lived => figure("lived", "Lived", 7, "how long an ended connection lived"),
            Column::Latency => figure("latency", "RTT ms", 6, "smoothed round-trip time in milliseconds"),
            Column::Protocol => text("protocol", "Proto", 5, 0, "protocol"),
            Column::Reach => text("reach", "Reachable from", 16, 2, "from where its address can be reached, firewalls aside"),
            Column::ReceiveQueue => figure("receive_queue", "Recv-Q", 7, "bytes not yet read; of a listener: connections that wait"),
            Column::SendQueue => figure("send_queue", "Send-Q", 7, "bytes not acknowledged; of a listener: how many may wait"),
            Column::UnitName => text("unit_name", "Unit", 20, 4, "systemd unit or container"),
            Column::Processes => figure("processes", "Processes", 9, "number of its processes"),
            Column::Disk => text("disk", "Disk", 10, 2, "block device"),
            Column::Active => figure("active", "Active %", 8, "share of the time with a request on its way"),
            Column::Trend => text("trend", "Last 60 s", 10, 0, "small graph of the last minute, scaled to its maximum"),
            Column::Response => figure("response", "Resp ms", 8, "average time of a request in milliseconds"),
            Column::Free => figure("free", "Free", 7, "room left in its file systems for ordinary users"),
            Column::Size => figure("size", "Size", 7, "size of its file systems"),
            Column::Queue => figure("queue", "Queue", 7, "average number of requests on their way"),
        }
    }

    /// The column called `key` in the configuration.
    pub fn from_key(key: &str) -> Option<Column> {
        Column::ALL.into_iter().find(|column| column.spec().key == key)
    }

    /// Whether the largest value comes first when the column is chosen for sorting.
    pub const fn falls(self) -> bool {
        self.spec().right && !matches!(self, Column::Pid)
    }
}

/// How a pane is shown.
#[derive(Clone, Copy, Debug)]
pub struct PaneSpec {
    /// Its name in the configuration.
    pub key: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What its rows are.
    pub source: Source,
    /// The columns it may have, in order.
    pub columns: &'static [Column],
    /// How many of them, from the first on, it has unless configured otherwise.
    pub shown: usize,
    /// The column it is sorted by unless configured otherwise, largest first where that is usual for it.
    pub sort: Column,
    /// Its share of the height, beside others.
    pub height: u16,
}

impl Pane {
    /// Every pane.
    pub const ALL: [Pane; 13] = [
        Pane::OverviewCpu,
        Pane::OverviewDisk,
        Pane::OverviewNetwork,
        Pane::OverviewMemory,
        Pane::CpuProcesses,
        Pane::CpuUnits,
        Pane::MemoryProcesses,
        Pane::DiskProcesses,
        Pane::DiskDevices,
        Pane::NetworkProcesses,
        Pane::NetworkActivity,
        Pane::Connections,
        Pane::Listening,
    ];

    /// How it is shown.
    #[rustfmt::skip]
    pub const fn spec(self) -> PaneSpec {
        use Column::*;
        const PROCESS: &[Column] = &[
            Image, Pid, User, Status, Threads, Cpu, CpuAverage, Trend, Command, Unit, Read, Write, Send, Receive, Resident, Private, Faults,
            MinorFaults, Sockets,
        ];
        const MEMORY: &[Column] = &[
            Image, Pid, Faults, Resident, Shareable, Private, Swap, MinorFaults, User, Unit, Command,
        ];
        const DISK: &[Column] = &[Image, Pid, Read, Write, DiskTotal, Trend, User, Unit, Command];
        const ACTIVITY: &[Column] = &[Image, Pid, Address, RemotePort, Send, Receive, NetworkTotal, Country, System, State, Latency, LocalPort, LocalAddress];
        let (key, title, source, columns, shown, sort, height): (_, _, _, &'static [Column], _, _, _) = match self {
            Pane::OverviewCpu => ("overview.cpu", "CPU", Source::Processes, PROCESS, 7, Cpu, 3),
            Pane::OverviewDisk => ("overview.disk", "Disk", Source::DiskUsers, DISK, 5, DiskTotal, 2),
            Pane::OverviewNetwork => ("overview.network", "Network", Source::ActiveSockets, ACTIVITY, 7, NetworkTotal, 2),
            Pane::OverviewMemory => ("overview.memory", "Memory", Source::Processes, MEMORY, 6, Resident, 3),
            Pane::CpuProcesses => ("cpu.processes", "Processes", Source::Processes, PROCESS, 7, Cpu, 3),
            Pane::CpuUnits => ("cpu.units", "Units", Source::Units, &[UnitName, Processes, Cpu, CpuAverage, Private], 4, Cpu, 1),
            Pane::MemoryProcesses => ("memory.processes", "Processes", Source::Processes, MEMORY, 7, Resident, 1),
            Pane::DiskProcesses => ("disk.processes", "Processes with Disk Activity", Source::DiskUsers, DISK, 5, DiskTotal, 3),
            Pane::DiskDevices => ("disk.devices", "Storage", Source::Disks, &[Disk, Active, Queue, Response, Read, Write, Free, Size], 8, Active, 1),
            Pane::NetworkProcesses => ("network.processes", "Processes with Network Activity", Source::NetworkUsers,
                &[Image, Pid, Send, Receive, NetworkTotal, Trend, Sockets, User, Unit, Command], 5, NetworkTotal, 2),
            Pane::NetworkActivity => ("network.activity", "Network Activity", Source::ActiveSockets, ACTIVITY, 7, NetworkTotal, 2),
            Pane::Connections => ("network.connections", "TCP Connections", Source::Connections,
                &[Image, Pid, LocalPort, Address, RemotePort, State, NetworkTotal, Send, Receive, Latency, Loss, Country, System, LocalAddress,
                  Sent, Received, ReceiveQueue, SendQueue, User, Lived], 9, NetworkTotal, 3),
            Pane::Listening => ("network.listening", "Listening Ports", Source::Listeners,
                &[Image, Pid, LocalAddress, LocalPort, Protocol, Reach, ReceiveQueue, SendQueue, User], 6, LocalPort, 2),
        };
        PaneSpec { key, title, source, columns, shown, sort, height }
    }

    /// The pane called `key` in the configuration.
    pub fn from_key(key: &str) -> Option<Pane> {
        Pane::ALL.into_iter().find(|pane| pane.spec().key == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once_and_finds_its_thing() {
        for column in Column::ALL {
            assert_eq!(Column::from_key(column.spec().key), Some(column));
        }
        for pane in Pane::ALL {
            let spec = pane.spec();
            assert_eq!(Pane::from_key(spec.key), Some(pane));
            assert!(spec.shown <= spec.columns.len());
            let tabs = Tab::ALL.iter().filter(|tab| tab.panes().contains(&pane)).count();
            assert_eq!(tabs, 1, "{}", spec.key);
        }
    }

    #[test]
    fn a_heading_fits_into_its_column() {
        for column in Column::ALL {
            let spec = column.spec();
            assert!(spec.title.len() <= usize::from(spec.width), "{}", spec.key);
            // And what it means into the window of columns.
            assert!(spec.meaning.len() <= 59, "{}: {}", spec.key, spec.meaning.len());
        }
    }
}
