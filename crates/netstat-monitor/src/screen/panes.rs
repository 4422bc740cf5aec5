//! The panes: a title with live values, headings, rows.

use std::borrow::Cow;

use netstat_model::Fact;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::columns::{self, FRONT, Placed};
use super::{fill, put, put_right};
use crate::app::{App, Hit};
use crate::cell::{Sheet, Tone, cell};
use crate::companion::Severity;
use crate::format;
use crate::model::{Item, Model, PaneRow, Presence};
use crate::pane::{Column, Pane, ShortConnections, Source, Tree};
use crate::selection::Totals;

/// The number of lines per pane below which the focused pane gets most of the room.
const CROWDED: u16 = 8;
/// The number of lines per pane below which the other panes show only their titles.
const TIGHT: u16 = 4;

/// Draws the panes of the tab below each other.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, app: &mut App) {
    let panes = app.visible();
    let heights = heights(&panes, area.height, app);
    let mut y = area.y;
    for (pane, height) in panes.into_iter().zip(heights) {
        let area = Rect { y, height, ..area };
        y += height;
        if height > 0 {
            one(buffer, area, pane, app);
        }
    }
}

/// Returns the height of each pane. A folded one shows only its title; the others share the rest by their weights. If
/// there is little room, the focused pane gets most of it, and if there is very little, all of it.
fn heights(panes: &[Pane], height: u16, app: &App) -> Vec<u16> {
    let focused = app.focused();
    let count = u16::try_from(panes.len()).unwrap_or(u16::MAX);
    let tight = height < CROWDED * count;
    let folded = |pane: &Pane| {
        (app.settings.panes[pane].folded && !app.expanded) || (height < TIGHT * count && *pane != focused)
    };
    // Disks rarely come and go, so their pane is exactly as high as they need.
    let fixed = |pane: &Pane| match pane.spec().source {
        Source::Disks if panes.len() > 1 => Some((app.panes[pane].rows.len() as u16).max(1) + 2),
        _ => None,
    };
    let mut heights: Vec<u16> = panes.iter().map(|pane| if folded(pane) { 1 } else { 3 }).collect();
    let mut left = height.saturating_sub(heights.iter().sum());
    for (pane, height) in panes.iter().zip(&mut heights) {
        if let (false, Some(wanted)) = (folded(pane), fixed(pane)) {
            let more = wanted.saturating_sub(*height).min(left / 2);
            *height += more;
            left -= more;
        }
    }
    let weight_of = |pane: &Pane| match (folded(pane) || fixed(pane).is_some(), tight && *pane == focused) {
        (true, _) => 0,
        (false, true) => 4 * pane.spec().height,
        (false, false) => pane.spec().height,
    };
    let weights: u16 = panes.iter().map(weight_of).sum();
    if weights > 0 {
        let (share, mut given, mut weight) = (left, 0, 0);
        for (pane, height) in panes.iter().zip(&mut heights) {
            weight += weight_of(pane);
            let until = (u32::from(share) * u32::from(weight) / u32::from(weights)) as u16;
            *height += until - given;
            given = until;
        }
    }
    // If there are not three lines for each, the last ones are cut.
    let mut room = height;
    for height in &mut heights {
        *height = (*height).min(room);
        room -= *height;
    }
    heights
}

fn one(buffer: &mut Buffer, area: Rect, pane: Pane, app: &mut App) {
    let folded = app.settings.panes[&pane].folded && !app.expanded;
    let folded = folded || area.height < 2;
    title(buffer, area, pane, folded, app);
    let Some(model) = app.model.clone() else { return };
    if folded {
        if let Some(state) = app.panes.get_mut(&pane) {
            state.height = 0;
        }
        return;
    }
    let room = area.width.saturating_sub(FRONT);
    let placed = columns::place(pane, room, usize::from(area.height - 2), &model, app);
    let line = Rect {
        y: area.y + 1,
        height: 1,
        ..area
    };
    headings(buffer, line, pane, &placed, app);
    let height = area.height - 2;
    if let Some(state) = app.panes.get_mut(&pane) {
        let shrank = usize::from(height) < state.height;
        state.height = height.into();
        state.top = state.top.min(state.rows.len().saturating_sub(state.height));
        if shrank && state.selected.is_some() {
            state.keep_visible();
        }
    }
    let state = &app.panes[&pane];
    let focused = app.focused() == pane;
    let mut hits = Vec::new();
    for line in 0..height {
        let at = state.top + usize::from(line);
        let Some(row) = state.rows.get(at) else { break };
        let area = Rect {
            y: area.y + 2 + line,
            height: 1,
            ..area
        };
        let selected = state.selected.is_some() && state.at == at;
        let look = RowPainter {
            app,
            sheet: app.sheet(&model, pane),
            pane,
            columns: &placed,
            selected: selected.then_some(focused),
        };
        look.row(buffer, area, row);
        hits.push((area, Hit::Row(pane, at)));
        hits.push((Rect { width: FRONT, ..area }, Hit::Mark(pane, at)));
    }
    if state.rows.is_empty() && height > 0 {
        let words = nothing(pane, app);
        put(
            buffer,
            area.x + FRONT,
            area.y + 2,
            area.width - FRONT,
            &words,
            app.theme.dim,
        );
    }
    app.hits.extend(hits);
}

/// Returns the text of an empty pane.
fn nothing(pane: Pane, app: &App) -> Cow<'static, str> {
    if !app.selection.is_all() {
        return "no matching rows".into();
    }
    let unknown = app.model.as_ref().and_then(|model| model.disks_unknown);
    let words = match pane.spec().source {
        Source::Processes => "no process is visible",
        Source::DiskUsers => "no visible process reads or writes a disk",
        Source::NetworkUsers => "no visible process has a socket",
        Source::ActiveSockets => "no traffic",
        Source::Connections => "no TCP connections",
        Source::Listeners => "no listeners",
        Source::Units => "no unit is visible",
        Source::Disks => match unknown {
            Some(why) => return format!("disks are unknown: {}", why.words()).into(),
            None => "no disk was used",
        },
    };
    words.into()
}

fn title(buffer: &mut Buffer, area: Rect, pane: Pane, folded: bool, app: &mut App) {
    let lines = area.height;
    let area = Rect { height: 1, ..area };
    let focused = app.focused() == pane;
    let style = if focused {
        app.theme.title_focus
    } else {
        app.theme.title
    };
    fill(buffer, area, style);
    let sign = match (app.settings.ascii, folded) {
        (true, true) => "+",
        (true, false) => "-",
        (false, true) => "▸",
        (false, false) => "▾",
    };
    let spec = pane.spec();
    let mut words = format!(" {sign} {}", spec.title);
    let state = &app.panes[&pane];
    let count = state.rows.len();
    if count > 0 {
        words += &format!(": {count} {}", noun(pane, count, !state.groups.is_empty()));
        let height = usize::from(lines.saturating_sub(2));
        if !folded && height > 0 && count > height {
            let top = state.top.min(count - height);
            words += &format!(" ({}-{})", top + 1, top + height);
        }
    }
    if spec.source == Source::Processes {
        words += match app.settings.tree {
            Tree::Flat => "",
            Tree::Parent => "  by parent",
            Tree::Unit => "  by unit",
        };
    }
    if spec.source.is_sockets() && !state.groups.is_empty() {
        words += &format!("  by {}", app.settings.grouping.name());
    }
    let end = put(buffer, area.x, area.y, area.width, &words, style);
    if let Some(model) = &app.model {
        let room = usize::from(area.right().saturating_sub(end + 2));
        // A part that does not fit is omitted, not cut.
        let mut text = String::new();
        for part in live(pane, model, app) {
            let longer = format!("{text}{part}   ");
            if unicode_width::UnicodeWidthStr::width(longer.as_str()) > room + 2 {
                break;
            }
            text = longer;
        }
        put_right(
            buffer,
            end + 2,
            area.right(),
            area.y,
            &format!("{} ", text.trim_end()),
            style,
        );
    }
    app.hits.push((area, Hit::Title(pane)));
}

/// Returns the noun for the rows of a pane.
fn noun(pane: Pane, count: usize, grouped: bool) -> &'static str {
    let (one, many) = match pane.spec().source {
        _ if grouped => ("row", "rows"),
        Source::Processes | Source::DiskUsers | Source::NetworkUsers => ("process", "processes"),
        Source::ActiveSockets => ("socket", "sockets"),
        Source::Connections => ("connection", "connections"),
        Source::Listeners => ("listener", "listeners"),
        Source::Units => ("unit", "units"),
        Source::Disks => ("disk", "disks"),
    };
    if count == 1 { one } else { many }
}

/// Returns the values in the title of a pane, the most important first. With marks or a filter, they are those of the
/// selection.
fn live(pane: Pane, model: &Model, app: &App) -> Vec<String> {
    let rate = |fact: Fact<f64>| format::fact(fact, format::rate);
    let percent = |fact: Fact<f64>| format::fact(fact, format::percent);
    if let Some(totals) = app.selection.totals() {
        return of_selected(pane, model, totals);
    }
    let whole = &model.whole;
    let cpu = percent(whole.cpu.map(|cpu| cpu.busy));
    let cores = whole.cores.len();
    match pane {
        Pane::OverviewCpu => vec![format!("{cpu} % of {cores} processors")],
        Pane::CpuProcesses => vec![
            format!("{cpu} % of {cores} processors"),
            format!("waiting for disks {} %", percent(whole.cpu.map(|cpu| cpu.waiting))),
            format!("pressure {} %", percent(whole.pressure[0])),
        ],
        Pane::OverviewDisk | Pane::DiskProcesses => vec![
            format!("read {} B/s", rate(whole.disk.inbound)),
            format!("write {} B/s", rate(whole.disk.outbound)),
        ],
        Pane::DiskDevices => match &whole.busiest {
            Fact::Known((name, share)) => vec![
                format!("busiest {name} {} %", format::percent(*share)),
                format!("pressure {} %", percent(whole.pressure[2])),
            ],
            Fact::Unknown(_) => Vec::new(),
        },
        Pane::OverviewMemory | Pane::MemoryProcesses => {
            let share = match (whole.memory.in_use(), whole.memory.total) {
                (Fact::Known(used), Fact::Known(total)) if total > 0 => format::percent(used as f64 / total as f64),
                _ => format::UNKNOWN.to_owned(),
            };
            vec![
                format!("{share} % in use"),
                format!("{} faults/s", format::rate(whole.major_faults)),
            ]
        }
        Pane::OverviewNetwork | Pane::NetworkProcesses => vec![
            format!("send {} B/s", rate(whole.network.outbound)),
            format!("receive {} B/s", rate(whole.network.inbound)),
        ],
        Pane::Connections => connections(model, app),
        Pane::CpuUnits | Pane::NetworkActivity | Pane::Listening => Vec::new(),
    }
}

/// Returns the values in the title of a pane while marks or a filter select something.
fn of_selected(pane: Pane, model: &Model, totals: &Totals) -> Vec<String> {
    let rate = |fact: Fact<f64>| format::fact(fact, format::rate);
    match pane {
        Pane::OverviewCpu | Pane::CpuProcesses | Pane::CpuUnits => {
            let cores = model.whole.cores.len().max(1);
            let share = format::percent(totals.cpu / cores as f64);
            vec![format!("selected: {share} % of {cores} processors")]
        }
        Pane::OverviewDisk | Pane::DiskProcesses => vec![
            format!("selected: read {} B/s", rate(totals.disk.inbound)),
            format!("write {} B/s", rate(totals.disk.outbound)),
        ],
        Pane::OverviewMemory | Pane::MemoryProcesses => vec![
            format!("selected: {} resident", format::size(totals.resident)),
            format!("{} faults/s", format::rate(totals.faults)),
        ],
        Pane::OverviewNetwork | Pane::NetworkProcesses | Pane::NetworkActivity => vec![
            format!("selected: send {} B/s", rate(totals.network.outbound)),
            format!("receive {} B/s", rate(totals.network.inbound)),
        ],
        Pane::Connections => vec![format!("selected: {} open", totals.connections)],
        Pane::DiskDevices | Pane::Listening => Vec::new(),
    }
}

/// Returns the values in the title of the connections.
fn connections(model: &Model, app: &App) -> Vec<String> {
    let sockets = &model.sockets;
    let mut words = vec![format::fact(model.whole.connections, |count| format!("{count} open"))];
    if sockets.untold > 0 {
        words.push(format!("+{} not shown", format::rate(sockets.untold as f64)));
    }
    if sockets.lost > 0 {
        words.push(format!("{} events lost", sockets.lost));
    }
    if let ([Fact::Known(_), _], false) = (sockets.turnover, sockets.watched) {
        words.push("short ones not seen".to_owned());
    }
    if app.settings.short == ShortConnections::Hidden {
        words.push("short ones hidden".to_owned());
    }
    if let [Fact::Known(opened), Fact::Known(closed)] = sockets.turnover {
        let rate = |rate: f64| format::rate(rate);
        words.push(format!("{} opened/s  {} closed/s", rate(opened), rate(closed)));
    }
    words
}

fn headings(buffer: &mut Buffer, area: Rect, pane: Pane, columns: &[Placed], app: &mut App) {
    let sort = app.settings.panes[&pane].sort;
    for &Placed { column, x, width } in columns {
        let spec = column.spec();
        let sorted = sort.column == column;
        let style = if sorted { app.theme.sorted } else { app.theme.heading };
        let x = area.x + x;
        let arrow = match (sorted, app.settings.ascii, sort.falling) {
            (false, ..) => "",
            (true, false, true) => "▼",
            (true, false, false) => "▲",
            (true, true, true) => "v",
            (true, true, false) => "^",
        };
        match spec.right {
            true => put_right(buffer, x, x + width, area.y, &format!("{arrow}{}", spec.title), style),
            false => put(buffer, x, area.y, width, &format!("{}{arrow}", spec.title), style),
        };
        let area = Rect {
            x,
            y: area.y,
            width,
            height: 1,
        };
        app.hits.push((area, Hit::Heading(pane, column)));
    }
}

/// Draws the rows of a pane.
struct RowPainter<'a> {
    app: &'a App,
    sheet: Sheet<'a>,
    pane: Pane,
    columns: &'a [Placed],
    /// Whether the row is selected, and if so, whether its pane is focused.
    selected: Option<bool>,
}

impl RowPainter<'_> {
    fn row(&self, buffer: &mut Buffer, area: Rect, row: &PaneRow) {
        let (app, model, theme) = (self.app, self.sheet.model, &self.app.theme);
        let presence = row.item.presence(model);
        let base = match (self.selected, presence) {
            (Some(true), _) => theme.selected,
            (Some(false), _) => theme.selected_away,
            (None, Presence::Gone) => theme.gone,
            (None, Presence::New) => theme.new,
            (None, Presence::Here) => Style::new(),
        };
        if self.selected.is_some() {
            fill(buffer, area, base);
        }
        self.front(buffer, area, row, base);
        let is_tree = self.pane.spec().source == Source::Processes && app.settings.tree != Tree::Flat;
        for &Placed { column, x, width } in self.columns {
            let content = cell(&self.sheet, row, column);
            let toned = match content.tone {
                // On the selection and on rows that are gone, the row's own colour takes precedence.
                _ if presence == Presence::Gone || self.selected == Some(true) => base,
                Tone::Plain => base,
                Tone::Dim => base.patch(theme.dim),
                Tone::Warn => base.patch(theme.warn),
                Tone::Bad => base.patch(theme.bad),
            };
            let x = area.x + x;
            if column.spec().right {
                put_right(buffer, x, x + width, area.y, &content.text, toned);
            } else if (is_tree || row.depth > 0) && column == Column::Image {
                put(
                    buffer,
                    x,
                    area.y,
                    width,
                    &branch(row, &content.text, app.settings.ascii),
                    toned,
                );
            } else if column == Column::Command {
                put(
                    buffer,
                    x,
                    area.y,
                    width,
                    &format::command(&content.text, width.into()),
                    toned,
                );
            } else if column == Column::Trend && toned == base.patch(theme.dim) {
                let color = Style::new().fg(theme.graphs[trend_color(self.pane)][0]);
                put(buffer, x, area.y, width, &content.text, base.patch(color));
            } else {
                put(buffer, x, area.y, width, &content.text, toned);
            }
        }
    }

    /// Draws the mark and the finding before a row.
    fn front(&self, buffer: &mut Buffer, area: Rect, row: &PaneRow, base: Style) {
        let (app, theme) = (self.app, &self.app.theme);
        let process = row.item.process(self.sheet.model);
        if process.is_some_and(|key| app.selection.marks.contains_key(&key)) {
            let sign = if app.settings.ascii { "*" } else { "■" };
            put(buffer, area.x, area.y, 1, sign, base.patch(theme.warn));
        } else {
            let sign = match row.item.presence(self.sheet.model) {
                Presence::New => "+",
                Presence::Gone => "-",
                Presence::Here => "",
            };
            put(buffer, area.x, area.y, 1, sign, base);
        }
        if let Some(finding) = app.finding(row.item) {
            let style = match finding.severity {
                Severity::Critical | Severity::High => theme.bad,
                Severity::Medium | Severity::Low => theme.warn,
            };
            put(buffer, area.x + 1, area.y, 1, "!", base.patch(style));
        }
    }
}

/// Returns the index of the colours of the small graphs of a pane.
fn trend_color(pane: Pane) -> usize {
    match pane.spec().source {
        Source::DiskUsers => 2,
        Source::NetworkUsers => 3,
        _ => 0,
    }
}

fn branch(row: &PaneRow, text: &str, ascii: bool) -> String {
    match (row.depth, row.item) {
        (0, Item::Unit(_)) => format!("[{text}]"),
        (0, _) => text.to_owned(),
        (depth, _) => {
            let sign = if ascii { "`-" } else { "└ " };
            format!("{}{sign}{text}", "  ".repeat(usize::from(depth.min(12)) - 1))
        }
    }
}
