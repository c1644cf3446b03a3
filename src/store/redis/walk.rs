//! Walking over all records: with SCAN, on every node. What no key names is found so; there is no index that every claim
//! would have to keep.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::try_join_all;
use redis::Value;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};

use super::client::RedisEngine;
use super::fields;
use super::link::Link;
use crate::core::clock::Timestamp;
use crate::core::record::Record;
use crate::store::glance::{Glance, ending, newest};
use crate::store::kept::Kept;
use crate::store::remote::engine::Fault;
use crate::store::{Cursor, Page};

/// Names asked for at once.
const PART: usize = 1_000;
/// Steps of one look, where other applications' keys lie between.
const STEPS: usize = 32;
/// Names asked for at once in a look, which must leave room for those who work.
const GLANCED: usize = 100;
/// Scans of which is remembered what they have shown.
const REMEMBERED: usize = 16;

/// What scans have shown: SCAN may name a key twice while the server's table is resized.
#[derive(Default)]
pub(super) struct Walks(Mutex<Shown>);

#[derive(Default)]
pub(super) struct Shown {
    issued: u64,
    of: HashMap<u64, HashSet<u64>>,
    hasher: RandomState,
}

impl Walks {
    pub(super) fn lock(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> u64 {
        let mut shown = self.lock();
        shown.issued += 1;
        let id = shown.issued;
        let oldest = shown.of.keys().min().copied().filter(|_| shown.of.len() >= REMEMBERED);
        oldest.map(|oldest| shown.of.remove(&oldest));
        shown.of.insert(id, HashSet::new());
        id
    }

    /// Leaves those that were not shown before.
    fn filter(&self, id: u64, names: &mut Vec<String>) {
        let shown = &mut *self.lock();
        let Some(before) = shown.of.get_mut(&id) else { return };
        names.retain(|name| before.insert(shown.hasher.hash_one(name)));
    }

    fn end(&self, id: u64) {
        self.lock().of.remove(&id);
    }
}

/// Where a walk stands.
#[derive(Clone, Debug)]
pub(super) struct Place {
    id: u64,
    nodes: Vec<(String, u16)>,
    at: u64,
}

impl Place {
    fn text(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(|(host, port)| format!("{host} {port}")).collect();
        format!("{}|{}|{}", self.id, self.at, nodes.join("|"))
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('|');
        let (id, at) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let nodes = parts.filter(|node| !node.is_empty()).map(|node| {
            let (host, port) = node.split_once(' ')?;
            Some((host.to_owned(), port.parse().ok()?))
        });
        Some(Self { id, at, nodes: nodes.collect::<Option<_>>()? })
    }
}

impl RedisEngine {
    /// Where a walk begins.
    pub(super) async fn start(&self) -> Result<Place, Fault> {
        let (_, link) = self.link().await?;
        let nodes = match link {
            Link::One(_) => Vec::new(),
            Link::Cluster(_) => self.masters().await?,
        };
        Ok(Place { id: self.walks.begin(), nodes, at: 0 })
    }

    /// The masters of the cluster.
    async fn masters(&self) -> Result<Vec<(String, u16)>, Fault> {
        let any = RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
        let mut command = redis::cmd("CLUSTER");
        let answer = self.send_to(command.arg("SLOTS"), any).await?;
        let Value::Array(ranges) = answer else { return Err(fields::unreadable("the cluster's slots")) };
        let mut masters = Vec::new();
        for range in &ranges {
            let Value::Array(parts) = range else { continue };
            let Some(Value::Array(node)) = parts.get(2) else { continue };
            let (Some(host), Some(port)) = (node.first().and_then(fields::owned), node.get(1)) else { continue };
            let master = (String::from(host), fields::number(port)?);
            if !masters.contains(&master) {
                masters.push(master);
            }
        }
        Ok(masters)
    }

    /// The next names, and where the walk goes on.
    pub(super) async fn step(&self, place: Place, count: usize) -> Result<(Vec<String>, Option<Place>), Fault> {
        let mut command = redis::cmd("SCAN");
        command.arg(place.at).arg("MATCH").arg(self.names.pattern()).arg("COUNT").arg(count);
        let answer = match place.nodes.last() {
            None => self.send(&command).await?,
            Some((host, port)) => {
                let node = SingleNodeRoutingInfo::ByAddress { host: host.clone(), port: *port };
                self.send_to(&command, RoutingInfo::SingleNode(node)).await?
            }
        };
        let Value::Array(parts) = answer else { return Err(fields::unreadable("a scan")) };
        let [at, Value::Array(found)] = &parts[..] else { return Err(fields::unreadable("a scan")) };
        let mut names: Vec<String> = found.iter().filter_map(fields::owned).map(String::from).collect();
        self.walks.filter(place.id, &mut names);
        let mut next = Place { at: fields::number(at)?, ..place };
        if next.at == 0 {
            next.nodes.pop();
            if next.nodes.is_empty() {
                self.walks.end(next.id);
                return Ok((names, None));
            }
        }
        Ok((names, Some(next)))
    }

    /// Calls `each` with every record, live by this time, as readers see it, without its result.
    pub(super) async fn each(&self, mut each: impl FnMut(Record) + Send) -> Result<(), Fault> {
        let now = self.now().await?;
        let mut place = Some(self.start().await?);
        while let Some(at) = place {
            let (names, next) = self.step(at, PART).await?;
            for kept in self.slim(&names).await?.into_iter().filter(|kept| !kept.has_expired(now)) {
                each(kept.seen(now));
            }
            place = next;
        }
        Ok(())
    }

    /// A part of a walk over all records without their results: there is no order of them that every claim would have to
    /// keep.
    pub(super) async fn part_of_all(&self, from: Option<&Cursor>, limit: usize) -> Result<Glance, Fault> {
        let now = self.now().await?;
        let mut place = match from {
            // Another process's, or one that has been forgotten: a walk may begin anew at any time.
            Some(cursor) => Place::read(&cursor.0),
            None => None,
        };
        let mut recent = Vec::new();
        let mut steps = 0;
        loop {
            let at = match place.take() {
                Some(at) => at,
                None => self.start().await?,
            };
            let part = limit.saturating_sub(recent.len()).clamp(1, GLANCED);
            let (names, next) = self.step(at, part).await?;
            let found = self.slim(&names).await?.into_iter().filter(|kept| !kept.has_expired(now));
            recent.extend(found.map(|kept| kept.seen(now)));
            place = next;
            steps += 1;
            if place.is_none() || recent.len() >= limit || steps >= STEPS {
                break;
            }
        }
        newest(&mut recent, usize::MAX);
        let mut first = recent.clone();
        ending(&mut first);
        let next = place.map(|place| Cursor(place.text().into()));
        Ok(Glance { counters: self.counters().await?, recent, is_newest: false, next, ending: first })
    }

    async fn slim(&self, names: &[String]) -> Result<Vec<Kept>, Fault> {
        let all = names.iter().filter_map(|name| Some((name, self.names.key(name)?))).map(async |(name, key)| {
            let mut command = redis::cmd("HMGET");
            command.arg(name).arg(&fields::SLIM[..]);
            let Value::Array(values) = self.send(&command).await? else { return Err(fields::unreadable("a record")) };
            fields::slim(key, &values)
        });
        Ok(try_join_all(all).await?.into_iter().flatten().collect())
    }

    /// The record of a name, as it is kept.
    pub(super) async fn whole(&self, name: &str, key: &str) -> Result<Option<Kept>, Fault> {
        let mut command = redis::cmd("HGETALL");
        fields::kept(key, self.send(command.arg(name)).await?)
    }

    /// A part of a scan over all records.
    pub(super) async fn page(&self, from: Option<&Cursor>, limit: usize) -> Result<Page, Fault> {
        let now = self.now().await?;
        let mut place = match from {
            Some(cursor) => Place::read(&cursor.0).ok_or_else(|| fields::unreadable("a cursor"))?,
            None => self.start().await?,
        };
        let mut records = Vec::new();
        loop {
            let part = limit.saturating_sub(records.len()).clamp(1, PART);
            let (names, next) = self.step(place, part).await?;
            records.extend(self.records(&names, now).await?);
            match next {
                Some(next) if records.len() < limit => place = next,
                next => return Ok(Page { records, next: next.map(|next| Cursor(next.text().into())) }),
            }
        }
    }

    async fn records(&self, names: &[String], now: Timestamp) -> Result<Vec<Record>, Fault> {
        let all = names.iter().filter_map(|name| Some((name, self.names.key(name)?)));
        let kept = try_join_all(all.map(async |(name, key)| self.whole(name, key).await)).await?;
        let live = kept.into_iter().flatten().filter(|kept| !kept.has_expired(now));
        Ok(live.map(|kept| kept.seen(now)).collect())
    }
}
