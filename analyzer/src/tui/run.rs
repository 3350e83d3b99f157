//! The loop: waits for messages, updates, acts, draws when something changed.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use crossterm::event::{self, Event};
use signal_hook::consts::{SIGHUP, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

use super::caps::Caps;
use super::model::Model;
use super::msg::{Effect, Msg};
use super::source::Source;
use super::terminal::Terminal;
use super::update::update;
use super::view;
use super::worker::Pool;

/// How often a live session is looked at anew.
const REFRESH: Duration = Duration::from_millis(500);
/// How long a frame waits for answers that are nearly there, so that it is drawn once.
const GRACE: Duration = Duration::from_millis(12);

/// Shows a trace until the user leaves.
///
/// # Errors
///
/// What the terminal answers.
pub fn run(source: Arc<dyn Source>) -> io::Result<()> {
    let overview = source.overview();
    let caps = Caps::detect(|name| std::env::var(name).ok());
    let mut terminal = Terminal::enter()?;
    let (sender, messages) = mpsc::channel();
    read_input(&sender);
    read_signals(&sender)?;
    let size = crossterm::terminal::size()?;
    let mut screen = Screen {
        pool: Pool::new(source, &sender),
        model: Model::new(overview, caps, size),
        redraw: true,
        quit: None,
    };
    let effects = super::update::open(&mut screen.model);
    screen.act(effects, &mut terminal)?;
    let signal = screen.serve(&messages, &mut terminal)?;
    drop(terminal);
    if let Some(signal) = signal {
        // Ends as the signal would have ended us, now that the terminal is restored.
        signal_hook::low_level::emulate_default_handler(signal)?;
    }
    Ok(())
}

struct Screen {
    pool: Pool,
    model: Model,
    redraw: bool,
    quit: Option<Option<i32>>,
}

impl Screen {
    fn serve(
        &mut self,
        messages: &Receiver<Msg>,
        terminal: &mut Terminal,
    ) -> io::Result<Option<i32>> {
        let mut looked = Instant::now();
        loop {
            if self.redraw {
                self.redraw = false;
                terminal.draw(|frame| view::draw(&self.model, frame))?;
            }
            let wait = if self.model.live() { REFRESH } else { Duration::from_secs(3600) };
            let first = match messages.recv_timeout(wait.saturating_sub(looked.elapsed())) {
                Ok(msg) => Some(msg),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            };
            if let Some(msg) = first {
                self.take(msg, terminal)?;
            }
            if looked.elapsed() >= wait {
                looked = Instant::now();
                self.take(Msg::Tick, terminal)?;
            }
            // Everything that waits is taken before one frame is drawn; answers that come within
            // the grace are in that frame.
            let deadline = Instant::now() + GRACE;
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                let wait = if self.model.waits() { left } else { Duration::ZERO };
                match messages.recv_timeout(wait) {
                    Ok(msg) => self.take(msg, terminal)?,
                    Err(_) => break,
                }
                if left.is_zero() || self.quit.is_some() {
                    break;
                }
            }
            if let Some(signal) = self.quit {
                return Ok(signal);
            }
        }
    }

    fn take(&mut self, msg: Msg, terminal: &mut Terminal) -> io::Result<()> {
        // A tick changes nothing by itself.
        self.redraw |= !matches!(msg, Msg::Tick);
        let effects = update(&mut self.model, msg);
        self.act(effects, terminal)
    }

    fn act(&mut self, effects: Vec<Effect>, terminal: &mut Terminal) -> io::Result<()> {
        for effect in effects {
            match effect {
                Effect::Ask(job, generation) => self.pool.ask(job, generation),
                Effect::Redraw => terminal.redraw()?,
                Effect::Suspend => {
                    terminal.suspend()?;
                    self.redraw = true;
                }
                Effect::Quit(signal) => self.quit = Some(signal),
            }
        }
        Ok(())
    }
}

/// Reads keys and the mouse on a thread of its own, which ends with the process: a read from a
/// terminal cannot be interrupted.
fn read_input(sender: &Sender<Msg>) {
    let sender = sender.clone();
    std::thread::spawn(move || {
        loop {
            let msg = match event::read() {
                Ok(Event::Key(key)) => Msg::Key(key),
                Ok(Event::Mouse(mouse)) => Msg::Mouse(mouse),
                Ok(Event::Paste(text)) => Msg::Paste(text),
                Ok(Event::Resize(width, height)) => Msg::Resize(width, height),
                Ok(Event::FocusGained | Event::FocusLost) => continue,
                // The terminal is gone: as if it had hung up.
                Err(_) => Msg::Terminate(SIGHUP),
            };
            let gone = matches!(msg, Msg::Terminate(_));
            if sender.send(msg).is_err() || gone {
                return;
            }
        }
    });
}

fn read_signals(sender: &Sender<Msg>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGTSTP])?;
    let sender = sender.clone();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let msg = if signal == SIGTSTP { Msg::Stop } else { Msg::Terminate(signal) };
            if sender.send(msg).is_err() {
                return;
            }
        }
    });
    Ok(())
}
