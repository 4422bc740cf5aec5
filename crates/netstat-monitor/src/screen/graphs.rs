//! The graphs at the side.

use std::sync::Arc;

use netstat_model::Fact;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use super::{put, put_right};
use crate::app::App;
use crate::config::Span;
use crate::format;
use crate::history::{Scale, Series};
use crate::model::Model;
use crate::pane::Tab;
use crate::selection::Totals;

/// Eighths of a cell.
const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
/// The same where only ASCII can be shown.
const ASCII: [&str; 9] = [" ", ".", ".", ":", ":", "|", "|", "#", "#"];

/// What a graph's scale means.
#[derive(Clone, Copy, PartialEq)]
enum Top {
    /// Shares of 1: 100 %.
    Whole,
    /// Bytes per second; never below this many.
    Rate(f32),
    /// A count; never below this many.
    Count(f32),
}

struct Graph {
    title: String,
    now: String,
    series: Series,
    top: Top,
    colors: [Color; 2],
    /// One line instead of a graph of several.
    small: bool,
}

/// Draws the graphs of the tab below each other.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, app: &mut App) {
    let Some(model) = app.model.clone() else { return };
    let graphs = graphs(app, &model);
    let small = graphs.iter().filter(|graph| graph.small).count() as u16;
    let large = graphs.len() as u16 - small;
    let for_small = small.min(area.height.saturating_sub(large * 4));
    let room = area.height - for_small;
    let each = (room / large.max(1)).clamp(3, 14);
    let mut y = area.y;
    for graph in graphs.iter().filter(|graph| !graph.small) {
        if y + 3 > area.bottom() {
            break;
        }
        let height = each.min(area.bottom() - y);
        one(buffer, Rect { y, height, ..area }, graph, app, &model);
        y += each;
    }
    for graph in graphs.iter().filter(|graph| graph.small) {
        if y >= area.bottom() {
            break;
        }
        line(buffer, Rect { y, height: 1, ..area }, graph, app, &model);
        y += 1;
    }
}

fn make(title: &str, now: String, series: Series, top: Top, colors: [Color; 2]) -> Graph {
    Graph {
        title: title.to_owned(),
        now,
        series,
        top,
        colors,
        small: false,
    }
}

fn graphs(app: &App, model: &Model) -> Vec<Graph> {
    let [cpu, memory, disk, network] = app.theme.graphs;
    let whole = &model.whole;
    let percent = |fact: Fact<f64>| format!("{} %", format::fact(fact, format::percent));
    let rate = |fact: Fact<f64>| format::fact(fact, format::rate);
    let processors = || {
        let now = percent(whole.cpu.map(|cpu| cpu.busy));
        make("CPU", now, Series::Cpu, Top::Whole, cpu)
    };
    let memory_graph = || {
        let size = |fact: Fact<u64>| format::fact(fact, format::size);
        let now = format!(
            "{} used  {} cached",
            size(whole.memory.in_use()),
            size(whole.memory.cached)
        );
        make("Memory", now, Series::Memory, Top::Whole, memory)
    };
    let disk_graph = || {
        let now = format!("r {}  w {} B/s", rate(whole.disk.inbound), rate(whole.disk.outbound));
        make("Disk", now, Series::Disk, Top::Rate(100e3), disk)
    };
    let network_graph = || {
        let now = format!(
            "in {}  out {} B/s",
            rate(whole.network.inbound),
            rate(whole.network.outbound)
        );
        make("Network", now, Series::Network, Top::Rate(10e3), network)
    };
    match app.tab {
        Tab::Overview => vec![processors(), disk_graph(), network_graph(), memory_graph()],
        Tab::Cpu => {
            let each = whole.cores.iter().enumerate().map(|(place, (number, busy))| Graph {
                small: whole.cores.len() > 4,
                ..make(
                    &format!("CPU {number}"),
                    percent(busy.map(|cpu| cpu.busy)),
                    Series::Core(place),
                    Top::Whole,
                    cpu,
                )
            });
            std::iter::once(processors()).chain(each).collect()
        }
        Tab::Memory => {
            let now = percent(whole.pressure[1]);
            let waiting = make("Waiting for memory", now, Series::MemoryPressure, Top::Whole, memory);
            vec![memory_graph(), waiting]
        }
        Tab::Disk => {
            let (name, share) = match &whole.busiest {
                Fact::Known((name, share)) => (format!("Busiest disk: {name}"), Fact::Known(*share)),
                Fact::Unknown(why) => ("Busiest disk".to_owned(), Fact::Unknown(*why)),
            };
            let active = make(&name, percent(share), Series::DiskActive, Top::Whole, disk);
            vec![disk_graph(), active]
        }
        Tab::Network => {
            let count = format::fact(whole.connections, |count| count.to_string());
            let connections = make("TCP connections", count, Series::Connections, Top::Count(10.0), network);
            let each = model.interfaces.iter().enumerate().map(|(place, interface)| {
                let now = format!(
                    "in {}  out {} B/s",
                    rate(interface.rate.inbound),
                    rate(interface.rate.outbound)
                );
                Graph {
                    small: model.interfaces.len() > 3,
                    ..make(&interface.name, now, Series::Interface(place), Top::Rate(10e3), network)
                }
            });
            [network_graph(), connections].into_iter().chain(each).collect()
        }
    }
}

/// The values of a graph and the top of its scale.
fn values(graph: &Graph, columns: u16, app: &mut App, model: &Arc<Model>) -> (Vec<[f32; 2]>, f32) {
    let span = app.settings.span.duration();
    let values = app
        .history
        .columns(graph.series, span, columns.into(), model, &app.selection);
    let most = values
        .iter()
        .map(|[a, b]| a + b)
        .filter(|sum| !sum.is_nan())
        .fold(0.0, f32::max);
    let top = match graph.top {
        Top::Whole => 1.0,
        Top::Rate(least) | Top::Count(least) => {
            let scale = app
                .scales
                .entry(graph.title.clone())
                .or_insert_with(|| Scale::new(least));
            scale.fit(most, least)
        }
    };
    (values, top)
}

fn one(buffer: &mut Buffer, area: Rect, graph: &Graph, app: &mut App, model: &Arc<Model>) {
    let (values, top) = values(graph, area.width, app, model);
    let name = Style::new().fg(graph.colors[0]).add_modifier(Modifier::BOLD);
    let (title, now) = match app.selection.totals().filter(|_| graph.series.is_of_processes()) {
        None => (graph.title.clone(), graph.now.clone()),
        Some(totals) => (
            format!("{} of selected", graph.title),
            of_selected(graph.series, totals, model),
        ),
    };
    let end = put(buffer, area.x, area.y, area.width, &title, name);
    let now = fitting(&now, area.right().saturating_sub(end + 1));
    put_right(buffer, end + 1, area.right(), area.y, now, Style::new());
    // Below it the axis, and an empty line where there is room.
    let rows = area.height.saturating_sub(if area.height > 4 { 3 } else { 2 }).max(1);
    let below = area.y + 1 + rows;
    for (x, [first, second]) in (area.x..).zip(values) {
        column(buffer, x, below, rows, [first / top, second / top], graph.colors, app);
    }
    if below < area.bottom() {
        axis(
            buffer,
            Rect {
                y: below,
                height: 1,
                ..area
            },
            graph,
            top,
            app,
        );
    }
}

/// Where there is no room for all figures, the last is left out rather than cut.
fn fitting(now: &str, room: u16) -> &str {
    match now.rsplit_once("  ") {
        Some((first, _)) if now.chars().count() > usize::from(room) => first,
        _ => now,
    }
}

/// What the selected processes and sockets do now.
fn of_selected(series: Series, totals: &Totals, model: &Model) -> String {
    let rate = |fact: Fact<f64>| format::fact(fact, format::rate);
    match series {
        Series::Cpu => {
            let processors = model.whole.cores.len().max(1) as f64;
            format!("{} %", format::percent(totals.cpu / processors))
        }
        Series::Memory => format!("{} resident", format::size(totals.resident)),
        Series::Disk => format!("r {}  w {} B/s", rate(totals.disk.inbound), rate(totals.disk.outbound)),
        Series::Network => format!(
            "in {}  out {} B/s",
            rate(totals.network.inbound),
            rate(totals.network.outbound)
        ),
        _ => totals.connections.to_string(),
    }
}

/// One column of a graph that ends above line `below`: two parts on top of each other, told apart by colour where the theme has any.
fn column(buffer: &mut Buffer, x: u16, below: u16, rows: u16, parts: [f32; 2], colors: [Color; 2], app: &App) {
    let levels = if app.settings.ascii { &ASCII } else { &EIGHTHS };
    let whole = f32::from(rows) * 8.0;
    let eighths = |part: f32| (part * whole).clamp(0.0, whole);
    let (first, both) = (eighths(parts[0]), eighths(parts[0] + parts[1]));
    if both.is_nan() {
        return;
    }
    for row in 0..rows {
        let within = |height: f32| {
            let part = height - f32::from(row) * 8.0;
            // What is more than nothing shows.
            let part = if row == 0 && height > 0.0 { part.max(1.0) } else { part };
            part.clamp(0.0, 8.0).round() as usize
        };
        let (lower, upper) = (within(first), within(both));
        let (level, style) = if !app.theme.two_parts {
            (upper, Style::new().fg(colors[0]))
        } else if upper == 8 && lower > 0 && lower < 8 && !app.settings.ascii {
            (lower, Style::new().fg(colors[0]).bg(colors[1]))
        } else if lower * 2 > upper {
            (upper, Style::new().fg(colors[0]))
        } else {
            (upper, Style::new().fg(colors[1]))
        };
        if level > 0
            && let Some(cell) = buffer.cell_mut((x, below - 1 - row))
        {
            cell.set_symbol(levels[level]);
            cell.set_style(style);
        }
    }
}

/// The line below a graph: how far back it goes, and what its top means.
fn axis(buffer: &mut Buffer, area: Rect, graph: &Graph, top: f32, app: &App) {
    let span = match app.settings.span {
        Span::Minute => "60 s",
        Span::TenMinutes => "10 min",
    };
    let top = match graph.top {
        Top::Whole => "top 100 %".to_owned(),
        Top::Rate(_) => format!("top {} B/s", format::rate(top.into())),
        Top::Count(_) => format!("top {top:.0}"),
    };
    let end = put(buffer, area.x, area.y, area.width, span, app.theme.dim);
    put_right(buffer, end + 1, area.right(), area.y, &top, app.theme.dim);
}

/// A graph of one line: name, curve, figure.
fn line(buffer: &mut Buffer, area: Rect, graph: &Graph, app: &mut App, model: &Arc<Model>) {
    let name = 9.min(area.width / 4);
    let text = fitting(&graph.now, area.width / 2);
    let now = (text.len() as u16).clamp(6, area.width / 2);
    let width = area.width.saturating_sub(name + now + 2);
    let (values, top) = values(graph, width, app, model);
    put(buffer, area.x, area.y, name, &graph.title, app.theme.dim);
    for (x, [first, second]) in (area.x + name + 1..).zip(values) {
        column(
            buffer,
            x,
            area.y + 1,
            1,
            [(first + second) / top, 0.0],
            graph.colors,
            app,
        );
    }
    put_right(buffer, area.right() - now, area.right(), area.y, text, Style::new());
}
