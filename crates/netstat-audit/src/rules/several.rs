//! Combines several weak signs of different kinds into one finding.

use crate::case::Case;
use crate::finding::{Check, Family, Notes, Rule};

/// The rule of this module; its `explanation` describes it.
pub(crate) static RULE: Rule = Rule {
    name: "several-signs",
    title: "several weak signs of different kinds come together in one process",
    explanation: "One weak sign alone proves nothing; independent ones support each other. Each kind of sign (who the program is, its file, its input, its memory, \
        what it hides, what it does on the network) counts once, by its gravest finding: 1 point for low, 2 for medium. With 5 points or more from 3 kinds or more \
        the process is high. Nothing is ever subtracted; an open port (open-port) is no sign and does not count. The parts are listed.",
    harmless: "a program of your own in an unusual place that does unusual things on purpose",
    technique: "T1036",
    family: Family::Identity,
    check: Check::Process(nothing),
};

/// Does nothing: [`crate::Auditor`] combines the findings after all other rules have been applied.
fn nothing(_: &Case<'_>, _: &mut Notes) {}
