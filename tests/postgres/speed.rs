//! What calls cost, beside the bare client. Measured by hand:
//! `cargo test --release --no-default-features --test postgres speed -- --ignored --nocapture`.

use std::time::Instant;

use _core::store::postgres::Options;
use _core::store::{BoxFuture, Queued, Reply, Store};
use tokio_postgres::NoTls;

use crate::world::{TTL, World, has_server, json, options};
use _core::store::{Claimed, Ending, Hold};

const ROUNDS: usize = 101;
const CALLS: usize = 30;

/// A call, and what it is.
type Call<'a> = (&'static str, Box<dyn FnMut() + 'a>);

/// The best round's time for each call, in rounds that take turns: the machine is not the same at all times.
#[expect(clippy::print_stderr, reason = "a measurement is there to be read")]
fn compare(mut calls: Vec<Call<'_>>) {
    let mut times = vec![Vec::new(); calls.len()];
    for _ in 0..ROUNDS {
        for ((_, call), times) in calls.iter_mut().zip(&mut times) {
            let began = Instant::now();
            (0..CALLS).for_each(|_| call());
            times.push(began.elapsed() / u32::try_from(CALLS).expect("few"));
        }
    }
    for ((what, _), times) in calls.iter().zip(&mut times) {
        times.sort();
        eprintln!("{what:<30} best {:?} median {:?}", times[0], times[ROUNDS / 2]);
    }
}

const SELECT: &str = "SELECT result FROM idempotency_records WHERE namespace = $1 AND key = $2";
const INSERT: &str = "INSERT INTO peer (key, state) VALUES ($1, 'busy') ON CONFLICT DO NOTHING";
const UPDATE: &str = "UPDATE peer SET state = 'done', result = $2 WHERE key = $1";

#[test]
#[ignore = "a measurement"]
fn what_one_thread_pays() {
    if !has_server() {
        return;
    }
    let options = options();
    let world = World::new(options.clone());
    world.execute("s:a:t:0");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let client = runtime.block_on(bare(&options));
    let prepare = |sql| runtime.block_on(client.prepare(sql)).expect("it is right");
    let peer = "DROP TABLE IF EXISTS peer; CREATE TABLE peer (key text PRIMARY KEY, state text, result text)";
    runtime.block_on(client.batch_execute(peer)).expect("a table");
    let (select, insert, update) = (prepare(SELECT), prepare(INSERT), prepare(UPDATE));
    let number = std::cell::Cell::new(0);
    let key = || {
        number.set(number.get() + 1);
        format!("s:a:t:first{}", number.get())
    };
    let first = World::new(options.clone());
    compare(vec![
        (
            "bare SELECT by key",
            Box::new(|| {
                let found = runtime.block_on(client.query(&select, &[&options.namespace, &"s:a:t:0"]));
                assert_eq!(found.expect("it answers").len(), 1);
            }),
        ),
        ("duplicate", Box::new(|| drop(world.claim("s:a:t:0")))),
        (
            "bare INSERT and UPDATE",
            Box::new(|| {
                let key = key();
                runtime.block_on(client.execute(&insert, &[&key])).expect("it answers");
                runtime.block_on(client.execute(&update, &[&key, &"1"])).expect("it answers");
            }),
        ),
        ("first call", Box::new(|| drop(first.execute(&key())))),
    ]);
    runtime.block_on(client.batch_execute("DROP TABLE peer")).expect("it was there");
}

async fn bare(options: &Options) -> tokio_postgres::Client {
    let mut config = tokio_postgres::Config::new();
    config.host(&options.hosts[0].0).port(options.hosts[0].1).user(options.username.as_deref().expect("a user"));
    config.dbname(options.database.as_deref().expect("a database"));
    let (client, connection) = config.connect(NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    client
}

#[test]
#[ignore = "a measurement"]
fn what_sixty_four_tasks_get() {
    if !has_server() {
        return;
    }
    for pool_size in [1, 2, 4, 6, 10, 16] {
        let world = World::new(Options { pool_size, ..options() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut rates = Vec::new();
        for round in 0..5 {
            let began = Instant::now();
            runtime.block_on(async {
                let tasks = (0..64).map(|task| first_calls(&world, round * 64 + task));
                futures_util::future::join_all(tasks).await;
            });
            rates.push(64.0 * 40.0 / began.elapsed().as_secs_f64());
        }
        rates.sort_by(f64::total_cmp);
        say_rate("first calls a second", pool_size, &rates);
        let mut rates = Vec::new();
        for _ in 0..5 {
            let began = Instant::now();
            runtime.block_on(async {
                let tasks = (0..64).map(|_| duplicates(&world));
                futures_util::future::join_all(tasks).await;
            });
            rates.push(64.0 * 100.0 / began.elapsed().as_secs_f64());
        }
        rates.sort_by(f64::total_cmp);
        say_rate("duplicates a second", pool_size, &rates);
    }
}

#[expect(clippy::print_stderr, reason = "a measurement is there to be read")]
fn say_rate(what: &str, pool_size: usize, rates: &[f64]) {
    eprintln!("pool {pool_size:>2}: {what:<25} median {:>7.0} best {:>7.0}", rates[2], rates[4]);
}

fn called<T: Send + 'static>(reply: Reply<T>) -> BoxFuture<Result<T, _core::core::error::StoreError>> {
    match reply {
        Reply::Queued(Queued { answer, errand }) => {
            errand.hand_over();
            answer
        }
        other => other.called(),
    }
}

async fn first_calls(world: &World, task: usize) {
    for number in 0..40 {
        let key = format!("s:a:t:{task}:{number}");
        let claimed = called(world.store.claim(&world.request(&key))).await.expect("it answers");
        let Claimed::Run(begun) = claimed else { panic!("it is new") };
        let hold = Hold { key: key.as_str().into(), fence: begun.fence };
        called(world.store.finish(&hold, Ending::Complete(json("1"), TTL))).await.expect("it answers");
    }
}

async fn duplicates(world: &World) {
    for number in 0..100 {
        let key = format!("s:a:t:0:{}", number % 40);
        let claimed = called(world.store.claim(&world.request(&key))).await.expect("it answers");
        assert!(matches!(claimed, Claimed::Replay { .. }));
    }
}
