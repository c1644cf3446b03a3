//! Verbs of many keys: what can be answered without writing is, and the rest shares a transaction.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::job::{Fault, Look, Needs};
use super::session::Session;
use super::turn::Turn;
use super::{Inner, SqliteStore};
use crate::core::clock::Timestamp;
use crate::core::error::StoreError;
use crate::store::Reply;

type Answer<T> = Result<T, StoreError>;

/// What one of many asks, and its answer once there is one.
type Item<A, T> = (A, Option<Answer<T>>);

/// Many, which a look and a transaction share.
struct Many<A, T>(Arc<Mutex<Vec<Item<A, T>>>>);

impl<A, T> Clone for Many<A, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A, T> Many<A, T> {
    fn lock(&self) -> MutexGuard<'_, Vec<Item<A, T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has those without an answer look for one; answers whether all have one.
    fn look(&self, mut look: impl FnMut(&A) -> Option<Answer<T>>) -> bool {
        let mut asked = self.lock();
        for (asked, answer) in asked.iter_mut().filter(|(_, answer)| answer.is_none()) {
            *answer = look(asked);
        }
        asked.iter().all(|(_, answer)| answer.is_some())
    }

    /// Answers those that have no answer in a transaction. They are kept apart: should it fail, all is done again.
    fn perform(&self, mut perform: impl FnMut(&A) -> Result<T, Fault>) -> Result<Vec<Answer<T>>, Fault> {
        let mut performed = Vec::new();
        for (asked, _) in self.lock().iter().filter(|(_, answer)| answer.is_none()) {
            performed.push(match perform(asked) {
                Err(Fault::Answer(error)) => Err(error),
                answer => Ok(answer?),
            });
        }
        Ok(performed)
    }

    /// All answers: those that were found, and between them those that were performed.
    fn with(&self, performed: Vec<Answer<T>>) -> Vec<Answer<T>> {
        let mut performed = performed.into_iter();
        self.lock().iter_mut().filter_map(|(_, answer)| answer.take().or_else(|| performed.next())).collect()
    }
}

impl SqliteStore {
    /// Answers each of many: those that have no answer yet by a look, or, where that is not enough, in a transaction.
    pub(super) fn ask_each<A: Send + 'static, T: Send + 'static>(
        &self,
        asked: impl Iterator<Item = Item<A, T>>,
        look: impl Fn(&Inner, &A, Timestamp, Option<&Session>) -> Option<Answer<T>> + Send + 'static,
        perform: impl Fn(&mut Turn<'_>, &A) -> Result<T, Fault> + Send + 'static,
    ) -> Reply<Vec<Answer<T>>> {
        let (many, now) = (Many(Arc::new(Mutex::new(asked.collect()))), self.0.clock.now());
        let (inner, looked, performed) = (Arc::clone(&self.0), many.clone(), many.clone());
        let look: Look<Vec<Answer<T>>> = Box::new(move |at| {
            let all = looked.look(|asked| look(&inner, asked, now, at));
            inner.expect_counts();
            all.then(|| Ok(Vec::new()))
        });
        let verb = move |turn: &mut Turn<'_>| performed.perform(|asked| perform(turn, asked)).map(Some);
        self.ask(Some(look), Box::new(verb), Needs::Nothing).map(move |performed| Ok(many.with(performed)))
    }
}
