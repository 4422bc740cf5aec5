//! A made-up computer in place of the calls: what they would return, as bytes.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use netstat_model::{Family, Protocol, State, Why};

use crate::windows::bytes::Buffer;
use crate::windows::connections::Row;
use crate::windows::connections::tests::{row, written};
use crate::windows::disks::{DiskAnswer, Volume};
use crate::windows::etw::RawEvent;
use crate::windows::processes::ProcessEntry;
use crate::windows::processes::tests::{entry, written as written_processes};
use crate::windows::services::tests::written as written_services;
use crate::windows::source::{MemoryStatus, NetworkTrace, Offer, Region, RegistryValue, Signature, Source, TokenFacts};
use crate::windows::statistics::Tables;

/// What the computer is made of.
#[derive(Debug, Default)]
pub(in crate::windows) struct Made {
    pub(in crate::windows) rows: Vec<Row>,
    pub(in crate::windows) bound: Option<Vec<u8>>,
    pub(in crate::windows) processes: Vec<ProcessEntry>,
    pub(in crate::windows) services: Vec<(&'static str, u32)>,
    /// Paths of programs by process; others may not be read.
    pub(in crate::windows) paths: Vec<(u32, &'static str)>,
    pub(in crate::windows) native: Vec<(u32, &'static str)>,
    pub(in crate::windows) tags: Vec<(u32, u32, &'static str)>,
    pub(in crate::windows) packages: Vec<(u32, &'static str)>,
    /// Registry keys with their values; numbers are kept as numbers.
    pub(in crate::windows) registry: Vec<(&'static str, Vec<(&'static str, &'static str)>)>,
    pub(in crate::windows) disks: Vec<DiskAnswer>,
    pub(in crate::windows) elevated: bool,
    /// What ETW has to tell; `None` where there is no session.
    pub(in crate::windows) trace: Option<Vec<RawEvent>>,
    /// Events and buffers that ETW has lost.
    pub(in crate::windows) lost: (u64, u64),
    /// The connections, as the functions name them, whose bytes are counted, and how often they were read.
    pub(in crate::windows) counted: Vec<(Vec<u8>, u64)>,
    /// How many processes were asked about by a handle.
    pub(in crate::windows) opened: usize,
}

#[derive(Clone, Debug, Default)]
pub(in crate::windows) struct Fake(pub(in crate::windows) Arc<Mutex<Made>>);

pub(in crate::windows) fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

impl Fake {
    fn table(&self, protocol: Protocol, family: Family) -> Vec<u8> {
        let made = self.0.lock().unwrap();
        let rows: Vec<Row> = made
            .rows
            .iter()
            .filter(|row| row.protocol == protocol && row.family == family)
            .copied()
            .collect();
        written(&rows)
    }
}

impl NetworkTrace for Fake {
    fn drain(&mut self) -> Vec<RawEvent> {
        self.0
            .lock()
            .unwrap()
            .trace
            .as_mut()
            .map_or_else(Vec::new, std::mem::take)
    }

    fn lost(&mut self) -> (u64, u64) {
        self.0.lock().unwrap().lost
    }
}

impl Source for Fake {
    fn network_trace(&mut self) -> io::Result<Box<dyn NetworkTrace>> {
        match self.0.lock().unwrap().trace {
            Some(_) => Ok(Box::new(self.clone())),
            None => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    fn tcp_table(&mut self, family: Family) -> io::Result<Vec<u8>> {
        Ok(self.table(Protocol::Tcp, family))
    }

    fn udp_table(&mut self, family: Family) -> io::Result<Vec<u8>> {
        Ok(self.table(Protocol::Udp, family))
    }

    fn bound_table(&mut self, _: Family) -> io::Result<Offer<Vec<u8>>> {
        Ok(self.0.lock().unwrap().bound.clone().map_or(Offer::Lacks, Offer::Has))
    }

    fn udp_peer_table(&mut self, _: Family) -> io::Result<Offer<Vec<u8>>> {
        Ok(Offer::Lacks)
    }

    fn processes(&mut self) -> io::Result<Buffer> {
        Ok(written_processes(&self.0.lock().unwrap().processes, 0x7ff0_0000))
    }

    fn services(&mut self) -> io::Result<(Buffer, u32)> {
        let made = self.0.lock().unwrap();
        Ok((written_services(&made.services, 0x10), made.services.len() as u32))
    }

    fn service_of_tag(&mut self, pid: u32, tag: u32) -> Result<Vec<u16>, Why> {
        let made = self.0.lock().unwrap();
        let found = made.tags.iter().find(|one| (one.0, one.1) == (pid, tag));
        found.map(|one| units(one.2)).ok_or(Why::NotPermitted)
    }

    fn image(&mut self, pid: u32) -> Result<(Vec<u16>, u64), Why> {
        let mut made = self.0.lock().unwrap();
        made.opened += 1;
        let created = made
            .processes
            .iter()
            .find(|one| one.pid == pid)
            .ok_or(Why::Gone)?
            .created;
        let found = made.paths.iter().find(|one| one.0 == pid);
        found.map(|one| (units(one.1), created)).ok_or(Why::NotPermitted)
    }

    fn native_image(&mut self, pid: u32) -> Result<Vec<u16>, Why> {
        let made = self.0.lock().unwrap();
        let found = made.native.iter().find(|one| one.0 == pid);
        found.map(|one| units(one.1)).ok_or(Why::NotSupported)
    }

    fn drives(&mut self) -> Vec<(Vec<u16>, Vec<u16>)> {
        vec![(units("C:"), units(r"\Device\HarddiskVolume3"))]
    }

    fn package(&mut self, pid: u32) -> Result<Option<Vec<u16>>, Why> {
        let made = self.0.lock().unwrap();
        Ok(made.packages.iter().find(|one| one.0 == pid).map(|one| units(one.1)))
    }

    fn command_line(&mut self, _: u32) -> Result<Vec<u16>, Why> {
        Err(Why::NotPermitted)
    }

    fn token(&mut self, pid: u32) -> Result<TokenFacts, Why> {
        match pid {
            3000 => Ok(TokenFacts {
                sid: "S-1-5-21-1-2-3-1001".to_owned(),
                user: Some(units(r"DESK\anna")),
                elevated: false,
                integrity: Some(0x1000),
                app_container: false,
            }),
            _ => Err(Why::NotPermitted),
        }
    }

    fn regions(&mut self, _: u32) -> Result<Vec<Region>, Why> {
        Err(Why::NotPermitted)
    }

    fn signature(&mut self, _: &[u16]) -> Result<Signature, Why> {
        Ok(Signature::None)
    }

    fn protection(&mut self, _: u32) -> Result<u8, Why> {
        Ok(0x31)
    }

    fn security(&mut self, path: &[u16]) -> Result<Vec<u8>, Why> {
        let users = String::from_utf16_lossy(path).contains("Users");
        let writers: &[(u8, u8, u32, &str)] = match users {
            true => &[(0, 0, 0x001f_01ff, "S-1-5-21-1-2-3-1001")],
            false => &[(0, 0, 0x001f_01ff, "S-1-5-32-544"), (0, 0, 0x0012_00a9, "S-1-5-32-545")],
        };
        Ok(crate::windows::security::tests::descriptor("S-1-5-18", writers))
    }

    fn administrators(&mut self) -> Vec<String> {
        vec!["S-1-5-21-1-2-3-1000".to_owned()]
    }

    fn registry_values(&mut self, key: &str) -> io::Result<Vec<RegistryValue>> {
        let made = self.0.lock().unwrap();
        let found = made.registry.iter().find(|(path, _)| *path == key);
        let (_, values) = found.ok_or(io::ErrorKind::NotFound)?;
        let value = |(name, text): &(&str, &str)| match text.parse::<u32>() {
            Ok(number) => RegistryValue {
                name: units(name),
                kind: 4,
                data: number.to_le_bytes().to_vec(),
            },
            Err(_) => RegistryValue {
                name: units(name),
                kind: 2,
                data: units(text).iter().flat_map(|unit| unit.to_le_bytes()).collect(),
            },
        };
        Ok(values.iter().map(value).collect())
    }

    fn registry_keys(&mut self, key: &str) -> io::Result<Vec<Vec<u16>>> {
        let made = self.0.lock().unwrap();
        let below = |path: &&str| path.strip_prefix(key)?.strip_prefix('\\').map(str::to_owned);
        let names = made.registry.iter().filter_map(|(path, _)| below(path));
        Ok(names
            .filter(|name| !name.contains('\\'))
            .map(|name| units(&name))
            .collect())
    }

    fn expand(&self, text: &[u16]) -> Vec<u16> {
        units(&String::from_utf16_lossy(text).replace("%SystemRoot%", r"C:\Windows"))
    }

    fn interfaces(&mut self) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn addresses(&mut self) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn ip_interfaces(&mut self) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn routes(&mut self, _: Family) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn persistent_routes(&mut self) -> io::Result<Vec<String>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn best_route(&mut self, _: IpAddr, _: Option<IpAddr>) -> io::Result<(Vec<u8>, Vec<u8>)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn statistics(&mut self) -> ([Tables; 2], bool) {
        Default::default()
    }

    fn processors(&mut self) -> io::Result<Vec<Vec<u8>>> {
        Ok(vec![
            [70u64, 100, 20, 0, 0, 0]
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect(),
        ])
    }

    fn memory(&mut self) -> io::Result<MemoryStatus> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn computer_name(&self) -> Vec<u16> {
        units("DESK")
    }

    fn is_elevated(&self) -> bool {
        self.0.lock().unwrap().elevated
    }

    fn since_boot(&self) -> Duration {
        Duration::from_secs(1000)
    }

    fn disks(&mut self) -> io::Result<Vec<DiskAnswer>> {
        match self.0.lock().unwrap().disks.clone() {
            disks if disks.is_empty() => Err(io::ErrorKind::Unsupported.into()),
            disks => Ok(disks),
        }
    }

    fn volumes(&mut self) -> Vec<Volume> {
        let volume = |letter, total| Volume {
            letter,
            disk: 0,
            total,
            available: total / 2,
        };
        vec![volume('C', 100), volume('D', 20)]
    }

    fn count_connection_bytes(&mut self, _: bool, row: &[u8]) -> Result<(), Why> {
        let mut made = self.0.lock().unwrap();
        match made.elevated {
            true => made.counted.push((row.to_vec(), 0)),
            false => return Err(Why::NotPermitted),
        }
        Ok(())
    }

    fn connection_bytes(&mut self, _: bool, row: &[u8]) -> Result<(bool, Vec<u8>), Why> {
        let mut made = self.0.lock().unwrap();
        let mut data = vec![0; crate::windows::estats::DATA];
        let Some(counted) = made.counted.iter_mut().find(|one| one.0 == row) else {
            // What Windows gives where counting was not switched on: numbers without meaning.
            data.fill(0xee);
            return Ok((false, data));
        };
        counted.1 += 1;
        data[72..80].copy_from_slice(&(counted.1 * 1000).to_le_bytes());
        data[88..96].copy_from_slice(&(counted.1 * 10).to_le_bytes());
        Ok((true, data))
    }

    fn end_process(&mut self, _: u32, _: u64, _: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn suspend_process(&mut self, _: u32, _: u64, _: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn close_connection(&mut self, _: &[u8; 20]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn bind_alone(&mut self, _: bool, _: bool, _: u16) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The moment at which the process of a made-up row started: before the row.
pub(in crate::windows) const STARTED: u64 = 132_000_000_000_000_000;

pub(in crate::windows) fn computer() -> Fake {
    let fake = Fake::default();
    *fake.0.lock().unwrap() = Made {
        rows: vec![
            row(Protocol::Tcp, "0.0.0.0:135", "0.0.0.0:0", State::Listening, 900),
            row(Protocol::Tcp, "0.0.0.0:445", "0.0.0.0:0", State::Listening, 4),
            row(
                Protocol::Tcp,
                "10.0.0.5:50000",
                "192.0.2.1:443",
                State::Established,
                3000,
            ),
            row(Protocol::Tcp, "10.0.0.5:50001", "192.0.2.1:443", State::TimeWait, 0),
            row(Protocol::Tcp, "[::]:80", "[::]:0", State::Listening, 3400),
            row(Protocol::Udp, "0.0.0.0:5353", "0.0.0.0:0", State::Closed, 3000),
            row(Protocol::Udp, "0.0.0.0:5353", "0.0.0.0:0", State::Closed, 3000),
        ],
        processes: vec![
            entry(0, 0, "", 0),
            entry(4, 0, "System", STARTED - 10),
            entry(900, 700, "svchost.exe", STARTED),
            entry(3000, 2000, "chrome.exe", STARTED),
            entry(3400, 2000, "game.exe", STARTED),
        ],
        services: vec![("RpcSs", 900), ("RpcEptMapper", 900), ("Spooler", 1)],
        paths: vec![(3000, r"C:\Program Files\Chrome\chrome.exe")],
        native: vec![(900, r"\Device\HarddiskVolume3\Windows\System32\svchost.exe")],
        packages: vec![(3400, "Contoso.Game_1.0.0.0_x64__8wekyb3d8bbwe")],
        ..Made::default()
    };
    fake
}
