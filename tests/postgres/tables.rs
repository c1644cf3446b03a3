//! Making the tables.

use std::thread;

use _core::core::error::StoreError;
use _core::store::postgres::{Options, PostgresStore, SCHEMA, VERSION};
use _core::store::{Limits, Store};

use crate::world::{Sql, World, ask, has_server, options, unique};

/// An empty database, and a session in it.
struct Fresh {
    options: Options,
    sql: Option<Sql>,
    home: Sql,
}

impl Fresh {
    fn new() -> Self {
        let home = options();
        let fresh = Options { database: Some(unique("fresh")), ..home.clone() };
        let home = Sql::new(&home);
        home.run(&format!("CREATE DATABASE {}", fresh.database.as_deref().expect("a name")));
        Self { sql: Some(Sql::new(&fresh)), options: fresh, home }
    }

    fn run(&self, sql: &str) -> Vec<String> {
        self.sql.as_ref().expect("open").run(sql)
    }

    fn role(&self) -> Options {
        let role = unique("app");
        self.run(&format!("CREATE ROLE {role} LOGIN"));
        Options { username: Some(role), ..self.options.clone() }
    }

    fn end(mut self, role: Option<&Options>) {
        drop(self.sql.take());
        self.home.run(&format!("DROP DATABASE {} WITH (FORCE)", self.options.database.as_deref().expect("a name")));
        if let Some(role) = role {
            self.home.run(&format!("DROP ROLE {}", role.username.as_deref().expect("a name")));
        }
    }
}

fn open(options: &Options) -> Result<PostgresStore, StoreError> {
    PostgresStore::open(options.clone(), None, Limits::default())
}

fn refused(options: &Options) -> String {
    match open(options) {
        Err(StoreError::Failed(text)) => text,
        other => panic!("it is refused for good, and not {other:?}"),
    }
}

#[test]
fn ten_that_start_at_once_make_the_tables_once() {
    if !has_server() {
        return;
    }
    let fresh = Fresh::new();
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| open(&fresh.options).expect("all can start"));
        }
    });
    assert_eq!(fresh.run("SELECT value FROM idempotency_meta WHERE name = 'schema'"), [VERSION.to_string()]);
    World::new(fresh.options.clone()).execute("s:a:t");
    assert_eq!(fresh.run("SELECT state FROM idempotency"), ["completed"]);
    fresh.end(None);
}

#[test]
fn the_printed_schema_may_be_run_again() {
    if !has_server() {
        return;
    }
    let fresh = Fresh::new();
    fresh.run(SCHEMA);
    let fence = World::new(fresh.options.clone()).execute("s:a:t").fence;
    fresh.run(SCHEMA);
    assert!(World::new(fresh.options.clone()).run("s:a:t:2").fence > fence);
    fresh.end(None);
}

#[test]
fn tables_of_a_newer_version_are_refused() {
    if !has_server() {
        return;
    }
    let fresh = Fresh::new();
    fresh.run(SCHEMA);
    fresh.run("UPDATE idempotency_meta SET value = 99 WHERE name = 'schema'");
    let text = refused(&fresh.options);
    assert!(text.contains("version 99") && text.contains("upgrade"), "{text}");
    fresh.end(None);
}

#[test]
fn a_role_that_may_not_create_is_told_who_must() {
    if !has_server() {
        return;
    }
    let fresh = Fresh::new();
    let role = fresh.role();
    fresh.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let text = refused(&role);
    assert!(text.contains("idempotency schema --print"), "{text}");
    fresh.end(Some(&role));
}

/// The grants that the schema's head lists.
fn grants(role: &str) -> String {
    let lines = SCHEMA.lines().filter_map(|line| line.strip_prefix("--   ")).filter(|line| line.starts_with("GRANT"));
    lines.map(|line| line.replace("TO app;", &format!("TO {role};"))).collect()
}

#[test]
fn the_listed_grants_are_all_that_a_role_needs() {
    if !has_server() {
        return;
    }
    let fresh = Fresh::new();
    let role = fresh.role();
    fresh.run("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    fresh.run(SCHEMA);
    let text = refused(&role);
    assert!(text.contains("grant"), "{text}");
    fresh.run(&grants(role.username.as_deref().expect("a name")));
    let world = World::new(role.clone());
    world.execute("s:a:t");
    ask(world.store.tally());
    ask(world.store.clear_all());
    drop(world);
    fresh.end(Some(&role));
}

#[test]
fn tables_that_vanish_are_made_again() {
    if !has_server() {
        return;
    }
    let fresh = Fresh::new();
    let world = World::new(fresh.options.clone());
    world.execute("s:a:t");
    fresh.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
    world.execute("s:a:t");
    fresh.end(None);
}
