//! Generates a manual page from the definitions, in the order of man-pages(7), and from the texts that no definition
//! has.

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use netstat_model::columns::{Sockets, Table};

use super::texts;

const SECTION: &str = "1";

/// The name of the program while a page is generated.
const NAME: &str = "netstat";

/// The escape sequences that change the font. The name of the program may follow one directly.
const FONTS: [&str; 3] = ["\\fB", "\\fI", "\\fR"];

/// Returns the page of the whole program, which is called by `name`.
pub(super) fn of_program(program: &Command, name: &str) -> String {
    let mut page = Page::new(program, NAME);
    page.heading("SYNOPSIS");
    page.line([
        bold(NAME),
        roman(" ["),
        italic("SWITCHES"),
        roman("] ["),
        italic("INTERVAL"),
        roman("]"),
    ]);
    if program.has_subcommands() {
        page.roff.control("br", []);
        page.line([
            bold(NAME),
            roman(" "),
            italic("COMMAND"),
            roman(" ["),
            italic("ARGUMENTS"),
            roman("]"),
        ]);
    }
    page.heading("DESCRIPTION");
    page.text(texts::DESCRIPTION);
    page.subheading("How switches are read");
    page.text(texts::SWITCHES);
    page.options(program);
    page.heading("COLUMNS");
    page.text(texts::COLUMNS);
    for column in Sockets::columns() {
        let unit = if column.unit.is_empty() {
            String::new()
        } else {
            format!(" ({})", column.unit)
        };
        page.entry([bold(column.name)], &format!("{}{unit}", column.meaning));
    }
    if program.has_subcommands() {
        page.heading("COMMANDS");
        page.text("Each has a manual page of its own, and a help: netstat COMMAND --help.\n");
        for command in program.get_subcommands() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            page.entry(
                [bold(command.get_name())],
                &format!("{about}; see {NAME}-{}(1).", command.get_name()),
            );
        }
    }
    for (heading, text) in texts::REST {
        page.heading(heading);
        page.text(text.strip_prefix("Examples:\n").unwrap_or(text));
    }
    page.heading("SEE ALSO");
    let own = program
        .get_subcommands()
        .map(|command| format!("{NAME}-{}", command.get_name()));
    page.see_also(own, &texts::SEE_ALSO);
    page.finish(name)
}

/// Returns the page of the command `command`; `None` if there is none.
pub(super) fn of_command(program: &Command, command: &str, name: &str) -> Option<String> {
    let definition = program
        .get_subcommands()
        .find(|own| own.get_name().eq_ignore_ascii_case(command))?;
    let title = format!("{NAME}-{}", definition.get_name());
    let spoken = format!("{NAME} {}", definition.get_name());
    let mut page = Page::new(definition, &title);
    let built = definition.clone().bin_name(&spoken);
    page.heading("SYNOPSIS");
    page.synopsis(&built);
    page.heading("DESCRIPTION");
    let about = definition.get_long_about().or_else(|| definition.get_about());
    page.text(&about.map(|about| sentence(&about.to_string())).unwrap_or_default());
    page.options(&built);
    // The sections that follow the options in the help.
    let after = definition.get_after_long_help().or_else(|| definition.get_after_help());
    let blocks = blocks(&after.map(ToString::to_string).unwrap_or_default());
    let has_status = blocks
        .iter()
        .any(|block| block.heading.eq_ignore_ascii_case("exit status"));
    for block in &blocks {
        page.heading(&if block.heading.is_empty() {
            "NOTES".to_owned()
        } else {
            block.heading.to_uppercase()
        });
        page.text(&block.text);
    }
    if !has_status {
        page.heading("EXIT STATUS");
        page.text(texts::STATUS);
    }
    page.heading("SEE ALSO");
    page.see_also([NAME.to_owned()].into_iter(), &[]);
    Some(page.finish(name))
}

/// A page that is being generated.
struct Page {
    roff: Roff,
    /// The completed part, as text.
    done: String,
}

impl Page {
    fn new(definition: &Command, title: &str) -> Page {
        let mut page = Page {
            roff: Roff::new(),
            done: String::new(),
        };
        let title_upper = title.to_uppercase();
        // The lines about apostrophes at the beginning of each piece of `roff` are written here once.
        let preamble: String = Roff::new()
            .render()
            .lines()
            .filter(|line| is_preamble(line))
            .map(|line| format!("{line}\n"))
            .collect();
        page.done = format!(
            "{preamble}.TH {title_upper} {SECTION} \"\" \"{NAME} {}\" \"User Commands\"\n",
            env!("CARGO_PKG_VERSION")
        );
        page.heading("NAME");
        let about = definition.get_about().map(ToString::to_string).unwrap_or_default();
        // Programs that index manual pages look for this dash.
        page.raw(&format!("{} \\- {}\n", escaped(title), escaped(&about)));
        page
    }

    /// Appends text that is already roff.
    fn raw(&mut self, text: &str) {
        let before = std::mem::take(&mut self.roff);
        self.done.push_str(&body(&before));
        self.done.push_str(text);
    }

    fn heading(&mut self, heading: &str) {
        self.roff.control("SH", [heading]);
    }

    fn subheading(&mut self, heading: &str) {
        self.roff.control("SS", [heading]);
    }

    fn line(&mut self, inlines: impl Into<Vec<Inline>>) {
        self.roff.text(inlines);
    }

    /// Appends a term and its description.
    fn entry(&mut self, term: impl Into<Vec<Inline>>, meaning: &str) {
        self.roff.control("TP", []);
        self.roff.text(term);
        self.roff.text([roman(meaning)]);
    }

    /// Appends plain text in the layout of the help: paragraphs, and entries indented by two columns, whose description
    /// follows after two spaces or on deeper indented lines.
    fn text(&mut self, text: &str) {
        let mut lines = text.lines().peekable();
        let mut first = true;
        while let Some(line) = lines.next() {
            if line.trim().is_empty() {
                continue;
            }
            let is_entry = line.starts_with("  ");
            let (term, mut meaning) = match is_entry {
                true => match line.trim().split_once("  ") {
                    Some((term, meaning)) => (term, meaning.trim().to_owned()),
                    None => (line.trim(), String::new()),
                },
                false => ("", line.to_owned()),
            };
            let goes_on = |next: &&str| match is_entry {
                true => next.starts_with("   "),
                false => !next.trim().is_empty() && !next.starts_with("  "),
            };
            while let Some(next) = lines.next_if(goes_on) {
                if !meaning.is_empty() {
                    meaning.push(' ');
                }
                meaning.push_str(next.trim());
            }
            if is_entry {
                self.entry([bold(term)], &meaning);
            } else {
                if !first {
                    self.roff.control("PP", []);
                }
                self.roff.text([roman(meaning)]);
            }
            first = false;
        }
    }

    fn synopsis(&mut self, command: &Command) {
        let mut rendered = Vec::new();
        // Writing to memory cannot fail.
        let _ = Man::new(command.clone()).render_synopsis_section(&mut rendered);
        let rendered = String::from_utf8_lossy(&rendered).into_owned();
        self.raw(&without_first_heading(&rendered));
    }

    /// Appends all options, in one subsection for each heading of the help.
    fn options(&mut self, command: &Command) {
        let mut rendered = Vec::new();
        if command.get_arguments().all(Arg::is_hide_set) {
            return;
        }
        let _ = Man::new(command.clone()).render_options_section(&mut rendered);
        let rendered = String::from_utf8_lossy(&rendered).into_owned();
        let headings: Vec<&str> = command.get_arguments().filter_map(Arg::get_help_heading).collect();
        let mut text = String::from(".SH OPTIONS\n");
        for line in rendered.lines().filter(|line| !is_preamble(line)) {
            let heading = line.strip_prefix(".SH ").map(|heading| heading.trim_matches('"'));
            match heading.map(|upper| headings.iter().find(|heading| heading.to_uppercase() == upper)) {
                None => text.push_str(&format!("{line}\n")),
                Some(Some(heading)) => text.push_str(&format!(".SS \"{heading}\"\n")),
                // The options without a heading come first.
                Some(None) => {}
            }
        }
        self.raw(&text);
    }

    fn see_also(&mut self, own: impl Iterator<Item = String>, others: &[(&str, &str)]) {
        let mut line = Vec::new();
        let others = others.iter().map(|(page, section)| ((*page).to_owned(), *section));
        for (page, section) in own.map(|page| (page, SECTION)).chain(others) {
            if !line.is_empty() {
                line.push(roman(", "));
            }
            line.push(bold(page));
            line.push(roman(format!("({section})")));
        }
        self.roff.text(line);
    }

    /// Returns the complete page, in which the program is called `name`.
    fn finish(mut self, name: &str) -> String {
        self.raw("");
        let page = self.done;
        if name == NAME {
            return page;
        }
        let title = page.lines().find(|line| line.starts_with(".TH ")).unwrap_or_default();
        let upper = title.replace(&NAME.to_uppercase(), &name.to_uppercase());
        renamed(&page.replacen(title, &upper, 1), &escaped(name))
    }
}

/// A section of a help text, with its heading.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    heading: String,
    text: String,
}

/// Splits a help text into sections: `Examples:` on a line of its own, or `Exit status: 0 ...` at the beginning of a
/// paragraph.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut after_blank = true;
    for line in text.lines() {
        let heading = line.split_once(':').filter(|(heading, rest)| {
            after_blank
                && heading.starts_with(|c: char| c.is_ascii_uppercase())
                && heading.chars().all(|c| c.is_ascii_alphabetic() || c == ' ')
                && heading.split(' ').count() <= 4
                && (rest.is_empty() || heading.eq_ignore_ascii_case("exit status"))
        });
        after_blank = line.trim().is_empty();
        match heading {
            Some((heading, rest)) => blocks.push(Block {
                heading: heading.to_owned(),
                text: if rest.is_empty() {
                    String::new()
                } else {
                    format!("{}\n", sentence(rest.trim()))
                },
            }),
            None => {
                if blocks.is_empty() {
                    if after_blank {
                        continue;
                    }
                    blocks.push(Block {
                        heading: String::new(),
                        text: String::new(),
                    });
                }
                if let Some(block) = blocks.last_mut() {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
            }
        }
    }
    blocks
}

/// Returns `text` with an initial capital, and with a full stop unless it ends with punctuation.
fn sentence(text: &str) -> String {
    let mut chars = text.trim_end().chars();
    let mut text: String = chars
        .next()
        .map(|first| first.to_uppercase().collect())
        .unwrap_or_default();
    text.push_str(chars.as_str());
    if text.ends_with(|c: char| c.is_alphanumeric() || c == ')') && !text.contains('\n') {
        text.push('.');
    }
    text
}

/// Returns the content of `roff` without the lines about apostrophes at the beginning of each piece.
fn body(roff: &Roff) -> String {
    roff.render()
        .lines()
        .filter(|line| !is_preamble(line))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn is_preamble(line: &str) -> bool {
    line.starts_with(".ie \\n(.g") || line.starts_with(".el .ds Aq")
}

fn without_first_heading(rendered: &str) -> String {
    let lines = rendered.lines().filter(|line| !is_preamble(line));
    lines
        .skip_while(|line| !line.starts_with(".SH"))
        .skip(1)
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Escapes `text`, so that roff prints it unchanged.
fn escaped(text: &str) -> String {
    let mut roff = Roff::new();
    roff.text([roman(text)]);
    body(&roff).trim_end().to_owned()
}

/// Replaces the name of the program in `page` wherever it is a separate word, but not in paths.
fn renamed(page: &str, name: &str) -> String {
    let mut out = String::with_capacity(page.len());
    let mut rest = page;
    while let Some(at) = rest.find(NAME) {
        let (before, found) = rest.split_at(at);
        let after = &found[NAME.len()..];
        let joined = before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '/' | '_' | '-'))
            && !FONTS.iter().any(|font| before.ends_with(font))
            // A backslash of text: a directory on Windows.
            || before.ends_with(r"\\")
            || after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        out.push_str(before);
        out.push_str(if joined { NAME } else { name });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{COMMANDS, program};

    #[test]
    fn renamed_page_keeps_paths_that_hold_the_name() {
        let page = r"\fBnetstat\fR keeps %ProgramData%\\netstat and /run/netstat; run netstat record";
        let shown = r"\fBnetstat-rs\fR keeps %ProgramData%\\netstat and /run/netstat; run netstat-rs record";
        assert_eq!(renamed(page, "netstat-rs"), shown);
    }

    fn headings(page: &str) -> Vec<&str> {
        page.lines()
            .filter_map(|line| line.strip_prefix(".SH "))
            .map(|heading| heading.trim_matches('"'))
            .collect()
    }

    #[test]
    fn program_page_has_the_usual_headings() {
        let page = of_program(&program(), "netstat");
        assert_eq!(
            headings(&page),
            [
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "OPTIONS",
                "COLUMNS",
                "COMMANDS",
                "PRIVILEGE",
                "EXIT STATUS",
                "ENVIRONMENT",
                "FILES",
                "EXAMPLES",
                "NOTES",
                "SEE ALSO"
            ]
        );
        assert!(page.contains("\nnetstat \\- Who this computer talks to"), "{page}");
    }

    #[test]
    fn man_pages_contain_every_option_and_command() {
        let program = program();
        let page = of_program(&program, "netstat");
        let shown = |word: &str| word.replace('-', "\\-");
        let mut pages = vec![(&program, page.clone())];
        for command in program.get_subcommands() {
            let name = command.get_name();
            assert!(page.contains(&format!("\\fB{}\\fR", shown(name))), "{name}");
            assert!(
                page.contains(&format!("\\fBnetstat\\-{}\\fR(1)", shown(name))),
                "{name}"
            );
            pages.push((command, of_command(&program, name, "netstat").unwrap()));
        }
        for (command, page) in pages {
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                if let Some(long) = arg.get_long() {
                    assert!(page.contains(&format!("\\-\\-{}\\fR", shown(long))), "{long} in {page}");
                }
            }
        }
    }

    #[test]
    fn every_command_has_a_man_page_of_its_own() {
        for command in COMMANDS {
            let page = of_command(&program(), &command.name.to_uppercase(), "netstat").unwrap();
            for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "SEE ALSO"] {
                assert_eq!(
                    headings(&page).iter().filter(|own| **own == heading).count(),
                    1,
                    "{heading} in {page}"
                );
            }
            assert!(page.contains(&format!("\\fBnetstat {}\\fR", command.name)), "{page}");
        }
        assert_eq!(of_command(&program(), "nothing", "netstat"), None);
    }

    #[test]
    fn page_under_another_name_renames_the_program_but_no_paths() {
        let text = "netstat netstat\\-man(1) /proc/net/netstat \\fBnetstat\\fR xnetstat netstats";
        let expected = "ns ns\\-man(1) /proc/net/netstat \\fBns\\fR xnetstat netstats";
        assert_eq!(renamed(text, "ns"), expected);
        let page = of_program(&program(), "netstat-rs");
        assert!(page.contains("\n.TH NETSTAT-RS 1 "), "{page}");
        for words in [
            "\nnetstat\\-rs \\- Who",
            "\\fBnetstat\\-rs\\-man\\fR(1)",
            "/proc/net/netstat,",
        ] {
            assert!(page.contains(words), "{words} in {page}");
        }
        assert!(!page.contains("rs\\-rs"), "{page}");
    }

    #[test]
    fn help_text_is_split_at_its_headings() {
        let parts = blocks("Examples:\n  a b   c\n\nExit status: 0 all is well,\n1 not.\n");
        assert_eq!(
            parts,
            [
                Block {
                    heading: "Examples".into(),
                    text: "  a b   c\n\n".into()
                },
                Block {
                    heading: "Exit status".into(),
                    text: "0 all is well,\n1 not.\n".into()
                },
            ]
        );
        assert_eq!(blocks("\nWords: and more.\n")[0].heading, "");
    }

    #[test]
    fn help_text_becomes_paragraphs_and_entries_of_a_page() {
        let mut page = Page {
            roff: Roff::new(),
            done: String::new(),
        };
        page.text("One\ntwo.\n\nThree.\n  -a b  means\n        this\n  -c\n      that\n");
        page.raw("");
        assert_eq!(
            page.done,
            "One two.\n.PP\nThree.\n.TP\n\\fB\\-a b\\fR\nmeans this\n.TP\n\\fB\\-c\\fR\nthat\n"
        );
    }
}
