//! Countries and autonomous systems of addresses, from databases in the MaxMind DB format that the user provides. No
//! database is included or downloaded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::Reader;
use netstat_model::columns::Location;
use netstat_model::reach::is_public;
use netstat_model::text::plain_error;
use serde_json::Value;

/// The directories in which packages and update programs of the known providers install databases.
const FOLDERS: [&str; 4] = [
    "/var/lib/GeoIP",
    "/usr/share/GeoIP",
    "/usr/local/share/GeoIP",
    "/opt/GeoIP",
];

/// The file names; of each group, the first that exists is used. Databases of cities contain countries as well but are
/// larger.
const FILES: [&[&str]; 2] = [
    &[
        "GeoLite2-Country.mmdb",
        "GeoIP2-Country.mmdb",
        "dbip-country-lite.mmdb",
        "country.mmdb",
        "GeoLite2-City.mmdb",
        "GeoIP2-City.mmdb",
        "dbip-city-lite.mmdb",
    ],
    &["GeoLite2-ASN.mmdb", "GeoIP2-ISP.mmdb", "dbip-asn-lite.mmdb", "asn.mmdb"],
];

/// The error for a database that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}", path = .path.display())]
pub struct NoDatabase {
    /// The path of the file.
    pub path: PathBuf,
    /// The reason, in one line.
    pub why: String,
}

/// The maximum size of a database in bytes. The largest published ones have some 150 MB.
const LARGEST: u64 = 2 << 30;

/// Checks that the file at `path` can be a database, without reading it.
fn check(path: &Path) -> Result<(), String> {
    let about = std::fs::metadata(path).map_err(|error| plain_error(&error))?;
    // Opening a FIFO would block, and a device may be endless.
    if !about.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if about.len() > LARGEST {
        return Err("it is larger than 2 GiB".to_owned());
    }
    std::fs::File::open(path).map_err(|error| plain_error(&error))?;
    Ok(())
}

fn read(path: &Path) -> Result<Reader<Vec<u8>>, String> {
    check(path)?;
    let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
    Reader::open_readfile(path).map_err(|error| first_line(plain_error(&error)))
}

/// A list of databases. For each fact, the first database that contains it is used.
#[derive(Debug, Default)]
pub struct Locations {
    databases: Vec<(PathBuf, Reader<Vec<u8>>)>,
}

impl Locations {
    /// Opens the databases at `paths`.
    ///
    /// # Errors
    /// Fails with the first database that cannot be used.
    pub fn open(paths: &[PathBuf]) -> Result<Locations, NoDatabase> {
        let open = |path: &PathBuf| match read(path) {
            Ok(reader) => Ok((path.clone(), reader)),
            Err(why) => Err(NoDatabase {
                path: path.clone(),
                why,
            }),
        };
        let databases = paths.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Locations { databases })
    }

    /// Checks that the files at `paths` can be databases, without reading them. Intended for command lines that need
    /// none of their contents.
    ///
    /// # Errors
    /// Fails with the first file that cannot be used.
    pub fn check(paths: &[PathBuf]) -> Result<(), NoDatabase> {
        let checked = |path: &PathBuf| {
            check(path).map_err(|why| NoDatabase {
                path: path.clone(),
                why,
            })
        };
        paths.iter().try_for_each(checked)
    }

    /// Returns the databases in the usual directories below `root`: one with countries and one with autonomous systems,
    /// if they exist.
    pub fn usual(root: &Path) -> Vec<PathBuf> {
        let find = |names: &[&str]| {
            let mut paths = names.iter().flat_map(|name| {
                FOLDERS
                    .iter()
                    .map(move |folder| root.join(folder.trim_start_matches('/')).join(name))
            });
            paths.find(|path| path.is_file())
        };
        FILES.iter().filter_map(|names| find(names)).collect()
    }

    /// Returns the paths of the databases.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.databases.iter().map(|(path, _)| path.as_path())
    }

    /// Whether there is no database.
    pub fn is_empty(&self) -> bool {
        self.databases.is_empty()
    }

    /// Returns what the databases contain about `address`; empty if the address is not public.
    pub fn look_up(&self, address: IpAddr) -> Location {
        let address = address.to_canonical();
        let mut location = Location::default();
        if !is_public(address) {
            return location;
        }
        for (_, reader) in &self.databases {
            // Ignore damaged records.
            let Ok(Some(record)) = reader.lookup(address).and_then(|found| found.decode::<Value>()) else {
                continue;
            };
            location.country = location.country.take().or_else(|| country(&record));
            location.system = location.system.or_else(|| system(&record));
            location.organization = location.organization.take().or_else(|| organization(&record));
        }
        location
    }

    /// Returns what the databases contain about each of `addresses`.
    pub fn look_up_all(&self, addresses: impl IntoIterator<Item = IpAddr>) -> HashMap<IpAddr, Location> {
        let mut found = HashMap::new();
        for address in addresses {
            let address = address.to_canonical();
            found.entry(address).or_insert_with(|| self.look_up(address));
        }
        found
    }
}

/// Returns the country code, two capital letters: `{"country": {"iso_code": "DE"}}` of MaxMind and DB-IP,
/// `{"country_code": "DE"}` and `{"country": "DE"}` of others.
fn country(record: &Value) -> Option<String> {
    let places = [
        &record["country"]["iso_code"],
        &record["registered_country"]["iso_code"],
        &record["country_code"],
        &record["country"],
    ];
    let code = places.into_iter().find_map(Value::as_str)?.to_ascii_uppercase();
    (code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())).then_some(code)
}

/// Returns the number of the autonomous system: `{"autonomous_system_number": 13335}` of MaxMind and DB-IP,
/// `{"asn": "AS13335"}` of others.
fn system(record: &Value) -> Option<u32> {
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
        Value::String(text) => text.trim_start_matches("AS").parse().ok(),
        _ => None,
    };
    number(&record["autonomous_system_number"]).or_else(|| number(&record["asn"]))
}

fn organization(record: &Value) -> Option<String> {
    let places = [
        &record["autonomous_system_organization"],
        &record["as_name"],
        &record["organization"],
    ];
    let name = places.into_iter().find_map(Value::as_str)?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn location_records_of_known_providers_are_read() {
        let maxmind = json!({"country": {"iso_code": "DE"}, "autonomous_system_number": 13335, "autonomous_system_organization": "X"});
        assert_eq!(
            (country(&maxmind).as_deref(), system(&maxmind)),
            (Some("DE"), Some(13335))
        );
        assert_eq!(organization(&maxmind).as_deref(), Some("X"));
        let other = json!({"country": "us", "asn": "AS64500", "as_name": "Y"});
        assert_eq!((country(&other).as_deref(), system(&other)), (Some("US"), Some(64500)));
        let nonsense = json!({"country": {"iso_code": "\u{1b}[2J"}, "asn": -1, "as_name": 3});
        assert_eq!(
            (country(&nonsense), system(&nonsense), organization(&nonsense)),
            (None, None, None)
        );
        assert_eq!(country(&json!([])), None);
    }

    #[test]
    fn location_file_that_is_no_database_is_refused_with_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.mmdb");
        std::fs::write(&path, "no database").unwrap();
        let error = Locations::open(std::slice::from_ref(&path)).unwrap_err().to_string();
        assert!(
            error.starts_with(&path.display().to_string()) && !error.contains('\n'),
            "{error}"
        );
    }

    #[test]
    fn location_databases_in_usual_directory_are_one_of_each_kind() {
        let root = tempfile::tempdir().unwrap();
        assert!(Locations::usual(root.path()).is_empty());
        let folder = root.path().join("usr/share/GeoIP");
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["GeoLite2-City.mmdb", "GeoLite2-Country.mmdb", "dbip-asn-lite.mmdb"] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        let found = Locations::usual(root.path());
        assert_eq!(
            found,
            [folder.join("GeoLite2-Country.mmdb"), folder.join("dbip-asn-lite.mmdb")]
        );
    }
}
