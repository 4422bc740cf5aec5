//! Selects and places the columns of a pane.

use unicode_width::UnicodeWidthStr;

use crate::app::App;
use crate::cell::cell;
use crate::config::PaneSettings;
use crate::format::UNKNOWN;
use crate::model::Model;
use crate::pane::{Column, Pane};

/// The width before the first column, for mark and finding.
pub(super) const FRONT: u16 = 2;

/// The width reserved for growing texts before further columns are added.
const SLACK: u16 = 12;
/// The number of rows that are checked to decide whether a column is empty.
const SAMPLE: usize = 200;
/// The columns that are omitted first if there is too little room: those that distinguish rows least.
const EXPENDABLE: [Column; 5] = [
    Column::LocalAddress,
    Column::User,
    Column::Threads,
    Column::Loss,
    Column::LocalPort,
];

/// A placed column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    /// The column that is drawn.
    pub(super) column: Column,
    /// Its offset from the left edge of the pane.
    pub(super) x: u16,
    /// The width, in columns of the terminal.
    pub(super) width: u16,
}

/// Returns the columns of a pane that fit into `room`; `height` is the number of visible rows.
pub(super) fn place(pane: Pane, room: u16, height: usize, model: &Model, app: &mut App) -> Vec<Placed> {
    let sort = app.settings.panes[&pane].sort.column;
    let shown = fitting(chosen(pane, room, model, app), room, sort);
    let sheet = app.sheet(model, pane);
    let state = &app.panes[&pane];
    let visible = state.rows.iter().skip(state.top).take(height);
    let mut needed = Vec::with_capacity(shown.len());
    for &column in &shown {
        let mut width = state.needed.get(&column).copied().unwrap_or(0);
        if column.spec().grow > 0 {
            for row in visible.clone() {
                let depth = 2 * row.depth.min(12);
                let text = cell(&sheet, row, column).text;
                width = width.max(u16::try_from(text.width()).unwrap_or(u16::MAX).saturating_add(depth));
            }
        }
        needed.push(width);
    }
    let placed = widths(&shown, &needed, room, sort);
    if let Some(state) = app.panes.get_mut(&pane) {
        state.needed.extend(shown.iter().copied().zip(needed));
        state.drawn = shown;
    }
    placed
}

/// Returns the configured columns, or, if none are configured, those that are not empty, and further ones for which
/// there is room.
fn chosen(pane: Pane, room: u16, model: &Model, app: &App) -> Vec<Column> {
    let configured = &app.settings.panes[&pane];
    if configured.columns != PaneSettings::of(pane).columns {
        return configured.columns.clone();
    }
    let sort = configured.sort.column;
    let keep = |column: &Column| *column == sort || !is_empty(pane, *column, model, app);
    let mut columns: Vec<Column> = configured.columns.iter().copied().filter(keep).collect();
    let mut used: u16 = columns.iter().map(|column| column.spec().width + 1).sum();
    for column in &pane.spec().columns[configured.columns.len()..] {
        let width = column.spec().width + 1;
        if *column != sort && used + width + SLACK > room {
            break;
        }
        if keep(column) {
            used += width;
            columns.push(*column);
        }
    }
    columns
}

/// Whether a column is empty in all rows.
fn is_empty(pane: Pane, column: Column, model: &Model, app: &App) -> bool {
    if matches!(column, Column::Image | Column::Pid | Column::Trend) {
        return false;
    }
    let sheet = app.sheet(model, pane);
    let rows = &app.panes[&pane].rows;
    let nothing = |text: &str| text.is_empty() || text == UNKNOWN;
    !rows.is_empty()
        && rows
            .iter()
            .take(SAMPLE)
            .all(|row| nothing(&cell(&sheet, row, column).text))
}

/// Returns the minimum width of a column. The arrow of the sort column needs one more character.
fn least(column: Column, sort: Column) -> u16 {
    let spec = column.spec();
    match column == sort {
        true => spec.width.max(spec.title.len() as u16 + 1),
        false => spec.width,
    }
}

/// Omits columns until the rest fits. The sort column is always kept.
fn fitting(mut columns: Vec<Column>, room: u16, sort: Column) -> Vec<Column> {
    let total = |columns: &[Column]| columns.iter().map(|column| least(*column, sort) + 1).sum::<u16>();
    while columns.len() > 1 && total(&columns) > room + 1 {
        let expendable = EXPENDABLE
            .iter()
            .filter(|column| **column != sort)
            .find_map(|least| columns.iter().position(|column| column == least));
        let last = columns.iter().rposition(|column| *column != sort);
        match expendable.or(last) {
            Some(at) => drop(columns.remove(at)),
            None => break,
        }
    }
    columns
}

/// Distributes the remaining room among the texts that need it.
fn widths(columns: &[Column], needed: &[u16], room: u16, sort: Column) -> Vec<Placed> {
    let mut widths: Vec<u16> = columns.iter().map(|column| least(*column, sort)).collect();
    let used: u16 = widths.iter().map(|width| width + 1).sum::<u16>().saturating_sub(1);
    let mut left = room.saturating_sub(used);
    while left > 0 {
        let growing: Vec<usize> = (0..columns.len())
            .filter(|&at| columns[at].spec().grow > 0 && widths[at] < needed[at])
            .collect();
        let weights: u16 = growing.iter().map(|&at| columns[at].spec().grow).sum();
        if weights == 0 {
            break;
        }
        let share = left;
        for at in growing {
            let part = (u32::from(share) * u32::from(columns[at].spec().grow) / u32::from(weights)) as u16;
            let more = part.max(1).min(needed[at] - widths[at]).min(left);
            widths[at] += more;
            left -= more;
        }
    }
    let mut x = FRONT;
    let placed = columns.iter().zip(widths).map(|(&column, width)| {
        let begin = x;
        x += width + 1;
        Placed {
            column,
            x: begin,
            width,
        }
    });
    placed.collect()
}
