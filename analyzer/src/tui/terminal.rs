//! The terminal while it is ours, and its restoration in whatever way we leave.

use std::io::{self, BufWriter, Stdout, Write};
use std::process::ExitStatus;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;

use crossterm::cursor::Show;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::execute;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;

/// A full truecolor repaint of a large screen fits, so that a frame is one or few `write`s.
const BUFFER: usize = 256 * 1024;

/// Whether the terminal is in our state, for the panic hook and for [`restore`] to act once.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Whether the mouse is ours, or the terminal's.
static MOUSE: AtomicBool = AtomicBool::new(true);

/// The terminal in raw mode on the alternate screen; dropping it restores what was before.
pub struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl Terminal {
    /// Takes the terminal over.
    ///
    /// # Errors
    ///
    /// Whatever the terminal answers; it is restored then.
    pub fn enter() -> io::Result<Terminal> {
        install_panic_hook(std::thread::current().id());
        // Under NO_COLOR crossterm 0.29 writes `ESC[;m` for a colour change, which also wipes
        // reverse and bold. The theme leaves colours out itself, so crossterm need not.
        crossterm::style::force_color_output(true);
        take()?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(BUFFER, io::stdout()));
        match ratatui::Terminal::new(backend) {
            Ok(inner) => Ok(Terminal { inner }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    /// Draws a frame, in one go where the terminal knows how.
    ///
    /// # Errors
    ///
    /// What writing to the terminal gives.
    pub fn draw(&mut self, view: impl FnOnce(&mut Frame)) -> io::Result<()> {
        crossterm::queue!(self.inner.backend_mut(), BeginSynchronizedUpdate)?;
        self.inner.draw(view)?;
        crossterm::queue!(self.inner.backend_mut(), EndSynchronizedUpdate)?;
        self.inner.backend_mut().flush()
    }

    /// Forgets what is on the screen, so that the next frame is drawn in full.
    ///
    /// # Errors
    ///
    /// What writing to the terminal gives.
    pub fn redraw(&mut self) -> io::Result<()> {
        // Not ratatui's own `clear`, which asks the terminal for the cursor's place: the answer
        // would go to the thread that reads the keys.
        crossterm::queue!(self.inner.backend_mut(), Clear(ClearType::All))?;
        self.inner.swap_buffers();
        Ok(())
    }

    /// Gives the terminal back, stops this process as Ctrl-Z does, and takes the terminal over
    /// again when it is continued.
    ///
    /// # Errors
    ///
    /// What the terminal answers.
    pub fn suspend(&mut self) -> io::Result<()> {
        restore();
        signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)?;
        take()?;
        self.redraw()
    }
}

impl Terminal {
    /// Takes the mouse, or leaves it to the terminal, which selects text with it.
    ///
    /// # Errors
    ///
    /// What writing to the terminal gives.
    pub fn mouse(&mut self, ours: bool) -> io::Result<()> {
        MOUSE.store(ours, Ordering::SeqCst);
        if ours {
            execute!(io::stdout(), EnableMouseCapture)
        } else {
            execute!(io::stdout(), DisableMouseCapture)
        }
    }

    /// Runs a program that has the terminal for itself.
    ///
    /// # Errors
    ///
    /// It cannot be started, or what the terminal answers.
    pub fn run(&mut self, program: &mut std::process::Command) -> io::Result<ExitStatus> {
        restore();
        let status = program.status();
        take()?;
        self.redraw()?;
        status
    }

    /// Where bytes go that are for the terminal itself.
    pub fn out(&mut self) -> &mut impl Write {
        self.inner.backend_mut()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    let mut entered = execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste);
    if MOUSE.load(Ordering::SeqCst) {
        entered = entered.and_then(|()| execute!(io::stdout(), EnableMouseCapture));
    }
    if entered.is_err() {
        restore();
    }
    entered
}

/// Gives the terminal back. Does nothing where that has been done. Errors have nowhere to go.
pub fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let left = execute!(
            io::stdout(),
            DisableBracketedPaste,
            DisableMouseCapture,
            LeaveAlternateScreen,
            Show
        );
        let cooked = disable_raw_mode();
        drop((left, cooked));
    }
}

/// Leaves the alternate screen before a panic of the drawing thread is printed, or the message
/// would vanish with it. A worker's panic is caught and shown in the status line instead: while
/// the terminal is ours, it must print nothing.
fn install_panic_hook(ui: ThreadId) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let taken = TAKEN.load(Ordering::SeqCst);
            if taken && std::thread::current().id() != ui {
                return;
            }
            restore();
            before(info);
        }));
    });
}
