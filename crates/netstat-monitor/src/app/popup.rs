//! What lies over the screen, and what is being typed.

use std::sync::Arc;

use netstat_model::metrics::ProcessKey;

use super::Effect;
use crate::cell::Tone;
use crate::pane::{Column, Pane};

/// What lies over the screen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Popup {
    /// The keys.
    Help {
        /// The first line that is shown.
        top: usize,
    },
    /// Lines about something.
    Text {
        /// The title, safe for the terminal.
        title: String,
        /// The lines, safe for the terminal.
        lines: Vec<(String, Tone)>,
        /// The first line that is shown.
        top: usize,
    },
    /// What a process has open.
    Handles {
        /// The process.
        process: ProcessKey,
        /// The title, safe for the terminal.
        title: String,
        /// The lines, safe for the terminal.
        lines: Vec<(String, Tone)>,
        /// The first line that is shown.
        top: usize,
    },
    /// The log of what appeared.
    Log {
        /// The first line that is shown.
        top: usize,
    },
    /// A choice of signals.
    Signals {
        /// The process.
        process: ProcessKey,
        /// Its name.
        name: Arc<str>,
        /// The chosen place in `Signal::offered`.
        at: usize,
    },
    /// A question that must be answered before something happens.
    Confirm {
        /// What will happen, in lines.
        lines: Vec<String>,
        /// What happens then.
        effect: Box<Effect>,
    },
    /// A choice of columns.
    Columns {
        /// The pane.
        pane: Pane,
        /// Its columns with whether they are shown, in the order in which they stand.
        columns: Vec<(Column, bool)>,
        /// The chosen line.
        at: usize,
    },
}

/// What a typed text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PromptKind {
    /// The filter.
    Filter,
    /// A text to find.
    Find,
    /// The name of a file.
    Save,
}

/// A line that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// What it is for.
    pub(crate) kind: PromptKind,
    /// What is there.
    pub(crate) text: String,
    /// What is wrong with it.
    pub(crate) error: Option<String>,
}

impl PromptKind {
    /// What precedes the line.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            PromptKind::Filter => "Filter: ",
            PromptKind::Find => "Find: ",
            PromptKind::Save => "Save as (.json or .csv): ",
        }
    }
}
