//! Which packet filters there are on the way in: nftables over netlink, and the names of the older iptables' tables.

mod chain;

use std::fs;
use std::io;
use std::path::Path;

use netstat_model::packet_filter::PacketFilter;
use netstat_model::{Fact, Why};

use super::counters::why;
use super::netlink::Connection;

pub use chain::parse_chain;

/// `NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN` (linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h).
const GET_CHAIN: u16 = 10 << 8 | 4;

/// `struct nfgenmsg` for all families: `AF_UNSPEC`, `NFNETLINK_V0`, no resource.
const ALL_FAMILIES: [u8; 4] = [0; 4];

/// The filters of the caller's network namespace. `proc` is where the process list is mounted.
pub(super) fn packet_filter(proc: &Path) -> PacketFilter {
    PacketFilter {
        nftables: nftables(),
        iptables: iptables(proc),
    }
}

fn nftables() -> Fact<Vec<netstat_model::packet_filter::Chain>> {
    let mut chains = Vec::new();
    let dumped = Connection::netfilter().and_then(|mut connection| {
        connection.dump(GET_CHAIN, &ALL_FAMILIES, |answer| {
            chains.extend(parse_chain(answer)?);
            Ok(())
        })
    });
    match dumped {
        // An interrupted dump has every chain that was there all the time.
        Ok(_) => {
            chains.sort_by_key(|chain| (chain.hook, chain.priority));
            Fact::Known(chains)
        }
        Err(error) => Fact::Unknown(reason(&error)),
    }
}

/// Why a question about packet filters has no answer: a kernel without them says so in several ways.
fn reason(error: &io::Error) -> Why {
    const NO_PROTOCOL: i32 = rustix::io::Errno::PROTONOSUPPORT.raw_os_error();
    const INVALID: i32 = rustix::io::Errno::INVAL.raw_os_error();
    match error.raw_os_error() {
        Some(NO_PROTOCOL | INVALID) => Why::NotSupported,
        _ => why(error),
    }
}

/// The tables of the older iptables in use, for IPv4 and IPv6. Their files are there once the kernel's part is loaded.
fn iptables(proc: &Path) -> Fact<Vec<Vec<u8>>> {
    let mut tables = Vec::new();
    for name in ["net/ip_tables_names", "net/ip6_tables_names"] {
        match fs::read(proc.join(name)) {
            Ok(text) => {
                let names = text.split(|&byte| byte == b'\n').filter(|name| !name.is_empty());
                tables.extend(names.map(<[u8]>::to_vec));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Fact::Unknown(why(&error)),
        }
    }
    tables.sort_unstable();
    tables.dedup();
    Fact::Known(tables)
}
