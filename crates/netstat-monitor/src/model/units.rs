//! Units and containers: the totals of their processes.

use std::collections::BTreeMap;
use std::sync::Arc;

use netstat_model::{Component, Fact};

use super::{Presence, ProcessRow, UnitRow};

/// Returns the name of the innermost component of a process, safe to print; empty if there is none.
pub(super) fn unit_name(components: &Fact<Vec<Component>>) -> Arc<str> {
    let Fact::Known(components) = components else {
        return "".into();
    };
    let last = components.len().saturating_sub(1);
    netstat_model::text::escape(&netstat_model::component_name(components, last)).into()
}

/// Returns the name under which a process is grouped by unit, including a substitute for processes without a unit.
pub fn unit_of(process: &ProcessRow) -> &str {
    match (process.text.unit.is_empty(), process.kernel) {
        (false, _) => &process.text.unit,
        (true, true) => "(kernel threads)",
        (true, false) => "(in no unit)",
    }
}

/// Adds a value to a sum; if either is unknown, so is the result.
fn add<T: std::ops::Add<Output = T>>(sum: Fact<T>, part: Fact<T>) -> Fact<T> {
    match (sum, part) {
        (Fact::Known(sum), Fact::Known(part)) => Fact::Known(sum + part),
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => Fact::Unknown(why),
    }
}

/// Returns the units that have processes, by name. Processes without a unit are grouped under substitute names.
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
        // A process that has just started has no rate yet, which must not hide the rates of the others.
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
