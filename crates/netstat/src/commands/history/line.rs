//! The timeline of one program.

use std::ops::ControlFlow;

use netstat_model::Direction;
use netstat_model::columns::Table;
use netstat_model::text::escape;
use netstat_record::{Flow, FlowRow, Flows};

use super::Answer;
use super::people::{self, Zone, short_span};
use crate::args::shape::Format;
use crate::context::{Diagnostics, Failure, human};

/// Runs `--follow`; machine-readable formats have the plain rows.
pub(super) fn line(answer: &mut Answer<'_, '_, '_>, diagnostics: &mut Diagnostics) -> Result<(), Failure> {
    if answer.args.format() != Format::Text {
        return super::rows::rows(answer, diagnostics);
    }
    let zone = Zone::local(netstat_record::millis(answer.now));
    let mut found = false;
    let mut left = answer.args.top.unwrap_or(usize::MAX);
    let mut day = String::new();
    let mut before: Option<(Vec<u8>, u32)> = None;
    answer.each(&mut |_, out, flow| {
        found = true;
        let when = zone.moment(flow.first);
        let (date, time) = when.split_once(' ').unwrap_or((&when, ""));
        if day != date {
            day = date.to_owned();
            writeln!(out, "{day} ({})", zone.name())?;
        }
        let who = flow
            .process
            .as_ref()
            .map(|process| process.pid)
            .and_then(|pid| Some((people::program_of(&flow)?, pid)));
        if who != before {
            if let Some((program, pid)) = &who {
                writeln!(out, "  {} {pid}", escape(program))?;
            }
            before = who;
        }
        writeln!(out, "    {time}  {}", sentence(&flow))?;
        left -= 1;
        Ok(if left > 0 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })?;
    if !found {
        diagnostics.line("no connection matches");
    }
    Ok(())
}

/// Describes a flow: `-> 203.0.113.7:443  TCP 2.1 s, 500 B sent, 3.1 kB received`.
fn sentence(flow: &Flow) -> String {
    let cell = |name: &str| {
        let users = Default::default();
        let row = FlowRow { flow, users: &users };
        let mut text = Vec::new();
        if let Some(column) = Flows::columns().iter().find(|column| column.name == name) {
            (column.get)(&row).push_cell(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    };
    let what = match flow.direction {
        Direction::Listening => format!("listens on {}", cell("local")),
        Direction::Outgoing => match &flow.asked_name {
            Some(name) => format!("-> {} ({})", cell("foreign"), escape(name)),
            None => format!("-> {}", cell("foreign")),
        },
        Direction::Incoming => format!("<- {} to {}", cell("foreign"), cell("local")),
        Direction::Unknown if flow.foreign.1 == 0 => format!("on {}", cell("local")),
        Direction::Unknown => format!("{} -- {}", cell("local"), cell("foreign")),
    };
    let mut text = format!(
        "{what}  {} {}{}",
        flow.protocol.name(),
        if flow.begun { "" } else { ">=" },
        short_span(flow.duration())
    );
    if !flow.closed {
        text.push_str(" so far");
    }
    if let (Some(sent), Some(received)) = (flow.sent.known(), flow.received.known()) {
        let mark = if flow.bytes_are_final() { "" } else { ">=" };
        let (sent, received) = (human::bytes(sent), human::bytes(received));
        text.push_str(&format!(", {mark}{sent} sent, {mark}{received} received"));
    }
    text
}
