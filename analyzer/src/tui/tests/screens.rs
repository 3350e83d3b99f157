use crate::query::timeline::{Gap, GapKind};
use crate::tui::caps::{Caps, Colors};
use crate::tui::invented::Invented;
use crate::tui::source::State;

use super::script::{Driven, SIZES, TRUE};

#[test]
fn timeline_at_every_size() {
    for size in SIZES {
        let screen = Driven::new(Invented::server(), size, TRUE);
        insta::assert_snapshot!(format!("timeline_{}x{}", size.0, size.1), screen.text());
    }
}

#[test]
fn a_selected_call_with_its_details() {
    let mut screen = Driven::new(Invented::server(), (80, 24), TRUE);
    screen.keys("/exec<Enter>f");
    insta::assert_snapshot!(screen.text());
}

#[test]
fn zoomed_in_on_a_call() {
    let mut screen = Driven::new(Invented::server(), (80, 24), TRUE);
    screen.keys("/parse<Enter><Enter><Esc>");
    insta::assert_snapshot!(screen.text());
}

#[test]
fn in_ascii_without_colours() {
    let caps = Caps { colors: Colors::None, ascii: true, light: false };
    let screen = Driven::new(Invented::server(), (80, 24), caps);
    let text = screen.text();
    assert!(text.is_ascii(), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_flight_recording_shows_where_history_begins() {
    let ms = 1_000_000;
    let gap = |end, kind, events| Gap { start: 0, end, kind, events };
    let mut source = Invented::server()
        .gap(0, gap(400 * ms, GapKind::Overwritten, 51_204))
        .gap(1, gap(300 * ms, GapKind::NotBegun, 0));
    source.calls.retain(|call| call.lane == 1 || call.end > 400 * ms);
    source.overview.overwritten = 51_204;
    source.overview.state = State::Dead;
    source.overview.opening = (750 * ms, 1_000 * ms);
    let mut screen = Driven::new(source, (80, 24), TRUE);
    insta::assert_snapshot!("killed_at_its_last_moment", screen.text());
    screen.keys("0");
    insta::assert_snapshot!("killed_whole", screen.text());
}

#[test]
fn functions_at_every_size() {
    for size in SIZES {
        let mut screen = Driven::new(Invented::server(), size, TRUE);
        screen.keys("2");
        insta::assert_snapshot!(format!("functions_{}x{}", size.0, size.1), screen.text());
    }
}

#[test]
fn help_over_the_timeline() {
    let mut screen = Driven::new(Invented::server(), (120, 40), TRUE);
    screen.keys("?");
    insta::assert_snapshot!(screen.text());
    screen.keys("q");
    assert!(!screen.quit && screen.model.overlays.is_empty());
}

#[test]
fn too_small_says_so_and_still_quits() {
    let mut screen = Driven::new(Invented::server(), (39, 10), TRUE);
    assert!(screen.text().starts_with("terminal too small"));
    screen.keys("q");
    assert!(screen.quit);
}

#[test]
fn the_last_moment_has_no_more_than_it_shows() {
    let empty = Invented::new(&[], &["(unknown)"], Vec::new());
    let screen = Driven::new(empty, (80, 24), TRUE);
    assert!(screen.text().contains("0 threads"));
}

#[test]
fn exceptions_lead_to_the_timeline() {
    let mut screen = Driven::new(Invented::server(), (100, 24), TRUE);
    screen.keys("5");
    insta::assert_snapshot!(screen.text());
    screen.keys("j<Enter>");
    assert_eq!(screen.model.view, crate::tui::model::View::Timeline);
    assert_eq!(screen.selected().as_deref(), Some("query"));
}

#[test]
fn the_tree_at_every_size() {
    for size in SIZES {
        let mut screen = Driven::new(Invented::server(), size, TRUE);
        screen.keys("3");
        insta::assert_snapshot!(format!("tree_{}x{}", size.0, size.1), screen.text());
    }
    let mut screen = Driven::new(Invented::server(), (100, 24), TRUE);
    screen.keys("/query<Enter>3b");
    insta::assert_snapshot!("tree_from_below", screen.text());
    screen.keys("b");
    insta::assert_snapshot!("tree_as_a_butterfly", screen.text());
}

#[test]
fn events_at_every_size() {
    for size in SIZES {
        let mut screen = Driven::new(Invented::server(), size, TRUE);
        screen.keys("/query<Enter>nnn4");
        insta::assert_snapshot!(format!("events_{}x{}", size.0, size.1), screen.text());
    }
}

#[test]
fn exceptions_at_every_size() {
    for size in SIZES {
        let mut screen = Driven::new(Invented::server(), size, TRUE);
        screen.keys("5");
        insta::assert_snapshot!(format!("exceptions_{}x{}", size.0, size.1), screen.text());
    }
}

#[test]
fn the_source_at_every_size() {
    for size in SIZES {
        let mut screen = Driven::new(Invented::server(), size, TRUE);
        screen.keys("/handle<Enter>6");
        insta::assert_snapshot!(format!("source_{}x{}", size.0, size.1), screen.text());
    }
}

#[test]
fn differences_at_every_size() {
    for size in SIZES {
        let mut screen = Driven::new(Invented::server(), size, TRUE);
        screen.keys("\\0<Enter>v\\300ms<Enter>vx\\500ms<Enter>v\\900ms<Enter>v7");
        insta::assert_snapshot!(format!("diff_{}x{}", size.0, size.1), screen.text());
    }
}

#[test]
fn a_range_hits_and_bookmarks_on_the_timeline() {
    let mut screen = Driven::new(Invented::server(), (120, 40), TRUE);
    screen.keys("\\300ms<Enter>mv\\460ms<Enter>v/exec<Enter>&^(app|db)<Enter>");
    insta::assert_snapshot!(screen.text());
}

#[test]
fn the_palette() {
    let mut screen = Driven::new(Invented::server(), (80, 24), TRUE);
    screen.keys(":excep");
    insta::assert_snapshot!(screen.text());
}

#[test]
fn what_was_left_out_is_said() {
    let mut source = Invented::server();
    let labels = std::sync::Arc::get_mut(&mut source.overview.labels).unwrap();
    let exec = labels.iter_mut().find(|label| label.name == "exec").unwrap();
    exec.left_out = Some("12 short calls taken back".to_owned());
    let mut screen = Driven::new(source, (120, 40), TRUE);
    screen.keys("2j");
    let text = screen.text();
    let row = text.lines().find(|line| line.contains("exec  src/db.py")).unwrap();
    assert_eq!(row.matches('≥').count(), 3, "{row}");
    assert!(text.contains("12 short calls taken back"), "{text}");
    screen.keys("<Enter>");
    assert!(screen.text().contains("12 short calls taken back"), "{}", screen.text());
    let others = text.lines().filter(|line| line.contains('≥')).count();
    assert_eq!(others, 1, "{text}");
}
