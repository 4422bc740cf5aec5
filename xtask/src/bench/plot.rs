//! Draws the plot of time over sockets, with logarithmic axes, as an SVG without scripts or embedded fonts.

use std::fmt::Write as _;
use std::time::Duration;

use super::contenders::{Question, Whose};
use super::loads::thousands;
use super::report::{Entry, Figures, Report};

const WIDTH: f64 = 980.0;
const HEIGHT: f64 = 540.0;
/// The plot area: left, top, right, bottom.
const FIELD: (f64, f64, f64, f64) = (76.0, 52.0, 640.0, 478.0);
/// The height of a line in the legend.
const LINE: f64 = 22.0;

/// Colors with sufficient contrast on white and on near-black, in the order in which the commands are measured. A
/// program's list and its list with owners have the same color and differ in their dashes.
const OURS: [&str; 5] = ["#d9480f", "#d9480f", "#e8890c", "#a15c07", "#c2255c"];
const PEERS: [&str; 5] = ["#1c7ed6", "#1c7ed6", "#2f9e44", "#2f9e44", "#9c36b5"];
const FLOORS: [&str; 2] = ["#868e96", "#868e96"];

/// The line of a command.
struct Series {
    label: &'static str,
    colour: &'static str,
    width: f64,
    dashes: &'static str,
    /// The number of sockets, the time, and whether that is only the limit at which the command was killed.
    points: Vec<(u64, Duration, bool)>,
}

/// Draws the groups that have a position on the plot. With fewer than two sizes, only the frame is drawn.
pub(crate) fn draw(report: &Report) -> String {
    let series = series(report);
    let points = || series.iter().flat_map(|one| &one.points);
    let x = Axis::around(points().map(|point| point.0 as f64), FIELD.0, FIELD.2);
    let y = Axis::around(points().map(|point| point.1.as_secs_f64() * 1e3), FIELD.3, FIELD.1);

    let mut svg = String::new();
    let _ = writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="system-ui, sans-serif" font-size="13" role="img" aria-labelledby="title">
<title id="title">Time of each command over the number of sockets</title>
<style>
.paper {{ fill: #ffffff }} text {{ fill: #1f2328 }} .grid {{ stroke: #d0d7de }} .quiet {{ fill: #57606a }}
@media (prefers-color-scheme: dark) {{
.paper {{ fill: #0d1117 }} text {{ fill: #e6edf3 }} .grid {{ stroke: #30363d }} .quiet {{ fill: #9198a1 }}
}}
</style>
<rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="8"/>
<text x="{left}" y="28" font-size="16" font-weight="600">Wall time (median) over sockets, in many processes</text>"##,
        left = FIELD.0
    );
    grid(&mut svg, &x, &y);
    for (row, one) in series.iter().enumerate() {
        line(&mut svg, one, row, &x, &y);
    }
    let _ = writeln!(svg, "</svg>");
    svg
}

fn series(report: &Report) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    for group in &report.groups {
        let Some(at) = group.at else { continue };
        for entry in &group.entries {
            let point = match &entry.figures {
                Figures::Measured(summary) => (at, summary.median, false),
                Figures::OverLimit => (at, report.limit, true),
                Figures::NotTried | Figures::NotAvailable(_) => continue,
            };
            match all.iter_mut().find(|one| one.label == entry.label) {
                Some(one) => one.points.push(point),
                None => {
                    let place = group.entries.iter().filter(|other| other.whose == entry.whose);
                    let place = place.take_while(|other| other.label != entry.label).count();
                    all.push(Series::new(entry, place, point));
                }
            }
        }
    }
    // The legend is ordered from slow to fast, like the right ends of the lines.
    all.sort_by_key(|one| std::cmp::Reverse(one.points.last().map(|point| (point.0, point.1))));
    all
}

/// A logarithmic axis of whole decades.
struct Axis {
    /// The exponents of ten at both ends.
    decades: (i32, i32),
    /// The positions of both ends.
    ends: (f64, f64),
}

impl Axis {
    /// Creates the axis for `values` (which are positive), from position `from` to position `to`.
    fn around(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Axis {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for exponent in values.map(f64::log10).filter(|exponent| exponent.is_finite()) {
            low = low.min(exponent);
            high = high.max(exponent);
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        // A small tolerance, so that 999.999 does not add another decade.
        let low = (low + 1e-6).floor() as i32;
        let high = ((high - 1e-6).ceil() as i32).max(low + 1);
        Axis {
            decades: (low, high),
            ends: (from, to),
        }
    }

    fn place(&self, value: f64) -> f64 {
        let (low, high) = (f64::from(self.decades.0), f64::from(self.decades.1));
        let part = (value.log10() - low) / (high - low);
        self.ends.0 + part * (self.ends.1 - self.ends.0)
    }
}

fn grid(svg: &mut String, x: &Axis, y: &Axis) {
    let (left, top, right, bottom) = FIELD;
    for exponent in x.decades.0..=x.decades.1 {
        let at = x.place(10f64.powi(exponent));
        let _ = writeln!(
            svg,
            r#"<path class="grid" d="M{at:.1} {top}V{bottom}"/><text class="quiet" x="{at:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            bottom + 20.0,
            thousands(10u64.pow(exponent.max(0) as u32))
        );
    }
    for exponent in y.decades.0..=y.decades.1 {
        let at = y.place(10f64.powi(exponent));
        let name = match exponent {
            3.. => format!("{} s", thousands(10u64.pow(exponent as u32 - 3))),
            0..=2 => format!("{} ms", 10u64.pow(exponent as u32)),
            _ => format!("{} ms", 10f64.powi(exponent)),
        };
        let _ = writeln!(
            svg,
            r#"<path class="grid" d="M{left} {at:.1}H{right}"/><text class="quiet" x="{:.1}" y="{:.1}" text-anchor="end">{name}</text>"#,
            left - 8.0,
            at + 4.5
        );
    }
    let _ = writeln!(
        svg,
        r#"<text class="quiet" x="{:.1}" y="{:.1}" text-anchor="middle">sockets</text>"#,
        (left + right) / 2.0,
        bottom + 42.0
    );
}

impl Series {
    /// Creates the line of a command that is the `place`th of its origin.
    fn new(entry: &Entry, place: usize, point: (u64, Duration, bool)) -> Series {
        let (colours, width): (&[&str], f64) = match entry.whose {
            Whose::Ours => (&OURS, 3.0),
            Whose::Peer => (&PEERS, 1.8),
            Whose::Floor => (&FLOORS, 1.8),
        };
        let dashes = match (entry.whose, entry.question, place) {
            (Whose::Floor, _, 0) => "2 4",
            (Whose::Floor, ..) => "2 4 8 4",
            (_, Question::List, _) => "none",
            (_, Question::Owners, _) => "9 4",
            (_, Question::Part, _) => "9 3 2 3",
        };
        Series {
            label: entry.label,
            colour: colours[place % colours.len()],
            width,
            dashes,
            points: vec![point],
        }
    }
}

/// Draws a line, its points, and its name in the `row`th line of the legend.
fn line(svg: &mut String, series: &Series, row: usize, x: &Axis, y: &Axis) {
    let Series {
        label,
        colour,
        width,
        dashes,
        points,
    } = series;
    let mut path = String::new();
    let mut marks = String::new();
    for (index, (sockets, time, over)) in points.iter().enumerate() {
        let (px, py) = (x.place(*sockets as f64), y.place(time.as_secs_f64() * 1e3));
        let _ = write!(path, "{}{px:.1} {py:.1}", if index == 0 { 'M' } else { 'L' });
        if *over {
            // An upward arrow, because it would have taken longer.
            let _ = write!(
                marks,
                r#"<path fill="{colour}" d="M{px:.1} {:.1}l6 12h-12z"/>"#,
                py - 10.0
            );
        } else {
            let _ = write!(marks, r#"<circle fill="{colour}" cx="{px:.1}" cy="{py:.1}" r="3.5"/>"#);
        }
    }
    let stroke = format!(r#"fill="none" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dashes}""#);
    let (left, top) = (FIELD.2 + 22.0, FIELD.1 + 14.0 + row as f64 * LINE);
    let over = if points.iter().any(|point| point.2) {
        " ▲ ended at the limit"
    } else {
        ""
    };
    let _ = writeln!(
        svg,
        r#"<path {stroke} d="{path}"/>{marks}<path {stroke} d="M{left} {top:.1}h34"/><text x="{:.1}" y="{:.1}">{}{over}</text>"#,
        left + 42.0,
        top + 4.5,
        label.replace('&', "&amp;").replace('<', "&lt;")
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::Summary;

    fn entry(label: &'static str, whose: Whose, figures: Figures) -> Entry {
        Entry {
            label,
            whose,
            question: Question::List,
            figures,
        }
    }

    fn took(milliseconds: u64) -> Figures {
        Figures::Measured(Summary {
            runs: 1,
            median: Duration::from_millis(milliseconds),
            ..Summary::of(&[])
        })
    }

    #[test]
    fn axis_covers_whole_decades_and_no_more() {
        let axis = Axis::around([1_000.0, 1_000_000.0].into_iter(), 0.0, 300.0);
        assert_eq!(axis.decades, (3, 6));
        assert!((axis.place(10_000.0) - 100.0).abs() < 1e-9);
        assert_eq!(Axis::around([250.0].into_iter(), 0.0, 1.0).decades, (2, 3));
        assert_eq!(Axis::around(std::iter::empty(), 0.0, 1.0).decades, (0, 1));
    }

    #[test]
    fn every_measured_command_is_drawn_and_named() {
        let mut report = Report::new(Vec::new(), Duration::from_secs(120));
        for (at, ours) in [(1_000, 4), (10_000, 30)] {
            let slow = if at > 1_000 { Figures::OverLimit } else { took(900) };
            let entries = vec![
                entry("ours", Whose::Ours, took(ours)),
                entry("slow & <old>", Whose::Peer, slow),
                entry("absent", Whose::Peer, Figures::NotAvailable("why".into())),
            ];
            report.add("a load".into(), Some(at), at, entries);
        }
        report.add("elsewhere".into(), None, 0, vec![entry("idle", Whose::Ours, took(1))]);
        let svg = draw(&report);
        assert!(svg.contains(">ours</text>"), "{svg}");
        assert!(
            svg.contains(">slow &amp; &lt;old> ▲ ended at the limit</text>"),
            "{svg}"
        );
        assert!(!svg.contains("absent") && !svg.contains("idle"));
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
