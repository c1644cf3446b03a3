//! Random trees through the writers, as many as take no time to speak of.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{compare_names, push_json, push_string, written};

/// A small generator of pseudo-random numbers (SplitMix64): the same ones in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Text that is mostly plain, with all that is not plain mixed in.
    fn text(&mut self) -> String {
        const LETTERS: [char; 16] = [
            'a',
            'b',
            'Z',
            '7',
            '"',
            '\\',
            '\n',
            '\u{1}',
            '\u{7f}',
            'é',
            '€',
            '\u{e000}',
            '\u{ffff}',
            '😀',
            '\u{10ffff}',
            ' ',
        ];
        let (length, plain) = (self.below(40), self.below(2) == 0);
        (0..length).map(|_| if plain { 'x' } else { LETTERS[usize::try_from(self.below(16)).unwrap_or(0)] }).collect()
    }

    fn value(&mut self, depth: u32) -> Value {
        match self.below(if depth == 0 { 5 } else { 7 }) {
            0 => Value::Null,
            1 => Value::Bool(self.below(2) == 0),
            2 => Value::from(self.next().cast_signed() >> self.below(64)),
            3 => Value::from(f64::from_bits(self.next())),
            4 => Value::from(self.text()),
            5 => (0..self.below(5)).map(|_| self.value(depth - 1)).collect(),
            _ => Value::Object((0..self.below(6)).map(|_| (self.text(), self.value(depth - 1))).collect::<Map<_, _>>()),
        }
    }
}

#[test]
fn text_is_written_as_a_json_parser_reads_it_with_no_needless_escape() {
    let mut random = Random(1);
    for _ in 0..20_000 {
        let text = random.text();
        let json = written(|out| push_string(out, &text));
        assert_eq!(serde_json::from_str::<String>(&json).expect("valid JSON"), text);
        assert_eq!(json, serde_json::to_string(&text).expect("text is JSON"));
    }
}

#[test]
fn names_are_in_the_order_of_their_utf16() {
    let mut random = Random(2);
    for _ in 0..20_000 {
        let (left, right) = (random.text(), random.text());
        let expected = left.encode_utf16().cmp(right.encode_utf16());
        assert_eq!(compare_names(&left, &right), expected, "{left:?} {right:?}");
        assert_eq!(compare_names(&left, &left), Ordering::Equal);
    }
}

#[test]
fn what_a_parser_reads_from_a_canonical_form_has_that_form() {
    let mut random = Random(3);
    for _ in 0..5_000 {
        let form = written(|out| push_json(out, &random.value(4)));
        let read = serde_json::from_str::<Value>(&form).expect("a tree of JSON is written as JSON");
        assert_eq!(written(|out| push_json(out, &read)), form);
    }
}
