//! Numbers: the shortest form that reads back as the same double, as ECMAScript writes it (RFC 8785 section 3.2.2.3).

use super::tagged::push_digits;
use crate::core::error::CanonicalError;

/// 2^53 - 1, the largest integer that no other integer rounds to as a double.
pub const LARGEST_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Appends an integer: up to 2^53 - 1 in magnitude as the number it is, equal to the double of that value; beyond,
/// where doubles run out of digits, in the tagged form that keeps them all.
#[inline]
pub fn push_i64(out: &mut Vec<u8>, integer: i64) {
    if let digit @ 0..10 = integer {
        out.push(b'0' + digit.to_le_bytes()[0]);
    } else {
        push_long(out, integer);
    }
}

fn push_long(out: &mut Vec<u8>, integer: i64) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(integer);
    if integer.unsigned_abs() <= LARGEST_SAFE_INTEGER {
        out.extend_from_slice(digits.as_bytes());
    } else {
        push_digits(out, digits);
    }
}

/// Appends a double; `-0.0` is `0`.
pub fn push_f64(out: &mut Vec<u8>, float: f64) -> Result<(), CanonicalError> {
    if float.is_nan() {
        return Err(CanonicalError::NotFinite("NaN"));
    }
    if float.is_infinite() {
        return Err(CanonicalError::NotFinite("an infinity"));
    }
    if let Some(integer) = to_integer(float) {
        out.extend_from_slice(itoa::Buffer::new().format(integer).as_bytes());
    } else if !push_decimal_places(out, float) {
        out.extend_from_slice(ryu_js::Buffer::new().format_finite(float).as_bytes());
    }
    Ok(())
}

/// The integer that a float is, where it is a safe one: its digits are then the shortest form, and cheaper.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::float_cmp, reason = "compared exactly")]
fn to_integer(float: f64) -> Option<i64> {
    let integer = float as i64;
    (integer.unsigned_abs() <= LARGEST_SAFE_INTEGER && integer as f64 == float).then_some(integer)
}

/// Appends a float that is a decimal of at most 15 digits, six of them after the point, as prices and rates are; false
/// for any other. A third of the general algorithm's time.
///
/// No two decimals of up to 15 digits read as the same double, so one that reads as this double is its shortest form. It
/// does read so if the quotient below, of two integers that doubles hold exactly, rounds to it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a whole number below 10^15"
)]
#[expect(clippy::float_cmp, reason = "compared exactly")]
fn push_decimal_places(out: &mut Vec<u8>, float: f64) -> bool {
    const PLACES: usize = 6;
    let scaled = float.abs() * 1e6 + 0.5;
    if !(1.0..1e15).contains(&scaled) {
        return false;
    }
    let (mut digits, mut places) = (scaled as u64, PLACES);
    if digits as f64 / 1e6 != float.abs() {
        return false;
    }
    if digits.is_multiple_of(10_000) {
        (digits, places) = (digits / 10_000, places - 4);
    }
    while digits.is_multiple_of(10) {
        (digits, places) = (digits / 10, places - 1);
    }
    // The longest is a sign, a point and the 15 digits, or a leading zero and the places.
    let mut text = [0; 24];
    let mut start = text.len();
    let mut put = |byte| {
        start -= 1;
        text[start] = byte;
    };
    for _ in 0..places {
        put(b'0' + (digits % 10) as u8);
        digits /= 10;
    }
    put(b'.');
    loop {
        put(b'0' + (digits % 10) as u8);
        digits /= 10;
        if digits == 0 {
            break;
        }
    }
    if float < 0.0 {
        put(b'-');
    }
    out.extend_from_slice(&text[start..]);
    true
}
