//! The source of a function: which file, and where in it.

use crate::tui::keys::Command;
use crate::tui::model::{Heat, Model, View};
use crate::tui::msg::Effect;
use crate::tui::source::{SourceAsk, SourcePage};
use crate::tui::worker::Job;

use super::{lists, want};

/// Asks for the file of the function that is shown.
pub(super) fn settle(model: &mut Model, effects: &mut Vec<Effect>) {
    if let Some(symbol) = model.source.symbol {
        let ask = SourceAsk { part: model.part(), symbol };
        want(model, Job::Source(ask), effects);
    }
}

/// The view shows the function that all views share.
pub(super) fn to_function(model: &mut Model) {
    let Some(symbol) = model.function else { return };
    let has_source = model.label(symbol).is_some_and(|label| label.source.is_some());
    if !has_source {
        let name = model.label(symbol).map_or("it", |label| label.name.as_str()).to_owned();
        return model.say(format!("{name} has no Python source"));
    }
    if model.source.symbol != Some(symbol) {
        model.source.symbol = Some(symbol);
        model.source.goes_to = true;
    }
    go(model);
}

/// The cursor goes to the definition, once its file is there.
fn go(model: &mut Model) {
    let wanted = model.source.symbol.and_then(|symbol| model.label(symbol)?.source.clone());
    let (Some((_, line)), Some(page)) = (wanted, &model.source.page) else { return };
    if !model.source.goes_to || Some(page.ask.symbol) != model.source.symbol {
        return;
    }
    let at = page.lines.partition_point(|of| of.number < line);
    model.source.goes_to = false;
    model.source.list.cursor = at;
    model.source.list.top = at.saturating_sub(lists::visible(model) / 4);
    if model.view == View::Source {
        lists::keep(model);
    }
}

/// A file came.
pub(super) fn page(model: &mut Model, page: SourcePage) {
    model.source.page = Some(page);
    go(model);
}

pub(super) fn run(model: &mut Model, command: Command) {
    match command {
        Command::HeatMode => {
            model.source.heat = match model.source.heat {
                Heat::SelfTime => Heat::Total,
                Heat::Total => Heat::Hits,
                Heat::Hits => Heat::SelfTime,
            };
        }
        _ => {
            let line = model.source.line();
            let made = line.and_then(|line| {
                let python = |symbol: u32| model.label(symbol).is_some_and(|l| l.source.is_some());
                line.made.iter().map(|made| made.symbol).find(|&symbol| python(symbol))
            });
            match made {
                Some(symbol) => {
                    model.leave();
                    model.function = Some(symbol);
                    to_function(model);
                }
                None => model.say("no call of a Python function is known from this line"),
            }
        }
    }
}

/// The function in which the cursor's line lies.
pub(super) fn function_here(model: &Model) -> Option<u32> {
    let page = model.source.page.as_ref()?;
    let above =
        page.lines.get(..=model.source.list.cursor.min(page.lines.len().checked_sub(1)?))?;
    above.iter().rev().find_map(|line| line.defines)
}
