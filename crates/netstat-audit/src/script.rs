//! Recognises interpreters, and what they run: the code that counts is the script, not the program file.

/// Programs that run scripts, by file name without a version: `python3.11` is matched as `python`.
const INTERPRETERS: [Interpreter; 25] = [
    Interpreter::new("python", b"c", b"WX", true),
    Interpreter::new("pypy", b"c", b"WX", true),
    Interpreter::new("perl", b"eE", b"ICMm", false),
    Interpreter::new("ruby", b"e", b"ICEKr", false),
    Interpreter::new("php", b"rBRE", b"cdztS", false),
    Interpreter::new("node", b"ep", b"r", false),
    Interpreter::new("nodejs", b"ep", b"r", false),
    Interpreter::new("lua", b"e", b"l", false),
    Interpreter::new("luajit", b"e", b"lj", false),
    Interpreter::new("bash", b"c", b"oO", false),
    Interpreter::new("sh", b"c", b"o", false),
    Interpreter::new("dash", b"c", b"o", false),
    Interpreter::new("zsh", b"c", b"o", false),
    Interpreter::new("ksh", b"c", b"o", false),
    Interpreter::new("fish", b"c", b"Cd", false),
    Interpreter::new("tclsh", b"", b"", false),
    Interpreter::new("Rscript", b"e", b"", false),
    Interpreter::new("wish", b"", b"", false),
    Interpreter::new("expect", b"c", b"", false),
    Interpreter::new("ash", b"c", b"o", false),
    Interpreter::new("mksh", b"c", b"o", false),
    Interpreter::new("awk", b"", b"Fv", false),
    Interpreter::new("gawk", b"e", b"Fv", false),
    Interpreter::new("mawk", b"", b"FvW", false),
    Interpreter::new("java", b"", b"", false),
];

/// How the command line of an interpreter is parsed.
#[derive(Debug)]
struct Interpreter {
    name: &'static str,
    /// The letters of the options whose value is program text.
    code: &'static [u8],
    /// The letters of the other options that take a value.
    valued: &'static [u8],
    /// Whether `-m NAME` runs a module.
    modules: bool,
}

impl Interpreter {
    const fn new(name: &'static str, code: &'static [u8], valued: &'static [u8], modules: bool) -> Self {
        Interpreter {
            name,
            code,
            valued,
            modules,
        }
    }
}

/// The code that an interpreter was given to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs<'a> {
    /// A script file.
    File(&'a [u8]),
    /// A module, by name (`python -m`).
    Module(&'a [u8]),
    /// Program text on the command line (`-c`, `-e`).
    Text(&'a [u8]),
    /// Standard input, or interactive use.
    Input,
}

/// Returns what the interpreter with the file name `program` was given to run by its arguments `words`, which begin
/// with the name; `None` if `program` is not an interpreter.
pub fn runs<'a>(program: &[u8], words: &'a [Vec<u8>]) -> Option<Runs<'a>> {
    let bare = without_version(program);
    let interpreter = INTERPRETERS
        .iter()
        .find(|interpreter| interpreter.name.as_bytes() == bare)?;
    if interpreter.name == "java" {
        return Some(java(words));
    }
    let mut rest = words.iter().skip(1).map(Vec::as_slice);
    while let Some(word) = rest.next() {
        match word {
            b"--" => return Some(rest.next().map_or(Runs::Input, Runs::File)),
            b"-" => return Some(Runs::Input),
            [b'-', b'-', long @ ..] => {
                // The long options of Node that take program text.
                if interpreter.name.starts_with("node") && matches!(long, b"eval" | b"print") {
                    return Some(rest.next().map_or(Runs::Input, Runs::Text));
                }
            }
            [b'-', letters @ ..] => {
                if let Some(found) = option(interpreter, letters, &mut rest) {
                    return Some(found);
                }
            }
            // The first operand of awk is the program text, unless -f names a file.
            text if interpreter.name.ends_with("awk") => return Some(Runs::Text(text)),
            file => return Some(Runs::File(file)),
        }
    }
    Some(Runs::Input)
}

/// Returns what the Java launcher was given to run: `-jar FILE`, a source file, or the name of a class.
fn java(words: &[Vec<u8>]) -> Runs<'_> {
    let mut rest = words.iter().skip(1).map(Vec::as_slice);
    while let Some(word) = rest.next() {
        match word {
            b"-jar" => return rest.next().map_or(Runs::Input, Runs::File),
            b"-cp" | b"-classpath" | b"--class-path" | b"-p" | b"--module-path" => {
                rest.next();
            }
            b"-m" | b"--module" => return rest.next().map_or(Runs::Input, Runs::Module),
            [b'-', ..] => {}
            file if file.ends_with(b".java") => return Runs::File(file),
            class => return Runs::Module(class),
        }
    }
    Runs::Input
}

/// Parses a cluster of short options. Returns what is run, if one of the options tells.
fn option<'a>(
    interpreter: &Interpreter,
    letters: &'a [u8],
    rest: &mut impl Iterator<Item = &'a [u8]>,
) -> Option<Runs<'a>> {
    for (at, letter) in letters.iter().enumerate() {
        let attached = &letters[at + 1..];
        if interpreter.code.contains(letter) {
            // Shells take the text from the next argument; other interpreters also accept it attached to the option.
            let text = if attached.is_empty() {
                rest.next()
            } else {
                Some(attached)
            };
            return Some(text.map_or(Runs::Input, Runs::Text));
        }
        if interpreter.modules && *letter == b'm' {
            let module = if attached.is_empty() {
                rest.next()
            } else {
                Some(attached)
            };
            return Some(module.map_or(Runs::Input, Runs::Module));
        }
        if (interpreter.name == "php" && matches!(letter, b'f' | b'F'))
            || (interpreter.name.ends_with("awk") && *letter == b'f')
        {
            let file = if attached.is_empty() {
                rest.next()
            } else {
                Some(attached)
            };
            return Some(file.map_or(Runs::Input, Runs::File));
        }
        if interpreter.valued.contains(letter) {
            if attached.is_empty() {
                rest.next();
            }
            return None;
        }
    }
    None
}

/// Returns the name without a trailing version: `python3.11` becomes `python`. A name that consists of a version only
/// is kept.
fn without_version(name: &[u8]) -> &[u8] {
    let end = name
        .iter()
        .rposition(|byte| !byte.is_ascii_digit() && *byte != b'.')
        .map_or(name.len(), |last| last + 1);
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(program: &str, line: &str) -> Option<String> {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        runs(program.as_bytes(), &words).map(|found| match found {
            Runs::File(path) => format!("file {}", text(path)),
            Runs::Module(name) => format!("module {}", text(name)),
            Runs::Text(code) => format!("text {}", text(code)),
            Runs::Input => "input".to_owned(),
        })
    }

    #[test]
    fn interpreter_script_is_found_after_options() {
        for (program, line, expected) in [
            ("python3.11", "python3 app.py --port 80", "file app.py"),
            ("python3.11", "python3 -u -W ignore -Wd app.py", "file app.py"),
            ("python3", "python3 -c import+socket", "text import+socket"),
            ("python3", "python3 -Ec x", "text x"),
            ("python3", "python3 -m http.server 80", "module http.server"),
            ("python3", "python3", "input"),
            ("python3", "python3 -", "input"),
            ("perl", "perl -T -I /lib x.pl", "file x.pl"),
            ("perl", "perl -e print", "text print"),
            ("ruby", "ruby -rsocket -e x", "text x"),
            ("node", "node --inspect server.js", "file server.js"),
            ("node", "node --eval x", "text x"),
            ("bash", "bash -i", "input"),
            ("bash", "-bash", "input"),
            ("bash", "bash -o pipefail run.sh", "file run.sh"),
            ("bash", "bash -ec x y", "text x"),
            ("sh", "sh -- run.sh", "file run.sh"),
            ("php8.2", "php -S 0:80 router.php", "file router.php"),
            ("php", "php -f x.php", "file x.php"),
        ] {
            assert_eq!(read(program, line).as_deref(), Some(expected), "{line}");
        }
        for program in ["sshd", "pythonista", "3.11", ""] {
            assert_eq!(read(program, "x app.py"), None, "{program}");
        }
    }

    proptest! {
        #[test]
        fn interpreter_with_any_arguments_is_recognized(program in "(python3|php|bash|node)", words: Vec<Vec<u8>>) {
            prop_assert!(runs(program.as_bytes(), &words).is_some());
        }
    }
}
