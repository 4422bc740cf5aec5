//! `picture`: the picture of `netstat monitor` in the README. The real program plays the recording of the tests in a real terminal (tmux);
//! what the terminal shows then is written as SVG, character by character with its colours.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;

/// Width and height of a character, in units of the picture, and the size of the font for them.
const CELL: (f64, f64) = (8.4, 17.0);
const FONT: f64 = 14.0;
/// The ground and the text of a dark terminal.
const GROUND: &str = "#16181d";
const TEXT: &str = "#d0d4dc";

/// Draw the picture of `netstat monitor` in the README.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask picture")]
struct Options {
    /// The program to show
    #[arg(long, default_value = "target/release/netstat")]
    program: String,
    /// The recording it plays
    #[arg(long, default_value = "crates/netstat-monitor/tests/data/demo.ndjson")]
    replay: String,
    /// The tab it shows
    #[arg(long, default_value = "network")]
    tab: String,
    /// Keys to press, as `tmux send-keys` names them
    #[arg(long, value_delimiter = ',', default_value = "Right,Right,Down,Down")]
    keys: Vec<String>,
    /// Seconds to play
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Size of the terminal
    #[arg(long, default_value = "130x38")]
    size: String,
    /// The file to write
    #[arg(long, default_value = "docs/monitor.svg")]
    out: String,
}

/// Runs the chore.
///
/// # Errors
/// Without tmux, or when the program does not start.
pub(crate) fn run() -> Result<()> {
    let options = Options::parse_from(crate::task_arguments());
    let (width, height) = options.size.split_once('x').context("--size is WIDTHxHEIGHT")?;
    let home = std::env::temp_dir().join(format!("picture-{}", std::process::id()));
    std::fs::create_dir_all(&home)?;
    let socket = home.join("tmux");
    let tmux = |words: &[&str]| -> Result<String> {
        let mut command = Command::new("tmux");
        command
            .arg("-S")
            .arg(&socket)
            .args(words)
            .env("HOME", &home)
            .env_remove("NO_COLOR")
            .env("LC_ALL", "C.UTF-8");
        let output = command.output().context("tmux")?;
        ensure!(
            output.status.success(),
            "tmux: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let program = format!(
        "TERM=tmux-256color {} monitor {} --theme dark --replay {}",
        options.program, options.tab, options.replay
    );
    tmux(&[
        "-f",
        "/dev/null",
        "new-session",
        "-d",
        "-x",
        width,
        "-y",
        height,
        &program,
    ])?;
    std::thread::sleep(Duration::from_secs(options.seconds));
    for key in &options.keys {
        tmux(&["send-keys", key])?;
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_millis(300));
    let screen = tmux(&["capture-pane", "-e", "-p", "-N"])?;
    tmux(&["kill-server"])?;
    std::fs::remove_dir_all(&home)?;
    let lines: Vec<Vec<Cell>> = screen.lines().map(cells).collect();
    std::fs::write(&options.out, svg(&lines, (width.parse()?, height.parse()?)))?;
    println!("{} written", options.out);
    Ok(())
}

/// How a character looks.
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

/// The characters of a line that holds SGR sequences (ECMA-48, 8.3.117).
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

/// A colour of the 256 of xterm: 16 named ones, a cube of 6 x 6 x 6, 24 greys.
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

fn svg(lines: &[Vec<Cell>], (width, height): (usize, usize)) -> String {
    let (margin, bar) = (14.0, 30.0);
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
    let _ = writeln!(
        out,
        "<title>netstat monitor: the network tab, playing a recording</title>"
    );
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
    for (y, line) in lines.iter().enumerate() {
        let top = bar + margin + y as f64 * CELL.1;
        let mut x = 0;
        for run in line.chunk_by(|a, b| a.look == b.look && is_block(a.character) == is_block(b.character)) {
            run_of(&mut out, run, margin + x as f64 * CELL.0, top);
            x += run.len();
        }
    }
    out.push_str("</svg>\n");
    out
}

/// Eighths of a block, drawn as rectangles so that no font leaves gaps between them.
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
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
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
    fn colours_are_read_and_taken_back() {
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
    fn text_is_escaped_and_blocks_are_drawn() {
        let picture = svg(&[cells("<a> & ▄█")], (8, 1));
        assert!(picture.contains("&lt;a&gt; &amp; "), "{picture}");
        assert!(
            !picture.contains('▄') && picture.matches("<rect").count() == 3,
            "{picture}"
        );
    }
}
