//! The texts of the manual page that no definition has, in the layout of the help: paragraphs, and entries indented by
//! two columns.

use crate::args::HELP_EXAMPLES as EXAMPLES;

/// What the program does.
pub(super) const DESCRIPTION: &str = "\
netstat lists the connections, listening ports and statistics of this computer, and the program behind each of them. \
It takes the switches that people know from Windows and the Linux habit -tulpn, and prints the classic layout.

Without a switch it lists TCP connections that are not LISTENING, with names of hosts and services. -a adds the \
listening ones and UDP; -n prints numbers and sends no query to a name server.

An owner that is not known is printed as - and never guessed; a line on stderr says why it is not known. Data goes to \
stdout, everything else to stderr.
";

/// How clusters of letters are read.
pub(super) const SWITCHES: &str = "\
Long options begin with two dashes, in any case of letter, their value after a space or an equals sign. The letters are \
read as netstat has always been typed:
  -ano
      Letters stand together or apart, in any order and any case, with a dash or a slash: -ano, -ONA, -a -n -o and \
/a /n /o are the same.
  -p tcp, -anp tcp, -p=tcp, -ptcp
      The p takes the name of a protocol, after it or in the next word. TCP and UDP mean IPv4 only and TCPv6 and UDPv6 \
IPv6 only, as on Windows; -t and -u take both families.
  -tulpn
      A p that is followed by another letter, or that ends a cluster with a t, u or l in it and no protocol's name after \
it, means PID and program in a last column, as on Linux (--programs).
  5
      A number anywhere on the line is an interval in whole seconds: print again until Ctrl+C, or as often as --count says.

-e, -s, -r and -c print their own tables, in this order, and the connection list follows if a switch of the list or a \
filter asks for it. -n wins over -f, and -a over -l. A mistake is told in one line that names the wrong word.
";

/// The text before the list of columns.
pub(super) const COLUMNS: &str = "\
The names that --columns, --sort and --group take, and that CSV and JSON have for their fields. A column is read only if it \
is asked for.
";

/// The exit status.
pub(super) const STATUS: &str = "  0
      All that was asked for has been printed. Also when the reader of the output went away early, as head does.
  1
      The system could not be read, or the output could not be written.
  2
      A mistake in the words that were typed.
";

const PRIVILEGE: &str = "\
Without privilege every socket is listed, and the owners of your own. To see the owners of all, run it with sudo, or allow \
it once with setcap(8): cap_sys_ptrace,cap_dac_read_search+ep is enough; with cap_bpf,cap_perfmon beside them the quicker \
way through the kernel's iterator over descriptors is open as well. Every user who may run the program then sees what root \
sees.
";

const ENVIRONMENT: &str = "  NO_COLOR
      When it is set and not empty, nothing is coloured unless --color always asks for it.
  TERM
      dumb means a terminal without colours.
  TZ
      The time zone of times of day in tables. JSON and CSV have UTC.
";

const FILES: &str = "\
Most is read from the kernel through netlink sockets. Further files:
  /proc/PID/fd, /proc/PID/cgroup, ...
      Which process holds which socket, and where it runs.
  /proc/net/snmp, /proc/net/snmp6, /proc/net/netstat, /proc/net/dev
      The counters of -s and -e.
  /proc/net/tcp, /proc/net/tcp6, /proc/net/udp, /proc/net/udp6
      Sockets, where netlink is refused.
  /proc/PID/ns/net, /run/netns
      The network namespaces of --all-namespaces.
  /etc/services
      Names of services; those that it does not name come from a table within the program.
  /etc/iproute2/rt_tables
      Names of routing tables.
";

const NOTES: &str = "\
No look-up of names happens with -n, and none but those of the addresses that are printed without it. Nothing else ever \
leaves the computer.
";

/// The sections after the options, in order.
pub(super) const REST: [(&str, &str); 6] = [
    ("PRIVILEGE", PRIVILEGE),
    ("EXIT STATUS", STATUS),
    ("ENVIRONMENT", ENVIRONMENT),
    ("FILES", FILES),
    ("EXAMPLES", EXAMPLES),
    ("NOTES", NOTES),
];

/// Related pages with their manual sections.
pub(super) const SEE_ALSO: [(&str, &str); 5] = [
    ("ss", "8"),
    ("ip", "8"),
    ("lsof", "8"),
    ("proc", "5"),
    ("sock_diag", "7"),
];
