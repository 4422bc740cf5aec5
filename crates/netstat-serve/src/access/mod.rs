//! Access control: tokens, sessions, users and peers.

mod limiter;
mod session;
mod token;
pub(crate) mod web_config;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, ORIGIN};

use limiter::Limiter;
use session::Sessions;
pub use token::{Token, TokenError};
pub(crate) use token::{random_secret, read_text};
use web_config::Users;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A client at this IP address.
    Address(IpAddr),
    /// A process on this computer, with the user id that the system reports; `None` if it reports none.
    User(Option<u32>),
}

/// What a request may access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Everything.
    Allowed,
    /// Only what is public, since the request presented no credentials.
    Unknown,
    /// Nothing, since the credentials are wrong.
    Wrong,
    /// Nothing, since too many wrong credentials came from the peer recently.
    Limited,
}

/// Checks the access rights of requests.
#[derive(Debug)]
pub(crate) struct Access {
    token: Token,
    users: Option<Arc<Users>>,
    sessions: Sessions,
    limiter: Limiter,
    /// The host names by which clients may address this computer, in lower case.
    hosts: Vec<String>,
    /// Whether browsers connect over TLS.
    secure: bool,
    /// The user id of this process.
    own_user: u32,
}

/// The name of the session cookie.
const COOKIE_NAME: &str = "netstat_session";

/// The settings of the access control.
#[derive(Debug)]
pub(crate) struct Rules {
    /// The token.
    pub(crate) token: Token,
    /// The users of the web configuration.
    pub(crate) users: Option<Arc<Users>>,
    /// The host names by which clients may address this computer.
    pub(crate) hosts: Vec<String>,
    /// Whether browsers connect over TLS.
    pub(crate) secure: bool,
    /// The user id of this process.
    pub(crate) own_user: u32,
}

impl Access {
    pub(crate) fn new(rules: Rules) -> Self {
        Access {
            token: rules.token,
            users: rules.users.filter(|users| !users.is_empty()),
            sessions: Sessions::default(),
            limiter: Limiter::default(),
            hosts: rules.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            secure: rules.secure,
            own_user: rules.own_user,
        }
    }

    /// Whether users with passwords are configured; `/metrics` then requires one as well.
    pub(crate) fn has_users(&self) -> bool {
        self.users.is_some()
    }

    /// Whether the `Host` header names this computer. This detects DNS rebinding, where a page points its own host name
    /// to this computer; an IP address cannot be taken over in this way.
    pub(crate) fn host_is_own(&self, peer: Peer, headers: &HeaderMap) -> bool {
        // Browsers do not use Unix sockets; clients of one are proxies or programs that were configured for it.
        if matches!(peer, Peer::User(_)) {
            return true;
        }
        let mut given = headers.get_all(HOST).iter();
        let (Some(host), None) = (given.next(), given.next()) else {
            return false;
        };
        let Ok(host) = host.to_str() else { return false };
        let name = host_name(host).to_ascii_lowercase();
        name.parse::<IpAddr>().is_ok() || name == "localhost" || self.hosts.contains(&name)
    }

    /// Whether a request that changes something comes from a page of this server, or from a program.
    pub(crate) fn same_origin(headers: &HeaderMap) -> bool {
        // Pages cannot forge this header. `Origin` alone does not suffice: under this server's referrer policy, that of
        // a form is "null".
        match headers.get(HeaderName::from_static("sec-fetch-site")) {
            Some(site) if site == "same-origin" => return true,
            Some(site) if site != "none" => return false,
            _ => {}
        }
        let Some(origin) = headers.get(ORIGIN) else { return true };
        let (Ok(origin), Some(Ok(host))) = (origin.to_str(), headers.get(HOST).map(|host| host.to_str())) else {
            return false;
        };
        origin
            .split_once("://")
            .is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(host))
    }

    /// Returns what the request may access. Checking a password is deliberately slow; call this only where blocking is
    /// allowed.
    pub(crate) fn check(&self, peer: Peer, headers: &HeaderMap) -> Verdict {
        if let Peer::User(Some(user)) = peer
            && (user == 0 || user == self.own_user)
        {
            return Verdict::Allowed;
        }
        if self.cookie(headers).is_some_and(|cookie| self.sessions.holds(&cookie)) {
            return Verdict::Allowed;
        }
        let Some(given) = headers.get(AUTHORIZATION) else {
            return Verdict::Unknown;
        };
        let Some((scheme, secret)) = given.to_str().ok().and_then(|given| given.split_once(' ')) else {
            return Verdict::Wrong;
        };
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.check_token(peer, secret.trim());
        }
        if scheme.eq_ignore_ascii_case("basic") {
            return self.check_password(peer, secret.trim());
        }
        Verdict::Wrong
    }

    /// Whether a password must be checked, which takes a tenth of a second of CPU time.
    pub(crate) fn is_slow(headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|given| given.to_str().ok());
        given.is_some_and(|given| {
            given
                .get(..6)
                .is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic "))
        })
    }

    /// Checks whether `secret` is the token.
    pub(crate) fn check_token(&self, peer: Peer, secret: &str) -> Verdict {
        let right = self.token.matches(secret);
        // A random token cannot be guessed. Accept it even while the peer is limited, so that the wrong attempts of
        // others do not lock its owner out.
        if right && self.token.is_random() {
            return Verdict::Allowed;
        }
        if !self.limiter.allows(peer, Instant::now()) {
            return Verdict::Limited;
        }
        if right {
            return Verdict::Allowed;
        }
        self.limiter.failed(peer, Instant::now());
        Verdict::Wrong
    }

    fn check_password(&self, peer: Peer, secret: &str) -> Verdict {
        let Some(users) = &self.users else {
            return Verdict::Wrong;
        };
        if !self.limiter.allows(peer, Instant::now()) {
            return Verdict::Limited;
        }
        let decoded = STANDARD
            .decode(secret)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let right = decoded
            .as_deref()
            .and_then(|pair| pair.split_once(':'))
            .is_some_and(|(user, password)| users.check(user, password));
        if right {
            return Verdict::Allowed;
        }
        self.limiter.failed(peer, Instant::now());
        Verdict::Wrong
    }

    /// Begins a session. Returns the value of `Set-Cookie`; `None` if the system provides no random numbers.
    pub(crate) fn begin_session(&self) -> Option<String> {
        let secret = self.sessions.begin()?;
        let secure = if self.secure { "; Secure" } else { "" };
        Some(format!(
            "{COOKIE_NAME}={secret}; Path=/; HttpOnly; SameSite=Strict{secure}"
        ))
    }

    /// Ends the session of the request. Returns the value of `Set-Cookie`.
    pub(crate) fn end_session(&self, headers: &HeaderMap) -> String {
        if let Some(cookie) = self.cookie(headers) {
            self.sessions.end(&cookie);
        }
        format!("{COOKIE_NAME}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
    }

    fn cookie(&self, headers: &HeaderMap) -> Option<String> {
        let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = values.flat_map(|value| value.split(';'));
        pairs.find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == COOKIE_NAME).then(|| value.to_owned())
        })
    }
}

/// Returns the name or address in a `Host` header, without port and brackets.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or("", |(address, _)| address);
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    const LOOPBACK: Peer = Peer::Address(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn access(token: Token) -> Access {
        Access::new(Rules {
            token,
            users: None,
            hosts: vec!["Server.Example".to_owned()],
            secure: false,
            own_user: 1000,
        })
    }

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn access_with_foreign_host_header_is_refused() {
        let access = access(Token::random().unwrap());
        for (host, own) in [
            ("127.0.0.1:9117", true),
            ("[::1]:9117", true),
            ("localhost", true),
            ("LOCALHOST:9117", true),
            ("server.example:443", true),
            ("rebind.example", false),
            ("localhost.rebind.example", false),
            ("", false),
        ] {
            assert_eq!(access.host_is_own(LOOPBACK, &headers(&[(HOST, host)])), own, "{host}");
        }
        assert!(!access.host_is_own(LOOPBACK, &HeaderMap::new()));
        let twice = headers(&[(HOST, "localhost"), (HOST, "rebind.example")]);
        assert!(!access.host_is_own(LOOPBACK, &twice));
        assert!(access.host_is_own(Peer::User(None), &headers(&[(HOST, "any.example")])));
    }

    #[test]
    fn access_needs_token_cookie_or_permitted_user() {
        let token = Token::random().unwrap();
        let secret = token.secret().to_owned();
        let access = access(token);
        let check = |pairs: &[(HeaderName, &str)]| access.check(LOOPBACK, &headers(pairs));
        assert_eq!(check(&[]), Verdict::Unknown);
        assert_eq!(check(&[(AUTHORIZATION, &format!("Bearer {secret}"))]), Verdict::Allowed);
        assert_eq!(check(&[(AUTHORIZATION, &format!("bearer {secret}x"))]), Verdict::Wrong);
        assert_eq!(check(&[(AUTHORIZATION, "Basic dTpw")]), Verdict::Wrong);
        let cookie = access.begin_session().unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains(&secret));
        let pair = cookie.split(';').next().unwrap();
        assert_eq!(check(&[(COOKIE, &format!("a=b; {pair}"))]), Verdict::Allowed);
        access.end_session(&headers(&[(COOKIE, pair)]));
        assert_eq!(check(&[(COOKIE, pair)]), Verdict::Unknown);
        for (user, verdict) in [
            (Some(0), Verdict::Allowed),
            (Some(1000), Verdict::Allowed),
            (Some(1001), Verdict::Unknown),
            (None, Verdict::Unknown),
        ] {
            assert_eq!(access.check(Peer::User(user), &HeaderMap::new()), verdict);
        }
    }

    #[test]
    fn access_after_many_wrong_tokens_is_limited_except_by_random_token() {
        let token = Token::random().unwrap();
        let secret = token.secret().to_owned();
        let random = access(token);
        let chosen = access(Token::chosen("correct-horse-battery").unwrap());
        for access in [&random, &chosen] {
            let verdicts: Vec<Verdict> = (0..40).map(|_| access.check_token(LOOPBACK, "wrong")).collect();
            assert_eq!(verdicts.first(), Some(&Verdict::Wrong));
            assert_eq!(verdicts.last(), Some(&Verdict::Limited));
        }
        assert_eq!(random.check_token(LOOPBACK, &secret), Verdict::Allowed);
        assert_eq!(chosen.check_token(LOOPBACK, "correct-horse-battery"), Verdict::Limited);
        let elsewhere = Peer::Address([192, 0, 2, 7].into());
        assert_eq!(chosen.check_token(elsewhere, "correct-horse-battery"), Verdict::Allowed);
    }

    #[test]
    fn access_same_origin_refuses_requests_of_other_pages() {
        let site = HeaderName::from_static("sec-fetch-site");
        for (pairs, same) in [
            (vec![(HOST, "localhost:9117")], true),
            (vec![(HOST, "localhost:9117"), (ORIGIN, "http://localhost:9117")], true),
            (vec![(HOST, "localhost:9117"), (ORIGIN, "http://localhost:8080")], false),
            (vec![(HOST, "localhost:9117"), (ORIGIN, "null")], false),
            (vec![(HOST, "localhost:9117"), (site.clone(), "cross-site")], false),
            (vec![(HOST, "localhost:9117"), (site.clone(), "same-site")], false),
            (
                vec![(HOST, "localhost:9117"), (ORIGIN, "null"), (site, "same-origin")],
                true,
            ),
        ] {
            assert_eq!(Access::same_origin(&headers(&pairs)), same, "{pairs:?}");
        }
    }
}
