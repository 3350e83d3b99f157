//! The table itself.

use crossterm::event::KeyCode;

use super::{Key, ch, code, ctrl};
use crate::tui::model::View;

/// Everything that a key can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    Show(View),
    Help,
    Palette,
    Back,
    Cancel,
    QuitNow,
    Search,
    SearchThis,
    NextHit,
    PreviousHit,
    Filter,
    OnlyThread,
    ClearFilters,
    ToggleDetails,
    NextException,
    PreviousException,
    NextGap,
    PreviousGap,
    Slowest,
    MarkRange,
    RangeOfCall,
    Compare,
    HistoryBack,
    HistoryForward,
    Bookmark,
    NextBookmark,
    PreviousBookmark,
    CopyName,
    CopyPlace,
    CopyJson,
    Editor,
    Mouse,
    Theme,
    Redraw,
    Suspend,
    Hold,
    ZoomIn,
    ZoomOut,
    PanLeft,
    PanRight,
    ScreenLeft,
    ScreenRight,
    Whole,
    Focus,
    FitSelection,
    CaretLeft,
    CaretRight,
    PreviousSibling,
    NextSibling,
    Parent,
    Child,
    HeaviestChild,
    PreviousCall,
    NextCall,
    PreviousLane,
    NextLane,
    Start,
    End,
    LanesUp,
    LanesDown,
    Pin,
    Goto,
    RowUp,
    RowDown,
    RowsUp,
    RowsDown,
    FirstRow,
    LastRow,
    SortNext,
    SortPrevious,
    SortReverse,
    Open,
    Unfold,
    Fold,
    UnfoldAll,
    FoldAll,
    TreeMode,
    Callers,
    StepOver,
    StepOut,
    Play,
    Faster,
    Slower,
    HeatMode,
    Definition,
}

/// Where a binding holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In every view.
    Global,
    /// In every view but the events, where Space plays.
    Still,
    /// In the timeline.
    Timeline,
    /// In views that are lists.
    List,
    /// In lists that can be sorted.
    Sorted,
    /// In lists of functions.
    Functions,
    /// In the tree.
    Tree,
    /// In the events.
    Events,
    /// In the source.
    Source,
}

impl Scope {
    /// Whether it holds in a view.
    pub fn holds_in(self, view: View) -> bool {
        match self {
            Scope::Global => true,
            Scope::Still => view != View::Events,
            Scope::Timeline => view == View::Timeline,
            Scope::List => view != View::Timeline,
            Scope::Sorted => matches!(view, View::Functions | View::Diff),
            Scope::Functions => view == View::Functions,
            Scope::Tree => view == View::Tree,
            Scope::Events => view == View::Events,
            Scope::Source => view == View::Source,
        }
    }

    /// Whether it belongs to no view of its own.
    pub fn is_global(self) -> bool {
        matches!(self, Scope::Global | Scope::Still)
    }

    /// Its title in the documentation.
    pub fn title(self) -> &'static str {
        match self {
            Scope::Global => "Everywhere",
            Scope::Still => "Everywhere but in Events",
            Scope::Timeline => "Timeline",
            Scope::List => "All lists",
            Scope::Sorted => "Functions, Diff",
            Scope::Functions => "Functions",
            Scope::Tree => "Tree",
            Scope::Events => "Events",
            Scope::Source => "Source",
        }
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// What it does.
    pub command: Command,
    /// Its name in the file of keys.
    pub name: &'static str,
    /// The keys that do it, the one to show first.
    pub keys: &'static [Key],
    /// Where it holds.
    pub scope: Scope,
    /// What help says.
    pub help: &'static str,
    /// Short form for the footer; empty: not there. The key of a binding whose form is `"` stands
    /// beside the one before it.
    pub footer: &'static str,
}

const fn bind(
    scope: Scope,
    command: Command,
    name: &'static str,
    keys: &'static [Key],
    help: &'static str,
    footer: &'static str,
) -> Binding {
    Binding { command, name, keys, scope, help, footer }
}

use Command as C;
use KeyCode as K;
use Scope::{Events, Functions, Global, List, Sorted, Source, Still, Timeline, Tree};

/// All bindings, in the order of help.
#[rustfmt::skip]
pub const BINDINGS: &[Binding] = &[
    bind(Timeline, C::ZoomIn, "zoom-in", &[ch('w'), ch('+'), ch('=')], "zoom in about the caret", "zoom"),
    bind(Timeline, C::ZoomOut, "zoom-out", &[ch('s'), ch('-')], "zoom out", "\""),
    bind(Timeline, C::PanLeft, "pan-left", &[ch('a')], "pan to earlier times", "pan"),
    bind(Timeline, C::PanRight, "pan-right", &[ch('d')], "pan to later times", "\""),
    bind(Timeline, C::ScreenLeft, "screen-left", &[ch('A')], "one screen earlier", ""),
    bind(Timeline, C::ScreenRight, "screen-right", &[ch('D')], "one screen later", ""),
    bind(Timeline, C::Focus, "focus", &[ch('f')], "centre the call, then fit it", "focus"),
    bind(Timeline, C::FitSelection, "fit", &[code(K::Enter)], "fit the marked range, or the call", ""),
    bind(Timeline, C::CaretLeft, "caret-left", &[ch('H')], "caret one column to the left", ""),
    bind(Timeline, C::CaretRight, "caret-right", &[ch('L')], "caret one column to the right", ""),
    bind(Timeline, C::PreviousSibling, "sibling-before", &[ch('h'), code(K::Left)], "call before, same caller", "select"),
    bind(Timeline, C::Child, "child", &[ch('j'), code(K::Down)], "first call made by this one", "\""),
    bind(Timeline, C::Parent, "caller", &[ch('k'), code(K::Up)], "the caller", "\""),
    bind(Timeline, C::NextSibling, "sibling-after", &[ch('l'), code(K::Right)], "call after, same caller", "\""),
    bind(Timeline, C::HeaviestChild, "heaviest", &[ch('J')], "longest call made by this one", "heaviest"),
    bind(Timeline, C::PreviousCall, "call-before", &[ch(',')], "call before, at any depth", ""),
    bind(Timeline, C::NextCall, "call-after", &[ch('.')], "call after, at any depth", ""),
    bind(Timeline, C::PreviousLane, "thread-above", &[ch('{')], "thread above", "thread"),
    bind(Timeline, C::NextLane, "thread-below", &[ch('}')], "thread below", "\""),
    bind(Timeline, C::LanesUp, "threads-up", &[code(K::PageUp)], "scroll threads up", ""),
    bind(Timeline, C::LanesDown, "threads-down", &[code(K::PageDown)], "scroll threads down", ""),
    bind(Timeline, C::Pin, "pin", &[ch('p')], "pin this thread on top, or let go", ""),
    bind(Timeline, C::Start, "start", &[ch('g'), code(K::Home)], "start of the trace", ""),
    bind(Timeline, C::End, "end", &[ch('G'), code(K::End)], "end of the trace", ""),
    bind(Events, C::StepOver, "step-over", &[ch('J')], "over the call, to its end", "step over"),
    bind(Events, C::StepOut, "step-out", &[ch('K')], "out, to the end of the caller", "step out"),
    bind(Events, C::Play, "play", &[ch(' ')], "play, and stop", "play"),
    bind(Events, C::Faster, "faster", &[ch('+'), ch('=')], "play faster", ""),
    bind(Events, C::Slower, "slower", &[ch('-')], "play slower", ""),
    bind(Tree, C::Unfold, "unfold", &[ch('l'), code(K::Right)], "open", "open"),
    bind(Tree, C::Fold, "fold", &[ch('h'), code(K::Left)], "close, or go to the one above", "\""),
    bind(Tree, C::UnfoldAll, "unfold-all", &[ch('L')], "open the heaviest path below", ""),
    bind(Tree, C::FoldAll, "fold-all", &[ch('H')], "close all", ""),
    bind(Tree, C::TreeMode, "tree-mode", &[ch('b')], "top-down, bottom-up, butterfly", "mode"),
    bind(Source, C::HeatMode, "heat", &[ch('%')], "heat by self time, total, or hits", "heat"),
    bind(Source, C::Definition, "definition", &[ch('l'), code(K::Right)], "source of the first call made here", "definition"),
    bind(List, C::RowDown, "down", &[ch('j'), code(K::Down)], "next row", "move"),
    bind(List, C::RowUp, "up", &[ch('k'), code(K::Up)], "row before", "\""),
    bind(List, C::RowsDown, "page-down", &[code(K::PageDown), ctrl('d')], "a page down", ""),
    bind(List, C::RowsUp, "page-up", &[code(K::PageUp), ctrl('u')], "a page up", ""),
    bind(List, C::FirstRow, "first", &[ch('g'), code(K::Home)], "first row", ""),
    bind(List, C::LastRow, "last", &[ch('G'), code(K::End)], "last row", ""),
    bind(Sorted, C::SortNext, "sort", &[ch('s')], "sort by the next column", "sort"),
    bind(Sorted, C::SortPrevious, "sort-before", &[ch('S')], "sort by the column before", ""),
    bind(Sorted, C::SortReverse, "sort-reverse", &[ch('~')], "reverse the order", ""),
    bind(Functions, C::Callers, "callers", &[ch('b')], "callers and callees of it", "callers"),
    bind(List, C::Open, "show", &[code(K::Enter)], "show it on the timeline", "show"),
    bind(Global, C::Show(View::Timeline), "timeline", &[ch('1')], "timeline of all threads", ""),
    bind(Global, C::Show(View::Functions), "functions", &[ch('2')], "functions of the range", ""),
    bind(Global, C::Show(View::Tree), "tree", &[ch('3')], "call tree of the range", ""),
    bind(Global, C::Show(View::Events), "events", &[ch('4')], "every event, step by step", ""),
    bind(Global, C::Show(View::Exceptions), "exceptions", &[ch('5')], "exceptions of the range", ""),
    bind(Global, C::Show(View::Source), "source", &[ch('6')], "source of the function", ""),
    bind(Global, C::Show(View::Diff), "diff", &[ch('7')], "two ranges, or two traces", ""),
    bind(Global, C::Whole, "whole", &[ch('0')], "the whole trace", "whole"),
    bind(Global, C::Search, "search", &[ch('/')], "search functions by regex", "search"),
    bind(Global, C::SearchThis, "search-this", &[ch('*')], "search this function", ""),
    bind(Global, C::NextHit, "next-hit", &[ch('n')], "next hit", ""),
    bind(Global, C::PreviousHit, "hit-before", &[ch('N')], "hit before", ""),
    bind(Global, C::Filter, "filter", &[ch('&')], "only functions that match", ""),
    bind(Global, C::OnlyThread, "only-thread", &[ch('t')], "only this thread, or all", ""),
    bind(Global, C::ClearFilters, "clear-filters", &[ch('^')], "clear the filters", ""),
    bind(Global, C::NextException, "exception", &[ch('e')], "next exception", "exception"),
    bind(Global, C::PreviousException, "exception-before", &[ch('E')], "exception before", ""),
    bind(Global, C::NextGap, "gap", &[ch(']')], "next gap in the records", ""),
    bind(Global, C::PreviousGap, "gap-before", &[ch('[')], "gap before", ""),
    bind(Global, C::Slowest, "slowest", &[ch('!')], "slowest call of this function", ""),
    bind(Global, C::Goto, "goto", &[ch('\\')], "go to: 12.5s, +3ms, 50%, #123", ""),
    bind(Global, C::MarkRange, "mark", &[ch('v')], "begin a range, and end it", "range"),
    bind(Global, C::RangeOfCall, "range-of-call", &[ch('r')], "range of the selected call", ""),
    bind(Global, C::Compare, "compare", &[ch('x')], "keep this range, to be compared", ""),
    bind(Global, C::HistoryBack, "back", &[ch('<'), code(K::Backspace)], "back to where one was", ""),
    bind(Global, C::HistoryForward, "forward", &[ch('>')], "forward again", ""),
    bind(Global, C::Bookmark, "bookmark", &[ch('m')], "set or remove a bookmark", ""),
    bind(Global, C::NextBookmark, "next-bookmark", &[ch('u')], "next bookmark", ""),
    bind(Global, C::PreviousBookmark, "bookmark-before", &[ch('U')], "bookmark before", ""),
    bind(Global, C::CopyName, "copy", &[ch('y')], "copy the function's name", ""),
    bind(Global, C::CopyPlace, "copy-place", &[ch('Y')], "copy file:line", ""),
    bind(Global, C::CopyJson, "copy-json", &[ctrl('y')], "copy the call as JSON", ""),
    bind(Global, C::Editor, "editor", &[ch('o')], "open $EDITOR at the line", ""),
    bind(Global, C::ToggleDetails, "details", &[ch('i')], "details of the call, or none", ""),
    bind(Still, C::Hold, "hold", &[ch(' ')], "live: hold, and follow again", ""),
    bind(Global, C::Mouse, "mouse", &[code(K::F(2))], "mouse: ours, or the terminal's", ""),
    bind(Global, C::Theme, "theme", &[ch('T')], "dark or light", ""),
    bind(Global, C::Redraw, "redraw", &[ctrl('l')], "draw the screen anew", ""),
    bind(Global, C::Suspend, "suspend", &[ctrl('z')], "suspend", ""),
    bind(Global, C::Palette, "palette", &[ch(':'), ctrl('p')], "find a command by its name", ""),
    bind(Global, C::Help, "help", &[ch('?')], "this help", "help"),
    bind(Global, C::Cancel, "cancel", &[code(K::Esc)], "cancel: computing, range, search, selection", ""),
    bind(Global, C::Back, "quit", &[ch('q')], "back to the timeline, or quit", "quit"),
    bind(Global, C::QuitNow, "quit-now", &[ctrl('c')], "quit", ""),
];
