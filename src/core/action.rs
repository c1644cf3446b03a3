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

#[cfg(test)]
mod tests {
    use super::{compose_key, parse_key, push_part};
    use crate::core::error::ActionError;
    use crate::core::record::Fingerprint;

    const FINGERPRINT: Fingerprint = Fingerprint([0xab; 32]);

    fn compose(signal: &str, action: &str, target: &str) -> String {
        compose_key(signal, action, target, None).expect("no field is empty")
    }

    fn problem(key: &str) -> &'static str {
        match parse_key(key) {
            Err(ActionError::InvalidKey { problem, .. }) => problem,
            other => panic!("{key:?} is no key, but gave {other:?}"),
        }
    }

    #[test]
    fn a_key_is_its_parts_and_the_start_of_the_fingerprint() {
        let key = compose_key("inv-1", "create_card", "trello", Some(&FINGERPRINT));
        assert_eq!(key.as_deref(), Ok("inv-1:create_card:trello:abababababababab"));
        assert_eq!(compose("inv-1", "create_card", "trello"), "inv-1:create_card:trello");
    }

    #[test]
    fn what_a_part_holds_can_not_be_taken_for_a_separator() {
        assert_ne!(compose("a:b", "c", "d"), compose("a", "b:c", "d"));
        assert_eq!(compose("a:b", "100%", "\u{7f}\n"), "a%3Ab:100%25:%7F%0A");
        assert_ne!(compose("%3A", "c", "d"), compose(":", "c", "d"));
    }

    #[test]
    fn text_beyond_ascii_stays_as_it_is() {
        assert_eq!(compose("счёт", "送信", "🧾"), "счёт:送信:🧾");
    }

    #[test]
    fn a_part_is_appended_to_what_is_there() {
        let mut key = b"x:".to_vec();
        push_part(&mut key, "a:b");
        assert_eq!(key, b"x:a%3Ab");
    }

    #[test]
    fn an_empty_field_is_named() {
        for (signal, action, target, name) in
            [("", "a", "t", "signal_id"), ("s", "", "t", "action"), ("s", "a", "", "target")]
        {
            let refused = compose_key(signal, action, target, Some(&FINGERPRINT));
            assert_eq!(refused, Err(ActionError::EmptyField { field: name }));
        }
    }

    #[test]
    fn parsing_gives_back_what_was_put_in() {
        let parts = ["a", "a:b", "%", "%3A", "::", "\0\u{1f}\u{7f}", "ключ", "🧾%🧾", " ", "a%b:c\n"];
        for signal in parts {
            for action in parts {
                for target in parts {
                    for (fingerprint, hash) in [(None, None), (Some(&FINGERPRINT), Some("abababababababab"))] {
                        let key = compose_key(signal, action, target, fingerprint).expect("no field is empty");
                        let parsed = parse_key(&key).expect("a composed key is a key");
                        let back = (&*parsed.signal_id, &*parsed.action_type, &*parsed.target, parsed.params_hash);
                        assert_eq!(back, (signal, action, target, hash));
                    }
                }
            }
        }
    }

    #[test]
    fn a_text_that_no_key_could_be_is_refused_with_its_problem() {
        assert_eq!(problem(""), "a part is empty");
        assert_eq!(problem("a"), "it has fewer than three parts");
        assert_eq!(problem("a:b"), "it has fewer than three parts");
        assert_eq!(problem("a::c"), "a part is empty");
        assert_eq!(problem("a:b:c:0123456789abcdef:e"), "it has more than four parts");
    }

    #[test]
    fn a_hash_that_no_fingerprint_has_is_refused() {
        for hash in ["", "0123", "0123456789ABCDEF", "0123456789abcdeg", "0123456789abcdef0"] {
            assert_eq!(problem(&format!("a:b:c:{hash}")), "its params_hash is not 16 lower-case hex characters");
        }
    }

    #[test]
    fn an_escape_that_no_key_has_is_refused() {
        for part in ["%", "%3", "%3a", "%41", "%ZZ", "%C3%A9", "a\nb", "%é", "%+1"] {
            assert_eq!(problem(&format!("{part}:b:c")), "a part is not percent-encoded as keys are", "{part:?}");
        }
    }

    #[test]
    fn an_error_shows_a_long_text_in_part() {
        let Err(ActionError::InvalidKey { key, .. }) = parse_key(&"é".repeat(5_000)) else { panic!("it is no key") };
        assert_eq!(key.chars().count(), 200);
    }
}
