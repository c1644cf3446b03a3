//! Rows that others hold.

use std::thread;
use std::time::{Duration, Instant};

use _core::core::clock::Span;
use _core::core::error::StoreError;
use _core::store::postgres::Options;
use _core::store::{Claimed, Ending, Store};

use crate::world::{Sql, World, answer, ask, has_server, json, options, unique};

#[test]
fn a_cleanup_leaves_what_others_hold_for_the_next() {
    if !has_server() {
        return;
    }
    let options = options();
    let (world, sql) = (World::new(options.clone()), Sql::new(&options));
    for number in 0..5 {
        let hold = world.run(&format!("s:a:t:{number}"));
        ask(world.store.finish(&hold, Ending::Complete(json("1"), Span::from_micros(1))));
    }
    let held = format!("namespace = '{}' AND key = 's:a:t:3'", options.namespace);
    sql.run(&format!("BEGIN; SELECT 1 FROM idempotency_records WHERE {held} FOR UPDATE"));
    assert_eq!(ask(world.store.cleanup_expired()), 4);
    sql.run("ROLLBACK");
    assert_eq!(ask(world.store.cleanup_expired()), 1);
    assert_eq!(ask(world.store.tally()).expired_cleaned, 5);
}

#[test]
fn a_claim_that_meets_an_open_transaction_ends_in_time() {
    if !has_server() {
        return;
    }
    let options = Options { timeout: Duration::from_secs(1), ..options() };
    let (world, sql) = (World::new(options.clone()), Sql::new(&options));
    sql.run(&format!(
        "BEGIN; INSERT INTO idempotency_records (namespace, key, fence, state, attempts, started_at, lease_until, expires_at) \
         VALUES ('{}', 's:a:t:1', 1, 'in_progress', 1, 1, 9000000000000000000, 9000000000000000000)",
        options.namespace
    ));
    let began = Instant::now();
    let refused = answer(world.store.claim(&world.request("s:a:t:1")));
    let Err(StoreError::Unavailable(text)) = refused else { panic!("nobody knows yet whether it is claimed") };
    assert!(text.contains("another transaction"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(matches!(world.claim("s:a:t:2"), Claimed::Run(_)), "other keys are free meanwhile");
    sql.run("COMMIT");
    assert!(matches!(world.claim("s:a:t:1"), Claimed::Busy(_)));
}

#[test]
fn a_removal_waits_for_a_short_transaction_and_a_duplicate_for_none() {
    if !has_server() {
        return;
    }
    let options = options();
    let (world, sql) = (World::new(options.clone()), Sql::new(&options));
    world.execute("s:a:t:1");
    sql.run(&format!(
        "BEGIN; DELETE FROM idempotency_records WHERE namespace = '{}' AND key = 's:a:t:1'",
        options.namespace
    ));
    assert!(matches!(world.claim("s:a:t:1"), Claimed::Replay { .. }), "until it is gone it is there, and nobody waits");
    thread::scope(|scope| {
        let cleared = scope.spawn(|| ask(world.store.clear("s:a:t:1")));
        thread::sleep(Duration::from_millis(50));
        sql.run("COMMIT");
        assert!(!cleared.join().expect("it answers"), "the other was first");
    });
}

#[test]
fn duplicates_write_nothing() {
    if !has_server() {
        return;
    }
    let options = options();
    let (world, sql) = (World::new(options.clone()), Sql::new(&options));
    world.execute("s:a:t:1");
    ask(world.store.flush());
    let row = || {
        let place = format!("namespace = '{}'", options.namespace);
        sql.run(&format!("SELECT concat(ctid, xmin, xmax) FROM idempotency_records WHERE {place}"))
    };
    world.claim("s:a:t:1");
    let before = row();
    for _ in 0..20 {
        assert!(matches!(world.claim("s:a:t:1"), Claimed::Replay { .. }));
    }
    // What was counted may have been told meanwhile, in one transaction.
    let changes = usize::from(before != row());
    assert!(changes <= 1);
    assert_eq!(ask(world.store.get("s:a:t:1")).map(|record| record.attempts), Some(22));
}

#[test]
fn a_server_that_takes_no_writes_still_answers_duplicates() {
    if !has_server() {
        return;
    }
    let (server, role) = (options(), unique("reader"));
    let sql = Sql::new(&server);
    World::new(server.clone()).execute("s:a:t:1");
    sql.run(&format!("CREATE ROLE {role} LOGIN SUPERUSER"));
    sql.run(&format!("ALTER ROLE {role} SET default_transaction_read_only = on"));
    let world = World::new(Options { username: Some(role.clone()), ..server });
    assert!(matches!(world.claim("s:a:t:1"), Claimed::Replay { .. }));
    let refused = answer(world.store.claim(&world.request("s:a:t:2")));
    assert!(
        matches!(&refused, Err(StoreError::Failed(text)) if text.contains("read-only")),
        "a new key can't be claimed"
    );
    drop(world);
    sql.run(&format!("DROP ROLE {role}"));
}
