//! What lists know beyond what they show: cursor, order.

use crate::tui::source::{
    CallTree, DiffPage, EventPage, ExceptionRow, Exceptions, FunctionRow, Functions, Moment,
    SourceLine, SourcePage,
};

/// The cursor of a list, and the part of it on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The row of the cursor.
    pub cursor: usize,
    /// The first row on the screen.
    pub top: usize,
}

impl List {
    /// Keeps the cursor within `len` rows and on a screen of `rows`.
    pub fn keep(&mut self, len: usize, rows: usize) {
        let rows = rows.max(1);
        self.cursor = self.cursor.min(len.saturating_sub(1));
        self.top = self.top.min(self.cursor).max((self.cursor + 1).saturating_sub(rows));
        // No empty rows below while there are others above.
        self.top = self.top.min(len.saturating_sub(rows));
    }

    /// Moves the cursor by so many rows.
    pub fn move_by(&mut self, by: isize, len: usize) {
        self.cursor = self.cursor.saturating_add_signed(by).min(len.saturating_sub(1));
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
    /// The cursor.
    pub list: List,
}

impl Default for Table {
    fn default() -> Table {
        Table {
            functions: None,
            shown: Vec::new(),
            sort: Column::SelfTime,
            reverse: false,
            list: List::default(),
        }
    }
}

/// The exceptions.
#[derive(Clone, Debug, Default)]
pub struct ExceptionTable {
    /// The rows, of the range that they name.
    pub exceptions: Option<Exceptions>,
    /// What happened around the one under the cursor, or one that was.
    pub moment: Option<Moment>,
    /// The cursor.
    pub list: List,
}

impl ExceptionTable {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.exceptions.as_ref().map_or(0, |exceptions| exceptions.rows.len())
    }

    /// The row under the cursor.
    pub fn row(&self) -> Option<&ExceptionRow> {
        self.exceptions.as_ref()?.rows.get(self.list.cursor)
    }
}

/// The tree.
#[derive(Clone, Debug, Default)]
pub struct TreeTable {
    /// The calls, and what they are about.
    pub tree: Option<(CallTree, crate::tui::source::Part)>,
    /// What of them is shown.
    pub outline: super::Outline,
    /// The cursor.
    pub list: List,
}

/// The events.
#[derive(Clone, Debug)]
pub struct Replay {
    /// What was read of them.
    pub page: Option<EventPage>,
    /// The cursor.
    pub list: List,
    /// The place that the next page is asked around.
    pub place: (i64, Option<(usize, u64)>),
    /// Whether it plays.
    pub playing: bool,
    /// Events in ten beats.
    pub speed: u32,
    /// What is left over of a beat, in tenths of an event.
    pub rest: u32,
}

impl Default for Replay {
    fn default() -> Replay {
        Replay {
            page: None,
            list: List::default(),
            place: (i64::MIN, None),
            playing: false,
            speed: 10,
            rest: 0,
        }
    }
}

impl Replay {
    /// The event under the cursor.
    pub fn row(&self) -> Option<&crate::tui::source::EventRow> {
        self.page.as_ref()?.rows.get(self.list.cursor)
    }
}

/// What the heat of a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Heat {
    /// Time on it and in no call.
    #[default]
    SelfTime,
    /// Time on it.
    Total,
    /// How often it began.
    Hits,
}

/// The source.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// The function whose file is shown.
    pub symbol: Option<u32>,
    /// Whether the cursor goes to its definition once the file is there.
    pub goes_to: bool,
    /// The file.
    pub page: Option<SourcePage>,
    /// What the heat is.
    pub heat: Heat,
    /// The cursor.
    pub list: List,
}

impl Listing {
    /// The line under the cursor.
    pub fn line(&self) -> Option<&SourceLine> {
        self.page.as_ref()?.lines.get(self.list.cursor)
    }
}

/// A column by which differences are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiffColumn {
    /// How much more time of their own.
    #[default]
    SelfTime,
    /// How much more time on the stack.
    Total,
    /// How many more calls.
    Calls,
    /// Their names.
    Name,
}

/// Two parts side by side: the first row says where the calls part.
#[derive(Clone, Debug, Default)]
pub struct Differences {
    /// The comparison, its rows in order.
    pub page: Option<DiffPage>,
    /// The column that it is sorted by.
    pub sort: DiffColumn,
    /// Whether what changed least comes first.
    pub reverse: bool,
    /// The cursor.
    pub list: List,
}

impl Differences {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.page.as_ref().map_or(0, |page| page.rows.len() + 1)
    }
}
