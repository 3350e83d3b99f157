//! The loop: waits for messages, updates, acts, draws when something changed.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossterm::event::{self, Event};
use signal_hook::consts::{SIGHUP, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

use super::config::{self, Setup};
use super::model::Model;
use super::msg::{Effect, Msg};
use super::source::Source;
use super::terminal::Terminal;
use super::update::update;
use super::view;
use super::worker::Pool;
use super::{clipboard, editor};

/// A beat of the replay.
const BEAT: Duration = Duration::from_millis(100);
/// How often a live session is looked at anew.
const REFRESH: Duration = Duration::from_millis(500);
/// How long a frame waits for answers that are nearly there, so that it is drawn once.
const GRACE: Duration = Duration::from_millis(12);

/// Shows a trace until the user leaves.
///
/// # Errors
///
/// What the terminal answers.
pub fn run(source: Arc<dyn Source>, setup: &Setup) -> io::Result<()> {
    let overview = source.overview();
    let get = |name: &str| std::env::var(name).ok();
    let caps = setup.caps(get);
    let (keys, wrong) = config::keys(get);
    let mut terminal = Terminal::enter()?;
    let (sender, messages) = mpsc::channel();
    let input = Input::start(&sender);
    read_signals(&sender)?;
    let size = crossterm::terminal::size()?;
    let mut screen = Screen {
        pool: Pool::new(source, &sender),
        model: Model::new(overview, caps, size),
        input,
        redraw: true,
        quit: None,
    };
    screen.model.keys = keys;
    let effects = super::update::open(&mut screen.model);
    screen.model.begin_with(setup);
    if let Some(wrong) = wrong {
        screen.model.alarm(wrong);
    }
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
    input: Input,
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
            let playing = self.model.replay.playing;
            let wait = match (playing, self.model.live()) {
                (true, _) => BEAT,
                (false, true) => REFRESH,
                (false, false) => Duration::from_secs(3600),
            };
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
                self.take(if playing { Msg::Beat } else { Msg::Tick }, terminal)?;
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
                Effect::Cancel(slot) => self.pool.cancel(slot),
                Effect::Redraw => terminal.redraw()?,
                Effect::Suspend => {
                    terminal.suspend()?;
                    self.redraw = true;
                }
                Effect::Copy(text) => {
                    let copied = clipboard::copy(&text, terminal.out());
                    let (said, wrong) = match copied {
                        Ok(route) => (format!("copied by {}: {text}", route.name()), false),
                        Err(why) => (why, true),
                    };
                    self.take(Msg::Said(said, wrong), terminal)?;
                }
                Effect::Edit { file, line } => self.edit(&file, line, terminal)?,
                Effect::Mouse(ours) => terminal.mouse(ours)?,
                Effect::Quit(signal) => self.quit = Some(signal),
            }
        }
        Ok(())
    }

    fn edit(&mut self, file: &Path, line: u32, terminal: &mut Terminal) -> io::Result<()> {
        let shown = crate::escape::text(file.as_os_str().as_encoded_bytes()).into_owned();
        let wrong = if file.is_file() {
            let mut program = editor::command(file, line, |name| std::env::var(name).ok());
            // What is typed belongs to the editor while it runs.
            let typed = self.input.pause();
            let status = terminal.run(&mut program);
            drop(typed);
            status.err().map(|error| format!("cannot start the editor: {error}"))
        } else {
            Some(format!("{shown}: there is no such file here"))
        };
        self.redraw = true;
        match wrong {
            Some(wrong) => self.take(Msg::Said(wrong, true), terminal),
            None => Ok(()),
        }
    }
}

/// The thread that reads keys and the mouse. It ends with the process.
struct Input {
    /// Held by whoever may read.
    reading: Arc<Mutex<()>>,
    paused: Arc<AtomicBool>,
}

/// While this lives, nothing is read.
struct Paused<'a> {
    _held: MutexGuard<'a, ()>,
    paused: &'a AtomicBool,
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.paused.store(false, Ordering::SeqCst);
    }
}

/// How long one look for input takes: so long an editor waits at most before it gets the keys.
const LOOK: Duration = Duration::from_millis(50);

impl Input {
    fn start(sender: &Sender<Msg>) -> Input {
        let input = Input { reading: Arc::default(), paused: Arc::default() };
        let (reading, paused) = (Arc::clone(&input.reading), Arc::clone(&input.paused));
        let sender = sender.clone();
        std::thread::spawn(move || {
            loop {
                if paused.load(Ordering::SeqCst) {
                    std::thread::sleep(LOOK);
                    continue;
                }
                let held = reading.lock().unwrap_or_else(PoisonError::into_inner);
                let msg = match event::poll(LOOK).and_then(|any| any.then(event::read).transpose())
                {
                    Ok(None | Some(Event::FocusGained | Event::FocusLost)) => continue,
                    Ok(Some(Event::Key(key))) => Msg::Key(key),
                    Ok(Some(Event::Mouse(mouse))) => Msg::Mouse(mouse),
                    Ok(Some(Event::Paste(text))) => Msg::Paste(text),
                    Ok(Some(Event::Resize(width, height))) => Msg::Resize(width, height),
                    // The terminal is gone: as if it had hung up.
                    Err(_) => Msg::Terminate(SIGHUP),
                };
                drop(held);
                let gone = matches!(msg, Msg::Terminate(_));
                if sender.send(msg).is_err() || gone {
                    return;
                }
            }
        });
        input
    }

    fn pause(&self) -> Paused<'_> {
        self.paused.store(true, Ordering::SeqCst);
        let held = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        Paused { _held: held, paused: &self.paused }
    }
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
