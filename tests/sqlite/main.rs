//! The SQLite store beyond what every store must do: transactions that are shared, copies that are never stale, counts
//! that are written behind, files that go away, and other programs' locks.
#![cfg(all(unix, not(shuttle)))]

#[path = "../support/asking.rs"]
mod asking;
mod batches;
mod closing;
mod copies;
mod counts;
mod files;
mod locks;
mod queries;
#[path = "../support/mod.rs"]
mod support;
mod world;
