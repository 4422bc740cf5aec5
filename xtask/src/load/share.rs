//! Divides the load among the workers. The sum of the shares is exactly the requested load.

use anyhow::{Result, ensure};
use clap::Args;

/// The first port of listeners; connections use ports from 15000 on (see [`super::namespace`]).
const FIRST_PORT: u64 = 1100;
/// The number of ports between the two.
const LISTENER_PORTS: u64 = 13_900;
/// The maximum number of IPv6 connections per listening port. They all go to `::1`, so a port cannot serve many more
/// than there are local ports.
const PAIRS_PER_V6_PORT: u64 = 10_000;

/// The load as a whole.
#[derive(Clone, Debug, Args)]
pub(crate) struct Amounts {
    /// TCP sockets, listeners included
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub tcp: u64,
    /// How many of them listen (each process has at least one or two); the others are ends of connections
    #[arg(long, default_value_t = 0, value_name = "L")]
    pub listeners: u64,
    /// Unconnected UDP sockets
    #[arg(long, default_value_t = 0, value_name = "U")]
    pub udp: u64,
    /// Share of IPv6 among the connections, in percent
    #[arg(long, default_value_t = 20, value_name = "PERCENT", value_parser = clap::value_parser!(u64).range(0..=100))]
    pub v6_percent: u64,
    /// Processes that hold the sockets
    #[arg(long, default_value_t = 1, value_name = "P")]
    pub processes: u64,
    /// Plain descriptors (/dev/null, opened each time) in further processes
    #[arg(long, default_value_t = 0, value_name = "D")]
    pub descriptors: u64,
    /// The processes that hold them
    #[arg(long, default_value_t = 0, value_name = "P")]
    pub descriptor_processes: u64,
}

/// What one worker holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub(crate) struct Share {
    /// Connections over IPv4; both ends are held
    #[arg(long, default_value_t = 0)]
    pub pairs_v4: u64,
    /// Connections over IPv6
    #[arg(long, default_value_t = 0)]
    pub pairs_v6: u64,
    /// IPv6 listeners that the IPv6 connections go to
    #[arg(long, default_value_t = 0)]
    pub doors_v6: u64,
    /// Further listeners, which get no connection
    #[arg(long, default_value_t = 0)]
    pub listeners: u64,
    /// UDP sockets
    #[arg(long, default_value_t = 0)]
    pub udp: u64,
    /// Plain descriptors
    #[arg(long, default_value_t = 0)]
    pub descriptors: u64,
    /// The first of this worker's listening ports
    #[arg(long, default_value_t = FIRST_PORT as u16)]
    pub port: u16,
    /// Where this worker begins in the addresses of 127.0.0.0/8
    #[arg(long, default_value_t = 0)]
    pub address: u32,
}

impl Amounts {
    /// Checks that the load can be created.
    pub(super) fn check(&self) -> Result<()> {
        ensure!(
            self.processes > 0 || self.sockets() == 0,
            "--processes must be at least 1"
        );
        ensure!(self.listeners <= self.tcp, "--listeners cannot exceed --tcp");
        ensure!(
            self.descriptors == 0 || self.descriptor_processes > 0,
            "--descriptors needs --descriptor-processes"
        );
        ensure!(
            self.processes <= LISTENER_PORTS / 4,
            "at most {} processes",
            LISTENER_PORTS / 4
        );
        Ok(())
    }

    /// Returns the number of sockets of both protocols.
    pub(crate) fn sockets(&self) -> u64 {
        self.tcp + self.udp
    }

    /// Returns the shares of the workers; those with sockets come first.
    pub(super) fn shares(&self) -> Vec<Share> {
        let ports = LISTENER_PORTS / self.processes.max(1);
        let mut address = 0;
        let sockets = (0..self.processes).map(|worker| {
            let tcp = part(self.tcp, self.processes, worker);
            let mut share = tcp_share(tcp, part(self.listeners, self.processes, worker), self.v6_percent);
            share.udp = part(self.udp, self.processes, worker);
            // By construction, this is within 1100..15000.
            share.port = (FIRST_PORT + worker * ports) as u16;
            share.address = address;
            address = address.wrapping_add((share.pairs_v4 + share.listeners) as u32);
            share
        });
        let mut shares: Vec<Share> = sockets.collect();
        shares.extend((0..self.descriptor_processes).map(|worker| Share {
            descriptors: part(self.descriptors, self.descriptor_processes, worker),
            ..Share {
                port: FIRST_PORT as u16,
                ..Share::default()
            }
        }));
        shares
    }
}

/// Splits `tcp` sockets into connections and about `listeners` listeners.
fn tcp_share(tcp: u64, listeners: u64, v6_percent: u64) -> Share {
    let mut share = Share::default();
    let mut pairs = tcp.saturating_sub(listeners) / 2;
    loop {
        share.pairs_v6 = pairs * v6_percent / 100;
        share.pairs_v4 = pairs - share.pairs_v6;
        share.doors_v6 = share.pairs_v6.div_ceil(PAIRS_PER_V6_PORT);
        let used = 2 * pairs + share.doors();
        if used <= tcp {
            share.listeners = tcp - used;
            return share;
        }
        pairs -= 1;
    }
}

impl Share {
    /// Returns the number of listeners that connections go to.
    fn doors(&self) -> u64 {
        u64::from(self.pairs_v4 > 0) + self.doors_v6
    }

    /// Returns the number of descriptors that this share needs.
    pub(super) fn total(&self) -> u64 {
        2 * (self.pairs_v4 + self.pairs_v6) + self.doors() + self.listeners + self.udp + self.descriptors
    }

    /// Returns the command-line arguments that assign this share to a worker.
    pub(super) fn to_arguments(&self) -> Vec<String> {
        [
            ("pairs-v4", self.pairs_v4),
            ("pairs-v6", self.pairs_v6),
            ("doors-v6", self.doors_v6),
            ("listeners", self.listeners),
            ("udp", self.udp),
            ("descriptors", self.descriptors),
            ("port", self.port.into()),
            ("address", self.address.into()),
        ]
        .map(|(name, value)| format!("--{name}={value}"))
        .to_vec()
    }
}

/// Returns the size of part `index` when `whole` is divided into `parts` nearly equal parts, which add up to `whole`.
fn part(whole: u64, parts: u64, index: u64) -> u64 {
    whole / parts + u64::from(index < whole % parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn shares_add_up_to_amounts_asked_for(
            tcp in 0u64..2_000_000, listeners in 0u64..20_000, udp in 0u64..50_000, v6_percent in 0u64..=100,
            processes in 1u64..2000, descriptors in 0u64..100_000, descriptor_processes in 1u64..50,
        ) {
            let listeners = listeners.min(tcp);
            let amounts = Amounts { tcp, listeners, udp, v6_percent, processes, descriptors, descriptor_processes };
            amounts.check().unwrap();
            let shares = amounts.shares();
            prop_assert_eq!(shares.len() as u64, processes + descriptor_processes);
            prop_assert_eq!(shares.iter().map(Share::total).sum::<u64>(), tcp + udp + descriptors);
            prop_assert_eq!(shares.iter().map(|s| s.udp).sum::<u64>(), udp);
            let all_listeners: u64 = shares.iter().map(|s| s.listeners + s.doors()).sum();
            prop_assert!(all_listeners >= listeners);
            // Beyond the requested number: a listener per family for connections, one more for an odd count, further
            // IPv6 listeners.
            prop_assert!(all_listeners <= listeners + processes * 4 + tcp / PAIRS_PER_V6_PORT);
        }

        #[test]
        fn no_two_workers_share_a_listening_port(tcp in 0u64..2_000_000, v6_percent in 0u64..=100, processes in 1u64..2000) {
            let amounts = Amounts {
                tcp, listeners: 0, udp: 0, v6_percent, processes, descriptors: 0, descriptor_processes: 0,
            };
            let shares = amounts.shares();
            for pair in shares.windows(2) {
                prop_assert!(u64::from(pair[0].port) + pair[0].doors_v6.max(1) <= u64::from(pair[1].port));
            }
            let last = shares.last().unwrap();
            prop_assert!(u64::from(last.port) + last.doors_v6 < FIRST_PORT + LISTENER_PORTS);
        }
    }
}
