//! Makes text from outside safe for terminals.
//!
//! Process names, command lines, unit names, interface names, paths and DNS names are chosen by others. They may
//! contain escape sequences, newlines, right-to-left overrides or invalid UTF-8; printed raw, they could forge rows or
//! control the terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// What output for people appends to the name of a program whose file has been deleted.
pub const DELETED: &str = "(deleted)";

/// Escapes the name of a program file like [`escape`], for output that may append [`DELETED`]: the parenthesis of a
/// name that itself ends so is written as `\x28`.
pub fn escape_program(name: &[u8]) -> Cow<'_, str> {
    let text = escape(name);
    match text.strip_suffix(DELETED) {
        Some(before) => Cow::Owned(format!("{before}\\x28{}", &DELETED[1..])),
        None => text,
    }
}

/// Escapes `bytes` as one line of printable text.
///
/// Printable characters are kept. Newline, tab, carriage return and escape become `\n \t \r \e`, other control
/// characters and bytes of invalid UTF-8 `\xNN`, and characters that are invisible or change the text direction
/// `\u{N}`. Allocates only if something has to be escaped.
pub fn escape(bytes: &[u8]) -> Cow<'_, str> {
    if bytes.iter().all(|b| (0x20..0x7f).contains(b)) {
        // Printable ASCII is valid UTF-8, so the conversion loses nothing.
        return String::from_utf8_lossy(bytes);
    }
    let mut out = String::with_capacity(bytes.len() + 8);
    let mut escaped = false;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_plain(c) {
                out.push(c);
                continue;
            }
            escaped = true;
            match c {
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                '\x1b' => out.push_str("\\e"),
                c if (c as u32) < 0x100 => push_hex(&mut out, c as u32 as u8),
                c => {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{{{:x}}}", c as u32);
                }
            }
        }
        for &byte in chunk.invalid() {
            escaped = true;
            push_hex(&mut out, byte);
        }
    }
    match std::str::from_utf8(bytes) {
        Ok(whole) if !escaped => Cow::Borrowed(whole),
        _ => Cow::Owned(out),
    }
}

/// Whether `path` is an absolute Windows path: `C:\x`, `\\server\share\x`, `\Device\x`.
pub fn is_windows_path(path: &[u8]) -> bool {
    matches!(path, [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic()) || path.starts_with(b"\\")
}

/// Returns the last component of a path, which may be a Windows path. Elsewhere a backslash is an ordinary character.
/// Returns the whole path if it ends in a separator.
pub fn file_name(path: &[u8]) -> &[u8] {
    let windows = is_windows_path(path);
    let is_separator = |&byte: &u8| byte == b'/' || (windows && byte == b'\\');
    match path.iter().rposition(is_separator) {
        Some(last) if last + 1 < path.len() => &path[last + 1..],
        _ => path,
    }
}

/// Quotes `word` as one argument for PowerShell, safe to print. Within single quotes only quotes are special, and
/// PowerShell treats typographic ones as quotes, too.
pub fn powershell_quoted(word: &[u8]) -> String {
    let text = String::from_utf8_lossy(word);
    let mut out = String::from("'");
    for letter in text.chars() {
        match letter {
            '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}' => out.extend([letter, letter]),
            // A line break would end the command, and control characters must not reach a terminal.
            letter if !is_plain(letter) => out.push('?'),
            letter => out.push(letter),
        }
    }
    out.push('\'');
    out
}

/// Returns a word of a PowerShell command, quoted unless it consists only of letters, digits and `-_:./`.
pub fn powershell_word(word: &[u8]) -> String {
    // PowerShell splits words that begin with a dash at dots and colons.
    let is_plain = match word {
        [b'-', rest @ ..] => rest.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-'),
        word => {
            !word.is_empty()
                && word
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_:./".contains(byte))
        }
    };
    match is_plain {
        true => String::from_utf8_lossy(word).into_owned(),
        false => powershell_quoted(word),
    }
}

/// Returns a PowerShell command; a quoted program is called with `&`.
pub fn powershell_command(program: &str, words: &[&[u8]]) -> String {
    let program = powershell_word(program.as_bytes());
    let call = if program.starts_with('\'') { "& " } else { "" };
    let words: String = words.iter().map(|word| format!(" {}", powershell_word(word))).collect();
    format!("{call}{program}{words}")
}

/// Escapes text that is already UTF-8; see [`escape`].
pub fn escape_str(text: &str) -> Cow<'_, str> {
    escape(text.as_bytes())
}

/// Returns an error message without the number that Rust appends to system errors, such as ` (os error 13)`, which does
/// not help users.
pub fn plain_error(error: &(impl std::fmt::Display + ?Sized)) -> String {
    const BEGIN: &str = " (os error ";
    let mut text = error.to_string();
    let mut from = 0;
    while let Some(at) = text[from..].find(BEGIN).map(|at| from + at) {
        let number = &text[at + BEGIN.len()..];
        let digits = number
            .bytes()
            .take_while(|byte| byte.is_ascii_digit() || *byte == b'-')
            .count();
        if digits > 0 && number[digits..].starts_with(')') {
            text.replace_range(at..at + BEGIN.len() + digits + 1, "");
            from = at;
        } else {
            from = at + BEGIN.len();
        }
    }
    text
}

/// Returns `bytes` as text from which they can be recovered: UTF-8 is kept, and each byte of invalid UTF-8 becomes
/// `\xNN` (80 to ff, in lower case). To keep this unambiguous, a backslash before `xNN` with such a value, or before
/// `x5c` that precedes it, becomes `\x5c`.
///
/// Control characters are kept: this is for documents that escape them in their own way, not for terminals.
pub fn lossless(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.contains('\\')
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() + 8);
    let mut rest = bytes;
    while !rest.is_empty() {
        let (plain, after) = match rest.iter().position(|&byte| byte == b'\\') {
            Some(at) => rest.split_at(at),
            None => (rest, &rest[rest.len()..]),
        };
        for chunk in plain.utf8_chunks() {
            out.push_str(chunk.valid());
            chunk.invalid().iter().for_each(|&byte| push_hex(&mut out, byte));
        }
        rest = after;
        if let Some(behind) = after.strip_prefix(b"\\") {
            out.push_str(if reads_as_byte(behind) { "\\x5c" } else { "\\" });
            rest = behind;
        }
    }
    Cow::Owned(out)
}

/// Whether a backslash before this text would look like an escaped byte.
fn reads_as_byte(mut behind: &[u8]) -> bool {
    while let Some(after) = behind.strip_prefix(b"x5c") {
        behind = after;
    }
    let hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    matches!(behind, [b'x', high, low, ..] if hex(high) && *high >= b'8' && hex(low))
}

/// Returns a command as it is typed into a POSIX shell: `program` and its arguments, each quoted if the shell requires
/// it. Every command that is shown is built by this function.
///
/// Quotes do not prevent a word that begins with `-` from being taken for an option: put names from outside after a
/// `--`.
pub fn shell_command(program: &str, arguments: &[&[u8]]) -> String {
    format!("{}{}", shell_quoted(program.as_bytes()), shell_words(arguments))
}

/// Returns the arguments of a command as they are typed, each preceded by a space and quoted if the shell requires it.
pub fn shell_words(arguments: &[&[u8]]) -> String {
    let mut line = String::new();
    for argument in arguments {
        line.push(' ');
        // Leading dashes of options stay unquoted.
        let dashes = argument.iter().take_while(|byte| **byte == b'-').count();
        line.push_str(&"-".repeat(dashes));
        if dashes == 0 || dashes < argument.len() {
            line.push_str(&shell_quoted(&argument[dashes..]));
        }
    }
    line
}

/// Quotes `word` as one argument for a POSIX shell, safe to print. A plain name is not quoted, other printable ASCII is
/// put in single quotes, and other bytes are written in the form `$'...'`.
pub fn shell_quoted(word: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"@%+=:,./_-".contains(byte);
    if !word.is_empty() && word.iter().all(plain) && word[0] != b'-' {
        return word.iter().map(|&byte| char::from(byte)).collect();
    }
    if word.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        let text: String = word.iter().map(|&byte| char::from(byte)).collect();
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut out = String::from("$'");
    for &byte in word {
        match byte {
            b'\\' | b'\'' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            0x20..0x7f => out.push(char::from(byte)),
            other => out.push_str(&format!("\\x{other:02x}")),
        }
    }
    out.push('\'');
    out
}

fn push_hex(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push_str("\\x");
    out.push(DIGITS[usize::from(byte >> 4)] as char);
    out.push(DIGITS[usize::from(byte & 15)] as char);
}

/// Whether `c` is visible and has no effect on other text: not a control or format character (Unicode category Cf, line
/// and paragraph separators, variation selectors, tags, private use), according to the Unicode 16 character database.
pub fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c as u32,
            0xAD | 0x34F | 0x600..=0x605 | 0x61C | 0x6DD | 0x70F | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F
            | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x3164 | 0xE000..=0xF8FF | 0xFE00..=0xFE0F | 0xFEFF
            | 0xFFA0 | 0xFFF0..=0xFFFB | 0x110BD | 0x110CD | 0x13430..=0x1343F | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A
            | 0xE0000..=0xE0FFF | 0xF0000..=0x10FFFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escape_program_called_like_a_deleted_one_is_told_apart() {
        for (name, shown) in [
            (&b"nginx"[..], "nginx"),
            (b"x (deleted)", "x \\x28deleted)"),
            (b"(deleted)", "\\x28deleted)"),
            (b"(deleted) x", "(deleted) x"),
            (b"a\x1b(deleted)", "a\\e\\x28deleted)"),
        ] {
            assert_eq!(escape_program(name), shown);
        }
    }

    #[test]
    fn plain_error_leaves_out_error_number() {
        let denied = std::io::Error::from_raw_os_error(2);
        let plain = plain_error(&denied);
        assert!(!plain.is_empty() && denied.to_string().starts_with(&plain), "{plain}");
        assert!(!plain.contains("os error"), "{plain}");
        assert_eq!(
            plain_error("netlink: No such file (os error 2); /proc: Denied (os error 13): x"),
            "netlink: No such file; /proc: Denied: x"
        );
        for untouched in ["", "(os error )", "a (os error x)", "a (os error 1"] {
            assert_eq!(plain_error(untouched), untouched);
        }
    }

    #[test]
    fn file_name_splits_unix_and_windows_paths_by_their_own_rules() {
        for (path, name) in [
            (&b"/usr/bin/x"[..], &b"x"[..]),
            (br"/usr/bin/a\b", br"a\b"),
            (br"C:\Windows\System32\svchost.exe", b"svchost.exe"),
            (br"Z:/dir\probe.exe", b"probe.exe"),
            (br"\\server\share\x.exe", b"x.exe"),
            (b"svchost.exe", b"svchost.exe"),
            (b"/", b"/"),
            (b"", b""),
        ] {
            assert_eq!(file_name(path), name, "{}", escape(path));
        }
    }

    #[test]
    fn escape_plain_text_is_borrowed() {
        assert!(matches!(escape(b"nginx: worker"), Cow::Borrowed("nginx: worker")));
        assert!(matches!(escape("caf\u{e9}".as_bytes()), Cow::Borrowed("caf\u{e9}")));
    }

    #[test]
    fn escape_terminal_control_characters_are_escaped() {
        assert_eq!(escape(b"a\x1b[2Jb\nc\td\re"), "a\\e[2Jb\\nc\\td\\re");
        assert_eq!(escape(b"\xff\x00\x7f"), "\\xff\\x00\\x7f");
        assert_eq!(escape("\u{202e}gpj.exe\u{9b}1m".as_bytes()), "\\u{202e}gpj.exe\\x9b1m");
    }

    /// Recovers the bytes from [`lossless`] text.
    fn bytes_of(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            let escaped = (byte == b'\\' && reads_as_byte(after)).then(|| &after[1..3]);
            let digits = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
            match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                Some(byte) => {
                    bytes.push(byte);
                    rest = &after[3..];
                }
                None => {
                    bytes.push(byte);
                    rest = after;
                }
            }
        }
        bytes
    }

    #[test]
    fn lossless_text_like_an_escape_stays_distinct_from_bytes() {
        for (bytes, text) in [
            (&b"plain"[..], "plain"),
            (b"\xff", "\\xff"),
            (b"\\xff", "\\x5cxff"),
            (b"\\x5cxff", "\\x5cx5cxff"),
            (b"a\\\xff\n", "a\\\\xff\n"),
            // The escapes in unit names are kept.
            (b"my\\x2dnet.service", "my\\x2dnet.service"),
            (b"\\xFF", "\\xFF"),
            (b"C:\\dir", "C:\\dir"),
        ] {
            assert_eq!(lossless(bytes), text, "{bytes:?}");
        }
    }

    #[test]
    fn shell_command_quotes_program_and_arguments() {
        assert_eq!(
            shell_command("/opt/a b/x", &[b"--root=/a b", b"x$(id)"]),
            "'/opt/a b/x' --'root=/a b' 'x$(id)'"
        );
        assert_eq!(
            shell_command("ss", &[b"-K", b"--", b"[::1]", b"="]),
            "ss -K -- '[::1]' ="
        );
    }

    #[test]
    fn powershell_command_quotes_program_and_arguments() {
        assert_eq!(powershell_quoted(br"C:\a b\x.exe"), r"'C:\a b\x.exe'");
        assert_eq!(
            powershell_quoted("it's\u{2019}\n\u{202e}".as_bytes()),
            "'it''s\u{2019}\u{2019}??'"
        );
        assert_eq!(powershell_quoted(b"$(calc)`n"), "'$(calc)`n'");
        assert_eq!(
            powershell_command(r"C:\a b\x.exe", &[b"inspect", b"pid:4", b"-a", b"-x.y", b"a b"]),
            r"& 'C:\a b\x.exe' inspect pid:4 -a '-x.y' 'a b'"
        );
        assert_eq!(powershell_command("netstat", &[b"-ano"]), "netstat -ano");
    }

    #[test]
    fn shell_quoted_name_cannot_break_out_of_quotes() {
        assert_eq!(shell_quoted(b"ssh.service"), "ssh.service");
        assert_eq!(shell_quoted(b"-rf"), "'-rf'");
        assert_eq!(shell_quoted(b""), "''");
        assert_eq!(shell_quoted(b"a'; rm -rf /; '"), r"'a'\''; rm -rf /; '\'''");
        assert_eq!(shell_quoted(b"a\x1b[2J'\\"), r"$'a\x1b[2J\'\\'");
    }

    proptest! {
        #[test]
        fn shell_quoted_word_read_by_shell_is_unchanged(word in prop::collection::vec(1u8.., 1..20)) {
            // bash supports $'...', which has been part of POSIX since 2024.
            let Ok(output) = std::process::Command::new("bash")
                .args(["-c", &format!("printf %s {}", shell_quoted(&word))])
                .output()
            else {
                return Ok(());
            };
            prop_assert_eq!(output.stdout, word);
        }

        #[test]
        fn escape_any_bytes_gives_no_control_character(bytes: Vec<u8>) {
            prop_assert!(escape(&bytes).chars().all(|c| !c.is_control() && is_plain(c)));
        }

        #[test]
        fn lossless_text_read_back_gives_same_bytes(bytes: Vec<u8>, alike in r"(\\|x5c|xff|x8|\PC){0,12}") {
            for bytes in [bytes, alike.into_bytes()] {
                prop_assert_eq!(bytes_of(&lossless(&bytes)), bytes);
            }
        }
    }
}
