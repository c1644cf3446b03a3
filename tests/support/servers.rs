//! Servers that a test needs: started for it, and named by the environment.

#![allow(dead_code, reason = "each test crate uses its own")]

use std::env;
use std::sync::Once;

/// The variable that names a Redis server.
pub(crate) const REDIS: &str = "IDEMPOTENCY_TEST_REDIS_URL";
/// The variable that names the nodes of a Redis cluster.
pub(crate) const REDIS_CLUSTER: &str = "IDEMPOTENCY_TEST_REDIS_CLUSTER_URL";

/// The variable that names a PostgreSQL database.
pub(crate) const POSTGRES: &str = "IDEMPOTENCY_TEST_POSTGRES_URL";
/// The variable that names it through PgBouncer, which pools transactions.
pub(crate) const PGBOUNCER: &str = "IDEMPOTENCY_TEST_PGBOUNCER_URL";

#[expect(clippy::print_stderr, reason = "who runs the tests must see what they did not test")]
fn say(text: &str) {
    eprintln!("{text}");
}

/// Whether a server is there, or none is needed. Where one must be there, in CI, its absence is a failure.
pub(crate) fn is_there(variable: Option<&str>) -> bool {
    static SAID: Once = Once::new();
    let Some(missing) = variable.filter(|variable| env::var_os(variable).is_none()) else { return true };
    assert!(env::var_os("CI").is_none(), "{missing} names no server: run the tests by `make rust-test`");
    SAID.call_once(|| say(&format!("NOT TESTED: {missing} names no server; `make rust-test` starts one")));
    false
}

/// Host and port of each server that the variable names.
pub(crate) fn nodes(variable: &str) -> Vec<(String, u16)> {
    let url = env::var(variable).expect("looked for before");
    let (_, rest) = url.split_once("://").expect("a URL");
    let servers = rest.split(['/', '?']).next().expect("a part");
    let node = |server: &str| {
        let (host, port) = server.rsplit_once(':').expect("a port");
        (host.to_owned(), port.parse().expect("a number"))
    };
    servers.split(',').map(node).collect()
}

/// How to reach the database that the variable names: `postgresql://user[:password]@host:port/database`, with `?host=/folder`
/// where it has a socket instead.
pub(crate) fn database(variable: &str) -> _core::store::postgres::Options {
    use _core::store::postgres::{Options, Tls};
    let url = env::var(variable).expect("looked for before");
    let (_, rest) = url.split_once("://").expect("a URL");
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (server, database) = rest.split_once('/').expect("a database");
    let (login, place) = server.rsplit_once('@').unwrap_or(("", server));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (host, port) = place.rsplit_once(':').unwrap_or((place, "5432"));
    let folder =
        query.split('&').find_map(|option| option.strip_prefix("host=")).map(|folder| folder.replace("%2F", "/"));
    let mut options = Options::new(folder.as_deref().unwrap_or(host), port.parse().expect("a number"), database);
    options.username = Some(user.to_owned()).filter(|user| !user.is_empty());
    options.password = Some(password.to_owned()).filter(|password| !password.is_empty());
    options.tls = Tls::Disable;
    // Many tests run side by side.
    options.pool_size = 2;
    options
}
