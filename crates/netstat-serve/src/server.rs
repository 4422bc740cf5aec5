//! Listens, accepts connections, and shuts down.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use netstat_os::local::{self, LocalListener, LocalStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::access::Peer;
use crate::access::web_config::WebConfig;
use crate::handler::Site;
use crate::listen::Listen;
use crate::room::Room;
use crate::{Event, ServeError, connection};

/// The maximum number of open connections; see [`Room`].
const MOST_CONNECTIONS: usize = 512;
/// The time limit for a TLS handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// The pause after a failed accept, for example because no descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long connections may take to close when the server stops.
const STOP_TIME: Duration = Duration::from_secs(5);

/// The sockets that the server listens on.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    pub(crate) tcp: Vec<TcpListener>,
    pub(crate) unix: Vec<LocalListener>,
}

impl Listeners {
    /// Opens listeners at all of `places`.
    ///
    /// # Errors
    /// Fails with the first endpoint that cannot be listened on.
    pub(crate) fn open(places: &[Listen]) -> Result<Self, ServeError> {
        let mut all = Listeners::default();
        for place in places {
            let refused = |error: io::Error| ServeError::Listen(place.to_string(), error);
            match place {
                Listen::Address(address) => all.tcp.push(listen(*address).map_err(refused)?),
                Listen::Unix(path) => {
                    all.unix.push(local::listen(path).map_err(refused)?);
                }
                Listen::Inherited => {
                    let (tcp, unix) = local::inherited().map_err(refused)?;
                    all.tcp.extend(tcp);
                    all.unix.extend(unix);
                }
            }
        }
        Ok(all)
    }

    /// Returns the TCP addresses.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    // The standard library sets SO_REUSEADDR on Unix.
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// The state that all accept loops share.
#[derive(Clone)]
struct Shared {
    site: Arc<Site>,
    web: Option<Arc<WebConfig>>,
    room: Arc<Room>,
    report: Arc<dyn Fn(Event) + Send + Sync>,
}

/// Serves until a signal requests shutdown.
pub(crate) async fn run(
    listeners: Listeners,
    site: Arc<Site>,
    web: Option<Arc<WebConfig>>,
    stop: watch::Sender<bool>,
    report: Arc<dyn Fn(Event) + Send + Sync>,
) -> Result<(), ServeError> {
    let shared = Shared {
        site,
        web,
        room: Room::new(MOST_CONNECTIONS),
        report,
    };
    let mut accepting = Vec::new();
    for listener in listeners.tcp {
        accepting.push(tokio::spawn(accept_tcp(listener, shared.clone())));
    }
    for listener in listeners.unix {
        accepting.push(tokio::spawn(accept_unix(listener, shared.clone())));
    }
    let signal = local::stopped().await;
    accepting.iter().for_each(tokio::task::JoinHandle::abort);
    stop.send_replace(true);
    let _ = tokio::time::timeout(STOP_TIME, shared.room.emptied()).await;
    signal.map_err(ServeError::System)
}

async fn accept_tcp(listener: TcpListener, shared: Shared) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => tcp(stream, address, &shared),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn accept_unix(listener: LocalListener, shared: Shared) {
    loop {
        match listener.accept().await {
            Ok((stream, user)) => local(stream, user, &shared),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn tcp(stream: TcpStream, address: SocketAddr, shared: &Shared) {
    // Close the connection at once if there is no room: waiting connections would only use up descriptors.
    let Some(seat) = shared.room.enter() else { return };
    let _ = stream.set_nodelay(true);
    let peer = Peer::Address(address.ip());
    let (badge, site) = (seat.badge(), Arc::clone(&shared.site));
    let Some(web) = shared.web.clone() else {
        return Room::run(seat, connection::serve(stream, peer, badge, site));
    };
    refresh(&web, shared);
    Room::run(seat, async move {
        let Some(tls) = web.tls() else {
            return connection::serve(stream, peer, badge, site).await;
        };
        let handshake = TlsAcceptor::from(tls).accept(stream);
        if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_TIME, handshake).await {
            connection::serve(stream, peer, badge, site).await;
        }
    });
}

fn local(stream: LocalStream, user: Option<u32>, shared: &Shared) {
    let Some(seat) = shared.room.enter() else { return };
    if let Some(web) = &shared.web {
        refresh(web, shared);
    }
    let (badge, site) = (seat.badge(), Arc::clone(&shared.site));
    Room::run(seat, connection::serve(stream, Peer::User(user), badge, site));
}

fn refresh(web: &WebConfig, shared: &Shared) {
    if let Err(error) = web.refresh() {
        (shared.report)(Event::NotRefreshed(error));
    }
}
