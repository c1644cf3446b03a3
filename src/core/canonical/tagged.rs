//! What JSON lacks: `@1:` and a type's name before a JSON value that says which value of the type it is.
//!
//! No JSON value begins with `@`, so a tagged value equals no plain one; the name ends where the payload's quote
//! or bracket begins, so two types never meet. The number after `@` is [`ENCODING_VERSION`].

/// The version of the tagged forms, written into each: raised when a form changes its meaning.
pub const ENCODING_VERSION: u32 = 1;

/// Appends the tag that stands before a payload of this type.
pub fn push_tag(out: &mut Vec<u8>, name: &str) {
    const { assert!(ENCODING_VERSION == 1, "the prefix below spells the version") }
    out.extend_from_slice(b"@1:");
    out.extend_from_slice(name.as_bytes());
}

/// Appends a tag and a payload that needs no escapes.
fn push_quoted(out: &mut Vec<u8>, name: &str, payload: &str) {
    push_tag(out, name);
    out.push(b'"');
    out.extend_from_slice(payload.as_bytes());
    out.push(b'"');
}

/// Appends an integer beyond 2^53 - 1 by its digits.
pub fn push_digits(out: &mut Vec<u8>, digits: &str) {
    push_quoted(out, "int", digits);
}

/// Appends bytes, as lower-case hex.
pub fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    push_tag(out, "bytes");
    out.push(b'"');
    out.reserve(bytes.len() * 2 + 1);
    out.extend(bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]));
    out.push(b'"');
}

/// Appends a UUID in its usual form.
pub fn push_uuid(out: &mut Vec<u8>, uuid: u128) {
    let hex = format!("{uuid:032x}");
    let dashed = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    push_quoted(out, "uuid", &dashed);
}

/// Appends a decimal number given as the text of a finite one (`-12.50`, `1E+3`), freed of what makes no difference:
/// zeros at either end and the sign of zero. `12.50` becomes `125e-1`, `1E+3` becomes `1e3`.
///
/// Answers false, having appended nothing, where the text is no finite decimal.
pub fn push_decimal(out: &mut Vec<u8>, text: &str) -> bool {
    let Some(normal) = normalised(text) else { return false };
    push_quoted(out, "decimal", &normal);
    true
}

fn normalised(text: &str) -> Option<String> {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (mantissa, exponent) = text.split_once(['E', 'e']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some("0".to_owned());
    }
    let dropped = i128::try_from(digits.len() - significant.len()).ok()?;
    let places = i128::try_from(fraction.len()).ok()?;
    let exponent = exponent.parse::<i64>().ok()?;
    Some(format!("{sign}{significant}e{}", i128::from(exponent) + dropped - places))
}

/// A date of the proleptic Gregorian calendar and a time of day, as a wall shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// The year.
    pub year: i32,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, 1 to 31.
    pub day: u8,
    /// The microseconds since midnight.
    pub micros: i64,
}

/// How far a wall clock is ahead of UTC, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset(pub i64);

const DAY: i64 = 86_400_000_000;

/// Appends a date.
pub fn push_date(out: &mut Vec<u8>, year: i32, month: u8, day: u8) {
    push_quoted(out, "date", &format!("{year:04}-{month:02}-{day:02}"));
}

/// Appends a date and time: with an offset as the instant in UTC, marked `Z`; without one as it stands.
pub fn push_datetime(out: &mut Vec<u8>, civil: Civil, offset: Option<Offset>) {
    let text = match offset {
        None => date_and_time(civil),
        Some(Offset(ahead)) => date_and_time(shifted(civil, -ahead)) + "Z",
    };
    push_quoted(out, "datetime", &text);
}

/// Appends a time of day, in microseconds since midnight: with an offset as the time in UTC, marked `Z`, which may lie
/// before this day's midnight or after the next (23:30-01:00 is 24:30Z, and not 00:30Z of the same day).
pub fn push_time(out: &mut Vec<u8>, micros: i64, offset: Option<Offset>) {
    let text = match offset {
        None => time_of_day(micros),
        Some(Offset(ahead)) => {
            let utc = micros - ahead;
            let sign = if utc < 0 { "-" } else { "" };
            format!("{sign}{}Z", time_of_day(utc.abs()))
        }
    };
    push_quoted(out, "time", &text);
}

/// Appends a length of time, given in microseconds, as seconds with six decimals.
pub fn push_timedelta(out: &mut Vec<u8>, micros: i128) {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    push_quoted(out, "timedelta", &format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000));
}

fn date_and_time(civil: Civil) -> String {
    let Civil { year, month, day, micros } = civil;
    format!("{year:04}-{month:02}-{day:02}T{}", time_of_day(micros))
}

fn time_of_day(micros: i64) -> String {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    format!("{:02}:{:02}:{:02}.{fraction:06}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The civil time so many microseconds later. An offset is less than a day, so one day either way is all there is.
fn shifted(civil: Civil, by: i64) -> Civil {
    let micros = civil.micros + by;
    let mut moved = Civil { micros: micros.rem_euclid(DAY), ..civil };
    match micros.div_euclid(DAY) {
        ..0 => step_back(&mut moved),
        0 => {}
        1.. => step_forward(&mut moved),
    }
    moved
}

fn step_back(civil: &mut Civil) {
    if civil.day > 1 {
        civil.day -= 1;
        return;
    }
    (civil.year, civil.month) = if civil.month > 1 { (civil.year, civil.month - 1) } else { (civil.year - 1, 12) };
    civil.day = days_in(civil.year, civil.month);
}

fn step_forward(civil: &mut Civil) {
    if civil.day < days_in(civil.year, civil.month) {
        civil.day += 1;
        return;
    }
    civil.day = 1;
    (civil.year, civil.month) = if civil.month < 12 { (civil.year, civil.month + 1) } else { (civil.year + 1, 1) };
}

const fn days_in(year: i32, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
