//! The state of the screen, and what keys and mouse do to it. Nothing here asks the system or draws; what is to happen outside is given
//! back as an [`Effect`].

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

/// What is to happen outside the screen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// End.
    Quit,
    /// Stop until the shell lets it go on.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Look so often.
    Interval(Duration),
    /// Ask for a card.
    Inspect(Target),
    /// Read what a process has open with each refresh, or no longer.
    Handles(Option<ProcessKey>),
    /// Send a signal to a process.
    Signal(ProcessKey, Signal),
    /// Close a connection.
    Close(Box<SocketRow>),
    /// Put a text on the clipboard.
    Copy(String),
    /// Write a file that must not be there yet.
    Save(std::path::PathBuf, String),
    /// Look up the names of addresses.
    Names(Vec<netstat_model::Endpoint>),
}

/// What is under the mouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hit {
    /// The tab of this number.
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

/// A pane with its settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct PaneState {
    /// Its rows.
    pub(crate) rows: Vec<PaneRow>,
    /// The groups that its rows refer to.
    pub(crate) groups: Vec<Group>,
    /// The labels of the groups whose members are shown.
    pub(crate) open: BTreeSet<Arc<str>>,
    /// The columns that were drawn last.
    pub(crate) drawn: Vec<Column>,
    /// The widest text drawn so far in each column that can grow.
    pub(crate) needed: HashMap<Column, u16>,
    /// The first row that is drawn.
    pub(crate) top: usize,
    /// The selected row; the first one until another is chosen.
    pub(crate) selected: Option<RowId>,
    /// Whether the user chose the selected row: only then it is followed wherever it moves.
    pub(crate) chosen: bool,
    /// Where the selected row stands, or stood last.
    pub(crate) at: usize,
    /// How many rows fit; known after it was drawn.
    pub(crate) height: usize,
}

/// A line that is shown for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Safe for the terminal.
    pub(crate) text: String,
    /// How much it matters.
    pub(crate) tone: Tone,
}

/// The state of the screen.
#[derive(Debug)]
pub(crate) struct App {
    /// What can be saved.
    pub(crate) settings: Settings,
    /// The colours that hold.
    pub(crate) theme: Theme,
    /// The name of the computer, safe for the terminal.
    pub(crate) computer: String,
    /// Whether nothing may be changed.
    pub(crate) read_only: bool,
    /// Whether a recording is played.
    pub(crate) replay: bool,
    /// What is shown.
    pub(crate) model: Option<Arc<Model>>,
    /// The newest one, while the screen is frozen.
    pub(crate) newest: Option<Arc<Model>>,
    /// Whether the screen is frozen.
    pub(crate) frozen: bool,
    /// The tab that is shown.
    pub(crate) tab: Tab,
    /// The pane of each tab that has the keys.
    pub(crate) focus: HashMap<Tab, usize>,
    /// Whether that pane has the whole screen.
    pub(crate) expanded: bool,
    /// The panes.
    pub(crate) panes: BTreeMap<Pane, PaneState>,
    /// Marks and filter.
    pub(crate) selection: Selection,
    /// What graphs show.
    pub(crate) history: History,
    /// Tops of scales, by graph.
    pub(crate) scales: HashMap<String, Scale>,
    /// Names.
    pub(crate) names: NameBook,
    /// What lies over the screen.
    pub(crate) popup: Option<Popup>,
    /// What is being typed.
    pub(crate) prompt: Option<Prompt>,
    /// The text to find.
    pub(crate) find: String,
    /// The message at the bottom until the next key.
    pub(crate) message: Option<Message>,
    /// What the process had open whose window is shown.
    pub(crate) handles: Option<Handles>,
    /// What matters now, and the log.
    pub(crate) attention: Attention,
    /// What the audit found.
    pub(crate) findings: Vec<Finding>,
    /// Whether the audit has looked.
    pub(crate) examined: bool,
    /// Why there are no findings, if they were asked for in vain.
    pub(crate) no_findings: Option<String>,
    /// What is where, as drawn last.
    pub(crate) hits: Vec<(Rect, Hit)>,
    /// Addresses whose names were asked for.
    asked: std::collections::HashSet<IpAddr>,
}

impl App {
    /// A screen that has seen nothing yet. `no_color`: the environment forbids colours.
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

    /// Takes in a new model. Graphs and log go on while the screen is frozen.
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

    /// Marks or filter changed.
    pub(crate) fn selection_changed(&mut self) {
        self.refresh();
        self.history.forget_selection();
        if let Some(model) = &self.model {
            self.history.select(model, &self.selection);
        }
    }

    /// The pane that has the keys.
    pub(crate) fn focused(&self) -> Pane {
        let panes = self.tab.panes();
        let at = self.focus.get(&self.tab).copied().unwrap_or(0);
        panes[at.min(panes.len() - 1)]
    }

    /// The panes that are drawn.
    pub(crate) fn visible(&self) -> Vec<Pane> {
        match self.expanded {
            true => vec![self.focused()],
            false => self.tab.panes().to_vec(),
        }
    }

    /// Makes the rows of the tab anew.
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

    /// The row that has the selection of the pane that has the keys.
    pub(crate) fn selected(&self) -> Option<PaneRow> {
        let state = &self.panes[&self.focused()];
        state.selected.as_ref()?;
        state.rows.get(state.at).copied()
    }

    /// What the cells of a pane are made of.
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

    /// The process of the selected row, with its name.
    pub(crate) fn selected_process(&self) -> Option<(ProcessKey, Arc<str>)> {
        let model = self.model.as_ref()?;
        let key = self.selected()?.item.process(model)?;
        Some((key, Arc::clone(&model.process(key)?.text.name)))
    }

    /// The socket of the selected row.
    pub(crate) fn selected_socket(&self) -> Option<SocketRow> {
        match self.selected()?.item {
            Item::Socket(at) => Some(self.model.as_ref()?.sockets.row(at as usize).clone()),
            _ => None,
        }
    }

    /// The worst finding about a row.
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

    /// Says something at the bottom.
    pub(crate) fn say(&mut self, text: impl AsRef<str>, tone: Tone) {
        let text = netstat_model::text::escape_str(text.as_ref()).into_owned();
        self.message = Some(Message { text, tone });
    }

    /// The foreign sides of the rows that are drawn whose names were not asked for yet.
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

    /// Takes in names. `all` are those that were asked for.
    pub(crate) fn take_names(&mut self, found: Vec<(IpAddr, Option<Arc<str>>)>) {
        for (address, name) in found {
            if let Some(name) = name {
                self.names.hosts.insert(address, name);
            }
        }
    }

    /// Takes in what a process has open.
    pub(crate) fn take_handles(&mut self, handles: Handles) {
        if let Some(Popup::Handles { process, lines, .. }) = &mut self.popup
            && *process == handles.process
        {
            *lines = handles.lines(self.handles.as_ref().filter(|before| before.process == handles.process));
            self.handles = Some(handles);
        }
    }

    /// Takes in the findings of the audit.
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

/// The name of a process with its id, as far as it is known.
pub(crate) fn process_name(model: Option<&Model>, key: ProcessKey) -> String {
    match model.and_then(|model| model.process(key)) {
        Some(row) => format!("{} (PID {})", row.text.name, key.pid),
        None => format!("process {}", key.pid),
    }
}

impl PaneState {
    /// What names the row at `index`.
    pub(crate) fn id(&self, index: usize, model: &Model) -> Option<RowId> {
        match self.rows.get(index)?.item {
            Item::Group(at) => Some(RowId::Group(Arc::clone(&self.groups[at as usize].label))),
            item => item.id(model),
        }
    }

    /// Finds the selected row among new rows. When it is gone, the row that takes its position is selected.
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
