//! What a value looks like: the time, a random id, a number, or nothing in particular.

use super::fields::hash;

/// What a canonical value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A time within a day of now, so many microseconds behind it.
    Time { behind: i64 },
    /// An id that nobody chose.
    Random,
    /// A whole number: its hash, and that of the next.
    Number { own: u64, next: u64 },
    /// Nothing in particular.
    Other,
}

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Looks at a value in canonical form, at this time in microseconds since 1970.
pub(super) fn at(value: &[u8], now: i64) -> Look {
    let Ok(text) = str::from_utf8(value) else { return Look::Other };
    if let Some(payload) = tagged(text, "datetime") {
        return civil(payload).and_then(|time| near(time, now)).unwrap_or(Look::Other);
    }
    if let Some(payload) = tagged(text, "uuid") {
        return if is_random_uuid(payload) { Look::Random } else { Look::Other };
    }
    if let Some(digits) = tagged(text, "int") {
        return number(digits, now);
    }
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(text) if is_random(text) => Look::Random,
        Some(text) => civil(text).and_then(|time| near(time, now)).unwrap_or(Look::Other),
        None => number(text, now),
    }
}

/// The payload of a tagged value of this type.
fn tagged<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.strip_prefix("@1:")?.strip_prefix(name)?.strip_prefix('"')?.strip_suffix('"')
}

fn near(time: i64, now: i64) -> Option<Look> {
    let behind = now.checked_sub(time)?;
    (behind.checked_abs()? <= DAY).then_some(Look::Time { behind })
}

/// A count of seconds since 1970, or of smaller units, where that is near now; any other whole number is itself.
fn number(text: &str, now: i64) -> Look {
    let Ok(number) = text.parse::<f64>() else { return Look::Other };
    for unit in [1e6, 1e3, 1.0, 1e-3] {
        let time = number * unit;
        // Beyond this no time is near now, and below it a cast to whole microseconds is exact enough.
        if time.abs() < 9e15 {
            #[expect(clippy::cast_possible_truncation, reason = "checked above")]
            if let Some(time) = near(time as i64, now) {
                return time;
            }
        }
    }
    text.parse::<i64>().map_or(Look::Other, |whole| {
        let mut next = itoa::Buffer::new();
        Look::Number { own: hash(text.as_bytes()), next: hash(next.format(whole.saturating_add(1)).as_bytes()) }
    })
}

/// The microseconds since 1970 that a text such as `2026-11-22T08:15:30.5+01:00` begins with, whatever its time zone: that
/// is less than a day.
fn civil(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let digits = |from: usize, to: usize| -> Option<i64> {
        let part = bytes.get(from..to)?;
        part.iter().all(u8::is_ascii_digit).then(|| text[from..to].parse().ok())?
    };
    let marks = bytes.len() >= 19
        && (bytes[4], bytes[7], bytes[13], bytes[16]) == (b'-', b'-', b':', b':')
        && matches!(bytes[10], b'T' | b' ' | b't');
    if !marks {
        return None;
    }
    let day = days(digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
    let seconds = digits(11, 13)? * 3600 + digits(14, 16)? * 60 + digits(17, 19)?;
    let mut micros = 0;
    if bytes.get(19) == Some(&b'.') {
        let fraction = bytes[20..].iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
        micros = digits(20, 20 + fraction).unwrap_or(0) * 10_i64.pow(6 - u32::try_from(fraction).unwrap_or(6));
    }
    Some(day * DAY + seconds * SECOND + micros)
}

/// The days since 1970 of a date, by the Gregorian calendar.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March end with the leap day.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Whether a text is, or ends with, an id made of random bits.
fn is_random(text: &str) -> bool {
    let tail = text.len().checked_sub(36).and_then(|from| text.get(from..));
    tail.is_some_and(is_random_uuid) || is_random_hex(text)
}

/// Whether a UUID is of a version that is another each time: of the time, or random.
fn is_random_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
        && matches!(bytes[14], b'1' | b'4' | b'6' | b'7')
        && matches!(bytes[19], b'8' | b'9' | b'a' | b'b' | b'A' | b'B')
}

/// Whether a text is at least 16 bytes in hex, and no number.
fn is_random_hex(text: &str) -> bool {
    text.len() >= 32
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}
