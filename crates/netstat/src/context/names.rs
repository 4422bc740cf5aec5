//! Resolves the names of hosts and users in a filter.

use std::time::Duration;

use netstat_model::Filter;
use netstat_model::text::escape_str;

use crate::context::Progress;
use crate::context::{Context, Failure};

/// Returns `filter` with host names resolved to addresses, and user names to ids. Only the host names in the filter are
/// looked up, each with the timeout `deadline`.
///
/// # Errors
/// Returns an error if a name cannot be resolved.
pub(crate) fn resolved(filter: &Filter, context: &mut Context<'_>, deadline: Duration) -> Result<Filter, Failure> {
    let mut filter = filter.clone();
    for host in filter.hosts() {
        let progress = Progress::start(context.terminal, &format!("looking up {}", escape_str(&host)));
        let found = netstat_names::addresses(&host, deadline);
        drop(progress);
        match found {
            Ok(addresses) => filter.resolve_host(&host, &addresses),
            Err(why) => {
                let why = why.to_string();
                return Err(Failure::Refused(format!(
                    "no address of \"{}\" found: {}",
                    escape_str(&host),
                    escape_str(&why)
                )));
            }
        }
    }
    for zone in filter.zones() {
        let network = context.system.local_network(0);
        match network.interface_called(zone.as_bytes()) {
            Some(interface) => filter.resolve_zone(&zone, interface.index.get()),
            None => {
                let zone = escape_str(&zone);
                return Err(Failure::Usage(format!("\"{zone}\" is no interface of this computer")));
            }
        }
    }
    let users: Vec<String> = filter.users.names().map(str::to_owned).collect();
    for user in users {
        match context.system.user_id(&user) {
            Some(id) => filter.users.resolve(&user, id),
            None => {
                let user = escape_str(&user);
                return Err(Failure::Usage(format!(
                    "--user \"{user}\" is no user of this system; for example: --user root,1000"
                )));
            }
        }
    }
    Ok(filter)
}
