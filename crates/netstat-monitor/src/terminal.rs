//! The terminal: taken over, and always given back as it was.

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

/// Whether the terminal is taken over, so that it is given back just once, by whoever comes first.
static TAKEN: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();
/// Held while anything is written, so that a panic elsewhere does not give the terminal back in the middle of a frame, whose rest would
/// hide the cursor again.
static WRITING: Mutex<()> = Mutex::new(());
/// How long giving back waits for a frame: a terminal that takes nothing must not keep a program that panics from ending.
const PATIENCE: Duration = Duration::from_millis(500);

/// Waits for what is being written; `None` when that takes too long, or when it is this very thread that panics while it writes.
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

/// A frame is written at once, and only what changed: most need less.
const FRAME: usize = 64 * 1024;

type Drawing = Terminal<CrosstermBackend<BufWriter<File>>>;

/// The terminal while it is taken over. Dropping it gives it back.
pub(crate) struct Screen {
    terminal: Drawing,
}

/// A terminal of which nothing is known to be drawn. Its size is fixed, because a change of it would have the terminal asked for
/// the place of the cursor, and the answer would come to the thread that reads keys.
fn blank() -> io::Result<Drawing> {
    let (width, height) = crossterm::terminal::size()?;
    let backend = CrosstermBackend::new(BufWriter::with_capacity(FRAME, netstat_os::stdout()?));
    let viewport = Viewport::Fixed(drawn(width, height));
    Terminal::with_options(backend, TerminalOptions { viewport })
}

/// The part of a terminal of this size that is drawn on: all of it but for sizes that no screen has. A cell takes some 40 bytes, twice, and
/// whoever makes the terminal chooses up to 65,535 by 65,535 of them.
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
    /// Takes the terminal over. From then on a panic anywhere restores it before the message is printed.
    ///
    /// # Errors
    /// When the terminal cannot be set up.
    pub(crate) fn take() -> io::Result<Self> {
        HOOK.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                usual(panic);
                // A thread that is gone would leave a screen that stands still.
                std::process::exit(101);
            }));
        });
        let mut screen = Screen { terminal: blank()? };
        screen.enter()?;
        Ok(screen)
    }

    /// Takes the terminal over again after [`Screen::leave`].
    ///
    /// # Errors
    /// When the terminal cannot be set up.
    pub(crate) fn enter(&mut self) -> io::Result<()> {
        TAKEN.store(true, Ordering::SeqCst);
        // After SIGSTOP the shell has changed the terminal's settings, and the library believes that its own still hold.
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

    /// Gives the terminal back for a while.
    pub(crate) fn leave(&mut self) {
        give_back();
    }

    /// Draws everything anew, in the size that the terminal has now.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn clear(&mut self) -> io::Result<()> {
        self.terminal = blank()?;
        execute!(self.terminal.backend_mut(), ResetColor, Clear(ClearType::All))
    }

    /// Draws what changed.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn draw(&mut self, app: &mut App) -> io::Result<()> {
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        // A thread that panics has given it back, and ends the program.
        if !TAKEN.load(Ordering::SeqCst) {
            return Ok(());
        }
        // Terminals that know it show the frame at once; others ignore it.
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| screen::draw(frame, app))?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Rings the terminal's bell.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn bell(&mut self) -> io::Result<()> {
        let backend = self.terminal.backend_mut();
        backend.write_all(b"\x07")?;
        io::Write::flush(backend)
    }

    /// Puts a text on the clipboard of the terminal (OSC 52), also over ssh, where the terminal allows it.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn copy(&mut self, text: &str) -> io::Result<()> {
        execute!(self.terminal.backend_mut(), CopyToClipboard::to_clipboard_from(text))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back, if it is taken. Whatever fails, the rest is tried.
fn give_back() {
    let _writing = written();
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    // Nobody is left to report to.
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
