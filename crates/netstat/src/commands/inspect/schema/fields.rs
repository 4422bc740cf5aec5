//! The fields of the objects in the document, as tables.

/// The type of a field.
#[derive(Clone, Copy)]
pub(super) enum Is {
    /// An integer of 0 or more.
    Count,
    /// Any number.
    Number,
    Text,
    Flag,
    Texts,
    TextLists,
    Numbers,
    /// A moment (RFC 3339, UTC).
    Moment,
    /// An object with a definition of its own in the schema.
    Of(&'static str),
    /// A list of such objects.
    List(&'static str),
    /// An object with arbitrary names.
    Open,
}

/// A field: name, type, whether it may be null, and description.
pub(super) type Field = (&'static str, Is, bool, &'static str);

pub(super) const TARGET: &[Field] = &[
    ("word", Is::Text, false, "the target as it was typed"),
    ("sought", Is::Text, false, "what was looked for"),
    ("sockets", Is::Count, false, "how many sockets matched"),
    ("processes", Is::Count, false, "how many processes it names"),
    (
        "published",
        Is::Texts,
        false,
        "the published ports (NAT) that it means, and where they lead",
    ),
    (
        "remarks",
        Is::Texts,
        false,
        "what a host name led to, or what is near when nothing matched",
    ),
];

pub(super) const CARD: &[Field] = &[
    ("targets", Is::Texts, false, "the targets that led to this card"),
    (
        "sockets",
        Is::List("socket"),
        false,
        "the sockets it is about, the most telling one first",
    ),
    (
        "process",
        Is::Of("process"),
        true,
        "the process; null where none is known to hold the sockets",
    ),
    (
        "next_steps",
        Is::List("step"),
        false,
        "what to do next, the safest first; nothing is done",
    ),
];

/// Fields of a card with a process.
pub(super) const CARD_OF_PROCESS: &[Field] = &[
    ("file", Is::Of("file"), false, "its program file"),
    (
        "script",
        Is::Of("file"),
        true,
        "the script that it runs, where the program is an interpreter",
    ),
    ("usage", Is::Of("usage"), false, "what it uses now"),
    (
        "reach",
        Is::List("reach"),
        false,
        "the ports at which it waits and who can reach them",
    ),
    (
        "stands_for",
        Is::List("stands_for"),
        false,
        "containers or units in whose place it waits",
    ),
    (
        "past",
        Is::Of("past"),
        true,
        "when netstat record first saw its program do what it does now; null where there is no record",
    ),
    (
        "verdict",
        Is::Of("verdict"),
        true,
        "what the findings about it come to; null where it ended before",
    ),
    ("not_seen", Is::List("not_seen"), false, "what could not be read"),
];

/// Fields of a card without a process.
pub(super) const CARD_OF_NONE: &[Field] = &[(
    "no_process",
    Is::Open,
    false,
    "why no process is known, and the user who made the sockets",
)];

pub(super) const SOCKET: &[Field] = &[
    (
        "protocol",
        Is::Text,
        false,
        "TCP, UDP, RAW, MPTCP, PACKET, UNIX, UDPLITE, SCTP, DCCP or VSOCK",
    ),
    ("local", Is::Of("end"), false, "this side"),
    ("foreign", Is::Of("end"), true, "the other side; null without one"),
    ("host", Is::Text, true, "the other side's name, with --names"),
    (
        "asked_name",
        Is::Text,
        true,
        "the name that a program asked for before it connected, by a record; a hint, for answers can be forged",
    ),
    ("state", Is::Text, true, "the state; null where the protocol has none"),
    (
        "namespace",
        Is::Text,
        true,
        "its network namespace, where it is not the caller's",
    ),
    ("inode", Is::Count, true, "its inode; null without a descriptor"),
    (
        "cookie",
        Is::Count,
        true,
        "the kernel's number for it, unique since boot",
    ),
    ("user", Is::Count, true, "the number of the user who made it"),
    (
        "receive_queue",
        Is::Count,
        false,
        "bytes received and not yet read; of a listener, connections not yet accepted",
    ),
    (
        "send_queue",
        Is::Count,
        true,
        "bytes sent and not yet acknowledged; of a listener, the most connections that may wait",
    ),
    (
        "milliseconds_in_state",
        Is::Count,
        true,
        "how long it has been in its state",
    ),
    ("bytes_received", Is::Count, true, "bytes received so far"),
    ("bytes_sent", Is::Count, true, "bytes sent so far, repetitions included"),
    (
        "bytes_received_per_second",
        Is::Number,
        true,
        "the rate while it was watched",
    ),
    (
        "bytes_sent_per_second",
        Is::Number,
        true,
        "the rate while it was watched",
    ),
    (
        "round_trip_microseconds",
        Is::Count,
        true,
        "the smoothed round-trip time",
    ),
    ("segments_sent_again", Is::Count, true, "segments sent again so far"),
    (
        "milliseconds_open_at_least",
        Is::Count,
        true,
        "the longest time since something last happened on it: it is at least as old",
    ),
    (
        "interface",
        Is::Text,
        true,
        "the interface that it is bound to, or that its link-local address belongs to",
    ),
    (
        "ipv6_only",
        Is::Flag,
        true,
        "whether a socket bound to :: takes no IPv4; null for others",
    ),
    (
        "problems",
        Is::Texts,
        false,
        "what is wrong with it: a full accept queue, an address that nobody has, a peer that does not answer",
    ),
    (
        "first_seen",
        Is::Moment,
        true,
        "when netstat record saw it first; null where no record tells",
    ),
    (
        "first_seen_exact",
        Is::Flag,
        true,
        "whether it began at that moment; else it is older",
    ),
];

pub(super) const PAST: &[Field] = &[
    (
        "record_begins",
        Is::Moment,
        true,
        "when the record begins: what was first seen then may be older; null while it is empty",
    ),
    (
        "program",
        Is::Moment,
        true,
        "when the program was first seen on the network; null: not so far",
    ),
    (
        "same_name",
        Is::Moment,
        true,
        "when a program of the same short name was first seen whose path had not been learned, where that was earlier",
    ),
    (
        "networks",
        Is::List("seen_network"),
        false,
        "the foreign networks that it calls now, the latest first",
    ),
    (
        "foreign_ports",
        Is::List("seen_port"),
        false,
        "the foreign ports that it calls now, the latest first",
    ),
    (
        "listening_ports",
        Is::List("seen_port"),
        false,
        "the ports at which it waits now, the latest first",
    ),
];

pub(super) const SEEN_NETWORK: &[Field] = &[
    ("network", Is::Text, false, "a network: /24 of IPv4, /48 of IPv6"),
    ("first", Is::Moment, false, "when the program first called it"),
];

pub(super) const SEEN_PORT: &[Field] = &[
    ("port", Is::Count, false, "a port"),
    (
        "first",
        Is::Moment,
        false,
        "when the program first called it, or listened on it",
    ),
];

pub(super) const END: &[Field] = &[
    ("address", Is::Text, false, "the IP address"),
    ("port", Is::Count, true, "the port; null where the protocol has none"),
    ("service", Is::Text, true, "the service that is registered for the port"),
    ("description", Is::Text, true, "the same in a few words"),
];

pub(super) const PROCESS: &[Field] = &[
    ("pid", Is::Count, false, "its id"),
    ("start_ticks", Is::Count, false, "its start in clock ticks after boot"),
    ("started", Is::Moment, true, "when it was started"),
    ("name", Is::Text, false, "the kernel's short name for it"),
    ("state", Is::Text, false, "the state letter of proc_pid_stat(5)"),
    ("parent", Is::Count, false, "its parent; 0 without one in sight"),
    ("group", Is::Count, false, "its process group"),
    ("session", Is::Count, false, "its session"),
    ("terminal", Is::Text, true, "its controlling terminal; null without one"),
    ("threads", Is::Count, false, "how many threads it has"),
    ("kernel_thread", Is::Flag, false, "whether it is a thread of the kernel"),
    ("arguments", Is::Texts, true, "the words it was started with"),
    ("directory", Is::Text, true, "its working directory"),
    ("root", Is::Text, true, "its root directory"),
    ("user", Is::Text, true, "the name of its effective user"),
    ("real_user", Is::Text, true, "the name of its real user"),
    (
        "user_ids",
        Is::Open,
        true,
        "real, effective, saved and file system user",
    ),
    ("group_ids", Is::Open, true, "the same of its group"),
    ("other_group_ids", Is::Numbers, true, "further groups"),
    (
        "login_user_id",
        Is::Count,
        true,
        "the user whose login it stems from; null for none",
    ),
    ("capabilities", Is::Texts, true, "its effective capabilities"),
    ("permitted_capabilities", Is::Texts, true, "those it may take up"),
    ("inheritable_capabilities", Is::Texts, true, "those it may hand on"),
    ("bounding_capabilities", Is::Texts, true, "those it can ever have"),
    (
        "ambient_capabilities",
        Is::Texts,
        true,
        "those it hands on to every program",
    ),
    ("tracer", Is::Count, true, "the process that traces it; null for none"),
    ("no_new_privileges", Is::Flag, true, "whether it can gain no rights"),
    ("seccomp", Is::Text, true, "off, strict or filter"),
    ("label", Is::Text, true, "the label of a security module"),
    (
        "namespaces",
        Is::Open,
        false,
        "mount, network, pid and user: each with its inode and whether it is the caller's",
    ),
    (
        "inner_pids",
        Is::Numbers,
        true,
        "its ids from the caller's PID namespace to its own",
    ),
    ("cgroup", Is::Text, true, "its control group"),
    (
        "windows",
        Is::Open,
        true,
        "what only Windows keeps: sid, user, integrity, elevated, app_container, protection, signature (status, signer, catalogue, code), \
         file_access and directory_access (owner, writers, open); null on other systems",
    ),
    (
        "components",
        Is::List("component"),
        true,
        "units and containers it runs in, outermost first",
    ),
    (
        "ancestors",
        Is::List("ancestor"),
        true,
        "its parents, the nearest first",
    ),
    ("descriptors", Is::Open, true, "what it has open"),
    (
        "executable_memory",
        Is::List("mapping"),
        true,
        "the parts of its memory that it may execute",
    ),
    (
        "sockets_by_state",
        Is::Open,
        false,
        "how many sockets it holds, by state or protocol",
    ),
    (
        "sockets_in_no_list",
        Is::Count,
        true,
        "sockets of kinds that are in no list",
    ),
    (
        "shares_sockets_with",
        Is::List("sharer"),
        false,
        "other processes that hold sockets of the card",
    ),
];

pub(super) const COMPONENT: &[Field] = &[("kind", Is::Text, false, "unit or container")];
pub(super) const UNIT_OR_CONTAINER: &[Field] = &[
    ("name", Is::Text, false, "of a unit: its name"),
    (
        "of_user",
        Is::Count,
        true,
        "of a unit: the user whose manager keeps it; null for the system's",
    ),
    ("runtime", Is::Text, false, "of a container: what runs it"),
    ("id", Is::Text, false, "of a container: its id"),
];

pub(super) const ANCESTOR: &[Field] = &[
    ("pid", Is::Count, false, "its id"),
    ("start_ticks", Is::Count, false, "its start in clock ticks after boot"),
    ("parent", Is::Count, false, "its own parent; 0 for the first process"),
    ("name", Is::Text, false, "its short name"),
    ("path", Is::Text, true, "its program"),
    ("arguments", Is::Texts, true, "the words it was started with"),
];

pub(super) const MAPPING: &[Field] = &[
    ("start", Is::Text, false, "first address"),
    ("end", Is::Text, false, "the address after the last"),
    ("kind", Is::Text, false, "file, memory, anonymous or named"),
    ("name", Is::Text, true, "the path or name"),
    ("deleted", Is::Flag, false, "whether the file has been removed"),
    ("writable", Is::Flag, false, "whether it may also be written to"),
    ("shared", Is::Flag, false, "whether what is written goes to the file"),
    ("inode", Is::Count, false, "the file's number; 0 without one"),
];

pub(super) const SHARER: &[Field] = &[
    ("pid", Is::Count, false, "its id"),
    ("program", Is::Text, false, "its name"),
];

pub(super) const FILE: &[Field] = &[("path", Is::Text, true, "the path in the view of the process")];
pub(super) const FILE_FACTS: &[Field] = &[
    ("told", Is::Text, false, "of a program: the kernel's words for it"),
    (
        "place",
        Is::Text,
        false,
        "of a program: there, removed, replaced, memory, or removed or replaced",
    ),
    ("size", Is::Count, true, "bytes"),
    ("user_id", Is::Count, true, "its user's number"),
    ("group_id", Is::Count, true, "its group's number"),
    ("mode", Is::Text, true, "its permissions in octal digits"),
    ("device", Is::Count, true, "the device it lies on"),
    ("inode", Is::Count, true, "its number there"),
    ("links", Is::Count, true, "how many names it has"),
    (
        "modified",
        Is::Moment,
        true,
        "when its content was changed last, as it says",
    ),
    ("changed", Is::Moment, true, "when it was changed last in any way"),
    ("user", Is::Text, true, "its user's name"),
    ("group", Is::Text, true, "its group's name"),
    (
        "package",
        Is::Open,
        true,
        "the package that owns it; null where that was not looked for",
    ),
    (
        "matches_package",
        Is::Flag,
        true,
        "whether it is as the package recorded it; null where that is not known",
    ),
    ("package_check", Is::Text, true, "the same in words"),
    ("sha256", Is::Text, true, "its SHA-256 digest"),
];

pub(super) const USAGE: &[Field] = &[
    ("seconds", Is::Number, false, "how long it was watched; 0: not at all"),
    ("processors", Is::Number, true, "processors' worth of time"),
    (
        "processor_seconds_so_far",
        Is::Number,
        true,
        "processor time since it was started",
    ),
    ("resident_bytes", Is::Count, true, "bytes in memory"),
    ("private_bytes", Is::Count, true, "of these, its own"),
    ("shared_bytes", Is::Count, true, "of these, shared with others"),
    (
        "memory_is_rough",
        Is::Flag,
        false,
        "whether these are rough sums, off by up to some hundred kB, because pages may not be counted",
    ),
    (
        "disk_read_bytes_per_second",
        Is::Number,
        true,
        "bytes read from storage",
    ),
    (
        "disk_written_bytes_per_second",
        Is::Number,
        true,
        "bytes written to storage",
    ),
    (
        "tcp_received_bytes_per_second",
        Is::Number,
        true,
        "bytes received over TCP",
    ),
    ("tcp_sent_bytes_per_second", Is::Number, true, "bytes sent over TCP"),
    (
        "major_faults_per_second",
        Is::Number,
        true,
        "page faults that had to read",
    ),
    ("threads", Is::Count, true, "threads"),
    ("descriptors", Is::Count, true, "open descriptors"),
];

pub(super) const REACH: &[Field] = &[
    ("protocol", Is::Text, false, "the protocol"),
    ("address", Is::Text, false, "the address it is bound to"),
    ("port", Is::Count, false, "the port"),
    (
        "from",
        Is::Text,
        false,
        "here, networks, anywhere or unknown, by address and interface alone",
    ),
    ("words", Is::Text, false, "the same in words, to follow \"from\""),
    (
        "published",
        Is::Texts,
        false,
        "the ports of this computer at which NAT publishes it",
    ),
    (
        "passages",
        Is::List("passage"),
        false,
        "what packet filters make of those who come from other computers, for each family that it takes; empty where they were not \
         asked",
    ),
    (
        "windows",
        Is::Open,
        true,
        "what Windows makes of them: firewall (for the domain, private and public profile: verdict off, everybody, only, nobody or \
         unknown, from, rule) and port_proxies (kind, listen, to); null on other systems and for a port of this computer alone",
    ),
];

pub(super) const PASSAGE: &[Field] = &[
    ("family", Is::Text, false, "IPv4 or IPv6"),
    (
        "passage",
        Is::Text,
        false,
        "everybody, nobody, only (the ways lead through), all_but (the ways do not), depends (on the ways, not worked out) or unknown",
    ),
    (
        "ways",
        Is::TextLists,
        false,
        "each a list of conditions that hold together: \"from NETWORK\", \"over INTERFACE\", ...",
    ),
    ("why", Is::Text, true, "why it is unknown"),
];

pub(super) const STANDS_FOR: &[Field] = &[
    ("kind", Is::Text, false, "container or unit"),
    ("port", Is::Count, false, "the port"),
];
pub(super) const WHOM: &[Field] = &[
    ("to", Is::Text, false, "of a container: its address and port"),
    ("name", Is::Text, true, "of a container: its name, where known"),
    ("socket", Is::Text, false, "of a unit: the one that lists the port"),
    ("service", Is::Text, false, "of a unit: the one that is started"),
];

pub(super) const STEP: &[Field] = &[
    ("what", Is::Text, false, "what it is for"),
    ("command", Is::Text, false, "the command, quoted for a shell"),
];

pub(super) const NOT_SEEN: &[Field] = &[
    ("what", Is::Text, false, "what could not be read"),
    ("why", Is::Text, false, "the reason"),
];

pub(super) const CHAIN: &[Field] = &[
    ("family", Is::Text, false, "ip, ip6, inet, netdev or bridge"),
    ("table", Is::Text, false, "its table"),
    ("name", Is::Text, false, "its name"),
    ("kind", Is::Text, false, "filter, nat or route"),
    ("hook", Is::Text, false, "ingress, prerouting or input"),
    ("priority", Is::Number, false, "chains of lower priority come first"),
    ("drops", Is::Flag, false, "whether what no rule decides is dropped"),
    ("rules", Is::Count, false, "how many rules it has"),
];

pub(super) const PACKET_FILTER: &[Field] = &[
    ("nftables", Is::List("chain"), true, "chains on the way in"),
    (
        "iptables_tables",
        Is::Texts,
        true,
        "tables of the older iptables in use",
    ),
];
