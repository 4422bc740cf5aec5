//! `--tree`: sockets below the processes that hold them, and processes below their parents.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use netstat_model::columns::{Books, SocketRow, Sockets, find};
use netstat_model::text::escape;
use netstat_model::{Fact, Owner, Owners, Process, Socket};
use netstat_os::{ProcessAsk, System};

use crate::output::classic::connections::push_component;
use crate::output::rows::paint::Look;
use crate::output::rows::sockets::look;

/// The maximum number of ancestors of a process to follow; no reasonable process has more.
const MOST_PARENTS: usize = 64;

/// The columns of a socket, and the minimum width of each.
const COLUMNS: [(&str, usize); 4] = [("protocol", 5), ("local", 22), ("foreign", 22), ("state", 0)];

/// A process of the tree.
#[derive(Debug, Default)]
struct Node {
    /// Its description, escaped.
    title: String,
    parent: u32,
    children: BTreeSet<u32>,
    /// The indexes of its sockets in the list.
    sockets: Vec<usize>,
}

/// The processes that hold sockets, with their ancestors.
#[derive(Debug, Default)]
pub(super) struct ProcessTree {
    nodes: BTreeMap<u32, Node>,
    /// The indexes of sockets that no known process holds.
    rest: Vec<usize>,
}

impl ProcessTree {
    /// Builds the tree of the holders of `sockets`; the parents are read from `system`.
    pub(super) fn of(sockets: &[Socket], owners: &Owners, system: &mut dyn System) -> ProcessTree {
        let mut tree = ProcessTree::default();
        for (at, socket) in sockets.iter().enumerate() {
            match owners.of(socket) {
                Owner::Held(holders) => {
                    let process = holders.first();
                    let node = tree.nodes.entry(process.pid).or_insert_with(|| Node {
                        title: title(process),
                        ..Node::default()
                    });
                    node.sockets.push(at);
                }
                Owner::None(_) => tree.rest.push(at),
            }
        }
        for pid in tree.nodes.keys().copied().collect::<Vec<u32>>() {
            tree.add_parents(pid, system);
        }
        let links: Vec<(u32, u32)> = tree.nodes.iter().map(|(pid, node)| (node.parent, *pid)).collect();
        for (parent, child) in links {
            if let Some(node) = tree.nodes.get_mut(&parent) {
                node.children.insert(child);
            }
        }
        tree
    }

    fn add_parents(&mut self, pid: u32, system: &mut dyn System) {
        let mut pid = pid;
        for _ in 0..MOST_PARENTS {
            if self.nodes.get(&pid).is_none_or(|node| node.parent != 0) {
                return;
            }
            let Ok(facts) = system.process(pid, &ProcessAsk::default()) else {
                return;
            };
            if let Some(node) = self.nodes.get_mut(&pid) {
                node.parent = facts.parent;
            }
            let parent = facts.parent;
            if parent == 0 || parent == pid || self.nodes.contains_key(&parent) {
                return;
            }
            let Ok(facts) = system.process(parent, &ProcessAsk::default()) else {
                return;
            };
            let title = format!("{} {parent}", escape(&facts.comm));
            self.nodes.insert(
                parent,
                Node {
                    title,
                    ..Node::default()
                },
            );
            pid = parent;
        }
    }

    /// Writes a line for each process, followed by a line for each of its sockets.
    ///
    /// # Errors
    /// Returns an error of `out`.
    pub(super) fn write(
        &self,
        out: &mut dyn Write,
        sockets: &[Socket],
        books: &dyn Books,
        color: bool,
    ) -> io::Result<()> {
        let page = Page { sockets, books, color };
        let mut text = Vec::new();
        let roots = self
            .nodes
            .iter()
            .filter(|(_, node)| !self.nodes.contains_key(&node.parent));
        for (pid, _) in roots {
            self.node(&mut text, *pid, "", "", &page, 0);
        }
        if !self.rest.is_empty() {
            page.title(&mut text, "", "no known process");
            for (number, at) in self.rest.iter().enumerate() {
                page.socket(
                    &mut text,
                    if number + 1 == self.rest.len() {
                        "└─ "
                    } else {
                        "├─ "
                    },
                    *at,
                );
            }
        }
        out.write_all(&text)
    }

    fn node(&self, text: &mut Vec<u8>, pid: u32, branch: &str, below: &str, page: &Page<'_>, depth: usize) {
        let Some(node) = self.nodes.get(&pid).filter(|_| depth <= MOST_PARENTS) else {
            return;
        };
        page.title(text, branch, &node.title);
        let last = node.sockets.len() + node.children.len();
        let mut number = 0;
        for at in &node.sockets {
            number += 1;
            page.socket(
                text,
                &format!("{below}{}", if number == last { "└─ " } else { "├─ " }),
                *at,
            );
        }
        for child in &node.children {
            number += 1;
            let (branch, inner) = if number == last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            self.node(
                text,
                *child,
                &format!("{below}{branch}"),
                &format!("{below}{inner}"),
                page,
                depth + 1,
            );
        }
    }
}

struct Page<'a> {
    sockets: &'a [Socket],
    books: &'a dyn Books,
    color: bool,
}

impl Page<'_> {
    fn paint(&self, look: Look) -> Look {
        if self.color { look } else { Look::Plain }
    }

    fn title(&self, text: &mut Vec<u8>, branch: &str, title: &str) {
        text.extend_from_slice(branch.as_bytes());
        self.paint(Look::Heading)
            .paint(text, |text| text.extend_from_slice(title.as_bytes()));
        text.push(b'\n');
    }

    fn socket(&self, text: &mut Vec<u8>, branch: &str, at: usize) {
        let row = SocketRow::new(&self.sockets[at], None, self.books);
        text.extend_from_slice(branch.as_bytes());
        let mut cell = Vec::new();
        for (number, (name, width)) in COLUMNS.into_iter().enumerate() {
            let Some(column) = find::<Sockets>(name) else { continue };
            cell.clear();
            let value = (column.get)(&row);
            if name == "state" && value.missing().is_some() {
                continue;
            }
            value.push_cell(&mut cell);
            if number > 0 {
                text.push(b' ');
            }
            let shown = String::from_utf8_lossy(&cell).into_owned();
            self.paint(look(&row, column))
                .paint(text, |text| text.extend_from_slice(shown.as_bytes()));
            text.resize(text.len() + width.saturating_sub(shown.chars().count()), b' ');
        }
        while text.last() == Some(&b' ') {
            text.pop();
        }
        text.push(b'\n');
    }
}

/// Formats the description of a process, escaped: `python3.11 (srv.py) 24015  app.service`.
fn title(process: &Process) -> String {
    let mut text = Vec::new();
    match (&process.image, &process.comm) {
        (Fact::Known(image), _) => text.extend_from_slice(escape(image.file_name()).as_bytes()),
        (_, Fact::Known(comm)) => text.extend_from_slice(escape(comm).as_bytes()),
        _ => text.push(b'?'),
    }
    if let Some(label) = process.label() {
        text.extend_from_slice(format!(" ({})", escape(label)).as_bytes());
    }
    text.extend_from_slice(format!(" {}", process.pid).as_bytes());
    if let Fact::Known(image) = &process.image
        && image.deleted
    {
        text.extend_from_slice(b" (deleted)");
    }
    if let Fact::Known(components) = &process.components
        && let Some(innermost) = components.last()
    {
        text.extend_from_slice(b"  ");
        push_component(&mut text, innermost);
    }
    String::from_utf8_lossy(&text).into_owned()
}
