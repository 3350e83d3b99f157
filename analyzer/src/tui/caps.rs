//! What the terminal can show: colours and characters.

/// How many colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    /// None: `NO_COLOR`, or a terminal without.
    None,
    /// The 16 of the terminal's own theme.
    Ansi16,
    /// 256.
    Ansi256,
    /// 24 bits.
    True,
}

/// Colours and characters together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// How many colours.
    pub colors: Colors,
    /// Whether only ASCII can be shown.
    pub ascii: bool,
    /// Whether the background is light.
    pub light: bool,
}

impl Caps {
    /// From the environment: `NO_COLOR`, `COLORTERM`, `TERM`, and the locale.
    pub fn detect(get: impl Fn(&str) -> Option<String>) -> Caps {
        let set = |name: &str| get(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let simple = term.is_empty() || term == "dumb" || term == "linux";
        let colors = if set("NO_COLOR").is_some() || term == "dumb" || term.is_empty() {
            Colors::None
        } else if set("COLORTERM").is_some_and(|c| c == "truecolor" || c == "24bit") {
            Colors::True
        } else if term.contains("256color") || term.contains("direct") {
            Colors::Ansi256
        } else {
            Colors::Ansi16
        };
        // The first of these that is set decides, as setlocale(3) has it.
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| set(name));
        let utf8 = locale.is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        // Some terminals tell their colours as "15;0": foreground, then background.
        let background = set("COLORFGBG")
            .and_then(|colors| colors.rsplit(';').next().and_then(|last| last.parse::<u8>().ok()));
        let light = matches!(background, Some(7 | 9..=15));
        Caps { colors, ascii: simple || !utf8, light }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(vars: &[(&str, &str)]) -> Caps {
        Caps::detect(|name| vars.iter().find(|v| v.0 == name).map(|v| v.1.to_owned()))
    }

    #[test]
    fn the_environment_decides() {
        let utf8 = ("LANG", "C.UTF-8");
        let xterm = ("TERM", "xterm-256color");
        let is = |vars: &[(&str, &str)]| caps(vars).colors;
        assert_eq!(is(&[utf8, xterm]), Colors::Ansi256);
        assert_eq!(is(&[utf8, xterm, ("COLORTERM", "truecolor")]), Colors::True);
        assert_eq!(is(&[utf8, xterm, ("NO_COLOR", "1"), ("COLORTERM", "24bit")]), Colors::None);
        assert_eq!(is(&[utf8, xterm, ("NO_COLOR", "")]), Colors::Ansi256);
        assert_eq!(is(&[utf8, ("TERM", "xterm")]), Colors::Ansi16);
        assert_eq!(is(&[("TERM", "dumb")]), Colors::None);
    }

    #[test]
    fn a_light_background_is_what_the_terminal_says() {
        assert!(caps(&[("COLORFGBG", "0;15")]).light);
        assert!(!caps(&[("COLORFGBG", "15;0")]).light && !caps(&[]).light);
        assert!(!caps(&[("COLORFGBG", "15;default")]).light);
    }

    #[test]
    fn characters_follow_the_locale() {
        let xterm = ("TERM", "xterm");
        assert!(!caps(&[xterm, ("LANG", "de_DE.UTF-8")]).ascii);
        assert!(caps(&[xterm, ("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]).ascii);
        assert!(caps(&[xterm]).ascii);
        assert!(caps(&[("TERM", "linux"), ("LANG", "C.UTF-8")]).ascii);
    }
}
