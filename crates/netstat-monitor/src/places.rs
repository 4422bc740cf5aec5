//! The countries and autonomous systems of remote addresses, each looked up once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use netstat_model::reach::is_public;
use netstat_model::text::escape_str;
use netstat_names::Locations;

/// The maximum number of addresses to remember.
const MOST: usize = 50_000;

/// The country and autonomous system of an address, each safe to print; empty if the databases do not have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The code of the country: `DE`.
    pub(crate) country: Arc<str>,
    /// The number and name of the autonomous system: `AS64500 Example`.
    pub(crate) system: Arc<str>,
}

/// The databases, and the results of earlier lookups.
#[derive(Debug, Default)]
pub(crate) struct Places {
    databases: Locations,
    known: RefCell<HashMap<IpAddr, Place>>,
}

impl Places {
    /// Creates an instance that uses `databases`.
    pub(crate) fn new(databases: Locations) -> Places {
        Places {
            databases,
            known: RefCell::default(),
        }
    }

    /// Whether there are no databases.
    pub(crate) fn is_empty(&self) -> bool {
        self.databases.is_empty()
    }

    /// Returns the country and autonomous system of `address`.
    pub(crate) fn of(&self, address: IpAddr) -> Place {
        let address = address.to_canonical();
        let mut known = self.known.borrow_mut();
        if let Some(place) = known.get(&address) {
            return place.clone();
        }
        let found = self.databases.look_up(address);
        let system = match (found.system, found.organization) {
            (Some(number), Some(name)) => format!("AS{number} {}", escape_str(&name)),
            (Some(number), None) => format!("AS{number}"),
            (None, Some(name)) => escape_str(&name).into_owned(),
            (None, None) => String::new(),
        };
        let place = Place {
            country: found.country.map_or_else(|| "".into(), |code| escape_str(&code).into()),
            system: system.into(),
        };
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(address, place.clone());
        place
    }

    /// Returns the label of the group of `address` by country.
    pub(crate) fn country_label(&self, address: IpAddr) -> Arc<str> {
        label(address, self.of(address).country)
    }

    /// Returns the label of the group of `address` by autonomous system.
    pub(crate) fn system_label(&self, address: IpAddr) -> Arc<str> {
        label(address, self.of(address).system)
    }
}

fn label(address: IpAddr, known: Arc<str>) -> Arc<str> {
    match (known.is_empty(), is_public(address.to_canonical())) {
        (false, _) => known,
        (true, true) => "(not in the database)".into(),
        (true, false) => "(no public address)".into(),
    }
}
