//! A time as a line has it: text that a person can read, or, beyond the years that have four digits, microseconds.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::clock::Timestamp;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// 0001-01-01 and 10000-01-01, in days since 1970.
const FIRST_DAY: i64 = -719_162;
const LAST_DAY: i64 = 2_932_897;

/// See the module.
#[derive(Clone, Copy)]
pub(super) struct Moment(pub(super) Timestamp);

/// Year, month and day of a day since 1970, in the Gregorian calendar.
const fn date_of(day: i64) -> (i64, i64, i64) {
    // Years that begin in March end with the leap day; 400 of them have 146,097 days.
    let day = day + 719_468;
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + later, month, day)
}

/// The day since 1970 of a date.
const fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + year * 365 + year / 4 - year / 100 + day_of_year - 719_468
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Timestamp(micros)) = *self;
        let (year, month, day) = date_of(micros.div_euclid(DAY));
        let (seconds, fraction) = (micros.rem_euclid(DAY) / SECOND, micros.rem_euclid(SECOND));
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if fraction == 0 { f.write_str("Z") } else { write!(f, ".{fraction:06}Z") }
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if (FIRST_DAY..LAST_DAY).contains(&self.0.0.div_euclid(DAY)) {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0.0)
        }
    }
}

/// The time that a text says; `None` for any text that a [`Moment`] is not written as, or could not be.
fn read(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let number =
        |text: &str| -> Option<i64> { text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok())? };
    let three = |text: &str, mark: char| {
        let mut parts = text.split(mark).map(number);
        let three = (parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(three)
    };
    let ((year, month, day), (hour, minute, second)) = (three(date, '-')?, three(time, ':')?);
    let known = (1..=9_999).contains(&year) && hour < 24 && minute < 60 && second < 60 && fraction.len() <= 6;
    let since_1970 = day_of(year, month, day);
    if !known || !(1..=12).contains(&month) || date_of(since_1970) != (year, month, day) {
        return None;
    }
    let fraction = number(&format!("{fraction:0<6}"))?;
    Some(Timestamp(since_1970 * DAY + (hour * 3_600 + minute * 60 + second) * SECOND + fraction))
}

struct Reader;

impl Visitor<'_> for Reader {
    type Value = Moment;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time such as 2026-11-22T04:49:48Z, or microseconds since 1970")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Moment, E> {
        read(text).map(Moment).ok_or_else(|| E::custom(format!("{text:?} is no time such as 2026-11-22T04:49:48Z")))
    }

    fn visit_i64<E: Error>(self, micros: i64) -> Result<Moment, E> {
        Ok(Moment(Timestamp(micros)))
    }

    fn visit_u64<E: Error>(self, micros: u64) -> Result<Moment, E> {
        i64::try_from(micros).map(|micros| Moment(Timestamp(micros))).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}
