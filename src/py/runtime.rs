//! The tokio runtime on which stores that wait do so: made at first need, and anew in a forked child.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

use crate::core::error::StoreError;
use crate::store::BoxFuture;

static RUNTIME: Mutex<Option<(u32, Runtime)>> = Mutex::new(None);

/// This process's runtime.
fn handle() -> Handle {
    let mut slot = lock();
    let pid = std::process::id();
    if let Some((owner, runtime)) = slot.as_ref()
        && *owner == pid
    {
        return runtime.handle().clone();
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("idempotency-io")
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("no thread for the idempotency runtime could be started: {error}"));
    let handle = runtime.handle().clone();
    // A parent's runtime has no threads in a forked child: to drop it would wait for them for ever.
    std::mem::forget(slot.replace((pid, runtime)));
    handle
}

/// Ends the runtime, so that no thread of it hands an answer to an interpreter that is gone. What needs one later gets a
/// new one.
pub(super) fn stop() {
    let taken = lock().take();
    match taken {
        Some((owner, runtime)) if owner == std::process::id() => runtime.shutdown_timeout(Duration::from_millis(500)),
        // A parent's: see `handle`.
        other => std::mem::forget(other),
    }
}

/// Keeps the lock that guards the runtime out of other threads' hands while this one forks.
pub(super) fn freeze() -> MutexGuard<'static, Option<(u32, Runtime)>> {
    lock()
}

fn lock() -> MutexGuard<'static, Option<(u32, Runtime)>> {
    RUNTIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a future whose end nobody need wait for.
pub(super) fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    handle().spawn(future)
}

/// A store's answer, asked for in a task of its own, so that the verb happens whatever becomes of who waits for it.
pub(super) fn verb<T: Send + 'static>(future: BoxFuture<Result<T, StoreError>>) -> BoxFuture<Result<T, StoreError>> {
    let verb = spawn(future);
    Box::pin(async move { verb.await.unwrap_or_else(|error| Err(StoreError::Failed(error.to_string()))) })
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The value of a future that is most likely at its end.
pub(super) fn poll_once<T>(future: &mut BoxFuture<T>) -> Option<T> {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// How long a blocked thread goes without looking for signals: the most that Ctrl-C takes.
const SIGNAL_CHECK: Duration = Duration::from_millis(50);

/// Blocks this thread, detached from the interpreter, until the future ends or the deadline passes (`None`).
/// A signal handler's exception, such as Ctrl-C's, goes to `interrupted`, whose error ends the wait.
pub(super) fn block_on<T: Send>(
    py: Python<'_>,
    future: &mut BoxFuture<T>,
    deadline: Option<Instant>,
    mut interrupted: impl FnMut(PyErr) -> PyResult<()>,
) -> PyResult<Option<T>> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        let polled = py.detach(|| {
            let until = Instant::now() + SIGNAL_CHECK;
            let until = deadline.map_or(until, |deadline| deadline.min(until));
            loop {
                if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return Some(value);
                }
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                thread::park_timeout(left);
            }
        });
        if polled.is_some() {
            return Ok(polled);
        }
        // Before the deadline is looked at: a wait made of many short ones would else never see a Ctrl-C.
        if let Err(error) = py.check_signals() {
            interrupted(error)?;
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Ok(None);
        }
    }
}

/// The same without a deadline; a signal handler's exception ends the wait.
pub(super) fn wait_for<T: Send>(py: Python<'_>, mut future: BoxFuture<T>) -> PyResult<T> {
    loop {
        if let Some(value) = block_on(py, &mut future, None, Err)? {
            return Ok(value);
        }
    }
}

/// The bridge to asyncio, over this process's runtime.
struct Bridge;

struct Spawned(JoinHandle<()>);

struct SpawnError(tokio::task::JoinError);

impl generic::JoinError for SpawnError {
    fn is_panic(&self) -> bool {
        self.0.is_panic()
    }

    fn into_panic(self) -> Box<dyn std::any::Any + Send> {
        self.0.into_panic()
    }
}

impl Future for Spawned {
    type Output = Result<(), SpawnError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(SpawnError)
    }
}

impl generic::Runtime for Bridge {
    type JoinError = SpawnError;
    type JoinHandle = Spawned;

    fn spawn<F: Future<Output = ()> + Send + 'static>(future: F) -> Spawned {
        Spawned(handle().spawn(future))
    }

    fn spawn_blocking<F: FnOnce() + Send + 'static>(function: F) -> Spawned {
        Spawned(handle().spawn_blocking(function))
    }
}

impl generic::ContextExt for Bridge {
    fn scope<F, R>(_locals: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(future)
    }

    fn get_task_locals() -> Option<TaskLocals> {
        None
    }
}

/// Waits for a store's answer in a thread that is no interpreter's.
pub(super) fn settle<T>(future: BoxFuture<Result<T, StoreError>>) -> Result<T, StoreError> {
    handle().block_on(future)
}

/// Waits for all of these together, but no longer than that; whether they failed is nobody's concern.
pub(super) fn settle_within(futures: Vec<BoxFuture<Result<(), StoreError>>>, timeout: Duration) {
    if futures.is_empty() {
        return;
    }
    handle().block_on(async {
        let all = async {
            for future in futures {
                drop(future.await);
            }
        };
        drop(tokio::time::timeout(timeout, all).await);
    });
}

/// What makes a Python value of an answer.
pub(super) type Answer = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// Something to await in the running asyncio task, whose value the future's answer makes.
pub(super) fn awaitable(py: Python<'_>, future: BoxFuture<Answer>) -> PyResult<Py<PyAny>> {
    let future = generic::future_into_py::<Bridge, _, _>(py, async move {
        let answer = future.await;
        Python::attach(answer)
    })?;
    Ok(future.unbind())
}
