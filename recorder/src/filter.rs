//! Which functions are recorded: globs on module, qualified name and file.

use std::sync::OnceLock;

/// Names that stand for many files.
const STDLIB: &[u8] = b"stdlib";
const SITE_PACKAGES: &[u8] = b"site-packages";

/// Where the standard library's files are.
static STDLIB_HOME: OnceLock<Vec<u8>> = OnceLock::new();

/// Says in which directory, with a slash at its end, the standard library is.
pub fn set_stdlib(directory: Vec<u8>) {
    // The first one holds: a module is imported once.
    let _ = STDLIB_HOME.set(directory);
}

/// Include and exclude patterns, decided once per code object.
///
/// A pattern matches a function if it matches its module, its qualified name,
/// `module.qualname` or its file. `stdlib` also matches what has a file of the
/// standard library, `site-packages` what has one of an installed package.
/// Without include patterns everything is included; exclude wins.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    include: Vec<Vec<u8>>,
    exclude: Vec<Vec<u8>>,
}

impl Filter {
    /// A filter of these patterns.
    pub fn new(include: Vec<Vec<u8>>, exclude: Vec<Vec<u8>>) -> Filter {
        Filter { include, exclude }
    }

    /// Whether there are no patterns at all.
    pub fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// The patterns to include.
    pub fn include(&self) -> &[Vec<u8>] {
        &self.include
    }

    /// The patterns to exclude.
    pub fn exclude(&self) -> &[Vec<u8>] {
        &self.exclude
    }

    /// Whether a function is recorded.
    pub fn admits(&self, module: &[u8], qualname: &[u8], file: &[u8]) -> bool {
        if self.is_empty() {
            return true;
        }
        let included = self.include.is_empty() || matched(&self.include, module, qualname, file);
        included && !matched(&self.exclude, module, qualname, file)
    }

    /// Whether calls of a function without Python code are recorded, in functions that are:
    /// what is included says whose calls.
    pub fn admits_c(&self, module: &[u8], qualname: &[u8]) -> bool {
        !matched(&self.exclude, module, qualname, b"")
    }
}

fn matched(patterns: &[Vec<u8>], module: &[u8], qualname: &[u8], file: &[u8]) -> bool {
    let full = [module, qualname].join(&b'.');
    let names = [module, qualname, full.as_slice(), file];
    patterns
        .iter()
        .any(|pattern| names.iter().any(|name| glob(pattern, name)) || is_of(pattern, file))
}

/// Whether `file` is one of those that a name stands for.
fn is_of(name: &[u8], file: &[u8]) -> bool {
    let within = |part: &[u8]| file.windows(part.len()).any(|window| window == part);
    let installed = || within(b"/site-packages/") || within(b"/dist-packages/");
    match name {
        SITE_PACKAGES => installed(),
        STDLIB => {
            let home = STDLIB_HOME.get().filter(|home| !home.is_empty());
            let is_there = home.is_some_and(|home| file.starts_with(home)) && !installed();
            // What the interpreter carries within itself is part of it.
            is_there || file.starts_with(b"<frozen ")
        }
        _ => false,
    }
}

/// Whether `text` is matched by `pattern` as a whole: `*` is any run, `?` any
/// character, `[abc]`, `[a-z]` and `[!abc]` one of a set. Bytes of a longer
/// character count as one for `?`.
pub fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // The last star seen, and where its run ends so far: one is enough, because a
    // later star can take whatever an earlier one would have to give up.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
            continue;
        }
        if t == text.len() && p == pattern.len() {
            return true;
        }
        if t < text.len()
            && let Some((used, took)) = one(&pattern[p..], &text[t..])
        {
            (p, t) = (p + used, t + took);
            continue;
        }
        match star {
            Some((after, until)) if until < text.len() => {
                (p, t) = (after, until + 1);
                star = Some((after, until + 1));
            }
            _ => return false,
        }
    }
}

/// Matches one character: how much of the pattern and of the text it took.
fn one(pattern: &[u8], text: &[u8]) -> Option<(usize, usize)> {
    let first = *text.first()?;
    match pattern.first()? {
        b'?' => {
            let rest = text[1..].iter().take_while(|&&byte| byte & 0xC0 == 0x80).count();
            Some((1, 1 + rest))
        }
        b'[' => match set(pattern, first) {
            Some((len, true)) => Some((len, 1)),
            Some((_, false)) => None,
            None => (first == b'[').then_some((1, 1)),
        },
        &byte => (byte == first).then_some((1, 1)),
    }
}

/// A set at the start of `pattern`: its length, and whether `byte` is in it.
fn set(pattern: &[u8], byte: u8) -> Option<(usize, bool)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = 1 + usize::from(negated);
    // A bracket directly after the opening is one of the set.
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|&byte| byte == b']')?;
    let mut items = &pattern[start..end];
    let mut found = false;
    while let Some(&low) = items.first() {
        if items.len() >= 3 && items[1] == b'-' {
            found |= (low..=items[2]).contains(&byte);
            items = &items[3..];
        } else {
            found |= low == byte;
            items = &items[1..];
        }
    }
    Some((end + 1, found != negated))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn globs_match_whole_names() {
        for (pattern, text, expected) in [
            ("json.*", "json.decoder", true),
            ("json.*", "json", false),
            ("*/site-packages/*", "/v/lib/site-packages/x.py", true),
            ("te?t", "test", true),
            ("te?t", "teéT".trim_end_matches('T'), false),
            ("te?t", "teét", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[", "[", true),
            ("", "", true),
            ("*", "", true),
            ("**a*", "bab", true),
        ] {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn exclude_wins_over_include() {
        let filter = Filter::new(vec![b"app*".to_vec()], vec![b"app.secret".to_vec()]);
        assert!(filter.admits(b"app", b"main", b"/app.py"));
        assert!(!filter.admits(b"app", b"secret", b"/app.py"));
        assert!(!filter.admits(b"json", b"loads", b"/json.py"));
        assert!(filter.admits_c(b"builtins", b"len"));
        assert!(!filter.admits_c(b"app", b"secret"));
    }

    #[test]
    fn names_stand_for_files() {
        set_stdlib(b"/usr/lib/python3.12/".to_vec());
        let excludes = |name: &str, file: &str| {
            !Filter::new(vec![], vec![name.into()]).admits(b"m", b"f", file.as_bytes())
        };
        for (file, stdlib, installed) in [
            ("/usr/lib/python3.12/json/decoder.py", true, false),
            ("/usr/lib/python3.12/site-packages/x/y.py", false, true),
            ("/usr/lib/python3.12/dist-packages/x.py", false, true),
            ("/home/me/v/lib/python3.12/site-packages/x.py", false, true),
            ("<frozen importlib._bootstrap>", true, false),
            ("<string>", false, false),
            ("/home/me/site-packages.py", false, false),
            ("/usr/lib/python3.1", false, false),
        ] {
            assert_eq!(excludes("stdlib", file), stdlib, "{file}");
            assert_eq!(excludes("site-packages", file), installed, "{file}");
        }
    }

    /// The textbook recursive definition.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.first() {
            None => text.is_empty(),
            Some(b'*') => (0..=text.len()).any(|i| naive(&pattern[1..], &text[i..])),
            Some(&byte) => {
                !text.is_empty()
                    && (byte == b'?' || byte == text[0])
                    && naive(&pattern[1..], &text[1..])
            }
        }
    }

    proptest! {
        #[test]
        fn globs_agree_with_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(glob(pattern, text), naive(pattern, text));
        }

        #[test]
        fn any_pattern_ends(pattern: Vec<u8>, text: Vec<u8>) {
            glob(&pattern, &text);
        }
    }
}
