//! At which time of day connections began: one bar for each hour.

use std::ops::ControlFlow;

use super::Answer;
use crate::context::Diagnostics;
use crate::context::Failure;

/// A full bar's length in columns, where the terminal does not tell its width.
const USUAL: usize = 60;
/// What stands beside a bar: hour and count.
const BESIDE: usize = 18;

/// `--plot`.
pub(super) fn plot(answer: &mut Answer<'_, '_, '_>, diagnostics: &mut Diagnostics) -> Result<(), Failure> {
    let zone = jiff::tz::TimeZone::system();
    let mut hours = [0u64; 24];
    // The offset from UTC changes at most twice a year: it is looked up anew for each hour only.
    let mut offset: Option<(i64, i64)> = None;
    answer.each(&mut |_, _, flow| {
        let hour = flow.first.div_euclid(3_600_000);
        let seconds = match offset {
            Some((of, seconds)) if of == hour => seconds,
            _ => {
                let seconds = jiff::Timestamp::from_millisecond(flow.first)
                    .map_or(0, |time| i64::from(zone.to_offset(time).seconds()));
                offset = Some((hour, seconds));
                seconds
            }
        };
        hours[hour_of_day(flow.first, seconds)] += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    if hours.iter().all(|&count| count == 0) {
        diagnostics.line("no connection matches");
        return Ok(());
    }
    let width = answer.context.screen.width.map_or(USUAL + BESIDE, usize::from);
    let text = bars(&hours, width.saturating_sub(BESIDE).clamp(10, 200));
    answer.context.out.write_all(text.as_bytes())?;
    Ok(())
}

/// The hour of the day, 0 to 23, of a moment in a zone so many seconds east of UTC.
fn hour_of_day(millis: i64, seconds: i64) -> usize {
    let hour = (millis.div_euclid(1000) + seconds).rem_euclid(86_400) / 3_600;
    hour as usize
}

/// One line for each hour; the longest bar has `width` columns, and none that stands for something is empty.
fn bars(hours: &[u64; 24], width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let most = hours.iter().copied().max().unwrap_or(0).max(1);
    let mut text = String::new();
    for (hour, &count) in hours.iter().enumerate() {
        let eighths = (count as f64 / most as f64 * (width * 8) as f64).round() as usize;
        let eighths = if count > 0 { eighths.max(1) } else { 0 };
        let bar = "█".repeat(eighths / 8) + EIGHTHS[eighths % 8];
        text.push_str(format!("{hour:02}:00 {count:>10}  {bar}").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_of_zones() {
        assert_eq!(hour_of_day(0, 0), 0);
        assert_eq!(hour_of_day(-1, 0), 23);
        assert_eq!(hour_of_day(3 * 3_600_000, 2 * 3600), 5);
        assert_eq!(hour_of_day(3_600_000, -2 * 3600), 23);
    }

    #[test]
    fn the_longest_bar_fills_the_width_and_none_vanishes() {
        let mut hours = [0; 24];
        (hours[3], hours[4], hours[5]) = (1000, 500, 1);
        let text = bars(&hours, 10);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 24);
        assert_eq!(lines[0], "00:00          0");
        assert_eq!(lines[3], "03:00       1000  ██████████");
        assert_eq!(lines[4], "04:00        500  █████");
        assert_eq!(lines[5], "05:00          1  ▏");
    }
}
