//! Where writes queue, and who does them: many in one transaction, so that many threads and tasks wait for few syncs.
//!
//! Whoever brings work and finds the seat free sits down and does all there is, its own among it, with no switch of threads.
//! What comes meanwhile is done by the desk's own thread, in one transaction with all that has come by then.
//! INVARIANT: one at a time has the seat, and with it the writing connection.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use super::fork;
use super::job::Job;
use super::session::{Queue, Session};

/// Pieces of work that share a transaction at most.
const BATCH: usize = 256;
/// How long the desk's thread sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(3_600);

/// Who may write.
enum Seat {
    /// Nobody does; the connection, where one is open.
    Free(Option<Session>),
    /// The desk's thread stands in the queue of processes. The connection lies here meanwhile.
    InLine(Option<Session>, Arc<Queue>),
    /// Somebody writes.
    Taken,
}

impl Default for Seat {
    fn default() -> Self {
        Self::Free(None)
    }
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent answers to independent questions")]
struct State {
    /// Work that may only need a look.
    fresh: Vec<Box<dyn Job>>,
    jobs: VecDeque<Box<dyn Job>>,
    seat: Seat,
    /// Whether the desk's own thread runs.
    served: bool,
    /// Whether another one only looks, while that stands in line.
    looks: bool,
    /// Whether the desk's own is at work with what it took from here.
    works: bool,
    stops: bool,
    /// Threads that wait until nobody writes, or nothing is done.
    awaited: usize,
    /// When counts are to be written.
    write_counts_at: Option<Instant>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Desk {
    state: Mutex<State>,
    /// Wakes the desk's thread.
    wanted: Condvar,
    /// Wakes who waits until nobody writes, or nothing is done.
    vacated: Condvar,
}

/// What the desk's thread is to do next.
#[expect(clippy::large_enum_variant, reason = "handed over once for each transaction, which a box would make dearer")]
pub(super) enum Next {
    /// Work that may only need a look. It needs no seat.
    Look(Vec<Box<dyn Job>>),
    /// Work, with the seat.
    Write(Seated),
    /// Counts are due.
    WriteCounts,
    /// Nothing any more.
    Stop,
}

/// A thread that is to be started.
pub(super) enum Helper {
    /// The desk's own.
    Serves,
    /// One that only looks, while the desk's own stands in line.
    Looks,
}

/// The seat, with the work to do.
pub(super) struct Seated {
    pub(super) session: Option<Session>,
    pub(super) jobs: Vec<Box<dyn Job>>,
    /// The queue of processes, where this one has come to its front already.
    pub(super) entered: Option<Arc<Queue>>,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves work to the desk's thread; answers with the thread that must be started.
    pub(super) fn put(&self, job: Box<dyn Job>) -> Option<Helper> {
        let mut state = self.lock();
        state.fresh.push(job);
        if matches!(state.seat, Seat::InLine(..)) {
            return (!std::mem::replace(&mut state.looks, true)).then_some(Helper::Looks);
        }
        self.wanted.notify_one();
        (!std::mem::replace(&mut state.served, true)).then_some(Helper::Serves)
    }

    /// Work that may only need a look, for a thread that does nothing else; `None` where there is none, and it ends.
    pub(super) fn next_look(&self) -> Option<Vec<Box<dyn Job>>> {
        let mut state = self.lock();
        state.looks = !state.fresh.is_empty();
        if !state.looks {
            self.tell_vacated(&state);
        }
        state.looks.then(|| std::mem::take(&mut state.fresh))
    }

    /// There is no thread that only looks; the desk's does it, when it is back.
    pub(super) fn give_up_looking(&self) {
        let mut state = self.lock();
        state.looks = false;
        self.tell_vacated(&state);
    }

    /// Sits down if the seat is free, without work as yet.
    pub(super) fn sit_down(&self) -> Option<Seated> {
        self.lock().sit_down(0)
    }

    /// Takes this, unless it was given up, and what else there is to do.
    pub(super) fn take_more(&self, seated: &mut Seated, job: Box<dyn Job>) {
        if job.progress().start() {
            seated.jobs.push(job);
        }
        seated.jobs.append(&mut self.lock().take_jobs(BATCH));
    }

    /// Puts work at the end of the queue, and sits down if the seat is free.
    pub(super) fn put_and_sit_down(&self, job: Box<dyn Job>) -> Option<Seated> {
        let mut state = self.lock();
        state.jobs.push_back(job);
        state.sit_down(BATCH)
    }

    /// Puts what a look could not answer at the end of the queue; answers whether the desk's thread must be started.
    pub(super) fn put_looked_at(&self, jobs: Vec<Box<dyn Job>>) -> bool {
        let mut state = self.lock();
        state.jobs.extend(jobs);
        if state.jobs.is_empty() {
            return false;
        }
        self.wanted.notify_one();
        !std::mem::replace(&mut state.served, true)
    }

    /// Takes all work away, as there is no thread to do it.
    pub(super) fn give_up_serving(&self) -> Vec<Box<dyn Job>> {
        let mut state = self.lock();
        state.served = false;
        let State { fresh, jobs, .. } = &mut *state;
        fresh.drain(..).chain(jobs.drain(..)).collect()
    }

    /// Has counts written soon; answers whether the desk's thread must be started to do so.
    pub(super) fn expect_counts(&self, within: Duration) -> bool {
        let mut state = self.lock();
        state.write_counts_at = Some(Instant::now() + within);
        self.wanted.notify_one();
        !std::mem::replace(&mut state.served, true)
    }

    /// Gives the seat back, with work that could not be done, which stays first, and more that is to come last; answers
    /// whether the desk's thread must be started for what is left.
    pub(super) fn stand_up(&self, session: Option<Session>, left: Vec<Box<dyn Job>>, more: Vec<Box<dyn Job>>) -> bool {
        let mut state = self.lock();
        state.put_back(left);
        state.jobs.extend(more);
        state.seat = Seat::Free(session);
        self.tell_vacated(&state);
        if state.jobs.is_empty() {
            if state.stops {
                self.wanted.notify_one();
            }
            return false;
        }
        self.wanted.notify_one();
        !std::mem::replace(&mut state.served, true)
    }

    /// The desk's thread, at its next piece of work.
    pub(super) fn next(&self) -> Next {
        let mut state = self.lock();
        state.works = false;
        self.tell_vacated(&state);
        let (mut state, next) = self.wait_for_next(state);
        state.works = !matches!(next, Next::Stop);
        next
    }

    /// Waits for a piece of work, then for its turn among the processes.
    fn wait_for_next<'a>(&'a self, mut state: MutexGuard<'a, State>) -> (MutexGuard<'a, State>, Next) {
        loop {
            if !state.fresh.is_empty() {
                let fresh = std::mem::take(&mut state.fresh);
                return (state, Next::Look(fresh));
            }
            if !state.jobs.is_empty()
                && let Some(mut seated) = state.sit_down(BATCH)
            {
                let Some(session) = &seated.session else { return (state, Next::Write(seated)) };
                let queue = Arc::clone(session.queue());
                if queue.try_enter() {
                    seated.entered = Some(queue);
                    return (state, Next::Write(seated));
                }
                state.put_back(seated.jobs);
                state.seat = Seat::InLine(seated.session, Arc::clone(&queue));
                drop(state);
                queue.enter();
                let in_front = self.lock_in_front();
                let is_in_front = in_front.is_some();
                if !is_in_front {
                    queue.leave();
                }
                state = in_front.unwrap_or_else(|| self.lock());
                let seated = state.sit_down_from_line();
                if is_in_front {
                    if !seated.jobs.is_empty() {
                        return (state, Next::Write(Seated { entered: Some(queue), ..seated }));
                    }
                    queue.leave();
                }
                state.put_back(seated.jobs);
                state.seat = Seat::Free(seated.session);
                continue;
            }
            let due = state.write_counts_at;
            if due.is_some_and(|due| state.stops || due <= Instant::now()) {
                state.write_counts_at = None;
                return (state, Next::WriteCounts);
            }
            if state.stops && state.jobs.is_empty() {
                state.served = false;
                return (state, Next::Stop);
            }
            let left = due.map_or(IDLE, |due| due.saturating_duration_since(Instant::now()));
            state = self.wanted.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The lock, for the thread that has come to the front of the queue of processes. `None` while a thread forks: it may
    /// keep the lock for as long as it waits for another store of this process, and that one for the front.
    fn lock_in_front(&self) -> Option<MutexGuard<'_, State>> {
        loop {
            match self.state.try_lock() {
                Ok(state) => return Some(state),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if fork::is_under_way() => return None,
                Err(TryLockError::WouldBlock) => thread::yield_now(),
            }
        }
    }

    /// Closes the connection, where nobody writes. Under the lock, so that no thread forks meanwhile.
    pub(super) fn close_idle(&self, close: impl FnOnce(Session)) {
        self.lock().close(close);
    }

    /// Gives up what nobody waits for, and waits for so long at most until the rest is done.
    pub(super) fn call_off(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            state.call_off();
            let left = until.saturating_duration_since(Instant::now());
            if state.is_at_rest() || left.is_zero() {
                return;
            }
            state.awaited += 1;
            state = self.vacated.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.awaited -= 1;
        }
    }

    fn tell_vacated(&self, state: &State) {
        if state.awaited > 0 {
            self.vacated.notify_all();
        }
    }

    /// Has the thread end when nothing is left to do.
    pub(super) fn stop(&self) {
        self.lock().stops = true;
        self.wanted.notify_one();
    }

    /// Waits until nobody writes, closes the connection, and keeps the lock: for the thread that is about to fork.
    pub(super) fn freeze(&self, close: impl FnOnce(Session)) -> Frozen<'_> {
        let mut state = self.lock();
        state.awaited += 1;
        while matches!(state.seat, Seat::Taken) {
            state = self.vacated.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.awaited -= 1;
        state.close(close);
        Frozen(state)
    }
}

/// The desk's lock, kept while a thread forks.
pub(super) struct Frozen<'a>(MutexGuard<'a, State>);

impl Frozen<'_> {
    /// In a forked child: the work is the parent's, and so is its place in the queue of processes, which a child that
    /// outlives the parent must not keep.
    pub(super) fn begin_anew(&mut self) {
        let state = &mut *self.0;
        std::mem::forget((std::mem::take(&mut state.fresh), std::mem::take(&mut state.jobs)));
        if let Seat::InLine(_, queue) = std::mem::take(&mut state.seat) {
            queue.close_in_child();
            std::mem::forget(queue);
        }
        state.served = false;
        state.looks = false;
        state.works = false;
        // Whoever waits is a thread of the parent's.
        state.awaited = 0;
        state.write_counts_at = None;
    }
}

impl State {
    /// Closes the connection, where nobody writes.
    fn close(&mut self, close: impl FnOnce(Session)) {
        if let Seat::Free(session) | Seat::InLine(session, _) = &mut self.seat
            && let Some(session) = session.take()
        {
            close(session);
        }
    }

    /// Gives up what nobody waits for.
    fn call_off(&mut self) {
        self.fresh.retain(|job| !job.is_behind());
        self.jobs.retain(|job| !job.is_behind());
        self.write_counts_at = None;
    }

    /// Whether all is done, and no thread has anything in hand.
    fn is_at_rest(&self) -> bool {
        let has_work = !self.fresh.is_empty() || !self.jobs.is_empty();
        !has_work && !self.works && !self.looks && !matches!(self.seat, Seat::Taken)
    }

    fn sit_down(&mut self, most: usize) -> Option<Seated> {
        let Seat::Free(session) = &mut self.seat else { return None };
        let session = session.take();
        self.seat = Seat::Taken;
        Some(Seated { session, jobs: self.take_jobs(most), entered: None })
    }

    fn sit_down_from_line(&mut self) -> Seated {
        // Nobody else leaves the line or sits down on this seat meanwhile; a fork may have taken the connection away.
        let session = match std::mem::replace(&mut self.seat, Seat::Taken) {
            Seat::InLine(session, _) | Seat::Free(session) => session,
            Seat::Taken => None,
        };
        Seated { session, jobs: self.take_jobs(BATCH), entered: None }
    }

    fn take_jobs(&mut self, most: usize) -> Vec<Box<dyn Job>> {
        let count = self.jobs.len().min(most);
        self.jobs.drain(..count).filter(|job| job.progress().start()).collect()
    }

    fn put_back(&mut self, jobs: Vec<Box<dyn Job>>) {
        for job in jobs.into_iter().rev() {
            job.progress().put_back();
            self.jobs.push_front(job);
        }
    }
}
