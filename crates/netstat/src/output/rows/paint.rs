//! Colours: an aid for the eye on a terminal. They never carry anything that the text does not say.

use anstyle::{AnsiColor, Style};
use netstat_model::State;

/// How a cell looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// As the terminal's text.
    #[default]
    Plain,
    /// A socket in this state.
    State(State),
    /// Something that deserves a look: it is serious, or failed.
    Alarming,
    /// Something out of the ordinary: reachable from other computers, or held by no process.
    Unusual,
    /// New since the last print.
    New,
    /// Gone since the last print.
    Gone,
    /// Changed since the last print.
    Changed,
    /// A heading.
    Heading,
    /// What needs a look first.
    Alarm,
}

impl Look {
    /// The style, of the terminal's own sixteen colours: these are readable on its background whether it is light or dark. White,
    /// black, yellow and bright colours are not used: each vanishes on one of the two.
    pub fn style(self) -> Style {
        let color = |color: AnsiColor| Style::new().fg_color(Some(color.into()));
        match self {
            Look::Plain => Style::new(),
            Look::State(state) => match state {
                State::Listening => color(AnsiColor::Blue),
                State::Established => color(AnsiColor::Green),
                State::TimeWait | State::Closed | State::Bound => Style::new().dimmed(),
                State::SynSent | State::SynReceived => color(AnsiColor::Magenta),
                State::CloseWait | State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing => {
                    color(AnsiColor::Cyan)
                }
            },
            Look::Alarming => color(AnsiColor::Red),
            Look::Unusual => color(AnsiColor::Magenta),
            Look::New => color(AnsiColor::Green).bold(),
            Look::Gone => color(AnsiColor::Red),
            Look::Changed => color(AnsiColor::Magenta),
            Look::Heading => Style::new().bold(),
            Look::Alarm => color(AnsiColor::Red).bold(),
        }
    }

    /// Writes what `write` writes, in this look; no escape sequence where it is plain.
    pub fn paint(self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        if self == Look::Plain {
            return write(out);
        }
        let style = self.style();
        out.extend_from_slice(style.render().to_string().as_bytes());
        write(out);
        out.extend_from_slice(style.render_reset().to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_painted_ends_plain() {
        let mut out = Vec::new();
        Look::State(State::Established).paint(&mut out, |out| out.extend_from_slice(b"x"));
        assert_eq!(out, b"\x1b[32mx\x1b[0m");
        out.clear();
        Look::Plain.paint(&mut out, |out| out.extend_from_slice(b"x"));
        assert_eq!(out, b"x");
    }
}
