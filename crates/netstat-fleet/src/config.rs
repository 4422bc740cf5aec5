//! The fleet's configuration file: where the engine is, and what stays out of command lines.

use std::path::{Path, PathBuf};
use std::time::Duration;

use netstat_model::text::plain_error;
use netstat_os::files;

use crate::address::Address;
use crate::encode::Detail;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 << 10;

/// What the file says. Without a file everything is absent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FleetConfig {
    /// `at`: the fleet's store.
    pub at: Option<Address>,
    /// `user`.
    pub user: Option<String>,
    /// `password`.
    pub password: Option<String>,
    /// `headers = true`: credentials in `X-ClickHouse-User` and `X-ClickHouse-Key` instead of Basic authentication.
    pub headers: bool,
    /// `ca`: a file with the certificates to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// `certificate`: a file with this computer's certificate.
    pub certificate: Option<PathBuf>,
    /// `key`: a file with the key of that certificate.
    pub key: Option<PathBuf>,
    /// `[ship]`.
    pub ship: ShipConfig,
}

impl std::fmt::Debug for FleetConfig {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FleetConfig")
            .field("at", &self.at)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// The table `[ship]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShipConfig {
    /// `to`: where a recorder sends its flows.
    pub to: Option<Address>,
    /// `detail`.
    pub detail: Option<Detail>,
    /// `spool_bytes`.
    pub spool_bytes: Option<u64>,
    /// `machine_id`: a file with the id of this computer, where it is not the usual one, as in a container.
    pub machine_id: Option<PathBuf>,
    /// `interval_seconds`.
    pub interval: Option<Duration>,
}

/// Why a configuration file cannot be used, in one line. To be escaped before it is printed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct BadConfig {
    path: PathBuf,
    why: String,
}

/// Where the file is when nothing else is said: `/etc/netstat/fleet.toml` for root, else below `$XDG_CONFIG_HOME` or `~/.config`; on Windows
/// `%ProgramData%\netstat\fleet.toml` for administrators, else below `%APPDATA%`.
pub fn default_path(root: bool, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
    const FILE: &str = "netstat/fleet.toml";
    if netstat_os::NATIVE_KIND == netstat_model::SystemKind::Windows {
        let base = match root {
            true => files::shared_directory(),
            false => variable("APPDATA").map(PathBuf::from),
        };
        return Some(
            base.filter(|path| path.is_absolute())?
                .join("netstat")
                .join("fleet.toml"),
        );
    }
    if root {
        return Some(Path::new("/etc").join(FILE));
    }
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    Some(folder?.join(FILE))
}

impl FleetConfig {
    /// Reads the file at `path`; an absent one says nothing.
    ///
    /// # Errors
    /// When it cannot be read, other users could have written it or may read a password in it, or a word in it is wrong.
    pub fn read(path: &Path) -> Result<FleetConfig, BadConfig> {
        let bad = |why: String| BadConfig {
            path: path.to_owned(),
            why,
        };
        let failed = |error: std::io::Error| bad(plain_error(&error));
        let file = match files::open_named(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(FleetConfig::default()),
            Err(error) => return Err(failed(error)),
        };
        let entry = files::entry_of(&file).map_err(failed)?;
        let me = files::effective_user();
        if entry.user != me && entry.user != 0 {
            return Err(bad("belongs to another user".to_owned()));
        }
        if entry.mode & 0o022 != 0 {
            return Err(bad("others may write it (chmod go-w)".to_owned()));
        }
        let text = files::text_opened(file, LARGEST).map_err(failed)?;
        let config = FleetConfig::parse(&text).map_err(bad)?;
        if config.password.is_some() && entry.mode & 0o077 != 0 {
            return Err(bad("holds a password, and others may read it (chmod 600)".to_owned()));
        }
        let others = files::other_users(path, false).map_err(|error| bad(error.to_string()))?;
        if let Some(why) = others.change {
            return Err(bad(why));
        }
        if let (true, Some(why)) = (config.password.is_some(), others.read) {
            return Err(bad(format!("holds a password: {why}")));
        }
        Ok(config)
    }

    pub(crate) fn parse(text: &str) -> Result<FleetConfig, String> {
        let document = toml_edit::Document::parse(text).map_err(|error| {
            let line = error
                .span()
                .map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            format!("line {line}: {}", error.message())
        })?;
        let mut config = FleetConfig::default();
        for (key, item) in document.iter() {
            let word = || item.as_str().map(str::to_owned).ok_or(format!("{key} is not a text"));
            let path = || word().map(PathBuf::from);
            match key {
                "at" => config.at = Some(address(key, &word()?)?),
                "user" => config.user = Some(word()?),
                "password" => config.password = Some(word()?),
                "headers" => config.headers = item.as_bool().ok_or("headers is neither true nor false")?,
                "ca" => config.ca = Some(path()?),
                "certificate" => config.certificate = Some(path()?),
                "key" => config.key = Some(path()?),
                "ship" => config.ship = ship(item)?,
                other => {
                    return Err(format!(
                        "unknown key {other}; known are at, user, password, headers, ca, certificate, key and [ship]"
                    ));
                }
            }
        }
        if config.certificate.is_some() != config.key.is_some() {
            return Err("certificate and key belong together".to_owned());
        }
        Ok(config)
    }
}

fn address(key: &str, text: &str) -> Result<Address, String> {
    text.parse().map_err(|why| format!("{key} {why}"))
}

fn ship(item: &toml_edit::Item) -> Result<ShipConfig, String> {
    let table = item.as_table_like().ok_or("ship is not a table")?;
    let mut ship = ShipConfig::default();
    for (key, item) in table.iter() {
        let positive = || {
            let number = item.as_integer().and_then(|number| u64::try_from(number).ok());
            number
                .filter(|number| *number > 0)
                .ok_or(format!("{key} is not a number above 0"))
        };
        match key {
            "to" => ship.to = Some(address("to", item.as_str().ok_or("to is not a text")?)?),
            "detail" => {
                ship.detail = Some(match item.as_str() {
                    Some("flows") => Detail::Flows,
                    Some("sums") => Detail::Sums,
                    _ => return Err("detail is neither \"flows\" nor \"sums\"".to_owned()),
                });
            }
            "machine_id" => ship.machine_id = Some(item.as_str().ok_or("machine_id is not a text")?.into()),
            "spool_bytes" => ship.spool_bytes = Some(positive()?),
            "interval_seconds" => ship.interval = Some(Duration::from_secs(positive()?)),
            other => {
                return Err(format!(
                    "unknown key {other} in [ship]; known are to, detail, machine_id, spool_bytes and interval_seconds"
                ));
            }
        }
    }
    Ok(ship)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_whole_file_is_understood() {
        let text = "at = \"clickhouse://ch/netstat\"\nuser = \"ann\"\npassword = \"s\"\nheaders = true\nca = \"/x\"\n\
                    [ship]\nto = \"clickhouses://ch\"\ndetail = \"sums\"\nspool_bytes = 1000\ninterval_seconds = 30\n";
        let config = FleetConfig::parse(text).unwrap();
        assert!(config.headers && config.password.as_deref() == Some("s"));
        assert_eq!(config.ship.detail, Some(Detail::Sums));
        assert_eq!(config.ship.interval, Some(Duration::from_secs(30)));
        assert!(!format!("{config:?}").contains("\"s\""), "the password is not printed");
    }

    #[test]
    fn parse_wrong_words_are_named() {
        for (text, named) in [
            ("at = 1", "at is not a text"),
            ("\npasword = \"x\"", "unknown key pasword"),
            ("at = \"clickhouse://a:b@c\"", "holds a password"),
            ("a = = 1", "line 1"),
            ("[ship]\ndetail = \"all\"", "detail is neither"),
            ("[ship]\nspool_bytes = 0", "spool_bytes is not a number above 0"),
            ("key = \"/k\"", "belong together"),
        ] {
            let why = FleetConfig::parse(text).unwrap_err();
            assert!(why.contains(named), "{text}: {why}");
        }
    }

    // On Windows access lists decide, which have no mode to set.
    #[cfg(unix)]
    #[test]
    fn read_password_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet.toml");
        assert_eq!(FleetConfig::read(&path), Ok(FleetConfig::default()));
        std::fs::write(&path, "password = \"s\"").unwrap();
        let file = std::fs::File::open(&path).unwrap();
        files::set_mode(&file, 0o644).unwrap();
        assert!(
            FleetConfig::read(&path)
                .unwrap_err()
                .to_string()
                .contains("others may read it")
        );
        files::set_mode(&file, 0o600).unwrap();
        assert_eq!(FleetConfig::read(&path).unwrap().password.as_deref(), Some("s"));
    }
}
