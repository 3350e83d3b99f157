//! Aligned columns of text.

use unicode_width::UnicodeWidthStr;

/// On which side the text of a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Names.
    Left,
    /// Numbers.
    Right,
}

/// Rows of cells, aligned when printed. Cells must be sanitised already.
#[derive(Debug)]
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, one cell a column.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table with two blanks between columns. Where it is wider than `width`
    /// the last column is cut, in its middle: both ends of a path say something.
    pub fn render(&self, width: usize) -> String {
        let last = self.columns.len().saturating_sub(1);
        let mut widths: Vec<usize> = self.columns.iter().map(|(title, _)| title.width()).collect();
        for row in &self.rows {
            for (cell, widest) in row.iter().zip(&mut widths) {
                *widest = cell.width().max(*widest);
            }
        }
        let others: usize = widths.iter().take(last).map(|w| w + 2).sum();
        let room = width.saturating_sub(others).max(12);
        let mut out = String::new();
        let titles: Vec<String> =
            self.columns.iter().map(|(title, _)| (*title).to_owned()).collect();
        for row in std::iter::once(&titles).chain(&self.rows) {
            for (i, cell) in row.iter().enumerate() {
                let align = self.columns.get(i).map_or(Align::Left, |(_, align)| *align);
                if i == last && align == Align::Left {
                    out.push_str(&shorten(cell, room));
                    continue;
                }
                let fill = widths.get(i).copied().unwrap_or(0).saturating_sub(cell.width());
                if align == Align::Right {
                    out.extend(std::iter::repeat_n(' ', fill));
                }
                out.push_str(cell);
                if i != last {
                    if align == Align::Left {
                        out.extend(std::iter::repeat_n(' ', fill));
                    }
                    out.push_str("  ");
                }
            }
            while out.ends_with(' ') {
                out.pop();
            }
            out.push('\n');
        }
        out
    }
}

/// `text` in at most `width` columns, `…` standing for a cut-out middle.
pub fn shorten(text: &str, width: usize) -> String {
    use unicode_segmentation::UnicodeSegmentation;
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let graphemes: Vec<&str> = text.graphemes(true).collect();
    let take = |parts: &mut dyn Iterator<Item = &&str>, room: usize| {
        let mut used = 0;
        parts
            .take_while(|part| {
                used += part.width();
                used <= room
            })
            .count()
    };
    let head = take(&mut graphemes.iter(), room / 2);
    let head_width: usize = graphemes.iter().take(head).map(|part| part.width()).sum();
    let tail = take(&mut graphemes.iter().rev(), room - head_width);
    let mut out: String = graphemes.iter().take(head).copied().collect();
    out.push('…');
    out.extend(graphemes.iter().skip(graphemes.len() - tail).copied());
    out
}

/// `1234567` as `1 234 567`.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.char_indices() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A number of bytes for people.
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut size = value as f64;
    let mut shown = format!("{value} B");
    for unit in UNITS {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        shown = format!("{size:.1} {unit}");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_width() {
        let mut table =
            Table::new(&[("calls", Align::Right), ("x", Align::Left), ("name", Align::Left)]);
        table.row(vec!["7".into(), "函".into(), "a".into()]);
        table.row(vec!["123456".into(), "y".into(), String::new()]);
        assert_eq!(table.render(80), " calls  x   name\n     7  函  a\n123456  y\n");
    }

    #[test]
    fn the_last_column_is_cut_in_its_middle() {
        assert_eq!(shorten("abcdefghij", 10), "abcdefghij");
        assert_eq!(shorten("abcdefghijk", 10), "abcd…ghijk");
        assert_eq!(shorten("函函函函", 5), "函…函");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1 234 567");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(3 << 20), "3.0 MiB");
    }
}
