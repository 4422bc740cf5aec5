//! Whole screens, drawn from a recording and compared with the texts in `screens/`. After an intended change,
//! regenerate them with `BLESS=1 cargo test -p netstat-monitor --lib screens`, and review them before committing.

use super::kit::{app, drawn, key, keys, text};
use crate::config::Settings;
use crate::pane::Tab;
use ratatui::style::Color;

/// Compares a screen with the stored one.
fn compare(name: &str, screen: &str) {
    let path = format!("{}/tests/screens/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, screen).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(kept == screen, "{name} is not as it was kept:\n{screen}\nkept:\n{kept}");
}

#[test]
fn screens_of_every_tab_and_size_match_expected() {
    let mut app = app(Settings::default());
    for (width, height) in [(60, 15), (80, 24), (120, 40), (200, 60)] {
        for (number, tab) in ('1'..).zip(Tab::ALL) {
            key(&mut app, number);
            let name = format!("{}-{width}x{height}", tab.title().to_lowercase());
            compare(&name, &text(&drawn(&mut app, width, height)));
        }
    }
}

#[test]
fn screens_with_filter_and_mark_match_expected() {
    let mut app = app(Settings::default());
    keys(&mut app, "5/nginx\n");
    compare("filtered-120x40", &text(&drawn(&mut app, 120, 40)));
    keys(&mut app, "u");
    // The first pane keeps all rows, the others show only what belongs to the marked process.
    keys(&mut app, "fnginx\n ");
    compare("marked-120x40", &text(&drawn(&mut app, 120, 40)));
}

#[test]
fn screens_of_trees_in_ascii_match_expected() {
    let settings = Settings {
        ascii: true,
        ..Settings::default()
    };
    let mut app = app(settings);
    keys(&mut app, "2t");
    let screen = text(&drawn(&mut app, 120, 40));
    assert!(screen.is_ascii(), "{screen}");
    compare("tree-120x40", &screen);
    keys(&mut app, "te");
    compare("units-100x30", &text(&drawn(&mut app, 100, 30)));
}

#[test]
fn screens_of_help_and_column_chooser_match_expected() {
    let mut app = app(Settings::default());
    keys(&mut app, "?");
    compare("help-100x45", &text(&drawn(&mut app, 100, 45)));
    keys(&mut app, "\u{1b}5C");
    compare("columns-80x24", &text(&drawn(&mut app, 80, 24)));
}

#[test]
fn screen_without_colours_has_none_and_with_them_text_keeps_its_own() {
    let colours = |app: &mut crate::app::App| {
        let mut seen = std::collections::BTreeSet::new();
        for (number, _) in ('1'..).zip(Tab::ALL) {
            key(app, number);
            for cell in drawn(app, 120, 40).content() {
                seen.insert(format!("{:?} {:?}", cell.fg, cell.bg));
            }
        }
        seen
    };
    let mut plain = super::kit::app_without_colours();
    let none = format!("{:?} {:?}", Color::Reset, Color::Reset);
    assert_eq!(
        colours(&mut plain).into_iter().collect::<Vec<_>>(),
        std::slice::from_ref(&none)
    );
    let mut dark = app(Settings::default());
    let seen = colours(&mut dark);
    assert!(seen.len() > 5 && seen.contains(&none), "{seen:?}");
}

#[test]
fn screen_of_any_size_is_drawn_without_panic() {
    let mut app = app(Settings::default());
    for input in ["1", "2t", "3", "4", "5 ", "?", "\u{1b}C", "\u{1b}e", "/x", "\u{1b}5f0"] {
        keys(&mut app, input);
        for width in [1, 7, 59, 60, 61, 79, 99, 100, 101, 179, 180, 250] {
            for height in [1, 2, 14, 15, 16, 24, 70] {
                drawn(&mut app, width, height);
            }
        }
    }
}

#[test]
fn graphs_are_shown_from_80_columns_on() {
    let mut app = app(Settings::default());
    for (width, height) in [(80, 24), (100, 30), (120, 40)] {
        let screen = text(&drawn(&mut app, width, height));
        assert!(screen.contains("60 s") && screen.contains("now"), "{screen}");
        assert!(screen.contains("■ read"), "the legend: {screen}");
        assert!(
            screen.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)),
            "{screen}"
        );
    }
}

#[test]
fn light_theme_brings_its_own_background() {
    let mut app = app(Settings {
        theme: Some(crate::theme::ThemeName::Light),
        ..Settings::default()
    });
    for input in ["1", "5", "?"] {
        keys(&mut app, input);
        let buffer = drawn(&mut app, 120, 40);
        assert!(
            buffer
                .content()
                .iter()
                .all(|cell| cell.bg != Color::Reset && cell.fg != Color::Reset)
        );
    }
}

#[test]
fn small_screen_gives_the_pane_with_the_keys_the_room() {
    let mut app = app(Settings::default());
    key(&mut app, '5');
    drawn(&mut app, 60, 15);
    assert!(app.panes[&app.focused()].height >= 6);
    super::kit::press(&mut app, crossterm::event::KeyCode::Right);
    drawn(&mut app, 60, 15);
    assert!(app.panes[&app.focused()].height >= 6);
}
