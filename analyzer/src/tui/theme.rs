//! Colours and glyphs for what the terminal can show.
//!
//! A function's hue is that of its module, its shade its own, both stable hashes: the same
//! function looks the same in every view and every run. Red is for exceptions and losses alone,
//! grey for C functions. Without colours, everything still reads by glyph and modifier.

use ratatui::style::{Color, Modifier, Style};

use super::caps::{Caps, Colors};

/// Hues of modules, as indices of the 256 colours; none is red. Each has three shades, all light
/// enough for black text. A screen has thousands of bars and shaded cells, each of which sends its
/// colour to the terminal: an index takes a third of the bytes of 24 bits.
const HUES: [[u8; 3]; 10] = [
    [110, 74, 153],
    [114, 108, 151],
    [179, 222, 136],
    [140, 146, 183],
    [73, 116, 152],
    [175, 182, 176],
    [143, 149, 186],
    [104, 105, 147],
    [180, 137, 181],
    [115, 79, 72],
];

/// For C functions.
const GREYS: [u8; 3] = [246, 244, 248];

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
        let (index, ansi) = match tint.hue {
            None => (GREYS[shade], Color::Gray),
            Some(hue) => {
                const ANSI: [Color; 5] =
                    [Color::Cyan, Color::Green, Color::Yellow, Color::Magenta, Color::Blue];
                let hue = usize::from(hue) % HUES.len();
                (HUES[hue][shade], ANSI[hue % ANSI.len()])
            }
        };
        Style::new().bg(self.indexed(index, ansi)).fg(self.ink())
    }

    /// A colour of the cube, wherever there is one.
    fn indexed(&self, index: u8, ansi: Color) -> Color {
        match self.caps.colors {
            Colors::None => Color::Reset,
            Colors::Ansi16 => ansi,
            Colors::Ansi256 | Colors::True => Color::Indexed(index),
        }
    }

    /// Text on a call's bar.
    fn ink(&self) -> Color {
        self.indexed(16, Color::Black)
    }

    /// Calls merged into a cell: the colour of the one that held most, as a shade. There is one
    /// shade to each hue: a screen may have thousands of such cells side by side.
    pub fn merged(&self, tint: Tint) -> Style {
        let call = self.call(Tint { shade: 0, ..tint });
        match call.bg {
            Some(Color::Indexed(index)) if self.light => {
                Style::new().fg(Color::Indexed(deeper(index)))
            }
            Some(bg) => Style::new().fg(bg),
            None => Style::new(),
        }
    }

    /// Calls merged into a cell, one of which an exception left.
    pub fn merged_exception(&self) -> Style {
        if !self.has_color() {
            return Style::new().add_modifier(Modifier::BOLD);
        }
        Style::new().fg(self.indexed(if self.light { 160 } else { 203 }, Color::Red))
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
            Style::new().fg(self.indexed(if self.light { 242 } else { 245 }, Color::DarkGray))
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

/// A colour of the cube or the grey ramp as one of text on a light background.
fn deeper(index: u8) -> u8 {
    match index {
        16..=231 => {
            let at = index - 16;
            let down = |step: u8| step.saturating_sub(1);
            16 + 36 * down(at / 36) + 6 * down(at / 6 % 6) + down(at % 6)
        }
        232.. => index.saturating_sub(6).max(232),
        _ => index,
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
