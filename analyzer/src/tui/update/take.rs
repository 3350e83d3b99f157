//! Taking something along: to the clipboard, to an editor.

use crate::json::Json;
use crate::tui::keys::Command;
use crate::tui::model::Model;
use crate::tui::msg::Effect;
use crate::tui::source::Ended;

/// Copies the name or place of the function, or the selected call.
pub(super) fn copy(model: &mut Model, command: Command, effects: &mut Vec<Effect>) {
    let label = model.function.and_then(|symbol| model.label(symbol));
    let text = match command {
        Command::CopyName => label.map(|label| match label.module.as_str() {
            "" => label.name.clone(),
            module => format!("{module}.{}", label.name),
        }),
        Command::CopyPlace => label.map(|l| l.place.clone()).filter(|place| !place.is_empty()),
        _ => call(model),
    };
    match text {
        Some(text) => effects.push(Effect::Copy(text)),
        None if label.is_none() => model.say("no function is selected"),
        None => model.say("it has no line of Python"),
    }
}

/// The selected call as JSON.
fn call(model: &Model) -> Option<String> {
    let call = model.selection.as_ref()?;
    let name = |symbol: u32| model.label(symbol).map_or("(unknown)", |label| label.name.as_str());
    let label = model.label(call.symbol);
    let mut json = Json::new();
    json.object(|j| {
        j.key("name").text(name(call.symbol).as_bytes());
        j.key("module").text(label.map_or("", |l| l.module.as_str()).as_bytes());
        j.key("place").text(label.map_or("", |l| l.place.as_str()).as_bytes());
        if let Some(lane) = model.overview.lanes.get(call.lane) {
            j.key("pid").uint(lane.pid.into());
            j.key("thread").uint(lane.serial);
        }
        j.key("depth").uint(call.depth.into());
        j.key("start_ns").int(call.start);
        j.key("end_ns").int(call.end);
        j.key("self_ns").uint_or_null(call.self_ns);
        j.key("began_before").bool(call.began_before);
        j.key("open").bool(call.ended == Ended::Open);
        j.key("callers").array(|j| {
            for caller in call.callers.iter().flatten() {
                j.text(name(*caller).as_bytes());
            }
        });
    });
    String::from_utf8(json.into_bytes()).ok()
}

/// Opens the editor at the definition of the function.
pub(super) fn edit(model: &mut Model, effects: &mut Vec<Effect>) {
    let source = model.function.and_then(|symbol| model.label(symbol)?.source.clone());
    match source {
        Some((file, line)) => effects.push(Effect::Edit { file, line }),
        None if model.function.is_none() => model.say("no function is selected"),
        None => model.say("it has no line of Python"),
    }
}
