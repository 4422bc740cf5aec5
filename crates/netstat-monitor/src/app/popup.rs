//! Windows over the screen, and the input line.

use std::sync::Arc;

use netstat_model::metrics::ProcessKey;

use super::Effect;
use crate::cell::Tone;
use crate::pane::{Column, Pane};

/// A window over the screen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Popup {
    /// The help: all keys with their actions.
    Help {
        /// The index of the first visible line.
        top: usize,
    },
    /// A text.
    Text {
        /// The title, safe to print.
        title: String,
        /// The lines, safe to print.
        lines: Vec<(String, Tone)>,
        /// The index of the first visible line.
        top: usize,
    },
    /// The open files of a process.
    Handles {
        /// The process whose files are shown.
        process: ProcessKey,
        /// The title, safe to print.
        title: String,
        /// The lines, safe to print.
        lines: Vec<(String, Tone)>,
        /// The index of the first visible line.
        top: usize,
    },
    /// The log of new listeners and findings.
    Log {
        /// The index of the first visible line.
        top: usize,
    },
    /// A choice of signals.
    Signals {
        /// The process to be signalled.
        process: ProcessKey,
        /// The name of the process.
        name: Arc<str>,
        /// The selected index in `Signal::offered`.
        at: usize,
    },
    /// A question that must be confirmed before something happens.
    Confirm {
        /// What will happen, as lines.
        lines: Vec<String>,
        /// The effect of confirming.
        effect: Box<Effect>,
    },
    /// A choice of columns.
    Columns {
        /// The pane whose columns are chosen.
        pane: Pane,
        /// All its columns in display order, with whether each is shown.
        columns: Vec<(Column, bool)>,
        /// The index of the selected line.
        at: usize,
    },
}

/// The purpose of a typed line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PromptKind {
    /// A filter for rows.
    Filter,
    /// A text to search for.
    Find,
    /// The name of a file.
    Save,
}

/// A line that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// What the line is for.
    pub(crate) kind: PromptKind,
    /// The text typed so far.
    pub(crate) text: String,
    /// The error in it, if any.
    pub(crate) error: Option<String>,
}

impl PromptKind {
    /// Returns the label before the line.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            PromptKind::Filter => "Filter: ",
            PromptKind::Find => "Find: ",
            PromptKind::Save => "Save as (.json or .csv): ",
        }
    }
}
