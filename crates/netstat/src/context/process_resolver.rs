//! Finds out what a process is while it lives: for events, whose processes may end at any moment.

use std::time::{Duration, Instant};

use netstat_model::{Component, EventOwner, Fact};
use netstat_os::{ProcessAsk, System};
use netstat_record::{NewProcess, command_hash};

/// How often units are looked for by control group.
const GROUPS: Duration = Duration::from_secs(5);

/// Finds out what a process is while it lives.
#[derive(Default)]
pub(crate) struct ProcessResolver {
    /// Paths of control groups, and when they were read.
    groups: Option<(Instant, std::collections::HashMap<u64, Vec<u8>>)>,
}

impl ProcessResolver {
    pub(crate) fn describe(&mut self, system: &mut dyn System, owner: &EventOwner, cgroup: Fact<u64>) -> NewProcess {
        let mut facts = NewProcess {
            path: None,
            name: owner.name.as_bytes().to_vec(),
            unit: None,
            container: None,
            command: None,
        };
        let ask = ProcessAsk {
            arguments: true,
            program: true,
            components: true,
            ..ProcessAsk::default()
        };
        let found = system.process(owner.pid, &ask).ok();
        // An id may have been used again, and a process may have become another program meanwhile.
        let same = |started: u64| owner.start_ticks.known().is_none_or(|ticks| ticks == started);
        if let Some(found) = found.filter(|found| same(found.start_ticks)) {
            if found.comm == facts.name || facts.name.is_empty() {
                facts.path = found.program.known().map(|program| program.path);
                let words = found.arguments.known().filter(|words| !words.is_empty());
                facts.command = words.map(|words| command_hash(words.iter().map(Vec::as_slice)));
                facts.name = found.comm;
            }
            if let Fact::Known(components) = &found.components {
                split(components, &mut facts);
                return facts;
            }
        }
        if let Fact::Known(id) = cgroup {
            split(&self.components(system, id), &mut facts);
        }
        facts
    }

    /// What the control group `id` stands for: it outlives its processes.
    fn components(&mut self, system: &mut dyn System, id: u64) -> Vec<Component> {
        let now = Instant::now();
        let stale = |at: Instant| now.duration_since(at) > GROUPS;
        if self
            .groups
            .as_ref()
            .is_none_or(|(at, groups)| !groups.contains_key(&id) && stale(*at))
        {
            self.groups = Some((now, system.cgroup_paths()));
        }
        let path = self.groups.as_ref().and_then(|(_, groups)| groups.get(&id));
        path.map_or(Vec::new(), |path| netstat_os::components_of(path))
    }
}

/// The innermost unit and container.
fn split(components: &[Component], facts: &mut NewProcess) {
    for component in components {
        match component {
            Component::Unit { name, .. } => facts.unit = Some(name.clone()),
            Component::Container { runtime, id } => {
                facts.container = Some([runtime.name().as_bytes(), b" ", id].concat());
            }
        }
    }
}
