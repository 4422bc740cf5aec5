//! The arguments of `netstat record`.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use netstat_os::EventWay;

use crate::args::store::StoreArgs;
use crate::args::units;

/// Keep every connection in a file, short ones too, until Ctrl+C
#[derive(Parser, Debug)]
#[command(
    name = "record",
    after_help = "Query the record with `netstat history`. As root every connection is seen, through the kernel's tracepoints; \
                  as another user those that polling shows, and the end of each.\n\n\
                  As a service that starts with the computer: `sudo systemctl enable --now netstat-record` where a package installed it, \
                  else `sudo netstat record --install-service` (systemd, OpenRC or runit; on Windows from an elevated prompt)."
)]
pub(super) struct RecordArgs {
    #[command(flatten)]
    pub(super) store: StoreArgs,
    /// delete connections that ended longer ago than this: 12h, 30d
    #[arg(long, value_name = "TIME", value_parser = units::positive_duration, default_value = "30d")]
    pub(super) keep: Duration,
    /// delete the oldest connections when the file grows beyond this: 500MB, 2GB
    #[arg(long, value_name = "SIZE", value_parser = units::size, default_value = "2GB")]
    pub(super) max_size: u64,
    /// exit after this time: 10, 10s, 1h30m
    #[arg(long = "for", value_name = "TIME", value_parser = units::positive_duration)]
    pub(super) period: Option<Duration>,
    /// how connections are seen: auto, trace (tracepoints; ETW on Windows), netlink (messages about closed ones, and polling) or poll
    #[arg(
        long,
        value_name = "HOW",
        value_enum,
        ignore_case = true,
        hide_possible_values = true,
        default_value = "auto"
    )]
    pub(super) events: Way,
    /// interval between updates of open connections: 10s, 5m
    #[arg(long, value_name = "TIME", value_parser = units::positive_duration, default_value = "60s")]
    pub(super) heartbeat: Duration,
    /// do not learn the names that programs ask for from DNS answers (as root, or with CAP_NET_RAW)
    #[arg(long)]
    pub(super) no_dns_names: bool,
    /// only this network namespace, not those of containers
    #[arg(long)]
    pub(super) own_namespace: bool,
    #[cfg(feature = "fleet")]
    #[command(flatten)]
    pub(super) ship: super::ship::ShipArgs,
    /// report how connections are seen and what was recorded
    #[arg(long)]
    pub(super) verbose: bool,
    /// examine what listens or connects for the first time, as netstat audit --watch does, and print each new finding
    #[arg(long)]
    pub(super) audit: bool,
    /// with --audit, print findings of this severity and above
    #[arg(long, value_name = "SEVERITY", default_value = "high", value_parser = crate::commands::audit::severity)]
    pub(super) audit_min: netstat_audit::Severity,
    #[command(flatten)]
    pub(super) alerts: crate::commands::audit::alert::AlertArgs,
    /// make the recorder a service that starts with the computer, with the given --keep and --max-size; shows what it will do, and asks
    #[arg(long, help_heading = SERVICE, conflicts_with_all = ["store", "period", "events", "heartbeat", "own_namespace", "no_dns_names"])]
    pub(super) install_service: bool,
    /// remove that service; the record stays
    #[arg(long, help_heading = SERVICE, requires = "install_service")]
    pub(super) uninstall: bool,
    /// only show what would be done
    #[arg(long, help_heading = SERVICE, requires = "install_service")]
    pub(super) dry_run: bool,
    /// do not ask
    #[arg(long, help_heading = SERVICE, requires = "install_service")]
    pub(super) yes: bool,
    /// run under the service control manager of Windows, which gives this when it starts the service
    #[arg(long, hide = true, conflicts_with = "install_service")]
    pub(super) as_service: bool,
}

const SERVICE: &str = "As a service";

impl RecordArgs {
    /// Returns the options that limit the record, as they are typed.
    pub(super) fn limits(&self) -> String {
        #[cfg(feature = "fleet")]
        let ship = self.ship.words();
        #[cfg(not(feature = "fleet"))]
        let ship = "";
        format!(
            "--keep {}s --max-size {}{ship}",
            self.keep.as_secs().max(1),
            size(self.max_size)
        )
    }
}

/// Formats a size in a form that [`units::size`] accepts, rounded down to whole units.
fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1_000_000_000) => format!("{}GB", bytes / 1_000_000_000),
        _ => format!("{}MB", bytes / 1_000_000),
    }
}

/// `--events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Way {
    /// The best that is allowed.
    Auto,
    /// Tracepoints.
    Trace,
    /// Netlink and polling.
    Netlink,
    /// Polling.
    Poll,
}

impl From<Way> for EventWay {
    fn from(way: Way) -> EventWay {
        match way {
            Way::Auto => EventWay::Auto,
            Way::Trace => EventWay::Trace,
            Way::Netlink => EventWay::Netlink,
            Way::Poll => EventWay::Poll,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_limits_are_read_back_as_printed() {
        for (words, limits) in [
            (&["record"][..], "--keep 2592000s --max-size 2GB"),
            (
                &["record", "--keep", "7d", "--max-size", "1GiB"],
                "--keep 604800s --max-size 1073MB",
            ),
        ] {
            let args = RecordArgs::try_parse_from(words).unwrap();
            assert_eq!(args.limits(), limits);
            let typed: Vec<&str> = ["record"].into_iter().chain(limits.split(' ')).collect();
            assert_eq!(RecordArgs::try_parse_from(typed).unwrap().limits(), limits);
        }
    }
}
