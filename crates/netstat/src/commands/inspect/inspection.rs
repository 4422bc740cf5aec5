//! The stages of an inspection: reading sockets, owners and processes, matching targets, examining and sampling
//! processes.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use netstat_audit as audit;
use netstat_model::metrics::Metrics;
use netstat_model::packet_filter::PacketFilter;
use netstat_model::process::ProcessFacts;
use netstat_model::reach::{LocalNetwork, waits};
use netstat_model::{Extras, Fact, NoOwner, Owner, Owners, Socket, State};
use netstat_names::{HostStyle, Names, ReverseDns, Services};
use netstat_os::{MetricsAsk, OwnersAsk, ProcessAsk, SocketAsk, SocketList};

use super::InspectArgs;
use super::card::{self, Answered, Opinion, Report};
use super::files::{self, Examined};
use super::gather::{self, Lead, Sources};
use super::leads::{Leads, find, leads, near, sharers};
use super::published;
use super::search::{Found, World};
use super::target::{Kind, Target};
use super::usage::{Sample, traffic};
use crate::context::{Context, ContextClock, Diagnostics, Failure, Progress};
use crate::recall::{NoRecord, OpenFlows, Recall};

/// Makes the cards of `targets`.
pub(super) fn inspect(
    args: &InspectArgs,
    targets: &[Target],
    context: &mut Context<'_>,
    diagnostics: &mut Diagnostics,
) -> Result<Report, Failure> {
    let progress = Progress::start(context.terminal, "reading sockets");
    let mut inspection = Inspection {
        args,
        context,
        diagnostics,
        progress,
    };
    inspection.run(targets)
}

/// State shared by all stages.
struct Inspection<'a, 'c, 's> {
    args: &'a InspectArgs,
    context: &'c mut Context<'s>,
    diagnostics: &'c mut Diagnostics,
    progress: Progress,
}

/// What is known about the processes that get cards.
struct Examination {
    examined: BTreeMap<u32, Examined>,
    /// The opinions, by process id and start time.
    opinions: HashMap<(u32, u64), Opinion>,
}

/// Two samples of resource usage, and the traffic of each socket at the first one.
struct Usage {
    over: Duration,
    early: Option<Metrics>,
    late: Metrics,
    before: HashMap<NonZeroU64, (Fact<u64>, Fact<u64>)>,
}

impl Inspection<'_, '_, '_> {
    fn run(&mut self, targets: &[Target]) -> Result<Report, Failure> {
        let mut list = all_sockets(self.context);
        let first_read = Instant::now();
        self.progress.stage(|| "looking for owners".to_owned());
        let ask = OwnersAsk {
            image: true,
            components: true,
            ..OwnersAsk::default()
        };
        let found = self.context.system.owners(&list.sockets, &ask);
        let found = found.map_err(|refused| Failure::Refused(refused.to_string()))?;
        let owners = found.owners;
        self.progress.stage(|| "reading processes".to_owned());
        let processes = shallow(targets, self.context)?;
        let networks = networks(self.context, &list);
        let computer = self.context.system.computer_name();
        let rules = self.context.system.packet_filter();
        let world = World {
            sockets: &list.sockets,
            owners: &owners,
            processes: &processes,
            networks: &networks,
            computer: &computer,
        };
        let published = published::Known::of(&rules, &world);
        let mut report = Report::default();
        let mut answers = Vec::new();
        for target in targets {
            let (answered, found) = self.answer(target, &world, &published);
            report.targets.push(answered);
            answers.push((target, found));
        }
        self.say_incomplete(&published, targets);
        let by_socket = published.by_socket();
        let (mut pids, nobody) = leads(&list.sockets, &owners, answers);
        if pids.is_empty() && nobody.is_empty() {
            return Ok(report);
        }
        let early = (!self.args.sample.is_zero()).then(|| self.metrics());
        let sampled = Instant::now();
        let now = (self.context.now)();
        let mut record = self.args.store.recall(self.context.system, now);
        let examination = self.examine(&list, &owners, &mut pids, &mut record);
        let usage = self.sample(&mut list, early, (first_read, sampled));
        let names = self.args.names.then(|| self.resolve(&list, &pids));
        self.say_no_record(&record);
        let flows = self.open_flows(&mut record, &list, &owners, (&pids, &nobody));
        let sources = Sources {
            list: &list,
            flows: &flows,
            owners: &owners,
            sample: &usage.as_sample(),
            networks: &networks,
            published: &by_socket,
            host: &|socket: &Socket| {
                let side = socket.foreign();
                let name = names.as_ref()?.host(side.address, side.scope)?;
                socket.is_connected().then(|| name.to_owned())
            },
        };
        report.cards = self.process_cards(&sources, &mut record, pids, examination);
        for (reason, lead) in nobody {
            let card = gather::ownerless_card(self.context.system, &sources, lead, reason);
            report.cards.push(card);
        }
        self.say_who_gets_through(&mut report, rules);
        worst_first(&mut report.cards);
        report.limits = list.limits;
        report.limits.extend(found.limits);
        Ok(report)
    }

    /// Adds who gets through the packet filter, or Windows Firewall, to the ports of each process.
    fn say_who_gets_through(&mut self, report: &mut Report, rules: PacketFilter) {
        let mut subjects: Vec<_> = report
            .cards
            .iter_mut()
            .filter_map(|card| card.owner.as_mut().ok())
            .collect();
        if subjects.iter().all(|subject| subject.reach.is_empty()) {
            return;
        }
        // Windows has no packet filter of this kind.
        let host = self.context.system.windows_host();
        for subject in &mut subjects {
            for reach in &mut subject.reach {
                reach.ask(&rules);
                if let Some(host) = &host {
                    reach.ask_windows(host, &subject.facts);
                }
            }
        }
        report.filter = Some(rules).filter(|_| host.is_none());
    }

    /// Returns what a target matches: itself, what is published for it, and what is similar if nothing matches.
    fn answer(&mut self, target: &Target, world: &World<'_>, published: &published::Known) -> (Answered, Found) {
        let (mut found, mut remarks) = find(world, target, self.args.dns_timeout, &self.progress);
        let (sockets, processes) = (found.sockets.len(), found.pids.len());
        let handed_on = published.meant_by(world, &target.kind);
        found.add(published.sockets(&handed_on));
        found.add(published::behind_proxies(self.context, world, &found));
        if found.is_empty() && handed_on.is_empty() {
            remarks = near(self.context, world, target, remarks);
            if let Some((only, what)) = world.only_near(&target.kind) {
                found = only;
                remarks.push(format!("{what}: shown instead"));
            }
        }
        let answered = Answered {
            word: target.word.clone(),
            sought: target.kind.words(),
            sockets,
            processes,
            published: published.words(&handed_on, world),
            remarks,
        };
        (answered, found)
    }

    /// Reports that there may be more published ports than are known, if a target is about a port.
    fn say_incomplete(&mut self, published: &published::Known, targets: &[Target]) {
        let Some(why) = published.incomplete else { return };
        // On Linux, NAT is known from the packet filter; Windows has port proxies, which the cards show.
        if self.context.system.kind() == netstat_model::SystemKind::Windows {
            return;
        }
        if targets.iter().any(|target| target.kind.has_port()) {
            let system = &self.context.system;
            let hint = system.kind().privilege_hint(system.is_superuser());
            self.diagnostics
                .line(format!("whether NAT hands the port on may be unknown: {why}{hint}"));
        }
    }

    fn metrics(&mut self) -> Metrics {
        self.context.system.metrics(&MetricsAsk { processes: true })
    }

    /// Judges the processes of `pids` and those that share their sockets, adds the suspicious ones of the latter to
    /// `pids`, and reads the files of all.
    fn examine(
        &mut self,
        list: &SocketList,
        owners: &Owners,
        pids: &mut Leads<u32>,
        record: &mut Result<Recall, NoRecord>,
    ) -> Examination {
        // The files are read once, for both the cards and the rules.
        let mut cache = crate::context::digests(self.context.system);
        let mut files_read = audit::files_of(self.context.system);
        let mut sharers = sharers(&list.sockets, owners, pids);
        let judged: Vec<u32> = pids.iter().chain(&sharers).map(|(pid, _)| *pid).collect();
        let options = audit::Options {
            program: crate::context::program_path_for(self.context.system),
            ..audit::Options::default()
        };
        let progress = &self.progress;
        let mut auditor = audit::Auditor {
            system: &mut *self.context.system,
            clock: &mut ContextClock {
                now: &mut *self.context.now,
                wait_until: &mut *self.context.wait_until,
            },
            files: &mut *files_read,
            cache: &mut cache,
            past: Some(match record {
                Ok(record) => Ok(record as &mut dyn audit::Past),
                Err(why) => Err(why.words()),
            }),
            progress: &|stage| progress.stage(|| stage.to_owned()),
        };
        let survey = auditor.judge(list, owners, &judged, &options);
        // Of the processes that share a socket, the one that has held it longest represents all; the others get a card
        // if they are suspicious.
        let is_suspicious = |pid: u32| {
            let mut of_it = survey.judged.iter().filter(|judged| judged.facts.pid == pid);
            of_it.any(|judged| judged.verdict.severity.is_some_and(is_worrying))
        };
        sharers.retain(|(pid, _)| is_suspicious(*pid));
        pids.append(&mut sharers);
        let order: Vec<u32> = pids.iter().map(|(pid, _)| *pid).collect();
        let examined = files::examine(self.context.system, &order, &survey.judged, &mut cache, &self.progress);
        // The cache only saves time, so failing to save it does no harm.
        let _ = cache.save();
        let opinions = survey.judged.into_iter().map(|judged| {
            let opinion = Opinion {
                verdict: judged.verdict,
                findings: judged.findings,
                unexamined: judged.unexamined,
                starters: judged.starters,
            };
            ((judged.facts.pid, judged.facts.start_ticks), opinion)
        });
        Examination {
            examined,
            opinions: opinions.collect(),
        }
    }

    /// Takes the second sample after the time given by `--sample`, and updates the sockets in `list`. `read` and
    /// `sampled` are the times of the first samples of sockets and metrics.
    fn sample(&mut self, list: &mut SocketList, early: Option<Metrics>, (read, sampled): (Instant, Instant)) -> Usage {
        let before = list
            .sockets
            .iter()
            .filter_map(|socket| Some((socket.cookie()?, traffic(socket))))
            .collect();
        let mut over = Duration::ZERO;
        if early.is_some() {
            self.progress.stage(|| "sampling".to_owned());
            (self.context.wait_until)(sampled + self.args.sample);
            let mut second = SocketList::default();
            self.context.system.sockets(&everything(), &mut second);
            over = read.elapsed();
            refresh(list, &second);
        }
        Usage {
            over,
            early,
            late: self.metrics(),
            before,
        }
    }

    /// Reports why there is no record, if one was named, or if one exists but cannot be used.
    fn say_no_record(&mut self, record: &Result<Recall, NoRecord>) {
        let Err(why) = record else { return };
        let is_unusable = matches!(why, NoRecord::Unusable(_));
        if self.args.store.is_named() || is_unusable {
            let paths = self.args.store.places(self.context.system);
            let named = paths.first().filter(|_| !is_unusable);
            let named = named.map_or_else(String::new, |path| format!("{}: ", path.display()));
            self.diagnostics.line(format!("{named}{}", why.words()));
        }
    }

    /// Returns what the record has about the open connections on the cards of `pids` and of `nobody`.
    fn open_flows(
        &mut self,
        record: &mut Result<Recall, NoRecord>,
        list: &SocketList,
        owners: &Owners,
        (pids, nobody): (&Leads<u32>, &Leads<NoOwner>),
    ) -> OpenFlows {
        let Ok(record) = record else {
            return OpenFlows::default();
        };
        let of_cards = |socket: &&Socket| match owners.of(socket) {
            Owner::Held(holders) => holders
                .iter()
                .any(|process| pids.iter().any(|(pid, _)| *pid == process.pid)),
            Owner::None(_) => nobody.iter().any(|(_, lead)| !lead.sockets.is_empty()),
        };
        record.open_flows(list.sockets.iter().filter(of_cards), (self.context.now)())
    }

    fn process_cards(
        &mut self,
        sources: &Sources<'_>,
        record: &mut Result<Recall, NoRecord>,
        pids: Leads<u32>,
        mut examination: Examination,
    ) -> Vec<card::Card> {
        let mut cards = Vec::new();
        for (pid, lead) in pids {
            let Some(examined) = examination.examined.remove(&pid) else {
                self.diagnostics
                    .line(format!("process {pid} ended while it was examined"));
                continue;
            };
            let opinion = examination.opinions.remove(&(pid, examined.facts.start_ticks));
            let card = gather::process_card(self.context.system, sources, record, lead, examined, opinion);
            cards.push(card);
        }
        cards
    }

    /// Looks up the names of the remote addresses that cards will show.
    fn resolve(&mut self, list: &SocketList, pids: &[(u32, Lead)]) -> Names {
        self.progress.stage(|| "looking up names".to_owned());
        let own = self.context.system.own_addresses().unwrap_or_default();
        let computer = self.context.system.computer_name();
        let mut names = Names::new(
            &computer,
            own,
            HostStyle::Full,
            Services::system(),
            ReverseDns::system(),
        );
        let shown = pids
            .iter()
            .flat_map(|(_, lead)| &lead.sockets)
            .map(|&index| &list.sockets[index]);
        let sides = shown.filter(|socket| socket.is_connected()).map(Socket::foreign);
        let timeout = self.args.dns_timeout;
        let summary = names.resolve(sides, timeout, &mut |_, _| {});
        if summary.timed_out > 0 {
            self.diagnostics.line(format!(
                "{} of {} addresses had no name within {} s (--dns-timeout)",
                summary.timed_out,
                summary.total,
                timeout.as_secs_f64()
            ));
        }
        names
    }
}

impl Usage {
    fn as_sample(&self) -> Sample<'_> {
        Sample {
            over: self.over,
            figures: (self.early.as_ref(), &self.late),
            before: &self.before,
        }
    }
}

/// Queries every kind of socket, in every visible namespace, with all details that a card shows.
fn everything() -> SocketAsk {
    SocketAsk {
        tcp4: true,
        tcp6: true,
        udp4: true,
        udp6: true,
        mptcp4: true,
        mptcp6: true,
        packet: true,
        unix: true,
        further: SocketAsk::TRANSPORTS.to_vec(),
        further_where_present: true,
        tcp_states: State::ALL.to_vec(),
        extra: Extras::BASIC | Extras::TCP,
        all_namespaces: true,
        ..SocketAsk::default()
    }
}

/// Reads all visible sockets. Raw sockets are read separately, because their limits matter only if there are any.
fn all_sockets(context: &mut Context<'_>) -> SocketList {
    let mut list = SocketList::default();
    context.system.sockets(&everything(), &mut list);
    let ask = SocketAsk {
        raw4: true,
        raw6: true,
        extra: Extras::BASIC,
        all_namespaces: true,
        ..SocketAsk::default()
    };
    let mut raw = SocketList::default();
    context.system.sockets(&ask, &mut raw);
    if !raw.sockets.is_empty() {
        list.limits.append(&mut raw.limits);
    }
    let known_index = |index: u32| {
        let inode = raw.namespaces.get(index as usize)?.inode;
        let known = list.namespaces.iter().position(|known| known.inode == inode)?;
        u32::try_from(known).ok()
    };
    // The second list may have the namespaces in another order; sockets in a new namespace are omitted.
    let raw_sockets = raw.sockets.into_iter().filter_map(|socket| {
        let index = socket.namespace();
        match raw.namespaces.is_empty() {
            true => Some(socket),
            false => Some(socket.in_namespace(known_index(index)?)),
        }
    });
    let more: Vec<Socket> = raw_sockets.collect();
    list.sockets.extend(more);
    list
}

/// Whether findings of this severity are shown before others.
fn is_worrying(severity: audit::Severity) -> bool {
    severity >= audit::Severity::Medium
}

/// Returns the network of each namespace in which sockets were seen, starting with the caller's own.
fn networks(context: &mut Context<'_>, list: &SocketList) -> Vec<LocalNetwork> {
    let count = list.namespaces.len().max(1);
    // There are fewer than 2^32 namespaces, because each is an inode with a 32-bit number.
    (0..count as u32)
        .map(|namespace| context.system.local_network(namespace))
        .collect()
}

/// Sorts the cards of each target: the process that answers there comes first, with this namespace before others,
/// followed by the most suspicious ones. Otherwise the order is kept.
fn worst_first(cards: &mut [card::Card]) {
    let targets: Vec<String> = cards.iter().filter_map(|card| card.targets.first()).cloned().collect();
    let target = |card: &card::Card| targets.iter().position(|word| Some(word) == card.targets.first());
    let worry = |card: &card::Card| {
        let subject = card.owner.as_ref().ok()?;
        let severity = subject.opinion.as_ref()?.verdict.severity?;
        is_worrying(severity).then_some(severity)
    };
    let answers = |card: &card::Card| {
        let matched = card.by_socket.then_some(&card.sockets);
        let listeners = matched.into_iter().flatten().filter(|view| waits(&view.socket));
        listeners
            .map(|view| u8::from(view.namespace.is_none()))
            .max()
            .map_or(0, |own| own + 1)
    };
    cards.sort_by_key(|card| (target(card), std::cmp::Reverse((answers(card), worry(card)))));
}

/// Reads what targets are compared with: of every process, or only of those named by number if no target needs more.
fn shallow(targets: &[Target], context: &mut Context<'_>) -> Result<Vec<ProcessFacts>, Failure> {
    let by_name = |target: &Target| matches!(target.kind, Kind::Program(_) | Kind::Unit(_) | Kind::Word(_));
    let pids = match targets.iter().any(by_name) {
        true => {
            let all = context.system.processes();
            all.map_err(|refused| Failure::Refused(refused.to_string()))?
        }
        false => targets.iter().filter_map(|target| target.kind.pid()).collect(),
    };
    let ask = ProcessAsk {
        arguments: true,
        program: true,
        components: true,
        ..ProcessAsk::default()
    };
    // Processes that have ended, and threads, are mentioned if nothing is found.
    Ok(pids
        .into_iter()
        .filter_map(|pid| context.system.process(pid, &ask).ok())
        .collect())
}

/// Replaces the first sample of each socket by the second one, for sockets that are in both.
fn refresh(first: &mut SocketList, second: &SocketList) {
    let mut now: HashMap<_, &Socket> = second
        .sockets
        .iter()
        .filter_map(|socket| Some((socket.cookie()?, socket)))
        .collect();
    for socket in &mut first.sockets {
        if let Some(cookie) = socket.cookie()
            && let Some(new) = now.remove(&cookie)
        {
            // The second sample may have the namespaces in another order.
            *socket = new.clone().in_namespace(socket.namespace());
        }
    }
}
