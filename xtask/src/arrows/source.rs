//! Finds the modules of a crate and the paths used in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, UseTree};

use super::graph::Graph;

/// The path of a module from the root of the crate: `["linux", "sockets"]`; empty for the root.
type Module = Vec<String>;

/// The maximum number of re-exports and imports that are followed for a name; more are a cycle.
const MOST_STEPS: usize = 8;

/// The modules of a crate, and the paths that each of them uses.
#[derive(Debug, Default)]
pub(super) struct Crate {
    /// The name of the crate as used in paths: `netstat_model`.
    name: String,
    title: String,
    modules: BTreeSet<Module>,
    /// What the names that a module imports refer to: (module, name) to a path from the root.
    imports: BTreeMap<(Module, String), Vec<String>>,
    /// The paths from the root as written, each with the module that uses it.
    paths: Vec<(Module, Vec<String>)>,
}

impl Crate {
    /// Reads every source file in `directory`.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read or is not valid Rust.
    pub(super) fn read(name: &str, directory: &Path) -> anyhow::Result<Crate> {
        let mut files = Vec::new();
        collect(directory, &mut Vec::new(), &mut files)?;
        Crate::parse(name, files)
    }

    /// Like [`Crate::read`], for files given by their path components: `["linux", "mod.rs"]`.
    fn parse(name: &str, files: Vec<(Vec<String>, String)>) -> anyhow::Result<Crate> {
        let mut sources = Vec::new();
        let mut test_only: BTreeSet<Module> = BTreeSet::new();
        for (path, text) in files {
            let module = module_of(&path);
            let file = syn::parse_file(&text).with_context(|| format!("{name}: src/{}", path.join("/")))?;
            for item in &file.items {
                if let Item::Mod(child) = item
                    && child.content.is_none()
                    && is_test(&child.attrs)
                {
                    test_only.insert(below(&module, &child.ident.to_string()));
                }
            }
            sources.push((module, file));
        }
        sources.retain(|(module, _)| !(0..=module.len()).any(|end| test_only.contains(&module[..end])));
        let mut code = Crate {
            name: name.replace('-', "_"),
            title: name.to_owned(),
            ..Crate::default()
        };
        code.modules = sources.iter().map(|(module, _)| module.clone()).collect();
        code.modules.insert(Module::new());
        // All modules must be known before modules can be distinguished from other names in a path.
        for (module, file) in &sources {
            let mut inline = Inline {
                at: module.clone(),
                found: &mut code.modules,
            };
            inline.visit_file(file);
        }
        for (module, file) in &sources {
            let mut reader = Reader {
                at: module.clone(),
                code: &mut code,
            };
            reader.visit_file(file);
        }
        Ok(code)
    }

    /// Returns the graph of each set of sibling modules: `CRATE`, `CRATE/module`, ...
    pub(super) fn scopes(&self) -> BTreeMap<String, Graph> {
        let mut scopes: BTreeMap<String, Graph> = BTreeMap::new();
        let scope = |parent: &[String]| {
            let mut name = vec![self.title.clone()];
            name.extend_from_slice(parent);
            name.join("/")
        };
        for module in &self.modules {
            if let Some((last, parent)) = module.split_last() {
                scopes.entry(scope(parent)).or_default().add_member(last);
            }
        }
        for (user, path) in &self.paths {
            let used = self.resolve(path, MOST_STEPS);
            let common = user.iter().zip(&used).take_while(|(a, b)| a == b).count();
            if let (Some(from), Some(to)) = (user.get(common), used.get(common)) {
                let place = format!("{} names {}", user.join("::"), path.join("::"));
                scopes
                    .entry(scope(&used[..common]))
                    .or_default()
                    .add_use(from, to, &place);
            }
        }
        scopes
    }

    /// Returns the module that defines what a path refers to, as far as imports can be followed.
    fn resolve(&self, path: &[String], steps: usize) -> Module {
        let known = (0..=path.len()).rev().find(|&end| self.modules.contains(&path[..end]));
        let (module, rest) = path.split_at(known.unwrap_or(0));
        if let Some(name) = rest.first()
            && steps > 0
            && let Some(origin) = self.imports.get(&(module.to_vec(), name.clone()))
            && origin.as_slice() != path
        {
            let mut path = origin.clone();
            path.extend_from_slice(&rest[1..]);
            return self.resolve(&path, steps - 1);
        }
        module.to_vec()
    }

    /// Returns the path from the root that `segments`, written in `module`, refers to; `None` for other crates and
    /// local names.
    fn absolute(&self, module: &[String], segments: &[String]) -> Option<Vec<String>> {
        let (first, rest) = segments.split_first()?;
        let mut path = match first.as_str() {
            "crate" => Vec::new(),
            "self" => module.to_vec(),
            "super" => module.split_last()?.1.to_vec(),
            // The library of the program itself.
            name if name == self.name => Vec::new(),
            name if self.modules.contains(&below(module, name)) => below(module, name),
            _ => return None,
        };
        for segment in rest {
            match segment.as_str() {
                "super" => drop(path.pop()),
                "self" => {}
                name => path.push(name.to_owned()),
            }
        }
        Some(path)
    }

    fn note(&mut self, module: &[String], segments: &[String]) {
        if let Some(path) = self.absolute(module, segments) {
            self.paths.push((module.to_vec(), path));
        }
    }
}

/// Reads the files in `directory`, in no particular order.
fn collect(directory: &Path, at: &mut Vec<String>, files: &mut Vec<(Vec<String>, String)>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        at.push(name.to_owned());
        if path.is_dir() {
            collect(&path, at, files)?;
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            files.push((at.clone(), text));
        }
        at.pop();
    }
    Ok(())
}

/// Returns the module that a file contains. `main.rs` next to a library is a module of its own.
fn module_of(path: &[String]) -> Module {
    let mut module = path.to_vec();
    match module.pop().as_deref().and_then(|file| file.strip_suffix(".rs")) {
        None | Some("lib" | "mod") => {}
        Some(name) => module.push(name.to_owned()),
    }
    module
}

fn below(module: &[String], name: &str) -> Module {
    let mut path = module.to_vec();
    path.push(name.to_owned());
    path
}

/// Whether an item is compiled for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        if attribute.path().is_ident("test") {
            return true;
        }
        let list = attribute.meta.require_list();
        attribute.path().is_ident("cfg") && list.is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

/// Finds modules that are defined inside a file.
struct Inline<'a> {
    at: Module,
    found: &'a mut BTreeSet<Module>,
}

impl<'ast> Visit<'ast> for Inline<'_> {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if module.content.is_none() || is_test(&module.attrs) {
            return;
        }
        self.at.push(module.ident.to_string());
        self.found.insert(self.at.clone());
        visit::visit_item_mod(self, module);
        self.at.pop();
    }
}

/// Collects the imports and paths of a file.
struct Reader<'a> {
    at: Module,
    code: &'a mut Crate,
}

impl Reader<'_> {
    fn read_use(&mut self, tree: &UseTree, prefix: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.read_use(&path.tree, prefix);
                prefix.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.read_use(tree, prefix);
                }
            }
            UseTree::Glob(_) => self.code.note(&self.at, prefix),
            UseTree::Name(name) => self.import(prefix, &name.ident.to_string(), &name.ident.to_string()),
            UseTree::Rename(rename) => self.import(prefix, &rename.ident.to_string(), &rename.rename.to_string()),
        }
    }

    fn import(&mut self, prefix: &[String], original: &str, name: &str) {
        let segments = below(prefix, original);
        if let Some(path) = self.code.absolute(&self.at, &segments) {
            // `use module::{self}` imports the module under its own name.
            let name = if original == "self" {
                path.last().cloned()
            } else {
                Some(name.to_owned())
            };
            if let Some(name) = name {
                self.code.imports.insert((self.at.clone(), name), path);
            }
        }
        self.code.note(&self.at, &segments);
    }

    /// Collects the paths among the tokens of a macro call, which is not parsed.
    fn read_tokens(&mut self, text: &str) {
        // Tokens are printed with at most one space around `::`.
        for (at, _) in text.match_indices("::") {
            let before = text[..at].trim_end();
            let begin = before.rfind(|letter: char| !is_name(letter)).map_or(0, |at| at + 1);
            let first = &before[begin..];
            // This is in the middle of a path.
            if first.is_empty() || before[..begin].trim_end().ends_with("::") {
                continue;
            }
            let mut segments = vec![first.to_owned()];
            let mut rest = &text[at..];
            while let Some(next) = rest.trim_start().strip_prefix("::") {
                let next = next.trim_start();
                let end = next.find(|letter: char| !is_name(letter)).unwrap_or(next.len());
                if end == 0 {
                    break;
                }
                segments.push(next[..end].to_owned());
                rest = &next[end..];
            }
            self.code.note(&self.at, &segments);
        }
    }
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Visits an item unless it is compiled for tests only.
macro_rules! skip_tests {
    ($($method:ident: $item:ident),* $(,)?) => {$(
        fn $method(&mut self, item: &'ast syn::$item) {
            if !is_test(&item.attrs) {
                visit::$method(self, item);
            }
        }
    )*};
}

impl<'ast> Visit<'ast> for Reader<'_> {
    skip_tests! {
        visit_item_fn: ItemFn,
        visit_item_impl: ItemImpl,
        visit_item_struct: ItemStruct,
        visit_item_enum: ItemEnum,
        visit_item_const: ItemConst,
        visit_item_static: ItemStatic,
        visit_impl_item_fn: ImplItemFn,
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if module.content.is_none() || is_test(&module.attrs) {
            return;
        }
        self.at.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.at.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.read_use(&item.tree, &mut Vec::new());
        }
    }

    // A visibility such as `pub(in crate::a)` is not a use.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.code.note(&self.at, &segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.read_tokens(&call.tokens.to_string());
        visit::visit_macro(self, call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(files: &[(&str, &str)]) -> Vec<String> {
        let files = files
            .iter()
            .map(|(path, text)| (path.split('/').map(str::to_owned).collect(), (*text).to_owned()));
        let code = Crate::parse("made-up", files.collect()).unwrap();
        code.scopes()
            .iter()
            .flat_map(|(scope, graph)| {
                graph
                    .cycles()
                    .into_iter()
                    .map(|cycle| graph.describe(scope, &cycle))
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    /// A tree in which `a` uses `b`, and `b` contains `text`.
    fn with_back_arrow(text: &str) -> Vec<String> {
        problems(&[
            ("lib.rs", "mod a; mod b; pub use a::Thing;"),
            ("a.rs", "use crate::b::Other; pub struct Thing;"),
            ("b/mod.rs", text),
        ])
    }

    #[test]
    fn scopes_one_way_uses_have_no_problem() {
        assert_eq!(with_back_arrow("pub struct Other; use std::fmt;"), [""; 0]);
    }

    #[test]
    fn scopes_back_arrow_is_found_however_it_is_written() {
        for text in [
            "use crate::a::Thing;",
            "use super::a::Thing;",
            "use crate::{a, a::Thing};",
            "use crate::Thing;",
            "fn f() { crate::a::g() }",
            "fn f() { println!(\"{}\", crate::a::g()) }",
            "fn f(_: &super::a::Thing) {}",
            "mod inner { use super::super::a::Thing; }",
            "pub(crate) use crate::a::*;",
        ] {
            let found = with_back_arrow(text);
            assert!(
                found.iter().any(|line| line.contains("made-up: a cycle of a, b")),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn scopes_test_code_is_left_out() {
        for text in [
            "#[cfg(test)] mod tests { use crate::a::Thing; }",
            "#[cfg(test)] use crate::a::Thing;",
            "#[cfg(test)] fn f() { crate::a::g() }",
        ] {
            assert_eq!(with_back_arrow(text), [""; 0], "{text}");
        }
        let apart = problems(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::Other;"),
            ("b/mod.rs", "#[cfg(test)] mod testing;"),
            ("b/testing.rs", "use crate::a::Thing;"),
        ]);
        assert_eq!(apart, [""; 0]);
    }

    #[test]
    fn scopes_cycle_of_inner_modules_is_named_with_their_parent() {
        let found = problems(&[
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod x; mod y;"),
            ("a/x.rs", "use super::y::Y;"),
            ("a/y.rs", "use crate::a::x::X;"),
        ]);
        assert!(found[0].starts_with("made-up/a: a cycle of x, y: "), "{found:?}");
    }

    #[test]
    fn parse_what_is_not_rust_is_refused_with_the_file() {
        let error = Crate::parse("made-up", vec![(vec!["lib.rs".to_owned()], "fn".to_owned())]).unwrap_err();
        assert!(format!("{error:#}").contains("src/lib.rs"));
    }
}
