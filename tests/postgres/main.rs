//! What only PostgreSQL can do wrong: races on a server, answers that are lost, locks of others, news, the tables' making.
#![cfg(not(shuttle))]

mod answers;
#[path = "../support/asking.rs"]
mod asking;
mod faults;
mod locks;
mod news;
mod races;
#[path = "../support/servers.rs"]
mod servers;
mod speed;
#[path = "../support/mod.rs"]
mod support;
mod tables;
mod texts;
mod world;
