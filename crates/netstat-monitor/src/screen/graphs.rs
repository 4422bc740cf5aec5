//! The graphs, beside the panes or above them on a narrow screen.

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
use crate::model::{Model, Throughput};
use crate::pane::Tab;
use crate::selection::Totals;

/// The width of the scale to the left of a graph.
const SCALE: u16 = 5;
/// The dots of the left and right column of a braille pattern (Unicode, U+2800), filled from the bottom up.
const LEFT: [u32; 5] = [0, 0x40, 0x44, 0x46, 0x47];
const RIGHT: [u32; 5] = [0, 0x80, 0xa0, 0xb0, 0xb8];
/// Quarters of a cell in ASCII.
const ASCII: [&str; 5] = [" ", ".", ":", "|", "#"];

/// The unit of a graph's scale.
#[derive(Clone, Copy, PartialEq)]
enum Top {
    /// Shares of 1; the maximum is 100 %.
    Whole,
    /// Bytes per second; the maximum is never below this.
    Rate(f32),
    /// A count; the maximum is never below this.
    Count(f32),
}

struct Graph {
    title: String,
    now: String,
    series: Series,
    top: Top,
    colors: [Color; 2],
    /// The names and current values of its two parts, if it has two.
    parts: Option<[(&'static str, String); 2]>,
    /// Whether it is drawn as a single line.
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
    let each = (room / large.max(1)).max(3);
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

/// Draws the first graphs of the tab beside each other.
pub(super) fn strip(buffer: &mut Buffer, area: Rect, app: &mut App) {
    let Some(model) = app.model.clone() else { return };
    let graphs: Vec<Graph> = graphs(app, &model)
        .into_iter()
        .filter(|graph| !graph.small)
        .take(2)
        .collect();
    let each = (area.width + 1) / graphs.len().max(1) as u16;
    for (graph, at) in graphs.iter().zip(0u16..) {
        let area = Rect {
            x: area.x + at * each,
            width: each - 1,
            ..area
        };
        one(buffer, area, graph, app, &model);
    }
}

fn make(title: &str, now: String, series: Series, top: Top, colors: [Color; 2]) -> Graph {
    Graph {
        title: title.to_owned(),
        now,
        series,
        top,
        colors,
        parts: None,
        small: false,
    }
}

/// Creates a graph of two stacked parts.
fn two(title: &str, parts: [(&'static str, String); 2], series: Series, top: Top, colors: [Color; 2]) -> Graph {
    let [(first, a), (second, b)] = &parts;
    let now = format!("{first} {a}  {second} {b}");
    Graph {
        parts: Some(parts),
        ..make(title, now, series, top, colors)
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
        let parts = [
            ("used", size(whole.memory.in_use())),
            ("cached", size(whole.memory.cached)),
        ];
        two("Memory", parts, Series::Memory, Top::Whole, memory)
    };
    let disk_graph = || {
        let parts = [("read", rate(whole.disk.inbound)), ("write", rate(whole.disk.outbound))];
        two("Disk", parts, Series::Disk, Top::Rate(100e3), disk)
    };
    let network_graph = || {
        let parts = [
            ("in", rate(whole.network.inbound)),
            ("out", rate(whole.network.outbound)),
        ];
        two("Network", parts, Series::Network, Top::Rate(10e3), network)
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
                let parts = [
                    ("in", rate(interface.rate.inbound)),
                    ("out", rate(interface.rate.outbound)),
                ];
                Graph {
                    small: model.interfaces.len() > 3,
                    ..two(
                        &interface.name,
                        parts,
                        Series::Interface(place),
                        Top::Rate(10e3),
                        network,
                    )
                }
            });
            [network_graph(), connections].into_iter().chain(each).collect()
        }
    }
}

/// Returns the values of a graph and the maximum of its scale.
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
    let plot = Rect {
        x: area.x + SCALE,
        y: area.y + 1,
        width: area.width.saturating_sub(SCALE),
        // The time axis is below, and an empty line if there is room.
        height: area.height.saturating_sub(if area.height > 6 { 3 } else { 2 }).max(1),
    };
    let dense = if app.settings.ascii { 1 } else { 2 };
    let (values, top) = values(graph, plot.width * dense, app, model);
    heading(buffer, area, graph, app, model);
    grid(buffer, plot, app);
    let values: Vec<[f32; 2]> = values
        .iter()
        .map(|[first, second]| [first / top, second / top])
        .collect();
    for (x, columns) in (plot.x..plot.right()).zip(values.chunks(dense.into())) {
        column(buffer, (x, plot), columns, graph.colors, app);
    }
    scale(buffer, area, plot, graph, top, app);
}

/// Draws the name of a graph and its current values, in the colours of its parts if there are two.
fn heading(buffer: &mut Buffer, area: Rect, graph: &Graph, app: &App, model: &Model) {
    let name = Style::new().fg(graph.colors[0]).add_modifier(Modifier::BOLD);
    let totals = app.selection.totals().filter(|_| graph.series.is_of_processes());
    let (title, now, parts) = match totals {
        None => (graph.title.clone(), graph.now.clone(), graph.parts.clone()),
        Some(totals) => {
            let (now, parts) = of_selected(graph, totals, model);
            (format!("{} of selected", graph.title), now, parts)
        }
    };
    let end = put(buffer, area.x, area.y, area.width, &title, name);
    let room = area.right().saturating_sub(end + 1);
    let Some(parts) = parts.filter(|_| app.theme.two_parts) else {
        let now = fitting(&now, room);
        put_right(buffer, end + 1, area.right(), area.y, now, Style::new());
        return;
    };
    // The legend: a square in the colour of the part, its name and its value.
    let square = if app.settings.ascii { "#" } else { "■" };
    let width = |(name, figure): &(&str, String)| (name.len() + figure.len() + 4) as u16;
    let both = width(&parts[0]) + width(&parts[1]);
    let shown = if both <= room { &parts[..] } else { &parts[..1] };
    let used = shown.iter().map(width).sum::<u16>();
    let mut x = area.right().saturating_sub(used).max(end + 1);
    for ((name, figure), color) in shown.iter().zip(graph.colors) {
        x = put(
            buffer,
            x,
            area.y,
            area.right().saturating_sub(x),
            square,
            Style::new().fg(color),
        );
        let text = format!(" {name} {figure} ");
        x = put(buffer, x, area.y, area.right().saturating_sub(x), &text, Style::new());
    }
}

/// Draws a dotted line at half the height.
fn grid(buffer: &mut Buffer, plot: Rect, app: &App) {
    if plot.height < 4 {
        return;
    }
    let y = plot.bottom() - 1 - plot.height / 2;
    let dot = if app.settings.ascii { "." } else { "·" };
    for x in (plot.x..plot.right()).step_by(3) {
        put(buffer, x, y, 1, dot, app.theme.dim);
    }
}

/// If there is no room for all values, the last one is omitted rather than cut.
fn fitting(now: &str, room: u16) -> &str {
    match now.rsplit_once("  ") {
        Some((first, _)) if now.chars().count() > usize::from(room) => first,
        _ => now,
    }
}

/// Returns the current values of the selected processes and sockets.
fn of_selected(graph: &Graph, totals: &Totals, model: &Model) -> (String, Option<[(&'static str, String); 2]>) {
    let rate = |fact: Fact<f64>| format::fact(fact, format::rate);
    let parts = |traffic: &Throughput| {
        let names = graph
            .parts
            .as_ref()
            .map_or(["in", "out"], |parts| [parts[0].0, parts[1].0]);
        let [a, b] = [rate(traffic.inbound), rate(traffic.outbound)];
        let now = format!("{} {a}  {} {b}", names[0], names[1]);
        (now, Some([(names[0], a), (names[1], b)]))
    };
    match graph.series {
        Series::Cpu => {
            let processors = model.whole.cores.len().max(1) as f64;
            (format!("{} %", format::percent(totals.cpu / processors)), None)
        }
        Series::Memory => (format!("{} resident", format::size(totals.resident)), None),
        Series::Disk => parts(&totals.disk),
        Series::Network => parts(&totals.network),
        _ => (totals.connections.to_string(), None),
    }
}

/// Draws one column of a graph: one moment in ASCII, otherwise two. The two parts are stacked and distinguished by
/// colour if the theme has any; a cell that contains both has the colour of the larger part.
fn column(buffer: &mut Buffer, (x, plot): (u16, Rect), moments: &[[f32; 2]], colors: [Color; 2], app: &App) {
    let whole = f32::from(plot.height) * 4.0;
    let dots = |share: f32| (share * whole).clamp(0.0, whole);
    for row in 0..plot.height {
        let within = |height: f32| {
            let part = height - f32::from(row) * 4.0;
            // A value other than 0 is always visible.
            let part = if row == 0 && height > 0.0 { part.max(1.0) } else { part };
            part.clamp(0.0, 4.0).round() as usize
        };
        let mut levels = [0; 2];
        let mut lower = 0;
        for (level, [first, second]) in levels.iter_mut().zip(moments) {
            let sum = dots(first + second);
            if !sum.is_nan() {
                *level = within(sum);
                lower += within(dots(*first));
            }
        }
        let upper = levels[0] + levels[1];
        if upper == 0 {
            continue;
        }
        let color = match app.theme.two_parts && lower * 2 < upper {
            true => colors[1],
            false => colors[0],
        };
        if let Some(cell) = buffer.cell_mut((x, plot.bottom() - 1 - row)) {
            if app.settings.ascii {
                cell.set_symbol(ASCII[levels[0]]);
            } else {
                let dots = LEFT[levels[0]] | RIGHT[levels[1]];
                cell.set_char(char::from_u32(0x2800 | dots).unwrap_or(' '));
            }
            cell.set_style(Style::new().fg(color));
        }
    }
}

/// Draws the scale to the left, and the time axis below.
fn scale(buffer: &mut Buffer, area: Rect, plot: Rect, graph: &Graph, top: f32, app: &App) {
    let dim = app.theme.dim;
    let figure = |share: f32| match graph.top {
        Top::Whole => format!("{:.0}%", share * 100.0),
        Top::Rate(_) => format::axis((top * share).into()),
        Top::Count(_) => format!("{:.0}", top * share),
    };
    let right = plot.x.saturating_sub(1);
    put_right(buffer, area.x, right, plot.y, &figure(1.0), dim);
    if plot.height >= 4 {
        let y = plot.bottom() - 1 - plot.height / 2;
        put_right(buffer, area.x, right, y, &figure(0.5), dim);
    }
    if plot.bottom() < area.bottom() {
        let span = match app.settings.span {
            Span::Minute => "60 s",
            Span::TenMinutes => "10 min",
        };
        let unit = match graph.top {
            Top::Rate(_) => "B/s",
            Top::Whole | Top::Count(_) => "",
        };
        put_right(buffer, area.x, right, plot.bottom(), unit, dim);
        let end = put(buffer, plot.x, plot.bottom(), plot.width, span, dim);
        put_right(buffer, end + 1, area.right(), plot.bottom(), "now", dim);
    }
}

/// Draws a graph of one line: name, curve, value.
fn line(buffer: &mut Buffer, area: Rect, graph: &Graph, app: &mut App, model: &Arc<Model>) {
    let name = 9.min(area.width / 4);
    let text = fitting(&graph.now, area.width / 2);
    let now = (text.len() as u16).clamp(6, area.width / 2);
    let width = area.width.saturating_sub(name + now + 2);
    let dense = if app.settings.ascii { 1 } else { 2 };
    let (values, top) = values(graph, width * dense, app, model);
    put(buffer, area.x, area.y, name, &graph.title, app.theme.dim);
    let plot = Rect {
        x: area.x + name + 1,
        width,
        ..area
    };
    let values: Vec<[f32; 2]> = values
        .iter()
        .map(|[first, second]| [(first + second) / top, 0.0])
        .collect();
    for (x, moments) in (plot.x..plot.right()).zip(values.chunks(dense.into())) {
        column(buffer, (x, plot), moments, graph.colors, app);
    }
    put_right(buffer, area.right() - now, area.right(), area.y, text, Style::new());
}
