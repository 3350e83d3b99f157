//! Fitting names into cells: by grapheme and display width, never by byte or `char`.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// As much of `text` as fits into `columns`, cut with `…` (`~` in ASCII). Never wider than that.
pub fn fit(text: &str, columns: usize, ascii: bool) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    let mut out = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let wide = grapheme.width();
        if used + wide > columns - 1 {
            break;
        }
        out.push_str(grapheme);
        used += wide;
    }
    out.push(if ascii { '~' } else { '…' });
    out
}

/// The end of `text` that fits, for paths, whose end tells most.
pub fn fit_end(text: &str, columns: usize, ascii: bool) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut used = 0;
    for grapheme in text.graphemes(true).rev() {
        let wide = grapheme.width();
        if used + wide > columns - 1 {
            break;
        }
        kept.push(grapheme);
        used += wide;
    }
    let mut out = String::from(if ascii { "~" } else { "…" });
    out.extend(kept.into_iter().rev());
    out
}

/// The text in ASCII alone, for terminals that have nothing else.
pub fn to_ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cuts_on_graphemes_and_keeps_to_the_width() {
        assert_eq!(fit("handle_request", 8, false), "handle_…");
        assert_eq!(fit("handle_request", 8, true), "handle_~");
        assert_eq!(fit("日本語", 4, false), "日…");
        assert_eq!(fit("e\u{301}e\u{301}e\u{301}", 2, false), "e\u{301}…");
        assert_eq!(fit_end("/usr/lib/json/decoder.py", 12, false), "…/decoder.py");
    }

    proptest! {
        #[test]
        fn never_wider_than_asked(text in "\\PC*", columns in 0_usize..20) {
            prop_assert!(width(&fit(&text, columns, false)) <= columns);
            prop_assert!(width(&fit_end(&text, columns, false)) <= columns);
        }
    }
}
