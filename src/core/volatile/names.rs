//! Names of params that say themselves that they are another each time.

/// Names of the time of the call, of ids that are made for one call, and of a random value. As they are compared: in lower
/// case, nothing but letters and digits.
const VOLATILE: [&str; 32] = [
    "correlationid",
    "currentdatetime",
    "currenttime",
    "currenttimestamp",
    "enqueuedat",
    "guid",
    "invocationid",
    "nonce",
    "now",
    "nowiso",
    "nowms",
    "nowts",
    "nowutc",
    "processedat",
    "random",
    "randomid",
    "receivedat",
    "reqid",
    "requestid",
    "requestuuid",
    "retriedat",
    "salt",
    "spanid",
    "timenow",
    "timestamp",
    "traceid",
    "traceparent",
    "utcnow",
    "uuid",
    "uuid4",
    "xrequestid",
    "xtraceid",
];
/// Names of the number of the attempt.
const COUNTERS: [&str; 8] = [
    "attempt",
    "attemptcount",
    "attemptno",
    "attemptnumber",
    "deliveryattempt",
    "deliverycount",
    "retrycount",
    "retrynumber",
];

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Whether a field of this name is, in most programs, another in each call.
#[must_use]
pub fn is_volatile(name: &str) -> bool {
    let name = plain(name);
    VOLATILE.binary_search(&&*name).is_ok() || COUNTERS.binary_search(&&*name).is_ok()
}

/// Whether it is the number of the attempt.
pub(super) fn is_counter(name: &str) -> bool {
    COUNTERS.binary_search(&&*plain(name)).is_ok()
}
