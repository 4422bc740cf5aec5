//! A search for many paths in all databases.

use std::path::{Path, PathBuf};

use netstat_model::Why;

use super::ownership::{Database, Package, Problem, Trouble};
use super::root::{Root, Wanted};

/// The requested paths, the owners found so far, and the problems encountered.
pub(super) struct Search<'a> {
    pub(super) root: &'a Root,
    pub(super) wanted: Wanted<'a>,
    packages: Vec<Option<Box<Package>>>,
    missing: usize,
    troubles: Vec<Trouble>,
}

impl<'a> Search<'a> {
    pub(super) fn new<P: AsRef<Path>>(root: &'a Root, paths: &[P]) -> Self {
        Search {
            root,
            wanted: Wanted::new(root, paths),
            packages: vec![None; paths.len()],
            missing: paths.len(),
            troubles: Vec::new(),
        }
    }

    /// Whether every path has an owner, so that nothing more needs to be read.
    pub(super) fn is_done(&self) -> bool {
        self.missing == 0
    }

    /// Sets the owner of the path `index` to the package that `describe` returns, unless an owner was found before.
    pub(super) fn found(&mut self, index: usize, describe: impl FnOnce() -> Package) {
        let place = &mut self.packages[index];
        if place.is_none() {
            *place = Some(Box::new(describe()));
            self.missing -= 1;
        }
    }

    pub(super) fn trouble(&mut self, database: Database, path: impl Into<PathBuf>, why: Why) {
        self.problem(database, path, Problem::Read(why));
    }

    pub(super) fn problem(&mut self, database: Database, path: impl Into<PathBuf>, problem: Problem) {
        self.troubles.push(Trouble {
            database,
            path: path.into(),
            problem,
        });
    }

    pub(super) fn finish(self) -> (Vec<Option<Box<Package>>>, Vec<Trouble>) {
        (self.packages, self.troubles)
    }
}
