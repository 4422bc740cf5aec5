//! `cargo xtask record-churn`, `record-store` and `record-memory`: measurements of the recorder.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use netstat_model::{
    Direction, Endpoint, Event, EventKind, EventOrigin, EventOwner, Fact, Family, Filter, Moment, Protocol, ShortName,
    State, Transfer, Why,
};
use netstat_record::{NewFlow, NewProcess, ProcessNumber, Question, Reader, Recorder, Writer, millis};

use crate::load::namespace;

/// Makes many short connections, has the recorder record them, and counts them against those that were made.
#[derive(Parser, Debug)]
#[command(name = "record-churn")]
struct Churn {
    /// the netstat program
    #[arg(long, default_value = "target/release/netstat")]
    netstat: PathBuf,
    /// connections per second
    #[arg(long, default_value_t = 10_000)]
    rate: u64,
    /// for so many seconds
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// programs that connect
    #[arg(long, default_value_t = 2)]
    clients: u64,
    /// programs that only keep the processors busy
    #[arg(long, default_value_t = 0)]
    bystanders: u64,
    /// how connections are seen
    #[arg(long, default_value = "auto")]
    events: String,
}

/// The number of addresses to connect to. Each has its own ports, so that none runs out while connections are in
/// TIME_WAIT.
const ADDRESSES: u64 = 32;

/// Processes that are killed on drop.
struct Children(Vec<Child>);

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn role(words: &[String]) -> Result<Child> {
    Command::new(std::env::current_exe()?)
        .arg("record-churn-role")
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting a part of the load")
}

/// Runs the part of a churn that this process is responsible for.
pub(crate) fn play() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let words: Vec<String> = std::env::args().skip(2).collect();
    match words.first().map(String::as_str) {
        Some("busy") => loop {
            std::hint::spin_loop();
        },
        Some("server") => {
            let listener = TcpListener::bind("0.0.0.0:0")?;
            println!("{}", listener.local_addr()?.port());
            loop {
                let (mut stream, _) = listener.accept()?;
                let _ = stream.read(&mut [0; 16]);
            }
        }
        Some("client") => {
            let number = |at: usize| -> Result<u64> { Ok(words.get(at).context("a word is missing")?.parse()?) };
            let (port, rate, seconds) = (number(1)? as u16, number(2)?, number(3)?);
            let (mut made, mut failed) = (0u64, 0u64);
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(seconds) {
                let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
                if made + failed >= due {
                    std::thread::sleep(Duration::from_micros(500));
                    continue;
                }
                let host = 1 + made % ADDRESSES;
                let to = SocketAddr::from((Ipv4Addr::new(127, 0, 1, host as u8), port));
                match TcpStream::connect(to) {
                    Ok(mut stream) => {
                        stream.write_all(b"x")?;
                        made += 1;
                    }
                    Err(_) => failed += 1,
                }
            }
            println!("{made} {failed} {}", start.elapsed().as_millis());
            Ok(())
        }
        other => bail!("no role {other:?}"),
    }
}

/// Returns the CPU time of a process in seconds, and its peak resident size in bytes.
fn usage(pid: u32) -> Result<(f64, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("no name in stat")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak: u64 = peak
        .and_then(|rest| rest.trim().split(' ').next())
        .context("no VmHWM")?
        .parse()?;
    Ok((ticks / rustix::param::clock_ticks_per_second() as f64, peak * 1024))
}

/// Runs the churn.
pub(crate) fn churn() -> Result<()> {
    let churn = Churn::parse_from(crate::task_arguments());
    if namespace::is_the_first()? {
        bail!("run it in a network namespace of its own: unshare -n cargo xtask record-churn");
    }
    namespace::prepare()?;
    let folder = std::env::temp_dir().join(format!("record-churn-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let store = folder.join("record.db");
    let result = measure(&churn, &store);
    fs::remove_dir_all(&folder)?;
    result
}

fn measure(churn: &Churn, store: &Path) -> Result<()> {
    let load = fs::read_to_string("/proc/loadavg")?;
    let mut recorder = Command::new(&churn.netstat)
        .args(["record", "--own-namespace", "--verbose"])
        .args(["--events", &churn.events, "--store"])
        .arg(store)
        .spawn()
        .context("starting the recorder")?;
    std::thread::sleep(Duration::from_secs(2));
    let (idle_before, _) = usage(recorder.id())?;
    std::thread::sleep(Duration::from_secs(10));
    let (idle_after, _) = usage(recorder.id())?;
    let mut children = Children(Vec::new());
    for _ in 0..churn.bystanders {
        children.0.push(role(&["busy".into()])?);
    }
    let mut server = role(&["server".into()])?;
    let server_pid = server.id();
    let mut port = String::new();
    {
        use std::io::BufRead;
        let out = server.stdout.as_mut().context("no output")?;
        std::io::BufReader::new(out).read_line(&mut port)?;
    }
    children.0.push(server);
    let (before, _) = usage(recorder.id())?;
    let begun = Instant::now();
    let clients = start_clients(churn, port.trim())?;
    let pids: Vec<u32> = clients.iter().map(Child::id).collect();
    let (mut made, mut failed) = (HashMap::new(), 0);
    for client in clients {
        let pid = client.id();
        let output = client.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        ensure!(numbers.len() == 3, "a client said {text:?}");
        made.insert(pid, numbers[0]);
        failed += numbers[1];
    }
    let taken = begun.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_secs(2));
    let (after, peak) = usage(recorder.id())?;
    // Wait for late events: incoming connections that nobody accepts stay open for some seconds.
    std::thread::sleep(Duration::from_secs(6));
    drop(children);
    let pid = rustix::process::Pid::from_raw(i32::try_from(recorder.id())?).context("no pid")?;
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    ensure!(recorder.wait()?.success(), "the recorder failed");

    let total: u64 = made.values().sum();
    let Counted {
        right,
        wrong,
        ownerless,
        lost,
    } = counted(store, port.trim().parse()?, &pids, server_pid)?;
    let size = fs::metadata(store)?.len();
    println!("machine: load before {}", load.trim());
    println!(
        "made: {total} connections in {taken:.1} s, {:.0} a second; {failed} attempts failed",
        total as f64 / taken
    );
    println!(
        "recorded with the right owner: {} outgoing, {} incoming",
        right[0], right[1]
    );
    println!("wrong owner: {wrong}; no owner: {ownerless}; lost as told: {lost}");
    println!(
        "recorder: {:.1} % of a core under load, {:.2} % idle, {:.1} MB at most; {:.0} bytes a flow on disk",
        100.0 * (after - before) / taken,
        100.0 * (idle_after - idle_before) / 10.0,
        peak as f64 / 1e6,
        size as f64 / (2 * total).max(1) as f64,
    );
    Ok(())
}

fn start_clients(churn: &Churn, port: &str) -> Result<Vec<Child>> {
    let mut clients = Vec::new();
    for _ in 0..churn.clients {
        let words = [
            "client".into(),
            port.into(),
            (churn.rate / churn.clients).to_string(),
            churn.seconds.to_string(),
        ];
        clients.push(role(&words)?);
    }
    Ok(clients)
}

/// The number of flows of the churn in the record.
#[derive(Default)]
struct Counted {
    /// Flows with the right owner: outgoing, incoming.
    right: [u64; 2],
    wrong: u64,
    ownerless: u64,
    /// Lost events, as reported in the record itself.
    lost: u64,
}

fn counted(store: &Path, port: u16, clients: &[u32], server: u32) -> Result<Counted> {
    let mut reader = Reader::open(store)?;
    let mut counted = Counted::default();
    reader.flows(&Question::default(), &mut |flow| {
        let outgoing = flow.foreign.1 == port;
        if flow.direction == Direction::Listening || !(outgoing || flow.local.1 == port) {
            return ControlFlow::Continue(());
        }
        match flow.process.as_ref().map(|process| process.pid) {
            None => counted.ownerless += 1,
            Some(pid) if outgoing && clients.contains(&pid) => counted.right[0] += 1,
            Some(pid) if !outgoing && pid == server => counted.right[1] += 1,
            Some(_) => counted.wrong += 1,
        }
        ControlFlow::Continue(())
    })?;
    counted.lost = reader.gaps(None, None)?.iter().filter_map(|gap| gap.lost).sum();
    Ok(counted)
}

/// Fills a store with made-up flows, and asks it.
#[derive(Parser, Debug)]
#[command(name = "record-store")]
struct Store {
    /// how many flows, spread evenly over 30 days
    #[arg(long, default_value_t = 10_000_000)]
    flows: u64,
    /// the file; must not exist
    #[arg(long)]
    store: PathBuf,
    /// the netstat program
    #[arg(long, default_value = "target/release/netstat")]
    netstat: PathBuf,
}

/// A deterministic pseudorandom number generator.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    /// Returns mostly small numbers, as some addresses and programs are far more common than others.
    fn skewed(&mut self, below: u64) -> u64 {
        let one = self.next(below);
        let two = self.next(below);
        one * two / below.max(1) * self.next(below) / below.max(1)
    }
}

/// Creates a flow with typical values; `first` is when it began.
fn made_up(random: &mut Random, process: Option<ProcessNumber>, first: i64) -> NewFlow {
    let outgoing = random.next(3) > 0;
    // 200,000 foreign addresses, some of which are far more common.
    let host = random.skewed(200_000) as u32;
    let foreign = IpAddr::from(Ipv4Addr::from_bits(0x0b00_0000 + host * 61));
    let high = 32_768 + random.next(28_000) as u16;
    let service = [443, 443, 443, 80, 53, 22][random.next(6) as usize];
    let (local_port, foreign_port) = if outgoing { (high, service) } else { (service, high) };
    NewFlow {
        first,
        span: random.skewed(200_000),
        closed: true,
        begun: true,
        protocol: if service == 53 { Protocol::Udp } else { Protocol::Tcp },
        family: Family::V4,
        local: (IpAddr::from([10, 0, 0, 7]), local_port),
        foreign: (foreign, foreign_port),
        direction: if outgoing {
            Direction::Outgoing
        } else {
            Direction::Incoming
        },
        state: State::FinWait2,
        origin: EventOrigin::Trace,
        process,
        user: Fact::Known(1000),
        namespace: Fact::Known(4_026_531_840),
        sent: Fact::Known(random.skewed(100_000)),
        received: Fact::Known(random.skewed(5_000_000)),
        retransmits: Fact::Known(0),
        rtt: Fact::Known(random.next(80_000) as u32),
        asked_name: None,
    }
}

/// Runs the measurement.
pub(crate) fn store() -> Result<()> {
    // The same batch size that the recorder uses under load.
    const BATCH: u64 = 5_000;
    let words = Store::parse_from(crate::task_arguments());
    ensure!(!words.store.exists(), "{} is there already", words.store.display());
    let load = fs::read_to_string("/proc/loadavg")?;
    let now = millis(SystemTime::now());
    let span = 30 * 86_400_000;
    let mut writer = Writer::open(&words.store, b"host", "00000000-0000-0000-0000-000000000000")?;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let begun = Instant::now();
    let mut piece = begun;
    let mut process = None;
    for batch_at in (0..words.flows).step_by(BATCH as usize) {
        let mut batch = writer.batch()?;
        for at in batch_at..(batch_at + BATCH).min(words.flows) {
            // A process has 20 flows, and runs one of 300 programs.
            if at % 20 == 0 {
                let program = random.skewed(300);
                let name = format!("program{program}").into_bytes();
                let facts = NewProcess {
                    path: Some([b"/usr/bin/".as_slice(), &name].concat()),
                    name,
                    unit: Some(format!("service{}.service", program % 40).into_bytes()),
                    container: None,
                    command: Some(random.next(u64::MAX)),
                    ..NewProcess::default()
                };
                process = Some(batch.process(1000 + (at / 20 % 4_000_000) as u32, Some(at), &facts)?);
            }
            let flow = made_up(
                &mut random,
                process,
                now - span + (at * span as u64 / words.flows) as i64,
            );
            batch.insert(&flow, None)?;
        }
        batch.commit()?;
        let done = batch_at + BATCH;
        if done.is_multiple_of(1_000_000) {
            let rate = 1e6 / piece.elapsed().as_secs_f64();
            eprintln!("{done} flows, the last million at {rate:.0} a second");
            piece = Instant::now();
        }
    }
    let taken = begun.elapsed().as_secs_f64();
    let size = writer.bytes_used()?;
    drop(writer);
    println!("machine: load before {}", load.trim());
    let (busy_time, peak) = usage(std::process::id())?;
    println!(
        "written: {} flows in {taken:.1} s ({busy_time:.1} s of a processor), {:.0} a second; {:.1} bytes a flow",
        words.flows,
        words.flows as f64 / taken,
        size as f64 / words.flows as f64
    );
    println!("the writer: {:.1} MB at most", peak as f64 / 1e6);
    ask(&words)?;
    let mut reader = Reader::open(&words.store)?;
    let start = Instant::now();
    let found = reader.beacons(now - 86_400_000, &Filter::default())?;
    println!(
        "beacons of one day: {:.1} ms, {} found",
        start.elapsed().as_secs_f64() * 1e3,
        found.len()
    );
    Ok(())
}

/// Runs typical queries on the store, five times each, and prints the medians.
fn ask(words: &Store) -> Result<()> {
    // Hosts with the distribution of `skewed`: the last ones occur at most once, the first ones more than a thousand
    // times.
    let host = |number: u32| Ipv4Addr::from_bits(0x0b00_0000 + number * 61).to_string();
    let (rare, busy) = (host(150_001), host(100));
    let network = format!("{}/20", host(20_000));
    for (what, question) in [
        (
            "who talked to one address",
            vec!["--foreign", rare.as_str(), "--since", "all", "--csv"],
        ),
        (
            "who talked to a busy one",
            vec!["--foreign", busy.as_str(), "--since", "all", "--csv"],
        ),
        (
            "the same, one day",
            vec!["--foreign", busy.as_str(), "--since", "1d", "--csv"],
        ),
        (
            "who talked to a network",
            vec!["--foreign", network.as_str(), "--since", "all", "--csv"],
        ),
        (
            "what one program did in a day",
            vec!["--program", "program250", "--since", "1d", "--csv"],
        ),
        (
            "one day by foreign address",
            vec!["--since", "1d", "--group", "foreign_address", "--csv"],
        ),
        (
            "one day by foreign side",
            vec!["--since", "1d", "--group", "foreign", "--csv"],
        ),
        ("new in one day", vec!["--since", "1d", "--new", "--csv"]),
        (
            "one hour, 20 days ago",
            vec!["--since", "20d", "--until", "479h", "--group", "program", "--csv"],
        ),
    ] {
        let mut times = Vec::new();
        let mut rows = 0;
        for _ in 0..5 {
            let start = Instant::now();
            let output = Command::new(&words.netstat)
                .args(["history", "--store"])
                .arg(&words.store)
                .args(&question)
                .output()?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            times.push(start.elapsed());
            rows = output
                .stdout
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count()
                .saturating_sub(1);
        }
        times.sort_unstable();
        println!(
            "{what}: {:.1} ms, {rows} rows (netstat history {})",
            times[2].as_secs_f64() * 1e3,
            question.join(" ")
        );
    }
    Ok(())
}

/// Gives a recorder far more open connections, processes and names than it may hold in memory, and tells what it took.
#[derive(Parser, Debug)]
#[command(name = "record-memory")]
struct Memory {
    /// connections that are open at the same time
    #[arg(long, default_value_t = 100_000)]
    open: u64,
    /// the file; must not exist
    #[arg(long)]
    store: PathBuf,
}

/// An event about the connection `number`, which has nothing in common with any other.
fn strange(kind: EventKind, number: u64, since_boot: u64) -> Event {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let address = 0x0b00_0000 + number as u32 * 257;
    let incoming = number.is_multiple_of(2);
    let owner = EventOwner {
        pid: 1_000 + (number % 4_000_000) as u32,
        start_ticks: Fact::Known(number),
        name: ShortName::new(format!("strange{}", number % 10_000_000).as_bytes()),
    };
    Event {
        kind,
        at: Moment {
            wall: start + Duration::from_nanos(since_boot),
            since_boot,
        },
        origin: EventOrigin::Trace,
        cookie: std::num::NonZeroU64::new(number + 1),
        inode: None,
        protocol: Protocol::Tcp,
        family: Family::V4,
        local: Endpoint {
            address: Ipv4Addr::new(10, 0, 0, 7).into(),
            port: 443,
            scope: 0,
        },
        foreign: Endpoint {
            address: Ipv4Addr::from_bits(address).into(),
            port: 40_000,
            scope: 0,
        },
        state: match kind {
            EventKind::Closed => State::Closed,
            _ => State::Established,
        },
        before: None,
        direction: if incoming {
            Direction::Incoming
        } else {
            Direction::Outgoing
        },
        interface: 0,
        namespace: Fact::Known(4_026_531_840),
        // Half of the incoming connections are never accepted by a program.
        owner: if number.is_multiple_of(4) {
            Fact::Unknown(Why::NotYet)
        } else {
            Fact::Known(owner)
        },
        user: Fact::Known(1_000),
        cgroup: Fact::Unknown(Why::NotKept),
        opened: Fact::Known(since_boot),
        sent: Fact::Known(number),
        received: Fact::Known(number),
        retransmits: Fact::Known(0),
        rtt: Fact::Known(300),
    }
}

/// Runs the measurement.
pub(crate) fn memory() -> Result<()> {
    const SECOND: u64 = 1_000_000_000;
    let words = Memory::parse_from(crate::task_arguments());
    ensure!(!words.store.exists(), "{} is there already", words.store.display());
    let peak = |what: &str| -> Result<()> {
        println!(
            "{what}: {:.1} MB at most so far",
            usage(std::process::id())?.1 as f64 / 1e6
        );
        Ok(())
    };
    let mut describe = |owner: &EventOwner, _: Fact<u64>| NewProcess {
        path: Some(format!("/opt/some/deep/folder/of/a/program/strange{}", owner.pid).into_bytes()),
        name: owner.name.as_bytes().to_vec(),
        unit: Some(format!("strange{}.service", owner.pid).into_bytes()),
        container: None,
        command: Some(7),
        ..NewProcess::default()
    };
    peak("before")?;
    let mut recorder = Recorder::new(Writer::open(&words.store, b"host", "boot")?)?;
    let mut now = 100 * SECOND;
    let wall = |now: u64| strange(EventKind::Opened, 0, now).at.wall;
    for number in 0..words.open {
        recorder.observe(&strange(EventKind::Opened, number, now), &mut describe);
        now += 100_000;
        if recorder.waiting() >= 5_000 || number % 5_000 == 0 {
            recorder.flush(now, wall(now))?;
        }
    }
    peak("all open")?;
    for _ in 0..3 {
        now += 60 * SECOND;
        let cookies = recorder.wants_progress(now);
        let all: Vec<Transfer> = cookies
            .iter()
            .map(|&cookie| Transfer {
                cookie,
                state: State::Established,
                sent: Fact::Known(cookie),
                received: Fact::Known(cookie),
                retransmits: Fact::Known(1),
                rtt: Fact::Known(1),
            })
            .collect();
        recorder.refresh(&all);
        for _ in 0..10 {
            recorder.flush(now, wall(now))?;
        }
    }
    peak("after three heartbeats")?;
    // The store accepts nothing while all of them end, and as many others are opened and closed.
    for number in 0..2 * words.open {
        if number >= words.open {
            recorder.observe(&strange(EventKind::Opened, number, now), &mut describe);
        }
        recorder.observe(&strange(EventKind::Closed, number, now), &mut describe);
    }
    peak("all ended without a write")?;
    now += 60 * SECOND;
    recorder.flush(now, wall(now))?;
    recorder.stop(now, wall(now))?;
    peak("written")
}
