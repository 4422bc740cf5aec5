//! Completions from the current state of this computer: ports, programs, processes, units, users.

use std::collections::BTreeMap;

use netstat_model::{Component, Fact, Owner, Protocol, Socket, State};
use netstat_os::{OwnersAsk, SocketAsk, SocketList, System};

/// The maximum number of values of each kind to offer.
const MOST: usize = 500;

/// Values with a description each.
pub(super) type Values = Vec<(String, String)>;

/// The values that exist on this computer now.
#[derive(Clone, Debug, Default)]
pub(super) struct Live {
    pub(super) ports: Values,
    pub(super) programs: Values,
    pub(super) pids: Values,
    pub(super) units: Values,
    pub(super) users: Values,
}

impl Live {
    /// Whether the last of `words`, the one being completed, may be one of these values. Otherwise nothing is read.
    pub(super) fn is_wanted(words: &[String]) -> bool {
        const OPTIONS: [&str; 5] = ["--port", "--program", "--pid", "--unit", "--user"];
        let last = words.len().saturating_sub(1);
        let option = |word: &String| OPTIONS.iter().any(|option| word.eq_ignore_ascii_case(option));
        let inspects = words.get(1).is_some_and(|word| word.eq_ignore_ascii_case("inspect"));
        let before = words[..last].iter().rev().take(2);
        let here = words
            .last()
            .and_then(|word| word.split_once('='))
            .map(|(option, _)| option.to_owned());
        (inspects && last > 1) || before.into_iter().any(option) || here.as_ref().is_some_and(option)
    }

    /// Reads the values.
    pub(super) fn read(system: &mut dyn System) -> Live {
        let ask = SocketAsk {
            tcp4: true,
            tcp6: true,
            udp4: true,
            udp6: true,
            tcp_states: vec![State::Listening, State::Established, State::CloseWait, State::SynSent],
            ..SocketAsk::default()
        };
        let mut list = SocketList::default();
        system.sockets(&ask, &mut list);
        let ask = OwnersAsk {
            image: true,
            names: true,
            components: true,
            ..OwnersAsk::default()
        };
        let found = system.owners(&list.sockets, &ask).ok();
        let mut kinds: [BTreeMap<String, String>; 5] = Default::default();
        for socket in &list.sockets {
            if let Fact::Known(user) = socket.user()
                && let Some(name) = system.user_name(user)
            {
                add(&mut kinds[4], name.as_bytes(), || format!("user {user}"));
            }
            let owner = found.as_ref().map(|found| found.owners.of(socket));
            let Some(Owner::Held(holders)) = owner else {
                add_port(&mut kinds[0], socket, "");
                continue;
            };
            for (number, process) in holders.iter().enumerate() {
                let image = process.image.as_ref().known().map(|image| image.file_name().to_vec());
                let name = image.or_else(|| process.comm.clone().known()).unwrap_or_default();
                let shown = String::from_utf8_lossy(&name).into_owned();
                if number == 0 {
                    add_port(&mut kinds[0], socket, &shown);
                }
                add(&mut kinds[1], &name, || format!("process {}", process.pid));
                add(&mut kinds[2], process.pid.to_string().as_bytes(), || shown.clone());
                for component in process.components.as_ref().known().into_iter().flatten() {
                    let unit = match component {
                        Component::Unit { name, .. } | Component::Service { name } | Component::Package { name } => {
                            name
                        }
                        Component::Container { id, .. } => id,
                    };
                    add(&mut kinds[3], unit, || shown.clone());
                }
            }
        }
        let [ports, programs, pids, units, users] = kinds.map(|kind| kind.into_iter().take(MOST).collect());
        Live {
            ports,
            programs,
            pids,
            units,
            users,
        }
    }

    /// Returns the values that `netstat inspect` takes: ports, programs and units.
    pub(super) fn targets(&self) -> Values {
        [&self.ports[..], &self.programs, &self.units].concat()
    }
}

/// Adds `value`, unless it contains characters with a special meaning to a shell or terminal, since it is inserted into
/// a command line.
fn add(values: &mut BTreeMap<String, String>, value: &[u8], help: impl FnOnce() -> String) {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-+@:".contains(byte);
    if value.is_empty() || value[0] == b'-' || !value.iter().all(plain) {
        return;
    }
    let value = String::from_utf8_lossy(value).into_owned();
    values
        .entry(value)
        .or_insert_with(|| netstat_model::text::escape_str(&help()).into_owned());
}

/// Adds the local port of a listener.
fn add_port(ports: &mut BTreeMap<String, String>, socket: &Socket, program: &str) {
    let listens = match socket.protocol() {
        Protocol::Tcp => socket.state() == State::Listening,
        _ => !socket.is_connected(),
    };
    if listens && socket.local().port != 0 {
        let help = format!("{} {program}", socket.protocol().name());
        add(ports, socket.local().port.to_string().as_bytes(), || {
            help.trim_end().to_owned()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_values_special_to_a_shell_are_left_out() {
        let mut values = BTreeMap::new();
        for value in [
            &b"nginx"[..],
            b"a b",
            b"$(id)",
            b"-rf",
            b"x;y",
            b"\x1b[2J",
            b"",
            b"user@1000.service",
        ] {
            add(&mut values, value, || "a\u{1b}".to_owned());
        }
        let names: Vec<&str> = values.keys().map(String::as_str).collect();
        assert_eq!(names, ["nginx", "user@1000.service"]);
        assert_eq!(values["nginx"], "a\\e");
    }

    #[test]
    fn completion_reads_the_computer_only_where_its_values_fit() {
        let wanted = |line: &str| Live::is_wanted(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for line in [
            "netstat inspect ",
            "netstat -an --user ro",
            "netstat --port 8",
            "netstat --unit = ssh",
            "netstat --program=ngi",
        ] {
            assert!(wanted(line), "{line}");
        }
        for line in ["netstat ", "netstat -an --sta", "netstat --columns pi", "netstat insp"] {
            assert!(!wanted(line), "{line}");
        }
    }
}
