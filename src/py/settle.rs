//! Waiting for many calls at once, in one thread.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use parking_lot::Mutex;
use pyo3::prelude::*;

use super::batch::{BatchedCall, Stage};
use super::call::{Arrived, Call, Step};
use super::runtime;
use crate::store::BoxFuture;

/// A call that waits for the store, by its place among those that are waited for.
struct Waiting {
    call: Box<Call>,
    place: usize,
    deadline: Option<Instant>,
}

/// What is waited for, each with its place.
type Answers = Arc<Mutex<Vec<(usize, BoxFuture<Arrived>)>>>;

/// The first answer that comes.
fn first(answers: &Answers) -> BoxFuture<(usize, Arrived)> {
    let answers = Arc::clone(answers);
    Box::pin(poll_fn(move |context| {
        let mut answers = answers.lock();
        for number in 0..answers.len() {
            if let Poll::Ready(arrived) = answers[number].1.as_mut().poll(context) {
                let (place, _) = answers.swap_remove(number);
                return Poll::Ready((place, arrived));
            }
        }
        Poll::Pending
    }))
}

/// Moves all calls on that wait for the store, until none does.
pub(super) fn all(py: Python<'_>, calls: &[Py<BatchedCall>]) -> PyResult<()> {
    let mut waiting = Vec::new();
    let answers = Answers::default();
    for (place, call) in calls.iter().enumerate() {
        let stage = call.get().take();
        put(call, stage, place, &answers, &mut waiting);
    }
    let mut interrupted = None;
    while !waiting.is_empty() {
        let deadline = waiting.iter().filter_map(|waiting: &Waiting| waiting.deadline).min();
        let arrived = runtime::block_on(py, &mut first(&answers), deadline, |error| {
            interrupted.get_or_insert(error);
            Ok(())
        })?;
        let arrived = arrived.or_else(|| elapsed(&answers, &waiting));
        let Some((place, arrived)) = arrived else { continue };
        let Some(number) = waiting.iter().position(|waiting| waiting.place == place) else { continue };
        let Waiting { mut call, .. } = waiting.swap_remove(number);
        let step = call.resume(py, arrived);
        put(&calls[place], Stage::of(call, step), place, &answers, &mut waiting);
    }
    interrupted.map_or(Ok(()), Err)
}

fn put(slot: &Py<BatchedCall>, stage: Stage, place: usize, answers: &Answers, waiting: &mut Vec<Waiting>) {
    match stage {
        Stage::Going(call, Step::Await(answer, deadline)) => {
            answers.lock().push((place, answer));
            waiting.push(Waiting { call, place, deadline });
        }
        other => slot.get().put(other),
    }
}

/// A wait whose deadline has passed.
fn elapsed(answers: &Answers, waiting: &[Waiting]) -> Option<(usize, Arrived)> {
    let now = Instant::now();
    let late = waiting.iter().find(|waiting| waiting.deadline.is_some_and(|deadline| deadline <= now))?;
    let mut answers = answers.lock();
    if let Some(number) = answers.iter().position(|(place, _)| *place == late.place) {
        let given_up = answers.swap_remove(number);
        drop(answers);
        drop(given_up);
    }
    Some((late.place, Arrived::Elapsed))
}
