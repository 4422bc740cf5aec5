//! Cards as text: the most important information first, in the width of the terminal.

mod connection;
mod file;
mod lines;
mod past;
mod process;
mod usage;
mod verdict;
mod windows;

use std::io::{self, Write};
use std::time::SystemTime;

use netstat_model::{NoOwner, text};
use netstat_names::Services;

use super::card::{Card, Nobody, Report, Subject};
use crate::output::report::Block;
use lines::Lines;

/// What a card is formatted for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen<'a> {
    /// The width in columns.
    pub(super) width: usize,
    /// Whether titles are bold.
    pub(super) bold: bool,
    /// The time relative to which ages are shown.
    pub(super) now: SystemTime,
    /// The names of ports.
    pub(super) services: &'a Services,
}

/// Writes the cards, at most `most` of them.
///
/// # Errors
/// Returns an error of the writer.
pub(super) fn write(out: &mut dyn Write, report: &Report, screen: &Screen<'_>, most: usize) -> io::Result<()> {
    let published: Vec<&String> = report.targets.iter().flat_map(|target| &target.published).collect();
    if !published.is_empty() {
        let mut lines = Lines::new(screen.width);
        for line in &published {
            lines.row("published", line);
        }
        out.write_all(lines.finish().as_bytes())?;
        if !report.cards.is_empty() {
            writeln!(out)?;
        }
    }
    for (place, card) in report.cards.iter().take(most).enumerate() {
        if place > 0 {
            writeln!(out)?;
        }
        out.write_all(card_text(card, report, screen).as_bytes())?;
    }
    let left = report.cards.len().saturating_sub(most);
    if left > 0 {
        let names: Vec<String> = report.cards[most..].iter().take(5).map(title).collect();
        let dots = if left > names.len() { ", ..." } else { "" };
        writeln!(
            out,
            "\n{left} more: {}{dots} (--all shows every card)",
            names.join(", ")
        )?;
    }
    Ok(())
}

/// Returns the cards for a report: a heading, facts and commands for each.
pub(super) fn blocks(report: &Report, screen: &Screen<'_>) -> Vec<Block> {
    /// Wide enough that no row is wrapped.
    const WIDTH: usize = 4096;
    let wide = Screen {
        width: WIDTH,
        bold: false,
        ..*screen
    };
    let mut blocks = Vec::new();
    for card in &report.cards {
        blocks.push(Block::heading(2, title(card)));
        let mut facts: Vec<(String, Vec<String>)> = Vec::new();
        // The title is shown above, the steps below.
        for line in card_text(card, report, &wide).lines().skip(1) {
            let (label, text) = lines::parts(line);
            match facts.last_mut() {
                Some((_, lines)) if label.is_empty() => lines.push(text.to_owned()),
                _ => facts.push((label.to_owned(), vec![text.to_owned()])),
            }
        }
        facts.retain(|(label, _)| label != "next");
        blocks.push(Block::Facts(facts));
        let steps = card.steps.iter();
        blocks.push(Block::Commands(
            steps.map(|step| (step.what.to_owned(), step.command.clone())).collect(),
        ));
    }
    blocks
}

/// Formats one card.
fn card_text(card: &Card, report: &Report, screen: &Screen<'_>) -> String {
    let filter = report.filter.as_ref();
    let mut lines = Lines::new(screen.width);
    let targets: Vec<String> = card
        .targets
        .iter()
        .map(|word| text::escape_str(word).into_owned())
        .collect();
    lines.title(&title(card), &targets.join(" "), screen.bold);
    if let Ok(subject) = &card.owner
        && let Some(opinion) = &subject.opinion
    {
        verdict::write_summary(&mut lines, opinion);
    }
    let unseen = match &card.owner {
        Ok(subject) => subject.held.unlisted.why(),
        Err(_) => None,
    };
    connection::write(&mut lines, &card.sockets, unseen, screen);
    match &card.owner {
        Ok(subject) => {
            if let Ok(past) = &subject.past {
                past::write(&mut lines, past, &program_name(subject), screen);
            }
            process::write(&mut lines, subject, screen);
            file::write(&mut lines, subject, screen);
            usage::write(&mut lines, &subject.usage);
            if let Some(opinion) = &subject.opinion {
                verdict::write_details(&mut lines, opinion);
            }
            process::write_reach(&mut lines, subject, filter);
            let unread = subject.facts.unread();
            // The findings have already reported what could not be examined.
            if !unread.is_empty() && subject.opinion.is_none() {
                let words: Vec<String> = unread
                    .iter()
                    .map(|(what, why)| format!("{what} ({})", why.words()))
                    .collect();
                lines.row("not seen", &words.join(", "));
            }
        }
        Err(nobody) => lines.row("process", &nobody_in_words(nobody)),
    }
    if !card.steps.is_empty() {
        let widest = card.steps.iter().map(|step| step.what.len()).max().unwrap_or_default();
        for (place, step) in card.steps.iter().enumerate() {
            let label = if place == 0 { "next" } else { "" };
            // A command is not wrapped, so that it is easy to copy.
            lines.raw(label, &format!("{:widest$}  {}", step.what, step.command));
        }
    }
    lines.finish()
}

/// Returns the name of the program file, or the short name; escaped.
fn program_name(subject: &Subject) -> String {
    let program = subject.facts.program.as_ref().known();
    let name = program.map_or(subject.facts.comm.as_slice(), |program| program.file_name());
    text::escape(name).into_owned()
}

/// Returns the name of a process if it differs from that of its file, as when the file has several names:
/// `, called redis-server`.
fn called(subject: &Subject) -> String {
    let facts = &subject.facts;
    let Some(program) = facts.program.as_ref().known() else {
        return String::new();
    };
    let (file, comm) = (program.file_name(), facts.comm.as_slice());
    // The kernel truncates the short name, and a file name may end with a version or the like.
    match comm.is_empty() || file.starts_with(comm) || comm.starts_with(file) {
        true => String::new(),
        false => format!(", called {}", text::escape(comm)),
    }
}

/// Returns the title of a card: `sshd [812]`.
fn title(card: &Card) -> String {
    match &card.owner {
        Ok(subject) => {
            let facts = &subject.facts;
            let name = program_name(subject);
            match &subject.script {
                Some(script) => {
                    let script = script.path.rsplit(|&byte| byte == b'/').next().unwrap_or(&script.path);
                    format!("{} run by {name} [{}]", text::escape(script), facts.pid)
                }
                None => format!("{name}{} [{}]", called(subject), facts.pid),
            }
        }
        Err(_) => {
            let socket = card.sockets.first();
            socket.map_or_else(
                || "no process".to_owned(),
                |view| format!("{} without a process", connection::ends(view)),
            )
        }
    }
}

/// Explains why there is no process.
fn nobody_in_words(nobody: &Nobody) -> String {
    if nobody.reason == NoOwner::Kernel {
        return match &nobody.kernel_user {
            Some(user) => format!("none: a socket of the kernel itself, for {user}"),
            None => "none: a socket of the kernel itself".to_owned(),
        };
    }
    let hint = nobody.system.privilege_hint(nobody.superuser);
    let more = match (nobody.reason, &nobody.user_name) {
        (NoOwner::NotPermitted { user: Some(_) }, Some(name)) => {
            format!("; a process of user {} made it{hint}", text::escape_str(name))
        }
        (NoOwner::NotPermitted { user: Some(user) }, None) => format!("; a process of user {user} made it{hint}"),
        (NoOwner::NotPermitted { user: None }, _) => hint.to_owned(),
        _ => String::new(),
    };
    format!("not known: {}{more}", nobody.reason.words())
}
