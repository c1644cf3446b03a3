//! Seeing in a few nanoseconds that a file has changed: the header of its WAL index, which is in memory that all
//! processes share (<https://www.sqlite.org/walformat.html>, "WAL-Index Header").

use std::ffi::c_void;
use std::ptr;

use rusqlite::{Connection, ffi};

/// The header is 48 bytes long, in the writing host's byte order.
const WORDS: usize = 6;
/// A region of a WAL index, in bytes.
const REGION: i32 = 32_768;

/// What the header said. Every commit of any process changes it: it counts commits and holds the checksum of all frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header([u64; WORDS]);

impl Header {
    /// How many commits there were; recovery after a crash counts anew.
    const fn commits(self) -> u32 {
        let bytes = self.0[1].to_ne_bytes();
        u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// How many frames the log has.
    pub(super) const fn frames(self) -> u32 {
        let bytes = self.0[2].to_ne_bytes();
        u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// Whether exactly one commit came between `before` and this.
    pub(super) const fn is_next_after(self, before: Self) -> bool {
        self.commits() == before.commits().wrapping_add(1)
    }
}

/// The WAL index of an open connection, which must outlive it.
#[derive(Debug)]
pub(super) struct WalIndex(*const u64);

// SAFETY: the memory is only read, from any thread; SQLite keeps it mapped as long as the connection is open. Measured
// reason: `PRAGMA data_version` takes locks and costs two system calls, twenty times as much as a duplicate call.
unsafe impl Send for WalIndex {}
// SAFETY: as above.
unsafe impl Sync for WalIndex {}

impl WalIndex {
    /// The index of a connection in WAL mode that has read something.
    ///
    /// # Safety
    ///
    /// It must not be read once the connection is closed.
    pub(super) unsafe fn of(connection: &Connection) -> Option<Self> {
        let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
        // SAFETY: the handle is open, "main" is the database's name, and the file pointer is what this opcode writes.
        let found = unsafe {
            ffi::sqlite3_file_control(
                connection.handle(),
                c"main".as_ptr(),
                ffi::SQLITE_FCNTL_FILE_POINTER,
                ptr::from_mut(&mut file).cast::<c_void>(),
            )
        };
        if found != ffi::SQLITE_OK || file.is_null() {
            return None;
        }
        let mut region: *mut c_void = ptr::null_mut();
        // SAFETY: the file is the connection's own and open; the first region of its WAL index is mapped already, so that
        // this only asks where. `0`: the index is not to be extended.
        let mapped = unsafe {
            let map = (*file).pMethods.as_ref()?.xShmMap?;
            map(file, 0, REGION, 0, ptr::from_mut(&mut region).cast())
        };
        (mapped == ffi::SQLITE_OK && !region.is_null()).then_some(Self(region.cast()))
    }

    /// A header that is changed by hand.
    #[cfg(test)]
    pub(super) const fn in_memory(words: &'static [std::sync::atomic::AtomicU64; WORDS]) -> Self {
        Self(words.as_ptr().cast())
    }

    /// What the header says now. A commit that is just being written may show as a header that was never there, which only
    /// differs from all that were.
    pub(super) fn header(&self) -> Header {
        let mut words = [0; WORDS];
        for (at, word) in words.iter_mut().enumerate() {
            // SAFETY: the region is mapped while the connection is open, is longer than the header, and is aligned to a page;
            // others write to it, so the read is volatile.
            *word = unsafe { self.0.add(at).read_volatile() };
        }
        Header(words)
    }
}
