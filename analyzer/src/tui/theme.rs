//! Colours and glyphs for what the terminal can show.
//!
//! A function's hue is that of its module, its shade its own, both stable hashes: the same
//! function looks the same in every view and every run. Red is for exceptions and losses alone,
//! grey for C functions. Without colours, everything still reads by glyph and modifier.

use ratatui::style::{Color, Modifier, Style};

use super::caps::{Caps, Colors};

/// Hues of modules; none is red. Each has three shades, all light enough for black text.
const HUES: [[(u8, u8, u8); 3]; 10] = [
    [(124, 175, 226), (103, 156, 210), (146, 192, 236)],
    [(140, 200, 150), (118, 182, 130), (160, 214, 168)],
    [(226, 190, 112), (210, 172, 92), (236, 206, 136)],
    [(188, 160, 226), (170, 140, 212), (204, 180, 236)],
    [(116, 200, 196), (94, 182, 178), (140, 214, 210)],
    [(222, 164, 204), (206, 146, 188), (234, 184, 218)],
    [(190, 202, 116), (172, 184, 96), (206, 216, 140)],
    [(150, 166, 232), (130, 148, 216), (172, 186, 240)],
    [(214, 176, 146), (198, 158, 126), (228, 194, 168)],
    [(132, 206, 176), (112, 188, 156), (156, 220, 194)],
];

const GREYS: [(u8, u8, u8); 3] = [(150, 152, 158), (138, 140, 146), (164, 166, 172)];

/// The colours of a function: chosen once, from hashes of its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tint {
    /// Index of a hue, or `None` for C functions.
    pub hue: Option<u8>,
    /// Index of a shade.
    pub shade: u8,
}

impl Tint {
    /// The tint of a function.
    pub fn of(module: &[u8], name: &[u8], c: bool) -> Tint {
        let hue = (fnv(module) % HUES.len() as u64) as u8;
        Tint { hue: (!c).then_some(hue), shade: (fnv(name) % 3) as u8 }
    }
}

/// FNV-1a: stable over runs and machines, which the standard hasher does not promise.
fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    // The low bits of FNV alone are weak for short keys; fold the high half in.
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, step);
    hash ^ (hash >> 32)
}

/// Every style and glyph that views use.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    caps: Caps,
    light: bool,
}

impl Theme {
    /// The theme for a terminal.
    pub fn new(caps: Caps) -> Theme {
        Theme { caps, light: caps.light }
    }

    /// The theme for the other kind of background.
    #[must_use]
    pub fn other(self) -> Theme {
        Theme { light: !self.light, ..self }
    }

    /// The first colour on a dark background, the second on a light one.
    fn on(&self, dark: (u8, u8, u8), light: (u8, u8, u8)) -> (u8, u8, u8) {
        if self.light { light } else { dark }
    }

    /// Whether only ASCII may be drawn.
    pub fn ascii(&self) -> bool {
        self.caps.ascii
    }

    fn has_color(&self) -> bool {
        self.caps.colors != Colors::None
    }

    fn rgb(&self, rgb: (u8, u8, u8), ansi: Color) -> Color {
        let (r, g, b) = rgb;
        match self.caps.colors {
            Colors::None => Color::Reset,
            Colors::Ansi16 => ansi,
            Colors::Ansi256 => Color::Indexed(cube(r, g, b)),
            Colors::True => Color::Rgb(r, g, b),
        }
    }

    /// A call's bar.
    pub fn call(&self, tint: Tint) -> Style {
        if !self.has_color() {
            return Style::new();
        }
        let shade = usize::from(tint.shade) % 3;
        let (rgb, ansi) = match tint.hue {
            None => (GREYS[shade], Color::Gray),
            Some(hue) => {
                const ANSI: [Color; 5] =
                    [Color::Cyan, Color::Green, Color::Yellow, Color::Magenta, Color::Blue];
                let hue = usize::from(hue) % HUES.len();
                (HUES[hue][shade], ANSI[hue % ANSI.len()])
            }
        };
        Style::new().bg(self.rgb(rgb, ansi)).fg(self.ink())
    }

    /// Text on a call's bar. Black of the cube, wherever there is one: with every bar it is sent
    /// to the terminal, and takes half the bytes of a colour in 24 bits.
    fn ink(&self) -> Color {
        match self.caps.colors {
            Colors::None => Color::Reset,
            Colors::Ansi16 => Color::Black,
            Colors::Ansi256 | Colors::True => Color::Indexed(16),
        }
    }

    /// Calls merged into a cell: the colour of the one that held most, as a shade.
    ///
    /// One shade to each hue, and of the cube wherever there is one: a screen may have
    /// thousands of such cells side by side, and each change of colour is sent to the terminal.
    pub fn merged(&self, tint: Tint) -> Style {
        let call = self.call(Tint { shade: 0, ..tint });
        match call.bg.map(|bg| self.deeper(bg)) {
            Some(Color::Rgb(r, g, b)) => Style::new().fg(Color::Indexed(cube(r, g, b))),
            Some(bg) => Style::new().fg(bg),
            None => Style::new(),
        }
    }

    /// A bar's colour as one of text: on a light background dark enough to be seen.
    fn deeper(&self, color: Color) -> Color {
        match color {
            Color::Rgb(r, g, b) if self.light => {
                let deep = |c: u8| (u16::from(c) * 5 / 8) as u8;
                Color::Rgb(deep(r), deep(g), deep(b))
            }
            other => other,
        }
    }

    /// A call that the filter leaves out, on the timeline.
    pub fn left_out(&self, style: Style) -> Style {
        if self.has_color() {
            let (bg, fg) =
                (self.on((58, 60, 66), (222, 222, 226)), self.on((128, 132, 140), (150, 152, 160)));
            match style.bg {
                Some(_) => style.bg(self.rgb(bg, Color::DarkGray)).fg(self.rgb(fg, Color::Gray)),
                None => style.fg(self.rgb(bg, Color::DarkGray)),
            }
        } else {
            style.add_modifier(Modifier::DIM)
        }
    }

    /// The marked range, in the ruler and the minimap.
    pub fn marked(&self) -> Style {
        if self.has_color() {
            let (bg, fg) =
                (self.on((62, 92, 140), (180, 206, 244)), self.on((240, 244, 250), (16, 18, 22)));
            Style::new().bg(self.rgb(bg, Color::Blue)).fg(self.rgb(fg, Color::White))
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        }
    }

    /// A bar of heat.
    pub fn heat(&self) -> Style {
        Style::new().fg(self.rgb(self.on((236, 140, 70), (204, 92, 20)), Color::Yellow))
    }

    /// The selected call.
    pub fn selected(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    /// A function that the search found.
    pub fn hit(&self) -> Style {
        Style::new().add_modifier(Modifier::UNDERLINED | Modifier::BOLD)
    }

    /// An exception.
    pub fn exception(&self) -> Style {
        let red = Style::new().add_modifier(Modifier::BOLD);
        if self.has_color() {
            red.bg(self.rgb((204, 36, 46), Color::Red)).fg(self.rgb((255, 255, 255), Color::White))
        } else {
            red
        }
    }

    /// An exception that was raised within a call, on the call's own colour.
    pub fn passed(&self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if self.has_color() { style.fg(self.rgb((160, 0, 24), Color::Red)) } else { style }
    }

    /// Losses and failures in text.
    pub fn alarm(&self) -> Style {
        Style::new()
            .fg(self.rgb(self.on((240, 90, 90), (190, 20, 30)), Color::Red))
            .add_modifier(Modifier::BOLD)
    }

    /// The session is live.
    pub fn live(&self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if self.has_color() {
            style.bg(self.rgb((60, 150, 80), Color::Green)).fg(self.rgb((16, 18, 22), Color::Black))
        } else {
            style.add_modifier(Modifier::REVERSED)
        }
    }

    /// Text that matters.
    pub fn strong(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Text that is in the background.
    pub fn dim(&self) -> Style {
        if self.has_color() {
            Style::new().fg(self.rgb(self.on((128, 134, 144), (104, 108, 118)), Color::DarkGray))
        } else {
            Style::new()
        }
    }

    /// The caret's column, where nothing else is.
    pub fn caret(&self) -> Style {
        Style::new().fg(self.rgb(self.on((224, 200, 90), (150, 100, 0)), Color::Yellow))
    }

    /// The focused thread's name.
    pub fn focus(&self) -> Style {
        let style = Style::new().add_modifier(Modifier::BOLD);
        if self.has_color() {
            style.fg(self.rgb(self.on((224, 200, 90), (150, 100, 0)), Color::Yellow))
        } else {
            style.add_modifier(Modifier::UNDERLINED)
        }
    }

    /// The bar at the top, and keys in the footer.
    pub fn bar(&self) -> Style {
        if self.has_color() {
            let (bg, fg) = match self.caps.colors {
                Colors::Ansi16 => (Color::Blue, Color::White),
                _ => {
                    let bg = self.on((44, 54, 72), (214, 222, 236));
                    let fg = self.on((220, 226, 236), (24, 28, 36));
                    (self.rgb(bg, Color::Blue), self.rgb(fg, Color::White))
                }
            };
            Style::new().bg(bg).fg(fg)
        } else {
            Style::new().add_modifier(Modifier::REVERSED)
        }
    }

    /// The glyph of merged calls.
    pub fn merged_glyph(&self) -> &'static str {
        self.pick("▒", "#")
    }

    /// The glyph of an exception.
    pub fn exception_glyph(&self) -> &'static str {
        self.pick("✗", "!")
    }

    /// The glyph of merged calls among which an exception passed: red tells it, or else the sign.
    pub fn merged_exception_glyph(&self) -> &'static str {
        if self.has_color() { self.merged_glyph() } else { self.exception_glyph() }
    }

    /// The first cell of a call's bar.
    pub fn edge_glyph(&self) -> &'static str {
        self.pick("▏", "|")
    }

    /// What a bar is filled with where colour does not show it.
    pub fn fill_glyph(&self) -> &'static str {
        if self.has_color() { " " } else { self.pick("─", "-") }
    }

    /// Open at its beginning.
    pub fn opens_before(&self) -> &'static str {
        self.pick("◁", "<")
    }

    /// Open at its end.
    pub fn open_end(&self) -> &'static str {
        self.pick("▷", ">")
    }

    /// `utf8`, or `ascii` where that is all there is.
    pub fn pick(&self, utf8: &'static str, ascii: &'static str) -> &'static str {
        if self.caps.ascii { ascii } else { utf8 }
    }
}

/// The nearest colour of the 6x6x6 cube or the grey ramp.
fn cube(r: u8, g: u8, b: u8) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let nearest = |v: u8| (0..6_u8).min_by_key(|&i| STEPS[usize::from(i)].abs_diff(v)).unwrap_or(0);
    let (ri, gi, bi) = (nearest(r), nearest(g), nearest(b));
    let step = |i: u8| STEPS[usize::from(i)];
    let away = |x: (u8, u8, u8)| {
        let d = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
        d(x.0, r) + d(x.1, g) + d(x.2, b)
    };
    let mean = (u32::from(r) + u32::from(g) + u32::from(b)) / 3;
    let ramp = (mean.saturating_sub(3) / 10).min(23) as u8;
    let grey = 8 + 10 * ramp;
    if away((grey, grey, grey)) < away((step(ri), step(gi), step(bi))) {
        232 + ramp
    } else {
        16 + 36 * ri + 6 * gi + bi
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tints_are_stable_and_grey_for_c() {
        let tint = Tint::of(b"json.decoder", b"decode", false);
        assert_eq!(tint, Tint::of(b"json.decoder", b"decode", false));
        assert_eq!(tint.hue, Tint::of(b"json.decoder", b"scan", false).hue);
        assert_eq!(Tint::of(b"builtins", b"len", true).hue, None);
    }

    #[test]
    fn no_color_means_no_colour_at_all() {
        let theme = Theme::new(Caps { colors: Colors::None, ascii: false, light: false });
        let tint = Tint::of(b"a", b"b", false);
        let styles = [
            theme.call(tint),
            theme.merged(tint),
            theme.exception(),
            theme.alarm(),
            theme.dim(),
            theme.bar(),
            theme.live(),
            theme.focus(),
            theme.caret(),
            theme.selected(),
        ];
        for style in styles {
            let plain = |color: Option<Color>| matches!(color, None | Some(Color::Reset));
            assert!(plain(style.fg) && plain(style.bg), "{style:?}");
        }
    }

    #[test]
    fn the_cube_has_its_corners_and_greys() {
        assert_eq!(cube(0, 0, 0), 16);
        assert_eq!(cube(255, 255, 255), 231);
        assert_eq!(cube(255, 0, 0), 196);
        assert_eq!(cube(128, 128, 128), 244);
    }
}
