//! Windows over the screen: help, cards, questions, choices.

use netstat_os::Signal;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::bars::clock;
use super::{fill, put, put_right};
use crate::app::{App, Popup};
use crate::attention::LogKind;
use crate::cell::Tone;
use crate::companion::Severity;
use crate::keys::TABLE;
use crate::pane::Column;
use crate::theme::Theme;

/// The width of the keys in the help.
const KEYS: u16 = 18;

/// Draws the window over `body`.
pub(super) fn draw(buffer: &mut Buffer, body: Rect, app: &mut App) {
    // Drawing may change the scroll position, so the window is taken out of the state temporarily.
    let Some(mut popup) = app.popup.take() else { return };
    let frame = Frame {
        body,
        theme: app.theme,
        ascii: app.settings.ascii,
    };
    match &mut popup {
        Popup::Help { top } => frame.help(buffer, app, top),
        Popup::Text { title, lines, top } => frame.text(buffer, title, lines, top),
        Popup::Log { top } => frame.log(buffer, app, top),
        Popup::Handles { title, lines, top, .. } => frame.text(buffer, title, lines, top),
        Popup::Signals { process, name, at } => {
            let title = Signal::heading(name, process.pid);
            frame.signals(buffer, &title, *at);
        }
        Popup::Confirm { lines, .. } => frame.confirm(buffer, lines),
        Popup::Columns { columns, at, .. } => frame.columns(buffer, columns, *at),
    }
    app.popup = Some(popup);
}

/// Where and how a window is drawn.
struct Frame {
    body: Rect,
    theme: Theme,
    ascii: bool,
}

impl Frame {
    fn window(&self, buffer: &mut Buffer, size: (u16, usize), title: &str) -> Rect {
        window(buffer, self.body, size, title, &self.theme, self.ascii)
    }

    fn help(&self, buffer: &mut Buffer, app: &App, top: &mut usize) {
        let room = usize::from(self.body.width.saturating_sub(6).min(96).saturating_sub(KEYS));
        let limits = app.model.as_ref().map_or(&[][..], |model| model.limits.as_slice());
        let limits: Vec<String> = limits.iter().map(limitation).collect();
        let not_seen = limits.iter().map(|limit| ("", Some(limit.as_str())));
        let heading = (!limits.is_empty()).then_some([("", None), ("Not seen here", None)]);
        let lines: Vec<(&str, Option<String>)> = help(app.read_only)
            .into_iter()
            .chain(heading.into_iter().flatten())
            .chain(not_seen)
            .flat_map(|(key, text)| match text {
                None => vec![(key, None)],
                Some(text) => {
                    let mut key = Some(key);
                    let pieces = wrapped(text, room).into_iter();
                    pieces.map(|piece| (key.take().unwrap_or(""), Some(piece))).collect()
                }
            })
            .collect();
        let area = self.window(buffer, (100, lines.len()), "Keys");
        *top = (*top).min(lines.len().saturating_sub(area.height.into()));
        for (y, (key, text)) in (area.y..area.bottom()).zip(lines.iter().skip(*top)) {
            match text {
                None => {
                    put(buffer, area.x, y, area.width, key, self.theme.sorted);
                }
                Some(text) => {
                    put(buffer, area.x + 2, y, 15, key, self.theme.key);
                    let room = area.width.saturating_sub(KEYS);
                    put(buffer, area.x + KEYS, y, room, text, Style::new());
                }
            }
        }
    }

    fn text(&self, buffer: &mut Buffer, title: &str, lines: &[(String, Tone)], top: &mut usize) {
        let room = usize::from(self.body.width.saturating_sub(6).min(112));
        let lines: Vec<(String, Tone)> = lines
            .iter()
            .flat_map(|(line, tone)| fitted(line, room).into_iter().map(|piece| (piece, *tone)))
            .collect();
        let area = self.window(buffer, (116, lines.len().max(1)), title);
        *top = (*top).min(lines.len().saturating_sub(area.height.into()));
        for (y, (line, tone)) in (area.y..area.bottom()).zip(lines.iter().skip(*top)) {
            let style = match tone {
                Tone::Plain => Style::new(),
                Tone::Dim => self.theme.dim,
                Tone::Warn => self.theme.warn,
                Tone::Bad => self.theme.bad,
            };
            put(buffer, area.x, y, area.width, line, style);
        }
    }

    /// Draws the log, the newest entry first.
    fn log(&self, buffer: &mut Buffer, app: &App, top: &mut usize) {
        let tone = |kind: LogKind| match kind {
            LogKind::Finding(Severity::Critical | Severity::High) => Tone::Bad,
            LogKind::Finding(_) | LogKind::Listener => Tone::Warn,
            LogKind::ListenerGone => Tone::Dim,
        };
        let mut lines: Vec<(String, Tone)> = app
            .attention
            .log()
            .rev()
            .map(|entry| (format!("{}  {}", clock(entry.wall), entry.text), tone(entry.kind)))
            .collect();
        if lines.is_empty() {
            lines.push(("Nothing has appeared since the monitor began.".to_owned(), Tone::Dim));
        }
        self.text(buffer, "Log: listeners and findings that appeared", &lines, top);
    }

    fn signals(&self, buffer: &mut Buffer, title: &str, at: usize) {
        let area = self.window(buffer, (82, Signal::offered().len() + 2), title);
        for ((place, signal), y) in Signal::offered().iter().enumerate().zip(area.y..area.bottom()) {
            let style = if place == at { self.theme.selected } else { Style::new() };
            let line = Rect { y, height: 1, ..area };
            fill(buffer, line, style);
            put(buffer, line.x + 1, y, 10, signal.name(), style);
            let room = line.width.saturating_sub(10);
            put(buffer, line.x + 10, y, room, signal.meaning(), style);
        }
        hints(buffer, area, &[("Enter", "continue"), ("Esc", "cancel")], &self.theme);
    }

    fn confirm(&self, buffer: &mut Buffer, lines: &[String]) {
        let room = usize::from(self.body.width.saturating_sub(6).min(74));
        let lines: Vec<String> = lines.iter().flat_map(|line| wrapped(line, room)).collect();
        let area = self.window(buffer, (78, lines.len() + 2), "Are you sure?");
        for (y, line) in (area.y..area.bottom()).zip(lines.iter()) {
            put(buffer, area.x, y, area.width, line, Style::new());
        }
        hints(buffer, area, &[("y", "yes"), ("n", "no")], &self.theme);
    }

    fn columns(&self, buffer: &mut Buffer, columns: &[(Column, bool)], at: usize) {
        let area = self.window(buffer, (84, columns.len() + 2), "Columns");
        let room = usize::from(area.height.saturating_sub(2)).max(1);
        let top = at.saturating_sub(room - 1);
        let shown = columns.iter().enumerate().skip(top).take(room);
        for ((place, (column, shown)), y) in shown.zip(area.y..) {
            let style = if place == at { self.theme.selected } else { Style::new() };
            let line = Rect { y, height: 1, ..area };
            fill(buffer, line, style);
            let mark = if *shown { "[x]" } else { "[ ]" };
            put(buffer, line.x + 1, y, 3, mark, style);
            put(buffer, line.x + 5, y, 15, column.spec().title, style);
            let room = line.width.saturating_sub(21);
            put(buffer, line.x + 21, y, room, column.spec().meaning, style);
        }
        let keys = [
            ("Space", "show or hide"),
            ("Left, Right", "move"),
            ("Enter", "apply"),
            ("Esc", "cancel"),
        ];
        hints(buffer, area, &keys, &self.theme);
    }
}

/// Wraps `line` to this width. If it contains a tab, a path follows, whose beginning is cut instead, because its end
/// matters more.
fn fitted(line: &str, room: usize) -> Vec<String> {
    use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
    let Some((head, path)) = line.split_once('\t') else {
        return wrapped(line, room);
    };
    let left = room.saturating_sub(head.width() + 2);
    if path.width() <= left {
        return vec![format!("{head}  {path}")];
    }
    let mut width = 1;
    let kept = path.char_indices().rev().take_while(|(_, c)| {
        width += c.width().unwrap_or(0);
        width <= left
    });
    let begin = kept.last().map_or(path.len(), |(at, _)| at);
    vec![format!("{head}  …{}", &path[begin..])]
}

/// Wraps a line between words; the following pieces are indented like the first one, and a little more.
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

/// Describes what cannot be seen, why, and what helps.
fn limitation(limit: &netstat_model::Limit) -> String {
    let remedy = limit
        .remedy
        .as_deref()
        .map_or(String::new(), |remedy| format!("; {remedy}"));
    netstat_model::text::escape_str(&format!("{}: {}{remedy}", limit.what, limit.why)).into_owned()
}

/// Returns the lines of the help; a heading has no description.
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
        ("-", Some("unknown: not permitted, or not counted by the system")),
        ("+, - at left", Some("the row appeared, or ended, a moment ago")),
        (
            "<-, ->",
            Some("connections shorter than a refresh, folded: who opened them, how many per second, bytes per second"),
        ),
        (
            "1.2kB",
            Some("in the row of an ended connection: all bytes that went through it"),
        ),
        (
            "name +2",
            Some("two other processes hold the socket as well; its traffic counts for the first"),
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

/// Draws a frame in the middle of `body` for this many columns and lines, and returns the area within.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fitted_long_path_keeps_its_end() {
        assert_eq!(fitted("  12\t/usr/lib/libc.so", 40), ["  12  /usr/lib/libc.so"]);
        assert_eq!(fitted("  12\t/usr/lib/libc.so", 16), ["  12  …b/libc.so"]);
        assert_eq!(fitted("  12\t/usr/lib/libc.so", 3), ["  12  …"]);
    }
}
