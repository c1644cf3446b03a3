//! What is wrong with a server, for people: with the remedy, and without any password.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::options::{Options, Topology};
use crate::core::error::StoreError;
use crate::store::remote::engine::Fault;

/// The rights that a user needs.
const RIGHTS: &str = "it needs +@hash +@keyspace +@scripting +@pubsub +@connection +get +set +time +info +wait on the \
                      namespace's keys and channels, such as: ACL SETUSER name on >password ~idempotency:* \
                      &idempotency:* +@all -@dangerous +info";

/// That no connection came about in time.
pub(super) fn no_connection(options: &Options) -> String {
    let tls = if options.tls.is_some() { " Does it speak TLS? If not, write redis:// or tls=off" } else { "" };
    format!(
        "{} can't be reached within {} s (connect_timeout=): is it running, and is the way to it open?{tls}",
        options.place(),
        options.connect_timeout.as_secs_f64()
    )
}

/// That a request was not answered in time.
pub(super) fn no_answer(options: &Options) -> String {
    format!(
        "{} did not answer within {} s (timeout=)",
        options.place(),
        super::link::response_timeout(options).as_secs_f64()
    )
}

/// Whether a connection that answered so is of no use any more.
pub(super) fn is_final(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_io_error()
        || matches!(error.kind(), ErrorKind::Parse | ErrorKind::ClusterConnectionNotFound)
        || matches!(
            error.kind(),
            ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown)
        )
}

/// What an error means to who asked; `connecting`: nothing of what was asked has been sent.
pub(super) fn fault(error: &RedisError, options: &Options, connecting: bool) -> Fault {
    let place = options.place();
    let failed = |text: String| Fault::Answer(StoreError::Failed(format!("{place} {text}")));
    if let Some(text) = refusal(error, options) {
        return failed(text);
    }
    let text = format!("{place}: {}", plain(error));
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask,
        )
        | ErrorKind::ClusterConnectionNotFound
        | ErrorKind::MasterNameNotFoundBySentinel
        | ErrorKind::NoValidReplicasFoundBySentinel => Fault::Unsent(text),
        ErrorKind::Io if connecting && error.is_timeout() => Fault::Unsent(no_connection(options)),
        ErrorKind::Io if connecting => Fault::Unsent(format!("{text}: is it running, and is the way to it open?")),
        ErrorKind::Io => Fault::Lost(text),
        ErrorKind::Parse => failed("does not answer as Redis does: does the port belong to another service?".into()),
        _ if matches!(error.code(), Some("NOREPLICAS" | "BUSY")) => Fault::Unsent(text),
        _ if connecting && plain(error).contains("max number of clients") => {
            Fault::Unsent(format!("{text}: raise maxclients, or have fewer processes connected"))
        }
        _ => Fault::Answer(StoreError::Failed(text)),
    }
}

/// What no second try can change.
fn refusal(error: &RedisError, options: &Options) -> Option<String> {
    let code = error.code().unwrap_or_default();
    if let Some(text) = certificate(&plain(error)) {
        return Some(text);
    }
    Some(match (error.kind(), code) {
        (ErrorKind::AuthenticationFailed, _) | (_, "WRONGPASS" | "NOAUTH") => {
            "refuses the login: check the user and the password of the store's URL (percent-encode what has a meaning in \
             URLs)"
                .into()
        }
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) | (_, "NOPERM") => {
            format!("refuses this user the right ({}): {RIGHTS}", plain(error))
        }
        (ErrorKind::RESP3NotSupported, _) => "is older than 6.2, the first version that will do: upgrade it".into(),
        (_, "OOM") => "is full (maxmemory) and takes no more records: raise maxmemory, shorten the TTLs, or remove records; \
                       keep maxmemory-policy noeviction"
            .into(),
        (_, "MISCONF") => "can't write to its disk and so takes no writes (MISCONF): look at its log, free space there"
            .into(),
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _)
            if matches!(options.topology, Topology::Single { .. } | Topology::Unix(_)) =>
        {
            "is a read-only replica: give the URL of its master, or redis+sentinel:// to follow failovers".into()
        }
        (ErrorKind::Server(ServerErrorKind::Moved), _)
            if matches!(options.topology, Topology::Single { .. } | Topology::Unix(_)) =>
        {
            "is a node of a cluster: write redis+cluster://".into()
        }
        _ if plain(error).contains("cluster support disabled") => "is no node of a cluster: write redis://".into(),
        (ErrorKind::InvalidClientConfig, _) => format!("can't be connected to: {}", plain(error)),
        _ => return None,
    })
}

/// What is wrong with a certificate.
fn certificate(words: &str) -> Option<String> {
    let remedy = if words.contains("UnknownIssuer") {
        "give the certificate of its authority with tls_ca="
    } else if words.contains("NotValidForName") {
        "connect by a name that its certificate is for"
    } else if words.contains("KeyMismatch") {
        return Some("can't be connected to: tls_key= is not the key of the certificate in tls_cert=".into());
    } else if words.contains("CertificateRequired") || words.contains("certificate required") {
        return Some("asks for a client's certificate: give tls_cert= and tls_key=".into());
    } else if words.contains("invalid peer certificate") {
        "have its certificate renewed, or give the certificate of its authority with tls_ca="
    } else {
        return None;
    };
    Some(format!("has a certificate that is not believed ({words}): {remedy}"))
}

/// The server's or the system's own words.
fn plain(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (None, Some(detail)) => detail.to_owned(),
        (Some(code), None) => code.to_owned(),
        (None, None) => error.to_string(),
    }
}
