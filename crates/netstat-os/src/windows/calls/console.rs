//! The console: text as UTF-8, colours, width, Ctrl+C.

use std::io;
use std::sync::Mutex;

use windows_sys::Win32::System::Console::{
    CONSOLE_SCREEN_BUFFER_INFO, CTRL_BREAK_EVENT, CTRL_C_EVENT, CTRL_CLOSE_EVENT, ENABLE_VIRTUAL_TERMINAL_PROCESSING,
    GetConsoleMode, GetConsoleOutputCP, GetConsoleScreenBufferInfo, GetStdHandle, STD_ERROR_HANDLE, STD_OUTPUT_HANDLE,
    SetConsoleCtrlHandler, SetConsoleMode, SetConsoleOutputCP,
};

use crate::Caught;

/// `CP_UTF8` (winnls.h).
const UTF8: u32 = 65001;

/// The width of the window that standard output is, in columns; `None` where it is none.
pub fn console_width() -> Option<u16> {
    let mut facts = CONSOLE_SCREEN_BUFFER_INFO::default();
    // SAFETY: a place for the facts.
    if unsafe { GetConsoleScreenBufferInfo(GetStdHandle(STD_OUTPUT_HANDLE), &mut facts) } == 0 {
        return None;
    }
    // The window, not the buffer, which may be wider.
    u16::try_from(facts.srWindow.Right - facts.srWindow.Left + 1).ok()
}

/// What the console was like before.
#[derive(Debug)]
struct Before {
    code_page: Option<u32>,
    modes: Vec<(u32, u32)>,
}

static BEFORE: Mutex<Option<Before>> = Mutex::new(None);

/// A console that was made ready; put back as it was when this is dropped, and when Ctrl+C ends the program.
#[derive(Debug)]
pub struct ConsoleState(());

impl Drop for ConsoleState {
    fn drop(&mut self) {
        put_back();
    }
}

/// Lets the console take UTF-8 and colours, as long as the value returned lives: both belong to the console and would stay for the
/// programs after this one. The second part says whether it shows colours.
pub fn prepare_console() -> (ConsoleState, bool) {
    let mut before = Before {
        code_page: None,
        modes: Vec::new(),
    };
    let mut colours = true;
    // SAFETY: calls about this program's own console; those for a redirected stream fail, and then nothing is to be done.
    unsafe {
        for stream in [STD_OUTPUT_HANDLE, STD_ERROR_HANDLE] {
            let handle = GetStdHandle(stream);
            let mut mode = 0;
            if GetConsoleMode(handle, &mut mode) == 0 {
                continue;
            }
            if before.code_page.is_none() {
                let page = GetConsoleOutputCP();
                if page != 0 && page != UTF8 && SetConsoleOutputCP(UTF8) != 0 {
                    before.code_page = Some(page);
                }
            }
            if mode & ENABLE_VIRTUAL_TERMINAL_PROCESSING != 0 {
                continue;
            }
            match SetConsoleMode(handle, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING) {
                0 => colours = false,
                _ => before.modes.push((stream, mode)),
            }
        }
        if before.code_page.is_some() || !before.modes.is_empty() {
            if let Ok(mut place) = BEFORE.lock() {
                *place = Some(before);
            }
            SetConsoleCtrlHandler(Some(put_back_at_end), 1);
        }
    }
    (ConsoleState(()), colours)
}

fn put_back() {
    let Some(before) = BEFORE.lock().ok().and_then(|mut place| place.take()) else {
        return;
    };
    // SAFETY: as in `prepare_console`.
    unsafe {
        for (stream, mode) in before.modes {
            SetConsoleMode(GetStdHandle(stream), mode);
        }
        if let Some(page) = before.code_page {
            SetConsoleOutputCP(page);
        }
    }
}

/// Called by the system on a thread of its own when the program is about to be ended.
unsafe extern "system" fn put_back_at_end(_: u32) -> i32 {
    put_back();
    // The system goes on with what it does otherwise: it ends the program.
    0
}

type Notify = Box<dyn FnMut(Caught) + Send>;
static NOTIFY: Mutex<Option<Notify>> = Mutex::new(None);

/// Called by the system on a thread of its own.
unsafe extern "system" fn handler(event: u32) -> i32 {
    let number = match event {
        // The numbers of SIGINT and SIGTERM, which callers know.
        CTRL_C_EVENT | CTRL_BREAK_EVENT => 2,
        CTRL_CLOSE_EVENT => 15,
        _ => return 0,
    };
    match NOTIFY.lock() {
        Ok(mut notify) => match notify.as_mut() {
            Some(notify) => {
                notify(Caught::End(number));
                // After CTRL_CLOSE the system ends the program when this returns, some seconds later at the latest: what is to be
                // written is written meanwhile.
                if event == CTRL_CLOSE_EVENT {
                    std::thread::sleep(std::time::Duration::from_secs(4));
                }
                1
            }
            None => 0,
        },
        Err(_) => 0,
    }
}

/// Asks the program to end as Ctrl+C does; nothing happens where nobody has asked to be notified.
pub(super) fn request_end() {
    if let Ok(mut notify) = NOTIFY.lock()
        && let Some(notify) = notify.as_mut()
    {
        // The number of SIGTERM, which callers know.
        notify(Caught::End(15));
    }
}

/// Calls `notify` from a thread of the system's for Ctrl+C, Ctrl+Break and the closing of the window, which then no longer end the program.
///
/// # Errors
/// The system's.
pub fn catch_signals(notify: impl FnMut(Caught) + Send + 'static) -> io::Result<()> {
    if let Ok(mut place) = NOTIFY.lock() {
        *place = Some(Box::new(notify));
    }
    // SAFETY: the handler lives as long as the program.
    match unsafe { SetConsoleCtrlHandler(Some(handler), 1) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
