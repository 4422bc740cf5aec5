//! What programs are known for. Names of files only: whether the file is the program of that name, its package says.

use super::case::base;

/// The first port that Linux gives to sockets that ask for none by default (`net.ipv4.ip_local_port_range`, ip(7)).
pub const FIRST_PASSING_PORT: u16 = 32768;

/// Command interpreters that people type into.
const SHELLS: &[&str] = &[
    "sh", "bash", "dash", "zsh", "ksh", "mksh", "fish", "ash", "tcsh", "csh", "rbash", "busybox",
];

/// Interpreters of programming languages, by the beginning of the name; a version may follow.
const INTERPRETERS: &[&str] = &[
    "python", "pypy", "perl", "ruby", "php", "node", "nodejs", "lua", "luajit", "tclsh", "awk", "gawk", "mawk",
    "Rscript",
];

/// Tools that connect a network with standard input and output.
const RELAYS: &[&str] = &[
    "nc",
    "ncat",
    "netcat",
    "nc.openbsd",
    "nc.traditional",
    "socat",
    "socat1",
    "telnet",
    "openssl",
    "busybox",
    "websocat",
    "chisel",
    "gsocket",
    "gs-netcat",
];

/// Programs whose work it is to connect a shell with somebody: remote logins, terminals, containers, and what runs commands for others.
const TERMINAL_SERVERS: &[&str] = &[
    "sshd",
    "sshd-session",
    "dropbear",
    "mosh-server",
    "tmux",
    "screen",
    "ttyd",
    "gotty",
    "shellinaboxd",
    "login",
    "getty",
    "agetty",
    "systemd",
    "containerd-shim",
    "containerd-shim-runc-v2",
    "containerd",
    "dockerd",
    "docker",
    "podman",
    "conmon",
    "crio",
    "kubelet",
    "lxd",
    "incusd",
    "lxc",
    "gnome-terminal-server",
    "konsole",
    "xterm",
    "kitty",
    "alacritty",
    "wezterm",
    "xfce4-terminal",
    "tilix",
    "terminator",
    "emacs",
    "vim",
    "nvim",
    "code",
    "code-server",
    "jupyter-lab",
    "jupyter-notebook",
    "jupyterhub-singleuser",
    "jupyter-server",
    "jupyter",
    "ipykernel_launcher",
    "rstudio-server",
    "rsession",
    "in.telnetd",
    "telnetd",
    "in.rlogind",
    "qemu-ga",
    "qemu-system-x86_64",
    "cockpit-bridge",
    "guacd",
    "wetty",
    "xrdp-sesman",
];

/// Programs that start another for each connection and give it the connection as standard input and output.
const INETD: &[&str] = &[
    "inetd",
    "xinetd",
    "inetutils-inetd",
    "openbsd-inetd",
    "tcpserver",
    "tcpsvd",
    "git-daemon",
    "socat",
    "s6-tcpserver",
];

/// Daemons that a disguise likes to be taken for.
const DAEMONS: &[&str] = &[
    "sshd",
    "cron",
    "crond",
    "atd",
    "dbus-daemon",
    "dbus-broker",
    "rsyslogd",
    "syslogd",
    "agetty",
    "getty",
    "systemd",
    "systemd-journald",
    "systemd-journal",
    "systemd-logind",
    "systemd-resolved",
    "systemd-resolve",
    "systemd-udevd",
    "systemd-networkd",
    "systemd-timesyncd",
    "systemd-timesyn",
    "udevd",
    "NetworkManager",
    "polkitd",
    "accounts-daemon",
    "avahi-daemon",
    "cupsd",
    "acpid",
    "auditd",
    "chronyd",
    "ntpd",
    "nginx",
    "apache2",
    "httpd",
    "mysqld",
    "mariadbd",
    "postgres",
    "redis-server",
    "named",
    "dnsmasq",
    "smbd",
    "nmbd",
    "rpcbind",
    "dhclient",
    "master",
    "exim4",
    "snapd",
    "dockerd",
    "containerd",
    "irqbalance",
    "udisksd",
    "wpa_supplicant",
    "gdm",
    "lightdm",
    "Xorg",
    "pulseaudio",
    "pipewire",
];

/// Beginnings of the names of kernel threads (Linux, `ps -ef` of any machine; names are given in the kernel's `kthread_create`).
const KERNEL_THREADS: &[&str] = &[
    "kworker",
    "ksoftirqd",
    "kswapd",
    "kthreadd",
    "migration/",
    "rcu_sched",
    "rcu_preempt",
    "rcu_bh",
    "rcu_par_gp",
    "rcu_gp",
    "rcuop/",
    "rcuos/",
    "kdevtmpfs",
    "khugepaged",
    "kcompactd",
    "ksmd",
    "kauditd",
    "khungtaskd",
    "oom_reaper",
    "kblockd",
    "kintegrityd",
    "md_bg",
    "watchdog/",
    "kthrotld",
    "jbd2/",
    "ext4-rsv-conver",
    "xfsaild",
    "scsi_eh_",
    "scsi_tmf_",
    "irq/",
    "cpuhp/",
    "idle_inject/",
    "kpsmoused",
    "ipv6_addrconf",
    "mm_percpu_wq",
    "devfreq_wq",
    "ata_sff",
    "kstrp",
    "zswap",
    "kdmflush",
    "ecryptfs",
    "kacpid",
    "kintegrity",
];

/// Programs that make code while they run, so that memory to write and to execute is their daily work.
const RUNTIMES: &[&str] = &[
    "node",
    "nodejs",
    "deno",
    "bun",
    "java",
    "dotnet",
    "mono",
    "wine",
    "wine64",
    "wineserver",
    "luajit",
    "qemu",
    "php",
    "pypy",
    "ruby",
    "julia",
    "beam.smp",
    "erl",
    "firefox",
    "firefox-bin",
    "firefox-esr",
    "chrome",
    "chromium",
    "chrome_crashpad_handler",
    "headless_shell",
    "chrome-headless-shell",
    "electron",
    "code",
    "WebKitWebProcess",
    "WebKitNetworkProcess",
    "gjs",
    "gnome-shell",
    "seamonkey",
    "thunderbird",
    "thunderbird-bin",
    "steam",
    "postgres",
    "R",
    "plasmashell",
    "kwin_wayland",
    "java17",
    "jspawnhelper",
    "brave",
    "opera",
    "vivaldi-bin",
    "msedge",
    "slack",
    "discord",
    "spotify",
];

/// Programs whose work it is to take whole frames or packets.
const SNIFFERS: &[&str] = &[
    "dhclient",
    "dhcpcd",
    "udhcpc",
    "udhcpd",
    "dhcpd",
    "NetworkManager",
    "systemd-networkd",
    "wpa_supplicant",
    "hostapd",
    "lldpd",
    "lldpad",
    "tcpdump",
    "dumpcap",
    "tshark",
    "wireshark",
    "suricata",
    "snort",
    "zeek",
    "keepalived",
    "pppd",
    "arping",
    "arpwatch",
    "ping",
    "ping6",
    "mtr",
    "mtr-packet",
    "traceroute",
    "fping",
    "nmap",
    "radvd",
    "rdisc",
    "ospfd",
    "bird",
    "zebra",
    "charon",
    "avahi-autoipd",
    "connmand",
    "iwd",
    "tcpreplay",
    "ntopng",
    "softflowd",
    "dnsmasq",
    "kea-dhcp4",
    "odhcpd",
    "ovs-vswitchd",
    "teamd",
    "ladvd",
    "ifplugd",
    "netplan",
    "conmon",
    "openvswitch",
    "vrrpd",
    "smcroute",
    "igmpproxy",
    "pimd",
    "chronyd",
    "ptp4l",
];

/// Programs that stop and look into others for a living.
const DEBUGGERS: &[&str] = &[
    "gdb",
    "gdbserver",
    "strace",
    "ltrace",
    "lldb",
    "lldb-server",
    "rr",
    "perf",
    "valgrind",
    "delve",
    "dlv",
    "wineserver",
    "bwrap",
    "proot",
    "fakechroot",
    "crash",
    "apport",
    "systemd-coredump",
    "sysdig",
    "uftrace",
    "code",
    "gvisor",
    "runsc",
];

/// Programs that pass on what others serve.
const PROXIES: &[&str] = &[
    "haproxy",
    "envoy",
    "docker-proxy",
    "traefik",
    "rootlesskit",
    "rootlessport",
    "slirp4netns",
    "pasta",
    "passt",
    "kubectl",
    "kube-proxy",
    "sshd",
    "sshd-session",
    "ssh",
    "nginx",
    "stunnel4",
    "stunnel",
    "socat",
    "relayd",
    "sniproxy",
    "gost",
    "frps",
    "frpc",
    "cloudflared",
    "tailscaled",
    "systemd",
    "init",
    "inetd",
    "xinetd",
    "systemd-socket-proxyd",
    "varnishd",
    "squid",
    "caddy",
    "pgbouncer",
    "pgpool",
    "proxysql",
    "mysqlrouter",
    "dnsdist",
    "conmon",
    "containerd-shim-runc-v2",
    "gvproxy",
    "limactl",
    "qemu-system-x86_64",
    "wslrelay",
    "apache2",
    "httpd",
];

/// Security sensors and the networking of containers, whose work needs packet or raw sockets and which their makers install themselves.
const SENSORS: &[&str] = &[
    "suricata",
    "snort",
    "zeek",
    "falco",
    "sysdig",
    "tetragon",
    "cilium-agent",
    "cilium",
    "calico-node",
    "felix",
    "flanneld",
    "weaver",
    "kube-router",
    "speaker",
    "antrea-agent",
    "datadog-agent",
    "system-probe",
    "agent",
    "falcon-sensor",
    "packetbeat",
    "netdata",
    "ntopng",
    "ntopng-bin",
    "capture",
    "wazuh-agentd",
    "osqueryd",
    "tailscaled",
    "zerotier-one",
    "netbird",
    "nebula",
    "kubelet",
    "k3s",
    "k3s-server",
    "coredns",
    "keepalived",
    "bird",
    "gobgpd",
    "vector",
    "tcpdump",
    "dumpcap",
    "arpwatch",
    "blackbox_exporter",
    "smokeping",
    "telegraf",
    "containerd",
    "dockerd",
    "multus",
    "dhcp",
    "ovn-controller",
    "sensor",
    "elastic-agent",
    "mdatp",
    "wdavdaemon",
    "ds_agent",
    "cbagentd",
    "nmap",
    "masscan",
    "mtr",
    "fping",
    "trippy",
    "trip",
];

/// Whether a program of this file name is a security sensor or part of a container's network.
pub fn is_sensor(name: &[u8]) -> bool {
    among(SENSORS, name) || is_sniffer(name)
}

/// Servers that people often build or unpack themselves: their name in an ordinary place is no disguise.
const SERVERS: &[&str] = &[
    "nginx",
    "apache2",
    "httpd",
    "mysqld",
    "mariadbd",
    "postgres",
    "redis-server",
    "named",
    "dnsmasq",
    "chronyd",
    "ntpd",
    "dockerd",
    "containerd",
    "rpcbind",
    "smbd",
    "nmbd",
    "master",
    "exim4",
    "dhclient",
    "Xorg",
    "pipewire",
    "pulseaudio",
];

/// Whether a daemon of this name is a server that people build themselves.
pub fn is_server(name: &str) -> bool {
    SERVERS.contains(&name)
}

/// Services that answer strangers: what a shell below them runs, a stranger may have sent.
const SERVICES: &[&str] = &[
    "nginx",
    "apache2",
    "httpd",
    "lighttpd",
    "caddy",
    "php-fpm",
    "php-cgi",
    "tomcat",
    "jetty",
    "uwsgi",
    "gunicorn",
    "mysqld",
    "mariadbd",
    "postgres",
    "postmaster",
    "redis-server",
    "valkey-server",
    "mongod",
    "memcached",
    "exim4",
    "exim",
    "smtpd",
    "dovecot",
    "vsftpd",
    "proftpd",
    "smbd",
    "named",
    "squid",
    "haproxy",
    "kubelet",
    "dockerd",
    "confluence",
    "jira",
    "gitlab-workhorse",
    "puma",
];

/// Whether a program of this name answers strangers.
pub fn is_service(name: &[u8]) -> bool {
    among(SERVICES, without_version(name)) || among(SERVICES, claimed(name)) || name.starts_with(b"php-fpm")
}

/// Tools that fetch files.
const DOWNLOADERS: &[&str] = &[
    "curl",
    "wget",
    "wget2",
    "aria2c",
    "ftp",
    "tftp",
    "lftp",
    "lwp-download",
    "fetch",
];

/// Whether a program of this file name fetches files.
pub fn is_downloader(name: &[u8]) -> bool {
    among(DOWNLOADERS, name)
}

/// Programs that tunnel connections, relay strangers or mine, and that intruders bring along.
const INTRUDERS_TOOLS: &[&str] = &[
    "chisel",
    "frpc",
    "gost",
    "iodine",
    "iodined",
    "dnscat",
    "dnscat2",
    "ptunnel",
    "ptunnel-ng",
    "hans",
    "icmptunnel",
    "ligolo",
    "ligolo-agent",
    "gs-netcat",
    "gsocket",
    "revsocks",
    "rathole",
    "npc",
    "stowaway",
    "earthworm",
    "iox",
    "venom",
    "pwncat",
    "reGeorg",
    "sliver",
    "merlin",
    "xmrig",
    "minerd",
    "cpuminer",
    "t-rex",
    "nbminer",
    "lolMiner",
    "kinsing",
    "kdevtmpfsi",
    "masscan",
    "pnscan",
    "zmap",
    "tsh",
    "reptile",
];

/// Tunnels and proxies that administrators use as well.
const TUNNELS: &[&str] = &[
    "ngrok",
    "frps",
    "cloudflared",
    "bore",
    "tor",
    "3proxy",
    "microsocks",
    "sockd",
    "danted",
    "ss-local",
    "ss-server",
    "sslocal",
    "ssserver",
    "v2ray",
    "xray",
    "sing-box",
    "trojan",
    "hysteria",
    "brook",
    "inlets",
    "localtunnel",
    "lt",
    "privoxy",
    "proxychains4",
    "sshuttle",
    "wstunnel",
    "websocat",
    "stunnel4",
    "stunnel",
    "obfs4proxy",
    "lyrebird",
    "snowflake-client",
    "dns2tcpc",
    "dns2tcpd",
    "udp2raw",
    "kcptun",
];

/// Whether a program of this file name is one that intruders bring along.
pub fn is_intruders_tool(name: &[u8]) -> bool {
    among(INTRUDERS_TOOLS, name)
}

/// Whether a program of this file name is a tunnel or a proxy.
pub fn is_tunnel(name: &[u8]) -> bool {
    among(TUNNELS, name) || is_intruders_tool(name)
}

/// Libraries that make code while they run: programs that map one have memory without a file.
const CODE_MAKERS: &[&str] = &[
    "libpcre",
    "libffi",
    "libLLVM",
    "libluajit",
    "libv8",
    "libnode",
    "libmozjs",
    "libjavascriptcoregtk",
    "libwebkit",
    "liborc",
    "libclamav",
    "libguile",
    "libjvm",
    "libcoreclr",
    "libmono",
    "libgallium",
    "libhs",
    "libbpf",
    "libruby",
    "libphp",
    "libQt5Qml",
    "libQt6Qml",
    "libgccjit",
    "libtcc",
    "libperl",
    "libasan",
    "libtsan",
    "libvulkan",
    "libGL",
    "libdynasm",
    "libdpdk",
    "libgnutls",
    "libcrypto-jit",
];

/// Whether a library of this file name makes code while it runs.
pub fn is_code_maker(name: &[u8]) -> bool {
    CODE_MAKERS.iter().any(|known| name.starts_with(known.as_bytes()))
}

/// Whether `name`, a file's, looks like that of a thread of the kernel without being one: `.kworkerd`.
pub fn resembles_kernel_thread(name: &[u8]) -> bool {
    let end = name.iter().position(|byte| *byte != b'.').unwrap_or(name.len());
    let bare = &name[end..];
    [
        &b"kworker"[..],
        b"ksoftirq",
        b"kswapd",
        b"kthread",
        b"khugepaged",
        b"kdevtmp",
        b"kdmtmp",
        b"kauditd",
        b"kblockd",
        b"kcompactd",
        b"rcu_",
        b"jbd2",
    ]
    .iter()
    .any(|known| bare.starts_with(known))
}

/// Whether `name` stands in `list`.
fn among(list: &[&str], name: &[u8]) -> bool {
    list.iter().any(|known| known.as_bytes() == name)
}

/// The name without a version behind it: `python3.11` is `python`.
pub(crate) fn without_version(name: &[u8]) -> &[u8] {
    let end = name
        .iter()
        .rposition(|byte| !byte.is_ascii_digit() && !matches!(byte, b'.' | b'-'))
        .map_or(name.len(), |last| last + 1);
    &name[..end]
}

/// Whether a program of this file name is a shell.
pub fn is_shell(name: &[u8]) -> bool {
    among(SHELLS, without_version(name))
}

/// Whether a program of this file name runs scripts of a programming language.
pub fn is_interpreter(name: &[u8]) -> bool {
    among(INTERPRETERS, without_version(name))
}

/// Whether a program of this file name connects networks with standard input and output.
pub fn is_relay(name: &[u8]) -> bool {
    among(RELAYS, name)
}

/// Whether a program of this file name connects shells with people by profession.
pub fn is_terminal_server(name: &[u8]) -> bool {
    among(TERMINAL_SERVERS, name)
}

/// Whether a program of this file name starts others for connections.
pub fn is_inetd(name: &[u8]) -> bool {
    among(INETD, name)
}

/// Whether a program of this file name takes packets by profession.
pub fn is_sniffer(name: &[u8]) -> bool {
    among(SNIFFERS, without_version(name)) || among(SNIFFERS, name)
}

/// Whether a program of this file name is a debugger.
pub fn is_debugger(name: &[u8]) -> bool {
    among(DEBUGGERS, without_version(name)) || among(DEBUGGERS, name)
}

/// Whether a program of this file name passes on what others serve.
pub fn is_proxy(name: &[u8]) -> bool {
    among(PROXIES, name)
}

/// Whether a program of this file name makes code while it runs.
pub fn makes_code(name: &[u8]) -> bool {
    among(RUNTIMES, name) || among(RUNTIMES, without_version(name)) || name.starts_with(b"qemu-")
}

/// The daemon that `name` is, if it is one that a disguise likes.
pub fn daemon(name: &[u8]) -> Option<&'static str> {
    DAEMONS.iter().copied().find(|daemon| daemon.as_bytes() == name)
}

/// The daemon whose name `name` all but is: one letter is missing, too many, wrong or exchanged with its neighbour.
pub fn nearly_daemon(name: &[u8]) -> Option<&'static str> {
    // Shorter names are near to each other by chance.
    const SHORTEST: usize = 6;
    let name = std::str::from_utf8(name).ok()?;
    if name.len() < SHORTEST || daemon(name.as_bytes()).is_some() {
        return None;
    }
    DAEMONS
        .iter()
        .copied()
        .find(|daemon| daemon.len() >= SHORTEST && strsim::damerau_levenshtein(name, daemon) == 1)
}

/// Whether `name` is what a thread of the kernel is called.
pub fn is_kernel_thread_name(name: &[u8]) -> bool {
    KERNEL_THREADS.iter().any(|known| {
        name.strip_prefix(known.as_bytes()).is_some_and(|rest| {
            rest.first()
                .is_none_or(|next| !next.is_ascii_lowercase() || known.ends_with('/'))
        })
    })
}

/// The name a command line gives its program: the last part of the first word, without a leading `-` (a login shell) and up to a blank or
/// colon (`nginx: worker process`).
pub fn claimed(first: &[u8]) -> &[u8] {
    let word = first
        .split(|byte| matches!(byte, b' ' | b':'))
        .next()
        .unwrap_or_default();
    let word = base(word);
    word.strip_prefix(b"-").unwrap_or(word)
}

/// The words from the name by which the program called `name` was called: `busybox sh -i` is `sh -i`.
pub fn called_as<'a>(name: &[u8], words: &'a [Vec<u8>]) -> &'a [Vec<u8>] {
    match words.first() {
        Some(first) if name == b"busybox" && base(first) == b"busybox" => &words[1..],
        _ => words,
    }
}

/// What a port is known for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortUse {
    /// The port.
    pub port: u16,
    /// Over UDP; else over TCP.
    pub udp: bool,
    /// What is spoken there.
    pub service: &'static str,
    /// The programs that serve it, by file name.
    pub programs: &'static [&'static str],
    /// Whether any program may speak it, as HTTP.
    pub common: bool,
}

const fn tcp(port: u16, service: &'static str, programs: &'static [&'static str]) -> PortUse {
    PortUse {
        port,
        udp: false,
        service,
        programs,
        common: false,
    }
}

const fn udp(port: u16, service: &'static str, programs: &'static [&'static str]) -> PortUse {
    PortUse {
        port,
        udp: true,
        service,
        programs,
        common: false,
    }
}

const fn web(port: u16, service: &'static str) -> PortUse {
    PortUse {
        port,
        udp: false,
        service,
        programs: &["nginx", "apache2", "httpd", "lighttpd", "caddy", "thttpd", "h2o"],
        common: true,
    }
}

const DNS: &[&str] = &[
    "named",
    "unbound",
    "dnsmasq",
    "systemd-resolved",
    "systemd-resolve",
    "pdns_server",
    "pdns_recursor",
    "coredns",
    "knotd",
    "kresd",
    "nsd",
    "bind9",
    "AdGuardHome",
    "pihole-FTL",
    "dnscrypt-proxy",
    "aardvark-dns",
    "netavark",
];
const MAIL: &[&str] = &[
    "master",
    "exim4",
    "exim",
    "sendmail",
    "sendmail-mta",
    "smtpd",
    "opensmtpd",
    "postfix",
    "haraka",
    "stalwart",
];
const DHCP: &[&str] = &[
    "dhcpd",
    "kea-dhcp4",
    "dnsmasq",
    "dhclient",
    "dhcpcd",
    "udhcpd",
    "udhcpc",
    "NetworkManager",
    "systemd-networkd",
    "systemd-network",
    "connmand",
    "odhcpd",
];
const MYSQL: &[&str] = &["mysqld", "mariadbd"];
const REDIS: &[&str] = &[
    "redis-server",
    "redis-check-rdb",
    "valkey-server",
    "keydb-server",
    "dragonfly",
    "redis-sentinel",
];

/// Ports and who serves them: service names from the IANA registry, programs from the documentation of each.
const PORTS: &[PortUse] = &[
    tcp(
        21,
        "FTP",
        &["vsftpd", "proftpd", "pure-ftpd", "ftpd", "in.ftpd", "pyftpdlib"],
    ),
    tcp(
        22,
        "SSH",
        &[
            "sshd",
            "dropbear",
            "sshd-session",
            "tinyssh",
            "lshd",
            "gitea",
            "forgejo",
        ],
    ),
    tcp(23, "Telnet", &["telnetd", "in.telnetd", "utelnetd"]),
    tcp(25, "SMTP", MAIL),
    tcp(53, "DNS", DNS),
    udp(53, "DNS", DNS),
    udp(67, "DHCP", DHCP),
    udp(68, "DHCP", DHCP),
    web(80, "HTTP"),
    tcp(110, "POP3", &["dovecot", "courierpop3d", "qpopper"]),
    tcp(111, "rpcbind", &["rpcbind", "portmap"]),
    udp(
        123,
        "NTP",
        &[
            "chronyd",
            "ntpd",
            "ntpsec",
            "systemd-timesyncd",
            "openntpd",
            "busybox",
            "ptp4l",
        ],
    ),
    tcp(139, "NetBIOS", &["smbd"]),
    tcp(143, "IMAP", &["dovecot", "courierimapd", "cyrus", "imapd"]),
    udp(161, "SNMP", &["snmpd"]),
    tcp(389, "LDAP", &["slapd", "ns-slapd", "samba"]),
    web(443, "HTTPS"),
    tcp(445, "SMB", &["smbd", "ksmbd.mountd"]),
    tcp(587, "mail submission", MAIL),
    tcp(631, "IPP", &["cupsd"]),
    tcp(636, "LDAPS", &["slapd", "ns-slapd", "samba"]),
    tcp(993, "IMAPS", &["dovecot", "courierimapd", "cyrus"]),
    tcp(995, "POP3S", &["dovecot", "courierpop3d"]),
    tcp(3306, "MySQL", MYSQL),
    tcp(
        3389,
        "RDP",
        &["xrdp", "gnome-remote-desktop-daemon", "gnome-remote-de", "krdpserver"],
    ),
    udp(
        5353,
        "mDNS",
        &[
            "avahi-daemon",
            "chrome",
            "chromium",
            "systemd-resolved",
            "systemd-resolve",
            "mdnsd",
            "brave",
            "msedge",
            "headless_shell",
            "firefox",
            "spotify",
            "kdeconnectd",
            "cups-browsed",
        ],
    ),
    tcp(5432, "PostgreSQL", &["postgres", "postmaster"]),
    tcp(6379, "Redis", REDIS),
];

/// What the port is known for; `None` for most.
pub fn port_use(port: u16, udp: bool) -> Option<&'static PortUse> {
    PORTS.iter().find(|known| known.port == port && known.udp == udp)
}

/// Ports through which data or a whole computer can be had, with the programs that serve them: many do so without asking who calls.
const CONTROL: &[(u16, &str, &[&str])] = &[
    (2375, "the control interface of Docker without encryption", &["dockerd"]),
    (2376, "the control interface of Docker", &["dockerd"]),
    (2379, "the database of etcd", &["etcd"]),
    (2380, "the members' port of etcd", &["etcd"]),
    (3306, "a MySQL or MariaDB database", MYSQL),
    (5432, "a PostgreSQL database", &["postgres", "postmaster"]),
    (5672, "the message queue of AMQP", &["beam.smp", "qpidd"]),
    (
        5900,
        "a screen by VNC",
        &[
            "x11vnc",
            "Xvnc",
            "Xtigervnc",
            "vino-server",
            "wayvnc",
            "qemu-system-x86_64",
            "vncserver",
        ],
    ),
    (5984, "a CouchDB database", &["beam.smp"]),
    (6379, "a Redis or Valkey database", REDIS),
    (7001, "the members' port of Cassandra", &["java"]),
    (8086, "an InfluxDB database", &["influxd"]),
    (8500, "the control interface of Consul", &["consul"]),
    (9042, "a Cassandra database", &["java", "scylla"]),
    (9200, "the interface of Elasticsearch or OpenSearch", &["java"]),
    (
        9222,
        "the debugger of Chromium",
        &["chrome", "chromium", "headless_shell", "chrome-headless-shell"],
    ),
    (9229, "the debugger of Node", &["node", "nodejs"]),
    (
        10250,
        "the control interface of a Kubernetes node",
        &["kubelet", "k3s", "k3s-server"],
    ),
    (
        10255,
        "the status interface of a Kubernetes node",
        &["kubelet", "k3s", "k3s-server"],
    ),
    (11211, "a memcached database", &["memcached"]),
    (15672, "the control interface of RabbitMQ", &["beam.smp"]),
    (27017, "a MongoDB database", &["mongod", "mongos"]),
    (28015, "a RethinkDB database", &["rethinkdb"]),
];

/// What the port opens, if it opens more than a service should and the program `name` is one that serves it, or passes on to one.
pub fn control_port(port: u16, name: &[u8]) -> Option<&'static str> {
    let found = CONTROL.iter().find(|(known, ..)| *known == port);
    found
        .filter(|(.., programs)| among(programs, name) || is_proxy(name))
        .map(|(_, what, _)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_do_not_hide_a_program() {
        assert!(is_interpreter(b"python3.11") && is_interpreter(b"perl") && is_interpreter(b"php8.2"));
        assert!(is_shell(b"bash") && is_shell(b"zsh-5.9") && !is_shell(b"bashful"));
        assert!(makes_code(b"luajit-2.1") && makes_code(b"qemu-system-aarch64") && !makes_code(b"sshd"));
        assert!(is_sniffer(b"dhclient") && is_sniffer(b"kea-dhcp4"));
    }

    #[test]
    fn names_of_kernel_threads() {
        for name in [
            "kworker/0:1-events",
            "kworker",
            "kswapd0",
            "ksoftirqd/3",
            "jbd2/sda1-8",
            "rcu_sched",
            "migration/0",
            "irq/24-ACPI",
        ] {
            assert!(is_kernel_thread_name(name.as_bytes()), "{name}");
        }
        for name in [
            "kworkers",
            "bash",
            "cryptominer",
            "netnsd",
            "migrationtool",
            "nfsdcltrack",
            "",
        ] {
            assert!(!is_kernel_thread_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn what_a_command_line_claims() {
        for (word, name) in [
            ("-bash", "bash"),
            ("/usr/sbin/sshd", "sshd"),
            ("nginx: worker process", "nginx"),
            ("sshd", "sshd"),
            ("", ""),
        ] {
            assert_eq!(claimed(word.as_bytes()), name.as_bytes());
        }
    }

    #[test]
    fn near_misses_of_daemons() {
        assert_eq!(nearly_daemon(b"rsyslgod"), Some("rsyslogd"));
        assert_eq!(nearly_daemon(b"systemd-journaldd"), Some("systemd-journald"));
        for name in ["rsyslogd", "sshx", "crond2", "nginx-debug", "chromium"] {
            assert_eq!(nearly_daemon(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn ports_stand_once() {
        for (at, one) in PORTS.iter().enumerate() {
            assert!(
                PORTS[..at]
                    .iter()
                    .all(|other| (other.port, other.udp) != (one.port, one.udp)),
                "{one:?}"
            );
        }
        assert_eq!(port_use(22, false).map(|known| known.service), Some("SSH"));
        assert_eq!(port_use(22, true), None);
        assert!(control_port(6379, b"redis-server").is_some() && control_port(6379, b"docker-proxy").is_some());
        assert!(control_port(6379, b"httpd-like").is_none() && control_port(443, b"redis-server").is_none());
    }
}
