//! A session with a server, from the first packet to what the server says of itself.

use std::fmt::Write as _;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Error, NoTls, SimpleQueryMessage, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::fault;
use super::options::{Options, Prepare, Tls};
use crate::core::error::StoreError;
use crate::store::remote::engine::Fault;

/// The oldest version whose statements these are.
const OLDEST: u32 = 130_000;

/// What carries a session's messages; somebody must poll it.
pub(super) trait Wire: Send {
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>>;
}

impl<S, T> Wire for Connection<S, T>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
{
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<AsyncMessage, Error>>> {
        Self::poll_message(self, context)
    }
}

/// Carries messages until the session ends; hands on what the server tells by itself.
pub(super) async fn carry(mut wire: Box<dyn Wire>, mut told: impl FnMut(AsyncMessage)) {
    while let Some(Ok(message)) = std::future::poll_fn(|context| wire.poll_message(context)).await {
        told(message);
    }
}

/// A session that has begun.
pub(super) struct Session {
    pub(super) client: Client,
    /// Carries its messages. To be polled beside all that is asked of the client.
    pub(super) wire: Box<dyn Wire>,
    /// Whether it is the server's own, and stays so: no pooler gives each transaction another.
    pub(super) is_direct: bool,
}

/// Begins sessions.
pub(super) struct Opener<'a> {
    pub(super) options: &'a Options,
    pub(super) tls: Option<&'a MakeRustlsConnect>,
}

impl Opener<'_> {
    /// The session parameters that a server of one's own takes at the start.
    fn parameters(&self) -> String {
        let timeout = self.options.timeout.as_millis().max(1);
        // So that a statement that waits for another transaction's lock is given up, and asked again, some times.
        let patience = (timeout / 5).max(1);
        let mut text =
            String::from("-c idempotency.direct=1 -c default_transaction_isolation=read\\ committed -c jit=off");
        // What is written to a string does not fail.
        _ = write!(text, " -c statement_timeout={timeout} -c lock_timeout={patience}");
        _ = write!(text, " -c idle_in_transaction_session_timeout={timeout} -c client_min_messages=warning");
        text
    }

    fn config(&self, host: &(String, u16), with_parameters: bool) -> Config {
        let options = self.options;
        let mut config = Config::new();
        config.host(&host.0).port(host.1).application_name(&options.application_name);
        if let Some(database) = &options.database {
            config.dbname(database);
        }
        if let Some(user) = &options.username {
            config.user(user);
        }
        if let Some(password) = &options.password {
            config.password(password);
        }
        config.ssl_mode(match options.tls {
            _ if host.0.starts_with('/') => SslMode::Disable,
            Tls::Disable => SslMode::Disable,
            Tls::Prefer => SslMode::Prefer,
            Tls::Require | Tls::VerifyCa | Tls::VerifyFull => SslMode::Require,
        });
        config.connect_timeout(options.connect_timeout).tcp_user_timeout(options.timeout);
        config
            .keepalives_idle(Duration::from_secs(30))
            .keepalives_interval(Duration::from_secs(10))
            .keepalives_retries(3);
        if with_parameters {
            config.options(self.parameters());
        }
        config
    }

    /// Begins a session with this host.
    pub(super) async fn open(&self, host: &(String, u16)) -> Result<Session, Fault> {
        let patience = self.options.connect_timeout;
        let opened = tokio::time::timeout(patience, async {
            let asks = self.options.prepare != Prepare::Off;
            match self.dial(host, asks).await {
                Err(error) if asks && fault::refuses_options(&error) => self.dial(host, false).await,
                other => other,
            }
        });
        let late = || {
            let (host, port) = host;
            let seconds = patience.as_secs_f64();
            Fault::Unsent(format!(
                "PostgreSQL at {host}:{port} did not take the connection within {seconds} s (connect_timeout=)"
            ))
        };
        let (client, mut wire) =
            opened.await.map_err(|_| late())?.map_err(|error| fault::of_connecting(&error, &self.one(host)))?;
        let is_direct = tokio::select! {
            fit = tokio::time::timeout(patience, self.look(&client)) => fit.map_err(|_| late())??,
            () = drain(&mut *wire) => return Err(Fault::Unsent("PostgreSQL has ended a session as it began".into())),
        };
        Ok(Session { client, wire, is_direct })
    }

    /// The options as if this were the only host, for what is said of it; whether it is one of several, it keeps.
    fn one(&self, host: &(String, u16)) -> Options {
        Options { hosts: vec![host.clone()], ..self.options.clone() }
    }

    async fn dial(&self, host: &(String, u16), with_parameters: bool) -> Result<(Client, Box<dyn Wire>), Error> {
        let config = self.config(host, with_parameters);
        match self.tls {
            Some(tls) => dial(&config, tls.clone()).await,
            None => dial(&config, NoTls).await,
        }
    }

    /// Asks the server what it is; answers whether the session is the server's own.
    async fn look(&self, client: &Client) -> Result<bool, Fault> {
        const LOOK: &str = "SELECT current_setting('idempotency.direct', true), current_setting('server_version_num'), \
                            current_setting('server_encoding'), pg_is_in_recovery(), \
                            current_setting('transaction_read_only')";
        let rows = client.simple_query(LOOK).await.map_err(|error| fault::of_statement(&error, self.options).fault)?;
        let Some(SimpleQueryMessage::Row(row)) =
            rows.into_iter().find(|message| matches!(message, SimpleQueryMessage::Row(_)))
        else {
            return Err(self.unfit("it does not say what it is"));
        };
        let said = |column| row.get(column).unwrap_or_default();
        let version: u32 = said(1).parse().unwrap_or_default();
        if version < OLDEST {
            return Err(self.unfit(&format!("it is version {}; 13 is the oldest that will do", version / 10_000)));
        }
        if said(2) != "UTF8" {
            let text = format!("the database is encoded in {}: make one with ENCODING 'UTF8'", said(2));
            return Err(self.unfit(&text));
        }
        // One that is named alone still answers duplicates; of several, another may be the primary.
        let others = self.options.hosts.len() > 1;
        if others && (said(3) == "t" || said(4) == "on") {
            let place = self.options.place();
            let remedy = "the server is a standby, or default_transaction_read_only is on for the role or the database";
            return Err(Fault::Unsent(format!("PostgreSQL at {place}: no host can be written to: {remedy}")));
        }
        Ok(said(0) == "1")
    }

    fn unfit(&self, what: &str) -> Fault {
        Fault::Answer(StoreError::Failed(format!("PostgreSQL at {}: {what}", self.options.place())))
    }
}

async fn drain(wire: &mut dyn Wire) {
    while let Some(Ok(_)) = std::future::poll_fn(|context| wire.poll_message(context)).await {}
}

async fn dial<T>(config: &Config, tls: T) -> Result<(Client, Box<dyn Wire>), Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let (client, connection) = config.connect(tls).await?;
    Ok((client, Box::new(connection)))
}
