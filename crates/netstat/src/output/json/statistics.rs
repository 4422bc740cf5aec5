//! `-s` in machine-readable formats.

use std::collections::BTreeMap;

use netstat_model::counters::{
    Block, BlockSet, Cells, Kind, Metric, Pair, ProtocolRates, ProtocolStatistics, TcpFamilies, group_blocks,
};
use netstat_model::{Fact, Why};
use serde_json::{Map, Value, json};

use super::front::Front;

/// The values that are `null`, by block and reason.
#[derive(Default)]
struct Gaps(BTreeMap<(String, Why), Vec<String>>);

impl Gaps {
    fn number<T: Into<Value>>(&mut self, block: &str, name: &str, fact: Fact<T>) -> Value {
        match fact {
            Fact::Known(value) => value.into(),
            Fact::Unknown(why) => {
                self.0.entry((block.to_owned(), why)).or_default().push(name.to_owned());
                Value::Null
            }
        }
    }

    fn pair<T: Into<Value>>(&mut self, block: &str, name: &str, cells: &Cells, pair: Pair<T>) -> Value {
        match cells {
            Cells::One(_) => self.number(block, name, pair.received),
            Cells::Two { .. } => {
                let received = self.number(block, &format!("{name} received"), pair.received);
                let sent = self.number(block, &format!("{name} sent"), pair.sent);
                json!({"received": received, "sent": sent})
            }
        }
    }

    fn tell(self, front: &mut Front) {
        for ((block, why), names) in self.0 {
            front.unknown(format!("{block}: {}", names.join(", ")), why.words());
        }
    }
}

/// Returns the member `statistics`: the classic counters of `blocks`; with `further`, every counter of the system in
/// its group, including those that are 0; with `rates`, how fast the counters grow.
pub(crate) fn value(
    front: &mut Front,
    statistics: &ProtocolStatistics,
    blocks: BlockSet,
    further: bool,
    rates: Option<&ProtocolRates>,
) -> Value {
    let mut gaps = Gaps::default();
    let mut whole = Map::new();
    let together = statistics.tcp_families == TcpFamilies::Together;
    whole.insert(
        "tcp_families".into(),
        if together { "together" } else { "separate" }.into(),
    );
    let mut all = Map::new();
    for block in blocks.iter() {
        let rows = statistics.rows(block);
        let rows = rows.map(|(row, pair)| (row.id.to_owned(), gaps.pair(block.id(), row.id, &row.cells, pair)));
        all.insert(block.id().to_owned(), Value::Object(rows.collect()));
    }
    whole.insert("blocks".into(), Value::Object(all));
    let wanted = |group: &str| match group_blocks(group) {
        BlockSet::NONE => blocks == BlockSet::ALL,
        own => own.iter().any(|block| blocks.has(block)),
    };
    let groups = || {
        statistics
            .groups
            .iter()
            .enumerate()
            .filter(|(_, group)| wanted(&group.name))
    };
    if further {
        let groups = groups().map(|(_, group)| {
            let counters = group.counters.iter().map(|counter| {
                let value = gaps.number(&group.name, &counter.name, counter.value.map(number));
                (counter.name.to_string(), value)
            });
            (group.name.to_string(), Value::Object(counters.collect()))
        });
        whole.insert("groups".into(), Value::Object(groups.collect()));
    }
    if let Some(rates) = rates {
        let mut per_second = Map::new();
        for block in blocks.iter() {
            let rows = block.rows().iter().zip(rates.rows(block));
            let rows = rows.filter(|(row, _)| row.kind == Kind::Counter).map(|(row, pair)| {
                let name = format!("{} per second", row.id);
                (row.id.to_owned(), gaps.pair(block.id(), &name, &row.cells, *pair))
            });
            per_second.insert(block.id().to_owned(), Value::Object(rows.collect()));
        }
        let mut of_all = Map::new();
        of_all.insert("blocks".into(), Value::Object(per_second));
        if further {
            let groups = groups().map(|(at, group)| {
                let counters = group.counters.iter().zip(rates.group(at));
                // A gauge has no rate.
                let counters = counters.filter(|(counter, _)| !matches!(counter.value, Fact::Known(Metric::Gauge(_))));
                let counters = counters.map(|(counter, rate)| {
                    let name = format!("{} per second", counter.name);
                    (counter.name.to_string(), gaps.number(&group.name, &name, *rate))
                });
                (group.name.to_string(), Value::Object(counters.collect()))
            });
            of_all.insert("groups".into(), Value::Object(groups.collect()));
        }
        whole.insert("rates".into(), Value::Object(of_all));
    }
    gaps.tell(front);
    Value::Object(whole)
}

fn number(figure: Metric) -> Value {
    match figure {
        Metric::Counter(count) => count.into(),
        Metric::Gauge(value) => value.into(),
    }
}

/// Returns the schema of the member `statistics`.
pub(super) fn schema() -> Value {
    let count = json!({"type": ["integer", "null"], "minimum": 0});
    let rate = json!({"type": ["number", "null"], "minimum": 0});
    let blocks = |cell: &Value, gauges: bool| {
        let blocks = Block::ALL.map(|block| {
            let rows = block.rows().iter().filter(|row| gauges || row.kind == Kind::Counter);
            let rows: Map<String, Value> = rows
                .map(|row| {
                    let mut schema = match row.cells {
                        Cells::One(_) => cell.clone(),
                        Cells::Two { .. } => json!({
                            "type": "object",
                            "properties": {"received": cell, "sent": cell},
                            "required": ["received", "sent"],
                            "additionalProperties": false,
                        }),
                    };
                    schema["description"] = row.label.into();
                    (row.id.to_owned(), schema)
                })
                .collect();
            let required: Vec<&String> = rows.keys().collect();
            let block_schema = json!({
                "type": "object", "required": required, "properties": rows, "additionalProperties": false,
            });
            (block.id().to_owned(), block_schema)
        });
        let blocks: Map<String, Value> = blocks.into_iter().collect();
        json!({"type": "object", "properties": blocks, "additionalProperties": false})
    };
    let groups = |cell: Value| {
        json!({
            "type": "object",
            "description": "with --verbose: every counter under the system's own names",
            "additionalProperties": {"type": "object", "additionalProperties": cell},
        })
    };
    json!({
        "type": "object",
        "description": "-s: what the protocols have counted since the computer started",
        "properties": {
            "tcp_families": {
                "enum": ["together", "separate"],
                "description": "together: tcpv4 counts IPv4 and IPv6, but for current_connections",
            },
            "blocks": blocks(&count, true),
            "groups": groups(json!({"type": ["integer", "null"]})),
            "rates": {
                "type": "object",
                "description": "with --rates: the change per second since the print before",
                "properties": {"blocks": blocks(&rate, false), "groups": groups(rate.clone())},
                "required": ["blocks"],
                "additionalProperties": false,
            },
        },
        "required": ["tcp_families", "blocks"],
        "additionalProperties": false,
    })
}
