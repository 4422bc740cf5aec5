//! Takes over the terminal, and always restores it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::style::ResetColor;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};

use crate::app::App;
use crate::screen;

/// Whether the terminal is taken over, so that it is restored exactly once.
static TAKEN: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();
/// Held while writing, so that a panic in another thread does not restore the terminal in the middle of a frame, whose
/// rest would hide the cursor again.
static WRITING: Mutex<()> = Mutex::new(());
/// How long restoring waits for a frame: a terminal that accepts no output must not prevent a panicking program from
/// ending.
const PATIENCE: Duration = Duration::from_millis(500);

/// Waits until writing has finished; `None` if that takes too long, or if this thread itself panicked while writing.
fn written() -> Option<MutexGuard<'static, ()>> {
    let begun = Instant::now();
    loop {
        match WRITING.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(guard)) => return Some(guard.into_inner()),
            Err(TryLockError::WouldBlock) if begun.elapsed() > PATIENCE => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// The size of the buffer: a frame is written at once, and only its changes, so most frames are smaller.
const FRAME: usize = 64 * 1024;

type Drawing = Terminal<CrosstermBackend<BufWriter<File>>>;

/// The terminal while it is taken over. It is restored on drop.
pub(crate) struct Screen {
    terminal: Drawing,
}

/// Creates a terminal with unknown content. Its size is fixed, because a change of size would cause the terminal to be
/// asked for the cursor position, and the answer would reach the thread that reads keys.
fn blank() -> io::Result<Drawing> {
    let (width, height) = crossterm::terminal::size()?;
    let backend = CrosstermBackend::new(BufWriter::with_capacity(FRAME, netstat_os::stdout()?));
    let viewport = Viewport::Fixed(drawn(width, height));
    Terminal::with_options(backend, TerminalOptions { viewport })
}

/// Returns the part of a terminal of this size that is drawn on: all of it, except for sizes that no real screen has. A
/// cell takes about 40 bytes, twice, and a pseudoterminal can be set to any size up to 65,535 by 65,535.
fn drawn(width: u16, height: u16) -> Rect {
    const WIDEST: u16 = 2000;
    const HIGHEST: u16 = 1000;
    Rect::new(0, 0, width.min(WIDEST), height.min(HIGHEST))
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Screen")
    }
}

impl Screen {
    /// Takes over the terminal. From then on, a panic in any thread restores it before the message is printed.
    ///
    /// # Errors
    /// Returns an error if the terminal cannot be set up.
    pub(crate) fn take() -> io::Result<Self> {
        HOOK.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                usual(panic);
                // Without the thread, the screen would stand still.
                std::process::exit(101);
            }));
        });
        let mut screen = Screen { terminal: blank()? };
        screen.enter()?;
        Ok(screen)
    }

    /// Takes over the terminal again after [`Screen::leave`].
    ///
    /// # Errors
    /// Returns an error if the terminal cannot be set up.
    pub(crate) fn enter(&mut self) -> io::Result<()> {
        TAKEN.store(true, Ordering::SeqCst);
        // After SIGSTOP the shell has changed the terminal settings, but the library assumes that its own are still in
        // effect.
        disable_raw_mode()?;
        enable_raw_mode()?;
        execute!(
            self.terminal.backend_mut(),
            EnterAlternateScreen,
            EnableMouseCapture,
            EnableBracketedPaste,
            cursor::Hide
        )?;
        self.clear()
    }

    /// Restores the terminal temporarily.
    pub(crate) fn leave(&mut self) {
        give_back();
    }

    /// Redraws everything, in the current size of the terminal.
    ///
    /// # Errors
    /// Returns an error if the terminal is gone.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.terminal = blank()?;
        execute!(self.terminal.backend_mut(), ResetColor, Clear(ClearType::All))
    }

    /// Draws what has changed.
    ///
    /// # Errors
    /// Returns an error if the terminal is gone.
    pub(crate) fn draw(&mut self, app: &mut App) -> io::Result<()> {
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        // A panicking thread has restored the terminal, and ends the program.
        if !TAKEN.load(Ordering::SeqCst) {
            return Ok(());
        }
        // Terminals that support it show the frame at once; others ignore it.
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| screen::draw(frame, app))?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Rings the terminal's bell.
    ///
    /// # Errors
    /// Returns an error if the terminal is gone.
    pub(crate) fn bell(&mut self) -> io::Result<()> {
        let backend = self.terminal.backend_mut();
        backend.write_all(b"\x07")?;
        io::Write::flush(backend)
    }

    /// Copies a text to the clipboard of the terminal (OSC 52), which works over SSH, too, if the terminal permits it.
    ///
    /// # Errors
    /// Returns an error if the terminal is gone.
    pub(crate) fn copy(&mut self, text: &str) -> io::Result<()> {
        execute!(self.terminal.backend_mut(), CopyToClipboard::to_clipboard_from(text))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Restores the terminal if it is taken over. If one step fails, the others are still tried.
fn give_back() {
    let _writing = written();
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    // There is nobody left to report an error to.
    let _ = execute!(
        out,
        EndSynchronizedUpdate,
        DisableBracketedPaste,
        DisableMouseCapture,
        LeaveAlternateScreen,
        ResetColor,
        cursor::Show
    );
    let _ = out.flush();
    let _ = disable_raw_mode();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_part_of_a_huge_terminal_is_bounded() {
        assert_eq!(drawn(80, 24), Rect::new(0, 0, 80, 24));
        assert!(drawn(u16::MAX, u16::MAX).area() <= 2_000_000);
    }
}
