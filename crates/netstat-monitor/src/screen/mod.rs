//! Draws the screen: bars, panes, graphs and windows. It only reads the state, and records the positions of elements
//! for the mouse.

mod bars;
mod columns;
mod graphs;
mod memory;
mod panes;
mod popups;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use crate::app::App;
use crate::pane::Tab;

/// The minimum size of a usable screen.
pub(crate) const SMALLEST: (u16, u16) = (60, 15);
/// The width from which graphs are beside the panes.
const GRAPHS_FROM: u16 = 100;
/// The width and height of the body from which graphs are above the panes, if there is no room beside them.
const STRIP_FROM: (u16, u16) = (80, 18);

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &mut App) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    app.hits.clear();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return too_small(buffer, area, app);
    }
    let rows = Rows::of(area, app);
    bars::top(buffer, rows.top, app);
    if let Some(status) = rows.status {
        bars::status(buffer, status, app);
    }
    if let Some(filter) = rows.filter {
        bars::filter(buffer, filter, app);
    }
    let (strip, body) = strip(rows.body, app);
    if let Some(strip) = strip {
        graphs::strip(buffer, strip, app);
    }
    let (left, right) = sides(body, app);
    let left = match app.tab {
        Tab::Memory if !app.expanded => memory::draw(buffer, left, app),
        _ => left,
    };
    panes::draw(buffer, left, app);
    if let Some(right) = right {
        graphs::draw(buffer, right, app);
    }
    let cursor = bars::bottom(buffer, rows.bottom, app);
    popups::draw(buffer, rows.body, app);
    if app.settings.ascii {
        plain(buffer);
    }
    ground(buffer, app.theme.ground);
    if let Some(cursor) = cursor {
        frame.set_cursor_position(cursor);
    }
}

/// Replaces the ellipsis by `~` if only ASCII is drawn.
fn plain(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if cell.symbol() == "…" {
            cell.set_symbol("~");
        }
    }
}

/// The areas of the screen.
struct Rows {
    top: Rect,
    status: Option<Rect>,
    filter: Option<Rect>,
    body: Rect,
    bottom: Rect,
}

/// The height from which the attention line is always shown; below it, only when it is not empty.
const STATUS_FROM: u16 = 20;

impl Rows {
    fn of(area: Rect, app: &App) -> Rows {
        let line = |y| Rect { y, height: 1, ..area };
        let status = u16::from(area.height >= STATUS_FROM || bars::attention(app).1);
        let filtered = u16::from(!app.selection.is_all());
        let above = 1 + status + filtered;
        Rows {
            top: line(area.y),
            status: (status == 1).then(|| line(area.y + 1)),
            filter: (filtered == 1).then(|| line(area.y + 1 + status)),
            body: Rect {
                y: area.y + above,
                height: area.height - 1 - above,
                ..area
            },
            bottom: line(area.bottom() - 1),
        }
    }
}

/// Splits the body into panes on the left, and graphs on the right if it is wide enough.
fn sides(body: Rect, app: &App) -> (Rect, Option<Rect>) {
    if body.width < GRAPHS_FROM || app.expanded {
        return (body, None);
    }
    let wide = if body.width >= 180 {
        65
    } else {
        (body.width * 2 / 7).clamp(28, 40)
    };
    let left = Rect {
        width: body.width - wide - 1,
        ..body
    };
    let right = Rect {
        x: left.right() + 1,
        width: wide,
        ..body
    };
    (left, Some(right))
}

/// Returns the area for graphs above the panes, if there is room for them there and none at the side, and the rest of
/// the body.
fn strip(body: Rect, app: &App) -> (Option<Rect>, Rect) {
    let (width, height) = STRIP_FROM;
    if body.width < width || body.width >= GRAPHS_FROM || body.height < height || app.expanded {
        return (None, body);
    }
    // The title, the axis, and at most six lines of graph.
    let high = (body.height / 5).clamp(5, 8);
    let strip = Rect { height: high, ..body };
    let rest = Rect {
        y: body.y + high,
        height: body.height - high,
        ..body
    };
    (Some(strip), rest)
}

/// Applies the colours of the theme to everything without colours of its own.
fn ground(buffer: &mut Buffer, style: Style) {
    for cell in &mut buffer.content {
        if let (Color::Reset, Some(color)) = (cell.bg, style.bg) {
            cell.bg = color;
        }
        if let (Color::Reset, Some(color)) = (cell.fg, style.fg) {
            cell.fg = color;
        }
    }
}

fn too_small(buffer: &mut Buffer, area: Rect, app: &App) {
    let (width, height) = SMALLEST;
    let lines = [
        format!("The terminal is {} x {}.", area.width, area.height),
        format!("The monitor needs {width} x {height}."),
        "q ends".to_owned(),
    ];
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        put(buffer, area.x, y, area.width, &line, app.theme.dim);
    }
}

/// Writes `text` at a position, cut to `width`, and returns the column after it.
fn put(buffer: &mut Buffer, x: u16, y: u16, width: u16, text: &str, style: Style) -> u16 {
    let text = crate::format::cut(text, width.into());
    buffer.set_stringn(x, y, &text, width.into(), style).0
}

/// Writes `text` so that it ends before `right`, and returns the column where it begins.
fn put_right(buffer: &mut Buffer, left: u16, right: u16, y: u16, text: &str, style: Style) -> u16 {
    let room = right.saturating_sub(left);
    let text = crate::format::cut(text, room.into());
    let width = u16::try_from(unicode_width::UnicodeWidthStr::width(&*text)).unwrap_or(room);
    let x = right.saturating_sub(width).max(left);
    buffer.set_stringn(x, y, &text, width.into(), style);
    x
}

/// Fills an area with spaces in one style.
fn fill(buffer: &mut Buffer, area: Rect, style: Style) {
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            if let Some(cell) = buffer.cell_mut((x, y)) {
                cell.reset();
                cell.set_style(style);
            }
        }
    }
}
