//! A store beside a model of it, step by step with a seeded dice; after each step all that can be asked is compared, and
//! what the store keeps is checked.
#![cfg(not(shuttle))]

mod compare;
mod model;
#[path = "../support/servers.rs"]
mod servers;
mod steps;
mod subjects;
#[path = "../support/mod.rs"]
mod support;

use std::ops::Range;

use steps::Pair;
use subjects::{Make, Subject};

const STEPS: usize = 300;

fn play(make: Make, seed: u64, max: Option<usize>) {
    let mut pair = Pair::new(make, seed, max);
    for step in 0..STEPS {
        let what = pair.step();
        let told = format!("seed {seed}, step {step}, {what}");
        pair.subject.check_invariants().unwrap_or_else(|broken| panic!("{told}: {broken}"));
        pair.compare(&told);
    }
}

fn play_without_a_cap(make: Make, seeds: Range<u64>) {
    seeds.for_each(|seed| play(make, seed, None));
}

fn play_with_a_cap(make: Make, seeds: Range<u64>) {
    seeds.for_each(|seed| play(make, seed, Some(usize::try_from(seed % 7).unwrap_or(7) + 1)));
}

#[test]
fn a_store_in_memory_without_a_cap_does_what_its_model_does() {
    play_without_a_cap(Subject::memory, 0..25);
}

#[test]
fn a_store_in_memory_with_a_cap_does_what_its_model_does() {
    play_with_a_cap(Subject::memory, 1000..1025);
}

#[test]
fn a_store_in_a_file_without_a_cap_does_what_its_model_does() {
    play_without_a_cap(Subject::sqlite, 0..10);
}

#[test]
fn a_store_in_a_file_with_a_cap_does_what_its_model_does() {
    play_with_a_cap(Subject::sqlite, 1000..1014);
}

#[test]
fn a_store_on_redis_without_a_cap_does_what_its_model_does() {
    if servers::is_there(Some(servers::REDIS)) {
        play_without_a_cap(Subject::redis, 0..2);
    }
}

#[test]
fn a_store_on_redis_with_a_cap_does_what_its_model_does() {
    if servers::is_there(Some(servers::REDIS)) {
        play_with_a_cap(Subject::redis, 1001..1003);
    }
}

#[test]
fn a_store_on_postgres_without_a_cap_does_what_its_model_does() {
    if servers::is_there(Some(servers::POSTGRES)) {
        play_without_a_cap(Subject::postgres, 0..2);
    }
}

#[test]
fn a_store_on_postgres_with_a_cap_does_what_its_model_does() {
    if servers::is_there(Some(servers::POSTGRES)) {
        play_with_a_cap(Subject::postgres, 1001..1003);
    }
}
