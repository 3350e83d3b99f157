//! The user's editor, at a line of a file.

use std::path::Path;
use std::process::Command;

/// The command that opens `file` at `line`: `$VISUAL`, else `$EDITOR`, else `vi`.
pub fn command(file: &Path, line: u32, get: impl Fn(&str) -> Option<String>) -> Command {
    let set = |name: &str| get(name).filter(|value| !value.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let mut command = Command::new(program);
    command.args(words);
    let name = Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match name {
        // These have forms of their own; all others of vi's family and emacs take `+line file`.
        "code" | "codium" | "cursor" => {
            command.arg("--goto").arg(with_line(file, line));
        }
        "subl" | "zed" | "hx" | "helix" => {
            command.arg(with_line(file, line));
        }
        _ => {
            command.arg(format!("+{}", line.max(1))).arg(file);
        }
    }
    command
}

fn with_line(file: &Path, line: u32) -> std::ffi::OsString {
    let mut place = file.as_os_str().to_owned();
    place.push(format!(":{}", line.max(1)));
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(vars: &[(&str, &str)]) -> Vec<String> {
        let get = |name: &str| vars.iter().find(|v| v.0 == name).map(|v| v.1.to_owned());
        let command = command(Path::new("a b.py"), 7, get);
        let all = std::iter::once(command.get_program()).chain(command.get_args());
        all.map(|word| word.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn editors_are_told_the_line_in_their_own_way() {
        assert_eq!(words(&[]), ["vi", "+7", "a b.py"]);
        assert_eq!(words(&[("EDITOR", "emacs -nw")]), ["emacs", "-nw", "+7", "a b.py"]);
        let code = [("EDITOR", "vi"), ("VISUAL", "/usr/bin/code -w")];
        assert_eq!(words(&code), ["/usr/bin/code", "-w", "--goto", "a b.py:7"]);
        assert_eq!(words(&[("EDITOR", "hx")]), ["hx", "a b.py:7"]);
    }
}
