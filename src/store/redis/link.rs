//! The connection to the servers: made at first need, shared by all callers, and made anew when it is lost.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClientBuilder, ClusterConfig};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo,
    ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, TlsMode, Value,
};
use tokio::sync::Mutex as AsyncMutex;

use super::options::{Login, Options, Tls, Topology};
use super::trouble;
use crate::core::error::StoreError;
use crate::store::remote::engine::Fault;

/// What is told of pushes of the server.
pub(super) type Push = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// A connection.
#[derive(Clone)]
pub(super) enum Link {
    /// To one server.
    One(MultiplexedConnection),
    /// To the nodes of a cluster.
    Cluster(ClusterConnection),
}

impl Link {
    pub(super) async fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        let answer = match self {
            Self::One(connection) => connection.send_packed_command(command).await,
            Self::Cluster(connection) => connection.req_packed_command(command).await,
        };
        answer.and_then(Value::extract_error)
    }

    /// The same to certain nodes; one server is all there are.
    pub(super) async fn send_to(&mut self, command: &Cmd, nodes: RoutingInfo) -> RedisResult<Value> {
        let answer = match self {
            Self::One(connection) => connection.send_packed_command(command).await,
            Self::Cluster(connection) => connection.route_command(command.clone(), nodes).await,
        };
        answer.and_then(Value::extract_error)
    }

    /// A command and, by the same connection and right behind it, a wait for replicas to have what it wrote; answers with
    /// their number, too.
    pub(super) async fn send_and_wait(&mut self, command: &Cmd, wait: &Cmd, slot: u16) -> RedisResult<(Value, Value)> {
        let mut both = redis::Pipeline::with_capacity(2);
        both.add_command(command.clone()).add_command(wait.clone());
        let answers = match self {
            Self::One(connection) => connection.send_packed_commands(&both, 0, 2).await,
            Self::Cluster(connection) => {
                let master = SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master));
                connection.route_pipeline(both, 0, 2, master).await
            }
        }?;
        let mut answers = answers.into_iter().map(Value::extract_error);
        let mut next = || answers.next().unwrap_or(Ok(Value::Nil));
        Ok((next()?, next()?))
    }

    pub(super) async fn subscribe(&mut self, channel: &str) -> RedisResult<()> {
        match self {
            Self::One(connection) => connection.subscribe(channel).await,
            Self::Cluster(connection) => connection.subscribe(channel).await,
        }
    }
}

/// A connection and which one it is of all that were made.
pub(super) struct Slot {
    made: u64,
    link: Option<Link>,
    /// Whether the server was asked for its news by this connection.
    pub(super) listens: bool,
    /// Held by who connects.
    connecting: Arc<AsyncMutex<()>>,
}

/// The connection of a store.
pub(super) struct Links {
    slot: Mutex<Slot>,
}

impl Links {
    pub(super) fn new() -> Self {
        Self { slot: Mutex::new(Slot { made: 0, link: None, listens: false, connecting: Arc::default() }) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> Option<(u64, Link)> {
        let slot = self.lock();
        Some((slot.made, slot.link.clone()?))
    }

    /// The connection, made now if there is none. `check` looks at a new one before anybody uses it.
    pub(super) async fn get(
        &self,
        options: &Options,
        push: &Push,
        check: impl AsyncFnOnce(&mut Link) -> Result<(), Fault>,
    ) -> Result<(u64, Link), Fault> {
        if let Some(found) = self.current() {
            return Ok(found);
        }
        let connecting = Arc::clone(&self.lock().connecting);
        let _alone = connecting.lock().await;
        if let Some(found) = self.current() {
            return Ok(found);
        }
        let made = async {
            let mut link = connect(options, push).await?;
            check(&mut link).await?;
            Ok(link)
        };
        let link = match tokio::time::timeout(options.connect_timeout, made).await {
            Ok(Ok(link)) => link,
            // Nothing of what the caller asks was sent.
            Ok(Err(Fault::Lost(text))) => return Err(Fault::Unsent(text)),
            Ok(Err(fault)) => return Err(fault),
            // It has had its time; who must go on asking does.
            Err(_) => return Err(Fault::Answer(StoreError::Unavailable(trouble::no_connection(options)))),
        };
        let mut slot = self.lock();
        slot.made += 1;
        slot.listens = false;
        slot.link = Some(link.clone());
        Ok((slot.made, link))
    }

    /// Lets go of a connection that is of no use, unless there is another one already.
    pub(super) fn drop_link(&self, made: u64) {
        let mut slot = self.lock();
        if slot.made == made {
            let gone = slot.link.take();
            drop(slot);
            drop(gone);
        }
    }

    /// Lets go of whatever there is.
    pub(super) fn let_go(&self) {
        let gone = self.lock().link.take();
        drop(gone);
    }
}

impl Slot {
    /// In a forked child: the parent's connection stays the parent's, and what waits for it is not there to be woken.
    pub(super) fn begin_anew(&mut self) {
        std::mem::forget(self.link.take());
        std::mem::forget(std::mem::take(&mut self.connecting));
        self.listens = false;
    }

    /// Whether this is still the connection in use.
    pub(super) fn is(&self, made: u64) -> bool {
        self.made == made && self.link.is_some()
    }
}

async fn connect(options: &Options, push: &Push) -> Result<Link, Fault> {
    open(options, push).await.map_err(|error| trouble::fault(&error, options, true))
}

async fn open(options: &Options, push: &Push) -> RedisResult<Link> {
    let push = Arc::clone(push);
    let sender = move |info: PushInfo| {
        push(info);
        Ok::<(), ()>(())
    };
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(options.connect_timeout))
        .set_response_timeout(None)
        .set_pipeline_buffer_size(1024);
    let certificates = options.tls.as_ref().map(certificates).transpose()?;
    match &options.topology {
        Topology::Single { host, port } => {
            let client = client(address(host, *port, certificates.is_some()), settings(options), certificates)?;
            let config = config.set_push_sender(sender);
            Ok(Link::One(client.get_multiplexed_async_connection_with_config(&config).await?))
        }
        Topology::Unix(path) => {
            let client = client(ConnectionAddr::Unix(path.clone()), settings(options), None)?;
            let config = config.set_push_sender(sender);
            Ok(Link::One(client.get_multiplexed_async_connection_with_config(&config).await?))
        }
        Topology::Sentinel { sentinels, service } => {
            let mut client = sentinel(options, sentinels, service, certificates)?;
            let config = config.set_push_sender(sender);
            Ok(Link::One(client.get_async_connection_with_config(&config).await?))
        }
        Topology::Cluster(nodes) => Ok(Link::Cluster(cluster(options, nodes, certificates, sender).await?)),
    }
}

fn address(host: &str, port: u16, tls: bool) -> ConnectionAddr {
    if tls {
        ConnectionAddr::TcpTls { host: host.into(), port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host.into(), port)
    }
}

fn settings(options: &Options) -> RedisConnectionInfo {
    let Login { username, password } = &options.login;
    let mut settings = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_db(i64::from(options.database))
        .set_lib_name("idempotency_manager", env!("CARGO_PKG_VERSION"));
    if let Some(username) = username {
        settings = settings.set_username(username);
    }
    if let Some(password) = password {
        settings = settings.set_password(password);
    }
    settings
}

fn client(
    address: ConnectionAddr,
    settings: RedisConnectionInfo,
    certificates: Option<TlsCertificates>,
) -> RedisResult<Client> {
    let info = address.into_connection_info()?.set_redis_settings(settings);
    match certificates {
        Some(certificates) => Client::build_with_tls(info, certificates),
        None => Client::open(info),
    }
}

fn sentinel(
    options: &Options,
    sentinels: &[(String, u16)],
    service: &str,
    certificates: Option<TlsCertificates>,
) -> RedisResult<redis::sentinel::SentinelClient> {
    let tls = certificates.is_some();
    let addresses = sentinels.iter().map(|(host, port)| address(host, *port, tls));
    let mut builder = SentinelClientBuilder::new(addresses, service, SentinelServerType::Master)?
        .set_client_to_redis_protocol(ProtocolVersion::RESP3)
        .set_client_to_redis_db(i64::from(options.database));
    if let Some(certificates) = certificates {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure)
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates);
    }
    let Login { username, password } = &options.login;
    if let Some(username) = username {
        builder = builder.set_client_to_redis_username(username);
    }
    if let Some(password) = password {
        builder = builder.set_client_to_redis_password(password);
    }
    let Login { username, password } = &options.sentinel_login;
    if let Some(username) = username {
        builder = builder.set_client_to_sentinel_username(username);
    }
    if let Some(password) = password {
        builder = builder.set_client_to_sentinel_password(password);
    }
    builder.build()
}

async fn cluster(
    options: &Options,
    nodes: &[(String, u16)],
    certificates: Option<TlsCertificates>,
    sender: impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static,
) -> RedisResult<ClusterConnection> {
    let tls = certificates.is_some();
    let infos = nodes.iter().map(|(host, port)| address(host, *port, tls).into_connection_info());
    let infos = infos.collect::<RedisResult<Vec<_>>>()?;
    let mut builder = ClusterClientBuilder::new(infos)
        .use_protocol(ProtocolVersion::RESP3)
        .connection_timeout(options.connect_timeout)
        .response_timeout(response_timeout(options))
        .overall_response_timeout(Some(options.timeout))
        .retries(3)
        .push_sender(sender);
    if let Some(certificates) = certificates {
        builder = builder.tls(TlsMode::Secure).certs(certificates);
    }
    let Login { username, password } = &options.login;
    if let Some(username) = username {
        builder = builder.username(username);
    }
    if let Some(password) = password {
        builder = builder.password(password);
    }
    builder.build()?.get_async_connection_with_config(ClusterConfig::new()).await
}

/// How long one answer may take, so that there is time to ask again by another connection.
pub(super) fn response_timeout(options: &Options) -> Duration {
    options.timeout * 4 / 5
}

fn certificates(tls: &Tls) -> RedisResult<TlsCertificates> {
    let read = |path: &Path| std::fs::read(path).map_err(RedisError::from);
    let client_tls = match &tls.client {
        Some((certificate, key)) => Some(ClientTlsConfig { client_cert: read(certificate)?, client_key: read(key)? }),
        None => None,
    };
    let root_cert = tls.ca.as_deref().map(read).transpose()?;
    if let (Some(pem), Some(path)) = (&root_cert, &tls.ca)
        && !String::from_utf8_lossy(pem).contains("-----BEGIN CERTIFICATE-----")
    {
        let text = format!("tls_ca: {} holds no certificate in PEM form", path.display());
        return Err((ErrorKind::InvalidClientConfig, "no certificate", text).into());
    }
    Ok(TlsCertificates { client_tls, root_cert })
}

impl From<RedisFailure> for Fault {
    fn from(RedisFailure(text): RedisFailure) -> Self {
        Self::Answer(StoreError::Failed(text))
    }
}

/// A text that says what is wrong with a server, and the remedy.
pub(super) struct RedisFailure(pub(super) String);
