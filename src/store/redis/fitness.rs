//! What makes a server unsafe here, looked at when a connection is made.

use redis::Value;
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};

use super::fields;
use super::link::{Link, RedisFailure};
use super::options::{Options, Topology};
use super::trouble;
use crate::store::remote::engine::Fault;

/// The first version that has what the scripts need.
const OLDEST: (u32, u32) = (6, 2);

/// What a server says of itself.
struct Info(String);

impl Info {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }

    fn is_older(&self) -> bool {
        let Some(version) = self.get("redis_version") else { return false };
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(u32::MAX));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < OLDEST
    }
}

/// Refuses a server that will not do; answers with warnings about one that may lose claims. A user who may not ask gets no
/// warnings.
pub(super) async fn look(link: &mut Link, options: &Options) -> Result<Vec<String>, Fault> {
    let any = || RoutingInfo::SingleNode(SingleNodeRoutingInfo::RandomPrimary);
    let info = match link.send_to(redis::cmd("INFO").arg("everything"), any()).await {
        Ok(answer) => Info(fields::owned(&answer).unwrap_or_default().into()),
        Err(error) if trouble::is_final(&error) => return Err(trouble::fault(&error, options, true)),
        Err(_) => return Ok(Vec::new()),
    };
    if info.is_older() {
        let version = info.get("redis_version").unwrap_or_default();
        let text = format!("{} has version {version}, but 6.2 is the first that will do: upgrade it", options.place());
        return Err(RedisFailure(text).into());
    }
    let is_one = !matches!(options.topology, Topology::Cluster(_));
    let mistaken = match info.get("redis_mode") {
        Some("sentinel") => Some("is a sentinel: write redis+sentinel://host:port/service"),
        Some("cluster") if is_one => Some("is a node of a cluster: write redis+cluster://"),
        _ => None,
    };
    if let Some(mistaken) = mistaken {
        return Err(RedisFailure(format!("{} {mistaken}", options.place())).into());
    }
    let mut command = redis::cmd("CONFIG");
    let saves = match link.send_to(command.arg("GET").arg("save"), any()).await {
        Ok(Value::Map(pairs)) => pairs.first().and_then(|(_, value)| fields::owned(value)),
        Ok(Value::Array(pair)) => pair.get(1).and_then(fields::owned),
        _ => None,
    };
    Ok(warnings(&info, saves.as_deref(), options))
}

fn warnings(info: &Info, saves: Option<&str>, options: &Options) -> Vec<String> {
    let place = options.place();
    let mut all = Vec::new();
    if let Some(policy) = info.get("maxmemory_policy").filter(|policy| policy.starts_with("allkeys-")) {
        all.push(format!(
            "{place} may drop any record when its memory is full (maxmemory-policy {policy}), and a dropped record is an action \
             that may run again: set maxmemory-policy noeviction"
        ));
    } else if let Some(policy) = info.get("maxmemory_policy").filter(|policy| policy.starts_with("volatile-"))
        && info.get("maxmemory").is_some_and(|limit| limit != "0")
    {
        all.push(format!(
            "{place} may drop finished records before their time when its memory is full (maxmemory-policy {policy}), and a \
             dropped record is an action that may run again: set maxmemory-policy noeviction"
        ));
    }
    if info.get("aof_enabled") == Some("0") && saves == Some("") {
        all.push(format!(
            "{place} keeps nothing on disk (appendonly no, no save points): a restart forgets all records, and what they \
             prevented may run again; set appendonly yes"
        ));
    }
    if info.get("role") == Some("slave") {
        all.push(format!(
            "{place} is a replica: what is written to it reaches nobody, or is refused; give the URL of its master, or \
             redis+sentinel:// to follow failovers"
        ));
    }
    all
}
