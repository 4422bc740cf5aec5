//! The panes of each tab and their columns, as data that drawing, sorting, configuration and saving all use.

/// A tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tab {
    /// A summary of the other tabs.
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
    /// All tabs in the order of keys 1 to 5.
    pub const ALL: [Tab; 5] = [Tab::Overview, Tab::Cpu, Tab::Memory, Tab::Disk, Tab::Network];

    /// Returns the title of the tab.
    pub const fn title(self) -> &'static str {
        match self {
            Tab::Overview => "Overview",
            Tab::Cpu => "CPU",
            Tab::Memory => "Memory",
            Tab::Disk => "Disk",
            Tab::Network => "Network",
        }
    }

    /// Returns the panes of the tab, from top to bottom. In the first one, marking does not hide the other rows.
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
    /// Network: listeners.
    Listening,
}

/// The kind of the rows of a pane.
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
    /// TCP sockets other than listeners.
    Connections,
    /// Listeners.
    Listeners,
    /// Units and containers.
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

/// The hierarchy of processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tree {
    /// No hierarchy.
    #[default]
    Flat,
    /// Each process below its parent.
    Parent,
    /// Each process below its unit.
    Unit,
}

impl Tree {
    /// Returns the next hierarchy.
    pub const fn next(self) -> Tree {
        match self {
            Tree::Flat => Tree::Parent,
            Tree::Parent => Tree::Unit,
            Tree::Unit => Tree::Flat,
        }
    }
}

/// The grouping of sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// No grouping.
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
    /// The remote network: /24 for IPv4, /64 for IPv6.
    Network,
    /// The country in which the remote address is registered.
    Country,
    /// The autonomous system of the remote address.
    System,
}

impl Grouping {
    /// All groupings with their names in the configuration.
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

    /// Returns the name of the grouping.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, grouping)| *grouping == self);
        found.map_or("none", |(name, _)| name)
    }

    /// Whether the grouping needs databases of countries and autonomous systems.
    pub const fn needs_databases(self) -> bool {
        matches!(self, Grouping::Country | Grouping::System)
    }

    /// Returns the next grouping.
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
    /// One row for each program and remote address.
    #[default]
    Folded,
    /// One row each, for five seconds.
    Listed,
    /// Not at all, although their bytes are counted.
    Hidden,
}

impl ShortConnections {
    /// All variants with their names in the configuration.
    pub const ALL: [(&'static str, ShortConnections); 3] = [
        ("fold", ShortConnections::Folded),
        ("list", ShortConnections::Listed),
        ("hide", ShortConnections::Hidden),
    ];

    /// Returns the next variant.
    pub const fn next(self) -> ShortConnections {
        match self {
            ShortConnections::Folded => ShortConnections::Listed,
            ShortConnections::Listed => ShortConnections::Hidden,
            ShortConnections::Hidden => ShortConnections::Folded,
        }
    }
}

/// The order of a pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The column to sort by.
    pub column: Column,
    /// Whether the order is descending.
    pub falling: bool,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Column {
    /// The name of the program.
    Image,
    /// The process id.
    Pid,
    /// The user whose privileges a process has.
    User,
    /// The unit or container.
    Unit,
    /// The state of a process.
    Status,
    /// The number of threads.
    Threads,
    /// The current processor usage.
    Cpu,
    /// The processor usage over the last minute.
    CpuAverage,
    /// The command line.
    Command,
    /// Bytes read per second.
    Read,
    /// Bytes written per second.
    Write,
    /// Bytes read and written per second.
    DiskTotal,
    /// Bytes sent per second.
    Send,
    /// Bytes received per second.
    Receive,
    /// Bytes sent and received per second.
    NetworkTotal,
    /// Page faults that required I/O, per second.
    Faults,
    /// Page faults that required no I/O, per second.
    MinorFaults,
    /// Resident memory.
    Resident,
    /// Shareable memory.
    Shareable,
    /// Private memory.
    Private,
    /// Swapped memory.
    Swap,
    /// The number of sockets.
    Sockets,
    /// The foreign address, or its name.
    Address,
    /// The country of the foreign address.
    Country,
    /// The autonomous system of the foreign address.
    System,
    /// The foreign port, or its service name.
    RemotePort,
    /// The local address.
    LocalAddress,
    /// The local port.
    LocalPort,
    /// The state of a connection.
    State,
    /// The share of retransmitted segments.
    Loss,
    /// Bytes sent since the connection began.
    Sent,
    /// Bytes received since the connection began.
    Received,
    /// The lifetime of a closed connection.
    Lived,
    /// The round-trip time.
    Latency,
    /// The protocol of a socket.
    Protocol,
    /// How far a listener can be reached from.
    Reach,
    /// Bytes received and not yet read.
    ReceiveQueue,
    /// Bytes sent and not yet acknowledged.
    SendQueue,
    /// The name of a unit.
    UnitName,
    /// The number of processes.
    Processes,
    /// The name of a disk.
    Disk,
    /// The share of the time in which a disk was active.
    Active,
    /// The number of requests in flight.
    Queue,
    /// The last minute of a process, as a small graph.
    Trend,
    /// The average time of a request.
    Response,
    /// The free space in the file systems of a disk.
    Free,
    /// The size of the file systems of a disk.
    Size,
}

/// The properties of a column.
#[derive(Clone, Copy, Debug)]
pub struct ColumnSpec {
    /// Its name in the configuration and in saved files.
    pub key: &'static str,
    /// The heading of the column.
    pub title: &'static str,
    /// The minimum width.
    pub width: u16,
    /// The weight with which it shares the remaining width; 0 if it does not grow.
    pub grow: u16,
    /// Whether the values are right-aligned.
    pub right: bool,
    /// The description in the help, one line.
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
    /// All columns.
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

    /// Returns the properties of the column.
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

    /// Returns the column called `key` in the configuration.
    pub fn from_key(key: &str) -> Option<Column> {
        Column::ALL.into_iter().find(|column| column.spec().key == key)
    }

    /// Whether the order is descending by default when sorting by this column.
    pub const fn falls(self) -> bool {
        self.spec().right && !matches!(self, Column::Pid)
    }
}

/// The properties of a pane.
#[derive(Clone, Copy, Debug)]
pub struct PaneSpec {
    /// Its name in the configuration.
    pub key: &'static str,
    /// The title of the pane.
    pub title: &'static str,
    /// The kind of its rows.
    pub source: Source,
    /// The available columns, in order.
    pub columns: &'static [Column],
    /// The number of these columns that are shown by default, counted from the first.
    pub shown: usize,
    /// The column to sort by unless configured otherwise, in its default direction.
    pub sort: Column,
    /// The weight with which it shares the height.
    pub height: u16,
}

impl Pane {
    /// All panes.
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

    /// Returns the properties of the pane.
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

    /// Returns the pane called `key` in the configuration.
    pub fn from_key(key: &str) -> Option<Pane> {
        Pane::ALL.into_iter().find(|pane| pane.spec().key == key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_columns_and_panes_are_unique_and_found() {
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
    fn heading_fits_into_its_column() {
        for column in Column::ALL {
            let spec = column.spec();
            assert!(spec.title.len() <= usize::from(spec.width), "{}", spec.key);
            // The description must fit into the column chooser.
            assert!(spec.meaning.len() <= 59, "{}: {}", spec.key, spec.meaning.len());
        }
    }
}
