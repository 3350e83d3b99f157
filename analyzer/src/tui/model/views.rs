//! The views, and what lies over them.

use super::Search;

/// The views that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// All threads over time.
    Timeline,
    /// The functions of the range.
    Functions,
    /// The calls of the range by call path.
    Tree,
    /// Every event.
    Events,
    /// The exceptions of the range.
    Exceptions,
    /// The source of a function.
    Source,
    /// Two ranges, or two traces.
    Diff,
}

impl View {
    /// In the order of their keys.
    pub const ALL: &[View] = &[
        View::Timeline,
        View::Functions,
        View::Tree,
        View::Events,
        View::Exceptions,
        View::Source,
        View::Diff,
    ];

    /// The key that shows it.
    pub fn key(self) -> char {
        match self {
            View::Timeline => '1',
            View::Functions => '2',
            View::Tree => '3',
            View::Events => '4',
            View::Exceptions => '5',
            View::Source => '6',
            View::Diff => '7',
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            View::Timeline => "Timeline",
            View::Functions => "Functions",
            View::Tree => "Tree",
            View::Events => "Events",
            View::Exceptions => "Exceptions",
            View::Source => "Source",
            View::Diff => "Diff",
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
    /// Commands by name: what was typed, and the row of the cursor.
    Palette(String, usize),
}

/// What a prompt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A regex of function names, to find.
    Search,
    /// A regex of function names, to see nothing else.
    Filter,
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
    /// The search or filter as it was, to go back to on Esc.
    pub before: Search,
}
