//! Well-known ports: the programs that serve them, and what they give access to.

use super::{among, is_proxy};

/// The usual use of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortUse {
    /// The port number.
    pub port: u16,
    /// Whether the protocol is UDP; otherwise TCP.
    pub udp: bool,
    /// The service.
    pub service: &'static str,
    /// The file names of the programs that serve it.
    pub programs: &'static [&'static str],
    /// Whether any program may serve it, as is the case with HTTP.
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

/// Well-known ports and their servers. Service names are from the IANA registry, programs from the documentation of
/// each.
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

/// Returns the usual use of the port; `None` for most ports.
pub fn port_use(port: u16, udp: bool) -> Option<&'static PortUse> {
    PORTS.iter().find(|known| known.port == port && known.udp == udp)
}

/// Ports that give access to data or to the whole computer, with the programs that serve them. Many do so without
/// authentication.
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

/// Returns what the port gives access to, if it is such a port and the program `name` serves it or is a proxy;
/// otherwise `None`.
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
    fn known_ports_are_listed_once_and_matched_by_program() {
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
        assert!(control_port(6379, b"Redis-Server.EXE").is_some() && control_port(6379, b"redis.exe").is_none());
        assert!(control_port(6379, b"httpd-like").is_none() && control_port(443, b"redis-server").is_none());
    }
}
