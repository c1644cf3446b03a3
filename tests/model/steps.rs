//! The steps, taken on both sides, each answer compared.

use std::sync::Arc;

use _core::core::clock::{ManualClock, Span, Timestamp};
use _core::core::record::{Failure, Fence, Fingerprint, Labels, Payload};
use _core::store::{Begun, ClaimRequest, Claimed, Ending, Held, Hold, Limits, MarkRequest, Resolution, Store};

use crate::model::{LEASE, MAX_KEYS, Model, Row, State};
use crate::subjects::{Make, Subject, answer, ask};

const PARAMS: [Fingerprint; 2] = [Fingerprint([0; 32]), Fingerprint([1; 32])];

pub(crate) fn span(micros: i64) -> Span {
    Span::from_micros(micros.unsigned_abs())
}

fn json(text: &str) -> Payload {
    Payload::Json(text.as_bytes().into())
}

fn failure(text: &str) -> Failure {
    Failure { class: "E".into(), text: text.into(), args: None }
}

pub(crate) fn shown(payload: &Payload) -> String {
    match payload {
        Payload::Json(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => panic!("only JSON was stored, not {other:?}"),
    }
}

pub(crate) struct Pair {
    pub(crate) subject: Subject,
    /// The handle that is used now.
    pub(crate) store: Arc<dyn Store>,
    pub(crate) model: Model,
    clock: Arc<ManualClock>,
    owners: [Arc<str>; 2],
    holds: Vec<Hold>,
    newest: Fence,
    dice: u64,
}

impl Pair {
    pub(crate) fn new(make: Make, seed: u64, max: Option<usize>) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(0)));
        let limits = Limits { max_records: max, refuse_when_full: false };
        let subject = make(&clock, limits);
        Self {
            store: Arc::clone(&subject.handles[0]),
            model: Model {
                max,
                order: subject.order,
                expires_by_itself: subject.handles[0].expires_by_itself(),
                ..Model::default()
            },
            subject,
            clock,
            owners: ["host:1".into(), "host:2".into()],
            holds: Vec::new(),
            newest: Fence(0),
            dice: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }

    /// A number below `sides`, from an xorshift.
    fn roll(&mut self, sides: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        usize::try_from((self.dice >> 33) % sides as u64).expect("the remainder is below `sides`")
    }

    fn key(&mut self) -> String {
        let number = self.roll(MAX_KEYS);
        format!("s{}:a{}:t{number}", number % 3, number % 2)
    }

    fn ttl(&mut self) -> i64 {
        [1, 40, 70_000, 200_000][self.roll(4)]
    }

    fn newer(&mut self, fence: Fence) -> Fence {
        assert!(fence > self.newest, "each fence is newer than all before");
        self.newest = fence;
        fence
    }

    /// Goes on through any of the handles. What this one has counted is written first, as at the end of a process.
    pub(crate) fn change_handle(&mut self) {
        let handles = self.subject.handles.len();
        if handles > 1 && self.roll(3) == 0 {
            self.subject.handles.iter().for_each(|handle| ask(handle.flush()));
            let next = self.roll(handles);
            self.store = Arc::clone(&self.subject.handles[next]);
        }
    }

    /// Takes one step on both sides, and says which.
    pub(crate) fn step(&mut self) -> String {
        self.change_handle();
        match self.roll(20) {
            0..=6 => self.claim(),
            7..=11 => self.finish(),
            12 => self.renew(),
            13 => self.mark(),
            14 => self.resolve(),
            15 => self.check(),
            16 => self.pass(),
            17 => self.clear(),
            18 => self.cleanup(),
            _ => self.remove_oldest(),
        }
    }

    fn claim(&mut self) -> String {
        let key = self.key();
        let (latch, takes_over, params) = (self.roll(3) == 0, self.roll(3) == 0, usize::from(self.roll(8) == 0));
        let (refuses_to_wait, ttl, owner) = (self.roll(2) == 0, self.ttl(), Arc::clone(&self.owners[self.roll(2)]));
        let request = ClaimRequest {
            takes_over,
            latch,
            refuses_to_wait,
            ..ClaimRequest::plain(&key, &PARAMS[params], &owner, span(LEASE), span(ttl))
        };
        let claimed = answer(self.store.replay(&request).unwrap_or_else(|| self.store.claim(&request)));
        let got = match &claimed {
            Ok(Claimed::Run(_)) => "run",
            Ok(Claimed::TakeOver(..)) => "take over",
            Ok(Claimed::Replay { result, .. }) => &format!("replay {}", shown(result)),
            Ok(Claimed::ReplayFailure { failure, .. }) => &format!("failure {}", failure.text),
            Ok(Claimed::Busy(_)) => "busy",
            Ok(Claimed::InDoubt(_)) => "in doubt",
            Ok(Claimed::Mismatch(_)) => "mismatch",
            Err(_) => "full",
        };
        let evicted = self.expect_claim(&key, params, takes_over, refuses_to_wait, got);
        if let Ok(Claimed::Replay { attempts, .. }) = claimed {
            assert_eq!(attempts, self.model.row(&key).attempts, "claim {key}");
        }
        if let Ok(Claimed::Run(begun) | Claimed::TakeOver(begun, _)) = claimed {
            assert_eq!(begun.evicted, evicted, "claim {key}");
            let labels = key.split(':').map(|part| Some(part.to_owned()));
            self.begun(&key, begun, params, latch, ttl, labels.collect::<Vec<_>>().try_into().expect("three parts"));
        }
        format!("claim {key}")
    }

    /// Finds what the answer to a claim must be, and counts it; answers with the number of records evicted.
    fn expect_claim(&mut self, key: &str, params: usize, takes_over: bool, refuses: bool, got: &str) -> usize {
        let now = self.model.now;
        let Some(row) = self.model.live(key).cloned() else {
            let room = self.model.make_room(key);
            assert_eq!(got, if room.is_some() { "run" } else { "full" });
            self.model.misses += u64::from(room.is_some());
            return room.unwrap_or_default();
        };
        let mismatch = row.params.is_some_and(|stored| usize::from(stored) != params);
        let expected = match row.state {
            _ if mismatch => "mismatch".to_owned(),
            State::Completed => format!("replay {}", row.result),
            State::Failed => format!("failure {}", row.result),
            State::InProgress { lease_until, .. } if now < lease_until => "busy".to_owned(),
            State::InProgress { armed: true, .. } => "run".to_owned(),
            _ if takes_over => "take over".to_owned(),
            _ => "in doubt".to_owned(),
        };
        assert_eq!(got, expected, "the claim of {key}");
        let replays = row.is_finished() && !mismatch;
        self.model.hits += u64::from(replays);
        self.model.misses += u64::from(matches!(got, "run" | "take over"));
        self.model.duplicates += u64::from(replays || got == "busy" && refuses);
        self.model.row(key).attempts += u32::from(got != "busy" || refuses);
        0
    }

    fn begun(&mut self, key: &str, begun: Begun, params: usize, latch: bool, ttl: i64, labels: [Option<String>; 3]) {
        let now = self.model.now;
        let taken_over = |row: &&Row| match row.state {
            State::InDoubt => true,
            State::InProgress { armed, .. } => !armed,
            _ => false,
        };
        let doubted = self.model.live(key).filter(taken_over);
        let started = doubted.map_or(now, |row| row.started);
        let row = Row {
            state: State::InProgress { lease_until: now + LEASE, armed: latch && doubted.is_none() },
            fence: self.newer(begun.fence),
            params: u8::try_from(params).ok(),
            labels,
            started,
            finished: 0,
            finished_as: 0,
            expires: now + ttl,
            attempts: self.model.live(key).map_or(1, |row| row.attempts),
            result: String::new(),
        };
        assert_eq!(begun.attempts, row.attempts);
        self.model.rows.insert(key.into(), row);
        self.holds.push(Hold { key: key.into(), fence: begun.fence });
        if self.holds.len() > 8 {
            self.holds.remove(0);
        }
    }

    fn hold(&mut self) -> Option<Hold> {
        let at = self.roll(self.holds.len().max(1));
        self.holds.get(at).cloned()
    }

    fn finish(&mut self) -> String {
        let Some(hold) = self.hold() else { return "nothing".into() };
        let (ttl, kind) = (self.ttl(), self.roll(6));
        let kept = self.model.live(&hold.key).filter(|row| row.fence == hold.fence && !row.is_finished()).cloned();
        let text = format!("r{}", self.newest.0);
        let dispatches = kept.as_ref().is_some_and(|row| matches!(row.state, State::InProgress { .. }));
        let (answer, expected) = match kind {
            0 => (ask(self.store.dispatch(&hold)), dispatches),
            1 => (ask(self.store.finish(&hold, Ending::Release)), kept.is_some()),
            2 => (ask(self.store.finish(&hold, Ending::Doubt(text.clone().into()))), kept.is_some()),
            3 => (ask(self.store.finish(&hold, Ending::Fail(failure(&text), span(ttl)))), kept.is_some()),
            _ => (ask(self.store.finish(&hold, Ending::Complete(json(&text), span(ttl)))), kept.is_some()),
        };
        let what = format!("finish {kind} of {hold:?}");
        assert_eq!(matches!(answer, Held::Kept), expected, "{what}");
        match (expected, kind, kept.map(|row| row.state)) {
            (true, 0, Some(State::InProgress { lease_until, .. })) => {
                self.model.row(&hold.key).state = State::InProgress { lease_until, armed: false };
            }
            (true, 1, _) => drop(self.model.rows.remove(&*hold.key)),
            (true, 2, _) => self.model.row(&hold.key).state = State::InDoubt,
            (true, 3, _) => self.model.finish(&hold.key, State::Failed, &text, ttl),
            (true, ..) => self.model.finish(&hold.key, State::Completed, &text, ttl),
            _ => {}
        }
        what
    }

    fn renew(&mut self) -> String {
        let now = self.model.now;
        let lost = ask(self.store.renew(&self.holds, span(LEASE)));
        for hold in &self.holds {
            let row = self.model.rows.get_mut(&*hold.key).filter(|row| row.fence == hold.fence);
            let state = row.map(|row| &mut row.state);
            if let Some(State::InProgress { lease_until, .. }) = state {
                *lease_until = now + LEASE;
                assert!(!lost.contains(hold), "{hold:?} is kept");
            } else {
                assert!(lost.contains(hold), "{hold:?} is lost");
            }
        }
        "renew".into()
    }

    fn mark(&mut self) -> String {
        let (key, ttl, any) = (self.key(), self.ttl(), self.roll(3) == 0);
        let mut label = |name: &str| (self.roll(3) > 0).then(|| format!("{name}{}", self.roll(3)));
        let labels = [label("s"), label("a"), label("t")];
        let [signal_id, action_type, target] = labels.clone().map(|label| label.map(String::into_boxed_str));
        let (text, owner) = (format!("m{}", self.newest.0), Arc::clone(&self.owners[self.roll(2)]));
        let marked = answer(self.store.mark(MarkRequest {
            key: &key,
            labels: &Labels { signal_id, action_type, target },
            fingerprint: (!any).then_some(PARAMS[0]),
            result: json(&text),
            ttl: span(ttl),
            owner: &owner,
            params: None,
            context: any.then_some(b"{}".as_slice()),
        }));
        let room = self.model.make_room(&key);
        assert_eq!(marked.ok(), room, "mark {key}");
        if room.is_none() {
            return format!("mark {key} in a full store");
        }
        let stored = ask(self.store.get(&key)).expect("every TTL is a microsecond at least");
        let (fence, now) = (self.newer(stored.fence), self.model.now);
        let (started, attempts) = self.model.live(&key).map_or((now, 1), |row| (row.started, row.attempts));
        let row = Row {
            state: State::Completed,
            fence,
            params: (!any).then_some(0),
            labels,
            started,
            finished: now,
            finished_as: 0,
            expires: 0,
            attempts,
            result: String::new(),
        };
        self.model.rows.insert(key.clone(), row);
        self.model.finish(&key, State::Completed, &text, ttl);
        format!("mark {key}")
    }

    fn resolve(&mut self) -> String {
        let (key, ttl, executed) = (self.key(), self.ttl(), self.roll(2) == 0);
        let word = if executed { Resolution::Executed(json("w"), span(ttl)) } else { Resolution::NotExecuted };
        let resolved = answer(self.store.resolve(&key, word));
        let expected = self.model.live(&key).is_some_and(|row| row.can_be_resolved(self.model.now));
        assert_eq!(resolved.is_ok(), expected, "resolve {key}: {resolved:?}");
        if expected && executed {
            let fence = ask(self.store.get(&key)).expect("it is there").fence;
            self.model.row(&key).fence = self.newer(fence);
            self.model.finish(&key, State::Completed, "w", ttl);
        } else if expected {
            self.model.rows.remove(&key);
        }
        format!("resolve {key}")
    }

    fn check(&mut self) -> String {
        let key = self.key();
        let hit = ask(self.store.check(&key)).is_some();
        assert_eq!(hit, self.model.live(&key).is_some_and(Row::is_finished), "check {key}");
        if hit {
            self.model.hits += 1;
            self.model.duplicates += 1;
            self.model.row(&key).attempts += 1;
        } else {
            self.model.misses += 1;
        }
        format!("check {key}")
    }

    fn pass(&mut self) -> String {
        let micros = [1, 10, 40, 70_000][self.roll(4)];
        self.clock.advance(span(micros));
        self.model.now += micros;
        format!("pass {micros}")
    }

    fn clear(&mut self) -> String {
        let key = self.key();
        if self.roll(12) == 0 {
            let cleared = ask(self.store.clear_all());
            assert_eq!(cleared, self.model.live_rows().count() as u64, "clear all");
            self.model.cleanup();
            self.model.rows.clear();
            return "clear all".into();
        }
        let live = self.model.live(&key).is_some();
        assert_eq!(ask(self.store.clear(&key)), live, "clear {key}");
        self.model.forget_expired(&key);
        self.model.rows.remove(&key);
        format!("clear {key}")
    }

    fn cleanup(&mut self) -> String {
        assert_eq!(ask(self.store.cleanup_expired()), self.model.cleanup(), "cleanup");
        "cleanup".into()
    }

    fn remove_oldest(&mut self) -> String {
        let count = self.roll(4);
        assert_eq!(
            ask(self.store.remove_oldest(count as u64)),
            self.model.remove_oldest(count) as u64,
            "remove {count}"
        );
        format!("remove the {count} oldest")
    }
}
