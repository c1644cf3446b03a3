//! Doing what lies on the desk: a transaction for all of it, and what follows.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;

use super::copies::Unwritten;
use super::desk::{Helper, Next, Seated};
use super::job::{Job, Needs, Task};
use super::session::Session;
use super::turn::{Turn, apply};
use super::{Inner, place, settle};
use crate::core::clock::Timestamp;
use crate::core::error::StoreError;

/// How long counts wait to be written with others.
const COUNTS_WAIT: Duration = Duration::from_secs(1);
/// How long the desk's thread rests while another program holds SQLite's lock.
const PAUSE: Duration = Duration::from_millis(2);

/// What became of a transaction.
enum End {
    /// Another program writes; nothing has begun.
    Busy,
    /// It was committed, or undone.
    Over(Result<(), StoreError>),
}

/// Whether another connection kept a transaction from beginning.
fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::FileLockingProtocolFailed))
}

/// Answers work for which a look is enough; gives the other back.
fn answered_by_a_look(mut job: Box<dyn Job>) -> Option<Box<dyn Job>> {
    if job.look(None) { job.settle(Ok(())) } else { Some(job) }
}

/// Tells the owners; answers with those that have more to do.
fn tell(jobs: Vec<Box<dyn Job>>, end: &Result<(), StoreError>) -> Vec<Box<dyn Job>> {
    jobs.into_iter().filter_map(|job| job.settle(end.clone())).collect()
}

impl Turn<'_> {
    fn do_all(&mut self, counted: &Unwritten, jobs: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
        self.session.write_counts(counted)?;
        for job in jobs {
            // Its own time, asked for before: a clock may run foreign code, which may not run here.
            self.now = job.asked_at();
            job.perform(self)?;
        }
        Ok(())
    }
}

impl Inner {
    /// Does a verb in this thread, with what else lies there; leaves what would have to wait.
    pub(super) fn do_here(self: &Arc<Self>, mut job: Box<dyn Job>) {
        let seated = match self.desk.sit_down() {
            Some(mut seated) => {
                // Where none is open, it is opened to write: no look is worth to wait for that twice.
                if seated.session.is_some() && job.look(seated.session.as_ref()) {
                    drop(job.settle(Ok(())));
                    if self.desk.stand_up(seated.session, Vec::new(), Vec::new()) {
                        self.serve();
                    }
                    return;
                }
                self.desk.take_more(&mut seated, job);
                seated
            }
            None if job.look(None) => {
                drop(job.settle(Ok(())));
                return;
            }
            None => match self.desk.put_and_sit_down(job) {
                Some(seated) => seated,
                None => return,
            },
        };
        if self.write(seated) {
            self.serve();
        }
    }

    /// Leaves a verb to the desk's thread.
    pub(super) fn do_there(self: &Arc<Self>, job: Box<dyn Job>) {
        match self.desk.put(job) {
            Some(Helper::Serves) => self.serve(),
            Some(Helper::Looks) => self.look_meanwhile(),
            None => {}
        }
    }

    /// Starts a thread that answers what a look is enough for, while the desk's own waits for other processes.
    fn look_meanwhile(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        let thread = thread::Builder::new().name("idempotency-look".into());
        let looks = move || {
            while let Some(jobs) = inner.desk.next_look() {
                inner.look_at(jobs);
            }
        };
        if thread.spawn(looks).is_err() {
            self.desk.give_up_looking();
        }
    }

    fn look_at(self: &Arc<Self>, jobs: Vec<Box<dyn Job>>) {
        if self.desk.put_looked_at(jobs.into_iter().filter_map(answered_by_a_look).collect()) {
            self.serve();
        }
    }

    /// Has counts written soon.
    pub(super) fn expect_counts(self: &Arc<Self>) {
        if self.copies.counts.needs_writer() && self.desk.expect_counts(COUNTS_WAIT) {
            self.serve();
        }
    }

    /// Starts the desk's thread. It ends when the store is dropped and nothing is left to do.
    fn serve(self: &Arc<Self>) {
        let inner = Arc::clone(self);
        let thread = thread::Builder::new().name("idempotency-sqlite".into());
        if let Err(error) = thread.spawn(move || inner.work()) {
            let text = format!("no thread for the store could be started: {error}");
            tell(self.desk.give_up_serving(), &Err(StoreError::Unavailable(text)));
        }
    }

    fn work(self: &Arc<Self>) {
        loop {
            match self.desk.next() {
                Next::Look(jobs) => self.look_at(jobs),
                Next::Write(seated) => drop(self.write(seated)),
                Next::WriteCounts => self.write_counts(),
                Next::Stop => return,
            }
        }
    }

    /// Does the work that lies there; answers whether the desk's thread must be started for what is left.
    fn write(self: &Arc<Self>, seated: Seated) -> bool {
        let Seated { session, mut jobs, mut entered } = seated;
        if session.is_none()
            && let Some(entered) = entered.take()
        {
            // A fork has closed the connection meanwhile. To open another, one stands in line too: behind oneself, if one
            // stayed here.
            entered.leave();
        }
        let session = match session.map_or_else(|| self.open(), Ok) {
            Ok(session) => session,
            Err(error) => {
                let starts = self.desk.stand_up(None, Vec::new(), Vec::new());
                tell(jobs, &Err(error));
                return starts;
            }
        };
        let queue = Arc::clone(session.queue());
        if entered.is_none() && !queue.try_enter() {
            return self.desk.stand_up(Some(session), jobs, Vec::new());
        }
        let written = catch_unwind(AssertUnwindSafe(|| self.write_in_turn(&session, &mut jobs)));
        queue.leave();
        let Ok(more) = written else {
            self.close(session);
            let starts = self.desk.stand_up(None, Vec::new(), Vec::new());
            let text =
                "a verb of the SQLite store failed in a way that it never should: please report what stderr says of it";
            tell(jobs, &Err(StoreError::Failed(text.into())));
            return starts;
        };
        if !jobs.is_empty() {
            // Another program holds SQLite's lock, one that does not stand in line.
            let (late, left) = jobs.into_iter().partition(|job| job.progress().due() <= Instant::now());
            tell(late, &Err(place::locked(&self.options.path, self.options.busy_timeout)));
            let starts = self.desk.stand_up(Some(session), left, more);
            thread::sleep(PAUSE);
            return starts;
        }
        let session = if session.is_adrift() {
            self.close(session);
            *self.reader() = None;
            // It would keep what this process remembers of the old log.
            *self.checkpoints.lock() = None;
            None
        } else {
            Some(session)
        };
        let lets_others_in = !more.is_empty();
        let starts = self.desk.stand_up(session, Vec::new(), more);
        if lets_others_in {
            // Whoever has just been woken in the line is slower than who goes on at once.
            thread::sleep(PAUSE);
        }
        starts
    }

    /// Does all of it together, or, where that fails, one after the other, as one of them may be at fault alone. Leaves
    /// what could not be begun; answers with what has more to do.
    fn write_in_turn(self: &Arc<Self>, session: &Session, jobs: &mut Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        match self.transact(session, jobs) {
            End::Busy => Vec::new(),
            End::Over(Err(_)) if jobs.len() > 1 && !session.is_adrift() => {
                let (mut left, mut more) = (Vec::new(), Vec::new());
                for job in std::mem::take(jobs) {
                    let mut alone = vec![job];
                    match self.transact(session, &mut alone) {
                        End::Busy => left.append(&mut alone),
                        End::Over(result) => more.append(&mut tell(alone, &result)),
                    }
                }
                *jobs = left;
                more
            }
            End::Over(result) => tell(std::mem::take(jobs), &result),
        }
    }

    /// All of it in one transaction.
    fn transact(self: &Arc<Self>, session: &Session, jobs: &mut [Box<dyn Job>]) -> End {
        match self.try_transact(session, jobs) {
            Ok(()) if session.is_adrift() => End::Over(Err(place::moved(&self.options.path))),
            Ok(()) => End::Over(Ok(())),
            Err(error) if is_busy(&error) => End::Busy,
            Err(error) => {
                // It may have failed because the file is not there any more.
                if !session.is_adrift() {
                    session.notice_place();
                }
                End::Over(Err(place::explain(&self.options.path, &error)))
            }
        }
    }

    fn try_transact(self: &Arc<Self>, session: &Session, jobs: &mut [Box<dyn Job>]) -> rusqlite::Result<()> {
        session.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let (before, foreign) = self.copies.begin_commit();
        if foreign {
            session.records.set(None);
        }
        let counts = &self.copies.counts;
        let needs = jobs.iter().map(|job| job.needs()).max().unwrap_or(Needs::Nothing);
        let counted = if needs >= Needs::Counts { counts.take() } else { Unwritten::default() };
        let (now, limits, waiters) = (Timestamp::default(), *self.limits(), &self.waiters);
        let mut turn = Turn { session, now, limits, waiters, effects: Vec::new() };
        let changes = session.connection.total_changes();
        let done = turn.do_all(&counted, jobs).and_then(|()| session.commit());
        let wrote = done.is_ok() && session.connection.total_changes() != changes;
        match done {
            // Before the copies are good again.
            Ok(()) if session.notice_place() => apply(turn.effects, &self.copies, &self.waiters),
            Ok(()) => {}
            Err(_) => {
                session.roll_back();
                counts.give_back(counted);
            }
        }
        counts.end_writing();
        let header = self.copies.end_commit(before, wrote);
        if done.is_ok() && header != before {
            self.after_commit(session, header);
        }
        done
    }

    /// Writes what was counted, if it can be; else it is tried again later.
    fn write_counts(self: &Arc<Self>) {
        self.copies.counts.expect_again();
        self.do_there(self.counting());
    }

    /// Ends the desk's thread, once what was counted is written.
    pub(super) fn retire(self: &Arc<Self>) {
        if !self.copies.counts.are_written() {
            self.do_here(self.counting());
        }
        self.desk.stop();
    }

    /// Work that writes what was counted and settles records, whose end nobody waits for.
    pub(super) fn counting(&self) -> Box<dyn Job> {
        let verb = |turn: &mut Turn<'_>| Ok(turn.session.settle(settle::PART).map(Some)?);
        let (task, answer) = self.task::<()>(None, Box::new(verb), Needs::Counts);
        drop(answer);
        Box::new(Task { behind: true, ..task })
    }
}
