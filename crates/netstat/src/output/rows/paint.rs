//! Colours, as a visual aid on a terminal. They never convey anything that the text does not.

use anstyle::{AnsiColor, Style};
use netstat_model::State;

/// How a cell is highlighted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// Not at all.
    #[default]
    Plain,
    /// A socket in this state.
    State(State),
    /// Something alarming: it is serious, or has failed.
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
    /// What should be looked at first.
    Alarm,
}

impl Look {
    /// Returns the style. It uses only those of the sixteen colours of a terminal that are readable on both light and
    /// dark backgrounds, and therefore not white, black, yellow or the bright ones.
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

    /// Writes the output of `write` in this style, without any escape sequence if it is [`Look::Plain`].
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
    fn painted_text_ends_with_a_colour_reset() {
        let mut out = Vec::new();
        Look::State(State::Established).paint(&mut out, |out| out.extend_from_slice(b"x"));
        assert_eq!(out, b"\x1b[32mx\x1b[0m");
        out.clear();
        Look::Plain.paint(&mut out, |out| out.extend_from_slice(b"x"));
        assert_eq!(out, b"x");
    }
}
