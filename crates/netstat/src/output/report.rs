//! Reports in a self-contained file, HTML or Markdown, to be passed on to others: without scripts, images or anything
//! loaded from a network.
//!
//! Every text is treated as plain and may come from outside; only this module writes markup.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

use netstat_model::text::{escape_str, plain_error};

use crate::context::{Failure, human};

/// A part of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// A heading of level 2 or 3, optionally preceded by a severity as a `badge`.
    Heading {
        level: u8,
        badge: Option<&'static str>,
        text: String,
    },
    Paragraph(String),
    /// Rows below headings. A severity in the first column is coloured.
    Table {
        headings: Vec<String>,
        rows: Vec<Vec<String>>,
    },
    /// Labels with one or more lines each.
    Facts(Vec<(String, Vec<String>)>),
    /// Pairs of a purpose and the command for it.
    Commands(Vec<(String, String)>),
    /// Preformatted lines.
    Text(String),
    /// A bulleted list.
    List(Vec<String>),
}

impl Block {
    pub(crate) fn heading(level: u8, text: impl Into<String>) -> Block {
        Block::Heading {
            level,
            badge: None,
            text: text.into(),
        }
    }
}

/// A report.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) title: String,
    /// The host name of the computer.
    pub(crate) host: Vec<u8>,
    pub(crate) time: SystemTime,
    pub(crate) blocks: Vec<Block>,
}

/// The file of a report. Its extension decides the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReportFile {
    path: PathBuf,
    html: bool,
}

impl std::str::FromStr for ReportFile {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let path = PathBuf::from(word);
        let end = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
        let html = match end.as_deref() {
            Some("html" | "htm") => true,
            Some("md" | "markdown") => false,
            _ => return Err("does not end in .html or .md".to_owned()),
        };
        Ok(ReportFile { path, html })
    }
}

impl ReportFile {
    /// The path of the file.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Writes the report, readable by its owner only. An existing file or link is replaced. Returns a line that says
    /// where the report is.
    ///
    /// # Errors
    /// Returns an error of the system.
    pub(crate) fn write(&self, report: &Report) -> Result<String, Failure> {
        let text = if self.html { html(report) } else { markdown(report) };
        let shown = escape_str(&self.path.display().to_string()).into_owned();
        match netstat_os::replace_private(&self.path, text.as_bytes()) {
            Ok(()) => Ok(format!("report written to {shown}")),
            Err(error) => Err(Failure::Refused(format!("--report {shown}: {}", plain_error(&error)))),
        }
    }
}

/// The severities, which are coloured.
const SEVERITIES: [&str; 5] = ["critical", "high", "medium", "low", "info"];

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--soft:#8881}\
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:72rem;padding:1rem}\
h1{font-size:1.5rem}h2{font-size:1.15rem;border-top:1px solid var(--line);padding-top:1rem;margin-top:2rem;overflow-wrap:anywhere}h3{font-size:1rem;overflow-wrap:anywhere}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid var(--line);overflow-wrap:anywhere}\
dl{display:grid;grid-template-columns:9rem 1fr;gap:.25rem 1rem}dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}\
pre,code{font:14px/1.45 ui-monospace,monospace}pre{background:var(--soft);padding:.6rem;overflow-x:auto;white-space:pre}pre.wrap{white-space:pre-wrap;overflow-wrap:anywhere}\
.s{border-radius:.3rem;padding:.05rem .45rem;font-size:.85rem;font-weight:600;color:#fff;background:#666;white-space:nowrap}\
.critical{background:#a40000}.high{background:#c4420d}.medium{background:#8a6100}.low{background:#3a6ea5}\
footer{margin-top:2rem;border-top:1px solid var(--line);font-size:.85rem}\
@media(max-width:40rem){dl{grid-template-columns:1fr}dt{margin-top:.5rem}thead{display:none}tr{display:block;border-bottom:1px solid var(--line);padding:.5rem 0}\
td{display:flex;gap:.6rem;border:0;padding:.1rem 0}td::before{content:attr(data-h);min-width:5.5rem;font-weight:600}}\
@media print{body{max-width:none;font-size:11pt}pre{white-space:pre-wrap;overflow-wrap:anywhere}h2,h3,tr{break-inside:avoid;break-after:auto}.s{color:#000;background:none;border:1px solid #000}}";

/// Escapes text for HTML, both between tags and within attributes in double quotes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push('\n'),
            letter if netstat_model::text::is_plain(letter) => out.push(letter),
            // Text is normally escaped by whoever made the block; this catches any character that could control a
            // viewer.
            letter => out.push_str(&escaped(&letter.escape_unicode().to_string())),
        }
    }
    out
}

fn badge(word: &str) -> String {
    match SEVERITIES.contains(&word) {
        true => format!("<span class=\"s {word}\">{word}</span>"),
        false => escaped(word),
    }
}

fn html(report: &Report) -> String {
    let title = escaped(&report.title);
    let host = escaped(&netstat_model::text::escape(&report.host));
    let time = escaped(&human::moment(report.time));
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title}: {host}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n<p>{host}, {time}</p>\n"
    );
    for block in &report.blocks {
        html_block(&mut out, block);
    }
    let version = env!("CARGO_PKG_VERSION");
    let _ = write!(out, "<footer>netstat {version}</footer>\n</body>\n</html>\n");
    out
}

// Writing to a String cannot fail.
fn html_block(out: &mut String, block: &Block) {
    match block {
        Block::Heading {
            level,
            badge: word,
            text,
        } => {
            let word = word.map_or_else(String::new, |word| format!("{} ", badge(word)));
            let _ = writeln!(out, "<h{level}>{word}{}</h{level}>", escaped(text));
        }
        Block::Paragraph(text) => drop(writeln!(out, "<p>{}</p>", escaped(text))),
        Block::Table { headings, rows } => {
            out.push_str("<table>\n<thead><tr>");
            for heading in headings {
                let _ = write!(out, "<th scope=\"col\">{}</th>", escaped(heading));
            }
            out.push_str("</tr></thead>\n<tbody>\n");
            for row in rows {
                out.push_str("<tr>");
                for (place, cell) in row.iter().enumerate() {
                    let heading = headings.get(place).map_or("", String::as_str);
                    let cell = if place == 0 { badge(cell) } else { escaped(cell) };
                    let _ = write!(out, "<td data-h=\"{}\"><span>{cell}</span></td>", escaped(heading));
                }
                out.push_str("</tr>\n");
            }
            out.push_str("</tbody>\n</table>\n");
        }
        Block::Facts(facts) => {
            out.push_str("<dl>\n");
            for (label, lines) in facts {
                let lines: Vec<String> = lines.iter().map(|line| escaped(line)).collect();
                let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", escaped(label), lines.join("<br>"));
            }
            out.push_str("</dl>\n");
        }
        Block::Commands(commands) => {
            for (what, command) in commands {
                let _ = writeln!(
                    out,
                    "<p>{}:</p>\n<pre class=\"wrap\">{}</pre>",
                    escaped(what),
                    escaped(command)
                );
            }
        }
        Block::Text(text) => drop(writeln!(out, "<pre>{}</pre>", escaped(text))),
        Block::List(lines) => {
            out.push_str("<ul>\n");
            for line in lines {
                let _ = writeln!(out, "<li>{}</li>", escaped(line));
            }
            out.push_str("</ul>\n");
        }
    }
}

/// Escapes text for Markdown (CommonMark 0.31): all punctuation with a possible meaning is preceded by a backslash.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            // An address that is not marked up as a link must not become one.
            ':' => out.push_str("&#58;"),
            '@' => out.push_str("&#64;"),
            '.' | ',' | ';' | '/' | ' ' => out.push(letter),
            letter if letter.is_ascii_punctuation() => {
                out.push('\\');
                out.push(letter);
            }
            letter if netstat_model::text::is_plain(letter) => out.push(letter),
            letter => out.push_str(&letter.escape_unicode().to_string().replace('\\', "\\\\")),
        }
    }
    // A number with a full stop begins a list, and `www.` begins a link.
    out.replace("www.", "www&#46;")
}

/// Writes a code block whose fence is longer than any sequence of backticks within.
fn fenced(out: &mut String, text: &str) {
    let mut longest = 0;
    let mut run = 0;
    for letter in text.chars() {
        run = if letter == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest.max(2) + 1);
    let _ = writeln!(out, "{fence}text\n{}\n{fence}\n", text.trim_end());
}

fn markdown(report: &Report) -> String {
    let mut out = format!(
        "# {}\n\n{}, {}\n\n",
        plain(&report.title),
        plain(&netstat_model::text::escape(&report.host)),
        plain(&human::moment(report.time))
    );
    for block in &report.blocks {
        match block {
            Block::Heading { level, badge, text } => {
                let marks = "#".repeat(usize::from(*level));
                let word = badge.map_or_else(String::new, |word| format!("{}: ", word.to_uppercase()));
                let _ = writeln!(out, "{marks} {word}{}\n", plain(text));
            }
            Block::Paragraph(text) => drop(writeln!(out, "{}\n", plain(text))),
            Block::Table { headings, rows } => {
                let line = |cells: &[String]| {
                    let cells: Vec<String> = cells.iter().map(|cell| plain(cell)).collect();
                    format!("| {} |", cells.join(" | "))
                };
                let _ = writeln!(out, "{}\n|{}", line(headings), " --- |".repeat(headings.len()));
                for row in rows {
                    let _ = writeln!(out, "{}", line(row));
                }
                out.push('\n');
            }
            Block::Facts(facts) => {
                for (label, lines) in facts {
                    let lines: Vec<String> = lines.iter().map(|line| plain(line)).collect();
                    let _ = writeln!(out, "- **{}**: {}", plain(label), lines.join("; "));
                }
                out.push('\n');
            }
            Block::Commands(commands) => {
                for (what, command) in commands {
                    let _ = writeln!(out, "{}&#58;\n", plain(what));
                    fenced(&mut out, command);
                }
            }
            Block::Text(text) => fenced(&mut out, text),
            Block::List(lines) => {
                for line in lines {
                    let _ = writeln!(out, "- {}", plain(line));
                }
                out.push('\n');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn report(text: &str) -> Report {
        let owned = || text.to_owned();
        Report {
            title: owned(),
            host: text.as_bytes().to_vec(),
            time: SystemTime::UNIX_EPOCH,
            blocks: vec![
                Block::Heading {
                    level: 2,
                    badge: Some("high"),
                    text: owned(),
                },
                Block::Paragraph(owned()),
                Block::Table {
                    headings: vec![owned()],
                    rows: vec![vec![owned()], vec!["critical".into()]],
                },
                Block::Facts(vec![(owned(), vec![owned()])]),
                Block::Commands(vec![(owned(), owned())]),
                Block::Text(owned()),
                Block::List(vec![owned()]),
            ],
        }
    }

    /// Returns the names of the tags in a page.
    fn tags(html: &str) -> Vec<String> {
        html.split('<')
            .skip(1)
            .map(|rest| rest.split(['>', ' ']).next().unwrap_or_default().to_owned())
            .collect()
    }

    #[test]
    fn html_report_has_the_same_tags_whatever_the_names_are() {
        let bad = "<script>alert(1)</script>\"' onload=x & [a](http://x) `id` ``` | **x** \u{202e}";
        let (good, evil) = (html(&report("name")), html(&report(bad)));
        assert_eq!(tags(&good), tags(&evil));
        assert!(!evil.contains("<script") && !evil.contains("\"' onload") && !evil.contains('\u{202e}'));
        // Nothing is loaded: no external link, image, script or style.
        assert!(!evil.contains("src=") && !evil.contains("href=") && !evil.contains("url("));
    }

    #[test]
    fn markdown_report_hostile_names_stay_text() {
        let text = markdown(&report("[a](http://x) <b> ```` `c` | # www.x"));
        assert!(text.contains("\\[a\\]\\(http&#58;//x\\) &lt;b\\>"), "{text}");
        assert!(text.contains("`````text\n"), "{text}");
        assert!(text.contains("www&#46;x"), "{text}");
    }

    #[test]
    fn report_file_extension_chooses_the_form() {
        assert!("a.HTML".parse::<ReportFile>().unwrap().html);
        assert!(!"a.md".parse::<ReportFile>().unwrap().html);
        assert!("a.pdf".parse::<ReportFile>().is_err() && "html".parse::<ReportFile>().is_err());
    }

    #[cfg(unix)]
    #[test]
    fn report_file_is_private_and_replaces_a_link_unfollowed() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().unwrap();
        let (victim, path) = (directory.path().join("victim"), directory.path().join("r.html"));
        std::fs::write(&victim, "kept").unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        let file: ReportFile = path.to_str().unwrap().parse().unwrap();
        file.write(&report("x")).unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
        let data = std::fs::symlink_metadata(&path).unwrap();
        assert!(data.is_file() && data.mode() & 0o777 == 0o600);
    }

    proptest! {
        #[test]
        fn html_report_arbitrary_text_makes_no_tag(text in "\\PC{0,60}") {
            prop_assert_eq!(tags(&html(&report("x"))), tags(&html(&report(&text))));
        }
    }
}
