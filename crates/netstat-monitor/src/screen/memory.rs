//! The bar of physical memory at the top of the Memory tab.

use netstat_model::Fact;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::{fill, put, put_right};
use crate::app::App;
use crate::format;

/// Draws the bar, and returns the rest of the area.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, app: &App) -> Rect {
    let Some(model) = &app.model else { return area };
    let memory = &model.whole.memory;
    let size = |fact: Fact<u64>| format::fact(fact, format::size);
    let theme = &app.theme;
    fill(buffer, Rect { height: 1, ..area }, theme.title);
    let end = put(buffer, area.x, area.y, area.width, "   Physical Memory", theme.title);
    let swap = match memory.swap_total {
        Fact::Known(0) => "no swap space".to_owned(),
        total => format!("swap {} of {}", size(memory.swap_used()), size(total)),
    };
    let text = format!(
        "{} in all   {} available   {swap} ",
        size(memory.total),
        size(memory.available)
    );
    put_right(buffer, end + 2, area.right(), area.y, &text, theme.title);

    let color = |place: usize| Style::new().fg(theme.graphs[1][place]);
    let ascii = app.settings.ascii;
    let parts = [
        ("In use", memory.in_use(), color(0), if ascii { "#" } else { "█" }),
        ("Cached", memory.cached, color(1), if ascii { "=" } else { "▓" }),
        ("Free", memory.free, theme.dim, if ascii { "." } else { "░" }),
    ];
    let bar = Rect {
        x: area.x + 2,
        y: area.y + 1,
        width: area.width - 4,
        height: 1,
    };
    if let Fact::Known(total) = memory.total {
        let mut sum = 0u64;
        let mut x = bar.x;
        for (_, part, style, sign) in &parts {
            sum = sum.saturating_add(part.known().unwrap_or(0));
            let end = bar.x + (sum as f64 / total.max(1) as f64 * f64::from(bar.width)).round() as u16;
            for x in x..end.min(bar.right()) {
                buffer.set_string(x, bar.y, sign, *style);
            }
            x = end.clamp(x, bar.right());
        }
    }
    let mut x = bar.x;
    for (name, part, style, sign) in parts {
        x = put(buffer, x, area.y + 2, 2, sign, style) + 1;
        x = put(buffer, x, area.y + 2, 20, name, Style::new()) + 1;
        x = put(
            buffer,
            x,
            area.y + 2,
            10,
            &size(part),
            Style::new().add_modifier(Modifier::BOLD),
        ) + 3;
    }
    let waiting = format::fact(model.whole.pressure[1], format::percent);
    // A part that does not fit is omitted, not cut.
    for further in [
        format!("to be written {}", size(memory.dirty)),
        format!("pressure {waiting} %"),
    ] {
        let room = area.right().saturating_sub(x);
        if further.len() <= usize::from(room) {
            x = put(buffer, x, area.y + 2, room, &further, theme.dim) + 3;
        }
    }
    Rect {
        y: area.y + 3,
        height: area.height.saturating_sub(3),
        ..area
    }
}
