//! Checks that the dependencies between modules and crates point in one direction, as ARCHITECTURE.md states.
//!
//! The order is stated in a fenced block of ARCHITECTURE.md with the language `arrows`. Each line contains a scope and
//! its layers from the bottom up: `scope: a, b < c < d`. The scope `workspace` orders crates, `CRATE` the top-level
//! modules of a crate, and `CRATE/module` the modules within one. A module may use the layers below its own, but
//! neither its own layer nor one above. A scope without a line must only be free of cycles. `cycle SCOPE: a, b`
//! tolerates one known cycle; the line must be removed together with it.
//!
//! Test code (`#[cfg(test)]`) may use everything. A parent module and its content count as one.

mod graph;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};

use graph::Graph;
use source::Crate;

/// The scope that orders crates.
const WORKSPACE: &str = "workspace";

/// The content of the block in ARCHITECTURE.md.
#[derive(Debug, Default)]
struct Orders {
    /// The layers of every scope that has a line, from the bottom up.
    layers: BTreeMap<String, Vec<Vec<String>>>,
    /// The tolerated cycles: the scope, and the members ordered by name.
    cycles: BTreeSet<(String, Vec<String>)>,
}

/// Checks every crate of the workspace in the current directory.
///
/// # Errors
/// Returns an error if a file cannot be read or parsed.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let page = std::fs::read_to_string("ARCHITECTURE.md").context("ARCHITECTURE.md")?;
    let mut orders = orders(&page)?;
    let packages = packages()?;
    let mut problems = Vec::new();
    let mut checked = BTreeSet::from([WORKSPACE.to_owned()]);
    let between = Graph::between_crates(packages.iter().map(|package| (&package.name, &package.dependencies)));
    problems.extend(orders.problems(&between, WORKSPACE));
    for package in &packages {
        let code = Crate::read(&package.name, Path::new(&package.source))?;
        for (scope, graph) in code.scopes() {
            problems.extend(orders.problems(&graph, &scope));
            checked.insert(scope);
        }
    }
    let gone = orders.cycles.iter();
    problems.extend(
        gone.map(|(scope, members)| format!("{scope}: the cycle of {} is gone: delete its line", members.join(", "))),
    );
    let unknown = orders.layers.keys().filter(|scope| !checked.contains(*scope));
    problems.extend(unknown.map(|scope| format!("ARCHITECTURE.md orders `{scope}`, which does not exist")));
    if problems.is_empty() {
        println!(
            "{} crates, {} scopes: all arrows go one way",
            packages.len(),
            checked.len()
        );
        return Ok(ExitCode::SUCCESS);
    }
    for problem in &problems {
        eprintln!("arrows: {problem}");
    }
    Ok(ExitCode::FAILURE)
}

impl Orders {
    /// Returns the problems in a scope. Tolerated cycles that are found are removed from the list.
    fn problems(&mut self, graph: &Graph, scope: &str) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(layers) = self.layers.get(scope) {
            problems.extend(graph.breaches(scope, layers));
        }
        for cycle in graph.cycles() {
            if !self.cycles.remove(&(scope.to_owned(), cycle.clone())) {
                problems.push(graph.describe(scope, &cycle));
            }
        }
        problems
    }
}

/// Parses the layers in the text of ARCHITECTURE.md.
fn orders(page: &str) -> anyhow::Result<Orders> {
    let mut lines = page
        .lines()
        .skip_while(|line| line.trim() != "```arrows")
        .skip(1)
        .peekable();
    if lines.peek().is_none() {
        bail!("ARCHITECTURE.md has no block ```arrows");
    }
    let mut orders = Orders::default();
    for line in lines
        .take_while(|line| line.trim() != "```")
        .filter(|line| !line.trim().is_empty())
    {
        let (scope, layers) = line.split_once(':').with_context(|| format!("no scope in `{line}`"))?;
        let layers: Vec<Vec<String>> = layers
            .split('<')
            .map(|layer| layer.split(',').map(|name| name.trim().to_owned()).collect())
            .collect();
        if layers.iter().flatten().any(String::is_empty) {
            bail!("an empty name in `{line}`");
        }
        if let Some(scope) = scope.strip_prefix("cycle ") {
            let mut members: Vec<String> = layers.into_iter().flatten().collect();
            members.sort();
            orders.cycles.insert((scope.trim().to_owned(), members));
        } else if orders.layers.insert(scope.trim().to_owned(), layers).is_some() {
            bail!("two lines for `{}`", scope.trim());
        }
    }
    Ok(orders)
}

/// A member of the workspace.
struct Package {
    name: String,
    /// The directory with its source code.
    source: String,
    /// Its dependencies in the workspace, except for development dependencies.
    dependencies: BTreeSet<String>,
}

/// Returns the members of the workspace, as reported by cargo.
fn packages() -> anyhow::Result<Vec<Package>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .output()
        .context("cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let members = list(&metadata["packages"]);
    let names: BTreeSet<String> = members.iter().map(|package| text(&package["name"])).collect();
    Ok(members
        .iter()
        .map(|package| Package {
            name: text(&package["name"]),
            source: text(&package["manifest_path"]).replace("Cargo.toml", "src"),
            dependencies: list(&package["dependencies"])
                .iter()
                .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
                .map(|dependency| text(&dependency["name"]))
                .filter(|name| names.contains(name))
                .collect(),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_marked_block_gives_layers_per_scope() {
        let page = "# Text\n\n```arrows\nworkspace: a, b < c\nc: x < y\n```\n\n```text\nd: z\n```\n";
        let orders = orders(page).unwrap();
        assert_eq!(orders.layers.len(), 2);
        assert_eq!(
            orders.layers["workspace"],
            [vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]]
        );
    }

    #[test]
    fn problems_tolerated_cycle_is_left_out_and_its_line_used_up() {
        let mut graph = Graph::default();
        for (user, used) in [("a", "b"), ("b", "a")] {
            graph.add_member(user);
            graph.add_use(user, used, "file.rs");
        }
        let mut orders = orders("```arrows\ncycle s: b, a\n```\n").unwrap();
        assert_eq!(orders.problems(&graph, "s"), [""; 0]);
        assert!(orders.cycles.is_empty());
        assert_eq!(orders.problems(&graph, "s").len(), 1);
    }

    #[test]
    fn orders_broken_block_is_refused() {
        for page in [
            "no block",
            "```arrows\nwithout a colon\n```",
            "```arrows\na: b,, c\n```",
            "```arrows\na: b\na: c\n```",
        ] {
            assert!(orders(page).is_err(), "{page}");
        }
    }
}
