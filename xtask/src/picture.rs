//! `pictures`: generates the pictures in README and docs. The real program shows recordings in a real terminal (tmux),
//! whose content is converted to SVG, character by character with its colors.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;

/// The width and height of a character in units of the picture, and the corresponding font size.
const CELL: (f64, f64) = (8.4, 17.0);
const FONT: f64 = 14.0;
/// The background and the text color of a dark terminal.
const GROUND: &str = "#16181d";
const TEXT: &str = "#d0d4dc";

/// Draw the pictures in README and docs.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask pictures")]
struct Options {
    /// The program to show
    #[arg(long, default_value = "target/release/netstat")]
    program: PathBuf,
    /// The folder with demo.json and demo.db, as crates/netstat-monitor/tests/data/demo.sh makes them
    #[arg(long, default_value = "xtask/data")]
    data: PathBuf,
    /// The recording that the monitor plays
    #[arg(long, default_value = "crates/netstat-monitor/tests/data/demo.ndjson")]
    replay: PathBuf,
    /// Only these: list, inspect, audit, history, monitor, live
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The folder to write to
    #[arg(long, default_value = "docs")]
    out: PathBuf,
}

/// The command to type, and the size of the screen to show.
struct Shot {
    name: &'static str,
    line: &'static str,
    size: (u16, u16),
}

/// The pictures of commands that end. Lines beyond the height are cut off.
const SHOTS: [Shot; 4] = [
    Shot {
        name: "list",
        line: "netstat -tulpn",
        size: (100, 20),
    },
    Shot {
        name: "inspect",
        line: "netstat inspect 4444",
        size: (110, 48),
    },
    Shot {
        name: "audit",
        line: "netstat audit",
        size: (120, 44),
    },
    Shot {
        name: "history",
        line: "netstat history --summary --since all",
        size: (110, 46),
    },
];

/// The size of the monitor, and the time after which keys are pressed.
const MONITOR: (u16, u16) = (130, 38);
const MONITOR_AFTER: Duration = Duration::from_secs(60);
/// The animated picture: its size, and the number of frames, one second apart.
const LIVE: (u16, u16) = (100, 30);
const LIVE_FRAMES: usize = 12;
const LIVE_AFTER: Duration = Duration::from_secs(20);

/// Runs the task.
///
/// # Errors
/// Returns an error if tmux is missing or the program does not start.
pub(crate) fn run() -> Result<()> {
    let options = Options::parse_from(crate::task_arguments());
    let program = options.program.canonicalize().context("--program")?;
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    for shot in SHOTS.iter().filter(|shot| wanted(shot.name)) {
        let data = options.data.canonicalize().context("--data")?;
        let terminal = Terminal::start((shot.size.0, 200), &program, &data)?;
        terminal.keys(&["-l", shot.line])?;
        terminal.keys(&["Enter"])?;
        let mut lines = terminal.wait_for_prompt()?;
        lines.truncate(shot.size.1.into());
        let title = format!("{} on a recording", shot.line);
        write(&options.out, shot.name, &svg(&[lines], &title))?;
    }
    let replay = options.replay.canonicalize().context("--replay")?;
    let monitor = format!(
        "exec netstat monitor network --theme dark --replay {}",
        replay.display()
    );
    if wanted("monitor") {
        let terminal = Terminal::start(MONITOR, &program, Path::new("."))?;
        terminal.keys(&["-l", &monitor])?;
        terminal.keys(&["Enter"])?;
        std::thread::sleep(MONITOR_AFTER);
        for key in ["Right", "Right", "Down", "Down"] {
            terminal.keys(&[key])?;
            std::thread::sleep(Duration::from_millis(100));
        }
        std::thread::sleep(Duration::from_millis(300));
        let title = "netstat monitor: the network tab, playing a recording";
        write(&options.out, "monitor", &svg(&[terminal.screen()?], title))?;
    }
    if wanted("live") {
        let terminal = Terminal::start(LIVE, &program, Path::new("."))?;
        terminal.keys(&["-l", &monitor.replace("network", "overview")])?;
        terminal.keys(&["Enter"])?;
        std::thread::sleep(LIVE_AFTER);
        let mut frames = Vec::new();
        for _ in 0..LIVE_FRAMES {
            frames.push(terminal.screen()?);
            std::thread::sleep(Duration::from_secs(1));
        }
        let title = "netstat monitor: the overview, playing a recording";
        write(&options.out, "monitor-live", &svg(&frames, title))?;
    }
    Ok(())
}

fn write(folder: &Path, name: &str, picture: &str) -> Result<()> {
    let path = folder.join(format!("{name}.svg"));
    std::fs::write(&path, picture)?;
    println!("{} written", path.display());
    Ok(())
}

/// A terminal with a shell, in which `netstat` shows the recordings.
struct Terminal {
    home: PathBuf,
}

impl Terminal {
    fn start((width, height): (u16, u16), program: &Path, data: &Path) -> Result<Terminal> {
        let home = std::env::temp_dir().join(format!("pictures-{}", std::process::id()));
        std::fs::create_dir_all(home.join("bin"))?;
        let (program, json) = (program.display(), data.join("demo.json"));
        let (json, record) = (json.display(), data.join("demo.db"));
        let record = record.display();
        let wrapper = format!(
            "#!/bin/sh\ncase $1 in\nhistory) exec {program} \"$@\" --store {record} ;;\nmonitor) exec {program} \"$@\" ;;\n\
             inspect|audit) exec {program} \"$@\" --replay {json} ;;\n*) exec {program} --replay {json} \"$@\" ;;\nesac\n"
        );
        let file = home.join("bin/netstat");
        std::fs::write(&file, wrapper)?;
        let done = Command::new("chmod").arg("+x").arg(&file).status()?;
        ensure!(done.success(), "chmod");
        let terminal = Terminal { home };
        let size = [width.to_string(), height.to_string()];
        let path = std::env::var("PATH").unwrap_or_default();
        let shell = format!(
            "env PATH={}:{path} PS1='$ ' TERM=tmux-256color TZ=UTC sh",
            terminal.home.join("bin").display()
        );
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &size[0],
            "-y",
            &size[1],
            &shell,
        ])?;
        terminal.wait_for_prompt()?;
        Ok(terminal)
    }

    fn tmux(&self, words: &[&str]) -> Result<String> {
        let mut command = Command::new("tmux");
        command
            .arg("-S")
            .arg(self.home.join("tmux"))
            .args(words)
            .env("HOME", &self.home)
            .env_remove("NO_COLOR")
            .env("LC_ALL", "C.UTF-8");
        let output = command.output().context("tmux")?;
        ensure!(
            output.status.success(),
            "tmux: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn keys(&self, keys: &[&str]) -> Result<()> {
        self.tmux(&[&["send-keys"], keys].concat()).map(drop)
    }

    fn screen(&self) -> Result<Vec<Vec<Cell>>> {
        let screen = self.tmux(&["capture-pane", "-e", "-p", "-N"])?;
        Ok(screen.lines().map(cells).collect())
    }

    /// Waits for the next prompt, and returns the lines before it.
    fn wait_for_prompt(&self) -> Result<Vec<Vec<Cell>>> {
        let begun = Instant::now();
        loop {
            let mut lines = self.screen()?;
            let text = |line: &Vec<Cell>| line.iter().map(|cell| cell.character).collect::<String>();
            while lines.last().is_some_and(|line| text(line).trim().is_empty()) {
                lines.pop();
            }
            if lines.last().is_some_and(|line| text(line).trim() == "$") {
                lines.pop();
                return Ok(lines);
            }
            ensure!(begun.elapsed() < Duration::from_secs(120), "the command does not end");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// The appearance of a character.
#[derive(Clone, Debug, Default, PartialEq)]
struct Look {
    text: Option<u8>,
    ground: Option<u8>,
    bold: bool,
    struck: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Cell {
    character: char,
    look: Look,
}

/// Parses the characters of a line with SGR sequences (ECMA-48, 8.3.117).
fn cells(line: &str) -> Vec<Cell> {
    let mut look = Look::default();
    let mut cells = Vec::new();
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        if character != '\x1b' {
            cells.push(Cell {
                character,
                look: look.clone(),
            });
            continue;
        }
        let sequence: String = rest.by_ref().skip(1).take_while(|c| !c.is_ascii_alphabetic()).collect();
        change(&mut look, &sequence);
    }
    cells
}

fn change(look: &mut Look, sequence: &str) {
    let mut numbers = sequence
        .split([';', ':'])
        .map(|number| number.parse::<u8>().unwrap_or(0));
    while let Some(number) = numbers.next() {
        match number {
            0 => *look = Look::default(),
            1 => look.bold = true,
            9 => look.struck = true,
            22 => look.bold = false,
            29 => look.struck = false,
            30..=37 => look.text = Some(number - 30),
            90..=97 => look.text = Some(number - 82),
            40..=47 => look.ground = Some(number - 40),
            39 => look.text = None,
            49 => look.ground = None,
            // 38;5;N and 48;5;N.
            38 => look.text = numbers.nth(1),
            48 => look.ground = numbers.nth(1),
            _ => {}
        }
    }
}

/// Returns a color of xterm's 256: 16 named ones, a cube of 6 x 6 x 6, 24 grays.
fn color(number: u8) -> String {
    const NAMED: [&str; 16] = [
        "#000000", "#cd3131", "#0dbc79", "#e5e510", "#2472c8", "#bc3fbc", "#11a8cd", "#e5e5e5", "#666666", "#f14c4c",
        "#23d18b", "#f5f543", "#3b8eea", "#d670d6", "#29b8db", "#ffffff",
    ];
    match number {
        0..=15 => NAMED[usize::from(number)].to_owned(),
        16..=231 => {
            let level = |part: u8| if part == 0 { 0 } else { 55 + 40 * part };
            let cube = number - 16;
            format!(
                "#{:02x}{:02x}{:02x}",
                level(cube / 36),
                level(cube / 6 % 6),
                level(cube % 6)
            )
        }
        232..=255 => {
            let grey = 8 + 10 * (number - 232);
            format!("#{grey:02x}{grey:02x}{grey:02x}")
        }
    }
}

/// Draws one screen, or several that follow each other one second apart.
fn svg(frames: &[Vec<Vec<Cell>>], title: &str) -> String {
    let (margin, bar) = (14.0, 30.0);
    let height = frames.iter().map(Vec::len).max().unwrap_or(0);
    let width = frames.iter().flatten().map(Vec::len).max().unwrap_or(0);
    let (w, h) = (
        width as f64 * CELL.0 + 2.0 * margin,
        height as f64 * CELL.1 + 2.0 * margin + bar,
    );
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w:.0} {h:.0}\" font-family=\"'DejaVu Sans Mono','Cascadia Mono',Menlo,Consolas,monospace\" font-size=\"{FONT}\">"
    );
    let _ = writeln!(out, "<title>{}</title>", escaped(title));
    let _ = writeln!(
        out,
        "<rect width=\"{w:.0}\" height=\"{h:.0}\" rx=\"9\" fill=\"{GROUND}\"/>"
    );
    for (at, color) in ["#ff5f57", "#febc2e", "#28c840"].into_iter().enumerate() {
        let _ = writeln!(
            out,
            "<circle cx=\"{}\" cy=\"19\" r=\"6\" fill=\"{color}\"/>",
            22 + at * 20
        );
    }
    for y in 0..height {
        let top = bar + margin + y as f64 * CELL.1;
        let lines: Vec<&[Cell]> = frames
            .iter()
            .map(|frame| frame.get(y).map_or(&[][..], Vec::as_slice))
            .collect();
        let mut at = 0;
        for same in lines.chunk_by(|a, b| a == b) {
            let (begin, end) = (at, at + same.len());
            at = end;
            let mut row = String::new();
            let mut x = 0;
            for run in same[0].chunk_by(|a, b| a.look == b.look && is_block(a.character) == is_block(b.character)) {
                run_of(&mut row, run, margin + x as f64 * CELL.0, top);
                x += run.len();
            }
            if same.len() == frames.len() || row.is_empty() {
                out.push_str(&row);
                continue;
            }
            let _ = writeln!(
                out,
                "<g display=\"none\">{}\n{row}</g>",
                shown(begin, end, frames.len())
            );
        }
    }
    out.push_str("</svg>\n");
    out
}

/// Returns the animation that shows an element in the frames `begin..end` of `count` frames.
fn shown(begin: usize, end: usize, count: usize) -> String {
    let time = |frame: usize| format!("{:.4}", frame as f64 / count as f64);
    let (mut values, mut times) = (Vec::new(), Vec::new());
    if begin > 0 {
        values.push("none");
        times.push(time(0));
    }
    values.push("inline");
    times.push(time(begin));
    if end < count {
        values.push("none");
        times.push(time(end));
    }
    format!(
        "<animate attributeName=\"display\" dur=\"{count}s\" repeatCount=\"indefinite\" calcMode=\"discrete\" values=\"{}\" keyTimes=\"{}\"/>",
        values.join(";"),
        times.join(";")
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Whether the character is an eighth block, which is drawn as a rectangle so that no font leaves gaps.
fn is_block(character: char) -> bool {
    ('▁'..='█').contains(&character)
}

fn run_of(out: &mut String, run: &[Cell], x: f64, top: f64) {
    let look = &run[0].look;
    let width = run.len() as f64 * CELL.0;
    if let Some(ground) = look.ground {
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
            width + 0.3,
            CELL.1 + 0.3,
            color(ground)
        );
    }
    let fill = look.text.map_or_else(|| TEXT.to_owned(), color);
    if is_block(run[0].character) {
        let mut x = x;
        for same in run.chunk_by(|a, b| a.character == b.character) {
            let eighths = f64::from(same[0].character as u32 - '▁' as u32 + 1);
            let (width, height) = (same.len() as f64 * CELL.0, CELL.1 * eighths / 8.0);
            let _ = writeln!(
                out,
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{fill}\"/>",
                top + CELL.1 - height,
                width + 0.3,
                height + 0.3
            );
            x += width;
        }
        return;
    }
    let text: String = run.iter().map(|cell| cell.character).collect();
    if text.trim().is_empty() {
        return;
    }
    let escaped = escaped(&text);
    let weight = if look.bold { " font-weight=\"bold\"" } else { "" };
    let struck = if look.struck {
        " text-decoration=\"line-through\""
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{:.1}\" fill=\"{fill}\" textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\"{weight}{struck}>{escaped}</text>",
        top + FONT - 0.5
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_read_colours_and_their_resets() {
        let line = cells("a\x1b[1;38;5;75;48;5;236mb\x1b[39mc\x1b[0md");
        let text: String = line.iter().map(|cell| cell.character).collect();
        assert_eq!(text, "abcd");
        assert_eq!(line[0].look, Look::default());
        assert_eq!(
            (line[1].look.text, line[1].look.ground, line[1].look.bold),
            (Some(75), Some(236), true)
        );
        assert_eq!((line[2].look.text, line[2].look.ground), (None, Some(236)));
        assert_eq!(line[3].look, Look::default());
        assert_eq!(
            (color(16), color(231), color(232)),
            ("#000000".to_owned(), "#ffffff".to_owned(), "#080808".to_owned())
        );
    }

    #[test]
    fn svg_escapes_text_and_draws_blocks() {
        let picture = svg(&[vec![cells("<a> & ▄█")]], "a < b");
        assert!(picture.contains("&lt;a&gt; &amp; "), "{picture}");
        assert!(
            !picture.contains('▄') && picture.matches("<rect").count() == 3,
            "{picture}"
        );
        assert!(picture.contains("<title>a &lt; b</title>"), "{picture}");
    }

    #[test]
    fn svg_shows_changing_rows_only_in_their_frames() {
        let frames = [
            vec![cells("same"), cells("one")],
            vec![cells("same"), cells("two")],
            vec![cells("same"), cells("two")],
        ];
        let picture = svg(&frames, "x");
        assert_eq!(picture.matches(">same<").count(), 1, "{picture}");
        assert!(
            picture.contains("values=\"inline;none\" keyTimes=\"0.0000;0.3333\""),
            "{picture}"
        );
        assert!(
            picture.contains("values=\"none;inline\" keyTimes=\"0.0000;0.3333\""),
            "{picture}"
        );
    }
}
