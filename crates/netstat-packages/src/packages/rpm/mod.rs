//! The database of rpm: `rpmdb.sqlite`, used since Fedora 33, RHEL 9 and recent versions of openSUSE. The older
//! formats, Berkeley DB and ndb, are recognised but not read.

pub mod header;
mod image;

use std::collections::BTreeMap;
use std::io;

use netstat_model::{Fact, Why};
use rusqlite::{Connection, OptionalExtension, types::ValueRef};

pub use image::apply as apply_log;

use self::header::{File, Header};
use super::ownership::{Database, NoRecord, Package, Problem, Recorded};
use super::root::{absolute, epoch};
use super::search::Search;
use crate::why;

/// The locations of the database, that of newer systems first; on most systems one is a link to the other.
const PLACES: &[&str] = &["/usr/lib/sysimage/rpm", "/var/lib/rpm"];
/// The file of each format, with the name of the format if it is not supported.
const FORMS: &[(&str, Option<&str>)] = &[
    ("rpmdb.sqlite", None),
    ("Packages.db", Some("ndb")),
    ("Packages", Some("Berkeley DB")),
];
/// The maximum number of SQLite VM instructions for a look-up, a hundred times what a large system needs. It stops a
/// database that was crafted to keep its reader busy.
const MAX_STEPS: u32 = 100_000_000;
/// The number of instructions between two checks of the limit.
const STEPS_AT_ONCE: i32 = 100_000;

/// Searches the database of rpm. Returns whether there is one.
pub(super) fn search(search: &mut Search<'_>) -> bool {
    let mut any = false;
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for place in PLACES {
        let real = search.root.real_dir(place.as_bytes());
        if seen.contains(&real) {
            continue;
        }
        seen.push(real);
        for (name, unread) in FORMS {
            let path = format!("{place}/{name}");
            match search.root.file(path.as_bytes()) {
                Ok(_) => {}
                Err(error) if why(&error) == Why::Gone => continue,
                Err(error) => {
                    search.trouble(Database::Rpm, path, why(&error));
                    any = true;
                    break;
                }
            }
            any = true;
            match unread {
                Some(form) => search.problem(Database::Rpm, path, Problem::Format(form)),
                None => look(search, &path),
            }
            // Files of an older format remain after a conversion.
            break;
        }
    }
    any
}

fn look(search: &mut Search<'_>, path: &str) {
    let image = match image::read(search.root, path) {
        Ok(image) => image,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return search.problem(Database::Rpm, path, Problem::Damaged);
        }
        Err(error) => return search.trouble(Database::Rpm, path, why(&error)),
    };
    if look_in(search, &image).is_err() {
        search.problem(Database::Rpm, path, Problem::Damaged);
    }
}

/// Searches the database in `image`. Any error of SQLite means that the database is damaged or malicious, since an
/// in-memory image has no other failures.
fn look_in(search: &mut Search<'_>, image: &[u8]) -> rusqlite::Result<()> {
    let mut connection = Connection::open_in_memory()?;
    connection.deserialize_read_exact("main", image, image.len(), true)?;
    let mut steps = 0u32;
    connection.progress_handler(
        STEPS_AT_ONCE,
        Some(move || {
            steps = steps.saturating_add(STEPS_AT_ONCE.unsigned_abs());
            steps > MAX_STEPS
        }),
    )?;
    // The schema of rpm has no views or triggers: trust none, and accept only real tables of these names.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('Packages', 'Basenames')";
    if connection.query_row(tables, [], |row| row.get::<_, i64>(0))? != 2 {
        return Err(rusqlite::Error::QueryReturnedNoRows);
    }

    // Maps header numbers to file indices and requested paths, so that each header is read once.
    let mut places: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    let mut by_name = connection.prepare("SELECT hnum, idx FROM Basenames WHERE key = CAST(?1 AS TEXT)")?;
    let names: Vec<Vec<u8>> = search.wanted.names().map(<[u8]>::to_vec).collect();
    for name in names {
        let mut rows = by_name.query([name])?;
        while let Some(row) = rows.next()? {
            let at = row.get::<_, i64>(1)?;
            places.entry(row.get(0)?).or_default().extend(usize::try_from(at).ok());
        }
    }
    let mut by_number = connection.prepare("SELECT blob FROM Packages WHERE hnum = ?1")?;
    let mut damaged = false;
    for (number, places) in places {
        if search.is_done() {
            break;
        }
        let good = by_number
            .query_row([number], |row| {
                let ValueRef::Blob(bytes) = row.get_ref(0)? else {
                    return Ok(false);
                };
                Ok(Header::parse(bytes)
                    .map(|header| files(search, &header, &places))
                    .is_some())
            })
            .optional()?;
        damaged |= good == Some(false);
    }
    if damaged {
        Err(rusqlite::Error::QueryReturnedNoRows)
    } else {
        Ok(())
    }
}

fn files(search: &mut Search<'_>, header: &Header<'_>, places: &[usize]) {
    for file in places.iter().filter_map(|at| header.file(*at)) {
        let path = [file.directory, file.name].concat();
        for index in search.wanted.matching(&path) {
            search.found(index, || describe(header, &file, &path));
        }
    }
}

fn describe(header: &Header<'_>, file: &File<'_>, path: &[u8]) -> Package {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let recorded = match header.digest(file) {
        _ if file.ghost => Recorded::None(NoRecord::Ghost),
        Some(digest) => Recorded::Digest(digest),
        None if file.digest.is_empty() => Recorded::None(NoRecord::NotListed),
        None => Recorded::None(NoRecord::Unreadable),
    };
    Package {
        database: Database::Rpm,
        name: text(header.name().unwrap_or_default()),
        version: Fact::from_option(header.version(), Why::Failed),
        architecture: Fact::from_option(header.architecture().map(text), Why::Failed),
        listed_as: absolute(path),
        configuration: file.configuration,
        recorded,
        installed: Fact::from_option(header.installed().map(|seconds| epoch(seconds.into(), 0)), Why::Failed),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::packages::{FileOwner, Packages, Trouble, Unsaid};
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, SystemTime};

    /// Creates a database with one package, as rpm would; `/bin` is merged.
    fn database() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join(&PLACES[0][1..]);
        fs::create_dir_all(&place).unwrap();
        fs::create_dir_all(dir.path().join("usr/bin")).unwrap();
        symlink("usr/bin", dir.path().join("bin")).unwrap();
        let path = place.join("rpmdb.sqlite");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL);
                 CREATE TABLE 'Basenames' (key 'TEXT' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL);
                 CREATE INDEX 'Basenames_key_idx' ON 'Basenames'(key ASC);",
            )
            .unwrap();
        connection
            .execute("INSERT INTO Packages VALUES (7, ?1)", [header::tests::sample()])
            .unwrap();
        for (at, name) in ["hello", "log", "conf", "lost", "odd"].into_iter().enumerate() {
            connection
                .execute("INSERT INTO Basenames VALUES (?1, 7, ?2)", (name, at as i64))
                .unwrap();
        }
        (dir, path)
    }

    fn owner(root: &Path, path: &str) -> FileOwner {
        Packages::open(root).owners(&[path]).remove(0).owner
    }

    #[test]
    fn all_that_is_recorded() {
        let (dir, _) = database();
        let FileOwner::Package(hello) = owner(dir.path(), "/usr/bin/hello") else {
            panic!()
        };
        assert_eq!((hello.database, hello.name.as_str()), (Database::Rpm, "hello"));
        assert_eq!(hello.version, Fact::Known("2:1.0-3.fc40".to_owned()));
        assert_eq!(hello.listed_as, Path::new("/bin/hello"));
        assert_eq!(
            hello.installed,
            Fact::Known(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
        );
        assert!(matches!(hello.recorded, Recorded::Digest(_)));
        let record = |path| owner(dir.path(), path).package().unwrap().recorded;
        assert_eq!(record("/etc/log"), Recorded::None(NoRecord::Ghost));
        assert_eq!(record("/usr/bin/odd"), Recorded::None(NoRecord::Unreadable));
        // A file that another package replaced, and the same name elsewhere.
        assert_eq!(owner(dir.path(), "/usr/bin/lost"), FileOwner::Nobody);
        assert_eq!(owner(dir.path(), "/opt/hello"), FileOwner::Nobody);
    }

    #[test]
    fn rpm_database_of_other_format_is_refused_by_name() {
        for (file, form) in [("Packages", "Berkeley DB"), ("Packages.db", "ndb")] {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("var/lib/rpm")).unwrap();
            let path = format!("/var/lib/rpm/{file}");
            fs::write(dir.path().join(&path[1..]), "x").unwrap();
            let FileOwner::Unknown(unsaid) = owner(dir.path(), "/usr/bin/hello") else {
                panic!()
            };
            assert_eq!(
                unsaid.words(),
                format!("unsupported rpm database format {form} ({path})")
            );
        }
    }

    #[test]
    fn rpm_database_damaged_leaves_owner_unknown() {
        let (dir, path) = database();
        let unknown = |problem| {
            let trouble = Trouble {
                database: Database::Rpm,
                path: format!("{}/rpmdb.sqlite", PLACES[0]).into(),
                problem,
            };
            FileOwner::Unknown(Unsaid::Trouble(trouble))
        };
        let connection = Connection::open(&path).unwrap();
        connection.execute("UPDATE Packages SET blob = x'00'", []).unwrap();
        assert_eq!(owner(dir.path(), "/usr/bin/hello"), unknown(Problem::Damaged));
        // Nothing is read for this path, so that no damage is noticed.
        assert_eq!(owner(dir.path(), "/usr/bin/none"), FileOwner::Nobody);
        // An infinite view is never queried.
        connection
            .execute_batch(
                "DROP TABLE Basenames; CREATE VIEW Basenames(key, hnum, idx) AS
                 WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x, x, x FROM c",
            )
            .unwrap();
        assert_eq!(owner(dir.path(), "/usr/bin/hello"), unknown(Problem::Damaged));
        drop(connection);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(owner(dir.path(), "/usr/bin/hello"), unknown(Problem::Damaged));
        fs::write(&path, "something else").unwrap();
        assert_eq!(owner(dir.path(), "/usr/bin/hello"), unknown(Problem::Damaged));
    }
}
