//! Tells params that make every retry a new action (the time, a random id, the number of the attempt) from those that make
//! many actions of one signal.
//!
//! What is kept of an action is a hash of each of its fields, and of the one field that changes how far it is from now: never
//! a value. The rule says nothing where it is not sure: exactly one field changes while all others stay the same, and what it
//! changes to is, every time, the time of the call, or a random id or a running number in a field that is named so.

mod fields;
mod looks;
mod names;

pub use self::names::is_volatile as is_volatile_name;

use self::fields::Field;
use self::looks::Look;
use super::clock::Timestamp;

/// What a field's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The time of the call.
    Time,
    /// A random id.
    Random,
    /// The number of the attempt.
    Number,
}

/// What a look at one more action comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing can be said yet.
    Open,
    /// The actions are meant to be many.
    Settled,
    /// This field makes them many: its path, and what its values are.
    Volatile(Box<str>, Kind),
}

/// How far the values of a field may drift from the clock, in microseconds: a call takes its time from the value to the claim.
const DRIFT: i64 = 5_000_000;

/// The one field that changes.
#[derive(Debug)]
struct Changing {
    place: usize,
    kind: Kind,
    /// Of times: the least and the most that they are behind the clock.
    behind: (i64, i64),
    /// Of numbers: the hash of the next.
    next: u64,
}

/// The first runs of one signal and action, as far as they were looked at.
#[derive(Debug)]
pub struct Series {
    runs: u32,
    fields: Box<[(u64, u64)]>,
    changing: Option<Changing>,
}

impl Series {
    /// A series that has had so many runs, none of which was looked at.
    #[must_use]
    pub fn new(runs: u32) -> Self {
        Self { runs, fields: Box::default(), changing: None }
    }

    /// Looks at one more run, of these canonical params at this time; after `enough` runs it is sure.
    pub fn observe(&mut self, params: &[u8], now: Timestamp, enough: u32) -> Verdict {
        let Some(fields) = fields::read(params).filter(|fields| !fields.is_empty()) else { return Verdict::Settled };
        self.runs = self.runs.saturating_add(1);
        if self.fields.is_empty() {
            self.fields = fields.iter().map(|field| (field.path_hash, field.hash)).collect();
            return Verdict::Open;
        }
        let Some((place, field)) = self.only_change(&fields) else { return Verdict::Settled };
        let look = looks::at(field.value(params), now.0);
        let path = field.path(params);
        self.fields[place].1 = field.hash;
        match self.follow(place, &path, &look) {
            None => Verdict::Settled,
            Some(kind) if self.runs >= enough => Verdict::Volatile(path.into(), kind),
            Some(_) => Verdict::Open,
        }
    }

    /// The field that is another than the last time, if it is the only one, and the one that changed before.
    fn only_change<'a>(&self, fields: &'a [Field]) -> Option<(usize, &'a Field)> {
        if fields.len() != self.fields.len() {
            return None;
        }
        let mut changed = None;
        for (place, (field, &(path, hash))) in fields.iter().zip(&self.fields).enumerate() {
            if field.path_hash != path || (field.hash != hash && changed.replace((place, field)).is_some()) {
                return None;
            }
        }
        changed.filter(|(place, _)| self.changing.as_ref().is_none_or(|changing| changing.place == *place))
    }

    /// What the changing field still is, after one more value; `None` where it is nothing of the kind.
    fn follow(&mut self, place: usize, path: &str, look: &Look) -> Option<Kind> {
        let name = path.rsplit(['.', '[']).next().unwrap_or(path);
        let (kind, behind, next) = match *look {
            Look::Time { behind } => (Kind::Time, behind, 0),
            Look::Random if names::is_volatile(name) => (Kind::Random, 0, 0),
            Look::Number { next, .. } if names::is_counter(name) => (Kind::Number, 0, next),
            _ => return None,
        };
        let Some(changing) = &mut self.changing else {
            self.changing = Some(Changing { place, kind, behind: (behind, behind), next });
            return Some(kind);
        };
        if changing.kind != kind {
            return None;
        }
        changing.behind = (changing.behind.0.min(behind), changing.behind.1.max(behind));
        let follows = match (kind, look) {
            (Kind::Time, _) => changing.behind.1 - changing.behind.0 <= DRIFT,
            (Kind::Number, Look::Number { own, .. }) => *own == changing.next,
            _ => true,
        };
        changing.next = next;
        follows.then_some(kind)
    }
}

#[cfg(test)]
mod tests;
