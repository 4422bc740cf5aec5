//! What the record knows about current sockets and programs, for `inspect`, `audit` and the time in a state.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use netstat_model::text::{escape_str, plain_error, shell_quoted};
use netstat_model::{Filter, Protocol, Socket, State, SystemKind};
use netstat_names::HostName;
use netstat_os::{System, files};
use netstat_record::{
    Beacon, Coverage, FlowStore, Millis, OpenFlow, ProgramHistory, Question, Reader, StateAge, StoreError,
};

use netstat_audit::Past;
pub(crate) use netstat_audit::past::{is_older, time};

use crate::context::Failure;

/// Converts an error of the store to a failure with one line.
pub(crate) fn refused(error: &StoreError) -> Failure {
    Failure::Refused(escape_str(&plain_error(&error)).into_owned())
}

/// Why no record is available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoRecord {
    /// There is no record.
    Absent,
    /// There is a record, but this user may not read it.
    NotPermitted,
    /// There is a file, but it cannot be used: it is damaged, has another version, or is not a record. The reason,
    /// escaped.
    Unusable(String),
}

impl NoRecord {
    /// Returns the reason as a phrase.
    pub(crate) fn words(&self) -> String {
        match self {
            NoRecord::Absent => "there is no history (netstat record keeps one)".to_owned(),
            NoRecord::NotPermitted if netstat_os::NATIVE_KIND == SystemKind::Windows => {
                "a history may be read by its owner only (try an elevated prompt)".to_owned()
            }
            NoRecord::NotPermitted => "a history may be read by its owner only (try sudo)".to_owned(),
            NoRecord::Unusable(why) => format!("the history cannot be used: {why}"),
        }
    }
}

/// An open record.
#[derive(Debug)]
pub(crate) struct Recall {
    pub(crate) reader: Box<dyn FlowStore>,
    /// The path of the record, or of the fleet's store.
    pub(crate) path: PathBuf,
    /// The period that it covers.
    pub(crate) reach: Coverage,
    /// Whether a recorder is currently writing to it.
    watched: bool,
    /// The id of the current boot; `None` if the system does not report it.
    boot_id: Option<String>,
    /// When the clock was last set, as far as a recorder noticed; times recorded before are not comparable with the
    /// current time.
    clock_set: Option<Millis>,
}

/// When a socket was first seen, according to the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Since {
    /// The moment when the record first saw it.
    pub(crate) at: SystemTime,
    /// Whether the socket was opened at that moment; otherwise it may be older.
    pub(crate) exact: bool,
}

/// Returns the places to look for a record, in order of precedence: the one that the user named, or else the default
/// place, followed for an ordinary user by that of the system.
pub(crate) fn places(named: Option<&Path>, root: bool) -> Vec<PathBuf> {
    if let Some(path) = named {
        return vec![path.to_owned()];
    }
    let own = netstat_record::default_path(root, |name| std::env::var_os(name));
    let system = netstat_record::default_path(true, |name| std::env::var_os(name));
    let mut places: Vec<PathBuf> = own.into_iter().collect();
    places.extend(system.filter(|path| !places.contains(path)));
    places
}

impl Recall {
    /// Opens the first record that exists in one of `places`.
    ///
    /// # Errors
    /// Returns the reason why no record is available.
    pub(crate) fn open(places: &[PathBuf], system: &dyn System, now: SystemTime) -> Result<Recall, NoRecord> {
        for path in places {
            match files::open_without_waiting(path) {
                Ok(_) => return Recall::at(path, system, now),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                // Windows refuses to open a directory as a file.
                Err(_) if path.is_dir() => return Err(unusable(path, "it is a directory")),
                // Whether a file exists in a directory that cannot be entered is unknown, but an existing directory of
                // records suggests it does.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    let folder = path.parent().is_some_and(|folder| folder.is_dir());
                    if folder {
                        return Err(NoRecord::NotPermitted);
                    }
                }
                Err(error) => return Err(unusable(path, &plain_error(&error))),
            }
        }
        Err(NoRecord::Absent)
    }

    fn at(path: &Path, system: &dyn System, now: SystemTime) -> Result<Recall, NoRecord> {
        let failed = |error: StoreError| match error {
            StoreError::Absent(_) => NoRecord::Absent,
            error => unusable(path, &plain_error(&error)),
        };
        let reader = Reader::open(path).map_err(failed)?;
        let mut recall = Recall::of_store(Box::new(reader), path, system, now).map_err(failed)?;
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        recall.watched = system.is_locked(Path::new(&lock)).unwrap_or(false);
        Ok(recall)
    }

    /// Creates a `Recall` from `store`, which is at `path`.
    ///
    /// # Errors
    /// Returns an error of the store.
    pub(crate) fn of_store(
        mut store: Box<dyn FlowStore>,
        path: &Path,
        system: &dyn System,
        now: SystemTime,
    ) -> Result<Recall, StoreError> {
        let reach = store.reach(netstat_record::millis(now))?;
        // The clocks of other computers in a fleet say nothing about the clock of this one.
        let gaps = match store.is_fleet() {
            true => Vec::new(),
            false => store.gaps(&Question::default())?,
        };
        Ok(Recall {
            reader: store,
            path: path.to_owned(),
            reach,
            watched: false,
            boot_id: system.boot_id().ok(),
            clock_set: gaps.iter().filter(|gap| gap.is_clock()).map(|gap| gap.until).max(),
        })
    }

    /// Whether a recorder is currently writing to the record.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched
    }

    /// Whether this is the record that `netstat history` reads by default.
    pub(crate) fn is_usual(&self, root: bool) -> bool {
        places(None, root).first() == Some(&self.path)
    }

    /// Returns the recorded flows of those `sockets` that are open at `now`, by cookie; empty if they cannot be read.
    pub(crate) fn open_flows<'s>(&mut self, sockets: impl Iterator<Item = &'s Socket>, now: SystemTime) -> OpenFlows {
        let now = netstat_record::millis(now);
        let sockets: HashMap<u64, &Socket> = sockets
            .filter(|socket| matches!(socket.protocol(), Protocol::Tcp | Protocol::Udp))
            .filter_map(|socket| Some((socket.cookie()?.get(), socket)))
            .collect();
        let mut flows = match &self.boot_id {
            Some(boot) if !sockets.is_empty() => self
                .reader
                .open_flows(boot, &|cookie| sockets.contains_key(&cookie))
                .unwrap_or_default(),
            _ => HashMap::new(),
        };
        // If the clock was set since, times recorded earlier say nothing about ages.
        let clock_set = self.clock_set.unwrap_or(Millis::MIN);
        flows.retain(|cookie, flow| {
            let same = sockets.get(cookie).is_some_and(|socket| flow.is_of(socket));
            same && flow.first > clock_set && flow.first <= now
        });
        OpenFlows {
            flows,
            now,
            watched: self.watched,
        }
    }

    /// Returns what the program at `path` did for the first time; empty if it cannot be read.
    pub(crate) fn first_seen(&mut self, path: &[u8], name: &[u8]) -> ProgramHistory {
        self.reader.first_seen_of(path, name).unwrap_or_default()
    }
}

impl Past for Recall {
    fn coverage(&self) -> &Coverage {
        &self.reach
    }

    fn first_seen(&mut self, path: &[u8], name: &[u8]) -> ProgramHistory {
        Recall::first_seen(self, path, name)
    }

    fn beacons(&mut self, since: SystemTime) -> Result<Vec<Beacon>, String> {
        let since = netstat_record::millis(since);
        let found = self.reader.rhythms(since, &Filter::default(), true);
        found.map_err(|error| escape_str(&plain_error(&error)).into_owned())
    }

    fn asked_names(&mut self, sockets: &[&Socket], now: SystemTime) -> HashMap<u64, String> {
        let open = self.open_flows(sockets.iter().copied(), now);
        let named = |socket: &&Socket| Some((socket.cookie()?.get(), open.asked_name(socket)?.to_owned()));
        sockets.iter().filter_map(named).collect()
    }

    fn store_option(&self, root: bool) -> String {
        match self.is_usual(root) {
            true => String::new(),
            false => format!(" --store {}", shell_quoted(self.path.as_os_str().as_encoded_bytes())),
        }
    }
}

fn unusable(path: &Path, why: &str) -> NoRecord {
    let path = path.display().to_string();
    let why = why.strip_prefix(&format!("{path}: ")).unwrap_or(why);
    NoRecord::Unusable(escape_str(&format!("{path}: {why}")).into_owned())
}

/// The recorded flows of open sockets.
#[derive(Debug, Default)]
pub(crate) struct OpenFlows {
    flows: HashMap<u64, OpenFlow>,
    now: Millis,
    watched: bool,
}

impl OpenFlows {
    /// Returns when `socket` was first seen; `None` if it is not in the record.
    pub(crate) fn since(&self, socket: &Socket) -> Option<Since> {
        let flow = self.flows.get(&socket.cookie()?.get())?;
        Some(Since {
            at: time(flow.first),
            exact: flow.begun && self.watched,
        })
    }

    /// Returns the name that a program looked up before it made this connection; `None` if it is unknown or not
    /// printable.
    pub(crate) fn asked_name(&self, socket: &Socket) -> Option<&str> {
        let flow = self.flows.get(&socket.cookie()?.get())?;
        let name = std::str::from_utf8(flow.asked_name.as_ref()?).ok()?;
        HostName::parse(name.as_bytes()).is_some().then_some(name)
    }

    /// Returns how long `socket` has been in its state; `None` if the record does not say.
    pub(crate) fn state_age(&self, socket: &Socket) -> Option<StateAge> {
        // For TIME_WAIT, the timer of the kernel is more accurate.
        let state = Some(socket.state()).filter(|state| *state != State::TimeWait)?;
        let flow = self.flows.get(&socket.cookie()?.get())?;
        flow.age_of(state, self.now, self.watched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netstat_os::Replay;

    #[test]
    fn record_places_are_the_named_store_alone_or_the_usual_ones() {
        assert_eq!(places(Some(Path::new("/x/y.db")), false), [Path::new("/x/y.db")]);
        let of_the_system = match std::env::var_os("ProgramData") {
            Some(data) => Path::new(&data).join("netstat").join("record.db"),
            None => "/var/lib/netstat/record.db".into(),
        };
        assert_eq!(places(None, true), [of_the_system.as_path()]);
        assert_eq!(places(None, false).last(), Some(&of_the_system));
    }

    #[test]
    fn record_that_cannot_be_used_says_why() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        let why = |name: &str| Recall::open(&[place(name)], &Replay::default(), SystemTime::now()).err();
        assert_eq!(why("none"), Some(NoRecord::Absent));
        std::fs::write(place("text"), "no database, and long enough to be looked at as one").unwrap();
        let Some(NoRecord::Unusable(words)) = why("text") else {
            panic!("{:?}", why("text"));
        };
        assert!(
            words.contains("text: ") && words.contains("not a netstat record"),
            "{words}"
        );
        std::fs::write(place("empty"), "").unwrap();
        assert_eq!(why("empty"), Some(NoRecord::Absent));
        let directory = why(".");
        assert!(matches!(directory, Some(NoRecord::Unusable(_))), "{directory:?}");
    }

    #[test]
    fn time_at_the_start_of_the_record_is_said_to_be_or_earlier() {
        let now = time(10_000_000);
        assert_eq!(
            netstat_audit::past::when(10_000_000 - 180_000, Some(0), now),
            "3 minutes ago"
        );
        assert_eq!(
            netstat_audit::past::when(30_000, Some(0), now),
            "when the record began, 2 hours ago, or earlier"
        );
    }
}
