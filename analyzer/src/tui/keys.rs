//! The one table of keys. What a key does, the footer and the help overlay all derive from it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::model::View;

/// Everything that a key can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    Show(View),
    Help,
    Back,
    Cancel,
    QuitNow,
    Search,
    NextHit,
    PreviousHit,
    ToggleDetails,
    NextException,
    PreviousException,
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
}

/// Where a binding holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In every view.
    Global,
    /// In the timeline.
    Timeline,
    /// In views that are tables.
    Table,
    /// In the table of functions.
    Functions,
}

/// One key as it is written in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    code: KeyCode,
    control: bool,
}

const fn ch(c: char) -> Key {
    Key { code: KeyCode::Char(c), control: false }
}

const fn ctrl(c: char) -> Key {
    Key { code: KeyCode::Char(c), control: true }
}

const fn code(code: KeyCode) -> Key {
    Key { code, control: false }
}

impl Key {
    /// The key as help prints it.
    pub fn label(self) -> String {
        match self.code {
            KeyCode::Char(' ') => "Space".to_owned(),
            KeyCode::Char(c) if self.control => format!("Ctrl-{c}"),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::PageUp => "PgUp".to_owned(),
            KeyCode::PageDown => "PgDn".to_owned(),
            KeyCode::Left => "Left".to_owned(),
            KeyCode::Right => "Right".to_owned(),
            KeyCode::Up => "Up".to_owned(),
            KeyCode::Down => "Down".to_owned(),
            other => format!("{other:?}"),
        }
    }

    fn is(self, event: &KeyEvent) -> bool {
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        let alt = event.modifiers.contains(KeyModifiers::ALT);
        // Shift is in the character already; terminals differ in whether they also report it.
        self.code == event.code && self.control == control && !alt
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// What it does.
    pub command: Command,
    /// The keys that do it, the one to show first.
    pub keys: &'static [Key],
    /// Where it holds.
    pub scope: Scope,
    /// What help says.
    pub help: &'static str,
    /// Short form for the footer; empty: not there.
    pub footer: &'static str,
}

const fn bind(
    scope: Scope,
    command: Command,
    keys: &'static [Key],
    help: &'static str,
    footer: &'static str,
) -> Binding {
    Binding { command, keys, scope, help, footer }
}

use Command as C;
use Scope::{Functions, Global, Table, Timeline};

/// All bindings, in the order of the help overlay.
pub const BINDINGS: &[Binding] = &[
    bind(Timeline, C::ZoomIn, &[ch('w'), ch('+'), ch('=')], "zoom in about the caret", "zoom"),
    bind(Timeline, C::ZoomOut, &[ch('s'), ch('-')], "zoom out", ""),
    bind(Timeline, C::PanLeft, &[ch('a')], "pan to earlier times", "pan"),
    bind(Timeline, C::PanRight, &[ch('d')], "pan to later times", ""),
    bind(Timeline, C::ScreenLeft, &[ch('A')], "one screen earlier", ""),
    bind(Timeline, C::ScreenRight, &[ch('D')], "one screen later", ""),
    bind(Timeline, C::Whole, &[ch('0')], "the whole trace", "whole"),
    bind(Timeline, C::Focus, &[ch('f')], "centre the call, then fit it", "focus"),
    bind(Timeline, C::FitSelection, &[code(KeyCode::Enter)], "fit the call to the screen", ""),
    bind(
        Timeline,
        C::PreviousSibling,
        &[ch('h'), code(KeyCode::Left)],
        "call before, same parent",
        "select",
    ),
    bind(Timeline, C::Child, &[ch('j'), code(KeyCode::Down)], "first call made by this one", ""),
    bind(Timeline, C::Parent, &[ch('k'), code(KeyCode::Up)], "the caller", ""),
    bind(Timeline, C::NextSibling, &[ch('l'), code(KeyCode::Right)], "call after, same parent", ""),
    bind(Timeline, C::HeaviestChild, &[ch('J')], "longest call made by this one", "heaviest"),
    bind(Timeline, C::PreviousCall, &[ch(',')], "call before, at any depth", ""),
    bind(Timeline, C::NextCall, &[ch('.')], "call after, at any depth", ""),
    bind(Timeline, C::PreviousLane, &[ch('{')], "thread above", "thread"),
    bind(Timeline, C::NextLane, &[ch('}')], "thread below", ""),
    bind(Timeline, C::LanesUp, &[code(KeyCode::PageUp)], "scroll threads up", ""),
    bind(Timeline, C::LanesDown, &[code(KeyCode::PageDown)], "scroll threads down", ""),
    bind(Timeline, C::Start, &[ch('g'), code(KeyCode::Home)], "start of the trace", ""),
    bind(Timeline, C::End, &[ch('G'), code(KeyCode::End)], "end of the trace", ""),
    bind(Timeline, C::Goto, &[ch('\\')], "go to a time: 12.5s, +3ms, 50%", ""),
    bind(Table, C::RowDown, &[ch('j'), code(KeyCode::Down)], "next row", "move"),
    bind(Table, C::RowUp, &[ch('k'), code(KeyCode::Up)], "row before", ""),
    bind(Table, C::RowsDown, &[code(KeyCode::PageDown), ctrl('d')], "a page down", ""),
    bind(Table, C::RowsUp, &[code(KeyCode::PageUp), ctrl('u')], "a page up", ""),
    bind(Table, C::FirstRow, &[ch('g'), code(KeyCode::Home)], "first row", ""),
    bind(Table, C::LastRow, &[ch('G'), code(KeyCode::End)], "last row", ""),
    bind(Functions, C::SortNext, &[ch('s')], "sort by the next column", "sort"),
    bind(Functions, C::SortPrevious, &[ch('S')], "sort by the column before", ""),
    bind(Functions, C::SortReverse, &[ch('~')], "reverse the order", ""),
    bind(Table, C::Open, &[code(KeyCode::Enter)], "show it on the timeline", "open"),
    bind(Global, C::Show(View::Timeline), &[ch('1')], "timeline of all threads", ""),
    bind(Global, C::Show(View::Functions), &[ch('2')], "functions of the range on screen", ""),
    bind(Global, C::Show(View::Exceptions), &[ch('5')], "exceptions of the range on screen", ""),
    bind(Global, C::Search, &[ch('/')], "search functions by regex", "search"),
    bind(Global, C::NextHit, &[ch('n')], "next hit", ""),
    bind(Global, C::PreviousHit, &[ch('N')], "hit before", ""),
    bind(Global, C::NextException, &[ch('e')], "next exception", "exception"),
    bind(Global, C::PreviousException, &[ch('E')], "exception before", ""),
    bind(Global, C::ToggleDetails, &[ch('i')], "details of the call, more or less", ""),
    bind(Global, C::Hold, &[ch(' ')], "live: hold, and follow again", ""),
    bind(Global, C::Redraw, &[ctrl('l')], "draw the screen anew", ""),
    bind(Global, C::Suspend, &[ctrl('z')], "suspend", ""),
    bind(Global, C::Help, &[ch('?')], "this help", "help"),
    bind(Global, C::Cancel, &[code(KeyCode::Esc)], "cancel", ""),
    bind(Global, C::Back, &[ch('q')], "back, or quit", "quit"),
    bind(Global, C::QuitNow, &[ctrl('c')], "quit", ""),
];

/// What `event` asks for in a view.
pub fn resolve(view: View, event: &KeyEvent) -> Option<Command> {
    let here = in_view(view);
    BINDINGS
        .iter()
        .filter(|binding| here(binding.scope))
        .find(|binding| binding.keys.iter().any(|key| key.is(event)))
        .map(|binding| binding.command)
}

/// The bindings that hold in a view, its own before the global ones.
pub fn of_view(view: View) -> impl Iterator<Item = &'static Binding> {
    let here = in_view(view);
    BINDINGS.iter().filter(move |binding| here(binding.scope))
}

fn in_view(view: View) -> impl Fn(Scope) -> bool {
    move |scope| match scope {
        Global => true,
        Timeline => view == View::Timeline,
        Table => view != View::Timeline,
        Functions => view == View::Functions,
    }
}

/// A key as a person would name it, for "not bound" messages.
pub fn name(event: &KeyEvent) -> String {
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    Key { code: event.code, control }.label()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_in_one_view() {
        for view in View::ALL {
            let all: Vec<Key> = of_view(*view).flat_map(|b| b.keys.iter().copied()).collect();
            for (i, key) in all.iter().enumerate() {
                assert!(!all[..i].contains(key), "{} in {view:?}", key.label());
            }
        }
    }

    #[test]
    fn the_fixed_keys_are_bound() {
        let press = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
        let fixed = [
            ('1', C::Show(View::Timeline)),
            ('2', C::Show(View::Functions)),
            ('/', C::Search),
            ('?', C::Help),
            ('w', C::ZoomIn),
            ('a', C::PanLeft),
            ('s', C::ZoomOut),
            ('d', C::PanRight),
            ('0', C::Whole),
            ('q', C::Back),
        ];
        for (key, command) in fixed {
            assert_eq!(resolve(View::Timeline, &press(key)), Some(command), "{key}");
        }
    }

    #[test]
    fn shifted_letters_are_the_same_with_and_without_the_modifier() {
        for modifiers in [KeyModifiers::NONE, KeyModifiers::SHIFT] {
            let event = KeyEvent::new(KeyCode::Char('J'), modifiers);
            assert_eq!(resolve(View::Timeline, &event), Some(C::HeaviestChild));
        }
    }
}
