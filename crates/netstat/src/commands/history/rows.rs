//! The flows themselves, or counted in groups.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use netstat_model::Fact;
use netstat_model::columns::{Column, Value, ValueKind};
use netstat_os::System;
use netstat_record::{Flow, FlowRow, FlowTotals, Flows};

use super::people::{self, Readable, Zone};
use super::{Answer, CHUNK, MOST};
use crate::args::shape::{Format, SortKey};
use crate::context::Diagnostics;
use crate::context::Failure;
use crate::output::json;
use crate::output::rows::json::Tally;
use crate::output::rows::sort::{self, Direction};
use crate::output::rows::table::{self, Layout, Widths};
use crate::output::rows::{self, Grid, Head};

/// Flows with selected columns.
struct FlowGrid<'a> {
    /// Whether this is a table for people.
    people: bool,
    columns: &'a [&'static Column<Flows>],
    flows: &'a [Flow],
    order: Option<&'a [u32]>,
    users: &'a HashMap<u32, Arc<str>>,
}

impl FlowGrid<'_> {
    fn at(&self, at: usize) -> FlowRow<'_> {
        let place = self.order.map_or(at, |order| order[at] as usize);
        FlowRow {
            flow: &self.flows[place],
            users: self.users,
        }
    }
}

impl Grid for FlowGrid<'_> {
    fn heads(&self) -> Vec<Head> {
        self.columns.iter().map(|column| Head::of(column)).collect()
    }

    fn len(&self) -> usize {
        self.order.map_or(self.flows.len(), <[u32]>::len)
    }

    fn row(&self, at: usize, each: &mut dyn FnMut(Value<'_>)) {
        let row = self.at(at);
        for column in self.columns {
            each(match self.people {
                true => people::of_flow(column, &row),
                false => (column.get)(&row),
            });
        }
    }
}

/// Writes several grids in succession as one result.
pub(super) struct Paper {
    format: Format,
    width: Option<u16>,
    zone: Zone,
    widths: Widths,
    pages: usize,
    /// The beginning of a JSON document, up to its rows.
    head: String,
    /// The values that were missing in the rows of a JSON document, and their columns.
    missing: Tally,
    heads: Vec<Head>,
}

impl Paper {
    pub(super) fn new(answer: &Answer<'_, '_, '_>) -> Paper {
        let host = answer.context.system.computer_name();
        let mut head = format!("{{{},\"gaps\":[", json::head("netstat.history", &host, answer.now));
        for (at, gap) in answer.gaps.iter().enumerate() {
            if at > 0 {
                head.push(',');
            }
            head.push_str(json::to_text(&super::headings::gap_value(gap, answer.names_hosts()), false).trim_end());
        }
        head.push_str("],\"rows\":[");
        Paper {
            format: answer.args.format(),
            width: answer.context.screen.width,
            zone: Zone::local(netstat_record::millis(answer.now)),
            widths: Widths::default(),
            pages: 0,
            head,
            missing: Tally::new(),
            heads: Vec::new(),
        }
    }

    /// Writes the rows of `grid` after those already written.
    ///
    /// # Errors
    /// Returns an error of `out`.
    pub(super) fn write(&mut self, out: &mut dyn Write, grid: &dyn Grid) -> io::Result<()> {
        let first = self.pages == 0;
        self.pages += 1;
        match self.format {
            Format::Text => {
                let layout = Layout {
                    color: false,
                    width: self.width,
                    bare: !first,
                    for_people: true,
                    omits_empty: false,
                };
                table::write(out, &Readable::new(grid, &self.zone), &layout, &mut self.widths)
            }
            Format::Csv(style) => rows::csv::write(out, grid, first, style),
            Format::NdJson => rows::json::write_lines(out, grid),
            Format::Json => {
                if first {
                    out.write_all(self.head.as_bytes())?;
                } else if !grid.is_empty() {
                    out.write_all(b",")?;
                }
                for (key, count) in rows::json::write_elements(out, grid)? {
                    *self.missing.entry(key).or_default() += count;
                }
                self.heads = grid.heads();
                Ok(())
            }
        }
    }

    /// Completes the result.
    ///
    /// # Errors
    /// Returns an error of `out`.
    pub(super) fn finish(self, out: &mut dyn Write) -> io::Result<()> {
        if self.format == Format::Json {
            if self.pages == 0 {
                out.write_all(self.head.as_bytes())?;
            }
            let limits = json::front::missing(&self.heads, &self.missing, "row", "rows");
            let limits = json::to_text(&limits.into(), false);
            writeln!(out, "],\"limits\":{}}}", limits.trim_end())?;
        }
        Ok(())
    }
}

/// The names of users, each looked up once.
#[derive(Default)]
struct Users {
    names: HashMap<u32, Arc<str>>,
    asked: HashSet<u32>,
}

impl Users {
    fn meet(&mut self, system: &mut dyn System, flow: &Flow) {
        if let Fact::Known(id) = flow.user
            && self.asked.insert(id)
            && let Some(name) = system.user_name(id)
        {
            self.names.insert(id, name);
        }
    }
}

/// Writes one flow as a JSON object on a line.
pub(super) fn write_line(
    system: &mut dyn System,
    out: &mut dyn Write,
    flow: &Flow,
    columns: &[&'static Column<Flows>],
) -> io::Result<()> {
    let mut users = Users::default();
    users.meet(system, flow);
    let grid = FlowGrid {
        people: false,
        columns,
        flows: std::slice::from_ref(flow),
        order: None,
        users: &users.names,
    };
    rows::json::write_lines(out, &grid)
}

pub(super) fn rows(answer: &mut Answer<'_, '_, '_>, diagnostics: &mut Diagnostics) -> Result<(), Failure> {
    if let Some(group) = answer.args.group.clone() {
        return groups(answer, &group);
    }
    let columns = answer.columns();
    let sort = answer.args.sort.clone().unwrap_or_default();
    if let Some(key) = sort.iter().find(|key| key.column.is_none()) {
        let dash = if key.down { "-" } else { "" };
        return Err(Failure::Usage(format!("--sort {dash}count needs --group")));
    }
    match sort.is_empty() {
        true => in_pieces(answer, &columns, diagnostics),
        false => sorted(answer, &columns, &sort),
    }
}

/// Prints the flows in the order of `keys`; all of them must be read first.
fn sorted(
    answer: &mut Answer<'_, '_, '_>,
    columns: &[&'static Column<Flows>],
    keys: &[SortKey<Flows>],
) -> Result<(), Failure> {
    let mut paper = Paper::new(answer);
    let mut users = Users::default();
    let mut flows: Vec<Flow> = Vec::new();
    let mut more = false;
    answer.each(&mut |system, _, flow| {
        more = flows.len() >= MOST;
        if more {
            return Ok(ControlFlow::Break(()));
        }
        users.meet(system, &flow);
        flows.push(flow);
        Ok(ControlFlow::Continue(()))
    })?;
    if more {
        return Err(Failure::Refused(format!(
            "more than {MOST} connections cannot be sorted: choose fewer with --since or a filter"
        )));
    }
    let directions: Vec<Direction> = keys.iter().map(|key| Direction { down: key.down }).collect();
    let mut order = sort::order(flows.len(), &directions, |at, values| {
        let row = FlowRow {
            flow: &flows[at],
            users: &users.names,
        };
        for column in keys.iter().filter_map(|key| key.column) {
            values.push((column.get)(&row).into_owned());
        }
    });
    order.truncate(answer.args.top.unwrap_or(usize::MAX));
    let grid = FlowGrid {
        people: paper.format == Format::Text,
        columns,
        flows: &flows,
        order: Some(&order),
        users: &users.names,
    };
    paper.write(answer.context.out, &grid)?;
    Ok(paper.finish(answer.context.out)?)
}

/// Prints the flows in the order of the record. A listing of any length needs little memory, because it is written in
/// chunks.
fn in_pieces(
    answer: &mut Answer<'_, '_, '_>,
    columns: &[&'static Column<Flows>],
    diagnostics: &mut Diagnostics,
) -> Result<(), Failure> {
    let top = answer.args.top.unwrap_or(usize::MAX);
    let mut paper = Paper::new(answer);
    let mut users = Users::default();
    let mut flows: Vec<Flow> = Vec::new();
    let people = paper.format == Format::Text;
    let mut count = 0;
    answer.each(&mut |system, out, flow| {
        users.meet(system, &flow);
        flows.push(flow);
        count += 1;
        if flows.len() >= CHUNK {
            let grid = FlowGrid {
                people,
                columns,
                flows: &flows,
                order: None,
                users: &users.names,
            };
            paper.write(out, &grid)?;
            flows.clear();
        }
        Ok(if count < top {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    if count == 0 && people {
        diagnostics.line("no connection matches");
        return Ok(());
    }
    if !flows.is_empty() || paper.pages == 0 {
        let grid = FlowGrid {
            people,
            columns,
            flows: &flows,
            order: None,
            users: &users.names,
        };
        paper.write(answer.context.out, &grid)?;
    }
    Ok(paper.finish(answer.context.out)?)
}

/// The totals of a group.
#[derive(Clone, Copy, Debug, Default)]
struct Sum(FlowTotals);

/// The values that the flows of a group have in common. Most groups have one column, in which case no allocation is
/// needed.
trait Key: Ord + Hash + Sync {
    /// Returns the values of `row` in `columns`.
    fn of(columns: &[&'static Column<Flows>], row: &FlowRow<'_>) -> Self;

    /// Returns the values.
    fn values(&self) -> &[Value<'static>];
}

impl Key for Value<'static> {
    fn of(columns: &[&'static Column<Flows>], row: &FlowRow<'_>) -> Self {
        columns
            .first()
            .map_or(Value::Nothing, |column| (column.get)(row).into_owned())
    }

    fn values(&self) -> &[Value<'static>] {
        std::slice::from_ref(self)
    }
}

impl Key for Vec<Value<'static>> {
    fn of(columns: &[&'static Column<Flows>], row: &FlowRow<'_>) -> Self {
        columns.iter().map(|column| (column.get)(row).into_owned()).collect()
    }

    fn values(&self) -> &[Value<'static>] {
        self
    }
}

/// Groups with their totals.
struct GroupGrid<K> {
    heads: Vec<Head>,
    rows: Vec<(K, Sum)>,
}

/// The totals of each group, which precede its own columns.
const SUMS: [Head; 5] = [
    Head {
        name: "count",
        heading: "Count",
        kind: ValueKind::Number,
    },
    Head {
        name: "sent",
        heading: "Sent",
        kind: ValueKind::Number,
    },
    Head {
        name: "received",
        heading: "Received",
        kind: ValueKind::Number,
    },
    Head {
        name: "first",
        heading: "First",
        kind: ValueKind::Time,
    },
    Head {
        name: "last",
        heading: "Last",
        kind: ValueKind::Time,
    },
];

impl Sum {
    fn value(&self, name: &str) -> Option<Value<'static>> {
        let totals = &self.0;
        Some(match name {
            "count" => Value::Number(totals.count),
            "sent" => Value::Number(totals.sent),
            "received" => Value::Number(totals.received),
            "bytes" => Value::Number(totals.sent.saturating_add(totals.received)),
            "first" => Value::Time(totals.first),
            "last" => Value::Time(totals.last),
            "duration" => Value::Number(u64::try_from(totals.last - totals.first).unwrap_or(0)),
            _ => return None,
        })
    }
}

impl<K: Key> Grid for GroupGrid<K> {
    fn heads(&self) -> Vec<Head> {
        self.heads.clone()
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn row(&self, at: usize, each: &mut dyn FnMut(Value<'_>)) {
        let (key, sum) = &self.rows[at];
        for head in &self.heads[..SUMS.len()] {
            each(sum.value(head.name).unwrap_or(Value::Nothing));
        }
        key.values().iter().cloned().for_each(each);
    }
}

fn groups(answer: &mut Answer<'_, '_, '_>, group: &[&'static Column<Flows>]) -> Result<(), Failure> {
    if answer.args.columns.is_some() {
        return Err(Failure::Usage(
            "--columns does not go with --group: its columns are those of the groups".to_owned(),
        ));
    }
    if let Some(column) = group
        .iter()
        .find(|column| SUMS.iter().any(|head| head.name == column.name))
    {
        return Err(Failure::Usage(format!(
            "--group {} is a sum, nothing to group by",
            column.name
        )));
    }
    let sort = answer.args.sort.clone().unwrap_or_default();
    for key in &sort {
        if let Some(column) = key.column
            && !group.contains(&column)
            && Sum::default().value(column.name).is_none()
        {
            return Err(Failure::Usage(format!(
                "--sort {} is neither in --group nor count, sent, received, bytes, first, last or duration",
                column.name
            )));
        }
    }
    match group {
        [_] => counted::<Value<'static>>(answer, group, &sort),
        _ => counted::<Vec<Value<'static>>>(answer, group, &sort),
    }
}

/// Combines the flows by their keys, and writes the groups in the order of `sort`.
fn counted<K: Key>(
    answer: &mut Answer<'_, '_, '_>,
    group: &[&'static Column<Flows>],
    sort: &[SortKey<Flows>],
) -> Result<(), Failure> {
    let mut users = Users::default();
    let mut sums: HashMap<K, Sum> = HashMap::new();
    answer.totals(group, &mut |system, flow, totals| {
        users.meet(system, &flow);
        let row = FlowRow {
            flow: &flow,
            users: &users.names,
        };
        sums.entry(K::of(group, &row)).or_default().0.add(&totals);
    })?;
    let mut rows: Vec<(K, Sum)> = sums.into_iter().collect();
    rows.sort_unstable_by(|a, b| b.1.0.count.cmp(&a.1.0.count).then_with(|| a.0.cmp(&b.0)));
    if !sort.is_empty() {
        let directions: Vec<Direction> = sort.iter().map(|key| Direction { down: key.down }).collect();
        let values = |row: &(K, Sum)| -> Vec<Value<'static>> {
            let one = |key: &SortKey<Flows>| match key.column {
                None => Value::Number(row.1.0.count),
                Some(column) => match group.iter().position(|one| *one == column) {
                    Some(at) => row.0.values()[at].clone(),
                    None => row.1.value(column.name).unwrap_or(Value::Nothing),
                },
            };
            sort.iter().map(one).collect()
        };
        let keys: Vec<Vec<Value<'static>>> = rows.iter().map(values).collect();
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|&a, &b| sort::compare(&keys[a], &keys[b], &directions));
        order.truncate(answer.args.top.unwrap_or(usize::MAX));
        let mut left: Vec<Option<(K, Sum)>> = rows.into_iter().map(Some).collect();
        rows = order.into_iter().filter_map(|at| left[at].take()).collect();
    }
    rows.truncate(answer.args.top.unwrap_or(usize::MAX));
    let mut heads = SUMS.to_vec();
    heads.extend(group.iter().map(|column| Head::of(column)));
    let mut paper = Paper::new(answer);
    paper.write(answer.context.out, &GroupGrid { heads, rows })?;
    Ok(paper.finish(answer.context.out)?)
}
