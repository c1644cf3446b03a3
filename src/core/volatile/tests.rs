//! The rule, both ways.

use super::{Kind, Series, Verdict, fields, is_volatile_name, names};
use crate::core::clock::Timestamp;

const NOW: i64 = 1_795_335_000_000_000;
const SECOND: i64 = 1_000_000;

/// What runs of these params come to, one each second.
fn observe(params: impl Fn(i64) -> String) -> Verdict {
    let mut series = Series::new(2);
    for run in 0..20 {
        let verdict = series.observe(params(run).as_bytes(), Timestamp(NOW + run * SECOND), 20);
        if verdict != Verdict::Open {
            return verdict;
        }
    }
    Verdict::Open
}

fn uuid(run: i64) -> String {
    format!("{:08x}-1111-4111-8111-{:012x}", run * 7_919, run * 104_729)
}

fn volatile(path: &str, kind: Kind) -> Verdict {
    Verdict::Volatile(path.into(), kind)
}

#[test]
fn the_time_of_the_call_is_volatile_in_every_form() {
    let seconds = NOW / SECOND;
    assert_eq!(observe(|run| format!(r#"{{"at":{},"to":"bob"}}"#, seconds + run)), volatile("at", Kind::Time));
    assert_eq!(observe(|run| format!(r#"{{"at":{}.25}}"#, seconds + run)), volatile("at", Kind::Time));
    assert_eq!(observe(|run| format!(r#"{{"at":{}}}"#, (seconds + run) * 1_000)), volatile("at", Kind::Time));
    let digits = |run| format!(r#"{{"at":@1:int"{}"}}"#, (NOW + run * SECOND) * 1_000);
    assert_eq!(observe(digits), volatile("at", Kind::Time));
    let text = |run| format!(r#"{{"event":{{"items":[1,"2026-11-22T08:50:{run:02}+01:00"]}}}}"#);
    assert_eq!(observe(text), volatile("event.items[1]", Kind::Time));
    let datetime = |run| format!(r#"{{"at":@1:datetime"2026-11-22T08:10:{run:02}.000000Z","n":@1:set[1,2]}}"#);
    assert_eq!(observe(datetime), volatile("at", Kind::Time));
}

#[test]
fn times_that_do_not_follow_the_clock_are_data() {
    let seconds = NOW / SECOND;
    assert_eq!(observe(|run| format!(r#"{{"at":{}}}"#, seconds + run * 900)), Verdict::Settled, "slots of a calendar");
    assert_eq!(observe(|run| format!(r#"{{"at":{}}}"#, seconds - run * 900)), Verdict::Settled, "a history");
    assert_eq!(observe(|run| format!(r#"{{"at":{}}}"#, 1_000_000 + run)), Verdict::Settled, "long ago");
}

#[test]
fn a_random_id_is_volatile_where_its_name_says_so() {
    assert_eq!(observe(|run| format!(r#"{{"nonce":"{}"}}"#, uuid(run))), volatile("nonce", Kind::Random));
    let nested = |run| format!(r#"{{"meta":{{"requestId":@1:uuid"{}"}}}}"#, uuid(run));
    assert_eq!(observe(nested), volatile("meta.requestId", Kind::Random));
    let prefixed = |run| format!(r#"{{"trace_id":"req-{}"}}"#, uuid(run));
    assert_eq!(observe(prefixed), volatile("trace_id", Kind::Random));
    let hex = |run| format!(r#"{{"nonce":"{:032x}"}}"#, 0xabcd_0000_0000_0000_0000_0000_i128 + i128::from(run));
    assert_eq!(observe(hex), volatile("nonce", Kind::Random));
    assert_eq!(
        observe(|run| format!(r#"{{"card_id":"{}"}}"#, uuid(run))),
        Verdict::Settled,
        "many cards of one signal"
    );
    assert_eq!(observe(|run| format!(r#"{{"nonce":"card {run}"}}"#)), Verdict::Settled, "a name alone proves nothing");
}

#[test]
fn the_number_of_the_attempt_is_volatile_and_other_numbers_are_data() {
    assert_eq!(observe(|run| format!(r#"{{"attempt":{run}}}"#)), volatile("attempt", Kind::Number));
    assert_eq!(observe(|run| format!(r#"{{"page":{run}}}"#)), Verdict::Settled);
    assert_eq!(observe(|run| format!(r#"{{"attempt":{}}}"#, run * 2)), Verdict::Settled);
}

#[test]
fn more_than_one_change_is_many_actions() {
    let seconds = NOW / SECOND;
    let two = |run| format!(r#"{{"at":{},"to":"user {run}"}}"#, seconds + run);
    assert_eq!(observe(two), Verdict::Settled);
    let other_shape = |run: i64| format!(r#"{{"at":{},"x{}":1}}"#, seconds + run, run % 2);
    assert_eq!(observe(other_shape), Verdict::Settled);
    assert_eq!(observe(|_| r#"{"at":1}"#.to_owned()), Verdict::Settled, "the same again, once it had expired");
    assert_eq!(observe(|_| "{}".to_owned()), Verdict::Settled);
}

#[test]
fn it_is_sure_after_as_many_runs_as_it_is_told() {
    let mut series = Series::new(2);
    let verdicts: Vec<_> = (0..4)
        .map(|run| {
            let params = format!(r#"{{"now":{}}}"#, NOW / SECOND + run);
            series.observe(params.as_bytes(), Timestamp(NOW + run * SECOND), 6)
        })
        .collect();
    assert_eq!(verdicts, [Verdict::Open, Verdict::Open, Verdict::Open, volatile("now", Kind::Time)]);
}

#[test]
fn fields_are_found_by_their_paths() {
    let text = br#"{"a\"]":"x,\"}","b":[1,{"c":@1:dict[["k",1]]},[]],"d":@1:bytes"00","e":null}"#;
    let fields = fields::read(text).expect("they are few");
    let found: Vec<_> =
        fields.iter().map(|field| (field.path(text), String::from_utf8_lossy(field.value(text)))).collect();
    let expected = [
        ("a\\\"]", "\"x,\\\"}\""),
        ("b[0]", "1"),
        ("b[1].c", "@1:dict[[\"k\",1]]"),
        ("d", "@1:bytes\"00\""),
        ("e", "null"),
    ];
    assert_eq!(found, expected.map(|(path, value)| (path.to_owned(), value.into())));
}

#[test]
fn what_is_too_wide_or_too_deep_is_not_looked_at() {
    let wide: Vec<String> = (0..65).map(|number| format!(r#""f{number}":1"#)).collect();
    assert!(fields::read(format!("{{{}}}", wide.join(",")).as_bytes()).is_none());
    assert!(fields::read(format!("{{\"a\":{}{}}}", "[".repeat(20), "]".repeat(20)).as_bytes()).is_none());
}

#[test]
fn names_are_compared_without_case_and_marks() {
    for name in ["now", "X-Request-ID", "requestId", "trace_id", "retry_count", "UTCNOW"] {
        assert!(is_volatile_name(name), "{name}");
    }
    for name in ["ts", "created_at", "card_id", "user_uuid", "known", "retries", "date"] {
        assert!(!is_volatile_name(name), "{name}");
    }
    assert!(names::is_counter("Retry-Count") && !names::is_counter("nonce"));
}
