//! What the memory store costs: `cargo bench --no-default-features --bench store`.
//!
//! The store's clock is a manual one, so it costs nothing; times are of this thread's own, so that other processes
//! add little; bytes are those asked of the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::io::{Write, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use _core::core::clock::{ManualClock, Span, Timestamp};
use _core::core::error::StoreError;
use _core::core::record::{Fingerprint, Payload};
use _core::store::memory::MemoryStore;
use _core::store::{ClaimRequest, Claimed, Ending, Hold, Limits, Reply, Selector, Store};

struct Counting;

static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The processor time of this thread.
struct Cpu(u128);

impl Cpu {
    fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Self(u128::from(time.tv_sec.unsigned_abs()) * 1_000_000_000 + u128::from(time.tv_nsec.unsigned_abs()))
    }

    /// Nanoseconds since then.
    fn elapsed(&self) -> u128 {
        Self::now().0 - self.0
    }
}

type Done = Result<(), StoreError>;

fn say(line: &str) {
    writeln!(stdout(), "{line}").unwrap_or_default();
}

fn ready<T>(reply: Reply<T>) -> Result<T, StoreError> {
    match reply {
        Reply::Ready(result) => result,
        Reply::Pending(_) | Reply::Queued(_) => unreachable!("the memory store answers at once"),
    }
}

fn key(number: usize) -> String {
    format!("inv-{number:06}:create_card:trello:0123456789abcdef")
}

struct Caller {
    fingerprint: Fingerprint,
    owner: Arc<str>,
}

impl Caller {
    fn request<'a>(&'a self, key: &'a str) -> ClaimRequest<'a> {
        ClaimRequest::plain(key, &self.fingerprint, &self.owner, Span::from_secs(30), Span::from_secs(86_400))
    }

    fn execute(&self, store: &MemoryStore, key: &str, ttl: Span) -> Done {
        if let Claimed::Run(begun) = ready(store.claim(&self.request(key)))? {
            let result: Arc<[u8]> = br#"{"card_id":"5f2b8c1e9d","url":"trello.com/c/x1"}"#.as_slice().into();
            ready(
                store.finish(
                    &Hold { key: key.into(), fence: begun.fence },
                    Ending::Complete(Payload::Json(result), ttl),
                ),
            )?;
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a printed mean")]
fn per(total: u128, count: usize) -> f64 {
    total as f64 / count as f64
}

/// The best of a few rounds: what the code costs when the machine is not busy with something else.
fn best(rounds: usize, count: usize, mut round: impl FnMut() -> Done) -> Result<f64, StoreError> {
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let start = Cpu::now();
        round()?;
        best = best.min(per(start.elapsed(), count));
    }
    Ok(best)
}

fn filled(caller: &Caller, count: usize, max: Option<usize>) -> Result<(Arc<ManualClock>, MemoryStore), StoreError> {
    let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000_000)));
    let store =
        MemoryStore::new(Arc::<ManualClock>::clone(&clock), Limits { max_records: max, refuse_when_full: false });
    for number in 0..count {
        clock.advance(Span::from_micros(100));
        caller.execute(&store, &key(number), Span::from_secs(86_400))?;
    }
    Ok((clock, store))
}

fn hits(caller: &Caller, store: &MemoryStore, count: usize) -> Result<f64, StoreError> {
    let keys: Vec<String> = (0..count).map(|number| key(number * 7919 % count)).collect();
    let repeats = (10_000 / count).max(1);
    let rounds = (4_000_000 / (count * repeats)).max(3);
    best(rounds, count * repeats, || {
        for key in (0..repeats).flat_map(|_| &keys) {
            black_box(ready(store.claim(&caller.request(key)))?);
        }
        Ok(())
    })
}

fn size(caller: &Caller, count: usize) -> Done {
    let before = BYTES.load(Ordering::Relaxed);
    let start = Cpu::now();
    let (_, store) = filled(caller, count, None)?;
    let fill = per(start.elapsed(), count);
    let bytes = per((BYTES.load(Ordering::Relaxed) - before) as u128, count);
    let hit = hits(caller, &store, count)?;
    let start = Cpu::now();
    let found = ready(store.find(Selector::ActionType("create_card")))?.len();
    let find = per(start.elapsed(), found);
    let start = Cpu::now();
    for number in 0..1000.min(count) {
        black_box(ready(store.find(Selector::SignalId(&format!("inv-{number:06}"))))?);
    }
    let signal = per(start.elapsed(), 1000.min(count));
    let start = Cpu::now();
    black_box(ready(store.tally())?);
    let tally = start.elapsed();
    say(&format!(
        "{count:>8} entries: {bytes:6.1} B each; claim + finish {fill:6.0} ns; hit {hit:5.1} ns; \
         find by action {find:5.1} ns each; find by signal {signal:5.0} ns; tally {tally} ns"
    ));
    Ok(())
}

fn cleanup(caller: &Caller, count: usize) -> Result<f64, StoreError> {
    let (clock, store) = filled(caller, count, None)?;
    clock.advance(Span::from_secs(90_000));
    let start = Cpu::now();
    black_box(ready(store.cleanup_expired())?);
    Ok(per(start.elapsed(), count))
}

fn eviction(caller: &Caller, count: usize) -> Result<f64, StoreError> {
    let (_clock, store) = filled(caller, count, Some(count))?;
    let start = Cpu::now();
    caller.execute(&store, "one:more:key:0123456789abcdef", Span::from_secs(1))?;
    Ok(per(start.elapsed(), count / 5))
}

fn removal(caller: &Caller, count: usize) -> Done {
    let (mut cleaned, mut evicted) = (f64::MAX, f64::MAX);
    for _ in 0..(300_000 / count).clamp(1, 5) {
        cleaned = cleaned.min(cleanup(caller, count)?);
        evicted = evicted.min(eviction(caller, count)?);
    }
    say(&format!("{count:>8} entries: cleanup {cleaned:5.1} ns each; eviction of a fifth {evicted:5.1} ns each"));
    Ok(())
}

fn main() -> Result<(), StoreError> {
    let caller = Caller { fingerprint: Fingerprint([7; 32]), owner: "host:1234".into() };
    for count in [10, 1_000, 10_000, 100_000, 1_000_000] {
        size(&caller, count)?;
    }
    for count in [10_000, 100_000, 1_000_000] {
        removal(&caller, count)?;
    }
    Ok(())
}
