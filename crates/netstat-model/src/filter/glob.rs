//! The values of `--program` and `--unit`: names with `*` and `?`.

use std::fmt;
use std::str::FromStr;

use super::error::{FilterError, Mistake};
use super::list;

/// Patterns, at least one of which must match a name. `*` matches any text and `?` any single byte; the case of ASCII
/// letters is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Globs {
    patterns: Vec<String>,
}

impl Globs {
    /// Whether everything is accepted because there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Adds every pattern of `other` that is not present yet.
    pub fn add(&mut self, other: Globs) {
        for pattern in other.patterns {
            if !self.patterns.contains(&pattern) {
                self.patterns.push(pattern);
            }
        }
    }

    /// Returns the patterns as they were typed.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// Whether a pattern matches the whole of `name`.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern.as_bytes(), name))
    }

    /// Whether a pattern matches the program file at `path`. A pattern with a slash (or a backslash, if it is a Windows
    /// path) is compared with the whole path, any other with the file name.
    pub fn matches_path(&self, path: &[u8]) -> bool {
        let windows = crate::text::is_windows_path(path);
        let name = crate::text::file_name(path);
        let whole = |pattern: &str| pattern.contains('/') || (windows && pattern.contains('\\'));
        self.patterns.iter().any(|pattern| match whole(pattern) {
            true => matches(pattern.as_bytes(), path),
            false => matches(pattern.as_bytes(), name),
        })
    }
}

/// Whether `pattern` matches the whole of `name`. Takes time proportional to the product of their lengths at most,
/// because only the last `*` is ever retried.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // The positions to continue from after the last `*` if what follows it does not match here.
    let mut again: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                again = Some((p + 1, n + 1));
                p += 1;
            }
            Some(byte) if *byte == b'?' || byte.eq_ignore_ascii_case(&name[n]) => {
                p += 1;
                n += 1;
            }
            _ => match again {
                Some((after, next)) => {
                    (p, n) = (after, next);
                    again = Some((after, next + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

impl fmt::Display for Globs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, self.patterns.iter())
    }
}

impl FromStr for Globs {
    type Err = FilterError;

    /// Parses one or more patterns separated by commas.
    fn from_str(list: &str) -> Result<Globs, FilterError> {
        let mut globs = Globs::default();
        for word in list.split(',') {
            if word.is_empty() {
                return Err(FilterError::new(word, Mistake::Glob));
            }
            globs.add(Globs {
                patterns: vec![word.to_owned()],
            });
        }
        Ok(globs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns() {
        for (pattern, name, fits) in [
            ("sshd", "sshd", true),
            ("SSHD", "sshd", true),
            ("ssh", "sshd", false),
            ("ssh*", "sshd", true),
            ("*", "", true),
            ("?", "", false),
            ("*.service", "ssh.service", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("python3.?", "python3.11", false),
            ("python3.??", "python3.11", true),
            ("**x", "x", true),
        ] {
            assert_eq!(
                pattern.parse::<Globs>().unwrap().matches(name.as_bytes()),
                fits,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn glob_with_slash_is_matched_against_whole_path() {
        for (pattern, fits) in [
            ("sshd", true),
            ("/usr/sbin/sshd", true),
            ("/usr/*", true),
            ("/opt/*", false),
            ("*/sshd", true),
            ("usr", false),
        ] {
            assert_eq!(
                pattern.parse::<Globs>().unwrap().matches_path(b"/usr/sbin/sshd"),
                fits,
                "{pattern}"
            );
        }
        for (pattern, fits) in [
            ("svchost.exe", true),
            ("SVCHOST*", true),
            (r"c:\windows\*", true),
            (r"*\temp\*", false),
        ] {
            let globs = pattern.parse::<Globs>().unwrap();
            assert_eq!(
                globs.matches_path(br"C:\Windows\System32\svchost.exe"),
                fits,
                "{pattern}"
            );
        }
    }

    /// Matches a pattern in the most obvious way, to compare with.
    fn slowly(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.first(), name.first()) {
            (None, None) => true,
            (Some(b'*'), _) => slowly(&pattern[1..], name) || !name.is_empty() && slowly(pattern, &name[1..]),
            (Some(byte), Some(letter)) if *byte == b'?' || byte == letter => slowly(&pattern[1..], &name[1..]),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn glob_matching_agrees_with_naive_matching(pattern in "[ab*?]{0,8}", name in "[ab]{0,8}") {
            prop_assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), slowly(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
