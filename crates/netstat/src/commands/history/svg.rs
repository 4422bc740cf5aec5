//! Bars as an SVG picture (<https://www.w3.org/TR/SVG2/>), without fonts, scripts or references of its own.

use std::fmt::Write;

const WIDTH: usize = 960;
const HEIGHT: usize = 320;
/// The margins for the numbers on the left, the labels below and the title above.
const LEFT: usize = 80;
const BELOW: usize = 40;
const ABOVE: usize = 36;
/// The maximum number of labels below.
const LABELS: usize = 8;

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bar {
    /// The text beside the bar.
    pub(super) label: String,
    /// The value that the length of the bar represents.
    pub(super) value: u64,
}

/// Returns a picture of `bars`; `shown` formats a value.
pub(super) fn picture(title: &str, bars: &[Bar], shown: &dyn Fn(u64) -> String) -> String {
    let most = bars.iter().map(|bar| bar.value).max().unwrap_or(0).max(1);
    let (room, height) = ((WIDTH - LEFT - 16) as f64, (HEIGHT - ABOVE - BELOW) as f64);
    let step = room / bars.len().max(1) as f64;
    let base = (HEIGHT - BELOW) as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\" fill=\"#222\">{}</text>\n",
        escaped(title)
    );
    for part in 0..=4u64 {
        let y = base - height * part as f64 / 4.0;
        let value = (u128::from(most) * u128::from(part) / 4) as u64;
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555\">{}</text>",
            WIDTH - 16,
            LEFT - 8,
            y + 4.0,
            escaped(&shown(value))
        );
    }
    let every = bars.len().div_ceil(LABELS).max(1);
    for (at, bar) in bars.iter().enumerate() {
        let x = LEFT as f64 + step * at as f64;
        let tall = height * (bar.value as f64 / most as f64);
        if bar.value > 0 {
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{:.2}\" fill=\"#2f6fb0\"><title>{}: {}</title></rect>",
                base - tall.max(1.0),
                (step * 0.85).max(0.2),
                tall.max(1.0),
                escaped(&bar.label),
                escaped(&shown(bar.value))
            );
        }
        if at % every == 0 {
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{:.1}\" fill=\"#555\">{}</text>",
                base + 18.0,
                escaped(&bar.label)
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picture_bars_are_as_high_as_their_values() {
        let bar = |label: &str, value| Bar {
            label: label.to_owned(),
            value,
        };
        let bars = [bar("a", 10), bar("b", 5), bar("c", 0)];
        let svg = picture("Connections <x>", &bars, &|value| value.to_string());
        assert!(svg.starts_with("<svg xmlns") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("Connections &lt;x&gt;"));
        assert!(
            svg.contains("height=\"244.00\"") && svg.contains("height=\"122.00\""),
            "{svg}"
        );
        assert_eq!(svg.matches("<title>").count(), 2, "no bar for nothing");
    }

    #[test]
    fn picture_without_values_is_a_picture() {
        assert!(picture("", &[], &|value| value.to_string()).ends_with("</svg>\n"));
    }
}
