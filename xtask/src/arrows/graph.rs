//! The graph of which module or crate uses which, and the problems in it.

use std::collections::{BTreeMap, BTreeSet};

/// The uses between the members of a scope, each with the first place where it occurs.
#[derive(Debug, Default)]
pub(super) struct Graph {
    members: BTreeSet<String>,
    uses: BTreeMap<(String, String), String>,
}

impl Graph {
    /// Builds the graph of crates with their dependencies.
    pub(super) fn between_crates<'a>(crates: impl IntoIterator<Item = (&'a String, &'a BTreeSet<String>)>) -> Graph {
        let mut graph = Graph::default();
        for (name, dependencies) in crates {
            graph.add_member(name);
            for dependency in dependencies {
                graph.add_use(name, dependency, "Cargo.toml");
            }
        }
        graph
    }

    /// Adds a member, even if it neither uses another one nor is used.
    pub(super) fn add_member(&mut self, name: &str) {
        self.members.insert(name.to_owned());
    }

    /// Adds that `user` uses `used` at `place`. A member's use of itself is ignored.
    pub(super) fn add_use(&mut self, user: &str, used: &str, place: &str) {
        if user != used {
            let key = (user.to_owned(), used.to_owned());
            self.uses.entry(key).or_insert_with(|| place.to_owned());
        }
    }

    /// Describes a cycle in one line, with the uses that cause it.
    pub(super) fn describe(&self, scope: &str, cycle: &[String]) -> String {
        let within = |(user, used): &&(String, String)| cycle.contains(user) && cycle.contains(used);
        let places: Vec<String> = self
            .uses
            .keys()
            .filter(within)
            .map(|key| format!("{} -> {} ({})", key.0, key.1, self.uses[key]))
            .collect();
        format!("{scope}: a cycle of {}: {}", cycle.join(", "), places.join("; "))
    }

    /// Returns the uses that violate `order`, which contains the layers from the bottom up.
    pub(super) fn breaches(&self, scope: &str, order: &[Vec<String>]) -> Vec<String> {
        let mut problems = Vec::new();
        let mut layers: BTreeMap<&str, usize> = BTreeMap::new();
        for (layer, names) in order.iter().enumerate() {
            for name in names {
                if layers.insert(name, layer).is_some() {
                    problems.push(format!("{scope}: ARCHITECTURE.md names `{name}` twice"));
                }
                if !self.members.contains(name) {
                    problems.push(format!("{scope}: ARCHITECTURE.md names `{name}`, which does not exist"));
                }
            }
        }
        for name in self.members.iter().filter(|name| !layers.contains_key(name.as_str())) {
            problems.push(format!(
                "{scope}: `{name}` has no place in the order of ARCHITECTURE.md"
            ));
        }
        for ((user, used), place) in &self.uses {
            if let (Some(upper), Some(lower)) = (layers.get(user.as_str()), layers.get(used.as_str()))
                && lower >= upper
            {
                problems.push(format!(
                    "{scope}: `{user}` uses `{used}`, which is not below it ({place})"
                ));
            }
        }
        problems
    }

    /// Returns the groups of members that can reach each other, each ordered by name.
    pub(super) fn cycles(&self) -> Vec<Vec<String>> {
        let reached: BTreeMap<&str, BTreeSet<&str>> = self
            .members
            .iter()
            .map(|name| (name.as_str(), self.reached_from(name)))
            .collect();
        let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
        for (name, reach) in &reached {
            if reach.contains(name) {
                let back = |other: &&&str| reached.get(**other).is_some_and(|reach| reach.contains(name));
                found.insert(reach.iter().filter(back).map(|other| (*other).to_owned()).collect());
            }
        }
        found.into_iter().collect()
    }

    /// Returns everything that `name` uses, directly or indirectly.
    fn reached_from<'a>(&'a self, name: &'a str) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut open = vec![name];
        while let Some(next) = open.pop() {
            for (_, used) in self.uses.keys().filter(|(user, _)| user == next) {
                if reached.insert(used.as_str()) {
                    open.push(used);
                }
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(uses: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::default();
        for (user, used) in uses {
            graph.add_member(user);
            graph.add_member(used);
            graph.add_use(user, used, "file.rs");
        }
        graph
    }

    fn problems(graph: &Graph, order: Option<&Vec<Vec<String>>>) -> Vec<String> {
        let mut problems = order.map_or_else(Vec::new, |order| graph.breaches("s", order));
        problems.extend(graph.cycles().iter().map(|cycle| graph.describe("s", cycle)));
        problems
    }

    fn order(layers: &[&[&str]]) -> Vec<Vec<String>> {
        layers
            .iter()
            .map(|layer| layer.iter().map(|name| (*name).to_owned()).collect())
            .collect()
    }

    #[test]
    fn problems_uses_that_go_down_give_none() {
        let graph = graph(&[("c", "b"), ("b", "a"), ("c", "a")]);
        assert_eq!(problems(&graph, Some(&order(&[&["a"], &["b"], &["c"]]))), [""; 0]);
        assert_eq!(problems(&graph, None), [""; 0]);
    }

    #[test]
    fn problems_use_of_a_higher_or_equal_layer_is_named_with_its_place() {
        let graph = graph(&[("a", "b")]);
        for layers in [order(&[&["a"], &["b"]]), order(&[&["a", "b"]])] {
            let problems = problems(&graph, Some(&layers));
            assert_eq!(problems, ["s: `a` uses `b`, which is not below it (file.rs)"]);
        }
    }

    #[test]
    fn problems_cycle_is_found_without_an_order() {
        let problems = problems(&graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]), None);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("s: a cycle of a, b, c: "), "{problems:?}");
    }

    #[test]
    fn problems_member_without_a_layer_and_layer_without_a_member_are_named() {
        let problems = problems(&graph(&[("a", "b")]), Some(&order(&[&["b", "gone"]])));
        assert!(
            problems
                .iter()
                .any(|line| line.contains("`gone`, which does not exist"))
        );
        assert!(problems.iter().any(|line| line.contains("`a` has no place")));
    }

    #[test]
    fn between_crates_dependency_on_a_higher_crate_is_named() {
        let (low, high) = ("low".to_owned(), "high".to_owned());
        let (of_low, of_high) = (BTreeSet::from([high.clone()]), BTreeSet::new());
        let graph = Graph::between_crates([(&low, &of_low), (&high, &of_high)]);
        let problems = graph.breaches("workspace", &order(&[&["low"], &["high"]]));
        assert_eq!(
            problems,
            ["workspace: `low` uses `high`, which is not below it (Cargo.toml)"]
        );
    }
}
