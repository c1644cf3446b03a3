//! What the server tells by itself.

use std::thread;
use std::time::{Duration, Instant};

use _core::core::record::Labels;
use _core::store::postgres::Options;
use _core::store::remote::LocalCopies;
use _core::store::{BoxFuture, Claimed, Store};

use crate::support::{LONG, block_on};
use crate::world::{Sql, World, ask, has_server, options, unique};

fn wait(world: &World, key: &str) -> BoxFuture<()> {
    match world.claim(key) {
        Claimed::Busy(wait) => wait,
        _ => panic!("{key} is busy"),
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn who_waits_in_another_process_is_told_of_the_end() {
    if !has_server() {
        return;
    }
    let options = options();
    let (holder, waiter) = (World::new(options.clone()), World::new(options));
    let hold = holder.run("s:a:t:1");
    let waits = [wait(&waiter, "s:a:t:1"), wait(&waiter, "s:a:t:1")];
    thread::scope(|scope| {
        scope.spawn(|| waits.into_iter().for_each(block_on));
        thread::sleep(Duration::from_millis(20));
        holder.complete(&hold, "1");
    });
    assert!(matches!(waiter.claim("s:a:t:1"), Claimed::Replay { .. }));
}

#[test]
fn who_waits_is_told_of_a_clear_too() {
    if !has_server() {
        return;
    }
    let options = options();
    let (holder, waiter) = (World::new(options.clone()), World::new(options));
    for clear in [
        |world: &World| assert!(ask(world.store.clear("k"))),
        |world: &World| {
            assert_eq!(ask(world.store.clear_all()), 1);
        },
    ] {
        holder.run("k");
        let waits = wait(&waiter, "k");
        thread::scope(|scope| {
            scope.spawn(|| block_on(waits));
            clear(&holder);
        });
    }
}

fn copying() -> (Options, World) {
    let application = unique("copies");
    let options = Options { local_copies: LocalCopies::Told, application_name: application, ..options() };
    (options.clone(), World::new(options))
}

/// Has the store keep a copy of what is there.
fn copy(world: &World, key: &str) {
    until("a duplicate is answered from a copy", || {
        assert!(matches!(world.claim(key), Claimed::Replay { .. }));
        is_copied(world, key)
    });
}

fn is_copied(world: &World, key: &str) -> bool {
    world.store.replay(&world.request(key)).is_some()
}

#[test]
fn a_copy_is_dropped_when_another_process_changes_its_record() {
    if !has_server() {
        return;
    }
    let (options, world) = copying();
    // The other one keeps no copies, and has never heard of any.
    let other = World::new(Options { local_copies: LocalCopies::Off, ..options });
    let changes: [fn(&World); 4] = [
        |other| assert!(ask(other.store.clear("s:a:t:1"))),
        |other| other.mark("s:a:t:1", &Labels::default()),
        |other| assert_eq!(ask(other.store.remove_oldest(1)), 1),
        |other| assert_eq!(ask(other.store.clear_all()), 1),
    ];
    for change in changes {
        if !matches!(other.claim("s:a:t:1"), Claimed::Replay { .. }) {
            ask(other.store.clear("s:a:t:1"));
            other.execute("s:a:t:1");
        }
        copy(&world, "s:a:t:1");
        change(&other);
        until("the copy is dropped", || !is_copied(&world, "s:a:t:1"));
    }
}

#[test]
fn no_copy_is_used_while_nobody_listens() {
    if !has_server() {
        return;
    }
    let (options, world) = copying();
    world.execute("s:a:t:1");
    copy(&world, "s:a:t:1");
    let sql = Sql::new(&options);
    assert!(sql.terminate(&options.application_name) >= 2, "one that is asked, one that listens");
    until("copies are dropped with the connection", || !is_copied(&world, "s:a:t:1"));
    copy(&world, "s:a:t:1");
}

#[test]
fn who_does_not_keep_copies_is_told_nothing() {
    if !has_server() {
        return;
    }
    let options = options();
    let (world, sql) = (World::new(options.clone()), Sql::new(&options));
    world.execute("s:a:t:1");
    ask(world.store.clear("s:a:t:1"));
    let rows = sql.run(&format!(
        "SELECT count(*) FROM idempotency_counters WHERE namespace = '{}' AND name = 'followed'",
        options.namespace
    ));
    assert_eq!(rows, ["0"]);
}
