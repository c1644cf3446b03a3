//! What every store must do: one case for each row of the transition table and for each promise beside it.
//!
//! A new store is one line at the end of this file.
#![cfg(not(shuttle))]

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use _core::core::clock::ManualClock;
use _core::store::faulty::FaultyStore;
use _core::store::memory::MemoryStore;
use _core::store::postgres::{self, PostgresStore};
use _core::store::redis::{self, RedisStore};
use _core::store::sqlite::{Options, SqliteStore, Synchronous};
use _core::store::{Limits, Store};
use tempfile::TempDir;

#[path = "../support/asking.rs"]
mod asking;
mod batches;
mod counts;
mod limits;
mod promises;
mod queries;
#[path = "../support/servers.rs"]
mod servers;
#[path = "../support/mod.rs"]
mod support;
mod transitions;
mod upkeep;
mod waiting;
mod world;

fn memory(clock: Arc<ManualClock>, limits: Limits) -> Box<dyn Store> {
    Box::new(MemoryStore::new(clock, limits))
}

thread_local! {
    /// The folders of the stores that a test has opened: each test is a thread, and they go with it.
    static FOLDERS: RefCell<Vec<TempDir>> = const { RefCell::new(Vec::new()) };
}

fn sqlite(clock: Arc<ManualClock>, limits: Limits) -> Box<dyn Store> {
    let folder = TempDir::new().expect("a folder can be made");
    let options = Options { synchronous: Synchronous::Normal, ..Options::new(folder.path().join("store.db")) };
    FOLDERS.with_borrow_mut(|folders| folders.push(folder));
    Box::new(SqliteStore::open(options, clock, limits).expect("a new file can be opened"))
}

/// The same, with every verb done by the store's own thread.
fn sqlite_elsewhere(clock: Arc<ManualClock>, limits: Limits) -> Box<dyn Store> {
    Box::new(FaultyStore::new(sqlite(clock, limits).into(), Arc::default()))
}

/// A namespace of its own for each test on a server that all share.
fn namespace() -> String {
    static TESTS: AtomicU64 = AtomicU64::new(0);
    format!("test-{}-{}", std::process::id(), TESTS.fetch_add(1, Ordering::Relaxed))
}

fn redis_at(options: redis::Options, clock: Arc<ManualClock>, limits: Limits) -> Box<dyn Store> {
    let options = redis::Options { namespace: namespace(), ..options };
    Box::new(RedisStore::open(options, Some(clock), limits).expect("the server answers"))
}

fn redis(clock: Arc<ManualClock>, limits: Limits) -> Box<dyn Store> {
    let nodes = servers::nodes(servers::REDIS);
    let (host, port) = nodes[0].clone();
    redis_at(redis::Options::new(host, port), clock, limits)
}

fn redis_cluster(clock: Arc<ManualClock>, limits: Limits) -> Box<dyn Store> {
    let nodes = servers::nodes(servers::REDIS_CLUSTER);
    let options = redis::Options { topology: redis::Topology::Cluster(nodes), ..redis::Options::new("", 0) };
    redis_at(options, clock, limits)
}

fn postgres_at(options: postgres::Options, clock: Arc<ManualClock>, limits: Limits) -> Box<dyn Store> {
    let options = postgres::Options { namespace: namespace(), ..options };
    Box::new(PostgresStore::open(options, Some(clock), limits).expect("the server answers"))
}

fn postgres(clock: Arc<ManualClock>, limits: Limits) -> Box<dyn Store> {
    postgres_at(servers::database(servers::POSTGRES), clock, limits)
}

fn pgbouncer(clock: Arc<ManualClock>, limits: Limits) -> Box<dyn Store> {
    postgres_at(servers::database(servers::PGBOUNCER), clock, limits)
}

macro_rules! tests {
    ($factory:path, $server:expr; $($module:ident { $($case:ident)+ })+) => {
        $(mod $module {
            $(#[test]
            fn $case() {
                if crate::servers::is_there($server) {
                    crate::$module::$case($factory);
                }
            })+
        })+
    };
}

macro_rules! conformance {
    ($($store:ident: $factory:path, $server:expr;)+) => {
        $(mod $store {
            tests! { $factory, $server;
                transitions {
                    a_claim_of_nothing_runs
                    a_claim_of_an_expired_record_runs_under_a_newer_fence
                    a_claim_with_other_params_is_a_mismatch_in_every_state
                    a_claim_that_does_not_check_params_never_mismatches
                    a_claim_of_a_completed_record_replays_it
                    a_claim_of_a_failed_record_replays_the_failure
                    a_claim_of_a_live_claim_is_busy
                    a_claim_of_a_lapsed_claim_meets_an_action_in_doubt
                    a_taker_over_gets_a_lapsed_claim
                    a_taker_over_keeps_the_time_since_when_the_effect_may_have_happened
                    a_claim_of_a_lapsed_claim_that_was_never_dispatched_runs
                    a_claim_of_a_lapsed_claim_that_was_dispatched_meets_an_action_in_doubt
                    a_doubt_outlives_a_taker_over_with_a_latch_that_dies_before_it_has_settled_it
                    a_claim_of_an_action_in_doubt_meets_it
                    a_taker_over_gets_an_action_in_doubt
                    a_holder_completes_its_claim_and_the_ttl_starts_then
                    a_holder_completes_its_claim_after_the_lease_has_lapsed
                    a_holder_with_a_stale_fence_writes_nothing
                    a_holder_releases_its_claim_and_the_next_one_runs
                    a_holder_leaves_its_claim_in_doubt_with_the_text
                    a_holder_in_doubt_completes_after_all
                    a_holder_in_doubt_renews_and_dispatches_nothing
                    a_holder_whose_claim_was_cleared_writes_nothing
                    a_finished_claim_is_finished_once
                    a_person_resolves_an_action_in_doubt_with_a_result
                    a_person_resolves_an_action_in_doubt_as_not_executed
                    nothing_but_an_action_in_doubt_can_be_resolved
                }
                promises {
                    a_lapsed_claim_is_in_doubt_for_every_reader
                    a_lapsed_claim_that_was_never_dispatched_is_in_progress_for_every_reader
                    a_lapsed_claim_can_be_resolved_by_hand
                    a_lease_lapses_at_its_last_instant
                    a_ttl_never_removes_an_unfinished_record
                    a_record_expires_at_its_last_instant
                    an_expired_record_is_gone_for_every_verb
                    a_fence_outlives_its_record
                    a_renewed_lease_is_counted_from_now
                    a_renewal_names_the_holds_that_were_lost
                    marking_a_claim_makes_its_holder_stale
                    marking_an_action_in_doubt_completes_it
                    marking_a_completed_key_replaces_the_result_and_restarts_the_ttl
                    marking_a_new_key_completes_it
                    a_mark_without_params_matches_any
                    a_mark_replaces_the_labels
                    a_record_says_all_that_was_claimed
                    a_failure_is_kept_whole
                    an_empty_result_is_a_result
                    keys_with_escapes_and_any_script_are_kept_apart
                }
                counts {
                    every_answer_but_a_wait_is_an_attempt
                    a_check_is_a_look_that_counts_and_claims_nothing
                    a_replay_is_a_hit_and_a_run_is_a_miss
                    a_caller_that_refuses_to_wait_is_a_prevented_duplicate
                    a_duplicate_in_shadow_mode_is_one_that_would_have_been_prevented
                    a_get_counts_nothing
                    a_tally_counts_each_state
                    a_tally_knows_the_oldest_and_the_newest
                    a_reset_tally_keeps_the_records
                }
                queries {
                    records_are_found_by_action_type_target_and_signal
                    a_label_that_the_key_does_not_have_finds_its_record
                    a_removed_record_is_not_found
                    actions_in_doubt_are_found_lapsed_claims_included
                    records_that_expire_soon_are_found_the_next_to_end_first
                    a_scan_finds_each_record_once
                    a_scan_keeps_its_promise_while_records_come_and_go
                    nothing_is_found_in_an_empty_store
                    a_glance_shows_the_newest_and_what_ends_next
                    a_glance_is_bounded_and_passes_over_what_has_expired
                    a_glance_has_the_counters_and_no_results
                }
                upkeep {
                    a_cleanup_removes_what_has_expired_and_nothing_else
                    a_cleanup_counts_what_it_removes
                    the_oldest_finished_records_are_removed_first
                    removing_the_oldest_leaves_unfinished_records
                    clearing_a_key_removes_it_in_any_state
                    clearing_an_expired_key_finds_nothing
                    clearing_all_leaves_nothing_and_forgets_no_fence
                }
                limits {
                    a_full_store_drops_its_oldest_fifth_for_a_new_key
                    a_full_store_drops_at_least_one
                    a_mark_of_a_new_key_makes_room_too
                    a_full_store_removes_what_has_expired_before_it_drops_anything
                    a_full_store_never_drops_an_unfinished_record
                    a_full_store_that_refuses_drops_nothing
                    a_known_key_needs_no_room
                    a_lower_cap_holds_from_the_next_new_key_on
                    a_store_without_a_cap_is_never_full
                }
                batches {
                    claims_of_a_batch_are_answered_in_order_each_as_one_alone
                    a_key_that_comes_twice_in_a_batch_is_busy_the_second_time
                    a_batch_claims_what_there_is_room_for
                    a_batch_wakes_nobody_and_a_waiter_of_it_is_woken
                    a_batch_is_dispatched_and_says_which_claims_were_lost
                    a_batch_is_looked_up_in_order_and_each_look_counts
                    a_restored_record_is_as_it_was
                    a_restored_record_answers_a_claim_as_it_did
                    a_restored_record_ends_when_it_would_have
                    a_record_is_restored_once
                    a_restored_record_never_replaces_a_live_one
                    an_expired_record_is_not_restored_but_one_that_is_there_gives_way
                    a_restored_record_has_a_newer_fence_than_any_before
                    a_store_without_room_restores_what_it_can_and_evicts_nothing
                }
                waiting {
                    a_waiter_is_woken_by_every_end_of_a_claim
                    a_waiter_that_has_not_been_polled_misses_no_end
                    all_waiters_are_woken
                    a_dropped_waiter_is_not_woken
                    a_renewal_wakes_nobody
                }
            }
        })+
    };
}

conformance! {
    of_memory: crate::memory, None;
    of_sqlite: crate::sqlite, None;
    of_sqlite_elsewhere: crate::sqlite_elsewhere, None;
    of_redis: crate::redis, Some(crate::servers::REDIS);
    of_redis_cluster: crate::redis_cluster, Some(crate::servers::REDIS_CLUSTER);
    of_postgres: crate::postgres, Some(crate::servers::POSTGRES);
    of_pgbouncer: crate::pgbouncer, Some(crate::servers::PGBOUNCER);
}
