//! `record --ship`: sends what is recorded to the store of a fleet.

use std::io::Write;
use std::time::Duration;

use clap::{Args, ValueEnum};
use netstat_fleet::{Address, Client, Detail, Encoder, HostId, Report, Sender, Shipping, host_id};
use netstat_model::text::{escape_str, plain_error};
use netstat_record::{Millis, StoreError, Writer};

use crate::args::store::{StoreArgs, address};
use crate::args::units;
use crate::context::{Context, Failure};

/// The default interval at which rows are sent, varied by up to a third.
const INTERVAL: Duration = Duration::from_secs(45);
/// The default size limit for rows that wait to be sent, in bytes.
const SPOOL: u64 = 256_000_000;
/// How long the recorder may take to send the remaining rows when it ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where and how to send.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ShipArgs {
    /// send what is recorded to a fleet's store, too: clickhouse://HOST[:PORT]/DATABASE, clickhouses:// with TLS
    #[arg(long, value_name = "ADDRESS", value_parser = address, help_heading = FLEET)]
    pub(super) ship: Option<Address>,
    /// what to send: flows (each connection) or sums (a minute's, by program, network, port and direction) [default: flows]
    #[arg(long, value_name = "WHAT", value_enum, hide_possible_values = true, help_heading = FLEET)]
    detail: Option<DetailArg>,
    /// send once in this time, give or take a third [default: 45s]
    #[arg(long, value_name = "TIME", value_parser = units::positive_duration, help_heading = FLEET)]
    ship_every: Option<Duration>,
    /// keep at most so much that is not yet sent; beyond, the oldest is dropped and counted [default: 256MB]
    #[arg(long, value_name = "SIZE", value_parser = units::size, help_heading = FLEET)]
    spool_size: Option<u64>,
}

const FLEET: &str = "To a fleet";

/// `--detail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DetailArg {
    /// Each connection.
    Flows,
    /// Sums.
    Sums,
}

impl ShipArgs {
    /// Returns the address as it is typed, for the service.
    pub(super) fn words(&self) -> String {
        self.ship
            .as_ref()
            .map_or(String::new(), |address| format!(" --ship {address}"))
    }
}

/// Starts sending, if the command line or the configuration of the fleet says so.
///
/// # Errors
/// Returns an error if the configuration cannot be used.
pub(super) fn start(
    (ship, store): (&ShipArgs, &StoreArgs),
    writer: &mut Writer,
    boot_id: &str,
    host: &[u8],
    context: &mut Context<'_>,
) -> Result<Option<Sender>, Failure> {
    let failed = |error: StoreError| crate::recall::refused(&error);
    let config = store.fleet_args().config(context.system.is_superuser())?;
    let Some(address) = ship.ship.clone().or_else(|| config.ship.to.clone()) else {
        let now = netstat_record::millis((context.now)());
        writer.pause_shipping(now).map_err(failed)?;
        return Ok(None);
    };
    let client = Client::new(&address, &config)
        .map_err(|error| Failure::Refused(escape_str(&plain_error(&error)).into_owned()))?;
    writer.begin_shipping().map_err(failed)?;
    let detail = match ship.detail {
        Some(DetailArg::Flows) => Detail::Flows,
        Some(DetailArg::Sums) => Detail::Sums,
        None => config.ship.detail.unwrap_or_default(),
    };
    let machine_id = config.ship.machine_id.as_deref();
    let shipping = Shipping {
        encoder: Encoder {
            host_id: identity(machine_id, writer)?,
            host: host.to_owned(),
            detail,
        },
        boot: boot_id.to_owned(),
        interval: ship.ship_every.or(config.ship.interval).unwrap_or(INTERVAL),
        spool_bytes: ship.spool_size.or(config.ship.spool_bytes).unwrap_or(SPOOL),
    };
    let sender = Sender::start(client, shipping);
    let sender = sender.map_err(|error| Failure::Refused(format!("no thread to send in: {}", plain_error(&error))))?;
    Ok(Some(sender))
}

/// Returns the identifier of this computer: derived from its machine id, or from the random number of the record.
fn identity(file: Option<&std::path::Path>, writer: &Writer) -> Result<HostId, Failure> {
    if let Some(number) = crate::args::store::identity(file)? {
        return Ok(number);
    }
    let store = writer.ship_store().map_err(|error| crate::recall::refused(&error))?;
    Ok(host_id(&format!("record {store:016x}")))
}

/// Sends what is due, and reports what people should know.
///
/// # Errors
/// Returns an error that cannot be resolved by waiting.
pub(super) fn turn(
    sender: &mut Sender,
    writer: &mut Writer,
    now: Millis,
    err: &mut dyn Write,
) -> Result<(), StoreError> {
    match sender.turn(writer, now) {
        Ok(reports) => {
            for Report(line) in reports {
                let _ = writeln!(err, "netstat: {}", escape_str(&line));
            }
            Ok(())
        }
        Err(error) if error.is_temporary() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Sends the remaining rows, and reports what is left.
pub(super) fn finish(sender: Sender, writer: &mut Writer, err: &mut dyn Write) {
    match sender.finish(writer, PATIENCE) {
        Ok(0) => {}
        Ok(rows) => {
            let _ = writeln!(
                err,
                "netstat: {rows} rows are not yet sent; the next recorder sends them"
            );
        }
        Err(error) => {
            let _ = writeln!(err, "netstat: {}", escape_str(&plain_error(&error)));
        }
    }
}
