//! All that the screen knows. Changed by `update` alone, drawn by `view` alone.

mod history;
mod outline;
mod search;
mod tables;
mod views;

pub use history::History;
pub use outline::{Mode, Outline, Row, Way};
pub use search::Search;
pub use tables::{
    Column, DiffColumn, Differences, ExceptionTable, Heat, List, Listing, Replay, Table, TreeTable,
};
pub use views::{Ask, Overlay, Prompt, View};

use std::collections::HashMap;
use std::sync::Arc;

use crate::query::timeline::Lane;

use super::camera::Camera;
use super::caps::Caps;
use super::config::Setup;
use super::keys::Keys;
use super::source::{Density, Hits, Overview, Part, Selected};
use super::theme::Theme;
use super::worker::{Generation, Job, Slot};

/// A line for the footer, until the next key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What it says.
    pub text: String,
    /// Whether something is wrong.
    pub alarm: bool,
}

/// A question under way.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// Its newest generation.
    pub generation: Generation,
    /// Whether an answer is still to come.
    pub open: bool,
    /// Done and total, where the worker tells.
    pub progress: Option<(u64, u64)>,
}

/// The mouse button is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drag {
    /// Where it went down.
    pub from: (u16, u16),
    /// The column up to which the view has followed.
    pub column: u16,
    /// Whether it moved since.
    pub moved: bool,
    /// Whether it moves the picture; else it marks a range.
    pub pans: bool,
}

/// A stretch of time that is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Where it was begun.
    pub anchor: i64,
    /// Where it ends; while it is open the caret takes this along.
    pub end: i64,
    /// Whether it is still open.
    pub open: bool,
}

impl Mark {
    /// The stretch, `[from, to)`.
    pub fn range(self) -> (i64, i64) {
        let (from, to) = (self.anchor.min(self.end), self.anchor.max(self.end));
        (from, to.max(from.saturating_add(1)))
    }
}

/// All that the screen knows.
#[derive(Debug)]
pub struct Model {
    /// What the trace is.
    pub overview: Arc<Overview>,
    /// How often the overview was renewed: what was asked of an older one is asked again.
    pub version: u64,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// What the terminal can show.
    pub theme: Theme,
    /// The view.
    pub view: View,
    /// What lies over it, the topmost last.
    pub overlays: Vec<Overlay>,
    /// The part of the trace on the screen.
    pub camera: Camera,
    /// The selected time: zooms go about it.
    pub caret: i64,
    /// The lane that has the focus.
    pub lane: usize,
    /// The first lane on the screen.
    pub top_lane: usize,
    /// The first row shown of each lane that does not begin at the outermost.
    pub depths: HashMap<usize, u32>,
    /// Frames open at once at most, as seen so far in each lane.
    pub deepest: Vec<u32>,
    /// The cells of lanes, perhaps of an older grid.
    pub lanes: HashMap<usize, Lane>,
    /// The minimap.
    pub density: Vec<Density>,
    /// The selected call.
    pub selection: Option<Selected>,
    /// Whether the last key centred the selection, so that the next fits it.
    pub centred: bool,
    /// Whether the drawer with the call's details is open.
    pub details: bool,
    /// The search.
    pub search: Search,
    /// What it found.
    pub hits: Option<Hits>,
    /// Only what this matches is shown in lists, and bright on the timeline.
    pub filter: Search,
    /// Only this lane is shown.
    pub only: Option<usize>,
    /// Lanes that stand on top.
    pub pinned: Vec<usize>,
    /// The marked range: all tables are about it.
    pub mark: Option<Mark>,
    /// The range to compare with.
    pub base: Option<(i64, i64)>,
    /// Marked moments, in order.
    pub bookmarks: Vec<i64>,
    /// The function that all views share.
    pub function: Option<u32>,
    /// Where one was.
    pub history: History,
    /// The user's keys.
    pub keys: Keys,
    /// Whether the mouse is ours.
    pub mouse: bool,
    /// The function table.
    pub table: Table,
    /// The exceptions.
    pub exceptions: ExceptionTable,
    /// The call tree.
    pub tree: TreeTable,
    /// The events.
    pub replay: Replay,
    /// The source.
    pub source: Listing,
    /// Two parts side by side.
    pub diff: Differences,
    /// A line for the footer.
    pub status: Option<Status>,
    /// Whether the view follows the end of a live session.
    pub follow: bool,
    /// The mouse button is down.
    pub drag: Option<Drag>,
    /// What was last asked in a slot, and of which version of the trace.
    pub asked: HashMap<Slot, (Job, u64)>,
    /// What is under way.
    pub pending: HashMap<Slot, Pending>,
    /// The last generation given out.
    pub generation: Generation,
}

impl Model {
    /// The first screen of a trace: all of it; of a session that was killed, its last moment.
    pub fn new(overview: Overview, caps: Caps, size: (u16, u16)) -> Model {
        let camera = Camera::new(overview.begin, overview.end, 80);
        let deepest = overview.lanes.iter().map(|lane| lane.deepest).collect();
        let follow = overview.state == super::source::State::Live;
        let mut model = Model {
            version: 0,
            size,
            theme: Theme::new(caps),
            view: View::Timeline,
            overlays: Vec::new(),
            caret: overview.begin + (overview.end - overview.begin) / 2,
            camera,
            lane: 0,
            top_lane: 0,
            depths: HashMap::new(),
            deepest,
            lanes: HashMap::new(),
            density: Vec::new(),
            selection: None,
            centred: false,
            details: true,
            search: Search::default(),
            hits: None,
            filter: Search::default(),
            only: None,
            pinned: Vec::new(),
            mark: None,
            base: None,
            bookmarks: Vec::new(),
            function: None,
            history: History::default(),
            keys: Keys::default(),
            mouse: true,
            table: Table::default(),
            exceptions: ExceptionTable::default(),
            tree: TreeTable::default(),
            replay: Replay::default(),
            source: Listing::default(),
            diff: Differences::default(),
            status: None,
            follow,
            drag: None,
            asked: HashMap::new(),
            pending: HashMap::new(),
            generation: 0,
            overview: Arc::new(overview),
        };
        model.camera.resize(super::layout::Layout::of(&model).flame_cols());
        model.camera.whole();
        let (from, to) = model.overview.opening;
        if (from, to) != (model.overview.begin, model.overview.end) {
            model.camera.fit(from, to);
            model.caret = from + (to - from) / 2;
        }
        if model.overview.state == super::source::State::Dead {
            model.caret = model.overview.end - 1;
        }
        model
    }

    /// Begins with the filters of the command line.
    pub fn begin_with(&mut self, setup: &Setup) {
        if let Some(function) = &setup.function {
            self.filter = Search::new(function, &self.overview);
        }
        let lanes = &self.overview.lanes;
        let is = |wanted: &str| {
            let serial = wanted.parse().ok();
            let by_serial = lanes.iter().position(|lane| Some(lane.serial) == serial);
            by_serial.or_else(|| lanes.iter().position(|lane| lane.name == wanted))
        };
        match setup.threads.as_slice() {
            [] => {}
            [one] => match is(one) {
                Some(lane) => (self.only, self.lane) = (Some(lane), lane),
                None => self.alarm(format!("no thread has the serial or name {one}")),
            },
            _ => self.say("of several threads the screen shows one (t) or all"),
        }
    }

    /// The label of a function.
    pub fn label(&self, symbol: u32) -> Option<&super::source::Label> {
        self.overview.labels.get(symbol as usize)
    }

    /// The stretch of time that tables are about: the marked one, or what is on the screen.
    pub fn range(&self) -> (i64, i64) {
        let (begin, end) = self.camera.bounds();
        let (from, to) = match self.mark.filter(|mark| !mark.open) {
            Some(mark) => mark.range(),
            None => (self.camera.grid().start(), self.camera.grid().end()),
        };
        let from = from.clamp(begin, end - 1);
        (from, to.clamp(from + 1, end))
    }

    /// The part of the trace that tables are about.
    pub fn part(&self) -> Part {
        let (from, to) = self.range();
        let functions = self.filter.active().then(|| Arc::clone(&self.filter.symbols));
        Part { from, to, lane: self.only, functions }
    }

    /// The lanes to be shown, from top to bottom.
    pub fn shown_lanes(&self) -> Vec<usize> {
        let lanes = self.overview.lanes.len();
        if let Some(only) = self.only.filter(|&lane| lane < lanes) {
            return vec![only];
        }
        let pinned = self.pinned.iter().copied().filter(|&lane| lane < lanes);
        pinned.chain((0..lanes).filter(|lane| !self.pinned.contains(lane))).collect()
    }

    /// Whether a worker still has something to say.
    pub fn waits(&self) -> bool {
        self.pending.iter().any(|(slot, p)| p.open && *slot != Slot::Refresh)
    }

    /// Whether the session may go on.
    pub fn live(&self) -> bool {
        self.overview.state == super::source::State::Live
    }

    /// Sets the footer's line.
    pub fn say(&mut self, text: impl Into<String>) {
        self.status = Some(Status { text: text.into(), alarm: false });
    }

    /// Sets the footer's line to what is wrong.
    pub fn alarm(&mut self, text: impl Into<String>) {
        self.status = Some(Status { text: text.into(), alarm: true });
    }
}
