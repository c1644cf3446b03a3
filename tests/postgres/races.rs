//! Claims of the same key at the same time.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use _core::store::postgres::{Options, Prepare};
use _core::store::{Claimed, Ending, Store};

use crate::servers;
use crate::world::{LEASE, Sql, World, ask, has_server, hold, json, options, unique};

const THREADS: usize = 16;
const KEYS: usize = 20;

/// Each key is run by one of all who ask for it at once, through several stores.
fn race(options: &Options) {
    let worlds: Vec<World> = (0..4).map(|_| World::new(options.clone())).collect();
    let (start, runs) = (Barrier::new(THREADS), AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (world, start, runs) = (&worlds[number % worlds.len()], &start, &runs);
            scope.spawn(move || {
                for key in 0..KEYS {
                    let key = format!("s:a:t:{key}");
                    start.wait();
                    match world.claim(&key) {
                        claimed @ Claimed::Run(_) => {
                            runs.fetch_add(1, Ordering::SeqCst);
                            world.complete(&hold(&key, &claimed), "1");
                        }
                        Claimed::Busy(_) | Claimed::Replay { .. } => {}
                        _ => panic!("{key} is claimed, or done"),
                    }
                }
            });
        }
    });
    assert_eq!(runs.into_inner(), KEYS);
    let fences = KEYS + 1;
    assert!(worlds[0].run("s:a:t:last").fence.0 >= fences as u64);
}

#[test]
fn of_all_who_race_for_a_key_one_runs() {
    if has_server() {
        race(&options());
    }
}

#[test]
fn of_all_who_race_through_a_pooler_one_runs() {
    if has_server() && servers::is_there(Some(servers::PGBOUNCER)) {
        race(&Options { namespace: unique("race"), ..servers::database(servers::PGBOUNCER) });
    }
}

/// A role whose transactions are serializable, and a session that does not say otherwise.
fn serializable() -> (Sql, Options) {
    let options = options();
    let (sql, role) = (Sql::new(&options), unique("serializable"));
    World::new(options.clone());
    sql.run(&format!("CREATE ROLE {role} LOGIN SUPERUSER"));
    sql.run(&format!("ALTER ROLE {role} SET default_transaction_isolation = 'serializable'"));
    (sql, Options { username: Some(role), prepare: Prepare::Off, ..options })
}

#[test]
fn where_transactions_are_serializable_one_runs_too() {
    if !has_server() {
        return;
    }
    let (sql, options) = serializable();
    race(&options);
    sql.run(&format!("DROP ROLE {}", options.username.expect("a role")));
}

#[test]
fn of_all_who_take_over_an_action_in_doubt_one_does() {
    if !has_server() {
        return;
    }
    let world = World::new(options());
    let begun = world.run("s:a:t:1");
    ask(world.store.finish(&begun, Ending::Doubt("late".into())));
    let (start, taken) = (Barrier::new(THREADS), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let request = _core::store::ClaimRequest { takes_over: true, ..world.request("s:a:t:1") };
                start.wait();
                if let Claimed::TakeOver(..) = ask(world.store.claim(&request)) {
                    taken.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(taken.into_inner(), 1);
}

#[test]
fn batches_that_share_keys_do_not_wait_for_each_other_for_ever() {
    if !has_server() {
        return;
    }
    let worlds: Vec<World> = {
        let options = options();
        (0..4).map(|_| World::new(options.clone())).collect()
    };
    let keys: Vec<String> = (0..50).map(|number| format!("s:a:t:{number}")).collect();
    let (start, runs) = (Barrier::new(worlds.len()), AtomicUsize::new(0));
    thread::scope(|scope| {
        for (number, world) in worlds.iter().enumerate() {
            let (keys, start, runs) = (&keys, &start, &runs);
            scope.spawn(move || {
                let mut requests: Vec<_> = keys.iter().map(|key| world.request(key)).collect();
                // Each in an order of its own.
                requests.rotate_left(number * 13);
                if number % 2 == 0 {
                    requests.reverse();
                }
                start.wait();
                let claimed = ask(world.store.claim_many(&requests));
                let holds: Vec<_> = requests
                    .iter()
                    .zip(&claimed)
                    .filter(|(_, claimed)| matches!(claimed, Ok(Claimed::Run(_))))
                    .map(|(request, claimed)| hold(request.key, claimed.as_ref().expect("granted")))
                    .collect();
                runs.fetch_add(holds.len(), Ordering::SeqCst);
                assert!(ask(world.store.renew(&holds, LEASE)).is_empty(), "a batch's claims are renewed together");
                for hold in &holds {
                    ask(world.store.finish(hold, Ending::Complete(json("1"), LEASE)));
                }
            });
        }
    });
    assert_eq!(runs.into_inner(), keys.len());
}
