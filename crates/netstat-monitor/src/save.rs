//! Saves the rows of a pane as JSON or CSV: all of them, not only those on the screen, with the visible columns.

use netstat_model::Fact;
use serde_json::{Map, Value, json as value};

use crate::cell::{Sheet, cell};
use crate::model::{Item, Model, PaneRow, ProcessRow};
use crate::pane::{Column, Pane};
use crate::selection::Selection;

/// Returns the number in a numeric column: the exact value, not the shortened text of the screen.
fn figure(model: &Model, item: Item, column: Column) -> Option<Fact<f64>> {
    Some(match item {
        Item::Process(at) => return figure_of_process(&model.processes[at as usize], column),
        Item::Socket(at) => return figure_of_socket(model, at as usize, column),
        Item::Brief(at) => {
            let row = &model.sockets.brief[at as usize];
            match column {
                Column::LocalPort if row.incoming => Fact::Known(row.row.local.port.into()),
                Column::RemotePort if !row.incoming => Fact::Known(row.row.foreign.port.into()),
                Column::Send => row.sent,
                Column::Receive => row.received,
                Column::NetworkTotal => row.total(),
                Column::Lived => row.lived.map(|lived| lived as f64 / 1e6),
                _ => return None,
            }
        }
        Item::Group(_) => return None,
        Item::Unit(at) => {
            let row = &model.units[at as usize];
            match column {
                Column::Processes => Fact::Known(row.processes.into()),
                Column::Cpu => percent(row.cpu),
                Column::CpuAverage => percent(row.cpu_average),
                Column::Private => whole(row.private),
                _ => return None,
            }
        }
        Item::Disk(at) => {
            let row = &model.disks[at as usize];
            match column {
                Column::Active => percent(row.rates.active),
                Column::Queue => row.rates.queue,
                Column::Response => row.rates.response,
                Column::Free => whole(row.free),
                Column::Size => whole(row.size),
                Column::Read => row.rates.read,
                Column::Write => row.rates.written,
                _ => return None,
            }
        }
    })
}

fn whole(fact: Fact<u64>) -> Fact<f64> {
    fact.map(|value| value as f64)
}

fn percent(fact: Fact<f64>) -> Fact<f64> {
    fact.map(|share| share * 100.0)
}

fn figure_of_process(row: &ProcessRow, column: Column) -> Option<Fact<f64>> {
    Some(match column {
        Column::Pid => Fact::Known(row.key.pid.into()),
        Column::Threads => Fact::Known(row.threads.into()),
        Column::Sockets => Fact::Known(row.sockets.into()),
        Column::Cpu => percent(row.rates.cpu),
        Column::CpuAverage => percent(row.cpu_average),
        Column::Read => row.rates.read,
        Column::Write => row.rates.written,
        Column::DiskTotal => crate::model::Throughput {
            outbound: row.rates.written,
            inbound: row.rates.read,
        }
        .total(),
        Column::Send => row.network.outbound,
        Column::Receive => row.network.inbound,
        Column::NetworkTotal => row.network.total(),
        Column::Faults => row.rates.major_faults,
        Column::MinorFaults => row.rates.minor_faults,
        Column::Resident => whole(row.resident),
        Column::Shareable => whole(row.shareable),
        Column::Private => whole(row.private),
        Column::Swap => whole(row.swapped),
        _ => return None,
    })
}

fn figure_of_socket(model: &Model, at: usize, column: Column) -> Option<Fact<f64>> {
    let row = model.sockets.row(at);
    let flow = model.sockets.flow(at);
    Some(match column {
        Column::Pid => Fact::Known(row.process()?.pid.into()),
        Column::LocalPort => Fact::Known(row.local.port.into()),
        Column::RemotePort => Fact::Known(row.foreign.port.into()),
        Column::Send => flow.sent.map(f64::from),
        Column::Receive => flow.received.map(f64::from),
        Column::NetworkTotal => flow.total().map(f64::from),
        Column::Latency => row.rtt.map(|micros| f64::from(micros) / 1000.0),
        Column::Loss => flow.loss.map(|share| f64::from(share) * 100.0),
        Column::Sent => row.bytes.map(|bytes| bytes.sent as f64),
        Column::Received => row.bytes.map(|bytes| bytes.received as f64),
        Column::Lived => model.sockets.lifetime(at).map(|lived| lived as f64 / 1e6),
        Column::ReceiveQueue => Fact::Known(row.receive_queue.into()),
        Column::SendQueue => row.send_queue.map(f64::from),
        _ => return None,
    })
}

/// The content of a saved pane.
pub(crate) struct SavedPane<'a> {
    /// The data from which its cells are made.
    pub(crate) sheet: Sheet<'a>,
    /// The pane that is saved.
    pub(crate) pane: Pane,
    /// Its rows, in order.
    pub(crate) rows: &'a [PaneRow],
    /// The columns to save.
    pub(crate) columns: &'a [Column],
    /// The marks and the filter.
    pub(crate) selection: &'a Selection,
    /// The name of the computer.
    pub(crate) computer: &'a str,
}

/// Returns a JSON document; an unknown fact is `null`.
pub(crate) fn json(saved: &SavedPane<'_>) -> String {
    let (model, columns) = (saved.sheet.model, saved.columns);
    let rows = saved.rows.iter().map(|row| {
        let mut object = Map::new();
        for column in columns {
            let content = match figure(model, row.item, *column) {
                Some(Fact::Known(number)) if number.fract() == 0.0 && number.abs() < 9e15 => value!(number as i64),
                Some(Fact::Known(number)) => value!(number),
                Some(Fact::Unknown(_)) => Value::Null,
                None => match cell(&saved.sheet, row, *column).text {
                    text if text == crate::format::UNKNOWN => Value::Null,
                    text => Value::String(text),
                },
            };
            object.insert(column.spec().key.to_owned(), content);
        }
        Value::Object(object)
    });
    let document = value!({
        "schema": "netstat.monitor.view",
        "version": 1,
        "computer": saved.computer,
        "time_ms": model.wall,
        "pane": saved.pane.spec().key,
        "filter": saved.selection.filter.as_ref().map(|(text, _)| text),
        "marked": saved.selection.marks.keys().map(|key| key.pid).collect::<Vec<_>>(),
        "rows": rows.collect::<Vec<_>>(),
    });
    // A document of numbers and texts can always be serialized.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

/// Returns CSV (RFC 4180) with a line of headings; an unknown fact is empty.
pub(crate) fn csv(saved: &SavedPane<'_>) -> String {
    let (model, columns) = (saved.sheet.model, saved.columns);
    let heads: Vec<&str> = columns.iter().map(|column| column.spec().key).collect();
    let mut out = heads.join(",") + "\r\n";
    for row in saved.rows {
        for (at, column) in columns.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            match figure(model, row.item, *column) {
                Some(Fact::Known(number)) => out.push_str(&number.to_string()),
                Some(Fact::Unknown(_)) => {}
                None => match cell(&saved.sheet, row, *column).text {
                    text if text == crate::format::UNKNOWN => {}
                    text if text.contains(['"', ',', '\r', '\n']) => {
                        out.push('"');
                        out.push_str(&text.replace('"', "\"\""));
                        out.push('"');
                    }
                    text => out.push_str(&text),
                },
            }
        }
        out.push_str("\r\n");
    }
    out
}
