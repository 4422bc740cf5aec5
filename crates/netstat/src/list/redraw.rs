//! Repeated prints on a terminal: each replaces the previous one, with changes highlighted.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use unicode_width::UnicodeWidthChar;

use crate::output::rows::paint::Look;

/// A writer whose text can be taken out through any clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffer(Rc<RefCell<Vec<u8>>>);

impl Buffer {
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.borrow_mut())
    }
}

impl Write for Buffer {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Draws frames and remembers the previous one.
#[derive(Debug, Default)]
pub(super) struct Redraw {
    before: Option<Vec<String>>,
}

/// The screen that a frame is drawn for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) color: bool,
    pub(super) interval: Duration,
    pub(super) now: SystemTime,
}

/// How a line differs from the previous frame.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Difference {
    None,
    New,
    /// The words at these positions, counted from 0, differ.
    Words(Vec<usize>),
}

impl Redraw {
    /// Draws the print `text` over the previous one, with the lines of `notes` below it.
    ///
    /// # Errors
    /// Returns an error of `out`.
    pub(super) fn draw(&mut self, out: &mut dyn Write, text: &[u8], notes: &[u8], frame: Frame) -> io::Result<()> {
        let text = String::from_utf8_lossy(text);
        let lines: Vec<&str> = text.lines().collect();
        let plain: Vec<String> = lines.iter().map(|line| without_escapes(line)).collect();
        let notes = String::from_utf8_lossy(notes);
        let notes: Vec<&str> = notes.lines().collect();
        // The title takes one row, and the last row is left to the cursor.
        let room = frame.rows.saturating_sub(2).max(1);
        let room_for_text = room.saturating_sub(notes.len().min(room / 3)).max(1);
        let shown = match lines.len() > room_for_text {
            true => room_for_text - 1,
            false => lines.len(),
        };
        let mut screen = Vec::new();
        screen.extend_from_slice(if self.before.is_none() {
            b"\x1b[2J\x1b[H"
        } else {
            b"\x1b[H"
        });
        let mut push = |line: &[u8]| {
            screen.extend_from_slice(line);
            screen.extend_from_slice(b"\x1b[K\r\n");
        };
        let title = format!(
            "every {}  {}",
            crate::context::human::span(frame.interval),
            crate::context::human::moment(frame.now)
        );
        let title = match self.before {
            Some(_) if frame.color => format!("{title}  changes in colour, --scroll to keep them all"),
            _ => title,
        };
        push(&cut(&title, frame.columns, Look::Plain));
        let differences = match &self.before {
            Some(before) => differences(before, &plain[..shown]),
            None => vec![Difference::None; shown],
        };
        for ((line, plain), difference) in lines.iter().zip(&plain).zip(differences) {
            let painted = match difference {
                _ if !frame.color => cut(plain, frame.columns, Look::Plain),
                Difference::None => cut(line, frame.columns, Look::Plain),
                Difference::New => cut(plain, frame.columns, Look::New),
                Difference::Words(words) => cut(&marked(plain, &words), frame.columns, Look::Plain),
            };
            push(&painted);
        }
        if shown < lines.len() {
            let more = format!(
                "... {} more lines (--top N, a filter, or --scroll)",
                lines.len() - shown
            );
            push(&cut(&more, frame.columns, Look::Plain));
        }
        for note in notes.iter().take(room.saturating_sub(shown)) {
            push(&cut(&without_escapes(note), frame.columns, Look::Plain));
        }
        screen.extend_from_slice(b"\x1b[J");
        self.before = Some(plain);
        out.write_all(&screen)?;
        out.flush()
    }
}

/// Compares the frame `now` with the previous one, line by line.
fn differences(before: &[String], now: &[String]) -> Vec<Difference> {
    let mut left: HashMap<&str, usize> = HashMap::new();
    for line in before {
        *left.entry(line).or_default() += 1;
    }
    let mut result: Vec<Option<Difference>> = now
        .iter()
        .map(|line| {
            let count = left.get_mut(line.as_str()).filter(|count| **count > 0)?;
            *count -= 1;
            Some(Difference::None)
        })
        .collect();
    let mut rest: Vec<Vec<&str>> = before
        .iter()
        .filter(|line| match left.get_mut(line.as_str()) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        })
        .map(|line| line.split_whitespace().collect())
        .collect();
    for (line, result) in now.iter().zip(&mut result) {
        if result.is_some() {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let likeness = |other: &[&str]| words.iter().zip(other).filter(|(a, b)| a == b).count();
        let best = (0..rest.len())
            .filter(|&at| rest[at].first() == words.first())
            .max_by_key(|&at| likeness(&rest[at]));
        // Two lines belong to the same row if most of their first words match: protocol and both addresses, or a label.
        let needed = (words.len() / 2).clamp(1, 3);
        *result = Some(match best.filter(|&at| likeness(&rest[at]) >= needed) {
            Some(at) => {
                let other = rest.swap_remove(at);
                let changed = |place: &usize| other.get(*place) != Some(&words[*place]);
                Difference::Words((0..words.len()).filter(changed).collect())
            }
            None => Difference::New,
        });
    }
    result
        .into_iter()
        .map(|difference| difference.unwrap_or(Difference::New))
        .collect()
}

/// Returns `line` with the words at `places` highlighted.
fn marked(line: &str, places: &[usize]) -> String {
    let mut out = Vec::new();
    let mut word = 0;
    for (at, part) in line.split(' ').enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        if part.is_empty() {
            continue;
        }
        let look = if places.contains(&word) {
            Look::Changed
        } else {
            Look::Plain
        };
        look.paint(&mut out, |out| out.extend_from_slice(part.as_bytes()));
        word += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Returns `line` without the colour sequences that this program writes.
fn without_escapes(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\x1b' {
            // A sequence: `ESC [ ... m`.
            for letter in letters.by_ref() {
                if letter.is_ascii_alphabetic() {
                    break;
                }
            }
        } else if !letter.is_control() {
            out.push(letter);
        }
    }
    out
}

/// Returns as much of `line` as fits into `columns`. Colours take no room, and end with the line.
fn cut(line: &str, columns: usize, look: Look) -> Vec<u8> {
    let mut text = String::new();
    let (mut used, mut painted) = (0, false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\x1b' {
            painted = true;
            text.push(letter);
            for letter in letters.by_ref() {
                text.push(letter);
                if letter.is_ascii_alphabetic() {
                    break;
                }
            }
            continue;
        }
        let width = letter.width().unwrap_or(0);
        if used + width > columns {
            break;
        }
        used += width;
        text.push(letter);
    }
    let mut out = Vec::new();
    look.paint(&mut out, |out| out.extend_from_slice(text.as_bytes()));
    if painted {
        out.extend_from_slice(b"\x1b[0m");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn redraw_finds_new_and_changed_rows() {
        let before = lines(&[
            "TCP 1.1.1.1:1 2.2.2.2:2 ESTABLISHED",
            "TCP 1.1.1.1:9 3.3.3.3:3 ESTABLISHED",
        ]);
        let now = lines(&[
            "TCP 1.1.1.1:1 2.2.2.2:2 ESTABLISHED",
            "TCP 1.1.1.1:9 3.3.3.3:3 CLOSE_WAIT",
            "UDP 0.0.0.0:5 *:*",
        ]);
        let expected = [Difference::None, Difference::Words(vec![3]), Difference::New];
        assert_eq!(differences(&before, &now), expected);
        // A line that now occurs twice is new once.
        let twice = lines(&["UDP 0.0.0.0:5 *:*", "UDP 0.0.0.0:5 *:*"]);
        assert_eq!(differences(&twice[..1], &twice), [Difference::None, Difference::New]);
    }

    #[test]
    fn frame_never_exceeds_the_screen() {
        let mut redraw = Redraw::default();
        let frame = Frame {
            columns: 10,
            rows: 6,
            color: true,
            interval: Duration::from_secs(2),
            now: SystemTime::UNIX_EPOCH,
        };
        let text = "0123456789abc\n".repeat(50);
        for _ in 0..2 {
            let mut out = Vec::new();
            redraw
                .draw(&mut out, text.as_bytes(), b"netstat: note\n", frame)
                .unwrap();
            let out = String::from_utf8(out).unwrap();
            assert_eq!(out.matches("\r\n").count(), 5, "{out:?}");
            assert!(
                out.split("\r\n")
                    .all(|line| without_escapes(line).chars().count() <= 10),
                "{out:?}"
            );
        }
    }

    #[test]
    fn cut_line_does_not_count_colours_and_ends_them() {
        assert_eq!(cut("\x1b[32mabcdef\x1b[0m", 3, Look::Plain), b"\x1b[32mabc\x1b[0m");
        assert_eq!(without_escapes("a\x1b[1;32mb\x1b[0m\u{7}c"), "abc");
        assert_eq!(marked("a  b c", &[1]), "a  \x1b[35mb\x1b[0m c");
    }
}
