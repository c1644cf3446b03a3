//! Where the records are, as Python says it, and the store that is opened there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use serde::Deserialize;

use super::drive::settle;
use super::rules::Settings;
use super::{clock, errors, log};
use crate::core::clock::{Clock, SystemClock, WallClock};
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::store::postgres::{self, PostgresStore, Prepare};
use crate::store::redis::{self, Login, RedisStore, Tls, Topology};
use crate::store::remote::LocalCopies;
use crate::store::sqlite::{self, SqliteStore, Synchronous};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "engine", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Place {
    /// In this process.
    Memory {},
    /// In a file.
    Sqlite {
        path: PathBuf,
        /// Whether what was committed survives a power cut.
        full: bool,
        /// In microseconds.
        busy_timeout: u64,
        namespace: String,
    },
    /// On Redis or Valkey servers.
    Redis(Box<RedisPlace>),
    /// In a PostgreSQL database.
    Postgresql(Box<PostgresPlace>),
}

/// A PostgreSQL database. Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PostgresPlace {
    hosts: Vec<(String, u16)>,
    database: Option<String>,
    username: Option<String>,
    password: Option<Secret>,
    tls: TlsPlace,
    tls_ca: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    namespace: String,
    connect_timeout: u64,
    timeout: u64,
    pool_size: usize,
    prepare: PreparePlace,
    application_name: String,
    local_copies: Option<CopiesPlace>,
}

/// What is asked of TLS, in libpq's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TlsPlace {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Whether statements are prepared under names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PreparePlace {
    Auto,
    On,
    Off,
}

impl PostgresPlace {
    fn options(&self) -> postgres::Options {
        postgres::Options {
            hosts: self.hosts.clone(),
            database: self.database.clone(),
            username: self.username.clone(),
            password: self.password.as_ref().map(|Secret(password)| password.clone()),
            tls: match self.tls {
                TlsPlace::Disable => postgres::Tls::Disable,
                TlsPlace::Prefer => postgres::Tls::Prefer,
                TlsPlace::Require => postgres::Tls::Require,
                TlsPlace::VerifyCa => postgres::Tls::VerifyCa,
                TlsPlace::VerifyFull => postgres::Tls::VerifyFull,
            },
            tls_ca: self.tls_ca.clone(),
            tls_cert: self.tls_cert.clone(),
            tls_key: self.tls_key.clone(),
            namespace: self.namespace.clone(),
            connect_timeout: Duration::from_micros(self.connect_timeout),
            timeout: Duration::from_micros(self.timeout),
            pool_size: self.pool_size,
            prepare: match self.prepare {
                PreparePlace::Auto => Prepare::Auto,
                PreparePlace::On => Prepare::On,
                PreparePlace::Off => Prepare::Off,
            },
            application_name: self.application_name.clone(),
            local_copies: CopiesPlace::mode(self.local_copies.as_ref()),
        }
    }
}

/// Redis or Valkey servers. Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RedisPlace {
    topology: Layout,
    nodes: Vec<(String, u16)>,
    path: PathBuf,
    service: String,
    tls: bool,
    tls_ca: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    username: Option<String>,
    password: Option<Secret>,
    sentinel_username: Option<String>,
    sentinel_password: Option<Secret>,
    database: u32,
    namespace: String,
    connect_timeout: u64,
    timeout: u64,
    wait_replicas: u32,
    local_copies: Option<CopiesPlace>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Layout {
    Single,
    Unix,
    Cluster,
    Sentinel,
}

/// A password, which nobody sees by accident.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct Secret(pub(super) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// How long copies are good: an age in microseconds, or as long as the server tells of changes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum CopiesPlace {
    Aged(u64),
    Told(String),
}

impl CopiesPlace {
    pub(super) fn mode(place: Option<&Self>) -> LocalCopies {
        match place {
            None => LocalCopies::Off,
            Some(Self::Aged(age)) => LocalCopies::Aged(Duration::from_micros(*age)),
            Some(Self::Told(_)) => LocalCopies::Told,
        }
    }
}

impl RedisPlace {
    fn options(&self) -> redis::Options {
        let login = |username: &Option<String>, password: &Option<Secret>| Login {
            username: username.clone(),
            password: password.as_ref().map(|Secret(password)| password.clone()),
        };
        let (host, port) = self.nodes.first().cloned().unwrap_or_default();
        redis::Options {
            topology: match self.topology {
                Layout::Single => Topology::Single { host, port },
                Layout::Unix => Topology::Unix(self.path.clone()),
                Layout::Cluster => Topology::Cluster(self.nodes.clone()),
                Layout::Sentinel => Topology::Sentinel { sentinels: self.nodes.clone(), service: self.service.clone() },
            },
            tls: self
                .tls
                .then(|| Tls { ca: self.tls_ca.clone(), client: self.tls_cert.clone().zip(self.tls_key.clone()) }),
            login: login(&self.username, &self.password),
            sentinel_login: login(&self.sentinel_username, &self.sentinel_password),
            database: self.database,
            namespace: self.namespace.clone(),
            connect_timeout: Duration::from_micros(self.connect_timeout),
            timeout: Duration::from_micros(self.timeout),
            wait_replicas: self.wait_replicas,
            local_copies: CopiesPlace::mode(self.local_copies.as_ref()),
        }
    }
}

impl Place {
    /// The store there.
    pub(super) fn open(&self, settings: &Settings, clock: &Bound<'_, PyAny>) -> PyResult<Arc<dyn Store>> {
        let (py, limits) = (clock.py(), settings.limits());
        match self {
            Self::Memory {} => {
                let clock = clock::of_config(clock, || Arc::new(SystemClock::new()))?;
                Ok(Arc::new(MemoryStore::new(clock, limits)))
            }
            Self::Sqlite { path, full, busy_timeout, namespace } => {
                let options = sqlite::Options {
                    path: path.clone(),
                    synchronous: if *full { Synchronous::Full } else { Synchronous::Normal },
                    busy_timeout: Duration::from_micros(*busy_timeout),
                    namespace: namespace.clone(),
                };
                let clock = clock::of_config(clock, || Arc::new(WallClock))?;
                match py.detach(|| SqliteStore::open(options.clone(), Arc::clone(&clock), limits)) {
                    Ok(store) => Ok(Arc::new(store)),
                    // What runs without a store must run without a file, too.
                    Err(_) if settings.execute_without_store => {
                        Ok(Arc::new(SqliteStore::unopened(options, clock, limits)))
                    }
                    Err(error) => Err(errors::of_store(py, &error)),
                }
            }
            Self::Redis(place) => {
                let store = RedisStore::unopened(place.options(), given(clock)?, limits);
                connected(py, Arc::new(store), settings)
            }
            Self::Postgresql(place) => {
                let store = PostgresStore::unopened(place.options(), given(clock)?, limits);
                connected(py, Arc::new(store), settings)
            }
        }
    }
}

/// The clock that was given; a server has its own.
fn given(clock: &Bound<'_, PyAny>) -> PyResult<Option<Arc<dyn Clock>>> {
    if clock.is_none() { Ok(None) } else { clock::of_config(clock, || Arc::new(WallClock)).map(Some) }
}

/// A store on a server, asked for something to see that the server is there, and fit.
fn connected(py: Python<'_>, store: Arc<dyn Store>, settings: &Settings) -> PyResult<Arc<dyn Store>> {
    match settle(py, store.get(""))? {
        // What runs without a store must run without a server, too.
        Err(error) if !settings.execute_without_store => return Err(errors::of_store(py, &error)),
        _ => {}
    }
    for warning in store.warnings() {
        log::warn(py, &warning);
    }
    Ok(store)
}
