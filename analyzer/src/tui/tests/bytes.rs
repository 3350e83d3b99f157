//! The bytes that reach the terminal, read back by a terminal emulator.

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{TerminalOptions, Viewport};

use crate::tui::caps::{Caps, Colors};
use crate::tui::invented::{Call, Invented};
use crate::tui::view;

use super::script::Driven;

const SIZE: (u16, u16) = (80, 24);

/// Every byte of one full frame.
fn bytes(screen: &Driven) -> Vec<u8> {
    crossterm::style::force_color_output(true);
    let mut out = Vec::new();
    let (width, height) = screen.model.size;
    let viewport = Viewport::Fixed(Rect { x: 0, y: 0, width, height });
    let backend = CrosstermBackend::new(&mut out);
    let mut terminal = Terminal::with_options(backend, TerminalOptions { viewport }).unwrap();
    terminal.draw(|frame| view::draw(&screen.model, frame)).unwrap();
    drop(terminal);
    out
}

fn shown(bytes: &[u8], size: (u16, u16)) -> vt100::Parser {
    let mut parser = {
        let side = |n| std::num::NonZero::new(n).unwrap();
        vt100::Parser::new(side(size.1), side(size.0), 0)
    };
    parser.process(bytes);
    parser
}

fn driven(colors: Colors) -> Driven {
    let mut screen =
        Driven::new(Invented::server(), SIZE, Caps { colors, ascii: false, light: false });
    screen.keys("/exec<Enter>");
    screen
}

#[test]
fn a_terminal_shows_what_was_painted() {
    for colors in [Colors::None, Colors::Ansi16, Colors::Ansi256, Colors::True] {
        let screen = driven(colors);
        let parser = shown(&bytes(&screen), SIZE);
        let lines: Vec<String> =
            parser.screen().rows(0, SIZE.0).map(|row| row.trim_end().to_owned()).collect();
        let painted = screen.text();
        assert_eq!(lines, painted.lines().collect::<Vec<_>>(), "{colors:?}");
    }
}

#[test]
fn colours_are_those_that_the_terminal_has() {
    use vt100::Color;
    let used = |colors| {
        let bytes = bytes(&driven(colors));
        let parser = shown(&bytes, SIZE);
        let cell = |y, x| parser.screen().cell(y, x).map(|cell| (cell.fgcolor(), cell.bgcolor()));
        let cells = (0..SIZE.1).flat_map(|y| (0..SIZE.0).map(move |x| (y, x)));
        cells.filter_map(|(y, x)| cell(y, x)).flat_map(|(f, b)| [f, b]).collect::<Vec<Color>>()
    };
    assert!(used(Colors::None).iter().all(|color| *color == Color::Default));
    assert!(used(Colors::Ansi16).iter().all(|c| matches!(c, Color::Default | Color::Idx(0..16))));
    assert!(used(Colors::Ansi256).iter().all(|c| matches!(c, Color::Default | Color::Idx(_))));
    assert!(used(Colors::True).iter().any(|c| matches!(c, Color::Rgb(..))));
}

#[test]
fn the_selection_is_seen_without_colours() {
    let screen = driven(Colors::None);
    let parser = shown(&bytes(&screen), SIZE);
    let reversed =
        |y: u16| (16..SIZE.0).any(|x| parser.screen().cell(y, x).is_some_and(vt100::Cell::inverse));
    // Below the header, which is reversed too.
    assert!((1..SIZE.1).any(reversed));
}

#[test]
fn a_full_repaint_is_not_a_flood() {
    let mut screen = driven(Colors::True);
    screen.send(crate::tui::msg::Msg::Resize(200, 60));
    let bytes = bytes(&screen);
    assert!(bytes.len() < 60_000, "{}", bytes.len());
}

/// Names reach the screen escaped already; what the screen adds must be as harmless: no control
/// character but those of the drawing itself, and nothing wider than the terminal.
#[test]
fn wide_and_combining_names_stay_in_their_cells() {
    let names = [
        "(unknown)",
        "m.日本語の関数名前",
        "m.e\u{301}e\u{301}e\u{301}lan",
        "m.👩‍👩‍👧‍👦family",
        "m.\\u001b]0;x\\u0007",
    ];
    let calls = (0..20).map(|i| Call {
        symbol: 1 + (i % 4) as u32,
        start: i * 50,
        end: i * 50 + 10 + 2 * i,
        ..Call::default()
    });
    for width in [40, 41, 60, 99] {
        let source =
            Invented::new(&["日本語スレッド", "e\u{301}"], &names, calls.clone().collect());
        let mut screen = Driven::new(source, (width, 20), super::script::TRUE);
        for keys in ["", "j", "w", "w", "2", "/.", "?"] {
            screen.keys(keys);
            let bytes = bytes(&screen);
            let control = |b: &&u8| b.is_ascii_control() && **b != 0x1b;
            assert_eq!(bytes.iter().find(control), None, "{width} after {keys}");
        }
    }
}
