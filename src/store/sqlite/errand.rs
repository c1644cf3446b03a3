//! The two ways in which a verb gets done: here, by who asks, or there, by the desk's thread.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::Sleep;

use super::job::{Job, Progress};
use super::{Inner, place};
use crate::core::error::StoreError;
use crate::store::{Errand, Recall};

/// How long a verb that is due but under way is left alone.
const PAUSE: Duration = Duration::from_millis(50);

/// A verb that is still to be done.
pub(super) struct Trip {
    inner: Arc<Inner>,
    job: Option<Box<dyn Job>>,
}

impl Trip {
    pub(super) fn new(inner: &Arc<Inner>, job: Box<dyn Job>) -> Self {
        Self { inner: Arc::clone(inner), job: Some(job) }
    }
}

impl Errand for Trip {
    fn run(mut self: Box<Self>) {
        if let Some(job) = self.job.take() {
            self.inner.do_here(job);
        }
    }

    fn hand_over(self: Box<Self>) {
        drop(self);
    }

    fn recall(&self) -> Option<Arc<dyn Recall>> {
        let job = self.job.as_ref()?;
        Some(Arc::new(job.progress().clone()))
    }
}

impl Drop for Trip {
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            self.inner.do_there(job);
        }
    }
}

/// A verb's answer; or, where it is not even begun in time, the news that others keep the file locked.
pub(super) struct Answer<T> {
    receiver: oneshot::Receiver<Result<T, StoreError>>,
    progress: Progress,
    patience: Duration,
    path: PathBuf,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<T> Answer<T> {
    pub(super) const fn new(
        receiver: oneshot::Receiver<Result<T, StoreError>>,
        progress: Progress,
        patience: Duration,
        path: PathBuf,
    ) -> Self {
        Self { receiver, progress, patience, path, timer: None }
    }

    /// Polls the time that is left, in a runtime; elsewhere who waits looks again by itself.
    fn is_due(&mut self, context: &mut Context<'_>) -> bool {
        let due = self.progress.due();
        if due <= Instant::now() {
            return true;
        }
        self.look_again_at(due, context);
        false
    }

    fn look_again_at(&mut self, time: Instant, context: &mut Context<'_>) {
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(time.into())));
        if timer.deadline() != time.into() {
            timer.as_mut().reset(time.into());
        }
        if timer.as_mut().poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }
}

impl<T> Future for Answer<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.receiver).poll(context) {
            Poll::Ready(Ok(answer)) => return Poll::Ready(answer),
            Poll::Ready(Err(_)) => {
                let lost = "the store was closed before it answered: ask again";
                return Poll::Ready(Err(StoreError::Unavailable(lost.into())));
            }
            Poll::Pending => {}
        }
        if self.is_due(context) {
            if Recall::give_up(&self.progress) {
                // How long it was to wait at most, whatever the scheduler made of that.
                return Poll::Ready(Err(place::locked(&self.path, self.patience)));
            }
            // It is being done, or is just about to be put back.
            self.look_again_at(Instant::now() + PAUSE, context);
        }
        Poll::Pending
    }
}
