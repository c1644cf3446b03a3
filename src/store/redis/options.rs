//! Where a Redis or Valkey server is, and how it is talked to.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::store::remote::LocalCopies;

/// How the servers are laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Single {
        /// Its host and port.
        host: String,
        /// Its port.
        port: u16,
    },
    /// One server, by a socket in the file system.
    Unix(PathBuf),
    /// A cluster, by some of its nodes.
    Cluster(Vec<(String, u16)>),
    /// A server that sentinels know.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<(String, u16)>,
        /// The name they know it by.
        service: String,
    },
}

/// TLS, with files in PEM form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Who vouches for the server; `None` for those the system trusts.
    pub ca: Option<PathBuf>,
    /// A certificate of this client's and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// A user's name and password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// The user; `None` for the default one.
    pub username: Option<String>,
    /// The password.
    pub password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = self.password.as_ref().map(|_| "***");
        f.debug_struct("Login").field("username", &self.username).field("password", &password).finish()
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Options {
    /// The servers.
    pub topology: Topology,
    /// Whether and how connections are encrypted.
    pub tls: Option<Tls>,
    /// Who logs in.
    pub login: Login,
    /// Who logs in at the sentinels.
    pub sentinel_login: Login,
    /// The number of the database.
    pub database: u32,
    /// Whose records these are, where several share a server.
    pub namespace: String,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a verb may take in all.
    pub timeout: Duration,
    /// Replicas that must have a claim before it counts.
    pub wait_replicas: u32,
    /// How long copies of completed records in this process are good.
    pub local_copies: LocalCopies,
}

impl Options {
    /// A server without a password, with the defaults.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            topology: Topology::Single { host: host.into(), port },
            tls: None,
            login: Login::default(),
            sentinel_login: Login::default(),
            database: 0,
            namespace: "idempotency".into(),
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            wait_replicas: 0,
            local_copies: LocalCopies::Off,
        }
    }

    /// The servers as a person names them, without any password.
    pub(super) fn place(&self) -> String {
        let list = |nodes: &[(String, u16)]| {
            let all: Vec<String> = nodes.iter().map(|(host, port)| format!("{host}:{port}")).collect();
            all.join(",")
        };
        match &self.topology {
            Topology::Single { host, port } => format!("Redis at {host}:{port}"),
            Topology::Unix(path) => format!("Redis at {}", path.display()),
            Topology::Cluster(nodes) => format!("the Redis cluster at {}", list(nodes)),
            Topology::Sentinel { sentinels, service } => {
                format!("the Redis server {service:?} of the sentinels at {}", list(sentinels))
            }
        }
    }
}
