//! How the rules performed on the project's own test scenes: harmless re-enactments of intrusions, and everyday work
//! (`cargo xtask audit-scenes`). The figures are written by `cargo xtask audit-scenes --record`.

use crate::finding::Rule;

/// The number of scenes in which a rule had a finding of severity high or critical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The number among the scenes of intrusions.
    pub found: u32,
    /// The number among the scenes of everyday work: false alarms.
    pub alarms: u32,
}

const FIGURES: &str = include_str!("measured.tsv");

/// The key in the file for the total number of scenes.
const SCENES: &str = "scenes";

/// The key in the file for all rules together.
const ANY: &str = "any";

/// Returns the total number of scenes of each kind.
pub fn scenes() -> Measured {
    line(SCENES)
}

/// Returns the figures of all rules together.
pub fn all_rules() -> Measured {
    line(ANY)
}

/// Returns the figures of `rule`.
pub fn of_rule(rule: &Rule) -> Measured {
    line(rule.name)
}

fn line(name: &str) -> Measured {
    let parse = |line: &str| {
        let mut cells = line.split('\t');
        let is_it = cells.next()? == name;
        let mut number = || cells.next()?.parse().ok();
        is_it.then_some(Measured {
            found: number()?,
            alarms: number()?,
        })
    };
    // A rule without a line found nothing.
    let none = Measured { found: 0, alarms: 0 };
    FIGURES.lines().find_map(parse).unwrap_or(none)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RULES;

    #[test]
    fn measured_figures_name_existing_rules_within_totals() {
        let all = scenes();
        assert!(all.found > 0 && all.alarms > 0, "{all:?}");
        for line in FIGURES.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split('\t').next().unwrap();
            let known = name == SCENES || name == ANY || RULES.iter().any(|rule| rule.name == name);
            assert!(known, "{line}");
            assert!(
                super::line(name).found <= all.found && super::line(name).alarms <= all.alarms,
                "{line}"
            );
        }
    }
}
