//! Values to canonical bytes: RFC 8785 (JSON Canonicalization Scheme), extended for what JSON lacks.
//!
//! These are writers that append to a buffer, not a serialiser: whoever walks the values knows their types, calls
//! the writer of each and puts the brackets and commas between them. docs/keys.md specifies the form for users.

mod number;
mod tagged;
mod text;

use sha2::{Digest, Sha256};

pub use number::{LARGEST_SAFE_INTEGER, push_f64, push_i64};
pub use tagged::{
    Civil, ENCODING_VERSION, Offset, push_bytes, push_date, push_datetime, push_decimal, push_digits, push_tag,
    push_time, push_timedelta, push_uuid,
};
pub use text::{compare_names, push_string, ranked};

use super::record::Fingerprint;

/// The digest of canonical bytes.
pub fn fingerprint(canonical: &[u8]) -> Fingerprint {
    Fingerprint(Sha256::digest(canonical).into())
}

#[cfg(test)]
mod tests;
