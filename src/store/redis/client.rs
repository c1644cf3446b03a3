//! The client of the servers: commands and scripts over one connection, and the news that come by it.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::cluster_routing::RoutingInfo;
use redis::{Cmd, ErrorKind, PushInfo, PushKind, RedisResult, ServerErrorKind, Value};

use super::fields;
use super::fitness;
use super::keys::Names;
use super::link::{Link, Links, Push, response_timeout};
use super::options::Options;
use super::script::Script;
use super::trouble;
use super::walk::Walks;
use crate::core::clock::Timestamp;
use crate::core::error::StoreError;
use crate::store::remote::engine::{Fault, Time};
use crate::store::remote::news::News;

/// See the module.
pub struct RedisEngine {
    pub(super) options: Options,
    pub(super) names: Names,
    pub(super) time: Time,
    pub(super) links: Links,
    pub(super) walks: Walks,
    pub(super) news: Arc<News>,
    push: Push,
    warnings: Mutex<Vec<String>>,
}

impl RedisEngine {
    pub(super) fn new(options: Options, time: Time, news: Arc<News>) -> Self {
        let names = Names::new(&options.namespace);
        let push = listener(&names, Arc::clone(&news));
        Self {
            names,
            time,
            links: Links::new(),
            walks: Walks::default(),
            news,
            push,
            warnings: Mutex::default(),
            options,
        }
    }

    pub(super) fn known_warnings(&self) -> MutexGuard<'_, Vec<String>> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, and which one it is.
    pub(super) async fn link(&self) -> Result<(u64, Link), Fault> {
        self.links.get(&self.options, &self.push, async |link| self.welcome(link).await).await
    }

    /// Looks at a server that was just connected to, and has it tell of changes.
    async fn welcome(&self, link: &mut Link) -> Result<(), Fault> {
        self.news.missed();
        let warnings = fitness::look(link, &self.options).await?;
        {
            let mut known = self.known_warnings();
            for warning in warnings {
                if !known.contains(&warning) {
                    known.push(warning);
                }
            }
        }
        if self.news.wants_changes() {
            let mut command = redis::cmd("CLIENT");
            command.arg("TRACKING").arg("ON").arg("NOLOOP");
            link.send(&command).await.map_err(|error| trouble::fault(&error, &self.options, true))?;
            self.news.follows_changes();
        }
        Ok(())
    }

    /// What the server answered; a fault where it did not.
    async fn try_send(&self, command: &Cmd, nodes: Option<RoutingInfo>) -> Result<RedisResult<Value>, Fault> {
        self.by_link(async |link| match nodes {
            Some(nodes) => link.send_to(command, nodes).await,
            None => link.send(command).await,
        })
        .await
    }

    async fn by_link<T>(&self, send: impl AsyncFnOnce(&mut Link) -> RedisResult<T>) -> Result<RedisResult<T>, Fault> {
        let (made, mut link) = self.link().await?;
        let request = pin!(send(&mut link));
        let Ok(answer) = tokio::time::timeout(response_timeout(&self.options), request).await else {
            self.links.drop_link(made);
            return Err(Fault::Lost(trouble::no_answer(&self.options)));
        };
        if answer.as_ref().is_err_and(trouble::is_final) {
            self.links.drop_link(made);
        }
        Ok(answer)
    }

    /// Sends a command to where its key is.
    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, Fault> {
        self.judge(self.try_send(command, None).await?)
    }

    /// Sends a command to certain nodes.
    pub(super) async fn send_to(&self, command: &Cmd, nodes: RoutingInfo) -> Result<Value, Fault> {
        self.judge(self.try_send(command, Some(nodes)).await?)
    }

    fn judge<T>(&self, answer: RedisResult<T>) -> Result<T, Fault> {
        answer.map_err(|error| trouble::fault(&error, &self.options, false))
    }

    /// Has a script run; one that the server does not know yet is introduced to it.
    pub(super) async fn run(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: impl Fn(&mut Cmd),
    ) -> Result<Value, Fault> {
        self.call(script, keys, arguments, None).await.map(|(answer, _)| answer)
    }

    /// The answer of a script, and of the wait behind it where there is one, with the slot it is for.
    async fn call(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: impl Fn(&mut Cmd),
        wait: Option<(Cmd, u16)>,
    ) -> Result<(Value, Value), Fault> {
        let mut command = script.call(keys);
        arguments(&mut command);
        let mut answer = self.send_script(&command, wait.as_ref()).await?;
        let unknown = |kind| kind == ErrorKind::Server(ServerErrorKind::NoScript);
        if answer.as_ref().is_err_and(|error| unknown(error.kind())) {
            command = script.introduce(keys);
            arguments(&mut command);
            answer = self.send_script(&command, wait.as_ref()).await?;
        }
        self.judge(answer)
    }

    async fn send_script(
        &self,
        command: &Cmd,
        wait: Option<&(Cmd, u16)>,
    ) -> Result<RedisResult<(Value, Value)>, Fault> {
        self.by_link(async |link| match wait {
            Some((wait, slot)) => link.send_and_wait(command, wait, *slot).await,
            None => Ok((link.send(command).await?, Value::Nil)),
        })
        .await
    }

    /// The same, where what is written must be on so many replicas before it counts: by the same connection, so that none but
    /// the server which has written is asked for its replicas. The record is the first of the keys.
    pub(super) async fn run_and_wait(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: impl Fn(&mut Cmd),
    ) -> Result<(Value, u32), Fault> {
        if self.options.wait_replicas == 0 {
            return Ok((self.run(script, keys, arguments).await?, 0));
        }
        let patience = response_timeout(&self.options) / 2;
        let mut wait = redis::cmd("WAIT");
        wait.arg(self.options.wait_replicas).arg(patience.as_millis().max(1).to_string());
        let slot = slot(keys.first().copied().unwrap_or_default());
        let (answer, replicas) = self.call(script, keys, arguments, Some((wait, slot))).await?;
        Ok((answer, fields::number(&replicas)?))
    }

    /// That too few replicas had what was written.
    pub(super) fn too_few_replicas(&self, have: u32) -> Fault {
        Fault::Answer(StoreError::Unavailable(format!(
            "only {have} of the {} replicas that wait_replicas asks for had the claim in time: {} has lost replicas, or they \
             lag",
            self.options.wait_replicas,
            self.options.place()
        )))
    }

    /// The time that decides, in microseconds, as the scripts take it: empty for the server's.
    pub(super) fn now_argument(&self) -> String {
        self.time.given().map(|now| now.0.to_string()).unwrap_or_default()
    }

    /// The time that decides.
    pub(super) async fn now(&self) -> Result<Timestamp, Fault> {
        if let Some(now) = self.time.given() {
            return Ok(now);
        }
        let answer = self.send(&redis::cmd("TIME")).await?;
        let Value::Array(parts) = answer else { return Err(fields::unreadable("the time")) };
        let [seconds, micros] = &parts[..] else { return Err(fields::unreadable("the time")) };
        let (seconds, micros): (i64, i64) = (fields::number(seconds)?, fields::number(micros)?);
        Ok(Timestamp(seconds * 1_000_000 + micros))
    }

    /// Has the ends of claims told by this connection.
    pub(super) async fn subscribe(&self) -> Result<(), Fault> {
        let (made, mut link) = self.link().await?;
        if self.links.lock().listens {
            return Ok(());
        }
        let subscribed = link.subscribe(&self.names.channel()).await;
        self.judge(subscribed.map(|()| Value::Nil))?;
        let mut slot = self.links.lock();
        slot.listens |= slot.is(made);
        Ok(())
    }
}

/// The slot of a record in a cluster.
fn slot(record: &str) -> u16 {
    let tag = record.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or(record, |(tag, _)| tag);
    crc16::State::<crc16::XMODEM>::calculate(tag.as_bytes()) % 16_384
}

/// What becomes of a push of the server's.
fn listener(names: &Names, news: Arc<News>) -> Push {
    let names = names.clone();
    Arc::new(move |PushInfo { kind, data }| match kind {
        PushKind::Message => {
            if let Some(key) = data.last().and_then(fields::owned) {
                news.ended(&key);
            }
        }
        PushKind::Invalidate => match data.first() {
            Some(Value::Array(changed)) => {
                let keys = changed.iter().filter_map(fields::owned);
                keys.for_each(|name| names.key(&name).into_iter().for_each(|key| news.changed(key)));
            }
            _ => news.all_changed(),
        },
        PushKind::Disconnection => news.missed(),
        _ => {}
    })
}

impl fmt::Debug for RedisEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("options", &self.options).finish_non_exhaustive()
    }
}
