//! This process as a service: its conversation with the service control manager, and its messages in the event log.

use std::ffi::c_void;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Condvar, Mutex, OnceLock};

use windows_sys::Win32::Foundation::{
    ERROR_CALL_NOT_IMPLEMENTED, ERROR_FAILED_SERVICE_CONTROLLER_CONNECT, ERROR_SERVICE_SPECIFIC_ERROR, HANDLE, NO_ERROR,
};
use windows_sys::Win32::System::EventLog::{
    DeregisterEventSource, EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE, RegisterEventSourceW,
    ReportEventW,
};
use windows_sys::Win32::System::Services::{
    RegisterServiceCtrlHandlerExW, SERVICE_ACCEPT_SHUTDOWN, SERVICE_ACCEPT_STOP, SERVICE_CONTROL_INTERROGATE,
    SERVICE_CONTROL_SHUTDOWN, SERVICE_CONTROL_STOP, SERVICE_RUNNING, SERVICE_START_PENDING, SERVICE_STATUS,
    SERVICE_STOP_PENDING, SERVICE_STOPPED, SERVICE_TABLE_ENTRYW, SERVICE_WIN32_OWN_PROCESS, SetServiceStatus,
    StartServiceCtrlDispatcherW,
};

use super::{console, wide};
use crate::service_definition::LogLevel;
use crate::windows::service::event_text;

/// How long the manager waits for the next state before it calls the service unresponsive, in milliseconds. The end may have to wait for what is still
/// to be sent.
const PATIENCE: u32 = 30_000;

/// What the functions share that the system calls on threads of its own. A process is one service at most.
struct Shared {
    name: Vec<u16>,
    status: AtomicPtr<c_void>,
    state: AtomicU32,
    started: Mutex<Option<Sender<io::Result<()>>>>,
    ended: Mutex<bool>,
    end: Condvar,
}

static SHARED: OnceLock<Shared> = OnceLock::new();

impl Shared {
    fn report(&self, state: u32, failed: bool) {
        self.state.store(state, Ordering::SeqCst);
        let is_pending = matches!(state, SERVICE_START_PENDING | SERVICE_STOP_PENDING);
        let status = SERVICE_STATUS {
            dwServiceType: SERVICE_WIN32_OWN_PROCESS,
            dwCurrentState: state,
            dwControlsAccepted: match state {
                SERVICE_RUNNING => SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN,
                _ => 0,
            },
            dwWin32ExitCode: if failed { ERROR_SERVICE_SPECIFIC_ERROR } else { NO_ERROR },
            dwServiceSpecificExitCode: failed.into(),
            dwCheckPoint: 0,
            dwWaitHint: if is_pending { PATIENCE } else { 0 },
        };
        // SAFETY: the handle is that of `RegisterServiceCtrlHandlerExW`, which need not be closed.
        unsafe { SetServiceStatus(self.status.load(Ordering::SeqCst), &status) };
    }

    fn tell(&self, started: io::Result<()>) {
        if let Some(sender) = self.started.lock().ok().and_then(|mut place| place.take()) {
            let _ = sender.send(started);
        }
    }
}

/// Called by the manager on a thread of its own; the service lives as long as this does.
unsafe extern "system" fn service_main(_: u32, _: *mut *mut u16) {
    let Some(shared) = SHARED.get() else { return };
    // SAFETY: the name ends in zero; the handler lives as long as the program.
    let status = unsafe { RegisterServiceCtrlHandlerExW(shared.name.as_ptr(), Some(control), ptr::null()) };
    if status.is_null() {
        return shared.tell(Err(io::Error::last_os_error()));
    }
    shared.status.store(status, Ordering::SeqCst);
    shared.report(SERVICE_START_PENDING, false);
    shared.tell(Ok(()));
    let Ok(mut ended) = shared.ended.lock() else { return };
    while !*ended {
        match shared.end.wait(ended) {
            Ok(again) => ended = again,
            Err(_) => return,
        }
    }
}

/// Called by the manager on a thread of its own.
unsafe extern "system" fn control(control: u32, _: u32, _: *mut c_void, _: *mut c_void) -> u32 {
    let Some(shared) = SHARED.get() else { return NO_ERROR };
    match control {
        SERVICE_CONTROL_STOP | SERVICE_CONTROL_SHUTDOWN => {
            shared.report(SERVICE_STOP_PENDING, false);
            console::request_end();
            NO_ERROR
        }
        SERVICE_CONTROL_INTERROGATE => {
            shared.report(shared.state.load(Ordering::SeqCst), false);
            NO_ERROR
        }
        _ => ERROR_CALL_NOT_IMPLEMENTED,
    }
}

/// This process as a service that the manager has started.
#[derive(Debug)]
pub struct RunningService {
    log: HANDLE,
}

impl Drop for RunningService {
    fn drop(&mut self) {
        if !self.log.is_null() {
            // SAFETY: open, and closed once.
            unsafe { DeregisterEventSource(self.log) };
        }
    }
}

impl RunningService {
    /// Reports to the service control manager as the service `name`, and waits until it says to start. What it asks later comes as
    /// [`crate::Caught::End`].
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::InvalidInput`] when this process was not started by the manager.
    pub fn start(name: &str) -> io::Result<RunningService> {
        let (sender, started) = channel();
        let fresh = SHARED.set(Shared {
            name: wide(name),
            status: AtomicPtr::new(ptr::null_mut()),
            state: AtomicU32::new(SERVICE_START_PENDING),
            started: Mutex::new(Some(sender)),
            ended: Mutex::new(false),
            end: Condvar::new(),
        });
        if fresh.is_err() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        std::thread::Builder::new()
            .name("service control".to_owned())
            .spawn(dispatch)?;
        match started.recv() {
            Ok(Ok(())) => {}
            Ok(Err(error)) if error.raw_os_error() == Some(ERROR_FAILED_SERVICE_CONTROLLER_CONNECT.cast_signed()) => {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(io::ErrorKind::BrokenPipe.into()),
        }
        let source = wide(name);
        Ok(RunningService {
            // SAFETY: the name ends in zero. Without a log the service works as well.
            log: unsafe { RegisterEventSourceW(ptr::null(), source.as_ptr()) },
        })
    }

    /// Says that the service does its work and can be asked to stop.
    pub fn working(&self) {
        if let Some(shared) = SHARED.get() {
            shared.report(SERVICE_RUNNING, false);
        }
    }

    /// Writes a message to the event log; without a log nobody is listening.
    pub fn log(&self, level: LogLevel, text: &str) {
        let (kind, number) = match level {
            LogLevel::Information => (EVENTLOG_INFORMATION_TYPE, 1),
            LogLevel::Warning => (EVENTLOG_WARNING_TYPE, 2),
            LogLevel::Error => (EVENTLOG_ERROR_TYPE, 3),
        };
        if self.log.is_null() {
            return;
        }
        let text = wide(&event_text(text));
        let texts = [text.as_ptr()];
        // SAFETY: one text, which ends in zero, and no data.
        unsafe {
            ReportEventW(
                self.log,
                kind,
                0,
                number,
                ptr::null_mut(),
                1,
                0,
                texts.as_ptr(),
                ptr::null(),
            )
        };
    }

    /// Says that the service has ended, and whether because it failed, after which the manager starts it again.
    pub fn stopped(self, failed: bool) {
        let Some(shared) = SHARED.get() else { return };
        shared.report(SERVICE_STOPPED, failed);
        if let Ok(mut ended) = shared.ended.lock() {
            *ended = true;
        }
        shared.end.notify_all();
    }
}

/// Lets the manager call: returns when the service has stopped.
fn dispatch() {
    let Some(shared) = SHARED.get() else { return };
    let mut name = shared.name.clone();
    let table = [
        SERVICE_TABLE_ENTRYW {
            lpServiceName: name.as_mut_ptr(),
            lpServiceProc: Some(service_main),
        },
        SERVICE_TABLE_ENTRYW::default(),
    ];
    // SAFETY: the table ends with an empty entry, and outlives the call.
    if unsafe { StartServiceCtrlDispatcherW(table.as_ptr()) } == 0 {
        shared.tell(Err(io::Error::last_os_error()));
    }
}
