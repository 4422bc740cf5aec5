//! Handles keyboard and mouse input.

use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use netstat_os::Signal;

use super::{App, Effect, Hit, Popup, Prompt, PromptKind};
use crate::cell::{Tone, cell};
use crate::keys::action;
use crate::pane::{Column, Pane, Sort, Tab};
use crate::save::{self, SavedPane};
use crate::selection::{mistyped_option, parse_filter};

/// The maximum length of a typed line, in characters.
const PROMPT: usize = 400;

impl App {
    /// Handles a terminal event.
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

    pub(super) fn ask(&mut self, kind: PromptKind, text: String) {
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
                self.selection.filter = None;
                self.selection_changed();
            }
            PromptKind::Filter => {
                let model = self.model.clone();
                let users = model.as_ref().map(|model| std::sync::Arc::clone(&model.users));
                let near = model.as_ref().and_then(|model| mistyped_option(&text, model));
                let parsed = match near {
                    Some(near) => Err(format!("no program is called \"{text}\"; did you mean \"{near}\"?")),
                    None => parse_filter(&text, &users.unwrap_or_default()),
                };
                match parsed {
                    Ok(filter) => {
                        self.selection.filter = Some((text, filter));
                        self.selection_changed();
                    }
                    // The typed text is kept, to be corrected.
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
                self.find_next(0);
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
            sheet: self.sheet(&model, pane),
            pane,
            rows: &self.panes[&pane].rows,
            columns: &self.settings.panes[&pane].columns,
            selection: &self.selection,
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

    /// Selects the next row that contains the search text, starting `skip` rows below the selection.
    pub(super) fn find_next(&mut self, skip: usize) {
        let Some(model) = self.model.clone() else { return };
        let wanted = self.find.to_lowercase();
        if wanted.is_empty() {
            return;
        }
        let pane = self.focused();
        let state = &self.panes[&pane];
        let columns = &self.settings.panes[&pane].columns;
        let sheet = self.sheet(&model, pane);
        let count = state.rows.len();
        let begin = state.at + skip;
        let holds = |at: &usize| {
            let row = &state.rows[*at];
            let mut texts = columns.iter().map(|column| cell(&sheet, row, *column).text);
            texts.any(|text| text.to_lowercase().contains(&wanted))
        };
        let found = (0..count).map(|step| (begin + step) % count.max(1)).find(holds);
        match found {
            Some(at) => self.select(at),
            None => self.say(format!("no row of this pane contains \"{}\"", self.find), Tone::Warn),
        }
    }

    fn popup_key(&mut self, key: &KeyEvent) -> Vec<Effect> {
        let handles = matches!(self.popup, Some(Popup::Handles { .. }));
        let mut effects = self.popup_pressed(key);
        if handles && self.popup.is_none() {
            effects.push(Effect::Handles(None));
        }
        effects
    }

    fn popup_pressed(&mut self, key: &KeyEvent) -> Vec<Effect> {
        let leave = matches!(key.code, KeyCode::Esc | KeyCode::Char('q' | 'n'));
        match &mut self.popup {
            None => {}
            Some(Popup::Help { top } | Popup::Text { top, .. } | Popup::Log { top } | Popup::Handles { top, .. }) => {
                match key.code {
                    KeyCode::Up => *top = top.saturating_sub(1),
                    KeyCode::Down => *top += 1,
                    KeyCode::PageUp => *top = top.saturating_sub(10),
                    KeyCode::PageDown | KeyCode::Char(' ') => *top += 10,
                    KeyCode::Home => *top = 0,
                    KeyCode::End => *top = usize::MAX,
                    KeyCode::Enter | KeyCode::Char('?' | 'l' | 'a' | 'o') | KeyCode::F(1) => self.popup = None,
                    _ if leave => self.popup = None,
                    _ => {}
                }
            }
            Some(Popup::Signals { process, name, at }) => match key.code {
                KeyCode::Up => *at = at.saturating_sub(1),
                KeyCode::Down => *at = (*at + 1).min(Signal::offered().len() - 1),
                KeyCode::Enter => {
                    let signal = Signal::offered()[*at];
                    let lines = vec![
                        signal.question(name, process.pid),
                        String::new(),
                        format!("{}.", signal.meaning()),
                    ];
                    let effect = Box::new(Effect::Signal(*process, signal));
                    self.popup = Some(Popup::Confirm { lines, effect });
                }
                _ if leave => self.popup = None,
                _ => {}
            },
            Some(Popup::Confirm { effect, .. }) => match key.code {
                KeyCode::Char('y' | 'Y') => {
                    let effect = (**effect).clone();
                    self.popup = None;
                    return vec![effect];
                }
                _ if leave || key.code == KeyCode::Char('N') => self.popup = None,
                _ => {}
            },
            Some(Popup::Columns { .. }) => self.columns_key(key, leave),
        }
        Vec::new()
    }

    fn columns_key(&mut self, key: &KeyEvent, leave: bool) {
        let Some(Popup::Columns { pane, columns, at }) = &mut self.popup else {
            return;
        };
        match key.code {
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
                let pane = *pane;
                let shown = columns.iter().filter(|(_, shown)| *shown);
                let shown: Vec<_> = shown.map(|(column, _)| *column).collect();
                if shown.is_empty() {
                    return self.say("at least one column must be shown", Tone::Warn);
                }
                if let Some(settings) = self.settings.panes.get_mut(&pane) {
                    settings.columns = shown;
                }
                self.popup = None;
            }
            _ if leave => self.popup = None,
            _ => {}
        }
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
                (
                    MouseEventKind::ScrollUp,
                    Popup::Help { top } | Popup::Text { top, .. } | Popup::Log { top } | Popup::Handles { top, .. },
                ) => *top = top.saturating_sub(3),
                (
                    MouseEventKind::ScrollDown,
                    Popup::Help { top } | Popup::Text { top, .. } | Popup::Log { top } | Popup::Handles { top, .. },
                ) => *top += 3,
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
            Some(Hit::Heading(pane, column)) => self.sort_by(pane, column),
            Some(Hit::Mark(pane, at)) => {
                self.focus_on(pane);
                self.select(at);
                self.mark();
            }
            Some(Hit::Row(pane, at)) => {
                self.focus_on(pane);
                let again = self.panes[&pane].chosen && self.panes[&pane].at == at;
                self.select(at);
                if again {
                    return self.inspect();
                }
            }
            None => {}
        }
        Vec::new()
    }

    /// Sorts a pane by a column; a second call reverses the order.
    fn sort_by(&mut self, pane: Pane, column: Column) {
        self.focus_on(pane);
        if let Some(settings) = self.settings.panes.get_mut(&pane) {
            let falling = match settings.sort.column == column {
                true => !settings.sort.falling,
                false => column.falls(),
            };
            settings.sort = Sort { column, falling };
        }
        self.refresh();
    }
}
