//! The actions of the keys.

use std::sync::Arc;

use netstat_model::{Protocol, State};

use super::{App, Effect, Popup, PromptKind, process_name};
use crate::cell::{Tone, cell};
use crate::companion::{Finding, Severity, Target};
use crate::config::INTERVALS;
use crate::keys::Action;
use crate::model::{Item, Presence};
use crate::pane::{Grouping, ShortConnections, Sort, Tab, Tree};

/// The selectable refresh intervals, in seconds.
const STEPS: [f64; 8] = [0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// Formats the number of findings of each severity: `1 critical, 7 high`.
pub(crate) fn severities(findings: &[Finding]) -> String {
    let counts = Severity::ALL.into_iter().filter_map(|severity| {
        let count = findings.iter().filter(|finding| finding.severity == severity).count();
        (count > 0).then(|| format!("{count} {}", severity.name()))
    });
    counts.collect::<Vec<_>>().join(", ")
}

impl App {
    pub(super) fn act(&mut self, action: Action) -> Vec<Effect> {
        match action {
            Action::Faster => return self.step_interval(false),
            Action::Slower => return self.step_interval(true),
            Action::Inspect => return self.inspect(),
            Action::Handles => return self.ask_handles(),
            Action::Copy => return self.copy(),
            Action::Redraw => return vec![Effect::Redraw],
            Action::Suspend => return vec![Effect::Suspend],
            Action::Quit => return vec![Effect::Quit],
            Action::Audit => self.audit(),
            Action::Log => {
                self.attention.acknowledge();
                self.popup = Some(Popup::Log { top: 0 });
            }
            Action::Kill => self.ask_signal(),
            Action::Close => self.ask_close(),
            Action::Help => self.popup = Some(Popup::Help { top: 0 }),
            Action::Save => {
                let name = format!("netstat-{}.json", self.focused().spec().key.replace('.', "-"));
                self.ask(PromptKind::Save, name);
            }
            Action::Filter => {
                let text = self.selection.filter.as_ref().map(|(text, _)| text.clone());
                self.ask(PromptKind::Filter, text.unwrap_or_default());
            }
            Action::Find => self.ask(PromptKind::Find, String::new()),
            Action::Mark
            | Action::Clear
            | Action::SortLeft
            | Action::SortRight
            | Action::Reverse
            | Action::Columns
            | Action::Tree
            | Action::Grouping
            | Action::Short
            | Action::Expand
            | Action::Fold => self.arrange(action),
            Action::Freeze | Action::Names | Action::Span | Action::Theme => self.adjust(action),
            _ => self.navigate(action),
        }
        Vec::new()
    }

    /// Moves between tabs, panes and rows.
    fn navigate(&mut self, action: Action) {
        match action {
            Action::Tab(at) => self.show(Tab::ALL[at]),
            Action::NextTab => self.step_tab(1),
            Action::PreviousTab => self.step_tab(Tab::ALL.len() - 1),
            Action::NextPane => self.step_pane(1),
            Action::PreviousPane => self.step_pane(self.tab.panes().len() - 1),
            Action::Move(rows) => self.move_by(rows as isize),
            Action::Page(pages) => {
                let height = self.panes[&self.focused()].height.max(2) as isize - 1;
                self.move_by(pages as isize * height);
            }
            Action::First => self.select(0),
            Action::Last => self.select(usize::MAX),
            Action::FindNext => self.find_next(1),
            Action::Escape if self.expanded => self.expanded = false,
            Action::Escape => {
                // The first row is selected again, whichever it is.
                let pane = self.focused();
                if let Some(state) = self.panes.get_mut(&pane) {
                    (state.chosen, state.top) = (false, 0);
                }
                self.refresh();
            }
            _ => {}
        }
    }

    /// Changes which rows and columns are shown, and in which order.
    fn arrange(&mut self, action: Action) {
        let pane = self.focused();
        match action {
            Action::Mark => self.mark(),
            Action::Clear => {
                self.selection.marks.clear();
                self.selection.filter = None;
                self.selection_changed();
            }
            Action::SortLeft => self.step_sort(false),
            Action::SortRight => self.step_sort(true),
            Action::Reverse => {
                if let Some(settings) = self.settings.panes.get_mut(&pane) {
                    settings.sort.falling = !settings.sort.falling;
                }
                self.refresh();
            }
            Action::Columns => self.ask_columns(),
            Action::Tree => {
                self.settings.tree = self.settings.tree.next();
                let text = match self.settings.tree {
                    Tree::Flat => "processes in a flat list",
                    Tree::Parent => "processes below their parent",
                    Tree::Unit => "processes below their unit",
                };
                self.say(text, Tone::Plain);
                self.refresh();
            }
            Action::Grouping => {
                let mut next = self.settings.grouping.next();
                while next.needs_databases() && self.names.places.is_empty() {
                    next = next.next();
                }
                self.settings.grouping = next;
                let text = match self.settings.grouping {
                    Grouping::None => "sockets are not grouped".to_owned(),
                    grouping => format!("sockets grouped by {}", grouping.name()),
                };
                self.say(text, Tone::Plain);
                self.refresh();
            }
            Action::Short => {
                self.settings.short = self.settings.short.next();
                let text = match self.settings.short {
                    ShortConnections::Folded => "short connections: one row per program and peer",
                    ShortConnections::Listed => "short connections: one row each",
                    ShortConnections::Hidden => "short connections: hidden",
                };
                self.say(text, Tone::Plain);
                self.refresh();
            }
            Action::Expand => {
                self.expanded = !self.expanded;
                self.unfold();
            }
            Action::Fold => {
                if let Some(settings) = self.settings.panes.get_mut(&pane) {
                    settings.folded = !settings.folded && !self.expanded;
                }
            }
            _ => {}
        }
    }

    /// Changes the appearance of the whole screen.
    fn adjust(&mut self, action: Action) {
        match action {
            Action::Freeze => {
                self.frozen = !self.frozen;
                if !self.frozen
                    && let Some(newest) = self.newest.take()
                {
                    self.model = Some(newest);
                    self.refresh();
                }
            }
            Action::Names => {
                self.names.shown = !self.names.shown;
                self.settings.names = self.names.shown;
                self.say(if self.names.shown { "names" } else { "numbers" }, Tone::Plain);
            }
            Action::Span => self.settings.span = self.settings.span.other(),
            Action::Theme => {
                let theme = self.settings.theme.unwrap_or_default().next();
                self.settings.theme = Some(theme);
                self.theme = theme.theme();
                self.say(format!("theme {}", theme.name()), Tone::Plain);
            }
            _ => {}
        }
    }

    /// Opens the column chooser, which starts with the columns on the screen.
    fn ask_columns(&mut self) {
        let pane = self.focused();
        let drawn = &self.panes[&pane].drawn;
        let shown = if drawn.is_empty() {
            &self.settings.panes[&pane].columns
        } else {
            drawn
        };
        let rest = pane.spec().columns.iter().filter(|column| !shown.contains(column));
        let columns = shown
            .iter()
            .map(|column| (*column, true))
            .chain(rest.map(|column| (*column, false)));
        self.popup = Some(Popup::Columns {
            pane,
            columns: columns.collect(),
            at: 0,
        });
    }

    pub(super) fn show(&mut self, tab: Tab) {
        self.tab = tab;
        self.settings.tab = tab;
        self.refresh();
    }

    pub(super) fn step_tab(&mut self, by: usize) {
        let at = Tab::ALL.iter().position(|tab| *tab == self.tab).unwrap_or(0);
        self.show(Tab::ALL[(at + by) % Tab::ALL.len()]);
    }

    fn step_pane(&mut self, by: usize) {
        let panes = self.tab.panes();
        let at = self.focus.entry(self.tab).or_default();
        *at = (*at + by) % panes.len();
    }

    pub(super) fn focus_on(&mut self, pane: crate::pane::Pane) {
        if let Some(at) = self.tab.panes().iter().position(|known| *known == pane) {
            self.focus.insert(self.tab, at);
        }
    }

    fn unfold(&mut self) {
        let pane = self.focused();
        if let Some(settings) = self.settings.panes.get_mut(&pane) {
            settings.folded = false;
        }
    }

    fn move_by(&mut self, rows: isize) {
        let state = &self.panes[&self.focused()];
        let at = state.at.saturating_add_signed(rows);
        self.select(at);
    }

    pub(super) fn select(&mut self, at: usize) {
        let Some(model) = self.model.clone() else { return };
        self.unfold();
        let pane = self.focused();
        let Some(state) = self.panes.get_mut(&pane) else { return };
        let Some(last) = state.rows.len().checked_sub(1) else {
            return;
        };
        state.at = at.min(last);
        state.selected = state.id(state.at, &model);
        state.chosen = true;
        state.keep_visible();
    }

    pub(super) fn mark(&mut self) {
        let Some((key, name)) = self.selected_process() else {
            return self.say("select a row with a process first", Tone::Warn);
        };
        if self.selection.marks.remove(&key).is_none() {
            self.selection.marks.insert(key, name);
        }
        self.selection_changed();
    }

    fn step_sort(&mut self, right: bool) {
        let pane = self.focused();
        let Some(settings) = self.settings.panes.get_mut(&pane) else {
            return;
        };
        let columns = &settings.columns;
        let at = columns.iter().position(|column| *column == settings.sort.column);
        let next = match (at, right) {
            (Some(at), true) => (at + 1) % columns.len(),
            (Some(at), false) => (at + columns.len() - 1) % columns.len(),
            (None, _) => 0,
        };
        let column = columns[next];
        settings.sort = Sort {
            column,
            falling: column.falls(),
        };
        self.refresh();
    }

    fn step_interval(&mut self, slower: bool) -> Vec<Effect> {
        let now = self.settings.interval.as_secs_f64();
        let next = match slower {
            true => STEPS.into_iter().find(|step| *step > now + 0.01),
            false => STEPS.into_iter().rev().find(|step| *step < now - 0.01),
        };
        let next = next.unwrap_or(if slower { INTERVALS.1 } else { INTERVALS.0 });
        self.settings.interval = std::time::Duration::from_secs_f64(next);
        vec![Effect::Interval(self.settings.interval)]
    }

    pub(super) fn inspect(&mut self) -> Vec<Effect> {
        let Some(model) = &self.model else { return Vec::new() };
        let target = match self.selected().map(|row| row.item) {
            Some(Item::Process(at)) => Target::Process(model.processes[at as usize].key),
            Some(Item::Socket(at)) => Target::Socket(Box::new(model.sockets.row(at as usize).clone())),
            Some(Item::Brief(at)) => {
                let row = &model.sockets.brief[at as usize].row;
                match row.process().filter(|key| model.process(*key).is_some()) {
                    Some(key) => Target::Process(key),
                    None => {
                        self.say("no details: the connections and their process have ended", Tone::Warn);
                        return Vec::new();
                    }
                }
            }
            Some(Item::Group(at)) => {
                self.toggle_group(at as usize);
                return Vec::new();
            }
            Some(Item::Unit(_) | Item::Disk(_)) => {
                self.say("no details for this row", Tone::Warn);
                return Vec::new();
            }
            None => {
                self.say("no row is selected", Tone::Warn);
                return Vec::new();
            }
        };
        self.popup = Some(Popup::Text {
            title: "loading ...".to_owned(),
            lines: Vec::new(),
            top: 0,
        });
        vec![Effect::Inspect(target)]
    }

    /// Expands or collapses a group.
    fn toggle_group(&mut self, at: usize) {
        let pane = self.focused();
        if let Some(state) = self.panes.get_mut(&pane)
            && let Some(group) = state.groups.get(at)
        {
            let label = Arc::clone(&group.label);
            if !state.open.remove(&label) {
                state.open.insert(label);
            }
            state.chosen = true;
        }
        self.refresh();
    }

    /// Receives a card that was requested.
    pub(crate) fn take_card(&mut self, card: Result<(String, Vec<String>), String>) {
        // It was closed in the meantime, so the card is not needed.
        if !matches!(self.popup, Some(Popup::Text { .. })) {
            return;
        }
        match card {
            Ok((title, lines)) => {
                let escape = |line: &str| netstat_model::text::escape_str(line).into_owned();
                self.popup = Some(Popup::Text {
                    title: escape(&title),
                    lines: lines.iter().map(|line| (escape(line), Tone::Plain)).collect(),
                    top: 0,
                });
            }
            Err(why) => {
                self.popup = None;
                self.say(why, Tone::Bad);
            }
        }
    }

    /// Opens the window with the open files of the selected process.
    fn ask_handles(&mut self) -> Vec<Effect> {
        if self.replay {
            self.say("a recording does not hold open files", Tone::Warn);
            return Vec::new();
        }
        let Some((process, name)) = self.selected_process() else {
            self.say("select a row with a process first", Tone::Warn);
            return Vec::new();
        };
        self.handles = None;
        self.popup = Some(Popup::Handles {
            process,
            title: format!("Open files and modules of {name} (PID {})", process.pid),
            lines: vec![("loading ...".to_owned(), Tone::Dim)],
            top: 0,
        });
        vec![Effect::Handles(Some(process))]
    }

    /// Lists the findings, the most severe first, and highlights those about the selected row.
    fn audit(&mut self) {
        if let Some(why) = &self.no_findings {
            let why = format!("no audit: {why}");
            return self.say(why, Tone::Warn);
        }
        if !self.examined {
            return self.say("the audit has not finished yet", Tone::Plain);
        }
        if self.findings.is_empty() {
            return self.say("the audit found nothing", Tone::Plain);
        }
        let model = self.model.clone();
        let row = self.selected().zip(model.as_ref());
        let process = row.and_then(|(row, model)| row.item.process(model));
        let escape = netstat_model::text::escape_str;
        let mut lines = Vec::new();
        for finding in &self.findings {
            let tone = match finding.severity {
                Severity::Critical | Severity::High => Tone::Bad,
                Severity::Medium => Tone::Warn,
                Severity::Low => Tone::Plain,
            };
            let who = finding
                .process
                .map_or_else(String::new, |key| format!("{}: ", process_name(model.as_deref(), key)));
            let here = if process.is_some() && process == finding.process {
                "> "
            } else {
                ""
            };
            let severity = finding.severity.name().to_ascii_uppercase();
            lines.push((format!("{here}{severity}  {who}{}", escape(&finding.title)), tone));
            let details = finding
                .text
                .iter()
                .map(|line| (format!("    {}", escape(line)), Tone::Plain));
            lines.extend(details);
        }
        self.popup = Some(Popup::Text {
            title: format!("Audit: {}", severities(&self.findings)),
            lines,
            top: 0,
        });
    }

    fn ask_signal(&mut self) {
        if self.replay {
            return self.say("this is a recording: its processes cannot be ended", Tone::Warn);
        }
        let Some((process, name)) = self.selected_process() else {
            return self.say("select a row with a process first", Tone::Warn);
        };
        let gone = |row: &crate::model::ProcessRow| row.presence == Presence::Gone;
        let row = self.model.as_ref().and_then(|model| model.process(process));
        if row.is_none_or(gone) {
            return self.say(
                format!("{name} (process {}) has ended already", process.pid),
                Tone::Warn,
            );
        }
        self.popup = Some(Popup::Signals { process, name, at: 0 });
    }

    fn ask_close(&mut self) {
        if self.replay {
            return self.say("this is a recording: its connections cannot be closed", Tone::Warn);
        }
        let Some(row) = self.selected_socket() else {
            return self.say("select a TCP connection first", Tone::Warn);
        };
        if row.protocol != Protocol::Tcp || matches!(row.state, State::Listening | State::Bound) {
            return self.say("only TCP connections can be closed", Tone::Warn);
        }
        if !row.cookie {
            return self.say(
                "the kernel does not say which connection this is, so it is left alone",
                Tone::Warn,
            );
        }
        let item = self.selected().map(|row| row.item);
        if let (Some(item), Some(model)) = (item, &self.model)
            && item.presence(model) == Presence::Gone
        {
            return self.say("this connection has ended already", Tone::Warn);
        }
        let end = |end| format!("{}:{}", crate::cell::address(end), end.port);
        let name = match self.selected_process() {
            Some((key, name)) => format!("{name} ({})", key.pid),
            None => "no known process".to_owned(),
        };
        self.popup = Some(Popup::Confirm {
            lines: vec![
                "Close this TCP connection?".to_owned(),
                String::new(),
                format!("{} to {}", end(&row.local), end(&row.foreign)),
                format!("held by {name}"),
                String::new(),
                "Both sides see it break off: the peer gets a reset,".to_owned(),
                "the program an error. Unsent data is lost.".to_owned(),
            ],
            effect: Box::new(Effect::Close(Box::new(row))),
        });
    }

    fn copy(&mut self) -> Vec<Effect> {
        let (Some(row), Some(model)) = (self.selected(), self.model.clone()) else {
            self.say("no row is selected", Tone::Warn);
            return Vec::new();
        };
        let pane = self.focused();
        let columns = &self.settings.panes[&pane].columns;
        let sheet = self.sheet(&model, pane);
        let texts: Vec<String> = columns.iter().map(|column| cell(&sheet, &row, *column).text).collect();
        self.say("copied, if the terminal allows it (OSC 52)", Tone::Plain);
        vec![Effect::Copy(texts.join("\t"))]
    }
}
