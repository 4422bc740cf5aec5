//! Units and containers: the sums of their processes.

use std::collections::BTreeMap;
use std::sync::Arc;

use netstat_model::{Component, Fact};

use super::{Presence, ProcessRow, UnitRow};

/// The name of what a process runs in, for people: the innermost one; empty for none.
pub(super) fn unit_name(components: &Fact<Vec<Component>>) -> Arc<str> {
    let Fact::Known(components) = components else {
        return "".into();
    };
    let last = components.len().saturating_sub(1);
    netstat_model::text::escape(&netstat_model::component_name(components, last)).into()
}

/// The name of the unit a process is under, also for those that are in none.
pub fn unit_of(process: &ProcessRow) -> &str {
    match (process.text.unit.is_empty(), process.kernel) {
        (false, _) => &process.text.unit,
        (true, true) => "(kernel threads)",
        (true, false) => "(in no unit)",
    }
}

/// Adds up; what one of the parts does not know, the sum does not know either.
fn add<T: std::ops::Add<Output = T>>(sum: Fact<T>, part: Fact<T>) -> Fact<T> {
    match (sum, part) {
        (Fact::Known(sum), Fact::Known(part)) => Fact::Known(sum + part),
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
    }
}

/// The units that have processes, by name. Processes in none are together under no name.
pub(super) fn units(processes: &[ProcessRow]) -> Vec<UnitRow> {
    let mut units: BTreeMap<Arc<str>, UnitRow> = BTreeMap::new();
    for process in processes.iter().filter(|process| process.presence != Presence::Gone) {
        let name: Arc<str> = match process.text.unit.is_empty() {
            true => unit_of(process).into(),
            false => Arc::clone(&process.text.unit),
        };
        let unit = units.entry(Arc::clone(&name)).or_insert(UnitRow {
            name,
            processes: 0,
            cpu: Fact::Known(0.0),
            cpu_average: Fact::Known(0.0),
            private: Fact::Unknown(netstat_model::Why::NotApplicable),
            recent: 0.0,
        });
        unit.processes += 1;
        // One that has only just begun has no rate yet; it must not hide the others'.
        if process.presence != Presence::New || process.rates.cpu.why().is_none() {
            unit.cpu = add(unit.cpu, process.rates.cpu);
            unit.cpu_average = add(unit.cpu_average, process.cpu_average);
        }
        if let Fact::Known(private) = process.private {
            unit.private = Fact::Known(unit.private.known().unwrap_or(0).saturating_add(private));
        }
        unit.recent += process.recent.cpu;
    }
    units.into_values().collect()
}
