//! Messages for the event log.

/// The longest text that `ReportEventW` takes, in characters.
const LONGEST: usize = 31_839;

/// A message as the event log shows it: it would replace a percent sign and a number by something else.
pub fn event_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut length = 0;
    while let Some(character) = characters.next() {
        length += character.len_utf16() + 1;
        if length > LONGEST {
            break;
        }
        // A text ends at a zero.
        shown.push(if character == '\0' { '\u{fffd}' } else { character });
        if character == '%' && characters.peek().is_some_and(char::is_ascii_digit) {
            shown.push('\u{200b}');
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn event_text_numbers_after_percent_signs_are_kept_apart() {
        assert_eq!(event_text("fe80::1%4 of 50% and %"), "fe80::1%\u{200b}4 of 50% and %");
        assert_eq!(event_text("a\0b"), "a\u{fffd}b");
    }

    proptest! {
        #[test]
        fn event_text_has_no_insertions_and_fits(text in "\\PC{0,200}|[%0-9]{0,40000}") {
            let shown = event_text(&text);
            prop_assert!(shown.encode_utf16().count() <= LONGEST);
            prop_assert!(!shown.as_bytes().windows(2).any(|pair| pair[0] == b'%' && pair[1].is_ascii_digit()));
        }
    }
}
