//! Resolves details of a process while it is alive, for events, whose processes may exit at any moment.

use std::time::Duration;

use netstat_model::process::ProcessFacts;
use netstat_model::{Component, EventOwner, Fact};
use netstat_os::{ProcessAsk, System};
use netstat_packages::containers::{DockerContainer, docker_containers};
use netstat_record::{NewProcess, command_hash};

use netstat_audit::script::{Runs, runs};

/// How long the list of control groups is used before it is read again.
const GROUPS: Duration = Duration::from_secs(5);

/// Resolves details of a process while it is alive.
#[derive(Default)]
pub(crate) struct ProcessResolver {
    /// The paths of control groups by id, and the time since boot at which they were read.
    groups: Option<(Duration, std::collections::HashMap<u64, Vec<u8>>)>,
    /// The names of containers by full id, and the time since boot at which they were read.
    containers: Option<(Duration, Vec<DockerContainer>)>,
}

impl ProcessResolver {
    pub(crate) fn describe(&mut self, system: &mut dyn System, owner: &EventOwner, cgroup: Fact<u64>) -> NewProcess {
        let mut facts = NewProcess {
            name: owner.name.as_bytes().to_vec(),
            ..NewProcess::default()
        };
        let ask = ProcessAsk {
            arguments: true,
            program: true,
            places: true,
            components: true,
            ..ProcessAsk::default()
        };
        let found = system.process(owner.pid, &ask).ok();
        // The PID may have been reused, and the process may have executed another program in the meantime.
        let same = |started: u64| owner.start_ticks.known().is_none_or(|ticks| ticks == started);
        if let Some(found) = found.filter(|found| same(found.start_ticks)) {
            if found.comm == facts.name || facts.name.is_empty() {
                facts.script = script_of(&found);
                facts.path = found.program.known().map(|program| program.path);
                let words = found.arguments.known().filter(|words| !words.is_empty());
                facts.command = words.map(|words| command_hash(words.iter().map(Vec::as_slice)));
                facts.name = found.comm;
            }
            if let Fact::Known(components) = &found.components {
                self.note(system, components, &mut facts);
                return facts;
            }
        }
        if let Fact::Known(id) = cgroup {
            let components = self.components(system, id);
            self.note(system, &components, &mut facts);
        }
        facts
    }

    /// Records the innermost unit and container.
    fn note(&mut self, system: &mut dyn System, components: &[Component], facts: &mut NewProcess) {
        for component in components {
            match component {
                Component::Unit { name, .. } | Component::Service { name } | Component::Package { name } => {
                    facts.unit = Some(name.clone())
                }
                Component::Container { runtime, id } => {
                    facts.container = Some([runtime.name().as_bytes(), b" ", id].concat());
                    facts.container_name = self.container_name(system, id);
                }
            }
        }
    }

    /// Returns the name of the container whose id begins with `id`. `None` if its manager is not Docker, or does not
    /// tell this user.
    fn container_name(&mut self, system: &mut dyn System, id: &[u8]) -> Option<Vec<u8>> {
        let find = |containers: &[DockerContainer]| {
            let mut all = containers.iter();
            let found = all.find(|container| !id.is_empty() && container.id.as_bytes().starts_with(id))?;
            Some(found.name.clone().into_bytes())
        };
        let now = Duration::from_nanos(system.now().since_boot);
        let (at, known) = match &self.containers {
            Some((at, known)) => (Some(*at), find(known)),
            None => (None, None),
        };
        if known.is_some() || at.is_some_and(|at| now.saturating_sub(at) <= GROUPS) {
            return known;
        }
        let (_, containers) = self.containers.insert((now, docker_containers("/")));
        find(containers)
    }

    /// Returns the components of the control group `id`, which outlives its processes.
    fn components(&mut self, system: &mut dyn System, id: u64) -> Vec<Component> {
        let now = Duration::from_nanos(system.now().since_boot);
        let stale = |at: Duration| now.saturating_sub(at) > GROUPS;
        if self
            .groups
            .as_ref()
            .is_none_or(|(at, groups)| !groups.contains_key(&id) && stale(*at))
        {
            self.groups = Some((now, system.cgroup_paths()));
        }
        let path = self.groups.as_ref().and_then(|(_, groups)| groups.get(&id));
        path.map_or(Vec::new(), |path| system.components_of(path))
    }
}

/// The longest path that is kept, in bytes (`PATH_MAX`, linux/limits.h): a command line may contain anything.
const LONGEST_PATH: usize = 4_096;

/// Returns the script that a process runs, from its command line, if its program is an interpreter: an absolute path,
/// or `-m NAME` for a module.
fn script_of(facts: &ProcessFacts) -> Option<Vec<u8>> {
    let program = facts.program.as_ref().known()?;
    let words = facts.arguments.as_ref().known()?;
    let script = match runs(program.file_name(), words)? {
        Runs::File(path) if path.starts_with(b"/dev/fd/") || path.starts_with(b"/proc/") => return None,
        Runs::File(path) if path.starts_with(b"/") => path.to_vec(),
        Runs::File(path) => {
            let directory = facts.directory.as_ref().known()?;
            let path = path.strip_prefix(b"./").unwrap_or(path);
            [directory.strip_suffix(b"/").unwrap_or(directory), b"/", path].concat()
        }
        Runs::Module(name) => [b"-m ", name].concat(),
        Runs::Text(_) | Runs::Input => return None,
    };
    (script.len() <= LONGEST_PATH).then_some(script)
}
