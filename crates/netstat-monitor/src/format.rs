//! Formats metrics as short texts of stable width.

use netstat_model::Fact;

/// The text for an unknown value.
pub(crate) const UNKNOWN: &str = "-";

/// Formats three digits and a letter, in steps of `step`: `0`, `7.2`, `512`, `1.2k`, `34.5M`.
fn scaled(value: f64, step: f64) -> String {
    const LETTERS: [&str; 6] = ["", "k", "M", "G", "T", "P"];
    let mut value = value.max(0.0);
    let mut letter = 0;
    // 999.5 would be formatted as 1000.
    while value >= step.min(999.5) && letter + 1 < LETTERS.len() {
        value /= step;
        letter += 1;
    }
    let letter = LETTERS[letter];
    if letter.is_empty() || value >= 99.95 {
        format!("{value:.0}{letter}")
    } else {
        format!("{value:.1}{letter}")
    }
}

/// Formats bytes or events per second in powers of 1000. A value other than 0 is never shown as 0.
pub(crate) fn rate(value: f64) -> String {
    if value > 0.0 && value < 0.5 {
        return "<1".to_owned();
    }
    scaled(value, 1000.0)
}

/// Formats a number at an axis like [`rate`], round numbers in at most four characters.
pub(crate) fn axis(value: f64) -> String {
    rate(value).replacen(".0", "", 1)
}

/// Formats a number of bytes for use beside rates, in powers of 1000 with the unit: `512B`, `1.2kB`.
pub(crate) fn amount(bytes: u64) -> String {
    format!("{}B", scaled(bytes as f64, 1000.0))
}

/// Formats a length of time, given in microseconds, in at most 5 characters: `<1ms`, `12ms`, `4.2s`, `12min`, `3h`,
/// `5d`.
pub(crate) fn span(micros: u64) -> String {
    const MINUTE: u64 = 60_000_000;
    match micros {
        0..1_000 => "<1ms".to_owned(),
        1_000..999_500 => format!("{}ms", (micros + 500) / 1000),
        999_500..9_950_000 => format!("{:.1}s", micros as f64 / 1e6),
        9_950_000..MINUTE => format!("{}s", micros / 1_000_000),
        MINUTE.. if micros < 60 * MINUTE => format!("{}min", micros / MINUTE),
        _ if micros < 24 * 60 * MINUTE => format!("{}h", micros / (60 * MINUTE)),
        _ => format!("{}d", micros / (24 * 60 * MINUTE)),
    }
}

/// Formats a memory size in powers of 1024.
pub(crate) fn size(bytes: u64) -> String {
    scaled(bytes as f64, 1024.0)
}

/// Draws a graph of one line with two values per character, scaled to `most`. A value other than 0 is always visible.
pub(crate) fn braille_graph(values: &[f32], most: f32) -> String {
    // The dots of the left and right column of a braille pattern (Unicode, U+2800), from the bottom up.
    const LEFT: [u32; 5] = [0, 0x40, 0x44, 0x46, 0x47];
    const RIGHT: [u32; 5] = [0, 0x80, 0xa0, 0xb0, 0xb8];
    let level = |value: f32| match value > 0.0 {
        true => ((value / most * 4.0).round() as usize).clamp(1, 4),
        false => 0,
    };
    values
        .chunks(2)
        .map(|pair| {
            let right = pair.get(1).copied().unwrap_or(0.0);
            let dots = LEFT[level(pair[0])] | RIGHT[level(right)];
            match dots {
                0 => ' ',
                dots => char::from_u32(0x2800 | dots).unwrap_or(' '),
            }
        })
        .collect()
}

/// Draws a graph of one line in ASCII with one value per character, scaled to `most`.
pub(crate) fn ascii_graph(values: &[f32], most: f32) -> String {
    const LEVELS: [char; 5] = [' ', '.', ':', '|', '#'];
    let level = |value: &f32| match *value > 0.0 {
        true => ((value / most * 4.0).round() as usize).clamp(1, 4),
        false => 0,
    };
    values.iter().map(|value| LEVELS[level(value)]).collect()
}

/// Formats a share of 1 in percent, with one decimal below 10: `0`, `3.5`, `42`. A value other than 0 is never shown as
/// 0.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent <= 0.0 {
        "0".to_owned()
    } else if percent < 0.05 {
        "<0.1".to_owned()
    } else if percent < 9.95 {
        format!("{percent:.1}")
    } else {
        format!("{percent:.0}")
    }
}

/// Formats microseconds as milliseconds: `0.04`, `1.3`, `120`.
pub(crate) fn milliseconds(micros: u32) -> String {
    let value = f64::from(micros) / 1000.0;
    if micros > 0 && value < 0.005 {
        "<0.01".to_owned()
    } else if value < 0.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// Formats a known fact with `write`; otherwise returns [`UNKNOWN`].
pub(crate) fn fact<T>(fact: Fact<T>, write: impl FnOnce(T) -> String) -> String {
    fact.known().map_or_else(|| UNKNOWN.to_owned(), write)
}

/// Formats a length of time in its two largest units: `42 s`, `5 min 10 s`, `3 h 12 min`, `12 d 4 h`.
pub(crate) fn duration(seconds: u64) -> String {
    let (minute, hour, day) = (60, 3600, 86400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / minute, seconds % minute),
        3600..86400 => format!("{} h {} min", seconds / hour, seconds % hour / minute),
        _ => format!("{} d {} h", seconds / day, seconds % day / hour),
    }
}

/// Shortens a command line to `width` columns. The directories of paths are removed first, so that the names of scripts
/// remain.
pub(crate) fn command(text: &str, width: usize) -> std::borrow::Cow<'_, str> {
    use unicode_width::UnicodeWidthStr;
    if text.len() <= width || text.width() <= width {
        return text.into();
    }
    let mut words: Vec<std::borrow::Cow<'_, str>> = text.split(' ').map(Into::into).collect();
    let mut length = text.width();
    for word in &mut words {
        if length <= width {
            break;
        }
        let Some((directory, name)) = word.rsplit_once('/') else {
            continue;
        };
        // Shortening an option's value or a short directory is not worthwhile.
        if directory.width() > 2 && !name.is_empty() && !word.starts_with('-') {
            let short = format!("…/{name}");
            length -= word.width() - short.width();
            *word = short.into();
        }
    }
    cut(&words.join(" "), width).into_owned().into()
}

/// Cuts `text` to `width` columns of the terminal, with `…` in place of the rest.
pub(crate) fn cut(text: &str, width: usize) -> std::borrow::Cow<'_, str> {
    use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
    // Most texts fit.
    if text.len() <= width || UnicodeWidthStr::width(text) <= width {
        return text.into();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > width {
            break;
        }
        used += wide;
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn axis_round_numbers_fit_into_four_characters() {
        for (value, shown) in [
            (10_000.0, "10k"),
            (5_000.0, "5k"),
            (2_500.0, "2.5k"),
            (25e6, "25M"),
            (100e6, "100M"),
            (50.0, "50"),
        ] {
            assert_eq!(axis(value), shown);
        }
    }

    #[test]
    fn rates_and_sizes_are_shortened_with_unit() {
        let cases = [
            (0.0, "0"),
            (0.2, "<1"),
            (1.4, "1"),
            (999.4, "999"),
            (999.6, "1.0k"),
            (1234.0, "1.2k"),
            (99_949.0, "99.9k"),
            (123_456.0, "123k"),
            (999_600.0, "1.0M"),
            (1.5e12, "1.5T"),
        ];
        for (value, text) in cases {
            assert_eq!(rate(value), text, "{value}");
        }
        assert_eq!(size(1023), "1.0k");
        assert_eq!(size(1024 * 1024 * 3 / 2), "1.5M");
        assert_eq!(percent(0.0351), "3.5");
        assert_eq!(percent(0.0001), "<0.1");
        assert_eq!(percent(1.25), "125");
        assert_eq!(milliseconds(38), "0.04");
        assert_eq!(milliseconds(120_400), "120");
        assert_eq!(duration(90_061), "1 d 1 h");
        let cases = [
            (80, "<1ms"),
            (12_400, "12ms"),
            (999_499, "999ms"),
            (999_500, "1.0s"),
            (9_949_000, "9.9s"),
            (59_999_999, "59s"),
            (60_000_000, "1min"),
            (7_200_000_000, "2h"),
            (172_800_000_000, "2d"),
        ];
        for (micros, text) in cases {
            assert_eq!(span(micros), text);
        }
        assert_eq!((amount(999), amount(1234)), ("999B".into(), "1.2kB".into()));
    }

    #[test]
    fn command_too_long_keeps_script_name() {
        let text = "python3.11 /opt/python/versions/3.11/lib/srv.py --port 80";
        assert_eq!(command(text, 80), text);
        assert_eq!(command(text, 30), "python3.11 …/srv.py --port 80");
        assert_eq!(command(text, 20), "python3.11 …/srv.py…");
        assert_eq!(command("/usr/sbin/nginx -g", 12), "…/nginx -g");
    }

    #[test]
    fn graph_value_above_zero_is_visible() {
        assert_eq!(braille_graph(&[0.0, 0.01, 2.0, 4.0], 4.0), "\u{2880}\u{28fc}");
        assert_eq!(ascii_graph(&[0.0, 0.01, 2.0, 4.0], 4.0), " .:#");
    }

    #[test]
    fn cutting() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 5), "abcd…");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("abc", 0), "");
    }

    proptest! {
        #[test]
        fn rate_and_size_are_at_most_six_wide(value in 0.0f64..1e15, bytes: u64) {
            prop_assert!(rate(value).len() <= 5, "{}", rate(value));
            prop_assert!(size(bytes).len() <= 6, "{}", size(bytes));
        }

        #[test]
        fn cut_text_fits_into_its_width(text: String, width in 0usize..30) {
            prop_assert!(unicode_width::UnicodeWidthStr::width(&*cut(&text, width)) <= width);
        }
    }
}
