//! The palette: every command by its name.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::tui::keys::{Binding, Command};
use crate::tui::model::{Model, Overlay};
use crate::tui::msg::Effect;

/// The commands of the view that a typed text means, the best first.
pub fn matches(model: &Model, typed: &str) -> Vec<(&'static Binding, String)> {
    let mut found: Vec<(usize, &Binding, String)> = Vec::new();
    for (binding, keys) in model.keys.of_view(model.view) {
        if binding.command == Command::Palette {
            continue;
        }
        let text = format!("{} {}", binding.name, binding.help);
        if let Some(score) = score(&text, typed) {
            let keys: Vec<String> = keys.iter().map(|key| key.label()).collect();
            found.push((score, binding, keys.join(" ")));
        }
    }
    // Stable: what matches as well stays in the order of the table.
    found.sort_by_key(|(score, ..)| *score);
    found.into_iter().map(|(_, binding, keys)| (binding, keys)).collect()
}

/// How far apart the typed letters stand in a text, in their order; `None` if they do not.
fn score(text: &str, typed: &str) -> Option<usize> {
    let mut letters = typed.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase);
    let Some(mut wanted) = letters.next() else { return Some(0) };
    let mut cost = 0;
    let mut since = 0;
    for c in text.chars().flat_map(char::to_lowercase) {
        if c == wanted {
            cost += since;
            since = 0;
            match letters.next() {
                Some(next) => wanted = next,
                None => return Some(cost),
            }
        } else {
            since += 1;
        }
    }
    None
}

pub(super) fn key(model: &mut Model, event: KeyEvent, effects: &mut Vec<Effect>) {
    let Some(Overlay::Palette(typed, cursor)) = model.overlays.last() else { return };
    let (mut typed, mut cursor) = (typed.clone(), *cursor);
    let found = matches(model, &typed);
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    match event.code {
        KeyCode::Esc => return drop(model.overlays.pop()),
        KeyCode::Enter => {
            model.overlays.pop();
            let chosen = found.get(cursor).map(|(binding, _)| binding.command);
            match chosen {
                Some(command) => super::run(model, command, effects),
                None => model.say("no command of that name"),
            }
            return;
        }
        KeyCode::Up => cursor = cursor.saturating_sub(1),
        KeyCode::Down => cursor = (cursor + 1).min(found.len().saturating_sub(1)),
        KeyCode::Char('p') if control => cursor = cursor.saturating_sub(1),
        KeyCode::Char('n') if control => cursor = (cursor + 1).min(found.len().saturating_sub(1)),
        KeyCode::Backspace if typed.is_empty() => return drop(model.overlays.pop()),
        KeyCode::Backspace => (cursor, _) = (0, typed.pop()),
        KeyCode::Char('u') if control => (typed, cursor) = (String::new(), 0),
        KeyCode::Char(c) if !control && !c.is_control() && typed.len() < 80 => {
            typed.push(c);
            cursor = 0;
        }
        _ => {}
    }
    if let Some(overlay) = model.overlays.last_mut() {
        *overlay = Overlay::Palette(typed, cursor);
    }
}
