//! The tagged forms, to the byte: they are a promise to keys that were made before.

use super::written;
use crate::core::canonical::{
    Civil, Offset, push_bytes, push_date, push_datetime, push_decimal, push_time, push_timedelta, push_uuid,
};

const HOUR: i64 = 3_600_000_000;

fn civil(year: i32, month: u8, day: u8, hours: i64) -> Civil {
    Civil { year, month, day, micros: hours * HOUR }
}

fn datetime(civil: Civil, offset: Option<i64>) -> String {
    written(|out| push_datetime(out, civil, offset.map(|hours| Offset(hours * HOUR))))
}

fn decimal(text: &str) -> String {
    written(|out| assert!(push_decimal(out, text), "{text} is finite"))
}

#[test]
fn bytes_dates_and_uuids_have_the_documented_forms() {
    assert_eq!(written(|out| push_bytes(out, b"\x00\xffa")), "@1:bytes\"00ff61\"");
    assert_eq!(written(|out| push_date(out, 2026, 3, 7)), "@1:date\"2026-03-07\"");
    assert_eq!(written(|out| push_uuid(out, 0x12)), "@1:uuid\"00000000-0000-0000-0000-000000000012\"");
    assert_eq!(written(|out| push_timedelta(out, -1_500_000)), "@1:timedelta\"-1.500000\"");
}

#[test]
fn one_instant_in_two_zones_is_one_form_and_a_naive_time_another() {
    let utc = datetime(civil(2024, 2, 29, 23), Some(0));
    assert_eq!(utc, "@1:datetime\"2024-02-29T23:00:00.000000Z\"");
    assert_eq!(datetime(civil(2024, 3, 1, 1), Some(2)), utc);
    assert_eq!(datetime(civil(2024, 2, 29, 18), Some(-5)), utc);
    assert_eq!(datetime(civil(2024, 2, 29, 23), None), "@1:datetime\"2024-02-29T23:00:00.000000\"");
}

#[test]
fn an_instant_may_leave_the_year_the_century_and_the_calendar() {
    assert_eq!(datetime(civil(2025, 1, 1, 0), Some(1)), "@1:datetime\"2024-12-31T23:00:00.000000Z\"");
    assert_eq!(datetime(civil(1900, 2, 28, 23), Some(-2)), "@1:datetime\"1900-03-01T01:00:00.000000Z\"");
    assert_eq!(datetime(civil(1, 1, 1, 0), Some(1)), "@1:datetime\"0000-12-31T23:00:00.000000Z\"");
    assert_eq!(datetime(civil(9999, 12, 31, 23), Some(-2)), "@1:datetime\"10000-01-01T01:00:00.000000Z\"");
}

#[test]
fn a_time_of_day_with_an_offset_does_not_wrap() {
    let time = |hours: i64, offset: Option<i64>| {
        written(|out| push_time(out, hours * HOUR, offset.map(|hours| Offset(hours * HOUR))))
    };
    assert_eq!(time(10, None), "@1:time\"10:00:00.000000\"");
    assert_eq!(time(10, Some(1)), "@1:time\"09:00:00.000000Z\"");
    assert_eq!(time(0, Some(1)), "@1:time\"-01:00:00.000000Z\"");
    assert_eq!(time(23, Some(-1)), "@1:time\"24:00:00.000000Z\"");
}

#[test]
fn a_decimal_loses_what_makes_no_difference_and_nothing_else() {
    for same in ["12.5", "12.50", "0012.500", "1.25E+1", "125e-1"] {
        assert_eq!(decimal(same), "@1:decimal\"125e-1\"", "{same}");
    }
    assert_eq!(decimal("1E+3"), decimal("1000"));
    assert_eq!(decimal("-0.00"), "@1:decimal\"0\"");
    assert_eq!(decimal("-7"), "@1:decimal\"-7e0\"");
    assert_ne!(decimal("0.1"), decimal("0.10000000000000000000000001"));
    for no_number in ["NaN", "sNaN", "Infinity", "-Infinity", "", "-"] {
        let mut out = Vec::new();
        assert!(!push_decimal(&mut out, no_number) && out.is_empty(), "{no_number}");
    }
}
