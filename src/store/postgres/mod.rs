//! Records in PostgreSQL, shared by any number of hosts.
//!
//! A claim, and whatever follows from it, is a statement that commits by itself: what it reads is what it decides upon, since it
//! holds the row, or writes only where the row is still what was read. A duplicate writes nothing and locks nothing. Time is
//! the server's.

use std::sync::Arc;

use self::engine::PostgresEngine;
use super::Limits;
use super::remote::RemoteStore;
use super::remote::engine::Time;
use crate::core::clock::Clock;
use crate::core::error::StoreError;

mod claim;
mod engine;
mod familiar;
mod fault;
mod hold;
mod listener;
mod look;
mod options;
mod pool;
mod row;
mod schema;
mod session;
mod statement;
mod text;
mod tls;
mod upkeep;

pub use self::options::{Options, Prepare, Tls};
pub use self::schema::{LOCK, SCHEMA, VERSION};

/// A store in a database.
pub type PostgresStore = RemoteStore<PostgresEngine>;

impl PostgresStore {
    /// The store in a database, whose tables are made or migrated if need be; the error says what is wrong with the server, or
    /// with the way to it. `clock` decides instead of the server's own, for tests.
    pub fn open(options: Options, clock: Option<Arc<dyn Clock>>, limits: Limits) -> Result<Self, StoreError> {
        Self::unopened(options, clock, limits).connected()
    }

    /// The same, opened by the first verb: until the database can be reached, each one fails.
    pub fn unopened(options: Options, clock: Option<Arc<dyn Clock>>, limits: Limits) -> Self {
        let (timeout, copies) = (options.timeout, options.local_copies);
        let time = clock.map_or(Time::Server, Time::Given);
        Self::new(timeout, copies, limits, |news| PostgresEngine::new(options, time, news))
    }
}
