//! How a database file is opened.

use std::path::PathBuf;
use std::time::Duration;

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// For the disk: what was committed survives a power cut.
    #[default]
    Full,
    /// For the operating system: what was committed survives the death of any process, but the last commits may not
    /// survive a power cut.
    Normal,
}

impl Synchronous {
    /// The pragma's word.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
        }
    }
}

/// A store's file, and how it is used.
#[derive(Clone, Debug)]
pub struct Options {
    /// The file.
    pub path: PathBuf,
    /// What a commit waits for.
    pub synchronous: Synchronous,
    /// How long a write waits for other writers before it fails.
    pub busy_timeout: Duration,
    /// Whose records these are: stores of other namespaces in the same file see nothing of them.
    pub namespace: String,
}

impl Options {
    /// The defaults for a file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            synchronous: Synchronous::default(),
            busy_timeout: Duration::from_secs(5),
            namespace: "idempotency".into(),
        }
    }
}
