//! Default switches and aliases, read from `~/.config/netstat/config.toml` and `NETSTAT_OPTIONS`.
//!
//! ```toml
//! options = "-n --color always"
//!
//! [alias]
//! web = "-tn --port 80,443"
//! who = "inspect --json"
//! ```
//!
//! They are meant for interactive use. If standard output is not a terminal, they apply only with `--defaults`, so that
//! a script behaves the same everywhere. `--no-defaults` ignores them on a terminal, too.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use netstat_os::files;
use toml_edit::{DocumentMut, Item};

use super::UsageError;
use super::error::quoted;
use super::token::Token;

/// The environment variable that holds further default switches.
pub const VARIABLE: &str = "NETSTAT_OPTIONS";

/// The size limit of a configuration file, in bytes; a larger one is not read as a configuration file.
const MOST_BYTES: u64 = 1 << 20;

/// Default switches and aliases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Switches for command lines without a command: those of the file, then those of the environment.
    options: Vec<String>,
    /// The words that each alias stands for.
    aliases: BTreeMap<String, Vec<String>>,
}

impl Defaults {
    /// Returns the defaults that apply to the command line `words`: none, unless standard output is a `terminal` or
    /// `--defaults` is among `words`.
    ///
    /// # Errors
    /// Returns what is wrong with the file or the variable, as one line.
    pub fn of_user(words: &[OsString], terminal: bool) -> Result<Defaults, UsageError> {
        let says = |switch: &str| words.iter().any(|word| word == switch);
        if says("--no-defaults") || !(terminal || says("--defaults")) {
            return Ok(Defaults::default());
        }
        let environment = |name: &str| std::env::var_os(name);
        let mut defaults = match path(environment).map(|path| (read(&path), path)) {
            Some((Some(text), path)) => Defaults::parse(&text)
                .map_err(|why| UsageError::new(format!("{}: {why} (--no-defaults leaves it out)", path.display())))?,
            _ => Defaults::default(),
        };
        if let Some(value) = environment(VARIABLE).filter(|value| !value.is_empty()) {
            let words = value.to_str().and_then(split);
            let words = words.ok_or_else(|| {
                UsageError::new(format!(
                    "{VARIABLE} {} has a quote without its end, or is not UTF-8",
                    quoted(&value)
                ))
            })?;
            defaults.options.extend(words);
        }
        Ok(defaults)
    }

    /// Parses a configuration file.
    ///
    /// # Errors
    /// Returns what is wrong with the text.
    fn parse(text: &str) -> Result<Defaults, String> {
        let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
            let line = error
                .span()
                .map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            format!("line {line}: {}", error.message())
        })?;
        let mut defaults = Defaults::default();
        for (key, item) in document.iter() {
            match (key, item) {
                ("options", Item::Value(value)) => {
                    let text = value.as_str().ok_or("options is not a string of switches")?;
                    defaults.options = split(text).ok_or("options has a quote without its end")?;
                }
                ("alias", Item::Table(table)) => {
                    for (name, item) in table.iter() {
                        let words = item.as_str().and_then(split).filter(|words| !words.is_empty());
                        let words = words.ok_or_else(|| format!("alias {name} is not a string of words"))?;
                        if name.starts_with(['-', '/']) || name.starts_with(|c: char| c.is_ascii_digit()) {
                            return Err(format!("alias {name}: a name begins with a letter"));
                        }
                        defaults.aliases.insert(name.to_ascii_lowercase(), words);
                    }
                }
                _ => return Err(format!("unknown key {key}; there are options and [alias]")),
            }
        }
        Ok(defaults)
    }

    /// Replaces an alias at the beginning of `words` by what it stands for. Commands, recognized by `is_command`, take
    /// precedence over aliases.
    pub(super) fn expanded(&self, words: Vec<OsString>, is_command: impl Fn(&OsStr) -> bool) -> Vec<OsString> {
        let Some(first) = words.first().filter(|first| !is_command(first)) else {
            return words;
        };
        let alias = first
            .to_str()
            .and_then(|first| self.aliases.get(&first.to_ascii_lowercase()));
        match alias {
            Some(alias) => alias
                .iter()
                .map(OsString::from)
                .chain(words.into_iter().skip(1))
                .collect(),
            None => words,
        }
    }

    /// The default switches.
    pub(super) fn options(&self) -> impl Iterator<Item = OsString> {
        self.options.iter().map(OsString::from)
    }

    /// Whether there are no default switches.
    pub(super) fn has_no_options(&self) -> bool {
        self.options.is_empty()
    }
}

/// Returns the path of the configuration file: `$XDG_CONFIG_HOME/netstat/config.toml` or
/// `~/.config/netstat/config.toml` (XDG Base Directory Specification), or the same below `%APPDATA%`. `None` if none of
/// these variables is set.
fn path(environment: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .or_else(|| absolute("APPDATA"))?;
    Some(base.join("netstat").join("config.toml"))
}

/// Reads the configuration file at `path`. A file that belongs to a user other than the caller is ignored: under sudo,
/// HOME may be that of another user, and the settings of an ordinary user must not affect root.
fn read(path: &Path) -> Option<String> {
    let file = files::open_without_waiting(path).ok()?;
    let entry = files::entry_of(&file).ok()?;
    let foreign = files::own_user().is_some_and(|own| entry.user != own);
    if entry.kind != files::EntryKind::File || foreign {
        return None;
    }
    let mut text = String::new();
    File::take(file, MOST_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Splits a line into words as a shell does. `None` if a quote is not closed.
fn split(line: &str) -> Option<Vec<String>> {
    shlex::split(line)
}

/// Groups of switches of which one line can have only one: a default is dropped if another switch of its group was
/// typed.
const EXCLUSIVE: &[&[&str]] = &[
    &["numeric", "full-names"],
    &["json", "ndjson", "csv"],
    &["wide", "columns", "group", "tree"],
    &["ipv4", "ipv6"],
    &["all", "listen"],
];

/// Default switches that also apply where no connections are listed. Any other would add a list to `-r` or `-s`.
const EVERYWHERE: &[&str] = &[
    "numeric",
    "full-names",
    "color",
    "dns-timeout",
    "verbose",
    "scroll",
    "owners",
    "ipv4",
    "ipv6",
];

/// Returns the name under which two tokens are compared.
fn name(token: &Token) -> &str {
    match token {
        Token::Letter('n') => "numeric",
        Token::Letter('f') => "full-names",
        Token::Letter('4') => "ipv4",
        Token::Letter('6') => "ipv6",
        Token::Letter('a') => "all",
        Token::Letter('l') => "listen",
        Token::Letter(_) => "",
        Token::Programs => "programs",
        Token::Protocol(_) => "protocol",
        Token::Interval(_) => "interval",
        Token::Long { name, .. } => name,
    }
}

/// Returns the default switches that do not contradict `typed`, followed by `typed`.
pub(super) fn merged(defaults: Vec<Token>, typed: Vec<Token>) -> Vec<Token> {
    let other_part = typed.iter().any(|token| match token {
        Token::Letter(letter) => "esrc".contains(*letter),
        token => ["ethernet", "statistics", "routes", "processes", "follow", "until"].contains(&name(token)),
    });
    let contradicts = |default: &Token| {
        let own = name(default);
        typed.iter().any(|token| {
            let other = name(token);
            let same = own == other && (matches!(token, Token::Long { value: Some(_), .. } | Token::Interval(_)));
            same || EXCLUSIVE
                .iter()
                .any(|group| own != other && group.contains(&own) && group.contains(&other))
        })
    };
    let mut all = defaults;
    all.retain(|default| !contradicts(default) && (!other_part || EVERYWHERE.contains(&name(default))));
    all.extend(typed);
    all
}

/// For the fuzz targets.
#[cfg(fuzzing)]
pub fn fuzz_defaults(text: &str) {
    if let Err(why) = Defaults::parse(text) {
        assert!(!why.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(name: &str, value: Option<&str>) -> Token {
        Token::Long {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        }
    }

    #[test]
    fn configuration_is_read_and_mistakes_are_named() {
        let defaults =
            Defaults::parse("options = \"-n --color 'always'\"\n[alias]\nWeb = \"-tn --port 80,443\"\n").unwrap();
        assert_eq!(defaults.options, ["-n", "--color", "always"]);
        assert_eq!(defaults.aliases["web"], ["-tn", "--port", "80,443"]);
        for (text, why) in [
            ("options = 3", "options is not a string of switches"),
            ("options = \"'\"", "options has a quote without its end"),
            ("colour = 1", "unknown key colour; there are options and [alias]"),
            ("[alias]\n-x = \"a\"", "alias -x: a name begins with a letter"),
            ("[alias]\nx = \"\"", "alias x is not a string of words"),
        ] {
            assert_eq!(Defaults::parse(text), Err(why.to_owned()), "{text}");
        }
        assert!(Defaults::parse("\noptions =").unwrap_err().starts_with("line 2: "));
    }

    #[test]
    fn alias_expands_to_its_words_and_never_to_a_command() {
        let defaults = Defaults::parse("[alias]\nweb = \"-tn --port 80\"\naudit = \"-a\"").unwrap();
        let expanded =
            |words: &[&str]| defaults.expanded(words.iter().map(OsString::from).collect(), |word| word == "audit");
        assert_eq!(expanded(&["WEB", "5"]), ["-tn", "--port", "80", "5"]);
        assert_eq!(expanded(&["audit"]), ["audit"]);
        assert_eq!(expanded(&["-a", "web"]), ["-a", "web"]);
    }

    #[test]
    fn typed_switches_win_over_defaults() {
        let defaults = || vec![Token::Letter('n'), long("color", Some("always")), long("wide", None)];
        assert_eq!(
            merged(defaults(), vec![Token::Letter('a')]),
            [&defaults()[..], &[Token::Letter('a')]].concat()
        );
        let typed = vec![Token::Letter('f'), long("color", Some("never")), long("csv", None)];
        assert_eq!(
            merged(defaults(), typed.clone()),
            [&[long("wide", None)][..], &typed].concat()
        );
        // The defaults do not add a list to other parts.
        assert_eq!(
            merged(defaults(), vec![Token::Letter('r')]),
            [Token::Letter('n'), long("color", Some("always")), Token::Letter('r')]
        );
    }
}
