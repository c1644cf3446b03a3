//! What the server, or the way to it, has to say against a statement.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use super::options::Options;
use crate::core::error::StoreError;
use crate::store::remote::engine::Fault;

/// What follows from an error.
pub(super) struct Verdict {
    pub(super) fault: Fault,
    /// Whether the connection is of no more use.
    pub(super) ends: bool,
    /// Whether it is worth asking again at once: the server has taken it all back, since others were at the same rows.
    pub(super) again: bool,
    /// Whether the tables must be looked at anew.
    pub(super) lacks_tables: bool,
}

impl Verdict {
    const fn keeps(fault: Fault) -> Self {
        Self { fault, ends: false, again: false, lacks_tables: false }
    }

    fn ends(fault: Fault) -> Self {
        Self { ends: true, ..Self::keeps(fault) }
    }
}

/// Each part of an error's text once.
fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Whether what went wrong is the connection.
fn is_of_the_wire(error: &Error) -> bool {
    error.is_closed() || matches!(error.source(), Some(source) if source.is::<std::io::Error>())
}

fn failed(what: impl std::fmt::Display, error: &DbError) -> Fault {
    Fault::Answer(StoreError::Failed(format!("PostgreSQL: {what} ({}: {})", error.code().code(), error.message())))
}

const GRANTS: &str =
    "the role may not use the tables: grant it what the head of `idempotency schema --print --engine postgresql` lists";

/// What an error of a statement means.
pub(super) fn of_statement(error: &Error, options: &Options) -> Verdict {
    let Some(db) = error.as_db_error() else {
        if is_of_the_wire(error) {
            return Verdict::ends(Fault::Lost(format!(
                "the connection to PostgreSQL at {} was lost: {}",
                options.place(),
                told(error)
            )));
        }
        let text = format!("a statement for PostgreSQL went wrong: {}", told(error));
        return Verdict::ends(Fault::Answer(StoreError::Failed(text)));
    };
    let text =
        |what: &str| format!("PostgreSQL at {}: {what} ({}: {})", options.place(), db.code().code(), db.message());
    let code = db.code();
    match code.code() {
        // The server has rolled back.
        "40001" | "40P01" => Verdict {
            again: true,
            ..Verdict::keeps(Fault::Unsent(text("other transactions were at the same records again and again")))
        },
        "55P03" => Verdict::keeps(Fault::Unsent(text("another transaction holds the record of this key for too long"))),
        "57014" => Verdict::keeps(Fault::Unsent(text("the server did not get it done in time (timeout=)"))),
        "53300" => Verdict::ends(Fault::Unsent(text(
            "there are too many connections: lower pool_size, raise max_connections, or put a pooler before the server",
        ))),
        "25006" if options.hosts.len() > 1 => {
            Verdict::ends(Fault::Unsent(text("the server is read-only, as a standby is, and no other one was found")))
        }
        "25006" => Verdict::ends(failed(
            "the server or the database is read-only: name the primary, or all hosts with commas between them; see \
             default_transaction_read_only",
            db,
        )),
        "53100" => Verdict::keeps(failed("its disk is full: make room there; nothing was written", db)),
        "53200" | "53400" => Verdict::keeps(failed("the server is out of memory or at another limit", db)),
        "54000" | "54001" => Verdict::keeps(failed("a key, a label or a value is too long", db)),
        "42501" => Verdict::keeps(failed(GRANTS, db)),
        "42P01" | "42883" | "42703" | "42704" => Verdict {
            lacks_tables: true,
            ..Verdict::ends(Fault::Unsent(text(
                "the tables are not there, or not this version's: see `idempotency schema --print --engine postgresql`",
            )))
        },
        // A prepared statement is gone, or made for tables that have changed since.
        "26000" | "0A000" | "42P05" => Verdict::ends(Fault::Unsent(text(
            "statements that were prepared are not there: is there a pooler before the server? then say prepare=off",
        ))),
        _ if code.code().starts_with("08") || code.code().starts_with("57P") || code.code().starts_with("58") => {
            Verdict::ends(Fault::Lost(text("the server, or a pooler before it, has ended the connection")))
        }
        _ if code.code().starts_with("28") => Verdict::ends(of_connecting(error, options)),
        _ => Verdict::keeps(failed("a statement was refused", db)),
    }
}

/// Whether an error at the start says that a pooler takes no options there.
pub(super) fn refuses_options(error: &Error) -> bool {
    let Some(code) = error.code() else { return false };
    [SqlState::PROTOCOL_VIOLATION, SqlState::FEATURE_NOT_SUPPORTED, SqlState::UNDEFINED_OBJECT].contains(code)
}

/// What an error of connecting means.
pub(super) fn of_connecting(error: &Error, options: &Options) -> Fault {
    let place = options.place();
    let user = options.username.as_deref().unwrap_or("the system's user");
    let Some(db) = error.as_db_error() else { return of_reaching(error, options) };
    let database = options.database.as_deref().unwrap_or(user);
    match db.code().code() {
        "28P01" => failed(format!("{place} refuses the password of {user}: check username and password"), db),
        "28000" => failed(
            format!("{place} refuses {user}: check the user, and with the server's pg_hba.conf whether TLS is wanted"),
            db,
        ),
        "3D000" => {
            failed(format!("{place} has no database {database}: create it with `createdb`, or name another"), db)
        }
        "42501" => failed(format!("{user} may not connect to {database}: GRANT CONNECT ON DATABASE"), db),
        "53300" => Fault::Unsent(format!(
            "PostgreSQL at {place} has too many connections: lower pool_size, raise max_connections, or put a pooler before \
             it ({})",
            db.message()
        )),
        "0A000" => failed(format!("{place} speaks another version of the protocol"), db),
        "08P01" => failed(format!("{place} refuses the connection; a pooler has no such database or user?"), db),
        code if code.starts_with("57P") || code.starts_with("08") || code.starts_with("53") => {
            Fault::Unsent(format!("PostgreSQL at {place} takes no connections now: {}", db.message()))
        }
        _ => failed(format!("{place} refuses the connection"), db),
    }
}

/// Nothing that speaks PostgreSQL's protocol was reached.
fn of_reaching(error: &Error, options: &Options) -> Fault {
    let (place, text) = (options.place(), told(error));
    let stop = |what: &str| Fault::Answer(StoreError::Failed(format!("PostgreSQL at {place}: {what} ({text})")));
    let mut source: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(cause) = source {
        if cause.downcast_ref::<rustls::Error>().is_some() {
            return stop("no TLS: check tls, tls_ca, and the name in the server's certificate");
        }
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        source = match inner {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    if text.contains("server does not support TLS") {
        return stop("it does not do TLS: set it up there (ssl = on), or say tls=disable where the network is trusted");
    }
    if text.contains("password missing") {
        return stop("it wants a password, and none was given");
    }
    let foreign =
        ["unexpected message", "error parsing", "bytes remaining on stream", "invalid message", "unknown message"];
    if foreign.iter().any(|sign| text.contains(sign)) {
        return stop("what answers there is no PostgreSQL: check host and port");
    }
    if text.contains("authentication") || text.contains("invalid configuration") {
        return stop("the connection can't be set up");
    }
    Fault::Unsent(format!(
        "can't connect to PostgreSQL at {place}: is the server running, and the host right? ({text})"
    ))
}

/// The same fault once more.
pub(super) fn again(fault: &Fault) -> Fault {
    match fault {
        Fault::Unsent(text) => Fault::Unsent(text.clone()),
        Fault::Lost(text) => Fault::Lost(text.clone()),
        Fault::Answer(error) => Fault::Answer(error.clone()),
    }
}
