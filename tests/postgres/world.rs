//! A store on a server, and a way past it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use _core::core::record::Labels;
use _core::store::postgres::{Options, PostgresStore};
use _core::store::{ClaimRequest, Claimed, Ending, Held, Hold, Limits, MarkRequest, Store};
use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::asking::request;
pub(crate) use crate::asking::{LEASE, TTL, hold, json};
use crate::servers;
pub(crate) use crate::support::{answer, ask};

/// Whether the server of the tests is there.
pub(crate) fn has_server() -> bool {
    servers::is_there(Some(servers::POSTGRES))
}

/// A name that no other test has.
pub(crate) fn unique(what: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    format!("{what}_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// The server's options, with a namespace of their own.
pub(crate) fn options() -> Options {
    Options { namespace: unique("test"), ..servers::database(servers::POSTGRES) }
}

pub(crate) struct World {
    pub(crate) store: PostgresStore,
    owner: Arc<str>,
}

impl World {
    pub(crate) fn new(options: Options) -> Self {
        let store = PostgresStore::open(options, None, Limits::default()).expect("the server answers");
        Self { store, owner: "another-host:1".into() }
    }

    pub(crate) fn request<'a>(&'a self, key: &'a str) -> ClaimRequest<'a> {
        request(key, &self.owner)
    }

    pub(crate) fn claim(&self, key: &str) -> Claimed {
        ask(self.store.claim(&self.request(key)))
    }

    pub(crate) fn run(&self, key: &str) -> Hold {
        hold(key, &self.claim(key))
    }

    pub(crate) fn complete(&self, hold: &Hold, result: &str) -> Held {
        ask(self.store.finish(hold, Ending::Complete(json(result), TTL)))
    }

    pub(crate) fn execute(&self, key: &str) -> Hold {
        let hold = self.run(key);
        assert!(matches!(self.complete(&hold, "1"), Held::Kept));
        hold
    }

    pub(crate) fn mark(&self, key: &str, labels: &Labels) {
        let request = MarkRequest {
            key,
            labels,
            fingerprint: None,
            result: json("1"),
            ttl: TTL,
            owner: &self.owner,
            params: None,
            context: None,
        };
        ask(self.store.mark(request));
    }
}

/// A session past the store.
pub(crate) struct Sql {
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
}

impl Sql {
    pub(crate) fn new(options: &Options) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut config = tokio_postgres::Config::new();
        config.host(&options.hosts[0].0).port(options.hosts[0].1);
        config
            .dbname(options.database.as_deref().expect("a database"))
            .user(options.username.as_deref().expect("a user"));
        if let Some(password) = &options.password {
            config.password(password);
        }
        let client = runtime.block_on(async {
            let (client, connection) = config.connect(NoTls).await.expect("the server answers");
            tokio::spawn(connection);
            client
        });
        Self { runtime, client }
    }

    /// The first column of the rows of a statement.
    pub(crate) fn run(&self, sql: &str) -> Vec<String> {
        let messages = self.runtime.block_on(self.client.simple_query(sql)).expect("the statement is right");
        let texts = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        });
        texts.collect()
    }

    /// Ends the sessions of an application.
    pub(crate) fn terminate(&self, application: &str) -> usize {
        let ended = self.run(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{application}'"
        ));
        ended.len()
    }
}
