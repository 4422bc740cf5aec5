//! A command line as the arguments that the program sees.

use super::text::to_bytes;

/// The arguments of `line`, split by the rules of the C runtime, as `CommandLineToArgvW` does: 2n backslashes and a quote are n backslashes
/// and the end or beginning of a quoted part, 2n+1 are n backslashes and a quote; `""` within quotes is one quote. In the program's name
/// backslashes are nothing special.
pub fn split(line: &[u16]) -> Vec<Vec<u8>> {
    const QUOTE: u16 = b'"' as u16;
    const BACKSLASH: u16 = b'\\' as u16;
    let is_blank = |unit: u16| unit == u16::from(b' ') || unit == u16::from(b'\t');
    let mut arguments = Vec::new();
    let mut rest = line;
    if let Some((&QUOTE, quoted)) = rest.split_first() {
        let end = quoted.iter().position(|&unit| unit == QUOTE).unwrap_or(quoted.len());
        arguments.push(to_bytes(&quoted[..end]));
        rest = quoted.get(end + 1..).unwrap_or(&[]);
    } else if !rest.is_empty() {
        let end = rest.iter().position(|&unit| is_blank(unit)).unwrap_or(rest.len());
        arguments.push(to_bytes(&rest[..end]));
        rest = &rest[end..];
    }
    let mut units = rest.iter().copied().peekable();
    loop {
        while units.next_if(|&unit| is_blank(unit)).is_some() {}
        if units.peek().is_none() {
            return arguments;
        }
        let mut argument = Vec::new();
        let mut quoted = false;
        while let Some(unit) = units.next_if(|&unit| quoted || !is_blank(unit)) {
            match unit {
                BACKSLASH => {
                    let mut count = 1;
                    while units.next_if_eq(&BACKSLASH).is_some() {
                        count += 1;
                    }
                    let before_quote = units.peek() == Some(&QUOTE);
                    let kept = if before_quote { count / 2 } else { count };
                    argument.extend(std::iter::repeat_n(BACKSLASH, kept));
                    if before_quote && count % 2 == 1 {
                        units.next();
                        argument.push(QUOTE);
                    }
                }
                QUOTE if quoted && units.next_if_eq(&QUOTE).is_some() => argument.push(QUOTE),
                QUOTE => quoted = !quoted,
                other => argument.push(other),
            }
        }
        arguments.push(to_bytes(&argument));
    }
}

/// A command line that [`split`] gives back as it was. The program is quoted in any case: a path with spaces that is not would be tried piece by
/// piece, `C:\Program.exe` first. `None` for a program with a quote, which no file name can hold.
pub fn join(program: &str, arguments: &[String]) -> Option<String> {
    if program.contains('"') {
        return None;
    }
    let mut line = format!("\"{program}\"");
    for argument in arguments {
        line.push(' ');
        let plain = !argument.is_empty() && !argument.contains([' ', '\t', '"']);
        match plain {
            true => line.push_str(argument),
            false => quote(argument, &mut line),
        }
    }
    Some(line)
}

fn quote(argument: &str, line: &mut String) {
    line.push('"');
    let mut backslashes = 0;
    for character in argument.chars() {
        match character {
            '\\' => backslashes += 1,
            _ => {
                // Backslashes before a quote are doubled, and the quote gets one of its own.
                let more = if character == '"' { backslashes + 1 } else { 0 };
                line.extend(std::iter::repeat_n('\\', more));
                backslashes = 0;
            }
        }
        line.push(character);
    }
    line.extend(std::iter::repeat_n('\\', backslashes));
    line.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(line: &str) -> Vec<String> {
        let arguments = split(&line.encode_utf16().collect::<Vec<_>>());
        arguments
            .into_iter()
            .map(|one| String::from_utf8(one).unwrap())
            .collect()
    }

    #[test]
    fn quotes_and_backslashes_follow_the_c_runtime() {
        for (line, arguments) in [
            (
                r#""C:\Program Files\a.exe" -k x"#,
                &[r"C:\Program Files\a.exe", "-k", "x"][..],
            ),
            (r#"a "b c" d"#, &["a", "b c", "d"]),
            (r#"a "b\"c" \\ "d\\""#, &["a", "b\"c", r"\\", "d\\"]),
            (r#"a b""c """#, &["a", "bc", ""]),
            (r#"a "b""c""#, &["a", "b\"c"]),
            (r"C:\x\y.exe \\server\share", &[r"C:\x\y.exe", r"\\server\share"]),
            ("", &[]),
        ] {
            assert_eq!(shown(line), arguments, "{line}");
        }
    }

    #[test]
    fn joined_line_program_is_quoted() {
        let arguments = ["record".to_owned(), "a b\\".to_owned()];
        assert_eq!(
            join(r"C:\Program Files\a.exe", &arguments).unwrap(),
            r#""C:\Program Files\a.exe" record "a b\\""#
        );
        assert_eq!(join("a\"b", &[]), None);
    }

    proptest! {
        #[test]
        fn no_line_panics(line in prop::collection::vec(any::<u16>(), 0..60)) {
            let _ = split(&line);
        }

        #[test]
        fn joined_line_is_split_as_it_was(program in "[^\"\0]{0,20}", arguments in prop::collection::vec("[a \\\\\"\t/:é-]{0,8}", 0..6)) {
            let line = join(&program, &arguments).unwrap();
            let mut expected = vec![program];
            expected.extend(arguments);
            prop_assert_eq!(shown(&line), expected);
        }

        #[test]
        fn plain_words_are_arguments(words in prop::collection::vec("[a-z0-9/:.-]{1,8}", 1..6)) {
            prop_assert_eq!(shown(&words.join(" ")), words);
        }
    }
}
