//! Answers that are lost after the server has done the work.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use _core::store::postgres::Options;
use _core::store::{Begun, ClaimRequest, Claimed, Ending, Held, Hold, Resolution, Store};

use crate::world::{LEASE, Sql, TTL, World, answer, ask, has_server, hold, json, options, unique};

/// Stands between a store and the server, and cuts the next answer off.
struct Proxy {
    cuts: Arc<AtomicUsize>,
    options: Options,
}

impl Proxy {
    fn new() -> Self {
        let server = options();
        let (listener, cuts) = (TcpListener::bind("127.0.0.1:0").expect("a port"), Arc::<AtomicUsize>::default());
        let port = listener.local_addr().expect("an address").port();
        let (there, cut) = (server.hosts[0].clone(), Arc::clone(&cuts));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect((&*there.0, there.1)).expect("the server answers");
                let (from, to) = (client.try_clone().expect("a copy"), server.try_clone().expect("a copy"));
                thread::spawn(move || pass(from, to, &AtomicUsize::new(0)));
                let cut = Arc::clone(&cut);
                thread::spawn(move || pass(server, client, &cut));
            }
        });
        Self { cuts, options: Options { hosts: vec![("127.0.0.1".into(), port)], ..server } }
    }

    /// Loses the next answers.
    fn lose(&self, answers: usize) {
        self.cuts.store(answers, Ordering::SeqCst);
    }

    fn has_lost(&self) -> bool {
        self.cuts.load(Ordering::SeqCst) == 0
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, cuts: &AtomicUsize) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let is_lost = cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if is_lost || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    _ = from.shutdown(Shutdown::Both);
    _ = to.shutdown(Shutdown::Both);
}

/// A world behind a proxy whose statements are prepared.
fn warm() -> (Proxy, World) {
    let proxy = Proxy::new();
    let world = World::new(proxy.options.clone());
    let warm = world.run("s:a:t:warm");
    world.claim("s:a:t:warm");
    world.complete(&warm, "1");
    (proxy, world)
}

#[test]
fn a_claim_whose_answer_is_lost_is_granted_once_and_heard_of() {
    if !has_server() {
        return;
    }
    let (proxy, world) = warm();
    for number in 0..10 {
        let key = format!("s:a:t:{number}");
        proxy.lose(1);
        let Claimed::Run(Begun { fence, attempts, .. }) = world.claim(&key) else { panic!("it is this call's own") };
        assert!(proxy.has_lost());
        assert_eq!(attempts, 1);
        assert!(matches!(world.complete(&Hold { key: key.as_str().into(), fence }, "1"), Held::Kept));
    }
}

#[test]
fn a_take_over_whose_answer_is_lost_still_tells_what_it_took_over() {
    if !has_server() {
        return;
    }
    let (proxy, world) = warm();
    let begun = world.run("k");
    ask(world.store.finish(&begun, Ending::Doubt("why".into())));
    proxy.lose(1);
    let request = ClaimRequest { takes_over: true, ..world.request("k") };
    let Claimed::TakeOver(taken, record) = ask(world.store.claim(&request)) else { panic!("it is taken over") };
    assert!(proxy.has_lost());
    assert_eq!((record.why_in_doubt(), record.fence, record.attempts), ("why", begun.fence, 1));
    assert_eq!(taken.attempts, 2);
}

#[test]
fn an_end_whose_answer_is_lost_was_kept() {
    if !has_server() {
        return;
    }
    let (proxy, world) = warm();
    for (number, ending) in
        [Ending::Complete(json("1"), TTL), Ending::Release, Ending::Doubt("why".into())].into_iter().enumerate()
    {
        let hold = world.run(&format!("s:a:t:{number}"));
        // Each statement is prepared first, so that it is the answer to the second that is lost.
        let other = world.run(&format!("s:a:t:other{number}"));
        ask(world.store.finish(&other, ending.clone()));
        proxy.lose(1);
        assert!(matches!(ask(world.store.finish(&hold, ending)), Held::Kept), "ending {number}");
        assert!(proxy.has_lost());
    }
}

#[test]
fn a_word_whose_answer_is_lost_was_heard() {
    if !has_server() {
        return;
    }
    let (proxy, world) = warm();
    for key in ["warm", "k"] {
        let begun = world.run(key);
        ask(world.store.finish(&begun, Ending::Doubt("why".into())));
        proxy.lose(usize::from(key == "k"));
        ask(world.store.resolve(key, Resolution::Executed(json("1"), TTL)));
    }
    assert!(proxy.has_lost());
    assert!(matches!(world.claim("k"), Claimed::Replay { .. }));
}

#[test]
fn a_claim_that_was_never_heard_of_is_taken_back() {
    if !has_server() {
        return;
    }
    let (proxy, world) = warm();
    proxy.lose(1_000);
    assert!(answer(world.store.claim(&world.request("k"))).is_err());
    proxy.lose(0);
    let other = World::new(Options { hosts: options().hosts, ..proxy.options.clone() });
    let began = std::time::Instant::now();
    loop {
        match other.claim("k") {
            Claimed::Run(_) => break,
            _ => assert!(began.elapsed() < Duration::from_secs(20), "it is given back long before its lease ends"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn no_action_runs_twice_while_sessions_are_killed() {
    if !has_server() {
        return;
    }
    let options = Options { application_name: unique("killed"), timeout: Duration::from_secs(10), ..options() };
    let (world, sql, done) = (World::new(options.clone()), Sql::new(&options), AtomicBool::new(false));
    let (granted, unheard) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let (world, granted, unheard) = (&world, &granted, &unheard);
                scope.spawn(move || {
                    for number in 0..50 {
                        let key = format!("s:a:t:{worker}:{number}");
                        match answer(world.store.claim(&ClaimRequest { lease: LEASE, ..world.request(&key) })) {
                            Ok(claimed) => {
                                let held =
                                    answer(world.store.finish(&hold(&key, &claimed), Ending::Complete(json("1"), TTL)));
                                assert!(matches!(held, Ok(Held::Kept) | Err(_)), "{key} stays its holder's");
                                granted.fetch_add(1, Ordering::SeqCst);
                            }
                            Err(_) => _ = unheard.fetch_add(1, Ordering::SeqCst),
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                sql.terminate(&options.application_name);
                thread::sleep(Duration::from_millis(15));
            }
        });
        for worker in workers {
            worker.join().expect("no worker fails");
        }
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(granted.load(Ordering::SeqCst) + unheard.load(Ordering::SeqCst), 200);
    assert!(granted.load(Ordering::SeqCst) > 100, "most get through");
}
