//! `-e` in machine-readable formats.

use netstat_model::columns::{Column, InterfaceRow, Interfaces, Table, is_rate, traffic_columns};
use netstat_model::counters::{InterfaceCounters, InterfaceRates, InterfaceStatistics, Traffic};
use netstat_model::{Fact, Why};
use serde_json::{Value, json};

use super::front::{self, Front};
use super::schema;
use crate::output::rows::plain::PlainGrid;

const UNKNOWN: Traffic<f64> = Traffic::unknown(Why::NotYet);

/// Returns the columns of interfaces; those of rates only if `with_rates`.
fn columns(with_rates: bool) -> impl Iterator<Item = &'static Column<Interfaces>> {
    Interfaces::columns()
        .iter()
        .filter(move |column| with_rates || !is_rate(column))
}

/// Returns a grid with a row for each interface.
pub(crate) fn grid<'a>(
    statistics: &'a InterfaceStatistics,
    rates: Option<&'a InterfaceRates>,
) -> PlainGrid<'a, Interfaces> {
    let interfaces = statistics.interfaces.as_ref().known().map_or(&[][..], Vec::as_slice);
    let rows = interfaces.iter().enumerate().map(|(at, counters)| InterfaceRow {
        counters,
        rates: rates.map(|rates| rates.each.get(at).unwrap_or(&UNKNOWN)),
    });
    PlainGrid::new(columns(rates.is_some()), rows.collect())
}

/// Returns the member `ethernet`: the sum of all interfaces except loopback, and each interface.
pub(crate) fn value(front: &mut Front, statistics: &InterfaceStatistics, rates: Option<&InterfaceRates>) -> Value {
    if let Fact::Unknown(why) = statistics.interfaces {
        front.unknown("the interfaces", why.words());
        return json!({"sum": null, "interfaces": null});
    }
    let sum = InterfaceCounters {
        index: Fact::Unknown(Why::NotApplicable),
        name: Box::default(),
        mac: Fact::Unknown(Why::NotApplicable),
        loopback: Fact::Unknown(Why::NotApplicable),
        traffic: statistics.sum(),
        kinds: Vec::new(),
    };
    let row = InterfaceRow {
        counters: &sum,
        rates: rates.map(|rates| &rates.sum),
    };
    let with_rates = rates.is_some();
    let figures = traffic_columns().chain(columns(with_rates).filter(|column| is_rate(column)));
    let one = PlainGrid::<Interfaces>::new(figures, vec![row]);
    let sum = front::rows(front, &one, "sum over the interfaces", "sums")
        .get_mut(0)
        .map(Value::take);
    let each = front::rows(front, &grid(statistics, rates), "interface", "interfaces");
    json!({"sum": sum, "interfaces": each})
}

/// Returns the schema of the member `ethernet`.
pub(super) fn schema() -> Value {
    let row = |identity: bool| {
        let mut row = schema::row::<Interfaces>(&[], false);
        if let (false, Some(properties)) = (identity, row["properties"].as_object_mut()) {
            let figures: Vec<&str> = traffic_columns().map(|column| column.name).collect();
            properties.retain(|name, _| figures.contains(&name.as_str()) || name.ends_with("_per_second"));
        }
        row
    };
    json!({
        "type": "object",
        "description": "-e: what the interfaces have counted; changes per second with --rates",
        "properties": {
            "sum": {"anyOf": [row(false), {"type": "null"}], "description": "all interfaces but loopback together"},
            "interfaces": {"type": ["array", "null"], "items": row(true)},
        },
        "required": ["sum", "interfaces"],
        "additionalProperties": false,
    })
}
