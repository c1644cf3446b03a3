//! The writers against the published vectors, against a general algorithm, and against what may not collide.

mod fuzz;
mod numbers;
mod tagged;
mod vectors;

use super::{compare_names, push_f64, push_i64, push_string};
use serde_json::Value;

/// What a writer appends to an empty buffer, as text.
fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("the writers write UTF-8")
}

/// The canonical form of parsed JSON, in which every number is a double.
fn push_json(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        Value::String(text) => push_string(out, text),
        Value::Number(number) => push_f64(out, number.as_f64().expect("a JSON number")).expect("a finite number"),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                push_json(out, item);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(left, _), (right, _)| compare_names(left, right));
            push_members(out, &members);
        }
    }
}

fn push_members(out: &mut Vec<u8>, members: &[(&String, &Value)]) {
    out.push(b'{');
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_string(out, name);
        out.push(b':');
        push_json(out, value);
    }
    out.push(b'}');
}
