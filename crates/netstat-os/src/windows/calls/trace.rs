//! A session of ETW that hands over the network events of the kernel in real time.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::mem::size_of;
use std::ptr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use windows_sys::Win32::Foundation::{ERROR_ALREADY_EXISTS, NO_ERROR};
use windows_sys::Win32::System::Diagnostics::Etw::{
    CONTROLTRACE_HANDLE, CloseTrace, ControlTraceW, ENABLE_TRACE_PARAMETERS, EVENT_CONTROL_CODE_ENABLE_PROVIDER,
    EVENT_FILTER_DESCRIPTOR, EVENT_RECORD, EVENT_TRACE_CONTROL_QUERY, EVENT_TRACE_CONTROL_STOP, EVENT_TRACE_LOGFILEW,
    EVENT_TRACE_PROPERTIES, EVENT_TRACE_REAL_TIME_MODE, EnableTraceEx2, OpenTraceW, PROCESS_TRACE_MODE_EVENT_RECORD,
    PROCESS_TRACE_MODE_REAL_TIME, PROCESSTRACE_HANDLE, ProcessTrace, StartTraceW, TRACE_LEVEL_INFORMATION,
    WNODE_FLAG_TRACED_GUID,
};
use windows_sys::core::GUID;

use super::{code, handle, lookup, security, wide};
use crate::windows::etw::{IDS, RawEvent};
use crate::windows::source::NetworkTrace;

/// The session's name: one that an earlier process has left behind is found by it.
const NAME: &str = "netstat network events";
/// Microsoft-Windows-Kernel-Network.
const PROVIDER: GUID = GUID::from_u128(0x7dd42a49_5329_4832_8dfd_43d979153a88);
/// Its keywords for IPv4 and IPv6.
const KEYWORDS: u64 = 0x10 | 0x20;
/// `EVENT_FILTER_TYPE_EVENT_ID` (evntprov.h), Windows 8.1 and later.
const BY_ID: u32 = 0x8000_0200;
/// `ENABLE_TRACE_PARAMETERS_VERSION_2` (evntrace.h).
const PARAMETERS_VERSION: u32 = 2;
/// Room for events in the kernel: so many buffers of 64 KB each.
const BUFFERS: (u32, u32) = (16, 128);
/// So many events wait for this program; what comes then is lost.
const MOST_WAITING: usize = 1 << 17;
/// Longer payloads are of no event that is asked for.
const LONGEST: usize = 256;

/// `EVENT_TRACE_PROPERTIES` with the room for the name that the system writes behind it.
#[repr(C)]
struct Properties {
    fixed: EVENT_TRACE_PROPERTIES,
    name: [u16; 64],
}

impl Properties {
    fn new() -> Properties {
        let mut fixed = EVENT_TRACE_PROPERTIES::default();
        fixed.Wnode.BufferSize = size_of::<Properties>() as u32;
        fixed.Wnode.Flags = WNODE_FLAG_TRACED_GUID;
        // Time stamps of the performance counter, which the consumer gets as FILETIMEs.
        fixed.Wnode.ClientContext = 1;
        fixed.BufferSize = 64;
        (fixed.MinimumBuffers, fixed.MaximumBuffers) = BUFFERS;
        fixed.LogFileMode = EVENT_TRACE_REAL_TIME_MODE;
        fixed.FlushTimer = 1;
        fixed.LoggerNameOffset = size_of::<EVENT_TRACE_PROPERTIES>() as u32;
        Properties { fixed, name: [0; 64] }
    }
}

/// What the callback fills.
#[derive(Debug, Default)]
struct Waiting {
    events: Vec<RawEvent>,
    dropped: u64,
}

/// Called by `ProcessTrace` on its thread.
unsafe extern "system" fn on_event(record: *mut EVENT_RECORD) {
    // SAFETY: the system passes a record that is valid during the call; its context is the list that `start` gave, which outlives the thread.
    unsafe {
        let record = &*record;
        let header = &record.EventHeader;
        let Some(waiting) = record.UserContext.cast::<Mutex<Waiting>>().as_ref() else {
            return;
        };
        if !IDS.contains(&header.EventDescriptor.Id) || !is_provider(&header.ProviderId) {
            return;
        }
        let length = usize::from(record.UserDataLength).min(LONGEST);
        let payload = match record.UserData.is_null() {
            true => Vec::new(),
            false => std::slice::from_raw_parts(record.UserData.cast::<u8>(), length).to_vec(),
        };
        let event = RawEvent {
            id: header.EventDescriptor.Id,
            version: header.EventDescriptor.Version,
            at: header.TimeStamp.cast_unsigned(),
            payload,
        };
        if let Ok(mut waiting) = waiting.lock() {
            match waiting.events.len() < MOST_WAITING {
                true => waiting.events.push(event),
                false => waiting.dropped += 1,
            }
        }
    }
}

fn is_provider(id: &GUID) -> bool {
    (id.data1, id.data2, id.data3, id.data4) == (PROVIDER.data1, PROVIDER.data2, PROVIDER.data3, PROVIDER.data4)
}

/// A running session; stopped when this is dropped.
#[derive(Debug)]
struct Session {
    waiting: Arc<Mutex<Waiting>>,
    reading: Option<(u64, JoinHandle<()>)>,
    name: Vec<u16>,
    /// Locked as long as the session is in use.
    _lock: File,
}

/// Starts a session, or takes over one that was left behind.
///
/// # Errors
/// Why there is none.
pub(super) fn start() -> io::Result<Box<dyn NetworkTrace>> {
    let lock = lock()?;
    let name = wide(NAME);
    let mut control = CONTROLTRACE_HANDLE::default();
    let mut begin = || {
        let mut properties = Properties::new();
        // SAFETY: the name ends in zero; the properties have the size that they say.
        unsafe { StartTraceW(&mut control, name.as_ptr(), &mut properties.fixed) }
    };
    let mut begun = begin();
    if begun == ERROR_ALREADY_EXISTS {
        // Whoever made it has ended: it would hold the lock.
        let _ = told(&name, EVENT_TRACE_CONTROL_STOP);
        begun = begin();
    }
    if begun != NO_ERROR {
        return Err(code(begun));
    }
    let mut session = Session {
        waiting: Arc::default(),
        reading: None,
        name,
        _lock: lock,
    };
    enable(control)?;
    session.read()?;
    Ok(Box::new(session))
}

/// Takes the lock that one session alone can have. It lies where only administrators may make files.
fn lock() -> io::Result<File> {
    let directory = lookup::shared_directory()
        .ok_or(io::ErrorKind::NotFound)?
        .join("netstat");
    security::create_private_directory(&directory)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", directory.display())))?;
    let path = directory.join("trace.lock");
    let file = match security::create_private_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => crate::files::open_in_place(&path, true),
        made => made,
    }?;
    match handle::lock_exclusively(&file)? {
        true => Ok(file),
        false => Err(io::Error::other("another netstat uses it")),
    }
}

/// Asks for the events by their ids, or for all of them where the filter is refused.
fn enable(control: CONTROLTRACE_HANDLE) -> io::Result<()> {
    /// `EVENT_FILTER_EVENT_ID` (evntprov.h).
    #[repr(C)]
    struct ById {
        keep: u8,
        reserved: u8,
        count: u16,
        ids: [u16; IDS.len()],
    }
    let by_id = ById {
        keep: 1,
        reserved: 0,
        count: IDS.len() as u16,
        ids: IDS,
    };
    let mut filter = EVENT_FILTER_DESCRIPTOR {
        Ptr: (&raw const by_id) as u64,
        Size: size_of::<ById>() as u32,
        Type: BY_ID,
    };
    let parameters = ENABLE_TRACE_PARAMETERS {
        Version: PARAMETERS_VERSION,
        EnableFilterDesc: &mut filter,
        FilterDescCount: 1,
        ..Default::default()
    };
    let mut error = NO_ERROR;
    for parameters in [&raw const parameters, ptr::null()] {
        // SAFETY: a session that was started; the filter outlives the call.
        error = unsafe {
            EnableTraceEx2(
                control,
                &PROVIDER,
                EVENT_CONTROL_CODE_ENABLE_PROVIDER,
                TRACE_LEVEL_INFORMATION as u8,
                KEYWORDS,
                0,
                0,
                parameters,
            )
        };
        if error == NO_ERROR {
            return Ok(());
        }
    }
    Err(code(error))
}

/// What the system says of the session when it is stopped or asked.
fn told(name: &[u16], what: u32) -> io::Result<Properties> {
    let mut properties = Properties::new();
    // SAFETY: the name ends in zero; the properties have the size that they say.
    let error = unsafe {
        ControlTraceW(
            CONTROLTRACE_HANDLE::default(),
            name.as_ptr(),
            &mut properties.fixed,
            what,
        )
    };
    match error {
        NO_ERROR => Ok(properties),
        error => Err(code(error)),
    }
}

impl Session {
    /// Starts the thread that the events come on.
    fn read(&mut self) -> io::Result<()> {
        let mut log = EVENT_TRACE_LOGFILEW {
            LoggerName: self.name.as_mut_ptr(),
            Context: Arc::as_ptr(&self.waiting).cast_mut().cast::<c_void>(),
            ..Default::default()
        };
        log.Anonymous1.ProcessTraceMode = PROCESS_TRACE_MODE_REAL_TIME | PROCESS_TRACE_MODE_EVENT_RECORD;
        log.Anonymous2.EventRecordCallback = Some(on_event);
        // SAFETY: the name ends in zero; the context outlives the thread, which keeps it.
        let trace = unsafe { OpenTraceW(&mut log) };
        // INVALID_PROCESSTRACE_HANDLE (evntrace.h).
        if trace.Value == u64::MAX {
            return Err(io::Error::last_os_error());
        }
        let kept = Arc::clone(&self.waiting);
        let work = move || {
            let trace = PROCESSTRACE_HANDLE { Value: trace.Value };
            // SAFETY: one handle, which is closed after this has returned or to make it return.
            unsafe { ProcessTrace(&trace, 1, ptr::null(), ptr::null()) };
            drop(kept);
        };
        let thread = std::thread::Builder::new()
            .name("network events".to_owned())
            .spawn(work)?;
        self.reading = Some((trace.Value, thread));
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = told(&self.name, EVENT_TRACE_CONTROL_STOP);
        if let Some((trace, thread)) = self.reading.take() {
            // SAFETY: open, and closed once.
            unsafe { CloseTrace(PROCESSTRACE_HANDLE { Value: trace }) };
            let _ = thread.join();
        }
    }
}

impl NetworkTrace for Session {
    fn drain(&mut self) -> Vec<RawEvent> {
        let waiting = self.waiting.lock();
        waiting.map_or_else(|_| Vec::new(), |mut waiting| std::mem::take(&mut waiting.events))
    }

    fn lost(&mut self) -> (u64, u64) {
        let dropped = self.waiting.lock().map_or(0, |waiting| waiting.dropped);
        match told(&self.name, EVENT_TRACE_CONTROL_QUERY) {
            Ok(Properties { fixed, .. }) => (
                dropped + u64::from(fixed.EventsLost),
                u64::from(fixed.RealTimeBuffersLost) + u64::from(fixed.LogBuffersLost),
            ),
            Err(_) => (dropped, 0),
        }
    }
}
