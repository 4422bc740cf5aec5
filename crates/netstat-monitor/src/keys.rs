//! The table of keys: what is pressed, what it does, what the help says. The help is made of it, so that it cannot be wrong.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Show the tab of this number.
    Tab(usize),
    /// The next tab.
    NextTab,
    /// The tab before.
    PreviousTab,
    /// The next pane.
    NextPane,
    /// The pane before.
    PreviousPane,
    /// Move the selection by so many rows.
    Move(i32),
    /// Move the selection by pages.
    Page(i32),
    /// To the first row.
    First,
    /// To the last row.
    Last,
    /// Mark the process, or take the mark away.
    Mark,
    /// Take all marks and the filter away.
    Clear,
    /// Ask for a filter.
    Filter,
    /// Ask for a text to find.
    Find,
    /// Find the next.
    FindNext,
    /// Sort by the column to the left.
    SortLeft,
    /// Sort by the column to the right.
    SortRight,
    /// Turn the order round.
    Reverse,
    /// Choose columns.
    Columns,
    /// The next way of hanging processes together.
    Tree,
    /// What sockets are grouped by.
    Grouping,
    /// How short connections are shown.
    Short,
    /// The log of what appeared.
    Log,
    /// Give the pane the whole screen, or take it back.
    Expand,
    /// Close or open the pane.
    Fold,
    /// Stop the screen, or let it go on.
    Freeze,
    /// Renew more often.
    Faster,
    /// Renew less often.
    Slower,
    /// Names or numbers.
    Names,
    /// 60 seconds or 10 minutes.
    Span,
    /// The next theme.
    Theme,
    /// Everything about the row.
    Inspect,
    /// What the process has open.
    Handles,
    /// Findings of the audit.
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
    /// Draw everything anew.
    Redraw,
    /// Stop the program for a while.
    Suspend,
    /// End.
    Quit,
    /// Leave what is open.
    Escape,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding {
    /// The keys, as the help names them.
    pub(crate) keys: &'static str,
    /// The keys themselves.
    pub(crate) codes: &'static [(KeyCode, KeyModifiers)],
    /// What they do, in the order of the codes; the last for all that follow.
    pub(crate) actions: &'static [Action],
    /// What the help says.
    pub(crate) words: &'static str,
    /// Whether `--read-only` takes it away.
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

/// The parts of the help with their keys.
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

/// What a key does, if anything.
pub(crate) fn action(key: &KeyEvent, read_only: bool) -> Option<Action> {
    // A capital letter may come with the shift key named or not.
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
    fn no_key_does_two_things() {
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
    fn read_only_has_no_key_that_changes_anything() {
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
