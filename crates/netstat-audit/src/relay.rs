//! Finds shells whose input and output lead to programs with connections, through pipes, FIFOs, socket pairs or
//! terminals.

use std::collections::{HashMap, HashSet};

use netstat_model::process::{Descriptor, Descriptors, OpenPipe, Pipe, ProcessFacts};
use netstat_model::{Detail, Fact, Protocol};
use netstat_os::{DescriptorsAsk, ProcessAsk, SocketAsk, SocketList, System};

use super::case::Relayed;
use super::known;
use crate::script::{Runs, runs};

/// Programs that merely copy or transform their input.
const PUMPS: &[&[u8]] = &[
    b"cat", b"tee", b"dd", b"sed", b"awk", b"gawk", b"mawk", b"grep", b"tr", b"stdbuf", b"script", b"pv", b"gzip",
    b"openssl", b"base64", b"xxd",
];

/// The maximum number of such programs in a chain.
const MOST_PUMPS: usize = 3;

/// The direction in which a shell's descriptors are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// To the processes that write what the shell reads.
    Input,
    /// To the processes that read what the shell writes.
    Output,
}

impl Way {
    /// Whether a process that has `open` is next in this direction.
    fn leads_to(self, open: &OpenPipe) -> bool {
        match self {
            Way::Input => open.writes,
            Way::Output => open.reads,
        }
    }

    /// Whether `open` is the end through which a program in between receives or sends data in this direction.
    fn leads_on(self, open: &OpenPipe) -> bool {
        match self {
            Way::Input => open.reads,
            Way::Output => open.writes,
        }
    }
}

/// What the standard input or output of a shell is.
#[derive(Clone, Debug)]
enum End {
    Pipe(Pipe),
    /// The inode of the other end of a socket pair.
    Peer(u64),
    Terminal(u32),
}

/// Returns the shells that are driven through each of `subjects`, by the process id of the subject.
pub(super) fn find(system: &mut dyn System, subjects: &[&ProcessFacts]) -> HashMap<u32, Vec<Relayed>> {
    let mut found: HashMap<u32, Vec<Relayed>> = HashMap::new();
    let known: HashSet<u32> = subjects.iter().map(|facts| facts.pid).collect();
    let mut search = Search {
        subjects,
        others: None,
        pairs: None,
    };
    for shell in shells(system, &known) {
        let Fact::Known(open) = &shell.descriptors else {
            continue;
        };
        let Some(input) = search.end(system, open, 0) else {
            continue;
        };
        let Some(output) = search.end(system, open, 1) else {
            continue;
        };
        let into = search.reached(system, shell.pid, &input, Way::Input);
        let out = search.reached(system, shell.pid, &output, Way::Output);
        for pid in into.intersection(&out) {
            let how = match (&input, &output) {
                (End::Terminal(number), _) => format!("terminal pts/{number}, whose other end PID {pid} holds"),
                (End::Peer(_), _) => format!("a pair of sockets that it shares with PID {pid}"),
                _ => format!("pipes that lead to PID {pid}"),
            };
            found.entry(*pid).or_default().push(Relayed {
                pid: shell.pid,
                name: shell.comm.clone(),
                how,
                verify: format!(
                    "ls -l /proc/{}/fd /proc/{pid}/fd; ps -fp {},{pid}",
                    shell.pid, shell.pid
                ),
            });
        }
    }
    found
}

/// Returns the shells that read commands from their input, not from a script or the command line.
fn shells(system: &mut dyn System, subjects: &HashSet<u32>) -> Vec<ProcessFacts> {
    let pids = system.processes().unwrap_or_default();
    let mut shells = Vec::new();
    for pid in pids {
        let Ok(short) = system.process(pid, &ProcessAsk::default()) else {
            continue;
        };
        if short.kernel_thread || !(known::is_shell(&short.comm) || subjects.contains(&short.parent)) {
            continue;
        }
        let ask = ProcessAsk {
            arguments: true,
            program: true,
            descriptors: DescriptorsAsk::All,
            ..ProcessAsk::default()
        };
        let Ok(facts) = system.process(pid, &ask) else { continue };
        let program = facts
            .program
            .as_ref()
            .known()
            .map(|program| program.file_name().to_vec());
        let name = program.as_deref().unwrap_or(&facts.comm);
        if known::is_shell(name)
            && facts
                .arguments
                .as_ref()
                .known()
                .is_some_and(|words| reads_commands(name, words))
        {
            shells.push(facts);
        }
    }
    shells
}

/// Whether a shell with these arguments reads its commands from standard input.
fn reads_commands(name: &[u8], words: &[Vec<u8>]) -> bool {
    let words = known::called_as(name, words);
    if name == b"busybox" && !words.first().is_some_and(|word| known::is_shell(known::claimed(word))) {
        return false;
    }
    let found = runs(name, words).or_else(|| runs(b"sh", words));
    matches!(found, Some(Runs::Input))
}

struct Search<'a> {
    subjects: &'a [&'a ProcessFacts],
    /// The programs that merely pass data on; read on first use.
    others: Option<Vec<ProcessFacts>>,
    /// The other ends of socket pairs; read on first use.
    pairs: Option<HashMap<u64, u64>>,
}

impl Search<'_> {
    /// Returns what descriptor `number` is, if it can lead to another process.
    fn end(&mut self, system: &mut dyn System, open: &Descriptors, number: usize) -> Option<End> {
        let descriptor = open.standard[number].as_ref().known()?.as_ref()?;
        match descriptor {
            Descriptor::Pipe(inode) => Some(End::Pipe(Pipe::Unnamed(*inode))),
            Descriptor::Socket(inode) => self.pairs(system).get(inode).copied().map(End::Peer),
            Descriptor::Path { path, .. } => {
                if let Some(number) = path.strip_prefix(b"/dev/pts/") {
                    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
                    return Some(End::Terminal(number));
                }
                let pipes = open.pipes.as_ref().known()?;
                let named = |open: &&OpenPipe| matches!(&open.pipe, Pipe::Named { path: known, .. } if known == path);
                pipes.iter().find(named).map(|open| End::Pipe(open.pipe.clone()))
            }
            _ => None,
        }
    }

    /// Returns the subjects that `end` of the process `shell` leads to, possibly through other programs.
    fn reached(&mut self, system: &mut dyn System, shell: u32, end: &End, way: Way) -> HashSet<u32> {
        let pipe = match end {
            End::Terminal(number) => {
                return self.holding(|open| {
                    open.masters
                        .as_ref()
                        .known()
                        .is_some_and(|all| all.binary_search(number).is_ok())
                });
            }
            End::Peer(inode) => {
                return self.holding(|open| {
                    open.sockets
                        .as_ref()
                        .known()
                        .is_some_and(|all| all.binary_search(inode).is_ok())
                });
            }
            End::Pipe(pipe) => pipe,
        };
        let mut pipes = vec![pipe.clone()];
        let mut passed = HashSet::from([shell]);
        for _ in 0..=MOST_PUMPS {
            let mut direct = self.holding(|open| has_any(open, &pipes, way));
            direct.remove(&shell);
            if !direct.is_empty() {
                return direct;
            }
            let mut next = Vec::new();
            for other in self.others(system) {
                let Fact::Known(open) = &other.descriptors else {
                    continue;
                };
                if has_any(open, &pipes, way) && passed.insert(other.pid) {
                    let own = open.pipes.as_ref().known().into_iter().flatten();
                    next.extend(own.filter(|open| way.leads_on(open)).map(|open| open.pipe.clone()));
                }
            }
            if next.is_empty() {
                break;
            }
            pipes.extend(next);
        }
        HashSet::new()
    }

    fn holding(&self, has: impl Fn(&Descriptors) -> bool) -> HashSet<u32> {
        let holds = |facts: &&&ProcessFacts| facts.descriptors.as_ref().known().is_some_and(&has);
        self.subjects.iter().filter(holds).map(|facts| facts.pid).collect()
    }

    fn others(&mut self, system: &mut dyn System) -> &[ProcessFacts] {
        self.others.get_or_insert_with(|| {
            let ask = ProcessAsk {
                descriptors: DescriptorsAsk::All,
                ..ProcessAsk::default()
            };
            let mut others = Vec::new();
            for pid in system.processes().unwrap_or_default() {
                let is_pump = system
                    .process(pid, &ProcessAsk::default())
                    .is_ok_and(|facts| PUMPS.contains(&facts.comm.as_slice()) || known::is_relay(&facts.comm));
                if is_pump && let Ok(facts) = system.process(pid, &ask) {
                    others.push(facts);
                }
            }
            others
        })
    }

    fn pairs(&mut self, system: &mut dyn System) -> &HashMap<u64, u64> {
        self.pairs.get_or_insert_with(|| {
            let mut list = SocketList::default();
            system.sockets(
                &SocketAsk {
                    unix: true,
                    ..SocketAsk::default()
                },
                &mut list,
            );
            let pair = |socket: &netstat_model::Socket| match (socket.protocol(), socket.inode(), socket.detail()) {
                (Protocol::Unix, Some(inode), Some(Detail::Unix { peer: Some(peer), .. })) => {
                    Some((u64::from(inode.get()), u64::from(peer.inode.get())))
                }
                _ => None,
            };
            list.sockets.iter().filter_map(pair).collect()
        })
    }
}

/// Whether a process has an end of one of `pipes` in this direction.
fn has_any(open: &Descriptors, pipes: &[Pipe], way: Way) -> bool {
    let own = open.pipes.as_ref().known();
    own.is_some_and(|own| {
        own.iter()
            .any(|open| way.leads_to(open) && pipes.iter().any(|pipe| open.pipe.is_same(pipe)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_command_line_without_script_reads_commands() {
        let reads = |name: &str, line: &str| {
            let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            reads_commands(name.as_bytes(), &words)
        };
        for (name, line) in [
            ("bash", "bash"),
            ("bash", "bash -i"),
            ("dash", "sh"),
            ("busybox", "sh -i"),
            ("busybox", "busybox sh"),
            ("zsh", "-zsh"),
        ] {
            assert!(reads(name, line), "{line}");
        }
        for (name, line) in [
            ("bash", "bash -c x"),
            ("dash", "sh run.sh"),
            ("busybox", "httpd -f"),
            ("busybox", "busybox sh x.sh"),
        ] {
            assert!(!reads(name, line), "{line}");
        }
    }
}
