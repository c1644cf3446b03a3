//! The comparison after each step: all that can be asked.

use _core::core::record::{Labels, Latch, Record, Status};
use _core::store::Selector;

use crate::model::{MAX_KEYS, Row, State};
use crate::steps::{Pair, shown, span};
use crate::subjects::ask;

impl Pair {
    /// Compares all that can be asked, of any handle.
    pub(crate) fn compare(&mut self, what: &str) {
        self.change_handle();
        let page = ask(self.store.scan(None, usize::MAX));
        assert!(page.next.is_none(), "{what}");
        let mut records = page.records;
        records.sort_by(|a, b| a.key.cmp(&b.key));
        let stored: Vec<_> = records.iter().map(|record| (String::from(&*record.key), row_of(record))).collect();
        let expected: Vec<_> = self.model.live_rows().map(|(key, row)| (key.clone(), self.seen(row))).collect();
        assert_eq!(stored, expected, "{what}");
        self.compare_queries(what);
        self.compare_tally(what);
    }

    /// A row as its readers see it.
    fn seen(&self, row: &Row) -> Row {
        let mut row = Row { finished_as: 0, ..row.clone() };
        if row.is_in_doubt(self.model.now) {
            row.state = State::InDoubt;
        }
        if !row.is_finished() {
            (row.finished, row.result) = (0, String::new());
        }
        row
    }

    fn compare_queries(&self, what: &str) {
        let found = |selector: Selector<'_>| {
            let mut keys: Vec<String> = ask(self.store.find(selector)).into_iter().map(String::from).collect();
            keys.sort();
            keys
        };
        let (model, now) = (&self.model, self.model.now);
        for number in 0..MAX_KEYS {
            let names = ["s", "a", "t"].map(|name| format!("{name}{number}"));
            let selectors =
                [Selector::SignalId(&names[0]), Selector::ActionType(&names[1]), Selector::Target(&names[2])];
            for (label, selector) in selectors.into_iter().enumerate() {
                let expected = model.keys(|row| row.labels[label].as_ref() == Some(&names[label]));
                assert_eq!(found(selector), expected, "{what}: {selector:?}");
            }
        }
        assert_eq!(found(Selector::InDoubt), model.keys(|row| row.is_in_doubt(now)), "{what}");
        let soon = model.keys(|row| row.is_finished() && row.expires <= now + 50);
        assert_eq!(found(Selector::ExpiringWithin(span(50))), soon, "{what}");
    }

    fn compare_tally(&self, what: &str) {
        let (model, tally) = (&self.model, ask(self.store.tally()));
        let count = |fits: &dyn Fn(&Row) -> bool| model.live_rows().filter(|(_, row)| fits(row)).count() as u64;
        let in_doubt = count(&|row| row.is_in_doubt(model.now));
        assert_eq!(tally.finished, count(&Row::is_finished), "{what}");
        assert_eq!(tally.in_doubt, in_doubt, "{what}");
        assert_eq!(tally.in_progress, count(&|row| !row.is_finished()) - in_doubt, "{what}");
        let counted = [tally.hits, tally.misses, tally.duplicates_prevented, tally.evicted, tally.expired_cleaned];
        let expected = [model.hits, model.misses, model.duplicates, model.evicted, model.expired_cleaned];
        assert_eq!(counted, expected, "{what}: hits, misses, duplicates, evicted, expired");
        let times = || model.live_rows().map(|(_, row)| if row.is_finished() { row.finished } else { row.started });
        assert_eq!(tally.oldest.map(|time| time.0), times().min(), "{what}");
        assert_eq!(tally.newest.map(|time| time.0), times().max(), "{what}");
    }
}

/// A record as a row of the model.
fn row_of(record: &Record) -> Row {
    let (state, finished, result) = match &record.status {
        Status::InProgress { lease_until, latch } => {
            let armed = *latch == Latch::Armed;
            (State::InProgress { lease_until: lease_until.0, armed }, 0, String::new())
        }
        Status::InDoubt { .. } => (State::InDoubt, 0, String::new()),
        Status::Completed { at, result } => (State::Completed, at.0, shown(result)),
        Status::Failed { at, failure } => (State::Failed, at.0, String::from(&*failure.text)),
    };
    let Labels { signal_id, action_type, target } = record.labels.clone();
    Row {
        state,
        fence: record.fence,
        params: record.fingerprint.map(|fingerprint| fingerprint.0[0]),
        labels: [signal_id, action_type, target].map(|label| label.map(String::from)),
        started: record.started_at.0,
        finished,
        finished_as: 0,
        expires: record.expires_at.0,
        attempts: record.attempts,
        result,
    }
}
