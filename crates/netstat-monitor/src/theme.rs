//! Colours. Text keeps the terminal's own colours, except in the light theme, which sets a background so that it is
//! readable on any terminal.

use ratatui::style::{Color, Modifier, Style};

/// A set of colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThemeName {
    /// For a dark background.
    #[default]
    Dark,
    /// For a light background.
    Light,
    /// Without colours.
    Monochrome,
    /// Colours that are distinguishable with any kind of colour vision (Okabe and Ito, "Color Universal Design", 2008).
    ColorBlind,
}

impl ThemeName {
    /// All themes with their names in the configuration.
    pub const ALL: [(&'static str, ThemeName); 4] = [
        ("dark", ThemeName::Dark),
        ("light", ThemeName::Light),
        ("monochrome", ThemeName::Monochrome),
        ("color-blind", ThemeName::ColorBlind),
    ];

    /// Returns the name of the theme.
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, theme)| *theme == self);
        found.map_or("dark", |(name, _)| name)
    }

    /// Returns the next theme.
    pub fn next(self) -> ThemeName {
        let at = Self::ALL.iter().position(|(_, theme)| *theme == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()].1
    }
}

/// The styles of a theme.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// Everything without a style of its own.
    pub ground: Style,
    /// The bars at the top and at the bottom.
    pub bar: Style,
    /// The selected tab.
    pub tab: Style,
    /// The title line of a pane.
    pub title: Style,
    /// The title line of the focused pane.
    pub title_focus: Style,
    /// Headings of columns.
    pub heading: Style,
    /// The heading of the sort column.
    pub sorted: Style,
    /// The selected row of the focused pane.
    pub selected: Style,
    /// The selected row of another pane.
    pub selected_away: Style,
    /// Insignificant text.
    pub dim: Style,
    /// Text that deserves attention.
    pub warn: Style,
    /// Bad values.
    pub bad: Style,
    /// New rows.
    pub new: Style,
    /// Rows that are gone.
    pub gone: Style,
    /// The bar with the active filter, and marked rows.
    pub filter: Style,
    /// Keys in the bar at the bottom and in the help.
    pub key: Style,
    /// The colours of the graphs: first and second part, for processors, memory, disk and network.
    pub graphs: [[Color; 2]; 4],
    /// Whether the parts of a graph can be distinguished by colour.
    pub two_parts: bool,
}

const fn indexed(number: u8) -> Color {
    Color::Indexed(number)
}

impl ThemeName {
    /// Returns the styles of the theme. Only the 256-colour palette is used, because it works over any connection.
    pub fn theme(self) -> Theme {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let reversed = plain.add_modifier(Modifier::REVERSED);
        match self {
            ThemeName::Dark => Theme {
                ground: plain,
                bar: plain.bg(indexed(236)).fg(indexed(252)),
                tab: bold.bg(indexed(31)).fg(indexed(255)),
                title: plain.bg(indexed(237)).fg(indexed(250)),
                title_focus: bold.bg(indexed(24)).fg(indexed(255)),
                heading: plain.fg(indexed(110)),
                sorted: bold.fg(indexed(153)),
                selected: bold.bg(indexed(25)).fg(indexed(255)),
                selected_away: plain.bg(indexed(238)),
                dim: plain.fg(indexed(243)),
                warn: plain.fg(indexed(221)),
                bad: bold.fg(indexed(203)),
                new: plain.fg(indexed(114)),
                gone: plain.fg(indexed(243)).add_modifier(Modifier::CROSSED_OUT),
                filter: plain.fg(indexed(16)).bg(indexed(215)),
                key: bold.fg(indexed(117)),
                graphs: [
                    [indexed(75), indexed(68)],
                    [indexed(141), indexed(60)],
                    [indexed(114), indexed(215)],
                    [indexed(80), indexed(176)],
                ],
                two_parts: true,
            },
            ThemeName::Light => Theme {
                ground: plain.bg(indexed(231)).fg(indexed(234)),
                bar: plain.bg(indexed(254)).fg(indexed(236)),
                tab: bold.bg(indexed(25)).fg(indexed(255)),
                title: plain.bg(indexed(254)).fg(indexed(238)),
                title_focus: bold.bg(indexed(153)).fg(indexed(16)),
                heading: plain.fg(indexed(25)),
                sorted: bold.fg(indexed(18)),
                selected: bold.bg(indexed(117)).fg(indexed(16)),
                selected_away: plain.bg(indexed(253)),
                dim: plain.fg(indexed(244)),
                warn: plain.fg(indexed(130)),
                bad: bold.fg(indexed(160)),
                new: plain.fg(indexed(28)),
                gone: plain.fg(indexed(246)).add_modifier(Modifier::CROSSED_OUT),
                filter: plain.fg(indexed(16)).bg(indexed(215)),
                key: bold.fg(indexed(25)),
                graphs: [
                    [indexed(32), indexed(25)],
                    [indexed(97), indexed(146)],
                    [indexed(28), indexed(166)],
                    [indexed(30), indexed(133)],
                ],
                two_parts: true,
            },
            ThemeName::Monochrome => Theme {
                ground: plain,
                bar: reversed,
                tab: bold,
                title: plain.add_modifier(Modifier::UNDERLINED),
                title_focus: bold.add_modifier(Modifier::REVERSED),
                heading: plain.add_modifier(Modifier::UNDERLINED),
                sorted: bold.add_modifier(Modifier::UNDERLINED),
                selected: reversed,
                selected_away: plain.add_modifier(Modifier::UNDERLINED),
                dim: plain.add_modifier(Modifier::DIM),
                warn: bold,
                bad: bold,
                new: bold,
                gone: plain.add_modifier(Modifier::DIM).add_modifier(Modifier::CROSSED_OUT),
                filter: reversed,
                key: bold,
                graphs: [[Color::Reset; 2]; 4],
                two_parts: false,
            },
            ThemeName::ColorBlind => {
                // Blue 32, sky blue 74, orange 214, vermilion 166, bluish green 36, reddish purple 175, yellow 227.
                let dark = ThemeName::Dark.theme();
                Theme {
                    warn: plain.fg(indexed(214)),
                    bad: bold.fg(indexed(166)).add_modifier(Modifier::REVERSED),
                    new: plain.fg(indexed(74)).add_modifier(Modifier::BOLD),
                    filter: plain.fg(indexed(16)).bg(indexed(214)),
                    graphs: [
                        [indexed(74), indexed(32)],
                        [indexed(175), indexed(97)],
                        [indexed(36), indexed(214)],
                        [indexed(32), indexed(227)],
                    ],
                    ..dark
                }
            }
        }
    }
}
