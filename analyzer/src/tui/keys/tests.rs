use std::collections::HashSet;

use super::*;
use Command as C;

fn press(c: char) -> KeyEvent {
    KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)
}

#[test]
fn no_key_means_two_things_in_one_view() {
    for view in View::ALL {
        assert_eq!(Keys::default().check(*view), Ok(()));
    }
}

#[test]
fn every_command_has_a_name_of_its_own() {
    let names: HashSet<&str> = BINDINGS.iter().map(|binding| binding.name).collect();
    assert_eq!(names.len(), BINDINGS.len());
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    assert!(names.iter().all(|name| plain(name)));
}

#[test]
fn the_fixed_keys_are_bound() {
    let keys = Keys::default();
    for view in View::ALL {
        for (key, command) in [('/', C::Search), ('?', C::Help), ('q', C::Back), ('0', C::Whole)] {
            assert_eq!(keys.resolve(*view, &press(key)), Some(command), "{key}");
        }
        for of in View::ALL {
            assert_eq!(keys.resolve(*view, &press(of.key())), Some(C::Show(*of)));
        }
        let esc = KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE);
        assert_eq!(keys.resolve(*view, &esc), Some(C::Cancel));
    }
    for (key, command) in
        [('w', C::ZoomIn), ('a', C::PanLeft), ('s', C::ZoomOut), ('d', C::PanRight)]
    {
        assert_eq!(keys.resolve(View::Timeline, &press(key)), Some(command), "{key}");
    }
}

#[test]
fn shifted_letters_are_the_same_with_and_without_the_modifier() {
    for modifiers in [KeyModifiers::NONE, KeyModifiers::SHIFT] {
        let event = KeyEvent::new(KeyCode::Char('J'), modifiers);
        assert_eq!(Keys::default().resolve(View::Timeline, &event), Some(C::HeaviestChild));
    }
}

#[test]
fn labels_are_read_back() {
    for key in BINDINGS.iter().flat_map(|binding| binding.keys) {
        assert_eq!(Key::parse(&key.label()), Some(*key), "{}", key.label());
    }
    for wrong in ["", "Ctrl-", "F0", "F99", "ab", "\u{1b}"] {
        assert!(wrong == "Ctrl-" || Key::parse(wrong).is_none(), "{wrong}");
    }
}

#[test]
fn keys_are_chosen_by_the_names_of_commands() {
    let keys = Keys::with("# mine\n\nzoom-in = Z Ctrl-t\nzoom-out = =\n").unwrap();
    let of = |c| keys.resolve(View::Timeline, &press(c));
    assert_eq!((of('Z'), of('w'), of('=')), (Some(C::ZoomIn), None, Some(C::ZoomOut)));
    for (text, want) in [
        ("zoom-in w", "line 1: no `=`"),
        ("\nzoom = w", "line 2: there is no command `zoom`"),
        ("zoom-in = banana", "line 1: `banana` is no key"),
        ("zoom-in = q", "`q` is both"),
    ] {
        let error = Keys::with(text).err().unwrap_or_default();
        assert!(error.contains(want), "{error}");
    }
}

#[test]
fn the_table_as_a_file_changes_nothing() {
    let keys = Keys::with(&as_file()).unwrap();
    for (binding, chosen) in &keys.chosen {
        assert_eq!(binding.keys, chosen, "{}", binding.name);
    }
}

/// With `RTRACE_UPDATE_DOCS` set it brings the page up to date instead.
#[test]
fn the_documentation_lists_these_keys() {
    const MARKS: (&str, &str) = ("<!-- keys -->\n", "<!-- end of keys -->\n");
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/terminal-ui.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(MARKS.0).unwrap();
    let (listed, after) = rest.split_once(MARKS.1).unwrap();
    let wanted = as_markdown();
    if std::env::var_os("RTRACE_UPDATE_DOCS").is_some() {
        let new = format!("{before}{}{wanted}\n{}{after}", MARKS.0, MARKS.1);
        std::fs::write(&page, new).unwrap();
        return;
    }
    assert_eq!(listed.trim(), wanted.trim(), "`rtrace-view keys --markdown` prints the new list");
}
