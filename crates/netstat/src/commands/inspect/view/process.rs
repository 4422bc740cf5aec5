//! The process of a card.

use netstat_model::packet_filter::PacketFilter;
use netstat_model::process::{Capabilities, Descriptor, Namespaces, ProcessFacts, Seccomp};
use netstat_model::{Component, Fact, UnitManager, text};

use super::super::card::{StandsFor, Subject};
use super::super::filter;

use super::lines::Lines;
use super::{Screen, windows};
use crate::context::human::{ago, moment, plural};
use netstat_audit::passage;

/// The length to which command lines are cut; they can have megabytes.
const COMMAND: usize = 320;

/// The maximum number of ancestors to name.
const PARENTS: usize = 6;

pub(super) fn write(lines: &mut Lines, subject: &Subject, screen: &Screen<'_>) {
    let facts = &subject.facts;
    let started = match facts.started {
        Fact::Known(then) => format!("started {} ({})", ago(then, screen.now), moment(then)),
        Fact::Unknown(why) => format!("start: {}", why.words()),
    };
    let kind = if facts.kernel_thread {
        ", a thread of the kernel"
    } else {
        ""
    };
    lines.row(
        "process",
        &format!(
            "{} \"{}\"{kind}, {}, {started}",
            facts.pid,
            text::escape(&facts.comm),
            user(subject)
        ),
    );
    match &facts.arguments {
        Fact::Known(words) if !words.is_empty() => lines.row("command", &command(words)),
        Fact::Known(_) if !facts.kernel_thread => {
            lines.row("command", "it has no arguments: none were given, or it wiped them")
        }
        Fact::Known(_) => {}
        Fact::Unknown(why) => lines.row("command", &format!("unknown: {}", why.words())),
    }
    if let Some(parents) = parents(facts) {
        lines.row("parents", &parents);
    }
    let starters = subject.opinion.as_ref().map(|opinion| opinion.starters.lines());
    for line in starters.into_iter().flatten() {
        lines.row("started by", &line);
    }
    match &facts.windows {
        Some(windows) => {
            lines.row("runs in", &windows::runs_in(facts));
            lines.row("privileges", &windows::rights(windows));
            if let Some(memory) = windows::memory(facts) {
                lines.row("memory", &memory);
            }
        }
        None => {
            lines.row("runs in", &runs_in(facts));
            if let Some(place) = place(facts) {
                lines.row("directory", &place);
            }
            lines.row("privileges", &rights(facts));
        }
    }
    if let Some(streams) = streams(facts) {
        lines.row("streams", &streams);
    }
    lines.row("sockets", &sockets(subject));
}

fn user(subject: &Subject) -> String {
    if let Some(windows) = &subject.facts.windows {
        return windows::user(windows);
    }
    let name = |id: u32, name: &Option<std::sync::Arc<str>>| match name {
        Some(name) => text::escape_str(name).into_owned(),
        None => format!("uid {id}"),
    };
    let users = match subject.facts.users {
        Fact::Known(users) => users,
        Fact::Unknown(why) => return format!("user unknown: {}", why.words()),
    };
    let (real, effective) = (
        name(users.real, &subject.user_names.0),
        name(users.effective, &subject.user_names.1),
    );
    let mut words = match users.real == users.effective {
        true => format!("user {effective}"),
        false => format!("user {real} with the rights of {effective}"),
    };
    if let Fact::Known(Some(login)) = subject.facts.login_user
        && login != users.real
    {
        words.push_str(&format!(", from a login of {}", name(login, &subject.login_name)));
    }
    words
}

/// Formats the words as a shell command, cut if it is too long.
fn command(words: &[Vec<u8>]) -> String {
    let mut line = String::new();
    for word in words {
        let blank = word.is_empty() || word.contains(&b' ');
        let quote = if blank { "\"" } else { "" };
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(quote);
        line.push_str(&text::escape(word));
        line.push_str(quote);
        if line.len() > COMMAND {
            let cut = line.char_indices().nth(COMMAND).map_or(line.len(), |(at, _)| at);
            line.truncate(cut);
            let whole: usize = words.iter().map(|word| word.len() + 1).sum();
            line.push_str(&format!(" ... ({whole} bytes)"));
            break;
        }
    }
    line
}

/// Formats the ancestors, the nearest first: `bash [901] < sshd [880] < systemd [1]`.
fn parents(facts: &ProcessFacts) -> Option<String> {
    let ancestors = match &facts.ancestors {
        Fact::Known(ancestors) => ancestors,
        Fact::Unknown(why) => return Some(format!("unknown: {}", why.words())),
    };
    if ancestors.is_empty() {
        return None;
    }
    let name = |ancestor: &netstat_model::process::Ancestor| {
        let file = ancestor.path.as_ref().known();
        let name = file.map(|path| text::file_name(path));
        format!("{} [{}]", text::escape(name.unwrap_or(&ancestor.comm)), ancestor.pid)
    };
    let mut shown: Vec<String> = ancestors.iter().take(PARENTS).map(name).collect();
    if let Some(last) = ancestors.last() {
        if ancestors.len() > PARENTS {
            shown.push("...".to_owned());
            shown.push(name(last));
        }
        if last.parent != 0 {
            shown.push(format!("[{}] (hidden from you)", last.parent));
        }
    }
    Some(format!("from {}", shown.join(", from ")))
}

fn runs_in(facts: &ProcessFacts) -> String {
    let mut parts: Vec<String> = match &facts.components {
        Fact::Known(components) => components.iter().map(component).collect(),
        Fact::Unknown(why) => vec![format!("unknown unit ({})", why.words())],
    };
    if parts.is_empty() {
        parts.push("no unit or container".to_owned());
    }
    if let Some(terminal) = facts.terminal {
        parts.push(format!("terminal {terminal}"));
    } else {
        parts.push("no terminal".to_owned());
    }
    let Namespaces {
        mount,
        network,
        pid,
        user,
    } = facts.namespaces;
    let foreign: Vec<&str> = [
        ("files", mount),
        ("network", network),
        ("processes", pid),
        ("users", user),
    ]
    .into_iter()
    .filter(|(_, namespace)| namespace.known().is_some_and(|namespace| !namespace.ours))
    .map(|(name, _)| name)
    .collect();
    if !foreign.is_empty() {
        let inner = facts.inner_pids.as_ref().known().and_then(|pids| pids.get(1..)?.last());
        let inner = inner.map_or_else(String::new, |pid| format!("; it calls itself process {pid}"));
        parts.push(format!("namespaces of its own for {}{inner}", foreign.join(", ")));
    }
    parts.join(", ")
}

/// Describes a unit or container.
pub(super) fn component(component: &Component) -> String {
    match component {
        Component::Unit {
            name,
            manager: UnitManager::System,
        } => format!("unit {}", text::escape(name)),
        Component::Unit {
            name,
            manager: UnitManager::User(user),
        } => format!("unit {} of user {user}", text::escape(name)),
        Component::Service { name } => format!("service {}", text::escape(name)),
        Component::Package { name } => format!("package {}", text::escape(name)),
        Component::Container { runtime, id } => format!("{} container {}", runtime.name(), text::escape(id)),
    }
}

fn place(facts: &ProcessFacts) -> Option<String> {
    let directory = facts.directory.as_ref().known()?;
    let mut line = text::escape(directory).into_owned();
    if let Fact::Known(root) = &facts.root
        && root.as_slice() != b"/"
    {
        line.push_str(&format!(", root {}", text::escape(root)));
    }
    Some(line)
}

fn rights(facts: &ProcessFacts) -> String {
    let mut parts = Vec::new();
    match facts.capabilities {
        Fact::Known(sets) if sets.effective.is_empty() => parts.push("no capabilities".to_owned()),
        Fact::Known(sets) => parts.push(capabilities(sets.effective, sets.bounding)),
        Fact::Unknown(why) => parts.push(format!("capabilities unknown: {}", why.words())),
    }
    if let Fact::Known(Some(tracer)) = facts.tracer {
        parts.push(format!("TRACED by process {tracer}"));
    } else if let Fact::Known(None) = facts.tracer {
        parts.push("no debugger attached".to_owned());
    }
    if facts.no_new_privileges == Fact::Known(true) {
        parts.push("cannot gain privileges".to_owned());
    }
    match facts.seccomp {
        Fact::Known(Seccomp::Filter) => parts.push("system calls filtered".to_owned()),
        Fact::Known(Seccomp::Strict) => parts.push("strict seccomp".to_owned()),
        _ => {}
    }
    if let Fact::Known(label) = &facts.label
        && !label.is_empty()
    {
        parts.push(format!("label {}", text::escape(label)));
    }
    parts.join(", ")
}

/// Names the capabilities if they are few; of many, the most significant ones.
fn capabilities(effective: Capabilities, bounding: Capabilities) -> String {
    const FEW: usize = 6;
    let names = effective.names();
    if effective == bounding && names.len() > FEW {
        let known = (0..).take_while(|number| Capabilities::name(*number).is_some()).count();
        return match names.len() == known {
            true => format!("all of root's ({} capabilities)", names.len()),
            false => format!("every capability of its bounding set ({})", names.len()),
        };
    }
    match names.len() {
        0..=FEW => format!("capabilities {}", names.join(", ")),
        many => {
            let telling: Vec<String> = [
                Capabilities::SYS_ADMIN,
                Capabilities::SYS_PTRACE,
                Capabilities::NET_ADMIN,
                Capabilities::NET_RAW,
            ]
            .into_iter()
            .filter(|&number| effective.has(number))
            .filter_map(|number| Capabilities::name(number).map(str::to_owned))
            .collect();
            match telling.is_empty() {
                true => format!("{many} capabilities"),
                false => format!("{many} capabilities, {} among them", telling.join(", ")),
            }
        }
    }
}

/// Describes standard input, output and error, if they are informative.
fn streams(facts: &ProcessFacts) -> Option<String> {
    let open = facts.descriptors.as_ref().known()?;
    let words = |stream: &Fact<Option<Descriptor>>| match stream {
        Fact::Known(None) => "closed".to_owned(),
        Fact::Known(Some(descriptor)) => match descriptor {
            Descriptor::Path { path, deleted: false } => text::escape(path).into_owned(),
            Descriptor::Path { path, deleted: true } => format!("{} (deleted)", text::escape(path)),
            Descriptor::Socket(inode) => format!("socket {inode}"),
            Descriptor::Pipe(inode) => format!("pipe {inode}"),
            Descriptor::Memory(name) => format!("memory file {}", text::escape(name)),
            Descriptor::Anonymous(name) | Descriptor::Other(name) => text::escape(name).into_owned(),
        },
        Fact::Unknown(why) => format!("unknown ({})", why.words()),
    };
    let [input, output, error] = open.standard.each_ref().map(words);
    Some(match (input == output, output == error) {
        (true, true) => format!("input, output and error are {input}"),
        (_, true) => format!("input {input}, output and error {output}"),
        _ => format!("input {input}, output {output}, error {error}"),
    })
}

fn sockets(subject: &Subject) -> String {
    let counts: Vec<String> = subject
        .held
        .counts
        .iter()
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    let mut line = match counts.is_empty() {
        true => "none".to_owned(),
        false => counts.join(", "),
    };
    match subject.held.unlisted {
        Fact::Known(0) => {}
        Fact::Known(others) => line.push_str(&format!(", {others} of other kinds")),
        Fact::Unknown(why) => line.push_str(&format!(
            " in sight; whether there are more is unknown: {}",
            why.words()
        )),
    }
    if !subject.sharers.is_empty() {
        const NAMED: usize = 4;
        let names: Vec<String> = subject
            .sharers
            .iter()
            .take(NAMED)
            .map(|sharer| format!("{} [{}]", text::escape(&sharer.name), sharer.pid))
            .collect();
        let more = subject.sharers.len().saturating_sub(NAMED);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        line.push_str(&format!("; shared with {}{more}", names.join(", ")));
    }
    line
}

/// Writes who can reach the ports on which the process listens.
pub(super) fn write_reach(lines: &mut Lines, subject: &Subject, filter: Option<&PacketFilter>) {
    const MOST: usize = 5;
    for (place, reach) in subject.reach.iter().take(MOST).enumerate() {
        let side = match &reach.zone {
            Some(zone) => format!("[{}%{zone}]:{}", reach.address, reach.port),
            None => std::net::SocketAddr::new(reach.address, reach.port).to_string(),
        };
        lines.row(
            if place == 0 { "reach" } else { "" },
            &format!("{} {side} from {}", reach.protocol.name(), reach.words),
        );
        for published in &reach.published {
            lines.row("", &format!("- published by NAT at {published}"));
        }
        for line in reach.windows.iter().flat_map(windows::reach) {
            lines.row("", &format!("- {line}"));
        }
        // If no filter drops anything, the line about filters says so for all ports.
        if filter.is_some_and(filter::active) {
            for line in passage::words(&reach.passages) {
                lines.row("", &format!("- {line}"));
            }
        }
    }
    if subject.reach.len() > MOST {
        lines.row(
            "",
            &format!("and {}", plural((subject.reach.len() - MOST) as u64, "more port")),
        );
    }
    if let Some(filter) = filter
        && subject.reach.iter().any(|reach| !reach.passages.is_empty())
    {
        lines.row("", &filter::words(filter));
    }
    for stands_for in &subject.stands_for {
        let words = match stands_for {
            StandsFor::Container { port, to, name } => {
                let name = name
                    .as_ref()
                    .map_or_else(String::new, |name| format!(" \"{}\"", text::escape_str(name)));
                format!("port {port} is handed on to {to} in a container{name}")
            }
            StandsFor::Unit { port, socket, service } => format!(
                "port {port} belongs to {}: {} is started when somebody comes",
                text::escape_str(socket),
                text::escape_str(service)
            ),
        };
        lines.row("", &words);
    }
}
