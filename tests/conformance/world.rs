//! A store with a clock that moves when told to, and short ways to ask it.

use std::sync::Arc;

use _core::core::clock::{ManualClock, Span, Timestamp};
use _core::core::record::{Failure, Fingerprint, Labels, Record};
use _core::store::{ClaimRequest, Claimed, Ending, Held, Hold, Limits, MarkRequest, Selector, Store, Tally};

use crate::asking::request;
pub(crate) use crate::asking::{LEASE, PARAMS, TTL, hold, json, name, text};
pub(crate) use crate::support::{answer, ask};

/// Makes a store that takes its time from this clock.
pub(crate) type Factory = fn(Arc<ManualClock>, Limits) -> Box<dyn Store>;

pub(crate) const KEY: &str = "inv-1:create_card:trello:0123456789abcdef";
pub(crate) const START: Timestamp = Timestamp(1_800_000_000_000_000);
pub(crate) const OTHER_PARAMS: Fingerprint = Fingerprint([2; 32]);

pub(crate) struct World {
    pub(crate) store: Box<dyn Store>,
    pub(crate) clock: Arc<ManualClock>,
    owner: Arc<str>,
}

pub(crate) fn failure() -> Failure {
    Failure { class: "app.Declined".into(), text: "no".into(), args: Some(br#"["no"]"#.as_slice().into()) }
}

pub(crate) fn labels(signal: &str, action: &str, target: &str) -> Labels {
    Labels { signal_id: Some(signal.into()), action_type: Some(action.into()), target: Some(target.into()) }
}

pub(crate) fn is_lost(held: &Held) -> bool {
    matches!(held, Held::Lost(_))
}

impl World {
    pub(crate) fn new(factory: Factory) -> Self {
        Self::limited(factory, Limits::default())
    }

    pub(crate) fn capped(factory: Factory, max: usize) -> Self {
        Self::limited(factory, Limits { max_records: Some(max), refuse_when_full: false })
    }

    pub(crate) fn limited(factory: Factory, limits: Limits) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        Self { store: factory(Arc::clone(&clock), limits), clock, owner: "host:1".into() }
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Span::from_secs(seconds));
    }

    /// How many of so many expired records a clean-up finds: none where the engine has removed them by itself.
    pub(crate) fn cleaned(&self, expired: u64) -> u64 {
        if self.store.expires_by_itself() { 0 } else { expired }
    }

    pub(crate) fn request<'a>(&'a self, key: &'a str) -> ClaimRequest<'a> {
        request(key, &self.owner)
    }

    pub(crate) fn claim(&self, key: &str) -> Claimed {
        ask(self.store.claim(&self.request(key)))
    }

    pub(crate) fn take_over(&self, key: &str) -> Claimed {
        ask(self.store.claim(&ClaimRequest { takes_over: true, ..self.request(key) }))
    }

    /// A claim that must be granted.
    pub(crate) fn run(&self, key: &str) -> Hold {
        hold(key, &self.claim(key))
    }

    pub(crate) fn run_latched(&self, key: &str) -> Hold {
        let claimed = ask(self.store.claim(&ClaimRequest { latch: true, ..self.request(key) }));
        hold(key, &claimed)
    }

    pub(crate) fn finish(&self, hold: &Hold, ending: Ending) -> Held {
        ask(self.store.finish(hold, ending))
    }

    pub(crate) fn complete(&self, hold: &Hold, result: &str) -> Held {
        self.finish(hold, Ending::Complete(json(result), TTL))
    }

    /// Claims and completes with the key as the result.
    pub(crate) fn execute(&self, key: &str) -> Hold {
        let hold = self.run(key);
        assert!(!is_lost(&self.complete(&hold, key)), "{key} is completed");
        hold
    }

    pub(crate) fn execute_for(&self, key: &str, ttl: Span) {
        let hold = self.run(key);
        assert!(!is_lost(&self.finish(&hold, Ending::Complete(json(key), ttl))), "{key} is completed");
    }

    /// Claims and leaves in doubt.
    pub(crate) fn doubt(&self, key: &str) -> Hold {
        let hold = self.run(key);
        assert!(!is_lost(&self.finish(&hold, Ending::Doubt("TimeoutError: late".into()))), "{key} is in doubt");
        hold
    }

    pub(crate) fn marking<'a>(&'a self, key: &'a str, labels: &'a Labels, result: &str) -> MarkRequest<'a> {
        MarkRequest {
            key,
            labels,
            fingerprint: Some(PARAMS),
            result: json(result),
            ttl: TTL,
            owner: &self.owner,
            params: None,
            context: None,
        }
    }

    pub(crate) fn mark(&self, key: &str, result: &str) -> usize {
        ask(self.store.mark(self.marking(key, &labels("inv-1", "create_card", "trello"), result)))
    }

    pub(crate) fn get(&self, key: &str) -> Option<Record> {
        ask(self.store.get(key))
    }

    pub(crate) fn record(&self, key: &str) -> Record {
        self.get(key).expect("the record is there")
    }

    pub(crate) fn tally(&self) -> Tally {
        ask(self.store.tally())
    }

    /// The keys found, in an order of their own.
    pub(crate) fn find(&self, selector: Selector<'_>) -> Vec<String> {
        let mut keys: Vec<String> = ask(self.store.find(selector)).into_iter().map(String::from).collect();
        keys.sort();
        keys
    }

    /// All keys, by a scan in small parts, in an order of their own.
    pub(crate) fn keys(&self) -> Vec<String> {
        let (mut keys, mut cursor) = (Vec::new(), None);
        loop {
            let page = ask(self.store.scan(cursor, 3));
            keys.extend(page.records.into_iter().map(|record| String::from(record.key)));
            cursor = page.next;
            if cursor.is_none() {
                keys.sort();
                return keys;
            }
        }
    }
}
