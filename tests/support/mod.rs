//! What every test of a store asks it through.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use _core::core::error::StoreError;
use _core::store::{BoxFuture, Queued, Reply};

/// Longer than any answer takes.
pub(crate) const LONG: Duration = Duration::from_secs(30);
/// How often a future is polled though nothing has woken it: one that ends by itself tells nobody without a runtime.
const PAUSE: Duration = Duration::from_millis(1);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The value of a future.
pub(crate) fn block_on<T>(mut future: BoxFuture<T>) -> T {
    let (waker, began) = (Waker::from(Arc::new(Unpark(thread::current()))), Instant::now());
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return answer;
        }
        assert!(began.elapsed() < LONG, "the store answers");
        thread::park_timeout(PAUSE);
    }
}

/// What a store answers, now or later.
pub(crate) fn answer<T>(reply: Reply<T>) -> Result<T, StoreError> {
    match reply {
        Reply::Ready(answer) => answer,
        Reply::Pending(future) => block_on(future),
        Reply::Queued(Queued { answer, errand }) => {
            errand.run();
            block_on(answer)
        }
    }
}

/// The same where the store must not fail.
pub(crate) fn ask<T>(reply: Reply<T>) -> T {
    answer(reply).expect("the store can answer")
}
