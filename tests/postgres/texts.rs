//! Texts that PostgreSQL can't hold as they are.

use _core::core::error::StoreError;
use _core::core::record::{Failure, Labels, Status};
use _core::store::{Claimed, Ending, Selector, Store};

use crate::world::{TTL, World, answer, ask, has_server, options};

#[test]
fn a_nul_is_kept_in_every_text() {
    if !has_server() {
        return;
    }
    let world = World::new(options());
    let key = "s\0\u{10FFFF}:a:t";
    let labels = Labels { signal_id: Some("s\0".into()), action_type: Some("a\0".into()), target: Some("\0t".into()) };
    world.mark(key, &labels);
    let record = ask(world.store.get(key)).expect("it is there");
    assert_eq!((&*record.key, &record.labels), (key, &labels));
    for selector in [Selector::SignalId("s\0"), Selector::ActionType("a\0"), Selector::Target("\0t")] {
        assert_eq!(ask(world.store.find(selector)), [Box::from(key)], "{selector:?}");
    }
    let hold = world.run("doubt");
    ask(world.store.finish(&hold, Ending::Doubt("a\0b".into())));
    let Claimed::InDoubt(record) = world.claim("doubt") else { panic!("it is in doubt") };
    assert_eq!(record.why_in_doubt(), "a\0b");
    let hold = world.run("failed");
    let failure = Failure { class: "E\0".into(), text: "\0".into(), args: Some(br#"["\u0000"]"#.as_slice().into()) };
    ask(world.store.finish(&hold, Ending::Fail(failure.clone(), TTL)));
    let status = ask(world.store.get("failed")).expect("it is there").status;
    assert!(matches!(status, Status::Failed { failure: kept, .. } if kept == failure));
    let mut cursor = None;
    let mut keys = Vec::new();
    loop {
        let page = ask(world.store.scan(cursor, 1));
        keys.extend(page.records.into_iter().map(|record| String::from(record.key)));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(keys, ["doubt", "failed", key]);
    assert!(ask(world.store.clear(key)));
}

#[test]
fn a_key_that_is_too_long_for_an_index_is_refused_by_name() {
    if !has_server() {
        return;
    }
    let world = World::new(options());
    let long = "k".repeat(2_001);
    let Err(StoreError::Failed(text)) = answer(world.store.claim(&world.request(&long))) else { panic!("too long") };
    assert!(text.contains("2001 bytes") && text.contains("shorten"), "{text}");
    // As long as may be, and no repetition to be compressed.
    let longest: String = (0..2_000_u32).filter_map(|number| char::from_u32(33 + number * number % 89)).collect();
    world.execute(&longest);
    assert!(matches!(world.claim(&longest), Claimed::Replay { .. }));
}
