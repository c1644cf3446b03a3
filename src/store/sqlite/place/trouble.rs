//! SQLite's errors in plain words.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Error, ErrorCode, ffi};
use rustix::io::Errno;

use super::{absolute, check, plain};
use crate::core::error::StoreError;

/// Less free space than this is as good as none: SQLite writes whole pages, and grows the files beside a database
/// by 32 KiB.
const NO_SPACE: u64 = 64 * 1024;

/// What an error of SQLite's on this file means, and what to do about it.
pub(in crate::store::sqlite) fn explain(path: &Path, error: &Error) -> StoreError {
    let path = &absolute(path);
    let (failure, message) = match error {
        Error::SqliteFailure(failure, message) => (failure, message.as_deref()),
        Error::SqlInputError { error, msg, .. } => (error, Some(&**msg)),
        other => {
            return StoreError::Failed(format!(
                "the SQLite file {path:?} holds what this version of the package can't read: {other}; was it changed by hand?"
            ));
        }
    };
    let code = failure.extended_code;
    match failure.code {
        ErrorCode::NotADatabase => not_a_database(path),
        ErrorCode::DatabaseCorrupt => corrupt(path),
        ErrorCode::DiskFull => full(path),
        ErrorCode::SystemIoFailure => input_output(path, code),
        ErrorCode::CannotOpen => cannot_open(path, code),
        ErrorCode::ReadOnly => read_only(path, code),
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => denied(path),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => busy(path),
        ErrorCode::OutOfMemory => StoreError::Unavailable(format!("there is no memory left to work on {path:?}")),
        ErrorCode::TooBig => StoreError::Failed(format!(
            "the record is larger than SQLite can keep in {path:?} (1 GB); keep a reference to the result instead of the result"
        )),
        _ => other(path, code, message),
    }
}

/// Another process wrote for longer than this one was told to wait.
pub(in crate::store::sqlite) fn locked(path: &Path, waited: Duration) -> StoreError {
    StoreError::Unavailable(format!(
        "the SQLite file {path:?} was locked by another process for longer than busy_timeout ({}); see which one keeps a \
         transaction open (fuser {path:?}), or raise busy_timeout in the store's URL",
        seconds(waited),
        path = absolute(path),
    ))
}

/// The tables are of a later version than this code knows.
pub(in crate::store::sqlite) fn newer(path: &Path, found: i64, known: i64) -> StoreError {
    StoreError::Failed(format!(
        "the tables in the SQLite file {:?} are of version {found}, written by a newer idempotency-manager; this one knows \
         versions up to {known}: upgrade it here, or give it a file of its own",
        absolute(path)
    ))
}

/// The file is a database, of another application.
pub(in crate::store::sqlite) fn foreign(path: &Path) -> StoreError {
    StoreError::Failed(format!(
        "the SQLite file {:?} is the database of another application, and was left untouched; give the store a file of its own",
        absolute(path)
    ))
}

/// Another file, or none, is where the database was when it was opened.
pub(in crate::store::sqlite) fn moved(path: &Path) -> StoreError {
    StoreError::Failed(format!(
        "the SQLite file {:?} was moved, replaced or deleted while it was in use, and nothing more is written to it; \
         put it back, or start the process again to use what is there now",
        absolute(path)
    ))
}

fn not_a_database(path: &Path) -> StoreError {
    StoreError::Failed(format!(
        "{path:?} is no SQLite database, or its head was overwritten; it was left untouched: correct the path, or, if a store \
         was there, restore it from a backup"
    ))
}

fn corrupt(path: &Path) -> StoreError {
    let recovered = super::beside(path, ".recovered");
    StoreError::Failed(format!(
        "the SQLite file {path:?} is damaged; stop every process that uses it, save what is legible with `sqlite3 {path:?} \
         .recover | sqlite3 {recovered:?}` (some systems' sqlite3 can't; that of sqlite.org can), and put that in its place, \
         without the old -wal and -shm files. Whatever was under way or is missing from it may have been executed: treat it as \
         in doubt"
    ))
}

fn full(path: &Path) -> StoreError {
    let free = match free_space(path) {
        Some(free) if free < NO_SPACE => format!(" ({} free)", size(free)),
        Some(free) => format!(" ({} free on its disk, but a quota or a limit on its size is reached)", size(free)),
        None => String::new(),
    };
    StoreError::Failed(format!(
        "there is no space left for the SQLite file {path:?}{free}, and nothing was written; free some space, and try again"
    ))
}

fn input_output(path: &Path, code: i32) -> StoreError {
    if free_space(path).is_some_and(|free| free < NO_SPACE) {
        return full(path);
    }
    let (problem, remedy) = match code {
        ffi::SQLITE_IOERR_NOMEM => ("there was no memory left for it", "free some"),
        ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_DATA => {
            ("a part of it could not be read back", "check the disk and the file (PRAGMA integrity_check)")
        }
        ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => {
            ("the disk did not confirm what was written, which may be lost", "check the disk (dmesg)")
        }
        ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_TRUNCATE => {
            ("it could not be written", "check the disk (dmesg), the quota, and the limit on a file's size (ulimit -f)")
        }
        ffi::SQLITE_IOERR_LOCK
        | ffi::SQLITE_IOERR_RDLOCK
        | ffi::SQLITE_IOERR_UNLOCK
        | ffi::SQLITE_IOERR_CHECKRESERVEDLOCK
        | ffi::SQLITE_IOERR_SHMLOCK => ("it could not be locked", "put it on a local disk whose file system has locks"),
        ffi::SQLITE_IOERR_SHMOPEN | ffi::SQLITE_IOERR_SHMSIZE | ffi::SQLITE_IOERR_SHMMAP => {
            ("its -shm file could not be shared", "put it on a local disk that can be written to")
        }
        ffi::SQLITE_IOERR_VNODE | ffi::SQLITE_IOERR_FSTAT | ffi::SQLITE_IOERR_DELETE_NOENT => {
            ("it was moved or deleted while it was in use", "put it back")
        }
        _ => ("it could not be read or written", "check the disk (dmesg)"),
    };
    StoreError::Unavailable(format!("the disk failed at the SQLite file {path:?}: {problem}; {remedy}, and try again"))
}

fn cannot_open(path: &Path, code: i32) -> StoreError {
    if let Err(reason) = check(path) {
        return reason;
    }
    StoreError::Unavailable(match File::open("/") {
        Err(error) => cannot_open_any(path, &error),
        Ok(_) if code == ffi::SQLITE_CANTOPEN_SYMLINK => {
            format!(
                "the SQLite file {path:?} is a symbolic link, which may not be followed here; give the path it leads to"
            )
        }
        Ok(_) => format!(
            "the SQLite file {path:?} or its -wal file can't be opened; look whether it was moved or locked away just now, and \
             try again"
        ),
    })
}

/// Where not even the root folder can be opened, the file is not to blame.
fn cannot_open_any(path: &Path, error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE) => format!(
            "the SQLite file {path:?} can't be opened, since this process has too many files open; close some, or raise the \
             limit (ulimit -n)"
        ),
        _ => format!("the SQLite file {path:?} can't be opened, nor any other file: {}", plain(error)),
    }
}

fn read_only(path: &Path, code: i32) -> StoreError {
    if code == ffi::SQLITE_READONLY_DBMOVED || !path.exists() {
        return moved(path);
    }
    check(path).err().unwrap_or_else(|| {
        StoreError::Failed(format!(
            "the SQLite file {path:?} was opened read-only, since it or the files beside it could not be written to then; \
             now they can: start the process again"
        ))
    })
}

fn denied(path: &Path) -> StoreError {
    check(path).err().unwrap_or_else(|| {
        StoreError::Failed(format!(
            "the system does not let this process at the SQLite file {path:?}; look at the permissions of the file and of \
             what guards it (SELinux, AppArmor, a sandbox)"
        ))
    })
}

fn busy(path: &Path) -> StoreError {
    StoreError::Unavailable(format!(
        "the SQLite file {path:?} is locked by another process; see which one keeps a transaction open (fuser {path:?}), and \
         try again"
    ))
}

fn other(path: &Path, code: i32, message: Option<&str>) -> StoreError {
    StoreError::Failed(format!(
        "SQLite can't do what was asked of the file {path:?}: {} (code {code}); if its tables were changed by hand, restore \
         them, or give the store a file of its own",
        message.unwrap_or_else(|| ffi::code_to_str(code)),
    ))
}

/// What an ordinary user may still write beside the file.
fn free_space(path: &Path) -> Option<u64> {
    let space = rustix::fs::statvfs(path.parent()?).ok()?;
    Some(space.f_bavail.saturating_mul(space.f_frsize))
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        1_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", (duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

#[cfg(test)]
#[path = "trouble_tests.rs"]
mod tests;
