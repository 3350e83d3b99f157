//! What the user decided: on the command line, in the environment, in the file of keys.

use std::path::PathBuf;

use super::caps::{Caps, Colors};
use super::keys::Keys;

/// The background of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// Dark.
    Dark,
    /// Light.
    Light,
}

/// Whether there is colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// As the environment says.
    #[default]
    Auto,
    /// Always, whatever `NO_COLOR` says.
    Always,
    /// Never.
    Never,
}

/// How the terminal UI begins.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// The range to show, in nanoseconds since the trace began.
    pub range: (Option<i64>, Option<i64>),
    /// Threads, each by serial or name; the UI shows one alone or all.
    pub threads: Vec<String>,
    /// A regex: only functions that match.
    pub function: Option<String>,
    /// The background; else what the terminal tells.
    pub background: Option<Background>,
    /// Whether there is colour.
    pub color: Color,
    /// ASCII alone.
    pub ascii: bool,
}

impl Setup {
    /// What the terminal can show, as far as the user does not know better.
    pub(super) fn caps(&self, get: impl Fn(&str) -> Option<String>) -> Caps {
        let mut caps = Caps::detect(|name| match (name, self.color) {
            ("NO_COLOR", Color::Always) => None,
            ("TERM", Color::Always) => get(name).filter(|t| t != "dumb").or(Some("xterm".into())),
            _ => get(name),
        });
        if self.color == Color::Never {
            caps.colors = Colors::None;
        }
        caps.ascii |= self.ascii;
        if let Some(background) = self.background {
            caps.light = background == Background::Light;
        }
        caps
    }
}

/// Where the file of keys is, if there may be one.
fn keys_file(get: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = || set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    set("RTRACE_KEYS").or_else(|| Some(config()?.join("rtrace").join("keys")))
}

/// The user's keys; those of the table, and what is wrong, where the file cannot be used.
pub(super) fn keys(get: impl Fn(&str) -> Option<String>) -> (Keys, Option<String>) {
    let named = get("RTRACE_KEYS").is_some_and(|value| !value.is_empty());
    let Some(file) = keys_file(get) else { return (Keys::default(), None) };
    let shown = crate::escape::text(file.as_os_str().as_encoded_bytes()).into_owned();
    match std::fs::read_to_string(&file) {
        Ok(text) => match Keys::with(&text) {
            Ok(keys) => (keys, None),
            Err(why) => (Keys::default(), Some(format!("{shown}: {why}"))),
        },
        Err(error) if named || error.kind() != std::io::ErrorKind::NotFound => {
            (Keys::default(), Some(format!("{shown}: {error}")))
        }
        Err(_) => (Keys::default(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_knows_better_than_the_terminal() {
        let get = |name: &str| match name {
            "TERM" => Some("xterm-256color".to_owned()),
            "NO_COLOR" => Some("1".to_owned()),
            "LANG" => Some("C.UTF-8".to_owned()),
            _ => None,
        };
        let plain = Setup::default().caps(get);
        assert_eq!((plain.colors, plain.ascii, plain.light), (Colors::None, false, false));
        let setup = Setup {
            color: Color::Always,
            ascii: true,
            background: Some(Background::Light),
            ..Setup::default()
        };
        let caps = setup.caps(get);
        assert_eq!((caps.colors, caps.ascii, caps.light), (Colors::Ansi256, true, true));
        let never = Setup { color: Color::Never, ..Setup::default() };
        assert_eq!(
            never.caps(|name| (name == "TERM").then(|| "xterm".into())).colors,
            Colors::None
        );
    }

    #[test]
    fn a_file_of_keys_is_used_or_complained_about() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys");
        let get = |name: &str| (name == "RTRACE_KEYS").then(|| file.to_string_lossy().into_owned());
        assert!(keys(get).1.unwrap().contains("keys: "));
        std::fs::write(&file, "zoom-in = Z\n").unwrap();
        assert_eq!(keys(get).1, None);
        std::fs::write(&file, "zoom-in = q\n").unwrap();
        assert!(keys(get).1.unwrap().contains("`q` is both"));
        let home = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
        assert_eq!(keys_file(home), Some("/home/me/.config/rtrace/keys".into()));
        assert_eq!(keys_file(|_| None), None);
    }
}
