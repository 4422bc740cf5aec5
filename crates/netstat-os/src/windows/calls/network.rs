//! Interfaces, addresses, routes and counters.

use std::ffi::c_void;
use std::io;
use std::mem::{offset_of, size_of};
use std::net::IpAddr;

use netstat_model::Family;
use windows_sys::Win32::Foundation::NO_ERROR;
use windows_sys::Win32::NetworkManagement::IpHelper::{
    FreeMibTable, GetBestRoute2, GetIcmpStatisticsEx, GetIfTable2, GetIpForwardTable2, GetIpStatisticsEx,
    GetTcpStatisticsEx, GetUdpStatisticsEx, GetUnicastIpAddressTable, MIB_ICMP_EX_XPSP1, MIB_IF_ROW2,
    MIB_IPFORWARD_ROW2, MIB_IPINTERFACE_ROW, MIB_IPSTATS_LH, MIB_TCPSTATS_LH, MIB_TCPSTATS2, MIB_UDPSTATS,
    MIB_UDPSTATS2, MIB_UNICASTIPADDRESS_ROW,
};
use windows_sys::Win32::Networking::WinSock::{AF_INET, AF_INET6, AF_UNSPEC, SOCKADDR_INET};

use super::code;
use super::lookup::found;
use crate::windows::interfaces::{ADDRESS_ROW, INTERFACE_ROW, IP_INTERFACE_ROW, ROUTE_ROW};
use crate::windows::source::RegistryValue;
use crate::windows::statistics::{Tables, Wide};

// The parsers depend on these offsets.
const _: () = {
    assert!(size_of::<MIB_IF_ROW2>() == INTERFACE_ROW);
    assert!(offset_of!(MIB_IF_ROW2, InterfaceAndOperStatusFlags) == 1152);
    assert!(offset_of!(MIB_IF_ROW2, InOctets) == 1208);
    assert!(offset_of!(MIB_IF_ROW2, OutErrors) == 1312);
    assert!(size_of::<MIB_UNICASTIPADDRESS_ROW>() == ADDRESS_ROW);
    assert!(offset_of!(MIB_UNICASTIPADDRESS_ROW, DadState) == 64);
    assert!(size_of::<MIB_IPFORWARD_ROW2>() == ROUTE_ROW);
    assert!(offset_of!(MIB_IPFORWARD_ROW2, Protocol) == 88);
    assert!(size_of::<MIB_IPINTERFACE_ROW>() == IP_INTERFACE_ROW);
    assert!(offset_of!(MIB_IPINTERFACE_ROW, Metric) == 148);
    assert!(offset_of!(MIB_TCPSTATS2, dw64InSegs) == 40 && offset_of!(MIB_TCPSTATS2, dwRetransSegs) == 56);
    assert!(offset_of!(MIB_UDPSTATS2, dw64OutDatagrams) == 16);
};

/// Copies a table with rows of `row` bytes after its count, and frees the original.
fn copied<T>(error: u32, table: *mut T, row: usize) -> io::Result<Vec<u8>> {
    if error != NO_ERROR {
        return Err(code(error));
    }
    // SAFETY: the call succeeded, so the table contains its count and as many rows from offset 8 on; it is freed once.
    unsafe {
        let count = table.cast::<u32>().read_unaligned() as usize;
        let bytes = std::slice::from_raw_parts(table.cast::<u8>(), 8 + count * row).to_vec();
        FreeMibTable(table.cast::<c_void>());
        Ok(bytes)
    }
}

pub(super) fn interfaces() -> io::Result<Vec<u8>> {
    let mut table = std::ptr::null_mut();
    // SAFETY: the pointer refers to a place for the table.
    copied(unsafe { GetIfTable2(&mut table) }, table, INTERFACE_ROW)
}

pub(super) fn addresses() -> io::Result<Vec<u8>> {
    let mut table = std::ptr::null_mut();
    // SAFETY: the pointer refers to a place for the table.
    copied(
        unsafe { GetUnicastIpAddressTable(AF_UNSPEC, &mut table) },
        table,
        ADDRESS_ROW,
    )
}

pub(super) fn ip_interfaces() -> io::Result<Vec<u8>> {
    let function = found!(
        "iphlpapi.dll",
        c"GetIpInterfaceTable",
        unsafe extern "system" fn(u16, *mut *mut c_void) -> u32
    );
    let Some(function) = function else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let mut table = std::ptr::null_mut();
    // SAFETY: the pointer refers to a place for the table.
    copied(unsafe { function(AF_UNSPEC, &mut table) }, table, IP_INTERFACE_ROW)
}

pub(super) fn routes(family: Family) -> io::Result<Vec<u8>> {
    let family = if family == Family::V6 { AF_INET6 } else { AF_INET };
    let mut table = std::ptr::null_mut();
    // SAFETY: the pointer refers to a place for the table.
    copied(unsafe { GetIpForwardTable2(family, &mut table) }, table, ROUTE_ROW)
}

/// Returns a `SOCKADDR_INET` as bytes: family, port 0, then the address.
fn socket_address(address: IpAddr) -> [u8; size_of::<SOCKADDR_INET>()] {
    let mut bytes = [0; size_of::<SOCKADDR_INET>()];
    match address {
        IpAddr::V4(v4) => {
            bytes[..2].copy_from_slice(&AF_INET.to_le_bytes());
            bytes[4..8].copy_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            bytes[..2].copy_from_slice(&AF_INET6.to_le_bytes());
            bytes[8..24].copy_from_slice(&v6.octets());
        }
    }
    bytes
}

pub(super) fn best_route(to: IpAddr, from: Option<IpAddr>) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let read = |address: IpAddr| {
        let bytes = socket_address(address);
        // SAFETY: every bit pattern is a valid SOCKADDR_INET, and the array has its size.
        unsafe { bytes.as_ptr().cast::<SOCKADDR_INET>().read_unaligned() }
    };
    let (to, from) = (read(to), from.map(read));
    let from = from.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let mut row = MIB_IPFORWARD_ROW2::default();
    let mut source = SOCKADDR_INET::default();
    // SAFETY: the pointers refer to places for the results, and to addresses that outlive the call.
    let error = unsafe { GetBestRoute2(std::ptr::null(), 0, from, &to, 0, &mut row, &mut source) };
    if error != NO_ERROR {
        return Err(code(error));
    }
    Ok((bytes(&row), bytes(&source)))
}

/// Returns the bytes of a structure that the system filled.
fn bytes<T>(value: &T) -> Vec<u8> {
    // SAFETY: the structures in this module consist of integers and were zeroed, including padding, before they were
    // filled.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast::<u8>(), size_of::<T>()).to_vec() }
}

fn filled<T: Default>(call: impl FnOnce(&mut T) -> u32) -> Option<Vec<u8>> {
    let mut value = T::default();
    (call(&mut value) == NO_ERROR).then(|| bytes(&value))
}

pub(super) fn statistics() -> [Tables; 2] {
    type TcpEx2 = unsafe extern "system" fn(*mut MIB_TCPSTATS2, u32) -> u32;
    type UdpEx2 = unsafe extern "system" fn(*mut MIB_UDPSTATS2, u32) -> u32;
    let tcp2 = found!("iphlpapi.dll", c"GetTcpStatisticsEx2", TcpEx2);
    let udp2 = found!("iphlpapi.dll", c"GetUdpStatisticsEx2", UdpEx2);
    [AF_INET, AF_INET6].map(|family| {
        let family = u32::from(family);
        // SAFETY: both functions fill a structure of the given type.
        let ask_tcp = |call: TcpEx2, place: &mut MIB_TCPSTATS2| unsafe { call(place, family) };
        // SAFETY: as above.
        let ask_udp = |call: UdpEx2, place: &mut MIB_UDPSTATS2| unsafe { call(place, family) };
        let tcp_wide = tcp2.and_then(|call| filled(|place| ask_tcp(call, place)));
        let udp_wide = udp2.and_then(|call| filled(|place| ask_udp(call, place)));
        // SAFETY: as above.
        let tcp = || filled(|place: &mut MIB_TCPSTATS_LH| unsafe { GetTcpStatisticsEx(place, family) });
        // SAFETY: as above.
        let udp = || filled(|place: &mut MIB_UDPSTATS| unsafe { GetUdpStatisticsEx(place, family) });
        Tables {
            // SAFETY: as above.
            ip: filled(|place: &mut MIB_IPSTATS_LH| unsafe { GetIpStatisticsEx(place, family) }),
            // SAFETY: as above.
            icmp: filled(|place: &mut MIB_ICMP_EX_XPSP1| unsafe { GetIcmpStatisticsEx(place, family) }),
            tcp: tcp_wide.map(Wide::Wide).or_else(|| tcp().map(Wide::Narrow)),
            udp: udp_wide.map(Wide::Wide).or_else(|| udp().map(Wide::Narrow)),
        }
    })
}

/// Returns the names of the values of a key in HKEY_LOCAL_MACHINE.
pub(super) fn persistent_routes() -> io::Result<Vec<String>> {
    let values = super::registry::values(r"SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\PersistentRoutes")?;
    let name = |value: RegistryValue| String::from_utf16_lossy(&value.name);
    Ok(values.into_iter().map(name).collect())
}
