//! A screen made of the recording, and keys for it.

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

/// Every sample of the recording.
pub(crate) fn samples() -> Vec<Arc<Sample>> {
    let mut player = Player::new(BufReader::new(DEMO)).unwrap();
    std::iter::from_fn(|| player.next_sample().unwrap()).collect()
}

/// Every model of the recording.
pub(crate) fn models() -> Vec<Arc<Model>> {
    let mut modeler = Modeler::default();
    samples().iter().map(|sample| Arc::new(modeler.model(sample))).collect()
}

/// A screen that has seen the whole recording.
pub(crate) fn app(settings: Settings) -> App {
    filled(App::new(settings, b"harbor", false, Services::embedded()))
}

/// The same where the environment forbids colours.
pub(crate) fn app_without_colours() -> App {
    filled(App::new(Settings::default(), b"harbor", true, Services::embedded()))
}

fn filled(mut app: App) -> App {
    models().into_iter().for_each(|model| app.take(model));
    app
}

/// Draws the screen in a size.
pub(crate) fn drawn(app: &mut App, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen::draw(frame, app)).unwrap();
    terminal.backend().buffer().clone()
}

/// The characters of a screen, line by line, without blanks at the ends.
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

/// Types all of them; gives back what the last one asked for.
pub(crate) fn keys(app: &mut App, text: &str) -> Vec<Effect> {
    text.chars().map(|c| key(app, c)).last().unwrap_or_default()
}
