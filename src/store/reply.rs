//! A store's answers: at hand, on their way, or still to be fetched.

use std::pin::Pin;
use std::sync::Arc;

use crate::core::error::StoreError;

/// A future that may move between threads.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A store's answer: at hand, or on its way. What runs in this process answers at once; what waits for
/// a disk or a network answers with a future, which a synchronous caller blocks on (detached from the interpreter)
/// and an asynchronous one awaits. A verb that was called happens, polled to its end or not.
pub enum Reply<T> {
    /// At hand.
    Ready(Result<T, StoreError>),
    /// On its way; needs a tokio runtime's context to be polled.
    Pending(BoxFuture<Result<T, StoreError>>),
    /// Still to be fetched.
    Queued(Queued<T>),
}

impl<T: Send + 'static> Reply<Vec<T>> {
    /// The answers to verbs that were asked for side by side, in their order; the first error instead, where one failed.
    pub fn together(replies: Vec<Reply<T>>) -> Self {
        Reply::each(replies).map(|answers| answers.into_iter().collect())
    }
}

impl<T: Send + 'static> Reply<Vec<Result<T, StoreError>>> {
    /// What became of each of the verbs that were asked for side by side, in their order.
    pub fn each(replies: Vec<Reply<T>>) -> Self {
        let at_hand = |reply: &Reply<T>| matches!(reply, Reply::Ready(_));
        if replies.iter().all(at_hand) {
            let answers = replies.into_iter().filter_map(|reply| match reply {
                Reply::Ready(answer) => Some(answer),
                Reply::Pending(_) | Reply::Queued(_) => None,
            });
            return Self::Ready(Ok(answers.collect()));
        }
        // All are sent before the first is waited for, and each happens, polled or not: so one after the other will do.
        let called: Vec<_> = replies.into_iter().map(Reply::called).collect();
        Self::Pending(Box::pin(async move {
            let mut answers = Vec::with_capacity(called.len());
            for answer in called {
                answers.push(answer.await);
            }
            Ok(answers)
        }))
    }
}

impl<T: Send + 'static> Reply<T> {
    /// The answer, made into another.
    pub fn map<U: Send + 'static>(self, change: impl FnOnce(T) -> Result<U, StoreError> + Send + 'static) -> Reply<U> {
        match self {
            Self::Ready(answer) => Reply::Ready(answer.and_then(change)),
            Self::Pending(answer) => Reply::Pending(Box::pin(async move { answer.await.and_then(change) })),
            Self::Queued(Queued { answer, errand }) => {
                Reply::Queued(Queued { answer: Box::pin(async move { answer.await.and_then(change) }), errand })
            }
        }
    }

    /// The answer as a future, with the work left to the store's own threads.
    pub fn called(self) -> BoxFuture<Result<T, StoreError>> {
        match self {
            Self::Ready(result) => Box::pin(std::future::ready(result)),
            Self::Pending(future) => future,
            Self::Queued(Queued { answer, errand }) => {
                errand.hand_over();
                answer
            }
        }
    }
}

/// An answer, and the errand that fetches it. The answer needs no runtime to be polled, but only comes once the errand was
/// sent.
pub struct Queued<T> {
    /// The answer.
    pub answer: BoxFuture<Result<T, StoreError>>,
    /// What fetches it.
    pub errand: Box<dyn Errand>,
}

/// Work that blocks, and so needs a thread: the caller's own, which is the fastest, or one of the store's. Dropped, it is
/// handed over, since a verb that was called happens.
pub trait Errand: Send {
    /// Does it in this thread, which may block for as long as a transaction takes; what would take longer than that
    /// is handed over.
    fn run(self: Box<Self>);

    /// Leaves it to a thread of the store's.
    fn hand_over(self: Box<Self>);

    /// Whether its answer comes by itself: no timer of whoever awaits it ends the wait.
    fn answers_by_itself(&self) -> bool {
        false
    }

    /// What calls it back once it was sent.
    fn recall(&self) -> Option<Arc<dyn Recall>>;
}

/// Calls work back that somebody waits for no longer.
pub trait Recall: Send + Sync {
    /// Has the work not be done, unless it has been begun; answers whether it is not.
    fn give_up(&self) -> bool;
}
