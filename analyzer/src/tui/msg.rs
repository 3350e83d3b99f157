//! What happens to the screen, and what the screen wants done.

use crossterm::event::{KeyEvent, MouseEvent};

use crate::query::timeline::Lane;

use super::source::{Density, Exceptions, Find, Functions, Overview, Selected};
use super::worker::{Generation, Job, Slot};

/// Something happened.
#[derive(Debug)]
pub enum Msg {
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse did something.
    Mouse(MouseEvent),
    /// Text was pasted.
    Paste(String),
    /// The terminal has this many columns and rows now.
    Resize(u16, u16),
    /// A while passed; only where something is waited for.
    Tick,
    /// A worker has an answer; more of it follows unless it is the last.
    Answer { slot: Slot, generation: Generation, answer: Box<Answer>, last: bool },
    /// A worker tells how far it is.
    Progress { slot: Slot, generation: Generation, done: u64, total: u64 },
    /// A worker broke off by a panic.
    Failed { slot: Slot, generation: Generation },
    /// The process was asked to end by this signal.
    Terminate(i32),
    /// The process was asked to stop, as Ctrl-Z does.
    Stop,
}

/// What a worker found.
#[derive(Debug)]
pub enum Answer {
    /// Cells of the asked lane.
    Lane(Lane),
    /// The minimap.
    Density(Vec<Density>),
    /// The function table.
    Functions(Functions),
    /// The exceptions.
    Exceptions(Exceptions),
    /// A call, and what was asked.
    Found(Option<Selected>, Find),
    /// What a live session has become, if it changed.
    Refreshed(Option<Overview>),
}

/// What the screen wants done; only the loop does anything.
#[derive(Debug)]
pub enum Effect {
    /// Ask the workers.
    Ask(Job, Generation),
    /// Draw everything anew.
    Redraw,
    /// Stop the process as Ctrl-Z does.
    Suspend,
    /// End, by this signal if there was one.
    Quit(Option<i32>),
}
