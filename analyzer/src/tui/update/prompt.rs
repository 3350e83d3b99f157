//! Typing at a prompt.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_segmentation::UnicodeSegmentation;

use crate::tui::model::{Ask, Model, Overlay, Prompt, Search, View};
use crate::tui::msg::Effect;
use crate::tui::units;
use crate::tui::worker::Job;

use super::{motion, select, table};

/// More than this nobody types; a paste of more is cut.
const LONGEST: usize = 512;

pub(super) fn open(model: &mut Model, ask: Ask) {
    let before = match ask {
        Ask::Filter => model.filter.clone(),
        Ask::Search | Ask::Goto => model.search.clone(),
    };
    model.overlays.push(Overlay::Prompt(Prompt { ask, text: String::new(), before }));
}

fn text(model: &mut Model) -> Option<&mut Prompt> {
    match model.overlays.last_mut() {
        Some(Overlay::Prompt(prompt)) => Some(prompt),
        _ => None,
    }
}

pub(super) fn paste(model: &mut Model, pasted: &str) {
    let Some(prompt) = text(model) else { return };
    let line = pasted.lines().next().unwrap_or_default();
    let room = LONGEST.saturating_sub(prompt.text.len());
    prompt.text.extend(line.chars().filter(|c| !c.is_control()).take(room));
    changed(model);
}

pub(super) fn key(model: &mut Model, event: KeyEvent, effects: &mut Vec<Effect>) {
    let Some(prompt) = text(model) else { return };
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    match event.code {
        KeyCode::Esc => {
            let before = prompt.before.clone();
            match prompt.ask {
                Ask::Search => model.search = before,
                Ask::Filter => model.filter = before,
                Ask::Goto => {}
            }
            model.overlays.pop();
            table::arrange(model);
            return;
        }
        KeyCode::Enter => return accept(model, effects),
        KeyCode::Backspace => {
            let last = prompt.text.grapheme_indices(true).next_back().map(|(at, _)| at);
            match last {
                Some(at) => prompt.text.truncate(at),
                None => drop(model.overlays.pop()),
            }
        }
        KeyCode::Char('u') if control => prompt.text.clear(),
        KeyCode::Char('w') if control => {
            let kept = prompt.text.trim_end();
            let at = kept.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at);
            prompt.text.truncate(at);
        }
        KeyCode::Char(c) if !control && !c.is_control() && prompt.text.len() < LONGEST => {
            prompt.text.push(c);
        }
        _ => return,
    }
    changed(model);
}

/// The search shows its hits while it is typed.
fn changed(model: &mut Model) {
    let Some(prompt) = text(model) else { return };
    let (ask, typed) = (prompt.ask, prompt.text.clone());
    match ask {
        Ask::Search => model.search = Search::new(&typed, &model.overview),
        Ask::Filter => model.filter = Search::new(&typed, &model.overview),
        Ask::Goto => return,
    }
    table::arrange(model);
}

fn accept(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(Overlay::Prompt(prompt)) = model.overlays.pop() else { return };
    match prompt.ask {
        Ask::Goto if prompt.text.trim().starts_with('#') => {
            let digits: String =
                prompt.text.chars().skip(1).filter(|c| !c.is_whitespace() && *c != '#').collect();
            match digits.parse() {
                Ok(number) => super::ask(model, Job::Number(number), effects),
                Err(_) => model.alarm(format!("{}: not the number of an event", prompt.text)),
            }
        }
        Ask::Goto => {
            let (begin, end) = model.camera.bounds();
            match units::parse_goto(&prompt.text, model.caret, begin, end) {
                Ok(ns) => motion::go(model, ns),
                Err(why) => model.alarm(why),
            }
        }
        Ask::Filter => {
            let count = model.filter.symbols.len();
            if let Some(error) = model.filter.error.take() {
                model.alarm(error);
                model.filter = prompt.before;
            } else if model.filter.active() && count == 0 {
                model.alarm(format!("no function matches {}", model.filter.text));
                model.filter = prompt.before;
            } else if model.filter.active() {
                let what = if count == 1 { "function" } else { "functions" };
                model.say(format!("only {count} {what}; ^ shows all again"));
            }
        }
        Ask::Search => {
            let count = model.search.symbols.len();
            if let Some(error) = model.search.error.take() {
                model.alarm(error);
                model.search = prompt.before;
                table::arrange(model);
            } else if !model.search.active() {
            } else if count == 0 {
                model.alarm(format!("no function matches {}", model.search.text));
            } else if model.view == View::Functions {
                let what = if count == 1 { "function matches" } else { "functions match" };
                model.say(format!("{count} {what}"));
            } else {
                select::hit(model, true, effects);
            }
        }
    }
}
