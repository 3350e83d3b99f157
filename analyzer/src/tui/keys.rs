//! Keys: from an event of the terminal to a command. What there is stands in the one
//! [table](BINDINGS), from which the footer, the help, the palette, the documentation and the
//! user's own keys derive.

mod table;

pub use table::{BINDINGS, Binding, Command};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::model::View;

/// One key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    code: KeyCode,
    control: bool,
}

const fn ch(c: char) -> Key {
    Key { code: KeyCode::Char(c), control: false }
}

const fn ctrl(c: char) -> Key {
    Key { code: KeyCode::Char(c), control: true }
}

const fn code(code: KeyCode) -> Key {
    Key { code, control: false }
}

/// Keys that have no character, as they are written.
const NAMED: [(&str, KeyCode); 14] = [
    ("Space", KeyCode::Char(' ')),
    ("PgUp", KeyCode::PageUp),
    ("PgDn", KeyCode::PageDown),
    ("Left", KeyCode::Left),
    ("Right", KeyCode::Right),
    ("Up", KeyCode::Up),
    ("Down", KeyCode::Down),
    ("Home", KeyCode::Home),
    ("End", KeyCode::End),
    ("Enter", KeyCode::Enter),
    ("Esc", KeyCode::Esc),
    ("Tab", KeyCode::Tab),
    ("Backspace", KeyCode::Backspace),
    ("Delete", KeyCode::Delete),
];

impl Key {
    /// The key as help prints it.
    pub fn label(self) -> String {
        let control = if self.control { "Ctrl-" } else { "" };
        if let Some((name, _)) = NAMED.iter().find(|(_, code)| *code == self.code) {
            return format!("{control}{name}");
        }
        match self.code {
            KeyCode::Char(c) => format!("{control}{c}"),
            KeyCode::F(n) => format!("{control}F{n}"),
            other => format!("{control}{other:?}"),
        }
    }

    /// The key of a label.
    pub fn parse(label: &str) -> Option<Key> {
        let (control, rest) = match label.strip_prefix("Ctrl-") {
            Some(rest) if !rest.is_empty() => (true, rest),
            _ => (false, label),
        };
        if let Some((_, code)) = NAMED.iter().find(|(name, _)| name.eq_ignore_ascii_case(rest)) {
            return Some(Key { code: *code, control });
        }
        if let Some(n) = rest.strip_prefix(['F', 'f']).and_then(|n| n.parse().ok()) {
            return (1..=12).contains(&n).then_some(Key { code: KeyCode::F(n), control });
        }
        let mut chars = rest.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) if !c.is_control() => Some(Key { code: KeyCode::Char(c), control }),
            _ => None,
        }
    }

    fn is(self, event: &KeyEvent) -> bool {
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        let alt = event.modifiers.contains(KeyModifiers::ALT);
        // Shift is in the character already; terminals differ in whether they also report it.
        self.code == event.code && self.control == control && !alt
    }
}

/// The bindings that hold for one user: the table, with the keys that they chose.
#[derive(Clone, Debug)]
pub struct Keys {
    /// In the order of the table.
    chosen: Vec<(&'static Binding, Vec<Key>)>,
}

impl Default for Keys {
    fn default() -> Keys {
        Keys { chosen: BINDINGS.iter().map(|b| (b, b.keys.to_vec())).collect() }
    }
}

impl Keys {
    /// What `event` asks for in a view.
    pub fn resolve(&self, view: View, event: &KeyEvent) -> Option<Command> {
        self.of_view(view)
            .find(|(_, keys)| keys.iter().any(|key| key.is(event)))
            .map(|(binding, _)| binding.command)
    }

    /// The bindings that hold in a view, in the order of the table.
    pub fn of_view(&self, view: View) -> impl Iterator<Item = (&'static Binding, &[Key])> {
        let here = self.chosen.iter().filter(move |(binding, _)| binding.scope.holds_in(view));
        here.map(|(binding, keys)| (*binding, keys.as_slice()))
    }

    /// The keys of a text of lines `command = key key`, over those of the table. Blank lines and
    /// those that begin with `#` are passed over; a command without keys is reached by the palette
    /// alone.
    ///
    /// # Errors
    ///
    /// What is wrong, with the number of its line.
    pub fn with(text: &str) -> Result<Keys, String> {
        let mut keys = Keys::default();
        for (number, line) in text.lines().enumerate() {
            let wrong = |what: String| format!("line {}: {what}", number + 1);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, labels)) = line.split_once(" =").or_else(|| line.split_once('='))
            else {
                return Err(wrong("no `=` between a command and its keys".to_owned()));
            };
            let name = name.trim();
            let slot = keys.chosen.iter_mut().find(|(binding, _)| binding.name == name);
            let Some((_, chosen)) = slot else {
                return Err(wrong(format!("there is no command `{name}`")));
            };
            let parse = |label| Key::parse(label).ok_or(wrong(format!("`{label}` is no key")));
            *chosen = labels.split_whitespace().map(parse).collect::<Result<_, _>>()?;
        }
        for view in View::ALL {
            keys.check(*view)?;
        }
        Ok(keys)
    }

    /// No key means two things in a view.
    fn check(&self, view: View) -> Result<(), String> {
        let mut taken: Vec<(Key, &str)> = Vec::new();
        for (binding, keys) in self.of_view(view) {
            for key in keys {
                if let Some((_, other)) = taken.iter().find(|(of, _)| of == key) {
                    let (key, name, view) = (key.label(), binding.name, view.name());
                    return Err(format!("in {view}, `{key}` is both {other} and {name}"));
                }
                taken.push((*key, binding.name));
            }
        }
        Ok(())
    }
}

/// The table as a file of keys: every command, what it does, and its keys.
pub fn as_file() -> String {
    let mut out = String::from(
        "# Keys of rtrace-view: `command = key key`. Only lines that differ are needed.\n",
    );
    let mut scope = None;
    for binding in BINDINGS {
        if scope != Some(binding.scope) {
            scope = Some(binding.scope);
            out.push_str(&format!("\n# {}\n", binding.scope.title()));
        }
        let keys: Vec<String> = binding.keys.iter().map(|key| key.label()).collect();
        let keys = keys.join(" ");
        out.push_str(&format!("# {}\n{} = {keys}\n", binding.help, binding.name));
    }
    out
}

/// The table for the documentation.
pub fn as_markdown() -> String {
    let mut out = String::new();
    let mut scope = None;
    for binding in BINDINGS {
        if scope != Some(binding.scope) {
            scope = Some(binding.scope);
            out.push_str(&format!("\n### {}\n\n", binding.scope.title()));
            out.push_str("| keys | what they do | command |\n|---|---|---|\n");
        }
        let quote = |key: &Key| match key.label().as_str() {
            "|" => "`\\|`".to_owned(),
            "`" => "`` ` ``".to_owned(),
            label => format!("`{label}`"),
        };
        let keys: Vec<String> = binding.keys.iter().map(quote).collect();
        out.push_str(&format!("| {} | {} | {} |\n", keys.join(" "), binding.help, binding.name));
    }
    out
}

/// A key as a person would name it, for "not bound" messages.
pub fn name(event: &KeyEvent) -> String {
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    Key { code: event.code, control }.label()
}

#[cfg(test)]
mod tests;
