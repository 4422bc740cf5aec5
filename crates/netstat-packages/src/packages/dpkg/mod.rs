//! The database of dpkg, `/var/lib/dpkg`.

pub mod parse;
#[cfg(all(test, unix))]
mod tests;

use std::collections::HashMap;
use std::time::SystemTime;

use netstat_model::{Fact, Why};
use netstat_os::files::Directory;

use self::parse::{Diversion, Stanza};
use super::ownership::{Database, NoRecord, Package, Recorded};
use super::root::{MAX_LISTS, absolute, file_in, read_whole, split};
use super::search::Search;
use crate::why;

/// The administrative directory (dpkg(1)).
const ADMIN: &str = "/var/lib/dpkg";

/// Searches the database of dpkg. Returns whether there is one.
pub(super) fn search(search: &mut Search<'_>) -> bool {
    let info = search.root.dir(format!("{ADMIN}/info").as_bytes());
    let pieces = search.root.dir(format!("{ADMIN}/status.d").as_bytes());
    let mut any = false;
    for (found, path) in [(&info, "info"), (&pieces, "status.d")] {
        match found {
            Ok(_) => any = true,
            Err(error) if why(error) == Why::Gone => {}
            Err(error) => {
                any = true;
                search.trouble(Database::Dpkg, format!("{ADMIN}/{path}"), why(error));
            }
        }
    }
    if let Ok(info) = info {
        lists(search, &info, MAX_LISTS);
    }
    if let Ok(pieces) = pieces {
        distroless(search, &pieces);
    }
    any
}

/// Searches the packages of an ordinary system: `info` has a list of paths for each package, `status` their state.
/// Reads at most about `limit` bytes of lists.
fn lists(search: &mut Search<'_>, info: &Directory, limit: u64) {
    let status = search.root.read(format!("{ADMIN}/status").as_bytes());
    if let Err(error) = &status {
        search.trouble(Database::Dpkg, format!("{ADMIN}/status"), why(error));
    }
    let packages = status.as_deref().ok().map(Installed::new);
    let text = search
        .root
        .read(format!("{ADMIN}/diversions").as_bytes())
        .unwrap_or_else(|error| {
            // Without the file, nothing is diverted.
            if why(&error) != Why::Gone {
                search.trouble(Database::Dpkg, format!("{ADMIN}/diversions"), why(&error));
            }
            Vec::new()
        });
    let diverted = Diverted::new(&text, search);

    let names = match info.names() {
        Ok(names) => names,
        Err(error) => return search.trouble(Database::Dpkg, format!("{ADMIN}/info"), why(&error)),
    };
    let mut list = Vec::new();
    let mut read = 0;
    for file in &names {
        read += list.len() as u64;
        if read > limit {
            return search.trouble(Database::Dpkg, format!("{ADMIN}/info"), Why::Failed);
        }
        list.clear();
        if search.is_done() {
            return;
        }
        let Some((name, architecture)) = parse::info_name(file, b".list") else {
            continue;
        };
        let stanza = match &packages {
            // A list without an installed package is a leftover, as of a removed package that keeps its configuration.
            Some(packages) => match packages.get(name, architecture) {
                Some(stanza) if stanza.installed => stanza,
                _ => continue,
            },
            None => Stanza::bare(name, architecture),
        };
        let changed = match file_in(info, file).and_then(|file| read_whole(file, &mut list)) {
            Ok(changed) => changed,
            Err(error) => {
                let path = format!("{ADMIN}/info/{}", String::from_utf8_lossy(file));
                search.trouble(Database::Dpkg, path, why(&error));
                continue;
            }
        };
        let stem = &file[..file.len() - b".list".len()];
        let mut sums = Sums {
            info,
            stem,
            content: None,
        };
        for path in parse::lines(&list) {
            if !search.wanted.name(split(path).1) {
                continue;
            }
            for index in diverted.places(path, name, search) {
                search.found(index, || package(&stanza, path, &mut sums, Fact::Known(changed)));
            }
        }
    }
}

fn package(stanza: &Stanza<'_>, path: &[u8], sums: &mut Sums<'_>, installed: Fact<SystemTime>) -> Package {
    let conffile = stanza.conffile(path);
    let recorded = match conffile {
        Some(Some(digest)) => Recorded::Digest(digest),
        Some(None) => Recorded::None(NoRecord::Unreadable),
        None => sums.recorded(path),
    };
    describe(stanza, path, conffile.is_some(), recorded, installed)
}

fn describe(
    stanza: &Stanza<'_>,
    path: &[u8],
    configuration: bool,
    recorded: Recorded,
    installed: Fact<SystemTime>,
) -> Package {
    let text = |value: Option<&[u8]>| {
        Fact::from_option(
            value.map(|value| String::from_utf8_lossy(value).into_owned()),
            Why::Failed,
        )
    };
    Package {
        database: Database::Dpkg,
        name: String::from_utf8_lossy(stanza.name).into_owned(),
        version: text(stanza.version),
        architecture: text(stanza.architecture),
        listed_as: absolute(path),
        configuration,
        recorded,
        installed,
    }
}

/// The packages in `status`, by name.
struct Installed<'a> {
    by_name: HashMap<&'a [u8], Vec<Stanza<'a>>>,
}

impl<'a> Installed<'a> {
    fn new(status: &'a [u8]) -> Self {
        let mut by_name: HashMap<&[u8], Vec<Stanza<'_>>> = HashMap::new();
        for stanza in parse::stanzas(status) {
            by_name.entry(stanza.name).or_default().push(stanza);
        }
        Installed { by_name }
    }

    /// Returns the package that a list belongs to. `architecture` is `None` if the file name of the list has none, as
    /// for packages that can be installed only once.
    fn get(&self, name: &[u8], architecture: Option<&[u8]>) -> Option<Stanza<'a>> {
        let all = self.by_name.get(name)?;
        match architecture {
            Some(architecture) => all
                .iter()
                .find(|stanza| stanza.architecture == Some(architecture))
                .copied(),
            None => all.iter().find(|stanza| stanza.installed).or(all.first()).copied(),
        }
    }
}

/// The digests of one package, read on first use.
struct Sums<'a> {
    info: &'a Directory,
    stem: &'a [u8],
    content: Option<Result<Vec<u8>, Why>>,
}

impl Sums<'_> {
    fn recorded(&mut self, path: &[u8]) -> Recorded {
        let content = self.content.get_or_insert_with(|| {
            let name = [self.stem, b".md5sums"].concat();
            let mut content = Vec::new();
            file_in(self.info, &name)
                .and_then(|file| read_whole(file, &mut content))
                .map(|_| content)
                .map_err(|error| why(&error))
        });
        match content {
            Ok(content) => match parse::md5_of(content, path) {
                Some(Some(digest)) => Recorded::Digest(digest),
                Some(None) => Recorded::None(NoRecord::Unreadable),
                None => Recorded::None(NoRecord::NotListed),
            },
            Err(Why::Gone) => Recorded::None(NoRecord::NotKept),
            Err(why) => Recorded::None(NoRecord::NotRead(*why)),
        }
    }
}

/// The diversions that affect the requested paths.
struct Diverted<'a> {
    /// The diversions, by the real path of the file that packages list.
    by_real_path: HashMap<Vec<u8>, Diversion<'a>>,
}

impl<'a> Diverted<'a> {
    fn new(text: &'a [u8], search: &mut Search<'_>) -> Self {
        let mut by_real_path = HashMap::new();
        for diversion in parse::diversions(text) {
            let (from, to) = (split(diversion.from).1, split(diversion.to).1);
            if search.wanted.name(from) || search.wanted.name(to) {
                search.wanted.also(from);
                by_real_path.insert(search.wanted.real_path(diversion.from), diversion);
            }
        }
        Diverted { by_real_path }
    }

    /// Returns the indices of the requested paths that the line `listed` of `package` refers to.
    fn places(&self, listed: &[u8], package: &[u8], search: &mut Search<'_>) -> Vec<usize> {
        if !self.by_real_path.is_empty()
            && let Some(diversion) = self.by_real_path.get(&search.wanted.real_path(listed))
            && diversion.by != Some(package)
        {
            return search.wanted.matching(diversion.to);
        }
        search.wanted.matching(listed)
    }
}

/// Searches the packages of an image without a package manager: each has a file in `status.d` and a file
/// `NAME.md5sums`, which is also the only list of its files.
fn distroless(search: &mut Search<'_>, dir: &Directory) {
    let path = format!("{ADMIN}/status.d");
    let names = match dir.names() {
        Ok(names) => names,
        Err(error) => return search.trouble(Database::Dpkg, path, why(&error)),
    };
    let (mut sums, mut text) = (Vec::new(), Vec::new());
    for file in &names {
        if search.is_done() {
            return;
        }
        let Some(stem) = file.strip_suffix(b".md5sums") else {
            continue;
        };
        let read = file_in(dir, file)
            .and_then(|file| read_whole(file, &mut sums))
            .and_then(|_| file_in(dir, stem))
            .and_then(|file| read_whole(file, &mut text));
        if let Err(error) = read {
            search.trouble(
                Database::Dpkg,
                format!("{path}/{}", String::from_utf8_lossy(stem)),
                why(&error),
            );
            continue;
        }
        let stanza = parse::stanzas(&text).next().unwrap_or_else(|| Stanza::bare(stem, None));
        for line in parse::lines(&sums) {
            let Some((path, digest)) = parse::md5_line(line) else {
                continue;
            };
            if !search.wanted.name(split(path).1) {
                continue;
            }
            for index in search.wanted.matching(path) {
                search.found(index, || {
                    let recorded = digest.map_or(Recorded::None(NoRecord::Unreadable), Recorded::Digest);
                    // Files of an image have the time of the build, or none.
                    describe(
                        &stanza,
                        path,
                        stanza.conffile(path).is_some(),
                        recorded,
                        Fact::Unknown(Why::NotKept),
                    )
                });
            }
        }
    }
}
