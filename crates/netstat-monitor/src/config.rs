//! The configuration file and the saved state of the screen: their content, their errors, and how the state is saved.
//!
//! The user's configuration is only read. Changes made with keys are written to a file of the same format in the state
//! directory. Of the two files, the one written last takes precedence.
//!
//! ```toml
//! theme = "dark"          # dark, light, monochrome, color-blind
//! interval = 1.0          # seconds between two refreshes: 0.2 to 60
//! graph = "60s"           # 60s or 10min
//! names = true            # names of hosts and services, or numbers
//! tab = "overview"        # overview, cpu, memory, disk, network
//! tree = "flat"           # flat, parent, unit
//! group = "none"          # none, program, unit, container, peer, network, country, as
//! short = "fold"          # connections shorter than a refresh: fold, list, hide
//! symbols = "unicode"     # unicode or ascii
//!
//! [pane.network.connections]
//! columns = ["image", "pid", "address", "state", "latency"]
//! sort = "-latency"       # a minus: the largest first
//! folded = false
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml_edit::{Array, DocumentMut, Item, Table, TableLike, value};

use crate::pane::{Column, Grouping, Pane, ShortConnections, Sort, Tab, Tree};
use crate::theme::ThemeName;

/// The shortest and the longest refresh interval, in seconds.
pub const INTERVALS: (f64, f64) = (0.2, 60.0);

/// The time that graphs cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Span {
    /// A minute.
    #[default]
    Minute,
    /// Ten minutes.
    TenMinutes,
}

impl Span {
    /// Returns the length of the span.
    pub const fn duration(self) -> Duration {
        match self {
            Span::Minute => Duration::from_secs(60),
            Span::TenMinutes => Duration::from_secs(600),
        }
    }

    /// Returns the other span.
    pub const fn other(self) -> Span {
        match self {
            Span::Minute => Span::TenMinutes,
            Span::TenMinutes => Span::Minute,
        }
    }
}

/// The settings of one pane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaneSettings {
    /// Its columns, in display order.
    pub columns: Vec<Column>,
    /// Its sort order.
    pub sort: Sort,
    /// Whether only its title is shown.
    pub folded: bool,
}

impl PaneSettings {
    /// Returns the default settings of `pane`.
    pub fn of(pane: Pane) -> Self {
        let spec = pane.spec();
        PaneSettings {
            columns: spec.columns[..spec.shown].to_vec(),
            sort: Sort {
                column: spec.sort,
                falling: spec.sort.falls() && spec.sort != Column::LocalPort,
            },
            folded: false,
        }
    }
}

/// All settings of the monitor.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The colours; `None` to follow the environment.
    pub theme: Option<ThemeName>,
    /// The refresh interval.
    pub interval: Duration,
    /// The time that graphs cover.
    pub span: Span,
    /// Whether names are shown instead of numbers.
    pub names: bool,
    /// The tab that is shown first.
    pub tab: Tab,
    /// The hierarchy of processes.
    pub tree: Tree,
    /// The grouping of sockets.
    pub grouping: Grouping,
    /// How connections shorter than a refresh are shown.
    pub short: ShortConnections,
    /// Whether graphs and trees use ASCII characters only.
    pub ascii: bool,
    /// The settings of each pane.
    pub panes: BTreeMap<Pane, PaneSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            theme: None,
            interval: Duration::from_secs(1),
            span: Span::Minute,
            names: true,
            tab: Tab::Overview,
            tree: Tree::Flat,
            grouping: Grouping::None,
            short: ShortConnections::Folded,
            ascii: false,
            panes: Pane::ALL
                .into_iter()
                .map(|pane| (pane, PaneSettings::of(pane)))
                .collect(),
        }
    }
}

/// An error in a configuration file: one line with the key, what is allowed, and the line number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct BadConfig {
    /// The line number, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// Returns the path of the configuration file: `$XDG_CONFIG_HOME/netstat/monitor.toml` or
/// `~/.config/netstat/monitor.toml` (XDG Base Directory Specification), or the same below `%APPDATA%`. `None` if none
/// of these is known. `environment` returns the value of a variable.
pub fn path(environment: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
    let absolute = |name| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .or_else(|| absolute("APPDATA"))?;
    Some(base.join("netstat").join("monitor.toml"))
}

const TABS: [(&str, Tab); 5] = [
    ("overview", Tab::Overview),
    ("cpu", Tab::Cpu),
    ("memory", Tab::Memory),
    ("disk", Tab::Disk),
    ("network", Tab::Network),
];
const SPANS: [(&str, Span); 2] = [("60s", Span::Minute), ("10min", Span::TenMinutes)];
const TREES: [(&str, Tree); 3] = [("flat", Tree::Flat), ("parent", Tree::Parent), ("unit", Tree::Unit)];
const SYMBOLS: [(&str, bool); 2] = [("unicode", false), ("ascii", true)];

fn name_of<T: PartialEq + Copy>(list: &[(&'static str, T)], wanted: T) -> &'static str {
    list.iter()
        .find(|(_, known)| *known == wanted)
        .map_or("", |(name, _)| name)
}

/// Returns the path of the saved state: `$XDG_STATE_HOME/netstat/monitor.toml` or `~/.local/state/netstat/monitor.toml`
/// (XDG Base Directory Specification), or the same below `%LOCALAPPDATA%`. `None` if none of these is known.
pub fn state_path(environment: impl Fn(&str) -> Option<std::ffi::OsString>) -> Option<PathBuf> {
    let absolute = |name| environment(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .or_else(|| absolute("LOCALAPPDATA"))?;
    Some(base.join("netstat").join("monitor.toml"))
}

/// Parses a configuration file.
///
/// # Errors
/// Returns the first error in it.
pub fn parse(text: &str) -> Result<Settings, BadConfig> {
    parse_onto(text, Settings::default())
}

/// Parses a configuration file; anything it does not set is taken from `settings`.
///
/// # Errors
/// Returns the first error in it.
pub fn parse_onto(text: &str, mut settings: Settings) -> Result<Settings, BadConfig> {
    let line_at = |at: usize| {
        text.as_bytes()[..at.min(text.len())]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count()
            + 1
    };
    let document = toml_edit::Document::parse(text).map_err(|error| BadConfig {
        line: error.span().map_or(1, |span| line_at(span.start)),
        what: netstat_model::text::escape_str(error.message().lines().next().unwrap_or_default()).into_owned(),
    })?;
    let reader = Reader { line_at: &line_at };
    reader.top(document.as_table(), &mut settings)?;
    Ok(settings)
}

struct Reader<'a> {
    line_at: &'a dyn Fn(usize) -> usize,
}

impl Reader<'_> {
    fn bad<T>(&self, table: &dyn TableLike, key: &str, what: String) -> Result<T, BadConfig> {
        let span = table
            .get_key_value(key)
            .and_then(|(key, item)| key.span().or_else(|| item.span()));
        let line = span.map_or(1, |span| (self.line_at)(span.start));
        Err(BadConfig { line, what })
    }

    fn one_of<T: Copy>(&self, table: &dyn TableLike, key: &str, allowed: &[(&str, T)]) -> Result<T, BadConfig> {
        let word = table.get(key).and_then(Item::as_str);
        match word.and_then(|word| allowed.iter().find(|(name, _)| *name == word)) {
            Some((_, value)) => Ok(*value),
            None => {
                let names: Vec<&str> = allowed.iter().map(|(name, _)| *name).collect();
                self.bad(table, key, format!("\"{key}\" must be one of: {}", names.join(", ")))
            }
        }
    }

    fn flag(&self, table: &dyn TableLike, key: &str) -> Result<bool, BadConfig> {
        match table.get(key).and_then(Item::as_bool) {
            Some(flag) => Ok(flag),
            None => self.bad(table, key, format!("\"{key}\" must be true or false")),
        }
    }

    fn unknown<T>(&self, table: &dyn TableLike, key: &str, allowed: &str) -> Result<T, BadConfig> {
        let name = netstat_model::text::escape_str(key);
        self.bad(table, key, format!("unknown key \"{name}\": use {allowed}"))
    }

    fn top(&self, table: &Table, settings: &mut Settings) -> Result<(), BadConfig> {
        for (key, item) in table.iter() {
            match key {
                "theme" => settings.theme = Some(self.one_of(table, key, &ThemeName::ALL)?),
                "interval" => {
                    let seconds = item.as_float().or_else(|| item.as_integer().map(|whole| whole as f64));
                    match seconds.filter(|seconds| (INTERVALS.0..=INTERVALS.1).contains(seconds)) {
                        Some(seconds) => settings.interval = Duration::from_secs_f64(seconds),
                        None => {
                            let (least, most) = INTERVALS;
                            return self.bad(
                                table,
                                key,
                                format!("\"interval\" must be a number of seconds from {least} to {most}"),
                            );
                        }
                    }
                }
                "graph" => settings.span = self.one_of(table, key, &SPANS)?,
                "names" => settings.names = self.flag(table, key)?,
                "tab" => settings.tab = self.one_of(table, key, &TABS)?,
                "tree" => settings.tree = self.one_of(table, key, &TREES)?,
                "group" => settings.grouping = self.one_of(table, key, &Grouping::ALL)?,
                "short" => settings.short = self.one_of(table, key, &ShortConnections::ALL)?,
                "symbols" => settings.ascii = self.one_of(table, key, &SYMBOLS)?,
                "pane" => match item.as_table_like() {
                    Some(panes) => self.panes(panes, settings)?,
                    None => {
                        return self.bad(
                            table,
                            key,
                            "\"pane\" must be a table: [pane.network.connections]".to_owned(),
                        );
                    }
                },
                _ => {
                    return self.unknown(
                        table,
                        key,
                        "theme, interval, graph, names, tab, tree, group, short, symbols, pane",
                    );
                }
            }
        }
        Ok(())
    }

    /// Reads `[pane.TAB.NAME]`: two levels.
    fn panes(&self, tabs: &dyn TableLike, settings: &mut Settings) -> Result<(), BadConfig> {
        for (tab, item) in tabs.iter() {
            let names: Vec<&str> = TABS.iter().map(|(name, _)| *name).collect();
            let (true, Some(panes)) = (names.contains(&tab), item.as_table_like()) else {
                return self.unknown(tabs, tab, &names.join(", "));
            };
            for (name, item) in panes.iter() {
                let pane = Pane::from_key(&format!("{tab}.{name}"));
                let (Some(pane), Some(table)) = (pane, item.as_table_like()) else {
                    let known = Pane::ALL
                        .into_iter()
                        .filter_map(|pane| pane.spec().key.strip_prefix(tab)?.strip_prefix('.'));
                    return self.unknown(panes, name, &known.collect::<Vec<_>>().join(", "));
                };
                let known = settings.panes.get(&pane).cloned();
                let mut wanted = known.unwrap_or_else(|| PaneSettings::of(pane));
                for (key, item) in table.iter() {
                    match key {
                        "columns" => wanted.columns = self.columns(table, pane, item)?,
                        "sort" => wanted.sort = self.sort(table, pane, item)?,
                        "folded" => wanted.folded = self.flag(table, key)?,
                        _ => return self.unknown(table, key, "columns, sort, folded"),
                    }
                }
                settings.panes.insert(pane, wanted);
            }
        }
        Ok(())
    }

    fn columns(&self, table: &dyn TableLike, pane: Pane, item: &Item) -> Result<Vec<Column>, BadConfig> {
        let words = item
            .as_array()
            .map(|array| array.iter().map(|word| word.as_str()).collect::<Vec<_>>());
        let mut columns = Vec::new();
        for word in words.unwrap_or_else(|| vec![None]) {
            match word.and_then(|word| column_of(pane, word)) {
                Some(column) if !columns.contains(&column) => columns.push(column),
                Some(_) => {
                    return self.bad(
                        table,
                        "columns",
                        format!("\"columns\" names \"{}\" twice", word.unwrap_or_default()),
                    );
                }
                None => {
                    let word = word.map_or_else(String::new, |word| {
                        format!(" has no \"{}\":", netstat_model::text::escape_str(word))
                    });
                    return self.bad(
                        table,
                        "columns",
                        format!("\"columns\"{word} must be a list of: {}", column_keys(pane)),
                    );
                }
            }
        }
        if columns.is_empty() {
            return self.bad(
                table,
                "columns",
                format!("\"columns\" must name at least one of: {}", column_keys(pane)),
            );
        }
        Ok(columns)
    }

    fn sort(&self, table: &dyn TableLike, pane: Pane, item: &Item) -> Result<Sort, BadConfig> {
        let word = item.as_str().unwrap_or_default();
        let (falling, name) = match word.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, word),
        };
        match column_of(pane, name) {
            Some(column) => Ok(Sort { column, falling }),
            None => self.bad(
                table,
                "sort",
                format!(
                    "\"sort\" must be one of, with a minus for the largest first: {}",
                    column_keys(pane)
                ),
            ),
        }
    }
}

fn column_of(pane: Pane, key: &str) -> Option<Column> {
    Column::from_key(key).filter(|column| pane.spec().columns.contains(column))
}

fn column_keys(pane: Pane) -> String {
    let keys: Vec<&str> = pane.spec().columns.iter().map(|column| column.spec().key).collect();
    keys.join(", ")
}

/// Returns the text of the file with all changes from `old` to `settings` applied and comments preserved. `None` if
/// nothing changes or the text cannot be parsed.
pub fn updated(text: &str, old: &Settings, settings: &Settings) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let mut set = |key: &str, item: Item| {
        // The comment after the old value is kept.
        let decor = document
            .get(key)
            .and_then(Item::as_value)
            .map(|value| value.decor().clone());
        document[key] = item;
        if let (Some(decor), Some(value)) = (decor, document[key].as_value_mut()) {
            *value.decor_mut() = decor;
        }
    };
    if let Some(theme) = settings.theme.filter(|theme| old.theme != Some(*theme)) {
        set("theme", value(theme.name()));
    }
    if settings.interval != old.interval {
        set("interval", value(settings.interval.as_secs_f64()));
    }
    if settings.span != old.span {
        set("graph", value(name_of(&SPANS, settings.span)));
    }
    if settings.names != old.names {
        set("names", value(settings.names));
    }
    if settings.tab != old.tab {
        set("tab", value(name_of(&TABS, settings.tab)));
    }
    if settings.tree != old.tree {
        set("tree", value(name_of(&TREES, settings.tree)));
    }
    if settings.grouping != old.grouping {
        set("group", value(settings.grouping.name()));
    }
    if settings.short != old.short {
        set("short", value(name_of(&ShortConnections::ALL, settings.short)));
    }
    for (&pane, wanted) in &settings.panes {
        let known = &old.panes[&pane];
        if wanted == known {
            continue;
        }
        let (tab, name) = pane.spec().key.split_once('.')?;
        let table = sub_table(document.as_table_mut(), "pane")?;
        let table = sub_table(table, tab)?;
        let table = sub_table(table, name)?;
        table.set_implicit(false);
        if wanted.columns != known.columns {
            table["columns"] = value(wanted.columns.iter().map(|column| column.spec().key).collect::<Array>());
        }
        if wanted.sort != known.sort {
            let minus = if wanted.sort.falling { "-" } else { "" };
            table["sort"] = value(format!("{minus}{}", wanted.sort.column.spec().key));
        }
        if wanted.folded != known.folded {
            table["folded"] = value(wanted.folded);
        }
    }
    let new = document.to_string();
    (new != text).then_some(new)
}

fn sub_table<'a>(table: &'a mut Table, key: &str) -> Option<&'a mut Table> {
    let entry = table.entry(key).or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    entry.as_table_mut()
}

/// The size limit of a configuration file, in bytes.
const LONGEST: u64 = 1 << 20;

/// Reads the configuration file at `path`.
///
/// # Errors
/// See [`netstat_os::files::text_named`].
pub fn read(path: &Path) -> std::io::Result<String> {
    netstat_os::files::text_named(path, LONGEST)
}

/// Applies all changes from `old` to `settings` to the file at `path`. The file is replaced atomically, so that it is
/// never incomplete. A file that cannot be parsed is replaced.
///
/// # Errors
/// Returns an error if the file cannot be read or written.
pub fn save(path: &Path, old: &Settings, settings: &Settings) -> std::io::Result<()> {
    let text = match read(path) {
        Ok(text) if parse(&text).is_ok() => text,
        Ok(_) => String::new(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let Some(new) = updated(&text, old, settings) else {
        return Ok(());
    };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    // A symbolic link is kept: the file to which it leads is replaced.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let beside = target.with_extension(format!("toml.{}", std::process::id()));
    std::fs::write(&beside, new)?;
    std::fs::rename(&beside, target).inspect_err(|_| {
        // Leave no temporary file behind; the first error is the one to report.
        let _ = std::fs::remove_file(&beside);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parse_empty_file_gives_defaults() {
        assert_eq!(parse("").unwrap(), Settings::default());
        assert_eq!(updated("", &Settings::default(), &Settings::default()), None);
    }

    #[test]
    fn parse_wrong_setting_is_error_with_its_line() {
        for (text, line, words) in [
            (
                "theme = \"dark\"\nthem = 1\n",
                2,
                "unknown key \"them\": use theme, interval",
            ),
            (
                "\n\ntheme = \"pink\"",
                3,
                "\"theme\" must be one of: dark, light, monochrome, color-blind",
            ),
            (
                "interval = 0",
                1,
                "\"interval\" must be a number of seconds from 0.2 to 60",
            ),
            ("names = 1", 1, "\"names\" must be true or false"),
            ("a = = 1", 1, ""),
            (
                "[pane.network]\n[pane.network.conections]\n",
                2,
                "unknown key \"conections\": use processes, activity",
            ),
            (
                "[pane.cpu.processes]\nsort = \"-reach\"\n",
                2,
                "\"sort\" must be one of",
            ),
            (
                "[pane.cpu.processes]\n\ncolumns = [\"image\",\n\"latency\"]\n",
                3,
                "\"columns\" has no \"latency\"",
            ),
            ("[pane.cpu.processes]\ncolumns = []\n", 2, "at least one of"),
            ("[pane.cpu.processes]\ncolumns = [\"pid\", \"pid\"]\n", 2, "twice"),
            ("[pane.gpu]\n", 1, "unknown key \"gpu\""),
            ("pane = 3", 1, "must be a table"),
        ] {
            let bad = parse(text).unwrap_err();
            assert_eq!(bad.line, line, "{text}: {bad}");
            assert!(bad.what.contains(words), "{text}: {bad}");
            assert!(!bad.to_string().contains('\n'));
        }
    }

    #[test]
    fn updated_text_has_new_settings_and_keeps_comments() {
        let text = "# mine\ntheme = \"light\" # at noon\n\n[pane.cpu.processes]\nfolded = true # quiet\n";
        let mut settings = parse(text).unwrap();
        assert!(settings.panes[&Pane::CpuProcesses].folded);
        settings.theme = Some(ThemeName::ColorBlind);
        settings.interval = Duration::from_millis(2500);
        settings.panes.get_mut(&Pane::Connections).unwrap().sort = Sort {
            column: Column::Latency,
            falling: true,
        };
        settings.panes.get_mut(&Pane::Connections).unwrap().columns = vec![Column::Pid, Column::Latency];
        let new = updated(text, &parse(text).unwrap(), &settings).unwrap();
        assert!(new.starts_with("# mine\ntheme = \"color-blind\" # at noon\n"), "{new}");
        assert!(new.contains("folded = true # quiet"), "{new}");
        assert!(new.contains("[pane.network.connections]\n"), "{new}");
        assert_eq!(parse(&new).unwrap(), settings);
        assert_eq!(updated(&new, &settings, &settings), None);
    }

    #[test]
    fn example_in_documentation_of_module_is_parsed() {
        let source = include_str!("config.rs");
        let example: Vec<&str> = source
            .lines()
            .skip_while(|line| *line != "//! ```toml")
            .skip(1)
            .take_while(|line| *line != "//! ```")
            .map(|line| line.trim_start_matches("//!").trim())
            .collect();
        let settings = parse(&example.join("\n")).unwrap();
        assert_eq!(settings.panes[&Pane::Connections].columns.len(), 5);
    }

    #[test]
    fn path_of_file_follows_environment() {
        // A path that is absolute on the system of the test.
        let home = std::env::temp_dir();
        let of = |set: &[(&str, &Path)]| {
            let known = |name: &str| set.iter().find(|one| one.0 == name);
            path(|name| known(name).map(|one| one.1.into()))
        };
        let below = |directory: PathBuf| Some(directory.join("netstat").join("monitor.toml"));
        assert_eq!(of(&[("HOME", &home)]), below(home.join(".config")));
        let xdg = home.join("x");
        assert_eq!(of(&[("XDG_CONFIG_HOME", &xdg), ("HOME", &home)]), below(xdg));
        assert_eq!(of(&[("APPDATA", &home)]), below(home.clone()));
        assert_eq!(of(&[("XDG_CONFIG_HOME", Path::new("relative"))]), None);
    }

    #[test]
    fn save_keeps_only_changed_settings() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("monitor.toml");
        // The configuration says 5 s and light; with a key, the theme was changed to dark, which is also the default.
        let start = parse("interval = 5.0\ntheme = \"light\"").unwrap();
        let end = Settings {
            theme: Some(ThemeName::Dark),
            ..start.clone()
        };
        save(&path, &start, &end).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "theme = \"dark\"\n");
        let again = parse_onto("theme = \"dark\"", start).unwrap();
        assert_eq!(
            (again.theme, again.interval),
            (Some(ThemeName::Dark), Duration::from_secs(5))
        );
        // A damaged file is replaced.
        std::fs::write(&path, "a = = 1").unwrap();
        save(&path, &Settings::default(), &end).unwrap();
        assert!(parse(&std::fs::read_to_string(&path).unwrap()).is_ok());
    }

    #[test]
    fn save_replaces_file_and_leaves_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netstat/monitor.toml");
        let settings = Settings {
            names: false,
            ..Settings::default()
        };
        save(&path, &Settings::default(), &settings).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "names = false\n");
        assert_eq!(std::fs::read_dir(dir.path().join("netstat")).unwrap().count(), 1);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            if let Err(bad) = parse(&text) {
                prop_assert!(bad.line >= 1 && !bad.what.chars().any(char::is_control), "{bad:?}");
            }
        }
    }
}
