//! What can go wrong in the core and in a store. `py::errors` maps each variant to its Python class.

/// An action or a key that can't be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// A field that must not be empty is.
    #[error("{field} is empty: give the {field} of the action")]
    EmptyField {
        /// The field's name.
        field: &'static str,
    },
    /// A text that is no idempotency key.
    #[error("{key:?} is no idempotency key: {problem}; a key reads signal_id:action:target:params_hash")]
    InvalidKey {
        /// The text, cut to a length fit for a message.
        key: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// A value that has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// NaN or an infinity.
    #[error("{0} has no canonical form")]
    NotFinite(&'static str),
    /// Half of a surrogate pair.
    #[error("the text holds a lone surrogate, which is no Unicode text")]
    LoneSurrogate,
}

/// Why a record that is to be restored finds no room.
pub const NO_ROOM_TO_RESTORE: &str = "records that are restored evict nothing: raise max_cache_size";

/// A store that could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Out of reach, for now or for good; what was asked has not happened, as far as the store can tell.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// Within reach but unable: full, read-only, corrupted, of another version. The text has the remedy.
    #[error("{0}")]
    Failed(String),
    /// The record is in no state in which this can be asked.
    #[error("{key:?} is {}, not in doubt: only a record in doubt can be resolved", state.unwrap_or("not recorded"))]
    NotInDoubt {
        /// The key.
        key: String,
        /// What it is instead; `None` where nothing is recorded.
        state: Option<&'static str>,
    },
    /// The cache is full and nothing in it may be evicted.
    #[error("the cache is full ({size} of {max} records) and {reason}")]
    Full {
        /// Records held.
        size: usize,
        /// Records allowed.
        max: usize,
        /// Why nothing was evicted, and the remedy.
        reason: &'static str,
    },
}

impl StoreError {
    /// Why a full store evicts nothing that is told to refuse.
    pub const REFUSES: &str = "on_full is \"raise\": raise max_cache_size, remove records, or let on_full be \"evict\"";
    /// Why one evicts nothing that has only unfinished records.
    pub const NONE_MAY_GO: &str =
        "no finished record may go: raise max_cache_size, or resolve and clear what is in doubt";
}
