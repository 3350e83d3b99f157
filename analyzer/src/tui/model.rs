//! All that the screen knows. Changed by `update` alone, drawn by `view` alone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use regex::Regex;

use crate::query::timeline::Lane;

use super::camera::Camera;
use super::caps::Caps;
use super::source::{Density, Exceptions, FunctionRow, Functions, LaneAsk, Overview, Selected};
use super::theme::Theme;
use super::worker::{Generation, Slot};

/// The views that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// All threads over time.
    Timeline,
    /// The functions of the range on the screen.
    Functions,
    /// The exceptions of the range on the screen.
    Exceptions,
}

impl View {
    /// In the order of their keys.
    pub const ALL: &[View] = &[View::Timeline, View::Functions, View::Exceptions];

    /// The key that shows it.
    pub fn key(self) -> char {
        match self {
            View::Timeline => '1',
            View::Functions => '2',
            View::Exceptions => '5',
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            View::Timeline => "Timeline",
            View::Functions => "Functions",
            View::Exceptions => "Exceptions",
        }
    }
}

/// What lies over the view and takes the keys.
#[derive(Clone, Debug)]
pub enum Overlay {
    /// The keys; scrolled down by so many lines.
    Help(usize),
    /// A line of text being typed.
    Prompt(Prompt),
}

/// What a prompt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A regex of function names.
    Search,
    /// A time.
    Goto,
}

/// A line of text being typed.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// What for.
    pub ask: Ask,
    /// The text.
    pub text: String,
    /// The search as it was, to go back to on Esc.
    pub before: Search,
}

/// The search, and the functions that it matches.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// The regex as typed.
    pub text: String,
    /// The functions that match.
    pub symbols: Arc<HashSet<u32>>,
    /// What is wrong with the regex.
    pub error: Option<String>,
}

impl Search {
    /// The functions of `overview` that match `text`; none if it is empty.
    pub fn new(text: &str, overview: &Overview) -> Search {
        let mut search = Search { text: text.to_owned(), ..Search::default() };
        if text.is_empty() {
            return search;
        }
        match Regex::new(text) {
            Ok(regex) => {
                let matches = |label: &super::source::Label| {
                    regex.is_match(&label.name)
                        || regex.is_match(&format!("{}.{}", label.module, label.name))
                };
                let found = overview.labels.iter().enumerate().filter(|(_, l)| matches(l));
                search.symbols = Arc::new(found.map(|(id, _)| id as u32).collect());
            }
            Err(_) => search.error = Some(format!("{text}: not a regular expression")),
        }
        search
    }

    /// Whether a search is on.
    pub fn active(&self) -> bool {
        !self.text.is_empty() && self.error.is_none()
    }

    /// Whether it matches this function.
    pub fn hits(&self, symbol: u32) -> bool {
        self.symbols.contains(&symbol)
    }
}

/// A column of the function table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    SelfTime,
    Total,
    Calls,
    P50,
    P99,
    Max,
    Name,
}

impl Column {
    /// In the order of the screen.
    pub const ALL: [Column; 7] = [
        Column::SelfTime,
        Column::Total,
        Column::Calls,
        Column::P50,
        Column::P99,
        Column::Max,
        Column::Name,
    ];
}

/// The function table.
#[derive(Clone, Debug)]
pub struct Table {
    /// The figures, of the range that they name.
    pub functions: Option<Functions>,
    /// Rows as shown: filtered and sorted.
    pub shown: Vec<FunctionRow>,
    /// The column that it is sorted by.
    pub sort: Column,
    /// Whether the smallest come first.
    pub reverse: bool,
    /// The row of the cursor.
    pub cursor: usize,
    /// The first row on the screen.
    pub top: usize,
}

/// The exceptions.
#[derive(Clone, Debug, Default)]
pub struct ExceptionTable {
    /// The rows, of the range that they name.
    pub exceptions: Option<Exceptions>,
    /// The row of the cursor.
    pub cursor: usize,
    /// The first row on the screen.
    pub top: usize,
}

impl ExceptionTable {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.exceptions.as_ref().map_or(0, |exceptions| exceptions.rows.len())
    }
}

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

/// What was last asked in a slot, so that the same is not asked again.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Lanes.
    pub lanes: HashMap<usize, (LaneAsk, u64)>,
    /// The minimap's columns.
    pub density: Option<(u16, u64)>,
    /// The function table's range.
    pub functions: Option<(i64, i64, u64)>,
    /// The range of the exceptions.
    pub exceptions: Option<(i64, i64, u64)>,
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
    /// The function table.
    pub table: Table,
    /// The exceptions.
    pub exceptions: ExceptionTable,
    /// A line for the footer.
    pub status: Option<Status>,
    /// Whether the view follows the end of a live session.
    pub follow: bool,
    /// The mouse button is down.
    pub drag: Option<Drag>,
    /// What was asked.
    pub asked: Asked,
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
            table: Table {
                functions: None,
                shown: Vec::new(),
                sort: Column::SelfTime,
                reverse: false,
                cursor: 0,
                top: 0,
            },
            exceptions: ExceptionTable::default(),
            status: None,
            follow,
            drag: None,
            asked: Asked::default(),
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

    /// The label of a function.
    pub fn label(&self, symbol: u32) -> Option<&super::source::Label> {
        self.overview.labels.get(symbol as usize)
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
