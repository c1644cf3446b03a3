//! Real errors of SQLite's where one can be had, and its codes where it takes a broken disk.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Error, OpenFlags, ffi, types::Type};

use super::super::tests::{Folder, as_ordinary_user, assert_says, failed, permit, unavailable};
use super::{cannot_open_any, explain, foreign, free_space, locked, moved, newer, size};
use crate::core::error::StoreError;

/// A database of many pages.
fn database(folder: &Folder) -> std::path::PathBuf {
    let file = folder.file("store.db");
    let connection = Connection::open(&file).expect("it can be made");
    connection
        .execute_batch(
            "CREATE TABLE t (x PRIMARY KEY, y); WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 500)
             INSERT INTO t SELECT x, randomblob(500) FROM n",
        )
        .expect("it can be filled");
    file
}

/// Reads and writes all of it; answers with the first error.
fn use_all(file: &Path) -> Option<Error> {
    let use_it = || {
        let connection = Connection::open(file)?;
        connection.query_row("SELECT sum(length(y)) FROM t", [], |_| Ok(()))?;
        connection.execute("UPDATE t SET y = randomblob(600)", [])
    };
    use_it().err()
}

fn error_of(code: i32) -> Error {
    Error::SqliteFailure(ffi::Error::new(code), None)
}

#[test]
fn garbage_is_no_database() {
    let folder = Folder::new();
    let file = folder.write("store.db", &b"signal,action\n".repeat(200));
    let text = failed(explain(&file, &use_all(&file).expect("it is no database")));
    assert_says(&text, &file, &["is no SQLite database", "correct the path"]);
}

#[test]
fn a_truncated_file_is_damaged() {
    let folder = Folder::new();
    let file = database(&folder);
    let bytes = fs::read(&file).expect("it is ours");
    fs::write(&file, &bytes[..bytes.len() / 2 - 100]).expect("it is ours");
    let text = failed(explain(&file, &use_all(&file).expect("half of it is gone")));
    assert_says(&text, &file, &["is damaged", ".recover", "-wal and -shm", "in doubt"]);
}

#[test]
fn a_file_with_flipped_bits_is_damaged() {
    let folder = Folder::new();
    let file = database(&folder);
    let mut bytes = fs::read(&file).expect("it is ours");
    bytes[4096..].chunks_mut(64).for_each(|chunk| chunk[0] ^= 0xA5);
    fs::write(&file, bytes).expect("it is ours");
    let text = failed(explain(&file, &use_all(&file).expect("its pages are broken")));
    assert_says(&text, &file, &["is damaged", ".recover"]);
}

#[test]
fn a_full_database_was_not_written_to() {
    let folder = Folder::new();
    let file = database(&folder);
    let connection = Connection::open(&file).expect("it is a database");
    connection.query_row("PRAGMA max_page_count = 1", [], |_| Ok(())).expect("it can be limited");
    let error = connection.execute("INSERT INTO t VALUES (0, zeroblob(100000))", []).expect_err("it is full");
    let text = failed(explain(&file, &error));
    assert_says(&text, &file, &["no space left", "free on its disk", "nothing was written", "free some space"]);
}

#[test]
fn free_space_is_told_in_round_numbers() {
    assert!(free_space(&std::env::temp_dir().join("store.db")).is_some_and(|free| free > 0));
    let texts = [0, 999, 1_000, 65_536, 2_345_678, 7_000_000_000].map(size);
    assert_eq!(texts, ["0 bytes", "999 bytes", "1 kB", "65 kB", "2 MB", "7 GB"]);
}

#[test]
fn a_writer_that_holds_the_lock_is_out_of_reach() {
    let folder = Folder::new();
    let file = database(&folder);
    let holder = Connection::open(&file).expect("it is a database");
    holder.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let other = Connection::open(&file).expect("it is a database");
    other.busy_timeout(Duration::ZERO).expect("it can be set");
    let error = other.execute_batch("BEGIN IMMEDIATE").expect_err("it is locked");
    assert_says(&unavailable(explain(&file, &error)), &file, &["locked by another process", "fuser"]);
    let text = unavailable(locked(&file, Duration::from_millis(5_250)));
    assert_says(&text, &file, &["longer than busy_timeout (5.25 s)", "raise busy_timeout"]);
}

#[test]
fn what_cannot_be_opened_says_why() {
    let folder = Folder::new();
    let file = folder.file("missing/store.db");
    let error = Connection::open(&file).expect_err("there is no folder");
    assert_says(&unavailable(explain(&file, &error)), &file, &["does not exist", "mkdir -p"]);

    let file = folder.write("store.db", b"");
    let text = unavailable(explain(&file, &error_of(ffi::SQLITE_CANTOPEN)));
    assert_says(&text, &file, &["can't be opened", "try again"]);
    let text = unavailable(explain(&file, &error_of(ffi::SQLITE_CANTOPEN_SYMLINK)));
    assert_says(&text, &file, &["symbolic link", "give the path it leads to"]);

    let text = cannot_open_any(&file, &io::Error::from_raw_os_error(libc::EMFILE));
    assert_says(&text, &file, &["too many files open", "ulimit -n"]);
    let text = cannot_open_any(&file, &io::Error::from_raw_os_error(libc::ENFILE));
    assert_says(&text, &file, &["nor any other file: too many open files"]);
}

#[test]
fn a_file_of_somebody_else_is_read_only() {
    let folder = Folder::new();
    let file = database(&folder);
    permit(&file, 0o444);
    let (error, explained) = as_ordinary_user(|| {
        let error = use_all(&file).expect("it can't be written to");
        (error.sqlite_error_code(), explain(&file, &error))
    });
    assert_eq!(error, Some(rusqlite::ErrorCode::ReadOnly));
    assert!(matches!(explained, StoreError::Failed(_)), "{explained:?}");
    assert!(explained.to_string().contains("change its owner or its permissions"), "{explained}");
}

#[test]
fn a_connection_that_stayed_read_only_says_so() {
    let folder = Folder::new();
    let file = database(&folder);
    let connection = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("it is a database");
    let error = connection.execute("DELETE FROM t", []).expect_err("it is read-only");
    assert_says(&failed(explain(&file, &error)), &file, &["was opened read-only", "start the process again"]);
}

#[test]
fn a_file_that_was_moved_while_in_use_says_so() {
    let folder = Folder::new();
    let file = database(&folder);
    let connection = Connection::open(&file).expect("it is a database");
    connection.query_row("SELECT count(*) FROM t", [], |_| Ok(())).expect("it can be read");
    fs::rename(&file, folder.file("moved.db")).expect("it is ours");
    let error = connection.execute("DELETE FROM t", []).expect_err("it is gone");
    assert_eq!(error.sqlite_extended_error_code(), Some(ffi::SQLITE_READONLY_DBMOVED));
    assert_says(&failed(explain(&file, &error)), &file, &["was moved, replaced or deleted", "put it back"]);
    assert_eq!(explain(&file, &error), moved(&file));
}

#[test]
fn a_broken_disk_is_out_of_reach() {
    let folder = Folder::new();
    let file = database(&folder);
    for (code, words) in [
        (ffi::SQLITE_IOERR, "could not be read or written"),
        (ffi::SQLITE_IOERR_READ, "could not be read or written"),
        (ffi::SQLITE_IOERR_SHORT_READ, "could not be read back"),
        (ffi::SQLITE_IOERR_WRITE, "could not be written"),
        (ffi::SQLITE_IOERR_FSYNC, "did not confirm what was written"),
        (ffi::SQLITE_IOERR_LOCK, "could not be locked"),
        (ffi::SQLITE_IOERR_SHMSIZE, "could not be shared"),
        (ffi::SQLITE_IOERR_DELETE_NOENT, "moved or deleted"),
        (ffi::SQLITE_IOERR_NOMEM, "no memory left"),
    ] {
        let text = unavailable(explain(&file, &error_of(code)));
        assert_says(&text, &file, &["the disk failed", words, "try again"]);
    }
}

#[test]
fn the_rest_is_in_words_too() {
    let folder = Folder::new();
    let file = database(&folder);
    let connection = Connection::open(&file).expect("it is a database");
    let error = connection.execute("DELETE FROM missing", []).expect_err("there is no such table");
    assert_says(&failed(explain(&file, &error)), &file, &["no such table: missing", "changed by hand"]);
    let error = connection.prepare("SELEC").expect_err("it is no SQL");
    assert_says(&failed(explain(&file, &error)), &file, &["syntax error"]);
    let error = Error::InvalidColumnType(3, "state".into(), Type::Blob);
    assert_says(&failed(explain(&file, &error)), &file, &["can't read", "state", "changed by hand"]);
    assert_says(&failed(explain(&file, &error_of(ffi::SQLITE_TOOBIG))), &file, &["larger than"]);
    assert_says(&failed(explain(&file, &error_of(ffi::SQLITE_PERM))), &file, &["permissions"]);
    assert_says(&failed(explain(&file, &error_of(ffi::SQLITE_AUTH))), &file, &["permissions"]);
    assert_says(&unavailable(explain(&file, &error_of(ffi::SQLITE_NOMEM))), &file, &["memory"]);
    assert_says(&unavailable(explain(&file, &error_of(ffi::SQLITE_PROTOCOL))), &file, &["locked"]);
}

#[test]
fn tables_of_others_are_left_alone() {
    let file = Path::new("/data/store.db");
    let text = failed(newer(file, 3, 1));
    assert_says(&text, file, &["version 3", "versions up to 1", "upgrade it here"]);
    assert_says(&failed(foreign(file)), file, &["another application", "left untouched", "a file of its own"]);
}

/// Whatever SQLite answers, a person reads a sentence, with the file in it.
#[test]
fn no_text_is_a_dump() {
    let folder = Folder::new();
    let file = database(&folder);
    for code in (1..=28).flat_map(|code| (0..40).map(move |detail| code | detail << 8)) {
        let text = explain(&file, &error_of(code)).to_string();
        assert_says(&text, &file, &[]);
        assert!(!text.contains("Error {") && !text.contains("SqliteFailure") && !text.contains('\n'), "{text}");
        assert!(!text.contains("  "), "{text}");
    }
}
