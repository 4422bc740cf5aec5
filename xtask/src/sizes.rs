//! Checks that functions, parameter lists and files are small enough to be read in one go.
//!
//! Test code (`#[cfg(test)]`, `#[test]`, `tests/`) may be longer, because a scenario is best read from top to bottom.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, ImplItemFn, ItemFn, ItemMod, Signature, TraitItemFn};

/// The maximum number of lines of a function, from its signature to its closing brace.
const MOST_FUNCTION_LINES: usize = 80;
/// The maximum number of parameters, not counting `self`.
const MOST_PARAMETERS: usize = 6;
/// The maximum number of lines of a file, including unit tests.
const MOST_FILE_LINES: usize = 700;

/// What may be larger, as `FILE` or `FILE FUNCTION`, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "crates/netstat-model/src/columns/sockets.rs column",
        "one row of the table of columns has seven cells",
    ),
    ("crates/netstat-monitor/src/theme.rs theme", "a table of colours"),
];

/// Checks every source file in `crates/` and `xtask/`.
///
/// # Errors
/// Returns an error if a file cannot be read or is not valid Rust.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let mut files = Vec::new();
    for parent in ["crates", "xtask"] {
        collect(Path::new(parent), &mut files)?;
    }
    let mut problems = Vec::new();
    for path in &files {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let name = path.to_string_lossy().replace('\\', "/");
        problems.extend(problems_of(&name, &text)?);
    }
    let mut unused: BTreeSet<&str> = EXCEPTIONS.iter().map(|(name, _)| *name).collect();
    problems.retain(|problem| !unused.remove(problem.subject.as_str()) && !is_excepted(&problem.subject));
    for problem in &problems {
        eprintln!("sizes: {}: {}", problem.subject, problem.what);
    }
    for name in &unused {
        eprintln!("sizes: {name}: is small enough now: delete its exception in xtask/src/sizes.rs");
    }
    if problems.is_empty() && unused.is_empty() {
        println!("{} files: none too long, no function either", files.len());
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

fn is_excepted(subject: &str) -> bool {
    EXCEPTIONS.iter().any(|(name, _)| *name == subject)
}

/// Collects the sources of programs and libraries, without directories of tests, examples and benchmarks.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !matches!(&*name, "tests" | "examples" | "benches" | "target") {
                collect(&path, files)?;
            }
        } else if name.ends_with(".rs") && !matches!(&*name, "tests.rs" | "testing.rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Something that is too large.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    /// `FILE` or `FILE FUNCTION`.
    subject: String,
    what: String,
}

/// Returns what is too large in a file.
fn problems_of(name: &str, text: &str) -> anyhow::Result<Vec<Problem>> {
    let file = syn::parse_file(text).with_context(|| name.to_owned())?;
    let mut reader = Reader {
        file: name,
        problems: Vec::new(),
    };
    let lines = text.lines().count();
    if lines > MOST_FILE_LINES {
        reader.problems.push(Problem {
            subject: name.to_owned(),
            what: format!("{lines} lines, more than {MOST_FILE_LINES}"),
        });
    }
    reader.visit_file(&file);
    Ok(reader.problems)
}

struct Reader<'a> {
    file: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn measure(&mut self, signature: &Signature, body: Option<&Block>) {
        let mut report = |what: String| {
            self.problems.push(Problem {
                subject: format!("{} {}", self.file, signature.ident),
                what,
            });
        };
        let inputs = signature.inputs.iter();
        let parameters = inputs.filter(|input| matches!(input, syn::FnArg::Typed(_))).count();
        if parameters > MOST_PARAMETERS {
            report(format!("{parameters} parameters, more than {MOST_PARAMETERS}"));
        }
        if let Some(body) = body {
            let lines = body.brace_token.span.close().end().line - signature.fn_token.span.start().line + 1;
            if lines > MOST_FUNCTION_LINES {
                report(format!("{lines} lines, more than {MOST_FUNCTION_LINES}"));
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        if !is_test(&function.attrs) {
            self.measure(&function.sig, Some(&function.block));
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !is_test(&function.attrs) {
            self.measure(&function.sig, Some(&function.block));
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        self.measure(&function.sig, function.default.as_ref());
        visit::visit_trait_item_fn(self, function);
    }
}

/// Whether there is a `#[test]`, or a `#[cfg(...)]` that contains `test`.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let names_test = |list: &syn::MetaList| {
            list.tokens
                .to_string()
                .split(|c: char| !c.is_alphanumeric())
                .any(|word| word == "test")
        };
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg") && attribute.meta.require_list().is_ok_and(names_test)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(text: &str) -> Vec<String> {
        let problems = problems_of("a.rs", text).unwrap();
        problems.into_iter().map(|problem| problem.subject).collect()
    }

    fn function(name: &str, lines: usize) -> String {
        format!("fn {name}() {{\n{}}}\n", "    call();\n".repeat(lines - 2))
    }

    #[test]
    fn problems_of_function_beyond_limit_is_reported_and_one_at_limit_is_not() {
        let text = function("fits", MOST_FUNCTION_LINES) + &function("long", MOST_FUNCTION_LINES + 1);
        assert_eq!(subjects(&text), ["a.rs long"]);
    }

    #[test]
    fn problems_of_parameters_counts_them_without_self() {
        let six = "impl A { fn six(&self, a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {} }\n";
        let seven = "trait B { fn seven(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8); }\n";
        assert_eq!(subjects(&format!("{six}{seven}")), ["a.rs seven"]);
    }

    #[test]
    fn problems_of_tests_are_left_out() {
        let long = function("long", MOST_FUNCTION_LINES + 1);
        assert_eq!(subjects(&format!("#[cfg(test)]\nmod tests {{\n{long}}}\n")), [""; 0]);
        assert_eq!(subjects(&format!("#[test]\n{long}")), [""; 0]);
    }

    #[test]
    fn problems_of_long_file_is_reported() {
        assert_eq!(subjects(&"// A line.\n".repeat(MOST_FILE_LINES + 1)), ["a.rs"]);
        assert_eq!(subjects(&"// A line.\n".repeat(MOST_FILE_LINES)), [""; 0]);
    }
}
