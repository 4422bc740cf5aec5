//! Rows with a label and a text that is wrapped to the width of the screen.

/// The width of the labels, including the space after them, in columns.
const LABEL: usize = 11;

/// The minimum width to which a card is wrapped.
const NARROWEST: usize = 40;

/// A card that is being written.
#[derive(Debug)]
pub(super) struct Lines {
    width: usize,
    text: String,
}

impl Lines {
    pub(super) fn new(width: usize) -> Self {
        Lines {
            width: width.max(NARROWEST),
            text: String::new(),
        }
    }

    /// Appends the first line: the title of the card, and the targets on the right.
    pub(super) fn title(&mut self, title: &str, asked: &str, bold: bool) {
        let (on, off) = if bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        let used = title.chars().count();
        let room = self.width.saturating_sub(used + asked.chars().count());
        self.text.push_str(on);
        self.text.push_str(title);
        self.text.push_str(off);
        if !asked.is_empty() && room >= 2 {
            self.text.push_str(&" ".repeat(room));
            self.text.push_str(asked);
        }
        self.text.push('\n');
    }

    /// Appends a label and a text, wrapped between words, or within a word that is longer than a line.
    pub(super) fn row(&mut self, label: &str, text: &str) {
        let room = self.width - LABEL;
        let mut first = true;
        for line in broken(text, room) {
            let label = if first { label } else { "" };
            self.text.push_str(&format!("{label:LABEL$}{line}\n"));
            first = false;
        }
    }

    /// Appends a label and a text that is never wrapped.
    pub(super) fn raw(&mut self, label: &str, text: &str) {
        self.text.push_str(&format!("{label:LABEL$}{text}\n"));
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// Splits a row that was not wrapped into label and text.
pub(super) fn parts(line: &str) -> (&str, &str) {
    match line.split_at_checked(LABEL) {
        Some((label, text)) => (label.trim(), text.trim()),
        None => (line.trim(), ""),
    }
}

/// Splits `text` into lines of at most `room` characters; at least one line.
fn broken(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let mut word = word;
        let mut length = word.chars().count();
        if used > 0 {
            if used + 1 + length <= room {
                push(&mut lines, " ");
                used += 1;
            } else {
                lines.push(String::new());
                used = 0;
            }
        }
        while length > room - used {
            let cut = word.char_indices().nth(room - used).map_or(word.len(), |(at, _)| at);
            push(&mut lines, &word[..cut]);
            lines.push(String::new());
            word = &word[cut..];
            length = word.chars().count();
            used = 0;
        }
        push(&mut lines, word);
        used += length;
    }
    lines
}

fn push(lines: &mut [String], text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn card_rows_are_broken_between_words() {
        let mut lines = Lines::new(40);
        lines.title("title", "asked", false);
        lines.row("label", "some words that do not fit into one line at all");
        lines.row("", "x");
        lines.raw("next", &"y".repeat(60));
        let expected = concat!(
            "title                              asked\n",
            "label      some words that do not fit\n",
            "           into one line at all\n",
            "           x\n",
            "next       yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n"
        );
        assert_eq!(lines.finish(), expected);
    }

    proptest! {
        #[test]
        fn broken_arbitrary_text_fits_and_loses_no_letter(text in "[a-z\u{e4} ]{0,200}", room in 1usize..40) {
            let lines = broken(&text, room);
            prop_assert!(lines.iter().all(|line| line.chars().count() <= room));
            let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
