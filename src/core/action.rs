//! Keys: `signal_id:action:target:params_hash`, and back.

use std::borrow::Cow;

use super::error::ActionError;
use super::record::Fingerprint;

/// The parts of a key, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedKey<'a> {
    /// The event that asked for the action.
    pub signal_id: Cow<'a, str>,
    /// The action's type.
    pub action_type: Cow<'a, str>,
    /// The platform it acts on.
    pub target: Cow<'a, str>,
    /// The first 16 hex characters of the fingerprint; `None` for a key made without params.
    pub params_hash: Option<&'a str>,
}

const fn must_escape(byte: u8) -> bool {
    matches!(byte, b'%' | b':' | 0..=0x1f | 0x7f)
}

/// Appends `part`, percent-encoded where it holds `%`, `:` or an ASCII control character.
pub fn push_part(key: &mut impl Extend<u8>, part: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let bytes = part.as_bytes();
    if !bytes.iter().any(|&byte| must_escape(byte)) {
        key.extend(bytes.iter().copied());
        return;
    }
    for &byte in bytes {
        if must_escape(byte) {
            key.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        } else {
            key.extend([byte]);
        }
    }
}

/// Makes a key of an action's fields; without a fingerprint, one of three parts.
pub fn compose_key(
    signal_id: &str,
    action: &str,
    target: &str,
    fingerprint: Option<&Fingerprint>,
) -> Result<String, ActionError> {
    let mut key = Vec::with_capacity(signal_id.len() + action.len() + target.len() + 19);
    for (field, part) in [("signal_id", signal_id), ("action", action), ("target", target)] {
        if part.is_empty() {
            return Err(ActionError::EmptyField { field });
        }
        if field != "signal_id" {
            key.push(b':');
        }
        push_part(&mut key, part);
    }
    if let Some(fingerprint) = fingerprint {
        key.push(b':');
        key.extend_from_slice(&fingerprint.short_hex());
    }
    Ok(String::from_utf8(key).unwrap_or_else(|_| unreachable!("escaped UTF-8 stays UTF-8")))
}

/// Takes a key apart; what [`compose_key`] was given comes back.
pub fn parse_key(key: &str) -> Result<ParsedKey<'_>, ActionError> {
    let invalid = |problem| ActionError::InvalidKey { key: key.chars().take(200).collect(), problem };
    let mut parts = key.split(':');
    let mut label = || match parts.next() {
        None => Err(invalid("it has fewer than three parts")),
        Some("") => Err(invalid("a part is empty")),
        Some(part) => unescape(part).ok_or_else(|| invalid("a part is not percent-encoded as keys are")),
    };
    let (signal_id, action_type, target) = (label()?, label()?, label()?);
    let params_hash = parts.next();
    if params_hash
        .is_some_and(|hash| hash.len() != 16 || !hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
    {
        return Err(invalid("its params_hash is not 16 lower-case hex characters"));
    }
    if parts.next().is_some() {
        return Err(invalid("it has more than four parts"));
    }
    Ok(ParsedKey { signal_id, action_type, target, params_hash })
}

/// Decodes a part; `None` where [`push_part`] could not have written it.
fn unescape(part: &str) -> Option<Cow<'_, str>> {
    if part.bytes().any(|byte| byte != b'%' && must_escape(byte)) {
        return None;
    }
    if !part.contains('%') {
        return Some(Cow::Borrowed(part));
    }
    let mut chunks = part.split('%');
    let mut text = String::from(chunks.next()?);
    for chunk in chunks {
        let code = chunk.get(..2)?;
        if !code.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F')) {
            return None;
        }
        let byte = u8::from_str_radix(code, 16).ok()?;
        if !must_escape(byte) {
            return None;
        }
        text.push(char::from(byte));
        text.push_str(&chunk[2..]);
    }
    Some(Cow::Owned(text))
}
