//! The arguments as typed, one field per option. This is the only definition of the options.

use std::ffi::OsString;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches, Parser};

use netstat_model::Filter;
use netstat_model::columns::{Column, Sockets};

use super::error::UsageError;
use super::filter::{FILTERS, FilterArgs};
use crate::output::rows::csv::CsvStyle;

use super::shape::{self, ColorChoice, ColumnList, SortKey};
use super::token::Token;
use super::values::{self, NumberList, OwnerMethod, ProtocolName, WordList};

/// The headings of the help, in order.
pub(super) const HEADINGS: [&str; 9] = [
    CONNECTIONS,
    FILTERS,
    SHOW,
    FORMAT,
    OWNERS,
    NAMES,
    FIGURES,
    REPEATING,
    OTHER,
];

const CONNECTIONS: &str = "Which connections";
const SHOW: &str = "What to show of each";
const FORMAT: &str = "Order and format";
const OWNERS: &str = "Owners";
const NAMES: &str = "Names";
const FIGURES: &str = "Statistics and routes";
const REPEATING: &str = "Repeating";
const OTHER: &str = "Other";

/// The options of one command line as they were typed. The comment of a field is the option's help text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Parser)]
#[command(
    name = "netstat",
    version,
    about = "Who this computer talks to, and which program it is",
    args_override_self = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub(super) struct RawArgs {
    /// all TCP rows, LISTENING included, then UDP
    #[arg(short = 'a', long, help_heading = CONNECTIONS)]
    pub(super) all: bool,
    /// as -a, and BOUND: TCP ports that neither listen nor connect
    #[arg(short = 'q', long, help_heading = CONNECTIONS)]
    pub(super) bound: bool,
    /// only LISTENING; of UDP, sockets without a peer; -a wins over it
    #[arg(short = 'l', long, help_heading = CONNECTIONS)]
    pub(super) listen: bool,
    /// TCP of both families: -p TCP and -p TCPv6
    #[arg(short = 't', long, help_heading = CONNECTIONS)]
    pub(super) tcp: bool,
    /// UDP of both families: -p UDP and -p UDPv6
    #[arg(short = 'u', long, help_heading = CONNECTIONS)]
    pub(super) udp: bool,
    /// RAW of both families, those of ping too: -p RAW and -p RAWv6
    #[arg(short = 'w', long, help_heading = CONNECTIONS)]
    pub(super) raw: bool,
    /// sockets within this computer: -p UNIX
    #[arg(short = 'x', long, help_heading = CONNECTIONS)]
    pub(super) unix: bool,
    /// only IPv4; with -s and -r too
    #[arg(short = '4', long, help_heading = CONNECTIONS)]
    pub(super) ipv4: bool,
    /// only IPv6; with -s and -r too
    #[arg(short = '6', long, help_heading = CONNECTIONS)]
    pub(super) ipv6: bool,
    /// only this protocol: TCP and UDP (IPv4 only!), TCPv6, UDPv6; with -s also IP, IPv6, ICMP, ICMPv6; several -p add up
    #[arg(short = 'p', long = "protocol", value_name = "NAME", value_enum, ignore_case = true, help_heading = CONNECTIONS)]
    pub(super) protocols: Vec<ProtocolName>,
    /// every network namespace that can be entered, each once
    #[arg(long, help_heading = CONNECTIONS)]
    pub(super) all_namespaces: bool,
    #[command(flatten)]
    pub(super) filter: FilterArgs,

    /// only rows whose foreign address is in these autonomous systems, by number: 13335,AS64500 (--mmdb)
    #[arg(long = "as", value_name = "LIST", value_parser = values::systems, help_heading = super::filter::FILTERS)]
    pub(super) systems: Option<NumberList>,
    /// only rows whose foreign address is in these countries, by code: DE,US (--mmdb)
    #[arg(long, value_name = "LIST", value_parser = values::countries, help_heading = super::filter::FILTERS)]
    pub(super) country: Option<WordList>,

    /// DSCP value of each connection
    #[arg(short = 'd', long, help_heading = SHOW)]
    pub(super) dscp: bool,
    /// milliseconds a TCP connection has been in its state
    #[arg(short = 'i', long, help_heading = SHOW)]
    pub(super) time_in_state: bool,
    /// one line per socket with the most useful columns: protocol, addresses, state, PID, program, user, unit, queues
    #[arg(long, help_heading = SHOW)]
    pub(super) wide: bool,
    /// sockets under the processes that hold them, and these under their parents
    #[arg(long, help_heading = SHOW)]
    pub(super) tree: bool,
    /// these columns, by name; "help" lists them all with meaning and unit
    #[arg(long, value_name = "LIST", value_parser = shape::columns_of::<Sockets>, help_heading = SHOW)]
    pub(super) columns: Option<ColumnList<Sockets>>,

    /// sort by these columns; prefix with - for descending: -rtt,foreign
    #[arg(long, value_name = "LIST", value_parser = Sorting::read, allow_hyphen_values = true, help_heading = FORMAT)]
    pub(super) sort: Option<Sorting>,
    /// only the first N rows
    #[arg(long, value_name = "N", value_parser = shape::top, help_heading = FORMAT)]
    pub(super) top: Option<usize>,
    /// group by these columns and count rows
    #[arg(long, value_name = "LIST", value_parser = Grouping::read, help_heading = FORMAT)]
    pub(super) group: Option<Grouping>,
    /// one JSON document: rows, host, time, and what could not be seen
    #[arg(long, help_heading = FORMAT)]
    pub(super) json: bool,
    /// one JSON object per row
    #[arg(long, help_heading = FORMAT)]
    pub(super) ndjson: bool,
    /// comma-separated values; safe: no text that a spreadsheet would calculate
    #[arg(long, value_name = "STYLE", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "plain", help_heading = FORMAT)]
    pub(super) csv: Option<CsvStyle>,
    /// colours: auto (on a terminal, unless NO_COLOR is set), always or never
    #[arg(long, value_name = "WHEN", value_enum, ignore_case = true, hide_possible_values = true, help_heading = FORMAT)]
    pub(super) color: Option<ColorChoice>,

    /// process id of the owner
    #[arg(short = 'o', long, help_heading = OWNERS)]
    pub(super) pids: bool,
    /// under each row the service or container, and the program file
    #[arg(short = 'b', long, help_heading = OWNERS)]
    pub(super) executables: bool,
    /// PID and program at the end of each row; the p of -tulpn
    #[arg(long, help_heading = OWNERS)]
    pub(super) programs: bool,
    /// processes, sorted by the number of TCP and UDP ports they hold
    #[arg(short = 'c', long, help_heading = OWNERS)]
    pub(super) processes: bool,
    /// how owners are found: auto, ebpf (an iterator in the kernel) or proc (a walk over /proc)
    #[arg(long, value_name = "HOW", value_enum, ignore_case = true, hide_possible_values = true, help_heading = OWNERS)]
    pub(super) owners: Option<OwnerMethod>,

    /// numbers only, no lookups; wins over -f
    #[arg(short = 'n', long, help_heading = NAMES)]
    pub(super) numeric: bool,
    /// full names of foreign addresses, not only the first label
    #[arg(short = 'f', long, help_heading = NAMES)]
    pub(super) full_names: bool,
    /// give up on name lookups after this time (default 2s); the rest stay numbers
    #[arg(long, value_name = "TIME", value_parser = values::timeout, help_heading = NAMES)]
    pub(super) dns_timeout: Option<Duration>,

    /// database in the MaxMind DB format for countries and autonomous systems; may be repeated [default: those at the usual places]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, help_heading = NAMES)]
    pub(super) mmdb: Vec<PathBuf>,

    /// interface statistics
    #[arg(short = 'e', long, help_heading = FIGURES)]
    pub(super) ethernet: bool,
    /// with -e: one block for each interface
    #[arg(long, help_heading = FIGURES)]
    pub(super) per_interface: bool,
    /// statistics by protocol; -p, -t and -u choose blocks
    #[arg(short = 's', long, help_heading = FIGURES)]
    pub(super) statistics: bool,
    /// with -s --verbose: counters that are 0 too
    #[arg(long, help_heading = FIGURES)]
    pub(super) zeros: bool,
    /// with -s, -e or --wide and an INTERVAL: the change per second; with --wide bytes sent and received
    #[arg(long, help_heading = FIGURES)]
    pub(super) rates: bool,
    /// routing table
    #[arg(short = 'r', long, help_heading = FIGURES)]
    pub(super) routes: bool,
    /// multicast groups that interfaces have joined
    #[arg(short = 'g', long, help_heading = FIGURES)]
    pub(super) groups: bool,
    /// with -r: this routing table (name or number), or all
    #[arg(long, value_name = "NAME", value_parser = values::table, help_heading = FIGURES)]
    pub(super) table: Option<String>,
    /// with -r: which way a packet to this address takes, and the rule, table, route and interface that decide it
    #[arg(long, value_name = "ADDRESS", value_parser = values::address, help_heading = FIGURES)]
    pub(super) to: Option<IpAddr>,
    /// with --to: a packet from this source address
    #[arg(long, value_name = "ADDRESS", value_parser = values::address, help_heading = FIGURES)]
    pub(super) from: Option<IpAddr>,
    /// with --to: a packet with this mark (SO_MARK), as 51820 or 0xca6c
    #[arg(long, value_name = "N", value_parser = values::mark, help_heading = FIGURES)]
    pub(super) mark: Option<u32>,
    /// with --to: a packet that this user number sends [default: you]
    #[arg(long, value_name = "N", value_parser = values::uid, help_heading = FIGURES)]
    pub(super) uid: Option<u32>,

    /// print again at this interval (5, 5s, 1m30s) until Ctrl+C
    #[arg(value_name = "INTERVAL", value_parser = values::interval, help_heading = REPEATING)]
    pub(super) interval: Option<u32>,
    /// print N times, then exit
    #[arg(long, value_name = "N", value_parser = values::count, help_heading = REPEATING)]
    pub(super) count: Option<NonZeroU64>,
    /// with an INTERVAL on a terminal: print each list below the last one, instead of in its place
    #[arg(long, help_heading = REPEATING)]
    pub(super) scroll: bool,
    /// with an INTERVAL: only what opened (+), closed (-) or changed its state (~)
    #[arg(long, help_heading = REPEATING)]
    pub(super) changes: bool,
    /// connections and ports as they open and close, until Ctrl+C; also with --ndjson
    #[arg(long, help_heading = REPEATING)]
    pub(super) follow: bool,
    /// wait until a row matches this filter, print it and exit: "--listening --port 8080"; with --follow all rows until then
    #[arg(long, value_name = "FILTER", value_parser = values::filter, allow_hyphen_values = true, help_heading = REPEATING)]
    pub(super) until: Option<Filter>,
    /// with --until or --follow: exit after this time, with status 1 if --until has not matched
    #[arg(long, value_name = "TIME", value_parser = values::timeout, help_heading = REPEATING)]
    pub(super) timeout: Option<Duration>,

    /// with -s every further counter, with -e errors and discards by kind; always, on stderr, how owners were found
    #[arg(long, help_heading = OTHER)]
    pub(super) verbose: bool,
    /// apply the default switches and aliases of ~/.config/netstat/config.toml and NETSTAT_OPTIONS where stdout is no terminal, too
    #[arg(long, help_heading = OTHER, conflicts_with = "no_defaults")]
    pub(super) defaults: bool,
    /// leave them out on a terminal, too
    #[arg(long, help_heading = OTHER)]
    pub(super) no_defaults: bool,
    /// answer from this snapshot (netstat snapshot) instead of this computer
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, help_heading = OTHER)]
    pub(super) replay: Option<PathBuf>,
}

/// The value of `--sort`: a single value to `clap`, although it is a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sorting(pub(super) Vec<SortKey<Sockets>>);

impl Sorting {
    fn read(list: &str) -> Result<Self, String> {
        shape::sort_of(list).map(Sorting)
    }
}

/// The value of `--group`: a single value to `clap`, although it is a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grouping(pub(super) Vec<&'static Column<Sockets>>);

impl Grouping {
    fn read(list: &str) -> Result<Self, String> {
        shape::group_of(list).map(Grouping)
    }
}

/// Returns the definition of all options, from which the completions and the manual page are generated.
pub fn command() -> Command {
    RawArgs::command()
        .arg(
            Arg::new("help")
                .short('h')
                .visible_short_alias('?')
                .long("help")
                .action(ArgAction::Help)
                .help_heading(OTHER)
                .help("-h and -? are short, --help is complete"),
        )
        .arg(
            Arg::new("version")
                .short('V')
                .long("version")
                .action(ArgAction::Version)
                .help_heading(OTHER)
                .help("the version"),
        )
}

impl RawArgs {
    /// Reads a command line that consists of classic words only. `None` if a long option requires `clap`.
    pub(super) fn without_clap(tokens: &[Token]) -> Option<RawArgs> {
        let mut raw = RawArgs::default();
        for token in tokens {
            match token {
                Token::Letter(letter) => *raw.flag(*letter)? = true,
                Token::Programs => raw.programs = true,
                Token::Protocol(protocol) => raw.protocols.push(*protocol),
                Token::Interval(seconds) => raw.interval = Some(*seconds),
                Token::Long { .. } => return None,
            }
        }
        Some(raw)
    }

    /// Reads the same tokens with `clap`, which supports the long options, too.
    pub(super) fn through_clap(tokens: &[Token], command: Command) -> Result<RawArgs, UsageError> {
        let words = tokens.iter().map(|token| {
            OsString::from(match token {
                Token::Letter(letter) => format!("-{letter}"),
                Token::Programs => "--programs".to_owned(),
                Token::Protocol(protocol) => format!("--protocol={}", protocol.name()),
                Token::Interval(seconds) => seconds.to_string(),
                Token::Long { name, value: None } => format!("--{name}"),
                Token::Long {
                    name,
                    value: Some(value),
                } => format!("--{name}={value}"),
            })
        });
        command
            .no_binary_name(true)
            .try_get_matches_from(words)
            .and_then(|matches| RawArgs::from_arg_matches(&matches))
            .map_err(|error| UsageError::from_clap(&error))
    }

    /// Returns the field of a switch letter that takes no value; `None` for any other letter.
    fn flag(&mut self, letter: char) -> Option<&mut bool> {
        Some(match letter {
            'a' => &mut self.all,
            'b' => &mut self.executables,
            'c' => &mut self.processes,
            'd' => &mut self.dscp,
            'e' => &mut self.ethernet,
            'f' => &mut self.full_names,
            'g' => &mut self.groups,
            'i' => &mut self.time_in_state,
            'l' => &mut self.listen,
            'n' => &mut self.numeric,
            'o' => &mut self.pids,
            'q' => &mut self.bound,
            'r' => &mut self.routes,
            's' => &mut self.statistics,
            't' => &mut self.tcp,
            'u' => &mut self.udp,
            'w' => &mut self.raw,
            'x' => &mut self.unix,
            '4' => &mut self.ipv4,
            '6' => &mut self.ipv6,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::LETTERS;
    use super::*;
    use proptest::prelude::*;

    fn long(name: &str, value: Option<&str>) -> Token {
        Token::Long {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        }
    }

    fn typed(name: &str, value: Option<&str>) -> Result<RawArgs, String> {
        RawArgs::through_clap(&[long(name, value)], command()).map_err(|error| error.to_string())
    }

    #[test]
    fn command_definition_passes_the_checks_of_clap() {
        command().debug_assert();
    }

    #[test]
    fn known_letters_are_those_of_the_definition() {
        let mut defined: Vec<char> = command()
            .get_arguments()
            .filter_map(Arg::get_short)
            .filter(|c| *c != 'V')
            .collect();
        defined.sort_unstable();
        assert_eq!(defined.into_iter().collect::<String>(), LETTERS);
    }

    #[test]
    fn every_option_has_long_name_heading_and_help() {
        for arg in command().get_arguments() {
            assert!(arg.get_long().is_some() || arg.is_positional(), "{arg}");
            assert!(HEADINGS.contains(&arg.get_help_heading().unwrap()), "{arg}");
            assert!(arg.get_help().is_some(), "{arg}");
        }
    }

    #[test]
    fn long_option_values_are_parsed_into_their_types() {
        assert_eq!(typed("count", Some("3")).unwrap().count, NonZeroU64::new(3));
        assert_eq!(
            typed("dns-timeout", Some("0.5")).unwrap().dns_timeout,
            Some(Duration::from_millis(500))
        );
        assert_eq!(typed("owners", Some("PROC")).unwrap().owners, Some(OwnerMethod::Proc));
        assert_eq!(typed("table", Some("-x")).unwrap().table.as_deref(), Some("-x"));
        assert_eq!(
            typed("protocol", Some("icmpV6")).unwrap().protocols,
            [ProtocolName::IcmpV6]
        );
    }

    #[test]
    fn repeated_filters_are_combined() {
        let tokens = [
            long("state", Some("listening")),
            long("port", Some("443,8000-8010")),
            long("state", Some("TIME-WAIT,BOUND")),
        ];
        let raw = RawArgs::through_clap(&tokens, command()).unwrap();
        let filter = raw.filter.filter().to_string();
        assert_eq!(filter, "--state LISTENING,TIME_WAIT,BOUND --port 443,8000-8010");
    }

    #[test]
    fn wrong_value_of_long_option_gives_one_line_error() {
        for (name, value, error) in [
            ("count", "0", "--count \"0\" is not a whole number of 1 or more"),
            ("count", "", "--count \"\" is not a whole number of 1 or more"),
            (
                "dns-timeout",
                "-1",
                "--dns-timeout \"-1\" is not a duration from 1ms to 3600s; for example: 5, 5s or 1m30s",
            ),
            ("owners", "bpf", "--owners \"bpf\" is not one of auto, ebpf, proc"),
            ("owners", "", "--owners \"\" is not one of auto, ebpf, proc"),
            (
                "table",
                "",
                "--table \"\" is not the name or number of a routing table, nor \"all\"",
            ),
            (
                "owners",
                "a\n\x1b[2J",
                "--owners \"a\\n\\e[2J\" is not one of auto, ebpf, proc",
            ),
            (
                "state",
                "LISTN",
                "--state \"LISTN\" is no state; did you mean LISTENING? For example: --state LISTENING,TIME_WAIT",
            ),
            (
                "state",
                "listen,x",
                "--state \"listen,x\" holds \"x\", which is no state; for example: --state LISTENING,TIME_WAIT",
            ),
            (
                "port",
                "http",
                "--port \"http\" is no port and no range of ports; for example: --port 443,8000-8010",
            ),
            (
                "port",
                "80,70000",
                "--port \"80,70000\" holds \"70000\", which is no port from 1 to 65535; for example: --port 443,8000-8010",
            ),
            (
                "port",
                "",
                "--port \"\" is no port and no range of ports; for example: --port 443,8000-8010",
            ),
        ] {
            assert_eq!(typed(name, Some(value)), Err(error.to_owned()));
        }
    }

    #[test]
    fn malformed_token_gives_one_line_error() {
        for token in [
            long("count", None),
            long("all", Some("x")),
            long("nonsense", None),
            long("help", None),
        ] {
            let error = RawArgs::through_clap(&[token], command()).unwrap_err().to_string();
            assert!(!error.is_empty() && !error.contains('\n'), "{error:?}");
        }
    }

    /// Generates any classic token, and the flags among the long options.
    fn classic_token() -> impl Strategy<Value = Token> {
        prop_oneof![
            proptest::sample::select(LETTERS.chars().filter(|c| !"hp".contains(*c)).collect::<Vec<_>>())
                .prop_map(Token::Letter),
            Just(Token::Programs),
            proptest::sample::select(ProtocolName::ALL.to_vec()).prop_map(Token::Protocol),
        ]
    }

    proptest! {
        /// Both ways read every classic command line in the same way.
        #[test]
        fn arguments_parsed_with_and_without_clap_are_equal(
            mut tokens in proptest::collection::vec(classic_token(), 0..12),
            interval in proptest::option::of((1..=values::INTERVAL_MAX, any::<proptest::sample::Index>())),
        ) {
            if let Some((seconds, at)) = interval {
                tokens.insert(at.index(tokens.len() + 1), Token::Interval(seconds));
            }
            let short = RawArgs::without_clap(&tokens).unwrap();
            prop_assert_eq!(RawArgs::through_clap(&tokens, command()).unwrap(), short);
        }
    }
}
