//! Rules that examine every process with sockets and report what is suspicious, how to verify it, and which harmless
//! explanations exist.
//!
//! [`Auditor::judge`] collects the facts once and passes them to the rules, which only read them. `netstat audit`
//! examines all processes with sockets, `netstat inspect` a single one. Facts that cannot be read are reported as not
//! examined; they never become findings.
//!
//! This crate prints nothing, parses no command line, and accesses the machine only through the fields of [`Auditor`].

pub mod baseline;
pub mod case;
mod clock;
pub mod contacts;
pub mod files;
pub mod finding;
mod gather;
pub mod host;
pub mod known;
pub mod measured;
pub mod next;
pub mod passage;

pub mod past;
pub mod published;
mod relay;
pub mod rules;
pub mod script;
pub mod starters;
#[cfg(any(test, feature = "testing"))]
mod testing;
mod verdict;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use netstat_model::process::{FileStatus, ProcessFacts, Signature, WindowsProcess};
use netstat_model::text::{escape, escape_str};
use netstat_model::{Fact, Owner, Owners, Socket};
use netstat_os::{SocketList, System};
use netstat_packages::blocklist::BlockList;
use netstat_packages::digest::{Algorithm, Cache, Job, Source, digests};
use netstat_packages::packages::{FileOwner, Match};
use netstat_record::{Millis, Novelty, ProgramHistory};

pub use clock::Clock;
pub use contacts::Contacts;
pub use files::{Files, HostFiles, NoFiles, files_of};
pub use finding::{Finding, Rule, Severity};
pub use past::Past;
pub use verdict::{Judgement, Verdict};

use case::{Case, Exposure, FileLook};
use finding::{Check, Note, Notes};
use gather::Gathered;
use verdict::Standing;

/// Options of an audit.
#[derive(Clone, Debug)]
pub struct Options {
    /// The block list that foreign addresses are looked up in.
    pub block: Arc<BlockList>,
    /// Whether the content of programs, scripts and libraries is compared with the digests in the package databases.
    pub compare: bool,
    /// Whether the rules about the computer as a whole run, too.
    pub host: bool,
    /// Whether every port is probed for hidden listeners; has an effect only together with `host`.
    pub probe_ports: bool,
    /// The name or path of this program, as used in the commands that are shown.
    pub program: String,
}

impl Default for Options {
    /// Compares file contents, and examines processes only.
    fn default() -> Self {
        Options {
            block: Arc::default(),
            compare: true,
            host: false,
            probe_ports: false,
            program: "netstat".to_owned(),
        }
    }
}

/// The result of an audit.
#[derive(Debug)]
pub struct Survey {
    /// The examined processes, in the order of the requested ids. Processes that ended in the meantime are left out.
    pub judged: Vec<Judged>,
    /// The findings about the computer, most severe first.
    pub host: Vec<Finding>,
    /// What could not be examined about the computer; one line each.
    pub unexamined: Vec<String>,
    /// The number of processes that ended before they could be read.
    pub ended: usize,
}

/// A process and the findings about it.
#[derive(Debug)]
pub struct Judged {
    /// The facts that were read about the process.
    pub facts: ProcessFacts,
    /// The program file; `None` if it cannot be determined.
    pub program: Option<FileLook>,
    /// The script, if the program is an interpreter that runs one.
    pub script: Option<FileLook>,
    /// The farthest network that any of the sockets reaches.
    pub exposure: Exposure,
    /// The network side of the process: its connections, its clients and its listeners.
    pub contacts: Contacts,
    /// The verdict.
    pub verdict: Verdict,
    /// The findings, most severe first.
    pub findings: Vec<Finding>,
    /// What could not be examined; one line each.
    pub unexamined: Vec<String>,
    /// When the program was first seen on the network, according to the record; `None` without a record or if the
    /// program is not in it.
    pub first_seen: Option<FirstSight>,
    /// What started the process and would start it again. Searched for only if a finding of severity medium or higher
    /// exists.
    pub starters: starters::Starters,
}

/// When a program was first seen on the network, according to the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstSight {
    /// The time of the first sighting.
    pub at: SystemTime,
    /// Whether the true time may be earlier, because the program was already there when the record began.
    pub or_earlier: bool,
}

impl FirstSight {
    fn of(millis: Millis, begins: Option<Millis>) -> FirstSight {
        FirstSight {
            at: past::time(millis),
            or_earlier: past::is_older(millis, begins),
        }
    }

    /// Describes the time relative to `now`, for example `3 minutes ago`.
    pub fn words(self, now: SystemTime) -> String {
        let ago = netstat_model::human::ago(self.at, now);
        match self.or_earlier {
            true => format!("when the record began, {ago}, or earlier"),
            false => ago,
        }
    }
}

impl Judged {
    /// Returns the path of the program, or the short name in parentheses if the path is not known. Safe to print.
    pub fn shown(&self) -> String {
        shown(&self.facts, self.program.as_ref())
    }

    /// Returns the name of the program file, with the name of the script if it runs one: `python3.11 (srv.py)`. Safe to
    /// print.
    pub fn name(&self) -> String {
        let name = match &self.program {
            Some(program) => escape(program.name()).into_owned(),
            None => format!("({})", escape(&self.facts.comm)),
        };
        match &self.script {
            Some(script) => format!("{name} ({})", escape(script.name())),
            None => name,
        }
    }

    /// Returns the combined weight of all findings, for ordering processes of equal severity: 27 points for a critical
    /// finding, 9 for high, 3 for medium, 1 for low.
    pub fn weight(&self) -> u32 {
        let points = |finding: &Finding| match finding.severity {
            Severity::Critical => 27,
            Severity::High => 9,
            Severity::Medium => 3,
            Severity::Low => 1,
            Severity::Info => 0,
        };
        self.findings.iter().map(points).sum()
    }

    /// Computes the SHA-256 digest, in hexadecimal, of the code that the process runs: the script if there is one,
    /// otherwise the running program.
    ///
    /// Returns `None` if the file cannot be read or is larger than 512 MiB.
    pub fn digest(&self, system: &mut dyn System, cache: &mut Cache) -> Option<String> {
        let (pid, start) = (self.facts.pid, self.facts.start_ticks);
        let source = match &self.script {
            Some(script) => Source::from(system.file_in_view(pid, start, &script.path).ok()?),
            None => Source::Path(format!("/proc/{pid}/exe").into()),
        };
        let job = Job {
            source,
            algorithms: vec![Algorithm::Sha256],
        };
        let hashed = digests(std::slice::from_ref(&job), files::LARGEST, cache, &|_| {});
        let hashed = hashed.into_iter().next()?.ok()?;
        // The process may have ended and its id may have been reused.
        let same = match (
            &self.script,
            self.facts.program.as_ref().known().map(|program| &program.running),
        ) {
            (None, Some(Fact::Known(running))) => {
                (running.device, running.inode) == (hashed.id.device, hashed.id.inode)
            }
            _ => true,
        };
        same.then(|| hashed.digests.first().map(ToString::to_string)).flatten()
    }
}

fn shown(facts: &ProcessFacts, program: Option<&FileLook>) -> String {
    match program {
        Some(program) => program.shown(),
        None => format!("({})", escape(&facts.comm)),
    }
}

/// Everything that an audit needs: sources of facts and a progress callback.
pub struct Auditor<'a> {
    /// The operating system.
    pub system: &'a mut dyn System,
    /// The source of the current time.
    pub clock: &'a mut dyn Clock,
    /// The files of processes, and the packages that own them.
    pub files: &'a mut dyn Files,
    /// The cache of file digests; read and updated.
    pub cache: &'a mut Cache,
    /// The record of the past, or the reason why it is not available; `None` if it is not to be consulted.
    pub past: Option<Result<&'a mut dyn Past, String>>,
    /// Called with a description of the current activity.
    pub progress: &'a dyn Fn(&str),
}

impl Auditor<'_> {
    /// Examines the processes `pids`, and with [`Options::host`] the computer as a whole.
    ///
    /// `list` should hold all TCP, UDP, RAW, MPTCP and PACKET sockets (see [`host::ask`]); `owners` are the owners of
    /// those sockets.
    pub fn judge(&mut self, list: &SocketList, owners: &Owners, pids: &[u32], options: &Options) -> Survey {
        (self.progress)("reading processes");
        let gathered = gather::gather(self, pids, options);
        let facts: Vec<&ProcessFacts> = gathered.processes.iter().map(|one| &one.facts).collect();
        let shells = relay::find(self.system, &facts);
        let mut host = host::look(self, list, owners, options);
        self.remember(&mut host, options.host);
        let held = held(&list.sockets, owners);
        host.relate(&gathered.processes, &held);
        let Gathered { processes, ended } = gathered;
        let mut judged = Vec::with_capacity(processes.len());
        let mut starters = starters::Search::default();
        let mut seen: HashMap<Vec<u8>, ProgramHistory> = HashMap::new();
        for process in processes {
            let past = match (&mut self.past, &process.program) {
                (Some(Ok(record)), Some(program)) => Some(
                    &*seen
                        .entry(program.path.clone())
                        .or_insert_with(|| record.first_seen(&program.path, &process.facts.comm)),
                ),
                _ => None,
            };
            let sockets: &[&Socket] = held.get(&process.facts.pid).map_or(&[], Vec::as_slice);
            let of_process = shells.get(&process.facts.pid).map_or(&[][..], Vec::as_slice);
            let mut one = judge_one(process, sockets, of_process, past, &host);
            // The search covers Unix locations only.
            if one.verdict.severity >= Some(Severity::Medium) && one.facts.windows.is_none() {
                let packaged = one
                    .program
                    .as_ref()
                    .is_some_and(|program| program.is_vouched() && program.package().is_some());
                let script = one.script.as_ref().map(|script| script.path.as_slice());
                one.starters = starters.of(self.files, &one.facts, packaged, script);
            }
            judged.push(one);
        }
        self.name_contacts(&mut judged);
        let (found, unexamined) = if options.host {
            check_host(&host, &judged)
        } else {
            (Vec::new(), Vec::new())
        };
        Survey {
            judged,
            host: found,
            unexamined,
            ended,
        }
    }
}

impl Auditor<'_> {
    /// Adds the host names that were looked up before the connections were opened. They are displayed only; no rule
    /// uses them.
    fn name_contacts(&mut self, judged: &mut [Judged]) {
        let Some(Ok(record)) = &mut self.past else { return };
        let sockets: Vec<&Socket> = judged.iter().flat_map(|one| &one.contacts.outgoing).collect();
        if sockets.is_empty() {
            return;
        }
        let names = record.asked_names(&sockets, self.clock.now());
        for one in judged {
            let cookies = one.contacts.outgoing.iter().filter_map(Socket::cookie);
            let known = cookies.filter_map(|cookie| Some((cookie.get(), names.get(&cookie.get())?.clone())));
            one.contacts.asked_names = known.collect();
        }
    }
}

fn judge_one(
    process: gather::Process,
    sockets: &[&Socket],
    shells: &[case::Relayed],
    past: Option<&ProgramHistory>,
    host: &case::Host,
) -> Judged {
    let case = Case {
        facts: &process.facts,
        sockets,
        exposure: exposure(sockets, host),
        program: process.program.as_ref(),
        script: process.script.as_ref(),
        libraries: &process.libraries,
        preloads: &process.preloads,
        tracer: process.tracer.as_ref(),
        shells,
        elders: &process.elders,
        loader: process.loader.as_ref(),
        past,
        host,
    };
    let (mut findings, unexamined) = check(&case);
    let first_seen = past
        .and_then(|past| past.of(Novelty::Program))
        .map(|first| FirstSight::of(first, host.reach.as_ref().ok().and_then(|reach| reach.begins)));
    findings.iter_mut().for_each(|finding| finding.first_seen = first_seen);
    let verdict = verdict::verdict(&findings, &standing(&case), &unexamined);
    let exposure = case.exposure;
    let is_listening = |protocol, port| host.ports.contains(&(protocol, port));
    Judged {
        exposure,
        contacts: Contacts::of(sockets, is_listening, |socket| exposure_of(socket, host)),
        verdict,
        findings,
        unexamined,
        facts: process.facts,
        program: process.program,
        script: process.script.map(|script| script.look),
        first_seen,
        starters: starters::Starters::default(),
    }
}

/// Returns the farthest exposure of any of the sockets.
fn exposure(sockets: &[&Socket], host: &case::Host) -> Exposure {
    let all = sockets.iter().map(|socket| exposure_of(socket, host));
    all.max().unwrap_or(Exposure::None)
}

/// Returns the exposure of a socket. A connection to a tunnel or proxy on this computer counts as a connection to the
/// Internet, since that is what may lie behind it.
fn exposure_of(socket: &Socket, host: &case::Host) -> Exposure {
    let foreign = socket.foreign();
    let tunnelled = socket.is_connected()
        && host.tunnels.contains_key(&foreign.port)
        && netstat_model::reach::is_loopback(foreign.address);
    // The tunnel's end of the same connection is not a client of the tunnel.
    match tunnelled && !host.tunnels.contains_key(&socket.local().port) {
        true => Exposure::World,
        false => Exposure::of(socket),
    }
}

/// Returns a finding of severity high if weak signs of several different kinds occur together.
fn several(case: &Case<'_>, findings: &[Finding]) -> Option<Note> {
    const KINDS: usize = 3;
    const POINTS: u32 = 5;
    if findings.iter().any(|finding| finding.severity >= Severity::High) {
        return None;
    }
    let mut kinds: std::collections::BTreeMap<finding::Family, &Finding> = std::collections::BTreeMap::new();
    // An open port is a weakness, not a sign of an intrusion.
    let is_sign = |finding: &&Finding| finding.severity >= Severity::Low && finding.rule.name != "open-port";
    for finding in findings.iter().filter(is_sign) {
        let known = kinds.entry(finding.rule.family).or_insert(finding);
        if finding.severity > known.severity {
            *known = finding;
        }
    }
    let points = |finding: &&Finding| if finding.severity >= Severity::Medium { 2 } else { 1 };
    let sum: u32 = kinds.values().map(points).sum();
    if kinds.len() < KINDS || sum < POINTS {
        return None;
    }
    let mut evidence: Vec<String> = kinds
        .values()
        .map(|finding| {
            format!(
                "{} ({}, {} of {sum} points)",
                finding.headline,
                finding.rule.name,
                points(finding)
            )
        })
        .collect();
    evidence.extend(case.reach_evidence());
    Some(Note {
        severity: Severity::High,
        headline: format!(
            "shows {} weak signs of different kinds that support each other",
            kinds.len()
        ),
        evidence,
        verify: case.host.own(&format!("inspect pid:{}", case.facts.pid)),
        would_change: "most of the signs have a reason that you know".to_owned(),
        pid: None,
        program: None,
    })
}

/// Groups the sockets by the processes that hold them.
fn held<'a>(sockets: &'a [Socket], owners: &Owners) -> HashMap<u32, Vec<&'a Socket>> {
    let mut held: HashMap<u32, Vec<&Socket>> = HashMap::new();
    for socket in sockets {
        if let Owner::Held(holders) = owners.of(socket) {
            for process in holders.iter() {
                held.entry(process.pid).or_default().push(socket);
            }
        }
    }
    held
}

/// Applies every rule about processes. Returns the findings and what could not be examined.
fn check(case: &Case<'_>) -> (Vec<Finding>, Vec<String>) {
    let program = shown(case.facts, case.program);
    let mut findings = Vec::new();
    let mut unexamined: Vec<String> = case
        .facts
        .unread()
        .into_iter()
        .map(|(what, why)| format!("{what}: {}", why.words()))
        .collect();
    if case.facts.windows.is_none()
        && let Some(FileOwner::Unknown(why)) = case
            .program
            .and_then(|program| program.ownership.as_ref())
            .map(|found| &found.owner)
    {
        unexamined.push(format!("the package of its program: {}", escape_str(&why.words())));
    }
    for rule in rules::of(case.host.kind) {
        let Check::Process(check) = rule.check else { continue };
        let mut notes = Notes::default();
        check(case, &mut notes);
        unexamined.append(&mut notes.unexamined);
        let of = |note| Finding::of(rule, note, Some(case.facts.pid), Some(program.clone()));
        findings.extend(notes.found.into_iter().map(of));
    }
    unexamined.dedup();
    if let Some(note) = several(case, &findings) {
        findings.push(Finding::of(rules::SEVERAL, note, Some(case.facts.pid), Some(program)));
    }
    sort(&mut findings);
    (findings, unexamined)
}

fn check_host(host: &case::Host, judged: &[Judged]) -> (Vec<Finding>, Vec<String>) {
    let (mut findings, mut unexamined) = (Vec::new(), Vec::new());
    for rule in rules::of(host.kind) {
        let Check::Host(check) = rule.check else { continue };
        let mut notes = Notes::default();
        check(host, &mut notes);
        unexamined.append(&mut notes.unexamined);
        for note in notes.found {
            let program = note
                .pid
                .and_then(|pid| judged.iter().find(|one| one.facts.pid == pid))
                .map(Judged::shown);
            findings.push(Finding::of(rule, note, None, program));
        }
    }
    sort(&mut findings);
    (findings, unexamined)
}

fn sort(findings: &mut [Finding]) {
    // The sort is stable: rules of equal severity keep their order.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
}

fn standing(case: &Case<'_>) -> Standing {
    let Some(look) = case.program else {
        let why = case.facts.program.why().map_or("not known", netstat_model::Why::words);
        return Standing::Unread(why.to_owned());
    };
    if case
        .facts
        .program
        .as_ref()
        .known()
        .is_some_and(|program| program.place == FileStatus::Memory)
    {
        return Standing::Unknown;
    }
    if let Some(windows) = &case.facts.windows {
        return signed(case, windows, look.rooted);
    }
    match look.ownership.as_ref().map(|found| (&found.owner, &found.origin)) {
        Some((FileOwner::Package(package), _)) if look.authority != files::Authority::Own => {
            let (files::Authority::Other(root) | files::Authority::Nobody(root)) = &look.authority else {
                return Standing::Unknown;
            };
            Standing::Foreign {
                name: escape_str(&package.name).into_owned(),
                root: root.clone(),
                counts: look.is_vouched(),
            }
        }
        Some((FileOwner::Package(package), _)) if runs_what(case).is_some() => Standing::Runs {
            name: escape_str(&package.name).into_owned(),
            what: runs_what(case).unwrap_or_default(),
        },
        Some((FileOwner::Package(package), _)) => Standing::Packaged {
            name: escape_str(&package.name).into_owned(),
            compared: matches!(look.verified, Some(Match::Matches { .. })),
        },
        // In a user's home, anyone with that account can put a program into such a place.
        Some((_, Some(origin))) if look.rooted => Standing::Placed(origin.manager.words().to_owned()),
        Some((FileOwner::Nobody, Some(_))) => Standing::Unknown,
        Some((FileOwner::Unknown(why), Some(_))) => Standing::Unread(escape_str(&why.words()).into_owned()),
        Some((FileOwner::Nobody, None)) => Standing::Unknown,
        Some((FileOwner::Unknown(why), None)) => Standing::Unread(escape_str(&why.words()).into_owned()),
        None => Standing::Unread("it was not looked up".to_owned()),
    }
}

/// Returns what the signature says about a Windows program.
fn signed(case: &Case<'_>, windows: &WindowsProcess, rooted: bool) -> Standing {
    /// The Windows programs that run what they are given; names in lower case.
    const HOSTS: [&str; 9] = [
        "powershell",
        "pwsh",
        "powershell_ise",
        "cmd",
        "wscript",
        "cscript",
        "mshta",
        "rundll32",
        "regsvr32",
    ];
    let name = case.name().to_ascii_lowercase();
    let name = name.strip_suffix(b".exe").unwrap_or(&name);
    let runs_others = known::is_interpreter(name) || HOSTS.iter().any(|host| host.as_bytes() == name);
    match &windows.signature {
        Fact::Known(Signature::Valid { signer, .. }) => Standing::Signed {
            signer: escape(signer).into_owned(),
            runs: runs_others.then_some("runs what it was given"),
        },
        Fact::Known(Signature::None | Signature::Invalid(_)) => Standing::Unsigned { rooted },
        Fact::Known(Signature::NotInFile) => {
            Standing::SignatureUnread("none is in the file, and the system's catalogues could not be asked".to_owned())
        }
        Fact::Unknown(why) => Standing::SignatureUnread(why.words().to_owned()),
    }
}

/// Returns what a packaged interpreter, shell or relay does that its package does not vouch for, phrased to follow "it
/// "; `None` if the package vouches for it.
fn runs_what(case: &Case<'_>) -> Option<String> {
    use script::Runs;
    if known::is_relay(case.name()) && case.name() != b"openssl" && case.name() != b"busybox" {
        return Some("passes on what comes to it over the network".to_owned());
    }
    match case.runs()? {
        Runs::Input => Some("runs code given by its standard input".to_owned()),
        Runs::Text(_) => Some("runs code given on its command line".to_owned()),
        Runs::Module(name) => Some(format!("runs the module {}", escape(name))).filter(|_| case.name() == b"java"),
        Runs::File(path) => match case.script {
            Some(script) if script.look.package().is_some() && script.look.is_vouched() => None,
            _ => Some(format!(
                "runs code given by {}, which no package is known to own",
                escape(path)
            )),
        },
    }
}
