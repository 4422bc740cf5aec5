//! A screen made from the recording, and keys for it.

use std::io::BufReader;
use std::sync::Arc;

use crate::app::{App, Effect};
use crate::config::Settings;
use crate::model::{Model, Modeler};
use crate::recording::Player;
use crate::sample::Sample;
use crate::screen;
use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use netstat_names::Services;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

/// The recording: a small server with visitors; see `demo.sh` beside it.
pub(crate) const DEMO: &[u8] = include_bytes!("../../tests/data/demo.ndjson");

/// Returns all samples of the recording.
pub(crate) fn samples() -> Vec<Arc<Sample>> {
    let mut player = Player::new(BufReader::new(DEMO)).unwrap();
    std::iter::from_fn(|| player.next_sample().unwrap()).collect()
}

/// Returns all models of the recording.
pub(crate) fn models() -> Vec<Arc<Model>> {
    let mut modeler = Modeler::default();
    samples().iter().map(|sample| Arc::new(modeler.model(sample))).collect()
}

/// Returns a screen that has received the whole recording.
pub(crate) fn app(settings: Settings) -> App {
    filled(App::new(settings, b"harbor", false, Services::embedded()))
}

/// Returns the same screen in an environment that disables colours.
pub(crate) fn app_without_colours() -> App {
    filled(App::new(Settings::default(), b"harbor", true, Services::embedded()))
}

fn filled(mut app: App) -> App {
    models().into_iter().for_each(|model| app.take(model));
    app
}

/// Draws the screen in this size.
pub(crate) fn drawn(app: &mut App, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen::draw(frame, app)).unwrap();
    terminal.backend().buffer().clone()
}

/// Returns the characters of a screen line by line, without trailing spaces.
pub(crate) fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        for x in 0..buffer.area.width {
            line.push_str(buffer[(x, y)].symbol());
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Presses one key.
pub(crate) fn press(app: &mut App, code: KeyCode) -> Vec<Effect> {
    app.event(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

/// Types one character.
pub(crate) fn key(app: &mut App, c: char) -> Vec<Effect> {
    press(
        app,
        match c {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            c => KeyCode::Char(c),
        },
    )
}

/// Types all characters, and returns the effects of the last one.
pub(crate) fn keys(app: &mut App, text: &str) -> Vec<Effect> {
    text.chars().map(|c| key(app, c)).last().unwrap_or_default()
}
