//! The state of the screen, and how keyboard and mouse change it. Nothing here queries the system or draws; actions
//! outside the screen are returned as [`Effect`]s.

mod actions;
mod input;
mod popup;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use netstat_model::metrics::ProcessKey;
use netstat_names::Services;
use netstat_os::Signal;
use ratatui::layout::Rect;

use crate::attention::Attention;
use crate::cell::{NameBook, Sheet, Tone};
use crate::companion::{Finding, Target};
use crate::config::Settings;
use crate::handles::Handles;
use crate::history::{History, Scale, Trend};
use crate::model::{Item, Model, PaneRow, RowId};
use crate::pane::{Column, Pane, Source, Tab};
use crate::places::Places;
use crate::sample::SocketRow;
use crate::selection::Selection;
use crate::theme::{Theme, ThemeName};
use crate::view::{self, Arrangement, Group};

pub(crate) use popup::{Popup, Prompt, PromptKind};

/// An action outside the screen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Quit the monitor.
    Quit,
    /// Stop until the shell continues the process.
    Suspend,
    /// Redraw everything.
    Redraw,
    /// Change the refresh interval.
    Interval(Duration),
    /// Request a card.
    Inspect(Target),
    /// Read the open files of a process at each refresh; `None` to stop doing so.
    Handles(Option<ProcessKey>),
    /// Send a signal to a process.
    Signal(ProcessKey, Signal),
    /// Close a connection.
    Close(Box<SocketRow>),
    /// Copy a text to the clipboard.
    Copy(String),
    /// Write a file, which must not exist yet.
    Save(std::path::PathBuf, String),
    /// Look up the names of addresses.
    Names(Vec<netstat_model::Endpoint>),
}

/// What is at a position of the mouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hit {
    /// The tab with this index.
    Tab(usize),
    /// The title of a pane.
    Title(Pane),
    /// The heading of a column.
    Heading(Pane, Column),
    /// The mark of a row.
    Mark(Pane, usize),
    /// A row.
    Row(Pane, usize),
}

/// The state of a pane.
#[derive(Clone, Debug, Default)]
pub(crate) struct PaneState {
    /// The rows of the pane, in display order.
    pub(crate) rows: Vec<PaneRow>,
    /// The groups that its rows refer to.
    pub(crate) groups: Vec<Group>,
    /// The labels of the groups whose members are shown.
    pub(crate) open: BTreeSet<Arc<str>>,
    /// The columns that were drawn last.
    pub(crate) drawn: Vec<Column>,
    /// The width of the widest text drawn so far in each growing column.
    pub(crate) needed: HashMap<Column, u16>,
    /// The index of the first row that is drawn.
    pub(crate) top: usize,
    /// The selected row; the first one unless another was chosen.
    pub(crate) selected: Option<RowId>,
    /// Whether the user chose the selected row. Only then is it followed when it moves.
    pub(crate) chosen: bool,
    /// The current or last known index of the selected row.
    pub(crate) at: usize,
    /// The number of rows that fit; known once the pane has been drawn.
    pub(crate) height: usize,
}

/// A line that is shown until the next key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The text, safe to print.
    pub(crate) text: String,
    /// How significant the message is.
    pub(crate) tone: Tone,
}

/// The state of the screen.
#[derive(Debug)]
pub(crate) struct App {
    /// The settings that can be saved.
    pub(crate) settings: Settings,
    /// The current colours.
    pub(crate) theme: Theme,
    /// The name of the computer, safe to print.
    pub(crate) computer: String,
    /// Whether ending processes and closing connections is disabled.
    pub(crate) read_only: bool,
    /// Whether a recording is being played.
    pub(crate) replay: bool,
    /// The model that is shown; `None` before the first one.
    pub(crate) model: Option<Arc<Model>>,
    /// The newest model while the screen is frozen.
    pub(crate) newest: Option<Arc<Model>>,
    /// Whether the screen is frozen.
    pub(crate) frozen: bool,
    /// The tab that is shown.
    pub(crate) tab: Tab,
    /// The index of the focused pane of each tab.
    pub(crate) focus: HashMap<Tab, usize>,
    /// Whether the focused pane fills the whole screen.
    pub(crate) expanded: bool,
    /// The state of each pane.
    pub(crate) panes: BTreeMap<Pane, PaneState>,
    /// The marks and the filter.
    pub(crate) selection: Selection,
    /// The data of the graphs.
    pub(crate) history: History,
    /// The scales of the graphs.
    pub(crate) scales: HashMap<String, Scale>,
    /// The names of addresses and ports.
    pub(crate) names: NameBook,
    /// The window over the screen, if any.
    pub(crate) popup: Option<Popup>,
    /// The line that is being typed, if any.
    pub(crate) prompt: Option<Prompt>,
    /// The search text.
    pub(crate) find: String,
    /// The message at the bottom until the next key.
    pub(crate) message: Option<Message>,
    /// The last reading of the process whose open files are shown.
    pub(crate) handles: Option<Handles>,
    /// What needs attention, and the log.
    pub(crate) attention: Attention,
    /// The findings of the audit.
    pub(crate) findings: Vec<Finding>,
    /// Whether an audit has been completed.
    pub(crate) examined: bool,
    /// Why there are no findings, if the audit failed.
    pub(crate) no_findings: Option<String>,
    /// What was drawn where.
    pub(crate) hits: Vec<(Rect, Hit)>,
    /// The addresses whose names have been requested.
    asked: std::collections::HashSet<IpAddr>,
}

impl App {
    /// Creates a screen without data. `no_color` says that the environment disables colours.
    pub(crate) fn new(settings: Settings, computer: &[u8], no_color: bool, services: Services) -> Self {
        let name = match no_color {
            true => ThemeName::Monochrome,
            false => settings.theme.unwrap_or_default(),
        };
        App {
            theme: name.theme(),
            computer: netstat_model::text::escape(computer).into_owned(),
            read_only: false,
            replay: false,
            model: None,
            newest: None,
            frozen: false,
            tab: settings.tab,
            focus: HashMap::new(),
            expanded: false,
            panes: Pane::ALL.into_iter().map(|pane| (pane, PaneState::default())).collect(),
            selection: Selection::default(),
            history: History::default(),
            scales: HashMap::new(),
            names: NameBook {
                hosts: HashMap::new(),
                services,
                places: Places::default(),
                shown: settings.names,
            },
            popup: None,
            prompt: None,
            find: String::new(),
            message: None,
            handles: None,
            attention: Attention::default(),
            findings: Vec::new(),
            examined: false,
            no_findings: None,
            hits: Vec::new(),
            asked: std::collections::HashSet::new(),
            settings,
        }
    }

    /// Receives a new model. Graphs and log continue while the screen is frozen.
    pub(crate) fn take(&mut self, model: Arc<Model>) {
        self.attention.model(&model);
        if self.frozen {
            self.selection.update(&model);
            self.history.push(&model, &self.selection);
            self.newest = Some(model);
            return;
        }
        self.model = Some(Arc::clone(&model));
        self.refresh();
        self.history.push(&model, &self.selection);
    }

    /// Updates the screen after a change of marks or filter.
    pub(crate) fn selection_changed(&mut self) {
        self.refresh();
        self.history.forget_selection();
        if let Some(model) = &self.model {
            self.history.select(model, &self.selection);
        }
    }

    /// Returns the focused pane.
    pub(crate) fn focused(&self) -> Pane {
        let panes = self.tab.panes();
        let at = self.focus.get(&self.tab).copied().unwrap_or(0);
        panes[at.min(panes.len() - 1)]
    }

    /// Returns the panes that are drawn.
    pub(crate) fn visible(&self) -> Vec<Pane> {
        match self.expanded {
            true => vec![self.focused()],
            false => self.tab.panes().to_vec(),
        }
    }

    /// Rebuilds the rows of the tab.
    pub(crate) fn refresh(&mut self) {
        let Some(model) = self.model.clone() else { return };
        self.selection.update(&model);
        let first = self.tab.panes()[0];
        for pane in self.tab.panes() {
            let settings = &self.settings.panes[pane];
            let state = self.panes.entry(*pane).or_default();
            let table = view::table(
                &model,
                &self.selection,
                &Arrangement {
                    pane: *pane,
                    sort: settings.sort,
                    tree: self.settings.tree,
                    first: *pane == first,
                    grouping: self.settings.grouping,
                    short: self.settings.short,
                    places: &self.names.places,
                    open: &state.open,
                },
            );
            (state.rows, state.groups) = (table.rows, table.groups);
            state.follow(&model);
        }
    }

    /// Returns the selected row of the focused pane.
    pub(crate) fn selected(&self) -> Option<PaneRow> {
        let state = &self.panes[&self.focused()];
        state.selected.as_ref()?;
        state.rows.get(state.at).copied()
    }

    /// Returns the data from which the cells of a pane are made.
    pub(crate) fn sheet<'a>(&'a self, model: &'a Model, pane: Pane) -> Sheet<'a> {
        Sheet {
            model,
            names: &self.names,
            groups: &self.panes[&pane].groups,
            history: &self.history,
            trend: match pane.spec().source {
                Source::DiskUsers => Trend::Disk,
                Source::NetworkUsers => Trend::Network,
                _ => Trend::Cpu,
            },
            ascii: self.settings.ascii,
        }
    }

    /// Returns the process of the selected row, with its name.
    pub(crate) fn selected_process(&self) -> Option<(ProcessKey, Arc<str>)> {
        let model = self.model.as_ref()?;
        let key = self.selected()?.item.process(model)?;
        Some((key, Arc::clone(&model.process(key)?.text.name)))
    }

    /// Returns the socket of the selected row.
    pub(crate) fn selected_socket(&self) -> Option<SocketRow> {
        match self.selected()?.item {
            Item::Socket(at) => Some(self.model.as_ref()?.sockets.row(at as usize).clone()),
            _ => None,
        }
    }

    /// Returns the most severe finding about a row.
    pub(crate) fn finding(&self, item: Item) -> Option<&Finding> {
        if self.findings.is_empty() {
            return None;
        }
        let model = self.model.as_ref()?;
        let process = item.process(model);
        let socket = match item {
            Item::Socket(at) => Some(model.sockets.row(at as usize))
                .filter(|row| row.cookie)
                .map(|row| row.id),
            _ => None,
        };
        let about = |finding: &&Finding| {
            (process.is_some() && finding.process == process) || (socket.is_some() && finding.socket == socket)
        };
        self.findings
            .iter()
            .filter(about)
            .max_by_key(|finding| finding.severity)
    }

    /// Shows a message at the bottom.
    pub(crate) fn say(&mut self, text: impl AsRef<str>, tone: Tone) {
        let text = netstat_model::text::escape_str(text.as_ref()).into_owned();
        self.message = Some(Message { text, tone });
    }

    /// Requests the names of the foreign addresses in the drawn rows that have not been requested yet.
    pub(crate) fn names_wanted(&mut self) -> Option<Effect> {
        if !self.names.shown {
            return None;
        }
        let model = self.model.as_ref()?;
        let mut wanted = Vec::new();
        for pane in self.visible() {
            if !pane.spec().source.is_sockets() {
                continue;
            }
            let state = &self.panes[&pane];
            for row in state.rows.iter().skip(state.top).take(state.height) {
                if let Item::Socket(at) = row.item {
                    let end = model.sockets.row(at as usize).foreign;
                    if netstat_names::askable(end.address) && self.asked.insert(end.address.to_canonical()) {
                        wanted.push(end);
                    }
                }
            }
        }
        (!wanted.is_empty()).then_some(Effect::Names(wanted))
    }

    /// Receives names for requested addresses.
    pub(crate) fn take_names(&mut self, found: Vec<(IpAddr, Option<Arc<str>>)>) {
        for (address, name) in found {
            if let Some(name) = name {
                self.names.hosts.insert(address, name);
            }
        }
    }

    /// Receives the open files of a process.
    pub(crate) fn take_handles(&mut self, handles: Handles) {
        if let Some(Popup::Handles { process, lines, .. }) = &mut self.popup
            && *process == handles.process
        {
            *lines = handles.lines(self.handles.as_ref().filter(|before| before.process == handles.process));
            self.handles = Some(handles);
        }
    }

    /// Receives the findings of the audit.
    pub(crate) fn take_findings(&mut self, found: Result<Vec<Finding>, String>) {
        self.examined = true;
        match found {
            Ok(mut findings) => {
                findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.process));
                let model = self.model.clone();
                self.attention
                    .findings(&findings, &|key| process_name(model.as_deref(), key));
                self.findings = findings;
                self.no_findings = None;
            }
            Err(why) => self.no_findings = Some(why),
        }
    }
}

/// Returns the name of a process with its id; just the id if the name is unknown.
pub(crate) fn process_name(model: Option<&Model>, key: ProcessKey) -> String {
    match model.and_then(|model| model.process(key)) {
        Some(row) => format!("{} (PID {})", row.text.name, key.pid),
        None => format!("process {}", key.pid),
    }
}

impl PaneState {
    /// Returns the identity of the row at `index`.
    pub(crate) fn id(&self, index: usize, model: &Model) -> Option<RowId> {
        match self.rows.get(index)?.item {
            Item::Group(at) => Some(RowId::Group(Arc::clone(&self.groups[at as usize].label))),
            item => item.id(model),
        }
    }

    /// Finds the selected row among new rows. If it is gone, the row that takes its position is selected.
    fn follow(&mut self, model: &Model) {
        let last = self.rows.len().saturating_sub(1);
        if !self.chosen {
            self.at = 0;
        } else {
            let wanted = self.selected.as_ref();
            match (0..self.rows.len()).find(|at| self.id(*at, model).as_ref() == wanted) {
                Some(at) => {
                    self.at = at;
                    self.keep_visible();
                }
                None => self.at = self.at.min(last),
            }
        }
        self.selected = self.id(self.at, model);
        self.top = self.top.min(self.rows.len().saturating_sub(self.height.max(1)));
    }

    /// Scrolls as little as needed to show the selected row.
    pub(crate) fn keep_visible(&mut self) {
        if self.height == 0 {
            return;
        }
        if self.at < self.top {
            self.top = self.at;
        } else if self.at >= self.top + self.height {
            self.top = self.at + 1 - self.height;
        }
    }
}
