//! Copies beside an index whose header is changed by hand.

use std::sync::atomic::AtomicBool;
use std::thread;

use super::*;

const KEY: &str = "s:a:t";
/// Where the count of commits is.
const COMMITS: usize = 1;

/// The header of a WAL index.
struct Index(&'static [AtomicU64; 6]);

impl Index {
    fn new() -> Self {
        Self(Box::leak(Box::default()))
    }

    fn watch(&self, copies: &Copies) {
        copies.attach(Some(WalIndex::in_memory(self.0)));
    }

    /// A commit of anybody's.
    fn commit(&self) {
        self.0[COMMITS].fetch_add(1, Ordering::SeqCst);
    }
}

/// A copy whose fence tells it from others of its key.
fn copy(fence: u64) -> Arc<LocalCopy> {
    let found = Found {
        key: KEY.into(),
        fence: Fence(fence),
        fingerprint: None,
        result: Payload::Unavailable,
        executed_at: Timestamp(0),
        expires_at: Timestamp(i64::MAX),
    };
    Arc::new(LocalCopy::new(found, 1))
}

fn watched() -> (Copies, Index) {
    let (copies, index) = (Copies::new(), Index::new());
    index.watch(&copies);
    copies.remember(&copy(1));
    (copies, index)
}

#[test]
fn a_copy_outlasts_a_commit_of_this_process() {
    let (copies, index) = watched();
    let (before, _) = copies.begin_commit();
    index.commit();
    assert!(copies.get(KEY).is_none(), "nobody knows yet whose commit it is");
    copies.end_commit(before, true);
    assert!(copies.get(KEY).is_some());
}

#[test]
fn a_commit_of_another_is_never_taken_for_this_process_own() {
    for wrote in [false, true] {
        let (copies, index) = watched();
        let (before, _) = copies.begin_commit();
        (0..=u8::from(wrote)).for_each(|_| index.commit());
        copies.end_commit(before, wrote);
        assert!(copies.get(KEY).is_none(), "another wrote after a transaction that wrote: {wrote}");
    }
}

#[test]
fn the_writer_is_told_of_a_change_that_a_look_has_noticed() {
    let (copies, index) = watched();
    index.commit();
    assert!(copies.begin_reading().is_some());
    let (before, changed) = copies.begin_commit();
    copies.end_commit(before, false);
    assert!(changed, "another wrote");
    assert!(!copies.begin_commit().1, "once");
}

#[test]
fn a_record_that_is_taken_out_while_it_is_read_is_not_kept() {
    let (copies, index) = watched();
    let (newest, done) = (AtomicU64::new(1), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let Some(reading) = copies.begin_reading() else { continue };
                    copies.keep(reading, &copy(newest.load(Ordering::SeqCst)));
                }
            });
        }
        let mut stale = 0;
        for fence in 2..100_000 {
            let (before, _) = copies.begin_commit();
            newest.store(fence, Ordering::SeqCst);
            index.commit();
            copies.forget(KEY);
            copies.end_commit(before, true);
            stale += u32::from(copies.get(KEY).is_some_and(|copy| copy.fence != Fence(fence)));
        }
        done.store(true, Ordering::Relaxed);
        assert_eq!(stale, 0, "times that an old copy was handed out");
    });
}
