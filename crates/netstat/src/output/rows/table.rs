//! A text table: one row per line, two spaces between columns, as wide as its content. Names from outside never shift a
//! column: a space in a name is written as `\x20`, except in the last column.

use std::io::{self, Write};

use netstat_model::columns::{Value, ValueKind};
use netstat_model::text::DELETED;

use super::paint::Look;
use super::{Grid, Head, write_in_order};

/// The layout of a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    /// Whether colours are used.
    pub color: bool,
    /// The width to which the table is narrowed by cutting long texts, as far as possible; `None` to cut nothing.
    pub width: Option<u16>,
    /// Whether the headings are omitted.
    pub bare: bool,
    /// Whether the table is read by people only, so that texts may contain single spaces.
    pub for_people: bool,
    /// Whether columns without any value are omitted if the table is wider than `width`.
    pub omits_empty: bool,
}

/// The minimum width to which a column of text is cut.
const LEAST: usize = 12;

/// The widths of the columns of a table, kept from print to print so that columns do not move back and forth.
#[derive(Clone, Debug, Default)]
pub struct Widths {
    columns: Vec<usize>,
}

/// Writes `grid` with its headings; `widths` grow as needed.
///
/// # Errors
/// Returns an error of `out`.
pub fn write(out: &mut dyn Write, grid: &dyn Grid, layout: &Layout, widths: &mut Widths) -> io::Result<()> {
    let heads = grid.heads();
    widths.columns.resize(heads.len(), 0);
    for (column, (width, head)) in widths.columns.iter_mut().zip(&heads).enumerate() {
        *width = (*width).max(head.heading.chars().count()).max(grid.least(column));
    }
    let mut is_empty = vec![true; heads.len()];
    for gathered in measured(grid, layout)? {
        for (column, measure) in gathered.into_iter().enumerate() {
            widths.columns[column] = widths.columns[column].max(measure.width);
            is_empty[column] &= measure.is_empty;
        }
    }
    let shown = shown_widths(&widths.columns, &heads, layout, &is_empty);
    let last = shown.iter().rposition(Option::is_some).unwrap_or(0);
    if !layout.bare {
        let mut text = Vec::new();
        for (column, head) in heads.iter().enumerate() {
            let Some(width) = shown[column] else { continue };
            let look = if layout.color { Look::Heading } else { Look::Plain };
            push_cell(
                &mut text,
                head.heading.as_bytes(),
                look,
                head.kind,
                width,
                column == last,
            );
        }
        text.push(b'\n');
        out.write_all(&text)?;
    }
    write_in_order(out, grid.len(), |at, text, cell: &mut Vec<u8>| {
        let mut next = 0;
        grid.row(at, &mut |value| {
            let column = next;
            next += 1;
            let Some(width) = shown[column] else { return };
            cell.clear();
            push_text(cell, &value, layout.for_people || column == last);
            let look = if layout.color {
                grid.look(at, column)
            } else {
                Look::Plain
            };
            push_cell(text, cell, look, heads[column].kind, width, column == last);
        });
        text.push(b'\n');
    })?;
    Ok(())
}

/// The requirements of the cells of one column.
#[derive(Clone, Copy, Debug)]
struct Measure {
    /// The width of the widest cell.
    width: usize,
    /// Whether no row has a value in the column.
    is_empty: bool,
}

/// Measures the cells of each column, once for each thread that took part.
fn measured(grid: &dyn Grid, layout: &Layout) -> io::Result<Vec<Vec<Measure>>> {
    let columns = grid.heads().len();
    let gathered = write_in_order(
        &mut io::sink(),
        grid.len(),
        |at, _, (measures, cell): &mut (Vec<Measure>, Vec<u8>)| {
            let mut column = 0;
            grid.row(at, &mut |value: Value<'_>| {
                cell.clear();
                push_text(cell, &value, layout.for_people || column + 1 == columns);
                if measures.len() <= column {
                    measures.push(Measure {
                        width: 0,
                        is_empty: true,
                    });
                }
                measures[column].width = measures[column].width.max(width_of(cell));
                measures[column].is_empty &= matches!(value, Value::Unknown(_) | Value::Nothing);
                column += 1;
            });
        },
    )?;
    Ok(gathered.into_iter().map(|(measures, _)| measures).collect())
}

/// Returns the width in which each column is shown, so that all of them fit into the width of `layout` if possible;
/// `None` for a column that is omitted.
fn shown_widths(widths: &[usize], heads: &[Head], layout: &Layout, is_empty: &[bool]) -> Vec<Option<usize>> {
    let Some(limit) = layout.width.map(usize::from) else {
        return widths.iter().copied().map(Some).collect();
    };
    let mut kept: Vec<usize> = (0..widths.len()).collect();
    let total = |kept: &[usize]| {
        kept.iter()
            .map(|&column| widths[column] + 2)
            .sum::<usize>()
            .saturating_sub(2)
    };
    while layout.omits_empty && total(&kept) > limit {
        let Some(at) = kept.iter().rposition(|&column| is_empty[column]) else {
            break;
        };
        kept.remove(at);
    }
    let kinds: Vec<ValueKind> = kept.iter().map(|&column| heads[column].kind).collect();
    let mut narrowed: Vec<usize> = kept.iter().map(|&column| widths[column]).collect();
    narrow(&mut narrowed, &kinds, limit);
    let mut shown = vec![None; widths.len()];
    for (column, width) in kept.into_iter().zip(narrowed) {
        shown[column] = Some(width);
    }
    shown
}

/// Appends the text of a cell. A space in a name becomes `\x20`; if spaces are allowed, only one that could be taken
/// for the end of a column does. In a name that could be mistaken for output of the table itself, one character is
/// written as `\xNN`: the parenthesis of `(deleted)`, the first character of `-` and `none`.
fn push_text(cell: &mut Vec<u8>, value: &Value<'_>, may_have_blanks: bool) {
    let begin = cell.len();
    value.push_cell(cell);
    if !matches!(value, Value::Text(_) | Value::Remarked(..)) {
        return;
    }
    let is_name = matches!(value, Value::Text(_));
    let posing = match &cell[begin..] {
        b"-" | b"none" if is_name => Some(0),
        text if is_name && text.ends_with(DELETED.as_bytes()) => Some(text.len() - DELETED.len()),
        _ => None,
    };
    if posing.is_none() && !cell[begin..].contains(&b' ') {
        return;
    }
    let text = cell.split_off(begin);
    for (at, &byte) in text.iter().enumerate() {
        let is_between_letters = at > 0 && text[at - 1] != b' ' && text.get(at + 1).is_some_and(|next| *next != b' ');
        match byte {
            b' ' if !(may_have_blanks && is_between_letters) => cell.extend_from_slice(b"\\x20"),
            byte if posing == Some(at) => cell.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
            byte => cell.push(byte),
        }
    }
}

/// Returns the width of printable UTF-8 on a terminal, in columns.
fn width_of(text: &[u8]) -> usize {
    match text.is_ascii() {
        true => text.len(),
        false => unicode_width::UnicodeWidthStr::width(String::from_utf8_lossy(text).as_ref()),
    }
}

/// Shortens the widest column of text repeatedly, until all columns fit into `width` or none can be shortened any more.
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
        // Before a wide character, one column may be left over.
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

/// Returns as much of `cell` as fits into `width` columns, with a mark at its end.
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
    fn table_columns_are_as_wide_as_their_content() {
        assert_eq!(
            text(&Layout::default()),
            "Program                        PID  State\n\
             nginx                            7  LISTENING\n\
             a-rather-long-program-name  123456  -\n\
             caf\u{e9}                             1  LISTENING\n"
        );
    }

    #[test]
    fn table_blanks_in_names_are_escaped_except_in_last_column() {
        for (name, may_have_blanks, shown) in [
            ("tmux: server", false, "tmux:\\x20server"),
            ("tmux: server", true, "tmux: server"),
            ("sshd  22", true, "sshd\\x20\\x2022"),
            (" a b ", true, "\\x20a b\\x20"),
            ("x (deleted)", false, "x\\x20\\x28deleted)"),
            ("x (deleted)", true, "x \\x28deleted)"),
            ("(deleted) x", true, "(deleted) x"),
            ("-", false, "\\x2d"),
            ("none", false, "\\x6eone"),
            ("none-such", false, "none-such"),
        ] {
            let mut cell = Vec::new();
            push_text(&mut cell, &Value::text(name.as_bytes()), may_have_blanks);
            assert_eq!(String::from_utf8(cell).unwrap(), shown);
        }
    }

    #[test]
    fn table_deleted_program_with_blank_in_name_is_one_word() {
        let mut cell = Vec::new();
        let deleted = Value::Remarked(std::borrow::Cow::Borrowed(b"tmux: server"), "(deleted)");
        push_text(&mut cell, &deleted, false);
        assert_eq!(String::from_utf8(cell).unwrap(), "tmux:\\x20server(deleted)");
    }

    #[test]
    fn table_on_narrow_screen_cuts_texts_but_not_numbers() {
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
    fn table_too_wide_leaves_out_empty_columns_from_the_right() {
        struct Sparse;
        impl Grid for Sparse {
            fn heads(&self) -> Vec<Head> {
                ["State", "User", "Unit", "Recv-Q", "Script"]
                    .map(|heading| Head {
                        name: heading,
                        heading,
                        kind: ValueKind::Text,
                    })
                    .to_vec()
            }
            fn len(&self) -> usize {
                2
            }
            fn row(&self, at: usize, each: &mut dyn FnMut(Value<'_>)) {
                each(Value::Word("LISTENING"));
                each(if at == 0 {
                    Value::unknown(Why::NotKept)
                } else {
                    Value::Word("root")
                });
                each(Value::Nothing);
                each(Value::Number(0));
                each(Value::unknown(Why::NotKept));
            }
        }
        let text = |width, omits_empty| {
            let layout = Layout {
                width,
                omits_empty,
                ..Layout::default()
            };
            let mut out = Vec::new();
            write(&mut out, &Sparse, &layout, &mut Widths::default()).unwrap();
            String::from_utf8(out).unwrap().lines().next().unwrap().to_owned()
        };
        let whole = "State      User  Unit  Recv-Q  Script";
        for (width, omits_empty, heading) in [
            (None, true, whole),
            (Some(37), true, whole),
            (Some(36), true, "State      User  Unit  Recv-Q"),
            (Some(28), true, "State      User  Recv-Q"),
            (Some(5), true, "State      User  Recv-Q"),
            (Some(28), false, whole),
        ] {
            assert_eq!(text(width, omits_empty), heading, "width {width:?}, {omits_empty}");
        }
    }

    #[test]
    fn table_that_cannot_fit_stays_uncut() {
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
