//! What keys and mouse do.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use netstat_model::{Protocol, State};
use netstat_os::Signal;

use super::{App, Effect, Hit, Popup, Prompt, PromptKind};
use crate::cell::{Tone, cell};
use crate::companion::Target;
use crate::config::INTERVALS;
use crate::keys::{Action, action};
use crate::model::{Item, Presence};
use crate::pane::{Sort, Tab, Tree};
use crate::save::{self, SavedPane};
use crate::selection::parse_filter;

/// The longest line that can be typed.
const PROMPT: usize = 400;
/// The steps of the interval in seconds.
const STEPS: [f64; 8] = [0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

impl App {
    /// Takes in an event of the terminal.
    pub(crate) fn event(&mut self, event: &Event) -> Vec<Effect> {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(key),
            Event::Mouse(mouse) => self.mouse(mouse),
            Event::Paste(text) => {
                if let Some(prompt) = &mut self.prompt {
                    prompt
                        .text
                        .extend(text.chars().filter(|c| !c.is_control()).take(PROMPT));
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn key(&mut self, key: &KeyEvent) -> Vec<Effect> {
        self.message = None;
        let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        if interrupt {
            return vec![Effect::Quit];
        }
        if key.code == KeyCode::Char('z') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return vec![Effect::Suspend];
        }
        if self.prompt.is_some() {
            return self.prompt_key(key);
        }
        if self.popup.is_some() {
            return self.popup_key(key);
        }
        match action(key, self.read_only) {
            Some(action) => self.act(action),
            None => {
                if self.read_only && action(key, false).is_some() {
                    self.say("--read-only: nothing is ended or closed", Tone::Warn);
                }
                Vec::new()
            }
        }
    }

    fn act(&mut self, action: Action) -> Vec<Effect> {
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
            Action::Mark => self.mark(),
            Action::Clear => {
                self.choice.marks.clear();
                self.choice.filter = None;
                self.refresh();
            }
            Action::Filter => {
                let text = self.choice.filter.as_ref().map(|(text, _)| text.clone());
                self.ask(PromptKind::Filter, text.unwrap_or_default());
            }
            Action::Find => self.ask(PromptKind::Find, String::new()),
            Action::FindNext => self.find_next(1),
            Action::SortLeft => self.step_sort(false),
            Action::SortRight => self.step_sort(true),
            Action::Reverse => {
                let pane = self.focused();
                if let Some(settings) = self.settings.panes.get_mut(&pane) {
                    settings.sort.falling = !settings.sort.falling;
                }
                self.refresh();
            }
            Action::Columns => {
                let pane = self.focused();
                let shown = &self.settings.panes[&pane].columns;
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
            Action::Tree => {
                self.settings.tree = self.settings.tree.next();
                let words = match self.settings.tree {
                    Tree::Flat => "processes side by side",
                    Tree::Parent => "processes below the one that started them",
                    Tree::Unit => "processes below their unit",
                };
                self.say(words, Tone::Plain);
                self.refresh();
            }
            Action::Expand => {
                self.expanded = !self.expanded;
                self.unfold();
            }
            Action::Fold => {
                let pane = self.focused();
                if let Some(settings) = self.settings.panes.get_mut(&pane) {
                    settings.folded = !settings.folded && !self.expanded;
                }
            }
            Action::Freeze => {
                self.frozen = !self.frozen;
                if !self.frozen
                    && let Some(newest) = self.newest.take()
                {
                    self.model = Some(newest);
                    self.refresh();
                }
            }
            Action::Faster => return self.step_interval(false),
            Action::Slower => return self.step_interval(true),
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
            Action::Inspect => return self.inspect(),
            Action::Audit => self.audit(),
            Action::Kill => self.ask_signal(),
            Action::Close => self.ask_close(),
            Action::Copy => return self.copy(),
            Action::Save => {
                let name = format!("netstat-{}.json", self.focused().spec().key.replace('.', "-"));
                self.ask(PromptKind::Save, name);
            }
            Action::Help => self.popup = Some(Popup::Help { top: 0 }),
            Action::Redraw => return vec![Effect::Redraw],
            Action::Suspend => return vec![Effect::Suspend],
            Action::Quit => return vec![Effect::Quit],
            Action::Escape => {
                if self.expanded {
                    self.expanded = false;
                } else {
                    let pane = self.focused();
                    if let Some(state) = self.panes.get_mut(&pane) {
                        state.selected = None;
                    }
                }
            }
        }
        Vec::new()
    }

    fn show(&mut self, tab: Tab) {
        self.tab = tab;
        self.settings.tab = tab;
        self.refresh();
    }

    fn step_tab(&mut self, by: usize) {
        let at = Tab::ALL.iter().position(|tab| *tab == self.tab).unwrap_or(0);
        self.show(Tab::ALL[(at + by) % Tab::ALL.len()]);
    }

    fn step_pane(&mut self, by: usize) {
        let panes = self.tab.panes();
        let at = self.focus.entry(self.tab).or_default();
        *at = (*at + by) % panes.len();
    }

    fn focus_on(&mut self, pane: crate::pane::Pane) {
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
        let at = match state.selected {
            Some(_) => state.at.saturating_add_signed(rows),
            // The first key shows where the selection is.
            None => state.at.max(state.top).min(state.top + state.height.saturating_sub(1)),
        };
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
        state.selected = Some(state.rows[state.at].item.id(&model));
        state.keep_visible();
    }

    fn mark(&mut self) {
        let Some((key, name)) = self.selected_process() else {
            return self.say("select a row with a process first", Tone::Warn);
        };
        if self.choice.marks.remove(&key).is_none() {
            self.choice.marks.insert(key, name);
        }
        self.refresh();
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

    fn inspect(&mut self) -> Vec<Effect> {
        let Some(model) = &self.model else { return Vec::new() };
        let target = match self.selected().map(|row| row.item) {
            Some(Item::Process(at)) => Target::Process(model.processes[at as usize].key),
            Some(Item::Socket(at)) => Target::Socket(Box::new(model.sockets.row(at as usize).clone())),
            Some(Item::Unit(_) | Item::Disk(_)) => {
                self.say("there is nothing more to tell about this row", Tone::Warn);
                return Vec::new();
            }
            None => {
                self.say("select a row first", Tone::Warn);
                return Vec::new();
            }
        };
        self.popup = Some(Popup::Text {
            title: "looking closer ...".to_owned(),
            lines: Vec::new(),
            top: 0,
        });
        vec![Effect::Inspect(target)]
    }

    /// Takes in a card that was asked for.
    pub(crate) fn take_card(&mut self, card: Result<(String, Vec<String>), String>) {
        // Closed meanwhile: nobody waits for it.
        if !matches!(self.popup, Some(Popup::Text { .. })) {
            return;
        }
        match card {
            Ok((title, lines)) => {
                let escape = |line: &String| netstat_model::text::escape_str(line).into_owned();
                self.popup = Some(Popup::Text {
                    title: escape(&title),
                    lines: lines.iter().map(escape).collect(),
                    top: 0,
                });
            }
            Err(why) => {
                self.popup = None;
                self.say(why, Tone::Bad);
            }
        }
    }

    fn audit(&mut self) {
        if let Some(why) = &self.no_findings {
            let why = format!("no audit: {why}");
            return self.say(why, Tone::Warn);
        }
        let selected = self.selected().map(|row| row.item);
        let model = self.model.clone();
        let process = selected
            .zip(model.as_ref())
            .and_then(|(item, model)| item.process(model));
        let socket = self.selected_socket().map(|row| row.id);
        if !self.examined {
            return self.say("the audit is still looking", Tone::Plain);
        }
        let about: Vec<_> = self
            .findings
            .iter()
            .filter(|finding| match selected {
                Some(_) => {
                    (process.is_some() && finding.process == process) || (socket.is_some() && finding.socket == socket)
                }
                None => true,
            })
            .collect();
        if about.is_empty() {
            let words = match selected {
                Some(_) => "the audit found nothing about this row",
                None => "the audit found nothing",
            };
            return self.say(words, Tone::Plain);
        }
        let mut lines = Vec::new();
        for finding in about {
            let word = match finding.severity {
                crate::companion::Severity::Note => "note",
                crate::companion::Severity::Warning => "warning",
                crate::companion::Severity::Alarm => "ALARM",
            };
            lines.push(netstat_model::text::escape_str(&format!("{word}: {}", finding.title)).into_owned());
            lines.extend(
                finding
                    .text
                    .iter()
                    .map(|line| format!("    {}", netstat_model::text::escape_str(line))),
            );
        }
        self.popup = Some(Popup::Text {
            title: "Audit".to_owned(),
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
            self.say("select a row first", Tone::Warn);
            return Vec::new();
        };
        let columns = &self.settings.panes[&self.focused()].columns;
        let texts: Vec<String> = columns
            .iter()
            .map(|column| cell(&model, &self.names, &row, *column).text)
            .collect();
        self.say("copied, if the terminal allows it (OSC 52)", Tone::Plain);
        vec![Effect::Copy(texts.join("\t"))]
    }

    fn ask(&mut self, kind: PromptKind, text: String) {
        self.prompt = Some(Prompt {
            kind,
            text,
            error: None,
        });
    }

    fn prompt_key(&mut self, key: &KeyEvent) -> Vec<Effect> {
        let Some(prompt) = &mut self.prompt else {
            return Vec::new();
        };
        prompt.error = None;
        match key.code {
            KeyCode::Esc => self.prompt = None,
            KeyCode::Enter => return self.prompt_done(),
            KeyCode::Backspace => {
                prompt.text.pop();
            }
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) => prompt.text.clear(),
            KeyCode::Char('w') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                let end = prompt.text.trim_end().rfind(' ').map_or(0, |at| at + 1);
                prompt.text.truncate(end);
            }
            KeyCode::Char(c) if !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => {
                if prompt.text.chars().count() < PROMPT {
                    prompt.text.push(c);
                }
                if prompt.kind == PromptKind::Find {
                    self.find = prompt.text.clone();
                    self.find_next(0);
                }
            }
            _ => {}
        }
        Vec::new()
    }

    fn prompt_done(&mut self) -> Vec<Effect> {
        let Some(prompt) = self.prompt.take() else {
            return Vec::new();
        };
        let text = prompt.text.trim().to_owned();
        match prompt.kind {
            PromptKind::Filter if text.is_empty() => {
                self.choice.filter = None;
                self.refresh();
            }
            PromptKind::Filter => {
                let users = self
                    .model
                    .as_ref()
                    .map(|model| std::sync::Arc::clone(&model.users))
                    .unwrap_or_default();
                match parse_filter(&text, &users) {
                    Ok(filter) => {
                        self.choice.filter = Some((text, filter));
                        self.refresh();
                    }
                    // What was typed stays, to be mended.
                    Err(error) => {
                        let error = netstat_model::text::escape_str(&error).into_owned();
                        self.prompt = Some(Prompt {
                            error: Some(error),
                            ..prompt
                        });
                    }
                }
            }
            PromptKind::Find => {
                self.find = text;
                if self.panes[&self.focused()].selected.is_none() {
                    self.find_next(0);
                }
            }
            PromptKind::Save => return self.save(&text),
        }
        Vec::new()
    }

    fn save(&mut self, name: &str) -> Vec<Effect> {
        let pane = self.focused();
        let Some(model) = self.model.clone() else {
            return Vec::new();
        };
        let saved = SavedPane {
            model: &model,
            pane,
            rows: &self.panes[&pane].rows,
            columns: &self.settings.panes[&pane].columns,
            names: &self.names,
            choice: &self.choice,
            computer: &self.computer,
        };
        let content = match name.rsplit('.').next() {
            Some("json") => save::json(&saved),
            Some("csv") => save::csv(&saved),
            _ => {
                self.prompt = Some(Prompt {
                    kind: PromptKind::Save,
                    text: name.to_owned(),
                    error: Some("the name must end in .json or .csv".to_owned()),
                });
                return Vec::new();
            }
        };
        vec![Effect::Save(name.into(), content)]
    }

    /// Selects the next row, from `skip` rows below the selection on, that holds the text to find.
    fn find_next(&mut self, skip: usize) {
        let Some(model) = self.model.clone() else { return };
        let wanted = self.find.to_lowercase();
        if wanted.is_empty() {
            return;
        }
        let pane = self.focused();
        let state = &self.panes[&pane];
        let columns = &self.settings.panes[&pane].columns;
        let count = state.rows.len();
        let begin = state.at + if state.selected.is_some() { skip } else { 0 };
        let holds = |at: &usize| {
            let row = &state.rows[*at];
            let mut texts = columns
                .iter()
                .map(|column| cell(&model, &self.names, row, *column).text);
            texts.any(|text| text.to_lowercase().contains(&wanted))
        };
        let found = (0..count).map(|step| (begin + step) % count.max(1)).find(holds);
        match found {
            Some(at) => self.select(at),
            None => self.say(format!("no row of this pane holds \"{}\"", self.find), Tone::Warn),
        }
    }

    fn popup_key(&mut self, key: &KeyEvent) -> Vec<Effect> {
        let leave = matches!(key.code, KeyCode::Esc | KeyCode::Char('q' | 'n'));
        let Some(popup) = &mut self.popup else {
            return Vec::new();
        };
        match popup {
            Popup::Help { top } | Popup::Text { top, .. } => match key.code {
                KeyCode::Up => *top = top.saturating_sub(1),
                KeyCode::Down => *top += 1,
                KeyCode::PageUp => *top = top.saturating_sub(10),
                KeyCode::PageDown | KeyCode::Char(' ') => *top += 10,
                KeyCode::Home => *top = 0,
                KeyCode::End => *top = usize::MAX,
                _ if leave || matches!(key.code, KeyCode::Enter | KeyCode::Char('?') | KeyCode::F(1)) => {
                    self.popup = None
                }
                _ => {}
            },
            Popup::Signals { process, name, at } => match key.code {
                KeyCode::Up => *at = at.saturating_sub(1),
                KeyCode::Down => *at = (*at + 1).min(Signal::ALL.len() - 1),
                KeyCode::Enter => {
                    let signal = Signal::ALL[*at];
                    let lines = vec![
                        format!("Send {} to {name} (process {})?", signal.name(), process.pid),
                        String::new(),
                        format!("{}.", signal.meaning()),
                    ];
                    let effect = Box::new(Effect::Signal(*process, signal));
                    self.popup = Some(Popup::Confirm { lines, effect });
                }
                _ if leave => self.popup = None,
                _ => {}
            },
            Popup::Confirm { effect, .. } => match key.code {
                KeyCode::Char('y' | 'Y') => {
                    let effect = (**effect).clone();
                    self.popup = None;
                    return vec![effect];
                }
                _ if leave || key.code == KeyCode::Char('N') => self.popup = None,
                _ => {}
            },
            Popup::Columns { pane, columns, at } => match key.code {
                KeyCode::Up => *at = at.saturating_sub(1),
                KeyCode::Down => *at = (*at + 1).min(columns.len() - 1),
                KeyCode::Char(' ') => columns[*at].1 = !columns[*at].1,
                KeyCode::Left if *at > 0 => {
                    columns.swap(*at, *at - 1);
                    *at -= 1;
                }
                KeyCode::Right if *at + 1 < columns.len() => {
                    columns.swap(*at, *at + 1);
                    *at += 1;
                }
                KeyCode::Enter => {
                    let (pane, shown) = (
                        *pane,
                        columns.iter().filter(|(_, shown)| *shown).map(|(column, _)| *column),
                    );
                    let shown: Vec<_> = shown.collect();
                    if shown.is_empty() {
                        self.say("at least one column must be shown", Tone::Warn);
                        return Vec::new();
                    }
                    if let Some(settings) = self.settings.panes.get_mut(&pane) {
                        settings.columns = shown;
                    }
                    self.popup = None;
                }
                _ if leave => self.popup = None,
                _ => {}
            },
        }
        Vec::new()
    }

    fn mouse(&mut self, mouse: &MouseEvent) -> Vec<Effect> {
        let under = |rect: &ratatui::layout::Rect| rect.contains((mouse.column, mouse.row).into());
        let hit = self
            .hits
            .iter()
            .rev()
            .find(|(rect, _)| under(rect))
            .map(|(_, hit)| *hit);
        if let Some(popup) = &mut self.popup {
            match (mouse.kind, popup) {
                (MouseEventKind::ScrollUp, Popup::Help { top } | Popup::Text { top, .. }) => {
                    *top = top.saturating_sub(3)
                }
                (MouseEventKind::ScrollDown, Popup::Help { top } | Popup::Text { top, .. }) => *top += 3,
                _ => {}
            }
            return Vec::new();
        }
        let wheel = match mouse.kind {
            MouseEventKind::ScrollUp => -3,
            MouseEventKind::ScrollDown => 3,
            MouseEventKind::Down(MouseButton::Left) => 0,
            _ => return Vec::new(),
        };
        self.message = None;
        match hit {
            Some(Hit::Row(pane, _) | Hit::Mark(pane, _) | Hit::Heading(pane, _) | Hit::Title(pane)) if wheel != 0 => {
                if let Some(state) = self.panes.get_mut(&pane) {
                    let last = state.rows.len().saturating_sub(state.height);
                    state.top = state.top.saturating_add_signed(wheel).min(last);
                }
            }
            Some(Hit::Tab(at)) => self.show(Tab::ALL[at]),
            Some(Hit::Title(pane)) => {
                self.focus_on(pane);
                if let Some(settings) = self.settings.panes.get_mut(&pane).filter(|settings| settings.folded) {
                    settings.folded = false;
                }
            }
            Some(Hit::Heading(pane, column)) => {
                self.focus_on(pane);
                if let Some(settings) = self.settings.panes.get_mut(&pane) {
                    settings.sort = match settings.sort.column == column {
                        true => Sort {
                            column,
                            falling: !settings.sort.falling,
                        },
                        false => Sort {
                            column,
                            falling: column.falls(),
                        },
                    };
                }
                self.refresh();
            }
            Some(Hit::Mark(pane, at)) => {
                self.focus_on(pane);
                self.select(at);
                self.mark();
            }
            Some(Hit::Row(pane, at)) => {
                self.focus_on(pane);
                let again = self.panes[&pane].selected.is_some() && self.panes[&pane].at == at;
                self.select(at);
                if again {
                    return self.inspect();
                }
            }
            None => {}
        }
        Vec::new()
    }
}
