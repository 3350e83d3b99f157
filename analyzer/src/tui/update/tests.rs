//! Scripts of messages against the model, and any sequence of them at all.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseEventKind};
use proptest::prelude::*;

use crate::tui::invented::Invented;
use crate::tui::layout::Layout;
use crate::tui::model::{Overlay, View};
use crate::tui::msg::Msg;
use crate::tui::source::State;
use crate::tui::tests::script::{Driven, TRUE};

fn screen() -> Driven {
    Driven::new(Invented::server(), (100, 30), TRUE)
}

#[test]
fn selection_moves_in_the_structure_of_calls() {
    let mut screen = screen();
    screen.keys("j");
    assert_eq!(screen.selected().as_deref(), Some("serve"));
    for (key, want) in [
        ("j", "handle"),
        ("j", "parse"),
        ("l", "query"),
        ("j", "exec"),
        ("k", "query"),
        ("l", "render"),
        ("h", "query"),
        ("k", "handle"),
        ("J", "query"),
        (",", "len"),
        (".", "query"),
        (".", "exec"),
    ] {
        screen.keys(key);
        assert_eq!(screen.selected().as_deref(), Some(want), "after {key}");
    }
}

#[test]
fn a_step_that_leads_nowhere_says_so_and_stays() {
    let mut screen = screen();
    screen.keys("jk");
    assert_eq!(screen.selected().as_deref(), Some("serve"));
    assert_eq!(screen.model.status.as_ref().map(|s| &*s.text), Some("this is the outermost frame"));
}

#[test]
fn zoom_keeps_the_caret_in_its_column() {
    let mut screen = screen();
    screen.keys("/exec<Enter>");
    let column = |screen: &Driven| screen.model.camera.grid().col_of(screen.model.caret);
    let before = column(&screen);
    screen.keys("wwwwwwww");
    assert_eq!(column(&screen), before);
    assert!(screen.model.camera.grid().npc < 3_000_000);
    screen.keys("0");
    assert!(screen.model.camera.shows_all());
}

#[test]
fn focus_centres_first_and_fits_then() {
    let mut screen = screen();
    screen.keys("/query<Enter>wwf");
    let (start, end) = screen.model.selection.as_ref().map(|c| (c.start, c.end)).unwrap();
    let grid = screen.model.camera.grid();
    let middle = grid.col_of((start + end) / 2);
    assert!((middle - i64::from(grid.cols) / 2).abs() <= i64::from(grid.cols) / 2);
    screen.keys("f");
    let grid = screen.model.camera.grid();
    assert!(grid.start() <= start && end <= grid.end());
    assert!(grid.width() < (end - start) * 5 / 4, "{grid:?}");
}

#[test]
fn exceptions_are_gone_through_one_by_one() {
    let mut screen = screen();
    screen.keys("e");
    assert_eq!(screen.selected().as_deref(), Some("exec"));
    screen.keys("0g").keys("E");
    let text = screen.model.status.clone().map(|s| s.text);
    assert_eq!(text.as_deref(), Some("no more exceptions before this"));
}

#[test]
fn search_counts_jumps_and_is_taken_back() {
    let mut screen = screen();
    screen.keys("/^ren");
    assert_eq!(screen.model.search.symbols.len(), 1);
    screen.keys("<Esc>");
    assert!(screen.model.overlays.is_empty() && screen.model.search.text.is_empty());
    screen.keys("g/render<Enter>nn");
    assert_eq!(screen.selected().as_deref(), Some("render"));
    assert_eq!(screen.model.selection.as_ref().unwrap().start, 415_000_000);
    screen.keys("N");
    assert_eq!(screen.model.selection.as_ref().unwrap().start, 255_000_000);
    screen.keys("/(<Enter>");
    let status = screen.model.status.clone().unwrap();
    assert!(status.alarm && status.text.contains("not a regular expression"));
    assert_eq!(screen.model.search.text, "render", "a bad search leaves the good one");
}

#[test]
fn goto_takes_a_time_and_complains_about_others() {
    let mut screen = screen();
    screen.keys("wwwwww\\500ms<Enter>");
    assert_eq!(screen.model.caret, 500_000_000);
    assert!(screen.model.camera.grid().col_within(500_000_000).is_some());
    screen.keys("\\soon<Enter>");
    assert!(screen.model.status.clone().unwrap().alarm);
}

#[test]
fn esc_never_quits_and_q_goes_back_first() {
    let mut screen = screen();
    screen.keys("<Esc><Esc>2q");
    assert!(!screen.quit);
    assert_eq!(screen.model.view, View::Timeline);
    screen.keys("?q");
    assert!(!screen.quit && screen.model.overlays.is_empty());
    screen.keys("q");
    assert!(screen.quit);
}

#[test]
fn ctrl_c_quits_from_anywhere() {
    for before in ["", "2", "?", "/abc"] {
        let mut screen = screen();
        screen.keys(before);
        screen.send(Msg::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
        assert!(screen.quit, "after {before}");
    }
}

#[test]
fn lanes_are_focused_at_the_same_time() {
    let mut screen = screen();
    screen.keys("\\450ms<Enter>}");
    assert_eq!(screen.model.lane, 1);
    assert_eq!(screen.selected().as_deref(), Some("run"));
    screen.keys("}");
    assert_eq!(screen.model.status.clone().unwrap().text, "this is the last thread");
}

#[test]
fn functions_are_sorted_filtered_and_opened_on_the_timeline() {
    let mut screen = screen();
    screen.keys("2");
    let first = |screen: &Driven| {
        let row = screen.model.table.shown.first().map(|row| row.symbol).unwrap();
        screen.model.label(row).unwrap().name.clone()
    };
    let names: Vec<u64> = screen.model.table.shown.iter().map(|row| row.self_ns).collect();
    assert!(names.is_sorted_by(|a, b| a >= b), "{names:?}");
    screen.keys("s");
    assert_eq!(first(&screen), "serve");
    screen.keys("~");
    assert_ne!(first(&screen), "serve");
    screen.keys("/exec<Enter>");
    assert_eq!(screen.model.table.shown.len(), 1);
    screen.keys("<Enter>");
    assert_eq!(screen.model.view, View::Timeline);
    assert_eq!(screen.selected().as_deref(), Some("exec"));
}

#[test]
fn a_click_selects_the_wheel_zooms_and_the_middle_button_pans() {
    let mut screen = screen();
    // The first request's `handle`, in the second row of the first lane.
    screen.click(22, 4);
    assert_eq!(screen.selected().as_deref(), Some("handle"));
    let before = screen.model.camera.grid();
    let under = before.edge(40);
    screen.mouse(MouseEventKind::ScrollUp, 16 + 40, 5);
    let after = screen.model.camera.grid();
    assert!(after.npc < before.npc);
    assert_eq!(after.col_of(under), 40);
    let start = screen.model.camera.grid().start();
    let middle = crossterm::event::MouseButton::Middle;
    screen.mouse(MouseEventKind::Down(middle), 60, 5);
    screen.mouse(MouseEventKind::Drag(middle), 50, 5);
    screen.mouse(MouseEventKind::Up(middle), 50, 5);
    assert_eq!(screen.model.camera.grid().start(), start + 10 * after.npc);
    assert_eq!(screen.selected().as_deref(), Some("handle"), "a drag selects nothing");
}

#[test]
fn another_click_on_the_selected_call_fits_it() {
    let mut screen = screen();
    let whole = screen.model.camera.grid();
    screen.click(22, 4);
    assert_eq!(screen.model.camera.grid(), whole);
    screen.click(22, 4);
    let call = screen.model.selection.clone().unwrap();
    let grid = screen.model.camera.grid();
    assert!(grid.start() <= call.start && call.end <= grid.end());
    assert!(grid.end() - grid.start() < 2 * (call.end - call.start));
    screen.keys("<");
    assert_eq!(screen.model.camera.grid(), whole);
}

#[test]
fn an_answer_to_an_older_question_is_dropped() {
    use crate::tui::msg::{Answer, Effect};
    use crate::tui::source::Find;
    let source = Invented::server();
    let mut model = crate::tui::model::Model::new(
        crate::tui::source::Source::overview(&source),
        TRUE,
        (100, 30),
    );
    let mut asked = Vec::new();
    for key in ['j', 'l'] {
        let msg = Msg::Key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE));
        for effect in crate::tui::update::update(&mut model, msg) {
            if let Effect::Ask(job @ crate::tui::worker::Job::Find(_), generation) = effect {
                asked.push((job.slot(), generation));
            }
        }
    }
    let (slot, generation) = asked[0];
    let find = Find::At { lane: 0, from: 0, to: 10, depth: 0 };
    let ticket = crate::tui::worker::Ticket::free();
    let call = crate::tui::source::Source::find(&source, &find, &ticket);
    let answer = Box::new(Answer::Found(call, find));
    crate::tui::update::update(&mut model, Msg::Answer { slot, generation, answer, last: true });
    assert_eq!(model.selection, None);
}

#[test]
fn a_live_session_is_followed_until_one_looks_back() {
    let mut source = Invented::server();
    source.overview.state = State::Live;
    let mut screen = Driven::new(source, (100, 30), TRUE);
    assert!(screen.model.follow);
    screen.keys("wwwwG");
    assert!(screen.model.follow && screen.model.camera.shows_end());
    screen.keys("a");
    assert!(!screen.model.follow);
    screen.keys(" ");
    assert!(screen.model.follow && screen.model.camera.shows_end());
}

#[derive(Clone, Debug)]
enum Act {
    Key(char),
    Named(u8),
    Resize(u16, u16),
    Mouse(u8, u16, u16),
    Paste(String),
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => proptest::sample::select(
            "wasdADfhjklJK,.{}gG\\01234567%x/?nNeEiqSs~ x5%+-()[]vr<>mu!t&^*pHLbyYoT:".chars().collect::<Vec<_>>()
        ).prop_map(Act::Key),
        3 => (0_u8..10).prop_map(Act::Named),
        1 => (0_u16..200, 0_u16..70).prop_map(|(w, h)| Act::Resize(w, h)),
        2 => (0_u8..6, 0_u16..200, 0_u16..70).prop_map(|(k, x, y)| Act::Mouse(k, x, y)),
        1 => "\\PC{0,8}".prop_map(Act::Paste),
    ]
}

/// What going back and forward again brings back.
fn spot(screen: &Driven) -> impl PartialEq + std::fmt::Debug + use<> {
    let model = &screen.model;
    let filters = (model.search.text.clone(), model.filter.text.clone(), model.only);
    (model.view, model.camera.grid(), model.caret, model.mark, filters)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_sequence_of_acts_panics_or_leaves_the_bounds(
        acts in proptest::collection::vec(acts(), 0..80),
    ) {
        let mut screen = Driven::new(Invented::server(), (100, 30), TRUE);
        for act in acts {
            match act {
                Act::Key(c) => {
                    screen.send(Msg::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)));
                }
                Act::Named(n) => {
                    let code = [
                        KeyCode::Enter, KeyCode::Esc, KeyCode::Backspace, KeyCode::PageUp,
                        KeyCode::PageDown, KeyCode::Home, KeyCode::End, KeyCode::Up, KeyCode::Down,
                        KeyCode::Tab,
                    ][usize::from(n)];
                    screen.send(Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)));
                }
                Act::Resize(width, height) => screen.send(Msg::Resize(width, height)),
                Act::Mouse(kind, x, y) => {
                    let left = crossterm::event::MouseButton::Left;
                    let kind = [
                        MouseEventKind::Down(left), MouseEventKind::Up(left),
                        MouseEventKind::Drag(left), MouseEventKind::ScrollUp,
                        MouseEventKind::ScrollDown, MouseEventKind::ScrollLeft,
                    ][usize::from(kind)];
                    screen.mouse(kind, x, y);
                }
                Act::Paste(text) => screen.send(Msg::Paste(text)),
            }
            screen.paint();
            let here = spot(&screen);
            if screen.model.overlays.is_empty() && !Layout::too_small(screen.model.size) {
                screen.keys("<");
                let went = screen.model.status.is_none();
                if went {
                    screen.keys(">");
                    prop_assert_eq!(spot(&screen), here);
                }
            }
            let model = &screen.model;
            let grid = model.camera.grid();
            let (begin, end) = model.camera.bounds();
            prop_assert!(grid.npc >= 1 && grid.start() < end && grid.end() > begin);
            prop_assert!(model.lane < model.overview.lanes.len());
            prop_assert!(model.overlays.len() <= 1);
            if let Some(Overlay::Help(top)) = model.overlays.last() {
                prop_assert!(*top < 200);
            }
        }
    }
}

#[test]
fn the_selection_of_an_open_call_follows_a_live_session() {
    use crate::tui::msg::{Answer, Effect};
    use crate::tui::source::{Find, Source};
    use crate::tui::worker::{Job, Slot};
    let mut source = Invented::server();
    source.overview.state = State::Live;
    let mut screen = Driven::new(source, (100, 30), TRUE);
    screen.keys("j");
    screen.send(Msg::Tick);
    let mut grown = Invented::server().overview();
    grown.end += 500_000_000;
    grown.state = State::Live;
    let generation = screen.model.pending[&Slot::Refresh].generation + 1;
    screen.model.pending.get_mut(&Slot::Refresh).unwrap().generation = generation;
    let answer = Box::new(Answer::Refreshed(Some(grown)));
    let msg = Msg::Answer { slot: Slot::Refresh, generation, answer, last: true };
    let effects = crate::tui::update::update(&mut screen.model, msg);
    let again = |effect: &Effect| matches!(effect, Effect::Ask(Job::Find(Find::Again { .. }), _));
    assert!(effects.iter().any(again));
    assert!(screen.model.camera.shows_end());
}

#[test]
fn a_marked_range_is_what_all_views_are_about() {
    let mut screen = screen();
    screen.keys("\\300ms<Enter>v\\460ms<Enter>v");
    assert_eq!(screen.model.range(), (300_000_000, 460_000_000));
    for keys in ["2", "3", "5"] {
        screen.keys(keys);
        assert!(screen.text().contains("0.3000s – 0.4600s"), "{}", screen.text());
    }
    let exec = |row: &&crate::tui::source::FunctionRow| row.symbol == 5;
    screen.keys("2");
    assert_eq!(screen.model.table.shown.iter().find(exec).unwrap().calls, 1);
    screen.keys("1<Enter>");
    let grid = screen.model.camera.grid();
    assert!(screen.model.mark.is_none() && grid.start() <= 300_000_000);
    assert!(grid.width() < 170_000_000, "{grid:?}");
    screen.keys("<");
    assert!(screen.model.camera.shows_all() && screen.model.mark.is_some());
    screen.keys("<Esc>");
    assert_eq!(screen.model.range(), screen.model.camera.bounds());
}

#[test]
fn a_drag_marks_and_the_call_is_a_range() {
    let mut screen = screen();
    let left = crossterm::event::MouseButton::Left;
    screen.mouse(MouseEventKind::Down(left), 60, 5);
    screen.mouse(MouseEventKind::Drag(left), 50, 5);
    screen.mouse(MouseEventKind::Up(left), 50, 5);
    let grid = screen.model.camera.grid();
    assert_eq!(screen.model.range(), (grid.edge(50 - 16), grid.edge(60 - 16 + 1)));
    screen.keys("/query<Enter>r");
    let call = screen.model.selection.clone().unwrap();
    assert_eq!(screen.model.range(), (call.start, call.end));
}

#[test]
fn back_and_forward_lead_through_views_and_places() {
    let mut screen = screen();
    screen.keys("/exec<Enter>2");
    let first = screen.model.camera.grid();
    screen.keys("3<<");
    assert_eq!(screen.model.view, View::Timeline);
    assert_eq!(screen.model.camera.grid(), first);
    screen.keys(">>");
    assert_eq!(screen.model.view, View::Tree);
    screen.keys(">");
    assert_eq!(screen.model.status.clone().unwrap().text, "nothing to go forward to");
}

#[test]
fn filters_hold_in_every_view() {
    let mut screen = screen();
    screen.keys("&^app<Backspace><Backspace><Backspace><Backspace>app<Enter>2");
    assert_eq!(screen.model.table.shown.len(), 3);
    screen.keys("3");
    assert!(screen.text().contains("&app"));
    screen.keys("4");
    let rows = &screen.model.replay.page.as_ref().unwrap().rows;
    assert!(rows.iter().all(|row| [2, 3, 6].contains(&row.symbol.unwrap())));
    screen.keys("1}t");
    assert_eq!(screen.model.shown_lanes(), [1]);
    screen.keys("2");
    assert_eq!(screen.model.table.shown.len(), 0);
    screen.keys("^");
    assert_eq!(screen.model.table.shown.len(), 11);
}

#[test]
fn events_are_stepped_into_over_and_out_of() {
    let mut screen = screen();
    screen.keys("g/query<Enter>4");
    let at = |screen: &Driven| {
        let row = screen.model.replay.row().unwrap();
        let name = screen.model.label(row.symbol.unwrap()).unwrap().name.clone();
        (row.kind, name)
    };
    assert_eq!(at(&screen), ("call", "query".to_owned()));
    screen.keys("j");
    assert_eq!(at(&screen), ("call", "exec".to_owned()));
    assert_eq!(screen.selected().as_deref(), Some("exec"));
    screen.keys("J");
    assert_eq!(at(&screen), ("return", "exec".to_owned()));
    screen.keys("kK");
    assert_eq!(at(&screen), ("return", "query".to_owned()));
    assert_eq!(screen.model.view, View::Events);
    screen.keys("<Enter>");
    assert_eq!(screen.model.view, View::Timeline);
    assert_eq!(screen.model.caret, 90_000_000);
}

#[test]
fn events_are_played_until_the_last() {
    let mut screen = screen();
    screen.keys("4g ");
    assert!(screen.model.replay.playing);
    screen.send(Msg::Beat);
    assert_eq!(screen.model.replay.list.cursor, 1);
    screen.keys("++++");
    for _ in 0..100 {
        screen.send(Msg::Beat);
    }
    assert!(!screen.model.replay.playing);
    assert_eq!(screen.model.status.clone().unwrap().text, "this is the last event");
    let page = screen.model.replay.page.as_ref().unwrap();
    assert!(page.last && screen.model.replay.list.cursor + 1 == page.rows.len());
}

#[test]
fn a_function_is_the_same_in_every_view() {
    let mut screen = screen();
    screen.keys("/exec<Enter>2");
    assert_eq!(screen.model.table.shown[screen.model.table.list.cursor].symbol, 5);
    screen.keys("<Esc>2b");
    assert_eq!(screen.model.view, View::Tree);
    let middle = screen.model.tree.outline.middle().unwrap();
    assert_eq!(screen.model.tree.outline.rows[middle].symbol, 5);
    screen.keys("k<Enter>");
    assert_eq!(screen.selected().as_deref(), Some("query"));
    screen.keys("y");
    assert_eq!(screen.copied, ["db.query"]);
    screen.keys("Yo");
    assert_eq!(screen.copied[1], "src/db.py:14");
    assert_eq!(screen.edited, [("src/db.py".into(), 14)]);
    screen.send(Msg::Key(KeyEvent::new(KeyCode::Char('y'), KeyModifiers::CONTROL)));
    let json: serde_json::Value = serde_json::from_str(&screen.copied[2]).unwrap();
    assert_eq!(json["callers"], serde_json::json!(["serve", "handle"]));
}

#[test]
fn jumps_lead_to_bookmarks_events_and_the_slowest_call() {
    let mut screen = screen();
    screen.keys("\\300ms<Enter>m\\700ms<Enter>m\\500ms<Enter>u");
    assert_eq!(screen.model.caret, 700_000_000);
    screen.keys("UU");
    assert_eq!(screen.model.caret, 300_000_000);
    screen.keys("m\\0<Enter>u");
    assert_eq!(screen.model.caret, 700_000_000);
    screen.keys("\\#1<Enter>");
    assert_eq!(screen.model.caret, 0);
    screen.keys("\\#999999<Enter>");
    assert!(screen.model.status.clone().unwrap().alarm);
    screen.keys("/job<Enter>!");
    assert_eq!(screen.model.selection.as_ref().unwrap().start, 310_000_000);
    screen.keys("]");
    assert_eq!(screen.model.status.clone().unwrap().text, "no gap in the records after this");
}

#[test]
fn the_search_counts_its_calls() {
    let mut screen = screen();
    screen.keys("g/exec<Enter>n");
    let hits = screen.model.hits.as_ref().unwrap();
    assert_eq!(hits.count, 6);
    assert!(screen.text().contains("/exec  2/6"), "{}", screen.text());
    screen.keys("<Esc>");
    assert!(screen.model.hits.is_none());
}

#[test]
fn commands_are_found_by_name() {
    let mut screen = screen();
    screen.keys(":zoomin<Enter>");
    assert!(!screen.model.camera.shows_all());
    screen.keys(":qqqq<Enter>");
    assert_eq!(screen.model.status.clone().unwrap().text, "no command of that name");
    screen.keys(":<Esc>");
    assert!(screen.model.overlays.is_empty() && !screen.quit);
}

#[test]
fn keys_are_the_users() {
    let mut screen = screen();
    screen.model.keys = crate::tui::keys::Keys::with("zoom-in = Z\n").unwrap();
    screen.keys("w");
    assert!(screen.model.status.clone().unwrap().text.contains("w is not bound"));
    screen.keys("Z?");
    assert!(!screen.model.camera.shows_all() && screen.text().contains(" Z "));
}

#[test]
fn the_source_leads_from_a_function_to_those_that_it_calls() {
    let mut screen = screen();
    screen.keys("6");
    assert!(screen.text().contains("select a Python function"));
    screen.keys("1g/handle<Enter>6");
    let line = |screen: &Driven| screen.model.source.line().map(|line| line.number);
    assert_eq!(line(&screen), Some(12));
    screen.keys("l");
    assert_eq!((line(&screen), screen.model.function), (Some(14), Some(4)));
    assert!(screen.text().contains("db.py"));
    screen.keys("<");
    assert_eq!((line(&screen), screen.model.function), (Some(12), Some(2)));
    screen.keys("jo");
    assert_eq!(screen.edited, [("src/app.py".into(), 13)]);
    screen.keys("<Enter>");
    assert_eq!((screen.model.view, screen.selected().as_deref()), (View::Timeline, Some("parse")));
}

#[test]
fn two_ranges_are_compared() {
    let mut screen = screen();
    screen.keys("7");
    assert!(screen.text().contains("press x"));
    screen.keys("1\\0<Enter>v\\140ms<Enter>vx\\480ms<Enter>v\\900ms<Enter>v7");
    let first = |screen: &Driven| screen.model.diff.page.as_ref().unwrap().rows[0].clone();
    assert_eq!(first(&screen).name, "job");
    screen.keys("ss");
    assert_eq!(first(&screen).name, "len");
    screen.keys("<Enter>");
    assert_eq!((screen.model.view, screen.model.caret), (View::Timeline, 510_000_000));
}

#[test]
fn esc_cancels_what_is_being_computed() {
    use crate::tui::msg::Effect;
    use crate::tui::source::Source;
    use crate::tui::update::update;
    use crate::tui::worker::{Job, Slot};
    let overview = Invented::server().overview();
    let mut model = crate::tui::model::Model::new(overview, TRUE, (100, 30));
    let mut press = |code| {
        let effects = update(&mut model, Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        (effects, model.pending.get(&Slot::Functions).is_some_and(|pending| pending.open))
    };
    let asks = |effects: &[Effect]| {
        effects.iter().any(|effect| matches!(effect, Effect::Ask(Job::Functions(_), _)))
    };
    let (effects, open) = press(KeyCode::Char('2'));
    assert!(asks(&effects) && open);
    let (effects, open) = press(KeyCode::Esc);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Cancel(Slot::Functions))));
    assert!(!asks(&effects) && !open);
    let (effects, _) = press(KeyCode::Char('j'));
    assert!(!asks(&effects), "it is not asked again by itself");
    let (effects, open) = press(KeyCode::Char('t'));
    assert!(asks(&effects) && open, "another filter asks anew");
}
