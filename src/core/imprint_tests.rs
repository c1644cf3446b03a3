use std::sync::Arc;

use super::*;
use crate::core::clock::Timestamp;
use crate::core::record::{Fence, Fingerprint, Labels};

fn record(key: &str) -> Record {
    Record {
        key: key.into(),
        labels: Labels { signal_id: Some("s".into()), action_type: Some("a".into()), target: Some("t".into()) },
        fingerprint: Some(Fingerprint([1; 32])),
        fence: Fence(7),
        status: Status::Completed { at: Timestamp(20), result: Payload::Json(b"1".as_slice().into()) },
        started_at: Timestamp(10),
        expires_at: Timestamp(30),
        attempts: 1,
        owner: Some("host:1".into()),
        params: None,
        context: None,
    }
}

fn in_progress(latch: Latch, lease_until: i64) -> Status {
    Status::InProgress { lease_until: Timestamp(lease_until), latch }
}

#[test]
fn what_a_store_adds_or_time_changes_leaves_the_imprint_as_it_is() {
    let known = record("k");
    let elsewhere = Record { fence: Fence(8), attempts: 9, ..known.clone() };
    assert_eq!(Imprint::of(&known), Imprint::of(&elsewhere));
    let of = |status| Imprint::of(&Record { status, ..record("k") });
    let claimed = of(in_progress(Latch::Absent, 50));
    for later in [in_progress(Latch::Dispatched, 60), Status::InDoubt { error: None }] {
        assert_eq!(of(later), claimed, "a claim that lapses is the same record");
    }
}

#[test]
fn whatever_else_differs_is_seen() {
    let known = Imprint::of(&record("k"));
    let change = |change: &dyn Fn(&mut Record)| {
        let mut other = record("k");
        change(&mut other);
        Imprint::of(&other)
    };
    let failure = |args: Option<&[u8]>| Failure { class: "C".into(), text: "t".into(), args: args.map(Into::into) };
    let finished = |result| Status::Completed { at: Timestamp(20), result };
    let mut all = vec![
        known,
        change(&|record| record.key = "l".into()),
        change(&|record| record.labels.signal_id = None),
        change(&|record| record.labels.action_type = None),
        change(&|record| record.labels.target = Some("u".into())),
        change(&|record| record.fingerprint = None),
        change(&|record| record.started_at = Timestamp(11)),
        change(&|record| record.expires_at = Timestamp(31)),
        change(&|record| record.owner = None),
        change(&|record| record.owner = Some("".into())),
        change(&|record| record.params = Some(b"1".as_slice().into())),
        change(&|record| record.context = Some(b"1".as_slice().into())),
        change(&|record| record.status = finished(Payload::Json(b"2".as_slice().into()))),
        change(&|record| record.status = finished(Payload::Custom(b"1".as_slice().into()))),
        change(&|record| record.status = finished(Payload::Unavailable)),
        change(&|record| {
            record.status = Status::Completed { at: Timestamp(21), result: Payload::Json(b"1".as_slice().into()) };
        }),
        change(&|record| record.status = Status::Failed { at: Timestamp(20), failure: failure(None) }),
        change(&|record| record.status = Status::Failed { at: Timestamp(20), failure: failure(Some(b"")) }),
        change(&|record| record.status = Status::InDoubt { error: None }),
        change(&|record| record.status = Status::InDoubt { error: Some("late".into()) }),
        change(&|record| record.status = in_progress(Latch::Armed, 50)),
    ];
    let count = all.len();
    all.sort_by_key(|imprint| imprint.0);
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn an_object_without_an_encoding_is_as_an_unavailable_result() {
    let of = |result| Imprint::of(&Record { status: Status::Completed { at: Timestamp(20), result }, ..record("k") });
    assert_eq!(of(Payload::Local(Arc::new(1))), of(Payload::Unavailable));
}

#[test]
fn an_inventory_is_the_same_in_any_order_and_tells_how_often_each_is_there() {
    let sum = |keys: &[&str]| {
        let mut inventory = Inventory::default();
        for key in keys {
            inventory.add(&record(key));
        }
        inventory
    };
    assert_eq!(sum(&["a", "b", "c"]), sum(&["c", "a", "b"]));
    assert_ne!(sum(&["a", "b", "c"]), sum(&["a", "b", "d"]));
    assert_ne!(sum(&["a", "a"]), sum(&["b", "b"]));
    assert_ne!(sum(&[]).digest(), sum(&["a", "a"]).digest());
    assert_eq!(sum(&["a"]).digest(), format!("{:?}", Imprint::of(&record("a"))));
    assert_eq!(format!("{:?}", sum(&[])), format!("Inventory(0 records, {})", "0".repeat(64)));
}

#[test]
fn a_sum_carries_from_word_to_word() {
    let mut inventory = Inventory { records: 0, sum: [u64::MAX; 4] };
    inventory.add(&record("a"));
    let mut alone = Inventory::default();
    alone.add(&record("a"));
    let low = u64::from_str_radix(&alone.digest()[48..], 16).expect("it is hex");
    assert_eq!(inventory.digest()[..48], alone.digest()[..48], "all ones are one less than nothing");
    assert_eq!(inventory.digest()[48..], format!("{:016x}", low - 1));
}
