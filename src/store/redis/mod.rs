//! Records on a Redis or Valkey server, a cluster of them, or one that sentinels watch over.
//!
//! A record is a hash that `HGETALL` shows. Each decision is one script that touches the keys of one slot, by the
//! server's clock; the server itself removes what has expired. Fences come from a counter for each tag, and are never
//! below the server's clock in microseconds, so that a counter that was lost issues none twice.

use std::sync::Arc;

use self::client::RedisEngine;
use super::Limits;
use super::remote::RemoteStore;
use super::remote::engine::Time;
use crate::core::clock::Clock;
use crate::core::error::StoreError;

mod claim;
mod client;
mod engine;
mod fields;
mod fitness;
mod keys;
mod link;
mod options;
mod script;
mod steps;
mod trouble;
mod walk;

pub use self::options::{Login, Options, Tls, Topology};

/// A store on servers.
pub type RedisStore = RemoteStore<RedisEngine>;

impl RedisStore {
    /// The store on these servers, which are asked at once; the error says what is wrong with them. `clock` decides instead
    /// of the servers' own, for tests.
    pub fn open(options: Options, clock: Option<Arc<dyn Clock>>, limits: Limits) -> Result<Self, StoreError> {
        Self::unopened(options, clock, limits).connected()
    }

    /// The same, connected to by the first verb.
    pub fn unopened(options: Options, clock: Option<Arc<dyn Clock>>, limits: Limits) -> Self {
        let (timeout, copies) = (options.timeout, options.local_copies);
        let time = clock.map_or(Time::Server, Time::Given);
        Self::new(timeout, copies, limits, |news| RedisEngine::new(options, time, news))
    }
}
