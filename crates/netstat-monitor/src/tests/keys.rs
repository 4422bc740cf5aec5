//! Tests of keyboard and mouse on a screen made from the recording.

use std::sync::Arc;

use super::kit::{app, drawn, key, keys, models, press, text};
use crate::app::{App, Effect, Popup};
use crate::companion::{Finding, Severity, Target};
use crate::config::Settings;
use crate::model::{Item, Presence, RowId};
use crate::pane::{Column, Pane, Tab};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use netstat_os::Signal;

/// Returns a screen with default settings that was drawn once, so that positions are known.
fn ready() -> App {
    let mut app = app(Settings::default());
    drawn(&mut app, 120, 40);
    app
}

#[test]
fn tab_and_arrow_keys_change_tab_and_focus() {
    let mut app = ready();
    assert_eq!((app.tab, app.focused()), (Tab::Overview, Pane::OverviewCpu));
    key(&mut app, '5');
    press(&mut app, KeyCode::Right);
    assert_eq!((app.tab, app.focused()), (Tab::Network, Pane::NetworkActivity));
    press(&mut app, KeyCode::Tab);
    assert_eq!(app.tab, Tab::Overview);
    press(&mut app, KeyCode::BackTab);
    assert_eq!((app.tab, app.focused()), (Tab::Network, Pane::NetworkActivity));
    press(&mut app, KeyCode::Left);
    press(&mut app, KeyCode::Left);
    assert_eq!(app.focused(), Pane::Listening);
    key(&mut app, 'e');
    assert_eq!(app.visible(), [Pane::Listening]);
    key(&mut app, '\u{1b}');
    assert_eq!(app.visible().len(), 4);
}

#[test]
fn selection_follows_its_row_between_samples() {
    let mut app = App::new(Settings::default(), b"", false, netstat_names::Services::embedded());
    let models = models();
    app.take(Arc::clone(&models[5]));
    drawn(&mut app, 120, 40);
    keys(&mut app, "2");
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Down);
    let (chosen, _) = app.selected_process().unwrap();
    let mut places = std::collections::BTreeSet::new();
    for model in &models[6..] {
        app.take(Arc::clone(model));
        match app.selected_process() {
            Some((key, _)) => {
                assert_eq!(key, chosen);
                places.insert(app.panes[&Pane::CpuProcesses].at);
            }
            // Its process ended, and no other row takes its place.
            None => assert!(model.process(chosen).is_none()),
        }
    }
    assert!(!places.is_empty());
    // Sorting moves the row, but not the selection.
    if app.selected_process().is_none() {
        keys(&mut app, "2");
        press(&mut app, KeyCode::Down);
    }
    let before = app.selected_process().unwrap().0;
    keys(&mut app, ">r");
    assert_eq!(app.selected_process().unwrap().0, before);
}

#[test]
fn mark_limits_other_panes_and_graphs_to_marked_process() {
    let mut app = ready();
    keys(&mut app, "5");
    let all = app.panes[&Pane::Connections].rows.len();
    keys(&mut app, "fredis-server\n ");
    assert_eq!(app.selection.marks.len(), 1);
    let (marked, _) = app
        .selection
        .marks
        .first_key_value()
        .map(|(key, name)| (*key, Arc::clone(name)))
        .unwrap();
    let model = Arc::clone(app.model.as_ref().unwrap());
    for pane in [Pane::NetworkActivity, Pane::Connections, Pane::Listening] {
        for row in &app.panes[&pane].rows {
            assert_eq!(row.item.process(&model), Some(marked));
        }
    }
    assert!(app.panes[&Pane::Connections].rows.len() < all);
    assert!(
        app.panes[&Pane::NetworkProcesses].rows.len() > 1,
        "the first pane shows all"
    );
    // In the graphs, the marked process alone has less than the whole computer.
    use crate::history::Series;
    let span = std::time::Duration::from_secs(60);
    let marked: f32 = sum(&app.history.columns(Series::Cpu, span, 30, &model, &app.selection));
    keys(&mut app, "u");
    assert!(app.selection.is_all());
    let whole: f32 = sum(&app.history.columns(Series::Cpu, span, 30, &model, &app.selection));
    assert!(marked > 0.0 && marked < whole, "{marked} of {whole}");
    assert_eq!(app.panes[&Pane::Connections].rows.len(), all);
}

fn sum(columns: &[[f32; 2]]) -> f32 {
    columns
        .iter()
        .map(|[first, _]| first)
        .filter(|value| !value.is_nan())
        .sum()
}

#[test]
fn filter_takes_names_and_words_of_list_command() {
    let mut app = ready();
    keys(&mut app, "5/port 22 state LISTENING\n");
    let ports = |app: &App| {
        let model = app.model.as_ref().unwrap();
        let rows = app.panes[&Pane::Listening].rows.iter();
        rows.map(|row| match row.item {
            Item::Socket(at) => model.sockets.row(at as usize).local.port,
            _ => 0,
        })
        .collect::<Vec<_>>()
    };
    let found = ports(&app);
    assert_eq!(app.prompt, None);
    assert!(!found.is_empty() && found.iter().all(|port| *port == 22), "{found:?}");
    assert!(app.panes[&Pane::Connections].rows.is_empty());
    keys(&mut app, "u/--port=80 --listening\n");
    assert!(ports(&app).iter().all(|port| *port == 80) && !ports(&app).is_empty());
    // The wrong word is named, and the typed text is kept.
    keys(&mut app, "u/port");
    keys(&mut app, " 99999\n");
    let prompt = app.prompt.as_ref().unwrap();
    assert_eq!(prompt.text, "port 99999");
    assert!(prompt.error.as_ref().unwrap().contains("99999"), "{prompt:?}");
    keys(&mut app, "\u{1b}/user nobody-knows\n");
    assert!(
        app.prompt
            .as_ref()
            .unwrap()
            .error
            .as_ref()
            .unwrap()
            .contains("nobody-knows")
    );
    keys(&mut app, "\u{1b}/foreign example.org\n");
    assert!(
        app.prompt
            .as_ref()
            .unwrap()
            .error
            .as_ref()
            .unwrap()
            .contains("example.org")
    );
}

#[test]
fn sort_keys_reverse_order_and_change_column() {
    let mut app = ready();
    keys(&mut app, "3");
    let sizes = |app: &App| {
        let model = app.model.as_ref().unwrap();
        let rows = app.panes[&Pane::MemoryProcesses].rows.iter();
        rows.filter_map(|row| match row.item {
            Item::Process(at) if row.item.presence(model) != Presence::Gone => {
                model.processes[at as usize].resident.known()
            }
            _ => None,
        })
        .collect::<Vec<_>>()
    };
    assert!(sizes(&app).is_sorted_by(|a, b| a >= b) && sizes(&app).len() > 5);
    key(&mut app, 'r');
    assert!(sizes(&app).is_sorted());
    key(&mut app, '>');
    assert_eq!(
        app.settings.panes[&Pane::MemoryProcesses].sort.column,
        Column::Shareable
    );
    keys(&mut app, "<<<<");
    assert_eq!(app.settings.panes[&Pane::MemoryProcesses].sort.column, Column::Image);
}

#[test]
fn column_chooser_removes_and_moves_columns() {
    let mut app = ready();
    keys(&mut app, "3C");
    // Removes the first column, and moves the second to the third place.
    key(&mut app, ' ');
    press(&mut app, KeyCode::Down);
    press(&mut app, KeyCode::Right);
    press(&mut app, KeyCode::Enter);
    let columns = &app.settings.panes[&Pane::MemoryProcesses].columns;
    assert_eq!(columns[..3], [Column::Faults, Column::Pid, Column::Resident]);
    let screen = text(&drawn(&mut app, 120, 40));
    assert!(!screen.contains("Image"), "{screen}");
}

#[test]
fn kill_asks_question_that_names_process() {
    let mut app = ready();
    app.replay = false;
    keys(&mut app, "2fredis-server\n");
    let (process, name) = app.selected_process().unwrap();
    assert!(key(&mut app, 'k').is_empty());
    let place = Signal::offered().iter().position(|signal| *signal == Signal::Kill);
    for _ in 0..place.unwrap() {
        press(&mut app, KeyCode::Down);
    }
    assert!(key(&mut app, '\n').is_empty());
    let screen = text(&drawn(&mut app, 120, 40));
    assert!(screen.contains(&Signal::Kill.question(&name, process.pid)), "{screen}");
    assert!(key(&mut app, '\n').is_empty(), "only y does it");
    assert!(key(&mut app, 'n').is_empty() && app.popup.is_none());
    keys(&mut app, "k\n");
    assert_eq!(key(&mut app, 'y'), [Effect::Signal(process, Signal::Terminate)]);
}

#[test]
fn connection_is_closed_only_after_question() {
    let mut app = ready();
    app.replay = false;
    keys(&mut app, "5");
    press(&mut app, KeyCode::Right);
    press(&mut app, KeyCode::Right);
    press(&mut app, KeyCode::Down);
    let row = app.selected_socket().unwrap();
    assert!(key(&mut app, 'c').is_empty());
    let screen = text(&drawn(&mut app, 120, 40));
    assert!(
        screen.contains("Close this TCP connection?") && screen.contains(&row.local.port.to_string()),
        "{screen}"
    );
    assert_eq!(key(&mut app, 'y'), [Effect::Close(Box::new(row))]);
    // A listener is not a connection.
    press(&mut app, KeyCode::Right);
    press(&mut app, KeyCode::Down);
    key(&mut app, 'c');
    assert!(app.popup.is_none());
    assert!(app.message.as_ref().unwrap().text.contains("only TCP connections"));
}

#[test]
fn kill_and_close_are_refused_when_read_only_or_replaying() {
    let mut app = ready();
    app.read_only = true;
    keys(&mut app, "5");
    press(&mut app, KeyCode::Down);
    for c in ['k', 'c'] {
        assert!(key(&mut app, c).is_empty() && app.popup.is_none());
        assert!(app.message.as_ref().unwrap().text.contains("--read-only"));
    }
    app.read_only = false;
    app.replay = true;
    key(&mut app, 'k');
    assert!(app.popup.is_none() && app.message.as_ref().unwrap().text.contains("recording"));
}

#[test]
fn screen_frozen_keeps_its_sample() {
    let mut app = App::new(Settings::default(), b"", false, netstat_names::Services::embedded());
    let models = models();
    app.take(Arc::clone(&models[1]));
    key(&mut app, 'p');
    app.take(Arc::clone(&models[2]));
    app.take(Arc::clone(&models[3]));
    assert_eq!(app.model.as_ref().unwrap().number, models[1].number);
    assert!(text(&drawn(&mut app, 120, 40)).contains("FROZEN"));
    key(&mut app, 'p');
    assert_eq!(app.model.as_ref().unwrap().number, models[3].number);
}

#[test]
fn process_card_and_findings_are_shown() {
    let mut app = ready();
    keys(&mut app, "2fredis-server\n");
    let (process, _) = app.selected_process().unwrap();
    assert_eq!(key(&mut app, '\n'), [Effect::Inspect(Target::Process(process))]);
    app.take_card(Ok(("pid:1".to_owned(), vec!["a \u{1b}[2J line".to_owned()])));
    let screen = text(&drawn(&mut app, 120, 40));
    assert!(screen.contains("a \\e[2J line"), "{screen}");
    key(&mut app, '\u{1b}');
    app.take_findings(Ok(vec![Finding {
        process: Some(process),
        socket: None,
        severity: Severity::Critical,
        title: "no package knows this program".to_owned(),
        text: vec!["evidence".to_owned()],
    }]));
    let screen = text(&drawn(&mut app, 120, 40));
    assert!(screen.lines().any(|line| line.contains("!redis-serv")), "{screen}");
    key(&mut app, 'a');
    assert!(matches!(&app.popup, Some(Popup::Text { lines, .. }) if lines[0].0.contains("no package knows")));
}

#[test]
fn view_is_saved_as_json_or_csv_with_whole_figures() {
    let mut app = ready();
    keys(&mut app, "5");
    app.settings
        .panes
        .get_mut(&Pane::NetworkProcesses)
        .unwrap()
        .columns
        .push(Column::Command);
    let save = |app: &mut App, name: &str| {
        key(app, 's');
        app.prompt.as_mut().unwrap().text = name.to_owned();
        match key(app, '\n').pop() {
            Some(Effect::Save(path, content)) => {
                assert_eq!(path.to_str(), Some(name));
                content
            }
            other => panic!("{other:?}"),
        }
    };
    let json: serde_json::Value = serde_json::from_str(&save(&mut app, "view.json")).unwrap();
    assert_eq!(json["schema"], "netstat.monitor.view");
    assert_eq!(json["pane"], "network.processes");
    let rows = json["rows"].as_array().unwrap();
    assert_eq!(rows.len(), app.panes[&Pane::NetworkProcesses].rows.len());
    assert!(rows.iter().all(|row| row["pid"].is_u64()), "{rows:?}");
    let csv = save(&mut app, "view.csv");
    let mut lines = csv.split("\r\n");
    assert_eq!(lines.next(), Some("image,pid,send,receive,network_total,command"));
    assert_eq!(lines.count(), rows.len() + 1);
    key(&mut app, 's');
    app.prompt.as_mut().unwrap().text = "view.txt".to_owned();
    assert!(key(&mut app, '\n').is_empty());
    assert!(app.prompt.as_ref().unwrap().error.is_some());
}

#[test]
fn mouse_selects_marks_sorts_and_changes_tabs() {
    let mut app = ready();
    let click = |app: &mut App, x, y| {
        let mouse = MouseEvent {
            kind: MouseEventKind::Down(MouseButton::Left),
            column: x,
            row: y,
            modifiers: KeyModifiers::NONE,
        };
        app.event(&Event::Mouse(mouse))
    };
    let find = |app: &mut App, word: &str| {
        let screen = text(&drawn(app, 120, 40));
        let (y, line) = screen
            .lines()
            .enumerate()
            .find(|(_, line)| line.contains(word))
            .expect("it is drawn");
        let x = line[..line.find(word).unwrap_or(0)].chars().count();
        (x as u16, y as u16)
    };
    let (x, y) = find(&mut app, "3 Memory");
    click(&mut app, x, y);
    assert_eq!(app.tab, Tab::Memory);
    let (x, y) = find(&mut app, "Private");
    click(&mut app, x, y);
    assert_eq!(app.settings.panes[&Pane::MemoryProcesses].sort.column, Column::Private);
    let (x, y) = find(&mut app, "redis-server");
    assert!(click(&mut app, x, y).is_empty());
    let (process, _) = app.selected_process().unwrap();
    click(&mut app, 0, y);
    assert!(app.selection.marks.contains_key(&process));
    assert_eq!(
        app.panes[&Pane::MemoryProcesses].selected,
        Some(RowId::Process(process))
    );
}

#[test]
fn interval_keys_go_in_steps() {
    let mut app = ready();
    let seconds = |effects: Vec<Effect>| match effects.as_slice() {
        [Effect::Interval(interval)] => interval.as_secs_f64(),
        other => panic!("{other:?}"),
    };
    assert_eq!(seconds(key(&mut app, '+')), 0.5);
    assert_eq!(seconds(key(&mut app, '+')), 0.2);
    assert_eq!(seconds(key(&mut app, '+')), 0.2);
    assert_eq!(seconds(key(&mut app, '-')), 0.5);
    let control = |c| Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL));
    assert_eq!(app.event(&control('z')), [Effect::Suspend]);
    assert_eq!(app.event(&control('c')), [Effect::Quit]);
    assert_eq!(key(&mut app, 'q'), [Effect::Quit]);
}

/// Returns a screen whose newest model has short connections of one program, and others.
fn with_short_connections(grouped: u64) -> App {
    use crate::sample::{Bytes, Ended, Passing, Sample};
    use netstat_model::{Fact, State};
    let mut app = App::new(Settings::default(), b"", false, netstat_names::Services::embedded());
    let samples = super::kit::samples();
    let mut modeler = crate::model::Modeler::default();
    app.take(Arc::new(modeler.model(&samples[5])));
    let mut last = Sample::clone(&samples[6]);
    let visitor = last
        .sockets
        .iter()
        .find(|row| row.local.port == 80 && row.is_live_connection());
    let visitor = visitor.expect("a visitor").clone();
    let ended = (0..grouped).map(|at| {
        let mut row = visitor.clone();
        row.id = 1_000_000 + at;
        row.foreign.address = [10, 8, 0, 1].into();
        row.foreign.port = 40_000 + at as u16;
        row.state = State::FinWait1;
        row.bytes = Fact::Known(Bytes {
            sent: 3000,
            received: 200,
        });
        Ended {
            row,
            short: true,
            name: None,
            lived: Fact::Known(900),
            incoming: Some(true),
        }
    });
    last.passing = Passing {
        watched: true,
        ended: ended.collect(),
        ..Passing::default()
    };
    app.take(Arc::new(modeler.model(&Arc::new(last))));
    keys(&mut app, "5");
    drawn(&mut app, 120, 40);
    app
}

#[test]
fn short_connections_that_are_many_make_one_row_below_live_ones() {
    let mut app = with_short_connections(50);
    let model = Arc::clone(app.model.as_ref().unwrap());
    let items = |app: &App| {
        app.panes[&Pane::Connections]
            .rows
            .iter()
            .map(|row| row.item)
            .collect::<Vec<_>>()
    };
    let folded = items(&app);
    assert_eq!(folded.iter().filter(|item| matches!(item, Item::Brief(_))).count(), 1);
    let screen = text(&drawn(&mut app, 120, 40));
    let row = screen
        .lines()
        .find(|line| line.contains("<- 10.8.0.1"))
        .expect("it is on the screen");
    assert!(row.contains("nginx") && row.contains("/s"), "{row}");
    press(&mut app, KeyCode::Right);
    press(&mut app, KeyCode::Right);
    // In any order, open rows come before those that are gone.
    for _ in 0..9 {
        let gone = |item: &Item| item.presence(&model) == Presence::Gone;
        let rows = items(&app);
        let first = rows.iter().position(gone).unwrap_or(rows.len());
        assert!(rows[first..].iter().all(gone));
        keys(&mut app, ">");
    }
    keys(&mut app, "h");
    assert_eq!(items(&app).len(), folded.len() - 1 + 50);
    keys(&mut app, "h");
    assert_eq!(items(&app).len(), folded.len() - 1);
}

#[test]
fn sockets_grouped_show_sums_and_members() {
    let mut app = with_short_connections(5);
    press(&mut app, KeyCode::Right);
    press(&mut app, KeyCode::Right);
    let all = app.panes[&Pane::Connections].rows.len();
    keys(&mut app, "G");
    let state = &app.panes[&Pane::Connections];
    assert!(state.rows.len() < all && state.rows.iter().all(|row| matches!(row.item, Item::Group(_))));
    let nginx = state.groups.iter().position(|group| &*group.label == "nginx").unwrap();
    assert!(state.groups[nginx].brief > 0.0 && state.groups[nginx].sent.known().is_some());
    let before = state.rows.len();
    keys(&mut app, "fnginx\n\n");
    let state = &app.panes[&Pane::Connections];
    assert!(state.rows.len() > before, "its members are shown");
    assert!(state.rows.iter().filter(|row| row.depth == 1).count() as u32 > 1);
    keys(&mut app, "GGGG");
    let labels: Vec<&str> = app.panes[&Pane::Connections]
        .groups
        .iter()
        .map(|group| &*group.label)
        .collect();
    assert!(labels.contains(&"10.8.0.0/24"), "{labels:?}");
}

#[test]
fn first_row_is_selected_from_the_start() {
    let mut app = ready();
    for tab in ['1', '2', '3', '4', '5'] {
        key(&mut app, tab);
        let rows = app.panes[&app.focused()].rows.len();
        assert_eq!(app.selected().is_some(), rows > 0);
    }
    keys(&mut app, "2k\u{1b}");
    assert!(app.selected().is_some());
    press(&mut app, KeyCode::Down);
    assert_eq!(app.panes[&Pane::CpuProcesses].at, 1);
}

#[test]
fn rows_are_sorted_by_figure_shown() {
    let mut app = ready();
    keys(&mut app, "2");
    let model = Arc::clone(app.model.as_ref().unwrap());
    let rows = &app.panes[&Pane::CpuProcesses].rows;
    let shown = rows.iter().filter_map(|row| match row.item {
        Item::Process(at) => model.processes[at as usize].rates.cpu.known(),
        _ => None,
    });
    assert!(shown.is_sorted_by(|a, b| a >= b));
}

#[test]
fn filter_reaches_totals_and_graphs() {
    let mut app = ready();
    keys(&mut app, "5/program redis-server\n");
    let screen = text(&drawn(&mut app, 120, 40));
    assert!(screen.contains("selected: send 0 B/s"), "{screen}");
    assert!(screen.contains("Network of selected"), "{screen}");
    let model = Arc::clone(app.model.as_ref().unwrap());
    let open = app.selection.totals().unwrap().connections;
    let theirs = model.sockets.open.iter().filter(|row| {
        let process = row.process().and_then(|key| model.process(key));
        process.is_some_and(|process| &*process.text.name == "redis-server") && row.is_live_connection()
    });
    assert_eq!(open as usize, theirs.count());
}

#[test]
fn filter_with_wrong_word_names_the_nearest() {
    let mut app = ready();
    for (typed, near) in [
        ("prot 6379", "port"),
        ("prot", "port"),
        ("port 80 stat LISTENING", "state"),
        ("listning", "listening"),
    ] {
        keys(&mut app, &format!("/{typed}\n"));
        let prompt = app.prompt.take().unwrap_or_else(|| panic!("{typed} was taken"));
        let error = prompt.error.unwrap();
        assert!(error.contains(&format!("did you mean \"{near}\"")), "{error}");
        assert!(app.selection.filter.is_none());
    }
    keys(&mut app, "/ngin\n");
    assert!(app.prompt.is_none() && app.selection.filter.is_some());
}

#[test]
fn listener_that_appears_is_logged_and_raises_one_alarm() {
    use crate::sample::Sample;
    let mut app = App::new(Settings::default(), b"", false, netstat_names::Services::embedded());
    let samples = super::kit::samples();
    let mut modeler = crate::model::Modeler::default();
    app.take(Arc::new(modeler.model(&samples[5])));
    assert!(
        app.attention.take_alerts().is_empty(),
        "what was there from the start is no news"
    );
    let mut next = Sample::clone(&samples[6]);
    let rows = Arc::make_mut(&mut next.sockets);
    let mut row = rows
        .iter()
        .find(|row| row.local.port == 6379 && row.listens())
        .unwrap()
        .clone();
    row.id = u64::MAX;
    row.local.port = 6667;
    rows.push(row);
    let next = Arc::new(next);
    app.take(Arc::new(modeler.model(&next)));
    app.take(Arc::new(modeler.model(&next)));
    let alerts = app.attention.take_alerts();
    assert_eq!(alerts.len(), 1);
    assert!(
        alerts[0].text.contains("redis-server (") && alerts[0].text.contains(":6667"),
        "{alerts:?}"
    );
    assert!(text(&drawn(&mut app, 120, 40)).contains("1 new listener"));
    key(&mut app, 'l');
    assert!(text(&drawn(&mut app, 120, 40)).contains(":6667 (TCP)"));
    key(&mut app, '\u{1b}');
    assert!(!text(&drawn(&mut app, 120, 40)).contains("new listener,"));
    app.take(Arc::new(modeler.model(&samples[7])));
    assert!(
        app.attention
            .log()
            .next_back()
            .unwrap()
            .text
            .contains("no longer listens")
    );
}

#[test]
fn findings_are_listed_worst_first_with_their_process() {
    let mut app = ready();
    keys(&mut app, "2fredis-server\n");
    let (process, _) = app.selected_process().unwrap();
    let finding = |severity, title: &str| Finding {
        process: Some(process),
        socket: None,
        severity,
        title: title.to_owned(),
        text: Vec::new(),
    };
    app.take_findings(Ok(vec![
        finding(Severity::Medium, "odd \u{1b}[2J place"),
        finding(Severity::Critical, "a shell"),
    ]));
    key(&mut app, 'a');
    let screen = text(&drawn(&mut app, 120, 40));
    let worst = screen.find("CRITICAL  redis-server (PID ").expect("the worst");
    let other = screen.find("MEDIUM  redis-server (PID ").expect("the other");
    assert!(worst < other && screen.contains("odd \\e[2J place"), "{screen}");
    assert!(screen.contains("Audit: 1 critical, 1 medium"), "{screen}");
}

#[test]
fn column_chooser_shows_what_is_on_the_screen() {
    let mut app = ready();
    keys(&mut app, "4");
    let screen = text(&drawn(&mut app, 200, 60));
    let shown = &app.panes[&Pane::DiskProcesses].drawn.clone();
    assert!(
        shown.iter().all(|column| screen.contains(column.spec().title)),
        "{screen}"
    );
    key(&mut app, 'C');
    let Some(Popup::Columns { columns, .. }) = &app.popup else {
        panic!()
    };
    let ticked: Vec<Column> = columns
        .iter()
        .filter(|(_, on)| *on)
        .map(|(column, _)| *column)
        .collect();
    assert_eq!(ticked, *shown);
}

#[test]
fn column_without_any_value_is_left_out() {
    let mut app = ready();
    keys(&mut app, "2");
    let screen = text(&drawn(&mut app, 200, 60));
    // No process of the recording is in a unit.
    assert!(
        !app.panes[&Pane::CpuProcesses].drawn.contains(&Column::Unit),
        "{screen}"
    );
}

#[test]
fn handles_window_asks_until_it_is_closed() {
    let mut app = ready();
    app.replay = false;
    keys(&mut app, "2");
    let (process, _) = app.selected_process().unwrap();
    assert_eq!(key(&mut app, 'o'), [Effect::Handles(Some(process))]);
    assert!(text(&drawn(&mut app, 120, 40)).contains("Open files and modules of"));
    assert_eq!(key(&mut app, '\u{1b}'), [Effect::Handles(None)]);
}
