//! Writes rows in the requested format.

use netstat_model::Limit;

use crate::args::Plan;
use crate::args::shape::Format;
use crate::context::{Context, Failure};
use crate::output::json;
use crate::output::json::front::{Front, missing};
use crate::output::rows::table::{self, Layout, Widths};
use crate::output::rows::timed::Timed;
use crate::output::rows::{self, Grid};

/// The parts of a JSON document other than the rows.
#[derive(Clone, Copy)]
pub(super) struct Beside<'a> {
    /// What could not be seen of the sockets.
    pub(super) limits: &'a [Limit],
    /// The parts that precede the rows.
    pub(super) front: &'a Front,
}

/// State shared by the prints of a run.
#[derive(Debug, Default)]
pub(super) struct Series {
    /// The widths that the columns of a table have reached.
    widths: Widths,
    /// The number of completed prints.
    pub(super) prints: u64,
}

/// Writes rows as a table or in a machine-readable format.
pub(super) fn write_grid(
    plan: &Plan,
    context: &mut Context<'_>,
    grid: &dyn Grid,
    layout: &Layout,
    series: &mut Series,
    beside: Beside<'_>,
) -> Result<(), Failure> {
    let time = (context.now)();
    let first = series.prints == 0;
    match plan.format {
        Format::Text => {
            if !first && !layout.bare {
                context.out.write_all(b"\n")?;
            }
            table::write(context.out, grid, layout, &mut series.widths)?;
        }
        // With several prints, each row shows which one it belongs to.
        Format::Csv(style) if plan.interval.is_some() => {
            rows::csv::write(context.out, &Timed::new(grid, time), first, style)?;
        }
        Format::Csv(style) => rows::csv::write(context.out, grid, first, style)?,
        Format::NdJson => rows::json::write_lines(context.out, &Timed::new(grid, time))?,
        Format::Json => write_document(context, grid, beside, time)?,
    }
    Ok(())
}

/// Writes one JSON document: frame, rows, limits.
pub(super) fn write_document(
    context: &mut Context<'_>,
    grid: &dyn Grid,
    beside: Beside<'_>,
    time: std::time::SystemTime,
) -> Result<(), Failure> {
    let host = context.system.computer_name();
    let head = json::head(beside.front.schema(), &host, time);
    let out = &mut *context.out;
    out.write_all(b"{")?;
    out.write_all(head.as_bytes())?;
    let mut all = beside.front.write(out)?.to_vec();
    out.write_all(b",\"rows\":[")?;
    let tally = rows::json::write_elements(out, grid)?;
    out.write_all(b"\n],\"limits\":[")?;
    all.extend(beside.limits.iter().map(json::limit));
    all.extend(missing(&grid.heads(), &tally, "row", "rows"));
    for (at, limit) in all.iter().enumerate() {
        out.write_all(if at == 0 { b"\n" } else { b",\n" })?;
        out.write_all(json::to_text(limit, false).trim_end().as_bytes())?;
    }
    out.write_all(if all.is_empty() { b"]}\n" } else { b"\n]}\n" })?;
    Ok(())
}
