//! The fields of params, from their canonical form: the path of each value that has no parts, and a hash of it.

use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::fast::FixedState;

/// A value that has no parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) path_hash: u64,
    pub(super) hash: u64,
    value: Range<usize>,
}

/// Params of more fields are not looked at.
const MOST: usize = 64;
/// Nor are those that are deeper.
const DEEPEST: usize = 16;

/// The hash of a piece of the canonical form.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    FixedState::default().hash_one(bytes)
}

/// The fields of canonical params; `None` where they are too many.
pub(super) fn read(params: &[u8]) -> Option<Vec<Field>> {
    let mut walk = Walk { text: params, at: 0, path: Vec::new(), fields: Vec::new(), wanted: None };
    walk.value(0)?;
    Some(walk.fields)
}

impl Field {
    /// The value's canonical form.
    pub(super) fn value<'a>(&self, params: &'a [u8]) -> &'a [u8] {
        &params[self.value.clone()]
    }

    /// The path, as `event.items[3].due`.
    pub(super) fn path(&self, params: &[u8]) -> String {
        let (path, fields) = (Vec::new(), Vec::new());
        let mut walk = Walk { text: params, at: 0, path, fields, wanted: Some(self.value.start) };
        // It was read before, and stops where it is found.
        _ = walk.value(0);
        String::from_utf8_lossy(&walk.path).into_owned()
    }
}

/// A way through canonical text, which is well formed: it was made here.
struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    path: Vec<u8>,
    fields: Vec<Field>,
    /// Where the value begins whose path is wanted.
    wanted: Option<usize>,
}

impl Walk<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Walks over a value; `None` where it ends early.
    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > DEEPEST || self.wanted == Some(self.at) {
            return None;
        }
        match self.peek()? {
            b'{' => self.parts(depth, b'}', Self::name),
            b'[' => self.parts(depth, b']', |walk, number| {
                walk.path.push(b'[');
                walk.path.extend_from_slice(number.to_string().as_bytes());
                walk.path.push(b']');
                Some(())
            }),
            _ => self.leaf(),
        }
    }

    fn parts(&mut self, depth: usize, end: u8, name: impl Fn(&mut Self, usize) -> Option<()>) -> Option<()> {
        self.at += 1;
        let length = self.path.len();
        let mut number = 0;
        while self.peek()? != end {
            if self.peek()? == b',' {
                self.at += 1;
            }
            name(self, number)?;
            self.value(depth + 1)?;
            self.path.truncate(length);
            number += 1;
        }
        self.at += 1;
        Some(())
    }

    fn name(&mut self, _number: usize) -> Option<()> {
        let start = self.at;
        self.text_end()?;
        if !self.path.is_empty() {
            self.path.push(b'.');
        }
        self.path.extend_from_slice(&self.text[start + 1..self.at - 1]);
        self.at += 1; // the colon
        Some(())
    }

    /// Walks over a text in quotes.
    fn text_end(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(())
    }

    fn leaf(&mut self) -> Option<()> {
        if self.fields.len() == MOST {
            return None;
        }
        let start = self.at;
        // A tag's payload may be a text, or have parts, which are the value's own.
        let mut open = 0_usize;
        loop {
            match self.peek() {
                Some(b'"') => self.text_end()?,
                Some(b'[' | b'{') => {
                    open += 1;
                    self.at += 1;
                }
                Some(b']' | b'}') if open > 0 => {
                    open -= 1;
                    self.at += 1;
                }
                Some(b',' | b']' | b'}') | None if open == 0 => break,
                Some(_) => self.at += 1,
                None => return None,
            }
        }
        let value = start..self.at;
        self.fields.push(Field { path_hash: hash(&self.path), hash: hash(&self.text[value.clone()]), value });
        Some(())
    }
}
