//! Asking a server again: within a time that ends, after pauses that grow.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::time::Instant;

use super::engine::Fault;
use crate::core::error::StoreError;

/// The pauses before a verb is asked again whose server could not be reached or whose answer was lost.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(10), Duration::from_millis(60), Duration::from_millis(250), Duration::from_millis(500)];

/// How long a verb is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// A moment: nothing has happened yet, and the caller does better to know.
    Short,
    /// As long as there is time: something has happened that must not be forgotten.
    Long,
}

/// What has a name by which people know it.
pub(in crate::store) trait Named: Send + Sync {
    /// The servers as a person names them, without any password.
    fn place(&self) -> String;
}

/// What is left of a verb's time.
pub(super) struct Tries<'a> {
    server: &'a dyn Named,
    until: Instant,
    timeout: Duration,
    patience: Patience,
    asked: usize,
    /// Whether the server may have done what was asked, unheard.
    pub(super) lost: bool,
    /// Why it could not be reached the last time.
    unreached: Option<String>,
}

impl<'a> Tries<'a> {
    pub(super) fn new(server: &'a dyn Named, timeout: Duration, patience: Patience) -> Self {
        Self { server, until: Instant::now() + timeout, timeout, patience, asked: 0, lost: false, unreached: None }
    }

    /// Asks once. The verb is lent, since to hand a future over copies all that it will ever hold.
    pub(super) async fn within<T>(
        &mut self,
        verb: Pin<&mut impl Future<Output = Result<T, Fault>>>,
    ) -> Result<T, Fault> {
        self.asked = self.asked.saturating_add(1);
        let answer = match tokio::time::timeout_at(self.until, verb).await {
            Ok(answer) => answer,
            Err(_) => Err(Fault::Lost(self.unreached.take().unwrap_or_else(|| {
                format!(
                    "{} did not answer within {} s (timeout=); what was asked may still happen there",
                    self.server.place(),
                    self.timeout.as_secs_f64()
                )
            }))),
        };
        self.lost |= matches!(answer, Err(Fault::Lost(_)));
        if let Err(Fault::Unsent(text)) = &answer {
            self.unreached = Some(text.clone());
        }
        answer
    }

    /// Waits before the verb is asked again; an error where it is not to be.
    pub(super) async fn after(&self, fault: Fault) -> Result<(), StoreError> {
        let text = match fault {
            Fault::Answer(error) => return Err(error),
            Fault::Unsent(text) | Fault::Lost(text) => text,
        };
        let last = PAUSES.len() - 1;
        let pause = match self.patience {
            Patience::Short => PAUSES.get(self.asked - 1),
            Patience::Long => PAUSES.get((self.asked - 1).min(last)),
        };
        match pause {
            Some(pause) if Instant::now() + *pause < self.until => {
                tokio::time::sleep(*pause).await;
                Ok(())
            }
            _ => Err(StoreError::Unavailable(text)),
        }
    }
}

/// Asks until there is an answer, or none is to be hoped for.
pub(super) async fn ask<T, F>(mut tries: Tries<'_>, verb: impl Fn() -> F + Send) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, Fault>> + Send,
{
    loop {
        let asking = pin!(verb());
        match tries.within(asking).await {
            Ok(answer) => return Ok(answer),
            Err(fault) => tries.after(fault).await?,
        }
    }
}
