//! `--store`: the location of the record, either a file on this computer or the store of a fleet.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;
use netstat_model::SystemKind;
use netstat_model::text::plain_error;
use netstat_os::System;
use netstat_record::{FlowStore, Reader, StoreError};

use crate::context::Failure;
use crate::recall::{NoRecord, Recall, refused};

/// The file of the record, or the address of a fleet's store.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreArgs {
    /// record file [default: $XDG_STATE_HOME/netstat/record.db or ~/.local/state/netstat/record.db; for root
    /// /var/lib/netstat/record.db], or a fleet's store: clickhouse://HOST[:PORT]/DATABASE
    #[arg(long, value_name = "PATH", alias = "history")]
    store: Option<PathBuf>,
    #[cfg(feature = "fleet")]
    #[command(flatten)]
    fleet: FleetArgs,
}

/// Where the fleet's configuration is.
#[cfg(feature = "fleet")]
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FleetArgs {
    /// the fleet's user, password and certificates [default: /etc/netstat/fleet.toml for root, else
    /// ~/.config/netstat/fleet.toml]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    fleet_config: Option<PathBuf>,
}

#[cfg(feature = "fleet")]
impl FleetArgs {
    /// Loads the configuration of the fleet.
    ///
    /// # Errors
    /// Returns an error if the configuration cannot be used, or if a file named on the command line does not exist.
    pub(crate) fn config(&self, root: bool) -> Result<netstat_fleet::FleetConfig, Failure> {
        if let Some(path) = &self.fleet_config {
            return named_config(path);
        }
        // A home directory that the user may not enter belongs to someone else, as after `setpriv`, or `su` without a
        // login.
        let refused = |path: &Path| {
            path.metadata()
                .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
        };
        let usual = || netstat_fleet::default_path(root, |name| std::env::var_os(name)).filter(|path| !refused(path));
        match usual() {
            Some(path) => netstat_fleet::FleetConfig::read(&path).map_err(|error| unusable(&plain_error(&error))),
            None => Ok(netstat_fleet::FleetConfig::default()),
        }
    }

    /// Returns a client of the store at `address`, or at the address in the configuration.
    ///
    /// # Errors
    /// Returns an error if there is no address, the address is wrong, or the configuration cannot be used.
    pub(crate) fn client(
        &self,
        address: Option<&netstat_fleet::Address>,
        root: bool,
    ) -> Result<netstat_fleet::Client, Failure> {
        let config = self.config(root)?;
        let Some(address) = address.or(config.at.as_ref()) else {
            let why =
                "no fleet is named: --at clickhouse://HOST/DATABASE, or at = \"...\" in the fleet's configuration";
            return Err(Failure::Usage(why.to_owned()));
        };
        netstat_fleet::Client::new(address, &config).map_err(|error| unusable(&plain_error(&error)))
    }
}

/// Loads the configuration that `--fleet-config` names.
///
/// # Errors
/// Returns an error if the file does not exist or cannot be used.
#[cfg(feature = "fleet")]
pub(crate) fn named_config(path: &Path) -> Result<netstat_fleet::FleetConfig, Failure> {
    let wrong = |why: String| unusable(&format!("--fleet-config {why}"));
    if let Err(error) = path.metadata() {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
            _ => plain_error(&error),
        };
        return Err(wrong(format!("{}: {why}", path.display())));
    }
    netstat_fleet::FleetConfig::read(path).map_err(|error| wrong(plain_error(&error)))
}

/// Converts a reason to a failure with one escaped line.
#[cfg(feature = "fleet")]
fn unusable(why: &str) -> Failure {
    Failure::Refused(netstat_model::text::escape_str(why).into_owned())
}

impl StoreArgs {
    /// Returns the files that may hold a record to read. They need not exist.
    pub(crate) fn places(&self, system: &dyn System) -> Vec<PathBuf> {
        // The default record describes this computer, and says nothing about the one of a snapshot.
        if self.store.is_none() && !system.has_files() {
            return Vec::new();
        }
        crate::recall::places(self.store.as_deref(), system.is_superuser())
    }

    /// Whether the command line names a store.
    pub(crate) fn is_named(&self) -> bool {
        self.store.is_some()
    }

    /// Returns the path of the record file.
    ///
    /// # Errors
    /// Returns an error if none is named and HOME, from which the default follows, is not set, or if the named store is
    /// that of a fleet.
    pub(crate) fn path(&self, root: bool) -> Result<PathBuf, Failure> {
        if let Some(text) = self.fleet_address() {
            return Err(Failure::Usage(format!(
                "--store {text} is a fleet's store; the record itself is a file"
            )));
        }
        self.store
            .clone()
            .or_else(|| netstat_record::default_path(root, |name| std::env::var_os(name)))
            .ok_or_else(|| {
                let why = match netstat_os::NATIVE_KIND {
                    SystemKind::Windows => "LOCALAPPDATA is not set",
                    SystemKind::Linux | SystemKind::Other => "HOME is not set",
                };
                Failure::Usage(format!("{why}; name the record file with --store PATH"))
            })
    }

    /// Whether reading the store requires the network.
    pub(crate) fn needs_network(&self) -> bool {
        self.fleet_address().is_some()
    }

    /// Returns the argument if it is meant as the address of a fleet's store.
    fn fleet_address(&self) -> Option<&str> {
        let text = self.store.as_deref()?.to_str()?;
        let schemes = ["clickhouse:", "clickhouses:", "http://", "https://"];
        schemes.iter().any(|scheme| text.starts_with(scheme)).then_some(text)
    }

    /// Opens the store for reading.
    ///
    /// # Errors
    /// Returns an error if the store does not exist or cannot be used.
    pub(crate) fn open(&self, system: &dyn System) -> Result<Box<dyn FlowStore>, Failure> {
        if let Some(text) = self.fleet_address() {
            return self.open_fleet(text, system.is_superuser());
        }
        let path = self.path(system.is_superuser())?;
        Ok(Box::new(Reader::open(&path).map_err(|error| refused(&error))?))
    }

    /// Opens the record for commands that show the present state and add what the record knows about it.
    ///
    /// # Errors
    /// Returns the reason why there is no record.
    pub(crate) fn recall(&self, system: &dyn System, now: SystemTime) -> Result<Recall, NoRecord> {
        let Some(text) = self.fleet_address() else {
            return Recall::open(&self.places(system), system, now);
        };
        let unusable = |failure: Failure| match failure {
            Failure::Usage(why) | Failure::Refused(why) => NoRecord::Unusable(why),
            Failure::Output(error) => NoRecord::Unusable(plain_error(&error)),
        };
        let store = self.open_fleet(text, system.is_superuser()).map_err(unusable)?;
        let failed = |error: StoreError| unusable(refused(&error));
        Recall::of_store(store, Path::new(text), system, now).map_err(failed)
    }

    #[cfg(feature = "fleet")]
    fn open_fleet(&self, text: &str, root: bool) -> Result<Box<dyn FlowStore>, Failure> {
        let client = self.fleet_client(text, root)?;
        let shown = client.address().to_string();
        let store = netstat_fleet::FleetStore::open(client);
        Ok(Box::new(store.map_err(|error| {
            unusable(&format!("{shown}: {}", plain_error(&error)))
        })?))
    }

    #[cfg(feature = "fleet")]
    fn fleet_client(&self, text: &str, root: bool) -> Result<netstat_fleet::Client, Failure> {
        // `clickhouse:` alone stands for the store in the configuration.
        let address = match text {
            "clickhouse:" | "clickhouse://" => None,
            text => Some(parsed("--store", text)?),
        };
        self.fleet.client(address.as_ref(), root)
    }

    /// Returns a client of the fleet's store; `None` if the store is a file.
    ///
    /// # Errors
    /// Returns an error if the address or the configuration cannot be used.
    #[cfg(feature = "fleet")]
    pub(crate) fn fleet(&self, root: bool) -> Result<Option<netstat_fleet::Client>, Failure> {
        self.fleet_address()
            .map(|text| self.fleet_client(text, root))
            .transpose()
    }

    /// The arguments that locate the configuration of the fleet.
    #[cfg(feature = "fleet")]
    pub(crate) fn fleet_args(&self) -> &FleetArgs {
        &self.fleet
    }

    #[cfg(not(feature = "fleet"))]
    fn open_fleet(&self, text: &str, _: bool) -> Result<Box<dyn FlowStore>, Failure> {
        Err(Failure::Refused(format!(
            "--store {text}: this netstat was built without the feature \"fleet\""
        )))
    }
}

/// Parses the address that was typed for `option`.
///
/// # Errors
/// Returns what is wrong with the address.
#[cfg(feature = "fleet")]
fn parsed(option: &str, text: &str) -> Result<netstat_fleet::Address, Failure> {
    let address = text.parse::<netstat_fleet::Address>();
    address.map_err(|why| Failure::Usage(format!("{option} {text} {why}")))
}

/// Parses an argument that is the address of a fleet's store.
///
/// # Errors
/// Returns what is wrong with the address.
#[cfg(feature = "fleet")]
pub(crate) fn address(text: &str) -> Result<netstat_fleet::Address, String> {
    text.parse::<netstat_fleet::Address>().map_err(|why| why.to_string())
}

/// The files that hold the id of this computer (`machine-id(5)`); Windows has it in the registry.
#[cfg(feature = "fleet")]
const MACHINE_ID: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// Returns the identifier of this computer in a fleet, derived from the machine id in `file` or in the usual places;
/// `None` if the computer has no machine id.
///
/// # Errors
/// Returns an error if `file` cannot be read or holds no machine id.
#[cfg(feature = "fleet")]
pub(crate) fn identity(file: Option<&Path>) -> Result<Option<netstat_fleet::HostId>, Failure> {
    if let Some(path) = file {
        let shown = path.display();
        let text = netstat_os::files::text_named(path, 4096)
            .map_err(|error| unusable(&format!("{shown}: {}", plain_error(&error))))?;
        return match text.trim().is_empty() {
            true => Err(unusable(&format!("{shown}: holds no machine id"))),
            false => Ok(Some(netstat_fleet::host_id(&text))),
        };
    }
    let found = MACHINE_ID.iter().find_map(|path| std::fs::read_to_string(path).ok());
    let found = found.or_else(netstat_os::machine_guid);
    // The file contains `uninitialized` until the first boot of the computer has completed (machine-id(5)).
    let found = found.filter(|text| !matches!(text.trim(), "" | "uninitialized"));
    Ok(found.map(|text| netstat_fleet::host_id(&text)))
}
