//! What is asked of Windows: each question is one call, each answer the bytes of the call.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use netstat_model::{Family, Why};

use super::bytes::Buffer;
use super::disks::{DiskAnswer, Volume};
use super::etw::RawEvent;
use super::statistics::Tables;

/// Whether the system says that it does not do this: `ERROR_NOT_SUPPORTED`.
pub(super) fn is_not_supported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(50)
}

/// A running session of ETW.
pub trait NetworkTrace: fmt::Debug {
    /// The events since the last call, in the order in which they came.
    fn drain(&mut self) -> Vec<RawEvent>;

    /// How many events were lost so far, and how many buffers with an unknown number of them.
    fn lost(&mut self) -> (u64, u64);
}

/// An answer that not every version of Windows offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer<T> {
    /// It does.
    Has(T),
    /// This one does not: the function is not there.
    Lacks,
}

/// Memory, as `GlobalMemoryStatusEx` and `GetPerformanceInfo` tell it; sizes in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStatus {
    /// Physical memory.
    pub total: u64,
    /// Of it, what programs can get at once: free, zeroed and standby pages.
    pub available: u64,
    /// What programs may commit: memory and page files.
    pub commit_limit: u64,
    /// What they have committed.
    pub committed: u64,
    /// The system cache; `None` where it is not told.
    pub cache: Option<u64>,
}

/// The rights of a process, as its token tells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    /// The user's SID: `S-1-5-18`.
    pub sid: String,
    /// The user's name, `DOMAIN\name`, where the account is known; UTF-16.
    pub user: Option<Vec<u16>>,
    /// Whether it runs with the full rights of an administrator (`TokenElevation`).
    pub elevated: bool,
    /// The integrity level (`TokenIntegrityLevel`): 0x1000 low, 0x2000 medium, 0x3000 high, 0x4000 system.
    pub integrity: Option<u32>,
    /// Whether it runs in an app container.
    pub app_container: bool,
}

/// A part of the memory of a process (`MEMORY_BASIC_INFORMATION`), with the file it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// The first address.
    pub start: u64,
    /// Its size in bytes.
    pub size: u64,
    /// `PAGE_*`: 0x10, 0x20, 0x40, 0x80 may be executed, 0x40 and 0x80 written as well.
    pub protection: u32,
    /// `MEM_PRIVATE` 0x20000, `MEM_MAPPED` 0x40000, `MEM_IMAGE` 0x1000000.
    pub kind: u32,
    /// The file, as a path of the kernel (`\Device\HarddiskVolume2\...`).
    pub file: Option<Vec<u16>>,
}

/// What the signature of a file is worth (Authenticode).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// Valid, by this signer; whether by a catalogue rather than in the file itself.
    Valid {
        /// The name in the certificate, UTF-16; chosen by whoever asked for it: escape before printing.
        signer: Vec<u16>,
        /// Whether the file is listed in a signed catalogue of the system.
        catalogue: bool,
    },
    /// There is none, neither in the file nor in a catalogue.
    None,
    /// There is one that does not hold, with the system's error code (`TRUST_E_*`, `CERT_E_*`).
    Invalid(u32),
    /// There is none in the file, and catalogues could not be asked.
    NotInFile,
}

/// A value of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryValue {
    /// Its name, UTF-16.
    pub name: Vec<u16>,
    /// Its type: `REG_SZ` 1, `REG_EXPAND_SZ` 2, `REG_DWORD` 4 (winnt.h).
    pub kind: u32,
    /// Its data.
    pub data: Vec<u8>,
}

impl RegistryValue {
    /// The text, up to its first zero; `None` for a value of another type.
    pub fn text(&self) -> Option<Vec<u16>> {
        let units = self
            .data
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        matches!(self.kind, 1 | 2).then(|| units.take_while(|&unit| unit != 0).collect())
    }

    /// The number; `None` for a value of another type.
    pub fn number(&self) -> Option<u32> {
        let bytes = self.data.first_chunk().filter(|_| self.kind == 4)?;
        Some(u32::from_le_bytes(*bytes))
    }
}

/// Windows, or what stands for it in tests.
pub trait Source: fmt::Debug {
    /// `GetExtendedTcpTable` with `TCP_TABLE_OWNER_MODULE_ALL`.
    ///
    /// # Errors
    /// The system's.
    fn tcp_table(&mut self, family: Family) -> io::Result<Vec<u8>>;

    /// `GetExtendedUdpTable` with `UDP_TABLE_OWNER_MODULE`.
    ///
    /// # Errors
    /// The system's.
    fn udp_table(&mut self, family: Family) -> io::Result<Vec<u8>>;

    /// `InternalGetBoundTcpEndpointTable` and its like over IPv6.
    ///
    /// # Errors
    /// The system's.
    fn bound_table(&mut self, family: Family) -> io::Result<Offer<Vec<u8>>>;

    /// `InternalGetUdpTable2` and its like over IPv6.
    ///
    /// # Errors
    /// The system's.
    fn udp_peer_table(&mut self, family: Family) -> io::Result<Offer<Vec<u8>>>;

    /// `NtQuerySystemInformation(SystemProcessInformation)`.
    ///
    /// # Errors
    /// The system's.
    fn processes(&mut self) -> io::Result<Buffer>;

    /// `EnumServicesStatusExW` of the active services, and the number of rows.
    ///
    /// # Errors
    /// The system's.
    fn services(&mut self) -> io::Result<(Buffer, u32)>;

    /// The name of the service with this tag in process `pid` (`I_QueryTagInformation`).
    ///
    /// # Errors
    /// Why there is none.
    fn service_of_tag(&mut self, pid: u32, tag: u32) -> Result<Vec<u16>, Why>;

    /// The path of the program of process `pid` (`QueryFullProcessImageNameW`), and when the process started, as a FILETIME.
    ///
    /// # Errors
    /// Why it cannot be told; [`Why::Gone`] when there is no such process.
    fn image(&mut self, pid: u32) -> Result<(Vec<u16>, u64), Why>;

    /// The same as a path of the kernel, which needs no rights (`SystemProcessIdInformation`).
    ///
    /// # Errors
    /// Why it cannot be told.
    fn native_image(&mut self, pid: u32) -> Result<Vec<u16>, Why>;

    /// The kernel's name of each drive: `C:` and `\Device\HarddiskVolume3`.
    fn drives(&mut self) -> Vec<(Vec<u16>, Vec<u16>)>;

    /// The full name of the package that process `pid` belongs to (`GetPackageFullName`); `None` for a program without one.
    ///
    /// # Errors
    /// Why it cannot be told.
    fn package(&mut self, pid: u32) -> Result<Option<Vec<u16>>, Why>;

    /// The command line of process `pid`.
    ///
    /// # Errors
    /// Why it cannot be told.
    fn command_line(&mut self, pid: u32) -> Result<Vec<u16>, Why>;

    /// The rights of process `pid`.
    ///
    /// # Errors
    /// Why they cannot be told.
    fn token(&mut self, pid: u32) -> Result<TokenFacts, Why>;

    /// The parts of the memory of process `pid` that may be executed: at most 65,536.
    ///
    /// # Errors
    /// Why they cannot be told.
    fn regions(&mut self, pid: u32) -> Result<Vec<Region>, Why>;

    /// Whether the signature of the file at `path` holds; nothing is asked of the network.
    ///
    /// # Errors
    /// Why it cannot be told.
    fn signature(&mut self, path: &[u16]) -> Result<Signature, Why>;

    /// How process `pid` is protected (`ProcessProtectionInformation`): `PS_PROTECTION`.
    ///
    /// # Errors
    /// Why it cannot be told.
    fn protection(&mut self, pid: u32) -> Result<u8, Why>;

    /// The owner and the access list of the file or directory at `path`: a self-relative `SECURITY_DESCRIPTOR`.
    ///
    /// # Errors
    /// Why it cannot be told.
    fn security(&mut self, path: &[u16]) -> Result<Vec<u8>, Why>;

    /// The SIDs of accounts that are members of the Administrators group, as far as they can be had: those that the group names, and the
    /// account of this program where its token has the group.
    fn administrators(&mut self) -> Vec<String>;

    /// The values of a key below `HKEY_LOCAL_MACHINE`.
    ///
    /// # Errors
    /// The system's; of kind `NotFound` when there is no such key.
    fn registry_values(&mut self, key: &str) -> io::Result<Vec<RegistryValue>>;

    /// The names of the keys below a key of `HKEY_LOCAL_MACHINE`.
    ///
    /// # Errors
    /// As above.
    fn registry_keys(&mut self, key: &str) -> io::Result<Vec<Vec<u16>>>;

    /// `text` with variables such as `%SystemRoot%` replaced (`ExpandEnvironmentStringsW`).
    fn expand(&self, text: &[u16]) -> Vec<u16>;

    /// `GetIfTable2`.
    ///
    /// # Errors
    /// The system's.
    fn interfaces(&mut self) -> io::Result<Vec<u8>>;

    /// `GetUnicastIpAddressTable` of both families.
    ///
    /// # Errors
    /// The system's.
    fn addresses(&mut self) -> io::Result<Vec<u8>>;

    /// `GetIpInterfaceTable` of both families.
    ///
    /// # Errors
    /// The system's.
    fn ip_interfaces(&mut self) -> io::Result<Vec<u8>>;

    /// `GetIpForwardTable2`.
    ///
    /// # Errors
    /// The system's.
    fn routes(&mut self, family: Family) -> io::Result<Vec<u8>>;

    /// The names of the values below `Tcpip\Parameters\PersistentRoutes`.
    ///
    /// # Errors
    /// The system's.
    fn persistent_routes(&mut self) -> io::Result<Vec<String>>;

    /// `GetBestRoute2`: the row (`MIB_IPFORWARD_ROW2`) and the source address (`SOCKADDR_INET`).
    ///
    /// # Errors
    /// The system's.
    fn best_route(&mut self, to: IpAddr, from: Option<IpAddr>) -> io::Result<(Vec<u8>, Vec<u8>)>;

    /// The counters of the protocols, IPv4 first, and whether TCP over IPv6 is counted by itself.
    fn statistics(&mut self) -> ([Tables; 2], bool);

    /// The times of the processors, group by group (`SystemProcessorPerformanceInformation`).
    ///
    /// # Errors
    /// The system's.
    fn processors(&mut self) -> io::Result<Vec<Vec<u8>>>;

    /// The memory.
    ///
    /// # Errors
    /// The system's.
    fn memory(&mut self) -> io::Result<MemoryStatus>;

    /// The physical disks that answer `IOCTL_DISK_PERFORMANCE`.
    ///
    /// # Errors
    /// The system's, when there are disks and none answers.
    fn disks(&mut self) -> io::Result<Vec<DiskAnswer>>;

    /// The volumes with a letter on fixed disks.
    fn volumes(&mut self) -> Vec<Volume>;

    /// Switches on that the bytes of the connection of this `MIB_TCPROW` or `MIB_TCP6ROW` are counted
    /// (`SetPerTcpConnectionEStats`); needs elevation.
    ///
    /// # Errors
    /// Why they are not.
    fn count_connection_bytes(&mut self, v6: bool, row: &[u8]) -> Result<(), Why>;

    /// Whether the bytes of that connection are counted, and `TCP_ESTATS_DATA_ROD_v0` (`GetPerTcpConnectionEStats`): without meaning
    /// unless switching on has succeeded before.
    ///
    /// # Errors
    /// Why they cannot be told.
    fn connection_bytes(&mut self, v6: bool, row: &[u8]) -> Result<(bool, Vec<u8>), Why>;

    /// The computer's name, UTF-16.
    fn computer_name(&self) -> Vec<u16>;

    /// Whether this program runs with the full rights of an administrator.
    fn is_elevated(&self) -> bool;

    /// Time since the start of the system, time asleep included.
    fn since_boot(&self) -> Duration;

    /// Starts a session of ETW with the network events of the kernel.
    ///
    /// # Errors
    /// Why there is none: not every user may have one, and one program at a time.
    fn network_trace(&mut self) -> io::Result<Box<dyn NetworkTrace>>;

    /// Ends process `pid`, which started at `created` (FILETIME): asks its windows to close, or ends it at once.
    ///
    /// # Errors
    /// The system's.
    fn end_process(&mut self, pid: u32, created: u64, at_once: bool) -> io::Result<()>;

    /// Stops process `pid`, or lets it go on.
    ///
    /// # Errors
    /// The system's.
    fn suspend_process(&mut self, pid: u32, created: u64, stop: bool) -> io::Result<()>;

    /// Closes the TCP connection of this `MIB_TCPROW` (IPv4 only): 20 bytes with the state DELETE_TCB.
    ///
    /// # Errors
    /// The system's.
    fn close_connection(&mut self, row: &[u8; 20]) -> io::Result<()>;

    /// Tries to bind a TCP or UDP port for itself alone on the unspecified address.
    ///
    /// # Errors
    /// The system's.
    fn bind_alone(&mut self, udp: bool, v6: bool, port: u16) -> io::Result<()>;
}
