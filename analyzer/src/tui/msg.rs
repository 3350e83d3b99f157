//! What happens to the screen, and what the screen wants done.

use crossterm::event::{KeyEvent, MouseEvent};

use crate::query::timeline::Lane;

use super::source::{
    CallTree, Density, DiffPage, EventPage, Exceptions, Find, Functions, Hits, Moment, Overview,
    Part, Selected, SourcePage,
};
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
    /// A while passed; only in a live session.
    Tick,
    /// A beat of the replay, only while it plays.
    Beat,
    /// What became of an effect, for the footer; whether it went wrong.
    Said(String, bool),
    /// A worker has an answer; more of it follows unless it is the last.
    Answer { slot: Slot, generation: Generation, answer: Box<Answer>, last: bool },
    /// A worker that answered has no more to say.
    Done { slot: Slot, generation: Generation },
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
    /// What happened around an exception.
    Moment(Moment),
    /// The call tree, and what it is about.
    Tree(CallTree, Part),
    /// Events.
    Events(EventPage),
    /// Source.
    Source(SourcePage),
    /// Two parts side by side.
    Diff(DiffPage),
    /// The hits of a search.
    Hits(Hits),
    /// When an event happened, and its number.
    Number(Option<i64>, u64),
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
    /// What was asked in this slot is not wanted any more.
    Cancel(Slot),
    /// Draw everything anew.
    Redraw,
    /// Put a text on the clipboard.
    Copy(String),
    /// Show a line of a file in the user's editor.
    Edit {
        /// The file, as the trace names it and as it lies here.
        file: std::path::PathBuf,
        /// The line, from 1.
        line: u32,
    },
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Stop the process as Ctrl-Z does.
    Suspend,
    /// End, by this signal if there was one.
    Quit(Option<i32>),
}
