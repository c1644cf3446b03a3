//! The tables: looked at once by each store, made and migrated where they have to be.

use tokio_postgres::{Client, SimpleQueryMessage};

use super::fault;
use super::options::Options;
use crate::core::error::StoreError;
use crate::store::remote::engine::Fault;

/// What makes the tables, the functions and the view of [`VERSION`], whatever is there.
pub const SCHEMA: &str = concat!(include_str!("schema.sql"), include_str!("functions.sql"));
/// The version of the tables.
pub const VERSION: i64 = 1;

/// Who makes or migrates the tables holds this advisory lock to the end of the transaction: "idempote" in ASCII.
pub const LOCK: i64 = 0x6964_656D_706F_7465;

/// Sees to it that the tables are there.
pub(super) async fn prepare(client: &Client, options: &Options) -> Result<(), Fault> {
    if version(client, options).await? == Some(VERSION) {
        return Ok(());
    }
    let begin = format!(
        "BEGIN; SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; \
                         SELECT pg_advisory_xact_lock({LOCK})"
    );
    let made = async {
        said(client.batch_execute(&begin).await, options)?;
        // Another may have made them meanwhile.
        if version(client, options).await? != Some(VERSION) {
            said(client.batch_execute(SCHEMA).await, options)?;
        }
        said(client.batch_execute("COMMIT").await, options)
    };
    let made = made.await;
    if made.is_err() {
        // A connection that is lost has rolled back.
        _ = client.batch_execute("ROLLBACK").await;
    }
    made
}

/// The version of the tables that are there; an error for one that this code does not know.
async fn version(client: &Client, options: &Options) -> Result<Option<i64>, Fault> {
    let asked = |sql: &'static str| async move {
        let messages = client.simple_query(sql).await.map_err(|error| reading(&error, options))?;
        Ok::<_, Fault>(messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    };
    // Where none is there, this says so without an error in the server's log.
    if asked("SELECT to_regclass('idempotency_meta')").await?.is_none() {
        return Ok(None);
    }
    let version = asked("SELECT value FROM idempotency_meta WHERE name = 'schema'").await?;
    let version = version.and_then(|version| version.parse().ok());
    match version {
        Some(newer) if newer > VERSION => Err(Fault::Answer(StoreError::Failed(format!(
            "the tables in PostgreSQL at {} are version {newer}, made by a newer idempotency_manager; this one knows up to \
             {VERSION}: upgrade it, or name another database or search_path",
            options.place()
        )))),
        version => Ok(version),
    }
}

fn reading(error: &tokio_postgres::Error, options: &Options) -> Fault {
    fault::of_statement(error, options).fault
}

/// What making the tables met.
fn said(made: Result<(), tokio_postgres::Error>, options: &Options) -> Result<(), Fault> {
    let Err(error) = made else { return Ok(()) };
    let code = error.code().map(tokio_postgres::error::SqlState::code).unwrap_or_default();
    let reason = error.as_db_error().map(tokio_postgres::error::DbError::message).unwrap_or_default();
    // Insufficient privilege; no schema to create in; owned by another.
    if ["42501", "3F000"].contains(&code) {
        let user = options.username.as_deref().unwrap_or("the role");
        return Err(Fault::Answer(StoreError::Failed(format!(
            "PostgreSQL at {}: the tables are not there, and {user} may not create them ({reason}): have somebody who may run \
             the output of `idempotency schema --print --engine postgresql`, or GRANT CREATE ON SCHEMA",
            options.place()
        ))));
    }
    Err(reading(&error, options))
}
