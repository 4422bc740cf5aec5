//! The socket units of systemd: ports on which PID 1 listens on behalf of a service (systemd.socket(5)).

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use netstat_model::Protocol;
use netstat_os::files::{self, Directory};

/// The directories of unit files, in order of decreasing precedence (systemd.unit(5), "System Unit Search Path").
const DIRECTORIES: [&str; 6] = [
    "etc/systemd/system",
    "run/systemd/system",
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];

/// The maximum number of bytes read of a unit file.
const FILE_LIMIT: u64 = 1 << 20;

/// A socket unit of systemd. Names are untrusted; escape them before printing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketUnit {
    /// The full name of the unit: `ssh.socket`.
    pub name: String,
    /// The unit that is started for incoming connections: `ssh.service`, or `ssh@.service` with one instance per
    /// connection.
    pub service: String,
    /// The endpoints that the unit listens on.
    pub listens: Vec<Listen>,
}

/// An endpoint that a unit listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The address; `None` for all addresses.
    pub address: Option<IpAddr>,
    /// The port number.
    pub port: u16,
}

impl SocketUnit {
    /// Whether the unit listens on this endpoint. A unit without an address listens on all of them.
    pub fn serves(&self, protocol: Protocol, address: IpAddr, port: u16) -> bool {
        self.listens.iter().any(|listen| {
            let place = listen
                .address
                .is_none_or(|own| own == address.to_canonical() || (own.is_unspecified() && address.is_unspecified()));
            listen.protocol == protocol && listen.port == port && place
        })
    }
}

/// Returns every socket unit of the system manager whose file is below `root`, usually `/`, sorted by name.
///
/// Files that cannot be read are skipped. A unit in the result is not necessarily started.
pub fn socket_units(root: impl AsRef<Path>) -> Vec<SocketUnit> {
    let directories: Vec<PathBuf> = DIRECTORIES.iter().map(|below| root.as_ref().join(below)).collect();
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    for directory in &directories {
        for (name, path) in entries(directory) {
            if name.ends_with(".socket") && !name.contains("@.") {
                // The directory with the highest precedence wins.
                files.entry(name).or_insert(path);
            }
        }
    }
    let unit = |(name, path): (String, PathBuf)| {
        let mut text = read(&path)?;
        // Drop-in files are read in the order of their names, whatever directory they are in; among equal names, the
        // directory with the highest precedence wins.
        let mut additions: BTreeMap<String, PathBuf> = BTreeMap::new();
        for directory in &directories {
            for (addition, path) in entries(&directory.join(format!("{name}.d"))) {
                if addition.ends_with(".conf") {
                    additions.entry(addition).or_insert(path);
                }
            }
        }
        for path in additions.values() {
            text.push(b'\n');
            text.extend(read(path).unwrap_or_default());
        }
        Some(parse_socket_unit(&name, &text))
    };
    files
        .into_iter()
        .filter_map(unit)
        .filter(|unit| !unit.listens.is_empty())
        .collect()
}

fn entries(directory: &Path) -> Vec<(String, PathBuf)> {
    let names = Directory::open(directory).and_then(|directory| directory.names());
    let texts = names.unwrap_or_default().into_iter();
    texts
        .filter_map(|name| String::from_utf8(name).ok())
        .map(|name| {
            let path = directory.join(&name);
            (name, path)
        })
        .collect()
}

/// Reads a regular file. A masked unit is a link to `/dev/null` and yields `None`.
fn read(path: &Path) -> Option<Vec<u8>> {
    if !files::path_facts(path).ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    let file = files::open_foreign(path).ok()?;
    files::content(&file).take(FILE_LIMIT).read_to_end(&mut text).ok()?;
    Some(text)
}

/// Parses the text of the socket unit called `name`. Never fails: lines that do not concern the listening endpoints are
/// skipped.
pub fn parse_socket_unit(name: &str, text: &[u8]) -> SocketUnit {
    let text = String::from_utf8_lossy(text).replace("\\\n", " ");
    let (mut streams, mut datagrams): (Vec<Listen>, Vec<Listen>) = (Vec::new(), Vec::new());
    let (mut service, mut each) = (None, false);
    let mut in_section = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            in_section = line == "[Socket]";
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| in_section) else {
            continue;
        };
        let value = value.trim();
        let add = |places: &mut Vec<Listen>, protocol| match value {
            "" => places.clear(),
            place => places.extend(listen(protocol, place)),
        };
        match key.trim() {
            "ListenStream" => add(&mut streams, Protocol::Tcp),
            "ListenDatagram" => add(&mut datagrams, Protocol::Udp),
            "Accept" => each = matches!(value, "1" | "yes" | "y" | "true" | "t" | "on"),
            "Service" => service = Some(value.to_owned()).filter(|name| !name.is_empty()),
            _ => {}
        }
    }
    let stem = name.strip_suffix(".socket").unwrap_or(name);
    streams.append(&mut datagrams);
    SocketUnit {
        service: service.unwrap_or_else(|| match each {
            true => format!("{stem}@.service"),
            false => format!("{stem}.service"),
        }),
        name: name.to_owned(),
        listens: streams,
    }
}

/// Parses `22`, `0.0.0.0:22`, `[::]:22` or `[fe80::1%eth0]:22`; `None` for anything without a port, such as a path.
fn listen(protocol: Protocol, place: &str) -> Option<Listen> {
    if let Ok(port) = place.parse::<u16>() {
        return (port > 0).then_some(Listen {
            protocol,
            address: None,
            port,
        });
    }
    if let Ok(side) = place.parse::<SocketAddr>() {
        return Some(Listen {
            protocol,
            address: Some(side.ip().to_canonical()),
            port: side.port(),
        });
    }
    let (address, port) = place.rsplit_once(':')?;
    let (address, _zone) = address.strip_prefix('[')?.strip_suffix(']')?.split_once('%')?;
    Some(Listen {
        protocol,
        address: Some(address.parse::<Ipv6Addr>().ok()?.into()),
        port: port.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places(text: &str) -> Vec<String> {
        let unit = parse_socket_unit("x.socket", text.as_bytes());
        let show = |listen: &Listen| format!("{} {:?} {}", listen.protocol.name(), listen.address, listen.port);
        unit.listens.iter().map(show).collect()
    }

    #[test]
    fn socket_unit_listen_addresses_are_read() {
        assert_eq!(
            places(
                "[Unit]\nListenStream=1\n[Socket]\n# ListenStream=2\nListenStream = 22\nListenStream=0.0.0.0:80\n\
                 ListenStream=[::]:81\nListenDatagram=[fe80::1%eth0]:53\nListenStream=/run/x\nListenStream=@abstract\n\
                 ListenStream=vsock::22\n"
            ),
            [
                "TCP None 22",
                "TCP Some(0.0.0.0) 80",
                "TCP Some(::) 81",
                "UDP Some(fe80::1) 53"
            ]
        );
        assert_eq!(
            places("[Socket]\nListenStream=22\nListenStream=\nListenStream=2222\n"),
            ["TCP None 2222"]
        );
    }

    #[test]
    fn socket_unit_names_its_service() {
        let service = |text: &str| parse_socket_unit("ssh.socket", text.as_bytes()).service;
        assert_eq!(service("[Socket]\nListenStream=22\n"), "ssh.service");
        assert_eq!(service("[Socket]\nAccept=yes\n"), "ssh@.service");
        assert_eq!(service("[Socket]\nService=sshd.service\nAccept=no\n"), "sshd.service");
    }

    #[test]
    fn socket_unit_serves_only_its_addresses_and_ports() {
        let unit = parse_socket_unit(
            "x.socket",
            b"[Socket]\nListenStream=22\nListenStream=192.0.2.1:80\nListenDatagram=[::]:9",
        );
        let serves = |protocol, address: &str, port| unit.serves(protocol, address.parse().unwrap(), port);
        assert!(serves(Protocol::Tcp, "::", 22) && serves(Protocol::Tcp, "192.0.2.9", 22));
        assert!(serves(Protocol::Tcp, "::ffff:192.0.2.1", 80) && !serves(Protocol::Tcp, "0.0.0.0", 80));
        assert!(serves(Protocol::Udp, "::", 9) && !serves(Protocol::Tcp, "::", 9));
    }

    #[cfg(unix)]
    #[test]
    fn socket_units_are_found_by_systemd_precedence() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("usr/lib/systemd/system/ssh.socket", "[Socket]\nListenStream=22\n");
        put("usr/lib/systemd/system/web.socket", "[Socket]\nListenStream=80\n");
        put(
            "usr/lib/systemd/system/none.socket",
            "[Socket]\nListenStream=/run/none\n",
        );
        put("usr/lib/systemd/system/each@.socket", "[Socket]\nListenStream=1\n");
        put("etc/systemd/system/web.socket", "[Socket]\nListenStream=8080\n");
        put(
            "etc/systemd/system/ssh.socket.d/port.conf",
            "[Socket]\nListenStream=\nListenStream=2222\n",
        );
        put(
            "usr/lib/systemd/system/ssh.socket.d/a.conf",
            "[Socket]\nListenStream=23\n",
        );
        std::os::unix::fs::symlink("/dev/null", root.path().join("etc/systemd/system/off.socket")).unwrap();
        put("usr/lib/systemd/system/off.socket", "[Socket]\nListenStream=99\n");
        let units: Vec<(String, Vec<u16>)> = socket_units(root.path())
            .into_iter()
            .map(|unit| (unit.name, unit.listens.iter().map(|listen| listen.port).collect()))
            .collect();
        assert_eq!(
            units,
            [("ssh.socket".into(), vec![2222]), ("web.socket".into(), vec![8080])]
        );
        assert_eq!(socket_units(root.path().join("nothing")), []);
    }

    proptest! {
        #[test]
        fn socket_unit_of_any_text_never_panics(text: Vec<u8>) {
            parse_socket_unit("x.socket", &text);
        }

        #[test]
        fn listen_address_of_any_text_is_read_or_ignored(place: String) {
            let _ = listen(Protocol::Tcp, &place);
        }
    }
}
