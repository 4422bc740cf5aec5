//! A table of text: one row a line, two blanks between columns, as wide as its content. Names from outside never shift a column: a blank in
//! one is written `\x20`, but for the last column.

use std::io::{self, Write};

use netstat_model::columns::{Value, ValueKind};

use super::paint::Look;
use super::{Grid, write_in_order};

/// How a table is laid out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    /// Whether looks are painted.
    pub color: bool,
    /// The width it must fit into by cutting long texts, where that is possible; `None` cuts nothing.
    pub width: Option<u16>,
    /// Whether the headings are left out.
    pub bare: bool,
    /// Whether it is read by people only, so that single blanks may be in its texts.
    pub for_people: bool,
}

/// Columns of text are not cut below this width.
const LEAST: usize = 12;

/// The widths of a table's columns; kept from print to print, so that columns do not jump back and forth.
#[derive(Clone, Debug, Default)]
pub struct Widths {
    columns: Vec<usize>,
}

/// Writes `grid` with its headings; `widths` grow to what it needs.
///
/// # Errors
/// What `out` says.
pub fn write(out: &mut dyn Write, grid: &dyn Grid, layout: &Layout, widths: &mut Widths) -> io::Result<()> {
    let heads = grid.heads();
    widths.columns.resize(heads.len(), 0);
    for (column, (width, head)) in widths.columns.iter_mut().zip(&heads).enumerate() {
        *width = (*width).max(head.heading.chars().count()).max(grid.least(column));
    }
    for gathered in measured(grid, layout)? {
        for (width, cell) in widths.columns.iter_mut().zip(gathered) {
            *width = (*width).max(cell);
        }
    }
    let mut shown = widths.columns.clone();
    if let Some(width) = layout.width {
        let kinds: Vec<ValueKind> = heads.iter().map(|head| head.kind).collect();
        narrow(&mut shown, &kinds, width.into());
    }
    if !layout.bare {
        let mut text = Vec::new();
        for (column, head) in heads.iter().enumerate() {
            let look = if layout.color { Look::Heading } else { Look::Plain };
            push_cell(
                &mut text,
                head.heading.as_bytes(),
                look,
                head.kind,
                shown[column],
                column + 1 == heads.len(),
            );
        }
        text.push(b'\n');
        out.write_all(&text)?;
    }
    write_in_order(out, grid.len(), |at, text, cell: &mut Vec<u8>| {
        let mut column = 0;
        grid.row(at, &mut |value| {
            cell.clear();
            push_text(cell, &value, layout.for_people || column + 1 == heads.len());
            let look = if layout.color {
                grid.look(at, column)
            } else {
                Look::Plain
            };
            push_cell(
                text,
                cell,
                look,
                heads[column].kind,
                shown[column],
                column + 1 == heads.len(),
            );
            column += 1;
        });
        text.push(b'\n');
    })?;
    Ok(())
}

/// The widest cell of each column.
fn measured(grid: &dyn Grid, layout: &Layout) -> io::Result<Vec<Vec<usize>>> {
    let columns = grid.heads().len();
    let gathered = write_in_order(
        &mut io::sink(),
        grid.len(),
        |at, _, (widths, cell): &mut (Vec<usize>, Vec<u8>)| {
            let mut column = 0;
            grid.row(at, &mut |value: Value<'_>| {
                cell.clear();
                push_text(cell, &value, layout.for_people || column + 1 == columns);
                if widths.len() <= column {
                    widths.push(0);
                }
                widths[column] = widths[column].max(width_of(cell));
                column += 1;
            });
        },
    )?;
    Ok(gathered.into_iter().map(|(widths, _)| widths).collect())
}

/// The text of a cell. A blank of a name becomes `\x20`; where blanks may stay, only those that could pass for the end of a column.
fn push_text(cell: &mut Vec<u8>, value: &Value<'_>, may_have_blanks: bool) {
    let begin = cell.len();
    value.push_cell(cell);
    if !matches!(value, Value::Text(_)) || !cell[begin..].contains(&b' ') {
        return;
    }
    let text = cell.split_off(begin);
    for (at, &byte) in text.iter().enumerate() {
        let is_between_letters = at > 0 && text[at - 1] != b' ' && text.get(at + 1).is_some_and(|next| *next != b' ');
        match byte {
            b' ' if !(may_have_blanks && is_between_letters) => cell.extend_from_slice(b"\\x20"),
            byte => cell.push(byte),
        }
    }
}

/// The columns of a terminal that printable UTF-8 takes.
fn width_of(text: &[u8]) -> usize {
    match text.is_ascii() {
        true => text.len(),
        false => unicode_width::UnicodeWidthStr::width(String::from_utf8_lossy(text).as_ref()),
    }
}

/// Takes from the widest column of text, again and again, until all fit into `width` or none can give more.
fn narrow(widths: &mut [usize], kinds: &[ValueKind], width: usize) {
    let total = |widths: &[usize]| widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
    while total(widths) > width {
        let over = total(widths) - width;
        let widest = (0..widths.len())
            .filter(|&column| kinds[column] == ValueKind::Text && widths[column] > LEAST)
            .max_by_key(|&column| widths[column]);
        let Some(widest) = widest else { return };
        let second = (0..widths.len())
            .filter(|&column| column != widest && kinds[column] == ValueKind::Text)
            .map(|column| widths[column])
            .max()
            .unwrap_or(0);
        let floor = LEAST.max(second.min(widths[widest] - 1));
        widths[widest] = floor.max(widths[widest].saturating_sub(over));
    }
}

fn push_cell(out: &mut Vec<u8>, cell: &[u8], look: Look, kind: ValueKind, width: usize, last: bool) {
    let used = width_of(cell);
    if used > width {
        let cut = cut_to(cell, width);
        look.paint(out, |out| out.extend_from_slice(&cut));
        // A wide character may leave one column over.
        out.resize(out.len() + width.saturating_sub(width_of(&cut)), b' ');
    } else {
        let blanks = width - used;
        if kind.is_number() {
            out.resize(out.len() + blanks, b' ');
        }
        look.paint(out, |out| out.extend_from_slice(cell));
        if !kind.is_number() && !last {
            out.resize(out.len() + blanks, b' ');
        }
    }
    if !last {
        out.extend_from_slice(b"  ");
    }
}

/// As much of `cell` as fits into `width` columns, with a mark at its end.
fn cut_to(cell: &[u8], width: usize) -> Vec<u8> {
    let text = String::from_utf8_lossy(cell);
    let mut out = String::new();
    let mut used = 1;
    for letter in text.chars() {
        used += unicode_width::UnicodeWidthChar::width(letter).unwrap_or(0);
        if used > width {
            break;
        }
        out.push(letter);
    }
    out.push('\u{2026}');
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::Head;
    use super::*;
    use netstat_model::Why;

    struct Sample;

    const ROWS: [(&str, u64); 3] = [("nginx", 7), ("a-rather-long-program-name", 123_456), ("caf\u{e9}", 1)];

    impl Grid for Sample {
        fn heads(&self) -> Vec<Head> {
            let head = |name, heading, kind| Head { name, heading, kind };
            vec![
                head("program", "Program", ValueKind::Text),
                head("pid", "PID", ValueKind::Number),
                head("state", "State", ValueKind::Text),
            ]
        }
        fn len(&self) -> usize {
            ROWS.len()
        }
        fn row(&self, at: usize, each: &mut dyn FnMut(Value<'_>)) {
            each(Value::Word(ROWS[at].0));
            each(Value::Number(ROWS[at].1));
            each(if at == 1 {
                Value::unknown(Why::NotKept)
            } else {
                Value::Word("LISTENING")
            });
        }
    }

    fn text(layout: &Layout) -> String {
        let mut out = Vec::new();
        write(&mut out, &Sample, layout, &mut Widths::default()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn as_wide_as_its_content() {
        assert_eq!(
            text(&Layout::default()),
            "Program                        PID  State\n\
             nginx                            7  LISTENING\n\
             a-rather-long-program-name  123456  -\n\
             caf\u{e9}                             1  LISTENING\n"
        );
    }

    #[test]
    fn blanks_in_names_shift_no_column_but_may_stand_in_the_last() {
        for (name, may_have_blanks, shown) in [
            ("tmux: server", false, "tmux:\\x20server"),
            ("tmux: server", true, "tmux: server"),
            ("sshd  22", true, "sshd\\x20\\x2022"),
            (" a b ", true, "\\x20a b\\x20"),
        ] {
            let mut cell = Vec::new();
            push_text(&mut cell, &Value::text(name.as_bytes()), may_have_blanks);
            assert_eq!(String::from_utf8(cell).unwrap(), shown);
        }
    }

    #[test]
    fn on_a_narrow_screen_texts_are_cut_and_numbers_are_not() {
        let layout = Layout {
            width: Some(40),
            ..Layout::default()
        };
        assert_eq!(
            text(&layout),
            "Program                   PID  State\n\
             nginx                       7  LISTENING\n\
             a-rather-long-progra\u{2026}  123456  -\n\
             caf\u{e9}                        1  LISTENING\n"
        );
    }

    #[test]
    fn what_cannot_fit_is_not_cut_away() {
        let layout = Layout {
            width: Some(5),
            bare: true,
            ..Layout::default()
        };
        let text = text(&layout);
        assert!(text.starts_with("nginx         "), "{text}");
        assert!(text.contains("123456"), "{text}");
    }
}
