//! Finds the name that a misspelled word probably meant.

/// The Jaro-Winkler similarity (0 to 1) from which two words count as alike, such as `listn` and `LISTENING`.
const ALIKE: f64 = 0.9;

/// Returns the one of `names` whose spelling is closest to `word`, ignoring case; `None` if none is similar.
///
/// A name is similar if it differs by few typing errors (insertions, deletions, substitutions and transpositions: one
/// per three letters, at least one), or if `word` is its beginning or a whole part of it (`sent` of `bytes_sent`).
pub(crate) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let length = word.chars().count();
    if length == 0 {
        return None;
    }
    let rank = |name: &'a str| {
        let lower = name.to_ascii_lowercase();
        let begins = length >= 2 && lower.starts_with(&word);
        let is_part = length >= 3 && lower.split(['_', '-']).any(|part| part == word);
        let likeness = strsim::jaro_winkler(&word, &lower);
        let mistakes = match strsim::osa_distance(&word, &lower) {
            mistakes if begins || is_part || likeness >= ALIKE => mistakes.min(1),
            mistakes => mistakes,
        };
        // A single letter is not a misspelling of another letter.
        let most = if length == 1 { 0 } else { (length / 3).max(1) };
        (mistakes <= most).then_some((mistakes, likeness, name))
    };
    let ranked = names.into_iter().filter_map(rank);
    let nearest = ranked.min_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    nearest.map(|(.., name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_misspelled_word_finds_its_name() {
        let names = [
            "inspect",
            "audit",
            "monitor",
            "bytes_sent",
            "send_q",
            "ESTABLISHED",
            "completions",
        ];
        for (word, name) in [
            ("inspct", "inspect"),
            ("audti", "audit"),
            ("monitr", "monitor"),
            ("sent", "bytes_sent"),
            ("estab", "ESTABLISHED"),
            ("establisd", "ESTABLISHED"),
            ("Inspect", "inspect"),
        ] {
            assert_eq!(nearest(word, names), Some(name), "{word}");
        }
    }

    #[test]
    fn nearest_word_unlike_every_name_finds_nothing() {
        for word in ["", "x", "frobnicate", "connections", "lib", "www.example.com"] {
            assert_eq!(nearest(word, ["inspect", "completions", "list", "a"]), None, "{word}");
        }
    }
}
