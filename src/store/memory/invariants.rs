//! What must hold between the entries and the indexes, checked by tests.

use std::hash::BuildHasher;

use super::inner::Inner;
use super::list::{List, Through};
use super::names::{Names, UNNAMED};
use super::shard::{Contents, Shard};
use super::slab::Slab;
use super::sync::lock;

type Checked = Result<(), String>;

fn hold(holds: bool, what: &str) -> Checked {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// Counts a list, both ways.
fn walk(list: List, slab: &Slab, through: Through) -> Result<usize, String> {
    let forwards: Vec<_> = list.iter(slab, through).collect();
    let tail = list.last(slab, through);
    let mut backwards: Vec<_> = std::iter::successors(tail, |&slot| list.before(slab, through, slot)).collect();
    backwards.reverse();
    hold(forwards == backwards, &format!("a list through {through:?} reads the same both ways"))?;
    Ok(forwards.len())
}

impl Inner {
    pub(super) fn check_invariants(&self) -> Checked {
        let mut held = 0;
        for shard in &self.shards {
            let shard = lock(&shard.0);
            shard.check_invariants()?;
            held += shard.contents.slab.len();
        }
        hold(held == self.shared.fill().0, "the store's count is the sum of the shards'")
    }
}

impl Shard {
    fn check_invariants(&self) -> Checked {
        let Contents { slab, keys, .. } = &self.contents;
        hold(keys.len() == slab.len(), "each entry is in the table of keys once")?;
        for slot in 0..slab.end() {
            let Some(entry) = slab.get(slot) else { continue };
            let hash = self.hasher.hash_one(&*entry.key);
            hold(self.find(hash, &entry.key) == Some(slot), "a key finds its entry")?;
        }
        for slot in self.waiters.slots() {
            let unfinished = slab.get(slot).is_some_and(|entry| !entry.is_finished());
            hold(unfinished, "only unfinished entries are waited for")?;
        }
        self.contents.check_ages()?;
        self.contents.check_names()
    }
}

impl Contents {
    fn check_ages(&self) -> Checked {
        let Self { slab, finished, finished_len, unfinished, expiry, .. } = self;
        hold(walk(*finished, slab, Through::Age)? == *finished_len, "finished entries are counted")?;
        let unfinished_len = walk(*unfinished, slab, Through::Age)?;
        hold(unfinished_len + finished_len == slab.len(), "each entry is finished or unfinished")?;
        let ages: Vec<_> = finished.iter(slab, Through::Age).map(|slot| slab[slot].finished_as).collect();
        hold(ages.is_sorted_by(|a, b| a < b), "finished entries are in order of finishing")?;
        hold(finished.iter(slab, Through::Age).all(|slot| slab[slot].is_finished()), "a finished entry is finished")?;
        hold(
            unfinished.iter(slab, Through::Age).all(|slot| !slab[slot].is_finished()),
            "an unfinished entry is not finished",
        )?;
        let mut expiring = 0;
        for (list, fits) in expiry.iter() {
            hold(!list.is_empty(), "no list of expiry is empty")?;
            expiring += walk(list, slab, Through::Expiry)?;
            let mut slots = list.iter(slab, Through::Expiry);
            hold(slots.all(|slot| fits(slab[slot].expires_at)), "an entry is in the list of its time")?;
        }
        hold(expiring == *finished_len, "each finished entry expires once")
    }

    fn check_names(&self) -> Checked {
        let Self { slab, actions, targets, owners, signals, .. } = self;
        let entries = || (0..slab.end()).filter_map(|slot| slab.get(slot));
        let labelled = |names: &Names, through| {
            let mut linked = 0;
            for (text, uses, list) in names.iter() {
                hold(walk(list, slab, through)? == uses as usize, &format!("{text:?} is used as often as listed"))?;
                linked += uses as usize;
            }
            Ok::<usize, String>(linked)
        };
        let acting = entries().filter(|entry| entry.action != UNNAMED).count();
        hold(labelled(actions, Through::Action)? == acting, "each action type is listed")?;
        let aimed = entries().filter(|entry| entry.target != UNNAMED).count();
        hold(labelled(targets, Through::Target)? == aimed, "each target is listed")?;
        let owned: usize = owners.iter().map(|(_, uses, _)| uses as usize).sum();
        let owning = entries().filter(|entry| entry.owner != UNNAMED).count();
        hold(owned == owning, "each owner is counted")?;
        let mut signalled = 0;
        for list in signals.iter() {
            hold(!list.is_empty(), "no list of a signal is empty")?;
            signalled += walk(list, slab, Through::Signal)?;
            let first = list.first().map(|slot| slab[slot].signal());
            let mut slots = list.iter(slab, Through::Signal);
            hold(slots.all(|slot| Some(slab[slot].signal()) == first), "a signal's entries have it")?;
        }
        hold(signalled == entries().filter(|entry| entry.signal().is_some()).count(), "each signal is listed")
    }
}
