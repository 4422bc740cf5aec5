//! A recorder with made-up flows, for the tests of delivery: it may be killed at any moment and is started again.
//!
//! `agent STORE ADDRESS HOST FLOWS [jumps]` writes flows until the record STORE has FLOWS of them, sends them, and ends with status 0 once
//! the engine has acknowledged all. With `jumps` its clock is wrong by days now and then.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, SystemTime};

use netstat_fleet::{Client, Detail, Encoder, FleetConfig, Sender, Shipping, host_id};
use netstat_model::{Direction, EventOrigin, Fact, Family, Protocol, State, Why};
use netstat_record::{NewFlow, NewProcess, Writer, millis};

/// Flows in one transaction.
const BATCH: u64 = 200;
const BOOT: &str = "00000000-0000-4000-8000-000000000001";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [store, address, host, flows, more @ ..] = &words[..] else {
        return Err("usage: agent STORE ADDRESS HOST FLOWS [jumps]".into());
    };
    let flows: u64 = flows.parse()?;
    let config = match std::env::var_os("AGENT_CONFIG") {
        Some(path) => FleetConfig::read(Path::new(&path))?,
        None => FleetConfig::default(),
    };
    let client = Client::new(&address.parse()?, &config)?;
    let mut writer = Writer::open(Path::new(store), host.as_bytes(), BOOT)?;
    writer.begin_shipping()?;
    let shipping = Shipping {
        encoder: Encoder {
            host_id: host_id(host),
            host: host.clone().into_bytes(),
            detail: Detail::Flows,
        },
        boot: BOOT.to_owned(),
        interval: Duration::from_millis(300),
        spool_bytes: 256_000_000,
    };
    let mut sender = Sender::start(client, shipping)?;
    let jumps = more.iter().any(|word| word == "jumps");
    let mut open: Vec<(i64, NewFlow)> = Vec::new();
    loop {
        let written = writer.spool()?; // Also proves that counting works beside writing.
        let count = count(&mut writer)?;
        if count < flows {
            let mut batch = writer.batch()?;
            let now = millis(SystemTime::now());
            for at in count..(count + BATCH).min(flows) {
                let skew = if jumps {
                    (at as i64 / 1_000 % 7 - 3) * 40 * 86_400_000
                } else {
                    0
                };
                let mut flow = made_up(at, now + skew);
                let number = program(at);
                flow.process = Some(batch.process(1_000 + number, Some(7), &described(number))?);
                let row = batch.insert(&flow, None)?;
                if !flow.closed {
                    open.push((row, flow));
                }
            }
            // What was open ends in a later batch: a second revision.
            for (row, mut flow) in open.drain(..open.len() / 2) {
                (flow.closed, flow.span) = (true, flow.span + 500);
                batch.update(row, &flow, None)?;
            }
            batch.commit()?;
        }
        for report in sender.turn(&mut writer, millis(SystemTime::now()))? {
            eprintln!("agent: {}", report.0);
        }
        if count >= flows && written.rows + written.unsent == 0 && sender.is_idle() {
            sender.finish(&mut writer, Duration::from_secs(5))?;
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How many flows the record has: they are numbered from 1, and none is removed.
fn count(writer: &mut Writer) -> Result<u64, Box<dyn std::error::Error>> {
    let reader = netstat_record::Reader::open(writer.path())?;
    Ok(reader.count()?)
}

fn program(at: u64) -> u32 {
    (at * 7_919 % 50) as u32
}

fn described(number: u32) -> NewProcess {
    NewProcess {
        path: Some(format!("/usr/bin/prog-{number}").into_bytes()),
        name: format!("prog-{number}").into_bytes(),
        unit: Some(format!("prog-{number}.service").into_bytes()),
        ..NewProcess::default()
    }
}

fn made_up(at: u64, now: i64) -> NewFlow {
    let mixed = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let v6 = at.is_multiple_of(5);
    let address = |low: u64| -> IpAddr {
        match v6 {
            true => Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(low)).into(),
            false => Ipv4Addr::from_bits(0x0a00_0000 | (low as u32 & 0x00ff_ffff)).into(),
        }
    };
    NewFlow {
        first: now,
        span: mixed >> 50,
        closed: !at.is_multiple_of(10),
        begun: true,
        protocol: if at.is_multiple_of(8) {
            Protocol::Udp
        } else {
            Protocol::Tcp
        },
        family: if v6 { Family::V6 } else { Family::V4 },
        local: (address(1), 32_768 + (mixed >> 52) as u16),
        foreign: (address(mixed >> 44), 443),
        direction: Direction::Outgoing,
        state: State::Established,
        origin: EventOrigin::Trace,
        process: None,
        user: Fact::Known(1_000),
        namespace: Fact::Known(0xf000_0001),
        sent: Fact::Known(mixed >> 48),
        received: Fact::Known(mixed >> 46),
        retransmits: Fact::Unknown(Why::NotKept),
        rtt: Fact::Known(1_000),
        asked_name: None,
    }
}
