//! Texts as PostgreSQL can hold them: it has no NUL. U+10FFFF, which is no character and never will be, followed by 0
//! stands for one, and twice for itself.

use std::borrow::Cow;

const MARK: char = '\u{10FFFF}';

/// The text as it is stored.
pub(super) fn stored(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', MARK]) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => escaped.extend([MARK, '0']),
            MARK => escaped.extend([MARK, MARK]),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// The text that was stored so.
pub(super) fn read(stored: &str) -> Cow<'_, str> {
    if !stored.contains(MARK) {
        return Cow::Borrowed(stored);
    }
    let mut text = String::with_capacity(stored.len());
    let mut characters = stored.chars();
    while let Some(character) = characters.next() {
        match (character, character == MARK) {
            (_, true) => text.push(if characters.next() == Some('0') { '\0' } else { MARK }),
            (other, false) => text.push(other),
        }
    }
    Cow::Owned(text)
}

/// JSON as it is stored. It has no NUL, as it escapes it, and is UTF-8 by construction.
pub(super) fn json(bytes: &[u8]) -> Cow<'_, str> {
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => stored(text),
        Cow::Owned(text) => Cow::Owned(stored(&text).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{json, read, stored};

    #[test]
    fn what_has_no_nul_is_stored_as_it_is() {
        for text in ["", "a:b:c", "Grüße, 世界 🎉", "\u{1}\u{7f}\u{10FFFD}"] {
            assert_eq!((&*stored(text), &*read(text)), (text, text));
        }
    }

    #[test]
    fn what_has_a_nul_comes_back() {
        for text in ["\0", "a\0b", "\u{10FFFF}", "\u{10FFFF}0\0\u{10FFFF}\u{10FFFF}", "0\0"] {
            assert!(!stored(text).contains('\0'));
            assert_eq!(read(&stored(text)), text);
        }
    }

    #[test]
    fn no_two_texts_are_stored_alike() {
        let texts = ["\0", "\u{10FFFF}0", "\u{10FFFF}", "\u{10FFFF}\u{10FFFF}", "0", "\0\u{10FFFF}", "\u{10FFFF}\0"];
        let stored: std::collections::BTreeSet<_> = texts.into_iter().map(stored).collect();
        assert_eq!(stored.len(), texts.len());
    }

    #[test]
    fn json_escapes_its_own_nul() {
        assert_eq!(json(br#""a\u0000b""#), r#""a\u0000b""#);
    }
}
