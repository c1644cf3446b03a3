//! The memory store beside a model of it, step by step with a seeded dice; after each step all that can be
//! asked is compared, and the store's indexes are checked.
#![cfg(not(shuttle))]

mod compare;
mod model;
mod steps;

use steps::Pair;

fn play(seed: u64, steps: usize, max: Option<usize>) {
    let mut pair = Pair::new(seed, max);
    for step in 0..steps {
        let what = pair.step();
        pair.store.check_invariants().unwrap_or_else(|broken| panic!("seed {seed}, step {step}, {what}: {broken}"));
        pair.compare(&format!("seed {seed}, step {step}, {what}"));
    }
}

#[test]
fn a_store_without_a_cap_does_what_its_model_does() {
    (0..25).for_each(|seed| play(seed, 300, None));
}

#[test]
fn a_store_with_a_cap_does_what_its_model_does() {
    (1000..1025).for_each(|seed| play(seed, 300, Some(usize::try_from(seed % 7).unwrap_or(7) + 1)));
}
