//! Errors in the arguments of a filter.

use std::fmt;

use crate::text;

/// An invalid argument of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    word: String,
    mistake: Mistake,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    Option,
    Quote,
    Value,
    State,
    Port,
    PortNumber,
    PortOrder,
    Side,
    Address,
    PrefixLength,
    Zone,
    Interface,
    Host,
    Pid,
    Glob,
    User,
}

impl FilterError {
    pub(super) fn new(word: &str, mistake: Mistake) -> FilterError {
        FilterError {
            word: word.to_owned(),
            mistake,
        }
    }

    /// Returns the invalid argument as it was typed, or the invalid item of a list. Escape before printing.
    pub fn word(&self) -> &str {
        &self.word
    }

    /// Returns what is wrong with the argument, as the end of a sentence about it.
    pub fn why(&self) -> &'static str {
        match self.mistake {
            Mistake::Option => "is no filter",
            Mistake::Quote => "has a quote that does not end",
            Mistake::Value => "takes no value",
            Mistake::State => "is no state",
            Mistake::Port => "is no port and no range of ports",
            Mistake::PortNumber => "is no port from 1 to 65535",
            Mistake::PortOrder => "ends before it begins",
            Mistake::Side => "is no address, network, port or host name",
            Mistake::Address => "is no IP address",
            Mistake::PrefixLength => "has no prefix length from 0 to 32 (IPv4) or 128 (IPv6)",
            Mistake::Zone => "names a zone, which a network does not have",
            Mistake::Interface => "names no interface behind the %",
            Mistake::Host => "is no host name",
            Mistake::Pid => "is no process id from 1 to 4294967295",
            Mistake::Glob => "is no pattern",
            Mistake::User => "is no user name or id",
        }
    }

    /// Returns an example of valid arguments to use instead.
    pub fn example(&self) -> &'static str {
        match self.mistake {
            Mistake::State => "--state LISTENING,TIME_WAIT",
            Mistake::Quote | Mistake::Glob => "--program 'ssh*,nginx'",
            Mistake::Value => "--listening",
            Mistake::Option | Mistake::Port | Mistake::PortNumber | Mistake::PortOrder => "--port 443,8000-8010",
            Mistake::Side
            | Mistake::Address
            | Mistake::PrefixLength
            | Mistake::Zone
            | Mistake::Interface
            | Mistake::Host => "--foreign 203.0.113.7,10.0.0.0/8,[2001:db8::1]:443,:8000-8010",
            Mistake::Pid => "--pid 700,4321",
            Mistake::User => "--user root,1000",
        }
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = text::escape_str(&self.word);
        write!(f, "\"{word}\" {}; for example: {}", self.why(), self.example())
    }
}

impl std::error::Error for FilterError {}
