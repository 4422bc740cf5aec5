//! Filters as text, as on a command line or after the `/` of a screen.

use super::error::{FilterError, Mistake};

/// Splits `text` at spaces. Text in single or double quotes is one argument or a part of one.
pub(super) fn split(text: &str) -> Result<Vec<String>, FilterError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for letter in text.chars() {
        match quote {
            Some(end) if letter == end => quote = None,
            None if matches!(letter, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            None if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(FilterError::new(text, Mistake::Quote));
    }
    words.extend(word);
    Ok(words)
}

/// Returns `value`, quoted if necessary so that [`split`] reads it as one argument.
pub(super) fn quoted(value: &str) -> String {
    if !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')) {
        return value.to_owned();
    }
    // Quotes cannot be escaped, so a value with both kinds is assembled from parts.
    let mut out = String::from("'");
    for letter in value.chars() {
        match letter {
            '\'' => out.push_str("'\"'\"'"),
            _ => out.push(letter),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes() {
        assert_eq!(split(" a  'b c'd \"\" ").unwrap(), ["a", "b cd", ""]);
        assert_eq!(split("a 'b").unwrap_err().why(), "has a quote that does not end");
    }

    proptest! {
        #[test]
        fn quoted_text_is_split_as_one_word(value: String) {
            prop_assert_eq!(split(&quoted(&value)), Ok(vec![value]));
        }
    }
}
