//! Default switches and aliases: from `~/.config/netstat/config.toml` and `NETSTAT_OPTIONS`.
//!
//! ```toml
//! options = "-n --color always"
//!
//! [alias]
//! web = "-tn --port 80,443"
//! who = "inspect --json"
//! ```
//!
//! They are for people: where standard output is no terminal, nothing of it applies unless `--defaults` asks for it, so that a script
//! gets the same everywhere. `--no-defaults` leaves them out on a terminal, too.

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

/// The environment variable with further default switches.
pub const VARIABLE: &str = "NETSTAT_OPTIONS";

/// A configuration file larger than this is none.
const MOST_BYTES: u64 = 1 << 20;

/// Default switches and aliases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Switches for lines without a command, those of the file before those of the environment.
    options: Vec<String>,
    /// What a first word stands for.
    aliases: BTreeMap<String, Vec<String>>,
}

impl Defaults {
    /// What applies to a line of `words`: nothing unless standard output is a `terminal`, or the line says `--defaults`.
    ///
    /// # Errors
    /// What is wrong with the file or the variable, in one line.
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

    /// Reads the text of a configuration file.
    ///
    /// # Errors
    /// What is wrong with it.
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

    /// `words` with an alias at their beginning replaced by what it stands for. Commands, given by `is_command`, win over aliases.
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

    /// Whether there are none.
    pub(super) fn has_no_options(&self) -> bool {
        self.options.is_empty()
    }
}

/// Where the file is: `$XDG_CONFIG_HOME/netstat/config.toml`, else `~/.config/netstat/config.toml` (XDG Base Directory Specification).
fn path(environment: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .or_else(|| absolute("APPDATA"))?;
    Some(base.join("netstat").join("config.toml"))
}

/// The file's text. One that belongs to somebody else than the caller is left out: with sudo, HOME may be that of another user, and
/// what an ordinary user writes decides nothing for root.
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

/// The words of a line, with the quotes of a shell; `None` when a quote has no end.
fn split(line: &str) -> Option<Vec<String>> {
    shlex::split(line)
}

/// Switches of which a line has one: a default gives way to another of its group that was typed.
const EXCLUSIVE: &[&[&str]] = &[
    &["numeric", "full-names"],
    &["json", "ndjson", "csv"],
    &["wide", "columns", "group", "tree"],
    &["ipv4", "ipv6"],
    &["all", "listen"],
];

/// Default switches that also make sense where no connections are listed; the others would add a list to `-r` or `-s`.
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

/// The name of a switch, for comparing.
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

/// `typed` behind those of the default switches that do not contradict it.
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
        // A list is not added to other parts.
        assert_eq!(
            merged(defaults(), vec![Token::Letter('r')]),
            [Token::Letter('n'), long("color", Some("always")), Token::Letter('r')]
        );
    }
}
