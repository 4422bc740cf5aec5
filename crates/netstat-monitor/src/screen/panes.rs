//! The panes: a title with live figures, headings, rows.

use netstat_model::Fact;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{fill, put, put_right};
use crate::app::{App, Hit};
use crate::cell::{Tone, cell};
use crate::companion::Severity;
use crate::config::PaneSettings;
use crate::format;
use crate::model::{Item, Model, PaneRow, Presence};
use crate::pane::{Column, Pane, Source, Tree};

/// The columns before the first: mark and finding.
const FRONT: u16 = 2;
/// So much room stays for texts to grow before further columns are shown.
const SLACK: u16 = 16;

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

/// The height of each pane: a folded one has its title, the others share the rest by their weights, three lines at least.
fn heights(panes: &[Pane], height: u16, app: &App) -> Vec<u16> {
    let folded = |pane: &Pane| app.settings.panes[pane].folded && !app.expanded;
    // Disks neither come nor go: their pane is as high as they need.
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
    let growing = |pane: &Pane| !folded(pane) && fixed(pane).is_none();
    let weights: u16 = panes
        .iter()
        .filter(|pane| growing(pane))
        .map(|pane| pane.spec().height)
        .sum();
    if weights > 0 {
        let (share, mut given, mut weight) = (left, 0, 0);
        for (pane, height) in panes.iter().zip(&mut heights) {
            if growing(pane) {
                weight += pane.spec().height;
                let until = (u32::from(share) * u32::from(weight) / u32::from(weights)) as u16;
                *height += until - given;
                given = until;
            }
        }
    }
    // Too small for three lines each: the last ones are cut.
    let mut room = height;
    for height in &mut heights {
        *height = (*height).min(room);
        room -= *height;
    }
    heights
}

fn one(buffer: &mut Buffer, area: Rect, pane: Pane, app: &mut App) {
    let folded = app.settings.panes[&pane].folded && !app.expanded;
    title(buffer, Rect { height: 1, ..area }, pane, folded, app);
    let Some(model) = app.model.clone() else { return };
    if folded || area.height < 2 {
        if let Some(state) = app.panes.get_mut(&pane) {
            state.height = 0;
        }
        return;
    }
    let columns = widths(&columns(pane, area.width, app), area.width.saturating_sub(FRONT));
    headings(
        buffer,
        Rect {
            y: area.y + 1,
            height: 1,
            ..area
        },
        pane,
        &columns,
        app,
    );
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
        let look = Look {
            app,
            model: &model,
            pane,
            columns: &columns,
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
            words,
            app.theme.dim,
        );
    }
    app.hits.extend(hits);
}

/// What an empty pane says.
fn nothing(pane: Pane, app: &App) -> &'static str {
    if !app.choice.is_all() {
        return "nothing of what is chosen";
    }
    match pane.spec().source {
        Source::Processes => "no process can be seen",
        Source::DiskUsers => "no process that may be looked at reads or writes a disk",
        Source::NetworkUsers => "no process in sight has a connection or port open",
        Source::ActiveSockets => "nothing is sent or received over TCP",
        Source::Connections => "no TCP connection",
        Source::Listeners => "nothing listens",
        Source::Units => "no unit can be seen",
        Source::Disks => "no disk was used",
    }
}

fn title(buffer: &mut Buffer, area: Rect, pane: Pane, folded: bool, app: &mut App) {
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
    let rows = &app.panes[&pane].rows;
    if !folded && !rows.is_empty() {
        words += &format!("  {}", rows.len());
    }
    if spec.source == Source::Processes {
        words += match app.settings.tree {
            Tree::Flat => "",
            Tree::Parent => "  by parent",
            Tree::Unit => "  by unit",
        };
    }
    let end = put(buffer, area.x, area.y, area.width, &words, style);
    if let Some(model) = &app.model {
        let room = usize::from(area.right().saturating_sub(end + 2));
        // What does not fit is left out, not cut.
        let mut text = String::new();
        for part in live(pane, model) {
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

/// The figures in the title of a pane, the most important first.
fn live(pane: Pane, model: &Model) -> Vec<String> {
    let whole = &model.whole;
    let rate = |fact: Fact<f64>| format::fact(fact, format::rate);
    let percent = |fact: Fact<f64>| format::fact(fact, format::percent);
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
        Pane::Connections => connections(model),
        Pane::CpuUnits | Pane::NetworkActivity | Pane::Listening => Vec::new(),
    }
}

/// What the title of the connections says.
fn connections(model: &Model) -> Vec<String> {
    let sockets = &model.sockets;
    let mut words = vec![format::fact(model.whole.connections, |count| format!("{count} up"))];
    if sockets.untold > 0 {
        words.push(format!("+{} not shown", format::rate(sockets.untold as f64)));
    }
    if sockets.lost > 0 {
        words.push(format!("{} events lost", sockets.lost));
    }
    if let ([Fact::Known(_), _], false) = (sockets.turnover, sockets.watched) {
        words.push("short ones not seen".to_owned());
    }
    if let [Fact::Known(opened), Fact::Known(closed)] = sockets.turnover {
        let rate = |rate: f64| format::rate(rate);
        words.push(format!("{} opened/s  {} closed/s", rate(opened), rate(closed)));
    }
    words
}

/// The columns of a pane: the chosen ones, or where none were chosen further ones that find room beside them.
fn columns(pane: Pane, width: u16, app: &App) -> Vec<Column> {
    let mut columns = app.settings.panes[&pane].columns.clone();
    if columns != PaneSettings::of(pane).columns {
        return columns;
    }
    let mut used: u16 = columns.iter().map(|column| column.spec().width + 1).sum();
    for column in &pane.spec().columns[columns.len()..] {
        used += column.spec().width + 1;
        if used + SLACK > width {
            break;
        }
        columns.push(*column);
    }
    columns
}

/// What is given up first where there is too little room: an own address seldom tells connections apart.
const EXPENDABLE: [Column; 2] = [Column::LocalAddress, Column::User];

/// The columns that fit, with their places and widths. When there is too little room, those that tell least go first, then the last.
fn widths(columns: &[Column], room: u16) -> Vec<(Column, u16, u16)> {
    let mut shown = columns.to_vec();
    let least = |shown: &[Column]| {
        shown
            .iter()
            .map(|column| column.spec().width + 1)
            .sum::<u16>()
            .saturating_sub(1)
    };
    while shown.len() > 1 && least(&shown) > room {
        match EXPENDABLE
            .iter()
            .find_map(|least| shown.iter().position(|column| column == least))
        {
            Some(at) => drop(shown.remove(at)),
            None => drop(shown.pop()),
        }
    }
    let left = room.saturating_sub(least(&shown));
    let grow: u16 = shown.iter().map(|column| column.spec().grow).sum();
    let (mut given, mut weight) = (0, 0);
    let mut x = FRONT;
    let mut placed = Vec::with_capacity(shown.len());
    for column in shown {
        let spec = column.spec();
        let mut width = spec.width;
        if spec.grow > 0 {
            weight += spec.grow;
            let until = (u32::from(left) * u32::from(weight) / u32::from(grow)) as u16;
            width += until - given;
            given = until;
        }
        placed.push((column, x, width));
        x += width + 1;
    }
    placed
}

fn headings(buffer: &mut Buffer, area: Rect, pane: Pane, columns: &[(Column, u16, u16)], app: &mut App) {
    let sort = app.settings.panes[&pane].sort;
    for &(column, x, width) in columns {
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
        // The arrow of a figure stands in the gap before its column, so that the title keeps its place.
        match spec.right {
            true => put_right(
                buffer,
                x - 1,
                x + width,
                area.y,
                &format!("{arrow}{}", spec.title),
                style,
            ),
            false => put(buffer, x, area.y, width + 1, &format!("{}{arrow}", spec.title), style),
        };
        app.hits.push((
            Rect {
                x,
                y: area.y,
                width,
                height: 1,
            },
            Hit::Heading(pane, column),
        ));
    }
}

/// What the rows of a pane are drawn with.
struct Look<'a> {
    app: &'a App,
    model: &'a Model,
    pane: Pane,
    columns: &'a [(Column, u16, u16)],
    /// Whether the row is selected, and then whether its pane has the keys.
    selected: Option<bool>,
}

impl Look<'_> {
    fn row(&self, buffer: &mut Buffer, area: Rect, row: &PaneRow) {
        let (app, model, theme) = (self.app, self.model, &self.app.theme);
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
        for &(column, x, width) in self.columns {
            let content = cell(model, &app.names, row, column);
            let toned = match content.tone {
                // On the selection and on rows that are gone, the row's own colour says more.
                _ if presence == Presence::Gone || self.selected == Some(true) => base,
                Tone::Plain => base,
                Tone::Dim => base.patch(theme.dim),
                Tone::Warn => base.patch(theme.warn),
                Tone::Bad => base.patch(theme.bad),
            };
            let x = area.x + x;
            if column.spec().right {
                put_right(buffer, x, x + width, area.y, &content.text, toned);
            } else if is_tree && column == Column::Image {
                put(
                    buffer,
                    x,
                    area.y,
                    width,
                    &branch(row, &content.text, app.settings.ascii),
                    toned,
                );
            } else {
                put(buffer, x, area.y, width, &content.text, toned);
            }
        }
    }

    /// Mark and finding before a row.
    fn front(&self, buffer: &mut Buffer, area: Rect, row: &PaneRow, base: Style) {
        let (app, theme) = (self.app, &self.app.theme);
        let process = row.item.process(self.model);
        if process.is_some_and(|key| app.choice.marks.contains_key(&key)) {
            let sign = if app.settings.ascii { "*" } else { "■" };
            put(buffer, area.x, area.y, 1, sign, base.patch(theme.warn));
        } else {
            let sign = match row.item.presence(self.model) {
                Presence::New => "+",
                Presence::Gone => "-",
                Presence::Here => "",
            };
            put(buffer, area.x, area.y, 1, sign, base);
        }
        if let Some(finding) = app.finding(row.item) {
            let style = match finding.severity {
                Severity::Alarm => theme.bad,
                Severity::Warning | Severity::Note => theme.warn,
            };
            put(buffer, area.x + 1, area.y, 1, "!", base.patch(style));
        }
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
