//! What lies over the screen: help, cards, questions, choices.

use netstat_os::Signal;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{fill, put, put_right};
use crate::app::{App, Popup};
use crate::keys::TABLE;
use crate::theme::Theme;

/// The room that the keys take in the help.
const KEYS: u16 = 18;

/// Draws what lies over `body`.
pub(super) fn draw(buffer: &mut Buffer, body: Rect, app: &mut App) {
    let theme = app.theme;
    let (read_only, ascii) = (app.read_only, app.settings.ascii);
    let limits = app
        .model
        .as_ref()
        .map_or(&[][..], |model| model.limits.as_slice())
        .to_vec();
    let window =
        |buffer: &mut Buffer, width, lines, title: &str| window(buffer, body, (width, lines), title, &theme, ascii);
    match &mut app.popup {
        None => {}
        Some(Popup::Help { top }) => {
            let room = usize::from(body.width.saturating_sub(6).min(96).saturating_sub(KEYS));
            let limits: Vec<String> = limits.iter().map(told).collect();
            let not_seen = limits.iter().map(|limit| ("", Some(limit.as_str())));
            let heading = (!limits.is_empty()).then_some([("", None), ("Not seen here", None)]);
            let lines: Vec<(&str, Option<String>)> = help(read_only)
                .into_iter()
                .chain(heading.into_iter().flatten())
                .chain(not_seen)
                .flat_map(|(key, words)| match words {
                    None => vec![(key, None)],
                    Some(words) => {
                        let mut key = Some(key);
                        let pieces = wrapped(words, room).into_iter();
                        pieces.map(|piece| (key.take().unwrap_or(""), Some(piece))).collect()
                    }
                })
                .collect();
            let area = window(buffer, 100, lines.len(), "Keys");
            *top = (*top).min(lines.len().saturating_sub(area.height.into()));
            for (y, (key, words)) in (area.y..area.bottom()).zip(lines.iter().skip(*top)) {
                match words {
                    None => {
                        put(buffer, area.x, y, area.width, key, theme.sorted);
                    }
                    Some(words) => {
                        put(buffer, area.x + 2, y, 15, key, theme.key);
                        let room = area.width.saturating_sub(KEYS);
                        put(buffer, area.x + KEYS, y, room, words, Style::new());
                    }
                }
            }
        }
        Some(Popup::Text { title, lines, top }) => {
            let room = usize::from(body.width.saturating_sub(6).min(112));
            let lines: Vec<String> = lines.iter().flat_map(|line| wrapped(line, room)).collect();
            let area = window(buffer, 116, lines.len().max(1), title);
            *top = (*top).min(lines.len().saturating_sub(area.height.into()));
            for (y, line) in (area.y..area.bottom()).zip(lines.iter().skip(*top)) {
                put(buffer, area.x, y, area.width, line, Style::new());
            }
        }
        Some(Popup::Signals { process, name, at }) => {
            let title = format!("End {name} (process {})", process.pid);
            let area = window(buffer, 82, Signal::ALL.len() + 2, &title);
            for ((place, signal), y) in Signal::ALL.into_iter().enumerate().zip(area.y..area.bottom()) {
                let style = if place == *at { theme.selected } else { Style::new() };
                let line = Rect { y, height: 1, ..area };
                fill(buffer, line, style);
                put(buffer, line.x + 1, y, 10, signal.name(), style);
                put(
                    buffer,
                    line.x + 10,
                    y,
                    line.width.saturating_sub(10),
                    signal.meaning(),
                    style,
                );
            }
            hints(
                buffer,
                area,
                &[("Enter", "go on to the question"), ("Esc", "leave")],
                &theme,
            );
        }
        Some(Popup::Confirm { lines, .. }) => {
            let room = usize::from(body.width.saturating_sub(6).min(74));
            let lines: Vec<String> = lines.iter().flat_map(|line| wrapped(line, room)).collect();
            let area = window(buffer, 78, lines.len() + 2, "Are you sure?");
            for (y, line) in (area.y..area.bottom()).zip(lines.iter()) {
                put(buffer, area.x, y, area.width, line, Style::new());
            }
            hints(buffer, area, &[("y", "do it"), ("n", "leave")], &theme);
        }
        Some(Popup::Columns { columns, at, .. }) => {
            let area = window(buffer, 84, columns.len() + 2, "Columns");
            let room = usize::from(area.height.saturating_sub(2)).max(1);
            let top = at.saturating_sub(room - 1);
            let shown = columns.iter().enumerate().skip(top).take(room);
            for ((place, (column, shown)), y) in shown.zip(area.y..) {
                let style = if place == *at { theme.selected } else { Style::new() };
                let line = Rect { y, height: 1, ..area };
                fill(buffer, line, style);
                let mark = if *shown { "[x]" } else { "[ ]" };
                put(buffer, line.x + 1, y, 3, mark, style);
                put(buffer, line.x + 5, y, 15, column.spec().title, style);
                put(
                    buffer,
                    line.x + 21,
                    y,
                    line.width.saturating_sub(21),
                    column.spec().meaning,
                    style,
                );
            }
            let keys = [
                ("Space", "show or hide"),
                ("Left, Right", "move"),
                ("Enter", "done"),
                ("Esc", "leave"),
            ];
            hints(buffer, area, &keys, &theme);
        }
    }
}

/// A line cut between words so that each piece fits; the further pieces are set in as the first, and a little more.
fn wrapped(line: &str, room: usize) -> Vec<String> {
    use unicode_width::UnicodeWidthStr;
    if line.width() <= room {
        return vec![line.to_owned()];
    }
    let indent = " ".repeat(line.len() - line.trim_start().len() + 2);
    let mut pieces = vec![" ".repeat(indent.len() - 2)];
    for word in line.split_whitespace() {
        let last = pieces.len() - 1;
        let begun = !pieces[last].trim_start().is_empty();
        if begun && pieces[last].width() + 1 + word.width() > room {
            pieces.push(format!("{indent}{word}"));
        } else {
            if begun {
                pieces[last].push(' ');
            }
            pieces[last].push_str(word);
        }
    }
    pieces
}

/// What cannot be seen, why, and what helps.
fn told(limit: &netstat_model::Limit) -> String {
    let remedy = limit
        .remedy
        .as_deref()
        .map_or(String::new(), |remedy| format!("; {remedy}"));
    netstat_model::text::escape_str(&format!("{}: {}{remedy}", limit.what, limit.why)).into_owned()
}

/// The lines of the help: a heading has no words.
fn help(read_only: bool) -> Vec<(&'static str, Option<&'static str>)> {
    let mut lines = Vec::new();
    for (part, bindings) in TABLE {
        lines.push((*part, None));
        let bindings = bindings.iter().filter(|binding| !(read_only && binding.changes));
        lines.extend(bindings.map(|binding| (binding.keys, Some(binding.words))));
        lines.push(("", None));
    }
    lines.push(("Metrics", None));
    lines.extend([
        ("CPU %", Some("100 is one processor")),
        ("sizes", Some("k, M, G in powers of 1024; B/s in powers of 1000")),
        (
            "-",
            Some("not known: not permitted, or not counted by the system, such as the bytes of UDP"),
        ),
        ("+, - at left", Some("it appeared, or ended, a moment ago")),
        (
            "1.2kB",
            Some("in the row of an ended connection: all bytes that went through it, also when it lived shorter than a refresh"),
        ),
        (
            "order",
            Some("rates are ordered by their average of the last seconds, so that rows do not jump"),
        ),
        (
            "name +2",
            Some("two other processes hold the socket too; traffic counts for the first"),
        ),
    ]);
    lines
}

fn hints(buffer: &mut Buffer, area: Rect, keys: &[(&str, &str)], theme: &Theme) {
    if area.height == 0 {
        return;
    }
    let y = area.bottom() - 1;
    let mut x = area.x;
    for (key, words) in keys {
        x = put(buffer, x, y, area.right().saturating_sub(x), key, theme.key) + 1;
        x = put(buffer, x, y, area.right().saturating_sub(x), words, Style::new()) + 3;
    }
}

/// Draws a frame in the middle of `body`, for so many columns and lines; gives back what is within.
fn window(
    buffer: &mut Buffer,
    body: Rect,
    (width, lines): (u16, usize),
    title: &str,
    theme: &Theme,
    ascii: bool,
) -> Rect {
    let width = width.min(body.width.saturating_sub(2));
    let height = u16::try_from(lines + 2).unwrap_or(u16::MAX).min(body.height);
    let area = Rect {
        x: body.x + (body.width - width) / 2,
        y: body.y + (body.height - height) / 2,
        width,
        height,
    };
    fill(buffer, area, Style::new());
    let ([nw, ne, sw, se], across, down) = match ascii {
        true => (["+"; 4], "-", "|"),
        false => (["╭", "╮", "╰", "╯"], "─", "│"),
    };
    let style = theme.heading.remove_modifier(ratatui::style::Modifier::UNDERLINED);
    let (left, right, top, bottom) = (area.left(), area.right() - 1, area.top(), area.bottom() - 1);
    for x in left + 1..right {
        buffer.set_string(x, top, across, style);
        buffer.set_string(x, bottom, across, style);
    }
    for y in top + 1..bottom {
        buffer.set_string(left, y, down, style);
        buffer.set_string(right, y, down, style);
    }
    for (sign, x, y) in [
        (nw, left, top),
        (ne, right, top),
        (sw, left, bottom),
        (se, right, bottom),
    ] {
        buffer.set_string(x, y, sign, style);
    }
    if usize::from(height) < lines + 2 {
        let hint = " Up, Down: more ";
        put_right(buffer, left + 1, right - 1, bottom, hint, theme.key);
    }
    put(
        buffer,
        left + 2,
        top,
        area.width.saturating_sub(4),
        &format!(" {title} "),
        theme.sorted,
    );
    Rect {
        x: area.x + 2,
        y: area.y + 1,
        width: area.width.saturating_sub(4),
        height: area.height.saturating_sub(2),
    }
}
