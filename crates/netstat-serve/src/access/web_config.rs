//! The web configuration file of Prometheus and its exporters: users with bcrypt hashes, and TLS.
//!
//! The file and the files that it names are read again when they change, so that a renewed certificate does not require
//! a restart. If the new contents are invalid, this is reported and the previous configuration remains in use.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use saphyr::{LoadableYamlNode, Yaml};

use super::token::{digest, read_text};

/// The maximum size of the file in bytes.
const LONGEST: u64 = 1 << 20;
/// The minimum interval between two checks for changes.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// The maximum number of verified passwords that are cached, so that a scraper does not cost a hash each time.
const MOST_VERIFIED: usize = 64;
/// The hash cost for unknown user names if there are no hashes to take it from: the most common value.
const USUAL_COST: u32 = 10;

/// The error for a web configuration that cannot be used; one line.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct WebConfigError {
    path: String,
    why: String,
}

fn error(path: &Path, why: impl fmt::Display) -> WebConfigError {
    WebConfigError {
        path: path.display().to_string(),
        why: why.to_string(),
    }
}

/// The contents of a web configuration.
#[derive(Debug)]
struct Content {
    users: HashMap<String, String>,
    tls: Option<Tls>,
}

/// The `tls_server_config` section, with absolute paths.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    client: ClientAuth,
    client_authorities: Option<PathBuf>,
    /// Whether TLS 1.2 is rejected.
    only_13: bool,
}

/// Which client certificates are required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientAuth {
    None,
    IfGiven,
    Required,
}

/// A web configuration in use.
pub(crate) struct WebConfig {
    path: PathBuf,
    state: Mutex<State>,
    users: Arc<Users>,
}

impl fmt::Debug for WebConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebConfig({})", self.path.display())
    }
}

struct State {
    tls: Option<Arc<ServerConfig>>,
    /// The files that were read, with their modification times and sizes at that time.
    stamps: Vec<(PathBuf, Stamp)>,
    checked: Instant,
}

type Stamp = Option<(SystemTime, u64)>;

impl WebConfig {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// Fails if the file, or a file that it names, cannot be used.
    pub(crate) fn read(path: &Path) -> Result<Self, WebConfigError> {
        let (content, tls, stamps) = load(path)?;
        Ok(WebConfig {
            path: path.to_owned(),
            state: Mutex::new(State {
                tls,
                stamps,
                checked: Instant::now(),
            }),
            users: Arc::new(Users::new(content.users)),
        })
    }

    /// Returns the users.
    pub(crate) fn users(&self) -> Arc<Users> {
        Arc::clone(&self.users)
    }

    /// Returns the TLS settings; `None` if TLS is not configured.
    pub(crate) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).tls.clone()
    }

    /// Reads the configuration again if it has changed. TLS cannot be switched on or off in this way.
    ///
    /// # Errors
    /// Fails if the changed configuration cannot be used. The error is returned once, and the previous configuration
    /// remains in use.
    pub(crate) fn refresh(&self) -> Result<(), WebConfigError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.checked.elapsed() < CHECK_EVERY {
            return Ok(());
        }
        state.checked = Instant::now();
        if state.stamps.iter().all(|(path, stamp)| stamp_of(path) == *stamp) {
            return Ok(());
        }
        // Whatever the result, try again only after the next change.
        for (path, stamp) in &mut state.stamps {
            *stamp = stamp_of(path);
        }
        let (content, tls, stamps) = load(&self.path)?;
        if tls.is_some() != state.tls.is_some() {
            return Err(error(&self.path, "TLS can be switched on or off only by a new start"));
        }
        if content.users.is_empty() != self.users.is_empty() {
            let why = "the first user can be added, and the last one removed, only by a new start";
            return Err(error(&self.path, why));
        }
        (state.tls, state.stamps) = (tls, stamps);
        self.users.replace(content.users);
        Ok(())
    }
}

fn stamp_of(path: &Path) -> Stamp {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

type Loaded = (Content, Option<Arc<ServerConfig>>, Vec<(PathBuf, Stamp)>);

fn load(path: &Path) -> Result<Loaded, WebConfigError> {
    let mut files = vec![path.to_owned()];
    let text = read_text(path, LONGEST).map_err(|why| error(path, why))?;
    let content = parse(path, &text)?;
    if let Some(tls) = &content.tls {
        files.extend([tls.certificate.clone(), tls.key.clone()]);
        files.extend(tls.client_authorities.clone());
    }
    // Taken before the files are read, so that a change in between is noticed next time.
    let stamps = files
        .into_iter()
        .map(|file| (stamp_of(&file), file))
        .map(|(stamp, file)| (file, stamp));
    let stamps = stamps.collect();
    let tls = content.tls.as_ref().map(server_config).transpose()?;
    Ok((content, tls, stamps))
}

fn parse(path: &Path, text: &str) -> Result<Content, WebConfigError> {
    let wrong = |why: String| error(path, why);
    let documents = Yaml::load_from_str(text).map_err(|why| wrong(why.to_string()))?;
    let mut content = Content {
        users: HashMap::new(),
        tls: None,
    };
    let top = match documents.as_slice() {
        [] => return Ok(content),
        [one] if one.is_null() => return Ok(content),
        [one] => one,
        _ => return Err(wrong("one document is expected".to_owned())),
    };
    let top = top
        .as_mapping()
        .ok_or_else(|| wrong("a mapping is expected".to_owned()))?;
    for (key, value) in top {
        match key.as_str() {
            Some("basic_auth_users") => {
                let users = value
                    .as_mapping()
                    .ok_or_else(|| wrong("basic_auth_users: a mapping of names to bcrypt hashes is expected".into()))?;
                for (name, hash) in users {
                    let (Some(name), Some(hash)) = (name.as_str(), hash.as_str()) else {
                        return Err(wrong("basic_auth_users: names and hashes are texts".into()));
                    };
                    hash.parse::<bcrypt::HashParts>()
                        .map_err(|_| wrong(format!("basic_auth_users: what stands for {name:?} is no bcrypt hash")))?;
                    content.users.insert(name.to_owned(), hash.to_owned());
                }
            }
            Some("tls_server_config") => content.tls = Some(parse_tls(path, value)?),
            other => {
                let name = other.unwrap_or("?");
                return Err(wrong(format!(
                    "{name:?} is not supported; basic_auth_users and tls_server_config are"
                )));
            }
        }
    }
    Ok(content)
}

/// For the fuzz targets.
#[cfg(fuzzing)]
pub(crate) fn fuzz(text: &str) {
    if let Err(error) = parse(Path::new("web.yml"), text) {
        assert!(!error.to_string().is_empty());
    }
}

fn parse_tls(path: &Path, value: &Yaml<'_>) -> Result<Tls, WebConfigError> {
    let wrong = |why: String| error(path, format!("tls_server_config: {why}"));
    let mapping = value
        .as_mapping()
        .ok_or_else(|| wrong("a mapping is expected".into()))?;
    let beside = path.parent().unwrap_or(Path::new("."));
    let (mut certificate, mut key, mut authorities) = (None, None, None);
    let mut client = ClientAuth::None;
    let mut only_13 = false;
    for (name, value) in mapping {
        let name = name.as_str().unwrap_or("?");
        let text = value
            .as_str()
            .ok_or_else(|| wrong(format!("{name}: a text is expected")))?;
        match name {
            "cert_file" => certificate = Some(beside.join(text)),
            "key_file" => key = Some(beside.join(text)),
            "client_ca_file" => authorities = Some(beside.join(text)),
            "client_auth_type" => {
                client = match text {
                    "NoClientCert" => ClientAuth::None,
                    "VerifyClientCertIfGiven" => ClientAuth::IfGiven,
                    "RequireAndVerifyClientCert" => ClientAuth::Required,
                    other => {
                        return Err(wrong(format!(
                            "client_auth_type: {other:?} is not supported; NoClientCert, VerifyClientCertIfGiven and \
                             RequireAndVerifyClientCert are"
                        )));
                    }
                }
            }
            "min_version" => {
                only_13 = match text {
                    "TLS12" => false,
                    "TLS13" => true,
                    other => {
                        return Err(wrong(format!(
                            "min_version: {other:?} is not supported; TLS12 and TLS13 are"
                        )));
                    }
                }
            }
            other => return Err(wrong(format!("{other:?} is not supported"))),
        }
    }
    if client != ClientAuth::None && authorities.is_none() {
        return Err(wrong("client_auth_type needs client_ca_file".into()));
    }
    Ok(Tls {
        certificate: certificate.ok_or_else(|| wrong("cert_file is missing".into()))?,
        key: key.ok_or_else(|| wrong("key_file is missing".into()))?,
        client,
        client_authorities: authorities,
        only_13,
    })
}

/// The maximum size of a file of certificates or keys in bytes. The authorities that systems trust take some 220 kB.
const LONGEST_PEM: u64 = 16 << 20;

fn pem(path: &Path) -> Result<Vec<u8>, WebConfigError> {
    netstat_os::files::read_named(path, LONGEST_PEM).map_err(|why| error(path, why))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, WebConfigError> {
    let content = pem(path)?;
    let read = CertificateDer::pem_slice_iter(&content);
    let list: Vec<_> = read.collect::<Result<_, _>>().map_err(|why| error(path, why))?;
    match list.is_empty() {
        true => Err(error(path, "it holds no certificate")),
        false => Ok(list),
    }
}

fn server_config(tls: &Tls) -> Result<Arc<ServerConfig>, WebConfigError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[_] = if tls.only_13 { &[&TLS13] } else { &[&TLS13, &TLS12] };
    let chain = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&pem(&tls.key)?).map_err(|why| error(&tls.key, why))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|why| error(&tls.certificate, why))?;
    let builder = match (tls.client, &tls.client_authorities) {
        (ClientAuth::None, _) | (_, None) => builder.with_no_client_auth(),
        (client, Some(path)) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|why| error(path, why))?;
            }
            let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            if client == ClientAuth::IfGiven {
                verifier = verifier.allow_unauthenticated();
            }
            builder.with_client_cert_verifier(verifier.build().map_err(|why| error(path, why))?)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|why| error(&tls.certificate, why))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The users with their password hashes.
pub(crate) struct Users {
    known: Mutex<Known>,
}

struct Known {
    hashes: Arc<HashMap<String, String>>,
    /// Digests of user name and password pairs that were verified.
    verified: HashSet<[u8; 32]>,
    /// The hash that unknown user names are checked against, so that they take as long as known ones.
    nobody: Option<String>,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Users")
    }
}

impl Users {
    fn new(hashes: HashMap<String, String>) -> Self {
        Users {
            known: Mutex::new(Known {
                nobody: nobody(&hashes),
                hashes: Arc::new(hashes),
                verified: HashSet::new(),
            }),
        }
    }

    /// Whether there are no users.
    pub(crate) fn is_empty(&self) -> bool {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .hashes
            .is_empty()
    }

    fn replace(&self, hashes: HashMap<String, String>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.nobody = nobody(&hashes);
        known.hashes = Arc::new(hashes);
        known.verified.clear();
    }

    /// Whether `password` is the password of `user`.
    pub(crate) fn check(&self, user: &str, password: &str) -> bool {
        let pair = digest(&format!("{}:{user}:{password}", user.len()));
        let (hashes, nobody) = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.verified.contains(&pair) {
                return true;
            }
            (Arc::clone(&known.hashes), known.nobody.clone())
        };
        let right = match (hashes.get(user), nobody) {
            (Some(hash), _) => bcrypt::verify(password, hash).unwrap_or(false),
            (None, Some(hash)) => {
                // Spend the same time as for a known user; the result does not matter.
                let _ = bcrypt::verify(password, &hash);
                false
            }
            (None, None) => false,
        };
        if right {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            // Cache the result only if the users have not changed in the meantime.
            if Arc::ptr_eq(&known.hashes, &hashes) {
                if known.verified.len() >= MOST_VERIFIED {
                    known.verified.clear();
                }
                known.verified.insert(pair);
            }
        }
        right
    }
}

/// Creates a hash with the same cost as the others.
fn nobody(hashes: &HashMap<String, String>) -> Option<String> {
    let cost = hashes
        .values()
        .filter_map(|hash| hash.parse::<bcrypt::HashParts>().ok())
        .map(|parts| parts.get_cost());
    bcrypt::hash("", cost.max().unwrap_or(USUAL_COST).clamp(4, 16)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Content, String> {
        parse(Path::new("/etc/netstat/web.yml"), text).map_err(|why| why.to_string())
    }

    #[test]
    fn users_and_tls_are_read_as_prometheus_writes_them() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let text = format!(
            "tls_server_config:\n  cert_file: server.crt\n  key_file: /keys/server.key\n  min_version: TLS13\n\
             basic_auth_users:\n  alice: {hash}\n"
        );
        let content = parsed(&text).unwrap();
        let tls = content.tls.unwrap();
        assert_eq!(tls.certificate, Path::new("/etc/netstat/server.crt"));
        assert_eq!(tls.key, Path::new("/keys/server.key"));
        assert!(tls.only_13);
        let users = Users::new(content.users);
        for (user, password, right) in [
            ("alice", "secret", true),
            ("alice", "secret", true),
            ("alice", "Secret", false),
            ("bob", "secret", false),
            ("bob", "", false),
        ] {
            assert_eq!(users.check(user, password), right, "{user}");
        }
        users.replace(HashMap::new());
        assert!(!users.check("alice", "secret") && users.is_empty());
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (text, word) in [
            ("basic_auth_users: {alice: plain}", "alice"),
            ("rate_limit: {}", "rate_limit"),
            ("tls_server_config: {cert_file: a}", "key_file"),
            (
                "tls_server_config: {cert_file: a, key_file: b, min_version: TLS10}",
                "TLS10",
            ),
            (
                "tls_server_config: {cert_file: a, key_file: b, client_auth_type: RequireAndVerifyClientCert}",
                "client_ca_file",
            ),
            ("- list", "mapping"),
            ("a: [", "line"),
        ] {
            let why = parsed(text).unwrap_err();
            assert!(why.contains(word) && why.starts_with("/etc/netstat/web.yml: "), "{why}");
        }
        assert!(parsed("").unwrap().users.is_empty());
    }
}
