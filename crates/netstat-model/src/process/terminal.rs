//! The controlling terminal of a process.

use std::fmt;

/// A terminal, identified by its device numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Terminal {
    /// The major device number, which selects the driver.
    pub major: u32,
    /// The minor device number, which selects one of the driver's terminals.
    pub minor: u32,
}

impl Terminal {
    /// Creates a terminal from the number in field 7 of proc_pid_stat(5), which the kernel prints as a signed number:
    /// the minor number is in bits 31 to 20 and 7 to 0, the major number in bits 15 to 8. `None` for 0, which means no
    /// terminal.
    pub const fn from_number(number: i32) -> Option<Self> {
        if number == 0 {
            return None;
        }
        let number = number as u32;
        Some(Terminal {
            major: (number >> 8) & 0xff,
            minor: (number & 0xff) | ((number >> 12) & 0xfff00),
        })
    }
}

impl fmt::Display for Terminal {
    /// Writes the name as `ps` shows it, following the kernel's `Documentation/admin-guide/devices.txt`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.major, self.minor) {
            (136..=143, minor) => write!(f, "pts/{}", (self.major - 136) * 256 + minor),
            (4, minor @ 0..=63) => write!(f, "tty{minor}"),
            (4, minor @ 64..=255) => write!(f, "ttyS{}", minor - 64),
            (5, 1) => f.write_str("console"),
            (204, minor @ 64..=79) => write!(f, "ttyAMA{}", minor - 64),
            (229, minor) => write!(f, "hvc{minor}"),
            (major, minor) => write!(f, "device {major}:{minor}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_device_number_becomes_name() {
        let name = |number| Terminal::from_number(number).map(|terminal| terminal.to_string());
        assert_eq!(name(0), None);
        assert_eq!(name(34816).as_deref(), Some("pts/0"));
        assert_eq!(name(34816 + 7).as_deref(), Some("pts/7"));
        // pts/300 is minor 300 of major 136 (the kernel has allowed large minors since 2.6).
        assert_eq!(
            name((136 << 8) | (300 & 0xff) | ((300 & 0xfff00) << 12)).as_deref(),
            Some("pts/300")
        );
        assert_eq!(name(1025).as_deref(), Some("tty1"));
        assert_eq!(name(1088).as_deref(), Some("ttyS0"));
        assert_eq!(name(1281).as_deref(), Some("console"));
        assert_eq!(name(60 << 8).as_deref(), Some("device 60:0"));
    }
}
