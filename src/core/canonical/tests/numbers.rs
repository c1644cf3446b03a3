//! Numbers beyond the published sequence.

use super::{push_f64, push_i64, written};
use crate::core::canonical::LARGEST_SAFE_INTEGER;

fn float(number: f64) -> String {
    written(|out| push_f64(out, number).expect("finite"))
}

fn integer(number: i64) -> String {
    written(|out| push_i64(out, number))
}

#[test]
fn a_decimal_of_few_places_is_written_as_the_general_algorithm_writes_it() {
    for places in 0..9_u32 {
        for step in 0..4_000_u32 {
            let number = f64::from(step * 7919 % 1_000_003) / 10_f64.powi(places.cast_signed());
            for number in [number, -number, number + 1e9, number * 3.0, f64::from_bits(number.to_bits() + 1)] {
                let general = ryu_js::Buffer::new().format_finite(number).to_owned();
                assert_eq!(float(number), general, "{number:e}");
            }
        }
    }
}

#[test]
fn an_integer_and_a_float_of_one_value_are_one_number() {
    let largest = i64::try_from(LARGEST_SAFE_INTEGER).expect("it fits");
    for number in [0, 1, -1, 42, 1_000_000, largest, -largest] {
        #[expect(clippy::cast_precision_loss, reason = "a safe integer is exact")]
        let same = number as f64;
        assert_eq!(integer(number), float(same));
    }
    assert_eq!(float(-0.0), "0");
}

#[test]
fn integers_beyond_the_safe_ones_keep_all_their_digits_and_are_no_floats() {
    assert_eq!(integer(9_007_199_254_740_991), "9007199254740991");
    assert_eq!(integer(9_007_199_254_740_992), "@1:int\"9007199254740992\"");
    assert_eq!(integer(9_007_199_254_740_993), "@1:int\"9007199254740993\"");
    assert_eq!(integer(i64::MIN), "@1:int\"-9223372036854775808\"");
    assert_eq!(float(9_007_199_254_740_992.0), "9007199254740992");
}

#[test]
fn nan_and_the_infinities_are_refused_and_append_nothing() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut out = b"kept".to_vec();
        assert!(push_f64(&mut out, number).is_err());
        assert_eq!(out, b"kept");
    }
}
