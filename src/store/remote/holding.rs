//! What a holder, or a person, writes; and looks that count.

use std::pin::pin;
use std::sync::Arc;

use super::Inner;
use super::counts::Counter;
use super::engine::{Engine, Fault, Marked, Put};
use super::tries::Patience;
use crate::core::error::{NO_ROOM_TO_RESTORE, StoreError};
use crate::core::imprint::Imprint;
use crate::core::record::Record;
use crate::store::asked::Marking;
use crate::store::{Ending, Held, Hit, Hold, Resolution, Restored};

impl<E: Engine> Inner<E> {
    pub(super) async fn finish(&self, hold: &Hold, ending: &Ending) -> Result<Held, StoreError> {
        let mut tries = self.tries(Patience::Long);
        let outcome = loop {
            let asking = pin!(self.engine.finish(hold, ending));
            match tries.within(asking).await {
                Ok(outcome) => break outcome,
                Err(fault) => tries.after(fault).await?,
            }
        };
        self.ended(&hold.key);
        Ok(match outcome {
            Held::Lost(record) if tries.lost && ending.took_place(record.as_deref(), hold.fence) => Held::Kept,
            outcome => outcome,
        })
    }

    pub(super) async fn mark(&self, marking: &Marking) -> Result<usize, StoreError> {
        let mut evicted = 0;
        let mut may_add = self.room.has_room();
        while self.persist(|| self.engine.mark(marking, may_add)).await? == Marked::Full {
            evicted += self.make_room().await?;
            may_add = true;
        }
        self.room.forget();
        self.ended(&marking.key);
        Ok(usize::try_from(evicted).unwrap_or(usize::MAX))
    }

    pub(super) async fn resolve(&self, key: &str, word: &Resolution) -> Result<(), StoreError> {
        let mut tries = self.tries(Patience::Short);
        let resolved = loop {
            let asking = pin!(self.engine.resolve(key, word));
            let fault = match tries.within(asking).await {
                Ok(()) => break Ok(()),
                // It was done the first time, its answer lost.
                Err(Fault::Answer(StoreError::NotInDoubt { state, .. }))
                    if tries.lost && state == matches!(word, Resolution::Executed(..)).then_some("completed") =>
                {
                    break Ok(());
                }
                Err(fault) => fault,
            };
            if let Err(error) = tries.after(fault).await {
                break Err(error);
            }
        };
        self.ended(key);
        resolved
    }

    pub(super) async fn check(self: &Arc<Self>, keys: &[Box<str>]) -> Result<Vec<Option<Hit>>, StoreError> {
        let found = self.persist(|| self.engine.check(keys)).await?;
        let counted = keys.iter().zip(found).map(|(key, found)| {
            let Some((fence, hit)) = found else {
                self.counts.add(Counter::Misses, 1);
                return None;
            };
            self.counts.hit(key, fence, false);
            Some(hit)
        });
        let hits = counted.collect();
        self.expect_telling();
        Ok(hits)
    }

    pub(super) async fn restore(&self, records: &[Record]) -> Result<Vec<Restored>, StoreError> {
        let Some(max) = self.room.max() else { return self.put(records).await };
        let mut live = self.walk(|| self.engine.size()).await?.live;
        let mut restored = Vec::with_capacity(records.len());
        for record in records {
            if live >= max as u64 {
                let size = usize::try_from(live).unwrap_or(usize::MAX);
                return Err(StoreError::Full { size, max, reason: NO_ROOM_TO_RESTORE });
            }
            let one = self.put(std::slice::from_ref(record)).await?;
            live += one.iter().filter(|one| **one == Restored::Written).count() as u64;
            restored.extend(one);
        }
        Ok(restored)
    }

    async fn put(&self, records: &[Record]) -> Result<Vec<Restored>, StoreError> {
        let put = self.persist(|| self.engine.put(records)).await?;
        let mut restored = Vec::with_capacity(put.len());
        for (record, put) in records.iter().zip(put) {
            restored.push(match put {
                Put::Written => Restored::Written,
                Put::Expired => Restored::Expired,
                Put::Occupied => {
                    let there = self.persist(|| self.engine.get(&record.key)).await?;
                    match there {
                        Some(there) if Imprint::of(&there) == Imprint::of(record) => Restored::Same,
                        _ => Restored::Occupied,
                    }
                }
            });
            self.ended(&record.key);
        }
        self.room.forget();
        Ok(restored)
    }

    /// Removes all records, in parts.
    pub(super) async fn clear_all(&self) -> Result<u64, StoreError> {
        let (mut sum, mut from) = (0, None);
        loop {
            let (count, next) = self.persist(|| self.engine.clear_part(from.as_ref())).await?;
            sum += count;
            if next.is_none() {
                return Ok(sum);
            }
            from = next;
        }
    }

    /// Removes expired records, in parts.
    pub(super) async fn cleanup_expired(&self) -> Result<u64, StoreError> {
        let mut sum = 0;
        loop {
            let (count, more) = self.persist(|| self.engine.cleanup_part()).await?;
            sum += count;
            if !more {
                return Ok(sum);
            }
        }
    }
}
