//! A scripted tour through the views, drawn off-screen: how long a frame takes.
//!
//! The same update, view and encoder as on a terminal, at a fixed size and with
//! all colours; only the bytes go nowhere. A frame's time is that of taking the
//! key and drawing what is known by then, which is what a hand on the key feels;
//! the frames that the workers' answers bring are timed as they come.

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};

use super::caps::{Caps, Colors};
use super::model::Model;
use super::msg::{Effect, Msg};
use super::source::Source;
use super::update::{open, update};
use super::view;
use super::worker::{Pool, Slot};

/// Columns and rows of the screen.
const SIZE: (u16, u16) = (200, 60);

/// To the ground and back, along it, over the calls, and through every view.
const TOUR: &[(&str, usize)] = &[
    ("w", 60),
    ("d", 20),
    ("a", 20),
    ("s", 60),
    ("0", 1),
    ("w", 8),
    ("d", 30),
    ("a", 30),
    ("jjJkhl,.", 4),
    ("fff", 1),
    ("}}{{", 2),
    ("e", 4),
    ("g", 1),
    ("G", 1),
    ("0", 1),
    ("2", 1),
    ("jjjks", 4),
    ("3", 1),
    ("jlljlhLbjjlbjH", 2),
    ("4", 1),
    ("jjjJJkKjj", 4),
    ("5", 1),
    ("jjk", 2),
    ("6", 1),
    ("jjj%k", 2),
    ("1", 1),
    ("0r", 1),
    ("x7", 1),
    ("jjsk", 2),
    ("<<>>", 2),
    ("1", 1),
    ("?", 2),
];

/// Answers that take longer than this are not waited for: the tour goes on, as a user would.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the tour found.
#[derive(Debug)]
pub struct Frames {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
    /// The time of every frame, ascending.
    pub times: Vec<Duration>,
    /// From a key to the last lane's first answer, of every key that asked for lanes, ascending.
    pub timeline: Vec<Duration>,
    /// Bytes of the largest full repaint that a view needed.
    pub full_repaint_bytes: usize,
}

/// Takes the tour.
///
/// # Errors
///
/// Writing to memory failed.
pub fn tour(source: Arc<dyn Source>) -> io::Result<Frames> {
    let caps = Caps { colors: Colors::True, ascii: false, light: false };
    let (sender, messages) = mpsc::channel();
    let mut screen = Screen {
        model: Model::new(source.overview(), caps, SIZE),
        pool: Pool::new(source, &sender),
        terminal: terminal(io::sink())?,
        frames: Frames {
            width: SIZE.0,
            height: SIZE.1,
            times: Vec::new(),
            timeline: Vec::new(),
            full_repaint_bytes: 0,
        },
        asked: HashSet::new(),
    };
    let begin = Instant::now();
    let effects = open(&mut screen.model);
    screen.act(effects);
    screen.settle(&messages, begin)?;
    for &(keys, times) in TOUR {
        for key in (0..times).flat_map(|_| keys.chars()) {
            let begin = Instant::now();
            screen.frame(Msg::Key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE)))?;
            screen.settle(&messages, begin)?;
        }
        screen.repaint()?;
    }
    screen.frames.times.sort_unstable();
    screen.frames.timeline.sort_unstable();
    Ok(screen.frames)
}

struct Screen {
    model: Model,
    pool: Pool,
    terminal: Terminal<CrosstermBackend<io::Sink>>,
    frames: Frames,
    /// Lanes whose first answer is waited for.
    asked: HashSet<Slot>,
}

impl Screen {
    fn act(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::Ask(job, generation) = effect {
                let slot = job.slot();
                if matches!(slot, Slot::Lane(_)) {
                    self.asked.insert(slot);
                }
                self.pool.ask(job, generation);
            }
        }
    }

    /// Takes a message and draws.
    fn frame(&mut self, msg: Msg) -> io::Result<()> {
        let begin = Instant::now();
        let effects = update(&mut self.model, msg);
        self.act(effects);
        self.terminal.draw(|frame| view::draw(&self.model, frame))?;
        self.frames.times.push(begin.elapsed());
        Ok(())
    }

    /// Draws what the workers answer, until they have nothing more to say.
    fn settle(&mut self, messages: &Receiver<Msg>, begin: Instant) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        let mut asked = !self.asked.is_empty();
        while self.model.waits() {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(msg) = messages.recv_timeout(left) else { break };
            if let Msg::Answer { slot, .. } | Msg::Done { slot, .. } = &msg {
                self.asked.remove(slot);
            }
            self.frame(msg)?;
            if asked && self.asked.is_empty() {
                asked = false;
                self.frames.timeline.push(begin.elapsed());
            }
        }
        if asked && !self.asked.is_empty() {
            self.frames.timeline.push(begin.elapsed());
        }
        self.asked.clear();
        Ok(())
    }

    /// Counts the bytes of the screen drawn from nothing.
    fn repaint(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        terminal(&mut bytes)?.draw(|frame| view::draw(&self.model, frame))?;
        self.frames.full_repaint_bytes = self.frames.full_repaint_bytes.max(bytes.len());
        Ok(())
    }
}

/// A screen of [`SIZE`] that writes to `out`.
fn terminal<W: Write>(out: W) -> io::Result<Terminal<CrosstermBackend<W>>> {
    // Whatever NO_COLOR says: the figure is that of a terminal with all colours.
    crossterm::style::force_color_output(true);
    let viewport = Viewport::Fixed(Rect { x: 0, y: 0, width: SIZE.0, height: SIZE.1 });
    Terminal::with_options(CrosstermBackend::new(out), TerminalOptions { viewport })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::invented::Invented;

    #[test]
    fn every_key_of_the_tour_draws_a_frame() {
        let frames = tour(Arc::new(Invented::server())).unwrap();
        let keys: usize = TOUR.iter().map(|(keys, times)| keys.len() * times).sum();
        assert!(frames.times.len() >= keys);
        assert!(frames.times.is_sorted() && !frames.times[0].is_zero());
        assert!(frames.timeline.is_sorted() && !frames.timeline.is_empty());
        // A screen of 200x60 cannot be drawn with fewer bytes than it has rows.
        assert!((60..60_000).contains(&frames.full_repaint_bytes), "{frames:?}");
    }
}
