//! A look for people, from the ends of the lists.

use super::inner::Inner;
use super::list::{List, Through};
use super::shard::Shard;
use super::sync::lock;
use crate::core::clock::Timestamp;
use crate::core::record::Record;
use crate::store::glance::{ENDING, Glance, ending, newest};

impl Inner {
    /// Some of the newest records, what ends next, and the counters.
    pub(super) fn glance(&self, limit: usize, now: Timestamp) -> Glance {
        let (mut recent, mut first) = (Vec::new(), Vec::new());
        for shard in &self.shards {
            let shard = lock(&shard.0);
            shard.newest(limit, now, &mut recent);
            let next = shard.contents.expiry.next_to_end(&shard.contents.slab, now, ENDING);
            first.extend(next.into_iter().map(|slot| shard.record(slot, now)));
        }
        newest(&mut recent, limit);
        ending(&mut first);
        let mut counters = self.tally(now);
        (counters.finished, counters.in_progress, counters.in_doubt) = (0, 0, 0);
        Glance { counters, recent, is_newest: true, next: None, ending: first }
    }
}

impl Shard {
    /// Adds up to so many of those that finished or began last.
    fn newest(&self, limit: usize, now: Timestamp, recent: &mut Vec<Record>) {
        let slab = &self.contents.slab;
        let backwards = |list: List| {
            std::iter::successors(list.last(slab, Through::Age), move |&slot| list.before(slab, Through::Age, slot))
        };
        for list in [self.contents.finished, self.contents.unfinished] {
            let live = backwards(list).filter(|&slot| !slab[slot].has_expired(now)).take(limit);
            recent.extend(live.map(|slot| self.record(slot, now)));
        }
    }
}
