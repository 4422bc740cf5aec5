//! The table of keys: what is pressed, what it does, and its help text. The help is generated from it, so that it is
//! always correct.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The action of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Show the tab with this index.
    Tab(usize),
    /// Show the next tab.
    NextTab,
    /// Show the previous tab.
    PreviousTab,
    /// Focus the next pane.
    NextPane,
    /// Focus the previous pane.
    PreviousPane,
    /// Move the selection by this many rows.
    Move(i32),
    /// Move the selection by this many pages.
    Page(i32),
    /// Select the first row.
    First,
    /// Select the last row.
    Last,
    /// Mark or unmark the process.
    Mark,
    /// Clear all marks and the filter.
    Clear,
    /// Enter a filter.
    Filter,
    /// Enter a text to search for.
    Find,
    /// Find the next match.
    FindNext,
    /// Sort by the column to the left.
    SortLeft,
    /// Sort by the column to the right.
    SortRight,
    /// Reverse the order.
    Reverse,
    /// Choose columns.
    Columns,
    /// Switch to the next hierarchy of processes.
    Tree,
    /// Switch to the next grouping of sockets.
    Grouping,
    /// Switch how short connections are shown.
    Short,
    /// Show the log.
    Log,
    /// Expand the pane to the whole screen, or restore it.
    Expand,
    /// Fold or unfold the pane.
    Fold,
    /// Freeze or unfreeze the screen.
    Freeze,
    /// Shorten the refresh interval.
    Faster,
    /// Lengthen the refresh interval.
    Slower,
    /// Switch between names and numbers.
    Names,
    /// Switch between 60 seconds and 10 minutes.
    Span,
    /// Switch to the next theme.
    Theme,
    /// Show the card of the row.
    Inspect,
    /// Show the open files of the process.
    Handles,
    /// Show the findings of the audit.
    Audit,
    /// End the process.
    Kill,
    /// Close the connection.
    Close,
    /// Copy the row.
    Copy,
    /// Save the view.
    Save,
    /// Help.
    Help,
    /// Redraw everything.
    Redraw,
    /// Suspend the program.
    Suspend,
    /// Quit.
    Quit,
    /// Close what is open.
    Escape,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding {
    /// The keys as shown in the help.
    pub(crate) keys: &'static str,
    /// The keys themselves.
    pub(crate) codes: &'static [(KeyCode, KeyModifiers)],
    /// The actions in the order of the codes; the last one applies to all remaining codes.
    pub(crate) actions: &'static [Action],
    /// The description in the help.
    pub(crate) words: &'static str,
    /// Whether `--read-only` disables it.
    pub(crate) changes: bool,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CONTROL: KeyModifiers = KeyModifiers::CONTROL;

const fn bind(
    keys: &'static str,
    codes: &'static [(KeyCode, KeyModifiers)],
    actions: &'static [Action],
    words: &'static str,
) -> Binding {
    Binding {
        keys,
        codes,
        actions,
        words,
        changes: false,
    }
}

/// The sections of the help with their keys.
#[rustfmt::skip]
pub(crate) static TABLE: &[(&str, &[Binding])] = &[
    ("Tabs and panes", &[
        bind("1 to 5", &[(KeyCode::Char('1'), NONE), (KeyCode::Char('2'), NONE), (KeyCode::Char('3'), NONE), (KeyCode::Char('4'), NONE),
            (KeyCode::Char('5'), NONE)], &[Action::Tab(0), Action::Tab(1), Action::Tab(2), Action::Tab(3), Action::Tab(4)],
            "Overview, CPU, Memory, Disk, Network"),
        bind("Tab, Shift+Tab", &[(KeyCode::Tab, NONE), (KeyCode::BackTab, KeyModifiers::SHIFT), (KeyCode::BackTab, NONE)],
            &[Action::NextTab, Action::PreviousTab], "next tab, tab before"),
        bind("Right, Left", &[(KeyCode::Right, NONE), (KeyCode::Left, NONE)], &[Action::NextPane, Action::PreviousPane],
            "next pane, pane before"),
        bind("e", &[(KeyCode::Char('e'), NONE)], &[Action::Expand], "expand the pane to the whole screen, or restore it"),
        bind("z", &[(KeyCode::Char('z'), NONE)], &[Action::Fold], "collapse or open the pane"),
    ]),
    ("Rows", &[
        bind("Up, Down", &[(KeyCode::Up, NONE), (KeyCode::Down, NONE)], &[Action::Move(-1), Action::Move(1)], "move the selection"),
        bind("PgUp, PgDn", &[(KeyCode::PageUp, NONE), (KeyCode::PageDown, NONE)], &[Action::Page(-1), Action::Page(1)], "by pages"),
        bind("Home, End", &[(KeyCode::Home, NONE), (KeyCode::End, NONE)], &[Action::First, Action::Last], "first row, last row"),
        bind("Space", &[(KeyCode::Char(' '), NONE)], &[Action::Mark],
            "mark the process: the other panes and the graphs show only what is marked"),
        bind("/", &[(KeyCode::Char('/'), NONE)], &[Action::Filter],
            "filter: a part of a program's name, or as in the list: port 443 state ESTABLISHED"),
        bind("u", &[(KeyCode::Char('u'), NONE)], &[Action::Clear], "clear all marks and the filter"),
        bind("f, F3", &[(KeyCode::Char('f'), NONE), (KeyCode::F(3), NONE)], &[Action::Find, Action::FindNext],
            "find a text in the pane, find the next"),
        bind("<, >", &[(KeyCode::Char('<'), NONE), (KeyCode::Char('>'), NONE)], &[Action::SortLeft, Action::SortRight],
            "sort by the column to the left, to the right"),
        bind("r", &[(KeyCode::Char('r'), NONE)], &[Action::Reverse], "reverse the order"),
        bind("C", &[(KeyCode::Char('C'), NONE)], &[Action::Columns], "choose columns"),
        bind("t", &[(KeyCode::Char('t'), NONE)], &[Action::Tree], "processes below their parent, below their unit, or flat"),
        bind("G", &[(KeyCode::Char('G'), NONE)], &[Action::Grouping],
            "group sockets by program, unit, container, peer, network, country, AS; Enter opens one"),
        bind("h", &[(KeyCode::Char('h'), NONE)], &[Action::Short],
            "connections shorter than a refresh: folded per program and peer, listed, hidden"),
    ]),
    ("Inspect and act", &[
        bind("Enter", &[(KeyCode::Enter, NONE)], &[Action::Inspect], "details of the process, connection or listener"),
        bind("o", &[(KeyCode::Char('o'), NONE)], &[Action::Handles],
            "open files of the process with their rates, and the modules it has loaded"),
        bind("a", &[(KeyCode::Char('a'), NONE)], &[Action::Audit], "findings of the audit, worst first; ! marks the rows they are about"),
        bind("l", &[(KeyCode::Char('l'), NONE)], &[Action::Log], "log of listeners and findings that appeared"),
        Binding { changes: true, ..bind("k", &[(KeyCode::Char('k'), NONE)], &[Action::Kill], "send a signal to the process, after a confirmation") },
        Binding { changes: true, ..bind("c", &[(KeyCode::Char('c'), NONE)], &[Action::Close],
            "close the TCP connection, after a confirmation") },
        bind("y", &[(KeyCode::Char('y'), NONE)], &[Action::Copy], "copy the row to the clipboard (OSC 52)"),
        bind("s", &[(KeyCode::Char('s'), NONE)], &[Action::Save], "save the pane as JSON or CSV"),
    ]),
    ("Screen", &[
        bind("p", &[(KeyCode::Char('p'), NONE)], &[Action::Freeze], "freeze or resume the screen"),
        bind("+, -", &[(KeyCode::Char('+'), NONE), (KeyCode::Char('-'), NONE)], &[Action::Faster, Action::Slower],
            "refresh more often, less often"),
        bind("n", &[(KeyCode::Char('n'), NONE)], &[Action::Names], "names or numbers"),
        bind("g", &[(KeyCode::Char('g'), NONE)], &[Action::Span], "graphs of 60 seconds or 10 minutes"),
        bind("T", &[(KeyCode::Char('T'), NONE)], &[Action::Theme], "next theme"),
        bind("?, F1", &[(KeyCode::Char('?'), NONE), (KeyCode::F(1), NONE)], &[Action::Help], "this help"),
        bind("Ctrl+L", &[(KeyCode::Char('l'), CONTROL)], &[Action::Redraw], "redraw the screen"),
        bind("Ctrl+Z", &[(KeyCode::Char('z'), CONTROL)], &[Action::Suspend], "suspend; fg resumes"),
        bind("Esc", &[(KeyCode::Esc, NONE)], &[Action::Escape], "close what is open; select the first row"),
        bind("q, Ctrl+C", &[(KeyCode::Char('q'), NONE), (KeyCode::Char('c'), CONTROL)], &[Action::Quit], "quit"),
    ]),
];

/// Returns the action of a key; `None` if it has none.
pub(crate) fn action(key: &KeyEvent, read_only: bool) -> Option<Action> {
    // Terminals may or may not report the Shift modifier with a capital letter.
    let modifiers = match key.code {
        KeyCode::Char(_) => key.modifiers.difference(KeyModifiers::SHIFT),
        _ => key.modifiers,
    };
    let bindings = TABLE.iter().flat_map(|(_, bindings)| *bindings);
    for binding in bindings.filter(|binding| !(read_only && binding.changes)) {
        if let Some(place) = binding
            .codes
            .iter()
            .position(|&(code, with)| code == key.code && with == modifiers)
        {
            return binding.actions.get(place).or(binding.actions.last()).copied();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_bindings_use_each_key_once() {
        let mut seen = std::collections::HashSet::new();
        for binding in TABLE.iter().flat_map(|(_, bindings)| *bindings) {
            for code in binding.codes {
                assert!(seen.insert(*code), "{:?}", code);
            }
            assert!(
                !binding.words.is_empty() && binding.words.len() < 90,
                "{}",
                binding.keys
            );
        }
    }

    #[test]
    fn keys_that_change_something_do_nothing_when_read_only() {
        let key = |c| KeyEvent::new(KeyCode::Char(c), NONE);
        assert_eq!(action(&key('k'), false), Some(Action::Kill));
        assert_eq!(action(&key('k'), true), None);
        assert_eq!(action(&key('c'), true), None);
        assert_eq!(
            action(&KeyEvent::new(KeyCode::Char('T'), KeyModifiers::SHIFT), true),
            Some(Action::Theme)
        );
        assert_eq!(
            action(&KeyEvent::new(KeyCode::BackTab, KeyModifiers::SHIFT), true),
            Some(Action::PreviousTab)
        );
    }
}
