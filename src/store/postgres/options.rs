//! How a database is reached.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::store::remote::LocalCopies;

/// What is asked of TLS, in libpq's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Tls {
    /// There is none.
    Disable,
    /// It is used where the server offers it; nothing is checked.
    #[default]
    Prefer,
    /// It must be used; nothing is checked.
    Require,
    /// It must be used, with a certificate of an authority that is trusted.
    VerifyCa,
    /// The same, with a certificate for the host's name.
    VerifyFull,
}

/// Whether statements are prepared under names, which a pooler between transactions may not carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Prepare {
    /// Where the session turns out to be the server's own.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never; nor does anything else rely on the session.
    Off,
}

/// A store's database, and how it is used.
#[derive(Clone)]
pub struct Options {
    /// Hosts and ports, tried in this order; a host that begins with `/` is a folder with a socket.
    pub hosts: Vec<(String, u16)>,
    /// The database; `None` for one of the user's name.
    pub database: Option<String>,
    /// The user.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// What is asked of TLS.
    pub tls: Tls,
    /// The authorities that are trusted; `None` for the system's.
    pub tls_ca: Option<PathBuf>,
    /// A certificate to show to the server.
    pub tls_cert: Option<PathBuf>,
    /// Its key.
    pub tls_key: Option<PathBuf>,
    /// Whose records these are: stores of other namespaces in the same database see nothing of them.
    pub namespace: String,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long a verb may take, connecting and asking again included.
    pub timeout: Duration,
    /// Connections at most, beside one that listens.
    pub pool_size: usize,
    /// Whether statements are prepared under names.
    pub prepare: Prepare,
    /// What `pg_stat_activity` shows.
    pub application_name: String,
    /// How long a copy of a completed record is good in this process.
    pub local_copies: LocalCopies,
}

impl Options {
    /// The defaults for a database of a host.
    pub fn new(host: impl Into<String>, port: u16, database: impl Into<String>) -> Self {
        Self {
            hosts: vec![(host.into(), port)],
            database: Some(database.into()),
            username: None,
            password: None,
            tls: Tls::default(),
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            namespace: "idempotency".into(),
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            pool_size: 10,
            prepare: Prepare::default(),
            application_name: "idempotency_manager".into(),
            local_copies: LocalCopies::Off,
        }
    }

    /// The hosts, for a message.
    pub(super) fn place(&self) -> String {
        let named = |(host, port): &(String, u16)| {
            if host.starts_with('/') {
                format!("{host}/.s.PGSQL.{port}")
            } else if host.contains(':') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            }
        };
        self.hosts.iter().map(named).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("hosts", &self.hosts)
            .field("database", &self.database)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("tls", &self.tls)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}
