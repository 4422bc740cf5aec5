//! Facts about foreign addresses other than their host names: the names that programs looked up, countries, autonomous
//! systems.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use netstat_model::columns::{Location, Needs};
use netstat_model::text::{escape_str, plain_error};
use netstat_model::{Fact, Socket, Why};
use netstat_names::{AskedNames, Locations, NoDatabase};
use netstat_os::DnsAnswers;

use crate::args::{LocationPlan, Plan};
use crate::context::{Context, Diagnostics, Failure};
use crate::recall::{self, NoRecord, Recall};

/// The sources of these facts, kept from print to print.
#[derive(Default)]
pub(super) struct ForeignFacts {
    known: KnownFacts,
    /// The source of DNS answers, while they are being observed.
    answers: Option<Box<dyn DnsAnswers>>,
    /// The record, once it has been looked for.
    record: Option<Result<Recall, NoRecord>>,
}

/// The facts gathered so far.
#[derive(Debug, Default)]
pub(super) struct KnownFacts {
    /// Names from observed DNS answers; `None` if they are not needed.
    asked: Option<AskedNames>,
    /// Names kept in a record, by the kernel's cookie of the socket.
    recorded: HashMap<u64, String>,
    /// The location databases; `None` if they are not needed.
    databases: Option<Locations>,
    locations: HashMap<IpAddr, Location>,
}

impl std::fmt::Debug for ForeignFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForeignFacts")
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

impl ForeignFacts {
    /// Gathers what `needs` requires about the foreign addresses of `sockets`.
    ///
    /// # Errors
    /// Returns an error if a database named on the command line cannot be used.
    pub(super) fn gather(
        &mut self,
        plan: &Plan,
        needs: Needs,
        context: &mut Context<'_>,
        sockets: &[Socket],
        diagnostics: &mut Diagnostics,
    ) -> Result<(), Failure> {
        if needs.contains(Needs::ASKED_NAMES) {
            self.recall_names(context, sockets);
            self.learn_names(plan, context, diagnostics);
        }
        if needs.contains(Needs::LOCATIONS) {
            let KnownFacts {
                databases, locations, ..
            } = &mut self.known;
            let databases = match databases {
                Some(databases) => databases,
                None => databases.insert(open(&plan.locations, context, diagnostics)?),
            };
            for socket in sockets {
                let address = socket.foreign().address.to_canonical();
                locations.entry(address).or_insert_with(|| databases.look_up(address));
            }
        }
        Ok(())
    }

    /// Loads the names that a record has for those of `sockets` that are open.
    pub(super) fn recall_names(&mut self, context: &mut Context<'_>, sockets: &[Socket]) {
        let now = (context.now)();
        // The default record describes this computer, and says nothing about the one of a snapshot.
        if !context.system.has_files() {
            return;
        }
        let record = self.record.get_or_insert_with(|| {
            let places = recall::places(None, context.system.is_superuser());
            Recall::open(&places, context.system, now)
        });
        let Ok(record) = record else { return };
        let open = record.open_flows(sockets.iter(), now);
        let named = |socket: &Socket| Some((socket.cookie()?.get(), open.asked_name(socket)?.to_owned()));
        self.known.recorded = sockets.iter().filter_map(named).collect();
    }

    fn learn_names(&mut self, plan: &Plan, context: &mut Context<'_>, diagnostics: &mut Diagnostics) {
        let now = (context.now)();
        if self.known.asked.is_none() {
            self.known.asked = Some(AskedNames::default());
            // With a single print, answers that arrive after it would be of no use.
            if plan.interval.is_some() {
                match context.system.dns_answers() {
                    Ok(answers) => self.answers = Some(answers),
                    Err(refused) => diagnostics.line(format!("DNS answers are not seen: {refused}")),
                }
            } else if !matches!(self.record, Some(Ok(_))) {
                let line = "names that were asked for come from a record (netstat record), or are seen while a list repeats: add an interval";
                diagnostics.line(line.to_owned());
            }
        }
        if let (Some(names), Some(answers)) = (&mut self.known.asked, &mut self.answers) {
            let drained = answers.drain(&mut |message| {
                names.learn(message, now);
            });
            if let Err(refused) = drained {
                diagnostics.line(format!("DNS answers are not seen any more: {refused}"));
                self.answers = None;
            }
        }
    }

    /// The facts gathered so far.
    pub(super) fn known(&self) -> &KnownFacts {
        &self.known
    }
}

impl KnownFacts {
    /// Returns the name that a record has for this connection.
    pub(super) fn recorded_name(&self, socket: &Socket) -> Option<&str> {
        self.recorded.get(&socket.cookie()?.get()).map(String::as_str)
    }

    /// Returns the name that was looked up before this connection was made: according to a record, or else the newest
    /// name for its foreign address.
    pub(super) fn asked_name(&self, socket: &Socket) -> Fact<Option<&str>> {
        if let Some(name) = self.recorded_name(socket) {
            return Fact::Known(Some(name));
        }
        match &self.asked {
            Some(names) => match names.newest(socket.foreign().address) {
                Some(name) => Fact::Known(Some(name)),
                // The lookup may have happened before observation began.
                None => Fact::Unknown(Why::NotKept),
            },
            None => Fact::Unknown(Why::NotAsked),
        }
    }

    /// Returns the country and autonomous system of this address.
    pub(super) fn location(&self, address: IpAddr) -> Fact<&Location> {
        match &self.databases {
            None => Fact::Unknown(Why::NotAsked),
            Some(databases) if databases.is_empty() => Fact::Unknown(Why::NotKept),
            Some(_) => Fact::from_option(self.locations.get(&address.to_canonical()), Why::NotAsked),
        }
    }

    /// Whether `--as` and `--country` accept `socket`.
    pub(super) fn wants(&self, plan: &LocationPlan, socket: &Socket) -> bool {
        let Fact::Known(location) = self.location(socket.foreign().address) else {
            return false;
        };
        let system = location.system.is_some_and(|number| plan.systems.contains(&number));
        let country = location
            .country
            .as_ref()
            .is_some_and(|code| plan.countries.contains(code));
        (plan.systems.is_empty() || system) && (plan.countries.is_empty() || country)
    }
}

/// Converts the error of a database named on the command line.
pub(super) fn unusable(error: NoDatabase) -> Failure {
    Failure::Refused(format!("--mmdb {}", escape_str(&plain_error(&error))))
}

/// Opens the databases named on the command line, or those in the usual places.
fn open(plan: &LocationPlan, context: &Context<'_>, diagnostics: &mut Diagnostics) -> Result<Locations, Failure> {
    if !plan.databases.is_empty() {
        return Locations::open(&plan.databases).map_err(unusable);
    }
    let paths = match context.system.has_files() {
        true => Locations::usual(Path::new("/")),
        false => Vec::new(),
    };
    if paths.is_empty() {
        let line = "countries and autonomous systems are unknown: no database at the usual places (--mmdb FILE)";
        if plan.filters() {
            return Err(Failure::Refused(line.to_owned()));
        }
        diagnostics.line(line.to_owned());
    }
    Locations::open(&paths).or_else(|error| {
        diagnostics.line(escape_str(&plain_error(&error)).into_owned());
        Ok(Locations::default())
    })
}
