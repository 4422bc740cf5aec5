//! The calls themselves: they copy what the system fills into bytes and read nothing of it.

mod administrators;
mod console;
mod control;
mod disks;
mod estats;
mod handle;
mod lookup;
mod manager;
mod network;
mod process;
mod registry;
mod security;
mod service;
mod signature;
mod tables;
mod trace;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use netstat_model::{Family, Why};
use windows_sys::Win32::System::SystemInformation as si;

pub use console::{ConsoleState, catch_signals, console_width, prepare_console};
pub(crate) use handle::{file_identity, lock_exclusively};
pub(crate) use lookup::shared_directory;
pub use manager::{install_service, remove_service, service_arguments};
pub(crate) use security::{create_private_directory, create_private_file, others, others_than_administrators};
pub use service::RunningService;

use super::bytes::Buffer;
use super::disks::{DiskAnswer, Volume};
use super::source::NetworkTrace;
use super::source::{MemoryStatus, Offer, Region, RegistryValue, Signature, Source, TokenFacts};
use super::statistics::Tables;

/// The running Windows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calls;

/// The error of a function that returns the code itself.
fn code(code: u32) -> io::Error {
    io::Error::from_raw_os_error(code.cast_signed())
}

/// `text` with the zero at its end.
fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// The text in front of the first zero.
fn before_zero(units: &[u16]) -> Vec<u16> {
    units.iter().copied().take_while(|&unit| unit != 0).collect()
}

/// Memory for an answer, aligned to 8: rows may hold numbers of 64 bits.
fn room(bytes: usize) -> Vec<u64> {
    vec![0; bytes.div_ceil(8)]
}

/// The first `length` bytes of `memory`.
fn bytes_of(memory: &[u64], length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = memory.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.truncate(length);
    bytes
}

impl Source for Calls {
    fn tcp_table(&mut self, family: Family) -> io::Result<Vec<u8>> {
        tables::tcp(family)
    }

    fn udp_table(&mut self, family: Family) -> io::Result<Vec<u8>> {
        tables::udp(family)
    }

    fn bound_table(&mut self, family: Family) -> io::Result<Offer<Vec<u8>>> {
        tables::bound(family)
    }

    fn udp_peer_table(&mut self, family: Family) -> io::Result<Offer<Vec<u8>>> {
        tables::udp_peers(family)
    }

    fn processes(&mut self) -> io::Result<Buffer> {
        process::list()
    }

    fn services(&mut self) -> io::Result<(Buffer, u32)> {
        process::services()
    }

    fn service_of_tag(&mut self, pid: u32, tag: u32) -> Result<Vec<u16>, Why> {
        process::service_of_tag(pid, tag)
    }

    fn image(&mut self, pid: u32) -> Result<(Vec<u16>, u64), Why> {
        process::image(pid)
    }

    fn native_image(&mut self, pid: u32) -> Result<Vec<u16>, Why> {
        process::native_image(pid)
    }

    fn drives(&mut self) -> Vec<(Vec<u16>, Vec<u16>)> {
        process::drives()
    }

    fn package(&mut self, pid: u32) -> Result<Option<Vec<u16>>, Why> {
        process::package(pid)
    }

    fn command_line(&mut self, pid: u32) -> Result<Vec<u16>, Why> {
        process::command_line(pid)
    }

    fn token(&mut self, pid: u32) -> Result<TokenFacts, Why> {
        process::token(pid)
    }

    fn regions(&mut self, pid: u32) -> Result<Vec<Region>, Why> {
        process::regions(pid)
    }

    fn signature(&mut self, path: &[u16]) -> Result<Signature, Why> {
        signature::check(path)
    }

    fn protection(&mut self, pid: u32) -> Result<u8, Why> {
        process::protection(pid)
    }

    fn security(&mut self, path: &[u16]) -> Result<Vec<u8>, Why> {
        security::of_file(path)
    }

    fn administrators(&mut self) -> Vec<String> {
        administrators::all()
    }

    fn registry_values(&mut self, key: &str) -> io::Result<Vec<RegistryValue>> {
        registry::values(key)
    }

    fn registry_keys(&mut self, key: &str) -> io::Result<Vec<Vec<u16>>> {
        registry::keys(key)
    }

    fn expand(&self, text: &[u16]) -> Vec<u16> {
        registry::expand(text)
    }

    fn interfaces(&mut self) -> io::Result<Vec<u8>> {
        network::interfaces()
    }

    fn addresses(&mut self) -> io::Result<Vec<u8>> {
        network::addresses()
    }

    fn ip_interfaces(&mut self) -> io::Result<Vec<u8>> {
        network::ip_interfaces()
    }

    fn routes(&mut self, family: Family) -> io::Result<Vec<u8>> {
        network::routes(family)
    }

    fn persistent_routes(&mut self) -> io::Result<Vec<String>> {
        network::persistent_routes()
    }

    fn best_route(&mut self, to: IpAddr, from: Option<IpAddr>) -> io::Result<(Vec<u8>, Vec<u8>)> {
        network::best_route(to, from)
    }

    fn statistics(&mut self) -> ([Tables; 2], bool) {
        // Wine answers the question for IPv6 with the figures of IPv4.
        (network::statistics(), !lookup::is_wine())
    }

    fn processors(&mut self) -> io::Result<Vec<Vec<u8>>> {
        process::processors()
    }

    fn memory(&mut self) -> io::Result<MemoryStatus> {
        process::memory()
    }

    fn computer_name(&self) -> Vec<u16> {
        let mut name = [0u16; 256];
        let mut length = name.len() as u32;
        // SAFETY: the buffer has the length that is passed.
        let done =
            unsafe { si::GetComputerNameExW(si::ComputerNamePhysicalDnsHostname, name.as_mut_ptr(), &mut length) };
        if done == 0 { Vec::new() } else { before_zero(&name) }
    }

    fn is_elevated(&self) -> bool {
        process::token(std::process::id()).is_ok_and(|token| token.elevated)
    }

    fn since_boot(&self) -> Duration {
        // SAFETY: no arguments.
        Duration::from_millis(unsafe { si::GetTickCount64() })
    }

    fn disks(&mut self) -> io::Result<Vec<DiskAnswer>> {
        disks::disks()
    }

    fn volumes(&mut self) -> Vec<Volume> {
        disks::volumes()
    }

    fn count_connection_bytes(&mut self, v6: bool, row: &[u8]) -> Result<(), Why> {
        estats::enable(v6, row)
    }

    fn connection_bytes(&mut self, v6: bool, row: &[u8]) -> Result<(bool, Vec<u8>), Why> {
        estats::read(v6, row)
    }

    fn network_trace(&mut self) -> io::Result<Box<dyn NetworkTrace>> {
        trace::start()
    }

    fn end_process(&mut self, pid: u32, created: u64, at_once: bool) -> io::Result<()> {
        control::end(pid, created, at_once)
    }

    fn suspend_process(&mut self, pid: u32, created: u64, stop: bool) -> io::Result<()> {
        control::suspend(pid, created, stop)
    }

    fn close_connection(&mut self, row: &[u8; 20]) -> io::Result<()> {
        control::close_connection(row)
    }

    fn bind_alone(&mut self, udp: bool, v6: bool, port: u16) -> io::Result<()> {
        control::bind_alone(udp, v6, port)
    }
}
