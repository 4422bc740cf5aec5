//! Finds the package that owns a file, and the content that the package recorded for it.
//!
//! The databases of dpkg, rpm, apk and pacman are read offline, below any root directory: that of the system, of a
//! container (`/proc/PID/root`), or of a test. None of these databases is signed on disk, and root can modify them. A
//! match therefore means only that the file "matches its package record".
//!
//! ```no_run
//! use netstat_packages::packages::{FileOwner, Packages};
//!
//! let packages = Packages::open("/");
//! for answer in packages.owners(&["/usr/sbin/sshd", "/usr/bin/python3.11"]) {
//!     match answer.owner {
//!         FileOwner::Package(package) => println!("{} {}", package.database.name(), package.name),
//!         FileOwner::Nobody => println!("no package lists it"),
//!         FileOwner::Unknown(reason) => println!("owner unknown: {}", reason.words()),
//!     }
//! }
//! ```

pub mod apk;
pub mod dpkg;
mod origin;
mod ownership;
pub mod pacman;
mod root;
pub mod rpm;
mod search;
mod verify;

use std::io;
use std::path::Path;

pub use origin::{Manager, Origin, origin};
pub use ownership::{Database, FileOwner, NoRecord, Ownership, Package, Problem, Recorded, Trouble, Unsaid};

pub use verify::{Check, Match, verify};

use self::root::Root;
use self::search::Search;

/// The package databases below one root directory.
#[derive(Debug)]
pub struct Packages {
    root: io::Result<Root>,
}

impl Packages {
    /// Opens the databases below `root`: `/`, or `/proc/PID/root` for those that a process sees.
    ///
    /// The directory is kept open, so that the databases remain accessible if the process ends. If it cannot be opened,
    /// every answer says so.
    pub fn open(root: impl AsRef<Path>) -> Packages {
        Packages {
            root: Root::open(root.as_ref()),
        }
    }

    /// Returns the owner of each of `paths`, in the same order.
    ///
    /// A path is absolute, as seen from the root, and refers to the file itself, like `/proc/PID/exe`: links in its
    /// directories are followed within the root, a link in its last component is not. The file need not exist any more.
    ///
    /// Each file of each database is read at most once for all paths together, and reading stops when every path has an
    /// owner. It is therefore best to ask for all paths at once.
    pub fn owners<P: AsRef<Path>>(&self, paths: &[P]) -> Vec<Ownership> {
        let root = match &self.root {
            Ok(root) => root,
            Err(error) => {
                let unknown = FileOwner::Unknown(Unsaid::NoRoot(crate::why(error)));
                return answers(paths, |_| unknown.clone());
            }
        };
        let mut search = Search::new(root, paths);
        let mut any = false;
        for look in [dpkg::search, rpm::search, apk::search, pacman::search] {
            if !search.is_done() {
                any |= look(&mut search);
            }
        }
        let (mut packages, troubles) = search.finish();
        answers(paths, |index| match packages[index].take() {
            Some(package) => FileOwner::Package(package),
            None => FileOwner::none(any, &troubles),
        })
    }
}

fn answers<P: AsRef<Path>>(paths: &[P], mut owner: impl FnMut(usize) -> FileOwner) -> Vec<Ownership> {
    let answer = |(index, path): (usize, &P)| {
        let (path, owner) = (path.as_ref(), owner(index));
        let origin = if owner.package().is_none() { origin(path) } else { None };
        Ownership {
            path: path.to_owned(),
            owner,
            origin,
        }
    };
    paths.iter().enumerate().map(answer).collect()
}

impl FileOwner {
    /// Returns the answer for a file that is in none of the databases read.
    fn none(any_database: bool, troubles: &[Trouble]) -> FileOwner {
        match troubles.first() {
            Some(trouble) => FileOwner::Unknown(Unsaid::Trouble(trouble.clone())),
            None if any_database => FileOwner::Nobody,
            None => FileOwner::Unknown(Unsaid::NoDatabase),
        }
    }
}
