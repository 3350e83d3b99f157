//! A screen driven by keys, its workers' answers computed on the spot.

use std::fmt::Write;
use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::caps::{Caps, Colors};
use crate::tui::model::Model;
use crate::tui::msg::{Answer, Effect, Msg};
use crate::tui::source::Source;
use crate::tui::update;
use crate::tui::view;
use crate::tui::worker::{Job, Ticket};

/// Columns and rows of the screens that are compared.
pub const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (200, 60)];

pub const TRUE: Caps = Caps { colors: Colors::True, ascii: false, light: false };

pub struct Driven {
    pub model: Model,
    pub source: Arc<dyn Source>,
    pub quit: bool,
    pub copied: Vec<String>,
    pub edited: Vec<(std::path::PathBuf, u32)>,
}

impl Driven {
    pub fn new(source: impl Source + 'static, size: (u16, u16), caps: Caps) -> Driven {
        let mut model = Model::new(source.overview(), caps, size);
        let effects = update::open(&mut model);
        let mut driven = Driven {
            model,
            source: Arc::new(source),
            quit: false,
            copied: Vec::new(),
            edited: Vec::new(),
        };
        driven.act(effects);
        driven
    }

    pub fn send(&mut self, msg: Msg) {
        let effects = update::update(&mut self.model, msg);
        self.act(effects);
    }

    fn act(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Ask(job, generation) => {
                    let slot = job.slot();
                    for answer in answers(&*self.source, job) {
                        let answer = Box::new(answer);
                        self.send(Msg::Answer { slot, generation, answer, last: true });
                    }
                }
                Effect::Quit(_) => self.quit = true,
                Effect::Copy(text) => self.copied.push(text),
                Effect::Edit { file, line } => self.edited.push((file, line)),
                Effect::Cancel(_) | Effect::Redraw | Effect::Suspend | Effect::Mouse(_) => {}
            }
        }
    }

    /// Types the characters of `keys`; `<Enter>` and other names in brackets are that key.
    pub fn keys(&mut self, keys: &str) -> &mut Self {
        let mut rest = keys;
        while let Some(first) = rest.chars().next() {
            let named = rest.strip_prefix('<').and_then(|r| r.split_once('>'));
            let (code, after) = match named {
                Some(("Enter", after)) => (KeyCode::Enter, after),
                Some(("Esc", after)) => (KeyCode::Esc, after),
                Some(("Backspace", after)) => (KeyCode::Backspace, after),
                Some(("PageDown", after)) => (KeyCode::PageDown, after),
                _ => (KeyCode::Char(first), &rest[first.len_utf8()..]),
            };
            rest = after;
            self.send(Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        }
        self
    }

    pub fn click(&mut self, x: u16, y: u16) {
        for kind in [MouseEventKind::Down(MouseButton::Left), MouseEventKind::Up(MouseButton::Left)]
        {
            self.mouse(kind, x, y);
        }
    }

    pub fn mouse(&mut self, kind: MouseEventKind, x: u16, y: u16) {
        let modifiers = KeyModifiers::NONE;
        self.send(Msg::Mouse(MouseEvent { kind, column: x, row: y, modifiers }));
    }

    pub fn paint(&self) -> Buffer {
        let (width, height) = self.model.size;
        let mut buf = Buffer::empty(Rect { x: 0, y: 0, width, height });
        view::paint_all(&self.model, &mut buf);
        buf
    }

    /// The characters on the screen.
    pub fn text(&self) -> String {
        let buf = self.paint();
        let mut out = String::new();
        for y in 0..buf.area.height {
            let mut skip = 0;
            let mut line = String::new();
            for x in 0..buf.area.width {
                let symbol = buf[(x, y)].symbol();
                if skip == 0 {
                    line.push_str(symbol);
                    skip = crate::tui::text::width(symbol).saturating_sub(1);
                } else {
                    skip -= 1;
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    /// The characters on the screen, below each row a letter for the style of each of its cells,
    /// and at the end what the letters mean. A dot is a cell as the terminal has it.
    pub fn styled(&self) -> String {
        let buf = self.paint();
        let mut known: Vec<Style> = vec![Cell::default().style()];
        let mut out = String::new();
        for (y, line) in (0..buf.area.height).zip(self.text().lines()) {
            let letters: String = (0..buf.area.width)
                .map(|x| {
                    let style = buf[(x, y)].style();
                    let at = known.iter().position(|known| *known == style);
                    let at = at.unwrap_or_else(|| {
                        known.push(style);
                        known.len() - 1
                    });
                    match at {
                        0 => '.',
                        at => char::from_u32('A' as u32 + at as u32 - 1).unwrap_or('?'),
                    }
                })
                .collect();
            writeln!(out, "{line}").unwrap();
            writeln!(out, "{}", letters.trim_end_matches('.')).unwrap();
        }
        for (letter, style) in ('A'..).zip(&known[1..]) {
            let (fg, bg) = (style.fg.unwrap_or_default(), style.bg.unwrap_or_default());
            writeln!(out, "{letter} {fg} on {bg} {:?}", style.add_modifier).unwrap();
        }
        out
    }

    /// The name of the selected call's function.
    pub fn selected(&self) -> Option<String> {
        let call = self.model.selection.as_ref()?;
        Some(self.model.label(call.symbol)?.name.clone())
    }
}

fn answers(source: &dyn Source, job: Job) -> Vec<Answer> {
    let ticket = Ticket::free();
    match job {
        Job::Lane(ask) => {
            let mut out = Vec::new();
            source.lane(ask, &ticket, &mut |lane| out.push(Answer::Lane(lane)));
            out
        }
        Job::Refresh => vec![Answer::Refreshed(source.refresh(&ticket).map(|s| s.overview()))],
        job => job.answer(source, &ticket).into_iter().collect(),
    }
}
