//! Servers that can't be used: each with an error that says so, in time, and tells no password.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use _core::core::error::StoreError;
use _core::store::Limits;
use _core::store::postgres::{Options, PostgresStore, Tls};

use crate::world::{has_server, options};

const PASSWORD: &str = "hunter2-and-more";

fn error(options: Options) -> StoreError {
    let options = Options { password: Some(PASSWORD.into()), ..options };
    let shown = format!("{options:?}");
    let store = PostgresStore::open(options, None, Limits::default());
    let error = store.expect_err("it can't be opened");
    assert!(!format!("{error} {error:?} {shown}").contains(PASSWORD));
    error
}

fn at(listener: &TcpListener) -> Options {
    let port = listener.local_addr().expect("an address").port();
    Options {
        tls: Tls::Disable,
        connect_timeout: Duration::from_millis(200),
        timeout: Duration::from_secs(1),
        username: Some("u".into()),
        ..Options::new("127.0.0.1", port, "d")
    }
}

#[test]
fn a_port_that_nobody_listens_at_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let options = at(&listener);
    drop(listener);
    let error = error(options);
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("is the server running")), "{error}");
}

#[test]
fn a_server_that_says_nothing_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let began = Instant::now();
    let error = error(at(&listener));
    assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("connect_timeout")), "{error}");
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[test]
fn what_speaks_another_protocol_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let options = at(&listener);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            _ = stream.read(&mut [0; 4096]);
            _ = stream.write_all(b"-ERR unknown command\r\n");
        }
    });
    let error = error(options);
    assert!(matches!(&error, StoreError::Failed(text) if text.contains("no PostgreSQL")), "{error}");
}

#[test]
fn a_database_that_is_not_there_is_named() {
    if has_server() {
        let error = error(Options { database: Some("nowhere".into()), ..options() });
        assert!(matches!(&error, StoreError::Failed(text) if text.contains("no database nowhere")), "{error}");
    }
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_wanted() {
    if has_server() {
        let error = error(Options { tls: Tls::Require, ..options() });
        assert!(matches!(&error, StoreError::Failed(text) if text.contains("tls=disable")), "{error}");
    }
}

#[test]
fn a_role_that_may_not_log_in_is_refused() {
    if has_server() {
        let error = error(Options { username: Some("nobody_of_this_name".into()), ..options() });
        assert!(matches!(&error, StoreError::Failed(text) if text.contains("nobody_of_this_name")), "{error}");
    }
}

#[test]
fn a_host_that_can_be_written_to_is_found_behind_one_that_is_gone() {
    if has_server() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut options = options();
        options.hosts.insert(0, at(&listener).hosts[0].clone());
        options.connect_timeout = Duration::from_millis(500);
        PostgresStore::open(options, None, Limits::default()).expect("the second host answers");
    }
}
