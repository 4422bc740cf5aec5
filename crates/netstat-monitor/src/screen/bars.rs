//! The bars at the top and bottom of the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use super::{fill, put, put_right};
use crate::app::{App, Hit, Prompt, PromptKind};
use crate::cell::Tone;
use crate::companion::Severity;
use crate::format;
use crate::pane::Tab;
use crate::theme::Theme;

/// Draws the tabs, and information about the whole screen.
pub(super) fn top(buffer: &mut Buffer, area: Rect, app: &mut App) {
    let theme = app.theme;
    fill(buffer, area, theme.bar);
    let mut x = area.x;
    for (at, tab) in Tab::ALL.into_iter().enumerate() {
        let text = match area.width >= 80 {
            true => format!(" {} {} ", at + 1, tab.title()),
            false => format!(" {} ", tab.title()),
        };
        let style = if tab == app.tab { theme.tab } else { theme.bar };
        let end = put(buffer, x, area.y, area.right().saturating_sub(x), &text, style);
        app.hits.push((
            Rect {
                x,
                width: end - x,
                ..area
            },
            Hit::Tab(at),
        ));
        x = end;
    }
    let mut words = Vec::new();
    if app.frozen {
        words.push("FROZEN".to_owned());
    }
    if app.replay {
        words.push("recording".to_owned());
    }
    if app.read_only {
        words.push("read-only".to_owned());
    }
    if let Some(model) = &app.model {
        if model.sockets_age.as_secs_f64() > app.settings.interval.as_secs_f64().max(1.0) {
            words.push(format!("sockets {:.0} s old", model.sockets_age.as_secs_f64()));
        }
        if app.replay {
            words.push(clock(model.wall));
        }
    }
    words.push(format!("every {} s", trimmed(app.settings.interval.as_secs_f64())));
    if area.width >= 100 {
        if let Some(up) = app.model.as_ref().and_then(|model| model.whole.uptime.known()) {
            words.push(format!("up {}", format::duration(up.as_secs())));
        }
        words.push(app.computer.clone());
    }
    let between = if app.settings.ascii { " | " } else { " · " };
    let text = format!("{} ", words.join(between));
    put_right(buffer, x + 1, area.right(), area.y, &text, theme.bar);
}

/// Formats the time of day in UTC.
pub(super) fn clock(wall: u64) -> String {
    let seconds = wall / 1000 % 86400;
    format!("{:02}:{:02}:{:02} UTC", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn trimmed(seconds: f64) -> String {
    let text = format!("{seconds:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// Returns what needs attention: findings, new listeners, retransmissions. The second value says whether there is
/// anything.
pub(super) fn attention(app: &App) -> (Vec<(String, Tone)>, bool) {
    let mut parts = Vec::new();
    for severity in [Severity::Critical, Severity::High, Severity::Medium] {
        let count = app
            .findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count();
        if count > 0 {
            let tone = if severity == Severity::Medium {
                Tone::Warn
            } else {
                Tone::Bad
            };
            parts.push((format!("{count} {}", severity.name()), tone));
        }
    }
    let plural = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let listeners = app.attention.new_listeners();
    if listeners > 0 {
        parts.push((plural(listeners, "new listener"), Tone::Warn));
    }
    let retransmitting = app.attention.retransmitting();
    if retransmitting > 0 {
        parts.push((format!("{retransmitting} retransmitting"), Tone::Warn));
    }
    let found = !parts.is_empty();
    if !found {
        let audit = match (&app.no_findings, app.examined) {
            (Some(_), _) => "no audit",
            (None, false) => "audit pending",
            (None, true) => "no findings",
        };
        parts.push((format!("{audit}, no new listeners, nothing retransmitting"), Tone::Dim));
    }
    (parts, found)
}

/// Draws the line with what needs attention.
pub(super) fn status(buffer: &mut Buffer, area: Rect, app: &App) {
    let theme = &app.theme;
    let (parts, _) = attention(app);
    let mut x = area.x + 1;
    for (at, (text, tone)) in parts.iter().enumerate() {
        if at > 0 {
            x = put(buffer, x, area.y, area.right().saturating_sub(x), ", ", Style::new());
        }
        let style = match tone {
            Tone::Plain => Style::new(),
            Tone::Dim => theme.dim,
            Tone::Warn => theme.warn,
            Tone::Bad => theme.bad,
        };
        x = put(buffer, x, area.y, area.right().saturating_sub(x), text, style);
    }
    let newest = app.attention.log().next_back();
    let hint = "a findings  l log ";
    let left = put_right(buffer, x + 2, area.right(), area.y, hint, theme.dim);
    if let Some(entry) = newest
        && left > x + 20
    {
        let text = format!("last: {} {}", clock(entry.wall), entry.text);
        put(buffer, x + 3, area.y, left.saturating_sub(x + 5), &text, theme.dim);
    }
}

/// Draws the active marks and filter.
pub(super) fn filter(buffer: &mut Buffer, area: Rect, app: &App) {
    fill(buffer, area, app.theme.filter);
    let mut words = Vec::new();
    if !app.selection.marks.is_empty() {
        let names = app
            .selection
            .marks
            .iter()
            .map(|(key, name)| format!("{name} ({})", key.pid));
        words.push(format!("Marked: {}", names.collect::<Vec<_>>().join(", ")));
    }
    if let Some((text, _)) = &app.selection.filter {
        words.push(format!("Filter: {}", netstat_model::text::escape_str(text)));
    }
    let style = app.theme.filter;
    put(
        buffer,
        area.x,
        area.y,
        area.width.saturating_sub(14),
        &format!(" {}", words.join("   ")),
        style,
    );
    put_right(buffer, area.x, area.right(), area.y, "u: clear ", style);
}

/// Draws the line that is being typed, with its error. Returns the position of the cursor.
fn typed(buffer: &mut Buffer, area: Rect, theme: &Theme, prompt: &Prompt) -> Position {
    let label = match prompt.kind {
        PromptKind::Filter if area.width >= 100 => "Filter (part of a program name, or: port 443 state ESTABLISHED): ",
        kind => kind.label(),
    };
    let x = put(
        buffer,
        area.x,
        area.y,
        area.width,
        &format!(" {label}"),
        theme.bar.patch(theme.key),
    );
    let wanted = prompt
        .error
        .as_ref()
        .map_or(0, |error| error.len().min(usize::from(area.width) / 2));
    let room = usize::from(area.right().saturating_sub(x).saturating_sub(2))
        .saturating_sub(wanted)
        .max(8);
    // The end of the typed text is the most relevant part.
    let skip = prompt.text.chars().count().saturating_sub(room);
    let shown: String = prompt.text.chars().skip(skip).collect();
    let end = put(
        buffer,
        x,
        area.y,
        area.right() - x,
        &netstat_model::text::escape_str(&shown),
        theme.bar,
    );
    if let Some(error) = &prompt.error {
        let style = theme.bar.patch(theme.bad);
        put(
            buffer,
            end + 2,
            area.y,
            area.right().saturating_sub(end + 2),
            error,
            style,
        );
    }
    Position {
        x: end.min(area.right() - 1),
        y: area.y,
    }
}

/// Draws the keys, the line that is being typed, or a message. Returns the position of the cursor.
pub(super) fn bottom(buffer: &mut Buffer, area: Rect, app: &App) -> Option<Position> {
    let theme = app.theme;
    fill(buffer, area, theme.bar);
    if let Some(prompt) = &app.prompt {
        return Some(typed(buffer, area, &theme, prompt));
    }
    if let Some(message) = &app.message {
        let style = match message.tone {
            Tone::Bad => theme.bar.patch(theme.bad),
            Tone::Warn => theme.bar.patch(theme.warn),
            Tone::Plain | Tone::Dim => theme.bar,
        };
        put(buffer, area.x, area.y, area.width, &format!(" {}", message.text), style);
        return None;
    }
    let mut hints = vec![
        ("?", "help"),
        ("/", "filter"),
        ("Space", "mark"),
        ("l", "log"),
        ("G", "group"),
        ("<>", "sort"),
        ("Enter", "inspect"),
        ("p", "freeze"),
        ("e", "expand"),
    ];
    if !app.read_only {
        hints.push(("k", "signal"));
        hints.push(("c", "close"));
    }
    hints.extend([
        ("t", "tree"),
        ("n", "names"),
        ("h", "short"),
        ("g", "span"),
        ("s", "save"),
        ("q", "quit"),
    ]);
    // The help lists what is hidden; this line only says that something is.
    let limited = app.model.as_ref().is_some_and(|model| !model.limits.is_empty());
    let note = if limited && area.width >= 80 {
        "some data is hidden: ? "
    } else {
        ""
    };
    let room = area.right().saturating_sub(note.len() as u16);
    let mut x = area.x + 1;
    for (key, word) in hints {
        let width = (key.len() + word.len() + 3) as u16;
        if x + width > room {
            break;
        }
        x = put(buffer, x, area.y, width, key, theme.bar.patch(theme.key));
        x = put(buffer, x + 1, area.y, width, word, theme.bar) + 2;
    }
    put_right(buffer, room, area.right(), area.y, note, theme.bar.patch(theme.warn));
    None
}
