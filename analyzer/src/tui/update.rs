//! `update`: a message changes the model and may ask for effects. Pure: no I/O, no clock.

mod answers;
mod camera;
mod compare;
mod listing;
mod lists;
mod motion;
mod mouse;
mod palette;
mod prompt;
mod replay;
mod select;
mod table;
mod take;
mod tree;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::keys::{self, Command};
use super::layout::Layout;
use super::model::{Ask, Model, Overlay, Pending, Search, View};
use super::msg::{Effect, Msg};
use super::source::{Find, LaneAsk, State, Step};
use super::worker::{Job, Slot};

pub use palette::matches as palette_matches;

/// Rows that are asked for beyond those on the screen.
const ROWS_AROUND: u32 = 40;

/// Changes the model as a message demands, and says what is to be done.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    let mut effects = Vec::new();
    match msg {
        Msg::Key(event) => key(model, event, &mut effects),
        Msg::Mouse(event) => mouse::mouse(model, event, &mut effects),
        Msg::Paste(text) => prompt::paste(model, &text),
        Msg::Resize(width, height) => model.size = (width, height),
        Msg::Tick => {
            if model.live() && !model.pending.get(&Slot::Refresh).is_some_and(|p| p.open) {
                ask(model, Job::Refresh, &mut effects);
            }
        }
        Msg::Answer { slot, generation, answer, last } => {
            let fresh = model.pending.get_mut(&slot).filter(|p| p.generation == generation);
            if let Some(pending) = fresh {
                pending.open = !last;
                answers::answer(model, slot, *answer, &mut effects);
            }
        }
        Msg::Done { slot, generation } => {
            let fresh = model.pending.get_mut(&slot).filter(|p| p.generation == generation);
            if let Some(pending) = fresh {
                pending.open = false;
            }
        }
        Msg::Beat => replay::beat(model, &mut effects),
        Msg::Said(text, false) => model.say(text),
        Msg::Said(text, true) => model.alarm(text),
        Msg::Progress { slot, generation, done, total } => {
            let fresh = model.pending.get_mut(&slot).filter(|p| p.generation == generation);
            if let Some(pending) = fresh {
                pending.progress = Some((done, total));
            }
        }
        Msg::Failed { slot, generation } => {
            let fresh = model.pending.get_mut(&slot).filter(|p| p.generation == generation);
            if let Some(pending) = fresh {
                pending.open = false;
                model.alarm(format!("an error in rtrace-view: {slot:?} could not be computed"));
            }
        }
        Msg::Terminate(signal) => effects.push(Effect::Quit(Some(signal))),
        Msg::Stop => effects.push(Effect::Suspend),
    }
    settle(model, &mut effects);
    effects
}

/// What a new model needs: its cells, and of a killed program the frame in which it was.
pub fn open(model: &mut Model) -> Vec<Effect> {
    let mut effects = Vec::new();
    if model.overview.state == State::Dead {
        // The thread that ran last is the one that had the interpreter when it died.
        let lanes = model.overview.lanes.iter().enumerate();
        let last = lanes.rev().max_by_key(|(_, lane)| lane.last).map(|(lane, _)| lane);
        if let Some(lane) = last {
            ask(model, Job::Find(Find::Last { lane }), &mut effects);
        }
    }
    settle(model, &mut effects);
    effects
}

/// Asks a worker; what was asked before in the same slot is forgotten.
fn ask(model: &mut Model, job: Job, effects: &mut Vec<Effect>) {
    model.generation += 1;
    let generation = model.generation;
    model.pending.insert(job.slot(), Pending { generation, open: true, progress: None });
    effects.push(Effect::Ask(job, generation));
}

/// Asks a worker, unless that has been asked of this version of the trace. A live session grows
/// faster than a long answer is computed: there the one under way is awaited first.
fn want(model: &mut Model, job: Job, effects: &mut Vec<Effect>) {
    let slot = job.slot();
    let asked = model.asked.get(&slot);
    if asked.is_some_and(|(asked, version)| *asked == job && *version == model.version) {
        return;
    }
    let open = model.pending.get(&slot).is_some_and(|pending| pending.open);
    let aged = asked.is_some_and(|(_, version)| *version != model.version);
    if open && aged && model.live() {
        return;
    }
    model.asked.insert(slot, (job.clone(), model.version));
    ask(model, job, effects);
}

/// After every message: the camera fits the screen, and what the screen needs has been asked.
fn settle(model: &mut Model, effects: &mut Vec<Effect>) {
    if Layout::too_small(model.size) {
        return;
    }
    let layout = Layout::of(model);
    model.camera.resize(layout.flame_cols());
    for place in &layout.lanes {
        // A lane that got more rows is not left scrolled past its end.
        let deepest = model.deepest.get(place.lane).copied().unwrap_or(0);
        let most = deepest.saturating_sub(u32::from(place.rows));
        if deepest > 0 && place.depth > most {
            model.depths.insert(place.lane, most);
        }
    }
    let layout = Layout::of(model);
    let version = model.version;
    for place in &layout.lanes {
        let grid = model.camera.grid();
        let asked = model.asked.get(&Slot::Lane(place.lane));
        let covers = |asked: &Job| {
            let Job::Lane(asked) = asked else { return false };
            asked.grid == grid
                && asked.depth <= place.depth
                && asked.depth + asked.rows >= place.depth + u32::from(place.rows)
        };
        if asked.is_some_and(|(asked, of)| *of == version && covers(asked)) {
            continue;
        }
        // More rows than are shown: until it was seen how deep the lane is, the layout gives it
        // too few, and rows cost little beside the replay.
        let depth = place.depth.saturating_sub(ROWS_AROUND / 4);
        let rows = place.depth - depth + u32::from(place.rows) + ROWS_AROUND;
        want(model, Job::Lane(LaneAsk { lane: place.lane, grid, depth, rows }), effects);
    }
    let cols = layout.minimap.width;
    if layout.minimap.height > 0 {
        want(model, Job::Density { cols }, effects);
    }
    if model.search.active() && !model.search.symbols.is_empty() {
        let symbols = std::sync::Arc::clone(&model.search.symbols);
        want(model, Job::Hits { symbols, cols: layout.minimap.width.max(1) }, effects);
    } else if model.hits.take().is_some() {
        model.asked.remove(&Slot::Hits);
    }
    motion::follow_caret(model);
    lists::settle(model, effects);
}

fn key(model: &mut Model, event: KeyEvent, effects: &mut Vec<Effect>) {
    // Terminals with the kitty protocol, and Windows, also tell of releases.
    if event.kind == KeyEventKind::Release {
        return;
    }
    model.status = None;
    let interrupt = event.code == KeyCode::Char('c') && event.modifiers == KeyModifiers::CONTROL;
    if interrupt {
        effects.push(Effect::Quit(None));
        return;
    }
    if Layout::too_small(model.size) {
        if event.code == KeyCode::Char('q') {
            effects.push(Effect::Quit(None));
        }
        return;
    }
    match model.overlays.last_mut() {
        Some(Overlay::Prompt(_)) => prompt::key(model, event, effects),
        Some(Overlay::Help(top)) => {
            match event.code {
                KeyCode::Char('j') | KeyCode::Down => *top += 1,
                KeyCode::Char('k') | KeyCode::Up => *top = top.saturating_sub(1),
                KeyCode::PageDown | KeyCode::Char(' ') => *top += 10,
                KeyCode::PageUp => *top = top.saturating_sub(10),
                KeyCode::Char('q' | '?') | KeyCode::Esc => drop(model.overlays.pop()),
                _ => {}
            }
            let lines = super::view::help::lines(model).len();
            if let Some(Overlay::Help(top)) = model.overlays.last_mut() {
                *top = (*top).min(lines.saturating_sub(1));
            }
        }
        Some(Overlay::Palette(..)) => palette::key(model, event, effects),
        None => match model.keys.resolve(model.view, &event) {
            Some(command) => run(model, command, effects),
            None => {
                model.say(format!("{} is not bound here; ? lists the keys", keys::name(&event)))
            }
        },
    }
}

fn run(model: &mut Model, command: Command, effects: &mut Vec<Effect>) {
    use Command as C;
    let centred = std::mem::take(&mut model.centred);
    match command {
        C::Show(view) => lists::show(model, view),
        C::Help => model.overlays.push(Overlay::Help(0)),
        C::Palette => model.overlays.push(Overlay::Palette(String::new(), 0)),
        C::Back if model.view == View::Timeline => effects.push(Effect::Quit(None)),
        C::Back => lists::show(model, View::Timeline),
        C::Cancel => cancel(model, effects),
        C::QuitNow => effects.push(Effect::Quit(None)),
        C::Search => prompt::open(model, Ask::Search),
        C::Filter => prompt::open(model, Ask::Filter),
        C::Goto => prompt::open(model, Ask::Goto),
        C::SearchThis => motion::search_this(model),
        C::OnlyThread => motion::only_thread(model),
        C::ClearFilters => motion::clear_filters(model),
        C::NextHit => select::hit(model, true, effects),
        C::PreviousHit => select::hit(model, false, effects),
        C::NextException => select::exception(model, true, effects),
        C::PreviousException => select::exception(model, false, effects),
        C::NextGap => motion::gap(model, true),
        C::PreviousGap => motion::gap(model, false),
        C::Slowest => motion::slowest(model, effects),
        C::MarkRange => motion::mark(model),
        C::RangeOfCall => motion::range_of_call(model),
        C::Compare => compare::keep_range(model),
        C::HistoryBack => motion::travel(model, false),
        C::HistoryForward => motion::travel(model, true),
        C::Bookmark => motion::bookmark(model),
        C::NextBookmark => motion::to_bookmark(model, true),
        C::PreviousBookmark => motion::to_bookmark(model, false),
        C::CopyName | C::CopyPlace | C::CopyJson => take::copy(model, command, effects),
        C::Editor => take::edit(model, effects),
        C::ToggleDetails => model.details = !model.details,
        C::Mouse => {
            model.mouse = !model.mouse;
            model.say(if model.mouse {
                "the mouse is ours: click, drag, wheel"
            } else {
                "the mouse is the terminal's: it selects text"
            });
            effects.push(Effect::Mouse(model.mouse));
        }
        C::Theme => model.theme = model.theme.other(),
        C::Redraw => effects.push(Effect::Redraw),
        C::Suspend => effects.push(Effect::Suspend),
        C::Hold => hold(model),
        C::ZoomIn
        | C::ZoomOut
        | C::PanLeft
        | C::PanRight
        | C::ScreenLeft
        | C::ScreenRight
        | C::CaretLeft
        | C::CaretRight
        | C::Whole
        | C::Start
        | C::End => camera::run(model, command),
        C::Focus => camera::focus(model, centred),
        C::FitSelection => camera::fit_selection(model),
        C::PreviousSibling => select::step(model, Step::PreviousSibling, effects),
        C::NextSibling => select::step(model, Step::NextSibling, effects),
        C::Parent => select::step(model, Step::Parent, effects),
        C::Child => select::step(model, Step::FirstChild, effects),
        C::HeaviestChild => select::step(model, Step::HeaviestChild, effects),
        C::PreviousCall => select::step(model, Step::Previous, effects),
        C::NextCall => select::step(model, Step::Next, effects),
        C::PreviousLane => select::lane(model, false, effects),
        C::NextLane => select::lane(model, true, effects),
        C::LanesUp => select::scroll_lanes(model, -1),
        C::LanesDown => select::scroll_lanes(model, 1),
        C::Pin => motion::pin(model),
        C::RowUp | C::RowDown | C::RowsUp | C::RowsDown | C::FirstRow | C::LastRow => {
            lists::row(model, command, effects);
        }
        C::Open => lists::open(model, effects),
        C::SortNext | C::SortPrevious | C::SortReverse => lists::sort(model, command),
        C::Unfold | C::Fold | C::UnfoldAll | C::FoldAll | C::TreeMode | C::Callers => {
            tree::run(model, command);
        }
        C::HeatMode | C::Definition => listing::run(model, command),
        C::StepOver | C::StepOut | C::Play | C::Faster | C::Slower => {
            replay::run(model, command, effects);
        }
    }
}

/// Esc: what is being computed goes first, then the mark, the search, the selection. It never
/// quits.
fn cancel(model: &mut Model, effects: &mut Vec<Effect>) {
    // The picture itself is not among it: that is always wanted.
    let computed = |slot: &Slot| !matches!(slot, Slot::Lane(_) | Slot::Density | Slot::Refresh);
    let mut cancelled = false;
    for (slot, pending) in &mut model.pending {
        if pending.open && computed(slot) {
            pending.open = false;
            cancelled = true;
            effects.push(Effect::Cancel(*slot));
        }
    }
    if cancelled {
        model.say("cancelled; another range, filter or function asks anew");
    } else if model.mark.take().is_some() {
    } else if !model.search.text.is_empty() {
        model.search = Search::default();
        table::arrange(model);
    } else {
        model.selection = None;
    }
}

fn hold(model: &mut Model) {
    if !model.live() {
        model.say("the recording has ended; there is nothing to follow");
        return;
    }
    model.follow = !model.follow;
    if model.follow {
        model.camera.go_to_end();
    }
    model.say(if model.follow { "following the end" } else { "held; Space follows again" });
}

#[cfg(test)]
mod tests;
