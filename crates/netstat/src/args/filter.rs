//! The options that filter rows, shared by all commands.

use clap::Args;
use netstat_model::{Filter, Globs, Pids, Ports, Sides, States, Users};

use super::values;

/// The heading of these options in the help text.
pub(crate) const FILTERS: &str = "Filters (AND between options, OR within a list)";

/// Which rows are wanted. Options add up: more values of one kind let more rows through, another kind fewer.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterArgs {
    /// only TCP in these states (commas between them), LISTENING and BOUND too if named; UDP has no states
    #[arg(long, value_name = "LIST", value_parser = values::states, help_heading = FILTERS)]
    state: Vec<States>,
    /// only rows with one of these ports on either side: 443,8000-8010
    #[arg(long, value_name = "LIST", value_parser = values::ports, help_heading = FILTERS)]
    port: Vec<Ports>,
    /// only rows with this local side: address, network, host name, :port or :range, or one of these with a port
    #[arg(long, value_name = "LIST", value_parser = values::sides, help_heading = FILTERS)]
    local: Vec<Sides>,
    /// only rows with this foreign side: 10.0.0.0/8,[2001:db8::1]:443,:25,example.org
    #[arg(long, value_name = "LIST", value_parser = values::sides, help_heading = FILTERS)]
    foreign: Vec<Sides>,
    /// only sockets of these processes
    #[arg(long, value_name = "LIST", value_parser = values::pids, help_heading = FILTERS)]
    pid: Vec<Pids>,
    /// only sockets of these programs: file names, or paths if they hold a slash, with * and ?
    #[arg(long, value_name = "LIST", value_parser = values::globs, help_heading = FILTERS)]
    program: Vec<Globs>,
    /// only sockets made by these users: names or ids
    #[arg(long, value_name = "LIST", value_parser = values::users, help_heading = FILTERS)]
    user: Vec<Users>,
    /// only sockets of processes in these systemd units or containers, with * and ?
    #[arg(long, value_name = "LIST", value_parser = values::globs, help_heading = FILTERS)]
    unit: Vec<Globs>,
    /// only what listens, UDP without a peer too
    #[arg(long, help_heading = FILTERS)]
    listening: bool,
    /// only TCP in ESTABLISHED
    #[arg(long, help_heading = FILTERS)]
    established: bool,
    /// only rows whose foreign side is not private, loopback or link-local
    #[arg(long, help_heading = FILTERS)]
    public: bool,
    /// only what listens on more than loopback, UDP too
    #[arg(long, help_heading = FILTERS)]
    exposed: bool,
}

impl FilterArgs {
    /// Returns the filter that these options describe. Host and user names in it are not resolved yet.
    pub fn filter(&self) -> Filter {
        let mut filter = Filter {
            listening: self.listening,
            established: self.established,
            public: self.public,
            exposed: self.exposed,
            ..Filter::default()
        };
        self.state.iter().for_each(|states| filter.states.add(*states));
        self.port.iter().for_each(|ports| filter.ports.add(ports));
        self.local.iter().for_each(|sides| filter.local.add(sides.clone()));
        self.foreign.iter().for_each(|sides| filter.foreign.add(sides.clone()));
        self.pid.iter().for_each(|pids| filter.pids.add(pids));
        self.program.iter().for_each(|globs| filter.programs.add(globs.clone()));
        self.user.iter().for_each(|users| filter.users.add(users.clone()));
        self.unit.iter().for_each(|globs| filter.units.add(globs.clone()));
        filter
    }
}
