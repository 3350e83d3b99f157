//! Copying out of the terminal: by tmux where we are in it, by the desktop's own helper on a
//! local display, else by OSC 52, which the terminal itself obeys even over ssh.

use std::io::{self, Write};
use std::process::{Command, Stdio};

/// Longer texts are refused: terminals cut OSC 52 at about this many bytes.
const LONGEST: usize = 74_000;

/// Which way a text was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// By this program.
    Helper(&'static str),
    /// By an escape sequence.
    Osc52,
}

impl Route {
    /// As the status line tells it.
    pub fn name(self) -> &'static str {
        match self {
            Route::Helper(name) => name,
            Route::Osc52 => "OSC 52",
        }
    }
}

/// The helpers to try, the best first.
fn helpers(set: impl Fn(&str) -> bool) -> Vec<&'static [&'static str]> {
    let mut helpers: Vec<&'static [&'static str]> = Vec::new();
    if set("TMUX") {
        helpers.push(&["tmux", "load-buffer", "-w", "-"]);
    }
    // Over ssh the display is not the one before which the user sits.
    if !set("SSH_CONNECTION") {
        if set("WAYLAND_DISPLAY") {
            helpers.push(&["wl-copy"]);
        }
        if set("DISPLAY") {
            helpers.push(&["xclip", "-selection", "clipboard", "-in"]);
            helpers.push(&["xsel", "--clipboard", "--input"]);
        }
    }
    helpers
}

/// Copies a text; `terminal` gets the escape sequence where no helper does it.
///
/// # Errors
///
/// A sentence for the status line.
pub fn copy(text: &str, terminal: &mut impl Write) -> Result<Route, String> {
    if text.len() > LONGEST {
        return Err(format!("too long to copy: {} bytes", text.len()));
    }
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    for helper in helpers(set) {
        if pipe(helper, text).is_ok() {
            return Ok(Route::Helper(helper[0]));
        }
    }
    let sequence = format!("\x1b]52;c;{}\x1b\\", base64(text.as_bytes()));
    let sent = terminal.write_all(sequence.as_bytes()).and_then(|()| terminal.flush());
    sent.map(|()| Route::Osc52).map_err(|error| format!("cannot copy: {error}"))
}

fn pipe(helper: &[&str], text: &str) -> io::Result<()> {
    let mut child = Command::new(helper[0])
        .args(&helper[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes())?;
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("the helper failed")) }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= three.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_rfc_4648_has_it() {
        for (text, want) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), want);
        }
    }

    #[test]
    fn the_helper_is_that_of_the_place_where_the_user_sits() {
        let names = |vars: &[&str]| -> Vec<&str> {
            helpers(|name| vars.contains(&name)).iter().map(|helper| helper[0]).collect()
        };
        assert_eq!(names(&["TMUX", "DISPLAY"]), ["tmux", "xclip", "xsel"]);
        assert_eq!(names(&["WAYLAND_DISPLAY"]), ["wl-copy"]);
        assert_eq!(names(&["DISPLAY", "SSH_CONNECTION"]), [""; 0]);
    }
}
