//! What is wrong with the place of a database file, found before it is opened, and what SQLite's errors mean. Every text
//! names the file and the remedy.
//!
//! Nothing here opens a database file: closing it again would drop the locks that SQLite holds on it for this process.
#![expect(clippy::unnecessary_debug_formatting, reason = "a path may hold anything, so it is shown quoted and escaped")]

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use crate::core::error::StoreError;

mod network;
#[cfg(test)]
mod tests;
mod trouble;

pub(super) use trouble::{explain, foreign, locked, moved, newer};

/// The files that SQLite keeps beside a database in WAL mode.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// Whether a store can be kept in the file of this path, there already or not.
pub(super) fn check(path: &Path) -> Result<(), StoreError> {
    let path = absolute(path);
    let file = target(&path);
    let folder = file.parent().unwrap_or(Path::new("/"));
    check_folder(&file, folder)?;
    let is_there = check_kind(&file)?;
    if let Some(name) = network::name(if is_there { &file } else { folder }) {
        return Err(failed(format!(
            "the SQLite file {file:?} is on a network file system ({name}), whose locks and shared memory SQLite can't rely \
             on; put it on a local disk, or use a redis:// or postgresql:// store"
        )));
    }
    may(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|problem| {
        failed(format!("SQLite keeps files beside {file:?}, and the folder {folder:?} {problem}"))
    })?;
    if is_there {
        may(&file, Access::READ_OK | Access::WRITE_OK)
            .map_err(|problem| failed(format!("the SQLite file {file:?} {problem}")))?;
    }
    COMPANIONS.iter().map(|suffix| beside(&file, suffix)).try_for_each(|companion| {
        match accessat(CWD, &companion, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS) {
            // It comes with the first connection and goes with the last one, of any process, at any moment.
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(failed(format!(
                "the file {companion:?}, which belongs to the SQLite file {file:?}, {}",
                refused(error)
            ))),
        }
    })
}

/// The path as seen from the root, for a text that can be read anywhere.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// Where a link leads: SQLite keeps the files beside a database where the database is, and not its link.
fn target(path: &Path) -> PathBuf {
    let through_link = || Some(path.parent()?.join(fs::read_link(path).ok()?));
    fs::canonicalize(path).ok().or_else(through_link).unwrap_or_else(|| path.into())
}

/// The path with this at its end.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn check_folder(file: &Path, folder: &Path) -> Result<(), StoreError> {
    let problem = match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            format!("the folder {folder:?} does not exist; create it (mkdir -p) or correct the path of {file:?}")
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            format!("the folder {folder:?} may not be entered by {}; permit it, or move {file:?}", asker())
        }
        Ok(_) => format!("{folder:?} is a file and no folder that could hold {file:?}; correct the path"),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            format!("{folder:?} leads through a file that is no folder; correct the path of {file:?}")
        }
        Err(error) => {
            format!("the folder {folder:?} can't be looked at: {}; correct the path of {file:?}", plain(&error))
        }
    };
    Err(StoreError::Unavailable(problem))
}

/// Whether the file is there; what is no file can't be a database.
fn check_kind(file: &Path) -> Result<bool, StoreError> {
    match fs::metadata(file) {
        Ok(metadata) if metadata.is_file() => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Ok(metadata) => Err(StoreError::Unavailable(format!(
            "{file:?} is {}, and no file; give the path of a file, such as {:?}",
            kind(&metadata),
            if metadata.is_dir() { file.join("idempotency.db") } else { "idempotency.db".into() },
        ))),
        Err(error) => Err(StoreError::Unavailable(format!(
            "the SQLite file {file:?} can't be looked at: {}; permit it to {}, or correct the path",
            plain(&error),
            asker()
        ))),
    }
}

fn kind(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() { "a folder" } else { "a device, a pipe or a socket" }
}

/// Asks the system whether this process may do this there, as itself; answers with what is wrong and the remedy. Even the
/// superuser may not on a file system that is mounted read-only.
fn may(path: &Path, access: Access) -> Result<(), String> {
    accessat(CWD, path, access, AtFlags::EACCESS).map_err(refused)
}

fn refused(error: Errno) -> String {
    if error == Errno::ROFS {
        return "is on a file system that is mounted read-only; mount it writable, or keep the store elsewhere".into();
    }
    let why = plain(&error.into());
    format!("can't be read and written by {}: {why}; change its owner or its permissions", asker())
}

/// Who a permission is missing for.
fn asker() -> String {
    format!("this process (uid {})", rustix::process::geteuid().as_raw())
}

fn failed(text: String) -> StoreError {
    StoreError::Failed(text)
}

/// The system's words without its numbers.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words);
    text.to_lowercase()
}
