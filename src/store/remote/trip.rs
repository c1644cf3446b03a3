//! How a verb gets done: by the thread that asks, which drives the runtime until the answer is there, or by the runtime's
//! own thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use super::driver::{Driver, driver};
use crate::store::{BoxFuture, Errand, Recall};

/// How long a thread drives before it lets its signals be looked at.
const STRETCH: Duration = Duration::from_millis(40);

/// A verb on its way.
pub(super) struct Trip {
    driver: Arc<Driver>,
    verb: Option<BoxFuture<()>>,
    fate: Option<Arc<Fate>>,
}

impl Trip {
    pub(super) fn new(verb: BoxFuture<()>, fate: Option<Arc<Fate>>) -> Self {
        Self { driver: driver(), verb: Some(verb), fate }
    }
}

impl Errand for Trip {
    fn run(mut self: Box<Self>) {
        let Some(mut verb) = self.verb.take() else { return };
        // A runtime can't be driven from within another.
        let is_inside = tokio::runtime::Handle::try_current().is_ok();
        if is_inside || self.driver.drive(&mut verb, Instant::now() + STRETCH).is_none() {
            self.driver.spawn(verb);
        }
    }

    fn hand_over(self: Box<Self>) {
        drop(self);
    }

    fn answers_by_itself(&self) -> bool {
        true
    }

    fn recall(&self) -> Option<Arc<dyn Recall>> {
        Some(Arc::clone(self.fate.as_ref()?) as Arc<dyn Recall>)
    }
}

impl Drop for Trip {
    fn drop(&mut self) {
        if let Some(verb) = self.verb.take() {
            self.driver.spawn(verb);
        }
    }
}

/// Whether somebody still wants the claim that a verb is asking for.
#[derive(Default)]
pub(super) struct Fate(AtomicU8);

const WANTED: u8 = 0;
const ANSWERED: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Fate {
    /// Called with the answer; whether nobody wants it any more.
    pub(super) fn answered(&self) -> bool {
        self.0.compare_exchange(WANTED, ANSWERED, Ordering::AcqRel, Ordering::Acquire) == Err(GIVEN_UP)
    }
}

impl Recall for Fate {
    fn give_up(&self) -> bool {
        match self.0.compare_exchange(WANTED, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(now) => now == GIVEN_UP,
        }
    }
}
