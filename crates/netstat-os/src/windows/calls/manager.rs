//! Services made and removed: the service control manager.

use std::ffi::c_void;
use std::io;
use std::ptr;
use std::time::{Duration, Instant};

use netstat_model::text::plain_error;
use windows_sys::Win32::Foundation::{
    ERROR_SERVICE_ALREADY_RUNNING, ERROR_SERVICE_DOES_NOT_EXIST, ERROR_SERVICE_NOT_ACTIVE,
};
use windows_sys::Win32::Storage::FileSystem::DELETE;
use windows_sys::Win32::System::Services::{
    ChangeServiceConfig2W, ChangeServiceConfigW, CloseServiceHandle, ControlService, CreateServiceW, DeleteService,
    OpenSCManagerW, OpenServiceW, QueryServiceConfigW, QueryServiceStatus, SC_ACTION, SC_ACTION_RESTART, SC_HANDLE,
    SC_MANAGER_CONNECT, SC_MANAGER_CREATE_SERVICE, SERVICE_ALL_ACCESS, SERVICE_AUTO_START,
    SERVICE_CONFIG_DELAYED_AUTO_START_INFO, SERVICE_CONFIG_DESCRIPTION, SERVICE_CONFIG_FAILURE_ACTIONS,
    SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO, SERVICE_CONTROL_STOP,
    SERVICE_DELAYED_AUTO_START_INFO, SERVICE_DESCRIPTIONW, SERVICE_ERROR_NORMAL, SERVICE_FAILURE_ACTIONS_FLAG,
    SERVICE_FAILURE_ACTIONSW, SERVICE_QUERY_CONFIG, SERVICE_QUERY_STATUS, SERVICE_REQUIRED_PRIVILEGES_INFOW,
    SERVICE_RUNNING, SERVICE_STATUS, SERVICE_STOP, SERVICE_STOPPED, SERVICE_WIN32_OWN_PROCESS, StartServiceW,
};

use super::{bytes_of, registry, room, wide};
use crate::service_definition::ServiceDefinition;
use crate::windows::arguments;
use crate::windows::bytes::Buffer;
use crate::windows::services;

/// How long a service may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(40);
/// Restarts after a failure, in milliseconds: the first two, and all further ones.
const RESTARTS: [u32; 3] = [5_000, 30_000, 300_000];
/// After so many seconds without a failure the first restart counts as the first again.
const RESET: u32 = 86_400;
/// The only privileges of LocalSystem that are kept: to enter directories, to see the programs of other users, to trace.
const PRIVILEGES: [&str; 3] = [
    "SeChangeNotifyPrivilege",
    "SeDebugPrivilege",
    "SeSystemProfilePrivilege",
];
/// Where the event log finds what its sources are.
const EVENT_SOURCES: &str = r"SYSTEM\CurrentControlSet\Services\EventLog\Application";
/// A part of Windows whose messages with the numbers 1 to 1,000 are the text that comes with them.
const MESSAGES: &str = r"%SystemRoot%\System32\EventCreate.exe";

/// A handle of the manager or of a service.
struct Handle(SC_HANDLE);

impl Handle {
    fn of(handle: SC_HANDLE) -> io::Result<Handle> {
        match handle.is_null() {
            true => Err(io::Error::last_os_error()),
            false => Ok(Handle(handle)),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: open, and closed once.
        unsafe { CloseServiceHandle(self.0) };
    }
}

fn manager(rights: u32) -> io::Result<Handle> {
    // SAFETY: this computer, and its only database.
    Handle::of(unsafe { OpenSCManagerW(ptr::null(), ptr::null(), rights) })
}

fn open(manager: &Handle, name: &str, rights: u32) -> io::Result<Option<Handle>> {
    let name = wide(name);
    // SAFETY: the name ends in zero.
    match Handle::of(unsafe { OpenServiceW(manager.0, name.as_ptr(), rights) }) {
        Ok(handle) => Ok(Some(handle)),
        Err(error) if is(&error, ERROR_SERVICE_DOES_NOT_EXIST) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is(error: &io::Error, code: u32) -> bool {
    error.raw_os_error() == Some(code.cast_signed())
}

fn done(result: i32) -> io::Result<()> {
    match result {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The program and the arguments that the service `name` starts; `None` when there is no such service.
///
/// # Errors
/// The system's.
pub fn service_arguments(name: &str) -> io::Result<Option<Vec<Vec<u8>>>> {
    let manager = manager(SC_MANAGER_CONNECT)?;
    let Some(service) = open(&manager, name, SERVICE_QUERY_CONFIG)? else {
        return Ok(None);
    };
    // The largest answer there is (QueryServiceConfigW).
    let mut memory = room(8 * 1024);
    let mut needed = 0;
    let size = (memory.len() * 8) as u32;
    // SAFETY: the room has the size that is passed.
    done(unsafe { QueryServiceConfigW(service.0, memory.as_mut_ptr().cast(), size, &mut needed) })?;
    let answer = Buffer {
        base: memory.as_ptr() as u64,
        bytes: bytes_of(&memory, memory.len() * 8),
    };
    let line = services::command_line(&answer).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some(arguments::split(&line)))
}

/// Makes a service, or changes the one of this name, and starts it. Returns what of it this version of Windows did not take.
///
/// # Errors
/// The system's.
pub fn install_service(definition: &ServiceDefinition<'_>) -> io::Result<Vec<String>> {
    let program = definition.program.to_str().ok_or(io::ErrorKind::InvalidInput)?;
    let line = arguments::join(program, definition.arguments).ok_or(io::ErrorKind::InvalidInput)?;
    let manager = manager(SC_MANAGER_CONNECT | SC_MANAGER_CREATE_SERVICE)?;
    let service = create(&manager, definition, &line)?;
    let mut missing = details(&service, definition);
    if let Err(error) = add_event_source(definition.name) {
        missing.push(format!("its messages in the event log: {}", plain_error(&error)));
    }
    // SAFETY: no arguments.
    match done(unsafe { StartServiceW(service.0, 0, ptr::null()) }) {
        Err(error) if !is(&error, ERROR_SERVICE_ALREADY_RUNNING) => return Err(error),
        _ => wait(&service, SERVICE_RUNNING)?,
    }
    Ok(missing)
}

fn create(manager: &Handle, definition: &ServiceDefinition<'_>, line: &str) -> io::Result<Handle> {
    let (name, title, line) = (wide(definition.name), wide(definition.title), wide(line));
    let (kind, start, on_error) = (SERVICE_WIN32_OWN_PROCESS, SERVICE_AUTO_START, SERVICE_ERROR_NORMAL);
    let none = ptr::null();
    if let Some(service) = open(manager, definition.name, SERVICE_ALL_ACCESS)? {
        stop(&service)?;
        let (line, title, tag) = (line.as_ptr(), title.as_ptr(), ptr::null_mut());
        // SAFETY: the texts end in zero; an account that is not named stays.
        done(unsafe {
            ChangeServiceConfigW(
                service.0, kind, start, on_error, line, none, tag, none, none, none, title,
            )
        })?;
        return Ok(service);
    }
    // SAFETY: the texts end in zero; without an account it is LocalSystem.
    Handle::of(unsafe {
        CreateServiceW(
            manager.0,
            name.as_ptr(),
            title.as_ptr(),
            SERVICE_ALL_ACCESS,
            kind,
            start,
            on_error,
            line.as_ptr(),
            none,
            ptr::null_mut(),
            none,
            none,
            none,
        )
    })
}

/// Sets what a service can do without, and says what could not be set.
fn details(service: &Handle, definition: &ServiceDefinition<'_>) -> Vec<String> {
    let mut description = wide(definition.description);
    let mut actions = RESTARTS.map(|delay| SC_ACTION {
        Type: SC_ACTION_RESTART,
        Delay: delay,
    });
    let mut privileges: Vec<u16> = PRIVILEGES.iter().flat_map(|name| wide(name)).chain([0]).collect();
    let description = SERVICE_DESCRIPTIONW {
        lpDescription: description.as_mut_ptr(),
    };
    let delayed = SERVICE_DELAYED_AUTO_START_INFO { fDelayedAutostart: 1 };
    let restarts = SERVICE_FAILURE_ACTIONSW {
        dwResetPeriod: RESET,
        lpRebootMsg: ptr::null_mut(),
        lpCommand: ptr::null_mut(),
        cActions: actions.len() as u32,
        lpsaActions: actions.as_mut_ptr(),
    };
    // Also when it ends with an error, not only when it crashes.
    let on_errors = SERVICE_FAILURE_ACTIONS_FLAG {
        fFailureActionsOnNonCrashFailures: 1,
    };
    let privileges = SERVICE_REQUIRED_PRIVILEGES_INFOW {
        pmszRequiredPrivileges: privileges.as_mut_ptr(),
    };
    let parts: [(&str, u32, *const c_void); 5] = [
        (
            "its description",
            SERVICE_CONFIG_DESCRIPTION,
            (&raw const description).cast(),
        ),
        (
            "the delayed start",
            SERVICE_CONFIG_DELAYED_AUTO_START_INFO,
            (&raw const delayed).cast(),
        ),
        (
            "restarts after a failure",
            SERVICE_CONFIG_FAILURE_ACTIONS,
            (&raw const restarts).cast(),
        ),
        (
            "restarts after an error",
            SERVICE_CONFIG_FAILURE_ACTIONS_FLAG,
            (&raw const on_errors).cast(),
        ),
        (
            "fewer privileges",
            SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO,
            (&raw const privileges).cast(),
        ),
    ];
    let set = |(what, level, info): (&str, u32, *const c_void)| {
        // SAFETY: each level gets its own structure, whose texts and lists outlive the call.
        let result = done(unsafe { ChangeServiceConfig2W(service.0, level, info) });
        result.err().map(|error| format!("{what}: {}", plain_error(&error)))
    };
    parts.into_iter().filter_map(set).collect()
}

/// Ends the service `name` and removes it; nothing happens when there is none.
///
/// # Errors
/// The system's.
pub fn remove_service(name: &str) -> io::Result<()> {
    let manager = manager(SC_MANAGER_CONNECT)?;
    if let Some(service) = open(&manager, name, SERVICE_STOP | SERVICE_QUERY_STATUS | DELETE)? {
        stop(&service)?;
        // SAFETY: an open service with the right to delete it.
        done(unsafe { DeleteService(service.0) })?;
    }
    match registry::remove(&format!(r"{EVENT_SOURCES}\{name}")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn stop(service: &Handle) -> io::Result<()> {
    let mut status = SERVICE_STATUS::default();
    // SAFETY: a place for the status.
    match done(unsafe { ControlService(service.0, SERVICE_CONTROL_STOP, &mut status) }) {
        Err(error) if is(&error, ERROR_SERVICE_NOT_ACTIVE) => Ok(()),
        Err(error) => Err(error),
        Ok(()) => wait(service, SERVICE_STOPPED),
    }
}

/// Waits until the service is in this state.
fn wait(service: &Handle, wanted: u32) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut status = SERVICE_STATUS::default();
        // SAFETY: a place for the status.
        done(unsafe { QueryServiceStatus(service.0, &mut status) })?;
        match status.dwCurrentState {
            state if state == wanted => return Ok(()),
            SERVICE_STOPPED => {
                let why = "the service ended at once; the event log says why";
                return Err(io::Error::other(why));
            }
            _ if Instant::now() >= until => return Err(io::ErrorKind::TimedOut.into()),
            _ => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Lets the event log find the texts of the source `name`.
fn add_event_source(name: &str) -> io::Result<()> {
    /// Errors, warnings and information (winnt.h).
    const TYPES: u32 = 7;
    let key = format!(r"{EVENT_SOURCES}\{name}");
    registry::set(
        &key,
        &[("EventMessageFile", MESSAGES)],
        &[("CustomSource", 1), ("TypesSupported", TYPES)],
    )
}
